//! The level of a segment: quiet callers and loud ones are to sound alike.

/// The level on which the thresholds were measured: the 95th percentile of the magnitude.
const LEVEL: f32 = 0.12;
/// At most 40 dB: silence is not to be made into speech.
const MOST_GAIN: f32 = 100.0;

/// `samples` at the level on which the thresholds were measured.
pub fn levelled(samples: &[f32]) -> Vec<f32> {
    let mut magnitudes: Vec<f32> = samples.iter().map(|sample| sample.abs()).collect();
    let place = magnitudes.len() * 95 / 100;
    let (_, loud, _) = magnitudes.select_nth_unstable_by(place, f32::total_cmp);
    let gain = (LEVEL / *loud).min(MOST_GAIN);
    samples.iter().map(|sample| sample * gain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_set_by_speech_and_silence_stays_quiet() {
        let mut speech = vec![0.01; 100];
        speech[7] = 1.0;
        assert!((levelled(&speech)[0] - LEVEL).abs() < 1e-6);
        assert_eq!(levelled(&[0.0; 100]), [0.0; 100]);
        assert!((levelled(&[1e-5; 100])[0] - 1e-3).abs() < 1e-9);
    }
}
