//! How often legs are paused.

use prometheus::{IntCounterVec, Opts, Registry};

use super::families::registered;
use crate::policy::pause::{PauseState, Trigger};

/// The metrics of all pauses.
#[derive(Debug)]
pub struct PauseMetrics {
    begun: IntCounterVec,
    ended: IntCounterVec,
}

impl PauseMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let counters = |name: &str, help: &str| {
            let counters = IntCounterVec::new(Opts::new(name, help), &["by"]).expect("valid names");
            for by in Trigger::ALL {
                counters.with_label_values(&[by.as_str()]);
            }
            registered(registry, counters)
        };
        Self {
            begun: counters(
                "sidetone_pauses_total",
                "Times that a leg was to be paused, by what made it so.",
            ),
            ended: counters(
                "sidetone_pauses_ended_total",
                "Times that it was not to be paused any more, by what made it so.",
            ),
        }
    }

    /// A pause has begun or ended.
    pub fn changed(&self, state: PauseState, by: Trigger) {
        let counters = match state {
            PauseState::Begun => &self.begun,
            PauseState::Ended => &self.ended,
        };
        counters.with_label_values(&[by.as_str()]).inc();
    }
}
