//! What becomes of reloads, and whether every thread comes round.

use prometheus::{IntCounterVec, IntGaugeVec};

use super::families::Families;
use crate::config::priority::Priority;
use crate::runtime::reload::part::Part;

/// The metrics of the service.
#[derive(Debug)]
pub struct ServiceMetrics {
    reloads: IntCounterVec,
    refused: IntGaugeVec,
    stuck: IntGaugeVec,
    media_threads: IntGaugeVec,
}

impl ServiceMetrics {
    pub(super) fn new(families: Families<'_>) -> Self {
        let metrics = Self {
            reloads: families.counters(
                "sidetone_reloads_total",
                "Attempts to read a part of the configuration again: applied, unchanged, refused (what was read before \
                 stays).",
                &["part", "outcome"],
            ),
            refused: families.gauges(
                "sidetone_reload_refused",
                "1 while the last attempt to read the part again was refused: what its files say is not in force.",
                &["part"],
            ),
            stuck: families.gauges(
                "sidetone_thread_stuck",
                "Threads of that name that do not come round; while there is one, the service's watchdog starves.",
                &["thread"],
            ),
            media_threads: families.gauges(
                "sidetone_media_threads",
                "Threads that receive and decode, by the priority that the system has given them: normal, nice, realtime.",
                &["priority"],
            ),
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
