//! The recordings in a folder.

use std::fs;
use std::path::{Path, PathBuf};

/// Endings of the files that are read.
const ENDINGS: [&str; 3] = ["wav", "flac", "ogg"];

/// Why a folder holds nothing to listen to.
#[derive(Debug, thiserror::Error)]
pub enum RecordingsError {
    /// It, or a folder in it, cannot be read.
    #[error("cannot read {}: {error}", .folder.display())]
    Unreadable {
        /// Which.
        folder: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// No file that is a recording by its name.
    #[error("{} holds no recording: none ends with .{}", .0.display(), ENDINGS.join(", ."))]
    Empty(PathBuf),
}

/// All recordings in `folder` and the folders in it, by name.
pub fn recordings(folder: &Path) -> Result<Vec<PathBuf>, RecordingsError> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let unreadable = |error| RecordingsError::Unreadable { folder: folder.clone(), error };
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let path = entry.path();
            let ending = path.extension().and_then(|ending| ending.to_str());
            // A link to a folder is not followed: it may lead back.
            if entry.file_type().map_err(unreadable)?.is_dir() {
                folders.push(path);
            } else if ending.is_some_and(|e| ENDINGS.contains(&e.to_ascii_lowercase().as_str())) {
                found.push(path);
            }
        }
    }
    found.sort();
    if found.is_empty() { Err(RecordingsError::Empty(folder.to_owned())) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_are_found_in_folders_of_folders_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).expect("a folder");
        for file in [folder.path().join("b.WAV"), inner.join("a.flac"), inner.join("notes.txt")] {
            fs::write(file, "").expect("a file");
        }
        let found = recordings(folder.path()).expect("two");
        assert_eq!(found, [folder.path().join("b.WAV"), inner.join("a.flac")]);
    }

    #[test]
    fn a_folder_without_any_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = recordings(folder.path()).expect_err("nothing there").to_string();
        assert!(error.ends_with("holds no recording: none ends with .wav, .flac, .ogg"), "{error}");
    }
}
