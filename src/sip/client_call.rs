//! The calling half of a call: INVITE and re-INVITE of ours, ACK and CANCEL
//! (RFC 3261 §13.2, §14.1, §9.1).

use std::net::SocketAddr;
use std::time::Instant;

use crate::sip::call::{Call, Leaving, Outgoing, Phase, SentAck};
use crate::sip::core::Core;
use crate::sip::dialog::Dialog;
use crate::sip::event::{CallKey, End, Event, Failure};
use crate::sip::invite_server::T1;
use crate::sip::message::{Method, Received, Request, Response};
use crate::sip::screening::{ACCEPT, ALLOW, sdp};
use crate::sip::transactions::ClientKey;

impl Call {
    /// A call that begins with our INVITE to `target`, sent to `destination`.
    pub(super) fn calling(
        now: Instant,
        key: CallKey,
        core: &mut Core,
        destination: SocketAddr,
        target: &str,
        headers: &[(String, String)],
        offer: Option<String>,
    ) -> Self {
        let mut invite = Request::new(Method::Invite, target);
        invite.headers.push("Max-Forwards", "70");
        invite.headers.push("From", format!("<{}>;tag={}", core.uri(), core.token()));
        invite.headers.push("To", format!("<{target}>"));
        invite.headers.push("Call-ID", format!("{}{}", core.token(), core.token()));
        invite.headers.push("CSeq", "1 INVITE");
        let offered = offer.is_some();
        fill(&mut invite, core, headers, offer);
        let branch = core.branch();
        let mut call = Self::new(key, Phase::Calling { heard: false, cancelled: false }, core);
        let key = core.transactions.request(now, invite, destination, branch, Some(key));
        call.outgoing = Some(Outgoing { key, offered, ack_owed: None });
        call.deadline = Some(now + core.settings.patience);
        call
    }

    /// Offers to change the session; nothing happens while another INVITE is open (§14.1).
    pub(super) fn reinvite(&mut self, now: Instant, core: &mut Core, offer: Option<String>) {
        let busy = self.incoming.is_some() || self.outgoing.is_some() || self.leaving.is_some();
        if busy || self.phase != Phase::Established {
            return;
        }
        let Some(dialog) = &mut self.dialog else { return };
        let offered = offer.is_some();
        let mut invite = dialog.request(Method::Invite);
        fill(&mut invite, core, &[], offer);
        let branch = core.branch();
        let hop = dialog.next_hop();
        let key = core.transactions.request(now, invite, hop, branch, Some(self.key));
        self.outgoing = Some(Outgoing { key, offered, ack_owed: None });
    }

    /// Acknowledges a success that carried their offer, with our answer in `sdp`.
    pub(super) fn acknowledge(&mut self, now: Instant, core: &mut Core, sdp: Option<String>) {
        self.send_owed_ack(core, sdp);
        self.flush_infos(now, core);
    }

    /// Sends the ACK that is owed, if one is.
    pub(super) fn send_owed_ack(&mut self, core: &mut Core, sdp: Option<String>) {
        let owed = self.outgoing.as_ref().and_then(|outgoing| outgoing.ack_owed);
        let (Some(cseq), Some(dialog)) = (owed, &self.dialog) else { return };
        self.ack = Some(send_ack(core, dialog, cseq, sdp));
        self.outgoing = None;
        self.deadline = None;
    }

    /// Takes the INVITE back: a CANCEL, as soon as a 1xx allows one.
    pub(super) fn take_back(&mut self, now: Instant, core: &mut Core, leaving: Leaving) {
        self.leaving.get_or_insert(leaving);
        let Phase::Calling { heard: true, cancelled: false } = self.phase else { return };
        let Some(outgoing) = &self.outgoing else { return };
        let reason = self.leaving.as_ref().and_then(|leaving| leaving.reason.as_deref());
        core.transactions.cancel(now, &outgoing.key, reason);
        self.phase = Phase::Calling { heard: true, cancelled: true };
        self.deadline = Some(now + 64 * T1);
    }

    /// A response to one of our requests in this call.
    pub(super) fn handle_response(
        &mut self,
        now: Instant,
        core: &mut Core,
        key: &ClientKey,
        response: &Received<Response>,
    ) {
        let status = response.message.status;
        if response.method == Method::Invite {
            match status {
                100..200 => self.invite_progressed(now, core, status),
                200..300 => self.invite_accepted(now, core, key, response),
                _ => self.invite_refused(now, core, key, status),
            }
        } else if self.info_under_way.as_ref() == Some(key) && status >= 200 {
            self.info_finished(now, core, Some(status));
        }
    }

    /// One of our requests in this call was never answered.
    pub(super) fn handle_unanswered(&mut self, now: Instant, core: &mut Core, key: &ClientKey) {
        if self.info_under_way.as_ref() == Some(key) {
            return self.info_finished(now, core, None);
        }
        if self.outgoing.take_if(|outgoing| outgoing.key == *key).is_none() {
            return;
        }
        let end = self.leaving.take().map(|leaving| leaving.end);
        if self.phase == Phase::Established {
            self.send_bye(now, core, None);
        }
        self.end(now, core, end.unwrap_or(End::Failed(Failure::NoAnswer)));
    }

