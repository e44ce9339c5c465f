//! One stream: opened or accepted, encrypted or not, read, written and closed (RFC 3261 §18.3, RFC 5626 §4.4.1).

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, WriteHalf, split};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use crate::runtime::transport::stats::CloseReason;
use crate::runtime::transport::tls::{HandshakeError, PeerName, Tls};
use crate::sip::stream_framing::{self, Frame, StreamFraming};
use crate::sip::transport::{ConnectionId, LocalId};

/// Read at once: a TLS record.
const CHUNK: usize = 16 * 1024;
/// How long a peer may take to answer our ping (RFC 5626 §4.4.1).
const PONG: Duration = Duration::from_secs(10);
/// How long a connection that broke waits for its refusal to be written and read.
const LINGER: Duration = Duration::from_secs(1);
/// How long what was sent may stay unacknowledged (RFC 5482): the kernel's own 15 minutes outlive
/// any transaction, which gives up after 32 s.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);
/// Answers to pings that wait; a peer that sends more and reads none of them goes without.
const PONGS: usize = 8;

/// Bounds of all connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time, either way; 1,000.
    pub connections: usize,
    /// Connections that one peer may have opened, an IPv4 address or an IPv6 /64; 32.
    pub connections_per_peer: usize,
    /// Bytes that may wait for one peer to read; 64 KiB.
    pub write_queue: usize,
    /// A connection without a whole message or ping either way for so long is closed; 20 min.
    pub idle: Duration,
    /// For a TLS handshake; 5 s.
    pub handshake: Duration,
    /// For a connection to be opened, before its handshake; 5 s.
    pub connect: Duration,
    /// For the first whole message or ping of a peer that connected; 10 s.
    pub first_message: Duration,
    /// How often a connection that we opened is tried with a ping (RFC 5626 §4.4.1); never.
    pub keep_alive: Option<Duration>,
    /// Of one message.
    pub message: stream_framing::Limits,
}

/// What sockets tell their owner.
#[derive(Debug)]
pub(super) enum Report {
    /// A datagram came.
    Datagram { local: LocalId, from: SocketAddr, bytes: Vec<u8> },
    /// A peer connected.
    Accepted { local: LocalId, stream: TcpStream, peer: SocketAddr },
    /// The connection can be used; who the peer has proven to be.
    Open { id: ConnectionId, names: Arc<[String]> },
    /// A whole message came.
    Message { id: ConnectionId, bytes: Vec<u8> },
    /// The stream broke here; it stays open for a moment, for an answer.
    Unreadable { id: ConnectionId, head: Vec<u8> },
    /// The connection is over.
    Ended { id: ConnectionId, end: End },
}

/// How a connection ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) reason: CloseReason,
    /// What broke, if something did.
    pub(super) error: Option<HopError>,
    /// Whether the peer ever sent anything whole.
    pub(super) heard: bool,
}

/// Why a message did not reach the next hop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HopError {
    /// There is no socket of this kind to send from.
    #[error("we do not listen where this would leave from")]
    NoSocket,
    /// TLS without a certificate of ours.
    #[error("TLS is not configured")]
    NoTls,
    /// The URI's host cannot stand in a certificate.
    #[error("{0:?} is no name that a certificate could bear")]
    NotAName(String),
    /// The system would not send the datagram.
    #[error("the datagram was not sent: {0}")]
    NotSent(String),
    /// The bound of all connections.
    #[error("as many connections are open as may be")]
    Full,
    /// The peer refused, or there is no way to it.
    #[error("the connection was not opened: {0}")]
    NotOpened(String),
    /// Nobody answered.
    #[error("nobody answered within {} ms", .0.as_millis())]
    Unanswered(Duration),
    /// No TLS.
    #[error(transparent)]
    Handshake(HandshakeError),
    /// The connection was lost.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// Nothing ever came over the connection that we opened.
    #[error("the peer closed the connection without a word")]
    ClosedUnheard,
    /// It ended while something waited to be written.
    #[error("the connection was closed before this was written")]
    ClosedUnsent,
    /// The peer does not read.
    #[error("the peer does not read, and {0} bytes wait for it")]
    Slow(usize),
    /// The peer does not answer pings.
    #[error("the peer does not answer our keep-alive")]
    NoPong,
}

/// Where to connect to.
#[derive(Debug)]
pub(super) struct Route {
    /// From which address of ours, if that matters.
    pub(super) from: Option<IpAddr>,
    pub(super) to: SocketAddr,
    pub(super) tls: Option<(Tls, PeerName)>,
}

/// One stream, on a task of its own.
#[derive(Debug)]
pub(super) struct Connection {
    id: ConnectionId,
    limits: Limits,
    reports: mpsc::Sender<Report>,
    /// What to write; its owner bounds it by `queued`.
    queue: mpsc::UnboundedReceiver<Vec<u8>>,
    /// Bytes of `queue` and of what is being written from it.
    queued: Arc<AtomicUsize>,
    outbox: Outbox,
    framing: StreamFraming,
    heard: bool,
    /// The last whole frame either way.
    active: Instant,
    first_due: Option<Instant>,
    ping_due: Option<Instant>,
    pong_due: Option<Instant>,
    /// Set once the stream broke.
    linger: Option<Instant>,
}

