//! SIP as a bystander reads it: which media address belongs to whose leg, from when on (RFC 3264).
//!
//! Nothing is negotiated again here. Each side's description says what that side wants to receive, and
//! where; a later description of the same dialog, in a re-INVITE or UPDATE, takes its place.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::call::facts::Facts;
use crate::policy::rule::Party;
use crate::runtime::capture::network::Flow;
use crate::runtime::capture::payload_types::Coding;
use crate::sdp::described::Described;
use crate::sdp::offer::Offer;
use crate::sip::headers::Headers;
use crate::sip::message::{Message, Method, Received};

/// Calls that are told apart; more are not.
const MOST_CALLS: usize = 20_000;
/// Descriptions kept of one address.
const MOST_DESCRIPTIONS: usize = 64;

/// What was seen of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its Call-ID.
    pub id: String,
    /// Its conversation: `X-Sidetone-Conversation`, else the Call-ID.
    pub conversation: String,
    /// Whose leg the side is that called.
    pub party: Party,
    /// The tag of the side that called.
    caller_tag: Option<String>,
}

/// One stream as one side of a call described it.
#[derive(Clone, Debug)]
pub struct Description {
    /// When it was said, since 1970.
    pub at: Duration,
    /// In which call, by its place in the order of the calls.
    pub call: usize,
    /// Whether the side that called says so, of itself.
    pub by_caller: bool,
    /// The number of its payload types.
    pub codings: Vec<(u8, Coding)>,
    /// Whether it is SRTP.
    pub encrypted: bool,
    /// Whether it is RTP at all.
    pub rtp: bool,
    /// Length of a packet in milliseconds.
    pub ptime: Option<u16>,
}

/// Counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct DialogStats {
    /// SIP messages.
    pub messages: u64,
    /// Messages that are none.
    pub malformed: u64,
    /// Calls.
    pub calls: u64,
    /// Descriptions of sessions.
    pub descriptions: u64,
    /// Bodies that say they are a description and are none.
    pub unreadable: u64,
}

/// The calls of a capture.
#[derive(Debug, Default)]
pub struct Dialogs {
    calls: Vec<Call>,
    by_id: HashMap<String, usize>,
    /// By the address where they are received, in the order of the capture.
    media: HashMap<SocketAddr, Vec<Arc<Description>>>,
    stats: DialogStats,
}

impl Dialogs {
    /// One message was caught at `at`.
    pub fn handle_message(&mut self, at: Duration, bytes: &[u8]) {
        self.stats.messages += 1;
        match Message::parse(bytes) {
            Ok(Message::Request(request)) => {
                let (headers, body) = (&request.message.headers, &request.message.body);
                let begins = request.method == Method::Invite;
                let tag = request.from.tag.as_deref();
                self.handle(at, &request, headers, body, begins, tag);
            }
            Ok(Message::Response(response)) => {
                let (headers, body) = (&response.message.headers, &response.message.body);
                let tag = response.to.tag.as_deref();
                self.handle(at, &response, headers, body, false, tag);
            }
            Err(_) => self.stats.malformed += 1,
        }
    }

    /// `speaker` is the tag of the side that sent the message.
    fn handle<M>(
        &mut self,
        at: Duration,
        message: &Received<M>,
        headers: &Headers,
        body: &[u8],
        begins: bool,
        speaker: Option<&str>,
    ) {
        let text = String::from_utf8_lossy(body);
        let text = description_in(&text);
        let known = self.by_id.get(&message.call_id).copied();
        // A registration is no call, nor is a question about options.
        if known.is_none() && ((!begins && text.is_none()) || self.calls.len() >= MOST_CALLS) {
            return;
        }
        let call = known.unwrap_or_else(|| {
            self.calls.push(Call {
                id: message.call_id.clone(),
                conversation: message.call_id.clone(),
                party: Party::Caller,
                // Where the capture began with an answer: From is who asked, there as well.
                caller_tag: message.from.tag.clone(),
            });
            self.stats.calls += 1;
            self.by_id.insert(message.call_id.clone(), self.calls.len() - 1);
            self.calls.len() - 1
        });
        // Headers that cannot be read are as if they were missing: a bystander refuses nothing.
        if begins
            && known.is_none()
            && let Ok(facts) = Facts::read(headers, &message.call_id)
        {
            (self.calls[call].conversation, self.calls[call].party) =
                (facts.conversation, facts.party);
        }
        let Some(text) = text else { return };
        let Ok(offer) = Offer::parse(text) else {
            self.stats.unreadable += 1;
            return;
        };
        self.stats.descriptions += 1;
        let by_caller = speaker.is_some() && speaker == self.calls[call].caller_tag.as_deref();
        for stream in offer.described() {
            self.describe(at, call, by_caller, &stream);
        }
    }

