//! One call and what both sides of it share: BYE, INFO, OPTIONS and the end (RFC 3261 §12.2, §15).

use std::time::Instant;

use crate::sip::client_transactions::{ClientId, Order, Owner, Unanswered};
use crate::sip::core::Core;
use crate::sip::credentials::Login;
use crate::sip::dialog::Dialog;
use crate::sip::event::{CallKey, End, Event, Failure, InfoFailure, InfoId, InfoSkip};
use crate::sip::headers::{Headers, split};
use crate::sip::hops::Way;
use crate::sip::info::{InfoProfile, InfoQueue, Notice};
use crate::sip::message::{Method, Received, Request, Response};
use crate::sip::pause_header::{self, PauseHeaderError};
use crate::sip::provisional::Early;
use crate::sip::screening::Refusal;
use crate::sip::server_transactions::ServerKey;
use crate::sip::session_timer::SessionTimer;
use crate::sip::success::Success;
use crate::sip::transport::Hop;

/// One call, from its INVITE to its end.
///
/// The answering half is in `server_call.rs`, the calling half in `client_call.rs`; both speak for
/// re-INVITEs, too, whoever called first. Early dialogs are in `provisional.rs`, what keeps the
/// session alive in `refresh.rs`.
#[derive(Debug)]
pub struct Call {
    pub(super) key: CallKey,
    pub(super) phase: Phase,
    /// Absent only while [`Phase::Calling`].
    pub(super) dialog: Option<Dialog>,
    /// Their INVITE or re-INVITE that is not over yet.
    pub(super) incoming: Option<Incoming>,
    /// Our INVITE or re-INVITE that is not over yet.
    pub(super) outgoing: Option<Outgoing>,
    /// Our last ACK to a success, to be repeated with each repeat of that success (§13.2.2.4).
    pub(super) ack: Option<SentAck>,
    /// Dialogs that 1xx answers to our INVITE made (§12.1).
    pub(super) early: Vec<Early>,
    /// Whether it is a recording session, of which we are the server (RFC 7866).
    pub(super) records: bool,
    pub(super) infos: InfoQueue,
    pub(super) info_under_way: Option<ClientId>,
    /// The session's life, where it has an end (RFC 4028).
    pub(super) session: Option<SessionTimer>,
    /// Our UPDATE that refreshes the session.
    pub(super) refreshing: Option<ClientId>,
    /// Whether the peer's Allow names UPDATE.
    pub(super) updates: bool,
    /// Our last description, to be repeated by a re-INVITE that changes nothing.
    pub(super) local_sdp: Option<String>,
    /// Whether the Call-ID is ours.
    pub(super) called_first: bool,
    /// How we answer challenges.
    pub(super) login: Option<Login>,
    /// We want to hang up and may not yet.
    pub(super) leaving: Option<Leaving>,
    /// When waiting for either side's decision ends.
    pub(super) deadline: Option<Instant>,
    pub(super) over: bool,
}

/// How far the call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// They called; our side has not decided.
    Answering,
    /// We called; no final answer yet.
    Calling {
        /// A 1xx came, so a CANCEL may be sent (§9.1).
        heard: bool,
        /// The CANCEL is sent.
        cancelled: bool,
    },
    /// A 2xx was sent or came.
    Established,
}

/// An INVITE of theirs, or an UPDATE with an offer.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) key: ServerKey,
    /// An UPDATE: its answer is final, and there is no ACK.
    pub(super) update: bool,
    pub(super) headers: Headers,
    pub(super) cseq: u32,
    /// Whether it carried SDP; else our 2xx does and the ACK brings the answer.
    pub(super) offered: bool,
    /// The 2xx that waits for its ACK; `None` while our side has not decided.
    pub(super) success: Option<Success>,
}

/// An INVITE of ours.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) id: ClientId,
    /// Whether it carried SDP.
    pub(super) offered: bool,
    /// Nothing but a refresh of the session.
    pub(super) refresh: bool,
    /// Number of the INVITE whose success waits for our SDP answer in the ACK.
    pub(super) ack_owed: Option<u32>,
}

