//! What came over RTP, and what the lines were like.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Counter, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::exemplars::Exemplars;
use super::families::{Families, registered};
use super::overload::{OverloadMetrics, Rung};
use crate::audio::decoder::Codec;
use crate::call::media_stats::MediaStats;
use crate::policy::line::{LineReport, LineState};

/// Value of the label `codec` for a line on which no audio came.
const NO_AUDIO: &str = "none";

const ONE_WAY: &str = "sidetone_line_one_way_total";

/// That a leg hears a codec; it is counted until this is dropped, also where its session broke.
#[derive(Debug)]
pub struct CodecHeard {
    codec: Codec,
    legs: IntGauge,
}

impl CodecHeard {
    /// Which.
    pub fn codec(&self) -> Codec {
        self.codec
    }
}

impl Drop for CodecHeard {
    fn drop(&mut self) {
        self.legs.dec();
    }
}

/// The metrics of all parties' audio.
#[derive(Debug)]
pub(super) struct MediaMetrics {
    packets: IntCounter,
    dropped: IntCounterVec,
    lost: IntCounter,
    repaired: IntCounter,
    reordered: IntCounter,
    keys: IntCounter,
    one_way: IntCounter,
    handshake_failures: IntCounter,
    late: IntCounter,
    legs: IntGaugeVec,
    exemplars: Arc<Exemplars>,
    audio_seconds: Counter,
    speech_seconds: Counter,
    concealed_seconds: Counter,
    lines: IntCounterVec,
    loss: Histogram,
    jitter: Histogram,
    level: Histogram,
    snr: Histogram,
    clipping: Histogram,
}

impl MediaMetrics {
    pub(super) fn new(
        registry: &Registry,
        overload: &OverloadMetrics,
        exemplars: Arc<Exemplars>,
    ) -> Self {
        let families = Families(registry);
        let counter = |name: &str, help: &str| families.counter(name, help);
        let histogram =
            |name: &str, help: &str, buckets: &[f64]| families.histogram(name, help, buckets);
        let seconds = |name: &str, help: &str| {
            registered(registry, Counter::new(name, help).expect("a valid name"))
        };
        let metrics = Self {
            packets: counter("sidetone_rtp_packets_total", "RTP packets received from peers."),
            dropped: families.counters(
                "sidetone_rtp_dropped_total",
                "Datagrams not played: malformed, foreign, late, duplicate, undecodable; of encrypted \
                 audio unauthentic, replayed, unprotected.",
                &["reason"],
            ),
            lost: counter("sidetone_rtp_lost_total", "RTP packets sent to us and not played."),
            repaired: counter(
                "sidetone_rtp_repaired_total",
                "Lost packets whose audio the next one repeated (Opus).",
            ),
            reordered: counter("sidetone_rtp_reordered_total", "RTP packets that others overtook."),
            keys: counter("sidetone_keys_total", "Keys pressed (RFC 4733)."),
            one_way: counter(
                ONE_WAY,
                "Times that no RTP came for 10 s from a party that was to send.",
            ),
            handshake_failures: counter(
                "sidetone_dtls_failures_total",
                "Handshakes for keys of the audio that failed.",
            ),
            late: overload.of(Rung::LateRtp),
            legs: families.gauges(
                "sidetone_legs_by_codec",
                "Legs whose audio came with this codec last, now.",
                &["codec"],
            ),
            exemplars,
            audio_seconds: seconds("sidetone_audio_seconds_total", "Audio heard."),
            speech_seconds: seconds("sidetone_speech_seconds_total", "Net speech heard."),
            concealed_seconds: seconds(
                "sidetone_concealed_seconds_total",
                "Audio made up in place of lost packets; never scored.",
            ),
            lines: families.counters(
                "sidetone_lines_total",
                "Parties whose audio is over, by their last codec.",
                &["codec"],
            ),
            loss: histogram(
                "sidetone_line_loss_ratio",
                "Share of a party's packets that were not played.",
                &[0.0, 0.001, 0.003, 0.01, 0.03, 0.05, 0.1, 0.2, 0.5],
            ),
            jitter: histogram(
                "sidetone_line_jitter_seconds",
                "Interarrival jitter of a party's packets at their end (RFC 3550).",
                &[0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15],
            ),
            level: histogram(
                "sidetone_line_speech_dbfs",
                "Level of a party's speech, dB relative to full scale.",
                &[-50.0, -40.0, -35.0, -30.0, -25.0, -20.0, -15.0, -10.0],
            ),
            snr: histogram(
                "sidetone_line_snr_db",
                "A party's voice above the noise behind it, dB.",
                &[5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 60.0],
            ),
            clipping: histogram(
                "sidetone_line_clipping_ratio",
                "Share of a party's samples in flat tops.",
                &[0.0, 0.0001, 0.001, 0.01, 0.1],
            ),
        };
        // Present at zero from the start, so that a rate over them is never "no data".
        for reason in [
            "malformed",
            "foreign",
            "late",
            "duplicate",
            "undecodable",
            "unauthentic",
            "replayed",
            "unprotected",
        ] {
            metrics.dropped.with_label_values(&[reason]);
        }
        for codec in Codec::ALL.map(Codec::as_str) {
            metrics.lines.with_label_values(&[codec]);
            metrics.legs.with_label_values(&[codec]);
        }
        metrics.lines.with_label_values(&[NO_AUDIO]);
        metrics
    }

