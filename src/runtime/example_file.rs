//! The file that `sidetone keywords learn` writes and a policy names: a phrase by example, with its threshold.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::keyword::example::{ExampleError, Examples};
use crate::keyword::example_decision::ExampleDecision;
use crate::keyword::phone_roots::PhoneRoots;

/// The format that this reads and writes.
const VERSION: u32 = 1;

/// A phrase by example, as a file has it. It holds what the phone head heard, no audio; but what was said can be
/// told from that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExampleFile {
    /// The format; 1.
    version: u32,
    /// Id of the phrase in the policy.
    phrase: String,
    /// What heard the examples: another hears otherwise.
    #[serde(flatten)]
    ear: Ear,
    /// When it was made.
    made: jiff::Timestamp,
    /// Each example, [frames, 48], f32, little-endian, base64.
    examples: Vec<String>,
    calibration: Calibrated,
}

/// What a threshold rests on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibrated {
    /// The score that counts, -1 to 0.
    pub threshold: f32,
    /// False alarms in an hour of speech that were wanted.
    pub expected_false_alarms_per_hour: f64,
    /// Speech of the background, hours.
    pub background_hours: f64,
    /// How often the phrase was found in it.
    pub background_found: usize,
}

/// What hears phones: the keyword model's encoder and the phone head on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ear {
    /// SHA-256 of the encoder's file, lower-case hex.
    pub encoder_sha256: String,
    /// The same of the phone head's.
    pub phone_head_sha256: String,
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
    /// It is for another encoder or phone head.
    #[error("{} was learned with another {what}: learn the phrase anew", .file.display())]
    Ear {
        /// Which file.
        file: PathBuf,
        /// Which of the two, with the first digits of both digests.
        what: String,
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

impl Ear {
    /// What of it is not as in `other`, for a sentence about a file.
    fn unlike(&self, other: &Self) -> Option<String> {
        let parts = [
            ("encoder", &self.encoder_sha256, &other.encoder_sha256),
            ("phone head", &self.phone_head_sha256, &other.phone_head_sha256),
        ];
        let (what, wanted, found) = parts.into_iter().find(|(_, one, other)| one != other)?;
        let short = |digest: &str| digest.get(..12).unwrap_or(digest).to_owned();
        Some(format!("{what} ({}, and {} is in use)", short(found), short(wanted)))
    }
}

impl ExampleFile {
    /// Of `examples` of the phrase with the id `phrase`, as `ear` heard them.
    pub fn of(
        phrase: &str,
        ear: Ear,
        examples: &Examples,
        calibrated: Calibrated,
        made: jiff::Timestamp,
    ) -> Self {
        Self {
            version: VERSION,
            phrase: phrase.to_owned(),
            ear,
            made,
            examples: examples.all().iter().map(|frames| coded(frames.numbers())).collect(),
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

    /// Reads what decides the phrase with the id `phrase`, for the `ear` in use.
    fn read(file: &Path, phrase: &str, ear: &Ear) -> Result<(Examples, f32), ExampleFileError> {
        let place = || file.to_owned();
        let text = std::fs::read_to_string(file)
            .map_err(|error| ExampleFileError::Io { file: place(), error })?;
        let found: Self = toml::from_str(&text)
            .map_err(|error| ExampleFileError::Syntax { file: place(), error: Box::new(error) })?;
        if found.version != VERSION {
            return Err(ExampleFileError::Version { file: place(), found: found.version });
        }
        if let Some(what) = ear.unlike(&found.ear) {
            return Err(ExampleFileError::Ear { file: place(), what });
        }
        if found.phrase != phrase {
            return Err(ExampleFileError::Phrase { file: place(), found: found.phrase });
        }
        let damaged =
            |what: &str| ExampleFileError::Damaged { file: place(), what: what.to_owned() };
        let threshold = found.calibration.threshold;
        if !(-1.0..=0.0).contains(&threshold) {
            return Err(damaged("threshold"));
        }
        let frames = |text: &String| PhoneRoots::new(numbers(text)?);
        let frames: Option<Vec<PhoneRoots>> = found.examples.iter().map(frames).collect();
        let examples = Examples::new(frames.ok_or_else(|| damaged("examples"))?)
            .map_err(|error| ExampleFileError::Examples { file: place(), error })?;
        Ok((examples, threshold))
    }

    /// What decides the phrase with the id `phrase`; with another `threshold`, if one is given.
    pub fn decision(
        file: &Path,
        phrase: &str,
        ear: &Ear,
        threshold: Option<f32>,
    ) -> Result<ExampleDecision, ExampleFileError> {
        let (examples, own) = Self::read(file, phrase, ear)?;
        Ok(ExampleDecision::new(examples.all(), threshold.unwrap_or(own)))
    }
}

fn coded(numbers: &[f32]) -> String {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    BASE64_STANDARD.encode(bytes)
}

/// `None` of what is no list of numbers.
fn numbers(text: &str) -> Option<Vec<f32>> {
    let bytes = BASE64_STANDARD.decode(text).ok()?;
    let number = |bytes: &[u8]| Some(f32::from_le_bytes(bytes.try_into().ok()?));
    bytes.chunks(4).map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyword::phone_roots::tests::letters;

    fn ear(encoder: &str, head: &str) -> Ear {
        Ear { encoder_sha256: encoder.to_owned(), phone_head_sha256: head.to_owned() }
    }

    fn own_ear() -> Ear {
        ear("0123456789abcdef", "feedfeedfeedfeed")
    }

    fn examples() -> Examples {
        let frames = |letter: &str| letters(&letter.repeat(40));
        Examples::new(["a", "b", "c"].map(frames).to_vec()).expect("three")
    }

    fn written(folder: &Path) -> PathBuf {
        let calibrated = Calibrated {
            threshold: -0.25,
            expected_false_alarms_per_hour: 0.5,
            background_hours: 1.5,
            background_found: 1,
        };
        let made = jiff::Timestamp::UNIX_EPOCH;
        let file = folder.join("greeting.phrase");
        let example_file = ExampleFile::of("greeting", own_ear(), &examples(), calibrated, made);
        example_file.write(&file).expect("it is written");
        file
    }

    #[test]
    fn what_was_written_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = written(folder.path());
        let read = ExampleFile::read(&file, "greeting", &own_ear());
        assert_eq!(read.expect("it is sound"), (examples(), -0.25));
    }

    #[test]
    fn a_file_of_another_model_phrase_or_format_is_refused_with_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = written(folder.path());
        let refused = |phrase: &str, ear: &Ear| {
            let error = ExampleFile::read(&file, phrase, ear).expect_err("another");
            error.to_string().replace(&format!("{}/", folder.path().display()), "")
        };
        assert_eq!(
            refused("greeting", &ear("fedcba9876543210", "feedfeedfeedfeed")),
            "greeting.phrase was learned with another encoder (0123456789ab, and fedcba987654 is in use): learn the \
             phrase anew"
        );
        assert_eq!(
            refused("greeting", &ear("0123456789abcdef", "beef")),
            "greeting.phrase was learned with another phone head (feedfeedfeed, and beef is in use): learn the phrase anew"
        );
        assert_eq!(
            refused("farewell", &own_ear()),
            "greeting.phrase was learned for the phrase \"greeting\""
        );
        let text = std::fs::read_to_string(&file).expect("a text");
        let with = |from: &str, to: &str| {
            std::fs::write(&file, text.replace(from, to)).expect("it is written");
            refused("greeting", &own_ear())
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
            with("examples = [\"AA", "examples = [\"!A"),
            "greeting.phrase: examples is damaged: learn the phrase anew"
        );
        assert!(with("phrase = ", "prase = ").contains("is not what `sidetone keywords learn`"));
    }
}
