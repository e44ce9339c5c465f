//! SIP on TCP (RFC 9293): each direction's segments in order, cut into messages.

use std::collections::HashMap;

use crate::runtime::capture::network::Flow;
use crate::sip::stream_framing::{Frame, Limits, StreamFraming};

/// Directions that are followed at once; more are not.
const MOST_OPEN: usize = 4_096;
/// Segments that may wait for one before them; one more, and it is given up.
const MOST_WAITING: usize = 32;
/// How far ahead of the stream a segment may be, octets: the largest window without scaling.
const WINDOW: u32 = 65_535;

/// The streams that carry SIP. A stream is followed from the first segment on that begins with a
/// message: the capture may have begun in the middle of it.
#[derive(Debug, Default)]
pub struct TcpStreams {
    open: HashMap<Flow, Direction>,
    stats: TcpStats,
}

/// Counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct TcpStats {
    /// Segments with octets in them.
    pub segments: u64,
    /// Of streams that carry no SIP, or too many at once.
    pub others: u64,
    /// Times that octets were missing, so that the stream was left until its next message.
    pub gaps: u64,
    /// Times that a stream could not be cut into messages.
    pub broken: u64,
}

#[derive(Debug)]
struct Direction {
    next: u32,
    framing: StreamFraming,
    waiting: Vec<(u32, Vec<u8>)>,
}

impl TcpStreams {
    /// One segment came; shows `see` the messages that are whole now.
    pub fn handle_segment(
        &mut self,
        flow: Flow,
        sequence: u32,
        ends: bool,
        payload: &[u8],
        see: &mut dyn FnMut(&[u8]),
    ) {
        if !payload.is_empty() {
            self.stats.segments += 1;
            self.handle_octets(flow, sequence, payload, see);
        }
        if ends {
            self.open.remove(&flow);
        }
    }

    fn handle_octets(
        &mut self,
        flow: Flow,
        sequence: u32,
        payload: &[u8],
        see: &mut dyn FnMut(&[u8]),
    ) {
        if !self.open.contains_key(&flow) {
            if !begins_message(payload) || self.open.len() >= MOST_OPEN {
                self.stats.others += 1;
                return;
            }
            let framing = StreamFraming::new(Limits::default());
            self.open.insert(flow, Direction { next: sequence, framing, waiting: Vec::new() });
        }
        let Some(direction) = self.open.get_mut(&flow) else { return };
        let ahead = sequence.wrapping_sub(direction.next);
        let is_old = ahead > u32::MAX / 2;
        let is_far = !is_old && (ahead > WINDOW || direction.waiting.len() >= MOST_WAITING);
        if is_far && ahead > 0 {
            // What is missing was not captured. The stream goes on with its next message.
            self.stats.gaps += 1;
            self.open.remove(&flow);
            if begins_message(payload) {
                self.handle_octets(flow, sequence, payload, see);
            }
            return;
        }
        direction.take(sequence, payload);
        loop {
            match direction.framing.poll_frame() {
                Ok(Some(Frame::Message(message))) => see(&message),
                Ok(Some(Frame::Ping | Frame::Pong)) => {}
                Ok(None) => break,
                Err(_) => {
                    self.stats.broken += 1;
                    self.open.remove(&flow);
                    break;
                }
            }
        }
    }

    /// The counts so far.
    pub fn stats(&self) -> TcpStats {
        self.stats
    }
}

impl Direction {
    /// Gives the framing what is next, and keeps what is not.
    fn take(&mut self, sequence: u32, payload: &[u8]) {
        self.waiting.push((sequence, payload.to_vec()));
        while let Some(place) = self.waiting.iter().position(|(sequence, _)| {
            let behind = self.next.wrapping_sub(*sequence);
            behind <= u32::MAX / 2
        }) {
            let (sequence, bytes) = self.waiting.swap_remove(place);
            // Retransmitted octets were heard before.
            let known = self.next.wrapping_sub(sequence) as usize;
            if let Some(fresh) = bytes.get(known..).filter(|fresh| !fresh.is_empty()) {
                self.framing.handle_bytes(fresh);
                self.next = self.next.wrapping_add(fresh.len() as u32);
            }
        }
    }
}

/// Whether a SIP message begins with `bytes` (RFC 3261 §7.1, §7.2): its start line may be cut off.
pub fn begins_message(bytes: &[u8]) -> bool {
    let line = bytes.split(|&b| b == b'\r' || b == b'\n').next().unwrap_or_default();
    if line.starts_with(b"SIP/2.0 ") {
        return true;
    }
    let mut words = line.split(|&b| b == b' ');
    let is_method = |word: &[u8]| {
        !word.is_empty() && word.len() <= 32 && word.iter().all(u8::is_ascii_uppercase)
    };
    let has_scheme =
        |word: &[u8]| [&b"sip:"[..], b"sips:", b"tel:"].iter().any(|s| word.starts_with(s));
    words.next().is_some_and(is_method)
        && (words.next().is_some_and(has_scheme) || line.ends_with(b" SIP/2.0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "OPTIONS sip:a@b SIP/2.0\r\nl: 3\r\n\r\nabc";
    const TWO: &str = "SIP/2.0 200 OK\r\nl: 0\r\n\r\n";

    fn flow() -> Flow {
        let address = |port| ([192, 0, 2, 1], port).into();
        Flow { source: address(5060), destination: address(4000) }
    }

    /// What comes of segments at places in the stream that begins with `text`.
    fn messages(text: &str, segments: &[(usize, usize)]) -> (Vec<String>, TcpStats) {
        let (mut streams, mut messages) = (TcpStreams::default(), Vec::new());
        for &(begin, end) in segments {
            let sequence = (u32::MAX - 9).wrapping_add(begin as u32);
            let payload = &text.as_bytes()[begin..end];
            streams.handle_segment(flow(), sequence, false, payload, &mut |message| {
                messages.push(String::from_utf8_lossy(message).into_owned());
            });
        }
        (messages, streams.stats())
    }

    #[test]
    fn segments_in_any_order_and_twice_are_one_stream() {
        let text = format!("{ONE}{TWO}{ONE}");
        for segments in [
            &[(0, text.len())][..],
            &[(0, 20), (20, 50), (50, text.len())],
            &[(0, 20), (50, text.len()), (20, 50)],
            &[(0, 20), (50, text.len()), (0, 20), (5, 60), (20, 50)],
        ] {
            assert_eq!(messages(&text, segments).0, [ONE, TWO, ONE], "{segments:?}");
        }
    }

    #[test]
    fn a_gap_costs_the_messages_in_it_and_no_more() {
        let text = format!("{}{}", ONE.repeat(40), TWO.repeat(4_000));
        let every = ONE.len();
        let mut segments: Vec<_> = (0..40).map(|n| (n * every, (n + 1) * every)).collect();
        segments.remove(1);
        let (messages, stats) = messages(&text, &segments);
        assert!(messages.len() >= 5 && messages.len() < 39, "{}", messages.len());
        assert_eq!((stats.gaps, stats.broken), (1, 0));
    }

    #[test]
    fn other_streams_are_not_followed() {
        let (none, stats) = messages("GET / HTTP/1.1\r\n\r\n", &[(0, 18)]);
        assert_eq!((none.len(), stats.others), (0, 1));
        assert!(begins_message(b"INVITE sip:alice@exam"));
        assert!(begins_message(b"REGISTER urn:x SIP/2.0\r\n"));
        assert!(!begins_message(b"invite sip:a SIP/2.0\r\n") && !begins_message(b""));
    }
}