/// What is being written.
#[derive(Debug, Default)]
struct Outbox {
    bytes: Vec<u8>,
    at: usize,
    /// Written, but it may still lie in the encryption.
    unflushed: bool,
    /// How much of the queue it is.
    counts: usize,
    /// Pings and pongs, which overtake messages.
    ahead: VecDeque<&'static [u8]>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1_000,
            connections_per_peer: 32,
            write_queue: 64 * 1024,
            // Half of the usual session interval (RFC 4028) passes between two refreshes.
            idle: Duration::from_secs(1_200),
            handshake: Duration::from_secs(5),
            connect: Duration::from_secs(5),
            first_message: Duration::from_secs(10),
            keep_alive: None,
            message: stream_framing::Limits::default(),
        }
    }
}

impl Connection {
    pub(super) fn new(
        id: ConnectionId,
        limits: Limits,
        reports: mpsc::Sender<Report>,
        queue: mpsc::UnboundedReceiver<Vec<u8>>,
        queued: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            id,
            limits,
            reports,
            queue,
            queued,
            outbox: Outbox::default(),
            framing: StreamFraming::new(limits.message),
            heard: false,
            active: Instant::now(),
            first_due: None,
            ping_due: None,
            pong_due: None,
            linger: None,
        }
    }

    /// Serves a peer that connected.
    pub(super) async fn accept(mut self, stream: TcpStream, tls: Option<Tls>) {
        let end = self.serve_accepted(stream, tls).await;
        self.report(Report::Ended { id: self.id, end }).await;
    }

    /// Connects, and serves.
    pub(super) async fn open(mut self, route: Route) {
        let end = self.serve_opened(route).await;
        self.report(Report::Ended { id: self.id, end }).await;
    }

    async fn serve_accepted(&mut self, stream: TcpStream, tls: Option<Tls>) -> End {
        self.first_due = Some(Instant::now() + self.limits.first_message);
        if let Err(error) = prepare(&stream) {
            return self.broken(&error);
        }
        let Some(tls) = tls else { return self.serve(stream, Arc::default()).await };
        match timeout(self.limits.handshake, tls.accept(stream)).await {
            Err(_) => self.unshaken(HandshakeError::timed_out()),
            Ok(Err(error)) => self.unshaken(error),
            Ok(Ok((stream, names))) => {
                self.first_due = Some(Instant::now() + self.limits.first_message);
                self.serve(stream, names).await
            }
        }
    }

    async fn serve_opened(&mut self, route: Route) -> End {
        let stream = match timeout(self.limits.connect, connect(&route)).await {
            Err(_) => return self.unopened(HopError::Unanswered(self.limits.connect)),
            Ok(Err(error)) => return self.unopened(HopError::NotOpened(error.to_string())),
            Ok(Ok(stream)) => stream,
        };
        self.ping_due = self.limits.keep_alive.map(|every| Instant::now() + every);
        let Some((tls, name)) = route.tls else { return self.serve(stream, Arc::default()).await };
        match timeout(self.limits.handshake, tls.connect(name, stream)).await {
            Err(_) => self.unshaken(HandshakeError::timed_out()),
            Ok(Err(error)) => self.unshaken(error),
            Ok(Ok((stream, names))) => self.serve(stream, names).await,
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite>(&mut self, stream: S, names: Arc<[String]>) -> End {
        self.active = Instant::now();
        self.report(Report::Open { id: self.id, names }).await;
        let (mut reading, mut writing) = split(stream);
        let mut chunk = vec![0; CHUNK];
        let end = loop {
            self.outbox.fill();
            let due = due(self);
            tokio::select! {
                read = reading.read(&mut chunk) => {
                    let end = match read {
                        Ok(0) if self.linger.is_some() => {
                            Some(self.end(CloseReason::Unreadable, None))
                        }
                        Ok(0) => Some(self.end(CloseReason::ByPeer, None)),
                        Ok(_) if self.linger.is_some() => None,
                        Ok(length) => self.handle_bytes(&chunk[..length]).await,
                        // TLS peers that leave without a word: SIP says itself where messages end.
                        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                            Some(self.end(CloseReason::ByPeer, None))
                        }
                        Err(error) => Some(self.broken(&error)),
                    };
                    if let Some(end) = end { break end }
                }
                wrote = self.outbox.write(&mut writing), if !self.outbox.is_done() => match wrote {
                    Err(error) => break self.broken(&error),
                    Ok(written) => {
                        if written > 0 {
                            self.queued.fetch_sub(written, Ordering::Relaxed);
                            self.active = Instant::now();
                        }
                    }
                },
                bytes = self.queue.recv(), if self.outbox.is_done() => match bytes {
                    Some(bytes) => self.outbox.put(bytes),
                    None => break self.end(CloseReason::ByUs, None),
                },
                () = sleep_until(due) => {
                    if let Some(end) = self.handle_timeout(Instant::now()) { break end }
                }
            }
        };
        // A peer that is gone, or does not read, need not be waited for.
        let _ = timeout(LINGER, writing.shutdown()).await;
        end
    }

    /// `Some` ends the connection.
    async fn handle_bytes(&mut self, bytes: &[u8]) -> Option<End> {
        self.framing.handle_bytes(bytes);
        loop {
            match self.framing.poll_frame() {
                Ok(None) => return None,
                Ok(Some(frame)) => {
                    self.heard = true;
                    self.first_due = None;
                    self.active = Instant::now();
                    match frame {
                        // Every message waits for its own turn among those of all connections:
                        // the channel gives room in the order in which it was asked for.
                        Frame::Message(bytes) => {
                            self.report(Report::Message { id: self.id, bytes }).await;
                        }
                        Frame::Ping if self.outbox.ahead.len() < PONGS => {
                            self.outbox.ahead.push_back(b"\r\n");
                        }
                        Frame::Ping => {}
                        Frame::Pong => self.pong_due = None,
                    }
                }
                Err(error) => {
                    let Some(head) = Some(error.head).filter(|head| !head.is_empty()) else {
                        return Some(self.end(CloseReason::Unreadable, None));
                    };
                    self.linger = Some(Instant::now() + LINGER);
                    self.report(Report::Unreadable { id: self.id, head }).await;
                    return None;
                }
            }
        }
    }

    /// `Some` ends the connection.
    fn handle_timeout(&mut self, now: Instant) -> Option<End> {
        let is_due = |due: Option<Instant>| due.is_some_and(|due| due <= now);
        if is_due(self.linger) {
            return Some(self.end(CloseReason::Unreadable, None));
        }
        if is_due(self.first_due) {
            return Some(self.end(CloseReason::Silent, None));
        }
        if is_due(self.pong_due) {
            return Some(self.end(CloseReason::NoPong, Some(HopError::NoPong)));
        }
        if self.active + self.limits.idle <= now {
            return Some(self.end(CloseReason::Idle, None));
        }
        if is_due(self.ping_due) {
            self.outbox.ahead.push_back(b"\r\n\r\n");
            self.pong_due = self.pong_due.or(Some(now + PONG));
            self.ping_due = self.limits.keep_alive.map(|every| now + every);
        }
        None
    }

    /// Nobody to report to is the end of the runtime, which ends this task, too.
    async fn report(&self, report: Report) {
        let _ = self.reports.send(report).await;
    }

    fn end(&self, reason: CloseReason, error: Option<HopError>) -> End {
        End { reason, error, heard: self.heard }
    }

    fn unshaken(&self, error: HandshakeError) -> End {
        self.end(CloseReason::Handshake, Some(HopError::Handshake(error)))
    }

    fn unopened(&self, error: HopError) -> End {
        self.end(CloseReason::NotOpened, Some(error))
    }

    fn broken(&self, error: &io::Error) -> End {
        // In TLS 1.3 a server says after the handshake that it does not want our certificate.
        match HandshakeError::read(error) {
            Some(error) if !self.heard => self.unshaken(error),
            _ => self.end(CloseReason::Failed, Some(HopError::Broken(error.to_string()))),
        }
    }
}

