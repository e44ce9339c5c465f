//! A policy and what listens for its phrases: a conversation keeps the ones that it began with.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::policy::rule::{Party, Policy};
use crate::runtime::phrase_engine::Listening;

/// A policy that new conversations are judged by.
///
/// Evidence names phrases by their place in the policy's list, so the two never part: what waits for the model
/// carries what listens for its call, whatever is in force by then.
#[derive(Clone, Debug)]
pub struct PolicyInForce {
    policy: Arc<Policy>,
    listening: Listening,
    /// SHA-256 of the file that it was read from, if it was.
    digest: Option<String>,
}

impl PolicyInForce {
    /// `listening` is for the phrases of `policy`, in its order.
    pub fn new(policy: Policy, listening: Listening) -> Self {
        Self { policy: Arc::new(policy), listening, digest: None }
    }

    /// The same, read from a file that holds `text`.
    #[must_use]
    pub fn read_from(self, text: &[u8]) -> Self {
        Self { digest: Some(hex::encode(Sha256::digest(text))), ..self }
    }

    /// SHA-256 of the file that it was read from, if it was.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// The policy.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// What listens on legs of `party`; nothing where neither a phrase nor a card is watched for on them.
    pub fn listening(&self, party: Party) -> Option<Listening> {
        let watched = (0..self.policy.phrases.len()).any(|p| self.policy.watches(p, party))
            || self.policy.pauses.iter().any(|pause| pause.cards && pause.silences(party));
        watched.then(|| self.listening.clone())
    }
}
