//! What the signalling thread does about a claimed identity: the comparison that it asks for.

use std::sync::Arc;

use tracing::warn;

use crate::call::facts::Facts;
use crate::call::speaker_watch::SpeakerWatch;
use crate::policy::evidence::Obstacle;
use crate::policy::rule::Party;
use crate::runtime::signalling::Signalling;
use crate::speaker::verifier::Verifier;
use crate::speaker::watchlist::Watchlist;

impl Signalling {
    /// The comparison that the claim of `subject` asks for, or why there can be none.
    pub(super) fn watch(&self, subject: &str, facts: &Facts) -> Result<SpeakerWatch, Obstacle> {
        // Nothing is looked up about a person who has not agreed to it.
        let voiceprint = match &facts.consent {
            None => None,
            Some(_) => self.store.load(subject).unwrap_or_else(|error| {
                warn!(%error, "a voiceprint cannot be used");
                None
            }),
        };
        let verifier = Verifier::new(self.calibration, self.speaker.decision());
        let verifier = match facts.party {
            Party::Mixed => verifier.on_a_mixed_leg(),
            Party::Caller | Party::Agent => verifier,
        };
        let mut watch = SpeakerWatch::new(
            facts.consent.as_ref(),
            voiceprint.as_ref(),
            &self.models.speaker,
            verifier,
        )?;
        if !self.known.is_empty() {
            watch.look_out(Watchlist::new(Arc::clone(&self.known), self.calibration));
        }
        Ok(watch)
    }
}
