//! Log lines about strangers, few enough that a flood of them does not become a flood of lines.

use std::time::{Duration, Instant};

/// One line at most in this time; the counters miss nothing.
const EVERY: Duration = Duration::from_secs(5);

/// Says when the next line may be written.
#[derive(Debug, Default)]
pub struct Complaints {
    last: Option<Instant>,
    kept_back: u64,
}

impl Complaints {
    /// How many were kept back since the last line, if it is time for one.
    pub fn due(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now < last + EVERY) {
            self.kept_back += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.kept_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_in_five_seconds_that_counts_the_rest() {
        let (mut complaints, start) = (Complaints::default(), Instant::now());
        let lines: Vec<_> = (0..100).filter_map(|_| complaints.due(start)).collect();
        assert_eq!(lines, [0]);
        assert_eq!(complaints.due(start + EVERY), Some(99));
    }
}
