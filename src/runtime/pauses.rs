//! What the signalling thread does about pauses: which legs a phrase, a card, a header or an order pauses, and what is
//! told of it.

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::error::TrySendError;
use tracing::info;
use utoipa::ToSchema;

use crate::call::media_pause::CardPause;
use crate::call::pauses::Pausing;
use crate::policy::pause::{Holder, Pause, PauseEvidence, Trigger};
use crate::policy::rule::{Party, Policy};
use crate::policy::verdict::{Finding, Verdict};
use crate::runtime::http::description::party_or_none;
use crate::runtime::signalling::Signalling;
use crate::sip::event::CallKey;

/// Whose legs to pause, or not any more: the body of `POST /pauses`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseOrder {
    /// The conversation.
    #[schema(example = "4711")]
    pub conversation: String,
    /// Whose leg of it; all of them where nobody is named. A leg that carries everybody is one of each.
    #[serde(default)]
    #[schema(schema_with = party_or_none, required = false)]
    pub party: Option<Party>,
    /// Whether they are to be paused.
    pub pause: bool,
}

/// Which legs are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// That of a call that we placed, by its number.
    Call(u64),
    /// Those of a conversation.
    Conversation(String, Option<Party>),
}

/// An order that the legs have got; their verdicts tell the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Ordered {
    /// Whose verdicts.
    pub conversation: String,
    /// How many legs.
    pub legs: usize,
    /// Whether they are to be paused.
    pub pause: bool,
}

/// What digits of a card begin on a leg of `party`.
pub(super) fn card_pauses(policy: &Policy, party: Party) -> Vec<CardPause> {
    let of_cards = policy.pauses.iter().filter(|pause| pause.cards && pause.silences(party));
    of_cards.map(|pause| CardPause { id: pause.id.clone(), at_most: pause.at_most() }).collect()
}

fn begin(pause: &Pause, by: Trigger) -> Pausing {
    let (holder, at_most) = (Holder::Policy(pause.id.clone()), Some(pause.at_most()));
    Pausing::Begin { holder, by, at_most }
}

/// What somebody who is not the policy wants.
fn wish(pause: bool, holder: Holder, by: Trigger) -> Pausing {
    if pause {
        Pausing::Begin { holder, by, at_most: None }
    } else {
        // Whoever says so by hand means it, whatever else began it.
        Pausing::End { holder: None, by }
    }
}

impl Signalling {
    /// Pauses legs, or ends it, where `verdict` is about a phrase that does.
    pub(super) fn pause_by_phrase(&mut self, verdict: &Verdict) {
        let Finding::Keyword { phrase, .. } = &verdict.finding else { return };
        let policy = Arc::clone(self.policy_of(&verdict.conversation).policy());
        let mut orders = Vec::new();
        for pause in &policy.pauses {
            if pause.begins_with(phrase, verdict.party) {
                orders.push((pause.clone(), begin(pause, Trigger::Phrase)));
            } else if pause.ends_with(phrase) {
                let holder = Some(Holder::Policy(pause.id.clone()));
                orders.push((pause.clone(), Pausing::End { holder, by: Trigger::Phrase }));
            }
        }
        for (pause, pausing) in orders {
            self.pause_legs(&verdict.conversation, |party| pause.silences(party), &pausing);
        }
    }

    /// The PBX asks in the dialog of a call for its leg's pause, or for its end.
    pub(super) fn pause_by_header(&mut self, key: CallKey, begins: bool) {
        self.pause_one(key, wish(begins, Holder::Header, Trigger::Header));
    }

    /// One leg alone: who joins for its party is not paused by that, but what is ended here is over for them, too.
    fn pause_one(&mut self, key: CallKey, pausing: Pausing) {
        let entry = self.calls.get(&key);
        let facts = entry.map(|entry| (entry.facts.conversation.as_str(), entry.facts.party));
        if let (Some((id, party)), Pausing::End { .. }) = (facts, &pausing)
            && let Some(conversation) = self.conversations.get_mut(id)
        {
            conversation.pauses.handle(Instant::now(), party, &pausing);
        }
        self.pause_leg(key, pausing);
    }

