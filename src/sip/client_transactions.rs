//! The requests that we ask: found by branch (RFC 3261 §17.1.3), sent to one hop after another
//! until one answers (RFC 3263 §4.3).

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::sip::deadlines::Deadlines;
use crate::sip::event::CallKey;
use crate::sip::hops::{Way, hops, literal, local_to};
use crate::sip::invite_client::{self, InviteClient};
use crate::sip::invite_server::T1;
use crate::sip::location::Target;
use crate::sip::message::{Method, Received, Request, Response};
use crate::sip::non_invite_client::{self, NonInviteClient};
use crate::sip::stats::Stats;
use crate::sip::transport::{ConnectionId, Hop, Local, Transport};
use crate::sip::via::MAGIC_COOKIE;

/// Above this many bytes a request leaves over TCP where UDP was meant: a fragmented datagram is
/// often lost whole, and always (§18.1.1, where the path's MTU is not known).
const LARGEST_DATAGRAM: usize = 1_300;

/// What Via and Contact add to a request.
const VIA_AND_CONTACT: usize = 200;

/// Our handle of one request, whatever hops and branches it takes; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub(crate) u64);

/// On whose behalf a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A call waits for the answer.
    Call(CallKey),
    /// The account of that number waits for the answer to its REGISTER.
    Account(usize),
    /// Nobody does.
    Nobody,
}

/// A request and what it needs to travel.
#[derive(Clone, Debug)]
pub struct Order {
    /// Without Via and Contact.
    pub request: Request,
    /// Where to.
    pub way: Way,
    /// User part of our Contact, where the request has one.
    pub contact: Option<String>,
    /// Who waits for the answer.
    pub owner: Owner,
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Timer B or F: as good as a 408 (§8.1.3.1).
    #[error("no answer in 32 s")]
    TimedOut,
    /// Every hop refused the connection, or could not be sent to.
    #[error("no connection")]
    Unreachable,
    /// The name has no address, or the name server is silent.
    #[error("its name leads nowhere")]
    NotLocated,
    /// It wants a transport or an address family that we do not listen on.
    #[error("we do not listen on a transport that leads there")]
    NoTransport,
}

/// A request, and one event in its life.
#[derive(Debug)]
pub struct Told<T> {
    /// Which.
    pub id: ClientId,
    /// Who waits for it.
    pub owner: Owner,
    /// What happened.
    pub what: T,
}

/// The client transactions and their timers; what they send waits in [`Self::poll_transmit`].
#[derive(Debug)]
pub struct ClientTransactions {
    locals: Vec<Local>,
    patience: Duration,
    random: fastrand::Rng,
    next: u64,
    clients: BTreeMap<ClientId, Client>,
    branches: BTreeMap<(String, Method), ClientId>,
    deadlines: Deadlines<ClientId>,
    transmits: VecDeque<(Hop, Vec<u8>)>,
    searches: VecDeque<(ClientId, String)>,
}

#[derive(Debug)]
struct Client {
    request: Request,
    contact: Option<String>,
    owner: Owner,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Nobody knows yet where it goes.
    Locating { last: Option<Hop>, give_up: Instant },
    /// Under way.
    Running { machine: Machine, branch: String, hop: Hop, rest: VecDeque<Hop> },
    /// It cannot be sent; its owner hears of it with the next [`ClientTransactions::handle_timeout`].
    Doomed { why: Unanswered, at: Instant },
}

#[derive(Debug)]
enum Machine {
    Invite(InviteClient),
    Other(NonInviteClient),
}

impl ClientTransactions {
    /// `patience`: how long an INVITE may stay without a final answer after its last 1xx. `seed`
    /// decides the branches.
    pub fn new(locals: Vec<Local>, patience: Duration, seed: u64) -> Self {
        Self {
            locals,
            patience,
            random: fastrand::Rng::with_seed(seed),
            next: 0,
            clients: BTreeMap::new(),
            branches: BTreeMap::new(),
            deadlines: Deadlines::default(),
            transmits: VecDeque::new(),
            searches: VecDeque::new(),
        }
    }

