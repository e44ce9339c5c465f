//! One dialog: what two endpoints agree on beside the media (RFC 3261 §12).

use crate::sip::headers::Headers;
use crate::sip::hops::Way;
use crate::sip::message::{Method, Received, Request, Response};
use crate::sip::name_addr::NameAddr;
use crate::sip::transport::Hop;

/// What names a dialog on our side (§12). A peer of RFC 2543 may have an empty tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DialogId {
    /// Shared by both sides.
    pub call_id: String,
    /// Our tag.
    pub local_tag: String,
    /// Their tag.
    pub remote_tag: String,
}

/// State shared with one peer, whoever called whom.
#[derive(Clone, Debug)]
pub struct Dialog {
    id: DialogId,
    /// Our From value, tag included.
    local: String,
    /// Our To value, tag included.
    remote: String,
    local_cseq: u32,
    /// Highest number of a request of theirs.
    remote_cseq: Option<u32>,
    /// Remote target: URI of their Contact, refreshed by each re-INVITE.
    target: String,
    /// Route elements in the order of sending.
    routes: Vec<String>,
    /// The way their messages come: over a stream it is also the way back, and it is the last
    /// resort where the target names a host that cannot be found.
    peer: Hop,
}

/// The CSeq number is not above the last one (§12.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfOrder;

impl Dialog {
    /// The dialog that our 2xx to `invite` creates (§12.1.1). `None` without a usable Contact.
    pub fn answering(invite: &Received<Request>, local_tag: &str, peer: Hop) -> Option<Self> {
        let headers = &invite.message.headers;
        let to = headers.get("To").unwrap_or_default();
        Some(Self {
            id: DialogId {
                call_id: invite.call_id.clone(),
                local_tag: local_tag.to_owned(),
                remote_tag: invite.from.tag.clone().unwrap_or_default(),
            },
            local: format!("{to};tag={local_tag}"),
            remote: headers.get("From").unwrap_or_default().to_owned(),
            local_cseq: 0,
            remote_cseq: Some(invite.cseq),
            target: contact(headers)?,
            routes: headers.list("Record-Route").map(str::to_owned).collect(),
            peer,
        })
    }

    /// The dialog that `success`, or a 1xx, to our `invite`, sent to `peer`, creates (§12.1.2).
    pub fn calling(invite: &Request, success: &Received<Response>, peer: Hop) -> Self {
        let headers = &success.message.headers;
        Self {
            id: DialogId {
                call_id: success.call_id.clone(),
                local_tag: success.from.tag.clone().unwrap_or_default(),
                remote_tag: success.to.tag.clone().unwrap_or_default(),
            },
            local: invite.headers.get("From").unwrap_or_default().to_owned(),
            remote: headers.get("To").unwrap_or_default().to_owned(),
            local_cseq: success.cseq,
            remote_cseq: None,
            // Without a Contact the INVITE's own target is the best we know.
            target: contact(headers).unwrap_or_else(|| invite.uri.clone()),
            routes: reversed_routes(headers),
            peer,
        }
    }

    /// The success to our INVITE makes an early dialog a real one, and has the last word on its
    /// routes (§13.2.2.4).
    pub fn confirm(&mut self, headers: &Headers) {
        self.routes = reversed_routes(headers);
        self.refresh_target(headers);
    }

    /// What names this dialog.
    pub fn id(&self) -> &DialogId {
        &self.id
    }

    /// Our next request within the dialog (§12.2.1.1). ACK and CANCEL are no requests of their own.
    pub fn request(&mut self, method: Method) -> Request {
        self.local_cseq += 1;
        self.numbered(method, self.local_cseq)
    }

    /// The ACK to a success of our INVITE number `cseq` (§13.2.2.4).
    pub fn ack(&self, cseq: u32) -> Request {
        self.numbered(Method::Ack, cseq)
    }

    /// The number of our last request: one that was asked anew with credentials had a number of
    /// its own (§8.1.3.5).
    pub fn raise_cseq(&mut self) -> u32 {
        self.local_cseq += 1;
        self.local_cseq
    }

    /// Leaves room for requests of ours in this dialog that nobody counted: a gap is no error
    /// (§12.2.2), a number that was used before is.
    pub fn skip(&mut self, numbers: u32) {
        self.local_cseq += numbers;
    }

    /// Takes note of a request of theirs other than ACK and CANCEL.
    pub fn receive(&mut self, cseq: u32) -> Result<(), OutOfOrder> {
        if self.remote_cseq.is_some_and(|last| cseq <= last) {
            return Err(OutOfOrder);
        }
        self.remote_cseq = Some(cseq);
        Ok(())
    }

    /// A re-INVITE, or the success to ours, may move the remote target (§12.2).
    pub fn refresh_target(&mut self, headers: &Headers) {
        if let Some(target) = contact(headers) {
            self.target = target;
        }
    }

    /// Where our requests go: to the first route, or else to the target.
    pub fn way(&self) -> Way {
        let route = self.routes.first().and_then(|route| NameAddr::parse(route));
        let uri = route.map_or_else(|| self.target.clone(), |route| route.uri);
        Way::Uri { uri, last: Some(self.peer.clone()) }
    }

    /// The way that the peer's messages come.
    pub fn peer(&self) -> &Hop {
        &self.peer
    }

