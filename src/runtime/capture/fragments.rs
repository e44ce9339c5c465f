//! Fragments of IP packets, put together again (RFC 791 §3.2, RFC 8200 §4.5).
//!
//! SIP with a large body is the one thing in telephony that comes in fragments.

use std::collections::VecDeque;
use std::net::IpAddr;

/// Packets that may be open at once; one more pushes the oldest out.
const MOST_OPEN: usize = 64;
/// Most pieces of one packet: 64 KiB in the smallest pieces that IPv4 requires a link to carry.
const MOST_PIECES: usize = 1_424;
/// Largest packet, octets.
const LARGEST: usize = 65_535;

/// What tells the fragments of one packet from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FragmentKey {
    /// Who sent it.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// Its number.
    pub identification: u32,
    /// What it carries, as IP numbers it.
    pub protocol: u8,
}

/// One fragment.
#[derive(Clone, Copy, Debug)]
pub struct Fragment<'a> {
    /// Whose.
    pub key: FragmentKey,
    /// Its place, octets.
    pub offset: usize,
    /// Whether it is not the last.
    pub more: bool,
    /// Its part of the packet.
    pub bytes: &'a [u8],
}

/// The packets of which some fragments have come.
#[derive(Debug, Default)]
pub struct Fragments {
    /// The oldest first.
    open: VecDeque<Open>,
    given_up: u64,
}

#[derive(Debug)]
struct Open {
    key: FragmentKey,
    pieces: Vec<(usize, Vec<u8>)>,
    length: Option<usize>,
}

impl Fragments {
    /// The whole packet's payload, once `fragment` is the last of it to come.
    pub fn handle_fragment(&mut self, fragment: &Fragment<'_>) -> Option<Vec<u8>> {
        let end = fragment.offset + fragment.bytes.len();
        // What RFC 791 forbids was made to deceive somebody.
        if end > LARGEST || fragment.bytes.is_empty() || (fragment.more && !end.is_multiple_of(8)) {
            self.given_up += 1;
            return None;
        }
        let place = self.open.iter().position(|open| open.key == fragment.key);
        let place = place.unwrap_or_else(|| {
            if self.open.len() == MOST_OPEN {
                self.open.pop_front();
                self.given_up += 1;
            }
            self.open.push_back(Open { key: fragment.key, pieces: Vec::new(), length: None });
            self.open.len() - 1
        });
        let open = &mut self.open[place];
        if !fragment.more {
            open.length = Some(end);
        }
        // A capture of two interfaces has every fragment twice.
        if !open.pieces.iter().any(|(offset, _)| *offset == fragment.offset) {
            open.pieces.push((fragment.offset, fragment.bytes.to_vec()));
            open.pieces.sort_unstable_by_key(|(offset, _)| *offset);
        }
        if open.pieces.len() > MOST_PIECES {
            self.open.remove(place);
            self.given_up += 1;
            return None;
        }
        let whole = open.whole()?;
        self.open.remove(place);
        Some(whole)
    }

    /// Packets that stayed incomplete, or were none.
    pub fn given_up(&self) -> u64 {
        self.given_up + self.open.len() as u64
    }
}

impl Open {
    fn whole(&self) -> Option<Vec<u8>> {
        let length = self.length?;
        let mut whole = Vec::new();
        for (offset, bytes) in &self.pieces {
            if *offset != whole.len() {
                return None;
            }
            whole.extend_from_slice(bytes);
        }
        (whole.len() == length).then_some(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(identification: u32, offset: usize, more: bool, bytes: &[u8]) -> Fragment<'_> {
        let ip = IpAddr::from([192, 0, 2, 1]);
        let key = FragmentKey { source: ip, destination: ip, identification, protocol: 17 };
        Fragment { key, offset, more, bytes }
    }

    #[test]
    fn fragments_make_a_packet_in_any_order_and_twice() {
        let mut fragments = Fragments::default();
        let parts = [
            fragment(1, 16, false, b"end"),
            fragment(1, 0, true, b"01234567"),
            fragment(1, 0, true, b"01234567"),
        ];
        for part in parts {
            assert_eq!(fragments.handle_fragment(&part), None);
        }
        let whole = fragments.handle_fragment(&fragment(1, 8, true, b"abcdefgh"));
        assert_eq!(whole.as_deref(), Some(&b"01234567abcdefghend"[..]));
        assert_eq!(fragments.given_up(), 0);
    }

    #[test]
    fn what_never_ends_is_pushed_out() {
        let mut fragments = Fragments::default();
        for n in 0..1_000 {
            assert_eq!(fragments.handle_fragment(&fragment(n, 0, true, b"01234567")), None);
        }
        assert_eq!((fragments.open.len(), fragments.given_up()), (MOST_OPEN, 1_000));
    }

    #[test]
    fn pieces_that_cannot_be_are_refused() {
        let mut fragments = Fragments::default();
        for wrong in [
            fragment(1, 0, true, b"0123"),
            fragment(1, 0, true, b""),
            fragment(1, 65_528, false, b"01234567"),
        ] {
            assert_eq!(fragments.handle_fragment(&wrong), None);
        }
        assert_eq!((fragments.open.len(), fragments.given_up()), (0, 3));
        // Overlapping ones never come to a whole.
        fragments.handle_fragment(&fragment(2, 0, true, b"0123456701234567"));
        assert_eq!(fragments.handle_fragment(&fragment(2, 8, false, b"abcdefgh")), None);
    }
}