    /// What one session has counted since it was published last, `before`.
    pub(super) fn publish(&self, before: &MediaStats, now: &MediaStats) {
        self.packets.inc_by(now.packets - before.packets);
        self.lost.inc_by(now.lost - before.lost);
        self.repaired.inc_by(now.repaired - before.repaired);
        self.reordered.inc_by(now.reordered - before.reordered);
        self.keys.inc_by(now.keys - before.keys);
        self.late.inc_by(now.late - before.late);
        for (reason, count) in [
            ("malformed", now.malformed - before.malformed),
            ("foreign", now.foreign - before.foreign),
            ("late", now.late - before.late),
            ("duplicate", now.duplicates - before.duplicates),
            ("undecodable", now.undecodable - before.undecodable),
            ("unauthentic", now.unauthentic - before.unauthentic),
            ("replayed", now.replayed - before.replayed),
            ("unprotected", now.unprotected - before.unprotected),
        ] {
            self.dropped.with_label_values(&[reason]).inc_by(count);
        }
        let seconds = |us: u64| Duration::from_micros(us).as_secs_f64();
        self.audio_seconds.inc_by(seconds(now.audio_us - before.audio_us));
        self.speech_seconds.inc_by(seconds(now.speech_us - before.speech_us));
        self.concealed_seconds.inc_by(seconds(now.concealed_us - before.concealed_us));
    }

    /// There will never be keys for a party's audio.
    pub(super) fn handshake_failed(&self) {
        self.handshake_failures.inc();
    }

    /// A leg that hears `codec`, for as long as what is given back lives.
    pub(super) fn hears(&self, codec: Codec) -> CodecHeard {
        let legs = self.legs.with_label_values(&[codec.as_str()]);
        legs.inc();
        CodecHeard { codec, legs }
    }

    /// A party's line has come to something, in the conversation of that `reference`.
    pub(super) fn line(&self, state: LineState, report: &LineReport, reference: &str) {
        match state {
            LineState::OneWay => {
                self.one_way.inc();
                self.exemplars.counted(ONE_WAY, &[], reference);
            }
            LineState::Heard => {}
            LineState::Closed => self.line_closed(report),
        }
    }

    fn line_closed(&self, report: &LineReport) {
        self.lines.with_label_values(&[report.codec.unwrap_or(NO_AUDIO)]).inc();
        if report.packets == 0 {
            return;
        }
        self.loss.observe(report.loss);
        self.jitter.observe(report.jitter_ms / 1_000.0);
        self.clipping.observe(report.clipping);
        report.speech_dbfs.into_iter().for_each(|level| self.level.observe(level));
        report.snr_db.into_iter().for_each(|snr| self.snr.observe(snr));
    }
}
