//! What must hold for any bytes: the fuzzing's four targets, and the replay of what they found.
#![allow(dead_code, reason = "each target runs one of them")]
#![allow(clippy::disallowed_methods, reason = "a check needs one instant to count from")]

use std::net::SocketAddr;
use std::time::Instant;

use sidetone::rtp::srtp::{MasterKey, ReceiveContext, SendContext, Suite};
use sidetone::runtime::capture::legs;
use sidetone::runtime::capture::survey::Survey;
use sidetone::runtime::replay::Bookkeeper;
use sidetone::sdp::answer::{Protection, Terms};
use sidetone::sdp::codec::Codec;
use sidetone::sdp::crypto::{self, InlineKey};
use sidetone::sdp::direction::Direction;
use sidetone::sdp::fingerprint::{Fingerprint, Hash};
use sidetone::sdp::offer::Offer;
use sidetone::sdp::session::{Local, Origin};
use sidetone::sip::endpoint::Endpoint;
use sidetone::sip::event::{Event, Output};
use sidetone::sip::malformed::{Answerable, Malformed, MessageError};
use sidetone::sip::message::{Message, Response};
use sidetone::sip::settings::Settings;
use sidetone::sip::stream_framing::{Frame, FramingError, Limits, StreamFraming};
use sidetone::sip::transport::Source;

/// A datagram: what is read is written and read alike, and an endpoint lives through it.
pub(crate) fn message(data: &[u8]) {
    match Message::parse(data) {
        Ok(Message::Request(request)) => {
            let again = Message::parse(&request.message.to_bytes());
            assert_eq!(again, Ok(Message::Request(request)));
        }
        Ok(Message::Response(response)) => {
            let again = Message::parse(&response.message.to_bytes());
            assert_eq!(again, Ok(Message::Response(response)));
        }
        Err(Malformed { error, answerable }) => {
            // Every copy of a message is refused alike, and with the Via that it came with.
            if let Some(answerable) = answerable {
                assert_eq!(Answerable::read(data), Some(*answerable.clone()), "{error}");
                let answer = Response::to(&answerable.headers, 400, Some(&error.to_string()));
                assert!(answer.headers.contains("Via"));
                assert!(answer.to_bytes().starts_with(b"SIP/2.0 400 "));
            }
        }
    }
    endpoint(data);
}

/// One endpoint meets the datagram twice, answers what it asks, and is idle again in the end.
fn endpoint(data: &[u8]) {
    let mut now = Instant::now();
    let local = SocketAddr::from(([192, 0, 2, 2], 5060));
    let source = SocketAddr::from(([192, 0, 2, 1], 5066));
    let mut endpoint = Endpoint::new(Settings::new(local), 1);
    for _ in 0..2 {
        endpoint.handle_message(now, &Source::udp(source), data);
        while let Some(output) = endpoint.poll_output() {
            if let Output::Event { call, event: Event::Invited(_) } = output {
                endpoint.accept(now, call, "v=0".to_owned(), &[]);
            }
        }
    }
    let mut steps = 0;
    while let Some(next) = endpoint.poll_timeout() {
        now = now.max(next);
        endpoint.handle_timeout(now);
        while endpoint.poll_output().is_some() {}
        steps += 1;
        assert!(steps < 1_000, "a timer never ends");
    }
    let stats = endpoint.stats();
    assert_eq!((stats.calls_alive, stats.transactions_alive), (0, 0));
}

/// A session description: our answer to it is one that we can read, with a line for each of theirs,
/// and encrypted wherever theirs is.
pub(crate) fn sdp(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(offer) = Offer::parse(&text) else { return };
    let _ = offer.read_answer(&Codec::ALL, Direction::RecvOnly, &Protection::None);
    let local = Local { rtp: SocketAddr::from(([192, 0, 2, 7], 40_000)), rtcp_port: 40_003 };
    let keys = |suite: crypto::Suite| InlineKey {
        secret: vec![7; suite.secret_length()].into(),
        mki: None,
    };
    let certificate = Fingerprint { hash: Hash::Sha256, digest: vec![7; 32] };
    let terms = Terms {
        keys: Some(&keys),
        certificate: Some(&certificate),
        ..Terms::plain(local, &Codec::ALL)
    };
    let mut origin = Origin::new(5);
    let Ok((answer, settled)) = offer.answer(&terms, &mut origin) else { return };
    let lines = |text: &str| text.split(['\r', '\n']).filter(|l| l.starts_with("m=")).count();
    assert_eq!(lines(&answer), lines(&text), "{answer}");
    let read = Offer::parse(&answer).expect("our own answer can be read");
    if answer.contains("m=audio 40000 ") {
        let accepted = answer.lines().find(|line| line.starts_with("m=audio 40000 "));
        let secure = accepted.is_some_and(|line| line.to_ascii_uppercase().contains("SAVP"));
        assert!(!secure || settled.protection != Protection::None, "{answer}");
        // The peer offered what it sends with; of its handshake it chose the other part.
        let theirs = match &settled.protection {
            Protection::Sdes { ours, .. } if secure => {
                Protection::Sdes { theirs: Vec::new(), ours: ours.clone() }
            }
            Protection::Dtls { ours, setup, .. } => {
                Protection::Dtls { theirs: None, ours: ours.clone(), setup: *setup }
            }
            // Beside RTP/AVP keys are no more than an offer: ours never has them there.
            Protection::None | Protection::Sdes { .. } => Protection::None,
        };
        let theirs = read.read_answer(&Codec::ALL, Direction::SendRecv, &theirs);
        let theirs = theirs.expect("they hear of a codec");
        assert_eq!(theirs.payload_types, settled.payload_types);
        assert_eq!(theirs.rtp, local.rtp);
    }
    let again = offer.answer(&terms, &mut origin).map(|(answer, _)| answer);
    assert_eq!(again.as_deref(), Ok(answer.as_str()), "nothing changed, nor does the answer");
}