    fn describe(&mut self, at: Duration, call: usize, by_caller: bool, stream: &Described) {
        let codings = stream.encodings.iter();
        let codings = codings.map(|(number, name)| (*number, Coding::named(name))).collect();
        let description = Arc::new(Description {
            at,
            call,
            by_caller,
            codings,
            encrypted: stream.is_encrypted(),
            rtp: stream.is_rtp(),
            ptime: stream.ptime,
        });
        let address = SocketAddr::new(stream.address.ip().to_canonical(), stream.address.port());
        let of_address = self.media.entry(address).or_default();
        if of_address.len() < MOST_DESCRIPTIONS {
            of_address.push(description);
        }
    }

    /// What is said of a flow at `at`: by the side that receives it, and by the side that sends it,
    /// which nearly always receives at the port from which it sends (RFC 4961). Each of a call; a
    /// description counts from when it was said on, and the first one before that too: audio may come
    /// before the answer that describes it.
    pub fn descriptions(&self, flow: Flow, at: Duration) -> Said<'_> {
        Said {
            receiver: self.description(flow.destination, at),
            sender: self.description(flow.source, at),
        }
    }

    fn description(&self, address: SocketAddr, at: Duration) -> Option<&Description> {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let said = self.media.get(&address)?;
        let so_far = said.iter().rev().find(|description| description.at <= at);
        so_far.or_else(|| said.first()).map(|description| &**description)
    }

    /// The call with this place in the order.
    pub fn call(&self, place: usize) -> &Call {
        &self.calls[place]
    }

    /// The counts so far.
    pub fn stats(&self) -> DialogStats {
        self.stats
    }
}

/// What is said of one flow.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// By the side to which it goes.
    pub receiver: Option<&'a Description>,
    /// By the side from which it comes.
    pub sender: Option<&'a Description>,
}

impl<'a> Said<'a> {
    /// What counts first: the receiver's word, since its numbers are the ones to be sent to it.
    pub fn first(&self) -> Option<&'a Description> {
        self.receiver.or(self.sender)
    }

    /// Whether the side that called sends it.
    pub fn from_caller(&self) -> Option<bool> {
        match (self.sender, self.receiver) {
            (Some(sender), _) => Some(sender.by_caller),
            (None, Some(receiver)) => Some(!receiver.by_caller),
            (None, None) => None,
        }
    }

    /// What `number` carries; the numbers of the receiver before those of the sender.
    pub fn coding(&self, number: u8) -> Option<&'a Coding> {
        let said = self.receiver.into_iter().chain(self.sender);
        said.flat_map(|said| &said.codings).find(|(known, _)| *known == number).map(|(_, c)| c)
    }
}

