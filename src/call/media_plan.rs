//! What was agreed in SDP about one party's audio, as its media session needs it.

use std::net::SocketAddr;
use std::time::Duration;

use crate::audio::decoder::Codec;
use crate::rtp::security::Security;

/// What a media session may expect, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaPlan {
    /// What each agreed payload type carries.
    pub payloads: Vec<(u8, Payload)>,
    /// Where the peer said that its RTP comes from, if it did.
    pub rtp: Option<SocketAddr>,
    /// Where receiver reports go, if anywhere.
    pub rtcp: Option<SocketAddr>,
    /// How long nothing may come before the call counts as dead; `None` on hold.
    pub patience: Option<Duration>,
    /// Whether the peer wants extended reports about the voice (RFC 3611 §4.7).
    pub xr: bool,
    /// As which payload type, and how coded, silence is sent; `None` where nothing is.
    pub send: Option<(u8, Codec)>,
    /// How both directions are encrypted.
    pub security: Security,
}

/// What a payload type carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Audio.
    Audio(Codec),
    /// Keys pressed (RFC 4733), on the clock of the audio beside which they come, in Hz.
    TelephoneEvent {
        /// Ticks of the timestamp a second.
        clock_rate: u32,
    },
    /// The level and colour of the noise in a pause (RFC 3389).
    ComfortNoise {
        /// Ticks of the timestamp a second.
        clock_rate: u32,
    },
}

impl MediaPlan {
    /// For one who only listens in on `payloads` from `rtp`: nothing is sent, no end is waited for.
    pub fn overhearing(payloads: Vec<(u8, Payload)>, rtp: SocketAddr) -> Self {
        Self {
            payloads,
            rtp: Some(rtp),
            rtcp: None,
            patience: None,
            xr: false,
            send: None,
            security: Security::None,
        }
    }

    /// What a payload type carries; `None` for one that was not agreed.
    pub fn payload(&self, payload_type: u8) -> Option<Payload> {
        self.payloads.iter().find(|(number, _)| *number == payload_type).map(|&(_, what)| what)
    }
}

impl Payload {
    /// Ticks of the timestamp a second.
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::Audio(codec) => codec.clock_rate(),
            Self::TelephoneEvent { clock_rate } | Self::ComfortNoise { clock_rate } => clock_rate,
        }
    }
}
