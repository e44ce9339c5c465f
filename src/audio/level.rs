//! How loud a party's audio is, and whether it was clipped on its way.

/// Share of full scale from which a sample is at its coding's end: the largest of mu-law is .980,
/// of A-law .984.
const LIMIT: f32 = 0.975;
/// Samples in a row at the limit that are a flat top and no peak: speech at 8 kHz has no three.
const FLAT: u32 = 3;

/// Measures samples as they were received, before any filter.
#[derive(Clone, Copy, Debug, Default)]
pub struct LevelMeter {
    energy: f64,
    samples: u64,
    clipped: u64,
    /// Samples at the limit in a row, so far.
    run: u32,
}

impl LevelMeter {
    /// Takes the next samples, full scale -1 to 1.
    pub fn hear(&mut self, samples: &[f32]) {
        self.samples += samples.len() as u64;
        for sample in samples {
            self.energy += f64::from(sample * sample);
            self.run = if sample.abs() >= LIMIT { self.run + 1 } else { 0 };
            self.clipped += match self.run {
                0..FLAT => 0,
                FLAT => u64::from(FLAT),
                _ => 1,
            };
        }
    }

    /// Root mean square of all that was heard, dB relative to full scale; `None` without a sample,
    /// -infinity for digital silence.
    pub fn level_dbfs(&self) -> Option<f64> {
        (self.samples > 0).then(|| 10.0 * (self.energy / self.samples as f64).log10())
    }

    /// Share (0 to 1) of the samples that lie in a flat top.
    pub fn clipping(&self) -> f64 {
        self.clipped as f64 / self.samples.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(amplitude: f32, samples: usize) -> LevelMeter {
        let mut meter = LevelMeter::default();
        let sine = |n: usize| (amplitude * (n as f32 * 0.2).sin()).clamp(-0.98, 0.98);
        (0..samples).map(sine).collect::<Vec<_>>().chunks(7).for_each(|chunk| meter.hear(chunk));
        meter
    }

    #[test]
    fn a_sine_has_its_level_and_no_flat_top() {
        let meter = heard(0.5, 8_000);
        let level = meter.level_dbfs().expect("samples");
        assert!((level + 9.03).abs() < 0.01, "{level}");
        assert_eq!(meter.clipping(), 0.0);
        assert_eq!(heard(0.98, 8_000).clipping(), 0.0, "a peak that just fits");
    }

    #[test]
    fn an_overdriven_sine_is_flat_for_its_share() {
        // Twice as large as fits: beyond the limit for 2 acos(.4875) / pi of the time.
        let clipping = heard(2.0, 80_000).clipping();
        assert!((clipping - 0.675).abs() < 0.01, "{clipping}");
    }

    #[test]
    fn nothing_heard_has_no_level_and_silence_none_that_is_finite() {
        assert_eq!(LevelMeter::default().level_dbfs(), None);
        assert_eq!(heard(0.0, 160).level_dbfs(), Some(f64::NEG_INFINITY));
    }
}
