//! What the signalling thread does about a claimed identity: the comparison that it asks for, by the leave that there is.

use std::sync::Arc;

use jiff::Timestamp;
use tracing::warn;

use crate::call::adaptation_watch::AdaptationWatch;
use crate::call::claim_watch::{ClaimWatch, Claimed};
use crate::call::facts::{Agreed, Facts};
use crate::call::media_consent::VoiceOrder;
use crate::consent::consents::{Consents, Given};
use crate::consent::permit::{Adaptation, Spotting, Verification, Watchlisting};
use crate::consent::scope::Scopes;
use crate::policy::evidence::Obstacle;
use crate::policy::rule::Party;
use crate::runtime::signalling::Signalling;
use crate::sip::event::CallKey;
use crate::speaker::voiceprint::Voiceprint;
use crate::speaker::watchlist::Watchlist;

/// What is kept of whoever is claimed to speak on a leg.
#[derive(Debug, Default)]
pub(super) struct KnownOf {
    /// What they agreed to.
    pub(super) consents: Consents,
    /// Their voice.
    pub(super) voiceprint: Option<Voiceprint>,
    /// The voice of the agent on the same leg, who agreed to being left out.
    pub(super) agent: Option<Voiceprint>,
}

impl Signalling {
    /// Asks what the claim of a leg, whose facts `by` told, comes to.
    pub(super) fn claim(&mut self, key: CallKey, by: &str) {
        let Some(entry) = self.calls.get(&key) else { return };
        let facts = &entry.facts;
        let given = facts.consent.as_ref().map(|agreed| self.given(agreed, by));
        let consents =
            given.map_or_else(Consents::default, |(scopes, given)| Consents::of(scopes, &given));
        // Nothing is looked up about a person who has not agreed to it.
        let may = consents.permit::<Verification>(Timestamp::now()).is_ok();
        let of = |subject: &Option<String>| subject.as_deref().and_then(|s| self.voiceprint(s));
        let voiceprint = may.then(|| of(&facts.subject)).flatten();
        let agent = (may && facts.party == Party::Mixed).then(|| of(&facts.agent)).flatten();
        self.handle_known(key, &KnownOf { consents, voiceprint, agent });
    }

    /// What a consent covers that `by` refers to, from now on.
    pub(super) fn given(&self, agreed: &Agreed, by: &str) -> (Scopes, Given) {
        let (reference, at) = (agreed.reference.clone(), Timestamp::now());
        let given = Given { reference, at, by: by.to_owned(), expires: self.consent.end(at) };
        (agreed.scopes.unwrap_or(self.consent.scopes), given)
    }

    /// It is known what a leg's claim rests on: its voice is compared and its phrases are listened for, or not.
    pub(super) fn handle_known(&mut self, key: CallKey, known: &KnownOf) {
        let Some(entry) = self.calls.get(&key) else { return };
        let facts = &entry.facts;
        if facts.agent.is_some() && facts.party == Party::Mixed && known.agent.is_none() {
            warn!("the agent named by X-Sidetone-Agent has no voiceprint, and is not left out");
        }
        if self.consent.keywords
            && let Ok(leave) = known.consents.permit::<Spotting>(Timestamp::now())
            && entry.orders.use_voice(VoiceOrder::Listen(leave)).is_err()
        {
            warn!(conversation = facts.conversation, "phrases are not listened for");
        }
        if facts.subject.is_some() {
            let claim = self.watch(facts, known);
            self.with(key, |call, judge| call.handle_claim(judge, claim));
        }
    }

    /// The comparison that a claim asks for, or why there can be none.
    fn watch(&self, facts: &Facts, known: &KnownOf) -> Result<ClaimWatch, Obstacle> {
        let now = Timestamp::now();
        let leave = known.consents.permit::<Verification>(now)?;
        let claimed = Claimed {
            leave: &leave,
            voiceprint: known.voiceprint.as_ref(),
            agent: known.agent.as_ref(),
        };
        let watchlist = known.consents.permit::<Watchlisting>(now).ok();
        let watchlist = watchlist.filter(|_| !self.known.is_empty());
        let watchlist = watchlist
            .map(|leave| Watchlist::new(&leave, Arc::clone(&self.known), self.calibration));
        let weighing = (self.calibration, self.speaker.decision());
        let models = &self.models.speaker;
        let mut watch = ClaimWatch::new(facts.party, claimed, models, weighing, watchlist)?;
        let settings = self.speaker.adaptation;
        if let (true, Ok(leave)) = (settings.enabled, known.consents.permit::<Adaptation>(now)) {
            watch.adapt(AdaptationWatch::new(&leave, settings, models));
        }
        Ok(watch)
    }

    /// The claim came after the media session had begun.
    pub(super) fn compare(&mut self, key: CallKey, watch: Box<ClaimWatch>) {
        let Some(entry) = self.calls.get(&key) else { return };
        if entry.orders.use_voice(VoiceOrder::Compare(watch)).is_err() {
            warn!(conversation = entry.facts.conversation, "the claim is not compared");
        }
    }

    fn voiceprint(&self, subject: &str) -> Option<Voiceprint> {
        self.store.load(subject).unwrap_or_else(|error| {
            warn!(%error, "a voiceprint cannot be used");
            None
        })
    }
}
