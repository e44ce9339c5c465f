//! Frames of FreeSWITCH's event socket (mod_event_socket): header lines, a blank line, and as many bytes of body as
//! `Content-Length` says.

/// Bytes that the header lines of one frame may have: an answer to us has two lines, and a few hundred bytes.
pub const MOST_HEADERS: usize = 8 * 1024;
/// Bytes that a body may have: what the commands that we give answer is a line or a usage text.
pub const MOST_BODY: usize = 64 * 1024;

/// One frame from FreeSWITCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    headers: Vec<(String, String)>,
    body: String,
}

/// Why bytes are no frame; what follows them cannot be read either.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// No blank line in all that is kept.
    #[error("no blank line within {MOST_HEADERS} bytes, so this is no event socket")]
    Endless,
    /// Some other protocol.
    #[error("{0:?} is no `Name: value`, so this is no event socket")]
    NoHeader(String),
    /// A `Content-Length` that cannot be kept, or is no number.
    #[error("Content-Length of at most {MOST_BODY} wanted, found {0:?}")]
    Length(String),
}

impl Frame {
    /// A header's value; names are compared without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
    }

    /// What it is: `auth/request`, `command/reply`, `api/response`, `text/disconnect-notice` ..
    pub fn kind(&self) -> &str {
        self.header("Content-Type").unwrap_or_default()
    }

    /// What a command came to: `Reply-Text` where it is there, else the body, without the line's end.
    pub fn reply(&self) -> &str {
        self.header("Reply-Text").unwrap_or(&self.body).trim()
    }
}

/// Bytes as they come, and the frames in them.
#[derive(Debug, Default)]
pub struct FrameReader {
    held: Vec<u8>,
}

impl FrameReader {
    /// Takes what was read. Whoever takes out all frames after each read keeps no more than the longest frame and one read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next whole frame, if it is there.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        // FreeSWITCH ends some bodies with a line more than it counts.
        let empty = self.held.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.held.drain(..empty);
        let searched = &self.held[..self.held.len().min(MOST_HEADERS)];
        let Some((head, body_at)) = head(searched) else {
            return if searched.len() == MOST_HEADERS {
                Err(FrameError::Endless)
            } else {
                Ok(None)
            };
        };
        let headers = headers(&self.held[..head])?;
        let mut frame = Frame { headers, body: String::new() };
        let length = match frame.header("Content-Length") {
            None => 0,
            Some(text) => {
                let length = text.parse().ok().filter(|length| *length <= MOST_BODY);
                length.ok_or_else(|| FrameError::Length(text.to_owned()))?
            }
        };
        let Some(body) = self.held.get(body_at..body_at + length) else { return Ok(None) };
        frame.body = String::from_utf8_lossy(body).into_owned();
        self.held.drain(..body_at + length);
        Ok(Some(frame))
    }

    /// Bytes that are kept.
    #[cfg(test)]
    fn held(&self) -> usize {
        self.held.len()
    }
}

/// Where the header lines end, and where the body begins behind the blank line.
fn head(bytes: &[u8]) -> Option<(usize, usize)> {
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    ends.into_iter().find_map(|end| match &bytes[end + 1..] {
        [b'\n', ..] => Some((end, end + 2)),
        [b'\r', b'\n', ..] => Some((end, end + 3)),
        _ => None,
    })
}

