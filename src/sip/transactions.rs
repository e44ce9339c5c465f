//! Every transaction of an endpoint, found by branch (RFC 3261 §17.1.3, §17.2.3), with its bytes.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::sip::deadlines::Deadlines;
use crate::sip::event::CallKey;
use crate::sip::invite_client::{self, InviteClient};
use crate::sip::invite_server::{self, InviteServer};
use crate::sip::message::{Method, Received, Request, Response};
use crate::sip::non_invite_client::{self, NonInviteClient};
use crate::sip::non_invite_server::NonInviteServer;
use crate::sip::stats::Stats;

/// Names a server transaction (§17.2.3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerKey {
    branch: String,
    sent_by: String,
    method: Method,
}

/// Names a client transaction (§17.1.3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientKey {
    branch: String,
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

/// A client transaction that ended without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// Which.
    pub key: ClientKey,
    /// The call on whose behalf it was.
    pub call: Option<CallKey>,
}

/// The transactions, their bytes and their timers; what they send waits in [`Self::poll_transmit`].
#[derive(Debug)]
pub struct Transactions {
    /// Host and port of our Via; a response that bears another is not for us (§18.1.2).
    sent_by: SocketAddr,
    limit: usize,
    patience: Duration,
    servers: BTreeMap<ServerKey, Server>,
    /// Which transaction first brought a request without To tag, to tell a merged one.
    origins: BTreeMap<Origin, ServerKey>,
    clients: BTreeMap<ClientKey, Client>,
    deadlines: Deadlines<Key>,
    transmits: VecDeque<(SocketAddr, Vec<u8>)>,
}

/// What a request carries along every path it takes: Call-ID, From tag and CSeq (§8.2.2.2).
type Origin = (String, Option<String>, u32, Method);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Server(ServerKey),
    Client(ClientKey),
}

#[derive(Debug)]
struct Server {
    machine: ServerMachine,
    origin: Option<Origin>,
    reply_to: SocketAddr,
    status: u16,
    answer: Vec<u8>,
    call: Option<CallKey>,
}

#[derive(Debug)]
enum ServerMachine {
    Invite(InviteServer),
    Other(NonInviteServer),
}

#[derive(Debug)]
struct Client {
    machine: ClientMachine,
    destination: SocketAddr,
    request: Request,
    call: Option<CallKey>,
}

#[derive(Debug)]
enum ClientMachine {
    Invite(InviteClient),
    Other(NonInviteClient),
}

impl Transactions {
    /// `limit`: how many may live; see [`Self::receive_request`]. `patience`: how long an INVITE of
    /// ours may stay without a final answer after its last 1xx.
    pub fn new(sent_by: SocketAddr, limit: usize, patience: Duration) -> Self {
        Self {
            sent_by,
            limit,
            patience,
            servers: BTreeMap::new(),
            origins: BTreeMap::new(),
            clients: BTreeMap::new(),
            deadlines: Deadlines::default(),
            transmits: VecDeque::new(),
        }
    }

