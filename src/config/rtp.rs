//! `[rtp]`: how audio reaches us, and in which codecs.

use serde::Deserialize;

use crate::config::priority::Priority;

/// `[rtp]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rtp {
    /// First and last UDP port; each call takes an even one and the next.
    pub ports: [u16; 2],
    /// Threads that receive and decode.
    pub threads: usize,
    /// Seconds without a packet after which a call is over, though nobody said so.
    pub silence_timeout_s: u64,
    /// How urgent those threads are.
    #[serde(default)]
    pub priority: Priority,
    /// What is taken, the best first.
    #[serde(default = "CodecName::all")]
    pub codecs: Vec<CodecName>,
    /// Whose order an answer keeps to.
    #[serde(default)]
    pub codec_order: CodecOrder,
}

/// A codec by the name that SDP has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum CodecName {
    /// `opus`
    Opus,
    /// `G722`
    G722,
    /// `PCMA`
    Pcma,
    /// `PCMU`
    Pcmu,
    /// `L16`, at 8 and at 16 kHz.
    L16,
}

/// Whose order of codecs an answer keeps to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodecOrder {
    /// That of the offer.
    #[default]
    Offer,
    /// That of `codecs`.
    Ours,
}

impl CodecName {
    /// Every codec; the wider the better for the models, and G.711 A-law has less noise than mu-law.
    pub fn all() -> Vec<Self> {
        vec![Self::Opus, Self::G722, Self::Pcma, Self::Pcmu, Self::L16]
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::G722 => "G722",
            Self::Pcma => "PCMA",
            Self::Pcmu => "PCMU",
            Self::L16 => "L16",
        }
    }
}

impl TryFrom<String> for CodecName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let known = Self::all().into_iter().find(|name| name.as_str().eq_ignore_ascii_case(&text));
        known.ok_or_else(|| format!("a codec is opus, G722, PCMA, PCMU or L16, found {text:?}"))
    }
}
