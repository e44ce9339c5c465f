//! Whether a recording or a call is good enough to enrol a voice from, apart from whose it is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::audio::bandwidth::Bandwidth;
use crate::audio::tone::Tone;

/// Least net speech for a voiceprint. 10 s: the length that the calibration's trials enrolled on.
pub const LEAST_SPEECH: Duration = Duration::from_secs(10);
/// Least ratio of voice to noise, dB, as [`NoiseFloor`] measures it: it refuses nearly all speech
/// with noise at 5 dB, about half at 10 dB, and next to none at 15 dB.
pub const LEAST_SNR_DB: f64 = 10.0;
/// Largest share of samples in flat tops: one in a hundred. Of 84 cohort readers none has any; made
/// 6 dB too loud for their coding half have .4 % and more, at 12 dB half have 4.7 %, at 18 dB 15 %.
pub const MOST_CLIPPING: f64 = 0.01;
/// Least share of the speech that a model has to have worked on: with less the voiceprint would
/// rest on less speech than it says.
pub const LEAST_COVERAGE: f64 = 0.6;
/// Largest part of the speech, as told by the detector of voices, that a steady tone may be.
const MOST_TONE: f64 = 0.25;
/// Frames whose power is remembered: a minute.
const MOST_FRAMES: usize = 3_000;
/// Samples in a frame: 20 ms at 16 kHz.
const FRAME: usize = 320;

/// How wide a band a voice came in, before it was cut to a telephone's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Band {
    /// Up to 4 kHz.
    Narrow,
    /// With something above 5 kHz.
    Wide,
}

impl From<Bandwidth> for Band {
    fn from(bandwidth: Bandwidth) -> Self {
        if bandwidth.is_wide() { Self::Wide } else { Self::Narrow }
    }
}

/// What was measured of a recording or a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Speech that there was.
    pub net_speech: Duration,
    /// Ratio of voice to noise, dB; `None` without speech.
    pub snr_db: Option<f64>,
    /// Share (0 to 1) of the samples in a flat top.
    pub clipping: f64,
    /// How wide a band it came in.
    pub band: Band,
    /// Share (0 to 1) of its speech that a model worked on.
    pub coverage: f64,
    /// The longest steady tone in it.
    pub tone: Option<Tone>,
}

/// Why no voiceprint was made: what was found, and what is needed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Shortcoming {
    /// Less speech than a voiceprint needs.
    #[error(
        "{:.1} s of net speech found, at least {} s needed",
        .found.as_secs_f64(),
        .needed.as_secs_f64()
    )]
    TooLittleSpeech {
        /// Net speech found.
        found: Duration,
        /// Net speech needed.
        needed: Duration,
    },
    /// What sounds is a tone.
    #[error(
        "a steady tone of {:.0} Hz for {:.1} s found, a voice needed",
        .0.hertz,
        .0.time.as_secs_f64()
    )]
    Tone(Tone),
    /// Too loud for its coding.
    #[error(
        "{:.1} % of the samples are clipped, at most {:.0} % allowed: record it more softly",
        .share * 100.0,
        MOST_CLIPPING * 100.0
    )]
    Clipped {
        /// Share (0 to 1) of the samples.
        share: f64,
    },
    /// Too much beside the voice.
    #[error("the voice is {snr_db:.0} dB above the noise, at least {LEAST_SNR_DB:.0} dB needed")]
    Noisy {
        /// The ratio found, dB.
        snr_db: f64,
    },
    /// The model did not keep up.
    #[error(
        "{:.0} % of the speech was analysed, at least {:.0} % needed",
        .share * 100.0,
        LEAST_COVERAGE * 100.0
    )]
    Unanalysed {
        /// Share (0 to 1) of the speech.
        share: f64,
    },
    /// Windows that differ too much.
    #[error(
        "more than one voice found: parts of the speech agree by {cosine:.2}, at least {needed:.2} \
         needed from one person alone"
    )]
    SeveralVoices {
        /// Mean cosine of windows that share no speech.
        cosine: f64,
        /// What one voice has at least.
        needed: f64,
    },
    /// Windows that differ too little.
    #[error(
        "no voice found: parts of it are as alike as those of music or noise ({cosine:.2}, at most \
         {allowed:.2} from a person who speaks)"
    )]
    NoVoice {
        /// Mean cosine of windows that share no speech.
        cosine: f64,
        /// What a voice has at most.
        allowed: f64,
    },
    /// A session that does not fit those before.
    #[error(
        "another voice than before found: it agrees with the earlier sessions by {cosine:.2}, at \
         least {needed:.2} needed"
    )]
    AnotherVoice {
        /// Cosine between the means.
        cosine: f64,
        /// What sessions of one voice have at least.
        needed: f64,
    },
    /// The model gave no usable direction.
    #[error("the speaker model gave no usable embedding")]
    NoDirection,
}

