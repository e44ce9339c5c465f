//! Whose datagrams count: symmetric RTP (RFC 4961) and latching behind a NAT (RFC 7362 §4).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::rtp::packet::Packet;

/// How long the latched source must be silent before another may take its place.
///
/// 2 s is 100 packets: longer than a Wi-Fi handover or a burst of loss, so that a talking peer
/// cannot be pushed aside, and shorter than one 3 s speaker window, so that a peer whose NAT gave
/// it a new port is missed for less than one decision.
pub const RELATCH_AFTER: Duration = Duration::from_secs(2);

/// Packets in sequence before an address that was not signalled is believed, as for an SSRC
/// (RFC 3550 §A.1).
const MIN_SEQUENTIAL: u8 = 2;

/// Learns the address from which the peer sends and shuts out all others.
///
/// The address in the peer's SDP is believed at once and always wins. Any other has to show a
/// sequence, and is believed only while nobody else is: peers behind a NAT signal an address from
/// which nothing ever comes.
#[derive(Debug)]
pub struct SourceCheck {
    signalled: Option<SocketAddr>,
    latched: Option<Latch>,
    candidate: Option<Candidate>,
    stats: Stats,
}

/// What to do with a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// From the peer.
    Accept,
    /// From the peer, which from now on sends from this address.
    Latched,
    /// From a stranger, or from one who may yet turn out to be the peer: drop it.
    Drop,
}

/// Counts since the call began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Packets dropped for their address.
    pub dropped: u64,
    /// Times that an address was latched, the first included.
    pub latches: u64,
}

#[derive(Clone, Copy, Debug)]
struct Latch {
    address: SocketAddr,
    heard: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    address: SocketAddr,
    ssrc: u32,
    next: u16,
    run: u8,
}

impl SourceCheck {
    /// `signalled` is the peer's media address in SDP; `None` if it gave none to send from.
    pub fn new(signalled: Option<SocketAddr>) -> Self {
        Self {
            signalled: signalled.map(canonical),
            latched: None,
            candidate: None,
            stats: Stats::default(),
        }
    }

    /// A new offer or answer moved the peer: what was learnt of the old address is forgotten.
    pub fn signal(&mut self, signalled: Option<SocketAddr>) {
        let signalled = signalled.map(canonical);
        if signalled != self.signalled {
            self.signalled = signalled;
            self.latched = None;
            self.candidate = None;
        }
    }

    /// Whether `packet`, which came from `from`, is the peer's.
    pub fn check(&mut self, now: Instant, from: SocketAddr, packet: &Packet<'_>) -> Admission {
        let from = canonical(from);
        match &mut self.latched {
            Some(latch) if latch.address == from => {
                latch.heard = now;
                Admission::Accept
            }
            _ if self.signalled == Some(from) => self.latch(now, from),
            Some(latch) if now.saturating_duration_since(latch.heard) < RELATCH_AFTER => {
                self.candidate = None;
                self.refuse()
            }
            Some(_) | None => self.probe(now, from, packet),
        }
    }

    /// Whether an RTCP datagram may be the peer's: it has no sequence to check, and its port is
    /// another unless both share one, so the IP address must do.
    pub fn admits_rtcp(&self, from: SocketAddr) -> bool {
        let known = self.latched.map(|latch| latch.address).or(self.signalled);
        known.is_some_and(|address| address.ip() == canonical(from).ip())
    }

    /// Where the peer sends from, once known.
    pub fn latched(&self) -> Option<SocketAddr> {
        self.latched.map(|latch| latch.address)
    }

    /// The counts so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    fn probe(&mut self, now: Instant, from: SocketAddr, packet: &Packet<'_>) -> Admission {
        let run = match self.candidate {
            Some(candidate)
                if (candidate.address, candidate.ssrc, candidate.next)
                    == (from, packet.ssrc, packet.sequence) =>
            {
                candidate.run + 1
            }
            _ => 1,
        };
        if run >= MIN_SEQUENTIAL {
            return self.latch(now, from);
        }
        let next = packet.sequence.wrapping_add(1);
        self.candidate = Some(Candidate { address: from, ssrc: packet.ssrc, next, run });
        self.refuse()
    }

    fn latch(&mut self, now: Instant, address: SocketAddr) -> Admission {
        self.latched = Some(Latch { address, heard: now });
        self.candidate = None;
        self.stats.latches += 1;
        Admission::Latched
    }

    fn refuse(&mut self) -> Admission {
        self.stats.dropped += 1;
        Admission::Drop
    }
}

