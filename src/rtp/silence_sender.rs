//! Silent packets for a peer that stalls while it gets none.
//!
//! FreeSWITCH without `rtp-timer-name=soft` takes its pace from what comes in: an eavesdrop whose
//! listener sends nothing freezes.

use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::rtp::packet::Packet;

/// Time that one packet fills.
pub const PTIME: Duration = Duration::from_millis(20);

/// One stream of packets that all have the same payload.
#[derive(Debug)]
pub struct SilenceSender {
    payload_type: u8,
    payload: Vec<u8>,
    /// Timestamp units of one packet.
    units: u32,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    first: bool,
    due: Instant,
}

impl SilenceSender {
    /// Sends `payload`, which fills `units` of [`PTIME`], from now on. `seed` chooses where its
    /// numbers begin (RFC 3550 §5.1).
    pub fn new(now: Instant, seed: u64, payload_type: u8, payload: Vec<u8>, units: u32) -> Self {
        let mut rng = Rng::with_seed(seed);
        Self {
            payload_type,
            payload,
            units,
            ssrc: rng.u32(..),
            // Below half: a loss at the first wrap would leave the counters of SRTP in doubt (RFC 3711
            // §3.3.1).
            sequence: rng.u16(..0x8000),
            timestamp: rng.u32(..),
            first: true,
            due: now,
        }
    }

    /// The packet that is due, if one is. After a stall the pace begins anew: no burst of packets
    /// makes up for what was missed.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Vec<u8>> {
        if now < self.due {
            return None;
        }
        let missed = now.saturating_duration_since(self.due).as_nanos() / PTIME.as_nanos();
        let steps = u32::try_from(missed).unwrap_or(u32::MAX);
        self.due += PTIME.saturating_mul(steps) + PTIME;
        self.timestamp = self.timestamp.wrapping_add(self.units.wrapping_mul(steps));
        let packet = Packet {
            payload_type: self.payload_type,
            marker: std::mem::take(&mut self.first) || steps > 0,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            payload: &self.payload,
        };
        let datagram = packet.write();
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(self.units);
        Some(datagram)
    }

    /// When [`Self::handle_timeout`] is next due.
    pub fn poll_timeout(&self) -> Instant {
        self.due
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;

    #[test]
    fn packets_follow_every_20_ms_with_rising_numbers() {
        let start = Instant::now();
        let mut sender = SilenceSender::new(start, 7, 8, vec![0xd5; 160], 160);
        let mut sent = Vec::new();
        while sender.poll_timeout() < start + Duration::from_secs(1) {
            let due = sender.poll_timeout();
            assert_eq!(sender.handle_timeout(due - Duration::from_millis(1)), None);
            sent.extend(sender.handle_timeout(due));
        }
        assert_eq!(sent.len(), 50);
        let packets: Vec<_> = sent.iter().map(|d| Packet::parse(d).expect("RTP")).collect();
        assert!(packets[0].marker && packets[1..].iter().all(|packet| !packet.marker));
        for pair in packets.windows(2) {
            assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
            assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(160));
            assert_eq!((pair[1].ssrc, pair[1].payload), (pair[0].ssrc, &[0xd5; 160][..]));
        }
    }

    #[test]
    fn a_stall_is_not_made_up_for() {
        let start = Instant::now();
        let mut sender = SilenceSender::new(start, 7, 0, vec![0xff; 160], 160);
        let first = sender.handle_timeout(start).expect("due at once");
        let late = start + Duration::from_secs(10) + Duration::from_millis(7);
        let second = sender.handle_timeout(late).expect("long due");
        assert_eq!(sender.handle_timeout(late), None);
        assert_eq!(sender.poll_timeout(), start + Duration::from_millis(10_020));
        let [first, second] = [&first, &second].map(|d| Packet::parse(d).expect("RTP"));
        assert_eq!(second.timestamp.wrapping_sub(first.timestamp), 160 * 500, "its own time");
    }
}