    /// Sends a request and sees to its repeats.
    pub fn request(&mut self, now: Instant, order: Order) -> ClientId {
        let id = ClientId(self.next);
        self.next += 1;
        let Order { request, way, contact, owner } = order;
        let stage = Stage::Locating { last: None, give_up: now + 64 * T1 };
        self.clients.insert(id, Client { request, contact, owner, stage });
        self.set_out(now, id, way);
        id
    }

    /// Sends `request`, a new version of the request `id` such as one with credentials, the same way
    /// that the last one took (§8.1.3.5).
    pub fn repeat(&mut self, now: Instant, id: ClientId, request: Request) {
        let Some(mut client) = self.clients.remove(&id) else { return };
        let Stage::Running { branch, hop, .. } = &client.stage else { return };
        let (branch, hop) = (branch.clone(), hop.clone());
        let successor = Client {
            request,
            contact: client.contact.clone(),
            owner: client.owner,
            stage: Stage::Doomed { why: Unanswered::NoTransport, at: now },
        };
        // What was asked before still acknowledges, or absorbs, repeats of its answer.
        let before = ClientId(self.next);
        self.next += 1;
        client.owner = Owner::Nobody;
        self.branches.insert((branch, client.request.method.clone()), before);
        self.clients.insert(before, client);
        self.settle(before);
        self.clients.insert(id, successor);
        self.launch(now, id, VecDeque::from([hop]), Unanswered::TimedOut);
    }

