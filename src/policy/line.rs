//! How a party's line is: what came of its packets, and what its audio is like.

use serde::Serialize;

/// What has become of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LineState {
    /// No RTP has come for 10 s from a party that is to send: one-way audio.
    OneWay,
    /// It comes again.
    Heard,
    /// The party's audio is over; the report is its last.
    Closed,
}

impl LineState {
    /// The word in JSON, metrics and log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OneWay => "one_way",
            Self::Heard => "heard",
            Self::Closed => "closed",
        }
    }
}

/// A party's line since its audio began. Levels are root mean squares in dB relative to full scale.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LineReport {
    /// Of the last payload, as SDP names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codec: Option<&'static str>,
    /// How it is encrypted: `sdes`, `dtls`; nothing where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<&'static str>,
    /// RTP packets that came from the peer.
    pub packets: u64,
    /// Packets that were sent and not played.
    pub lost: u64,
    /// Of these, whose audio the next packet repeated.
    pub repaired: u64,
    /// Share (0 to 1) of the packets sent that were not played.
    pub loss: f64,
    /// The same after repair.
    pub loss_after_repair: f64,
    /// Packets that came after their turn.
    pub late: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Packets that were changed on their way, in the clear, or made with another key.
    pub unauthentic: u64,
    /// Packets that others overtook.
    pub reordered: u64,
    /// New sources, and jumps of one.
    pub restarts: u64,
    /// Interarrival jitter (RFC 3550 §6.4.1), ms.
    pub jitter_ms: f64,
    /// How long a gap is waited for by now, ms.
    pub wait_ms: f64,
    /// By how much the sender's clock is slower than ours, parts per million; after a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift_ppm: Option<f64>,
    /// Audio heard, s.
    pub audio_s: f64,
    /// Net speech in it, s.
    pub speech_s: f64,
    /// Audio made up in place of lost packets, s.
    pub concealed_s: f64,
    /// Level of all that was received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level_dbfs: Option<f64>,
    /// Level of the speech.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speech_dbfs: Option<f64>,
    /// Level of the pauses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise_dbfs: Option<f64>,
    /// Voice above noise, dB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snr_db: Option<f64>,
    /// Share (0 to 1) of the samples in flat tops.
    pub clipping: f64,
    /// Pitch of the longest steady tone, Hz: a test line, a dial tone, a fax.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tone_hz: Option<f64>,
    /// Its level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tone_dbfs: Option<f64>,
    /// Keys pressed. Which ones is never told: they may be a secret.
    pub keys: u64,
}
