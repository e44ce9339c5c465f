//! What a payload type means: `a=rtpmap` and the numbers that need none (RFC 3551 §6).

use sdp_types::Media;

/// How a payload is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// G.711 mu-law, 8 kHz mono; number 0 needs no rtpmap.
    Pcmu,
    /// G.711 A-law, 8 kHz mono; number 8 needs no rtpmap.
    Pcma,
    /// G.722, 16 kHz mono with a clock of 8 kHz (RFC 3551 §4.5.2); number 9 needs no rtpmap.
    G722,
    /// Linear, 16 bits, 8 kHz mono.
    L16,
    /// Linear, 16 bits, 16 kHz mono.
    L16Wide,
    /// Opus, RTP clock 48 kHz (RFC 7587).
    Opus,
}

/// What a number in an m-line stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Audio(Codec),
    TelephoneEvent { clock: u32 },
    ComfortNoise { clock: u32 },
    Unknown,
}

impl Codec {
    /// Every one, the widest first.
    pub const ALL: [Self; 6] =
        [Self::Opus, Self::G722, Self::L16Wide, Self::Pcma, Self::Pcmu, Self::L16];

    /// Ticks of its timestamps a second.
    pub fn clock(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 | Self::L16 => 8_000,
            Self::L16Wide => 16_000,
            Self::Opus => 48_000,
        }
    }

    /// Whether we can send it: silence is the same octet over and over in all but Opus, which would
    /// want an encoder.
    pub fn can_be_sent(self) -> bool {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 | Self::L16 | Self::L16Wide => true,
            Self::Opus => false,
        }
    }

    /// Static number, or ours by custom.
    pub(super) fn usual_payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
            Self::G722 => 9,
            Self::Opus => 96,
            Self::L16 => 97,
            Self::L16Wide => 98,
        }
    }

    pub(super) fn encoding(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU/8000",
            Self::Pcma => "PCMA/8000",
            Self::G722 => "G722/8000",
            Self::L16 => "L16/8000",
            Self::L16Wide => "L16/16000",
            Self::Opus => "opus/48000/2",
        }
    }

    /// What we say of it in `a=fmtp`. We hear 16 kHz of one channel, so bits for more are wasted,
    /// and what is lost should come again in the packet after it (RFC 7587 §6.1). There is no
    /// `usedtx`: 0 is its default, and a pause then comes as what it is. There is no
    /// `sprop-maxcapturerate`: we send none.
    pub(super) fn parameters(self) -> Option<&'static str> {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 | Self::L16 | Self::L16Wide => None,
            Self::Opus => Some("maxplaybackrate=16000;stereo=0;useinbandfec=1"),
        }
    }
}

impl Format {
    /// What `number` stands for in `media`.
    pub(super) fn of(number: u8, media: &Media) -> Self {
        let mapped = media.get_attribute_values("rtpmap").flatten().find_map(|map| {
            let (mapped, encoding) = map.trim().split_once(char::is_whitespace)?;
            (mapped.parse() == Ok(number)).then(|| encoding.trim().to_ascii_lowercase())
        });
        let Some(mapped) = mapped else {
            return match number {
                0 => Self::Audio(Codec::Pcmu),
                8 => Self::Audio(Codec::Pcma),
                9 => Self::Audio(Codec::G722),
                13 => Self::ComfortNoise { clock: 8_000 },
                _ => Self::Unknown,
            };
        };
        // One channel need not be said (RFC 8866 §6.6).
        match mapped.strip_suffix("/1").unwrap_or(&mapped) {
            "pcmu/8000" => Self::Audio(Codec::Pcmu),
            "pcma/8000" => Self::Audio(Codec::Pcma),
            "g722/8000" => Self::Audio(Codec::G722),
            "l16/8000" => Self::Audio(Codec::L16),
            "l16/16000" => Self::Audio(Codec::L16Wide),
            "opus/48000/2" => Self::Audio(Codec::Opus),
            other => {
                let clock = |name: &str| other.strip_prefix(name)?.parse().ok();
                let event = clock("telephone-event/").map(|clock| Self::TelephoneEvent { clock });
                let noise = clock("cn/").map(|clock| Self::ComfortNoise { clock });
                event.or(noise).unwrap_or(Self::Unknown)
            }
        }
    }
}
