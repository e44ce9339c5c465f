//! What the datagrams of one flow are, where nobody says so: RTP by its header's habits (RFC 3550 §A.1),
//! and its codec by what the payloads look like.

use std::time::Duration;

use crate::audio::decoder::Codec;
use crate::call::media_plan::Payload;
use crate::rtp::packet::{Packet, is_rtcp};
use crate::runtime::capture::payload_types::Coding;

/// Packets of one source in sequence that make a flow RTP. 4: by chance, one flow in 2^48 has a second
/// one that fits the first.
const SEQUENTIAL: u32 = 4;
/// Payload types looked at in one flow.
const MOST_PAYLOAD_TYPES: usize = 16;
/// Ticks of the shortest Opus frame, 2.5 ms (RFC 6716 §2.1.4).
const OPUS_STEP: u32 = 120;
/// Share of the steps between neighbours that must fit Opus, in percent: the rest are pauses.
const OPUS_FITTING: u32 = 60;
/// The highest event number of a key (RFC 4733 §3.2, table 7).
const LAST_KEY: u8 = 15;

/// What one flow was seen to carry.
#[derive(Debug, Default)]
pub struct Traffic {
    /// When its first datagram came.
    pub first: Duration,
    /// Counts by kind.
    pub kinds: Kinds,
    /// The longest run of one source in sequence.
    run: u32,
    longest_run: u32,
    last: Option<Last>,
    payload_types: Vec<(u8, Look)>,
}

/// Datagrams by what their first octets say (RFC 7983 §7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Kinds {
    /// Of version 2, and with a whole header.
    pub rtp: u64,
    /// RTCP.
    pub rtcp: u64,
    /// STUN and TURN (RFC 8489).
    pub stun: u64,
    /// DTLS, which agrees on keys for SRTP (RFC 5764).
    pub dtls: u64,
    /// Anything else: T.38, the rest of the network.
    pub other: u64,
}

/// What the payloads of one type look like.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    packets: u32,
    /// Of four octets that name a key (RFC 4733 §2.3).
    events: u32,
    /// Whole packets of Opus.
    opus: u32,
    /// Steps of the timestamp from one packet to its neighbour, and how many fit what it filled.
    steps: u32,
    opus_steps: u32,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    payload_type: u8,
    /// Ticks that it would fill as Opus.
    opus: Option<u32>,
}

impl Traffic {
    /// A flow whose first datagram came at `first`, since 1970.
    pub fn new(first: Duration) -> Self {
        Self { first, ..Self::default() }
    }

    /// One more datagram.
    pub fn handle_datagram(&mut self, datagram: &[u8]) {
        match datagram {
            _ if is_rtcp(datagram) => self.kinds.rtcp += 1,
            [0..=3, ..] if datagram.get(4..8) == Some(&[0x21, 0x12, 0xa4, 0x42]) => {
                self.kinds.stun += 1;
            }
            // Content types 20-63, and a version that DTLS has: 1.0, 1.2 or 1.3.
            [20..=63, 0xfe, 0xfc..=0xff, ..] => self.kinds.dtls += 1,
            _ => match Packet::parse(datagram) {
                Ok(packet) => {
                    self.kinds.rtp += 1;
                    self.look(&packet);
                }
                Err(_) => self.kinds.other += 1,
            },
        }
    }

    fn look(&mut self, packet: &Packet<'_>) {
        let payload = packet.payload;
        let opus = Codec::Opus.duration(payload).ok().filter(|&ticks| ticks > 0);
        let neighbour = self.last.filter(|last| {
            (last.ssrc, last.sequence.wrapping_add(1)) == (packet.ssrc, packet.sequence)
        });
        self.run = if neighbour.is_some() { self.run + 1 } else { 1 };
        self.longest_run = self.longest_run.max(self.run);
        let payload_type = packet.payload_type;
        let (sequence, timestamp, ssrc) = (packet.sequence, packet.timestamp, packet.ssrc);
        self.last = Some(Last { ssrc, sequence, timestamp, payload_type, opus });
        let known = self.payload_types.iter().position(|(number, _)| *number == payload_type);
        let place = match known {
            Some(place) => place,
            None if self.payload_types.len() < MOST_PAYLOAD_TYPES => {
                self.payload_types.push((payload_type, Look::default()));
                self.payload_types.len() - 1
            }
            None => return,
        };
        let look = &mut self.payload_types[place].1;
        look.packets = look.packets.saturating_add(1);
        look.opus += u32::from(opus.is_some());
        let is_event = matches!(payload, &[key, flags, ..] if payload.len() == 4
            && key <= LAST_KEY && flags & 0x40 == 0);
        look.events += u32::from(is_event);
        if let Some(before) = neighbour.filter(|last| last.payload_type == payload_type) {
            let step = packet.timestamp.wrapping_sub(before.timestamp);
            look.steps += 1;
            look.opus_steps +=
                u32::from(step % OPUS_STEP == 0 && before.opus.is_some_and(|ticks| ticks == step));
        }
    }

