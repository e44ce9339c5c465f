//! Recording sessions (SIPREC): how many there are, and what their metadata is worth.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::families::registered;
use crate::siprec::metadata::MetadataFault;

/// The metrics of all recording sessions.
#[derive(Debug)]
pub struct RecordingMetrics {
    active: IntGauge,
    total: IntCounter,
    faults: IntCounterVec,
}

impl RecordingMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let active = IntGauge::new(
            "sidetone_recording_sessions_active",
            "Calls in progress that a recording client opened (SIPREC).",
        );
        let total = IntCounter::new(
            "sidetone_recording_sessions_total",
            "Calls taken that a recording client opened (SIPREC).",
        );
        let opts = Opts::new(
            "sidetone_recording_metadata_faults_total",
            "Recording metadata that could not be used, by kind: too_large, not_xml, not_recording.",
        );
        let faults = IntCounterVec::new(opts, &["kind"]).expect("valid names");
        for fault in MetadataFault::ALL {
            faults.with_label_values(&[fault.as_str()]);
        }
        Self {
            active: registered(registry, active.expect("a valid name")),
            total: registered(registry, total.expect("a valid name")),
            faults: registered(registry, faults),
        }
    }

    /// One was taken.
    pub fn begun(&self) {
        self.active.inc();
        self.total.inc();
    }

    /// One is over.
    pub fn ended(&self) {
        self.active.dec();
    }

    /// Metadata was of no use.
    pub fn fault(&self, fault: MetadataFault) {
        self.faults.with_label_values(&[fault.as_str()]).inc();
    }
}
