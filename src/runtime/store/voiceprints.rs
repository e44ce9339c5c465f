//! Voiceprints in a folder: one file a person, readable by the service's user alone.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::speaker::voiceprint::Voiceprint;

/// A folder of voiceprints.
///
/// A file's name is the hash of its subject, so that a listing of the folder names nobody and no
/// subject can climb out of it.
#[derive(Clone, Debug)]
pub struct Voiceprints {
    folder: PathBuf,
}

/// Why the store did not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused.
    #[error("cannot {doing} {}: {error}", .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A file that we did not write.
    #[error("{} is no voiceprint: {error}", .path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        error: serde_json::Error,
    },
}

impl Voiceprints {
    /// Opens `folder`, and makes it (mode 0700) if it is not there.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| StoreError::Io {
            doing: "make the folder",
            path: folder.into(),
            error,
        })?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Keeps `voiceprint` in place of the subject's earlier one. All or nothing: a reader sees the
    /// old file or the new one, also after a power cut.
    pub fn save(&self, voiceprint: &Voiceprint) -> Result<(), StoreError> {
        let path = self.path(&voiceprint.subject);
        let draft = path.with_extension("draft");
        let io = |doing| move |error| StoreError::Io { doing, path: path.clone(), error };
        let json = serde_json::to_vec(voiceprint).expect("numbers and strings always serialise");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&draft).map_err(io.clone()("write"))?;
        file.write_all(&json).and_then(|()| file.sync_all()).map_err(io.clone()("write"))?;
        fs::rename(&draft, self.path(&voiceprint.subject)).map_err(io.clone()("replace"))?;
        fs::File::open(&self.folder).and_then(|f| f.sync_all()).map_err(io("replace"))
    }

    /// The voiceprint of `subject`, if one is kept.
    pub fn load(&self, subject: &str) -> Result<Option<Voiceprint>, StoreError> {
        let path = self.path(subject);
        match fs::read(&path) {
            Ok(json) => serde_json::from_slice(&json)
                .map(Some)
                .map_err(|error| StoreError::Malformed { path, error }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::Io { doing: "read", path, error }),
        }
    }

    fn path(&self, subject: &str) -> PathBuf {
        self.folder.join(hex::encode(Sha256::digest(subject))).with_extension("voiceprint.json")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::speaker::embedding::Embedding;

    fn voiceprint(subject: &str, x: f32) -> Voiceprint {
        Voiceprint {
            subject: subject.to_owned(),
            consent: "c-1".to_owned(),
            model: "m@1".to_owned(),
            created: jiff::Timestamp::UNIX_EPOCH,
            net_speech_s: 12.5,
            embedding: Embedding::from_raw(vec![1.0, x]).expect("a direction"),
        }
    }

    #[test]
    fn a_newer_voiceprint_takes_the_older_ones_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Voiceprints::open(&folder.path().join("new")).expect("a store");
        store.save(&voiceprint("alice", 0.0)).expect("kept");
        store.save(&voiceprint("alice", 1.0)).expect("kept");
        let loaded = store.load("alice").expect("an answer").expect("a voiceprint");
        let wanted = voiceprint("alice", 1.0);
        assert!(loaded.embedding.cosine(&wanted.embedding).expect("one model") > 0.999_999);
        assert_eq!(store.load("bob").expect("an answer"), None);
    }

    #[test]
    fn nobody_else_may_read_a_voice_and_no_subject_climbs_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Voiceprints::open(&folder.path().join("prints")).expect("a store");
        store.save(&voiceprint("../../etc/passwd", 0.0)).expect("kept");
        let files: Vec<_> = fs::read_dir(folder.path().join("prints")).expect("a folder").collect();
        assert_eq!(files.len(), 1);
        let mode = files[0].as_ref().expect("a file").metadata().expect("its mode").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        let mode = folder.path().join("prints").metadata().expect("its mode").permissions();
        assert_eq!(mode.mode() & 0o777, 0o700);
    }
}
