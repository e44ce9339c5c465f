//! All SIP sockets and connections, behind one door in and one door out (RFC 3261 §18).
//!
//! The thread that owns the endpoint owns this, too: connections report to it over one bounded
//! channel and are written to over their own queues, so nothing here is locked.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{self, IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::runtime::transport::connection::{Connection, End, HopError, Limits, Report, Route};
use crate::runtime::transport::listener::{Bound, Listening, accept, receive};
use crate::runtime::transport::stats::{CloseReason, TransportStats};
use crate::runtime::transport::tls::{HandshakeFault, PeerName, Tls};
use crate::sip::transport::{ConnectionId, Hop, Local, LocalId, Source, Transport};

/// Messages that wait for the owner, of all connections together: 16 MiB at the very most. When it
/// is full sockets are not read; then TCP slows its peers, and UDP loses what is newest.
const REPORTS: usize = 256;
/// One line a second says that handshakes of a kind fail; the counters say how many.
const WARN_EVERY: Duration = Duration::from_secs(1);

/// Something for the endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A message, or a datagram that should be one.
    Message {
        /// Where from.
        source: Source,
        /// One whole message.
        bytes: Vec<u8>,
    },
    /// A stream that cannot be read on. What is sent to `source` within a second still goes out,
    /// such as a 400; then the connection is closed.
    Unreadable {
        /// Where from.
        source: Source,
        /// Start line and fields of the message that broke it.
        head: Vec<u8>,
    },
    /// A connection over which messages could travel is over.
    Closed {
        /// Which.
        connection: ConnectionId,
        /// The way that it was.
        hop: Hop,
    },
    /// What was sent to `hop` since the last such arrival did not, or may not, get there.
    Unreachable {
        /// As it was given to [`Transports::send`].
        hop: Hop,
        /// Why.
        error: HopError,
    },
}

/// All SIP sockets and connections.
#[derive(Debug)]
pub struct Transports {
    locals: Vec<Local>,
    /// By `LocalId`; for sending, and none for those that take connections. Sends go past tokio,
    /// whose own would be refused until it has first seen the socket writable.
    datagrams: Vec<Option<net::UdpSocket>>,
    connections: HashMap<ConnectionId, Entry>,
    /// Connections that we opened, by where they lead (RFC 5923): nobody else's are used for it.
    routes: HashMap<RouteKey, ConnectionId>,
    /// How many connections each peer opened.
    peers: HashMap<IpAddr, usize>,
    next_id: u64,
    tls: Option<Tls>,
    limits: Limits,
    report: mpsc::Sender<Report>,
    reports: mpsc::Receiver<Report>,
    /// Found out by ourselves, or more than one at once.
    pending: VecDeque<Arrival>,
    stats: TransportStats,
    warned: HashMap<HandshakeFault, Instant>,
    listeners: JoinSet<()>,
    tasks: JoinSet<()>,
}

/// Where an opened connection leads: transport, address, and the name that was proven.
type RouteKey = (Transport, SocketAddr, Option<Arc<str>>);

/// A connection, seen from here.
#[derive(Debug)]
struct Entry {
    /// The way back over it.
    source: Source,
    queue: mpsc::UnboundedSender<Vec<u8>>,
    queued: Arc<AtomicUsize>,
    task: AbortHandle,
    /// Messages can travel.
    open: bool,
    /// Those on whose behalf something was sent over a connection that we opened and that nothing
    /// came from yet; empty for accepted ones.
    unheard: Vec<Hop>,
    direction: Direction,
}

/// Who opened a connection, and under what it is counted.
#[derive(Debug)]
enum Direction {
    Accepted(IpAddr),
    Opened(RouteKey),
}