    /// What the search for the way of `id` has found.
    pub fn located(&mut self, now: Instant, id: ClientId, targets: &[Target]) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let Stage::Locating { last, .. } = &mut client.stage else { return };
        let last = last.take();
        let why = if targets.is_empty() { Unanswered::NotLocated } else { Unanswered::NoTransport };
        let mut found = hops(&self.locals, targets, last.clone());
        if !found.is_empty() && last.as_ref() != found.back() {
            found.extend(last);
        }
        self.launch(now, id, self.fitted(id, found), why);
    }

    /// Nothing can be sent over `hop`: what is under way there goes on to the next, or is over.
    pub fn unreachable(&mut self, now: Instant, hop: &Hop) {
        let affected = |client: &Client| match &client.stage {
            Stage::Running { machine, hop: taken, .. } => {
                let same = taken.transport == hop.transport && taken.address == hop.address;
                same && machine.is_unheard()
            }
            Stage::Locating { .. } | Stage::Doomed { .. } => false,
        };
        let ids: Vec<_> =
            self.clients.iter().filter(|(_, client)| affected(client)).map(|(id, _)| *id).collect();
        for id in ids {
            self.next_hop(now, id, Unanswered::Unreachable);
        }
    }

    /// Forgets the request `id` if none of it was sent yet; whether that was so.
    pub fn forget_unsent(&mut self, id: ClientId) -> bool {
        let unsent = self.clients.get(&id).is_some_and(|client| match client.stage {
            Stage::Locating { .. } => true,
            Stage::Running { .. } | Stage::Doomed { .. } => false,
        });
        if unsent {
            self.forget(id);
        }
        unsent
    }

    /// The stream `connection` is no more: what went over it and is not answered is sent anew, over
    /// a stream of our own (§18.4).
    pub fn closed(&mut self, now: Instant, connection: ConnectionId) {
        let mut lost = Vec::new();
        for (id, client) in &mut self.clients {
            let Stage::Running { machine, hop, rest, .. } = &mut client.stage else { continue };
            if hop.connection == Some(connection) && machine.is_unheard() {
                rest.push_front(Hop { connection: None, ..hop.clone() });
                lost.push(*id);
            }
        }
        for id in lost {
            self.next_hop(now, id, Unanswered::Unreachable);
        }
    }

    /// Takes the INVITE `id` back, if it still lives (§9.1). Only right once a 1xx came.
    pub fn cancel(&mut self, now: Instant, id: ClientId, reason: Option<&str>) {
        let Some(invite) = self.clients.get(&id) else { return };
        let Stage::Running { branch, hop, .. } = &invite.stage else { return };
        let mut request = like_invite(&invite.request, Method::Cancel);
        if let Some(to) = invite.request.headers.get("To") {
            request.headers.push("To", to);
        }
        if let Some(reason) = reason {
            request.headers.push("Reason", reason);
        }
        let (branch, hop) = (branch.clone(), hop.clone());
        let id = ClientId(self.next);
        self.next += 1;
        let machine = Machine::Other(NonInviteClient::new(now, hop.transport.is_reliable()));
        let stage = Stage::Running { machine, branch, hop, rest: VecDeque::new() };
        self.clients.insert(id, Client { request, contact: None, owner: Owner::Nobody, stage });
        self.start(id);
    }

    /// Sends the ACK to a success, a transaction of its own without an answer (§13.2.2.4); returns
    /// its hop and bytes for [`Self::transmit`]. It has no time to look a name up: where the way
    /// leads to one, the ACK goes over `last`.
    pub fn acknowledge(&mut self, mut ack: Request, way: &Way) -> Option<(Hop, Vec<u8>)> {
        let hop = match way {
            Way::Hop(hop) => hop.clone(),
            Way::Uri { uri, last } => {
                let targets = literal(uri, &self.locals).unwrap_or_default();
                hops(&self.locals, &targets, last.clone()).pop_front()?
            }
        };
        let branch = self.branch();
        ack.headers.push_front("Via", via(&self.locals, &hop, &branch));
        let bytes = ack.to_bytes();
        self.transmit(hop.clone(), bytes.clone());
        Some((hop, bytes))
    }

    /// Sends `bytes` as they are.
    pub fn transmit(&mut self, hop: Hop, bytes: Vec<u8>) {
        self.transmits.push_back((hop, bytes));
    }

    /// Matches a response; tells whose it is, if its owner should see it.
    pub fn receive(
        &mut self,
        now: Instant,
        response: &Received<Response>,
        stats: &mut Stats,
    ) -> Option<Told<()>> {
        let ours = response.message.headers.list("Via").count() == 1
            && self.locals.iter().any(|local| local.address.to_string() == response.via.sent_by);
        let branch = response.via.branch.clone().filter(|_| ours).unwrap_or_default();
        let id = self.branches.get(&(branch, response.method.clone())).copied();
        let Some((id, client)) = id.and_then(|id| Some((id, self.clients.get_mut(&id)?))) else {
            stats.stray_responses += 1;
            return None;
        };
        let owner = client.owner;
        stats.responses_received.count(response.method.as_str(), response.message.status);
        let Stage::Running { machine, branch, hop, rest } = &mut client.stage else { return None };
        let status = response.message.status;
        let (acknowledge, deliver) = match machine {
            Machine::Invite(machine) => match machine.handle_response(now, status) {
                Some(invite_client::Action::AcknowledgeAndDeliver) => (true, true),
                Some(invite_client::Action::Acknowledge) => (true, false),
                Some(invite_client::Action::Deliver) => (false, true),
                Some(invite_client::Action::Transmit | invite_client::Action::GiveUp) | None => {
                    (false, false)
                }
            },
            Machine::Other(machine) => {
                let action = machine.handle_response(now, status);
                (false, action == Some(non_invite_client::Action::Deliver))
            }
        };
        if acknowledge {
            // §17.1.1.3: the ACK to a refusal repeats the INVITE's Via and the response's To.
            let mut ack = like_invite(&client.request, Method::Ack);
            ack.headers.push_front("Via", via(&self.locals, hop, branch));
            ack.headers.push("To", response.message.headers.get("To").unwrap_or_default());
            self.transmits.push_back((hop.clone(), ack.to_bytes()));
        }
        let elsewhere = status == 503 && deliver && !rest.is_empty();
        self.settle(id);
        if elsewhere {
            // RFC 3263 §4.3: a server that is overloaded is like one that is not there.
            self.next_hop(now, id, Unanswered::Unreachable);
            return None;
        }
        deliver.then_some(Told { id, owner, what: () })
    }

    /// The request `id` and the way it took, while its transaction lives.
    pub fn request_of(&self, id: ClientId) -> Option<(&Request, &Hop)> {
        let client = self.clients.get(&id)?;
        match &client.stage {
            Stage::Running { hop, .. } => Some((&client.request, hop)),
            Stage::Locating { .. } | Stage::Doomed { .. } => None,
        }
    }

    /// Moves every due timer; tells of the requests that will have no answer.
    pub fn handle_timeout(&mut self, now: Instant, stats: &mut Stats) -> Vec<Told<Unanswered>> {
        let mut unanswered = Vec::new();
        while let Some(id) = self.deadlines.pop_due(now) {
            let Some(client) = self.clients.get_mut(&id) else { continue };
            let owner = client.owner;
            match &mut client.stage {
                Stage::Doomed { why, .. } => {
                    unanswered.push(Told { id, owner, what: *why });
                    self.forget(id);
                }
                Stage::Locating { .. } => {
                    unanswered.push(Told { id, owner, what: Unanswered::NotLocated });
                    self.forget(id);
                }
                Stage::Running { machine, hop, rest, .. } => {
                    let unheard = machine.is_unheard();
                    match machine.handle_timeout(now) {
                        Due::Transmit => {
                            stats.retransmissions_sent += 1;
                            let hop = hop.clone();
                            let bytes = self.bytes(id);
                            self.transmits.extend(bytes.map(|bytes| (hop, bytes)));
                        }
                        Due::GiveUp if unheard && !rest.is_empty() => {
                            stats.requests_timed_out += 1;
                            self.next_hop(now, id, Unanswered::TimedOut);
                        }
                        Due::GiveUp => {
                            stats.requests_timed_out += 1;
                            unanswered.push(Told { id, owner, what: Unanswered::TimedOut });
                        }
                        Due::Nothing => {}
                    }
                    self.settle(id);
                }
            }
        }
        unanswered
    }

    /// When [`Self::handle_timeout`] is next due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<(Hop, Vec<u8>)> {
        self.transmits.pop_front()
    }

    /// The next request whose way has to be looked up, and the URI it goes to.
    pub fn poll_search(&mut self) -> Option<(ClientId, String)> {
        self.searches.pop_front()
    }

    /// How many live.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether none lives.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    fn set_out(&mut self, now: Instant, id: ClientId, way: Way) {
        let (targets, last) = match way {
            Way::Hop(hop) => {
                return self.launch(now, id, VecDeque::from([hop]), Unanswered::NoTransport);
            }
            Way::Uri { uri, last } => match literal(&uri, &self.locals) {
                Some(targets) => (targets, last),
                None => {
                    if let Some(client) = self.clients.get_mut(&id) {
                        client.stage = Stage::Locating { last, give_up: now + 64 * T1 };
                    }
                    self.searches.push_back((id, uri));
                    return self.settle(id);
                }
            },
        };
        let hops = hops(&self.locals, &targets, last);
        self.launch(now, id, self.fitted(id, hops), Unanswered::NoTransport);
    }

    /// `hops` for the request `id`: one that is too large for a datagram is tried over a stream
    /// first (§18.1.1).
    fn fitted(&self, id: ClientId, hops: VecDeque<Hop>) -> VecDeque<Hop> {
        let size = self.clients.get(&id).map_or(0, |client| client.request.to_bytes().len());
        if size + VIA_AND_CONTACT <= LARGEST_DATAGRAM {
            return hops;
        }
        let stream_beside = |hop: &Hop| {
            let transport = Transport::Tcp;
            let local = local_to(&self.locals, transport, hop.address, None)?;
            (hop.transport == Transport::Udp).then(|| Hop { transport, local, ..hop.clone() })
        };
        hops.into_iter().flat_map(|hop| stream_beside(&hop).into_iter().chain([hop])).collect()
    }

    /// Begins with the first of `hops`; with none the request is over because of `why`.
    fn launch(&mut self, now: Instant, id: ClientId, mut rest: VecDeque<Hop>, why: Unanswered) {
        let first = rest.pop_front();
        let branch = self.branch();
        let Some(client) = self.clients.get_mut(&id) else { return };
        let Some(hop) = first else {
            client.stage = Stage::Doomed { why, at: now };
            return self.settle(id);
        };
        let reliable = hop.transport.is_reliable();
        let machine = match client.request.method {
            Method::Invite => Machine::Invite(InviteClient::new(now, self.patience, reliable)),
            _ => Machine::Other(NonInviteClient::new(now, reliable)),
        };
        client.stage = Stage::Running { machine, branch, hop, rest };
        self.start(id);
    }

    /// The hop that was taken leads nowhere: takes the next.
    fn next_hop(&mut self, now: Instant, id: ClientId, why: Unanswered) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let Stage::Running { branch, rest, .. } = &mut client.stage else { return };
        let rest = std::mem::take(rest);
        self.branches.remove(&(branch.clone(), client.request.method.clone()));
        self.launch(now, id, rest, why);
    }

    fn start(&mut self, id: ClientId) {
        let Some(client) = self.clients.get(&id) else { return };
        let Stage::Running { branch, hop, .. } = &client.stage else { return };
        let hop = hop.clone();
        self.branches.insert((branch.clone(), client.request.method.clone()), id);
        let bytes = self.bytes(id);
        self.transmits.extend(bytes.map(|bytes| (hop, bytes)));
        self.settle(id);
    }

    /// The request as it goes over its hop: with Via, and with Contact where it has one.
    fn bytes(&self, id: ClientId) -> Option<Vec<u8>> {
        let Client { request, contact, stage, .. } = self.clients.get(&id)?;
        let Stage::Running { branch, hop, .. } = stage else { return None };
        let mut request = request.clone();
        request.headers.push_front("Via", via(&self.locals, hop, branch));
        if let Some(user) = contact {
            request.headers.push("Contact", format!("<{}>", self.locals[hop.local.0].uri(user)));
        }
        Some(request.to_bytes())
    }

    /// After every touch: forgets the transaction if it is over, else sets its deadline.
    fn settle(&mut self, id: ClientId) {
        let Some(client) = self.clients.get(&id) else { return };
        let (over, at) = match &client.stage {
            Stage::Locating { give_up, .. } => (false, Some(*give_up)),
            Stage::Doomed { at, .. } => (false, Some(*at)),
            Stage::Running { machine: Machine::Invite(m), .. } => {
                (m.is_terminated(), m.poll_timeout())
            }
            Stage::Running { machine: Machine::Other(m), .. } => {
                (m.is_terminated(), m.poll_timeout())
            }
        };
        self.deadlines.set(&id, at);
        if over {
            self.forget(id);
        }
    }

    fn forget(&mut self, id: ClientId) {
        self.deadlines.set(&id, None);
        let Some(client) = self.clients.remove(&id) else { return };
        if let Stage::Running { branch, .. } = client.stage {
            self.branches.remove(&(branch, client.request.method));
        }
    }

    fn branch(&mut self) -> String {
        format!("{MAGIC_COOKIE}{:016x}", self.random.u64(..))
    }
}

