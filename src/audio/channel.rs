//! What telephone channels make of speech: for evaluation on recordings.

use std::f32::consts::TAU;
use std::str::FromStr;
use std::time::Duration;

use crate::audio::channel_noise;
use crate::audio::decoder::Codec;
use crate::audio::g711;
use crate::audio::opus_encoder::OpusEncoder;
use crate::audio::pcm;
use crate::audio::playback::{Origin, Piece, Playback};
use crate::audio::resampler::{Downsampler, Upsampler};

/// Level of speech on a telephone line, dBFS.
const LEVEL_DBFS: f32 = -26.0;
/// Samples of 20 ms at 8 kHz.
const FRAME: usize = 160;
/// Rate of Opus in `opus16`, bit/s.
const OPUS_RATE: i32 = 16_000;
/// Band of the worst analogue lines, Hz.
const BAND: (f32, f32) = (300.0, 3_400.0);
/// Quality factors of the two halves of a Butterworth filter of the fourth order.
const BUTTERWORTH: [f32; 2] = [0.541_196, 1.306_563];

/// A way that speech takes to us.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Channel {
    /// G.711 mu-law.
    Mulaw,
    /// G.711 A-law.
    Alaw,
    /// Opus at 16 kHz and 16 kbit/s.
    Opus16,
    /// Mu-law of which so many per cent of the packets are lost at random and concealed.
    Loss(f32),
    /// 300 to 3400 Hz, then mu-law.
    Band,
    /// Mu-law with other people's talk at so many dB below the speech.
    Babble(f32),
    /// Mu-law with a kitchen's noise at so many dB below the speech.
    Kitchen(f32),
    /// Mu-law with a given noise at so many dB below the speech.
    Noise(f32),
}

/// Why a text names no channel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a channel is one of mulaw, alaw, opus16, loss5 (any per cent to 50), band, babble15, kitchen10 or noise10, the \
     last three with any ratio in dB, not {0:?}"
)]
pub struct ChannelError(String);

impl FromStr for Channel {
    type Err = ChannelError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ChannelError(text.to_owned());
        let ratio = |text: &str| text.parse().ok().filter(|db: &f32| (-20.0..=60.0).contains(db));
        match text {
            "mulaw" => Ok(Self::Mulaw),
            "alaw" => Ok(Self::Alaw),
            "opus16" => Ok(Self::Opus16),
            "band" => Ok(Self::Band),
            _ => {
                let of = |kind| text.strip_prefix(kind).and_then(ratio);
                let percent = text.strip_prefix("loss").and_then(|text| text.parse().ok());
                let loss = percent.filter(|percent: &f32| (0.0..=50.0).contains(percent));
                (of("babble").map(Self::Babble))
                    .or_else(|| loss.map(Self::Loss))
                    .or_else(|| of("kitchen").map(Self::Kitchen))
                    .or_else(|| of("noise").map(Self::Noise))
                    .ok_or_else(error)
            }
        }
    }
}

impl std::fmt::Display for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mulaw => f.write_str("mulaw"),
            Self::Alaw => f.write_str("alaw"),
            Self::Opus16 => f.write_str("opus16"),
            Self::Loss(percent) => write!(f, "loss{percent}"),
            Self::Band => f.write_str("band"),
            Self::Babble(db) => write!(f, "babble{db}"),
            Self::Kitchen(db) => write!(f, "kitchen{db}"),
            Self::Noise(db) => write!(f, "noise{db}"),
        }
    }
}

/// Speech as it arrives.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrived {
    /// Samples a second: 8,000 or 16,000.
    pub rate: u32,
    /// Stretches of it, and whether each was made up in place of a lost packet.
    pub spans: Vec<(Vec<f32>, bool)>,
}

/// What may be added to speech, at 8 kHz.
#[derive(Clone, Copy, Debug, Default)]
pub struct Noises<'a> {
    /// Other people, each a recording of one.
    pub talkers: &'a [Vec<f32>],
    /// A noise of the user's own.
    pub own: Option<&'a [f32]>,
}

