//! What one look came to.

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::cli::println;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// It cannot be told from here.
    Unknown,
    /// Calls go on; it will stand in their way if nobody looks after it.
    Warning,
    /// It stands in the way of calls, or of what the law asks.
    Problem,
}

/// One look at one thing.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    pub(super) state: State,
    /// What was looked at, one or two words.
    pub(super) part: &'static str,
    /// What was found: one sentence.
    pub(super) found: String,
    /// What to do about it; nothing where all is well.
    pub(super) remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(part: &'static str, found: impl Into<String>) -> Self {
        Self { state: State::Ok, part, found: found.into(), remedy: None }
    }

    pub(super) fn unknown(
        part: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { state: State::Unknown, remedy: Some(remedy.into()), ..Self::ok(part, found) }
    }

    pub(super) fn warning(
        part: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { state: State::Warning, ..Self::unknown(part, found, remedy) }
    }

    pub(super) fn problem(
        part: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { state: State::Problem, ..Self::unknown(part, found, remedy) }
    }

    /// A line for what was found, and one for what to do.
    pub(super) fn print(&self) {
        let (word, color) = match self.state {
            State::Ok => ("ok", AnsiColor::Green),
            State::Unknown => ("unknown", AnsiColor::Cyan),
            State::Warning => ("warning", AnsiColor::Yellow),
            State::Problem => ("problem", AnsiColor::Red),
        };
        let style = Style::new().fg_color(Some(color.into()));
        println!("{style}{word:<9}{style:#}{:<15}{}", self.part, self.found);
        if let Some(remedy) = &self.remedy {
            println!("{:24}-> {remedy}", "");
        }
    }
}
