//! Two endpoints, hosts that follow a script, a network that loses, doubles and reorders, and a
//! clock that only tests move.
#![allow(dead_code, reason = "each test file needs its own part")]

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use sidetone::sip::account::RegistrationEvent;
use sidetone::sip::client_call::Placing;
use sidetone::sip::client_transactions::ClientId;
use sidetone::sip::dns::{Query, Records};
use sidetone::sip::endpoint::Endpoint;
use sidetone::sip::event::{CallKey, End, Event, Output, Rejection};
use sidetone::sip::hops::Way;
use sidetone::sip::info::Notice;
use sidetone::sip::location::{Locator, Target};
use sidetone::sip::message::{Message, Received, Request, Response};
use sidetone::sip::settings::Settings;
use sidetone::sip::transport::{ConnectionId, Hop, Local, LocalId, Source, Transport};

/// Which end of the wire.
pub(crate) const CALLER: usize = 0;
pub(crate) const SIDECAR: usize = 1;

/// What happens to a datagram, given its number since the start and its text.
pub(crate) type Fate = Box<dyn FnMut(usize, &str) -> bool>;

/// One thing seen: when, at which end, what.
pub(crate) type Seen = (Duration, usize, CallKey, Event);

/// What a host answers to a message that came from there, when: all the same way back.
pub(crate) type Script = Box<dyn FnMut(Duration, &Hop, &Message) -> Vec<Vec<u8>>>;

/// What becomes of a message on its way; a proxy in between, or a peer of other habits.
pub(crate) type Edit = Box<dyn FnMut(String) -> String>;

/// What DNS says; `None` never comes.
pub(crate) type Zone = Box<dyn FnMut(&Query) -> Option<Records>>;

/// One message as it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Duration,
    pub(crate) from: SocketAddr,
    pub(crate) hop: Hop,
    pub(crate) bytes: Vec<u8>,
}

/// One connection: loses nothing and keeps its order, until it is closed.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) transport: Transport,
    /// Who opened it, from a port of no other use.
    pub(crate) opener: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) open: bool,
    last: Instant,
}

/// What happens next.
enum Arrival {
    Message { from: SocketAddr, to: SocketAddr, hop: Hop, bytes: Vec<u8> },
    Located { end: usize, id: ClientId, targets: Vec<Target> },
    Unreachable { end: usize, hop: Hop },
}

pub(crate) struct World {
    pub(crate) ends: [Endpoint; 2],
    locals: [Vec<Local>; 2],
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    /// Every event in order.
    pub(crate) seen: Vec<Seen>,
    /// What became of accounts, and who was kept out.
    pub(crate) registrations: Vec<(Duration, usize, RegistrationEvent)>,
    pub(crate) rejections: Vec<(Source, Rejection)>,
    /// Every message sent, as `milliseconds to whom: start-line`.
    pub(crate) transcript: Vec<String>,
    /// The same, whole.
    pub(crate) sent: Vec<Sent>,
    /// Hosts that follow a script, and over what they can be reached.
    pub(crate) hosts: BTreeMap<IpAddr, (Vec<Transport>, Script)>,
    pub(crate) zone: Zone,
    /// By the number of their [`ConnectionId`].
    pub(crate) streams: Vec<Stream>,
    /// Whether a datagram is lost for a reason of the test.
    pub(crate) lost: Fate,
    pub(crate) edit: Option<Edit>,
    /// Share of datagrams lost and doubled by chance, 0-1.
    pub(crate) loss: f64,
    pub(crate) doubled: f64,
    /// Longest delay; with more than the gap between two datagrams they change places.
    pub(crate) jitter: Duration,
    random: fastrand::Rng,
    wire: BTreeMap<(Instant, usize), Arrival>,
    datagrams: usize,
    arrivals: usize,
}

pub(crate) fn address(end: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1 + end as u8], 5060))
}

/// The same address, reached over `transport`.
pub(crate) fn local(end: usize, transport: Transport) -> Local {
    Local { transport, address: address(end) }
}

/// A host of a script.
pub(crate) fn host(number: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, number], 5060))
}

/// A call to the sidecar, without a word about what is wanted of it.
pub(crate) fn to_sidecar() -> Placing {
    let way = Some(Way::Hop(Hop::udp(address(SIDECAR))));
    Placing { way, ..Placing::new("sip:sidetone@192.0.2.2") }
}