    /// Whether it is RTP, going by itself alone.
    pub fn is_rtp(&self) -> bool {
        // Numbers from 35 to 95 were given to nobody: a flow of them is something else, or RTCP.
        let plausible = |number: u8| Coding::of_number(number).is_some() || number >= 96;
        self.longest_run >= SEQUENTIAL
            && self.payload_types.iter().any(|(number, _)| plausible(*number))
    }

    /// Whether it might have become RTP, had there been more of it.
    pub fn may_be_rtp(&self) -> bool {
        self.kinds.rtp > 0 && self.kinds.rtp > self.kinds.other
    }

    /// What the payloads of type `number` are, going by number and looks; `None` if that does not tell.
    pub fn coding(&self, number: u8) -> Option<Coding> {
        if let Some(coding) = Coding::of_number(number) {
            return Some(coding);
        }
        let (_, look) = self.payload_types.iter().find(|(known, _)| *known == number)?;
        if look.events == look.packets {
            let clock_rate = self.audio_clock();
            let payload = Some(Payload::TelephoneEvent { clock_rate });
            return Some(Coding { name: format!("telephone-event/{clock_rate}"), payload });
        }
        look.is_opus().then(|| Coding::named("opus/48000/2"))
    }

    /// The clock that events share with the audio beside them (RFC 4733 §2.5.1.2).
    fn audio_clock(&self) -> u32 {
        let opus = self.payload_types.iter().any(|(number, look)| *number >= 96 && look.is_opus());
        if opus { Codec::Opus.clock_rate() } else { Codec::Pcmu.clock_rate() }
    }
}

impl Look {
    fn is_opus(&self) -> bool {
        self.opus == self.packets
            && self.events < self.packets
            && self.steps > 1
            && self.opus_steps * 100 >= self.steps * OPUS_FITTING
    }
}

impl Kinds {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.rtp + self.rtcp + self.stun + self.dtls + self.other
    }

    /// Adds those of another flow.
    pub fn add(&mut self, other: &Self) {
        self.rtp += other.rtp;
        self.rtcp += other.rtcp;
        self.stun += other.stun;
        self.dtls += other.dtls;
        self.other += other.other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic(packets: &[(u8, u16, u32, &[u8])]) -> Traffic {
        let mut traffic = Traffic::default();
        for &(payload_type, sequence, timestamp, payload) in packets {
            let packet =
                Packet { payload_type, marker: false, sequence, timestamp, ssrc: 7, payload };
            traffic.handle_datagram(&packet.write());
        }
        traffic
    }

    /// `count` packets of one type, each `step` ticks after the other.
    fn run(payload_type: u8, step: u32, payload: &[u8], count: u16) -> Traffic {
        let packets: Vec<_> =
            (0..count).map(|n| (payload_type, n, u32::from(n) * step, payload)).collect();
        traffic(&packets)
    }

    fn name(traffic: &Traffic, number: u8) -> Option<String> {
        traffic.coding(number).map(|coding| coding.name)
    }

    #[test]
    fn four_in_sequence_of_a_plausible_type_are_rtp() {
        assert!(run(0, 160, &[0xff; 160], 4).is_rtp());
        assert!(!run(0, 160, &[0xff; 160], 3).is_rtp());
        assert!(!run(40, 160, &[0xff; 160], 20).is_rtp(), "a number of nobody's");
        let jumping: Vec<_> = (0..20).map(|n| (0, n * 7, 0, &[1_u8][..])).collect();
        assert!(!traffic(&jumping).is_rtp());
    }

    #[test]
    fn opus_is_known_by_its_own_length_and_events_by_theirs() {
        // Two frames of 10 ms of SILK, and of 20 ms of CELT.
        assert_eq!(
            name(&run(111, 960, &[0x01, 1, 2, 3, 4], 9), 111).as_deref(),
            Some("opus/48000/2")
        );
        assert_eq!(name(&run(96, 960, &[0xf8, 1, 2, 3], 9), 96).as_deref(), Some("opus/48000/2"));
        assert_eq!(name(&run(111, 160, &[0x01, 1, 2, 3, 4], 9), 111), None, "another clock");
        let event = run(101, 0, &[5, 0x8a, 0, 160], 6);
        assert_eq!(name(&event, 101).as_deref(), Some("telephone-event/8000"));
        assert_eq!(name(&run(97, 240, &[0xff; 50], 9), 97), None, "iLBC, or what it may be");
    }

    #[test]
    fn what_is_not_rtp_is_told_by_its_first_octets() {
        let mut traffic = Traffic::default();
        for datagram in [
            &[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..],
            &[22, 0xfe, 0xfd, 0],
            &[0x80, 200, 0, 1, 0, 0, 0, 7],
            b"GET / HTTP/1.1",
            &[0, 0, 1, 2],
        ] {
            traffic.handle_datagram(datagram);
        }
        let expected = Kinds { rtp: 0, rtcp: 1, stun: 1, dtls: 1, other: 2 };
        assert_eq!((traffic.kinds, traffic.kinds.total()), (expected, 5));
        assert!(!traffic.is_rtp());
    }
}
