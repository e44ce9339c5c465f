//! Bodies of a SIP message (RFC 5621): one, or several in a `multipart/mixed`; the only file that names `mail-parser`.

use mail_parser::{MessageParser, MimeHeaders, PartType};

use crate::sip::headers::Headers;

/// Parts of one body that are looked at; a recorder sends two or three.
const MOST_PARTS: usize = 16;

/// One body, with what its own fields say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// `application/sdp`: lower case, without parameters; what there is of one that is malformed.
    pub content_type: String,
    /// `session`, `recording-session`: lower case, without parameters; empty where nothing is said.
    pub disposition: String,
    /// All of it.
    pub body: Vec<u8>,
}

impl Part {
    /// Whether it is a session description.
    pub fn is_sdp(&self) -> bool {
        self.content_type == "application/sdp"
    }

    /// Whether it says who is recorded (RFC 7866 §9.1). Broadworks writes no type that could be read, and SEMS one
    /// without `+xml`.
    pub fn is_recording_metadata(&self) -> bool {
        self.content_type.starts_with("application/rs-metadata")
            || self.disposition == "recording-session"
    }
}

/// What the body of a message holds: its parts in order, or itself as the only one; nothing where it is empty.
///
/// Lines may end in LF, text may stand before the first boundary and after the last, and the last may be missing.
pub fn parts(headers: &Headers, body: &[u8]) -> Vec<Part> {
    let field = |name| headers.get(name).unwrap_or_default();
    let (content_type, disposition) = (field("Content-Type"), field("Content-Disposition"));
    let word = |value: &str| value.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if body.iter().all(u8::is_ascii_whitespace) {
        return Vec::new();
    }
    if !word(content_type).starts_with("multipart/") {
        let (content_type, disposition) = (word(content_type), word(disposition));
        return vec![Part { content_type, disposition, body: body.to_vec() }];
    }
    // A header value holds no line break, so that nothing of it can pass for a part.
    let mut whole = format!("Content-Type: {content_type}\r\n\r\n").into_bytes();
    whole.extend_from_slice(body);
    let Some(message) = MessageParser::new().with_mime_headers().parse(&whole) else {
        return Vec::new();
    };
    let leaves = message.parts.iter().filter(|part| !matches!(part.body, PartType::Multipart(_)));
    let read = leaves.map(|part| {
        let content_type = part.content_type().map(|content_type| {
            let subtype = content_type.subtype().unwrap_or_default();
            format!("{}/{subtype}", content_type.ctype()).to_ascii_lowercase()
        });
        let disposition = part.content_disposition().map(|said| said.ctype().to_ascii_lowercase());
        Part {
            content_type: content_type.unwrap_or_default(),
            disposition: disposition.unwrap_or_default(),
            body: part.contents().to_vec(),
        }
    });
    // A multipart that is still one has no boundary, or nothing within.
    read.filter(|part| !part.content_type.starts_with("multipart/")).take(MOST_PARTS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDP: &str =
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

    fn read(content_type: &str, body: &str) -> Vec<(String, String, String)> {
        let mut headers = Headers::default();
        headers.push("Content-Type", content_type);
        let told = parts(&headers, body.as_bytes()).into_iter().map(|part| {
            let body = String::from_utf8(part.body).expect("text");
            (part.content_type, part.disposition, body.trim_end().to_owned())
        });
        told.collect()
    }

    fn part(content_type: &str, disposition: &str, body: &str) -> (String, String, String) {
        (content_type.to_owned(), disposition.to_owned(), body.trim_end().to_owned())
    }

    #[test]
    fn parts_come_in_any_order_with_any_line_ends_and_whatever_stands_around_them() {
        let body = format!(
            "a preamble\r\n--b (1)\r\nContent-Type:application/rs-metadata+xml\r\n\
             Content-Disposition:recording-session\r\n\r\n<recording/>\r\n--b (1)\r\n\
             content-type: Application/SDP;charset=utf-8\r\n\
             Content-Disposition: session;handling=required\r\n\r\n{SDP}\r\n--b (1)--\r\nafter it\r\n"
        );
        let expected = [
            part("application/rs-metadata+xml", "recording-session", "<recording/>"),
            part("application/sdp", "session", SDP),
        ];
        assert_eq!(read("multipart/mixed;boundary=\"b (1)\"", &body), expected);
        let lines = |(kind, disposition, body): (String, String, String)| {
            (kind, disposition, body.replace('\r', ""))
        };
        let bare = read("Multipart/Mixed; BOUNDARY=\"b (1)\"", &body.replace('\r', ""));
        assert_eq!(bare, expected.map(lines));
    }

    #[test]
    fn the_last_boundary_may_be_missing_and_a_part_may_have_no_fields() {
        let body = format!("--x\r\n\r\nhello\r\n--x\r\nContent-Type: application/sdp\r\n\r\n{SDP}");
        let expected = [part("", "", "hello"), part("application/sdp", "", SDP)];
        assert_eq!(read("multipart/mixed;boundary=x", &body), expected);
    }

    #[test]
    fn a_type_that_is_none_and_a_body_of_one_part_are_taken_as_they_are() {
        let body = "--x\r\nContent-Type:application/ +xml\r\nContent-Disposition:recording-session\
                    \r\nContent-Length:99\r\n\r\n<a/>\r\n--x--";
        let told = read("multipart/mixed;boundary=x", body);
        let [(_, disposition, body)] = &told[..] else { panic!("one part: {told:?}") };
        assert_eq!((disposition.as_str(), body.as_str()), ("recording-session", "<a/>"));
        assert_eq!(read("application/SDP ; x=y", SDP), [part("application/sdp", "", SDP)]);
        assert_eq!(read("multipart/mixed", "no boundary at all"), []);
        assert_eq!(read("application/sdp", "\r\n"), []);
    }

    #[test]
    fn no_more_parts_are_read_than_anybody_needs() {
        let many = "--x\r\nContent-Type: a/b\r\n\r\nc\r\n".repeat(1_000);
        assert_eq!(read("multipart/mixed;boundary=x", &many).len(), MOST_PARTS);
        // Parts within parts within parts.
        let nested: String = (0..500)
            .map(|n| format!("--{n}\r\nContent-Type: multipart/mixed;boundary={}\r\n\r\n", n + 1))
            .collect();
        assert_eq!(read("multipart/mixed;boundary=0", &nested), []);
    }
}
