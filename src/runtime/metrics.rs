//! What Prometheus sees; the only file that names `prometheus`.
//!
//! Base units, ratios 0 to 1, `_total` for counters, and no label that grows with calls or people.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use prometheus::{
    Encoder, Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry, TextEncoder,
};

use crate::call::media_session::MediaStats;
use crate::policy::verdict::Verdict;
use crate::sip::endpoint::Stats as SipStats;

/// Content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Failed runs in a row from which a model counts as broken.
const FAILURES_UNREADY: u32 = 5;

/// A model, as the label of its metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// Speaker embedding.
    Speaker,
    /// Transcripts and phrase scores.
    Keyword,
}

impl Model {
    const ALL: [Self; 2] = [Self::Speaker, Self::Keyword];

    fn as_str(self) -> &'static str {
        match self {
            Self::Speaker => "speaker",
            Self::Keyword => "keyword",
        }
    }
}

/// All metrics of the appliance, and its readiness.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    calls_active: IntGauge,
    calls_ended: IntCounterVec,
    calls_refused: IntCounterVec,
    verdicts: IntCounterVec,
    info: IntCounterVec,
    sip_received: IntCounterVec,
    sip_malformed: IntCounter,
    sip_retransmissions: IntCounter,
    rtp_packets: IntCounter,
    rtp_dropped: IntCounterVec,
    rtp_lost: IntCounter,
    audio_seconds: prometheus::Counter,
    speech_seconds: prometheus::Counter,
    concealed_seconds: prometheus::Counter,
    inference_seconds: HistogramVec,
    inference_failures: IntCounterVec,
    inference_replaced: IntCounterVec,
    ready: IntGauge,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    started: bool,
    draining: bool,
    /// Failed runs in a row, by model.
    failures: [u32; 2],
    sip: SipStats,
}
