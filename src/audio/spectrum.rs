//! The power spectrum of a frame; the only file that names `realfft`.

use std::fmt;
use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{RealFftPlanner, RealToComplex};

/// A planned transform and its work space; worth keeping.
pub struct Spectrum {
    fft: Arc<dyn RealToComplex<f32>>,
    frame: Vec<f32>,
    bins: Vec<Complex32>,
    scratch: Vec<Complex32>,
    power: Vec<f32>,
}

impl Spectrum {
    /// For frames of at most `points` samples, which are filled up with zeros.
    pub fn new(points: usize) -> Self {
        let fft = RealFftPlanner::new().plan_fft_forward(points);
        Self {
            frame: fft.make_input_vec(),
            bins: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            power: vec![0.0; points / 2 + 1],
            fft,
        }
    }

    /// Power of each bin from 0 Hz to half the sample rate, not scaled, of a windowed `frame`.
    pub fn power(&mut self, frame: &[f32]) -> &[f32] {
        let (place, padding) = self.frame.split_at_mut(frame.len());
        place.copy_from_slice(frame);
        // The transform may use its input as work space.
        padding.fill(0.0);
        self.fft
            .process_with_scratch(&mut self.frame, &mut self.bins, &mut self.scratch)
            .expect("the buffers were made for this transform");
        self.power.iter_mut().zip(&self.bins).for_each(|(power, bin)| *power = bin.norm_sqr());
        &self.power
    }
}

impl fmt::Debug for Spectrum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spectrum").field("points", &self.frame.len()).finish_non_exhaustive()
    }
}

/// Weights of one band, from bin `first` of a spectrum on.
#[derive(Debug)]
pub struct Triangle {
    /// Its first bin.
    pub first: usize,
    /// A weight for each bin from there.
    pub weights: Vec<f32>,
}

impl Triangle {
    /// The stretch of bins, of the `bins` of a spectrum, where `weight` is above zero.
    pub fn new(bins: usize, weight: impl Fn(usize) -> f64) -> Self {
        let first = (0..bins).find(|&bin| weight(bin) > 0.0).unwrap_or(bins);
        let weights = (first..bins).map(weight).take_while(|&weight| weight > 0.0);
        Self { first, weights: weights.map(|weight| weight as f32).collect() }
    }

    /// Power in the band.
    pub fn weigh(&self, power: &[f32]) -> f32 {
        power[self.first..].iter().zip(&self.weights).map(|(power, weight)| power * weight).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_before_leaves_nothing_behind() {
        let mut spectrum = Spectrum::new(8);
        spectrum.power(&[3.0; 8]);
        assert_eq!(spectrum.power(&[1.0, 0.0]), [1.0; 5]);
    }

    #[test]
    fn a_triangle_begins_where_it_weighs() {
        let triangle = Triangle::new(6, |bin| 1.0 - (bin as f64 - 3.0).abs() / 2.0);
        assert_eq!((triangle.first, &triangle.weights[..]), (2, &[0.5, 1.0, 0.5][..]));
        assert_eq!(triangle.weigh(&[9.0, 9.0, 2.0, 3.0, 4.0, 9.0]), 6.0);
    }
}
