//! How far a long file has come, on a terminal's standard error.

use std::io::{IsTerminal, Write};
use std::path::Path;

/// What is worth a line, octets: less is done in a moment.
const WORTH_A_LINE: u64 = 32 << 20;

/// Shows a percentage where somebody looks.
#[derive(Debug)]
pub struct Progress {
    what: String,
    whole: u64,
    done: u64,
    shown: Option<u64>,
    silent: bool,
}

impl Progress {
    /// `whole` octets are to be read of `file`, all passes together.
    pub fn new(file: &Path, whole: u64) -> Self {
        let silent = whole < WORTH_A_LINE || !std::io::stderr().is_terminal();
        Self { what: file.display().to_string(), whole, done: 0, shown: None, silent }
    }

    /// So many more have been read.
    pub fn advance(&mut self, octets: usize) {
        self.done += octets as u64;
        let percent = 100 * self.done / self.whole.max(1);
        if !self.silent && self.shown != Some(percent) {
            self.shown = Some(percent);
            let _ = write!(anstream::stderr(), "\r{}: {percent} %", self.what);
        }
    }

    /// All is read: the line goes.
    pub fn finish(&self) {
        if self.shown.is_some() {
            let _ = write!(anstream::stderr(), "\r{}\r", " ".repeat(self.what.len() + 7));
        }
    }
}
