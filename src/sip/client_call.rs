//! The calling half of a call: INVITE and re-INVITE of ours, ACK and CANCEL
//! (RFC 3261 §13.2, §14.1, §9.1).

use std::time::Instant;

use crate::sip::call::{Call, Leaving, Outgoing, Phase, SentAck};
use crate::sip::client_transactions::{ClientId, Order, Owner, Unanswered};
use crate::sip::core::Core;
use crate::sip::credentials::Login;
use crate::sip::dialog::Dialog;
use crate::sip::digest_client::DigestRefusal;
use crate::sip::event::{CallKey, End, Event, Failure};
use crate::sip::hops::Way;
use crate::sip::info::InfoProfile;
use crate::sip::invite_server::T1;
use crate::sip::message::{Method, Received, Request, Response};
use crate::sip::screening::{ACCEPT, ALLOW, sdp};
use crate::sip::session_timer::{SHORTEST, SessionExpires, min_se};

/// More reliable 1xx than anybody sends in one early dialog.
const MAX_PRACKS: u32 = 100;

/// A call to be placed.
#[derive(Clone, Debug)]
pub struct Placing {
    /// Request-URI and To.
    pub target: String,
    /// Over which way; to the target itself if `None`.
    pub way: Option<Way>,
    /// Which of the settings' accounts calls, with its address and password.
    pub account: Option<usize>,
    /// Further fields of the INVITE.
    pub headers: Vec<(String, String)>,
    /// Our SDP offer; `None` asks for theirs.
    pub offer: Option<String>,
    /// How the called side takes verdicts.
    pub info: InfoProfile,
}

impl Placing {
    /// A call to `target`, under no account, that asks for an offer.
    pub fn new(target: impl Into<String>) -> Self {
        let (target, headers) = (target.into(), Vec::new());
        let info = InfoProfile::default();
        Self { target, way: None, account: None, headers, offer: None, info }
    }
}

impl Call {
    /// A call that begins with our INVITE.
    pub(super) fn calling(now: Instant, key: CallKey, core: &mut Core, placing: Placing) -> Self {
        let Placing { target, way, account, headers, offer, info } = placing;
        let account = account.and_then(|account| core.settings.accounts.get(account)).cloned();
        let from = account.as_ref().map(|account| account.aor.as_str());
        let mut invite = core.outside(Method::Invite, &target, from);
        invite.headers.push("CSeq", "1 INVITE");
        let mut call = Self::new(key, Phase::Calling { heard: false, cancelled: false }, info);
        call.login = account.and_then(|account| account.credentials).map(Login::new);
        let offered = offer.is_some();
        let seconds = core.settings.session_expires;
        let session = (seconds > 0).then_some(SessionExpires { seconds, refresher: None });
        call.local_sdp.clone_from(&offer);
        fill(&mut invite, core, &headers, offer, session);
        let way = way.unwrap_or(Way::Uri { uri: target, last: None });
        let contact = Some(core.settings.user.clone());
        let order = Order { request: invite, way, contact, owner: Owner::Call(key) };
        let id = core.clients.request(now, order);
        call.outgoing = Some(Outgoing { id, offered, refresh: false, ack_owed: None });
        call.deadline = Some(now + core.settings.patience);
        call
    }

    /// Offers to change the session; nothing happens while another INVITE is open (§14.1).
    pub(super) fn reinvite(&mut self, now: Instant, core: &mut Core, offer: Option<String>) {
        let busy = self.incoming.is_some() || self.outgoing.is_some() || self.leaving.is_some();
        if busy || self.phase != Phase::Established {
            return;
        }
        let offered = offer.is_some();
        if offered {
            self.local_sdp.clone_from(&offer);
        }
        let session = self
            .session
            .map(|session| SessionExpires { seconds: session.seconds(), refresher: None });
        let id = self.send_reinvite(now, core, offer, session);
        self.outgoing = id.map(|id| Outgoing { id, offered, refresh: false, ack_owed: None });
    }

    pub(super) fn send_reinvite(
        &mut self,
        now: Instant,
        core: &mut Core,
        offer: Option<String>,
        session: Option<SessionExpires>,
    ) -> Option<ClientId> {
        let dialog = self.dialog.as_mut()?;
        let mut invite = dialog.request(Method::Invite);
        fill(&mut invite, core, &[], offer, session);
        let (contact, owner) = (Some(core.settings.user.clone()), Owner::Call(self.key));
        let order = Order { request: invite, way: dialog.way(), contact, owner };
        Some(core.clients.request(now, order))
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
        if sdp.is_some() {
            self.local_sdp.clone_from(&sdp);
        }
        self.ack = send_ack(core, dialog, cseq, sdp, self.login.as_mut());
        self.outgoing = None;
        self.deadline = None;
    }