impl Channel {
    /// Sends `speech` (16 kHz) down the channel. `seed` chooses which packets are lost and which noise is
    /// there; `None` where the noise that the channel wants is missing.
    pub fn carry(self, speech: &[f32], noises: Noises<'_>, seed: u64) -> Option<Arrived> {
        if self == Self::Opus16 {
            return Some(opus(&at_level(speech.to_vec())));
        }
        let mut random = fastrand::Rng::with_seed(seed);
        let narrow = narrow(speech);
        let line = match self {
            Self::Band => band(&narrow),
            Self::Babble(db) => {
                let babble = channel_noise::babble(noises.talkers, narrow.len(), &mut random)?;
                mixed(narrow, &babble, db)
            }
            Self::Kitchen(db) => {
                let kitchen = channel_noise::kitchen(narrow.len(), &mut random);
                mixed(narrow, &kitchen, db)
            }
            Self::Noise(db) => {
                let noise = channel_noise::anywhere(noises.own?, narrow.len(), &mut random)?;
                mixed(narrow, &noise, db)
            }
            Self::Mulaw | Self::Alaw | Self::Opus16 | Self::Loss(_) => narrow,
        };
        let samples = pcm::to_i16(&at_level(line));
        let codec = if self == Self::Alaw { Codec::Pcma } else { Codec::Pcmu };
        let mut playback = Playback::new();
        let mut spans = Vec::new();
        let lost = if let Self::Loss(percent) = self { percent / 100.0 } else { 0.0 };
        for (n, frame) in samples.chunks_exact(FRAME).enumerate() {
            // The first arrives: nothing is known to conceal it by.
            if n > 0 && lost > 0.0 && random.f32() < lost {
                playback.handle_lost(Duration::from_millis(20));
            } else {
                let encode = if self == Self::Alaw { g711::encode_alaw } else { g711::encode_ulaw };
                let payload: Vec<u8> = frame.iter().map(|&sample| encode(sample)).collect();
                playback.handle_payload(codec, &payload);
            }
            collect(&mut playback, &mut spans);
        }
        playback.settle();
        collect(&mut playback, &mut spans);
        Some(Arrived { rate: 8_000, spans })
    }
}

fn collect(playback: &mut Playback, spans: &mut Vec<(Vec<f32>, bool)>) {
    while let Some(piece) = playback.poll_piece() {
        if let Piece::Samples { samples, origin, .. } = piece {
            spans.push((samples, origin == Origin::Concealed));
        }
    }
}

impl Arrived {
    /// All of it as one signal at 16 kHz, what was made up included.
    pub fn samples(&self) -> Vec<f32> {
        let all: Vec<f32> = self.spans.iter().flat_map(|(samples, _)| samples).copied().collect();
        if self.rate == pcm::SAMPLE_RATE {
            return all;
        }
        let mut upsampler = Upsampler::new();
        let mut samples = upsampler.push(&all);
        samples.extend(upsampler.flush());
        samples
    }
}

/// 16 kHz to 8 kHz.
pub fn narrow(speech: &[f32]) -> Vec<f32> {
    let mut downsampler = Downsampler::new();
    let mut narrow = downsampler.push(speech);
    narrow.extend(downsampler.flush());
    narrow
}

/// Root of the mean square; 0 of nothing.
pub(in crate::audio) fn rms(samples: &[f32]) -> f32 {
    let power: f64 = samples.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    (power / samples.len().max(1) as f64).sqrt() as f32
}

fn at_level(mut speech: Vec<f32>) -> Vec<f32> {
    let gain = 10_f32.powf(LEVEL_DBFS / 20.0) / rms(&speech).max(1e-9);
    speech.iter_mut().for_each(|x| *x = (*x * gain).clamp(-1.0, 1.0));
    speech
}

/// `speech` with `noise` at `db` below it, both by the root of their mean squares.
fn mixed(mut speech: Vec<f32>, noise: &[f32], db: f32) -> Vec<f32> {
    let gain = rms(&speech) / rms(noise).max(1e-9) * 10_f32.powf(-db / 20.0);
    speech.iter_mut().zip(noise).for_each(|(x, n)| *x += gain * n);
    speech
}

fn opus(speech: &[f32]) -> Arrived {
    let mut encoder = OpusEncoder::new(OPUS_RATE);
    let mut playback = Playback::new();
    let mut spans = Vec::new();
    for packet in encoder.encode(speech) {
        playback.handle_payload(Codec::Opus, &packet);
        collect(&mut playback, &mut spans);
    }
    playback.settle();
    collect(&mut playback, &mut spans);
    Arrived { rate: Codec::Opus.sample_rate(), spans }
}

