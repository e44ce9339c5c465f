//! What happens to samples before a model hears them: a spectrum of some kind, or nothing.

use serde::Deserialize;

use crate::audio::fbank::{self, FilterBank};
use crate::audio::mel::{self, MelSpectrum};

/// Which one, as a model's card says.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Settings {
    /// Kaldi's log-mel filterbank.
    KaldiFbank(fbank::Settings),
    /// The samples themselves.
    Waveform {},
    /// librosa's mel spectrum of linear power, of a window brought to -26 dB of full scale.
    Ge2eMel {},
}

/// Why a card's front-end is none.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// None, or more than the transform resolves.
    #[error("bands is {found}, and 1 to {} were wanted", fbank::MOST_BANDS)]
    Bands {
        /// The card's number.
        found: usize,
    },
    /// The triangles would have no room, or reach beyond what was sampled.
    #[error("highest_hz is {found}, and 1000 to 8000 were wanted")]
    Highest {
        /// The card's number.
        found: u16,
    },
    /// Samples would be lost.
    #[error("scale is {found}, and 32768 or 1 was wanted")]
    Scale {
        /// The card's number.
        found: f32,
    },
}

impl Settings {
    /// Whether it can be computed.
    pub fn check(&self) -> Result<(), SettingsError> {
        let Self::KaldiFbank(settings) = *self else { return Ok(()) };
        let fbank::Settings { bands, scale, highest_hz, .. } = settings;
        if !(1..=fbank::MOST_BANDS).contains(&bands) {
            return Err(SettingsError::Bands { found: bands });
        }
        if !(1_000..=8_000).contains(&highest_hz) {
            return Err(SettingsError::Highest { found: highest_hz });
        }
        if scale != 32_768.0 && scale != 1.0 {
            return Err(SettingsError::Scale { found: scale });
        }
        Ok(())
    }

    /// Its word in a card.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::KaldiFbank(_) => "kaldi-fbank",
            Self::Waveform {} => "waveform",
            Self::Ge2eMel {} => "ge2e-mel",
        }
    }

    /// Numbers in each row; 1 for the samples themselves.
    pub fn columns(&self) -> usize {
        match self {
            Self::KaldiFbank(settings) => settings.bands,
            Self::Waveform {} => 1,
            Self::Ge2eMel {} => mel::BANDS,
        }
    }

    /// Rows of so many samples at 16 kHz.
    pub fn rows(&self, samples: usize) -> usize {
        match self {
            Self::KaldiFbank(settings) => settings.frames(samples),
            Self::Waveform {} => samples,
            Self::Ge2eMel {} => samples / mel::FRAME_SHIFT,
        }
    }
}

/// A front-end and its work space.
#[derive(Debug)]
pub struct FrontEnd {
    settings: Settings,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    KaldiFbank(FilterBank),
    Waveform,
    Ge2eMel(MelSpectrum),
}

impl FrontEnd {
    /// Plans what `settings` want; worth keeping.
    pub fn new(settings: Settings) -> Self {
        let kind = match settings {
            Settings::KaldiFbank(settings) => Kind::KaldiFbank(FilterBank::new(settings)),
            Settings::Waveform {} => Kind::Waveform,
            Settings::Ge2eMel {} => Kind::Ge2eMel(MelSpectrum::new()),
        };
        Self { settings, kind }
    }

    /// What it is.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Adds to `features` what the model hears of `samples` (16 kHz, full scale -1 to 1):
    /// [[`Settings::rows`], [`Settings::columns`]], row-major.
    pub fn compute(&mut self, samples: &[f32], features: &mut Vec<f32>) {
        match &mut self.kind {
            Kind::KaldiFbank(bank) => features.append(&mut bank.compute(samples)),
            Kind::Waveform => features.extend_from_slice(samples),
            Kind::Ge2eMel(mel) => {
                let gain = mel::power_gain(samples);
                // The frame on the very end is the next window's: 160 of 1.6 s were learnt from.
                let kept = self.settings.rows(samples.len()) * mel::BANDS;
                let energies = mel.compute(samples);
                features.extend(energies[..kept].iter().map(|energy| energy * gain));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        let settings: Settings = toml::from_str(text).map_err(|error| error.to_string())?;
        settings.check().map(|()| settings).map_err(|error| error.to_string())
    }

    const FBANK: &str =
        "kind = 'kaldi-fbank'\nbands = 80\nwindow = 'povey'\nsubtract_mean = true\nscale = 32768\n";

    #[test]
    fn every_kind_gives_the_rows_and_columns_that_it_says() {
        for text in [FBANK, "kind = 'waveform'", "kind = 'ge2e-mel'"] {
            let settings = read(text).expect("a sound front-end");
            assert!(text.contains(settings.kind()));
            for samples in [0, 400, 25_600, 48_000] {
                let mut features = vec![7.0];
                FrontEnd::new(settings).compute(&vec![0.1; samples], &mut features);
                let wanted = settings.rows(samples) * settings.columns();
                assert_eq!(features.len(), 1 + wanted, "{text} {samples}");
            }
        }
    }

    #[test]
    fn loudness_is_no_voice_to_the_ge2e_encoder() {
        let features = |level: f32| {
            let samples: Vec<f32> = (0..3_200).map(|n| level * (n as f32 * 0.3).sin()).collect();
            let mut features = Vec::new();
            FrontEnd::new(Settings::Ge2eMel {}).compute(&samples, &mut features);
            features
        };
        let (loud, quiet) = (features(0.5), features(0.005));
        assert!(loud.iter().any(|&energy| energy > 0.1));
        assert!(loud.iter().zip(&quiet).all(|(a, b)| (a - b).abs() < 1e-4));
    }

    #[test]
    fn what_cannot_be_computed_is_refused() {
        let refused = |from: &str, to: &str| read(&FBANK.replace(from, to)).expect_err("a refusal");
        assert_eq!(refused("= 80", "= 128"), "bands is 128, and 1 to 80 were wanted");
        assert_eq!(refused("= 80", "= 0"), "bands is 0, and 1 to 80 were wanted");
        assert_eq!(refused("= 32768", "= 2"), "scale is 2, and 32768 or 1 was wanted");
        let wanted = "highest_hz is 9000, and 1000 to 8000 were wanted";
        assert_eq!(refused("scale", "highest_hz = 9000\nscale"), wanted);
        assert!(refused("povey", "hann").contains("hann"));
        assert!(refused("kaldi-fbank", "mfcc").contains("unknown variant `mfcc`"));
        assert!(refused("scale", "gain").contains("gain"));
        assert!(read("kind = 'waveform'\nbands = 3").expect_err("a refusal").contains("bands"));
    }
}
