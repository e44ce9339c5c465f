//! Payloads to mono samples: G.711, G.722 and L16 (RFC 3551 §4.5), and Opus (RFC 6716, RFC 7587).

use std::fmt;
use std::time::Duration;

use audiopus::packet::{Packet as OpusPacket, nb_samples};
use audiopus::{Channels, MutSignals, SampleRate, coder::Decoder as OpusDecoder};
use thiserror::Error;

use crate::audio::g711;
use crate::audio::g722::G722Decoder;

/// The longest payload taken, in ms: what Opus can carry (RFC 6716 §3.1). No G.711 sender packs
/// more, as 120 ms are 960 bytes.
const LONGEST_MS: u32 = 120;
/// Opus conceals in whole steps of 2.5 ms (`opus_decode_float` in the library's manual).
const OPUS_STEP: usize = 40;
/// An Opus packet of at most this many bytes has no audio in it: its sender is silent and says so
/// now and then (DTX, RFC 6716 §2.1.9).
const OPUS_DTX: usize = 2;
/// The configurations from this on are CELT alone, which repeats nothing (RFC 6716 §3.1, table 2).
const OPUS_CELT: u8 = 16;

/// A codec that may be agreed in SDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 mu-law, static payload type 0.
    Pcmu,
    /// G.711 A-law, static payload type 8.
    Pcma,
    /// G.722 at 64 kbit/s, static payload type 9. Its RTP clock counts 8,000 a second though it has
    /// 16,000 samples (RFC 3551 §4.5.2).
    G722,
    /// Linear samples of 16 bits at 8 kHz, `L16/8000`.
    L16,
    /// Linear samples of 16 bits at 16 kHz, `L16/16000`.
    L16Wide,
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
    Ulaw,
    Alaw,
    G722(Box<G722Decoder>),
    Linear,
    /// With whether the last packet had a part that could have been repeated: without one libopus
    /// takes no repetition (`opus_decode_native`).
    Opus(OpusDecoder, bool),
}

