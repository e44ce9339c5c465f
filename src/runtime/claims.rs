//! What the signalling thread does about a claimed identity: the comparison that it asks for, by the leave that there is.

use std::sync::Arc;

use jiff::Timestamp;
use tracing::warn;

use crate::call::adaptation_watch::AdaptationWatch;
use crate::call::claim_watch::{ClaimWatch, Claimed};
use crate::call::facts::{Agreed, Facts};
use crate::call::media_consent::VoiceOrder;
use crate::consent::consents::{Change, Consents, Given};
use crate::consent::permit::{Adaptation, Spotting, Verification, Watchlisting};
use crate::consent::role::Role;
use crate::consent::scope::Scopes;
use crate::policy::evidence::Obstacle;
use crate::policy::rule::Party;
use crate::runtime::signalling::Signalling;
use crate::runtime::store::claim::{Claim, KnownOf};
use crate::runtime::store::vault::Subject;
use crate::sip::event::CallKey;
use crate::speaker::watchlist::{Known, Watchlist};

impl Signalling {
    /// Asks what the claim of a leg comes to, whose facts `by` told. The leg begins meanwhile.
    pub(super) fn claim(&mut self, key: CallKey, by: &str) {
        let Some(entry) = self.calls.get_mut(&key) else { return };
        by.clone_into(&mut entry.by);
        let Some(entry) = self.calls.get(&key) else { return };
        let facts = &entry.facts;
        let given = facts.consent.as_ref().map(|agreed| self.given(agreed, by));
        let Some(name) = &facts.subject else {
            // Nobody is named whose consent could be kept: it is good for this call, and for phrases alone.
            let consents = given.map(|(scopes, given)| Consents::of(scopes, &given));
            let consents = consents.unwrap_or_default();
            return self.handle_known(key, &KnownOf { consents, ..KnownOf::default() });
        };
        let agent = facts.agent.as_ref().filter(|_| facts.party == Party::Mixed);
        let claim = Claim {
            subject: Subject::new(facts.role(), name),
            change: given.map(|(scopes, given)| Change::Given { scopes, given }),
            standing: self.consent.standing,
            agent: agent.map(|agent| Subject::new(Role::Agent, agent)),
        };
        if claim.change.is_none() && !claim.standing {
            // Nothing is looked up about a person who has not agreed to it.
            return self.handle_known(key, &KnownOf::default());
        }
        self.asking.ask(
            move |vault| vault.claim(&claim, Timestamp::now()),
            move |signalling, known| match known {
                Ok(known) => signalling.handle_known(key, &known),
                Err(_) => signalling.handle_unknown(key),
            },
        );
    }

    /// What a consent covers that `by` refers to, from now on.
    pub(super) fn given(&self, agreed: &Agreed, by: &str) -> (Scopes, Given) {
        let (reference, at) = (agreed.reference.clone(), Timestamp::now());
        let given = Given { reference, at, by: by.to_owned(), expires: self.consent.end(at) };
        (agreed.scopes.unwrap_or(self.consent.scopes), given)
    }

    /// The store cannot say what a leg's claim rests on.
    fn handle_unknown(&mut self, key: CallKey) {
        let claim = Err(Obstacle::StoreUnavailable);
        self.with(key, |call, judge| call.handle_claim(judge, claim));
    }

    /// The watchlist has changed: who is claimed from now on is compared with what it has become.
    pub(super) fn handle_known_voices(&mut self, known: Known) {
        self.known = Arc::new(known);
    }

    /// It is known what a leg's claim rests on: its voice is compared and its phrases are listened for, or not.
    fn handle_known(&mut self, key: CallKey, known: &KnownOf) {
        let Some(entry) = self.calls.get_mut(&key) else { return };
        entry.person.clone_from(&known.person);
        entry.agent = known.agent.as_ref().map(|(person, _)| person.clone());
        let facts = &entry.facts;
        let has_voice = known.agent.as_ref().is_some_and(|(_, voice)| voice.voiceprint.is_some());
        if known.agent.is_some() && !has_voice {
            let conversation = &facts.conversation;
            warn!(conversation, "the agent has no voiceprint with a consent, and is not left out");
        }
        if self.consent.keywords
            && let Ok(leave) = known.consents.permit::<Spotting>(Timestamp::now())
            && entry.orders.use_voice(VoiceOrder::Listen(leave)).is_err()
        {
            warn!(conversation = facts.conversation, "phrases are not listened for");
        }
        if let Some(entry) = self.calls.get(&key).filter(|entry| entry.facts.subject.is_some()) {
            let claim = self.watch(&entry.facts, known);
            self.with(key, |call, judge| call.handle_claim(judge, claim));
        }
    }

    /// The comparison that a claim asks for, or why there can be none.
    fn watch(&self, facts: &Facts, known: &KnownOf) -> Result<ClaimWatch, Obstacle> {
        let now = Timestamp::now();
        let leave = known.consents.permit::<Verification>(now);
        let leave = leave.map_err(|why| known.refusal(why))?;
        let agent = known.agent.as_ref();
        let claimed = Claimed {
            leave: &leave,
            voiceprint: known.voice.voiceprint.as_ref(),
            agent: agent.and_then(|(_, voice)| voice.voiceprint.as_ref()),
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
}
