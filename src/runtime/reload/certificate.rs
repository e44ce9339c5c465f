//! Whether the files of a certificate are other ones than before.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// The files of one use of TLS, and what they held when they were last of use.
#[derive(Debug)]
pub struct CertificateFiles {
    files: Vec<PathBuf>,
    held: [u8; 32],
}

impl CertificateFiles {
    /// As they are now; blocks.
    pub fn new<'a>(files: impl IntoIterator<Item = &'a Path>) -> Self {
        let files: Vec<_> = files.into_iter().map(Path::to_owned).collect();
        Self { held: print(&files), files }
    }

    /// The files that were read with success just now: whether they hold something else than before; blocks.
    pub fn note(&mut self) -> bool {
        let before = std::mem::replace(&mut self.held, print(&self.files));
        before != self.held
    }
}

/// One that cannot be read is as good as empty: whoever loads it says so.
fn print(files: &[PathBuf]) -> [u8; 32] {
    let mut print = Sha256::new();
    for file in files {
        // Each by itself: bytes that move from one to the next are a change.
        print.update(Sha256::digest(std::fs::read(file).unwrap_or_default()));
    }
    print.finalize().into()
}
