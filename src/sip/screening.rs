//! What a request must satisfy before anybody acts on it (RFC 3261 §8.2).

use crate::sip::headers::{Headers, parameter, split};
use crate::sip::message::{Method, Received, Request, scheme};
use crate::sip::multipart::{Part, parts};

/// Methods that we act upon (§20.5).
pub const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE, PRACK";
/// Extensions that may be required of us: reliable provisional answers (RFC 3262), of which we send
/// none, and session timers (RFC 4028).
pub const SUPPORTED: [&str; 2] = ["100rel", "timer"];
/// The extension of recording sessions (RFC 7866 §5.3.2), which not everybody may require.
pub const SIPREC: &str = "siprec";
/// Bodies that we understand in an INVITE (§20.1).
pub const ACCEPT: &str = "application/sdp, multipart/mixed, application/rs-metadata+xml";

/// A refusal with the fields that explain it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 400-699.
    pub status: u16,
    /// A phrase in place of the usual one.
    pub reason: Option<&'static str>,
    /// Further fields.
    pub headers: Vec<(String, String)>,
}

impl Refusal {
    /// `status` and nothing else.
    pub fn plain(status: u16) -> Self {
        Self { status, reason: None, headers: Vec::new() }
    }

    /// `status` with one field.
    pub fn with(status: u16, name: &str, value: &str) -> Self {
        Self { headers: vec![(name.into(), value.into())], ..Self::plain(status) }
    }
}

/// Inspects method, Request-URI, extensions and content, in the order of §8.2. `records` says whether the peer may have
/// a call recorded here.
pub fn screen(request: &Received<Request>, records: bool) -> Result<(), Refusal> {
    let Request { method, uri, headers, body } = &request.message;
    if let Method::Other(_) | Method::Register | Method::Message = method {
        let status = if method.is_standard() { 405 } else { 501 };
        return Err(Refusal::with(status, "Allow", ALLOW));
    }
    // PBXs call telephone numbers by `tel:` even over a trunk without a registrar.
    if !matches!(scheme(uri).as_str(), "sip" | "sips" | "tel") {
        return Err(Refusal::plain(416));
    }
    // §8.2.2.3: Require is nothing for a CANCEL.
    let known = SUPPORTED.into_iter().chain(records.then_some(SIPREC));
    let unknown = |tag: &&str| !known.clone().any(|known| known.eq_ignore_ascii_case(tag));
    let required: Vec<_> = headers.list("Require").filter(unknown).collect();
    if !required.is_empty() && *method != Method::Cancel {
        return Err(Refusal::with(420, "Unsupported", &required.join(", ")));
    }
    if matches!(method, Method::Invite | Method::Update) {
        invite_content(headers, body, records)?;
    }
    if *method == Method::Invite {
        // §12.1.1: without one Contact there is nowhere to send a BYE. Within a dialog we know
        // that already, and forgive a re-INVITE without.
        if request.to.tag.is_none() && headers.list("Contact").count() != 1 {
            let reason = Some("INVITE needs exactly one Contact (RFC 3261 12.1.1)");
            return Err(Refusal { reason, ..Refusal::plain(400) });
        }
    }
    Ok(())
}

/// The SDP in the body of a message, if that is what the body is, or the first in it if it has several parts.
pub fn sdp(headers: &Headers, body: &[u8]) -> Option<String> {
    let sdp = parts(headers, body).into_iter().find(Part::is_sdp)?;
    Some(String::from_utf8_lossy(&sdp.body).into_owned())
}

/// The recording metadata in the body of a message (RFC 7866 §9.1).
pub fn metadata(headers: &Headers, body: &[u8]) -> Option<Vec<u8>> {
    let metadata = parts(headers, body).into_iter().find(Part::is_recording_metadata)?;
    Some(metadata.body)
}

/// Whether an INVITE is one of a recording client: by the extension that it requires, by the feature of its Contact,
/// or by metadata. Some clients leave the extension out, and write `src` for `+sip.src`.
pub fn is_recording(headers: &Headers, body: &[u8]) -> bool {
    let requires = headers.list("Require").any(|tag| tag.eq_ignore_ascii_case(SIPREC));
    let is_client = |contact: &str| {
        let parts = split(contact, ';');
        parameter(&parts, "+sip.src").or_else(|| parameter(&parts, "src")).is_some()
    };
    requires || headers.list("Contact").any(is_client) || metadata(headers, body).is_some()
}