    /// Matches a request. At `limit` transactions those outside of a dialog find no room, at twice
    /// that none do: strangers give way first.
    pub fn receive_request(
        &mut self,
        now: Instant,
        request: &Received<Request>,
        reply_to: SocketAddr,
        stats: &mut Stats,
    ) -> Arrival {
        let key = server_key(request);
        if request.method == Method::Ack {
            return self.receive_ack(now, ServerKey { method: Method::Invite, ..key }, stats);
        }
        if let Some(server) = self.servers.get_mut(&key) {
            stats.retransmissions_received += 1;
            let action = match &mut server.machine {
                ServerMachine::Invite(machine) => machine.handle_retransmit(),
                ServerMachine::Other(machine) => machine.handle_retransmit(),
            };
            if action == Some(invite_server::Action::Transmit) && !server.answer.is_empty() {
                self.transmits.push_back((server.reply_to, server.answer.clone()));
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
        let machine = match request.method {
            Method::Invite => ServerMachine::Invite(InviteServer::new()),
            _ => ServerMachine::Other(NonInviteServer::new()),
        };
        let server =
            Server { machine, origin, reply_to, status: 0, answer: Vec::new(), call: None };
        self.servers.insert(key.clone(), server);
        if merged { Arrival::Merged(key) } else { Arrival::New(key) }
    }

    fn receive_ack(&mut self, now: Instant, key: ServerKey, stats: &mut Stats) -> Arrival {
        let Some(server) = self.servers.get_mut(&key) else { return Arrival::Ack };
        match &mut server.machine {
            // Peers of RFC 2543 acknowledge a success under the INVITE's own branch, too.
            ServerMachine::Invite(_) if server.status < 300 => return Arrival::Ack,
            ServerMachine::Invite(machine) => machine.handle_ack(now),
            ServerMachine::Other(_) => stats.stray_acks += 1,
        }
        self.settle(&Key::Server(key));
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
            ServerMachine::Invite(machine) => machine.respond(now, answer.status),
            ServerMachine::Other(machine) => machine.respond(now),
        };
        if action == Some(invite_server::Action::Transmit) {
            server.status = answer.status;
            server.answer = answer.to_bytes();
            self.transmits.push_back((server.reply_to, server.answer.clone()));
            count_answer(answer.status, stats);
        }
        self.settle(&Key::Server(key.clone()));
    }

    /// Sends the success of `key` once more, on behalf of the dialog.
    pub fn repeat_success(&mut self, key: &ServerKey, stats: &mut Stats) {
        if let Some(server) = self.servers.get(key) {
            stats.retransmissions_sent += 1;
            self.transmits.push_back((server.reply_to, server.answer.clone()));
        }
    }

    /// Sends an answer that nobody remembers (§8.2.7).
    pub fn respond_stateless(&mut self, to: SocketAddr, answer: &Response, stats: &mut Stats) {
        count_answer(answer.status, stats);
        self.transmits.push_back((to, answer.to_bytes()));
    }

    /// Sends `request` under a new `branch` and sees to its repeats.
    pub fn request(
        &mut self,
        now: Instant,
        mut request: Request,
        destination: SocketAddr,
        branch: String,
        call: Option<CallKey>,
    ) -> ClientKey {
        request.headers.push_front("Via", self.via(&branch));
        let key = ClientKey { branch, method: request.method.clone() };
        self.start(
            key,
            Client {
                machine: match request.method {
                    Method::Invite => ClientMachine::Invite(InviteClient::new(now, self.patience)),
                    _ => ClientMachine::Other(NonInviteClient::new(now)),
                },
                destination,
                request,
                call,
            },
        )
    }

    /// Takes the INVITE `key` back, if it still lives (§9.1). Only right once a 1xx came.
    pub fn cancel(&mut self, now: Instant, key: &ClientKey, reason: Option<&str>) {
        let Some(invite) = self.clients.get(key) else { return };
        let mut request = like_invite(&invite.request, Method::Cancel);
        if let Some(to) = invite.request.headers.get("To") {
            request.headers.push("To", to);
        }
        if let Some(reason) = reason {
            request.headers.push("Reason", reason);
        }
        let destination = invite.destination;
        let key = ClientKey { branch: key.branch.clone(), method: Method::Cancel };
        let machine = ClientMachine::Other(NonInviteClient::new(now));
        self.start(key, Client { machine, destination, request, call: None });
    }

    /// Sends the ACK to a success, which is a transaction of its own without an answer
    /// (§13.2.2.4); returns its bytes for [`Self::transmit`].
    pub fn acknowledge(
        &mut self,
        mut ack: Request,
        destination: SocketAddr,
        branch: &str,
    ) -> Vec<u8> {
        ack.headers.push_front("Via", self.via(branch));
        let bytes = ack.to_bytes();
        self.transmit(destination, bytes.clone());
        bytes
    }

    /// Sends `bytes` as they are.
    pub fn transmit(&mut self, destination: SocketAddr, bytes: Vec<u8>) {
        self.transmits.push_back((destination, bytes));
    }

    /// Matches a response; returns the transaction whose owner should see it, and its call.
    pub fn receive_response(
        &mut self,
        now: Instant,
        response: &Received<Response>,
        stats: &mut Stats,
    ) -> Option<(ClientKey, Option<CallKey>)> {
        let ours = response.via.sent_by == self.sent_by.to_string()
            && response.message.headers.list("Via").count() == 1;
        let branch = response.via.branch.clone().filter(|_| ours).unwrap_or_default();
        let key = ClientKey { branch, method: response.method.clone() };
        let Some(client) = self.clients.get_mut(&key) else {
            stats.stray_responses += 1;
            return None;
        };
        stats.responses += 1;
        let status = response.message.status;
        let (acknowledge, deliver) = match &mut client.machine {
            ClientMachine::Invite(machine) => match machine.handle_response(now, status) {
                Some(invite_client::Action::AcknowledgeAndDeliver) => (true, true),
                Some(invite_client::Action::Acknowledge) => (true, false),
                Some(invite_client::Action::Deliver) => (false, true),
                Some(invite_client::Action::Transmit | invite_client::Action::GiveUp) | None => {
                    (false, false)
                }
            },
            ClientMachine::Other(machine) => {
                let action = machine.handle_response(now, status);
                (false, action == Some(non_invite_client::Action::Deliver))
            }
        };
        if acknowledge {
            // §17.1.1.3: the ACK to a refusal repeats the INVITE's Via and the response's To.
            let mut ack = like_invite(&client.request, Method::Ack);
            ack.headers.push("To", response.message.headers.get("To").unwrap_or_default());
            self.transmits.push_back((client.destination, ack.to_bytes()));
        }
        let call = client.call;
        self.settle(&Key::Client(key.clone()));
        deliver.then_some((key, call))
    }

    /// The request of `key` and where it went, while the transaction lives.
    pub fn request_of(&self, key: &ClientKey) -> Option<(&Request, SocketAddr)> {
        self.clients.get(key).map(|client| (&client.request, client.destination))
    }

    /// Moves every due timer; returns the requests that nobody answered.
    pub fn handle_timeout(&mut self, now: Instant, stats: &mut Stats) -> Vec<Unanswered> {
        let mut unanswered = Vec::new();
        while let Some(due) = self.deadlines.pop_due(now) {
            match &due {
                Key::Server(key) => self.server_timeout(now, key, stats),
                Key::Client(key) => unanswered.extend(self.client_timeout(now, key, stats)),
            }
            self.settle(&due);
        }
        unanswered
    }

    /// When [`Self::handle_timeout`] is next due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.transmits.pop_front()
    }