impl Codec {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Pcmu, Self::Pcma, Self::G722, Self::L16, Self::L16Wide, Self::Opus];

    /// Ticks of its RTP timestamps per second. Opus always counts 48,000 (RFC 7587 §4.1).
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 | Self::L16 => 8_000,
            Self::L16Wide => 16_000,
            Self::Opus => 48_000,
        }
    }

    /// Rate of the decoded samples in Hz. Opus decodes to what the models take, whatever was sent.
    pub fn sample_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::L16 => 8_000,
            Self::G722 | Self::L16Wide | Self::Opus => 16_000,
        }
    }

    /// As SDP names it (RFC 3551 §6, RFC 7587 §7).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::L16 => "L16/8000",
            Self::L16Wide => "L16/16000",
            Self::Opus => "opus",
        }
    }

    /// A payload of 20 ms of digital silence, and the timestamp units that it fills; `None` from a
    /// codec that needs an encoder for it.
    pub fn silence(self) -> Option<(Vec<u8>, u32)> {
        let (byte, length) = match self {
            Self::Pcmu => (0xff, 160),
            Self::Pcma => (0xd5, 160),
            // The code of the smallest difference in both bands.
            Self::G722 => (0xfa, 160),
            Self::L16 => (0, 320),
            Self::L16Wide => (0, 640),
            Self::Opus => return None,
        };
        Some((vec![byte; length], self.clock_rate() / 50))
    }

    /// Whether `payload` is the word of a silent sender and has no audio in it.
    pub fn is_pause(self, payload: &[u8]) -> bool {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 | Self::L16 | Self::L16Wide => false,
            Self::Opus => payload.len() <= OPUS_DTX,
        }
    }

    /// The time that `payload` fills; none if it is no payload of this codec.
    pub fn time(self, payload: &[u8]) -> Duration {
        let units = self.duration(payload).unwrap_or(0);
        Duration::from_secs(units.into()) / self.clock_rate()
    }

    /// The time that `payload` fills, in timestamp units, without decoding it.
    pub fn duration(self, payload: &[u8]) -> Result<u32, DecodeError> {
        let units = match self {
            _ if payload.is_empty() => return Err(DecodeError::Empty),
            Self::Pcmu | Self::Pcma | Self::G722 => payload.len(),
            Self::L16 | Self::L16Wide => payload.len() / 2,
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
        let state = match codec {
            Codec::Pcmu => State::Ulaw,
            Codec::Pcma => State::Alaw,
            Codec::G722 => State::G722(Box::default()),
            Codec::L16 | Codec::L16Wide => State::Linear,
            Codec::Opus => {
                let decoder = OpusDecoder::new(SampleRate::Hz16000, Channels::Mono);
                State::Opus(decoder.expect("16 kHz mono is a form that Opus has"), false)
            }
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
        Ok(match &mut self.state {
            State::Ulaw => payload.iter().map(|&code| scaled(g711::decode_ulaw(code))).collect(),
            State::Alaw => payload.iter().map(|&code| scaled(g711::decode_alaw(code))).collect(),
            State::G722(decoder) => decoder.decode(payload).into_iter().map(scaled).collect(),
            State::Linear => {
                payload.as_chunks().0.iter().map(|&word| scaled(i16::from_be_bytes(word))).collect()
            }
            State::Opus(decoder, repeatable) => {
                let packet = OpusPacket::try_from(payload).map_err(|_| DecodeError::Malformed)?;
                *repeatable = payload.len() > OPUS_DTX && payload[0] >> 3 < OPUS_CELT;
                let length =
                    (units / (self.codec.clock_rate() / self.codec.sample_rate())) as usize;
                opus(decoder, Some(packet), length, false).ok_or(DecodeError::Malformed)?
            }
        })
    }

    /// What the codec itself makes of `length` samples that were lost before `next`, and how many of
    /// them, at the end, were really sent: Opus repeats its last frame in a coarser form in the next
    /// packet (RFC 6716 §2.1.7). `None` from codecs that leave a gap to be bridged by its listener.
    pub fn recover(&mut self, length: usize, next: Option<&[u8]>) -> Option<(Vec<f32>, usize)> {
        let State::Opus(decoder, repeatable) = &mut self.state else { return None };
        let steps = length.next_multiple_of(OPUS_STEP);
        let next = next.filter(|payload| payload.len() > OPUS_DTX);
        let packet = next.and_then(|payload| OpusPacket::try_from(payload).ok());
        let mut samples = match steps {
            0 => Vec::new(),
            _ => opus(decoder, packet, steps, true).unwrap_or_default(),
        };
        samples.resize(length, 0.0);
        let repeated = next.filter(|_| *repeatable).map_or(0, opus_repeated);
        Some((samples, if repeated <= length { repeated } else { 0 }))
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("codec", &self.codec).finish_non_exhaustive()
    }
}

fn scaled(sample: i16) -> f32 {
    f32::from(sample) / 32_768.0
}

/// Decodes `packet` to `length` samples; with `before`, what was lost before it, and what there is
/// nothing of is made up.
fn opus(
    decoder: &mut OpusDecoder,
    packet: Option<OpusPacket<'_>>,
    length: usize,
    before: bool,
) -> Option<Vec<f32>> {
    let mut samples = vec![0.0; length];
    let signals = MutSignals::try_from(&mut samples).ok()?;
    let decoded = decoder.decode_float(packet, signals, before).ok()?;
    samples.truncate(decoded);
    Some(samples)
}

/// Samples of the packet before that `payload` repeats (LBRR, RFC 6716 §4.2.4): as long as its own
/// first frame.
fn opus_repeated(payload: &[u8]) -> usize {
    let [toc, rest @ ..] = payload else { return 0 };
    let configuration = toc >> 3;
    let (frame_ms, hybrid) = match configuration {
        0..12 => ([10, 20, 40, 60][usize::from(configuration % 4)], false),
        12..OPUS_CELT => ([10, 20][usize::from(configuration % 2)], true),
        _ => return 0,
    };
    // Where the first frame begins (§3.2); a packet of code 3 is too seldom to be worth its parsing.
    let frame = match (toc & 3, rest) {
        (0 | 1, frame) | (2, [0..252, frame @ ..] | [252..=255, _, frame @ ..]) => frame,
        _ => return 0,
    };
    let Some(&flags) = frame.first() else { return 0 };
    // One flag of voice activity for each 20 ms, then the one that matters; the side channel's alike.
    let parts = if hybrid { 1 } else { (frame_ms / 20).max(1) };
    let of_middle = flags >> (7 - parts) & 1 == 1;
    let of_side = toc & 4 != 0 && 2 * parts < 7 && flags >> (6 - 2 * parts) & 1 == 1;
    if of_middle || of_side { frame_ms * 16 } else { 0 }
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
    fn opus_fills_a_gap_to_the_sample_and_no_other_codec_does() {
        for length in [320, 1_920, 333, 1, 0] {
            let (samples, repeated) =
                Decoder::new(Codec::Opus).recover(length, None).expect("Opus");
            assert_eq!((samples.len(), repeated), (length, 0));
        }
        for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::L16, Codec::L16Wide] {
            assert_eq!(Decoder::new(codec).recover(320, None), None);
        }
    }

    #[test]
    fn a_lost_opus_packet_does_not_leave_a_hole() {
        let mut decoder = Decoder::new(Codec::Opus);
        for payload in opus_tone(Channels::Mono, 20) {
            decoder.decode(&payload).expect("audio");
        }
        let (samples, _) = decoder.recover(320, None).expect("Opus");
        assert!(level_dbfs(&samples) > -20.0);
    }

    /// A sweep of which every fourth packet is lost: the largest error of what is put in its place,
    /// with and without repetition.
    #[test]
    fn opus_takes_a_lost_packet_from_the_next_where_it_is_repeated() {
        let error = |repeating: bool| {
            let mut encoder =
                Encoder::new(SampleRate::Hz16000, Channels::Mono, Application::Voip).expect("one");
            encoder.set_inband_fec(repeating).expect("a setting");
            encoder.set_packet_loss_perc(25).expect("a setting");
            encoder.set_bitrate(audiopus::Bitrate::BitsPerSecond(28_000)).expect("a setting");
            let (mut whole, mut holed) = (Decoder::new(Codec::Opus), Decoder::new(Codec::Opus));
            let (mut wrong, mut all, mut repeats) = (0.0, 0.0, 0);
            let mut lost = None;
            for packet in 0..200 {
                let speech = |n: usize| {
                    let t = (packet * 320 + n) as f32 / 16_000.0;
                    let pitch = 120.0 + 40.0 * (t * 3.0).sin();
                    (1..12)
                        .map(|h| (t * pitch * h as f32 * std::f32::consts::TAU).sin() / h as f32)
                        .sum::<f32>()
                        * 0.1
                        * (t * 13.0).sin()
                };
                let audio: Vec<f32> = (0..320).map(speech).collect();
                let mut payload = vec![0; 1_500];
                let length = encoder.encode_float(&audio, &mut payload).expect("a packet");
                payload.truncate(length);
                let heard = whole.decode(&payload).expect("audio");
                if let Some(missing) = lost.take() {
                    let (filled, repeated) = holed.recover(320, Some(&payload)).expect("Opus");
                    repeats += usize::from(repeated == 320);
                    let missing: Vec<f32> = missing;
                    for (filled, missing) in filled.iter().zip(&missing) {
                        wrong += (filled - missing).powi(2);
                        all += missing.powi(2);
                    }
                }
                if packet % 4 == 3 {
                    lost = Some(heard);
                } else {
                    holed.decode(&payload).expect("audio");
                }
            }
            (wrong / all, repeats)
        };
        let ((with, repeats), (without, none)) = (error(true), error(false));
        assert!(repeats > 30 && none == 0, "{repeats} repeats, {none} where there are none");
        assert!(with < 0.5 * without, "{with} of the energy is wrong with, {without} without");
    }

    #[test]
    fn silence_is_silent_in_every_codec_that_has_some() {
        for codec in Codec::ALL {
            let Some((payload, units)) = codec.silence() else { continue };
            assert_eq!(codec.duration(&payload), Ok(units));
            assert_eq!(codec.time(&payload), Duration::from_millis(20));
            let samples = Decoder::new(codec).decode(&payload).expect("audio");
            assert!(level_dbfs(&samples) < -72.0, "{codec:?}: {}", level_dbfs(&samples));
        }
        assert_eq!(Codec::Opus.silence(), None);
    }

    #[test]
    fn linear_samples_come_most_significant_byte_first() {
        let mut decoder = Decoder::new(Codec::L16Wide);
        assert_eq!(decoder.decode(&[0x40, 0x00, 0xc0, 0x00]), Ok(vec![0.5, -0.5]));
    }

    #[test]
    fn payloads_that_cannot_be_are_refused_by_kind() {
        for codec in [Codec::Pcmu, Codec::G722, Codec::L16, Codec::Opus] {
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
