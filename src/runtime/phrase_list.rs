//! A file of recordings in which phrases are known to be said, or not.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Recordings, each with the places of the policy's phrases that are said in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PhraseList {
    /// In the order of the file.
    pub recordings: Vec<(PathBuf, Vec<usize>)>,
}

/// Why a list is refused.
#[derive(Debug, thiserror::Error)]
pub enum PhraseListError {
    /// It cannot be read, or a line is none; the message names the line.
    #[error("{}: {error}; the columns are recording,phrases", .file.display())]
    Csv {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        error: csv::Error,
    },
    /// The policy has no such phrase.
    #[error("{}, line {line}: the policy has no phrase {id:?}", .file.display())]
    Phrase {
        /// Which file.
        file: PathBuf,
        /// Where, from 1.
        line: u64,
        /// What it names.
        id: String,
    },
    /// No recording at all.
    #[error("{} names no recording", .0.display())]
    Empty(PathBuf),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    recording: PathBuf,
    phrases: String,
}

impl PhraseList {
    /// Reads a CSV file with a header; its paths count from its folder, and `ids` are the policy's phrases.
    pub fn read(file: &Path, ids: &[&str]) -> Result<Self, PhraseListError> {
        let bad = |error| PhraseListError::Csv { file: file.to_owned(), error };
        let folder = file.parent().unwrap_or(Path::new(""));
        let mut reader = csv::Reader::from_path(file).map_err(bad)?;
        let mut record = csv::StringRecord::new();
        let header = reader.headers().map_err(bad)?.clone();
        let mut recordings = Vec::new();
        while reader.read_record(&mut record).map_err(bad)? {
            let line = record.position().map_or(0, csv::Position::line);
            let Line { recording, phrases } = record.deserialize(Some(&header)).map_err(bad)?;
            let named = phrases.split(';').map(str::trim).filter(|id| !id.is_empty());
            let place =
                |id: &str| {
                    ids.iter().position(|known| *known == id).ok_or_else(|| {
                        PhraseListError::Phrase { file: file.to_owned(), line, id: id.to_owned() }
                    })
                };
            let phrases = named.map(place).collect::<Result<_, _>>()?;
            recordings.push((folder.join(recording), phrases));
        }
        if recordings.is_empty() {
            return Err(PhraseListError::Empty(file.to_owned()));
        }
        Ok(Self { recordings })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<PhraseList, PhraseListError> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("list.csv");
        std::fs::write(&file, text).expect("a file");
        PhraseList::read(&file, &["mocha", "latte"])
    }

    #[test]
    fn phrases_are_told_apart_and_may_be_none() {
        let list = read("recording,phrases\na.wav,latte; mocha\nb.wav,\n").expect("a list");
        let phrases: Vec<_> = list.recordings.iter().map(|(_, phrases)| phrases.clone()).collect();
        assert_eq!(phrases, [vec![1, 0], vec![]]);
        assert!(list.recordings[0].0.ends_with("a.wav") && list.recordings[0].0.is_absolute());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let error = read("recording,phrases\na.wav,tea\n").expect_err("no such phrase").to_string();
        assert!(error.ends_with("list.csv, line 2: the policy has no phrase \"tea\""), "{error}");
        assert!(matches!(read("recording,phrases\n"), Err(PhraseListError::Empty(_))));
        assert!(read("file\na.wav\n").expect_err("a column").to_string().contains("recording"));
    }
}
