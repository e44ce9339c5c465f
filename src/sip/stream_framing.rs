//! Cuts a stream into messages (RFC 3261 §18.3, §7.5) and keep-alives (RFC 5626 §4.4.1).

use crate::sip::headers::Headers;

/// What a peer may make us keep before its message is whole, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Start line and header fields. 16 KiB: five times the longest request of RFC 4475.
    pub head: usize,
    /// Head and body. 64 KiB: what a datagram could hold, so no transport takes more than another.
    pub message: usize,
}

/// What one stretch of the stream is. Every one shows that the peer lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One message from its start line to the end of its body, not yet read.
    Message(Vec<u8>),
    /// CRLFCRLF between messages: wants a CRLF at once (RFC 5626 §4.4.1). The first of the two line
    /// ends is a [`Frame::Pong`] of its own, wherever the stream was cut.
    Ping,
    /// A line end between messages: the answer to a ping of ours, or an empty line before a message,
    /// which means nothing (RFC 3261 §7.5).
    Pong,
}

/// Why a stream cannot be cut any further; it has to be closed (RFC 3261 §18.3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct FramingError {
    /// What is wrong.
    pub kind: FramingErrorKind,
    /// The head so far, whole lines only, from which the refusal can be written; empty where there
    /// is nothing to refuse. It need not be malformed in itself: a head that is too long is not.
    pub head: Vec<u8>,
}

/// What is wrong with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum FramingErrorKind {
    /// No empty line within [`Limits::head`].
    #[error("header fields longer than allowed (RFC 3261 18.3)")]
    HeadTooLong,
    /// Content-Length promises more than [`Limits::message`] leaves room for.
    #[error("message longer than allowed (RFC 3261 18.3)")]
    MessageTooLong,
    /// Negative, no number, or two that contradict each other.
    #[error("Content-Length does not say where the message ends (RFC 3261 18.3)")]
    ContentLength,
}

/// One stream's octets, cut as they come. To be drained with [`Self::poll_frame`] after every
/// [`Self::handle_bytes`]: then it holds less than one message.
///
/// The frames do not depend on how the stream was cut on its way, and no octet is searched twice.
#[derive(Debug)]
pub struct StreamFraming {
    limits: Limits,
    buffer: Vec<u8>,
    /// What lies before it in `buffer` has been given out.
    begin: usize,
    state: State,
}

/// Offsets count from `StreamFraming::begin`.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Between messages. A client pings with two line ends, a server answers with one (RFC 5626
    /// §4.4.1), and this end does not know which of them it is. Were a single one held back until
    /// it is clear that no second follows, a client would hear its pong only after the next; were
    /// the pair known by arriving in one piece, a ping cut in two would be lost. So each line end
    /// is told at once as a pong, which nobody answers, and a second right after it as a ping.
    Between { after_line_end: bool },
    /// The line that begins at `line` is searched up to `searched`.
    Head { line: usize, searched: usize },
    /// The head is read; the message ends at `end`.
    Body { end: usize },
    /// Nothing more can be read.
    Broken(FramingErrorKind),
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: 16 << 10, message: 64 << 10 }
    }
}

impl StreamFraming {
    /// The beginning of a stream.
    pub fn new(limits: Limits) -> Self {
        let state = State::Between { after_line_end: false };
        Self { limits, buffer: Vec::new(), begin: 0, state }
    }