#[derive(Debug)]
pub(super) struct SentAck {
    pub(super) cseq: u32,
    pub(super) hop: Hop,
    pub(super) bytes: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) reason: Option<String>,
    pub(super) end: End,
}

impl Call {
    pub(super) fn new(key: CallKey, phase: Phase, profile: InfoProfile) -> Self {
        Self {
            key,
            phase,
            dialog: None,
            incoming: None,
            outgoing: None,
            ack: None,
            early: Vec::new(),
            records: false,
            infos: InfoQueue::new(profile),
            info_under_way: None,
            session: None,
            refreshing: None,
            updates: false,
            local_sdp: None,
            called_first: matches!(phase, Phase::Calling { .. }),
            login: None,
            leaving: None,
            deadline: None,
            over: false,
        }
    }

    /// Our tag, once there is a dialog.
    pub fn local_tag(&self) -> Option<String> {
        self.dialog.as_ref().map(|dialog| dialog.id().local_tag.clone())
    }

    /// Whether the owner was told of the end, so that the call may be forgotten.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// When [`Self::handle_timeout`] is next due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let success = self.incoming.as_ref().and_then(|incoming| incoming.success.as_ref());
        let session = self.session.as_ref().map(SessionTimer::poll_timeout);
        let success = success.map(Success::poll_timeout);
        success.into_iter().chain(self.deadline).chain(session).min()
    }

    /// Repeats a success, refreshes the session, or ends what waited too long.
    pub fn handle_timeout(&mut self, now: Instant, core: &mut Core) {
        self.success_timeout(now, core);
        if !self.over {
            self.session_timeout(now, core);
        }
        if !self.over && self.deadline.is_some_and(|deadline| deadline <= now) {
            self.deadline = None;
            self.patience_over(now, core);
        }
    }

    /// A request within the dialog, other than ACK and CANCEL.
    pub fn handle_request(
        &mut self,
        now: Instant,
        core: &mut Core,
        key: &ServerKey,
        request: &Received<Request>,
        hop: &Hop,
    ) {
        let Some(dialog) = self.dialog_of(request) else {
            return core.refuse(now, key, &request.message, &Refusal::plain(481));
        };
        let in_order = dialog.receive(request.cseq).is_ok();
        if in_order {
            dialog.follow(hop);
        } else {
            let reason = Some("CSeq out of order (RFC 3261 12.2.2)");
            let refusal = Refusal { reason, ..Refusal::plain(500) };
            return core.refuse(now, key, &request.message, &refusal);
        }
        let headers = &request.message.headers;
        if let Method::Invite | Method::Info | Method::Update = request.method {
            match pause_header::read(headers) {
                Ok(None) => {}
                Ok(Some(begins)) => core.tell(self.key, Event::PauseAsked { begins }),
                Err(_) => {
                    let reason = Some(PauseHeaderError::REASON);
                    let refusal = Refusal { reason, ..Refusal::plain(400) };
                    return core.refuse(now, key, &request.message, &refusal);
                }
            }
        }
        match request.method {
            Method::Invite => self.handle_reinvite(now, core, key, request),
            Method::Bye => {
                core.respond(now, key, &Response::to(headers, 200, None));
                let reason = headers.get("Reason").map(str::to_owned);
                self.end(now, core, End::ByPeer { reason });
            }
            Method::Info => self.handle_info(now, core, key, request),
            Method::Update => self.handle_update(now, core, key, request),
            // None of our provisional answers is reliable, so there is none to acknowledge.
            Method::Prack => core.refuse(now, key, &request.message, &Refusal::plain(481)),
            Method::Options => {
                let answer = core.describe(Response::to(headers, 200, None));
                core.respond(now, key, &answer);
            }
            // Screening has refused the unknown; ACK and CANCEL never come here.
            Method::Ack
            | Method::Cancel
            | Method::Register
            | Method::Message
            | Method::Other(_) => {}
        }
    }

    /// Queues one notice and sends it if none is under way.
    pub fn send_info(&mut self, now: Instant, core: &mut Core, id: InfoId, notice: Notice) {
        if let Some((skipped, why)) = self.infos.push(id, notice) {
            core.tell_skipped(self.key, skipped, why);
        }
        self.flush_infos(now, core);
    }

    /// Hangs up in the way that the state asks for: refusal, CANCEL or BYE.
    pub fn hang_up(&mut self, now: Instant, core: &mut Core, reason: Option<String>) {
        let end = End::ByUs { reason: reason.clone() };
        self.leave(now, core, reason, end);
    }

    pub(super) fn leave(
        &mut self,
        now: Instant,
        core: &mut Core,
        reason: Option<String>,
        end: End,
    ) {
        match self.phase {
            Phase::Answering => {
                // 480: nobody here to talk, which is true and makes no PBX try another route.
                let headers: Vec<_> =
                    reason.map(|r| ("Reason".to_owned(), r)).into_iter().collect();
                self.refuse_incoming(now, core, 480, None, &headers);
                self.end(now, core, end);
            }
            Phase::Calling { .. } => self.take_back(now, core, Leaving { reason, end }),
            Phase::Established => {
                // §15: the called side may not send BYE before the ACK; the calling side owes the
                // ACK first.
                let unacknowledged = self.incoming.as_ref().is_some_and(|i| i.success.is_some());
                if unacknowledged {
                    self.leaving.get_or_insert(Leaving { reason, end });
                    return;
                }
                self.send_owed_ack(core, None);
                self.send_bye(now, core, reason.as_deref());
                self.end(now, core, end);
            }
        }
    }

    pub(super) fn send_bye(&mut self, now: Instant, core: &mut Core, reason: Option<&str>) {
        let mut login = self.login.take();
        if let Some(dialog) = &mut self.dialog {
            let id = core.request(now, dialog, Method::Bye, Owner::Nobody, |bye| {
                if let Some(reason) = reason {
                    bye.headers.push("Reason", reason);
                }
                if let Some(login) = &mut login {
                    login.sign(bye);
                }
            });
            if let Some(login) = login {
                core.keep_login(id, login);
            }
        }
    }

    /// A final answer to our INFO, or none (`status` 408 by our own clock is `None`).
    pub(super) fn info_finished(&mut self, now: Instant, core: &mut Core, status: Option<u16>) {
        let accepted = status.is_some_and(|status| status < 300);
        self.info_under_way = None;
        let (finished, skipped) = self.infos.finish(accepted);
        if let Some(id) = finished {
            let event = match status {
                Some(status) if accepted => {
                    core.stats.infos_answered += 1;
                    Event::InfoAnswered { id, status }
                }
                Some(status) => {
                    core.stats.infos_refused += 1;
                    Event::InfoFailed { id, why: InfoFailure::Refused { status } }
                }
                None => {
                    core.stats.infos_timed_out += 1;
                    Event::InfoFailed { id, why: InfoFailure::TimedOut }
                }
            };
            core.tell(self.key, event);
        }
        for id in skipped {
            core.tell_skipped(self.key, id, InfoSkip::PeerRefused);
        }
        self.flush_infos(now, core);
    }

    /// Sends the next INFO, if the dialog is confirmed and none is under way.
    pub(super) fn flush_infos(&mut self, now: Instant, core: &mut Core) {
        let unconfirmed = self.incoming.as_ref().is_some_and(|i| i.success.is_some())
            || self.outgoing.as_ref().is_some_and(|o| o.ack_owed.is_some());
        if self.phase != Phase::Established || unconfirmed || self.leaving.is_some() {
            return;
        }
        let Some(dialog) = &mut self.dialog else { return };
        let Some((_, notice)) = self.infos.pop() else { return };
        core.stats.infos_sent += 1;
        let owner = Owner::Call(self.key);
        let id = match self.infos.profile() {
            InfoProfile::Message(to) => {
                let (to, way) = (to.clone(), Way::Uri { uri: to.clone(), last: None });
                let mut request = core.message(&to);
                self.infos.fill(&mut request, notice);
                core.clients.request(now, Order { request, way, contact: None, owner })
            }
            InfoProfile::Rfc6086
            | InfoProfile::LegacyJson
            | InfoProfile::DtmfRelay(_)
            | InfoProfile::None => {
                let fill = |request: &mut Request| self.infos.fill(request, notice);
                core.request(now, dialog, Method::Info, owner, fill)
            }
        };
        self.info_under_way = Some(id);
    }

    /// The dialog that a request of theirs is in: ours, or an early one.
    pub(super) fn dialog_of(&mut self, request: &Received<Request>) -> Option<&mut Dialog> {
        let tag = request.from.tag.as_deref().unwrap_or_default();
        let early = self.early.iter_mut().map(|early| &mut early.dialog);
        self.dialog.iter_mut().chain(early).find(|dialog| dialog.id().remote_tag == tag)
    }

    /// The end of it: what is open is closed and the owner told.
    pub(super) fn end(&mut self, now: Instant, core: &mut Core, end: End) {
        // §15.1.2: a BYE also answers INVITEs of theirs that are still open.
        if self.incoming.as_ref().is_some_and(|incoming| incoming.success.is_none()) {
            self.refuse_incoming(now, core, 487, None, &[]);
        }
        let (under_way, skipped) = self.infos.finish(false);
        if let Some(id) = under_way {
            core.tell(self.key, Event::InfoFailed { id, why: InfoFailure::CallOver });
        }
        for id in skipped {
            core.tell_skipped(self.key, id, InfoSkip::CallOver);
        }
        let early = self.early.iter().map(|early| &early.dialog);
        for dialog in self.dialog.iter().chain(early) {
            core.dialogs.remove(dialog.id());
        }
        core.tell(self.key, Event::Ended(end));
        self.over = true;
    }

    fn handle_info(
        &mut self,
        now: Instant,
        core: &mut Core,
        key: &ServerKey,
        request: &Received<Request>,
    ) {
        let Request { headers, body, .. } = &request.message;
        core.stats.infos_received += 1;
        let taken = |package: &str| {
            let name = split(package, ';').first().copied().unwrap_or_default();
            core.settings.recv_info.iter().any(|taken| taken.eq_ignore_ascii_case(name))
        };
        if headers.get("Info-Package").is_some_and(|package| !taken(package)) {
            // RFC 6086 §4.2.2: 469 says which packages we do take.
            let recv_info = core.settings.recv_info.join(", ");
            let refusal = Refusal {
                reason: Some("Bad Info Package"),
                ..Refusal::with(469, "Recv-Info", &recv_info)
            };
            return core.refuse(now, key, &request.message, &refusal);
        }
        core.respond(now, key, &Response::to(headers, 200, None));
        let content_type = headers.get("Content-Type").unwrap_or_default().to_owned();
        core.tell(self.key, Event::InfoReceived { content_type, body: body.clone() });
    }

    fn patience_over(&mut self, now: Instant, core: &mut Core) {
        match self.phase {
            Phase::Answering => {
                self.refuse_incoming(now, core, 480, None, &[]);
                self.end(now, core, End::Failed(Failure::Undecided));
            }
            Phase::Calling { cancelled: true, .. } => {
                // §9.1: no final answer 64*T1 after the CANCEL: as good as taken back.
                let end = self.leaving.take().map(|leaving| leaving.end);
                self.end(
                    now,
                    core,
                    end.unwrap_or(End::Failed(Failure::NoAnswer(Unanswered::TimedOut))),
                );
            }
            Phase::Calling { .. } => {
                let end = End::Failed(Failure::NoAnswer(Unanswered::TimedOut));
                self.leave(now, core, None, end);
            }
            Phase::Established => {
                // A re-INVITE that our side left open costs only itself; an ACK left open is fatal.
                self.refuse_incoming(now, core, 500, None, &[]);
                if self.outgoing.as_ref().is_some_and(|o| o.ack_owed.is_some()) {
                    self.leave(now, core, None, End::Failed(Failure::Undecided));
                }
            }
        }
    }
}
