//! A policy and what listens for its phrases: a conversation keeps the ones that it began with.

use std::sync::Arc;

use crate::keyword::spotter::Spotter;
use crate::policy::rule::{Party, Policy};

/// A policy that new conversations are judged by.
///
/// Evidence names phrases by their place in the policy's list, so the two never part: what waits for the model
/// carries the spotter of its call, whatever is in force by then.
#[derive(Clone, Debug)]
pub struct PolicyInForce {
    policy: Arc<Policy>,
    spotter: Arc<Spotter>,
}

impl PolicyInForce {
    /// `spotter` listens for the phrases of `policy`, in its order.
    pub fn new(policy: Policy, spotter: Arc<Spotter>) -> Self {
        Self { policy: Arc::new(policy), spotter }
    }

    /// The policy.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// What listens on legs of `party`; nothing where neither a phrase nor a card is watched for on them.
    pub fn spotter(&self, party: Party) -> Option<Arc<Spotter>> {
        let watched = (0..self.policy.phrases.len()).any(|p| self.policy.watches(p, party))
            || self.policy.pauses.iter().any(|pause| pause.cards && pause.silences(party));
        watched.then(|| Arc::clone(&self.spotter))
    }
}
