//! SIP messages, and the wall around `rsip` (RFC 3261 §7).
//!
//! `rsip` 0.4 refuses folded lines, `Via :`, unknown methods and `tel:` targets whole, does not see
//! compact names and ignores Content-Length. So the head is made canonical and cut here; `rsip`
//! reads SIP URIs, and knows the methods and status codes by name. Tests hold it against all we write.

use std::borrow::Cow;

use crate::sip::headers::{Headers, NotAHeader, is_token};
use crate::sip::malformed::{Answerable, Malformed, MessageError};
use crate::sip::name_addr::NameAddr;
use crate::sip::via::Via;

/// The fields that an answer copies from its request (§8.2.6.2).
const ECHOED: [&str; 5] = ["Via", "From", "To", "Call-ID", "CSeq"];
/// Fields of which a message carries no more than one.
const SINGLE: [&str; 6] = ["From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Length"];

/// What a request asks for. Case matters (§7.1): `invite` is an unknown method.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// Begins or changes a session.
    Invite,
    /// Confirms the final answer to an INVITE.
    Ack,
    /// Ends a session.
    Bye,
    /// Takes an unanswered INVITE back.
    Cancel,
    /// Asks what we can do.
    Options,
    /// Carries application data within a dialog (RFC 6086).
    Info,
    /// Changes or refreshes a session without a new transaction of its INVITE (RFC 3311).
    Update,
    /// Acknowledges a provisional answer (RFC 3262).
    Prack,
    /// Binds an address of record to where we are.
    Register,
    /// Carries a text (RFC 3428).
    Message,
    /// Any other, as written.
    Other(String),
}

/// One request, received or to be sent. The Via of a request to be sent is added by its transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub method: Method,
    /// Request-URI, as written.
    pub uri: String,
    /// All fields but Content-Length, which follows from `body`.
    pub headers: Headers,
    /// Cut at Content-Length when received.
    pub body: Vec<u8>,
}

/// One response, received or to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// 100-699.
    pub status: u16,
    /// Reason phrase, for people.
    pub reason: String,
    /// All fields but Content-Length, which follows from `body`.
    pub headers: Headers,
    /// Cut at Content-Length when received.
    pub body: Vec<u8>,
}

/// A message from the network with the fields read that every message must have (§8.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received<M> {
    /// The message itself.
    pub message: M,
    /// Topmost Via.
    pub via: Via,
    /// Who asks; the same in request and response.
    pub from: NameAddr,
    /// Who is asked; the answering side adds the tag.
    pub to: NameAddr,
    /// One half of what names the dialog.
    pub call_id: String,
    /// Number of the request within its dialog.
    pub cseq: u32,
    /// Method of the request, in a response the one that it answers.
    pub method: Method,
}

/// What one datagram holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Somebody asks.
    Request(Received<Request>),
    /// Somebody answers.
    Response(Received<Response>),
}

impl Method {
    /// Every word of [`Self::label`].
    pub const LABELS: [&str; 11] = [
        "INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "INFO", "UPDATE", "PRACK", "REGISTER",
        "MESSAGE", "OTHER",
    ];

    /// The word in counts for the method `name`; all that we do not know are `OTHER`.
    pub fn label(name: &str) -> &'static str {
        Self::LABELS.into_iter().find(|label| *label == name).unwrap_or("OTHER")
    }

    /// The name on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Options => "OPTIONS",
            Self::Info => "INFO",
            Self::Update => "UPDATE",
            Self::Prack => "PRACK",
            Self::Register => "REGISTER",
            Self::Message => "MESSAGE",
            Self::Other(name) => name,
        }
    }

    /// Whether a standard defines it, so that 405 is the answer and not 501 (§8.2.1, §21.5.2).
    pub fn is_standard(&self) -> bool {
        rsip::Method::all().iter().any(|known| known.to_string() == self.as_str())
    }

    fn read(name: &str) -> Self {
        let known = [
            Self::Invite,
            Self::Ack,
            Self::Bye,
            Self::Cancel,
            Self::Options,
            Self::Info,
            Self::Update,
            Self::Prack,
            Self::Register,
            Self::Message,
        ];
        let of_name = known.into_iter().find(|method| method.as_str() == name);
        of_name.unwrap_or_else(|| Self::Other(name.to_owned()))
    }
}

