//! Conversations as the signalling thread knows them: what judges each, and where its verdicts go.

use std::sync::Arc;
use std::time::Instant;

use crate::call::notice::notice;
use crate::policy::judge::Judge;
use crate::policy::verdict::Verdict;
use crate::runtime::line_log;
use crate::runtime::observation::Observation;
use crate::runtime::policy_in_force::PolicyInForce;
use crate::runtime::signalling::Signalling;
use crate::sip::event::CallKey;

/// One conversation, for as long as it has a call.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) judge: Judge,
    /// What was in force when it began, and stays so for it.
    pub(super) policy: PolicyInForce,
    /// How many calls it has.
    pub(super) calls: usize,
}

impl Conversation {
    /// The conversation `id` begins, with no call yet.
    pub(super) fn new(id: String, policy: &PolicyInForce) -> Self {
        let judge = Judge::new(id, Arc::clone(policy.policy()));
        Self { judge, policy: policy.clone(), calls: 0 }
    }
}

impl Signalling {
    /// The policy of the conversation `id`, also where that has yet to begin.
    pub(super) fn policy_of(&self, id: &str) -> &PolicyInForce {
        self.conversations.get(id).map_or(&self.policy, |conversation| &conversation.policy)
    }

    /// Tells a verdict: to the peer of its leg while that call stands, and to everybody else.
    pub(super) fn tell(&mut self, key: CallKey, verdict: Box<Verdict>, inform: bool) {
        if inform {
            self.endpoint.send_info(Instant::now(), key, notice(&verdict));
        }
        self.publish_verdict(key, verdict);
    }

    pub(super) fn publish_verdict(&self, key: CallKey, verdict: Box<Verdict>) {
        self.metrics.verdict(&verdict);
        line_log::log(&verdict);
        let verdict = Arc::from(verdict);
        let _ = self.observers.send(Observation::Verdict { call: key, verdict });
    }

    /// Drops a call once its dialog and its media session are over.
    pub(super) fn forget(&mut self, key: CallKey) {
        if !self.calls.get(&key).is_some_and(|entry| entry.ended && entry.silent) {
            return;
        }
        let entry = self.calls.remove(&key).expect("it was just looked at");
        if let Some(conversation) = self.conversations.get_mut(&entry.facts.conversation) {
            conversation.calls -= 1;
            if conversation.calls > 0 {
                return;
            }
        }
        self.conclude_rules(key, &entry.facts.conversation);
    }
}
