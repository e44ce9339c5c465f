//! Plain mono audio: the units that the whole wing speaks.

use std::time::Duration;

/// Rate of all audio behind the decoder's resampler, in Hz: what the models take.
pub const SAMPLE_RATE: u32 = 16_000;

/// A piece of one stream at [`SAMPLE_RATE`].
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Mono, full scale -1 to 1.
    pub samples: Vec<f32>,
    /// Stream time of the first sample: the time since the stream began, silences included.
    pub start: Duration,
    /// Whether any of it was made up in place of lost packets.
    pub concealed: bool,
}

impl Frame {
    /// Stream time just past the last sample.
    pub fn end(&self) -> Duration {
        self.start + duration_of(self.samples.len() as u64)
    }
}

/// The time that `samples` fill at [`SAMPLE_RATE`].
pub fn duration_of(samples: u64) -> Duration {
    Duration::from_nanos(samples * (1_000_000_000 / u64::from(SAMPLE_RATE)))
}

/// The samples that fill `time` at [`SAMPLE_RATE`], rounded down.
pub fn samples_in(time: Duration) -> u64 {
    (time.as_nanos() * u128::from(SAMPLE_RATE) / 1_000_000_000) as u64
}

/// Root mean square in dB relative to full scale (a full-scale square wave is 0 dBFS);
/// -infinity for digital silence and for no samples.
pub fn level_dbfs(samples: &[f32]) -> f32 {
    let energy: f64 = samples.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    (10.0 * (energy / samples.len().max(1) as f64).log10()) as f32
}

/// 16-bit samples as most native libraries take them; what exceeds full scale is clipped.
pub fn to_i16(samples: &[f32]) -> Vec<i16> {
    // The cast from float saturates, and makes zero of what is not a number.
    samples.iter().map(|&sample| (sample * 32_768.0).round() as i16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_samples_agree() {
        assert_eq!(duration_of(16_000), Duration::from_secs(1));
        assert_eq!(samples_in(Duration::from_millis(20)), 320);
        let hours = 40_000_000_000;
        assert_eq!(samples_in(duration_of(hours)), hours);
    }

    #[test]
    fn a_sine_is_three_decibels_below_its_peak() {
        let sine: Vec<f32> = (0..1_600).map(|n| (n as f32 * 0.1).sin()).collect();
        assert!((level_dbfs(&sine) + 3.01).abs() < 0.05);
        assert_eq!(level_dbfs(&[-1.0]), 0.0);
        assert_eq!(level_dbfs(&[]), f32::NEG_INFINITY);
    }

    #[test]
    fn loud_samples_are_clipped_not_wrapped() {
        assert_eq!(to_i16(&[2.0, 1.0, -1.0, 0.5, f32::NAN]), [32_767, 32_767, -32_768, 16_384, 0]);
    }
}