/// What a transaction's clock asks for.
enum Due {
    Transmit,
    GiveUp,
    Nothing,
}

impl Machine {
    fn handle_timeout(&mut self, now: Instant) -> Due {
        match self {
            Self::Invite(machine) => match machine.handle_timeout(now) {
                Some(invite_client::Action::Transmit) => Due::Transmit,
                Some(invite_client::Action::GiveUp) => Due::GiveUp,
                Some(_) | None => Due::Nothing,
            },
            Self::Other(machine) => match machine.handle_timeout(now) {
                Some(non_invite_client::Action::Transmit) => Due::Transmit,
                Some(non_invite_client::Action::GiveUp) => Due::GiveUp,
                Some(_) | None => Due::Nothing,
            },
        }
    }

    fn is_unheard(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_unheard(),
            Self::Other(machine) => machine.is_waiting(),
        }
    }
}

/// §18.1.1; RFC 3581 asks for `rport`, RFC 5923 for `alias`: whoever answers may use the stream.
fn via(locals: &[Local], hop: &Hop, branch: &str) -> String {
    let (transport, address) = (hop.transport.as_str(), locals[hop.local.0].address);
    let alias = if hop.transport == Transport::Tls { ";alias" } else { "" };
    format!("SIP/2.0/{transport} {address};branch={branch};rport{alias}")
}

/// ACK and CANCEL to an INVITE: its own Request-URI, Route, From, Call-ID and number, but for Via
/// and the To field, which the caller adds (§9.1, §17.1.1.3).
fn like_invite(invite: &Request, method: Method) -> Request {
    let mut request = Request::new(method, &invite.uri);
    for (name, value) in invite.headers.iter() {
        match name {
            "Route"
            | "Max-Forwards"
            | "From"
            | "Call-ID"
            | "Authorization"
            | "Proxy-Authorization" => request.headers.push(name, value),
            "CSeq" => {
                let number = value.split(' ').next().unwrap_or_default();
                let cseq = format!("{number} {}", request.method.as_str());
                request.headers.push(name, cseq);
            }
            _ => {}
        }
    }
    request
}
