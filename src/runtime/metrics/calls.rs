//! Calls, and what their legs are at.

use std::collections::BTreeMap;

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::bounded::Bounded;
use super::families::Families;
use crate::runtime::leg_figures::LegState;
use crate::sip::stats::Stats;

/// The metrics of calls and legs.
#[derive(Debug)]
pub(super) struct CallMetrics {
    active: IntGauge,
    begun: IntCounter,
    ended: IntCounterVec,
    refused: IntCounterVec,
    statuses: Bounded,
    silent: IntCounter,
    legs: IntGaugeVec,
}

impl CallMetrics {
    pub(super) fn new(families: Families<'_>) -> Self {
        let metrics = Self {
            active: families.gauge("sidetone_calls_active", "Calls in progress."),
            begun: families.counter("sidetone_calls_total", "Calls begun, by a peer or by us."),
            ended: families.counters("sidetone_calls_ended_total", "Calls over, by how.", &["end"]),
            refused: families.counters(
                "sidetone_calls_refused_total",
                "Calls not taken, by the status that said so.",
                &["status"],
            ),
            statuses: Bounded::new(40),
            silent: families.counter(
                "sidetone_calls_silent_total",
                "Calls ended because nothing came any more.",
            ),
            legs: families.gauges(
                "sidetone_legs",
                "Legs by what they are at: connecting, waiting (for the first audio), heard, held (by the peer), \
                 paused, one_way (nothing for 10 s from who is to send), closing (the last answers are waited for).",
                &["state"],
            ),
        };
        for end in ["by_peer", "by_us", "cancelled", "refused", "failed"] {
            metrics.ended.with_label_values(&[end]);
        }
        metrics.refused.with_label_values(&["503"]);
        for state in LegState::ALL {
            metrics.legs.with_label_values(&[state.as_str()]);
        }
        metrics
    }

    /// What the endpoint has counted since `before`.
    pub(super) fn publish(&self, before: &Stats, now: &Stats) {
        self.active.set(i64::try_from(now.calls_alive).unwrap_or(i64::MAX));
        self.begun.inc_by(now.calls - before.calls);
        let refused = now.calls_refused - before.calls_refused;
        self.refused.with_label_values(&["503"]).inc_by(refused);
    }

    /// A call was not taken.
    pub(super) fn refused(&self, status: u16) {
        let status = status.to_string();
        self.refused.with_label_values(&[self.statuses.label(&status)]).inc();
    }

    /// A call ended; `end` is one word of a closed list.
    pub(super) fn ended(&self, end: &str) {
        self.ended.with_label_values(&[end]).inc();
    }

    /// A call was ended because nothing came any more.
    pub(super) fn silent(&self) {
        self.silent.inc();
    }

    /// What all legs are at now.
    pub(super) fn legs(&self, states: impl Iterator<Item = LegState>) {
        let mut counts = BTreeMap::<&str, i64>::new();
        states.for_each(|state| *counts.entry(state.as_str()).or_default() += 1);
        for state in LegState::ALL.map(LegState::as_str) {
            let legs = counts.get(state).copied().unwrap_or_default();
            self.legs.with_label_values(&[state]).set(legs);
        }
    }
}
