//! What must hold for any datagrams and any order of arrival.
#![expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;

use sidetone::audio::decoder::{Codec, Decoder};
use sidetone::rtp::jitter_buffer::{JitterBuffer, Playout, Settings};
use sidetone::rtp::packet::{Packet, is_rtcp};
use sidetone::rtp::reception::{Arrival, Reception};
use sidetone::rtp::report::Reporter;
use sidetone::rtp::sequence::Filled;
use sidetone::rtp::source::SourceCheck;

const PTIME: Duration = Duration::from_millis(20);
const CLOCK: u32 = 8_000;
/// What a packet fills: 20 ms.
const FRAME: Filled = Filled { units: 160, clock_rate: CLOCK };

fn packet(sequence: u16, timestamp: u32, payload: &[u8]) -> Packet<'_> {
    Packet { payload_type: 0, marker: false, sequence, timestamp, ssrc: 1, payload }
}

/// Any bytes, half of them with a version that gets them past the first check.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    (any::<bool>(), vec(any::<u8>(), 0..200)).prop_map(|(plausible, mut bytes)| {
        if let (true, Some(first)) = (plausible, bytes.first_mut()) {
            *first = *first & 0x3f | 0x80;
        }
        bytes
    })
}

/// RTCP packets of any type whose lengths add up, with any bytes in them.
fn compound() -> impl Strategy<Value = Vec<u8>> {
    let packet = (0..32u8, any::<bool>(), 192..224u8, vec(any::<[u8; 4]>(), 0..12));
    vec(packet, 1..4).prop_map(|packets| {
        let one = |(count, padded, kind, words): (u8, bool, u8, Vec<[u8; 4]>)| {
            let first = 0x80 | u8::from(padded) << 5 | count;
            [vec![first, kind, 0, words.len() as u8], words.concat()].concat()
        };
        packets.into_iter().flat_map(one).collect()
    })
}

/// Packets in the order in which they arrive: some twice, some never, some late.
fn arrivals() -> impl Strategy<Value = Vec<u16>> {
    let late = 0..200u64;
    vec((0..3u8, late.clone(), late), 2..80).prop_map(|fates| {
        let mut order = Vec::new();
        for (n, (copies, late, later)) in (0..).zip(fates) {
            let at = u64::from(n) * 20;
            order.extend([at + late, at + later].into_iter().take(copies.into()).map(|t| (t, n)));
        }
        order.sort_unstable();
        order.into_iter().map(|(_, n)| n).collect()
    })
}

fn drain(buffer: &mut JitterBuffer, now: Instant) -> Vec<Playout> {
    let next = || Some(buffer.pop(now)).filter(|playout| *playout != Playout::NotYet);
    std::iter::from_fn(next).collect()
}

/// Sends packets of 20 ms through a buffer, one arrival every 10 ms, and then empties it.
fn play(order: &[u16], start: Instant) -> (JitterBuffer, Vec<Playout>) {
    let mut reception = Reception::new(start);
    let mut buffer = JitterBuffer::new(Settings::default());
    let mut played = Vec::new();
    let mut now = start;
    // Two packets before the run earn the source its trust.
    for sequence in [65_533, 65_534].into_iter().chain(order.iter().map(|n| n.wrapping_sub(1))) {
        now += PTIME / 2;
        let payload = sequence.to_be_bytes();
        let timestamp = u32::from(sequence.wrapping_add(3)) * 160;
        let packet = packet(sequence, timestamp, &payload);
        match reception.record(now, &packet, CLOCK) {
            Arrival::Valid(place) | Arrival::Restart { place, .. } => {
                buffer.push(now, place, &packet, FRAME);
            }
            Arrival::Probation | Arrival::Duplicate => {}
        }
        played.extend(drain(&mut buffer, now));
    }
    now += buffer.longest_wait();
    played.extend(drain(&mut buffer, now));
    (buffer, played)
}

/// How long each of up to 300 packets is on its way: anything below `most`.
fn delays(most: Duration) -> impl Strategy<Value = Vec<Duration>> {
    let most = u64::try_from(most.as_millis()).expect("a short time");
    vec((0..most).prop_map(Duration::from_millis), 2..300)
}