/// The session description in a body: all of it, or one part of several (SIPREC, RFC 7866 §9.1).
fn description_in(body: &str) -> Option<&str> {
    if body.starts_with("v=0") {
        return Some(body);
    }
    let begin = body.starts_with("--").then(|| body.find("\nv=0")).flatten()? + 1;
    let rest = &body[begin..];
    Some(rest.find("\r\n--").map_or(rest, |end| &rest[..end + 2]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sdp(port: u16, lines: &str) -> String {
        format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.{0}\r\ns=-\r\nc=IN IP4 192.0.2.{0}\r\nt=0 0\r\n\
            m=audio {port} RTP/AVP 96 101\r\n{lines}",
            port / 1_000
        )
    }

    fn message(start: &str, from: &str, to: &str, headers: &str, body: &str) -> String {
        format!(
            "{start}\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag={from}\r\n\
            To: <sip:b@h>{to}\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n{headers}\
            Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn address(port: u16) -> SocketAddr {
        ([192, 0, 2, (port / 1_000) as u8], port).into()
    }

    fn flow(source: u16, destination: u16) -> Flow {
        Flow { source: address(source), destination: address(destination) }
    }

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// An INVITE from port 1000, its answer from port 2000.
    fn call(headers: &str) -> Dialogs {
        let mut dialogs = Dialogs::default();
        let offer = sdp(1_000, "a=rtpmap:96 opus/48000/2\r\n");
        let invite = message("INVITE sip:b@h SIP/2.0", "x", "", headers, &offer);
        dialogs.handle_message(second(1), invite.as_bytes());
        let answer = sdp(2_000, "a=rtpmap:96 L16/16000\r\n");
        let answer = message("SIP/2.0 200 OK", "x", ";tag=y", "", &answer);
        dialogs.handle_message(second(2), answer.as_bytes());
        dialogs
    }

    #[test]
    fn the_receivers_numbers_count_and_the_senders_side_is_known() {
        let dialogs = call("");
        let to_callee = dialogs.descriptions(flow(1_000, 2_000), second(3));
        assert_eq!(to_callee.coding(96).map(|c| c.name.as_str()), Some("L16/16000"));
        assert_eq!(to_callee.from_caller(), Some(true));
        let to_caller = dialogs.descriptions(flow(2_000, 1_000), second(3));
        assert_eq!(to_caller.coding(96).map(|c| c.name.as_str()), Some("opus/48000/2"));
        assert_eq!(to_caller.from_caller(), Some(false));
        // From behind a NAT, the other side's word is all that there is.
        let natted = dialogs.descriptions(flow(9_000, 2_000), second(3));
        assert_eq!(natted.from_caller(), Some(true));
        assert!(dialogs.descriptions(flow(8_000, 9_000), second(3)).first().is_none());
    }

    #[test]
    fn early_media_has_the_answers_numbers_and_a_re_invite_changes_them() {
        let mut dialogs = call("");
        let early = dialogs.descriptions(flow(1_000, 2_000), second(1));
        assert_eq!(early.coding(96).map(|c| c.name.as_str()), Some("L16/16000"));
        // The callee asks now: From and To change sides.
        let offer = sdp(2_000, "a=rtpmap:96 PCMU/8000\r\n");
        let again = message("INVITE sip:a@h SIP/2.0", "y", ";tag=x", "", &offer);
        dialogs.handle_message(second(10), again.as_bytes());
        for (at, name) in [(9, "L16/16000"), (10, "PCMU/8000")] {
            let said = dialogs.descriptions(flow(1_000, 2_000), second(at));
            assert_eq!(said.coding(96).map(|c| c.name.as_str()), Some(name));
            assert_eq!(said.from_caller(), Some(true));
        }
        assert_eq!(dialogs.stats().calls, 1);
    }

    #[test]
    fn the_headers_of_the_invite_name_party_and_conversation() {
        let dialogs = call("X-Sidetone-Party: agent\r\nX-Sidetone-Conversation: talk-7\r\n");
        let call = dialogs.call(0);
        assert_eq!((call.party, call.conversation.as_str()), (Party::Agent, "talk-7"));
        assert_eq!(self::call("").call(0).conversation, "c1");
    }

    #[test]
    fn a_description_may_be_one_part_of_a_body() {
        let whole = sdp(1_000, "");
        assert_eq!(description_in(&whole), Some(&*whole));
        let parts = format!("--b\r\nContent-Type: application/sdp\r\n\r\n{whole}\r\n--b--\r\n");
        assert_eq!(description_in(&parts), Some(&*format!("{whole}\r\n")));
        assert_eq!(description_in("Signal=1"), None);
    }

    #[test]
    fn what_is_no_message_or_no_description_is_counted() {
        let mut dialogs = Dialogs::default();
        dialogs.handle_message(second(0), b"INVITE sip:b@h SIP/2.0\r\n\r\n");
        let broken = message("INVITE sip:b@h SIP/2.0", "x", "", "", "v=0\r\nm=audio x\r\n");
        dialogs.handle_message(second(0), broken.as_bytes());
        let stats = dialogs.stats();
        assert_eq!((stats.messages, stats.malformed, stats.unreadable), (2, 1, 1));
    }
}