impl Request {
    /// A request without fields.
    pub fn new(method: Method, uri: impl Into<String>) -> Self {
        Self { method, uri: uri.into(), headers: Headers::default(), body: Vec::new() }
    }

    /// The request as a datagram.
    pub fn to_bytes(&self) -> Vec<u8> {
        let start = format!("{} {} SIP/2.0", self.method.as_str(), self.uri);
        written(&start, &self.headers, &self.body)
    }
}

impl Response {
    /// The answer `status` to a request with `headers`; `reason` in place of the usual phrase.
    pub fn to(headers: &Headers, status: u16, reason: Option<&str>) -> Self {
        let reason = match reason {
            Some(reason) => reason.replace(|c: char| c.is_control(), " "),
            None => usual_reason(status),
        };
        let mut answer = Self { status, reason, headers: Headers::default(), body: Vec::new() };
        for (name, value) in headers.iter() {
            let known = ECHOED.into_iter().find(|echoed| echoed.eq_ignore_ascii_case(name));
            if let Some(known) = known {
                answer.headers.push(known, value);
            }
        }
        answer
    }

    /// Adds our tag to the To field, unless it has one (§8.2.6.2).
    pub fn with_to_tag(mut self, tag: &str) -> Self {
        let to = self.headers.get("To").map(str::to_owned);
        if let Some(to) = to
            && NameAddr::parse(&to).is_none_or(|to| to.tag.is_none())
        {
            self.headers.replace_first("To", format!("{to};tag={tag}"));
        }
        self
    }

    /// Adds one field.
    pub fn with(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Adds fields in order.
    pub fn with_all(mut self, fields: &[(String, String)]) -> Self {
        for (name, value) in fields {
            self.headers.push(name, value);
        }
        self
    }

    /// Sets the body.
    pub fn with_body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.headers.push("Content-Type", content_type);
        self.body = body.into();
        self
    }

    /// The response as a datagram.
    pub fn to_bytes(&self) -> Vec<u8> {
        let start = format!("SIP/2.0 {} {}", self.status, self.reason);
        written(&start, &self.headers, &self.body)
    }
}

impl Message {
    /// Reads one datagram. Anything after Content-Length octets of body is ignored (§18.3).
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let silent = |error| Malformed { error, answerable: None };
        let (head, body) = split_head(bytes);
        let Head { start, mut headers, not_a_header } = Head::read(head);
        let cut = cut_body(&headers, body);
        headers.remove("Content-Length");

        if is_status_line(&start) {
            let (status, reason) = status_line(&start).map_err(silent)?;
            let body = cut.map_err(silent)?.to_vec();
            let response = Response { status, reason, headers, body };
            return received(response, |r| &r.headers).map(Self::Response).map_err(silent);
        }
        let line = request_line(&start).map_err(silent)?;
        let answerable = answerable(&line.method, &headers);
        let refused = |error| Malformed { error, answerable: answerable.clone() };
        if let Some(error) = line.wrong {
            return Err(refused(error));
        }
        if not_a_header.is_some() {
            return Err(refused(MessageError::HeaderLine));
        }
        let body = cut.map_err(refused)?.to_vec();
        let request = Request { method: line.method, uri: line.uri, headers, body };
        let received = received(request, |r| &r.headers).map_err(refused)?;
        if received.method != received.message.method {
            return Err(refused(MessageError::MethodMismatch));
        }
        Ok(Self::Request(received))
    }
}

impl Answerable {
    /// Reads a request of which no more came than `head`, or part of it, and which is refused
    /// whatever it says. `None` for a response, an ACK, and where no Via awaits an answer.
    pub fn read(head: &[u8]) -> Option<Self> {
        let Head { start, mut headers, .. } = Head::read(split_head(head).0);
        headers.remove("Content-Length");
        let is_request = !is_status_line(&start);
        let line = is_request.then(|| request_line(&start)).and_then(Result::ok)?;
        answerable(&line.method, &headers).map(|answerable| *answerable)
    }
}

/// The scheme of `uri` in lower case.
pub fn scheme(uri: &str) -> String {
    uri.split(':').next().unwrap_or("").to_ascii_lowercase()
}

/// Start line and fields, told apart.
struct Head {
    start: String,
    headers: Headers,
    not_a_header: Option<NotAHeader>,
}

