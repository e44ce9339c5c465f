//! The engine `sherpa`: a streaming model and the phrases of a policy in its word pieces, from one folder.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::config::keyword::Sherpa;
use crate::keyword::spotter::Spotting;
use crate::keyword::streaming::context_graph::Way;
use crate::keyword::streaming::keyword_line::{KeywordLine, KeywordLineError};
use crate::keyword::streaming::search::Settings;
use crate::keyword::streaming::spotter::StreamingSpotter;
use crate::keyword::streaming::vocabulary::{Vocabulary, VocabularyError};
use crate::policy::rule::Policy;
use crate::runtime::onnx::streaming::layout::{Layout, LayoutError};
use crate::runtime::onnx::streaming::{StreamingError, StreamingOnnx};
use crate::runtime::onnx::{OnnxError, Runtime};

/// Where a folder has its phrases.
const KEYWORDS: &str = "keywords.txt";

/// A model, and what it listens for.
#[derive(Debug)]
pub struct SherpaEngine {
    model: StreamingOnnx,
    spotter: StreamingSpotter,
    thresholds: Vec<f32>,
}

/// Why the engine cannot be had, in one sentence.
#[derive(Debug, thiserror::Error)]
pub enum SherpaError {
    /// The configuration names no model.
    #[error("there is no [keyword.sherpa], and the engine is \"sherpa\"")]
    NoFolder,
    /// The model's files are not there, or are none.
    #[error(transparent)]
    Model(#[from] StreamingError),
    /// A file cannot be read.
    #[error("cannot read {}: {reason}", .file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The pieces' names are none.
    #[error("{}: {error}", .file.display())]
    Vocabulary {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        error: VocabularyError,
    },
    /// A phrase's line is none.
    #[error("{}, line {line}: {error}", .file.display())]
    Line {
        /// Which file.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong with it.
        error: KeywordLineError,
    },
    /// A phrase of the policy has no line.
    #[error("{} has no line for the phrase {id:?}: its word pieces and @{id} were wanted", .file.display())]
    NoLine {
        /// Which file.
        file: PathBuf,
        /// The phrase's id.
        id: String,
    },
    /// Two phrases sound the same.
    #[error("{}: the phrases {one:?} and {other:?} have the same word pieces", .file.display())]
    Same {
        /// Which file.
        file: PathBuf,
        /// A phrase's id.
        one: String,
        /// Another's.
        other: String,
    },
    /// Examples are of another engine's encoder.
    #[error("phrase {id:?} has examples, which the engine \"moonshine\" alone understands")]
    Examples {
        /// The phrase's id.
        id: String,
    },
    /// A score of another engine.
    #[error(
        "phrase {id:?} has the threshold {threshold} in the policy, which is one of the engine \"moonshine\": \
        the engine \"sherpa\" wants a probability, as #0.35 in {}", .file.display()
    )]
    Threshold {
        /// The phrase's id.
        id: String,
        /// Its threshold in the policy.
        threshold: f32,
        /// Where another would stand.
        file: PathBuf,
    },
}

impl From<LayoutError> for SherpaError {
    fn from(error: LayoutError) -> Self {
        Self::Model(error.into())
    }
}

impl SherpaEngine {
    /// Loads the model of `config`, to listen for the phrases of `policy`; with a `threshold` for all of them, for an
    /// evaluation, or with their own.
    pub fn load(
        runtime: &Runtime,
        config: &Sherpa,
        policy: &Policy,
        threshold: Option<f32>,
    ) -> Result<Self, SherpaError> {
        let layout = Layout::of(&config.folder)?;
        let model = StreamingOnnx::load(runtime, &layout)?;
        let vocabulary = Vocabulary::parse(&read(layout.tokens())?, model.vocabulary());
        let vocabulary = vocabulary
            .map_err(|error| SherpaError::Vocabulary { file: layout.tokens().to_owned(), error })?;
        let file = config.folder.join(KEYWORDS);
        let mut ways = ways(&file, &read(&file)?, &vocabulary, policy, config.search())?;
        let least = |phrase: usize| {
            let of_phrase = ways.iter().filter(|way| way.phrase == phrase);
            of_phrase.map(|way| way.threshold).fold(1.0, f32::min)
        };
        let thresholds = (0..policy.phrases.len()).map(least).collect();
        if let Some(threshold) = threshold {
            ways.iter_mut().for_each(|way| way.threshold = threshold);
        }
        let same = |(one, other): (usize, usize)| SherpaError::Same {
            file: file.clone(),
            one: policy.phrases[one].id.clone(),
            other: policy.phrases[other].id.clone(),
        };
        let spotter = StreamingSpotter::new(&ways, vocabulary.unknown(), config.search());
        Ok(Self { model, spotter: spotter.map_err(same)?, thresholds })
    }

    /// The mean probability that each phrase of the policy needs.
    pub fn thresholds(&self) -> &[f32] {
        &self.thresholds
    }

