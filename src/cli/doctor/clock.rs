//! The clock: consents run out by it, tokens and certificates too, and the audit trail says by it when something was done.

use std::process::{Command, Stdio};

use crate::cli::doctor::finding::Finding;

/// What `timedatectl` is asked.
const ASKED: [&str; 3] = ["show", "--property=NTPSynchronized", "--value"];

pub(super) fn look() -> Finding {
    let answer = Command::new("timedatectl").args(ASKED).stdin(Stdio::null()).output();
    let said = answer.ok().filter(|answer| answer.status.success());
    judge(said.as_ref().map(|answer| String::from_utf8_lossy(&answer.stdout)).as_deref())
}

fn judge(said: Option<&str>) -> Finding {
    match said.map(str::trim) {
        Some("yes") => Finding::ok("clock", "it is synchronised"),
        Some("no") => Finding::warning(
            "clock",
            "it is not synchronised: what the audit trail says of times proves little",
            "timedatectl set-ntp true, or set up chrony",
        ),
        _ => Finding::unknown(
            "clock",
            "whether it is synchronised cannot be told without systemd",
            "in a container the host's clock counts: look there, with timedatectl or chronyc tracking",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::State;

    #[test]
    fn a_clock_that_nothing_sets_is_warned_of() {
        assert_eq!(judge(Some("yes\n")).state, State::Ok);
        assert_eq!(judge(Some("no\n")).state, State::Warning);
        assert_eq!(judge(Some("\n")).state, State::Unknown);
        assert_eq!(judge(None).state, State::Unknown);
    }
}
