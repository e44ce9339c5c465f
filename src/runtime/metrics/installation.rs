//! What is at work: the build, its models, its threads, and until when its certificates are valid.

use std::path::Path;

use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};

use super::families::{Families, registered};
use crate::runtime::certificate_expiry;
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

    /// The models `name@version`, with a blank between several that work together, are in use as `role`.
    pub fn model(&self, role: Model, versioned_names: &str) {
        for one in versioned_names.split(' ') {
            let (name, version) = one.split_once('@').unwrap_or((one, ""));
            self.models.with_label_values(&[role.as_str(), name, version]).set(1);
        }
    }

    /// The certificate in the PEM file is in use for `whose` from now on; blocks.
    pub fn certificate(&self, whose: CertificateUse, file: &Path) {
        match certificate_expiry::read(file) {
            Ok(until) => self.expiry.with_label_values(&[whose.as_str()]).set(until.as_second()),
            // What the library for TLS took may yet have no date that we can read.
            Err(error) => tracing::warn!(%error, "until when a certificate is valid is not known"),
        }
    }

    /// Threads are counted at the moment of being asked.
    pub(super) fn refresh(&self, health: &Health) {
        for (thread, running) in health.threads() {
            self.threads.with_label_values(&[thread]).set(running);
        }
    }
}
