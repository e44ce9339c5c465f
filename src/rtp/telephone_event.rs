//! Keys pressed, as events in the stream (RFC 4733).

/// Longest duration that a packet can tell (§2.3.5); a longer event goes on as another (§2.5.1.3).
const LONGEST: u16 = 0xffff;

/// Reads one stream's events: each key once, however many packets tell of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct TelephoneEvents {
    last: Option<Event>,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    code: u8,
    /// Widened time of its start.
    timestamp: u64,
    ended: bool,
    duration: u16,
}

impl TelephoneEvents {
    /// The key whose event begins with this packet: `0-9 * # A-D`; `None` for a packet that goes on
    /// with an event or repeats it, for other events (flash, fax tones) and for no event at all.
    pub fn handle_payload(&mut self, timestamp: u64, payload: &[u8]) -> Option<char> {
        let &[code, flags, high, low, ..] = payload else { return None };
        let ended = flags & 0x80 != 0;
        let event = Event { code, timestamp, ended, duration: u16::from_be_bytes([high, low]) };
        let goes_on = self.last.is_some_and(|last| event.goes_on_with(last));
        self.last = Some(event);
        if goes_on { None } else { key(code) }
    }
}

impl Event {
    fn goes_on_with(self, last: Self) -> bool {
        if self.code != last.code {
            return false;
        }
        if self.timestamp == last.timestamp {
            return true;
        }
        let since = self.timestamp.checked_sub(last.timestamp);
        let is_segment = last.duration == LONGEST && since == Some(u64::from(LONGEST));
        // Some gateways move the timestamp with every packet of one event; the duration still grows.
        let creeps = self.duration > last.duration
            && since.is_some_and(|since| since <= u64::from(self.duration));
        !last.ended && (is_segment || creeps)
    }
}

/// §3.2, table 7.
fn key(code: u8) -> Option<char> {
    "0123456789*#ABCD".chars().nth(usize::from(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets as (timestamp, code, end, duration).
    fn keys(packets: &[(u64, u8, bool, u16)]) -> String {
        let mut events = TelephoneEvents::default();
        let read = |&(timestamp, code, ended, duration): &(u64, u8, bool, u16)| {
            let [high, low] = duration.to_be_bytes();
            events.handle_payload(timestamp, &[code, if ended { 0x8a } else { 0x0a }, high, low])
        };
        packets.iter().filter_map(read).collect()
    }

    #[test]
    fn a_key_counts_once_and_the_same_key_again_twice() {
        let one =
            [(100, 5, false, 160), (100, 5, false, 320), (100, 5, true, 400), (100, 5, true, 400)];
        assert_eq!(keys(&one), "5");
        let again = one.map(|(_, code, end, duration)| (1_700, code, end, duration));
        assert_eq!(keys(&[one, again].concat()), "55");
    }

    #[test]
    fn a_lost_beginning_or_end_loses_no_key() {
        assert_eq!(keys(&[(100, 5, true, 400)]), "5");
        assert_eq!(keys(&[(100, 5, false, 160), (900, 6, false, 160)]), "56");
        assert_eq!(keys(&[(100, 5, false, 400), (900, 5, false, 160)]), "55");
    }

    #[test]
    fn a_key_held_for_long_is_one_key() {
        let long = u64::from(LONGEST);
        let segments =
            [(100, 1, false, LONGEST), (100 + long, 1, false, 160), (100 + long, 1, true, 320)];
        assert_eq!(keys(&segments), "1");
    }

    #[test]
    fn a_timestamp_that_creeps_along_is_no_new_key() {
        let creeping = [(100, 9, false, 160), (260, 9, false, 320), (420, 9, true, 480)];
        assert_eq!(keys(&creeping), "9");
    }

    #[test]
    fn all_sixteen_keys_are_known_and_nothing_else() {
        let all: Vec<_> = (0..=255).map(|n| (u64::from(n) * 10_000, n, true, 800)).collect();
        assert_eq!(keys(&all), "0123456789*#ABCD");
        assert_eq!(TelephoneEvents::default().handle_payload(0, &[1, 2, 3]), None);
    }
}
