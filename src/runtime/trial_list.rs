//! A file of trials: who is enrolled on what, what is compared with it, and whether it is the same person.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Trials, each enrolment and each recording named once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrialList {
    /// What somebody is enrolled on, and who it is.
    pub enrolments: Vec<(Vec<PathBuf>, usize)>,
    /// What is compared, and who speaks.
    pub tests: Vec<(PathBuf, usize)>,
    /// Enrolment, test, and whether both are one person.
    pub trials: Vec<(usize, usize, bool)>,
    /// The speakers, as the file names them.
    pub speakers: Vec<String>,
}

/// One line of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    enrol: String,
    test: String,
    label: Label,
    enrol_speaker: String,
    test_speaker: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Label {
    Target,
    Nontarget,
}

/// Why a file of trials is refused.
#[derive(Debug, thiserror::Error)]
pub enum TrialListError {
    /// It cannot be read, or a line is none; the message names the line.
    #[error("{}: {error}; the columns are enrol,test,label,enrol_speaker,test_speaker", .file.display())]
    Csv {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        error: csv::Error,
    },
    /// A label that its speakers contradict.
    #[error("{}, line {line}: a {label} trial of {enrol} with {test}", .file.display())]
    Label {
        /// Which file.
        file: PathBuf,
        /// Where, from 1.
        line: u64,
        /// `target` or `nontarget`.
        label: &'static str,
        /// Who was enrolled.
        enrol: String,
        /// Who speaks.
        test: String,
    },
    /// One recording by two people.
    #[error("{}, line {line}: {} is by {now} here and by {before} above", .file.display(), .recording.display())]
    Speaker {
        /// Which file.
        file: PathBuf,
        /// Where, from 1.
        line: u64,
        /// The recording.
        recording: PathBuf,
        /// Who speaks in it by this line.
        now: String,
        /// Who speaks in it by an earlier one.
        before: String,
    },
    /// No trial at all.
    #[error("{} has no trials", .0.display())]
    Empty(PathBuf),
}

impl TrialList {
    /// Reads a CSV file with a header; its paths count from its folder.
    pub fn read(file: &Path) -> Result<Self, TrialListError> {
        let bad = |error| TrialListError::Csv { file: file.to_owned(), error };
        let folder = file.parent().unwrap_or(Path::new(""));
        let mut reader = csv::Reader::from_path(file).map_err(bad)?;
        let mut builder = Builder::default();
        let mut record = csv::StringRecord::new();
        let header = reader.headers().map_err(bad)?.clone();
        while reader.read_record(&mut record).map_err(bad)? {
            let line = record.position().map_or(0, csv::Position::line);
            let parsed: Line = record.deserialize(Some(&header)).map_err(bad)?;
            builder.add(file, folder, line, parsed)?;
        }
        if builder.list.trials.is_empty() {
            return Err(TrialListError::Empty(file.to_owned()));
        }
        Ok(builder.list)
    }
}

/// Gives everything a number at its first appearance.
#[derive(Default)]
struct Builder {
    list: TrialList,
    speakers: HashMap<String, usize>,
    enrolments: HashMap<String, usize>,
    tests: HashMap<String, usize>,
}

impl Builder {
    fn add(
        &mut self,
        file: &Path,
        folder: &Path,
        line: u64,
        parsed: Line,
    ) -> Result<(), TrialListError> {
        let Line { enrol, test, label, enrol_speaker, test_speaker } = parsed;
        let target = label == Label::Target;
        if target != (enrol_speaker == test_speaker) {
            let label = if target { "target" } else { "nontarget" };
            let (file, enrol, test) = (file.to_owned(), enrol_speaker, test_speaker);
            return Err(TrialListError::Label { file, line, label, enrol, test });
        }
        let (owner, speaker) = (self.speaker(&enrol_speaker), self.speaker(&test_speaker));
        let enrolment = *self.enrolments.entry(enrol.clone()).or_insert_with(|| {
            let files = enrol.split(';').map(|name| folder.join(name.trim())).collect();
            self.list.enrolments.push((files, owner));
            self.list.enrolments.len() - 1
        });
        let place = *self.tests.entry(test.clone()).or_insert_with(|| {
            self.list.tests.push((folder.join(&test), speaker));
            self.list.tests.len() - 1
        });
        let known = [
            (self.list.enrolments[enrolment].1, owner, &enrol),
            (self.list.tests[place].1, speaker, &test),
        ];
        if let Some((before, now, name)) = known.into_iter().find(|(before, now, _)| before != now)
        {
            return Err(TrialListError::Speaker {
                file: file.to_owned(),
                line,
                recording: name.into(),
                now: self.list.speakers[now].clone(),
                before: self.list.speakers[before].clone(),
            });
        }
        self.list.trials.push((enrolment, place, target));
        Ok(())
    }

    fn speaker(&mut self, name: &str) -> usize {
        *self.speakers.entry(name.to_owned()).or_insert_with(|| {
            self.list.speakers.push(name.to_owned());
            self.list.speakers.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<TrialList, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("trials.csv");
        std::fs::write(&file, text).expect("a file");
        TrialList::read(&file).map_err(|error| error.to_string())
    }

    const HEADER: &str = "enrol,test,label,enrol_speaker,test_speaker\n";

    #[test]
    fn everything_is_named_once() {
        let list = read(&format!(
            "{HEADER}a1.wav;a2.wav,a3.wav,target,a,a\na1.wav;a2.wav,b1.wav,nontarget,a,b\n"
        ));
        let list = list.expect("a sound file");
        assert_eq!((list.enrolments.len(), list.tests.len()), (1, 2));
        assert_eq!(list.enrolments[0].0.len(), 2);
        assert_eq!(list.trials, [(0, 0, true), (0, 1, false)]);
        assert_eq!(list.speakers, ["a", "b"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let error = |lines: &str| read(&format!("{HEADER}{lines}")).expect_err("a refusal");
        let upside = error("a.wav,b.wav,target,a,a\na.wav,c.wav,target,a,c\n");
        assert!(upside.ends_with("line 3: a target trial of a with c"), "{upside}");
        assert!(error("a.wav,b.wav,maybe,a,a\n").contains("line: 2"));
        assert!(error("a.wav,b.wav,target\n").contains("line: 2"));
        let two = error("a.wav,b.wav,target,a,a\na.wav,b.wav,nontarget,a,b\n");
        assert!(two.contains("line 3: b.wav is by b here and by a above"), "{two}");
        assert!(error("").ends_with("has no trials"));
        assert!(read("enrol,test\n").expect_err("a refusal").ends_with("has no trials"));
    }
}
