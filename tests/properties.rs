//! What must hold for any bytes of a stream, however it is cut.

use proptest::collection::vec;
use proptest::prelude::*;

use sidetone::sip::stream_framing::{Frame, FramingError, Limits, StreamFraming};

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
}
