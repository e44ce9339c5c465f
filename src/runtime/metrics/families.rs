//! Makes metrics and registers them: one line for each, name and help together.

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

/// Names of metrics are constants.
const VALID: &str = "valid names";

/// Registers `metric` and gives it back; the registry shares its values.
pub(super) fn registered<M: Collector + Clone + 'static>(registry: &Registry, metric: M) -> M {
    registry.register(Box::new(metric.clone())).expect("no two metrics have one name");
    metric
}

/// What is registered in one registry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Families<'r>(pub(super) &'r Registry);

impl Families<'_> {
    /// A counter without labels.
    pub(super) fn counter(self, name: &str, help: &str) -> IntCounter {
        registered(self.0, IntCounter::new(name, help).expect(VALID))
    }

    /// A counter for each combination of labels.
    pub(super) fn counters(self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        registered(self.0, IntCounterVec::new(Opts::new(name, help), labels).expect(VALID))
    }

    /// A gauge without labels.
    pub(super) fn gauge(self, name: &str, help: &str) -> IntGauge {
        registered(self.0, IntGauge::new(name, help).expect(VALID))
    }

    /// A gauge for each combination of labels.
    pub(super) fn gauges(self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        registered(self.0, IntGaugeVec::new(Opts::new(name, help), labels).expect(VALID))
    }

    /// A histogram without labels; `buckets` are upper bounds, rising.
    pub(super) fn histogram(self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        registered(self.0, Histogram::with_opts(opts).expect("rising buckets"))
    }

    /// A histogram for each combination of labels.
    pub(super) fn histograms(
        self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> HistogramVec {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        registered(self.0, HistogramVec::new(opts, labels).expect("rising buckets"))
    }
}