impl Quality {
    /// Whether what sounds is a steady tone.
    pub fn check_tone(&self) -> Result<(), Shortcoming> {
        match self.tone {
            Some(tone)
                if tone.time > self.net_speech.mul_f64(MOST_TONE)
                    && tone.time > Duration::from_secs(1) =>
            {
                Err(Shortcoming::Tone(tone))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The first thing that is wrong with it; its length is judged by who knows of all sessions.
    pub fn check(&self) -> Result<(), Shortcoming> {
        self.check_tone()?;
        if self.clipping > MOST_CLIPPING {
            return Err(Shortcoming::Clipped { share: self.clipping });
        }
        if let Some(snr_db) = self.snr_db
            && snr_db < LEAST_SNR_DB
        {
            return Err(Shortcoming::Noisy { snr_db });
        }
        if self.coverage < LEAST_COVERAGE {
            return Err(Shortcoming::Unanalysed { share: self.coverage });
        }
        Ok(())
    }
}

/// The noise under a voice, from the speech alone.
///
/// The pauses, which [`crate::audio::speech_level`] measures, do not serve here: babble has none,
/// recordings are cut close, and where a phone sends nothing they are digital silence. But voices
/// close their lips some times a second even inside a spurt: the quietest tenth of its frames is
/// noise, or nearly. Of 84 cohort readers, mu-law: median 24 dB as they are, 20.5 with babble at
/// 20 dB, 16.7 at 15 dB, 12.6 at 10 dB and 8.8 at 5 dB; with white noise 19.8, 15.4, 10.8 and 6.0.
#[derive(Clone, Debug, Default)]
pub struct NoiseFloor {
    powers: Vec<f32>,
}

impl NoiseFloor {
    /// Takes more speech, 16 kHz; what comes after a minute of it is not needed.
    pub fn hear(&mut self, samples: &[f32]) {
        let room = MOST_FRAMES - self.powers.len();
        let power = |frame: &[f32]| frame.iter().map(|x| x * x).sum::<f32>() / FRAME as f32;
        self.powers.extend(samples.chunks_exact(FRAME).map(power).take(room));
    }

    /// Ratio of the voice to its quietest tenth, dB; `None` before any speech.
    pub fn snr_db(&self) -> Option<f64> {
        let mut powers = self.powers.clone();
        powers.sort_unstable_by(f32::total_cmp);
        let mean = powers.iter().map(|&p| f64::from(p)).sum::<f64>() / powers.len() as f64;
        let noise = f64::from(*powers.get(powers.len() / 10)?).max(1e-10);
        Some(10.0 * ((mean - noise).max(1e-10) / noise).log10())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Quality {
        Quality {
            net_speech: Duration::from_secs(12),
            snr_db: Some(25.0),
            clipping: 0.0,
            band: Band::Narrow,
            coverage: 1.0,
            tone: None,
        }
    }

    #[test]
    fn each_fault_is_told_with_what_was_found_and_what_is_needed() {
        let tone = Tone { hertz: 440.0, dbfs: -17.0, time: Duration::from_secs(11) };
        for (quality, sentence) in [
            (
                Quality { clipping: 0.034, ..good() },
                "3.4 % of the samples are clipped, at most 1 %",
            ),
            (
                Quality { snr_db: Some(4.0), ..good() },
                "the voice is 4 dB above the noise, at least",
            ),
            (Quality { coverage: 0.5, ..good() }, "50 % of the speech was analysed, at least 60 %"),
            (Quality { tone: Some(tone), ..good() }, "a steady tone of 440 Hz for 11.0 s found"),
        ] {
            let told = quality.check().expect_err("a fault").to_string();
            assert!(told.starts_with(sentence), "{told}");
        }
        assert_eq!(good().check(), Ok(()));
        let beep = Tone { time: Duration::from_millis(900), ..tone };
        assert_eq!(Quality { tone: Some(beep), ..good() }.check(), Ok(()), "a beep does no harm");
    }

    #[test]
    fn the_noise_under_a_voice_is_found_in_its_closures() {
        let mut floor = NoiseFloor::default();
        assert_eq!(floor.snr_db(), None);
        for n in 0..200 {
            let amplitude = if n % 8 == 0 { 0.01 } else { 0.1 };
            floor.hear(&[amplitude; FRAME]);
        }
        let snr = floor.snr_db().expect("speech");
        assert!((snr - 19.4).abs() < 0.1, "{snr}");
    }
}