    /// How many live, server and client.
    pub fn len(&self) -> usize {
        self.servers.len() + self.clients.len()
    }

    /// Whether none lives.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn server_timeout(&mut self, now: Instant, key: &ServerKey, stats: &mut Stats) {
        let Some(server) = self.servers.get_mut(key) else { return };
        match &mut server.machine {
            ServerMachine::Invite(machine) => match machine.handle_timeout(now) {
                Some(invite_server::Action::Transmit) => {
                    stats.retransmissions_sent += 1;
                    self.transmits.push_back((server.reply_to, server.answer.clone()));
                }
                // A refusal ends the call whether or not its ACK comes.
                Some(invite_server::Action::GiveUp) | None => {}
            },
            ServerMachine::Other(machine) => machine.handle_timeout(now),
        }
    }

    fn client_timeout(
        &mut self,
        now: Instant,
        key: &ClientKey,
        stats: &mut Stats,
    ) -> Option<Unanswered> {
        let client = self.clients.get_mut(key)?;
        let (transmit, give_up) = match &mut client.machine {
            ClientMachine::Invite(machine) => {
                let action = machine.handle_timeout(now);
                (
                    action == Some(invite_client::Action::Transmit),
                    action == Some(invite_client::Action::GiveUp),
                )
            }
            ClientMachine::Other(machine) => {
                let action = machine.handle_timeout(now);
                (
                    action == Some(non_invite_client::Action::Transmit),
                    action == Some(non_invite_client::Action::GiveUp),
                )
            }
        };
        if transmit {
            stats.retransmissions_sent += 1;
            self.transmits.push_back((client.destination, client.request.to_bytes()));
        }
        give_up.then(|| Unanswered { key: key.clone(), call: client.call })
    }

    fn start(&mut self, key: ClientKey, client: Client) -> ClientKey {
        self.transmits.push_back((client.destination, client.request.to_bytes()));
        self.clients.insert(key.clone(), client);
        self.settle(&Key::Client(key.clone()));
        key
    }

    /// After every touch: forgets the transaction if it is over, else sets its deadline.
    fn settle(&mut self, key: &Key) {
        let (over, at) = match key {
            Key::Server(key) => match self.servers.get(key).map(|server| &server.machine) {
                Some(ServerMachine::Invite(m)) => (m.is_terminated(), m.poll_timeout()),
                Some(ServerMachine::Other(m)) => (m.is_terminated(), m.poll_timeout()),
                None => (false, None),
            },
            Key::Client(key) => match self.clients.get(key).map(|client| &client.machine) {
                Some(ClientMachine::Invite(m)) => (m.is_terminated(), m.poll_timeout()),
                Some(ClientMachine::Other(m)) => (m.is_terminated(), m.poll_timeout()),
                None => (false, None),
            },
        };
        self.deadlines.set(key, at);
        if !over {
            return;
        }
        match key {
            Key::Server(key) => {
                let origin = self.servers.remove(key).and_then(|server| server.origin);
                if let Some(origin) = origin {
                    self.origins.remove(&origin);
                }
            }
            Key::Client(key) => {
                self.clients.remove(key);
            }
        }
    }

    fn via(&self, branch: &str) -> String {
        format!("SIP/2.0/UDP {};branch={branch};rport", self.sent_by)
    }
}

/// ACK and CANCEL to an INVITE: its own Request-URI, Via, Route, From, Call-ID and number, but for
/// the To field, which the caller adds (§9.1, §17.1.1.3).
fn like_invite(invite: &Request, method: Method) -> Request {
    let mut request = Request::new(method, &invite.uri);
    for (name, value) in invite.headers.iter() {
        match name {
            "Via" | "Route" | "Max-Forwards" | "From" | "Call-ID" => {
                request.headers.push(name, value);
            }
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

fn count_answer(status: u16, stats: &mut Stats) {
    let hundreds = usize::from(status / 100).checked_sub(2);
    if let Some(count) = hundreds.and_then(|class| stats.answers_sent.get_mut(class)) {
        *count += 1;
    }
}
