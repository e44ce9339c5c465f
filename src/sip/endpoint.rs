//! The SIP endpoint: datagrams in, calls and datagrams out. Wiring only.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use crate::sip::accounts::Accounts;
use crate::sip::call::Call;
use crate::sip::client_call::{Placing, abandon_success};
use crate::sip::client_transactions::{ClientId, Owner, Told};
use crate::sip::core::{Core, stateless_tag};
use crate::sip::deadlines::Deadlines;
use crate::sip::dialog::{Dialog, DialogId};
use crate::sip::digest_server::DigestServer;
use crate::sip::event::{CallKey, Event, InfoId, InfoSkip, Invitation, Output, Rejection};
use crate::sip::headers::split;
use crate::sip::info::{InfoProfile, Notice};
use crate::sip::location::Target;
use crate::sip::malformed::{Answerable, Malformed, MessageError};
use crate::sip::message::{Message, Method, Received, Request, Response};
use crate::sip::refresh::too_brief;
use crate::sip::screening::{Refusal, SIPREC, is_recording, metadata, screen, sdp};
use crate::sip::server_transactions::{Arrival, ServerKey};
use crate::sip::settings::Settings;
use crate::sip::stats::Stats;
use crate::sip::transport::{ConnectionId, Hop, Source, Transport};
use crate::sip::via::{Via, stamped};

/// A user agent that answers calls, can place them, and keeps its accounts registered.
///
/// No IO, no clock and no chance of its own: same seed and same calls, same bytes. Every table is
/// bounded by [`Settings`]; new callers give way first, calls that stand never do.
#[derive(Debug)]
pub struct Endpoint {
    pub(super) core: Core,
    calls: BTreeMap<CallKey, Call>,
    deadlines: Deadlines<CallKey>,
    pub(super) accounts: Accounts,
    /// Made with the first challenge.
    pub(super) digest: Option<DigestServer>,
    pub(super) rejections: VecDeque<(Source, Rejection)>,
    next_call: u64,
    next_info: u64,
    draining: bool,
}

impl Endpoint {
    /// An endpoint without calls. `seed` decides tags, branches and Call-IDs and has to be secret:
    /// whoever guesses a tag can hang up.
    pub fn new(settings: Settings, seed: u64) -> Self {
        let mut core = Core::new(settings, seed);
        let accounts = Accounts::new(&mut core);
        Self {
            core,
            calls: BTreeMap::new(),
            deadlines: Deadlines::default(),
            accounts,
            digest: None,
            rejections: VecDeque::new(),
            next_call: 0,
            next_info: 0,
            draining: false,
        }
    }

    /// One message came from `source`: a datagram, or what a stream's framing cut out.
    pub fn handle_message(&mut self, now: Instant, source: &Source, bytes: &[u8]) {
        // Keep-alives of NAT traversal (RFC 5626 §3.5.1, and single NULs of some routers).
        if bytes.iter().all(|b| b"\r\n\0".contains(b)) {
            self.core.stats.keep_alives += 1;
            return;
        }
        let stranger = !self.is_known(source);
        let address = source.hop.address.ip();
        if stranger && !self.core.settings.access.spend(now, address) {
            self.core.stats.rate_limited += 1;
            return;
        }
        let awaited = match Message::parse(bytes) {
            Ok(Message::Request(request)) if stranger && !self.is_awaited(&request) => {
                self.handle_stranger(source, &request);
                false
            }
            Ok(Message::Request(request)) => {
                self.handle_request(now, source, request);
                true
            }
            Ok(Message::Response(response)) => self.handle_response(now, source, &response),
            Err(malformed) => {
                self.handle_malformed(source, malformed, stranger);
                false
            }
        };
        if stranger && awaited {
            self.core.settings.access.give_back(now, address);
        }
    }

    /// A stream from `source` broke where it holds `head`: what was begun is refused, if it can be.
    pub fn handle_unreadable(&mut self, source: &Source, head: &[u8]) {
        let error = MessageError::Framing;
        let answerable = Answerable::read(head).map(Box::new);
        self.handle_malformed(source, Malformed { error, answerable }, !self.is_known(source));
    }