    /// More octets came. After an error they are dropped.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        if let State::Broken(_) = self.state {
            return;
        }
        // Moving the rest to the front only when it is the smaller part costs each octet one move.
        if self.begin * 2 >= self.buffer.len() {
            self.buffer.drain(..self.begin);
            self.begin = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame; `None` until more octets come. An error stays, but its head is given once.
    pub fn poll_frame(&mut self) -> Result<Option<Frame>, FramingError> {
        loop {
            let bytes = &self.buffer[self.begin..];
            match self.state {
                State::Between { after_line_end } => match bytes.first() {
                    None => return Ok(None),
                    Some(b'\r') => self.begin += 1,
                    Some(b'\n') => {
                        self.begin += 1;
                        self.state = State::Between { after_line_end: !after_line_end };
                        let frame = if after_line_end { Frame::Ping } else { Frame::Pong };
                        return Ok(Some(frame));
                    }
                    Some(_) => self.state = State::Head { line: 0, searched: 0 },
                },
                State::Head { line, searched } => {
                    // Beyond the limit there is nothing to look for, however much has come.
                    let within = bytes.len().min(self.limits.head);
                    let found = bytes[searched..within].iter().position(|b| *b == b'\n');
                    let Some(length) = found else {
                        if bytes.len() > self.limits.head {
                            return Err(self.broken(FramingErrorKind::HeadTooLong, line));
                        }
                        self.state = State::Head { line, searched: within };
                        return Ok(None);
                    };
                    let after = searched + length + 1;
                    if matches!(&bytes[line..after], b"\n" | b"\r\n") {
                        match message_end(&bytes[..after], self.limits) {
                            Ok(end) => self.state = State::Body { end },
                            Err(kind) => return Err(self.broken(kind, after)),
                        }
                    } else {
                        self.state = State::Head { line: after, searched: after };
                    }
                }
                State::Body { end } => {
                    let Some(message) = bytes.get(..end) else { return Ok(None) };
                    let message = message.to_vec();
                    self.begin += end;
                    self.state = State::Between { after_line_end: false };
                    return Ok(Some(Frame::Message(message)));
                }
                State::Broken(kind) => return Err(FramingError { kind, head: Vec::new() }),
            }
        }
    }

    /// Octets held for frames that are not given out yet.
    pub fn held(&self) -> usize {
        self.buffer.len() - self.begin
    }

    /// Stops reading for good; the first `head` octets go into the error.
    fn broken(&mut self, kind: FramingErrorKind, head: usize) -> FramingError {
        self.state = State::Broken(kind);
        let buffer = std::mem::take(&mut self.buffer);
        let head = buffer[self.begin..][..head].to_vec();
        self.begin = 0;
        FramingError { kind, head }
    }
}

