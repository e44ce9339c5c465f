//! Log-mel filterbank energies as Kaldi computes them, for WeSpeaker-style speaker models.
//!
//! Kaldi's defaults but for 80 bins, a Hamming window and no dither: frames of 25 ms every 10 ms
//! that lie wholly within the signal (`snip_edges`), each without its mean and pre-emphasised.

use std::f64::consts::PI;
use std::fmt;
use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{RealFftPlanner, RealToComplex};

use crate::audio::pcm::SAMPLE_RATE;

/// Mel bins in a frame.
pub const BINS: usize = 80;

/// 25 ms.
const FRAME_LENGTH: usize = SAMPLE_RATE as usize / 40;
/// 10 ms.
const FRAME_SHIFT: usize = SAMPLE_RATE as usize / 100;
/// The next power of two above [`FRAME_LENGTH`].
const FFT: usize = 512;
/// Kaldi works on the numbers of 16-bit samples.
const FULL_SCALE: f32 = 32_768.0;
const PRE_EMPHASIS: f32 = 0.97;
/// Lower edge of the first triangle, in Hz; the last one ends at half the sample rate.
const LOW: f64 = 20.0;

/// Computes filterbanks; owns the transform and its work space.
pub struct FilterBank {
    fft: Arc<dyn RealToComplex<f32>>,
    window: [f32; FRAME_LENGTH],
    triangles: Vec<Triangle>,
    frame: Vec<f32>,
    spectrum: Vec<Complex32>,
    scratch: Vec<Complex32>,
}

/// Log-mel energies of a stretch of audio.
#[derive(Clone, Debug, PartialEq)]
pub struct Fbank {
    /// Number of frames, one every 10 ms.
    pub frames: usize,
    /// Natural logarithms of power, [frames, [`BINS`]], row-major.
    pub energies: Vec<f32>,
}

/// Weights of one mel bin, from FFT bin `first` on.
struct Triangle {
    first: usize,
    weights: Vec<f32>,
}

impl FilterBank {
    /// Plans the transform and lays out the triangles; worth keeping.
    pub fn new() -> Self {
        let fft = RealFftPlanner::new().plan_fft_forward(FFT);
        let last = (FRAME_LENGTH - 1) as f64;
        Self {
            window: std::array::from_fn(|n| {
                (0.54 - 0.46 * (2.0 * PI * n as f64 / last).cos()) as f32
            }),
            triangles: triangles(),
            frame: fft.make_input_vec(),
            spectrum: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            fft,
        }
    }

    /// Energies of `samples` (16 kHz, full scale -1 to 1); no frames if there are less than 25 ms.
    pub fn compute(&mut self, samples: &[f32]) -> Fbank {
        let frames = match samples.len() {
            0..FRAME_LENGTH => 0,
            length => 1 + (length - FRAME_LENGTH) / FRAME_SHIFT,
        };
        let mut energies = Vec::with_capacity(frames * BINS);
        for n in 0..frames {
            let start = n * FRAME_SHIFT;
            self.transform(&samples[start..start + FRAME_LENGTH]);
            energies.extend(self.triangles.iter().map(|triangle| {
                let bins = &self.spectrum[triangle.first..];
                let power = bins.iter().zip(&triangle.weights).map(|(bin, w)| bin.norm_sqr() * w);
                power.sum::<f32>().max(f32::EPSILON).ln()
            }));
        }
        Fbank { frames, energies }
    }

    fn transform(&mut self, samples: &[f32]) {
        let (frame, padding) = self.frame.split_at_mut(FRAME_LENGTH);
        let mean = samples.iter().sum::<f32>() / FRAME_LENGTH as f32;
        // Kaldi takes the first sample as its own predecessor.
        let mut before = (samples[0] - mean) * FULL_SCALE;
        for ((place, &sample), weight) in frame.iter_mut().zip(samples).zip(&self.window) {
            let centred = (sample - mean) * FULL_SCALE;
            *place = (centred - PRE_EMPHASIS * before) * weight;
            before = centred;
        }
        // The transform may use its input as work space.
        padding.fill(0.0);
        self.fft
            .process_with_scratch(&mut self.frame, &mut self.spectrum, &mut self.scratch)
            .expect("the buffers were made for this transform");
    }
}

