//! Payloads to mono samples: G.711 (RFC 3551 §4.5.14) and Opus (RFC 6716, RFC 7587).

use std::fmt;

use audiopus::packet::{Packet as OpusPacket, nb_samples};
use audiopus::{Channels, MutSignals, SampleRate, coder::Decoder as OpusDecoder};
use thiserror::Error;

use crate::audio::concealment::Concealment;
use crate::audio::g711;

/// The longest payload taken, in ms: what Opus can carry (RFC 6716 §3.1). No G.711 sender packs
/// more, as 120 ms are 960 bytes.
const LONGEST_MS: u32 = 120;
/// Opus conceals in whole steps of 2.5 ms (`opus_decode_float` in the library's manual).
const OPUS_STEP: usize = 40;

/// A codec that may be agreed in SDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 mu-law, static payload type 0.
    Pcmu,
    /// G.711 A-law, static payload type 8.
    Pcma,
    /// Opus, `opus/48000/2` on a dynamic payload type.
    Opus,
}

/// Decodes the payloads of one stream.
pub struct Decoder {
    codec: Codec,
    state: State,
}

/// Why a payload was not decoded. Its time should be concealed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Hash)]
pub enum DecodeError {
    /// No bytes at all; some peers send such packets to keep a NAT open.
    #[error("empty payload")]
    Empty,
    /// More than 120 ms of audio.
    #[error("more than 120 ms in one payload (RFC 6716 §3.1)")]
    TooLong,
    /// Opus found its own framing broken.
    #[error("malformed Opus packet (RFC 6716 §3.4)")]
    Malformed,
}

enum State {
    Table { decode: fn(u8) -> i16, concealment: Concealment },
    Opus(OpusDecoder),
}

impl Codec {
    /// Ticks of its RTP timestamps per second. Opus always counts 48,000 (RFC 7587 §4.1).
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8_000,
            Self::Opus => 48_000,
        }
    }

    /// Rate of the decoded samples in Hz. Opus decodes to what the models take, whatever was sent.
    pub fn sample_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8_000,
            Self::Opus => 16_000,
        }
    }

    /// The time that `payload` fills, in timestamp units, without decoding it.
    pub fn duration(self, payload: &[u8]) -> Result<u32, DecodeError> {
        let units = match self {
            _ if payload.is_empty() => return Err(DecodeError::Empty),
            Self::Pcmu | Self::Pcma => payload.len(),
            Self::Opus => {
                let packet = OpusPacket::try_from(payload).map_err(|_| DecodeError::Malformed)?;
                nb_samples(packet, SampleRate::Hz48000).map_err(|_| DecodeError::Malformed)?
            }
        };
        let longest = self.clock_rate() / 1_000 * LONGEST_MS;
        u32::try_from(units).ok().filter(|&units| units <= longest).ok_or(DecodeError::TooLong)
    }
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    pub fn new(codec: Codec) -> Self {
        let table = |decode| State::Table { decode, concealment: Concealment::default() };
        let state = match codec {
            Codec::Pcmu => table(g711::decode_ulaw),
            Codec::Pcma => table(g711::decode_alaw),
            Codec::Opus => State::Opus(
                OpusDecoder::new(SampleRate::Hz16000, Channels::Mono)
                    .expect("16 kHz mono is a form that Opus has"),
            ),
        };
        Self { codec, state }
    }

    /// The codec that it was made for.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Mono samples, full scale -1 to 1, at [`Codec::sample_rate`]; stereo Opus is mixed down.
    ///
    /// An error leaves the decoder usable.
    pub fn decode(&mut self, payload: &[u8]) -> Result<Vec<f32>, DecodeError> {
        let units = self.codec.duration(payload)?;
        match &mut self.state {
            State::Table { decode, concealment } => {
                let sample = |&code: &u8| f32::from(decode(code)) / 32_768.0;
                let samples: Vec<f32> = payload.iter().map(sample).collect();
                concealment.hear(&samples);
                Ok(samples)
            }
            State::Opus(decoder) => {
                let packet = OpusPacket::try_from(payload).map_err(|_| DecodeError::Malformed)?;
                let length = samples_of(self.codec, units);
                opus(decoder, Some(packet), length).ok_or(DecodeError::Malformed)
            }
        }
    }

    /// What may have been in a gap of `units` timestamp units: at least as many samples as fill it,
    /// but no more than 120 ms, since a voice cannot be guessed for longer and a gap from the
    /// network must not cost memory. The caller marks the result as concealed.
    pub fn conceal(&mut self, units: u64) -> Vec<f32> {
        let longest = self.codec.clock_rate() / 1_000 * LONGEST_MS;
        let units = u32::try_from(units).map_or(longest, |units| units.min(longest));
        let length = samples_of(self.codec, units);
        match &mut self.state {
            State::Table { concealment, .. } => concealment.conceal(length),
            State::Opus(decoder) => {
                let steps = length.next_multiple_of(OPUS_STEP);
                let mut samples = match steps {
                    0 => Vec::new(),
                    _ => opus(decoder, None, steps).unwrap_or_default(),
                };
                samples.resize(length, 0.0);
                samples
            }
        }
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("codec", &self.codec).finish_non_exhaustive()
    }
}

