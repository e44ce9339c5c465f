//! How far a stream has come, and what lies between there and its next packet.

use std::time::{Duration, Instant};

use crate::rtp::sequence::{Filled, Place};

/// How far the timestamps may run ahead of the wall clock before they are taken for a clock that
/// was set anew (Asterisk does so when it bridges a call again) and not for silence. 1 s is far
/// above any network's jitter.
const CLOCK_SLACK: Duration = Duration::from_secs(1);

/// Where the stream stands: behind the last packet that was played.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    /// When the stream stood at `expected`, less the last packet's duration.
    pub(super) arrived: Instant,
    /// Of the last packet that had one: what a lost one is assumed to have filled.
    pub(super) filled: Filled,
    /// The next sequence number and the timestamp that goes with it; `None` after a restart.
    pub(super) expected: Option<Place>,
}

/// What matters of the packet that is next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next {
    pub(super) timestamp: u64,
    pub(super) filled: Filled,
    pub(super) arrived: Instant,
}

/// What lies between two packets.
pub(super) struct Gap {
    /// Time that the packets in between would have filled.
    pub(super) lost: Duration,
    /// Time for which nothing was sent.
    pub(super) silence: Duration,
}

impl Position {
    /// Time between the end of this packet and the start of `head`, with `missing` packets in it.
    pub(super) fn gap_before(&self, head: Next, missing: u64) -> Gap {
        let one = time(u64::from(self.filled.units), self.filled.clock_rate);
        let all = one.saturating_mul(u32::try_from(missing).unwrap_or(u32::MAX));
        let gap = self.time_before(head, one, all);
        let lost = if one.is_zero() && missing > 0 { gap } else { gap.min(all) };
        Gap { lost, silence: gap - lost }
    }

    fn time_before(&self, head: Next, one: Duration, all: Duration) -> Duration {
        let elapsed = head.arrived.saturating_duration_since(self.arrived);
        let by_wall_clock = elapsed.saturating_sub(one);
        let Some(expected) = self.expected else { return by_wall_clock };
        let clock_rate = head.filled.clock_rate;
        if clock_rate != self.filled.clock_rate {
            // Two clocks have no difference (RFC 7160 §4.1): the numbers and the wall have to do.
            return if by_wall_clock > all + CLOCK_SLACK { by_wall_clock } else { all };
        }
        match head.timestamp.checked_sub(expected.timestamp).map(|gap| time(gap, clock_rate)) {
            Some(gap) if gap <= by_wall_clock + CLOCK_SLACK => gap,
            // Set forward or back by more than the time that passed.
            Some(_) => by_wall_clock,
            // Telephone events repeat their start, however long ago that was.
            None if head.filled.units == 0 => Duration::ZERO,
            None if time(expected.timestamp - head.timestamp, clock_rate) > CLOCK_SLACK => {
                by_wall_clock
            }
            // Some peers count a frame twice.
            None => Duration::ZERO,
        }
    }

    /// `timestamp` at `head`, for an event no earlier than the stream stands: some peers send a
    /// key's tone as audio beside its events, which all carry the time of its start.
    pub(super) fn no_earlier(&self, head: Next, timestamp: u64) -> u64 {
        match self.expected {
            Some(place) if head.filled.units == 0 => place.timestamp.max(timestamp),
            Some(_) | None => timestamp,
        }
    }
}

pub(super) fn units(time: Duration, clock_rate: u32) -> u64 {
    // To the nearest: a third of a nanosecond is lost where 48 kHz become time.
    ((time.as_nanos() * u128::from(clock_rate) + 500_000_000) / 1_000_000_000) as u64
}

fn time(units: u64, clock_rate: u32) -> Duration {
    let nanos = u128::from(units) * 1_000_000_000 / u128::from(clock_rate);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
