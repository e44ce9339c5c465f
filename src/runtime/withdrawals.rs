//! What the signalling thread does where a consent goes while its person is in a call.

use jiff::Timestamp;
use tracing::{info, warn};

use crate::consent::consents::{Consents, Refusal};
use crate::consent::scope::{Scope, Scopes};
use crate::runtime::signalling::{Entry, Signalling};
use crate::vault::pseudonym::Pseudonym;

impl Signalling {
    /// The consents of `person` have changed: whoever of them is in a call is not listened to any more as they do not
    /// want it.
    pub(super) fn handle_consents(&mut self, person: &Pseudonym, consents: &Consents) {
        let now = Timestamp::now();
        let gone = |scope: Scope| match consents.given(scope, now) {
            Err(why @ (Refusal::Withdrawn | Refusal::Expired | Refusal::OptedOut)) => Some(why),
            // What was never given rests on nothing that could go.
            Ok(_) | Err(Refusal::None | Refusal::NotCovered) => None,
        };
        let gone: Vec<_> = Scope::ALL.into_iter().filter_map(|s| Some((s, gone(s)?))).collect();
        if gone.is_empty() {
            return;
        }
        let mut unheard = Vec::new();
        for (key, entry) in &self.calls {
            let orders: Vec<_> = gone
                .iter()
                .filter(|(scope, _)| entry.rests_on(person, *scope, self.consent.keywords))
                .collect();
            if orders.is_empty() {
                continue;
            }
            let scopes: Scopes = orders.iter().map(|(scope, _)| *scope).collect();
            info!(conversation = entry.facts.conversation, %scopes, "the consent has gone");
            for (scope, why) in orders {
                let order = entry.orders.withdraw(Scopes::NONE.with(*scope), *why);
                // A leg that is over hears nothing any more; one that is too busy to listen must not be listened to.
                if order.is_err() && !entry.silent && !unheard.contains(key) {
                    unheard.push(*key);
                }
            }
        }
        for key in unheard {
            warn!("a leg did not take that its consent has gone, and is ended");
            self.hang_up(key, "SIP;cause=500;text=\"consent withdrawn\"".to_owned());
        }
    }
}

impl Entry {
    /// Whether something on this leg rests on the consent of `person` to `scope`. `keywords` is whether phrases need one.
    fn rests_on(&self, person: &Pseudonym, scope: Scope, keywords: bool) -> bool {
        match scope {
            // Everybody on a mixed leg is heard, the agent too.
            Scope::Verify => {
                self.person.as_ref() == Some(person) || self.agent.as_ref() == Some(person)
            }
            Scope::Enrol => self.enrolling.as_ref() == Some(person),
            Scope::Adapt | Scope::Watchlist => self.person.as_ref() == Some(person),
            Scope::Keywords => keywords && self.person.as_ref() == Some(person),
        }
    }
}
