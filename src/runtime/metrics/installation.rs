//! What is at work: the build, its models, its threads, and until when its certificates are valid.

use jiff::Timestamp;
use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};

use super::families::{Families, registered};
use crate::runtime::health::{Health, Model};

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateUse {
    /// SIP over TLS.
    Sip,
    /// HTTPS.
    Http,
}

impl CertificateUse {
    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sip => "sip",
            Self::Http => "http",
        }
    }
}

/// The metrics of what is installed and runs.
#[derive(Debug)]
pub struct InstallationMetrics {
    models: IntGaugeVec,
    threads: IntGaugeVec,
    expiry: IntGaugeVec,
}

impl InstallationMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let families = Families(registry);
        let version = Opts::new("sidetone_build_info", "Always 1; the version is its label.")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        registered(registry, IntGauge::with_opts(version).expect("valid names")).set(1);
        Self {
            models: families.gauges(
                "sidetone_model_info",
                "Always 1; a model in use by role (speaker, speaker_watch, keyword, turns), name and version.",
                &["role", "name", "version"],
            ),
            threads: families.gauges(
                "sidetone_threads",
                "Threads that run, by what they own; those of one kind are counted together.",
                &["thread"],
            ),
            expiry: families.gauges(
                "sidetone_certificate_expiry_timestamp_seconds",
                "From when on handshakes with our certificate fail, seconds since 1970; only where there is one.",
                &["use"],
            ),
        }
    }

    /// The model `name@version` is in use as `role`.
    pub fn model(&self, role: Model, versioned_name: &str) {
        let (name, version) = versioned_name.split_once('@').unwrap_or((versioned_name, ""));
        self.models.with_label_values(&[role.as_str(), name, version]).set(1);
    }

    /// Our certificate for `whose` is valid until then.
    pub fn certificate(&self, whose: CertificateUse, until: Timestamp) {
        self.expiry.with_label_values(&[whose.as_str()]).set(until.as_second());
    }

    /// Threads are counted at the moment of being asked.
    pub(super) fn refresh(&self, health: &Health) {
        for (thread, running) in health.threads() {
            self.threads.with_label_values(&[thread]).set(running);
        }
    }
}