    /// Registers the accounts, and keeps them so until [`Self::drain`].
    pub fn register(&mut self, now: Instant) {
        self.accounts.flush(now, &mut self.core);
    }

    /// A stream was closed, by either side.
    pub fn handle_closed(&mut self, now: Instant, connection: ConnectionId) {
        self.core.clients.closed(now, connection);
        self.accounts.handle_closed(now, &mut self.core, connection);
    }

    /// Nothing can be sent over `hop`.
    pub fn handle_unreachable(&mut self, now: Instant, hop: &Hop) {
        self.core.clients.unreachable(now, hop);
    }

    /// What the search that [`Output::Locate`] asked for has found, in order of trial; nothing
    /// where the name leads nowhere.
    pub fn handle_located(&mut self, now: Instant, id: ClientId, targets: &[Target]) {
        self.core.clients.located(now, id, targets);
    }

    /// A deadline has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.core.servers.handle_timeout(now, &mut self.core.stats);
        let unanswered = self.core.clients.handle_timeout(now, &mut self.core.stats);
        for Told { id, owner, what } in unanswered {
            match owner {
                Owner::Call(call) => {
                    self.with(call, |call, core| call.handle_unanswered(now, core, id, what));
                }
                Owner::Account(account) => {
                    self.accounts.handle_unanswered(now, &mut self.core, (account, id), what);
                }
                Owner::Nobody => self.core.forget_login(id),
            }
        }
        self.accounts.handle_timeout(now, &mut self.core);
        while let Some(key) = self.deadlines.pop_due(now) {
            self.with(key, |call, core| call.handle_timeout(now, core));
        }
    }

    /// What the owner has to do next; to be drained after every other call.
    pub fn poll_output(&mut self) -> Option<Output> {
        let Core { servers, clients, .. } = &mut self.core;
        if let Some((hop, bytes)) = servers.poll_transmit().or_else(|| clients.poll_transmit()) {
            return Some(Output::Transmit { hop, bytes });
        }
        if let Some((id, uri)) = clients.poll_search() {
            return Some(Output::Locate { id, uri });
        }
        if let Some((account, event)) = self.accounts.poll_event() {
            return Some(Output::Registration { account, event });
        }
        if let Some((source, why)) = self.rejections.pop_front() {
            return Some(Output::Rejected { source, why });
        }
        self.core.events.pop_front().map(|(call, event)| Output::Event { call, event })
    }

    /// When [`Self::handle_timeout`] is next due at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let Core { servers, clients, .. } = &self.core;
        let transactions = servers.poll_timeout().into_iter().chain(clients.poll_timeout());
        transactions.chain(self.deadlines.next()).chain(self.accounts.poll_timeout()).min()
    }

    /// Counters since construction, and what is alive.
    pub fn stats(&self) -> Stats {
        Stats {
            calls_alive: self.calls.len() as u64,
            accounts_registered: self.accounts.registered(),
            transactions_alive: (self.core.servers.len() + self.core.clients.len()) as u64,
            ..self.core.stats.clone()
        }
    }

    /// Answers the open INVITE or re-INVITE of `call` with 200 and `sdp`: the answer to their
    /// offer, or ours if they made none. Nothing happens if it was cancelled meanwhile.
    pub fn accept(
        &mut self,
        now: Instant,
        call: CallKey,
        sdp: String,
        extra_headers: &[(String, String)],
    ) {
        self.with(call, |call, core| call.accept(now, core, sdp, extra_headers));
    }

    /// Refuses the open INVITE (which ends the call) or re-INVITE (which changes nothing) of
    /// `call` with `status`, 300-699.
    pub fn refuse(
        &mut self,
        now: Instant,
        call: CallKey,
        status: u16,
        reason: Option<&str>,
        extra_headers: &[(String, String)],
    ) {
        self.with(call, |call, core| call.refuse(now, core, status, reason, extra_headers));
    }

    /// Sends a verdict to the peer of `call`, in order; exactly one event tells what became of it.
    pub fn send_info(&mut self, now: Instant, call: CallKey, notice: Notice) -> InfoId {
        let id = InfoId(self.next_info);
        self.next_info += 1;
        if self.calls.contains_key(&call) {
            self.with(call, |call, core| call.send_info(now, core, id, notice));
        } else {
            self.core.tell_skipped(call, id, InfoSkip::CallOver);
        }
        id
    }

    /// A key that is no call's and never will be: for what its owner tells apart within one.
    pub fn new_key(&mut self) -> CallKey {
        self.next_call += 1;
        CallKey(self.next_call)
    }

    /// Ends `call` by refusal, CANCEL or BYE, whichever its state asks for. `reason` is a Reason
    /// value (RFC 3326), such as `SIP;cause=200;text="verified"`.
    pub fn hang_up(&mut self, now: Instant, call: CallKey, reason: Option<String>) {
        self.with(call, |call, core| call.hang_up(now, core, reason));
    }

    /// Calls somebody. Calls of ours count for `max_calls` but are never refused by it.
    pub fn invite(&mut self, now: Instant, placing: Placing) -> CallKey {
        let key = self.new_call();
        let call = Call::calling(now, key, &mut self.core, placing);
        self.calls.insert(key, call);
        self.with(key, |_, _| {});
        key
    }

    /// Answers the offer in the 2xx to an INVITE of ours that had none (RFC 3264 §4).
    pub fn acknowledge(&mut self, now: Instant, call: CallKey, sdp: String) {
        self.with(call, |call, core| call.acknowledge(now, core, Some(sdp)));
    }

    /// Offers to change the session of `call`, or asks for an offer. Nothing happens while another
    /// INVITE of the call is open.
    pub fn reinvite(&mut self, now: Instant, call: CallKey, offer: Option<String>) {
        self.with(call, |call, core| call.reinvite(now, core, offer));
    }

    /// Unregisters, and refuses new calls with 503 from now on, and says so where it is asked (OPTIONS). Calls that stand
    /// go on.
    pub fn close_doors(&mut self, now: Instant) {
        self.draining = true;
        self.accounts.withdraw(now, &mut self.core);
    }

    /// The same, and hangs up every call. The last message is sent when `stats().transactions_alive` is 0; 32 s later at
    /// the latest.
    pub fn drain(&mut self, now: Instant) {
        self.close_doors(now);
        let calls: Vec<_> = self.calls.keys().copied().collect();
        for call in calls {
            let reason = "SIP;cause=503;text=\"shutting down\"".to_owned();
            self.hang_up(now, call, Some(reason));
        }
    }

    fn handle_request(&mut self, now: Instant, source: &Source, mut request: Received<Request>) {
        let reply_to = reply_hop(source, &request.via);
        stamp_via(&mut request, source);
        let Core { servers, stats, .. } = &mut self.core;
        let key = match servers.receive(now, &request, reply_to.clone(), stats) {
            Arrival::New(key) => key,
            Arrival::Absorbed => return,
            Arrival::Ack => return self.handle_ack(now, &request),
            Arrival::Merged(key) => {
                return self.core.refuse(now, &key, &request.message, &Refusal::plain(482));
            }
            Arrival::Overload => {
                if request.to.tag.is_none() {
                    let answer = self.core.stateless_refusal(&request.message, &self.unavailable());
                    self.core.servers.respond_stateless(reply_to, &answer, &mut self.core.stats);
                }
                return;
            }
        };
        *self.core.stats.requests.entry(Method::label(request.method.as_str())).or_default() += 1;
        let peer = self.core.settings.access.peer(source);
        // Within a session its client is known by its tags, wherever it sends from.
        let of = self.call_of(&request).and_then(|call| self.calls.get(&call));
        let records = peer.is_some_and(|peer| peer.records) || of.is_some_and(|call| call.records);
        if let Err(refusal) = screen(&request, records) {
            return self.core.refuse(now, &key, &request.message, &refusal);
        }
        if request.method == Method::Cancel {
            return self.handle_cancel(now, &key, &request);
        }
        if request.to.tag.is_some() {
            return match self.call_of(&request) {
                Some(call) => {
                    let hop = &source.hop;
                    self.with(call, |call, core| {
                        call.handle_request(now, core, &key, &request, hop);
                    });
                }
                None => self.core.refuse(now, &key, &request.message, &Refusal::plain(481)),
            };
        }
        match request.method {
            Method::Invite if !self.is_authentic(now, source, &key, &request) => {}
            Method::Invite => self.handle_invite(now, source, key, &request),
            // §11.2: the answer is that which an INVITE would get.
            Method::Options if self.draining => {
                let refusal = self.unavailable();
                self.core.refuse(now, &key, &request.message, &refusal);
            }
            Method::Options => {
                let tag = self.core.token();
                let answer = Response::to(&request.message.headers, 200, None).with_to_tag(&tag);
                let mut answer = self.core.describe(answer);
                if records {
                    answer.headers.push("Supported", SIPREC);
                }
                self.core.respond(now, &key, &answer);
            }
            // These live in dialogs only; the others were dealt with above.
            Method::Bye
            | Method::Info
            | Method::Update
            | Method::Prack
            | Method::Ack
            | Method::Cancel
            | Method::Register
            | Method::Message
            | Method::Other(_) => {
                self.core.refuse(now, &key, &request.message, &Refusal::plain(481));
            }
        }
    }

    fn handle_invite(
        &mut self,
        now: Instant,
        source: &Source,
        transaction: ServerKey,
        invite: &Received<Request>,
    ) {
        if let Some(refusal) = too_brief(&invite.message.headers) {
            return self.core.refuse(now, &transaction, &invite.message, &refusal);
        }
        if self.draining || self.calls.len() >= self.core.settings.max_calls {
            self.core.stats.calls_refused += 1;
            let refusal = self.unavailable();
            return self.core.refuse(now, &transaction, &invite.message, &refusal);
        }
        let tag = self.core.token();
        let Some(dialog) = Dialog::answering(invite, &tag, source.hop.clone()) else {
            let reason = Some("malformed Contact (RFC 3261 20.10)");
            let refusal = Refusal { reason, ..Refusal::plain(400) };
            return self.core.refuse(now, &transaction, &invite.message, &refusal);
        };
        let key = self.new_call();
        let peer = self.core.settings.access.peer(source);
        let Request { headers, body, .. } = &invite.message;
        let recording = peer.is_some_and(|peer| peer.records) && is_recording(headers, body);
        let (peer, info) = peer.map_or_else(
            || ("registrar".to_owned(), InfoProfile::default()),
            |peer| (peer.name.clone(), peer.info.clone()),
        );
        let info = (!recording).then_some(info);
        let call = Call::answering(now, key, dialog, transaction, invite, info, &mut self.core);
        self.calls.insert(key, call);
        let invitation = Invitation {
            from: invite.from.uri.clone(),
            to: invite.to.uri.clone(),
            call_id: invite.call_id.clone(),
            headers: headers.clone(),
            offer: sdp(headers, body),
            recording,
            metadata: metadata(headers, body).filter(|_| recording),
            source: source.clone(),
            peer,
        };
        self.core.tell(key, Event::Invited(Box::new(invitation)));
        self.with(key, |_, _| {});
    }

    fn handle_cancel(&mut self, now: Instant, key: &ServerKey, cancel: &Received<Request>) {
        let Some((invite, call)) = self.core.servers.cancelled_by(key) else {
            return self.core.refuse(now, key, &cancel.message, &Refusal::plain(481));
        };
        // §9.2: the 200 bears the same To tag as the answer to the INVITE, if there is a dialog.
        let local_tag = call.and_then(|call| self.calls.get(&call)).and_then(Call::local_tag);
        let tag = local_tag.unwrap_or_else(|| self.core.token());
        let answer = Response::to(&cancel.message.headers, 200, None).with_to_tag(&tag);
        self.core.respond(now, key, &answer);
        if let Some(call) = call {
            self.with(call, |call, core| call.handle_cancel(now, core, &invite));
        }
    }

    fn handle_ack(&mut self, now: Instant, ack: &Received<Request>) {
        match self.call_of(ack) {
            Some(call) => self.with(call, |call, core| call.handle_ack(now, core, ack)),
            None => self.core.stats.stray_acks += 1,
        }
    }

    /// Whether it was one that we wait for.
    fn handle_response(
        &mut self,
        now: Instant,
        source: &Source,
        response: &Received<Response>,
    ) -> bool {
        let Core { clients, stats, .. } = &mut self.core;
        let before = stats.stray_responses;
        let Some(Told { id, owner, .. }) = clients.receive(now, response, stats) else {
            return stats.stray_responses == before;
        };
        let success = (200..300).contains(&response.message.status);
        match owner {
            Owner::Call(call) if self.calls.contains_key(&call) => {
                self.with(call, |call, core| call.handle_response(now, core, id, response));
            }
            Owner::Call(_) | Owner::Nobody if response.method == Method::Invite && success => {
                abandon_success(now, &mut self.core, id, response);
            }
            Owner::Account(account) => {
                let (which, connection) = ((account, id), source.hop.connection);
                self.accounts.handle_response(now, &mut self.core, which, response, connection);
            }
            Owner::Nobody => self.core.answer_challenge(now, id, response),
            Owner::Call(_) => {}
        }
        true
    }

    /// Without a transaction (§8.2.7): a repeat is met with the same bytes all the same.
    fn handle_malformed(&mut self, source: &Source, malformed: Malformed, stranger: bool) {
        *self.core.stats.malformed.entry(malformed.error.kind()).or_default() += 1;
        let Some(answerable) = malformed.answerable.filter(|_| !stranger) else { return };
        let status = if malformed.error == MessageError::Version { 505 } else { 400 };
        let reason = malformed.error.to_string();
        let answer = Response::to(&answerable.headers, status, Some(&reason))
            .with_to_tag(&stateless_tag(&answerable.headers))
            .with("Server", &self.core.settings.user_agent);
        let reply_to = match &answerable.via {
            Some(via) => reply_hop(source, via),
            None => source.hop.clone(),
        };
        self.core.servers.respond_stateless(reply_to, &answer, &mut self.core.stats);
    }

    /// Runs `act` on a live call and sees to its deadline and its end.
    fn with(&mut self, key: CallKey, act: impl FnOnce(&mut Call, &mut Core)) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        act(call, &mut self.core);
        if call.is_over() {
            self.calls.remove(&key);
            self.deadlines.set(&key, None);
        } else {
            self.deadlines.set(&key, call.poll_timeout());
        }
    }

    pub(super) fn call_of(&self, request: &Received<Request>) -> Option<CallKey> {
        let id = DialogId {
            call_id: request.call_id.clone(),
            local_tag: request.to.tag.clone()?,
            remote_tag: request.from.tag.clone().unwrap_or_default(),
        };
        self.core.dialogs.get(&id).copied()
    }

    fn new_call(&mut self) -> CallKey {
        self.core.stats.calls += 1;
        self.new_key()
    }

    fn unavailable(&self) -> Refusal {
        Refusal::with(503, "Retry-After", &self.core.settings.retry_after.to_string())
    }
}

/// The way back of an answer: over a stream the stream itself, while it is open (§18.2.2).
pub(super) fn reply_hop(source: &Source, via: &Via) -> Hop {
    let address = match source.hop.transport {
        Transport::Udp => via.reply_to(source.hop.address),
        transport @ (Transport::Tcp | Transport::Tls) => {
            let port = via.port.unwrap_or(transport.default_port());
            SocketAddr::new(source.hop.address.ip(), port)
        }
    };
    Hop { address, ..source.hop.clone() }
}

/// Writes down where the request came from, in its topmost Via (RFC 3581 §4).
fn stamp_via(request: &mut Received<Request>, source: &Source) {
    let headers = &mut request.message.headers;
    let Some(line) = headers.get("Via").map(str::to_owned) else { return };
    let first = split(&line, ',').first().copied().unwrap_or_default();
    headers.replace_first(
        "Via",
        format!("{}{}", stamped(first, source.hop.address), &line[first.len()..]),
    );
}