/// A dual-stack socket reports IPv4 peers as `::ffff:a.b.c.d`, SDP does not.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;

    const SIGNALLED: &str = "10.0.0.5:4000";
    const NATTED: &str = "203.0.113.7:61000";
    const STRANGER: &str = "198.51.100.1:9";

    struct Bench {
        now: Instant,
        check: SourceCheck,
    }

    impl Bench {
        fn new() -> Self {
            let check = SourceCheck::new(Some(SIGNALLED.parse().expect("an address")));
            Self { now: Instant::now(), check }
        }

        /// One packet, 20 ms after the one before.
        fn arrive(&mut self, from: &str, sequence: u16) -> Admission {
            self.now += Duration::from_millis(20);
            let packet = Packet {
                payload_type: 0,
                marker: false,
                sequence,
                timestamp: 0,
                ssrc: 1,
                payload: &[],
            };
            self.check.check(self.now, from.parse().expect("an address"), &packet)
        }
    }

    #[test]
    fn the_signalled_address_is_believed_at_once() {
        let mut bench = Bench::new();
        assert_eq!(bench.arrive(SIGNALLED, 7), Admission::Latched);
        assert_eq!(bench.arrive(SIGNALLED, 9), Admission::Accept);
        assert_eq!(bench.arrive(STRANGER, 10), Admission::Drop);
        assert_eq!(bench.check.stats(), Stats { dropped: 1, latches: 1 });
    }

    #[test]
    fn a_peer_behind_a_nat_is_latched_after_two_in_sequence() {
        let mut bench = Bench::new();
        assert_eq!(bench.arrive(NATTED, 1), Admission::Drop);
        assert_eq!(bench.arrive(STRANGER, 2), Admission::Drop);
        assert_eq!(bench.arrive(NATTED, 2), Admission::Drop, "the run was broken");
        assert_eq!(bench.arrive(NATTED, 3), Admission::Latched);
        assert_eq!(bench.arrive(NATTED, 5), Admission::Accept);
    }

    #[test]
    fn the_signalled_address_takes_over_from_a_latched_one() {
        let mut bench = Bench::new();
        bench.arrive(NATTED, 1);
        bench.arrive(NATTED, 2);
        assert_eq!(bench.arrive(SIGNALLED, 3), Admission::Latched);
        assert_eq!(bench.arrive(NATTED, 4), Admission::Drop);
    }

    #[test]
    fn a_stranger_gets_in_only_after_two_seconds_of_silence() {
        let mut bench = Bench::new();
        bench.arrive(NATTED, 1);
        bench.arrive(NATTED, 2);
        for sequence in 0..99 {
            assert_eq!(bench.arrive(STRANGER, sequence), Admission::Drop);
        }
        assert_eq!(bench.arrive(STRANGER, 99), Admission::Drop, "2 s: its probation begins");
        assert_eq!(bench.arrive(STRANGER, 100), Admission::Latched);
    }

    #[test]
    fn a_new_offer_forgets_the_latch() {
        let mut bench = Bench::new();
        bench.arrive(SIGNALLED, 1);
        bench.check.signal(Some(SIGNALLED.parse().expect("an address")));
        assert_eq!(bench.arrive(SIGNALLED, 2), Admission::Accept, "nothing changed");
        bench.check.signal(Some(NATTED.parse().expect("an address")));
        assert_eq!(bench.arrive(NATTED, 1), Admission::Latched);
    }

    #[test]
    fn a_mapped_address_is_the_same_address() {
        let mut bench = Bench::new();
        assert_eq!(bench.arrive("[::ffff:10.0.0.5]:4000", 1), Admission::Latched);
        assert_eq!(bench.check.latched(), SIGNALLED.parse().ok());
    }

    #[test]
    fn rtcp_may_come_from_another_port() {
        let mut bench = Bench::new();
        let rtcp =
            |bench: &Bench, from: &str| bench.check.admits_rtcp(from.parse().expect("an address"));
        assert!(rtcp(&bench, "10.0.0.5:4001"));
        bench.arrive(NATTED, 1);
        bench.arrive(NATTED, 2);
        assert!(rtcp(&bench, "203.0.113.7:61001"));
        assert!(!rtcp(&bench, "10.0.0.5:4001"));
    }
}
