//! Who is turned away over HTTP.

use prometheus::{IntCounter, IntCounterVec, Registry};

use super::families::Families;

/// The metrics of HTTP.
#[derive(Debug)]
pub struct HttpMetrics {
    refused: IntCounterVec,
    handshakes_failed: IntCounter,
}

impl HttpMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let families = Families(registry);
        let refused = families.counters(
            "sidetone_http_refused_total",
            "Requests that were not let in: missing, wrong, expired (the token), role (it is for something else), too_often (wrong ones, from one source), host (the page, by a name that is not ours), crowded (connections that had asked for nothing, in favour of others).",
            &["why"],
        );
        let handshakes_failed = families.counter(
            "sidetone_http_tls_failures_total",
            "HTTP connections whose TLS handshake failed or was not finished in time.",
        );
        for why in ["missing", "wrong", "expired", "role", "too_often", "host", "crowded"] {
            refused.with_label_values(&[why]);
        }
        Self { refused, handshakes_failed }
    }

    /// A request was not let in; `why` is one word of a closed list.
    pub fn refused(&self, why: &str) {
        self.refused.with_label_values(&[why]).inc();
    }

    /// A connection that never came to be.
    pub fn handshake_failed(&self) {
        self.handshakes_failed.inc();
    }
}
