//! Time that does not count: on hold, or paused.

use std::time::Duration;

/// A stretch of conversation time; without an end it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stretch {
    from: Duration,
    to: Option<Duration>,
}

/// The stretches in which no deadline runs, whatever leg they are of and however they overlap.
#[derive(Clone, Debug, Default)]
pub struct Suspensions {
    stretches: Vec<(u64, Stretch)>,
}

/// Most stretches that are remembered; a call has a few.
const MOST: usize = 1_000;

impl Suspensions {
    /// `key` (a leg and a cause) does not count from `at` on; a second beginning changes nothing.
    pub fn begin(&mut self, key: u64, at: Duration) {
        let open = self.stretches.iter().any(|(k, s)| *k == key && s.to.is_none());
        if !open && self.stretches.len() < MOST {
            self.stretches.push((key, Stretch { from: at, to: None }));
        }
    }

    /// `key` counts again from `at` on.
    pub fn end(&mut self, key: u64, at: Duration) {
        let open = |(k, s): &&mut (u64, Stretch)| *k == key && s.to.is_none();
        if let Some((_, stretch)) = self.stretches.iter_mut().find(open) {
            stretch.to = Some(at.max(stretch.from));
        }
    }

    /// The time at which `allowed` of counting time has run since `from`; none while it stands still.
    pub fn deadline(&self, from: Duration, allowed: Duration) -> Option<Duration> {
        let mut stretches: Vec<_> = self.stretches.iter().map(|(_, stretch)| *stretch).collect();
        stretches.sort_unstable();
        let mut deadline = from.saturating_add(allowed);
        // How far the stretches are made good already.
        let mut reached = from;
        for stretch in stretches {
            let begins = stretch.from.max(reached);
            if begins >= deadline {
                break;
            }
            let ends = stretch.to?;
            if ends > begins {
                deadline = deadline.saturating_add(ends - begins);
                reached = ends;
            }
        }
        Some(deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn time_on_hold_is_added_once_however_many_legs_hold() {
        let mut suspensions = Suspensions::default();
        assert_eq!(suspensions.deadline(s(5), s(10)), Some(s(15)));
        suspensions.begin(1, s(8));
        suspensions.begin(2, s(9));
        assert_eq!(suspensions.deadline(s(5), s(10)), None, "it stands still");
        suspensions.end(1, s(12));
        suspensions.end(2, s(14));
        assert_eq!(suspensions.deadline(s(5), s(10)), Some(s(21)), "8 to 14 does not count");
        assert_eq!(suspensions.deadline(s(10), s(10)), Some(s(24)), "nor what is left of it");
        assert_eq!(suspensions.deadline(s(14), s(10)), Some(s(24)));
    }

    #[test]
    fn a_hold_at_the_deadline_comes_too_late() {
        let mut suspensions = Suspensions::default();
        suspensions.begin(1, s(15));
        assert_eq!(suspensions.deadline(s(5), s(10)), Some(s(15)));
        suspensions.end(1, s(16));
        suspensions.begin(1, s(13));
        suspensions.end(1, s(14));
        assert_eq!(suspensions.deadline(s(5), s(10)), Some(s(17)), "pushed into the other one");
    }
}
