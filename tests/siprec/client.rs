//! A recording client that calls an endpoint, and what comes of it without sockets and models.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sidetone::call::facts::Facts;
use sidetone::call::key_source::KeySource;
use sidetone::call::negotiation::{MediaTerms, Negotiation};
use sidetone::call::recording::{Recording, RecordingTerms, Step};
use sidetone::policy::rule::Party;
use sidetone::sdp::offer::Offer;
use sidetone::sdp::session::Origin;
use sidetone::sip::endpoint::Endpoint;
use sidetone::sip::event::{Event, Output};
use sidetone::sip::message::Message;
use sidetone::sip::settings::Settings;
use sidetone::sip::transport::Source;
use sidetone::siprec::metadata::{Metadata, MetadataFault};

/// What a client gets.
pub(crate) struct Answered {
    /// `label party address` of each stream that is heard.
    pub(crate) parties: Vec<String>,
    pub(crate) fault: Option<MetadataFault>,
    pub(crate) sdp: String,
    pub(crate) contact: String,
    pub(crate) supported: Vec<String>,
}

/// The INVITE of a client that says no more than its Contact, with this body.
#[expect(clippy::disallowed_methods, reason = "an endpoint needs one instant to count from")]
pub(crate) fn answer(content_type: &str, body: &str) -> Answered {
    let now = Instant::now();
    let local = SocketAddr::from(([192, 0, 2, 2], 5060));
    let mut endpoint = Endpoint::new(Settings::new(local), 1);
    let text = format!(
        "INVITE sip:srs@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\n\
         From: <sip:src@192.0.2.1>;tag=1\r\nTo: <sip:srs@192.0.2.2>\r\nCall-ID: x\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:src@192.0.2.1>;src\r\nRecv-Info:\r\n\
         Content-Type: {content_type}\r\n\r\n{body}"
    );
    let source = Source::udp(SocketAddr::from(([192, 0, 2, 1], 5060)));
    endpoint.handle_message(now, &source, text.as_bytes());
    let mut invited = None;
    while let Some(output) = endpoint.poll_output() {
        if let Output::Event { call, event: Event::Invited(invitation) } = output {
            invited = Some((call, invitation));
        }
    }
    let (call, invitation) = invited.unwrap_or_else(|| panic!("not let in: {text}"));
    assert!(invitation.recording, "{text}");
    let terms = RecordingTerms { agents: Vec::new(), first: Party::Caller, claims: true };
    let told = Facts::read(&invitation.headers, "x").expect("good headers");
    let mut recording = Recording::new(terms, told, None);
    let fault = match invitation.metadata.as_deref().map(Metadata::parse).transpose() {
        Ok(metadata) => {
            metadata.into_iter().for_each(|metadata| recording.handle_metadata(metadata, true));
            None
        }
        Err(fault) => Some(fault),
    };
    let offer = Offer::parse(invitation.offer.as_deref().expect("an offer")).expect("a good one");
    let mut settled = Vec::new();
    let mut labels = Vec::new();
    for stream in offer.streams() {
        let rtp = SocketAddr::from(([192, 0, 2, 2], 20_000 + 2 * stream.index as u16));
        let keys = KeySource::new([stream.index as u8; 32]);
        let (patience, terms) = (Duration::from_secs(60), MediaTerms::default());
        let mut negotiation = Negotiation::new(rtp, 1, patience, terms, keys);
        if let Ok((answer, _)) = negotiation.respond_to_stream(&offer, stream.index) {
            settled.push(answer);
            labels.push((stream.index, stream.label));
        }
    }
    recording.handle_streams(labels.iter().copied());
    let mut parties = Vec::new();
    while let Some(Step::Begin { index, facts }) = recording.poll_step() {
        let label = labels.iter().find(|(of, _)| *of == index).and_then(|(_, label)| *label);
        let subject = facts.subject.map_or(String::new(), |subject| format!(" {subject}"));
        parties.push(format!("{} {}{subject}", label.unwrap_or_default(), facts.party.as_str()));
        recording.begun(index, endpoint.new_key());
    }
    let mut origin = Origin::new(5);
    let sdp = offer.answer_several([192, 0, 2, 2].into(), &settled, &mut origin);
    endpoint.accept(now, call, sdp.clone(), &[]);
    let mut accepted = None;
    while let Some(output) = endpoint.poll_output() {
        if let Output::Transmit { bytes, .. } = output
            && let Ok(Message::Response(response)) = Message::parse(&bytes)
            && response.message.status == 200
        {
            accepted = Some(response.message.headers);
        }
    }
    let headers = accepted.expect("a 200");
    let contact = headers.get("Contact").expect("a Contact").to_owned();
    let supported = headers.list("Supported").map(str::to_owned).collect();
    Answered { parties, fault, sdp, contact, supported }
}

/// Protocol, formats and direction of each audio line that is switched on.
pub(crate) fn offered(sdp: &str) -> Vec<String> {
    let sections = sdp.split("m=audio ").skip(1);
    let on = sections.filter(|section| !section.starts_with("0 "));
    let told = on.map(|section| {
        let line = section.lines().next().and_then(|line| line.split_once(' '));
        let (_, formats) = line.expect("a port and more");
        let directions = ["recvonly", "inactive", "sendrecv", "sendonly"];
        let is = |direction: &&str| section.contains(&format!("a={direction}\r\n"));
        format!("{formats} {}", directions.into_iter().find(is).unwrap_or("none"))
    });
    told.collect()
}
