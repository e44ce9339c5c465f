//! What the signalling thread does about a claimed identity: the comparison that it asks for.

use std::sync::Arc;

use tracing::warn;

use crate::call::claim_watch::{ClaimWatch, Claimed};
use crate::call::facts::Facts;
use crate::policy::evidence::Obstacle;
use crate::policy::rule::Party;
use crate::runtime::signalling::Signalling;
use crate::speaker::voiceprint::Voiceprint;
use crate::speaker::watchlist::Watchlist;

impl Signalling {
    /// The comparison that the claim of `subject` asks for, or why there can be none.
    pub(super) fn watch(&self, subject: &str, facts: &Facts) -> Result<ClaimWatch, Obstacle> {
        // Nothing is looked up about a person who has not agreed to it.
        let voiceprint = facts.consent.as_ref().and_then(|_| self.voiceprint(subject));
        let agent = facts.agent.as_deref().filter(|_| facts.party == Party::Mixed);
        let agent = agent.filter(|_| facts.consent.is_some());
        let agent = agent.and_then(|agent| {
            let voiceprint = self.voiceprint(agent);
            if voiceprint.is_none() {
                warn!("the agent named by X-Sidetone-Agent has no voiceprint, and is not left out");
            }
            voiceprint
        });
        let claimed = Claimed {
            consent: facts.consent.as_ref(),
            voiceprint: voiceprint.as_ref(),
            agent: agent.as_ref(),
        };
        let watchlist = (!self.known.is_empty())
            .then(|| Watchlist::new(Arc::clone(&self.known), self.calibration));
        let weighing = (self.calibration, self.speaker.decision());
        ClaimWatch::new(facts.party, claimed, &self.models.speaker, weighing, watchlist)
    }

    fn voiceprint(&self, subject: &str) -> Option<Voiceprint> {
        self.store.load(subject).unwrap_or_else(|error| {
            warn!(%error, "a voiceprint cannot be used");
            None
        })
    }
}
