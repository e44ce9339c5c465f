//! What the models do: how long they take, for how many at once, and what gave way.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec};

use super::families::Families;
use crate::runtime::health::Model;

/// The metrics of all models.
#[derive(Debug)]
pub(super) struct InferenceMetrics {
    seconds: HistogramVec,
    batch: HistogramVec,
    failures: IntCounterVec,
    replaced: IntCounterVec,
}

impl InferenceMetrics {
    pub(super) fn new(families: Families<'_>) -> Self {
        let metrics = Self {
            seconds: families.histograms(
                "sidetone_inference_seconds",
                "Wall time of one run: a speaker window of 3 s, a segment of up to 4 s.",
                &["model"],
                &[0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 4.0],
            ),
            batch: families.histograms(
                "sidetone_inference_batch_size",
                "Windows, segments or chunks that one run worked on.",
                &["model"],
                &[1.0, 2.0, 4.0, 6.0, 8.0],
            ),
            failures: families.counters(
                "sidetone_inference_failures_total",
                "Model runs that failed.",
                &["model"],
            ),
            replaced: families.counters(
                "sidetone_inference_replaced_total",
                "Windows and segments that gave way to newer ones: overload.",
                &["model"],
            ),
        };
        for model in Model::ALL.map(Model::as_str) {
            metrics.seconds.with_label_values(&[model]);
            metrics.batch.with_label_values(&[model]);
            metrics.failures.with_label_values(&[model]);
            metrics.replaced.with_label_values(&[model]);
        }
        metrics
    }

    /// A run over so many `items` took so long.
    pub(super) fn ran(&self, model: Model, items: usize, took: Duration) {
        self.seconds.with_label_values(&[model.as_str()]).observe(took.as_secs_f64());
        self.batch.with_label_values(&[model.as_str()]).observe(items as f64);
    }

    /// A run failed.
    pub(super) fn failed(&self, model: Model) {
        self.failures.with_label_values(&[model.as_str()]).inc();
    }

    /// A window or segment gave way to a newer one.
    pub(super) fn replaced(&self, model: Model) {
        self.replaced.with_label_values(&[model.as_str()]).inc();
    }
}
