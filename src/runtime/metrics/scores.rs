//! What speaker comparisons say, over all calls, and whether it drifts.

use std::sync::Mutex;

use prometheus::{Gauge, Histogram, Registry};

use super::families::{Families, registered};
use crate::policy::evidence::SpeakerEvidence;
use crate::speaker::score_drift::{FirstLook, ScoreDrift};

/// Upper bounds of the classes, nats: what one window may say lies in -9 to 9, and most of it at either end.
const BUCKETS: [f64; 10] = [-8.9, -6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0, 8.0, 8.9];

/// The metrics of all comparisons with voiceprints.
#[derive(Debug)]
pub(super) struct ScoreMetrics {
    first: Histogram,
    newest: Histogram,
    index: Gauge,
    drift: Mutex<ScoreDrift>,
}

impl ScoreMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let families = Families(registry);
        let histogram = |name: &str, help: &str| families.histogram(name, help, &BUCKETS);
        let index = Gauge::new(
            "sidetone_speaker_drift_index",
            "Population stability index of the last 200 accepted calls' first decisive windows against clean \
             calls: above 0.25 another population. NaN before 200.",
        );
        let metrics = Self {
            first: histogram(
                "sidetone_speaker_first_llr_nats",
                "Log-likelihood ratio of the first decisive window, of calls that came to be accepted.",
            ),
            newest: histogram(
                "sidetone_speaker_newest_llr_nats",
                "Log-likelihood ratio of each window that was compared on a line good enough.",
            ),
            index: registered(registry, index.expect("a valid name")),
            drift: Mutex::default(),
        };
        // Not 0, which would be said of two hundred calls like the clean ones.
        metrics.index.set(f64::NAN);
        metrics
    }

    /// One more comparison of a call, whose earlier ones `look` has seen.
    pub(super) fn compared(&self, look: &mut FirstLook, evidence: &SpeakerEvidence) {
        let SpeakerEvidence { newest, newest_llr, decision, .. } = evidence;
        if newest.conditions.are_fit() {
            self.newest.observe(*newest_llr);
        }
        let Some(first) = look.observe(newest, *newest_llr, *decision) else { return };
        self.first.observe(first);
        let mut drift = self.drift.lock().expect("nothing panics while it holds this lock");
        drift.observe(first);
        if let Some(index) = drift.index() {
            self.index.set(index);
        }
    }
}
