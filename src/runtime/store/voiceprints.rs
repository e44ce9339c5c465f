//! Voiceprints in a folder: one file a person, readable by the service's user alone.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::speaker::gathering::Gathering;
use crate::speaker::voiceprint::Voiceprint;
use crate::speaker::voiceprint_format::{self, FormatError};

/// How the file of a voiceprint ends.
const VOICEPRINT: &str = ".voiceprint.json";
/// How the file of what was gathered ends.
const GATHERING: &str = ".gathering.json";

/// A folder of voiceprints.
///
/// A file's name is the hash of its subject, so that a listing of the folder names nobody and no
/// subject can climb out of it. Beside a subject's voiceprint there may be what was gathered of
/// somebody who has not said enough yet.
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
        error: FormatError,
    },
}

/// What was removed of a subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Erased {
    /// The voiceprint.
    pub voiceprint: bool,
    /// What was gathered for one.
    pub gathering: bool,
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
        self.put(&self.path(&voiceprint.subject, VOICEPRINT), &voiceprint_format::write(voiceprint))
    }

    /// The voiceprint of `subject`, if one is kept.
    pub fn load(&self, subject: &str) -> Result<Option<Voiceprint>, StoreError> {
        self.read(&self.path(subject, VOICEPRINT), voiceprint_format::read)
    }

    /// All voiceprints, by subject; what cannot be read is an answer of its own.
    pub fn list(&self) -> Result<Vec<Result<Voiceprint, StoreError>>, StoreError> {
        let mut all = Vec::new();
        for path in self.files(VOICEPRINT)? {
            // One that was erased in the meantime is no answer.
            all.extend(self.read(&path, voiceprint_format::read).transpose());
        }
        all.sort_by_key(|found| found.as_ref().ok().map(|print| print.subject.clone()));
        Ok(all)
    }

    /// Keeps what was gathered of a subject so far.
    pub fn save_gathering(&self, gathering: &Gathering) -> Result<(), StoreError> {
        let json = serde_json::to_vec(gathering).expect("numbers and strings always serialise");
        self.put(&self.path(&gathering.subject, GATHERING), &json)
    }

    /// What was gathered of `subject` so far, if anything was.
    pub fn load_gathering(&self, subject: &str) -> Result<Option<Gathering>, StoreError> {
        let read = |bytes: &[u8]| Ok(serde_json::from_slice(bytes)?);
        self.read(&self.path(subject, GATHERING), read)
    }

    /// Removes what was gathered of `subject`; whether there was anything.
    pub fn erase_gathering(&self, subject: &str) -> Result<bool, StoreError> {
        self.remove(&self.path(subject, GATHERING))
    }

    /// Removes all that is kept of `subject`, a draft that a power cut left included.
    pub fn erase(&self, subject: &str) -> Result<Erased, StoreError> {
        for kind in [VOICEPRINT, GATHERING] {
            self.remove(&draft(&self.path(subject, kind)))?;
        }
        let voiceprint = self.remove(&self.path(subject, VOICEPRINT))?;
        Ok(Erased { voiceprint, gathering: self.erase_gathering(subject)? })
    }

    fn put(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let draft = draft(path);
        let io = |doing| move |error| StoreError::Io { doing, path: path.to_owned(), error };
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&draft).map_err(io("write"))?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io("write"))?;
        fs::rename(&draft, path).map_err(io("replace"))?;
        self.settle().map_err(io("replace"))
    }

    fn read<T>(
        &self,
        path: &Path,
        understand: impl FnOnce(&[u8]) -> Result<T, FormatError>,
    ) -> Result<Option<T>, StoreError> {
        match fs::read(path) {
            Ok(json) => understand(&json)
                .map(Some)
                .map_err(|error| StoreError::Malformed { path: path.to_owned(), error }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::Io { doing: "read", path: path.to_owned(), error }),
        }
    }

    fn remove(&self, path: &Path) -> Result<bool, StoreError> {
        match fs::remove_file(path).and_then(|()| self.settle()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::Io { doing: "remove", path: path.to_owned(), error }),
        }
    }

    /// What was renamed or removed stays so after a power cut.
    fn settle(&self) -> std::io::Result<()> {
        fs::File::open(&self.folder).and_then(|folder| folder.sync_all())
    }

    fn files(&self, kind: &str) -> Result<Vec<PathBuf>, StoreError> {
        let io = |error| StoreError::Io { doing: "list", path: self.folder.clone(), error };
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(kind)) {
                files.push(path);
            }
        }
        Ok(files)
    }

    fn path(&self, subject: &str, kind: &str) -> PathBuf {
        self.folder.join(hex::encode(Sha256::digest(subject)) + kind)
    }
}

/// Where a file is written before it takes the place of the one at `path`.
fn draft(path: &Path) -> PathBuf {
    path.with_extension("draft")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::consent::permit::leave;
    use crate::speaker::embedding::Embedding;
    use crate::speaker::voiceprint::{Kept, Reference};

    fn voiceprint(subject: &str, x: f32) -> Voiceprint {
        let embedding = Embedding::from_raw(vec![1.0, x]).expect("a direction");
        let window = Kept { session: jiff::Timestamp::UNIX_EPOCH, embedding };
        Voiceprint {
            subject: subject.to_owned(),
            consent: "c-1".to_owned(),
            created: jiff::Timestamp::UNIX_EPOCH,
            net_speech_s: 12.5,
            sessions: Vec::new(),
            references: vec![Reference::of("m@1", &[window]).expect("a direction")],
            recordings: Vec::new(),
            revision: 0,
            revisions: Vec::new(),
        }
    }

    #[test]
    fn a_newer_voiceprint_takes_the_older_ones_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Voiceprints::open(&folder.path().join("new")).expect("a store");
        store.save(&voiceprint("alice", 0.0)).expect("kept");
        store.save(&voiceprint("alice", 1.0)).expect("kept");
        let loaded = store.load("alice").expect("an answer").expect("a voiceprint");
        assert_eq!(loaded, voiceprint("alice", 1.0));
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

    #[test]
    fn what_is_erased_leaves_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Voiceprints::open(folder.path()).expect("a store");
        store.save(&voiceprint("alice", 0.0)).expect("kept");
        store.save(&voiceprint("bob", 0.0)).expect("kept");
        store.save_gathering(&Gathering::new("alice", &leave())).expect("kept");
        let left_over = draft(&store.path("alice", VOICEPRINT));
        fs::write(left_over, "half a voiceprint").expect("a writable folder");
        let erased = store.erase("alice").expect("an answer");
        assert_eq!(erased, Erased { voiceprint: true, gathering: true });
        assert_eq!(store.erase("alice").expect("an answer"), Erased::default());
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "bob's");
    }

    #[test]
    fn a_list_names_all_and_a_broken_file_does_not_hide_the_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Voiceprints::open(folder.path()).expect("a store");
        for subject in ["bob", "alice"] {
            store.save(&voiceprint(subject, 0.0)).expect("kept");
        }
        fs::write(store.path("carol", VOICEPRINT), "{\"format\":9}").expect("a writable folder");
        store.save_gathering(&Gathering::new("dora", &leave())).expect("kept");
        let list = store.list().expect("a list");
        let subjects: Vec<_> = list.iter().flatten().map(|print| print.subject.as_str()).collect();
        assert_eq!((subjects, list.len()), (vec!["alice", "bob"], 3));
    }
}
