//! Between 8 and 16 kHz by one half-band filter, exactly as the speaker models' references were
//! made (`scipy.signal.resample_poly` with a Kaiser window of beta 8).

use std::collections::VecDeque;
use std::f64::consts::PI;

/// Taps on either side of the centre, at 16 kHz: `resample_poly` takes ten per factor of two.
const HALF: usize = 20;
/// Taps on either side of the centre that are not zero: a half-band filter has only odd ones.
const ODD: usize = HALF / 2;
/// Shape of the Kaiser window: 80 dB of stop band.
const BETA: f64 = 8.0;

/// 8 to 16 kHz. Output sample 2n stands at the time of input sample n; what comes out is behind
/// what went in by 10 input samples (1.25 ms), and [`Upsampler::flush`] gives the rest.
#[derive(Clone, Debug)]
pub struct Upsampler {
    filter: HalfBand,
    /// Input from [`ODD`] - 1 before the next output on; zeros before the beginning.
    history: VecDeque<f32>,
}

/// 16 to 8 kHz. Output sample n stands at the time of input sample 2n; what comes out is behind
/// what went in by 20 input samples (1.25 ms), and [`Downsampler::flush`] gives the rest.
#[derive(Clone, Debug)]
pub struct Downsampler {
    filter: HalfBand,
    /// Input from [`HALF`] before the next output on; zeros before the beginning.
    history: VecDeque<f32>,
}

impl Upsampler {
    /// Ready for a stream's first sample.
    pub fn new() -> Self {
        Self { filter: HalfBand::new(2.0), history: VecDeque::from([0.0; ODD - 1]) }
    }

    /// Takes any number of samples; returns those that no longer depend on the future.
    pub fn push(&mut self, samples: &[f32]) -> Vec<f32> {
        self.history.extend(samples);
        let ready = self.history.len().saturating_sub(2 * ODD - 1);
        let history = self.history.make_contiguous();
        let mut output = Vec::with_capacity(2 * ready);
        for window in history.windows(2 * ODD) {
            output.push(self.filter.centre * window[ODD - 1]);
            output.push(self.filter.between(|tap| window[ODD - 1 - tap] + window[ODD + tap]));
        }
        self.history.drain(..ready);
        output
    }

    /// The end of the stream, as if zeros followed; the next sample begins a new one.
    pub fn flush(&mut self) -> Vec<f32> {
        let output = self.push(&[0.0; ODD]);
        *self = Self::new();
        output
    }
}

impl Downsampler {
    /// Ready for a stream's first sample.
    pub fn new() -> Self {
        Self { filter: HalfBand::new(1.0), history: VecDeque::from([0.0; HALF]) }
    }

    /// Takes any number of samples; returns those that no longer depend on the future.
    pub fn push(&mut self, samples: &[f32]) -> Vec<f32> {
        self.history.extend(samples);
        let history = self.history.make_contiguous();
        let output: Vec<f32> = history
            .windows(2 * HALF + 1)
            .step_by(2)
            .map(|window| {
                let sides = |tap| window[HALF - 1 - 2 * tap] + window[HALF + 1 + 2 * tap];
                self.filter.centre * window[HALF] + self.filter.between(sides)
            })
            .collect();
        self.history.drain(..2 * output.len());
        output
    }

    /// The end of the stream, as if zeros followed; the next sample begins a new one.
    pub fn flush(&mut self) -> Vec<f32> {
        let output = self.push(&[0.0; HALF]);
        *self = Self::new();
        output
    }
}

impl Default for Upsampler {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for Downsampler {
    fn default() -> Self {
        Self::new()
    }
}

/// `gain * firwin(41, 0.5, window=("kaiser", 8.0))`: symmetric, and zero at even distances.
#[derive(Clone, Debug)]
struct HalfBand {
    centre: f32,
    /// At distances 1, 3, .. 19.
    odd: [f32; ODD],
}

impl HalfBand {
    fn new(gain: f64) -> Self {
        let ideal = |distance: usize| {
            let angle = PI * distance as f64 / 2.0;
            let sinc = if distance == 0 { 1.0 } else { angle.sin() / angle };
            let along = distance as f64 / HALF as f64;
            0.5 * sinc * bessel_i0(BETA * (1.0 - along * along).sqrt()) / bessel_i0(BETA)
        };
        let sum = ideal(0) + 2.0 * (0..ODD).map(|tap| ideal(2 * tap + 1)).sum::<f64>();
        let scaled = |distance| (gain * ideal(distance) / sum) as f32;
        Self { centre: scaled(0), odd: std::array::from_fn(|tap| scaled(2 * tap + 1)) }
    }

