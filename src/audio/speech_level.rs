//! How far a party's voice is above what is behind it.

use crate::audio::voice_activity::{Activity, Heard};

/// Level that is told for a pause without any sound, dB relative to full scale: below the least of
/// 16 bits, -90.3.
const NOTHING_DBFS: f64 = -96.0;

/// Sorts a party's frames into voice and pauses, and measures both.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpeechLevel {
    speech: Mean,
    noise: Mean,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    power: f64,
    frames: u32,
}

impl SpeechLevel {
    /// Takes the next frame; one that was made up, and the end of a word, tell nothing.
    pub fn hear(&mut self, heard: &Heard) {
        let mean = match heard.activity {
            _ if heard.frame.concealed => return,
            Activity::Speech => &mut self.speech,
            Activity::Silence => &mut self.noise,
            Activity::Hangover => return,
        };
        let energy: f64 = heard.frame.samples.iter().map(|&s| f64::from(s * s)).sum();
        mean.power += energy / heard.frame.samples.len().max(1) as f64;
        mean.frames += 1;
    }

    /// Root mean square of the speech, dB relative to full scale.
    pub fn speech_dbfs(&self) -> Option<f64> {
        self.speech.dbfs()
    }

    /// Root mean square of the pauses, dB relative to full scale. Times for which nothing was sent
    /// are silent pauses.
    pub fn noise_dbfs(&self) -> Option<f64> {
        self.noise.dbfs()
    }

    /// Ratio of voice to noise, dB; the noise under the voice is taken off.
    pub fn snr_db(&self) -> Option<f64> {
        let (speech, noise) = (self.speech.mean()?, self.noise.mean()?);
        let floor = 10_f64.powf(NOTHING_DBFS / 10.0);
        let (voice, noise) = ((speech - noise).max(floor), noise.max(floor));
        Some(10.0 * (voice / noise).log10())
    }
}

impl Mean {
    fn mean(self) -> Option<f64> {
        (self.frames > 0).then(|| self.power / f64::from(self.frames))
    }

    fn dbfs(self) -> Option<f64> {
        self.mean().map(|power| (10.0 * power.log10()).max(NOTHING_DBFS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::pcm::Frame;
    use std::time::Duration;

    fn frame(activity: Activity, amplitude: f32, concealed: bool) -> Heard {
        let samples = vec![amplitude; 320];
        Heard { frame: Frame { samples, start: Duration::ZERO, concealed }, activity }
    }

    #[test]
    fn the_ratio_is_of_voice_to_pauses() {
        let mut level = SpeechLevel::default();
        assert_eq!((level.snr_db(), level.speech_dbfs()), (None, None));
        level.hear(&frame(Activity::Speech, 0.1, false));
        assert_eq!(level.snr_db(), None, "no pause yet");
        level.hear(&frame(Activity::Silence, 0.01, false));
        level.hear(&frame(Activity::Hangover, 0.9, false));
        level.hear(&frame(Activity::Speech, 0.9, true));
        let snr = level.snr_db().expect("both");
        // Of 20 dB, .04 are the noise under the voice.
        assert!((snr - 19.96).abs() < 0.01, "{snr}");
        let (speech, noise) = (level.speech_dbfs().expect("one"), level.noise_dbfs().expect("one"));
        assert!((speech + 20.0).abs() < 0.01 && (noise + 40.0).abs() < 0.01, "{speech} {noise}");
    }

    #[test]
    fn silent_pauses_leave_a_number_that_is_finite() {
        let mut level = SpeechLevel::default();
        level.hear(&frame(Activity::Silence, 0.0, false));
        level.hear(&frame(Activity::Speech, 0.1, false));
        assert_eq!(level.noise_dbfs(), Some(NOTHING_DBFS));
        assert!((level.snr_db().expect("both") - 76.0).abs() < 0.1);
    }
}
