//! What policies have done about verdicts.

use prometheus::{IntCounterVec, Opts, Registry};

use super::families::registered;

/// The metrics of actions.
#[derive(Debug)]
pub struct ActionMetrics {
    counts: IntCounterVec,
}

impl ActionMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let counts = Opts::new(
            "sidetone_actions_total",
            "Acts that policies asked for: asked (of a receiver, or done to our own leg), no_channel (the PBX named none).",
        );
        let counts = IntCounterVec::new(counts, &["act", "result"]).expect("valid names");
        for act in ["set", "redirect", "warn", "hang_up_tap", "hang_up_call"] {
            for result in ["asked", "no_channel"] {
                counts.with_label_values(&[act, result]);
            }
        }
        Self { counts: registered(registry, counts) }
    }

    /// An act was asked for; both are words of closed lists.
    pub fn count(&self, act: &str, result: &str) {
        self.counts.with_label_values(&[act, result]).inc();
    }
}