    /// Sum over the odd taps of the two samples on either side, which `sides` adds up.
    fn between(&self, sides: impl Fn(usize) -> f32) -> f32 {
        (0..ODD).map(|tap| self.odd[tap] * sides(tap)).sum()
    }
}

/// Modified Bessel function of the first kind, order zero, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let mut term = 1.0;
    let mut sum = 1.0;
    // At x = 8 the terms fall below the last bit of the sum after 30 steps.
    for k in 1..40 {
        term *= (x / 2.0 / f64::from(k)).powi(2);
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hertz: f32, rate: f32, samples: usize) -> Vec<f32> {
        let step = 2.0 * std::f32::consts::PI * hertz / rate;
        (0..samples).map(|n| (n as f32 * step).sin()).collect()
    }

    /// Largest difference, away from the ends.
    fn distance(left: &[f32], right: &[f32]) -> f32 {
        assert_eq!(left.len(), right.len());
        let inner = 40..left.len() - 40;
        left[inner.clone()]
            .iter()
            .zip(&right[inner])
            .map(|(l, r)| (l - r).abs())
            .fold(0.0, f32::max)
    }

    #[test]
    fn a_tone_keeps_its_place_and_level_upwards() {
        let mut upsampler = Upsampler::new();
        let mut output = upsampler.push(&sine(1_000.0, 8_000.0, 800));
        assert_eq!(output.len(), 2 * (800 - 10));
        output.extend(upsampler.flush());
        assert!(distance(&output, &sine(1_000.0, 16_000.0, 1_600)) < 2e-4);
    }

    #[test]
    fn a_tone_keeps_its_place_and_level_downwards() {
        let mut downsampler = Downsampler::new();
        let mut output = downsampler.push(&sine(1_000.0, 16_000.0, 1_600));
        assert_eq!(output.len(), 800 - 10);
        output.extend(downsampler.flush());
        assert!(distance(&output, &sine(1_000.0, 8_000.0, 800)) < 2e-4);
    }

    #[test]
    fn nothing_above_the_telephone_band_comes_down() {
        let mut downsampler = Downsampler::new();
        let output = downsampler.push(&sine(5_500.0, 16_000.0, 1_600));
        assert!(distance(&output, &vec![0.0; output.len()]) < 1e-3);
    }

    #[test]
    fn the_cut_into_chunks_does_not_show() {
        let input = sine(700.0, 8_000.0, 500);
        let (mut whole_up, mut whole_down) = (Upsampler::new(), Downsampler::new());
        let up = [whole_up.push(&input), whole_up.flush()].concat();
        let down = [whole_down.push(&input), whole_down.flush()].concat();
        assert_eq!((up.len(), down.len()), (1_000, 250));
        for length in [1, 7, 160, 499] {
            let (mut upsampler, mut downsampler) = (Upsampler::new(), Downsampler::new());
            let mut pieces = (Vec::new(), Vec::new());
            for chunk in input.chunks(length) {
                pieces.0.extend(upsampler.push(chunk));
                pieces.1.extend(downsampler.push(chunk));
            }
            pieces.0.extend(upsampler.flush());
            pieces.1.extend(downsampler.flush());
            assert_eq!(pieces, (up.clone(), down.clone()), "chunks of {length}");
        }
    }

    #[test]
    fn an_odd_length_comes_down_rounded_up() {
        let mut downsampler = Downsampler::new();
        let output = [downsampler.push(&[0.0; 161]), downsampler.flush()].concat();
        assert_eq!(output.len(), 81);
    }
}
