//! A file that results go to which are nobody else's affair.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A new file, mode 0600, that is in its place whole or not at all.
#[derive(Debug)]
pub struct PrivateFile {
    path: PathBuf,
    draft: PathBuf,
    file: BufWriter<File>,
}

impl PrivateFile {
    /// Begins one beside `path`; what stands there stays until [`PrivateFile::finish`].
    pub fn create(path: &Path) -> Result<Self, String> {
        let mut draft = path.as_os_str().to_owned();
        draft.push(".part");
        let draft = PathBuf::from(draft);
        // What was left of an earlier try may be readable to others.
        let _ = std::fs::remove_file(&draft);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft);
        let file = BufWriter::new(file.map_err(|error| unwritable(path, &error))?);
        Ok(Self { path: path.to_owned(), draft, file })
    }

    /// Writes a line.
    pub fn line(&mut self, line: &str) -> Result<(), String> {
        writeln!(self.file, "{line}").map_err(|error| unwritable(&self.path, &error))
    }

    /// Puts it in its place, safe from a power cut.
    pub fn finish(mut self) -> Result<(), String> {
        let written = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        let placed = written.and_then(|()| std::fs::rename(&self.draft, &self.path));
        placed.map_err(|error| unwritable(&self.path, &error))
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        // Of one that is in its place nothing is left; of another nothing shall be.
        let _ = std::fs::remove_file(&self.draft);
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> String {
    format!("cannot write {}: {error}", path.display())
}
