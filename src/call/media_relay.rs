//! One media session taking over from another on the same port: somebody else speaks there, with the keys of before.

use std::time::Instant;

use crate::call::media_plan::MediaPlan;
use crate::call::media_session::MediaSession;
use crate::rtp::security::Guard;

impl MediaSession {
    /// What decrypts, for whoever takes over; nothing is decrypted here any more.
    pub fn hand_over(&mut self) -> Guard {
        self.guard.hand_over()
    }

    /// Takes over what was handed over, if anything was, and goes on by `plan`. Roll-over counters and handshakes cannot
    /// be made up: without them an old stream is only noise.
    pub fn take_over(&mut self, now: Instant, guard: Option<Guard>, plan: MediaPlan) {
        if let Some(guard) = guard {
            self.guard = guard;
        }
        self.handle_plan(now, plan);
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::audio::decoder::Codec;
    use crate::call::media_plan::Payload;
    use crate::rtp::packet::Packet;
    use crate::rtp::security::Security;
    use crate::rtp::srtp::{MasterKey, SendContext, Suite};

    fn session(now: Instant, plan: MediaPlan) -> MediaSession {
        MediaSession::new(now, plan, None, false, 1, "us@192.0.2.2")
    }

    /// How many of a thousand packets after the numbers began anew cannot be read by who comes second.
    fn unreadable(handed_over: bool) -> u64 {
        let now = Instant::now();
        let source = SocketAddr::from(([192, 0, 2, 1], 4000));
        let key = MasterKey::new(Suite::AesCm128HmacSha1_80, &[7; 30], None).expect("30 octets");
        let security = Security::Sdes { receive: vec![key.clone()], send: key.clone() };
        let payloads = vec![(0, Payload::Audio(Codec::Pcmu))];
        let plan = MediaPlan { security, ..MediaPlan::overhearing(payloads, source) };
        let awaited = MediaPlan { security: Security::Awaited, ..plan.clone() };
        let mut sending = SendContext::new(&key).expect("a good key");
        let mut datagram = |n: u32| {
            let (sequence, timestamp) = (n as u16, n * 160);
            let (marker, payload) = (false, &[0xff; 160][..]);
            let packet = Packet { payload_type: 0, marker, sequence, timestamp, ssrc: 1, payload };
            sending.protect_rtp(packet.write()).expect("keys last longer")
        };
        let (mut before, mut after) = (session(now, plan.clone()), session(now, awaited));
        (65_000..66_000).for_each(|n| before.handle_datagram(now, source, &datagram(n)));
        assert_eq!(before.stats().unauthentic, 0);
        let guard = before.hand_over();
        after.take_over(now, handed_over.then_some(guard), plan);
        (66_000..67_000).for_each(|n| after.handle_datagram(now, source, &datagram(n)));
        before.handle_datagram(now, source, &datagram(67_000));
        assert_eq!(before.stats().unprotected, 1, "it has no keys any more");
        after.stats().unauthentic
    }

    #[test]
    fn who_takes_over_knows_how_often_the_numbers_began_anew() {
        assert_eq!(unreadable(true), 0);
        assert_eq!(unreadable(false), 1_000);
    }
}
