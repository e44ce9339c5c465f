//! Log-mel filterbank energies as Kaldi computes them: WeSpeaker, 3D-Speaker and ECAPA models.
//!
//! Kaldi's defaults but for the bands, the window and dither, of which there is none: frames of 25 ms
//! every 10 ms that lie wholly within the signal (`snip_edges`), each without its mean and
//! pre-emphasised. Sums are taken in Kaldi's order and precision: in the quietest bands the last bit
//! of an f32 is heard. Models of the k2 family want two of the defaults otherwise: see [`K2`].

use std::f64::consts::PI;

use serde::Deserialize;

use crate::audio::pcm::SAMPLE_RATE;
use crate::audio::spectrum::{Spectrum, Triangle};

/// Most bands there may be: with more, the lowest fall between two bins of the transform.
pub const MOST_BANDS: usize = 80;

/// 25 ms.
const FRAME_LENGTH: usize = SAMPLE_RATE as usize / 40;
/// 10 ms.
const FRAME_SHIFT: usize = SAMPLE_RATE as usize / 100;
/// The next power of two above [`FRAME_LENGTH`].
const POINTS: usize = 512;
const PRE_EMPHASIS: f32 = 0.97;
/// Lower edge of the first triangle, in Hz.
const LOW: f64 = 20.0;

/// What streaming models of the k2 family (icefall, sherpa-onnx) were trained on.
pub const K2: Settings = Settings {
    bands: 80,
    window: Window::Povey,
    subtract_mean: false,
    scale: 1.0,
    edges: Edges::Mirrored,
    highest_hz: 7_600,
};

/// What differs from model to model.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Mel bands in a frame.
    pub bands: usize,
    /// What a frame is multiplied with.
    pub window: Window,
    /// Whether each band is without its mean over the frames: what a telephone and a microphone
    /// colour.
    pub subtract_mean: bool,
    /// What a sample of full scale counts: 32768 or 1.
    pub scale: f32,
    /// What becomes of the signal's edges.
    #[serde(default)]
    pub edges: Edges,
    /// Where the last triangle ends, in Hz: half the sample rate, or below.
    #[serde(default = "half_the_rate")]
    pub highest_hz: u16,
}

fn half_the_rate() -> u16 {
    (SAMPLE_RATE / 2) as u16
}

impl Settings {
    /// Frames of so many samples.
    pub fn frames(&self, samples: usize) -> usize {
        match self.edges {
            Edges::Whole => {
                samples.checked_sub(FRAME_LENGTH).map_or(0, |rest| 1 + rest / FRAME_SHIFT)
            }
            Edges::Mirrored => (samples + FRAME_SHIFT / 2) / FRAME_SHIFT,
        }
    }
}

/// What becomes of the signal's edges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Edges {
    /// Frames lie wholly within the signal: none in less than 25 ms.
    #[default]
    Whole,
    /// A frame for every 10 ms, around its middle; the signal is mirrored where a frame reaches beyond it.
    Mirrored,
}

/// A frame's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    /// WeSpeaker's and pyannote's.
    Hamming,
    /// Kaldi's own: a Hann window to the power of 0.85.
    Povey,
}

/// Computes filterbanks; owns the transform and its work space.
#[derive(Debug)]
pub struct FilterBank {
    settings: Settings,
    spectrum: Spectrum,
    window: [f32; FRAME_LENGTH],
    triangles: Vec<Triangle>,
}

impl FilterBank {
    /// Plans the transform and lays out the triangles; worth keeping.
    pub fn new(settings: Settings) -> Self {
        let last = (FRAME_LENGTH - 1) as f64;
        let window = |n: usize| {
            let cosine = (2.0 * PI * n as f64 / last).cos();
            let weight = match settings.window {
                Window::Hamming => 0.54 - 0.46 * cosine,
                Window::Povey => (0.5 - 0.5 * cosine).powf(0.85),
            };
            weight as f32
        };
        Self {
            settings,
            spectrum: Spectrum::new(POINTS),
            window: std::array::from_fn(window),
            triangles: triangles(settings.bands, settings.highest_hz),
        }
    }

    /// Natural logarithms of power, [frames, bands], row-major, of `samples` (16 kHz, full scale -1
    /// to 1).
    pub fn compute(&mut self, samples: &[f32]) -> Vec<f32> {
        let frames = self.settings.frames(samples.len());
        let mut energies = Vec::with_capacity(frames * self.settings.bands);
        for n in 0..frames {
            let frame = match self.settings.edges {
                Edges::Whole => self.frame(&samples[n * FRAME_SHIFT..][..FRAME_LENGTH]),
                Edges::Mirrored => self.frame(&mirrored(samples, n)),
            };
            let power = self.spectrum.power(&frame);
            energies.extend(self.triangles.iter().map(|t| t.weigh(power).max(f32::EPSILON).ln()));
        }
        if self.settings.subtract_mean {
            subtract_mean(&mut energies, self.settings.bands);
        }
        energies
    }

    fn frame(&self, samples: &[f32]) -> [f32; FRAME_LENGTH] {
        let scaled = |n: usize| samples[n] * self.settings.scale;
        let mean = (0..FRAME_LENGTH).map(scaled).sum::<f32>() / FRAME_LENGTH as f32;
        // Kaldi takes the first sample as its own predecessor.
        let mut before = scaled(0) - mean;
        std::array::from_fn(|n| {
            let centred = scaled(n) - mean;
            let emphasised = centred - PRE_EMPHASIS * before;
            before = centred;
            emphasised * self.window[n]
        })
    }
}