/// When something has to be done at the latest.
fn due(connection: &Connection) -> Instant {
    let Connection { linger, first_due, ping_due, pong_due, active, limits, .. } = connection;
    let idle = *active + limits.idle;
    [linger, first_due, ping_due, pong_due].into_iter().flatten().fold(idle, |a, b| a.min(*b))
}

impl Outbox {
    fn is_done(&self) -> bool {
        self.at == self.bytes.len() && !self.unflushed
    }

    fn put(&mut self, bytes: Vec<u8>) {
        *self = Self {
            counts: bytes.len(),
            unflushed: true,
            bytes,
            at: 0,
            ahead: std::mem::take(&mut self.ahead),
        };
    }

    fn fill(&mut self) {
        if self.is_done()
            && let Some(next) = self.ahead.pop_front()
        {
            self.put(next.to_vec());
            self.counts = 0;
        }
    }

    /// Makes one step; returns how many bytes of the queue are out with it. Cancel safe.
    async fn write<S: AsyncWrite>(&mut self, writing: &mut WriteHalf<S>) -> io::Result<usize> {
        if self.at < self.bytes.len() {
            match writing.write(&self.bytes[self.at..]).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => self.at += written,
            }
            return Ok(0);
        }
        writing.flush().await?;
        self.unflushed = false;
        Ok(std::mem::take(&mut self.counts))
    }
}

async fn connect(route: &Route) -> io::Result<TcpStream> {
    let socket = match route.to {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(from) = route.from {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    let stream = socket.connect(route.to).await?;
    prepare(&stream)?;
    Ok(stream)
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Messages are written whole; waiting for more would only delay an answer by 40 ms.
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED))
}
