//! The answering half of a call: INVITE, re-INVITE, ACK and CANCEL of theirs
//! (RFC 3261 §13.3, §14.2, §9.2).

use std::time::Instant;

use crate::sip::call::{Call, Incoming, Phase};
use crate::sip::core::Core;
use crate::sip::dialog::Dialog;
use crate::sip::event::{CallKey, End, Event, Failure};
use crate::sip::info::InfoProfile;
use crate::sip::invite_server::Action;
use crate::sip::message::{Method, Received, Request, Response};
use crate::sip::refresh::{answer_session, too_brief};
use crate::sip::screening::{Refusal, SIPREC, metadata, sdp};
use crate::sip::server_transactions::ServerKey;
use crate::sip::success::Success;

impl Call {
    /// A call that begins with their `invite`; the owner decides. Without a `profile` it is a recording session, in which
    /// nothing is told: clients answer an INFO with 488.
    pub(super) fn answering(
        now: Instant,
        key: CallKey,
        dialog: Dialog,
        transaction: ServerKey,
        invite: &Received<Request>,
        profile: Option<InfoProfile>,
        core: &mut Core,
    ) -> Self {
        let records = profile.is_none();
        let mut call = Self::new(key, Phase::Answering, profile.unwrap_or(InfoProfile::None));
        call.records = records;
        core.dialogs.insert(dialog.id().clone(), key);
        call.dialog = Some(dialog);
        call.await_decision(now, core, transaction, invite);
        call
    }

    /// Answers the open INVITE, re-INVITE or UPDATE with 200 and `sdp`; nothing happens if none is
    /// open.
    pub(super) fn accept(
        &mut self,
        now: Instant,
        core: &mut Core,
        sdp: String,
        headers: &[(String, String)],
    ) {
        let Some(dialog) = &self.dialog else { return };
        let contact = self.featured(core.contact(dialog.peer().local));
        let extensions = self.extensions();
        let Some(incoming) = &mut self.incoming else { return };
        if incoming.success.is_some() {
            return;
        }
        let mut answer =
            Response::to(&incoming.headers, 200, None).with_to_tag(&dialog.id().local_tag);
        // §12.1.1: the answer shows both sides the same route.
        for route in incoming.headers.all("Record-Route") {
            answer.headers.push("Record-Route", route);
        }
        let answer = core
            .describe(answer.with("Contact", contact))
            .with_all(&extensions)
            .with_all(headers)
            .with_all(&answer_session(&mut self.session, now, core, &incoming.headers))
            .with_body("application/sdp", &*sdp);
        core.respond(now, &incoming.key, &answer);
        self.local_sdp = Some(sdp);
        self.deadline = None;
        if incoming.update {
            self.incoming = None;
            return;
        }
        incoming.success = Some(Success::new(now));
        self.phase = Phase::Established;
    }

    /// Our `contact`, and as what we are reached there (RFC 7866 §6.2).
    pub(super) fn featured(&self, contact: String) -> String {
        if self.records { format!("{contact};+sip.srs") } else { contact }
    }

    /// What we can beside what we always can.
    pub(super) fn extensions(&self) -> Vec<(String, String)> {
        let siprec = self.records.then(|| ("Supported".to_owned(), SIPREC.to_owned()));
        siprec.into_iter().collect()
    }

    /// Refuses the open INVITE or re-INVITE; the former ends the call.
    pub(super) fn refuse(
        &mut self,
        now: Instant,
        core: &mut Core,
        status: u16,
        reason: Option<&str>,
        headers: &[(String, String)],
    ) {
        let opening = self.phase == Phase::Answering
            && !self.incoming.as_ref().is_some_and(|incoming| incoming.update);
        let refused = self.refuse_incoming(now, core, status.clamp(300, 699), reason, headers);
        if refused && opening {
            let reason = Some(match reason {
                Some(reason) => format!("{status} {reason}"),
                None => status.to_string(),
            });
            self.end(now, core, End::ByUs { reason });
        }
    }

