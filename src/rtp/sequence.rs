//! Sequence numbers and timestamps that do not wrap (RFC 3550 §A.1).

/// Where a packet stands in its stream, in numbers that do not wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Widened sequence number; only differences mean anything.
    pub sequence: u64,
    /// Widened timestamp, in units of the codec's clock; only differences mean anything.
    pub timestamp: u64,
}

/// What a payload fills, as its codec knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    /// In timestamp units; 0 for telephone events and comfort noise, whose time then shows as
    /// silence.
    pub units: u32,
    /// Units a second.
    pub clock_rate: u32,
}

/// Widens the 16-bit RTP sequence number to 64 bits, so that order is plain `<`.
///
/// The nearest value to the highest one seen wins: a packet up to 32,767 behind is late,
/// not 65,536 - 32,767 ahead.
#[derive(Clone, Copy, Debug, Default)]
pub struct SequenceUnwrapper {
    highest: Option<u64>,
}

impl SequenceUnwrapper {
    /// Returns the place of `wire` on the endless line; moves the line on when `wire` is ahead.
    pub fn unwrap(&mut self, wire: u16) -> u64 {
        let Some(highest) = self.highest else {
            // One cycle of room below the first packet keeps a late second packet above zero.
            let first = u64::from(wire) + (1 << 16);
            self.highest = Some(first);
            return first;
        };
        let step = wire.wrapping_sub(highest as u16) as i16;
        let place = highest.saturating_add_signed(i64::from(step));
        self.highest = Some(highest.max(place));
        place
    }
}

/// Widens the 32-bit RTP timestamp to 64 bits by the same rule: the nearest value to the highest
/// one seen wins.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimestampUnwrapper {
    highest: Option<u64>,
}

impl TimestampUnwrapper {
    /// Returns the place of `wire` on the endless line; moves the line on when `wire` is ahead.
    pub fn unwrap(&mut self, wire: u32) -> u64 {
        let Some(highest) = self.highest else {
            let first = u64::from(wire) + (1 << 32);
            self.highest = Some(first);
            return first;
        };
        let step = wire.wrapping_sub(highest as u32) as i32;
        let place = highest.saturating_add_signed(i64::from(step));
        self.highest = Some(highest.max(place));
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_across_the_wrap() {
        let mut line = SequenceUnwrapper::default();
        let places = [65_534, 65_535, 1, 0, 2].map(|wire| line.unwrap(wire));
        assert_eq!(places.map(|p| p - places[0]), [0, 1, 3, 2, 4]);
    }

    #[test]
    fn a_late_second_packet_stays_below_the_first() {
        let mut line = SequenceUnwrapper::default();
        assert!(line.unwrap(0) > line.unwrap(65_535));
    }

    #[test]
    fn timestamps_run_on_across_the_wrap() {
        let mut line = TimestampUnwrapper::default();
        let places = [u32::MAX - 159, 0, 320, 160].map(|wire| line.unwrap(wire));
        assert_eq!(places.map(|p| p - places[0]), [0, 160, 480, 320]);
    }

    #[test]
    fn an_earlier_second_timestamp_stays_below_the_first() {
        let mut line = TimestampUnwrapper::default();
        assert!(line.unwrap(0) > line.unwrap(u32::MAX));
    }
}