/// Where the message ends that begins with `head`. Without Content-Length there is no body: nothing
/// else could end it on a stream (§20.14).
fn message_end(head: &[u8], limits: Limits) -> Result<usize, FramingErrorKind> {
    let text = String::from_utf8_lossy(head);
    let lines = text.split_once('\n').map_or("", |(_, lines)| lines);
    let (headers, _) = Headers::parse(lines);
    let mut body = None;
    for value in headers.all("Content-Length") {
        if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
            return Err(FramingErrorKind::ContentLength);
        }
        // What is too large to be read as a number is too large a message as well.
        let length = value.parse().unwrap_or(usize::MAX);
        if body.is_some_and(|body| body != length) {
            return Err(FramingErrorKind::ContentLength);
        }
        body = Some(length);
    }
    let end = head.len().saturating_add(body.unwrap_or(0));
    if end > limits.message { Err(FramingErrorKind::MessageTooLong) } else { Ok(end) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { head: 64, message: 100 };

    fn frames(limits: Limits, chunks: &[&[u8]]) -> Result<Vec<Frame>, FramingError> {
        let mut framing = StreamFraming::new(limits);
        let mut frames = Vec::new();
        for chunk in chunks {
            framing.handle_bytes(chunk);
            while let Some(frame) = framing.poll_frame()? {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    fn read(text: &str) -> Result<Vec<Frame>, FramingError> {
        frames(LIMITS, &[text.as_bytes()])
    }

    fn message(text: &str) -> Frame {
        Frame::Message(text.as_bytes().to_vec())
    }

    fn kind(text: &str) -> FramingErrorKind {
        read(text).expect_err("no frames").kind
    }

    #[test]
    fn each_message_ends_at_its_content_length() {
        let (one, two) = ("A\r\nl: 3\r\n\r\nabc", "B\r\nx: y\r\n\r\n");
        let expected = Ok(vec![message(one), message(two), message(one)]);
        assert_eq!(read(&format!("{one}{two}{one}D\r\nl: 1\r\n\r\n")), expected);
    }

    #[test]
    fn every_spelling_of_content_length_counts() {
        for field in [
            "Content-Length: 3",
            "CONTENT-LENGTH :3",
            "l:3",
            "L\t: \t3 ",
            "Content-Length:\r\n 3",
            "l: 3\r\nl: 03",
            "v: x\r\nl:\r\n \r\n\t3",
        ] {
            for text in [format!("A\r\n{field}\r\n\r\nabc"), format!("A\n{field}\n\nabc")] {
                assert_eq!(read(&format!("{text}B")), Ok(vec![message(&text)]), "{text:?}");
            }
        }
    }

    #[test]
    fn a_content_length_that_says_nothing_breaks_the_stream() {
        for field in ["-1", "", "3, 3", "3 3", "+3", "x", "3\r\nl: 4", "4\r\nContent-Length: x"] {
            let head = format!("A\r\nl: {field}\r\n\r\n");
            let error = read(&format!("{head}abc")).expect_err(field);
            assert_eq!(error.kind, FramingErrorKind::ContentLength, "{field}");
            assert_eq!(error.head, head.as_bytes(), "what was wrong can be refused");
        }
    }

    #[test]
    fn a_broken_stream_stays_broken_and_holds_nothing() {
        let mut framing = StreamFraming::new(LIMITS);
        framing.handle_bytes(b"A\r\nl: x\r\n\r\n");
        assert!(!framing.poll_frame().expect_err("broken").head.is_empty());
        framing.handle_bytes(b"A\r\n\r\n");
        assert_eq!(framing.poll_frame().expect_err("still broken").head, b"");
        assert_eq!(framing.buffer.capacity(), 0);
    }

    #[test]
    fn the_limits_are_reached_but_not_passed() {
        let padded = |length: usize| format!("A\r\n{}\r\n\r\n", "x".repeat(length - 7));
        assert_eq!(read(&padded(64)), Ok(vec![message(&padded(64))]));
        assert_eq!(kind(&padded(65)), FramingErrorKind::HeadTooLong);
        let error = read(&format!("A\r\nb: c\r\n{}", "x".repeat(60))).expect_err("too long");
        assert_eq!(error.head, b"A\r\nb: c\r\n", "whole lines only");
        let sized = |length| format!("A\r\nl: {length}\r\n\r\n{}", "x".repeat(88));
        assert_eq!(read(&sized("88")), Ok(vec![message(&sized("88"))]));
        assert_eq!(kind(&sized("89")), FramingErrorKind::MessageTooLong);
        assert_eq!(kind(&sized("99999999999999999999999")), FramingErrorKind::MessageTooLong);
    }

    #[test]
    fn a_ping_is_two_line_ends_wherever_they_are_cut() {
        let (pong, ping) = (Frame::Pong, Frame::Ping);
        let expected = Ok(vec![pong.clone(), ping.clone()]);
        assert_eq!(frames(LIMITS, &[b"\r\n\r\n"]), expected);
        assert_eq!(frames(LIMITS, &[b"\r", b"\n", b"\r", b"\n"]), expected);
        assert_eq!(frames(LIMITS, &[b"\r\n"]), Ok(vec![pong.clone()]), "told at once");
        let text = "A\r\nl: 1\r\n\r\nx";
        assert_eq!(
            read(&format!("\r\n{text}\r\n{text}\r\n\r\n\r\n{text}")),
            Ok(vec![
                pong.clone(),
                message(text),
                pong.clone(),
                message(text),
                pong.clone(),
                ping,
                pong,
                message(text),
            ])
        );
    }

    /// With work squared, this would run for hours.
    #[test]
    fn a_message_that_comes_octet_by_octet_costs_each_once() {
        let limits = Limits { head: 8 << 20, message: 16 << 20 };
        let head = format!("A\r\nb: {}\r\nl: {}\r\n\r\n", "x".repeat(2 << 20), 1 << 20);
        let text = format!("{head}{}", "y".repeat(1 << 20));
        let octets: Vec<_> = text.as_bytes().chunks(1).collect();
        assert_eq!(frames(limits, &octets), Ok(vec![message(&text)]));
        let pings = "\r\n\r\n".repeat(1 << 19);
        assert_eq!(read(&pings).map(|frames| frames.len()), Ok(1 << 20));
    }

    #[test]
    fn line_ends_within_a_body_are_no_ping() {
        let text = "A\r\nl: 4\r\n\r\n\r\n\r\n";
        assert_eq!(read(text), Ok(vec![message(text)]));
    }
}
