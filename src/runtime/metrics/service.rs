//! What becomes of reloads, and whether every thread comes round.

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use super::families::registered;
use crate::config::priority::Priority;
use crate::runtime::reload::part::Part;

/// Names of metrics are constants.
const VALID: &str = "valid names";

/// The metrics of the service.
#[derive(Debug)]
pub struct ServiceMetrics {
    reloads: IntCounterVec,
    refused: IntGaugeVec,
    stuck: IntGaugeVec,
    media_threads: IntGaugeVec,
}

impl ServiceMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let reloads = Opts::new(
            "sidetone_reloads_total",
            "Attempts to read a part of the configuration again: applied, unchanged, refused (what was read before stays).",
        );
        let refused = Opts::new(
            "sidetone_reload_refused",
            "Whether the last attempt to read the part again was refused: what its files say is not in force.",
        );
        let stuck = Opts::new(
            "sidetone_thread_stuck",
            "Threads of that name that do not come round, and make the service's watchdog end the process.",
        );
        let media_threads = Opts::new(
            "sidetone_media_threads",
            "Threads that receive and decode, by the priority that the system has given them: normal, nice, realtime.",
        );
        let media_threads = IntGaugeVec::new(media_threads, &["priority"]).expect(VALID);
        let reloads = IntCounterVec::new(reloads, &["part", "outcome"]).expect(VALID);
        let metrics = Self {
            reloads: registered(registry, reloads),
            refused: registered(registry, IntGaugeVec::new(refused, &["part"]).expect(VALID)),
            stuck: registered(registry, IntGaugeVec::new(stuck, &["thread"]).expect(VALID)),
            media_threads: registered(registry, media_threads),
        };
        for part in Part::ALL {
            for outcome in ["applied", "unchanged", "refused"] {
                metrics.reloads.with_label_values(&[part.as_str(), outcome]);
            }
            metrics.refused.with_label_values(&[part.as_str()]);
        }
        for priority in [Priority::Normal, Priority::Nice(0), Priority::Realtime(1)] {
            metrics.media_threads.with_label_values(&[priority.kind()]);
        }
        metrics
    }

    /// What became of an attempt to read `part` again: whether it was another one before, or nothing where it was refused.
    pub fn reload(&self, part: Part, changed: Option<bool>) {
        let (part, outcome) = (
            part.as_str(),
            match changed {
                Some(true) => "applied",
                Some(false) => "unchanged",
                None => "refused",
            },
        );
        self.reloads.with_label_values(&[part, outcome]).inc();
        self.refused.with_label_values(&[part]).set(i64::from(changed.is_none()));
    }

    /// A media thread has begun with that priority.
    pub fn media_thread(&self, priority: Priority) {
        self.media_threads.with_label_values(&[priority.kind()]).inc();
    }

    /// So many threads of that name are stuck now.
    pub fn stuck(&self, thread: &str, count: i64) {
        self.stuck.with_label_values(&[thread]).set(count);
    }
}