/// Samples that fill `units` timestamp units.
fn samples_of(codec: Codec, units: u32) -> usize {
    (units / (codec.clock_rate() / codec.sample_rate())) as usize
}

/// Decodes `packet`, or conceals `length` samples.
fn opus(
    decoder: &mut OpusDecoder,
    packet: Option<OpusPacket<'_>>,
    length: usize,
) -> Option<Vec<f32>> {
    let mut samples = vec![0.0; length];
    let signals = MutSignals::try_from(&mut samples).ok()?;
    let decoded = decoder.decode_float(packet, signals, false).ok()?;
    samples.truncate(decoded);
    Some(samples)
}

#[cfg(test)]
mod tests {
    use audiopus::Application;
    use audiopus::coder::Encoder;

    use super::*;
    use crate::audio::pcm::level_dbfs;

    /// Opus packets of 20 ms with a tone of 440 Hz at half scale.
    fn opus_tone(channels: Channels, packets: usize) -> Vec<Vec<u8>> {
        let encoder = Encoder::new(SampleRate::Hz48000, channels, Application::Voip);
        let encoder = encoder.expect("an encoder");
        let width = channels as usize;
        let tone = |n: usize| 0.5 * (n as f32 * 440.0 * std::f32::consts::TAU / 48_000.0).sin();
        (0..packets)
            .map(|packet| {
                let range = packet * 960 * width..(packet + 1) * 960 * width;
                let samples: Vec<f32> = range.map(|n| tone(n / width)).collect();
                let mut bytes = vec![0; 1_500];
                let length = encoder.encode_float(&samples, &mut bytes).expect("a packet");
                bytes.truncate(length);
                bytes
            })
            .collect()
    }

    #[test]
    fn g711_is_scaled_to_full_scale() {
        let mut decoder = Decoder::new(Codec::Pcmu);
        assert_eq!(decoder.decode(&[0x00, 0xff]), Ok(vec![-32_124.0 / 32_768.0, 0.0]));
        let mut decoder = Decoder::new(Codec::Pcma);
        assert_eq!(decoder.decode(&[0xaa]), Ok(vec![32_256.0 / 32_768.0]));
    }

    #[test]
    fn opus_comes_out_at_sixteen_kilohertz_mono() {
        for channels in [Channels::Mono, Channels::Stereo] {
            let mut decoder = Decoder::new(Codec::Opus);
            for payload in opus_tone(channels, 20) {
                assert_eq!(Codec::Opus.duration(&payload), Ok(960));
                let samples = decoder.decode(&payload).expect("audio");
                assert_eq!(samples.len(), 320);
            }
            let tone = decoder.decode(&opus_tone(channels, 20)[19]).expect("audio");
            assert!((level_dbfs(&tone) + 9.0).abs() < 2.0, "{}", level_dbfs(&tone));
        }
    }

    #[test]
    fn a_gap_is_filled_to_the_sample_and_never_beyond_120_ms() {
        for (codec, units, samples) in [
            (Codec::Pcmu, 160, 160),
            (Codec::Pcma, u64::MAX, 960),
            (Codec::Opus, 960, 320),
            (Codec::Opus, 48_000, 1_920),
            (Codec::Opus, 1_000, 333),
            (Codec::Opus, 0, 0),
            (Codec::Opus, 1 << 40, 1_920),
        ] {
            assert_eq!(Decoder::new(codec).conceal(units).len(), samples, "{codec:?} {units}");
        }
    }

    #[test]
    fn a_lost_packet_does_not_leave_a_hole() {
        let mut decoder = Decoder::new(Codec::Opus);
        for payload in opus_tone(Channels::Mono, 20) {
            decoder.decode(&payload).expect("audio");
        }
        assert!(level_dbfs(&decoder.conceal(960)) > -20.0);
        let mut decoder = Decoder::new(Codec::Pcmu);
        let tone: Vec<u8> =
            (0..800).map(|n| g711::encode_ulaw(((n % 20) * 1_000) as i16)).collect();
        decoder.decode(&tone).expect("audio");
        assert!(level_dbfs(&decoder.conceal(160)) > -20.0);
    }

    #[test]
    fn payloads_that_cannot_be_are_refused_by_kind() {
        for codec in [Codec::Pcmu, Codec::Opus] {
            assert_eq!(Decoder::new(codec).decode(&[]), Err(DecodeError::Empty));
        }
        assert_eq!(Decoder::new(Codec::Pcma).decode(&[0; 961]), Err(DecodeError::TooLong));
        let mut decoder = Decoder::new(Codec::Opus);
        // Code 3 (RFC 6716 §3.2.5) without its frame count, then with frames of 120 ms in all
        // and no bytes to back their lengths.
        assert_eq!(decoder.decode(&[0x03]), Err(DecodeError::Malformed));
        assert_eq!(decoder.decode(&[0x03, 0x3f]), Err(DecodeError::Malformed));
        assert_eq!(decoder.decode(&[0x01, 0x00]), Err(DecodeError::Malformed), "two unlike halves");
        assert!(decoder.decode(&opus_tone(Channels::Mono, 1)[0]).is_ok(), "it still works");
    }
}