impl Head {
    fn read(head: &[u8]) -> Self {
        // Latin-1 display names are seen in the field; a replacement character does no harm there.
        let head = String::from_utf8_lossy(head);
        let (start, lines) = head.split_once('\n').unwrap_or((&head, ""));
        let start = start.strip_suffix('\r').unwrap_or(start).to_owned();
        let (headers, not_a_header) = Headers::parse(lines);
        Self { start, headers, not_a_header }
    }
}

struct RequestLine {
    method: Method,
    uri: String,
    wrong: Option<MessageError>,
}

fn is_status_line(line: &str) -> bool {
    line.starts_with("SIP/")
}

/// Reads as much as there is: with a method it is a request, and can be refused.
fn request_line(line: &str) -> Result<RequestLine, MessageError> {
    let (method, rest) = line.split_once(' ').unwrap_or((line, ""));
    if !is_token(method) {
        return Err(MessageError::StartLine);
    }
    let (uri, version) = rest.rsplit_once(' ').unwrap_or((rest, ""));
    let wrong = if version.is_empty() {
        Some(MessageError::StartLine)
    } else if !version.eq_ignore_ascii_case("SIP/2.0") {
        Some(MessageError::Version)
    } else if !is_request_uri(uri) {
        Some(MessageError::RequestUri)
    } else {
        None
    };
    Ok(RequestLine { method: Method::read(method), uri: uri.to_owned(), wrong })
}

fn status_line(line: &str) -> Result<(u16, String), MessageError> {
    let rest = line.strip_prefix("SIP/2.0 ").ok_or(MessageError::Version)?;
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let status = code.parse().ok().filter(|status| code.len() == 3 && (100..700).contains(status));
    Ok((status.ok_or(MessageError::Status)?, reason.to_owned()))
}

fn is_request_uri(uri: &str) -> bool {
    let Some(NameAddr { uri: bare, .. }) = NameAddr::parse(&format!("<{uri}>")) else {
        return false;
    };
    // §19.1.1: header fields have no place in a Request-URI.
    let is_sip = matches!(scheme(uri).as_str(), "sip" | "sips");
    bare == uri
        && (!is_sip
            || (!host_part(uri).contains('?')
                && rsip::Uri::try_from(&*with_named_host(uri)).is_ok()))
}

/// `rsip` reads no IPv6 reference: gives `uri` with a name in its place.
fn with_named_host(uri: &str) -> Cow<'_, str> {
    let host = uri.len() - host_part(uri).len();
    let bracketed = uri[host..].split_once('[').and_then(|(before, rest)| {
        let (_, after) = rest.split_once(']')?;
        Some(format!("{}{before}ipv6.invalid{after}", &uri[..host]))
    });
    bracketed.map_or(Cow::Borrowed(uri), Cow::Owned)
}

/// `uri` after the user part, which may hold nearly anything (§19.1.2).
fn host_part(uri: &str) -> &str {
    uri.split_once('@').map_or(uri, |(_, host)| host)
}

fn answerable(method: &Method, headers: &Headers) -> Option<Box<Answerable>> {
    let awaited = headers.contains("Via") && *method != Method::Ack;
    let via = headers.list("Via").next().and_then(Via::parse);
    awaited.then(|| Box::new(Answerable { headers: headers.clone(), via }))
}

fn received<M>(message: M, headers_of: fn(&M) -> &Headers) -> Result<Received<M>, MessageError> {
    let headers = headers_of(&message);
    for name in ECHOED {
        if !headers.contains(name) {
            return Err(MessageError::Missing(name));
        }
    }
    for name in SINGLE {
        if headers.all(name).count() > 1 {
            return Err(MessageError::Repeated(name));
        }
    }
    let field = |name| headers.get(name).unwrap_or_default();
    let via = headers.list("Via").next().and_then(Via::parse);
    let via = via.ok_or(MessageError::Invalid("Via"))?;
    let from = NameAddr::parse(field("From")).ok_or(MessageError::Invalid("From"))?;
    let to = NameAddr::parse(field("To")).ok_or(MessageError::Invalid("To"))?;
    let call_id = field("Call-ID").to_owned();
    if call_id.is_empty() || call_id.contains(char::is_whitespace) {
        return Err(MessageError::Invalid("Call-ID"));
    }
    let (cseq, method) = sequence(field("CSeq")).ok_or(MessageError::Invalid("CSeq"))?;
    // §20.22: 0-255.
    if headers.get("Max-Forwards").is_some_and(|hops| hops.parse::<u8>().is_err()) {
        return Err(MessageError::Invalid("Max-Forwards"));
    }
    Ok(Received { via, from, to, call_id, cseq, method, message })
}