fn invite_content(headers: &Headers, body: &[u8], records: bool) -> Result<(), Refusal> {
    let encoded = headers.list("Content-Encoding").any(|e| !e.eq_ignore_ascii_case("identity"));
    if encoded {
        return Err(Refusal::with(415, "Accept-Encoding", "identity"));
    }
    let optional = headers
        .get("Content-Disposition")
        .is_some_and(|value| value.to_ascii_lowercase().contains("handling=optional"));
    let understood =
        || sdp(headers, body).is_some() || records && metadata(headers, body).is_some();
    if !body.is_empty() && !optional && !understood() {
        return Err(Refusal::with(415, "Accept", ACCEPT));
    }
    let takes_sdp = |element: &str| {
        let range = element.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        matches!(range.as_str(), "application/sdp" | "application/*" | "*/*")
    };
    // §20.1: with Accept present, an answer may only hold what it names.
    if headers.contains("Accept") && !headers.list("Accept").any(takes_sdp) {
        return Err(Refusal::plain(406));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::Message;

    fn status(changes: &[(&str, &str)]) -> Result<(), (u16, Vec<(String, String)>)> {
        let mut text = "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\n\
            From: <sip:c@d>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\
            Contact: <sip:c@d>\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n"
            .to_owned();
        for (from, to) in changes {
            text = text.replace(from, to);
        }
        match Message::parse(text.as_bytes()) {
            Ok(Message::Request(request)) => {
                screen(&request, false).map_err(|r| (r.status, r.headers))
            }
            other => panic!("no request: {other:?}"),
        }
    }

    fn refused(changes: &[(&str, &str)]) -> (u16, Option<(String, String)>) {
        let (status, headers) = status(changes).expect_err("refused");
        (status, headers.into_iter().next())
    }

    #[test]
    fn an_ordinary_invite_passes_with_and_without_sdp() {
        assert_eq!(status(&[]), Ok(()));
        assert_eq!(status(&[("v=0\r\n", "")]), Ok(()));
        assert_eq!(status(&[("sip:a@b SIP", "tel:+1 SIP")]), Ok(()));
    }

    #[test]
    fn each_refusal_says_what_would_have_pleased() {
        let field = |name: &str, value: &str| Some((name.to_owned(), value.to_owned()));
        assert_eq!(refused(&[("INVITE", "REFER")]), (405, field("Allow", ALLOW)));
        assert_eq!(refused(&[("INVITE", "DANCE")]), (501, field("Allow", ALLOW)));
        assert_eq!(refused(&[("sip:a@b SIP", "news:a SIP")]).0, 416);
        let required = refused(&[("Contact", "Require: 100rel, x\r\nContact")]);
        assert_eq!(required, (420, field("Unsupported", "x")));
        assert_eq!(status(&[("Contact", "Require: 100rel, Timer\r\nContact")]), Ok(()));
        assert_eq!(refused(&[("application/sdp", "text/plain")]), (415, field("Accept", ACCEPT)));
        let packed = refused(&[("Contact", "Content-Encoding: gzip\r\nContact")]);
        assert_eq!(packed, (415, field("Accept-Encoding", "identity")));
        assert_eq!(refused(&[("Contact", "Accept: text/plain\r\nContact")]).0, 406);
        assert_eq!(refused(&[("Contact: ", "X: ")]).0, 400);
    }

    #[test]
    fn a_recording_is_taken_from_who_may_have_one_here() {
        let screened = |more: &str, records| {
            let text = format!(
                "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:c@d>;tag=1\r\n\
                 To: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n{more}"
            );
            match Message::parse(text.as_bytes()) {
                Ok(Message::Request(request)) => {
                    let Request { headers, body, .. } = &request.message;
                    let recording = is_recording(headers, body);
                    (screen(&request, records).map_err(|refusal| refusal.status), recording)
                }
                other => panic!("no request: {other:?}"),
            }
        };
        let required = "Require: siprec\r\nContact: <sip:c@d>\r\n\r\n";
        assert_eq!(screened(required, true), (Ok(()), true));
        assert_eq!(screened(required, false), (Err(420), true));
        let metadata = "Contact: <sip:c@d>\r\nContent-Type:application/rs-metadata\r\n\r\n<a/>";
        assert_eq!(screened(metadata, true), (Ok(()), true));
        assert_eq!(screened(metadata, false), (Err(415), true));
        for contact in ["<sip:c@d>;+sip.src", "<sip:c@d;transport=tcp>;expires=3;src"] {
            assert_eq!(screened(&format!("Contact: {contact}\r\n\r\n"), true), (Ok(()), true));
        }
        assert_eq!(screened("Contact: <sip:c@d;src=1>\r\n\r\n", true), (Ok(()), false));
        assert_eq!(
            screened("Supported: siprec\r\nContact: <sip:c@d>\r\n\r\n", true),
            (Ok(()), false)
        );
    }

    #[test]
    fn an_unknown_body_may_be_optional() {
        let optional = "Content-Disposition: session;handling=optional\r\nContent-Type: text/plain";
        assert_eq!(status(&[("Content-Type: application/sdp", optional)]), Ok(()));
    }
}
