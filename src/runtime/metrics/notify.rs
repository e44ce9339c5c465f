//! What became of verdicts on their way to receivers beside SIP.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Registry};

use super::bounded::Bounded;
use super::families::Families;
use super::overload::{OverloadMetrics, Rung};

/// The metrics of notifiers; each has the receiver's name in the configuration as a label, the first 22 of them.
#[derive(Debug)]
pub struct NotifyMetrics {
    results: IntCounterVec,
    waiting: IntGaugeVec,
    up: IntGaugeVec,
    failures: IntCounterVec,
    seconds: HistogramVec,
    /// Receivers that have a label of their own.
    receivers: Bounded,
    /// Those that have a histogram of their own, which is 13 series each.
    timed: Bounded,
    overflowed: IntCounter,
}

impl NotifyMetrics {
    pub(super) fn new(registry: &Registry, overload: &OverloadMetrics) -> Self {
        let families = Families(registry);
        let counters =
            |name: &str, help: &str, labels: &[&str]| families.counters(name, help, labels);
        let gauges = |name: &str, help: &str| families.gauges(name, help, &["receiver"]);
        Self {
            results: counters(
                "sidetone_notify_total",
                "Verdicts for a receiver that wait no more: delivered, refused, expired (too old), overflow (too many waited).",
                &["receiver", "result"],
            ),
            waiting: gauges("sidetone_notify_waiting", "Verdicts that wait for a receiver."),
            up: gauges(
                "sidetone_notify_up",
                "1 while the last that was tried of a receiver went well.",
            ),
            failures: counters(
                "sidetone_notify_failures_total",
                "Tries that failed: unreachable, login (name or password refused), refused (this verdict).",
                &["receiver", "why"],
            ),
            seconds: families.histograms(
                "sidetone_notify_seconds",
                "From a verdict to its delivery, waits and tries included.",
                &["receiver"],
                &[0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 300.0, 1_200.0, 3_600.0],
            ),
            receivers: Bounded::new(22),
            timed: Bounded::new(6),
            overflowed: overload.of(Rung::ReceiverVerdict),
        }
    }

    /// There is a receiver of that name: all that may come of it is there at zero.
    pub fn configured(&self, receiver: &str) {
        self.seconds.with_label_values(&[self.timed.label(receiver)]);
        let receiver = self.receivers.label(receiver);
        for result in ["delivered", "refused", "expired", "overflow"] {
            self.results.with_label_values(&[receiver, result]);
        }
        for why in ["unreachable", "login", "refused"] {
            self.failures.with_label_values(&[receiver, why]);
        }
        self.waiting.with_label_values(&[receiver]);
        self.up.with_label_values(&[receiver]);
    }

    /// A notice waits no more; `result` is one word of a closed list.
    pub fn result(&self, receiver: &str, result: &str) {
        if result == "overflow" {
            self.overflowed.inc();
        }
        self.results.with_label_values(&[self.receivers.label(receiver), result]).inc();
    }

    /// A notice was delivered so long after its verdict.
    pub fn delivered_after(&self, receiver: &str, age: Duration) {
        let receiver = self.timed.label(receiver);
        self.seconds.with_label_values(&[receiver]).observe(age.as_secs_f64());
    }

    /// A try failed; `why` is one word of a closed list.
    pub fn failure(&self, receiver: &str, why: &str) {
        self.failures.with_label_values(&[self.receivers.label(receiver), why]).inc();
    }

    /// So many wait.
    pub fn waiting(&self, receiver: &str, waiting: usize) {
        let waiting = i64::try_from(waiting).unwrap_or(i64::MAX);
        self.waiting.with_label_values(&[self.receivers.label(receiver)]).set(waiting);
    }

    /// How the last try went.
    pub fn up(&self, receiver: &str, up: bool) {
        self.up.with_label_values(&[self.receivers.label(receiver)]).set(i64::from(up));
    }
}