/// §8.1.1.5: below 2^31.
fn sequence(value: &str) -> Option<(u32, Method)> {
    let (number, method) = value.split_once(char::is_whitespace)?;
    let number = number.parse().ok().filter(|number| *number < 1 << 31)?;
    let method = method.trim();
    is_token(method).then(|| (number, Method::read(method)))
}

fn split_head(bytes: &[u8]) -> (&[u8], &[u8]) {
    // Empty lines before the start line are keep-alives (§7.5).
    let begin = bytes.iter().position(|b| !b"\r\n".contains(b)).unwrap_or(bytes.len());
    let bytes = &bytes[begin..];
    let mut line = 0;
    while let Some(length) = bytes[line..].iter().position(|b| *b == b'\n') {
        let after = line + length + 1;
        if matches!(&bytes[line..after], b"\n" | b"\r\n") {
            return (&bytes[..line], &bytes[after..]);
        }
        line = after;
    }
    (bytes, &[])
}

fn cut_body<'a>(headers: &Headers, body: &'a [u8]) -> Result<&'a [u8], MessageError> {
    if headers.all("Content-Length").count() > 1 {
        return Err(MessageError::Repeated("Content-Length"));
    }
    let Some(length) = headers.get("Content-Length") else { return Ok(body) };
    let digits = length.bytes().all(|b| b.is_ascii_digit());
    let length = length.parse::<usize>().ok().filter(|_| digits);
    length.and_then(|length| body.get(..length)).ok_or(MessageError::ContentLength)
}