/// Datagrams to an encrypted leg: the first octet chooses the suite and whether keys have names.
/// Nobody without the key gets one through, and what is protected is read again.
pub(crate) fn srtp(data: &[u8]) {
    const SUITES: [Suite; 6] = [
        Suite::AesCm128HmacSha1_80,
        Suite::AesCm128HmacSha1_32,
        Suite::Aes256CmHmacSha1_80,
        Suite::Aes256CmHmacSha1_32,
        Suite::AeadAes128Gcm,
        Suite::AeadAes256Gcm,
    ];
    let Some((how, datagram)) = data.split_first() else { return };
    let suite = SUITES[usize::from(*how) % SUITES.len()];
    let secret = vec![0x5a; suite.key_length() + suite.salt_length()];
    let mki = (how & 0x80 != 0).then(|| vec![1, 2]);
    let key = MasterKey::new(suite, &secret, mki).expect("of that length");
    let mut receive = ReceiveContext::new(std::slice::from_ref(&key)).expect("one key");
    let mut send = SendContext::new(&key).expect("one key");
    // A tag of 32 bits is guessed once in so many; the coverage cannot lead there.
    assert!(receive.unprotect_rtp(datagram).is_err());
    assert!(receive.unprotect_rtcp(datagram).is_err());
    if let Ok(protected) = send.protect_rtp(datagram.to_vec()) {
        assert_eq!(receive.unprotect_rtp(&protected).as_deref(), Ok(datagram));
        assert!(receive.unprotect_rtp(&protected).is_err(), "it came before");
    }
    if let Ok(protected) = send.protect_rtcp(datagram.to_vec()) {
        assert_eq!(receive.unprotect_rtcp(&protected).as_deref(), Ok(datagram));
    }
}

/// A stream: the first octet says how it is cut on its way and how much may be held.
pub(crate) fn framing(data: &[u8]) {
    let Some((how, stream)) = data.split_first() else { return };
    let limits = match how & 1 {
        0 => Limits::default(),
        _ => Limits { head: 80, message: 120 },
    };
    let (whole, error) = frames(limits, [stream].into_iter());
    let cut = frames(limits, cuts(stream, usize::from(how >> 1)));
    assert_eq!(cut, (whole.clone(), error.clone()));
    for frame in &whole {
        let Frame::Message(message) = frame else { continue };
        assert!(message.len() <= limits.message && !b"\r\n".contains(&message[0]));
        // Where the stream was cut, the message itself sees its end as well.
        match Message::parse(message) {
            Ok(_) => {}
            Err(malformed) => assert_ne!(malformed.error, MessageError::ContentLength),
        }
    }
    if let Some(FramingError { head, .. }) = error {
        assert!(head.len() <= limits.head);
        // Never an ACK, nor a response: these are not refused.
        let silent = head.starts_with(b"SIP/") || head.starts_with(b"ACK ");
        assert!(!silent || Answerable::read(&head).is_none());
    }
}

fn frames<'a>(
    limits: Limits,
    chunks: impl Iterator<Item = &'a [u8]>,
) -> (Vec<Frame>, Option<FramingError>) {
    let mut framing = StreamFraming::new(limits);
    let mut frames = Vec::new();
    for chunk in chunks {
        framing.handle_bytes(chunk);
        loop {
            match framing.poll_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

/// `stream` in pieces of 1 to `most` octets, or all of 1.
fn cuts(stream: &[u8], most: usize) -> impl Iterator<Item = &[u8]> {
    let mut rest = stream;
    let mut state = 1_usize;
    std::iter::from_fn(move || {
        state = state.wrapping_mul(25_214_903_917).wrapping_add(11);
        let length = (1 + (state >> 16) % most.max(1)).min(rest.len());
        let (piece, after) = rest.split_at(length);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// A capture file: it is read twice alike, and every frame of it that was heard was in it.
pub(crate) fn capture(data: &[u8]) {
    let analyze = || {
        let (mut frames, mut octets) = (0, 0);
        let survey = Survey::read(data, |length| {
            frames += 1;
            octets += length;
        });
        assert!(octets <= data.len() && survey.network.frames == frames);
        let (legs, _) = legs::play(data, &survey, &mut Bookkeeper, |_| {});
        let packets: u64 = legs.iter().map(|leg| leg.stats.packets).sum();
        assert!(packets <= frames, "{packets} packets out of {frames} frames");
        let flows: Vec<_> = survey.flows().collect();
        format!("{:?} {:?} {:?} {legs:?} {flows:?}", survey.network, survey.sip(), survey.fault)
    };
    assert_eq!(analyze(), analyze(), "the same file, and another result");
}