/// A notice about `subject` that says `json`.
pub(crate) fn about(subject: &str, json: &[u8]) -> Notice {
    let (subject, outcome) = (subject.to_owned(), "accepted".to_owned());
    Notice { subject, outcome, json: json.to_vec(), headers: Vec::new() }
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    pub(crate) fn new(seed: u64) -> Self {
        let start = Instant::now();
        let mut caller = Settings::new(address(CALLER));
        caller.recv_info = vec!["sidetone".to_owned()];
        let sidecar = Settings::new(address(SIDECAR));
        Self::with(seed, start, caller, sidecar)
    }

    pub(crate) fn with(seed: u64, start: Instant, caller: Settings, sidecar: Settings) -> Self {
        let locals = [caller.locals.clone(), sidecar.locals.clone()];
        Self {
            locals,
            ends: [Endpoint::new(caller, seed), Endpoint::new(sidecar, seed ^ 0xabcd)],
            start,
            now: start,
            seen: Vec::new(),
            registrations: Vec::new(),
            rejections: Vec::new(),
            transcript: Vec::new(),
            sent: Vec::new(),
            hosts: BTreeMap::new(),
            zone: Box::new(|_| Some(Records::Failed)),
            streams: Vec::new(),
            lost: Box::new(|_, _| false),
            edit: None,
            loss: 0.0,
            doubled: 0.0,
            jitter: Duration::from_millis(20),
            random: fastrand::Rng::with_seed(seed),
            wire: BTreeMap::new(),
            datagrams: 0,
            arrivals: 0,
        }
    }

    /// Calls the sidecar with `offer`.
    pub(crate) fn call(&mut self, offer: Option<&str>) -> CallKey {
        let offer = offer.map(str::to_owned);
        self.ends[CALLER].invite(self.now, Placing { offer, ..to_sidecar() })
    }

    /// Moves the world until `until` or until nothing is left to happen, letting `react` answer
    /// each event at once.
    pub(crate) fn run(&mut self, until: Duration, mut react: impl FnMut(&mut Self, &Seen)) {
        loop {
            self.drain(&mut react);
            let timers = self.ends.iter().filter_map(Endpoint::poll_timeout).min();
            let arrival = self.wire.keys().next().map(|(at, _)| *at);
            let Some(next) = timers.into_iter().chain(arrival).min() else { break };
            if next > self.start + until {
                break;
            }
            assert!(next >= self.now, "a deadline lies in the past");
            self.now = next;
            if arrival == Some(next) {
                let (_, arrival) = self.wire.pop_first().expect("it has just been seen");
                self.arrive(arrival);
            } else {
                self.ends.iter_mut().for_each(|end| end.handle_timeout(next));
            }
        }
        self.now = self.now.max(self.start + until);
    }

    /// As [`Self::run`], with nobody reacting.
    pub(crate) fn idle(&mut self, until: Duration) {
        self.run(until, |_, _| {});
    }

    /// Events at one end, without their times.
    pub(crate) fn events(&self, end: usize) -> Vec<&Event> {
        self.seen.iter().filter(|seen| seen.1 == end).map(|seen| &seen.3).collect()
    }

    /// How the calls of one end ended.
    pub(crate) fn ends_of(&self, end: usize) -> Vec<&End> {
        let end_of = |event: &'_ Event| matches!(event, Event::Ended(_));
        let ended = self.events(end).into_iter().filter(|event| end_of(event));
        ended
            .map(|event| if let Event::Ended(end) = event { end } else { unreachable!() })
            .collect()
    }

    /// How often `start` began a datagram.
    pub(crate) fn count(&self, start: &str) -> usize {
        self.transcript.iter().filter(|line| line.contains(start)).count()
    }

    /// Whether both ends have forgotten everything.
    pub(crate) fn is_clean(&self) -> bool {
        let clean = |end: &Endpoint| {
            let stats = end.stats();
            (stats.calls_alive, stats.transactions_alive) == (0, 0) && end.poll_timeout().is_none()
        };
        self.ends.iter().all(clean)
    }

    /// The requests of one method that `from` sent, repeats included.
    pub(crate) fn requests(&self, from: SocketAddr, method: &str) -> Vec<Received<Request>> {
        let sent = self.sent.iter().filter(|sent| sent.from.ip() == from.ip());
        sent.filter_map(|sent| match Message::parse(&sent.bytes) {
            Ok(Message::Request(r)) if r.message.method.as_str() == method => Some(r),
            _ => None,
        })
        .collect()
    }

    /// The answers to requests of one method that `from` sent, repeats included.
    pub(crate) fn answers(&self, from: SocketAddr, method: &str) -> Vec<Received<Response>> {
        let sent = self.sent.iter().filter(|sent| sent.from.ip() == from.ip());
        sent.filter_map(|sent| match Message::parse(&sent.bytes) {
            Ok(Message::Response(r)) if r.method.as_str() == method => Some(r),
            _ => None,
        })
        .collect()
    }

    /// Something that no script makes: `text` comes to `end` from `source`, at once.
    pub(crate) fn receive(&mut self, end: usize, source: &Source, text: &str) {
        self.ends[end].handle_message(self.now, source, text.as_bytes());
    }

    /// Opens a stream from `from` to `end`; the way that what is sent over it comes.
    pub(crate) fn connect(&mut self, from: SocketAddr, end: usize, transport: Transport) -> Source {
        let id = self.open(from.ip(), address(end), transport);
        let address = self.streams[id.0 as usize].opener;
        let hop = self.hop_at(end, transport, address, Some(id));
        Source { hop, ..Source::udp(address) }
    }

    /// Closes a stream; both sides notice.
    pub(crate) fn close(&mut self, connection: ConnectionId) {
        self.streams[connection.0 as usize].open = false;
        let now = self.now;
        self.ends.iter_mut().for_each(|end| end.handle_closed(now, connection));
    }

    fn drain(&mut self, react: &mut impl FnMut(&mut Self, &Seen)) {
        let mut quiet = false;
        while !quiet {
            quiet = true;
            for end in [CALLER, SIDECAR] {
                while let Some(output) = self.ends[end].poll_output() {
                    quiet = false;
                    match output {
                        Output::Transmit { hop, bytes } => {
                            let from = self.locals[end][hop.local.0];
                            assert_eq!(from.transport, hop.transport, "a socket of its own kind");
                            self.send(from.address, hop, bytes);
                        }
                        Output::Event { call, event } => {
                            let seen = (self.now - self.start, end, call, event);
                            self.seen.push(seen.clone());
                            react(self, &seen);
                        }
                        Output::Locate { id, uri } => self.locate(end, id, &uri),
                        Output::Registration { account: _, event } => {
                            self.registrations.push((self.now - self.start, end, event));
                        }
                        Output::Rejected { source, why } => self.rejections.push((source, why)),
                    }
                }
            }
        }
    }

    fn locate(&mut self, end: usize, id: ClientId, uri: &str) {
        let transports: Vec<_> = self.locals[end].iter().map(|local| local.transport).collect();
        let mut targets = Vec::new();
        if let Ok(mut locator) = Locator::new(uri, &transports) {
            while let Some(query) = locator.poll_query() {
                let Some(records) = (self.zone)(&query) else { return };
                locator.handle_answer(records, &mut self.random);
            }
            targets = locator.targets().to_vec();
        }
        let at = self.now + Duration::from_millis(5);
        self.expect(at, Arrival::Located { end, id, targets });
    }

    fn send(&mut self, from: SocketAddr, hop: Hop, bytes: Vec<u8>) {
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        let mut bytes = bytes;
        if let Some(edit) = &mut self.edit {
            text = edit(text);
            bytes = text.clone().into_bytes();
        }
        let line = text.lines().next().unwrap_or_default();
        let at = self.now - self.start;
        let to = match end_at(hop.address.ip()) {
            Some(end) => end.to_string(),
            None => hop.to_string(),
        };
        self.transcript.push(format!("{} to {to}: {line}", at.as_millis()));
        self.sent.push(Sent { at, from, hop: hop.clone(), bytes: bytes.clone() });
        if hop.transport.is_reliable() {
            return self.send_over_stream(from, hop, bytes);
        }
        let number = self.datagrams;
        self.datagrams += 1;
        if (self.lost)(number, &text) || self.random.f64() < self.loss {
            return;
        }
        let copies = if self.random.f64() < self.doubled { 2 } else { 1 };
        for _ in 0..copies {
            let jitter = self.random.u64(0..=self.jitter.as_micros() as u64);
            let at = self.now + Duration::from_millis(5) + Duration::from_micros(jitter);
            let (to, hop, bytes) = (hop.address, hop.clone(), bytes.clone());
            self.expect(at, Arrival::Message { from, to, hop, bytes });
        }
    }

    fn send_over_stream(&mut self, from: SocketAddr, hop: Hop, bytes: Vec<u8>) {
        let open = |id: &ConnectionId| self.streams[id.0 as usize].open;
        let opened = |stream: &Stream| {
            let way = (stream.open, stream.opener.ip(), stream.to, stream.transport);
            way == (true, from.ip(), hop.address, hop.transport)
        };
        let known = || self.streams.iter().position(opened).map(|at| ConnectionId(at as u64));
        let id = match hop.connection.filter(open).or_else(known) {
            Some(id) => id,
            None if self.listens(hop.transport, hop.address) => {
                self.open(from.ip(), hop.address, hop.transport)
            }
            None => {
                let at = self.now + Duration::from_millis(5);
                let end = end_at(from.ip()).expect("scripts answer over what is open");
                return self.expect(at, Arrival::Unreachable { end, hop });
            }
        };
        let stream = &mut self.streams[id.0 as usize];
        let (from, to) = match stream.opener.ip() == from.ip() {
            true => (stream.opener, stream.to),
            false => (stream.to, stream.opener),
        };
        stream.last =
            (self.now + Duration::from_millis(5)).max(stream.last + Duration::from_nanos(1));
        let (at, hop) = (stream.last, Hop { connection: Some(id), ..hop });
        self.expect(at, Arrival::Message { from, to, hop, bytes });
    }

    fn expect(&mut self, at: Instant, arrival: Arrival) {
        self.arrivals += 1;
        self.wire.insert((at, self.arrivals), arrival);
    }

    fn arrive(&mut self, arrival: Arrival) {
        let now = self.now;
        match arrival {
            Arrival::Located { end, id, targets } => {
                self.ends[end].handle_located(now, id, &targets);
            }
            Arrival::Unreachable { end, hop } => self.ends[end].handle_unreachable(now, &hop),
            Arrival::Message { from, to, hop, bytes } => {
                let Hop { transport, connection, .. } = hop;
                if connection.is_some_and(|id| !self.streams[id.0 as usize].open) {
                    return;
                }
                if let Some(end) = end_at(to.ip()) {
                    let hop = self.hop_at(end, transport, from, connection);
                    let source = Source { hop, ..Source::udp(from) };
                    self.ends[end].handle_message(now, &source, &bytes);
                } else if let Some((_, script)) = self.hosts.get_mut(&to.ip()) {
                    let message = Message::parse(&bytes).expect("we write what can be read");
                    let back = Hop { transport, connection, ..Hop::udp(from) };
                    let answers = script(now - self.start, &back, &message);
                    answers.into_iter().for_each(|bytes| self.send(to, back.clone(), bytes));
                }
            }
        }
    }

    fn open(&mut self, from: IpAddr, to: SocketAddr, transport: Transport) -> ConnectionId {
        let id = self.streams.len();
        let opener = SocketAddr::new(from, 40_000 + id as u16);
        self.streams.push(Stream { transport, opener, to, open: true, last: self.now });
        ConnectionId(id as u64)
    }

    fn listens(&self, transport: Transport, address: SocketAddr) -> bool {
        match (end_at(address.ip()), self.hosts.get(&address.ip())) {
            (Some(end), _) => self.locals[end].contains(&Local { transport, address }),
            (None, Some((transports, _))) => transports.contains(&transport),
            (None, None) => false,
        }
    }

    /// The way back as `end` sees it.
    fn hop_at(
        &self,
        end: usize,
        transport: Transport,
        address: SocketAddr,
        connection: Option<ConnectionId>,
    ) -> Hop {
        let local = self.locals[end].iter().position(|local| local.transport == transport);
        let local = LocalId(local.expect("it came over a socket"));
        Hop { transport, address, local, connection, name: None }
    }
}

fn end_at(address: IpAddr) -> Option<usize> {
    [CALLER, SIDECAR].into_iter().find(|end| self::address(*end).ip() == address)
}
