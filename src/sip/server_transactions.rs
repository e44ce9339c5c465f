//! The requests that we were asked, found by branch (RFC 3261 §17.2.3), with the bytes of our answers.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use crate::sip::deadlines::Deadlines;
use crate::sip::event::CallKey;
use crate::sip::invite_server::{self, InviteServer};
use crate::sip::message::{Method, Received, Request, Response};
use crate::sip::non_invite_server::NonInviteServer;
use crate::sip::stats::Stats;
use crate::sip::transport::Hop;

/// Names a server transaction (§17.2.3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerKey {
    branch: String,
    sent_by: String,
    method: Method,
}

/// What a received request is to the transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The first of its kind: it has a transaction now and wants an answer.
    New(ServerKey),
    /// An ACK that no refusal waits for: it belongs to a success, and so to a dialog.
    Ack,
    /// Dealt with: a repeat, or the ACK to a refusal.
    Absorbed,
    /// The same request over another path (§8.2.2.2): wants 482.
    Merged(ServerKey),
    /// No room: it has no transaction.
    Overload,
}

/// The server transactions and their timers; what they send waits in [`Self::poll_transmit`].
#[derive(Debug)]
pub struct ServerTransactions {
    limit: usize,
    servers: BTreeMap<ServerKey, Server>,
    /// Which transaction first brought a request without To tag, to tell a merged one.
    origins: BTreeMap<Origin, ServerKey>,
    deadlines: Deadlines<ServerKey>,
    transmits: VecDeque<(Hop, Vec<u8>)>,
}

/// What a request carries along every path it takes: Call-ID, From tag and CSeq (§8.2.2.2).
type Origin = (String, Option<String>, u32, Method);

#[derive(Debug)]
struct Server {
    machine: Machine,
    origin: Option<Origin>,
    reply_to: Hop,
    status: u16,
    answer: Vec<u8>,
    call: Option<CallKey>,
}

#[derive(Debug)]
enum Machine {
    Invite(InviteServer),
    Other(NonInviteServer),
}