impl Transports {
    /// Reads the sockets from now on; has to be called inside a runtime, which then runs the
    /// connections. Without `tls` those who connect for TLS are turned away.
    pub fn start(bound: Bound, tls: Option<Tls>, limits: Limits) -> io::Result<Self> {
        let (report, reports) = mpsc::channel(REPORTS);
        let locals = bound.locals();
        let (mut listeners, mut datagrams) = (JoinSet::new(), Vec::new());
        for (index, bind) in bound.into_sockets().into_iter().enumerate() {
            let local = LocalId(index);
            match bind.socket {
                Listening::Datagrams(socket) => {
                    datagrams.push(Some(socket.try_clone()?));
                    let socket = UdpSocket::from_std(socket)?;
                    listeners.spawn(receive(local, socket, report.clone()));
                }
                Listening::Connections(listener) => {
                    datagrams.push(None);
                    let listener = TcpListener::from_std(listener)?;
                    listeners.spawn(accept(local, listener, report.clone()));
                }
            }
        }
        Ok(Self {
            locals,
            datagrams,
            connections: HashMap::new(),
            routes: HashMap::new(),
            peers: HashMap::new(),
            next_id: 0,
            tls,
            limits,
            report,
            reports,
            pending: VecDeque::new(),
            stats: TransportStats::default(),
            warned: HashMap::new(),
            listeners,
            tasks: JoinSet::new(),
        })
    }

    /// Waits for the next arrival. Cancel safe: what has not been returned comes with the next call.
    pub async fn recv(&mut self) -> Arrival {
        loop {
            if let Some(arrival) = self.pending.pop_front() {
                return arrival;
            }
            let report = self.reports.recv().await.expect("we hold a sender ourselves");
            self.handle(report);
        }
    }

    /// The next arrival, if it is there already.
    pub fn try_recv(&mut self) -> Option<Arrival> {
        loop {
            if let Some(arrival) = self.pending.pop_front() {
                return Some(arrival);
            }
            let report = self.reports.try_recv().ok()?;
            self.handle(report);
        }
    }

    /// Sends one whole message and never waits; what fails, fails as [`Arrival::Unreachable`].
    ///
    /// A datagram leaves from the socket of `hop.local`, and is lost where that has no room. Over a
    /// stream: the connection that `hop` names if it is open, else one that we opened to the same
    /// address and name (RFC 5923), else a new one.
    pub fn send(&mut self, hop: &Hop, bytes: Vec<u8>) {
        let traffic = self.stats.of_mut(hop.transport);
        traffic.messages_out += 1;
        traffic.bytes_out += bytes.len() as u64;
        match hop.transport {
            Transport::Udp => self.send_datagram(hop, &bytes),
            Transport::Tcp | Transport::Tls => self.send_over_stream(hop, bytes),
        }
    }

    /// What was counted so far.
    pub fn stats(&self) -> TransportStats {
        self.stats
    }

    /// New connections use these certificates, those that are open stay.
    pub fn replace_tls(&mut self, tls: Tls) {
        self.tls = Some(tls);
    }

    /// Takes no more, writes what waits and closes every connection, within `patience`.
    pub async fn close(mut self, patience: Duration) {
        self.listeners.abort_all();
        self.connections.clear();
        drop(self.reports);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(patience, all).await.is_err() {
            debug!("SIP connections that did not close in time are cut");
        }
    }