fn headers(bytes: &[u8]) -> Result<Vec<(String, String)>, FrameError> {
    let text = String::from_utf8_lossy(bytes);
    let header = |line: &str| match line.split_once(':') {
        Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
        None => Err(FrameError::NoHeader(line.chars().take(80).collect())),
    };
    text.lines().map(header).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As mod_event_socket of 1.10 writes them.
    const SPOKEN: &[u8] = b"Content-Type: auth/request\n\n\
        Content-Type: command/reply\nReply-Text: +OK accepted\n\n\
        Content-Type: api/response\nContent-Length: 23\n\n-ERR No such channel!\n\n\
        Content-Type: text/disconnect-notice\nContent-Length: 67\n\n\
        Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n\n";

    /// Everything in `chunks`, to the first error, and the most that was kept.
    fn read<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<FrameError>, usize) {
        let (mut reader, mut frames, mut most) = (FrameReader::default(), Vec::new(), 0);
        for chunk in chunks {
            reader.push(chunk);
            loop {
                match reader.next_frame() {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => break,
                    Err(error) => return (frames, Some(error), most),
                }
            }
            most = most.max(reader.held());
        }
        (frames, None, most)
    }

    #[test]
    fn what_freeswitch_says_is_read() {
        let (frames, error, _) = read([SPOKEN].into_iter());
        let told: Vec<_> = frames.iter().map(|frame| (frame.kind(), frame.reply())).collect();
        let goodbye = "Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/";
        let wanted = [
            ("auth/request", ""),
            ("command/reply", "+OK accepted"),
            ("api/response", "-ERR No such channel!"),
            ("text/disconnect-notice", goodbye),
        ];
        assert_eq!((&told[..], error), (&wanted[..], None));
    }

    #[test]
    fn other_protocols_and_endless_ones_are_told_apart() {
        let first = |text: &str| read([text.as_bytes()].into_iter()).1;
        let http = first("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        assert_eq!(http, Some(FrameError::NoHeader("HTTP/1.1 400 Bad Request".to_owned())));
        assert_eq!(first(&"a: b\n".repeat(MOST_HEADERS)), Some(FrameError::Endless));
        for length in ["65537", "-1", "ten", "99999999999999999999"] {
            let error = first(&format!("Content-Length: {length}\n\n"));
            assert_eq!(error, Some(FrameError::Length(length.to_owned())));
        }
    }

    /// A frame, or something like one.
    fn speech() -> impl Strategy<Value = Vec<u8>> {
        let frame = ("[A-Za-z-]{1,12}", "[ -~]{0,20}", prop::collection::vec(any::<u8>(), 0..60));
        let frame = frame.prop_map(|(name, value, body)| {
            let head = format!("{name}: {value}\r\nContent-Length: {}\n\n", body.len());
            [head.into_bytes(), body].concat()
        });
        let garbage = prop::collection::vec(any::<u8>(), 0..40);
        let part = prop_oneof![4 => frame, 2 => Just(SPOKEN.to_vec()), 1 => garbage];
        prop::collection::vec(part, 1..5).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn however_it_is_cut_the_frames_are_the_same(
            bytes in speech(),
            cuts in prop::collection::vec(1_usize..50, 1..20),
        ) {
            let whole = read([&bytes[..]].into_iter());
            let mut rest = &bytes[..];
            let mut cuts = cuts.iter().cycle();
            let chunks = std::iter::from_fn(|| {
                let cut = (*cuts.next()?).min(rest.len());
                let (chunk, after) = rest.split_at(cut);
                rest = after;
                (!chunk.is_empty()).then_some(chunk)
            });
            let (frames, error, _) = read(chunks);
            prop_assert_eq!((frames, error), (whole.0, whole.1));
        }
    }

    #[test]
    fn a_hundred_thousand_strings_of_chance_are_survived_within_the_bound() {
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..100_000 {
            let length = rng.usize(..300);
            let mut bytes: Vec<u8> = if rng.bool() {
                (0..length).map(|_| rng.u8(..)).collect()
            } else {
                // What it means something to: lines, colons, lengths.
                let words =
                    ["\n", "\r\n", "\n\n", ":", "Content-Length: ", "65536", "7", "a", "\0"];
                (0..length / 8).flat_map(|_| words[rng.usize(..words.len())].bytes()).collect()
            };
            if rng.bool() {
                bytes.splice(0..0, SPOKEN[..rng.usize(..SPOKEN.len())].iter().copied());
            }
            read(bytes.chunks(rng.usize(1..64)));
        }
        // The longest frame that may be, which does not come to its end.
        let head = format!("a: {}\nContent-Length: {MOST_BODY}\n\n", "b".repeat(MOST_HEADERS - 40));
        let endless = [head.as_bytes(), &vec![b'x'; MOST_BODY - 1]].concat();
        let (frames, error, most) = read(endless.chunks(4_096));
        assert_eq!((frames.len(), error), (0, None));
        assert!(most <= MOST_HEADERS + MOST_BODY + 4_096, "{most} bytes are kept");
    }
}
