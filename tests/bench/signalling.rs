//! What SIP costs: an INVITE read and answered, and a whole call.
#![expect(clippy::disallowed_methods, reason = "a benchmark needs one instant to count from")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use divan::Bencher;
use sidetone::sdp::answer::{Protection, Terms};
use sidetone::sdp::codec::Codec;
use sidetone::sdp::direction::Direction;
use sidetone::sdp::offer::Offer;
use sidetone::sdp::session::{Local, Origin, offer};
use sidetone::sip::endpoint::Endpoint;
use sidetone::sip::event::{CallKey, Event, Output};
use sidetone::sip::message::Message;
use sidetone::sip::settings::Settings;
use sidetone::sip::transport::Source;

const PEER: &str = "192.0.2.1:5060";

fn main() {
    divan::main();
}

/// 100 calls a second come in and end at once, so some thousand transactions are remembered.
struct Line {
    endpoint: Endpoint,
    now: Instant,
    peer: SocketAddr,
    calls: u64,
}

impl Line {
    fn new() -> Self {
        let settings = Settings::new("192.0.2.2:5060".parse().expect("an address"));
        let peer = PEER.parse().expect("an address");
        let mut line =
            Self { endpoint: Endpoint::new(settings, 1), now: Instant::now(), peer, calls: 0 };
        (0..4_000).for_each(|_| line.call());
        line
    }

    /// The INVITE of the next call, read and answered with the SDP that belongs to it; returns
    /// the tag of our side.
    fn invite(&mut self) -> (CallKey, String) {
        self.calls += 1;
        self.now += Duration::from_millis(10);
        self.endpoint.handle_timeout(self.now);
        let (mut call, mut tag) = (None, None);
        self.receive(&invite(self.calls));
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Event { call: key, event: Event::Invited(invitation) } => {
                    let sdp = answer(&invitation.offer.expect("an offer"));
                    self.endpoint.accept(self.now, key, sdp, &[]);
                    call = Some(key);
                }
                Output::Transmit { bytes, .. } => {
                    let text = String::from_utf8(bytes).expect("text");
                    tag = text.lines().find(|line| line.starts_with("To:")).map(str::to_owned);
                }
                _ => {}
            }
        }
        (call.expect("an invitation"), tag.expect("an answer"))
    }

    fn call(&mut self) {
        let (_, to) = self.invite();
        for (number, method) in [(1, "ACK"), (2, "BYE")] {
            self.receive(&within(method, number, self.calls, &to));
            while self.endpoint.poll_output().is_some() {}
        }
    }

    fn receive(&mut self, text: &str) {
        self.endpoint.handle_message(self.now, &Source::udp(self.peer), text.as_bytes());
    }
}

fn answer(offer: &str) -> String {
    let local = Local { rtp: "192.0.2.2:20000".parse().expect("an address"), rtcp_port: 20_001 };
    let codecs = [Codec::Opus, Codec::Pcma, Codec::Pcmu];
    let offer = Offer::parse(offer).expect("an offer");
    offer.answer(&Terms::plain(local, &codecs), &mut Origin::new(7)).expect("an answer").0
}

fn invite(call: u64) -> String {
    let local = Local { rtp: "192.0.2.1:4000".parse().expect("an address"), rtcp_port: 4_001 };
    let codecs = [Codec::Pcma, Codec::Pcmu];
    let sdp = offer(local, &codecs, Direction::RecvOnly, &Protection::None, &mut Origin::new(call));
    let sdp = sdp.replace("a=recvonly", "a=sendonly");
    let length = sdp.len();
    format!(
        "INVITE sip:sidetone@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP {PEER};rport;branch=z9hG4bKi{call}\r\n\
         Max-Forwards: 70\r\nFrom: \"Alice\" <sip:alice@192.0.2.1>;tag=t{call}\r\n\
         To: <sip:sidetone@192.0.2.2>\r\nCall-ID: {call}@192.0.2.1\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:alice@{PEER}>\r\nAllow: INVITE, ACK, CANCEL, OPTIONS, BYE, INFO, UPDATE\r\n\
         Supported: replaces, timer\r\nRecv-Info: sidetone\r\nUser-Agent: bench\r\n\
         X-Sidetone-Conversation: {call}\r\nX-Sidetone-Party: caller\r\nX-Sidetone-Subject: alice\r\n\
         X-Sidetone-Consent: ivr/{call}\r\nContent-Type: application/sdp\r\n\
         Content-Length: {length}\r\n\r\n{sdp}"
    )
}

fn within(method: &str, number: u32, call: u64, to: &str) -> String {
    format!(
        "{method} sip:sidetone@192.0.2.2:5060 SIP/2.0\r\n\
         Via: SIP/2.0/UDP {PEER};rport;branch=z9hG4bK{method}{call}\r\nMax-Forwards: 70\r\n\
         From: \"Alice\" <sip:alice@192.0.2.1>;tag=t{call}\r\n{to}\r\nCall-ID: {call}@192.0.2.1\r\n\
         CSeq: {number} {method}\r\nContent-Length: 0\r\n\r\n"
    )
}

/// The message alone.
#[divan::bench]
fn parse_invite(bencher: Bencher<'_, '_>) {
    let text = invite(1);
    bencher.bench(|| Message::parse(divan::black_box(text.as_bytes())));
}

/// INVITE, 200, ACK, BYE, 200, with the SDP of both sides.
#[divan::bench(sample_count = 1_000)]
fn whole_call(bencher: Bencher<'_, '_>) {
    let mut line = Line::new();
    bencher.bench_local(|| line.call());
}

/// INVITE to 200; the rest of the call is not counted.
#[divan::bench(sample_count = 1_000, sample_size = 1)]
fn answer_invite(bencher: Bencher<'_, '_>) {
    let line = std::cell::RefCell::new(Line::new());
    // Each input first ends the call before, so that none piles up.
    let last = std::cell::RefCell::new(None::<(u64, String)>);
    bencher
        .with_inputs(|| {
            if let Some((call, to)) = last.borrow_mut().take() {
                let mut line = line.borrow_mut();
                for (number, method) in [(1, "ACK"), (2, "BYE")] {
                    line.receive(&within(method, number, call, &to));
                    while line.endpoint.poll_output().is_some() {}
                }
            }
        })
        .bench_local_values(|()| {
            let mut line = line.borrow_mut();
            let (_, to) = line.invite();
            *last.borrow_mut() = Some((line.calls, to));
        });
}