    /// A message of theirs came another way: over a new stream, or through a NAT that moved.
    pub fn follow(&mut self, peer: &Hop) {
        self.peer.clone_from(peer);
    }

    fn numbered(&self, method: Method, cseq: u32) -> Request {
        let mut routes = self.routes.clone();
        let mut uri = self.target.clone();
        // §12.2.1.1: a first hop without `lr` routes strictly and wants itself as Request-URI.
        if let Some(first) = routes.first().and_then(|route| NameAddr::parse(route))
            && !is_loose(&first.uri)
        {
            routes.remove(0);
            routes.push(format!("<{uri}>"));
            uri = first.uri;
        }
        let cseq = format!("{cseq} {}", method.as_str());
        let mut request = Request::new(method, uri);
        request.headers.push("Max-Forwards", "70");
        for route in routes {
            request.headers.push("Route", route);
        }
        request.headers.push("From", &self.local);
        request.headers.push("To", &self.remote);
        request.headers.push("Call-ID", &self.id.call_id);
        request.headers.push("CSeq", cseq);
        request
    }
}

fn reversed_routes(headers: &Headers) -> Vec<String> {
    let mut routes: Vec<_> = headers.list("Record-Route").map(str::to_owned).collect();
    routes.reverse();
    routes
}

/// URI of the only Contact (§12.1.1: exactly one).
fn contact(headers: &Headers) -> Option<String> {
    let mut contacts = headers.list("Contact");
    let contact = NameAddr::parse(contacts.next()?)?;
    contacts.next().is_none().then_some(contact.uri)
}

fn is_loose(uri: &str) -> bool {
    uri.split(';').skip(1).any(|parameter| {
        parameter.split('=').next().is_some_and(|name| name.eq_ignore_ascii_case("lr"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::Message;

    const INVITE: &str = "INVITE sip:us@192.0.2.7 SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\n\
        Record-Route: <sip:192.0.2.1;lr>, <sip:192.0.2.2;lr>\r\nFrom: \"A\" <sip:a@b>;tag=theirs\r\n\
        To: <sip:us@c>\r\nCall-ID: x\r\nCSeq: 7 INVITE\r\nContact: <sip:a@pbx.local:5080>\r\n\r\n";

    fn peer() -> Hop {
        Hop::udp("192.0.2.9:5066".parse().expect("an address"))
    }

    fn uri(dialog: &Dialog) -> String {
        match dialog.way() {
            Way::Uri { uri, last } if last == Some(peer()) => uri,
            other => panic!("no URI with the peer as last resort: {other:?}"),
        }
    }

    fn answering(text: &str) -> Option<Dialog> {
        match Message::parse(text.as_bytes()) {
            Ok(Message::Request(invite)) => Dialog::answering(&invite, "ours", peer()),
            other => panic!("no request: {other:?}"),
        }
    }

    #[test]
    fn our_requests_turn_from_and_to_around_and_follow_the_routes() {
        let mut dialog = answering(INVITE).expect("a dialog");
        let bye = dialog.request(Method::Bye);
        assert_eq!(bye.uri, "sip:a@pbx.local:5080");
        assert_eq!(bye.headers.get("From"), Some("<sip:us@c>;tag=ours"));
        assert_eq!(bye.headers.get("To"), Some("\"A\" <sip:a@b>;tag=theirs"));
        assert_eq!(bye.headers.get("CSeq"), Some("1 BYE"));
        let routes: Vec<_> = bye.headers.all("Route").collect();
        assert_eq!(routes, ["<sip:192.0.2.1;lr>", "<sip:192.0.2.2;lr>"]);
        assert_eq!(uri(&dialog), "sip:192.0.2.1;lr");
        assert_eq!(dialog.request(Method::Info).headers.get("CSeq"), Some("2 INFO"));
    }

    #[test]
    fn a_strict_router_becomes_the_request_uri() {
        let strict = INVITE.replace("192.0.2.1;lr", "192.0.2.1");
        let bye = answering(&strict).expect("a dialog").request(Method::Bye);
        assert_eq!(bye.uri, "sip:192.0.2.1");
        let routes: Vec<_> = bye.headers.all("Route").collect();
        assert_eq!(routes, ["<sip:192.0.2.2;lr>", "<sip:a@pbx.local:5080>"]);
    }

    #[test]
    fn without_routes_the_way_leads_to_the_contact() {
        let direct = INVITE.replace("Record-Route", "X-Nothing");
        let mut dialog = answering(&direct).expect("a dialog");
        assert_eq!(uri(&dialog), "sip:a@pbx.local:5080");
        let mut moved = Headers::default();
        moved.push("Contact", "<sip:a@192.0.2.44:5070>");
        dialog.refresh_target(&moved);
        assert_eq!(uri(&dialog), "sip:a@192.0.2.44:5070");
    }

    #[test]
    fn numbers_must_rise() {
        let mut dialog = answering(INVITE).expect("a dialog");
        assert_eq!(dialog.receive(7), Err(OutOfOrder));
        assert_eq!(dialog.receive(9), Ok(()));
        assert_eq!(dialog.receive(8), Err(OutOfOrder));
    }

    #[test]
    fn one_contact_is_needed() {
        assert!(answering(&INVITE.replace("Contact:", "X-Contact:")).is_none());
        assert!(answering(&INVITE.replace(":5080>", ">, <sip:second@d>")).is_none());
    }
}