    /// Takes the INVITE back: a CANCEL, as soon as a 1xx allows one. One whose name is still looked
    /// up is not sent any more.
    pub(super) fn take_back(&mut self, now: Instant, core: &mut Core, leaving: Leaving) {
        let unsent = |outgoing: &mut Outgoing| core.clients.forget_unsent(outgoing.id);
        if self.outgoing.take_if(unsent).is_some() {
            return self.end(now, core, leaving.end);
        }
        self.leaving.get_or_insert(leaving);
        let Phase::Calling { heard: true, cancelled: false } = self.phase else { return };
        let Some(outgoing) = &self.outgoing else { return };
        let reason = self.leaving.as_ref().and_then(|leaving| leaving.reason.as_deref());
        core.clients.cancel(now, outgoing.id, reason);
        self.phase = Phase::Calling { heard: true, cancelled: true };
        self.deadline = Some(now + 64 * T1);
    }

    /// A response to one of our requests in this call.
    pub(super) fn handle_response(
        &mut self,
        now: Instant,
        core: &mut Core,
        id: ClientId,
        response: &Received<Response>,
    ) {
        let status = response.message.status;
        if matches!(status, 401 | 407 | 422) && self.ask_again(now, core, id, response) {
            return;
        }
        if let Some(login) = self.login.as_mut().filter(|_| status >= 200) {
            login.accepted();
        }
        if response.method == Method::Invite {
            match status {
                100..200 => self.invite_progressed(now, core, id, response),
                200..300 => self.invite_accepted(now, core, id, response),
                _ => self.invite_refused(now, core, id, response),
            }
        } else if status < 200 {
            // A 1xx to anything else only says that it is being worked on.
        } else if self.info_under_way == Some(id) {
            self.info_finished(now, core, Some(status));
        } else if self.refreshing == Some(id) {
            self.refresh_finished(now, core, Some(response));
        }
    }

    /// Asks once more with what the refusal wants: credentials, or a longer session. `false` if it
    /// cannot be had, so that the refusal stands.
    fn ask_again(
        &mut self,
        now: Instant,
        core: &mut Core,
        id: ClientId,
        response: &Received<Response>,
    ) -> bool {
        let opening = matches!(self.phase, Phase::Calling { .. });
        let Some((request, _)) = core.clients.request_of(id) else { return false };
        let mut request = request.clone();
        let headers = &response.message.headers;
        if response.message.status == 422 {
            // §7.3 of RFC 4028; in a dialog the timer itself sees to it.
            let asked = SessionExpires::read(&request.headers).map_or(0, |asked| asked.seconds);
            let wanted = min_se(headers).max(SHORTEST);
            if !opening || asked == 0 || wanted <= asked {
                return false;
            }
            request.headers.replace_first("Session-Expires", wanted.to_string());
            request.headers.remove("Min-SE");
            request.headers.push("Min-SE", wanted.to_string());
        } else {
            let Some(login) = &mut self.login else { return false };
            match login.answer(headers, &mut request, &mut core.random) {
                Ok(()) => {}
                Err(DigestRefusal::WrongPassword { .. }) if opening => {
                    self.outgoing = None;
                    self.end(now, core, End::Failed(Failure::WrongPassword));
                    return true;
                }
                Err(_) => return false,
            }
        }
        if self.leaving.is_some() && opening {
            return false;
        }
        let next = match &mut self.dialog {
            Some(dialog) => dialog.raise_cseq(),
            None => response.cseq + 1,
        };
        let method = request.method.as_str();
        request.headers.replace_first("CSeq", format!("{next} {method}"));
        // A MESSAGE has no dialog whose number could matter.
        core.clients.repeat(now, id, request);
        true
    }

    /// One of our requests in this call was never answered.
    pub(super) fn handle_unanswered(
        &mut self,
        now: Instant,
        core: &mut Core,
        id: ClientId,
        why: Unanswered,
    ) {
        if self.info_under_way == Some(id) {
            return self.info_finished(now, core, None);
        }
        if self.refreshing == Some(id) {
            return self.refresh_finished(now, core, None);
        }
        if self.outgoing.take_if(|outgoing| outgoing.id == id).is_none() {
            return;
        }
        let end = self.leaving.take().map(|leaving| leaving.end);
        if self.phase == Phase::Established {
            self.send_bye(now, core, None);
        }
        self.end(now, core, end.unwrap_or(End::Failed(Failure::NoAnswer(why))));
    }

