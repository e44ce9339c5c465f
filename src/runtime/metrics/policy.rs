//! Which policy is in force, and what became of events to be kept for its rules.

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use super::registered;

/// Names of metrics are constants.
const VALID: &str = "valid names";

/// The metrics of policies.
#[derive(Debug)]
pub(super) struct PolicyMetrics {
    in_force: IntGaugeVec,
    events: IntCounterVec,
}

impl PolicyMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let info = Opts::new(
            "sidetone_policy_info",
            "Always 1; the policy that new conversations are judged by is its label.",
        );
        let events = Opts::new(
            "sidetone_rule_events_total",
            "Events to be kept for an audit: kept, lost (the disk refused or was too slow; the file ends there).",
        );
        let metrics = Self {
            events: registered(registry, IntCounterVec::new(events, &["outcome"]).expect(VALID)),
            in_force: registered(registry, IntGaugeVec::new(info, &["policy"]).expect(VALID)),
        };
        for outcome in ["kept", "lost"] {
            metrics.events.with_label_values(&[outcome]);
        }
        metrics
    }

    pub(super) fn in_force(&self, policy: &str) {
        self.in_force.reset();
        self.in_force.with_label_values(&[policy]).set(1);
    }

    pub(super) fn events(&self, outcome: &str, count: u64) {
        self.events.with_label_values(&[outcome]).inc_by(count);
    }
}