    /// Searches one segment; see [`StreamingSpotter::spot`].
    pub fn search(&mut self, samples: &[f32]) -> Result<Spotting, OnnxError> {
        match &mut self.model {
            StreamingOnnx::Transducer(model) => self.spotter.spot(&mut **model, samples),
            StreamingOnnx::Ctc(model) => self.spotter.spot_by_ctc(model, samples),
        }
    }
}

/// What verdicts call the model: its folder's name, and the beginning of the SHA-256 of what hears.
pub fn versioned_name(config: &Sherpa) -> Result<String, SherpaError> {
    let layout = Layout::of(&config.folder)?;
    let file = layout.encoder();
    let bytes = fs::read(file).map_err(|error| unreadable(file, &error))?;
    let digest = hex::encode(Sha256::digest(bytes));
    let name = config.folder.file_name().unwrap_or_default().to_string_lossy();
    Ok(format!("{name}@{}", &digest[..12]))
}

/// The lines of `text` that are of the policy's phrases.
fn ways(
    file: &Path,
    text: &str,
    vocabulary: &Vocabulary,
    policy: &Policy,
    settings: Settings,
) -> Result<Vec<Way>, SherpaError> {
    let mut ways = Vec::new();
    for (place, text) in text.lines().enumerate() {
        if text.trim().is_empty() {
            continue;
        }
        let of_line = |error| SherpaError::Line { file: file.to_owned(), line: place + 1, error };
        let line = KeywordLine::parse(text, vocabulary).map_err(of_line)?;
        if let Some(phrase) = policy.phrases.iter().position(|phrase| phrase.id == line.name) {
            ways.push(Way {
                phrase,
                pieces: line.pieces,
                boost: line.boost.unwrap_or(settings.boost),
                threshold: line.threshold.unwrap_or(settings.threshold),
            });
        }
    }
    for (place, phrase) in policy.phrases.iter().enumerate() {
        let (file, id) = (file.to_owned(), phrase.id.clone());
        if phrase.examples.is_some() {
            return Err(SherpaError::Examples { id });
        }
        if let Some(threshold) = phrase.threshold {
            return Err(SherpaError::Threshold { id, threshold, file });
        }
        if ways.iter().all(|way| way.phrase != place) {
            return Err(SherpaError::NoLine { file, id });
        }
    }
    Ok(ways)
}

fn read(file: &Path) -> Result<String, SherpaError> {
    fs::read_to_string(file).map_err(|error| unreadable(file, &error))
}

fn unreadable(file: &Path, error: &std::io::Error) -> SherpaError {
    SherpaError::Unreadable { file: file.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, more: &str) -> Result<Vec<Way>, String> {
        let policy: Policy = toml::from_str(&format!(
            "name = 'p'\nversion = '1'\n[[phrase]]\nid = 'hello'\ntext = 'hello'\n{more}\n\
            [[phrase]]\nid = 'world'\ntext = 'world'\n"
        ))
        .expect("a policy");
        let vocabulary =
            Vocabulary::parse("<blk> 0\n▁HELLO 1\n▁WORLD 2\n▁W 3\n", 4).expect("four pieces");
        ways(Path::new("F/keywords.txt"), text, &vocabulary, &policy, Settings::default())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_phrase_may_be_said_in_several_ways_and_other_phrases_are_passed_over() {
        let text = "▁HELLO :2 @hello\n\n▁WORLD #0.4 @world\n▁W @world\n▁W ▁W @another\n";
        let ways = of(text, "").expect("ways");
        let told: Vec<_> = ways.iter().map(|way| (way.phrase, way.boost, way.threshold)).collect();
        assert_eq!(told, [(0, 2.0, 0.25), (1, 1.0, 0.4), (1, 1.0, 0.25)]);
    }

    #[test]
    fn what_is_missing_is_named_with_its_file() {
        assert_eq!(
            of("▁HELLO @hello\n", "").expect_err("a refusal"),
            "F/keywords.txt has no line for the phrase \"world\": its word pieces and @world were wanted"
        );
        assert_eq!(
            of("▁HELLO @hello\n▁WORLD S @world\n", "").expect_err("a refusal"),
            "F/keywords.txt, line 2: phrase \"world\": tokens.txt has no piece \"S\""
        );
        assert_eq!(
            of("▁HELLO @hello\n▁WORLD @world\n", "threshold = -3.0").expect_err("a refusal"),
            "phrase \"hello\" has the threshold -3 in the policy, which is one of the engine \"moonshine\": \
            the engine \"sherpa\" wants a probability, as #0.35 in F/keywords.txt"
        );
        assert_eq!(
            of("▁HELLO @hello\n▁WORLD @world\n", "examples = 'a.phrase'").expect_err("a refusal"),
            "phrase \"hello\" has examples, which the engine \"moonshine\" alone understands"
        );
    }
}
