//! SIP over real sockets: what is sent arrives whole, what cannot is said, and no peer takes more
//! than its share.
#![expect(clippy::disallowed_methods, reason = "tests have sockets, a clock and files")]

mod dns;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};

use sidetone::config::sip::Listen;
use sidetone::runtime::transport::connection::{HopError, Limits};
use sidetone::runtime::transport::listener::Bound;
use sidetone::runtime::transport::stats::CloseReason;
use sidetone::runtime::transport::tls::Tls;
use sidetone::runtime::transport::transports::{Arrival, Transports};
use sidetone::sip::transport::{Hop, LocalId, Source, Transport};

/// Nothing on loopback takes so long.
const LONG: Duration = Duration::from_secs(10);

/// Our side, and where it listens.
struct Side {
    transports: Transports,
    at: Vec<SocketAddr>,
}

impl Side {
    fn listen(on: &[(Transport, &str)], tls: Option<Tls>, limits: Limits) -> Self {
        let listen = on.iter().map(|(transport, address)| Listen {
            transport: *transport,
            address: address.parse().expect("an address"),
        });
        let bound = Bound::bind(&listen.collect::<Vec<_>>()).expect("free ports");
        let at = bound.locals().iter().map(|local| local.address).collect();
        let transports = Transports::start(bound, tls, limits).expect("sockets");
        Self { transports, at }
    }

    fn over(transport: Transport) -> Self {
        Self::listen(&[(transport, "127.0.0.1:0")], None, Limits::default())
    }

    async fn next(&mut self) -> Arrival {
        timeout(LONG, self.transports.recv()).await.expect("something arrives")
    }

    async fn message(&mut self) -> (Source, Vec<u8>) {
        match self.next().await {
            Arrival::Message { source, bytes } => (source, bytes),
            other => panic!("a message was expected: {other:?}"),
        }
    }

    async fn unreachable(&mut self) -> (Hop, HopError) {
        loop {
            match self.next().await {
                Arrival::Unreachable { hop, error } => return (hop, error),
                Arrival::Closed { .. } => {}
                other => panic!("nothing else was expected: {other:?}"),
            }
        }
    }

    /// Lets the sockets work while nothing arrives.
    async fn idle_until(&mut self, what: &str, done: impl Fn(&Transports) -> bool) {
        let until = Instant::now() + LONG;
        while !done(&self.transports) {
            assert!(Instant::now() < until, "{what}: {:?}", self.transports.stats());
            let _ = timeout(Duration::from_millis(20), self.transports.recv()).await;
        }
    }
}

