//! Mel energies as librosa computes them for the GE2E encoder: of linear power, and at a level.
//!
//! 40 triangles of equal area on Slaney's scale over 0 to 8 kHz; frames of 25 ms around every 10 ms
//! (centred, with zeros beyond both ends), periodic Hann; no logarithm. So loudness stays in the
//! numbers, and a window of speech is brought to one level first, as in training.

use std::f64::consts::PI;

use crate::audio::pcm::SAMPLE_RATE;
use crate::audio::spectrum::{Spectrum, Triangle};

/// Mel bands in a frame.
pub const BANDS: usize = 40;
/// 10 ms.
pub const FRAME_SHIFT: usize = SAMPLE_RATE as usize / 100;

/// 25 ms, and as many points of the transform.
const FRAME_LENGTH: usize = SAMPLE_RATE as usize / 40;
/// Root mean square of speech, of full scale: -26 dB, the telephone's usual, and the level at which
/// the shipped telephone head was learnt. 12 dB off costs 0.1 of cosine.
const LEVEL: f64 = 0.050_118_723;

/// Computes mel spectra; owns the transform and its work space.
#[derive(Debug)]
pub struct MelSpectrum {
    spectrum: Spectrum,
    window: [f32; FRAME_LENGTH],
    triangles: Vec<Triangle>,
}

impl MelSpectrum {
    /// Plans the transform and lays out the triangles; worth keeping.
    pub fn new() -> Self {
        let period = FRAME_LENGTH as f64;
        Self {
            spectrum: Spectrum::new(FRAME_LENGTH),
            window: std::array::from_fn(|n| {
                (0.5 - 0.5 * (2.0 * PI * n as f64 / period).cos()) as f32
            }),
            triangles: triangles(),
        }
    }

    /// Power, [1 + samples / 160, [`BANDS`]], row-major, of `samples` (16 kHz, full scale -1 to 1).
    pub fn compute(&mut self, samples: &[f32]) -> Vec<f32> {
        let frames = 1 + samples.len() / FRAME_SHIFT;
        let mut energies = Vec::with_capacity(frames * BANDS);
        for n in 0..frames {
            let frame: [f32; FRAME_LENGTH] = std::array::from_fn(|at| {
                let place = (n * FRAME_SHIFT + at).checked_sub(FRAME_LENGTH / 2);
                place.and_then(|place| samples.get(place)).map_or(0.0, |s| s * self.window[at])
            });
            let power = self.spectrum.power(&frame);
            energies.extend(self.triangles.iter().map(|triangle| triangle.weigh(power)));
        }
        energies
    }
}

impl Default for MelSpectrum {
    fn default() -> Self {
        Self::new()
    }
}

/// What brings the power of `samples` to that of speech at -26 dB of full scale; 1 for silence.
pub fn power_gain(samples: &[f32]) -> f32 {
    let energy: f64 = samples.iter().map(|&sample| f64::from(sample) * f64::from(sample)).sum();
    let gain = LEVEL * LEVEL * samples.len() as f64 / energy;
    if gain.is_finite() { gain as f32 } else { 1.0 }
}

/// Triangles between 42 points at equal distance on Slaney's scale, each of area 1 in Hz.
fn triangles() -> Vec<Triangle> {
    let hertz = |bin: usize| bin as f64 * f64::from(SAMPLE_RATE) / FRAME_LENGTH as f64;
    let width = mel(f64::from(SAMPLE_RATE) / 2.0) / (BANDS + 1) as f64;
    let point = |n: usize| hertz_of(n as f64 * width);
    (0..BANDS)
        .map(|n| {
            let (left, top, right) = (point(n), point(n + 1), point(n + 2));
            let height = 2.0 / (right - left);
            Triangle::new(FRAME_LENGTH / 2 + 1, |bin| {
                let rising = (hertz(bin) - left) / (top - left);
                let falling = (right - hertz(bin)) / (right - top);
                height * rising.min(falling)
            })
        })
        .collect()
}

/// Slaney's scale: 3 mel in 200 Hz up to 1 kHz, and from there 27 mel in a factor of 6.4.
fn mel(hertz: f64) -> f64 {
    if hertz < 1_000.0 {
        hertz * 3.0 / 200.0
    } else {
        15.0 + 27.0 * (hertz / 1e3).ln() / 6.4_f64.ln()
    }
}

fn hertz_of(mel: f64) -> f64 {
    if mel < 15.0 { mel * 200.0 / 3.0 } else { 1e3 * (6.4_f64.ln() * (mel - 15.0) / 27.0).exp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_stands_on_every_ten_milliseconds_and_on_both_ends() {
        let mut mel = MelSpectrum::new();
        for (samples, frames) in [(0, 1), (159, 1), (160, 2), (25_600, 161)] {
            assert_eq!(mel.compute(&vec![0.1; samples]).len(), frames * BANDS);
        }
    }

    #[test]
    fn loud_and_quiet_speech_come_to_one_level() {
        let samples: Vec<f32> = (0..1_600).map(|n| (n as f32 * 0.3).sin()).collect();
        for level in [0.001, 0.02, 0.9] {
            let heard: Vec<f32> = samples.iter().map(|sample| sample * level).collect();
            let power = heard.iter().map(|sample| sample * sample).sum::<f32>() / 1_600.0;
            let decibels = 10.0 * (power * power_gain(&heard)).log10();
            assert!((decibels + 26.0).abs() < 1e-3, "{decibels}");
        }
        assert_eq!((power_gain(&[]), power_gain(&[0.0; 9])), (1.0, 1.0));
    }

    #[test]
    fn the_scale_goes_there_and_back() {
        for hertz in [0.0, 700.0, 1_000.0, 6_400.0] {
            assert!((hertz_of(mel(hertz)) - hertz).abs() < 1e-9, "{hertz}");
        }
        assert_eq!(mel(6_400.0), 42.0);
    }
}
