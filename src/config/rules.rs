//! `[rules]`: what is kept of conversations, so that rules can be run over them again.

use std::path::PathBuf;

use serde::Deserialize;

/// `[rules]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Folder that gets one file of events a conversation; without it nothing is kept.
    pub events_folder: Option<PathBuf>,
    /// Days, counted from a conversation's beginning, after which its file is deleted.
    pub events_days: u32,
    /// Seconds that a conversation whose last leg has ended waits for another leg of it.
    pub rejoin_s: u16,
}

impl Default for Rules {
    fn default() -> Self {
        Self { events_folder: None, events_days: 30, rejoin_s: 5 }
    }
}

impl Rules {
    /// Checks what the types cannot say; an error names key, what it must be, and what it is.
    pub fn validate(&self) -> Result<(), (&'static str, &'static str, String)> {
        match (self.events_days, self.rejoin_s) {
            (1..=3650, 0..=600) => Ok(()),
            (1..=3650, found) => Err(("rules.rejoin_s", "must be 0 to 600", found.to_string())),
            (found, _) => Err(("rules.events_days", "must be 1 to 3650", found.to_string())),
        }
    }
}
