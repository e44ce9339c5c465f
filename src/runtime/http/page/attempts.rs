//! Who tries to sign in with tokens that are none, and when they may try again.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::runtime::http::connections::source;

/// Failures that a source has within [`WITHIN`]: enough for whoever pastes the wrong line. No token of 256 bits is found by
/// trying; this is for the log, and for those who find a short one in a tokens' file written by hand.
const FAILURES: u32 = 10;
/// How long a failure counts, from the first one on.
const WITHIN: Duration = Duration::from_secs(60);
/// Sources that are remembered; the oldest is forgotten.
const SOURCES: usize = 1024;

/// The failures of late.
#[derive(Debug, Default)]
pub struct Attempts {
    failed: HashMap<IpAddr, (Instant, u32)>,
}

impl Attempts {
    /// Whether `from` may try; else in how many seconds.
    pub fn may(&self, now: Instant, from: IpAddr) -> Result<(), u64> {
        match self.failed.get(&source(from)) {
            Some((since, FAILURES..)) if now < *since + WITHIN => {
                Err((*since + WITHIN - now).as_secs() + 1)
            }
            _ => Ok(()),
        }
    }

    /// `from` has failed.
    pub fn failed(&mut self, now: Instant, from: IpAddr) {
        let source = source(from);
        self.failed.retain(|_, (since, _)| now < *since + WITHIN);
        if self.failed.len() >= SOURCES && !self.failed.contains_key(&source) {
            let oldest = self.failed.iter().min_by_key(|(_, (since, _))| *since);
            let oldest = oldest.map(|(source, _)| *source);
            oldest.and_then(|oldest| self.failed.remove(&oldest));
        }
        self.failed.entry(source).or_insert((now, 0)).1 += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_ten_failures_a_minute_and_others_have_their_own() {
        let (mut attempts, start) = (Attempts::default(), Instant::now());
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        for _ in 0..FAILURES {
            assert_eq!(attempts.may(start, one), Ok(()));
            attempts.failed(start, one);
        }
        assert_eq!(attempts.may(start + Duration::from_secs(30), one), Err(31));
        assert_eq!(attempts.may(start, other), Ok(()));
        assert_eq!(attempts.may(start + WITHIN, one), Ok(()));
        // A flood of sources takes no more room.
        for n in 0..5_000_u32 {
            attempts.failed(start, IpAddr::from(n.to_be_bytes()));
        }
        assert_eq!(attempts.failed.len(), SOURCES);
    }
}
