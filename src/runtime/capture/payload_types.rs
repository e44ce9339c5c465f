//! What a payload type stands for: by its number (RFC 3551 §6), or by the name that an SDP gave it.

use crate::audio::decoder::Codec;
use crate::call::media_plan::Payload;

/// What a payload type carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coding {
    /// Its encoding and clock rate, as SDP writes them: `PCMU/8000`.
    pub name: String,
    /// How we read it; `None` if we do not.
    pub payload: Option<Payload>,
}

/// Longest name that is kept, characters.
const LONGEST_NAME: usize = 64;
/// The numbers that RFC 3551 gave away for good; those without a name are not of telephony.
const STATIC: [(u8, &str); 16] = [
    (0, "PCMU/8000"),
    (3, "GSM/8000"),
    (4, "G723/8000"),
    (5, "DVI4/8000"),
    (7, "LPC/8000"),
    (8, "PCMA/8000"),
    (9, "G722/8000"),
    (10, "L16/44100/2"),
    (11, "L16/44100"),
    (13, "CN/8000"),
    (15, "G728/8000"),
    (18, "G729/8000"),
    // Comfort noise before RFC 3389, and in Cisco's gateways since.
    (19, "CN/8000"),
    (26, "JPEG/90000"),
    (31, "H261/90000"),
    (34, "H263/90000"),
];

impl Coding {
    /// What an rtpmap calls `name`; case does not matter (RFC 8866 §6.6).
    pub fn named(name: &str) -> Self {
        // It is shown to a person, and comes from a stranger.
        let name: String = name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
        let lower = name.to_ascii_lowercase();
        let clock = |rest: &str| rest.split('/').next().and_then(|clock| clock.parse().ok());
        let payload = match lower.strip_suffix("/1").unwrap_or(&lower) {
            "pcmu/8000" => Some(Payload::Audio(Codec::Pcmu)),
            "pcma/8000" => Some(Payload::Audio(Codec::Pcma)),
            // Some call it by its samples (RFC 3551 §4.5.2 says 8,000).
            "g722/8000" | "g722/16000" => Some(Payload::Audio(Codec::G722)),
            "l16/8000" => Some(Payload::Audio(Codec::L16)),
            "l16/16000" => Some(Payload::Audio(Codec::L16Wide)),
            "opus/48000/2" => Some(Payload::Audio(Codec::Opus)),
            other => {
                let event = other.strip_prefix("telephone-event/").and_then(clock);
                let event = event.filter(|&rate| rate > 0);
                let event = event.map(|clock_rate| Payload::TelephoneEvent { clock_rate });
                let noise = other.strip_prefix("cn/").and_then(clock).filter(|&rate| rate > 0);
                event.or_else(|| noise.map(|clock_rate| Payload::ComfortNoise { clock_rate }))
            }
        };
        Self { name, payload }
    }

    /// What `number` means where nobody says so; `None` for numbers that have no fixed meaning.
    pub fn of_number(number: u8) -> Option<Self> {
        STATIC.iter().find(|(known, _)| *known == number).map(|(_, name)| Self::named(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_case_and_unknown_ones_kept() {
        let payload = |name| Coding::named(name).payload;
        assert_eq!(payload("Opus/48000/2"), Some(Payload::Audio(Codec::Opus)));
        assert_eq!(payload("pcma/8000/1"), Some(Payload::Audio(Codec::Pcma)));
        assert_eq!(payload("L16/16000"), Some(Payload::Audio(Codec::L16Wide)));
        let event = Payload::TelephoneEvent { clock_rate: 48_000 };
        assert_eq!(payload("telephone-event/48000"), Some(event));
        for unknown in ["iLBC/8000", "telephone-event/0", "CN/x", "", "L16/44100/2"] {
            assert_eq!(Coding::named(unknown), Coding { name: unknown.to_owned(), payload: None });
        }
    }

    #[test]
    fn a_static_number_means_what_it_always_meant() {
        let payload = |number| Coding::of_number(number).and_then(|coding| coding.payload);
        assert_eq!(payload(0), Some(Payload::Audio(Codec::Pcmu)));
        assert_eq!(payload(9), Some(Payload::Audio(Codec::G722)));
        assert_eq!(payload(13), Some(Payload::ComfortNoise { clock_rate: 8_000 }));
        assert_eq!(Coding::of_number(18).map(|coding| coding.payload), Some(None));
        assert_eq!(Coding::of_number(96), None);
    }
}