impl ServerTransactions {
    /// `limit`: how many may live; see [`Self::receive`].
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            servers: BTreeMap::new(),
            origins: BTreeMap::new(),
            deadlines: Deadlines::default(),
            transmits: VecDeque::new(),
        }
    }

    /// Whether `request` repeats, or acknowledges, what is here already.
    pub fn knows(&self, request: &Received<Request>) -> bool {
        let key = server_key(request);
        match request.method {
            Method::Ack => self.servers.contains_key(&ServerKey { method: Method::Invite, ..key }),
            _ => self.servers.contains_key(&key),
        }
    }

    /// Matches a request. At `limit` transactions those outside of a dialog find no room, at twice
    /// that none do: strangers give way first.
    pub fn receive(
        &mut self,
        now: Instant,
        request: &Received<Request>,
        reply_to: Hop,
        stats: &mut Stats,
    ) -> Arrival {
        let key = server_key(request);
        if request.method == Method::Ack {
            return self.receive_ack(now, &ServerKey { method: Method::Invite, ..key }, stats);
        }
        if let Some(server) = self.servers.get_mut(&key) {
            stats.retransmissions_received += 1;
            let action = match &mut server.machine {
                Machine::Invite(machine) => machine.handle_retransmit(),
                Machine::Other(machine) => machine.handle_retransmit(),
            };
            if action == Some(invite_server::Action::Transmit) && !server.answer.is_empty() {
                self.transmits.push_back((server.reply_to.clone(), server.answer.clone()));
            }
            return Arrival::Absorbed;
        }
        let limit = if request.to.tag.is_some() { 2 * self.limit } else { self.limit };
        if self.len() >= limit {
            stats.overloaded += 1;
            return Arrival::Overload;
        }
        let origin = (request.to.tag.is_none() && request.method != Method::Cancel).then(|| {
            let tag = request.from.tag.clone();
            (request.call_id.clone(), tag, request.cseq, request.method.clone())
        });
        let merged = origin.as_ref().is_some_and(|origin| self.origins.contains_key(origin));
        let origin = origin.filter(|_| !merged);
        if let Some(origin) = &origin {
            self.origins.insert(origin.clone(), key.clone());
        }
        let reliable = reply_to.transport.is_reliable();
        let machine = match request.method {
            Method::Invite => Machine::Invite(InviteServer::new(reliable)),
            _ => Machine::Other(NonInviteServer::new(reliable)),
        };
        let server =
            Server { machine, origin, reply_to, status: 0, answer: Vec::new(), call: None };
        self.servers.insert(key.clone(), server);
        if merged { Arrival::Merged(key) } else { Arrival::New(key) }
    }

    fn receive_ack(&mut self, now: Instant, key: &ServerKey, stats: &mut Stats) -> Arrival {
        let Some(server) = self.servers.get_mut(key) else { return Arrival::Ack };
        match &mut server.machine {
            // Peers of RFC 2543 acknowledge a success under the INVITE's own branch, too.
            Machine::Invite(_) if server.status < 300 => return Arrival::Ack,
            Machine::Invite(machine) => machine.handle_ack(now),
            Machine::Other(_) => stats.stray_acks += 1,
        }
        self.settle(key);
        Arrival::Absorbed
    }

    /// Remembers on whose behalf `key` is.
    pub fn assign(&mut self, key: &ServerKey, call: CallKey) {
        if let Some(server) = self.servers.get_mut(key) {
            server.call = Some(call);
        }
    }

    /// The INVITE that the CANCEL `key` means (§9.2), and its call; `None` if there is none.
    pub fn cancelled_by(&self, key: &ServerKey) -> Option<(ServerKey, Option<CallKey>)> {
        let key = ServerKey { method: Method::Invite, ..key.clone() };
        self.servers.get(&key).map(|server| (key.clone(), server.call))
    }

    /// Answers `key`; a transaction that is answered or gone is left alone.
    pub fn respond(&mut self, now: Instant, key: &ServerKey, answer: &Response, stats: &mut Stats) {
        let Some(server) = self.servers.get_mut(key) else { return };
        let action = match &mut server.machine {
            Machine::Invite(machine) => machine.respond(now, answer.status),
            Machine::Other(machine) => machine.respond(now),
        };
        if action == Some(invite_server::Action::Transmit) {
            server.status = answer.status;
            server.answer = answer.to_bytes();
            self.transmits.push_back((server.reply_to.clone(), server.answer.clone()));
            stats.responses_sent.count(key.method.as_str(), answer.status);
        }
        self.settle(key);
    }

    /// Sends the success of `key` once more, on behalf of the dialog.
    pub fn repeat_success(&mut self, key: &ServerKey, stats: &mut Stats) {
        if let Some(server) = self.servers.get(key) {
            stats.retransmissions_sent += 1;
            self.transmits.push_back((server.reply_to.clone(), server.answer.clone()));
        }
    }

    /// Sends an answer that nobody remembers (§8.2.7).
    pub fn respond_stateless(&mut self, to: Hop, answer: &Response, stats: &mut Stats) {
        let method = answer.headers.get("CSeq").and_then(|cseq| cseq.split_whitespace().nth(1));
        stats.responses_sent.count(method.unwrap_or_default(), answer.status);
        self.transmits.push_back((to, answer.to_bytes()));
    }

    /// Moves every due timer.
    pub fn handle_timeout(&mut self, now: Instant, stats: &mut Stats) {
        while let Some(key) = self.deadlines.pop_due(now) {
            let Some(server) = self.servers.get_mut(&key) else { continue };
            match &mut server.machine {
                Machine::Invite(machine) => match machine.handle_timeout(now) {
                    Some(invite_server::Action::Transmit) => {
                        stats.retransmissions_sent += 1;
                        self.transmits.push_back((server.reply_to.clone(), server.answer.clone()));
                    }
                    // A refusal ends the call whether or not its ACK comes.
                    Some(invite_server::Action::GiveUp) => stats.answers_timed_out += 1,
                    None => {}
                },
                Machine::Other(machine) => machine.handle_timeout(now),
            }
            self.settle(&key);
        }
    }

    /// When [`Self::handle_timeout`] is next due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<(Hop, Vec<u8>)> {
        self.transmits.pop_front()
    }

    /// How many live.
    pub fn len(&self) -> usize {
        self.servers.len()
    }

    /// Whether none lives.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// After every touch: forgets the transaction if it is over, else sets its deadline.
    fn settle(&mut self, key: &ServerKey) {
        let Some(server) = self.servers.get(key) else { return };
        let (over, at) = match &server.machine {
            Machine::Invite(machine) => (machine.is_terminated(), machine.poll_timeout()),
            Machine::Other(machine) => (machine.is_terminated(), machine.poll_timeout()),
        };
        self.deadlines.set(key, at);
        if over {
            let origin = self.servers.remove(key).and_then(|server| server.origin);
            if let Some(origin) = origin {
                self.origins.remove(&origin);
            }
        }
    }
}

fn server_key(request: &Received<Request>) -> ServerKey {
    // Senders of RFC 2543 have no branch that is unique: the fields that stay the same in every
    // repeat, and in the ACK, stand in for it. A blank keeps them apart from real branches.
    let old = || {
        let from_tag = request.from.tag.as_deref().unwrap_or_default();
        format!("{} {from_tag} {} {}", request.call_id, request.cseq, request.message.uri)
    };
    ServerKey {
        branch: request.via.branch.clone().unwrap_or_else(old),
        sent_by: request.via.sent_by.clone(),
        method: request.method.clone(),
    }
}
