//! A 2xx to INVITE, repeated end to end until its ACK (RFC 3261 §13.3.1.4).

use std::time::{Duration, Instant};

use crate::sip::invite_server::{Action, T1, T2};

/// Repeats a success until it is acknowledged; the dropped ACK of a live call costs one repeat.
#[derive(Debug)]
pub struct Success {
    next: Instant,
    interval: Duration,
    give_up: Instant,
}

impl Success {
    /// The 2xx has just been sent for the first time.
    pub fn new(now: Instant) -> Self {
        Self { next: now + T1, interval: T1, give_up: now + 64 * T1 }
    }

    /// Moves every due timer. After [`Action::GiveUp`] the session ends with a BYE.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Action> {
        if self.give_up <= now {
            return Some(Action::GiveUp);
        }
        (self.next <= now).then(|| {
            self.interval = (2 * self.interval).min(T2);
            self.next = now + self.interval;
            Action::Transmit
        })
    }

    /// When [`Self::handle_timeout`] is next due.
    pub fn poll_timeout(&self) -> Instant {
        self.next.min(self.give_up)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;

    #[test]
    fn is_repeated_with_growing_gaps_and_given_up_after_32_s() {
        let start = Instant::now();
        let mut success = Success::new(start);
        let mut ages = Vec::new();
        loop {
            let now = success.poll_timeout();
            ages.push((now - start).as_millis());
            if success.handle_timeout(now) == Some(Action::GiveUp) {
                break;
            }
        }
        assert_eq!(ages[..5], [500, 1_500, 3_500, 7_500, 11_500]);
        assert_eq!(ages.last(), Some(&32_000));
    }
}
