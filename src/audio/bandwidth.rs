//! Whether a voice reached us in more than a telephone's band.

use crate::audio::pcm::SAMPLE_RATE;

/// Lower end of what no narrowband voice has, Hz: codecs of 8 kHz end at 4 kHz, and what converts
/// between rates leaks some hundred Hz beyond.
const ABOVE: f32 = 5_000.0;
/// Taps of the high-pass, odd: a transition of about 1 kHz with this window.
const TAPS: usize = 63;
/// Share of the power above [`ABOVE`] that makes it wide: -40 dB. Fricatives alone have more; the
/// leakage of a conversion from 8 kHz has less than -60 dB.
const WIDE: f64 = 1e-4;

/// Measures what a party's audio has above the telephone's band, before that is cut off.
#[derive(Clone, Debug)]
pub struct Bandwidth {
    taps: [f32; TAPS],
    /// The last samples before those to come.
    past: Vec<f32>,
    all: f64,
    high: f64,
}

impl Default for Bandwidth {
    fn default() -> Self {
        let middle = (TAPS / 2) as f32;
        let cutoff = 2.0 * ABOVE / SAMPLE_RATE as f32;
        let taps = std::array::from_fn(|n| {
            let t = n as f32 - middle;
            let pi = std::f32::consts::PI;
            let (pass, low) =
                if t == 0.0 { (1.0, cutoff) } else { (0.0, (pi * cutoff * t).sin() / (pi * t)) };
            let window = 0.54 + 0.46 * (pi * t / middle).cos();
            (pass - low) * window
        });
        Self { taps, past: vec![0.0; TAPS - 1], all: 0.0, high: 0.0 }
    }
}

impl Bandwidth {
    /// Takes the next samples, at `rate` Hz. Only those at 16 kHz can be wide.
    pub fn hear(&mut self, samples: &[f32], rate: u32) {
        if rate != SAMPLE_RATE {
            return;
        }
        self.past.extend_from_slice(samples);
        for window in self.past.windows(TAPS) {
            let high: f32 = window.iter().zip(&self.taps).map(|(x, tap)| x * tap).sum();
            self.high += f64::from(high * high);
        }
        self.all += samples.iter().map(|x| f64::from(x * x)).sum::<f64>();
        self.past.drain(..self.past.len() - (TAPS - 1));
    }

    /// Whether there was something above 5 kHz.
    pub fn is_wide(&self) -> bool {
        self.high > WIDE * self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::resampler::Upsampler;

    fn sine(hertz: f32, rate: f32) -> Vec<f32> {
        (0..rate as usize)
            .map(|n| 0.3 * (n as f32 / rate * hertz * std::f32::consts::TAU).sin())
            .collect()
    }

    #[test]
    fn what_is_above_the_telephone_makes_it_wide() {
        let mut bandwidth = Bandwidth::default();
        bandwidth.hear(&sine(1_000.0, 16_000.0), 16_000);
        assert!(!bandwidth.is_wide());
        let hiss: Vec<f32> = sine(6_500.0, 16_000.0).iter().map(|x| x * 0.05).collect();
        bandwidth.hear(&hiss, 16_000);
        assert!(bandwidth.is_wide());
    }

    #[test]
    fn a_narrow_voice_stays_so_at_any_rate() {
        let mut bandwidth = Bandwidth::default();
        bandwidth.hear(&sine(3_300.0, 8_000.0), 8_000);
        let converted = Upsampler::new().push(&sine(3_300.0, 8_000.0));
        bandwidth.hear(&converted, 16_000);
        assert!(!bandwidth.is_wide());
    }

    #[test]
    fn packets_do_not_matter() {
        let samples = sine(7_000.0, 16_000.0);
        let (mut whole, mut parts) = (Bandwidth::default(), Bandwidth::default());
        whole.hear(&samples, 16_000);
        samples.chunks(37).for_each(|chunk| parts.hear(chunk, 16_000));
        assert!((whole.high / parts.high - 1.0).abs() < 1e-6);
    }
}
