//! A peer from whom nothing comes any more: its BYE was lost, or its machine.

use std::time::{Duration, Instant};

/// Notices, once for each silence, that nothing came for as long as a call is given.
#[derive(Debug)]
pub struct SilenceWatch {
    /// `None` on hold, when nothing is to come.
    patience: Option<Duration>,
    last: Instant,
    told: bool,
}

impl SilenceWatch {
    /// Waits from now on.
    pub fn new(now: Instant, patience: Option<Duration>) -> Self {
        Self { patience, last: now, told: false }
    }

    /// Something came from the peer; whether that ends a silence that was told.
    pub fn hear(&mut self, now: Instant) -> bool {
        self.last = now;
        std::mem::take(&mut self.told)
    }

    /// From now on another time is given; a silence that was told stays told.
    pub fn renew(&mut self, now: Instant, patience: Option<Duration>) {
        (self.last, self.patience) = (now, patience);
    }

    /// Whether the silence has just become too long.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        let due = self.poll_timeout().is_some_and(|due| due <= now);
        self.told |= due;
        due
    }

    /// When [`Self::handle_timeout`] is next due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.patience.filter(|_| !self.told).map(|patience| self.last + patience)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_told_once_and_what_is_heard_begins_it_anew() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut watch = SilenceWatch::new(start, Some(Duration::from_secs(60)));
        assert!(!watch.handle_timeout(at(59)));
        assert!(!watch.hear(at(59)));
        assert_eq!(watch.poll_timeout(), Some(at(119)));
        assert!(watch.handle_timeout(at(119)));
        assert!(!watch.handle_timeout(at(500)));
        assert!(watch.hear(at(501)), "it had been told");
        watch.renew(at(501), Some(Duration::from_secs(60)));
        assert!(watch.handle_timeout(at(561)));
    }

    #[test]
    fn on_hold_silence_is_as_agreed() {
        let start = Instant::now();
        let mut watch = SilenceWatch::new(start, None);
        assert_eq!(watch.poll_timeout(), None);
        assert!(!watch.handle_timeout(start + Duration::from_secs(100_000)));
    }
}