    /// Their re-INVITE (§14.2).
    pub(super) fn handle_reinvite(
        &mut self,
        now: Instant,
        core: &mut Core,
        key: &ServerKey,
        invite: &Received<Request>,
    ) {
        if self.incoming.is_some() {
            // §14.2: come again in a moment; the first is not answered, or not acknowledged, yet.
            let refusal = Refusal::with(500, "Retry-After", &core.short_wait().to_string());
            return core.refuse(now, key, &invite.message, &refusal);
        }
        if self.outgoing.is_some() {
            return core.refuse(now, key, &invite.message, &Refusal::plain(491));
        }
        if let Some(dialog) = &mut self.dialog {
            dialog.refresh_target(&invite.message.headers);
        }
        if let Some(refusal) = too_brief(&invite.message.headers) {
            return core.refuse(now, key, &invite.message, &refusal);
        }
        self.await_decision(now, core, key.clone(), invite);
    }

    /// Their ACK to our 2xx, possibly repeated.
    pub(super) fn handle_ack(&mut self, now: Instant, core: &mut Core, ack: &Received<Request>) {
        let awaited = self.incoming.take_if(|i| i.success.is_some() && i.cseq == ack.cseq);
        let Some(incoming) = awaited else {
            core.stats.retransmissions_received += 1;
            return;
        };
        let answer = sdp(&ack.message.headers, &ack.message.body).filter(|_| !incoming.offered);
        core.tell(self.key, Event::Confirmed { answer });
        match self.leaving.take() {
            Some(leaving) => self.leave(now, core, leaving.reason, leaving.end),
            None => self.flush_infos(now, core),
        }
    }

    /// Their CANCEL of the INVITE `key`, already answered with 200. A 2xx of ours stands (§9.2).
    pub(super) fn handle_cancel(&mut self, now: Instant, core: &mut Core, key: &ServerKey) {
        let open = |i: &Incoming| i.key == *key && i.success.is_none();
        if !self.incoming.as_ref().is_some_and(open) {
            return;
        }
        self.refuse_incoming(now, core, 487, None, &[]);
        if self.phase == Phase::Answering {
            self.end(now, core, End::Cancelled);
        }
    }

    /// Sends a final refusal to the open INVITE; whether there was one.
    pub(super) fn refuse_incoming(
        &mut self,
        now: Instant,
        core: &mut Core,
        status: u16,
        reason: Option<&str>,
        headers: &[(String, String)],
    ) -> bool {
        let Some(incoming) = self.incoming.take_if(|i| i.success.is_none()) else { return false };
        self.deadline = None;
        let tag = self.dialog.as_ref().map(|dialog| dialog.id().local_tag.as_str());
        let answer = Response::to(&incoming.headers, status, reason)
            .with_to_tag(tag.unwrap_or_default())
            .with_all(headers)
            .with("Server", &core.settings.user_agent);
        core.respond(now, &incoming.key, &answer);
        true
    }

    /// Repeats the 2xx, or ends the call when its ACK never came.
    pub(super) fn success_timeout(&mut self, now: Instant, core: &mut Core) {
        let Some(incoming) = &mut self.incoming else { return };
        let Some(success) = &mut incoming.success else { return };
        match success.handle_timeout(now) {
            Some(Action::Transmit) => {
                core.servers.repeat_success(&incoming.key, &mut core.stats);
            }
            Some(Action::GiveUp) => {
                self.incoming = None;
                let reason = "SIP;cause=408;text=\"no ACK\"";
                self.send_bye(now, core, Some(reason));
                self.end(now, core, End::Failed(Failure::NoAck));
            }
            None => {}
        }
    }

    /// Tells what a request within a recording session says about who is recorded.
    pub(super) fn tell_metadata(&self, core: &mut Core, request: &Received<Request>) {
        let Request { headers, body, .. } = &request.message;
        if let Some(metadata) = metadata(headers, body).filter(|_| self.records) {
            core.tell(self.key, Event::Described { metadata });
        }
    }

    pub(super) fn await_decision(
        &mut self,
        now: Instant,
        core: &mut Core,
        key: ServerKey,
        invite: &Received<Request>,
    ) {
        let headers = invite.message.headers.clone();
        let update = invite.method == Method::Update;
        if !update {
            core.respond(now, &key, &Response::to(&headers, 100, None));
        }
        core.servers.assign(&key, self.key);
        self.learn(&headers);
        let offer = sdp(&headers, &invite.message.body);
        let offered = offer.is_some();
        if self.phase == Phase::Established {
            self.tell_metadata(core, invite);
            core.tell(self.key, Event::Reinvited { offer });
        }
        let cseq = invite.cseq;
        self.incoming = Some(Incoming { key, update, headers, cseq, offered, success: None });
        self.deadline = Some(now + core.settings.patience);
    }
}
