//! The file that `sidetone keywords learn` writes and a policy names: a phrase by example, with its threshold.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::keyword::encoder_frames::EncoderFrames;
use crate::keyword::example::{ExampleError, Examples};
use crate::keyword::example_decision::ExampleDecision;

/// The format that this reads and writes.
const VERSION: u32 = 1;

/// A phrase by example, as a file has it. It holds the encoder's frames, no audio; but what was said can be told from them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExampleFile {
    /// The format; 1.
    version: u32,
    /// Id of the phrase in the policy.
    phrase: String,
    /// The encoder's name, and its file's sha256: frames of another mean something else.
    model: String,
    model_sha256: String,
    /// When it was made.
    made: jiff::Timestamp,
    /// Mean frame of the background's speech, f32, little-endian.
    centre: String,
    /// The same of each example, [frames, width].
    examples: Vec<String>,
    calibration: Calibrated,
}

/// What a threshold rests on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibrated {
    /// The score that counts, -2 to 0.
    pub threshold: f32,
    /// False alarms in an hour of speech that were wanted.
    pub expected_false_alarms_per_hour: f64,
    /// Speech of the background, hours.
    pub background_hours: f64,
    /// How often the phrase was found in it.
    pub background_found: usize,
}

/// The encoder of the keyword model: its name, and its file's sha256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoder {
    /// `name@version`.
    pub name: String,
    /// Lower-case hex.
    pub sha256: String,
}

/// Why a file is not used, or not written.
#[derive(Debug, thiserror::Error)]
pub enum ExampleFileError {
    /// The system refused.
    #[error("cannot use {}: {error}", .file.display())]
    Io {
        /// Which file.
        file: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// It is none.
    #[error("{} is not what `sidetone keywords learn` writes: {error}", .file.display())]
    Syntax {
        /// Which file.
        file: PathBuf,
        /// What is wrong, with its line.
        error: Box<toml::de::Error>,
    },
    /// A later format.
    #[error("{} has format {found}, and this reads {VERSION}: learn the phrase anew", .file.display())]
    Version {
        /// Which file.
        file: PathBuf,
        /// Its format.
        found: u32,
    },
    /// It is for another encoder.
    #[error("{} was learned with {found}, and {wanted} is in use: learn the phrase anew", .file.display())]
    Model {
        /// Which file.
        file: PathBuf,
        /// Its model, with its digest's first digits.
        found: String,
        /// Ours.
        wanted: String,
    },
    /// It is of another phrase.
    #[error("{} was learned for the phrase {found:?}", .file.display())]
    Phrase {
        /// Which file.
        file: PathBuf,
        /// Its phrase.
        found: String,
    },
    /// Numbers that are none.
    #[error("{}: {what} is damaged: learn the phrase anew", .file.display())]
    Damaged {
        /// Which file.
        file: PathBuf,
        /// Which key.
        what: String,
    },
    /// Examples that cannot stand for a phrase.
    #[error("{}: {error}", .file.display())]
    Examples {
        /// Which file.
        file: PathBuf,
        /// What is wrong with them.
        error: ExampleError,
    },
}

impl Encoder {
    fn short(&self) -> String {
        format!("{} ({})", self.name, self.sha256.get(..12).unwrap_or(&self.sha256))
    }
}

impl ExampleFile {
    /// Of `examples` of the phrase with the id `phrase`, by `encoder`.
    pub fn of(
        phrase: &str,
        encoder: Encoder,
        examples: &Examples,
        calibrated: Calibrated,
        made: jiff::Timestamp,
    ) -> Self {
        Self {
            version: VERSION,
            phrase: phrase.to_owned(),
            model: encoder.name,
            model_sha256: encoder.sha256,
            made,
            centre: coded(examples.centre()),
            examples: examples.frames().iter().map(|frames| coded(frames.numbers())).collect(),
            calibration: calibrated,
        }
    }

    /// Writes it.
    pub fn write(&self, file: &Path) -> Result<(), ExampleFileError> {
        let text = toml::to_string(self).expect("numbers and strings always serialise");
        let head = "# Made by `sidetone keywords learn`.\n";
        std::fs::write(file, format!("{head}{text}"))
            .map_err(|error| ExampleFileError::Io { file: file.to_owned(), error })
    }