    fn invite_progressed(&mut self, now: Instant, core: &mut Core, status: u16) {
        let Phase::Calling { cancelled, .. } = self.phase else { return };
        self.phase = Phase::Calling { heard: true, cancelled };
        if status > 100 {
            core.tell(self.key, Event::Progress { status });
        }
        if let Some(leaving) = self.leaving.take() {
            self.take_back(now, core, leaving);
        }
    }

    fn invite_accepted(
        &mut self,
        now: Instant,
        core: &mut Core,
        key: &ClientKey,
        response: &Received<Response>,
    ) {
        let tag = response.to.tag.as_deref().unwrap_or_default();
        let known = self.dialog.as_ref().is_some_and(|dialog| dialog.id().remote_tag == tag);
        if self.phase == Phase::Established && !known {
            return abandon_success(now, core, key, response);
        }
        let Some(outgoing) = self
            .outgoing
            .as_mut()
            .filter(|outgoing| outgoing.key == *key && outgoing.ack_owed.is_none())
        else {
            // A repeat: our ACK was lost (§13.2.2.4).
            if let Some(ack) = self.ack.as_ref().filter(|ack| ack.cseq == response.cseq) {
                core.transactions.transmit(ack.destination, ack.bytes.clone());
            }
            return;
        };
        outgoing.ack_owed = Some(response.cseq);
        let offered = outgoing.offered;
        let headers = response.message.headers.clone();
        match &mut self.dialog {
            Some(dialog) => dialog.refresh_target(&headers),
            None => {
                let Some((invite, hop)) = core.transactions.request_of(key) else { return };
                let dialog = Dialog::calling(invite, response, hop);
                core.dialogs.insert(dialog.id().clone(), self.key);
                self.dialog = Some(dialog);
            }
        }
        self.phase = Phase::Established;
        self.infos.learn(&headers);
        if let Some(leaving) = self.leaving.take() {
            return self.leave(now, core, leaving.reason, leaving.end);
        }
        let sdp = sdp(&headers, &response.message.body);
        core.tell(self.key, Event::Answered { status: response.message.status, sdp, headers });
        if offered {
            self.acknowledge(now, core, None);
        } else {
            self.deadline = Some(now + core.settings.patience);
        }
    }

    fn invite_refused(&mut self, now: Instant, core: &mut Core, key: &ClientKey, status: u16) {
        if self.outgoing.take_if(|outgoing| outgoing.key == *key).is_none() {
            return;
        }
        match (self.phase, self.leaving.take()) {
            (Phase::Established, Some(leaving)) => {
                self.leave(now, core, leaving.reason, leaving.end);
            }
            // §12.2.1.2: the peer has forgotten us, so there is nothing left to change.
            (Phase::Established, None) if matches!(status, 408 | 481) => {
                self.send_bye(now, core, None);
                self.end(now, core, End::Failed(Failure::DialogLost));
            }
            (Phase::Established, None) => core.tell(self.key, Event::ReinviteRefused { status }),
            (Phase::Answering | Phase::Calling { .. }, Some(leaving)) => {
                self.end(now, core, leaving.end);
            }
            (Phase::Answering | Phase::Calling { .. }, None) => {
                self.end(now, core, End::Refused { status });
            }
        }
    }
}

/// A success that no call wants, from a second branch of a forked INVITE or after we gave up:
/// acknowledged and hung up at once (§13.2.2.4).
pub(super) fn abandon_success(
    now: Instant,
    core: &mut Core,
    key: &ClientKey,
    response: &Received<Response>,
) {
    let Some((invite, hop)) = core.transactions.request_of(key) else { return };
    let mut dialog = Dialog::calling(invite, response, hop);
    send_ack(core, &dialog, response.cseq, None);
    core.bye(now, &mut dialog, None);
}

fn send_ack(core: &mut Core, dialog: &Dialog, cseq: u32, sdp: Option<String>) -> SentAck {
    let mut ack = dialog.ack(cseq);
    if let Some(sdp) = sdp {
        ack.headers.push("Content-Type", "application/sdp");
        ack.body = sdp.into_bytes();
    }
    let destination = dialog.next_hop();
    let branch = core.branch();
    let bytes = core.transactions.acknowledge(ack, destination, &branch);
    SentAck { cseq, destination, bytes }
}

fn fill(invite: &mut Request, core: &Core, headers: &[(String, String)], offer: Option<String>) {
    invite.headers.push("Contact", core.contact());
    invite.headers.push("Allow", ALLOW);
    invite.headers.push("Accept", ACCEPT);
    invite.headers.push("Recv-Info", core.settings.recv_info.join(", "));
    invite.headers.push("User-Agent", &core.settings.user_agent);
    for (name, value) in headers {
        invite.headers.push(name, value);
    }
    if let Some(offer) = offer {
        invite.headers.push("Content-Type", "application/sdp");
        invite.body = offer.into_bytes();
    }
}
