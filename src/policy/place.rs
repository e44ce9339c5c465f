//! Where in a policy file something stands.

use std::fmt;
use std::path::PathBuf;

/// A line of a file; line 0 is nowhere: what was not read from a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Which file.
    pub file: PathBuf,
    /// Which line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "the policy"),
            line => write!(f, "{}, line {line}", self.file.display()),
        }
    }
}
