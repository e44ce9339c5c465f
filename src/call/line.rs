//! A party's line in figures, put together from those who counted and measured.

use std::time::Duration;

use crate::audio::listener::Listener;
use crate::audio::playback::Playback;
use crate::call::media_stats::MediaStats;
use crate::policy::line::LineReport;
use crate::rtp::jitter_buffer::JitterBuffer;
use crate::rtp::reception::Reception;
use crate::rtp::security::Guard;
use crate::rtp::voip_metrics::{LossPattern, VoipMetrics};

/// How long no RTP may come from a party that is to send until its line counts as one-way.
///
/// 10 s: longer than a transfer or a re-INVITE takes, and than a sender with silence suppression
/// keeps quiet without a word (RFC 3389 has one at least every few seconds, Opus every 400 ms);
/// shorter than anybody says "hello?" into a dead line.
pub const ONE_WAY_AFTER: Duration = Duration::from_secs(10);

/// What most senders put into a packet; it only gives the patterns of loss a length in time.
const PTIME: Duration = Duration::from_millis(20);

/// The report so far. Figures are rounded to what can be told of them, so that they read well and the
/// same capture gives the same text.
pub fn report(
    stats: &MediaStats,
    guard: &Guard,
    reception: &Reception,
    jitter: &JitterBuffer,
    playback: &Playback,
    listener: &Listener,
) -> LineReport {
    let seconds = |us: u64| us as f64 / 1e6;
    let millis = |time: Duration| rounded(time.as_secs_f64() * 1_000.0, 10.0);
    let decibels = |level: f64| level.is_finite().then(|| rounded(level, 10.0));
    let sent = (jitter.stats().played + stats.lost).max(1) as f64;
    let (level, speech, tone) = (playback.level(), listener.level(), playback.tone());
    LineReport {
        codec: playback.codec().map(crate::audio::decoder::Codec::as_str),
        encryption: guard.security().as_str(),
        packets: stats.packets,
        lost: stats.lost,
        repaired: stats.repaired,
        loss: rounded(stats.lost as f64 / sent, 10_000.0),
        loss_after_repair: rounded(
            stats.lost.saturating_sub(stats.repaired) as f64 / sent,
            10_000.0,
        ),
        late: stats.late,
        duplicates: stats.duplicates,
        unauthentic: stats.unauthentic + stats.unprotected,
        reordered: stats.reordered,
        restarts: reception.stats().restarts,
        jitter_ms: millis(reception.jitter()),
        wait_ms: millis(jitter.wait()),
        drift_ppm: reception.drift_ppm().map(|ppm| rounded(ppm, 1.0)),
        audio_s: seconds(stats.audio_us),
        speech_s: seconds(stats.speech_us),
        concealed_s: seconds(stats.concealed_us),
        level_dbfs: level.level_dbfs().and_then(decibels),
        speech_dbfs: speech.speech_dbfs().and_then(decibels),
        noise_dbfs: speech.noise_dbfs().and_then(decibels),
        snr_db: speech.snr_db().and_then(decibels),
        clipping: rounded(level.clipping(), 100_000.0),
        tone_hz: tone.map(|tone| rounded(tone.hertz, 1.0)),
        tone_dbfs: tone.map(|tone| rounded(tone.dbfs, 10.0)),
        keys: stats.keys,
    }
}

/// What a report on the call's quality says of it.
pub fn metrics(jitter: &JitterBuffer, pattern: &LossPattern, listener: &Listener) -> VoipMetrics {
    let stats = jitter.stats();
    let sent = (stats.played + stats.lost).max(1) as f64;
    let late = stats.late.min(stats.lost);
    VoipMetrics {
        loss: (stats.lost - late) as f64 / sent,
        discarded: late as f64 / sent,
        pattern: pattern.bursts_and_gaps(PTIME),
        speech_dbfs: listener.level().speech_dbfs(),
        noise_dbfs: listener.level().noise_dbfs(),
        wait: jitter.wait(),
        longest_wait: jitter.longest_wait(),
    }
}

fn rounded(value: f64, steps: f64) -> f64 {
    // Adding zero makes zero of the minus zero that a small negative figure rounds to.
    (value * steps).round() / steps + 0.0
}