/// The `n`th frame around the middle of its 10 ms; beyond its ends the signal runs backwards.
fn mirrored(samples: &[f32], n: usize) -> [f32; FRAME_LENGTH] {
    let length = samples.len() as isize;
    let start = (n * FRAME_SHIFT + FRAME_SHIFT / 2) as isize - (FRAME_LENGTH / 2) as isize;
    std::array::from_fn(|place| {
        // Of a signal shorter than the frame more than once.
        let mut at = start + place as isize;
        while at < 0 || at >= length {
            at = if at < 0 { -at - 1 } else { 2 * length - 1 - at };
        }
        samples[at as usize]
    })
}

/// Takes from each band its mean over the frames.
fn subtract_mean(energies: &mut [f32], bands: usize) {
    let mut means = vec![0.0; bands];
    for row in energies.chunks_exact(bands) {
        means.iter_mut().zip(row).for_each(|(mean, energy)| *mean += energy);
    }
    let share = 1.0 / (energies.len() / bands).max(1) as f32;
    for row in energies.chunks_exact_mut(bands) {
        row.iter_mut().zip(&means).for_each(|(energy, sum)| *energy -= sum * share);
    }
}

/// Triangles of equal width and half overlap on the mel scale, over the bins up to `highest` Hz.
fn triangles(bands: usize, highest: u16) -> Vec<Triangle> {
    let hertz = |bin: usize| bin as f64 * f64::from(SAMPLE_RATE) / POINTS as f64;
    let (low, high) = (mel(LOW), mel(f64::from(highest)));
    let width = (high - low) / (bands + 1) as f64;
    (0..bands)
        .map(|n| {
            let left = low + n as f64 * width;
            // Kaldi leaves the bin of half the sample rate out.
            Triangle::new(POINTS / 2, |bin| 1.0 - ((mel(hertz(bin)) - left) / width - 1.0).abs())
        })
        .collect()
}

fn mel(hertz: f64) -> f64 {
    1127.0 * (1.0 + hertz / 700.0).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Settings = Settings {
        window: Window::Hamming,
        scale: 32_768.0,
        edges: Edges::Whole,
        highest_hz: 8_000,
        ..K2
    };

    #[test]
    fn frames_lie_wholly_within_the_signal() {
        let mut bank = FilterBank::new(PLAIN);
        for (samples, frames) in [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2), (48_000, 298)] {
            assert_eq!(bank.compute(&vec![0.0; samples]).len(), frames * 80);
        }
    }

    #[test]
    fn with_mirrored_edges_there_is_a_frame_every_10_ms() {
        let mut bank = FilterBank::new(K2);
        for (samples, frames) in [(0, 0), (79, 0), (80, 1), (239, 1), (240, 2), (16_000, 100)] {
            assert_eq!(bank.compute(&vec![0.1; samples]).len(), frames * 80, "{samples}");
        }
    }

    #[test]
    fn beyond_its_edges_the_signal_runs_backwards() {
        let samples: Vec<f32> = (0..160).map(|n| n as f32).collect();
        let frame = mirrored(&samples, 0);
        assert_eq!(frame[..3], [119.0, 118.0, 117.0]);
        assert_eq!(frame[119..122], [0.0, 0.0, 1.0]);
        assert_eq!(frame[279..282], [159.0, 159.0, 158.0]);
        assert_eq!(mirrored(&samples[..1], 0), [0.0; FRAME_LENGTH]);
    }

    #[test]
    fn silence_is_the_floor_and_an_offset_is_silence() {
        let mut bank = FilterBank::new(PLAIN);
        for level in [0.0, 0.25] {
            let energies = bank.compute(&[level; 400]);
            assert!(energies.iter().all(|&energy| energy == f32::EPSILON.ln()));
        }
    }

    #[test]
    fn a_tone_is_loudest_in_its_own_band() {
        let loudest = |bands| {
            let energies = FilterBank::new(Settings { bands, ..PLAIN }).compute(&tone());
            (0..bands).max_by(|&a, &b| energies[a].total_cmp(&energies[b]))
        };
        // 1,000 Hz are 1,000 mel, of 31.7 to 2,840 in 81 steps: the triangle around step 28.
        assert_eq!(loudest(80), Some(27));
        // In 41 steps: the one around step 14.
        assert_eq!(loudest(40), Some(13));
    }

    #[test]
    fn the_scale_is_a_factor_of_every_energy() {
        let quiet = FilterBank::new(Settings { scale: 1.0, ..PLAIN }).compute(&tone());
        let loud = FilterBank::new(PLAIN).compute(&tone());
        let factor = 2.0 * 32_768_f32.ln();
        assert!(quiet.iter().zip(&loud).all(|(q, l)| *q < -15.0 || (l - q - factor).abs() < 0.01));
        assert!(quiet.iter().any(|&energy| energy > 0.0));
    }

    #[test]
    fn a_colouring_of_the_whole_is_taken_out() {
        let mut plain: Vec<f32> = (0..160).map(|n| n as f32).collect();
        let mut louder: Vec<f32> = plain.iter().map(|energy| energy + 3.0).collect();
        subtract_mean(&mut plain, 80);
        subtract_mean(&mut louder, 80);
        assert_eq!(plain, louder);
        assert_eq!(plain[0], -40.0);
    }

    fn tone() -> Vec<f32> {
        let phase = |n: usize| n as f32 * 1_000.0 * std::f32::consts::TAU / 16_000.0;
        (0..400).map(|n| phase(n).sin()).collect()
    }
}
