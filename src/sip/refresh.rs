//! What keeps a session alive and in shape: session timers of a call (RFC 4028), and UPDATE both
//! ways (RFC 3311).

use std::time::{Duration, Instant};

use crate::sip::call::{Call, Outgoing, Phase};
use crate::sip::client_transactions::Owner;
use crate::sip::core::Core;
use crate::sip::event::{End, Failure};
use crate::sip::headers::Headers;
use crate::sip::message::{Method, Received, Request, Response};
use crate::sip::screening::{Refusal, sdp};
use crate::sip::server_transactions::ServerKey;
use crate::sip::session_timer::{Due, Refresher, SHORTEST, SessionExpires, SessionTimer, min_se};

/// How long to wait when something else is under way, or the peer is unwell.
const SOON: Duration = Duration::from_secs(5);

impl Call {
    /// Their UPDATE: with an offer it is a change that our side decides on, else a mere refresh.
    pub(super) fn handle_update(
        &mut self,
        now: Instant,
        core: &mut Core,
        key: &ServerKey,
        update: &Received<Request>,
    ) {
        let headers = &update.message.headers;
        let offers = sdp(headers, &update.message.body).is_some();
        let refusal = if let Some(refusal) = too_brief(headers) {
            Some(refusal)
        } else if offers && self.outgoing.is_some() {
            // RFC 3311 §5.2: an offer of ours is not answered yet.
            Some(Refusal::plain(491))
        } else if offers && self.incoming.is_some() {
            Some(Refusal::with(500, "Retry-After", &core.short_wait().to_string()))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            return core.refuse(now, key, &update.message, &refusal);
        }
        let Some(dialog) = self.dialog_of(update) else { return };
        dialog.refresh_target(headers);
        let contact = core.contact(dialog.peer().local);
        if offers {
            return self.await_decision(now, core, key.clone(), update);
        }
        let contact = self.featured(contact);
        self.learn(headers);
        self.tell_metadata(core, update);
        let session = match self.phase {
            Phase::Established => answer_session(&mut self.session, now, core, headers),
            Phase::Answering | Phase::Calling { .. } => Vec::new(),
        };
        let mut answer = Response::to(headers, 200, None);
        answer.headers.push("Contact", contact);
        let answer = core.describe(answer).with_all(&self.extensions()).with_all(&session);
        core.respond(now, key, &answer);
    }

    /// What a request or a success of theirs says about them.
    pub(super) fn learn(&mut self, headers: &Headers) {
        self.infos.learn(headers);
        if headers.contains("Allow") {
            self.updates = headers.list("Allow").any(|method| method == "UPDATE");
        }
    }

    /// Refreshes the session, or ends it when nobody has.
    pub(super) fn session_timeout(&mut self, now: Instant, core: &mut Core) {
        match self.session.as_mut().and_then(|session| session.handle_timeout(now)) {
            Some(Due::Refresh) => self.refresh(now, core),
            Some(Due::Expired) => {
                self.send_bye(now, core, Some("SIP;cause=408;text=\"session expired\""));
                self.end(now, core, End::Failed(Failure::SessionExpired));
            }
            None => {}
        }
    }

    /// A success to our INVITE, re-INVITE or UPDATE says how long the session lives (RFC 4028 §7.2).
    pub(super) fn take_session(&mut self, now: Instant, headers: &Headers) {
        self.session = match (SessionExpires::read(headers), self.session) {
            (Some(agreed), _) => {
                let we_refresh = agreed.refresher != Some(Refresher::Uas);
                Some(SessionTimer::new(now, agreed.seconds.max(SHORTEST), we_refresh))
            }
            // A peer without session timers has answered, and that is what counts.
            (None, Some(ours)) => Some(SessionTimer::new(now, ours.seconds(), true)),
            (None, None) => None,
        };
    }

    /// The answer to our refresh, or none.
    pub(super) fn refresh_finished(
        &mut self,
        now: Instant,
        core: &mut Core,
        answer: Option<&Received<Response>>,
    ) {
        self.refreshing = None;
        let Some(session) = &mut self.session else { return };
        let headers = answer.map(|answer| &answer.message.headers);
        match (answer.map(|answer| answer.message.status), headers) {
            (Some(200..300), Some(headers)) => {
                // An UPDATE refreshes the target like a re-INVITE does (RFC 3311 §5.2).
                if let Some(dialog) = &mut self.dialog {
                    dialog.refresh_target(headers);
                }
                self.take_session(now, headers);
            }
            // §10: the peer is gone, or has forgotten us.
            (None | Some(408 | 481), _) | (Some(_), None) => {
                self.send_bye(now, core, None);
                self.end(now, core, End::Failed(Failure::DialogLost));
            }
            // RFC 3261 §14.1: both asked at once. Whoever made the Call-ID waits longer.
            (Some(491), _) => {
                let wait = match self.called_first {
                    true => core.random.u64(210..=400),
                    false => core.random.u64(0..=200),
                };
                session.retry(now, Duration::from_millis(10 * wait));
            }
            (Some(405 | 501), _) if self.updates => {
                self.updates = false;
                session.retry(now, Duration::ZERO);
            }
            (Some(422), Some(headers)) => {
                let seconds = min_se(headers).max(session.seconds());
                *session = SessionTimer::new(now, seconds, true);
                session.retry(now, Duration::ZERO);
            }
            (Some(_), _) => session.retry(now, SOON),
        }
    }

    fn refresh(&mut self, now: Instant, core: &mut Core) {
        let Some(session) = &mut self.session else { return };
        let busy = self.incoming.is_some() || self.outgoing.is_some() || self.leaving.is_some();
        if busy || self.phase != Phase::Established {
            return session.retry(now, SOON);
        }
        let seconds = session.seconds();
        let expires = SessionExpires { seconds, refresher: Some(Refresher::Uac) };
        let Some(dialog) = &mut self.dialog else { return };
        core.stats.refreshes_sent += 1;
        if self.updates {
            let owner = Owner::Call(self.key);
            let id = core.request(now, dialog, Method::Update, owner, |update| {
                update.headers.push("Supported", "timer");
                update.headers.push("Session-Expires", expires.to_value());
            });
            self.refreshing = Some(id);
            return;
        }
        // The same description again, with the same version, changes nothing (RFC 3264 §8).
        let offer = self.local_sdp.clone();
        let offered = offer.is_some();
        let id = self.send_reinvite(now, core, offer, Some(expires));
        self.outgoing = id.map(|id| Outgoing { id, offered, refresh: true, ack_owed: None });
    }
}

/// The 422 to a request that asks for too short a session, if it does (RFC 4028 §6).
pub(super) fn too_brief(headers: &Headers) -> Option<Refusal> {
    let least = SessionExpires::answer(headers, 0).err()?;
    Some(Refusal::with(422, "Min-SE", &least.0.to_string()))
}

/// Agrees on a session's life with the request of `headers`; the fields that say so in our 2xx.
pub(super) fn answer_session(
    session: &mut Option<SessionTimer>,
    now: Instant,
    core: &Core,
    headers: &Headers,
) -> Vec<(String, String)> {
    let agreed = SessionExpires::answer(headers, core.settings.session_expires);
    let Ok(Some(agreed)) = agreed else {
        *session = None;
        return Vec::new();
    };
    let they_refresh = agreed.refresher == Some(Refresher::Uac);
    *session = Some(SessionTimer::new(now, agreed.seconds, !they_refresh));
    let mut fields = vec![("Session-Expires".to_owned(), agreed.to_value())];
    if they_refresh {
        fields.push(("Require".to_owned(), "timer".to_owned()));
    }
    fields
}
