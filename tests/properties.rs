//! What must hold for any bytes and any order of arrival.
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
use sidetone::rtp::source::SourceCheck;
use sidetone::sip::stream_framing::{Frame, FramingError, Limits, StreamFraming};

const PTIME: Duration = Duration::from_millis(20);

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
    let mut reception = Reception::new(start, 8_000);
    let mut buffer = JitterBuffer::new(Settings::default(), 8_000);
    let mut played = Vec::new();
    let mut now = start;
    // Two packets before the run earn the source its trust.
    for sequence in [65_533, 65_534].into_iter().chain(order.iter().map(|n| n.wrapping_sub(1))) {
        now += PTIME / 2;
        let payload = sequence.to_be_bytes();
        let timestamp = u32::from(sequence.wrapping_add(3)) * 160;
        let packet = packet(sequence, timestamp, &payload);
        match reception.record(now, &packet) {
            Arrival::Valid(place) | Arrival::Restart(place) => {
                buffer.push(now, place, &packet, 160);
            }
            Arrival::Probation | Arrival::Duplicate => {}
        }
        played.extend(drain(&mut buffer, now));
    }
    played.extend(drain(&mut buffer, now + Settings::default().depth));
    (buffer, played)
}

/// What a stream may hold between two cuts: whole messages, keep-alives.
fn spoken() -> impl Strategy<Value = (Vec<u8>, Vec<Frame>)> {
    let field =
        prop::sample::select(vec!["Content-Length: ", "l:", "CONTENT-LENGTH :\r\n\t", "L: 0"]);
    let body = vec(prop::sample::select(b"\r\n: lax".to_vec()), 0..40);
    let message = (field, body, any::<bool>()).prop_map(|(field, body, bare)| {
        let head = format!("A b\r\nVia: c\r\n{field}{}\r\nd:\r\n\r\n", body.len());
        let head = if bare { head.replace('\r', "") } else { head };
        let bytes = [head.as_bytes(), &body].concat();
        (bytes.clone(), vec![Frame::Message(bytes)])
    });
    let bodiless = Just(b"A b\r\nVia: c\r\n\r\n".to_vec())
        .prop_map(|bytes| (bytes.clone(), vec![Frame::Message(bytes)]));
    let ping = Just((b"\r\n\r\n".to_vec(), vec![Frame::Pong, Frame::Ping]));
    // Keep-alives in a row are told apart by what stands between them.
    (prop_oneof![4 => message, 1 => bodiless], prop::option::of(ping)).prop_map(
        |((mut bytes, mut frames), ping)| {
            if let Some((more, told)) = ping {
                bytes.extend(more);
                frames.extend(told);
            }
            (bytes, frames)
        },
    )
}