fn message(name: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("MESSAGE sip:{name} SIP/2.0\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

fn hop(transport: Transport, address: SocketAddr, name: Option<&str>) -> Hop {
    Hop { transport, address, local: LocalId(0), connection: None, name: name.map(Arc::from) }
}

async fn read_exactly(stream: &mut (impl AsyncReadExt + Unpin), wanted: &[u8]) {
    let mut bytes = vec![0; wanted.len()];
    timeout(LONG, stream.read_exact(&mut bytes)).await.expect("in time").expect("bytes");
    assert_eq!(String::from_utf8_lossy(&bytes), String::from_utf8_lossy(wanted));
}

async fn closes(stream: &mut (impl AsyncReadExt + Unpin)) {
    let mut rest = Vec::new();
    // A reset is an end as well.
    let _ = timeout(LONG, stream.read_to_end(&mut rest)).await.expect("it is closed");
    assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
}

#[tokio::test]
async fn a_datagram_is_answered_from_the_socket_that_it_came_to() {
    let on = [
        (Transport::Udp, "127.0.0.1:0"),
        (Transport::Udp, "127.0.0.1:0"),
        (Transport::Udp, "[::1]:0"),
    ];
    let mut side = Side::listen(&on, None, Limits::default());
    for (local, from) in [(1, "127.0.0.1:0"), (0, "127.0.0.1:0"), (2, "[::1]:0")] {
        let peer = UdpSocket::bind(from).await.expect("a port");
        peer.send_to(&message("a", "x"), side.at[local]).await.expect("sent");
        let (source, bytes) = side.message().await;
        assert_eq!(bytes, message("a", "x"));
        assert_eq!(source.hop.local, LocalId(local));
        side.transports.send(&source.hop, message("b", "y"));
        let mut answer = [0; 100];
        let (length, by) =
            timeout(LONG, peer.recv_from(&mut answer)).await.expect("in time").expect("one");
        assert_eq!(by, side.at[local]);
        assert_eq!(answer[..length], message("b", "y"));
    }
    let stats = side.transports.stats();
    assert_eq!((stats.udp.messages_in, stats.udp.messages_out), (3, 3));
    assert_eq!(stats.udp.bytes_in, 3 * message("a", "x").len() as u64);
}

#[tokio::test]
async fn both_families_may_listen_on_one_port() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let v4 = Bound::bind(&[Listen { transport, address: "0.0.0.0:0".parse().expect("one") }]);
        let v4 = v4.expect("a free port");
        let port = v4.locals()[0].address.port();
        let address = SocketAddr::new(IpAddr::from_str("::").expect("any"), port);
        Bound::bind(&[Listen { transport, address }]).expect("the other family's port");
        let error = Bound::bind(&[Listen { transport, address: v4.locals()[0].address }]);
        let error = error.expect_err("a taken port").to_string();
        assert!(error.contains(&port.to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_datagram_that_the_system_will_not_send_is_unreachable_once() {
    let mut side = Side::over(Transport::Udp);
    let to = hop(Transport::Udp, "127.0.0.1:9".parse().expect("an address"), None);
    side.transports.send(&to, vec![b'x'; 70_000]);
    side.transports.send(&to, vec![b'x'; 70_000]);
    let (hop, error) = side.unreachable().await;
    assert_eq!(hop, to);
    assert!(matches!(error, HopError::NotSent(_)), "{error}");
    assert_eq!(side.transports.try_recv(), None);
}

#[tokio::test]
async fn messages_are_whole_however_the_stream_was_cut() {
    let mut side = Side::over(Transport::Tcp);
    let mut peer = TcpStream::connect(side.at[0]).await.expect("a connection");
    peer.set_nodelay(true).expect("set");
    let slowly = message("slowly", "body");
    let bytes = slowly.clone();
    let writer = tokio::spawn(async move {
        for byte in bytes {
            peer.write_all(&[byte]).await.expect("written");
            peer.flush().await.expect("flushed");
            sleep(Duration::from_millis(1)).await;
        }
        peer
    });
    let (first, bytes) = side.message().await;
    assert_eq!(bytes, slowly);
    let mut peer = writer.await.expect("written");

    let two = [message("one", "1"), message("two", "2")];
    peer.write_all(&two.concat()).await.expect("written");
    for wanted in two {
        let (source, bytes) = side.message().await;
        assert_eq!(bytes, wanted);
        assert_eq!(source, first, "the same way back");
    }
    side.transports.send(&first.hop, message("back", ""));
    side.transports.send(&first.hop, message("again", ""));
    side.idle_until("written", |_| true).await;
    let both = [message("back", ""), message("again", "")].concat();
    read_exactly(&mut peer, &both).await;

    drop(peer);
    match side.next().await {
        Arrival::Closed { connection, hop } => {
            assert_eq!(Some(connection), first.hop.connection);
            assert_eq!(hop, first.hop);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(side.transports.stats().tcp.open, 0);
    assert_eq!(side.transports.stats().closed(CloseReason::ByPeer), 1);
}

#[tokio::test]
async fn a_ping_is_answered_with_a_pong() {
    let mut side = Side::over(Transport::Tcp);
    let mut peer = TcpStream::connect(side.at[0]).await.expect("a connection");
    peer.write_all(b"\r\n\r\n").await.expect("written");
    side.idle_until("accepted", |t| t.stats().tcp.accepted == 1).await;
    read_exactly(&mut peer, b"\r\n").await;
}

#[tokio::test]
async fn our_keep_alive_goes_out_and_wants_an_answer() {
    let every = Duration::from_millis(100);
    let limits = Limits { keep_alive: Some(every), ..Limits::default() };
    let mut side = Side::listen(&[(Transport::Tcp, "127.0.0.1:0")], None, limits);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let to = hop(Transport::Tcp, listener.local_addr().expect("one"), None);
    side.transports.send(&to, message("a", ""));
    let (mut peer, _) = listener.accept().await.expect("a connection");
    read_exactly(&mut peer, &message("a", "")).await;
    for _ in 0..3 {
        read_exactly(&mut peer, b"\r\n\r\n").await;
        peer.write_all(b"\r\n").await.expect("written");
    }
    let started = Instant::now();
    let (hop, error) = timeout(Duration::from_secs(15), async {
        loop {
            if let Arrival::Unreachable { hop, error } = side.transports.recv().await {
                return (hop, error);
            }
        }
    })
    .await
    .expect("it is given up");
    assert_eq!((hop, error), (to, HopError::NoPong));
    assert!(started.elapsed() > Duration::from_secs(9), "{:?}", started.elapsed());
}

#[tokio::test]
async fn what_goes_to_one_peer_shares_a_connection() {
    let mut side = Side::over(Transport::Tcp);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let to = hop(Transport::Tcp, listener.local_addr().expect("one"), None);
    side.transports.send(&to, message("a", ""));
    side.transports.send(&to, message("b", ""));
    let (mut peer, _) = listener.accept().await.expect("a connection");
    read_exactly(&mut peer, &[message("a", ""), message("b", "")].concat()).await;
    peer.write_all(&message("c", "")).await.expect("written");
    let (source, _) = side.message().await;
    side.transports.send(&to, message("d", ""));
    side.transports.send(&source.hop, message("e", ""));
    read_exactly(&mut peer, &[message("d", ""), message("e", "")].concat()).await;
    let stats = side.transports.stats();
    assert_eq!((stats.tcp.opened, stats.tcp.open, stats.tcp.accepted), (1, 1, 0));

    // A connection that they opened is for answers; it proves nobody's address (RFC 5923 §9).
    let mut theirs = TcpStream::connect(side.at[0]).await.expect("a connection");
    theirs.write_all(&message("f", "")).await.expect("written");
    let (accepted, _) = side.message().await;
    let anew = Hop { connection: None, ..accepted.hop };
    side.transports.send(&anew, message("g", ""));
    let (_, error) = side.unreachable().await;
    assert!(matches!(error, HopError::NotOpened(_)), "{error}");
}

#[tokio::test]
async fn a_closed_port_is_unreachable_once_and_soon() {
    let mut side = Side::over(Transport::Tcp);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let to = hop(Transport::Tcp, listener.local_addr().expect("one"), None);
    drop(listener);
    side.transports.send(&to, message("a", ""));
    side.transports.send(&to, message("b", ""));
    let started = Instant::now();
    let (hop, error) = side.unreachable().await;
    assert_eq!(hop, to);
    assert!(matches!(error, HopError::NotOpened(_)), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(side.transports.try_recv(), None);
    assert_eq!(side.transports.stats().tcp.open, 0);
}

#[tokio::test]
async fn a_peer_that_never_reads_is_given_up() {
    let mut side = Side::over(Transport::Tcp);
    let mut peer = TcpStream::connect(side.at[0]).await.expect("a connection");
    peer.write_all(&message("a", "")).await.expect("written");
    let (source, _) = side.message().await;
    let large = message("large", &"x".repeat(30_000));
    let mut sent = 0;
    let error = loop {
        side.transports.send(&source.hop, large.clone());
        sent += large.len();
        assert!(sent < 100_000_000, "a queue without a bound");
        if let Ok(Arrival::Unreachable { hop, error }) =
            timeout(Duration::from_millis(1), side.transports.recv()).await
        {
            assert_eq!(hop, source.hop);
            break error;
        }
    };
    assert!(matches!(error, HopError::Slow(_)), "{error}");
    match side.next().await {
        Arrival::Closed { connection, .. } => assert_eq!(Some(connection), source.hop.connection),
        other => panic!("{other:?}"),
    }
    assert_eq!(side.transports.stats().closed(CloseReason::Slow), 1);
}

#[tokio::test]
async fn connections_over_the_bounds_are_closed_at_once() {
    let limits = Limits { connections: 3, connections_per_peer: 2, ..Limits::default() };
    let on = [(Transport::Tcp, "0.0.0.0:0"), (Transport::Tcp, "[::1]:0")];
    let mut side = Side::listen(&on, None, limits);
    let v4 = SocketAddr::new("127.0.0.1".parse().expect("one"), side.at[0].port());
    let mut connections = Vec::new();
    for _ in 0..3 {
        connections.push(TcpStream::connect(v4).await.expect("the backlog takes it"));
    }
    side.idle_until("the third is refused", |t| t.stats().refused_per_peer == 1).await;
    closes(&mut connections[2]).await;
    connections.push(TcpStream::connect(side.at[1]).await.expect("another peer"));
    connections.push(TcpStream::connect(side.at[1]).await.expect("the backlog takes it"));
    side.idle_until("the last is refused", |t| t.stats().refused_total == 1).await;
    closes(&mut connections[4]).await;
    let to = hop(Transport::Tcp, v4, None);
    side.transports.send(&to, message("a", ""));
    assert_eq!(side.unreachable().await.1, HopError::Full);

    // Whoever goes makes room.
    drop(connections.swap_remove(0));
    side.idle_until("one is gone", |t| t.stats().tcp.open == 2).await;
    let mut next = TcpStream::connect(v4).await.expect("a connection");
    next.write_all(&message("next", "")).await.expect("written");
    side.idle_until("it is heard", |t| t.stats().tcp.messages_in == 1).await;
}

#[tokio::test]
async fn a_peer_that_says_nothing_whole_is_closed_and_so_is_an_idle_one() {
    let limits = Limits {
        first_message: Duration::from_millis(200),
        idle: Duration::from_millis(700),
        ..Limits::default()
    };
    let mut side = Side::listen(&[(Transport::Tcp, "127.0.0.1:0")], None, limits);
    let mut silent = TcpStream::connect(side.at[0]).await.expect("a connection");
    silent.write_all(b"MESSAGE sip:half").await.expect("written");
    let mut idle = TcpStream::connect(side.at[0]).await.expect("a connection");
    idle.write_all(&message("whole", "")).await.expect("written");
    side.message().await;
    side.idle_until("silent", |t| t.stats().closed(CloseReason::Silent) == 1).await;
    closes(&mut silent).await;
    assert_eq!(side.transports.stats().tcp.open, 1);
    side.idle_until("idle", |t| t.stats().closed(CloseReason::Idle) == 1).await;
    closes(&mut idle).await;
}

#[tokio::test]
async fn what_cannot_be_read_is_handed_up_answered_and_closed() {
    let mut side = Side::over(Transport::Tcp);
    let mut peer = TcpStream::connect(side.at[0]).await.expect("a connection");
    let head = b"MESSAGE sip:a SIP/2.0\r\nContent-Length: many\r\n\r\n";
    peer.write_all(&[head.as_slice(), &[b'x'; 100_000]].concat()).await.expect("written");
    let refused = b"SIP/2.0 400 Bad Content-Length\r\nContent-Length: 0\r\n\r\n";
    match side.next().await {
        Arrival::Unreadable { source, head: found } => {
            assert_eq!(found, head);
            // An endpoint that has more to do first.
            sleep(Duration::from_millis(100)).await;
            side.transports.send(&source.hop, refused.to_vec());
        }
        other => panic!("{other:?}"),
    }
    read_exactly(&mut peer, refused).await;
    side.idle_until("closed", |t| t.stats().closed(CloseReason::Unreadable) == 1).await;
    closes(&mut peer).await;
}

#[tokio::test]
async fn a_busy_connection_leaves_room_for_others() {
    let mut side = Side::over(Transport::Tcp);
    let at = side.at[0];
    let busy = tokio::spawn(async move {
        let mut peer = TcpStream::connect(at).await.expect("a connection");
        let many = message("busy", "").repeat(1_000);
        while peer.write_all(&many).await.is_ok() {}
    });
    for _ in 0..1_000 {
        side.message().await;
    }
    let mut quiet = TcpStream::connect(at).await.expect("a connection");
    quiet.write_all(&message("quiet", "")).await.expect("written");
    let mut before = 0;
    while side.message().await.1 != message("quiet", "") {
        before += 1;
    }
    busy.abort();
    // What stood in the channel already, and a turn or two for the connection to be taken.
    assert!(before < 2_000, "{before} messages of the busy one came first");
}

#[tokio::test]
async fn at_the_end_what_waits_is_written() {
    let mut side = Side::over(Transport::Tcp);
    let mut peer = TcpStream::connect(side.at[0]).await.expect("a connection");
    peer.write_all(&message("a", "")).await.expect("written");
    let (source, _) = side.message().await;
    side.transports.send(&source.hop, message("bye", ""));
    side.transports.close(LONG).await;
    read_exactly(&mut peer, &message("bye", "")).await;
    closes(&mut peer).await;
}