    /// Does what was asked for at the desk; `None` if no call stands there.
    pub(super) fn pause(&mut self, whose: &Whose, pause: bool) -> Option<Ordered> {
        let pausing = wish(pause, Holder::Api, Trigger::Api);
        let (conversation, legs) = match whose {
            Whose::Call(id) => {
                let key = self.placed.key(*id)?;
                let conversation = self.calls.get(&key)?.facts.conversation.clone();
                self.pause_one(key, pausing);
                (conversation, 1)
            }
            Whose::Conversation(conversation, party) => {
                let meant = |of| of == Party::Mixed || party.is_none_or(|party: Party| party == of);
                (conversation.clone(), self.pause_legs(conversation, meant, &pausing))
            }
        };
        (legs > 0).then_some(Ordered { conversation, legs, pause })
    }

    /// A leg is paused for one more reason, or one less.
    pub(super) fn handle_pause(&mut self, key: CallKey, pause: &PauseEvidence) {
        let Some(entry) = self.calls.get_mut(&key) else { return };
        entry.paused = pause.paused;
        self.metrics.pauses.changed(pause.state, pause.by);
        let (conversation, party) = (entry.facts.conversation.clone(), entry.facts.party.as_str());
        let (state, by, paused) = (pause.state.as_str(), pause.by.as_str(), pause.paused);
        info!(conversation, party, state, by, pause = pause.pause, paused, "pause");
        let Some(id) = pause.pause.as_ref().filter(|_| pause.heard_here) else { return };
        let policy = self.policy_of(&conversation).policy();
        // The other legs that it is to silence have not heard the card.
        let known = policy.pauses.iter().find(|known| known.id == *id).cloned();
        if let Some(known) = known {
            let pausing = begin(&known, pause.by);
            self.pause_legs(&conversation, |party| known.silences(party), &pausing);
        }
    }

    /// A leg that joins what is paused is paused from its first word.
    pub(super) fn pause_joiner(&mut self, key: CallKey) {
        let Some(entry) = self.calls.get(&key) else { return };
        let party = entry.facts.party;
        let conversation = self.conversations.get(&entry.facts.conversation);
        let standing = conversation.map(|known| known.pauses.of(Instant::now(), party));
        standing.unwrap_or_default().into_iter().for_each(|pausing| self.pause_leg(key, pausing));
    }

    /// Tells the legs of a conversation whose party is `meant`, and those that will join; returns how many there are.
    fn pause_legs(
        &mut self,
        conversation: &str,
        meant: impl Fn(Party) -> bool,
        pausing: &Pausing,
    ) -> usize {
        if let Some(conversation) = self.conversations.get_mut(conversation) {
            let parties = [Party::Caller, Party::Agent, Party::Mixed].into_iter();
            parties.filter(|party| meant(*party)).for_each(|party| {
                conversation.pauses.handle(Instant::now(), party, pausing);
            });
        }
        let legs = self.calls.iter().filter(|(_, entry)| {
            let facts = &entry.facts;
            facts.conversation == conversation && meant(facts.party) && !entry.ended
        });
        let legs: Vec<CallKey> = legs.map(|(key, _)| *key).collect();
        legs.iter().for_each(|key| self.pause_leg(*key, pausing.clone()));
        legs.len()
    }

    fn pause_leg(&mut self, key: CallKey, pausing: Pausing) {
        let Some(entry) = self.calls.get(&key) else { return };
        if let Err(TrySendError::Full(_)) = entry.orders.pause.try_send(pausing) {
            // Never to be lost: rather than hear what is not to be heard we leave.
            let reason = "SIP;cause=500;text=\"the leg cannot be paused\"".to_owned();
            self.hang_up(key, reason);
        }
    }
}