    fn send_datagram(&mut self, hop: &Hop, bytes: &[u8]) {
        let Some(Some(socket)) = self.datagrams.get(hop.local.0) else {
            return self.unreachable(hop, HopError::NoSocket);
        };
        match socket.send_to(bytes, hop.address) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.stats.datagrams_dropped += 1;
            }
            Err(error) => self.unreachable(hop, HopError::NotSent(error.to_string())),
        }
    }

    fn send_over_stream(&mut self, hop: &Hop, bytes: Vec<u8>) {
        let key = route_key(hop);
        let named = hop.connection.filter(|id| self.connections.contains_key(id));
        let id = match named.or_else(|| self.routes.get(&key).copied()) {
            Some(id) => id,
            None => match self.open(hop, key) {
                Ok(id) => id,
                Err(error) => return self.unreachable(hop, error),
            },
        };
        let bound = self.limits.write_queue;
        let entry = self.connections.get_mut(&id).expect("it was found or made just now");
        let waiting = entry.queued.load(Ordering::Relaxed);
        // One message always fits, however large.
        if waiting > 0 && waiting + bytes.len() > bound {
            entry.task.abort();
            let error = Some(HopError::Slow(waiting));
            self.unreachable(hop, HopError::Slow(waiting));
            return self.handle_ended(id, End { reason: CloseReason::Slow, error, heard: true });
        }
        if matches!(entry.direction, Direction::Opened(_)) && !entry.unheard.contains(hop) {
            entry.unheard.push(hop.clone());
        }
        entry.queued.fetch_add(bytes.len(), Ordering::Relaxed);
        // A connection that is ending takes nothing any more; that it ended says what is lost.
        let _ = entry.queue.send(bytes);
    }

    /// A new connection to where `hop` leads.
    fn open(&mut self, hop: &Hop, key: RouteKey) -> Result<ConnectionId, HopError> {
        if self.connections.len() >= self.limits.connections {
            return Err(HopError::Full);
        }
        let tls = match (hop.transport, &self.tls) {
            (Transport::Tls, None) => return Err(HopError::NoTls),
            (Transport::Tls, Some(tls)) => {
                let name = hop.name.as_deref().unwrap_or_default();
                let peer = PeerName::of(hop).ok_or_else(|| HopError::NotAName(name.to_owned()))?;
                Some((tls.clone(), peer))
            }
            (Transport::Tcp | Transport::Udp, _) => None,
        };
        // The peer sees us where our Via and Contact say that we are.
        let from = self.locals.get(hop.local.0).map(|local| local.address.ip());
        let from = from.filter(|ip| !ip.is_unspecified() && ip.is_ipv4() == hop.address.is_ipv4());
        let route = Route { from, to: hop.address, tls };
        let id = self.next_id();
        let source =
            Source { hop: Hop { connection: Some(id), ..hop.clone() }, names: Arc::default() };
        self.routes.insert(key.clone(), id);
        self.stats.of_mut(hop.transport).opened += 1;
        self.spawn(id, source, Direction::Opened(key), |connection| connection.open(route));
        Ok(id)
    }

    fn handle_accepted(&mut self, local: LocalId, stream: TcpStream, peer: SocketAddr) {
        let transport = self.locals[local.0].transport;
        let peer_key = peer_key(peer.ip());
        if self.connections.len() >= self.limits.connections {
            self.stats.refused_total += 1;
            return debug!(%peer, "a SIP connection too many");
        }
        let tls = match (transport, &self.tls) {
            (Transport::Tls, None) => return warn!(%peer, "TLS is not configured"),
            (Transport::Tls, Some(tls)) => Some(tls.clone()),
            (Transport::Tcp | Transport::Udp, _) => None,
        };
        let theirs = self.peers.entry(peer_key).or_default();
        if *theirs >= self.limits.connections_per_peer {
            self.stats.refused_per_peer += 1;
            return debug!(%peer, "a SIP connection too many of one peer");
        }
        *theirs += 1;
        let id = self.next_id();
        let hop = Hop { transport, address: peer, local, connection: Some(id), name: None };
        let source = Source { hop, names: Arc::default() };
        self.stats.of_mut(transport).accepted += 1;
        self.spawn(id, source, Direction::Accepted(peer_key), |connection| {
            connection.accept(stream, tls)
        });
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        id: ConnectionId,
        source: Source,
        direction: Direction,
        run: impl FnOnce(Connection) -> F,
    ) {
        let (queue, queue_end) = mpsc::unbounded_channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let report = self.report.clone();
        let connection = Connection::new(id, self.limits, report, queue_end, Arc::clone(&queued));
        let task = self.tasks.spawn(run(connection));
        self.stats.of_mut(source.hop.transport).open += 1;
        let entry =
            Entry { source, queue, queued, task, open: false, unheard: Vec::new(), direction };
        self.connections.insert(id, entry);
    }

    fn handle(&mut self, report: Report) {
        match report {
            Report::Datagram { local, from, bytes } => {
                let hop = Hop { local, ..Hop::udp(from) };
                self.handle_message(Source { hop, names: Arc::default() }, bytes);
            }
            Report::Accepted { local, stream, peer } => self.handle_accepted(local, stream, peer),
            Report::Open { id, names } => {
                if let Some(entry) = self.connections.get_mut(&id) {
                    entry.open = true;
                    entry.source.names = names;
                }
            }
            // What a connection said before we cut it off is nobody's any more.
            Report::Message { id, bytes } => {
                if let Some(entry) = self.connections.get_mut(&id) {
                    entry.unheard.clear();
                    let source = entry.source.clone();
                    self.handle_message(source, bytes);
                }
            }
            Report::Unreadable { id, head } => {
                if let Some(entry) = self.connections.get(&id) {
                    let source = entry.source.clone();
                    self.pending.push_back(Arrival::Unreadable { source, head });
                }
            }
            Report::Ended { id, end } => self.handle_ended(id, end),
        }
        while self.tasks.try_join_next().is_some() {}
    }

    fn handle_message(&mut self, source: Source, bytes: Vec<u8>) {
        let traffic = self.stats.of_mut(source.hop.transport);
        traffic.messages_in += 1;
        traffic.bytes_in += bytes.len() as u64;
        self.pending.push_back(Arrival::Message { source, bytes });
    }

    fn handle_ended(&mut self, id: ConnectionId, end: End) {
        let Some(entry) = self.connections.remove(&id) else { return };
        let hop = entry.source.hop;
        match entry.direction {
            Direction::Accepted(peer) => {
                if let Some(theirs) = self.peers.get_mut(&peer) {
                    *theirs -= 1;
                    if *theirs == 0 {
                        self.peers.remove(&peer);
                    }
                }
            }
            Direction::Opened(key) => {
                // Another one may have taken its place.
                if self.routes.get(&key) == Some(&id) {
                    self.routes.remove(&key);
                }
            }
        }
        self.stats.of_mut(hop.transport).open -= 1;
        self.stats.count_closed(end.reason);
        if let Some(HopError::Handshake(error)) = &end.error {
            self.stats.count_handshake(error.fault);
            let now = Instant::now();
            let last = self.warned.get(&error.fault);
            let is_long_ago = last.is_none_or(|last| now.duration_since(*last) >= WARN_EVERY);
            // A load balancer that asks whether we live connects, and goes.
            if is_long_ago && error.fault != HandshakeFault::Broken {
                self.warned.insert(error.fault, now);
                warn!(peer = %hop.address, name = hop.name.as_deref(), %error, "no TLS connection");
            }
        }
        debug!(%hop, reason = end.reason.as_str(), "a SIP connection ended");
        let unsent = entry.queued.load(Ordering::Relaxed) > 0;
        let error = match (end.error, end.reason) {
            (Some(error), _) => Some(error),
            (None, CloseReason::ByPeer) if !end.heard => Some(HopError::ClosedUnheard),
            (None, _) if unsent => Some(HopError::ClosedUnsent),
            (None, _) => None,
        };
        if let Some(error) = error {
            let mut lost = entry.unheard;
            if lost.is_empty() && unsent {
                lost.push(hop.clone());
            }
            for hop in lost {
                self.unreachable(&hop, error.clone());
            }
        }
        if entry.open {
            self.pending.push_back(Arrival::Closed { connection: id, hop });
        }
    }

    /// Once for each hop, until the endpoint has heard of it.
    fn unreachable(&mut self, to: &Hop, error: HopError) {
        let known =
            |arrival: &Arrival| matches!(arrival, Arrival::Unreachable { hop, .. } if hop == to);
        if !self.pending.iter().any(known) {
            self.pending.push_back(Arrival::Unreachable { hop: to.clone(), error });
        }
    }

    fn next_id(&mut self) -> ConnectionId {
        self.next_id += 1;
        ConnectionId(self.next_id)
    }
}

fn route_key(hop: &Hop) -> RouteKey {
    // Only TLS proves a name.
    let name = hop.name.clone().filter(|_| hop.transport == Transport::Tls);
    (hop.transport, hop.address, name)
}

/// Whoever has one IPv6 address has the 2^64 beside it.
fn peer_key(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}