/// Butterworth of the fourth order on either side of [`BAND`], at 8 kHz.
fn band(speech: &[f32]) -> Vec<f32> {
    let mut samples = speech.to_vec();
    for q in BUTTERWORTH {
        section(&mut samples, BAND.0, q, true);
        section(&mut samples, BAND.1, q, false);
    }
    samples
}

/// One second-order section, by the bilinear transform (R. Bristow-Johnson, Audio EQ Cookbook).
fn section(samples: &mut [f32], corner: f32, q: f32, high: bool) {
    let (sine, cosine) = (TAU * corner / 8_000.0).sin_cos();
    let alpha = sine / (2.0 * q);
    let (outer, inner) = if high {
        ((1.0 + cosine) / 2.0, -(1.0 + cosine))
    } else {
        ((1.0 - cosine) / 2.0, 1.0 - cosine)
    };
    let a0 = 1.0 + alpha;
    let (b0, b1, a1, a2) = (outer / a0, inner / a0, -2.0 * cosine / a0, (1.0 - alpha) / a0);
    let (mut x1, mut x2, mut y1, mut y2) = (0.0, 0.0, 0.0, 0.0);
    for sample in samples {
        let x = *sample;
        let y = b0 * (x + x2) + b1 * x1 - a1 * y1 - a2 * y2;
        (x2, x1, y2, y1) = (x1, x, y1, y);
        *sample = y;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f32) -> Vec<f32> {
        (0..16_000).map(|n| 0.1 * (TAU * hz * n as f32 / 16_000.0).sin()).collect()
    }

    #[test]
    fn a_channel_is_named_as_it_is_written() {
        for name in ["mulaw", "alaw", "opus16", "loss5", "band", "babble15", "kitchen10", "noise-5"]
        {
            assert_eq!(name.parse::<Channel>().expect("a channel").to_string(), name);
        }
        for wrong in ["ulaw", "babble", "noise99", "kitchen10dB"] {
            assert!(wrong.parse::<Channel>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_channel_brings_speech_at_its_level_and_length() {
        let talkers = vec![vec![0.1, -0.1, 0.2]; 6];
        let own = [0.5, -0.5];
        let noises = Noises { talkers: &talkers, own: Some(&own) };
        for name in ["mulaw", "alaw", "opus16", "loss5", "band", "babble15", "kitchen10", "noise10"]
        {
            let channel: Channel = name.parse().expect("a channel");
            let arrived = channel.carry(&tone(1_000.0), noises, 1).expect("all noises are there");
            let samples = arrived.samples();
            assert!((samples.len() as i64 - 16_000).abs() <= 640, "{name}: {}", samples.len());
            let level = 20.0 * rms(&samples[1_000..]).log10();
            assert!((-28.5..-25.0).contains(&level), "{name}: {level} dBFS");
        }
        assert_eq!(Channel::Babble(10.0).carry(&tone(500.0), Noises::default(), 1), None);
        assert_eq!(Channel::Noise(10.0).carry(&tone(500.0), Noises::default(), 1), None);
    }

    #[test]
    fn the_band_ends_where_it_should() {
        let gain = |hz| {
            let speech = narrow(&tone(hz));
            20.0 * (rms(&band(&speech)[800..]) / rms(&speech[800..])).log10()
        };
        assert!(gain(1_000.0).abs() < 0.5);
        assert!((gain(300.0) + 3.0).abs() < 0.5, "{}", gain(300.0));
        assert!(gain(150.0) < -20.0 && gain(3_800.0) < -12.0);
    }

    #[test]
    fn one_packet_in_twenty_is_made_up() {
        let speech: Vec<f32> = tone(400.0).repeat(20);
        let arrived =
            Channel::Loss(5.0).carry(&speech, Noises::default(), 3).expect("no noise wanted");
        let made_up: usize =
            arrived.spans.iter().filter(|(_, concealed)| *concealed).map(|(s, _)| s.len()).sum();
        let share = made_up as f64 / 160_000.0;
        assert!((0.03..0.07).contains(&share), "{share}");
        let clean = Channel::Mulaw.carry(&speech, Noises::default(), 3).expect("no noise wanted");
        assert!(clean.spans.iter().all(|(_, concealed)| !concealed));
    }
}
