//! RTP ports: an even one and the next for each call (RFC 3550 §11).

use std::net::{IpAddr, UdpSocket};

use crate::runtime::media_thread::MediaSockets;

/// A range of UDP ports, used in turn so that a late packet of one call does not meet the next.
#[derive(Debug)]
pub struct PortRange {
    address: IpAddr,
    /// First even port, and how many pairs there are.
    first: u16,
    pairs: u16,
    next: u16,
}

impl PortRange {
    /// Ports `first` to `last`, both included, at `address`.
    pub fn new(address: IpAddr, [first, last]: [u16; 2]) -> Self {
        let first = first.next_multiple_of(2);
        // The last port of all is odd, so one more than it may be out of range, but half of it never.
        let pairs = last.checked_sub(first).map_or(0, |span| span.div_ceil(2));
        Self { address, first, pairs, next: 0 }
    }

    /// The next free pair; `None` when every pair is taken.
    pub fn bind(&mut self) -> Option<MediaSockets> {
        for _ in 0..self.pairs {
            let port = self.first + 2 * self.next;
            self.next = (self.next + 1) % self.pairs;
            let bind = |port| {
                let socket = UdpSocket::bind((self.address, port))?;
                socket.set_nonblocking(true)?;
                std::io::Result::Ok(socket)
            };
            if let (Ok(rtp), Ok(rtcp)) = (bind(port), bind(port + 1)) {
                return Some(MediaSockets { rtp, rtcp });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_whole_pairs_up_to_the_last_port_of_all() {
        let pairs = |ports| PortRange::new([127, 0, 0, 1].into(), ports).pairs;
        assert_eq!(pairs([65_000, 65_535]), 268);
        assert_eq!(pairs([20_000, 20_001]), 1);
        assert_eq!(pairs([20_000, 20_002]), 1);
        assert_eq!(pairs([20_001, 20_003]), 1);
        assert_eq!(pairs([20_001, 20_002]), 0);
    }

    #[test]
    fn every_pair_is_even_and_used_once() {
        let mut range = PortRange::new("127.0.0.1".parse().expect("an address"), [47_001, 47_007]);
        let pairs: Vec<_> = std::iter::from_fn(|| range.bind()).collect();
        let port = |socket: &UdpSocket| socket.local_addr().expect("bound").port();
        assert!(!pairs.is_empty() && pairs.len() <= 3);
        for pair in &pairs {
            assert_eq!(port(&pair.rtp) % 2, 0);
            assert_eq!(port(&pair.rtcp), port(&pair.rtp) + 1);
        }
        assert!(range.bind().is_none(), "all are taken");
        drop(pairs);
        assert!(range.bind().is_some(), "all are free again");
    }
}
