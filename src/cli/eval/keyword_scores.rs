//! Every score of an evaluation of phrases, as a file.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::audio::channel::Channel;
use crate::cli::Refusal;
use crate::runtime::spotting_run::Outcome;

/// A CSV file of scores, a line for each phrase and recording in which anything spoke for the phrase.
#[derive(Debug)]
pub struct ScoreFile {
    file: PathBuf,
    writer: csv::Writer<File>,
}

/// A phrase in a recording.
#[derive(Debug, Serialize)]
struct Line<'a> {
    channel: String,
    /// Place in the list, from 0.
    recording: usize,
    phrase: &'a str,
    said: bool,
    /// The best of the recording, nats, and the decoder's part of it.
    score: f32,
    decoder: Option<f32>,
    /// Whether the transcript has the very words.
    exact: bool,
}

impl ScoreFile {
    /// Begins the file anew.
    pub fn create(file: &Path) -> Result<Self, Refusal> {
        let writer = csv::Writer::from_path(file)
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        Ok(Self { file: file.to_owned(), writer })
    }

    /// Appends what a channel came to; `ids` are the phrases.
    pub fn write(
        &mut self,
        channel: &Channel,
        ids: &[&str],
        outcome: &Outcome,
    ) -> Result<(), Refusal> {
        let unwritable = |error| format!("cannot write {}: {error}", self.file.display());
        let all = outcome.fused.iter().zip(&outcome.decoder).zip(&outcome.exact);
        for ((fused, decoder), exact) in all {
            let Some(score) = fused.score else { continue };
            let line = Line {
                channel: channel.to_string(),
                recording: fused.recording,
                phrase: ids[fused.phrase],
                said: fused.said,
                score,
                decoder: decoder.score,
                exact: exact.score.is_some(),
            };
            self.writer.serialize(line).map_err(unwritable)?;
        }
        self.writer.flush().map_err(|error| unwritable(error.into()))?;
        Ok(())
    }
}