impl Default for FilterBank {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FilterBank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilterBank").finish_non_exhaustive()
    }
}

impl Fbank {
    /// Takes from each bin its mean over the frames: what a telephone and a microphone colour.
    pub fn subtract_mean(&mut self) {
        let mut means = [0.0; BINS];
        for row in self.energies.chunks_exact(BINS) {
            means.iter_mut().zip(row).for_each(|(mean, energy)| *mean += energy);
        }
        let share = 1.0 / self.frames.max(1) as f32;
        for row in self.energies.chunks_exact_mut(BINS) {
            row.iter_mut().zip(&means).for_each(|(energy, sum)| *energy -= sum * share);
        }
    }
}

/// Triangles of equal width and half overlap on the mel scale, over the FFT bins up to 8 kHz.
fn triangles() -> Vec<Triangle> {
    let hertz = |bin: usize| bin as f64 * f64::from(SAMPLE_RATE) / FFT as f64;
    let (low, high) = (mel(LOW), mel(f64::from(SAMPLE_RATE) / 2.0));
    let width = (high - low) / (BINS + 1) as f64;
    (0..BINS)
        .map(|n| {
            let left = low + n as f64 * width;
            let weight = |bin: &usize| 1.0 - ((mel(hertz(*bin)) - left) / width - 1.0).abs();
            let first = (0..FFT / 2).find(|bin| weight(bin) > 0.0);
            let first = first.expect("at 16 kHz and 512 points no triangle falls between two bins");
            let weights = (first..FFT / 2).map(|bin| weight(&bin) as f32);
            Triangle { first, weights: weights.take_while(|&weight| weight > 0.0).collect() }
        })
        .collect()
}

fn mel(hertz: f64) -> f64 {
    1127.0 * (1.0 + hertz / 700.0).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_lie_wholly_within_the_signal() {
        let mut bank = FilterBank::new();
        for (samples, frames) in [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2), (48_000, 298)] {
            let fbank = bank.compute(&vec![0.0; samples]);
            assert_eq!((fbank.frames, fbank.energies.len()), (frames, frames * BINS));
        }
    }

    #[test]
    fn silence_is_the_floor_and_an_offset_is_silence() {
        let mut bank = FilterBank::new();
        for level in [0.0, 0.25] {
            let fbank = bank.compute(&[level; 400]);
            assert!(fbank.energies.iter().all(|&energy| energy == f32::EPSILON.ln()));
        }
    }

    #[test]
    fn a_tone_is_loudest_in_its_own_bin() {
        let tone: Vec<f32> = (0..400)
            .map(|n| (n as f32 * 1_000.0 * std::f32::consts::TAU / 16_000.0).sin())
            .collect();
        let fbank = FilterBank::new().compute(&tone);
        let loudest = (0..BINS).max_by(|&a, &b| fbank.energies[a].total_cmp(&fbank.energies[b]));
        // 1,000 Hz are 1,000 mel, of 31.7 to 2,840 in 81 steps: the triangle around step 28.
        assert_eq!(loudest, Some(27));
    }

    #[test]
    fn a_colouring_of_the_whole_is_taken_out() {
        let mut plain = Fbank { frames: 2, energies: (0..2 * BINS).map(|n| n as f32).collect() };
        let mut louder = plain.clone();
        louder.energies.iter_mut().for_each(|energy| *energy += 3.0);
        plain.subtract_mean();
        louder.subtract_mean();
        assert_eq!(plain, louder);
        assert_eq!(plain.energies[0], -40.0);
    }
}