proptest! {
    #[test]
    fn no_bytes_make_the_rtp_side_panic(datagrams in vec(soup(), 1..20)) {
        let start = Instant::now();
        let from = "192.0.2.1:4000".parse().expect("an address");
        let mut reception = Reception::new(start);
        let mut source = SourceCheck::new(None);
        let mut buffer = JitterBuffer::new(Settings::default());
        for (n, datagram) in (0..).zip(&datagrams) {
            let now = start + PTIME * n;
            let _ = is_rtcp(datagram);
            if let Ok(packet) = Packet::parse(datagram) {
                let _ = source.check(now, from, &packet);
                for packet in [packet, Packet { sequence: packet.sequence.wrapping_add(1), ..packet }] {
                    // Payload types of two clocks.
                    let clock_rate = if packet.payload_type < 64 { CLOCK } else { 48_000 };
                    if let Arrival::Valid(place) | Arrival::Restart { place, .. } =
                        reception.record(now, &packet, clock_rate)
                    {
                        let filled = Filled { units: packet.payload.len() as u32, clock_rate };
                        buffer.push(now, place, &packet, filled);
                    }
                }
                drain(&mut buffer, now);
            }
            let _ = (reception.report(), reception.stats(), buffer.poll_timeout());
        }
    }

    #[test]
    fn no_bytes_make_the_rtcp_side_panic(soup in soup(), compound in compound()) {
        let start = Instant::now();
        let mut reporter = Reporter::new(start, 1, "a@b");
        let _ = reporter.handle_datagram(start, &soup);
        let _ = reporter.handle_datagram(start, &compound);
    }

    #[test]
    fn no_payload_makes_a_decoder_panic(payloads in vec(vec(any::<u8>(), 0..300), 1..8)) {
        let linear = [Codec::L16, Codec::L16Wide];
        for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus].into_iter().chain(linear) {
            let mut decoder = Decoder::new(codec);
            for payload in &payloads {
                let units = codec.duration(payload);
                if let Some((samples, repeated)) = decoder.recover(320, Some(payload)) {
                    prop_assert!(samples.len() == 320 && repeated <= 320);
                }
                if let Ok(samples) = decoder.decode(payload) {
                    let units = units.expect("what decodes has a duration") as usize;
                    let (clock, rate) = (codec.clock_rate(), codec.sample_rate());
                    prop_assert_eq!(samples.len(), units * rate as usize / clock as usize);
                    prop_assert!(samples.iter().all(|sample| sample.is_finite()));
                }
            }
        }
    }

    #[test]
    fn the_buffer_gives_each_packet_once_in_order_and_names_the_missing(order in arrivals()) {
        let start = Instant::now();
        let (buffer, played) = play(&order, start);
        let mut given = Vec::new();
        let mut missing = 0;
        let mut time = Duration::ZERO;
        for playout in &played {
            match playout {
                Playout::Packet { payload, timestamp, .. } => {
                    given.push(*timestamp);
                    time += PTIME;
                    prop_assert_eq!(payload.len(), 2);
                }
                Playout::Lost { time: lost, packets } => {
                    prop_assert_eq!(*lost, PTIME * *packets as u32);
                    missing += packets;
                    time += *lost;
                }
                Playout::Silence { .. } | Playout::NotYet => {
                    prop_assert!(false, "nothing was silent: {:?}", playout);
                }
            }
        }
        prop_assert!(given.is_sorted_by(|earlier, later| earlier < later));
        let (first, last) = (given[0], given[given.len() - 1]);
        let whole = PTIME * ((last + 160 - first) / 160) as u32;
        prop_assert_eq!(time, whole, "no time is lost or invented");
        prop_assert_eq!(given.len() as u64 + missing, (last - first) / 160 + 1);
        // What came and was not given came too late.
        let came = order.iter().collect::<BTreeSet<_>>().len() as u64 + 1;
        let stats = buffer.stats();
        prop_assert_eq!(given.len() as u64 + stats.late, came);
        prop_assert_eq!((stats.played, stats.lost), (given.len() as u64, missing));
    }

    #[test]
    fn whatever_is_late_by_less_than_the_wait_plays_in_order_and_once(
        delays in delays(Settings::default().wait.least),
    ) {
        let start = Instant::now();
        let mut arrivals: Vec<(Duration, u16)> =
            (0..).zip(&delays).map(|(n, delay)| (PTIME * u32::from(n) + *delay, n)).collect();
        arrivals.sort_unstable();
        let (mut reception, mut buffer) =
            (Reception::new(start), JitterBuffer::new(Settings::default()));
        let mut played = Vec::new();
        // Two packets before the others earn the source its trust.
        let trusted = [65_534, 65_535].map(|n| (Duration::ZERO, n));
        for (at, sequence) in trusted.into_iter().chain(arrivals) {
            let now = start + at;
            while let Some(due) = buffer.poll_timeout().filter(|due| *due < now) {
                played.extend(drain(&mut buffer, due));
            }
            let timestamp = u32::from(sequence.wrapping_add(2)) * 160;
            let packet = packet(sequence, timestamp, &[0; 160]);
            if let Arrival::Valid(place) | Arrival::Restart { place, .. } =
                reception.record(now, &packet, CLOCK)
            {
                buffer.push(now, place, &packet, FRAME);
            }
            played.extend(drain(&mut buffer, now));
        }
        // Those on probation aside: the first that is trusted is number 65,535.
        let given: Vec<u64> = played
            .iter()
            .map(|playout| match playout {
                Playout::Packet { timestamp, .. } => timestamp / 160,
                other => panic!("{other:?}"),
            })
            .collect();
        prop_assert_eq!(given.len(), delays.len() + 1);
        prop_assert!(given.windows(2).all(|pair| pair[1] == pair[0] + 1));
    }

    #[test]
    fn the_same_arrivals_give_the_same_story(order in arrivals()) {
        let start = Instant::now();
        prop_assert_eq!(play(&order, start).1, play(&order, start).1);
    }
}