/// Cuts `stream` after each of `lengths` in turn, over and over.
fn cut(limits: Limits, stream: &[u8], lengths: &[usize]) -> (Vec<Frame>, Option<FramingError>) {
    let mut framing = StreamFraming::new(limits);
    let mut frames = Vec::new();
    let (mut rest, mut lengths) = (stream, lengths.iter().cycle());
    while !rest.is_empty() {
        let length = lengths.next().map_or(rest.len(), |length| rest.len().min(*length));
        let (chunk, after) = rest.split_at(length);
        rest = after;
        framing.handle_bytes(chunk);
        loop {
            match framing.poll_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
        assert!(framing.held() <= limits.message, "no more than a message is held");
    }
    (frames, None)
}

/// Bytes of which streams are made, so that any of them get somewhere.
fn stream_soup() -> impl Strategy<Value = Vec<u8>> {
    let pieces =
        ["\r", "\n", "\r\n", "l:", "Content-Length", ":", " ", "\t", "3", "0", "-", "x", "\0"];
    let known = prop::sample::select(pieces.map(|piece| piece.as_bytes().to_vec()).to_vec());
    vec(prop_oneof![8 => known, 1 => vec(any::<u8>(), 0..4)], 0..80).prop_map(|p| p.concat())
}

proptest! {
    #[test]
    fn a_stream_gives_the_same_frames_however_it_is_cut(
        said in vec(spoken(), 1..8),
        lengths in vec(1..60_usize, 1..10),
    ) {
        let stream: Vec<u8> = said.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let expected: Vec<Frame> = said.into_iter().flat_map(|(_, frames)| frames).collect();
        prop_assert_eq!(cut(Limits::default(), &stream, &lengths), (expected, None));
    }

    #[test]
    fn no_stream_makes_the_framing_panic_or_hold_more_than_a_message(
        stream in stream_soup(),
        lengths in vec(1..20_usize, 1..10),
    ) {
        let limits = Limits { head: 40, message: 60 };
        let whole = cut(limits, &stream, &[]);
        prop_assert_eq!(&cut(limits, &stream, &lengths), &whole);
        for frame in whole.0 {
            prop_assert!(!matches!(frame, Frame::Message(message) if message.len() > 60));
        }
    }

    #[test]
    fn no_bytes_make_the_rtp_side_panic(datagrams in vec(soup(), 1..20)) {
        let start = Instant::now();
        let from = "192.0.2.1:4000".parse().expect("an address");
        let mut reception = Reception::new(start, 48_000);
        let mut source = SourceCheck::new(None);
        let mut buffer = JitterBuffer::new(Settings::default(), 48_000);
        for (n, datagram) in (0..).zip(&datagrams) {
            let now = start + PTIME * n;
            let _ = is_rtcp(datagram);
            if let Ok(packet) = Packet::parse(datagram) {
                let _ = source.check(now, from, &packet);
                for packet in [packet, Packet { sequence: packet.sequence.wrapping_add(1), ..packet }] {
                    if let Arrival::Valid(place) | Arrival::Restart(place) =
                        reception.record(now, &packet)
                    {
                        buffer.push(now, place, &packet, packet.payload.len() as u32);
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
        for codec in [Codec::Pcmu, Codec::Pcma, Codec::Opus] {
            let mut decoder = Decoder::new(codec);
            for payload in &payloads {
                let units = codec.duration(payload);
                if let Ok(samples) = decoder.decode(payload) {
                    let units = units.expect("what decodes has a duration") as usize;
                    let per_sample = (codec.clock_rate() / codec.sample_rate()) as usize;
                    prop_assert_eq!(samples.len(), units / per_sample);
                    prop_assert!(samples.iter().all(|sample| sample.is_finite()));
                }
                decoder.conceal(u64::from(codec.clock_rate()) / 50);
            }
        }
    }

    #[test]
    fn the_buffer_gives_each_packet_once_in_order_and_names_the_missing(order in arrivals()) {
        let start = Instant::now();
        let (buffer, played) = play(&order, start);
        let mut given = Vec::new();
        let mut missing = 0;
        let mut time = 0;
        for playout in &played {
            match playout {
                Playout::Packet { payload, timestamp, .. } => {
                    given.push(*timestamp);
                    time += 160;
                    prop_assert_eq!(payload.len(), 2);
                }
                Playout::Lost { duration, packets } => {
                    prop_assert_eq!(*duration, packets * 160);
                    missing += packets;
                    time += duration;
                }
                Playout::Silence { .. } | Playout::NotYet => {
                    prop_assert!(false, "nothing was silent: {:?}", playout);
                }
            }
        }
        prop_assert!(given.is_sorted_by(|earlier, later| earlier < later));
        let (first, last) = (given[0], given[given.len() - 1]);
        prop_assert_eq!(time, last + 160 - first, "no time is lost or invented");
        prop_assert_eq!(given.len() as u64 + missing, (last - first) / 160 + 1);
        // What came and was not given came too late.
        let came = order.iter().collect::<BTreeSet<_>>().len() as u64 + 1;
        let stats = buffer.stats();
        prop_assert_eq!(given.len() as u64 + stats.late, came);
        prop_assert_eq!((stats.played, stats.lost), (given.len() as u64, missing));
    }

    #[test]
    fn the_same_arrivals_give_the_same_story(order in arrivals()) {
        let start = Instant::now();
        prop_assert_eq!(play(&order, start).1, play(&order, start).1);
    }
}
