//! 1xx answers to our INVITE: early dialogs (RFC 3261 §12.1), and their acknowledgement (RFC 3262).

use std::time::Instant;

use crate::sip::call::{Call, Phase};
use crate::sip::client_transactions::{ClientId, Owner};
use crate::sip::core::Core;
use crate::sip::dialog::Dialog;
use crate::sip::event::Event;
use crate::sip::message::{Method, Received, Response};
use crate::sip::screening::sdp;

/// Early dialogs of one INVITE: a proxy that forks to more is served without their PRACKs.
const MAX_EARLY: usize = 8;

/// A dialog that no success has confirmed yet.
#[derive(Debug)]
pub(super) struct Early {
    pub(super) dialog: Dialog,
    /// Number of the last reliable answer.
    rseq: Option<u32>,
    /// The answer to our offer that came in one.
    pub(super) sdp: Option<String>,
}

impl Call {
    /// A 1xx to our INVITE.
    pub(super) fn invite_progressed(
        &mut self,
        now: Instant,
        core: &mut Core,
        id: ClientId,
        response: &Received<Response>,
    ) {
        let Phase::Calling { cancelled, .. } = self.phase else { return };
        self.phase = Phase::Calling { heard: true, cancelled };
        let status = response.message.status;
        if status > 100 {
            if response.to.tag.is_some() {
                self.acknowledge_provisional(now, core, id, response);
            }
            core.tell(self.key, Event::Progress { status });
        }
        if let Some(leaving) = self.leaving.take() {
            self.take_back(now, core, leaving);
        }
    }

    /// Takes the early dialog that `response` belongs to, if it is one.
    pub(super) fn take_early(&mut self, response: &Received<Response>) -> Option<Early> {
        let tag = response.to.tag.as_deref().unwrap_or_default();
        let at = self.early.iter().position(|early| early.dialog.id().remote_tag == tag)?;
        Some(self.early.swap_remove(at))
    }

    /// PRACK for a reliable answer, once for each (RFC 3262 §4).
    fn acknowledge_provisional(
        &mut self,
        now: Instant,
        core: &mut Core,
        id: ClientId,
        response: &Received<Response>,
    ) {
        let headers = &response.message.headers;
        let tag = response.to.tag.as_deref().unwrap_or_default();
        let known = self.early.iter().position(|early| early.dialog.id().remote_tag == tag);
        let at = match known {
            Some(at) => at,
            None if self.early.len() >= MAX_EARLY => return,
            None => {
                let Some((invite, hop)) = core.clients.request_of(id) else { return };
                let dialog = Dialog::calling(invite, response, hop.clone());
                core.dialogs.insert(dialog.id().clone(), self.key);
                self.early.push(Early { dialog, rseq: None, sdp: None });
                self.early.len() - 1
            }
        };
        let early = &mut self.early[at];
        let reliable = headers.list("Require").any(|tag| tag.eq_ignore_ascii_case("100rel"));
        let rseq = headers.get("RSeq").and_then(|number| number.parse::<u32>().ok());
        let Some(rseq) = rseq.filter(|_| reliable) else { return };
        // A repeat, or one whose predecessor is lost: the other side sends it again.
        if early.rseq.is_some_and(|last| rseq != last.wrapping_add(1)) {
            return;
        }
        early.rseq = Some(rseq);
        early.dialog.refresh_target(headers);
        early.sdp = sdp(headers, &response.message.body).or(early.sdp.take());
        let login = &mut self.login;
        let rack = format!("{rseq} {} INVITE", response.cseq);
        core.request(now, &mut early.dialog, Method::Prack, Owner::Nobody, |prack| {
            prack.headers.push("RAck", rack);
            if let Some(login) = login {
                login.sign(prack);
            }
        });
    }
}
