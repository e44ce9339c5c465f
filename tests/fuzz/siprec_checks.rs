//! What must hold for any recording client's body: the fuzzing's target, and the replay of what it found.
#![allow(dead_code, reason = "each target runs one of them")]

use std::net::SocketAddr;
use std::time::Duration;

use sidetone::call::facts::Facts;
use sidetone::call::key_source::KeySource;
use sidetone::call::negotiation::{MediaTerms, Negotiation};
use sidetone::call::recording::{Recording, RecordingTerms, Step};
use sidetone::policy::rule::Party;
use sidetone::sdp::offer::Offer;
use sidetone::sdp::session::Origin;
use sidetone::sip::endpoint::Endpoint;
use sidetone::sip::headers::Headers;
use sidetone::sip::multipart::{Part, parts};
use sidetone::sip::settings::Settings;
use sidetone::siprec::metadata::Metadata;

/// The first line is the Content-Type, all else the body: whatever it holds, every stream has one leg, every m-line its
/// place in our answer, and metadata settles who is who.
pub(crate) fn siprec(data: &[u8]) {
    let line = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (content_type, body) = (&data[..line], data.get(line + 1..).unwrap_or_default());
    let mut headers = Headers::default();
    headers.push("Content-Type", String::from_utf8_lossy(content_type));
    let parts = parts(&headers, body);
    let terms = RecordingTerms { agents: Vec::new(), first: Party::Caller, claims: true };
    let told = Facts::read(&headers, "fuzz").expect("none of our headers");
    let mut recording = Recording::new(terms, told, None);
    let metadata = parts.iter().filter(|part| part.is_recording_metadata());
    for part in metadata {
        if let Ok(metadata) = Metadata::parse(&part.body) {
            recording.handle_metadata(metadata, true);
        }
    }
    let sdp = parts.iter().find(|part| Part::is_sdp(part));
    let Some(sdp) = sdp.map(|part| String::from_utf8_lossy(&part.body)) else { return };
    let Ok(offer) = Offer::parse(&sdp) else { return };
    let streams: Vec<_> = offer.streams().map(|stream| (stream.index, stream.label)).collect();
    recording.handle_streams(streams.iter().copied());
    // What an endpoint hands out is what tells legs apart.
    let mut endpoint = Endpoint::new(Settings::new(SocketAddr::from(([192, 0, 2, 2], 5060))), 1);
    let mut steps = 0;
    while let Some(step) = recording.poll_step() {
        let Step::Begin { index, .. } = step else { panic!("nothing has changed: {step:?}") };
        recording.begun(index, endpoint.new_key());
        steps += 1;
    }
    assert_eq!((steps, recording.legs().len()), (streams.len(), streams.len()));
    let mut settled = Vec::new();
    let mut origin = Origin::new(1);
    let ip = SocketAddr::from(([192, 0, 2, 2], 0)).ip();
    for (index, label) in &streams {
        let local = SocketAddr::new(ip, 20_000 + 2 * (*index as u16 % 1_000));
        let (terms, keys) = (MediaTerms::default(), KeySource::new([7; 32]));
        let mut negotiation = Negotiation::new(local, 7, Duration::from_secs(60), terms, keys);
        if let Ok((answer, plan)) = negotiation.respond_to_stream(&offer, *index) {
            assert_eq!(answer.negotiated.label.as_deref(), *label);
            assert!(plan.send.is_none(), "nothing is sent back");
            settled.push(answer);
        }
    }
    let answer = offer.answer_several(ip, &settled, &mut origin);
    let lines = |text: &str| text.split(['\r', '\n']).filter(|l| l.starts_with("m=")).count();
    assert_eq!(lines(&answer), lines(&sdp), "{answer}");
    let read = Offer::parse(&answer).expect("our own answer can be read");
    assert_eq!(read.streams().count(), settled.len(), "{answer}");
}
