//! The vault, and what waits for it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, Registry};

use super::families::Families;
use super::overload::{OverloadMetrics, Rung};
use crate::consent::retention::Reason;
use crate::vault::chain::Head;

/// The metrics of the store.
#[derive(Debug)]
pub struct StoreMetrics {
    up: IntGauge,
    seconds: Histogram,
    erased: IntCounterVec,
    sequence: IntGauge,
    digest: IntGauge,
    /// When the trail's end moved, seconds since 1970; 0 before it did.
    moved: AtomicI64,
    age: IntGauge,
    waiting: IntGauge,
    lost: IntCounter,
    gave_way: IntCounter,
}

impl StoreMetrics {
    pub(super) fn new(registry: &Registry, overload: &OverloadMetrics) -> Self {
        let families = Families(registry);
        let gauge = |name: &str, help: &str| families.gauge(name, help);
        let erased = families.counters(
            "sidetone_store_erased_total",
            "Persons whose voice was erased in passing: withdrawn, expired (the consent), unused.",
            &["reason"],
        );
        for reason in [Reason::Withdrawn, Reason::Expired, Reason::Unused] {
            erased.with_label_values(&[word(reason)]);
        }
        Self {
            up: gauge("sidetone_store_up", "Whether the store answers."),
            seconds: families.histogram(
                "sidetone_store_seconds",
                "Time that one request to the store took: a claim, an enrolment, a request of the API.",
                &[0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0],
            ),
            erased,
            sequence: gauge(
                "sidetone_audit_head_sequence",
                "Number of the last audit record that we know of.",
            ),
            digest: gauge(
                "sidetone_audit_head_digest",
                "First 48 bits of that record's digest: with its number, an anchor of the trail.",
            ),
            moved: AtomicI64::new(0),
            age: gauge("sidetone_audit_head_age_seconds", "Seconds since the trail's end moved."),
            waiting: gauge(
                "sidetone_audit_waiting",
                "Audit records that wait to be written; beyond 10,000 they are lost.",
            ),
            lost: families.counter(
                "sidetone_audit_lost_total",
                "Audit records that were not kept, because too many waited for the store.",
            ),
            gave_way: overload.of(Rung::AuditRecord),
        }
    }

    /// Whether it answers.
    pub fn up(&self, up: bool) {
        self.up.set(i64::from(up));
    }

    /// A request took so long.
    pub fn took(&self, time: Duration) {
        self.seconds.observe(time.as_secs_f64());
    }

    /// Somebody's voice was erased.
    pub fn erased(&self, reason: Reason) {
        self.erased.with_label_values(&[word(reason)]).inc();
    }

    /// The trail ends there now.
    pub fn head(&self, head: Head) {
        self.sequence.set(i64::try_from(head.sequence).unwrap_or(i64::MAX));
        self.digest.set(i64::try_from(head.digest.beginning()).expect("48 bits"));
        self.moved.store(now(), Ordering::Relaxed);
    }

    /// So many records wait.
    pub fn waiting(&self, records: usize) {
        self.waiting.set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    /// So many were lost.
    pub fn lost(&self, records: u64) {
        self.lost.inc_by(records);
        self.gave_way.inc_by(records);
    }

    /// Ages are of the moment of being asked.
    pub(super) fn refresh(&self) {
        let moved = self.moved.load(Ordering::Relaxed);
        self.age.set(if moved == 0 { 0 } else { (now() - moved).max(0) });
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn word(reason: Reason) -> &'static str {
    match reason {
        Reason::Request => "request",
        Reason::Withdrawn => "withdrawn",
        Reason::Expired => "expired",
        Reason::Unused => "unused",
    }
}