    fn invite_accepted(
        &mut self,
        now: Instant,
        core: &mut Core,
        id: ClientId,
        response: &Received<Response>,
    ) {
        let tag = response.to.tag.as_deref().unwrap_or_default();
        let known = self.dialog.as_ref().is_some_and(|dialog| dialog.id().remote_tag == tag);
        if self.phase == Phase::Established && !known {
            return abandon_success(now, core, id, response);
        }
        let Some(outgoing) = self
            .outgoing
            .as_mut()
            .filter(|outgoing| outgoing.id == id && outgoing.ack_owed.is_none())
        else {
            // A repeat: our ACK was lost (§13.2.2.4).
            if let Some(ack) = self.ack.as_ref().filter(|ack| ack.cseq == response.cseq) {
                core.clients.transmit(ack.hop.clone(), ack.bytes.clone());
            }
            return;
        };
        outgoing.ack_owed = Some(response.cseq);
        let offered = outgoing.offered;
        let refresh = outgoing.refresh;
        let headers = response.message.headers.clone();
        let mut early_sdp = None;
        if let Some(dialog) = &mut self.dialog {
            dialog.refresh_target(&headers);
        } else {
            self.dialog = self.confirmed(core, id, response, &mut early_sdp);
        }
        self.phase = Phase::Established;
        self.learn(&headers);
        self.take_session(now, &headers);
        if let Some(leaving) = self.leaving.take() {
            return self.leave(now, core, leaving.reason, leaving.end);
        }
        // RFC 3262 §5: an answer that came in a reliable 1xx need not be said again.
        let sdp = sdp(&headers, &response.message.body).or(early_sdp);
        if !refresh || sdp.is_some() {
            core.tell(self.key, Event::Answered { status: response.message.status, sdp, headers });
        }
        if offered {
            self.acknowledge(now, core, None);
        } else {
            self.deadline = Some(now + core.settings.patience);
        }
    }

    /// The dialog of a success to our first INVITE; other early ones are no more.
    fn confirmed(
        &mut self,
        core: &mut Core,
        id: ClientId,
        success: &Received<Response>,
        early_sdp: &mut Option<String>,
    ) -> Option<Dialog> {
        let early = self.take_early(success);
        for other in self.early.drain(..) {
            core.dialogs.remove(other.dialog.id());
        }
        let dialog = match early {
            Some(mut early) => {
                early.dialog.confirm(&success.message.headers);
                *early_sdp = early.sdp;
                early.dialog
            }
            None => {
                let (invite, hop) = core.clients.request_of(id)?;
                Dialog::calling(invite, success, hop.clone())
            }
        };
        core.dialogs.insert(dialog.id().clone(), self.key);
        Some(dialog)
    }

    fn invite_refused(
        &mut self,
        now: Instant,
        core: &mut Core,
        id: ClientId,
        response: &Received<Response>,
    ) {
        let status = response.message.status;
        let Some(outgoing) = self.outgoing.take_if(|outgoing| outgoing.id == id) else { return };
        match (self.phase, self.leaving.take()) {
            (Phase::Established, Some(leaving)) => {
                self.leave(now, core, leaving.reason, leaving.end);
            }
            // §12.2.1.2: the peer has forgotten us, so there is nothing left to change.
            (Phase::Established, None) if matches!(status, 408 | 481) => {
                self.send_bye(now, core, None);
                self.end(now, core, End::Failed(Failure::DialogLost));
            }
            (Phase::Established, None) if outgoing.refresh => {
                self.refresh_finished(now, core, Some(response));
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
    id: ClientId,
    response: &Received<Response>,
) {
    let Some((invite, hop)) = core.clients.request_of(id) else { return };
    let mut dialog = Dialog::calling(invite, response, hop.clone());
    send_ack(core, &dialog, response.cseq, None, None);
    // PRACKs of its early dialog, which is forgotten, may have had the next numbers.
    dialog.skip(MAX_PRACKS);
    core.bye(now, &mut dialog, None);
}

fn send_ack(
    core: &mut Core,
    dialog: &Dialog,
    cseq: u32,
    sdp: Option<String>,
    login: Option<&mut Login>,
) -> Option<SentAck> {
    let mut ack = dialog.ack(cseq);
    if let Some(login) = login {
        login.sign(&mut ack);
    }
    if let Some(sdp) = sdp {
        ack.headers.push("Content-Type", "application/sdp");
        ack.body = sdp.into_bytes();
    }
    let (hop, bytes) = core.clients.acknowledge(ack, &dialog.way())?;
    Some(SentAck { cseq, hop, bytes })
}

fn fill(
    invite: &mut Request,
    core: &Core,
    headers: &[(String, String)],
    offer: Option<String>,
    session: Option<SessionExpires>,
) {
    invite.headers.push("Allow", ALLOW);
    invite.headers.push("Accept", ACCEPT);
    // A reliable 1xx to an INVITE without an offer would bring one, and want its answer in PRACK.
    let supported = if offer.is_some() { "100rel, timer" } else { "timer" };
    invite.headers.push("Supported", supported);
    if let Some(session) = session {
        invite.headers.push("Session-Expires", session.to_value());
    }
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
