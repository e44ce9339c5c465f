//! How much waits between the threads.

use std::fmt;
use std::sync::OnceLock;

use prometheus::IntGaugeVec;

use super::families::Families;
use crate::runtime::health::Model;

/// A queue beside those of the models; notices and audit records have metrics of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// What the media threads tell the signalling thread; bound 1024.
    Evidence,
    /// Requests to the vault; bound 256.
    Store,
    /// Events to be kept; bound 4096.
    RuleEvents,
}

impl Queue {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Evidence, Self::Store, Self::RuleEvents];

    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Evidence => "evidence",
            Self::Store => "store",
            Self::RuleEvents => "rule_events",
        }
    }
}

/// What waits for a model now.
type Waiting = Box<dyn Fn(Model) -> usize + Send + Sync>;

/// The depths of all queues.
pub struct QueueMetrics {
    depth: IntGaugeVec,
    models: OnceLock<Waiting>,
}

impl QueueMetrics {
    pub(super) fn new(families: Families<'_>) -> Self {
        let depth = families.gauges(
            "sidetone_queue_depth",
            "What waits: for a model (speaker, speaker_watch, keyword, turns), for the signalling thread (evidence), for \
             the vault (store), for the disk (rule_events).",
            &["queue"],
        );
        let queues = Queue::ALL.map(Queue::as_str).into_iter().chain(Model::ALL.map(Model::as_str));
        queues.for_each(|queue| drop(depth.with_label_values(&[queue])));
        Self { depth, models: OnceLock::new() }
    }

    /// Whom to ask at each scrape for what waits for the models.
    pub fn watch_models(&self, waiting: impl Fn(Model) -> usize + Send + Sync + 'static) {
        // An appliance has its queues once.
        let _ = self.models.set(Box::new(waiting));
    }

    /// So many wait.
    pub fn set(&self, queue: Queue, waiting: usize) {
        let waiting = i64::try_from(waiting).unwrap_or(i64::MAX);
        self.depth.with_label_values(&[queue.as_str()]).set(waiting);
    }

    /// One more waits.
    pub fn entered(&self, queue: Queue) {
        self.depth.with_label_values(&[queue.as_str()]).inc();
    }

    /// So many do not any more.
    pub fn left(&self, queue: Queue, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.depth.with_label_values(&[queue.as_str()]).sub(count);
    }

    /// Depths are of the moment of being asked.
    pub(super) fn refresh(&self) {
        let Some(waiting) = self.models.get() else { return };
        for model in Model::ALL {
            let waiting = i64::try_from(waiting(model)).unwrap_or(i64::MAX);
            self.depth.with_label_values(&[model.as_str()]).set(waiting);
        }
    }
}

impl fmt::Debug for QueueMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueMetrics").field("depth", &self.depth).finish_non_exhaustive()
    }
}
