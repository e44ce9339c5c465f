//! Ends of the audit trail that were noted outside of the database (`store.anchor_file`): lines of JSON, each with
//! `sequence` and `digest`.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;

use crate::vault::chain::{Digest, Head};

/// Why anchors cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// The system refused.
    #[error("cannot read the anchors {}: {error}", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The system refused to take one.
    #[error("cannot write the anchors {}: {error}", .path.display())]
    Unwritten {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A line that is none.
    #[error("{}, line {line}, is no anchor: {error}", .path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        error: serde_json::Error,
    },
}

/// What else a line says is for people.
#[derive(Deserialize)]
struct Line {
    sequence: u64,
    digest: Digest,
}

/// The anchors in `path`, the oldest first; `None` where there is no such file.
pub fn read(path: &Path) -> Result<Option<Vec<Head>>, AnchorError> {
    let io = |error| AnchorError::Io { path: path.to_owned(), error };
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(io)?,
    };
    let mut anchors = Vec::new();
    let mut lines = BufReader::new(file).lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let line = line.map_err(io)?;
        match serde_json::from_str::<Line>(&line) {
            Ok(Line { sequence, digest }) => anchors.push(Head { sequence, digest }),
            // What a power cut left of the line that was being written.
            Err(error) if error.is_eof() && lines.peek().is_none() => {}
            Err(error) => {
                let path = path.to_owned();
                return Err(AnchorError::Malformed { path, line: number + 1, error });
            }
        }
    }
    Ok(Some(anchors))
}

/// Adds the trail's end at `at` to `path`; it outlives a power cut.
pub fn note(path: &Path, head: Head, at: Timestamp) -> Result<(), AnchorError> {
    let Head { sequence, digest } = head;
    let line = serde_json::json!({ "time": at, "sequence": sequence, "digest": digest });
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options.create(true).append(true).mode(0o640).open(path)?;
        file.write_all(format!("{line}\n").as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error| AnchorError::Unwritten { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_read_with_whatever_else_stands_beside_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("anchors");
        assert_eq!(read(&path).expect("an answer"), None);
        let digest = Digest::NONE.to_string();
        let line =
            format!("{{\"time\":\"2026-11-27T15:00:00Z\",\"sequence\":7,\"digest\":\"{digest}\"}}");
        std::fs::write(&path, format!("{line}\n{}", &line[..30])).expect("a file");
        let anchors = read(&path).expect("anchors").expect("a file");
        assert_eq!(anchors, [Head { sequence: 7, digest: Digest::NONE }]);
        std::fs::remove_file(&path).expect("our file");
        let noted = Head { sequence: 9, digest: Digest::NONE };
        note(&path, noted, Timestamp::UNIX_EPOCH).expect("a folder");
        note(&path, anchors[0], Timestamp::UNIX_EPOCH).expect("a folder");
        assert_eq!(read(&path).expect("an answer"), Some(vec![noted, anchors[0]]));
        std::fs::write(&path, format!("{}\n{line}\n", &line[..30])).expect("a file");
        let error = read(&path).expect_err("in the middle").to_string();
        assert!(error.contains("line 1, is no anchor"), "{error}");
    }
}