fn written(start: &str, headers: &Headers, body: &[u8]) -> Vec<u8> {
    let mut head = format!("{start}\r\n");
    for (name, value) in headers.iter() {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// `rsip` writes `BusyHere`; the standards write `Busy Here`.
fn usual_reason(status: u16) -> String {
    let name = rsip::StatusCode::from(status).to_string();
    let name = name.split_once(' ').map_or("", |(_, name)| name);
    let mut phrase = String::new();
    let mut before_lower = false;
    for c in name.chars() {
        if c.is_uppercase() && before_lower {
            phrase.push(' ');
        }
        before_lower = c.is_lowercase();
        phrase.push(c);
    }
    phrase
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &str = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\n\
        From: <sip:c@d>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n";

    fn parse(text: &str) -> Result<Message, Malformed> {
        Message::parse(text.as_bytes())
    }

    fn request(text: &str) -> Received<Request> {
        match parse(text) {
            Ok(Message::Request(request)) => request,
            other => panic!("no request: {other:?}"),
        }
    }

    fn error(text: &str) -> (MessageError, bool) {
        let malformed = parse(text).expect_err("malformed");
        (malformed.error, malformed.answerable.is_some())
    }

    #[test]
    fn the_body_ends_at_content_length() {
        let text = format!("\r\n\r\n{OPTIONS}l: 3\r\n\r\nabcdef");
        assert_eq!(request(&text).message.body, b"abc");
        assert_eq!(request(&format!("{OPTIONS}\r\nabcdef")).message.body, b"abcdef");
        assert_eq!(
            error(&format!("{OPTIONS}l: 7\r\n\r\nabcdef")),
            (MessageError::ContentLength, true)
        );
        assert_eq!(error(&format!("{OPTIONS}l: -1\r\n\r\n")), (MessageError::ContentLength, true));
    }

    #[test]
    fn bare_line_feeds_are_read() {
        assert_eq!(request(&format!("{OPTIONS}\r\n").replace('\r', "")).call_id, "x");
    }

    #[test]
    fn any_via_makes_a_request_answerable_whatever_else_is_missing() {
        for line in OPTIONS.split_inclusive("\r\n").skip(1) {
            let name = line.split(':').next().expect("a name");
            let (error, answerable) = error(&format!("{}\r\n", OPTIONS.replace(line, "")));
            let MessageError::Missing(missing) = error else { panic!("{error}") };
            assert_eq!((missing, answerable), (name, name != "Via"));
        }
        let bare = "INFO\r\nv: x\r\n\r\n";
        assert_eq!(error(bare), (MessageError::StartLine, true));
        assert_eq!(error(&bare.replace("INFO", "ACK x")), (MessageError::StartLine, false));
        assert_eq!(error(&bare.replace("INFO", "SIP/2.0 x")), (MessageError::Status, false));
        assert_eq!(error(&bare.replace("INFO", "HTTP/1.1 x")), (MessageError::StartLine, false));
    }

    #[test]
    fn an_unreadable_via_leaves_only_the_source_to_answer() {
        let text = format!("{}\r\n", OPTIONS.replace("h;branch", "h;;branch"));
        let malformed = parse(&text).expect_err("malformed");
        assert_eq!(malformed.error, MessageError::Invalid("Via"));
        let answerable = malformed.answerable.expect("a Via is there");
        assert_eq!(answerable.via, None);
        let answer = String::from_utf8(Response::to(&answerable.headers, 400, None).to_bytes());
        let answer = answer.expect("text");
        assert!(answer.contains("\r\nVia: SIP/2.0/UDP h;;branch=z9hG4bKx\r\n"), "as it came");
    }

    #[test]
    fn a_head_cut_short_is_enough_for_a_refusal() {
        let answerable = Answerable::read(OPTIONS.as_bytes()).expect("a request");
        assert_eq!(answerable.via.and_then(|via| via.branch).as_deref(), Some("z9hG4bKx"));
        assert_eq!(Answerable::read(OPTIONS.replace("OPTIONS", "ACK").as_bytes()), None);
        assert_eq!(Answerable::read(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h\r\n"), None);
        assert_eq!(Answerable::read(b"OPTIONS sip:a@b SIP/2.0\r\nTo: x\r\n"), None);
        assert_eq!(Answerable::read(b""), None);
    }

    #[test]
    fn wrong_fields_are_named() {
        let changed = |from, to| error(&format!("{}\r\n", OPTIONS.replace(from, to)));
        assert_eq!(changed("1 OPTIONS", "1 INVITE"), (MessageError::MethodMismatch, true));
        assert_eq!(
            changed("1 OPTIONS", "4294967295 OPTIONS"),
            (MessageError::Invalid("CSeq"), true)
        );
        assert_eq!(changed("SIP/2.0\r\n", "SIP/7.0\r\n"), (MessageError::Version, true));
        assert_eq!(changed("sip:a@b SIP", "sip:a@b; x SIP"), (MessageError::RequestUri, true));
        assert_eq!(changed("sip:a@b SIP", "sip:a@b?Route=x SIP"), (MessageError::RequestUri, true));
        assert_eq!(
            changed("To: <sip:a@b>", "To: \"a <sip:a@b>"),
            (MessageError::Invalid("To"), true)
        );
        assert_eq!(
            changed("CSeq", "CSeq: 1 OPTIONS\r\nCSeq"),
            (MessageError::Repeated("CSeq"), true)
        );
        assert_eq!(changed("h;branch", "h;;branch"), (MessageError::Invalid("Via"), true));
    }

    #[test]
    fn unknown_methods_and_telephone_numbers_are_read() {
        let text = OPTIONS.replace("OPTIONS", "optIons").replace("sip:a@b SIP", "tel:+1 SIP");
        let request = request(&format!("{text}\r\n"));
        assert_eq!(request.method, Method::Other("optIons".into()));
        assert!(!request.method.is_standard());
        assert!(Method::Other("REFER".into()).is_standard());
    }

    #[test]
    fn a_response_answers_under_the_same_fields() {
        let request = request(&format!("{OPTIONS}\r\n"));
        let response = Response::to(&request.message.headers, 486, None).with_to_tag("ours");
        assert_eq!(response.reason, "Busy Here");
        let Ok(Message::Response(read)) = Message::parse(&response.to_bytes()) else {
            panic!("a response")
        };
        assert_eq!((read.to.tag.as_deref(), read.via), (Some("ours"), request.via));
        // A second reader that shares no code with ours.
        let other =
            rsip::Response::try_from(response.to_bytes()).expect("rsip reads what we write");
        assert_eq!(other.status_code, rsip::StatusCode::BusyHere);
        assert_eq!(other.headers.iter().count(), 6);
    }
}
