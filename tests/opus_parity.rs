//! Opus out of a real capture, by way of jitter buffer and playback, against libopus alone. Without the
//! capture the test says so and passes.
#![expect(clippy::disallowed_methods, reason = "a test reads the disk and a clock")]

use std::time::Instant;

use sidetone::audio::decoder::Codec;
use sidetone::audio::playback::{Origin, Piece, Playback};
use sidetone::rtp::jitter_buffer::{JitterBuffer, Playout, Settings};
use sidetone::rtp::packet::Packet;
use sidetone::rtp::reception::{Arrival, Reception};
use sidetone::rtp::sequence::Filled;
use sidetone::runtime::capture::file;
use sidetone::runtime::capture::network::{self, Network};

const CAPTURE: &str = "../shared/vectors/pcap/asterisk-testsuite-opus-2013785496.pcap";

/// The capture, or a word on why the test does nothing.
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn capture() -> Option<Vec<u8>> {
    let bytes = std::fs::read(CAPTURE);
    if let Err(error) = &bytes {
        eprintln!("skipped: {CAPTURE}: {error}");
    }
    bytes.ok()
}

/// What a capture's one stream sounds like, in order: capture, reception, jitter buffer, decoder.
fn heard(capture: &[u8], audio: u8, codec: Codec) -> Vec<f32> {
    let (mut network, mut playback) = (Network::default(), Playback::new());
    let (epoch, mut now) = (Instant::now(), Instant::now());
    let mut reception = Reception::new(epoch);
    let mut jitter = JitterBuffer::new(Settings::default());
    let mut held = None;
    let mut play = |jitter: &mut JitterBuffer, now| loop {
        match jitter.pop(now) {
            Playout::Packet { payload_type, payload, .. } if payload_type == audio => {
                playback.handle_payload(codec, &payload);
            }
            Playout::Packet { .. } => {}
            Playout::Lost { .. } => panic!("nothing of this capture is lost"),
            Playout::Silence { time } => playback.handle_silence(time),
            Playout::NotYet => break,
        }
    };
    let end = file::read(capture, |frame| {
        now = epoch + frame.at;
        let packet = network.handle_frame(&frame);
        let Some(network::Packet::Udp { payload, .. }) = packet else { return };
        let packet = Packet::parse(&payload).expect("RTP");
        let units = if packet.payload_type == audio {
            codec.duration(packet.payload).expect("a payload")
        } else {
            0
        };
        let filled = Filled { units, clock_rate: codec.clock_rate() };
        match reception.record(now, &packet, codec.clock_rate()) {
            Arrival::Valid(place) => jitter.push(now, place, &packet, filled),
            Arrival::Restart { held: before, place } => {
                let first: Vec<u8> = held.take().expect("the first is on probation");
                let first = Packet::parse(&first).expect("RTP");
                jitter.push(now, before, &first, filled);
                jitter.push(now, place, &packet, filled);
            }
            Arrival::Probation => held = Some(payload.to_vec()),
            Arrival::Duplicate => {}
        }
        play(&mut jitter, now);
    });
    assert_eq!(end, Ok(()));
    let end = now + jitter.longest_wait();
    play(&mut jitter, end);
    let pieces = std::iter::from_fn(|| playback.poll_piece());
    pieces
        .filter_map(|piece| match piece {
            Piece::Samples { samples, origin: Origin::Received, .. } => Some(samples),
            Piece::Samples { .. } => panic!("nothing of this capture is made up"),
            Piece::Silence(_) => None,
        })
        .flatten()
        .collect()
}

#[test]
fn opus_out_of_a_capture_is_what_libopus_itself_makes_of_it() {
    let Some(capture) = capture() else { return };
    let ours = heard(&capture, 96, Codec::Opus);

    let decoder =
        audiopus::coder::Decoder::new(audiopus::SampleRate::Hz16000, audiopus::Channels::Mono);
    let (mut decoder, mut theirs) = (decoder.expect("a decoder"), Vec::<f32>::new());
    let mut rest = &capture[24..];
    while rest.len() > 16 {
        let length = u32::from_le_bytes([rest[8], rest[9], rest[10], rest[11]]) as usize;
        // The cooked header of 16 octets, IPv4 without options, UDP and RTP.
        let datagram = &rest[16 + 16 + 28..16 + length];
        rest = &rest[16 + length..];
        if datagram[1] & 0x7f != 96 || datagram.len() <= 12 + 2 {
            continue;
        }
        let packet = audiopus::packet::Packet::try_from(&datagram[12..]).expect("a packet");
        let mut samples = vec![0.0_f32; 1_920];
        let signals = audiopus::MutSignals::try_from(&mut samples).expect("room");
        let count = decoder.decode_float(Some(packet), signals, false).expect("audio");
        theirs.extend(&samples[..count]);
    }
    assert!(theirs.len() > 14 * 16_000, "{} samples", theirs.len());
    assert_eq!(ours.len(), theirs.len());
    let different = ours.iter().zip(&theirs).filter(|(ours, theirs)| ours != theirs).count();
    assert_eq!(different, 0);
}