    /// Reads what decides the phrase with the id `phrase`, for the `encoder` in use.
    fn read(
        file: &Path,
        phrase: &str,
        encoder: &Encoder,
    ) -> Result<(Examples, f32), ExampleFileError> {
        let place = || file.to_owned();
        let text = std::fs::read_to_string(file)
            .map_err(|error| ExampleFileError::Io { file: place(), error })?;
        let found: Self = toml::from_str(&text)
            .map_err(|error| ExampleFileError::Syntax { file: place(), error: Box::new(error) })?;
        if found.version != VERSION {
            return Err(ExampleFileError::Version { file: place(), found: found.version });
        }
        let model = Encoder { name: found.model, sha256: found.model_sha256 };
        if model.sha256 != encoder.sha256 {
            let (found, wanted) = (model.short(), encoder.short());
            return Err(ExampleFileError::Model { file: place(), found, wanted });
        }
        if found.phrase != phrase {
            return Err(ExampleFileError::Phrase { file: place(), found: found.phrase });
        }
        let damaged =
            |what: &str| ExampleFileError::Damaged { file: place(), what: what.to_owned() };
        let threshold = found.calibration.threshold;
        if !(-2.0..=0.0).contains(&threshold) {
            return Err(damaged("threshold"));
        }
        let centre = numbers(&found.centre).filter(|centre| !centre.is_empty());
        let centre = centre.ok_or_else(|| damaged("centre"))?;
        let frames = |text: &String| EncoderFrames::new(centre.len(), numbers(text)?);
        let frames: Option<Vec<EncoderFrames>> = found.examples.iter().map(frames).collect();
        let frames = frames.ok_or_else(|| damaged("examples"))?;
        let examples = Examples::new(centre, frames)
            .map_err(|error| ExampleFileError::Examples { file: place(), error })?;
        Ok((examples, threshold))
    }

    /// What decides the phrase with the id `phrase`; with another `threshold`, if one is given.
    pub fn decision(
        file: &Path,
        phrase: &str,
        encoder: &Encoder,
        threshold: Option<f32>,
    ) -> Result<ExampleDecision, ExampleFileError> {
        let (examples, own) = Self::read(file, phrase, encoder)?;
        Ok(ExampleDecision::new(examples.centre(), examples.frames(), threshold.unwrap_or(own)))
    }
}

fn coded(numbers: &[f32]) -> String {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    BASE64_STANDARD.encode(bytes)
}

/// `None` of what is no list of finite numbers.
fn numbers(text: &str) -> Option<Vec<f32>> {
    let bytes = BASE64_STANDARD.decode(text).ok()?;
    let number = |bytes: &[u8]| Some(f32::from_le_bytes(bytes.try_into().ok()?));
    let numbers: Option<Vec<f32>> = bytes.chunks(4).map(number).collect();
    numbers.filter(|numbers| numbers.iter().all(|number| number.is_finite()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoder(sha256: &str) -> Encoder {
        Encoder { name: "moonshine-tiny-en@1".to_owned(), sha256: sha256.to_owned() }
    }

    fn examples() -> Examples {
        let frames = |number: f32| EncoderFrames::new(2, vec![number; 40]).expect("whole frames");
        Examples::new(vec![0.25, -1.0], [0.5, 1.5, -3.0].map(frames).to_vec()).expect("three")
    }

    fn written(folder: &Path) -> PathBuf {
        let calibrated = Calibrated {
            threshold: -0.25,
            expected_false_alarms_per_hour: 0.5,
            background_hours: 1.5,
            background_found: 1,
        };
        let (sha, made) = (encoder("0123456789abcdef"), jiff::Timestamp::UNIX_EPOCH);
        let file = folder.join("greeting.phrase");
        let example_file = ExampleFile::of("greeting", sha, &examples(), calibrated, made);
        example_file.write(&file).expect("it is written");
        file
    }

    #[test]
    fn what_was_written_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = written(folder.path());
        let read = ExampleFile::read(&file, "greeting", &encoder("0123456789abcdef"));
        assert_eq!(read.expect("it is sound"), (examples(), -0.25));
    }

    #[test]
    fn a_file_of_another_model_phrase_or_format_is_refused_with_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = written(folder.path());
        let refused = |phrase: &str, sha: &str| {
            let error = ExampleFile::read(&file, phrase, &encoder(sha)).expect_err("another");
            error.to_string().replace(&format!("{}/", folder.path().display()), "")
        };
        assert_eq!(
            refused("greeting", "fedcba9876543210"),
            "greeting.phrase was learned with moonshine-tiny-en@1 (0123456789ab), and moonshine-tiny-en@1 \
             (fedcba987654) is in use: learn the phrase anew"
        );
        assert_eq!(
            refused("farewell", "0123456789abcdef"),
            "greeting.phrase was learned for the phrase \"greeting\""
        );
        let text = std::fs::read_to_string(&file).expect("a text");
        let with = |from: &str, to: &str| {
            std::fs::write(&file, text.replace(from, to)).expect("it is written");
            refused("greeting", "0123456789abcdef")
        };
        assert_eq!(
            with("version = 1", "version = 2"),
            "greeting.phrase has format 2, and this reads 1: learn the phrase anew"
        );
        assert_eq!(
            with("threshold = -0.25", "threshold = nan"),
            "greeting.phrase: threshold is damaged: learn the phrase anew"
        );
        assert_eq!(
            with("centre = \"", "centre = \"!"),
            "greeting.phrase: centre is damaged: learn the phrase anew"
        );
        assert!(with("phrase = ", "prase = ").contains("is not what `sidetone keywords learn`"));
    }
}
