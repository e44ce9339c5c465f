//! One endpoint and a peer that writes its messages by hand.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sidetone::sip::client_call::Placing;
use sidetone::sip::endpoint::Endpoint;
use sidetone::sip::event::{CallKey, End, Event, Output};
use sidetone::sip::hops::Way;
use sidetone::sip::message::{Message, Method, Received, Request, Response};
use sidetone::sip::settings::Settings;
use sidetone::sip::transport::{Hop, Source};

const OURS: &str = "192.0.2.2:5060";
const THEIRS: &str = "192.0.2.1:5066";

/// An endpoint and a peer that writes its messages by hand.
struct Bench {
    endpoint: Endpoint,
    now: Instant,
    sent: Vec<(SocketAddr, Message)>,
    events: Vec<(CallKey, Event)>,
}

impl Bench {
    fn new() -> Self {
        Self::with(Settings::new(OURS.parse().expect("an address")))
    }

    #[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn with(settings: Settings) -> Self {
        let endpoint = Endpoint::new(settings, 1);
        Self { endpoint, now: Instant::now(), sent: Vec::new(), events: Vec::new() }
    }

    fn receive(&mut self, text: &str) {
        let source = THEIRS.parse().expect("an address");
        self.endpoint.handle_message(self.now, &Source::udp(source), text.as_bytes());
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit { hop, bytes } => {
                    let message = Message::parse(&bytes).expect("we write what we can read");
                    self.sent.push((hop.address, message));
                }
                Output::Event { call, event } => self.events.push((call, event)),
                other => panic!("nothing is looked up or kept out: {other:?}"),
            }
        }
    }

    /// The last message sent, a response.
    fn response(&self) -> &Received<Response> {
        match self.sent.last() {
            Some((_, Message::Response(response))) => response,
            other => panic!("no response: {other:?}"),
        }
    }

    fn status(&self) -> u16 {
        self.response().message.status
    }

    /// Requests sent, by method, with where they went.
    fn requests(&self) -> Vec<(&str, String)> {
        let request = |(to, message): &'_ (SocketAddr, Message)| match message {
            Message::Request(request) => Some((request.message.method.clone(), to.to_string())),
            Message::Response(_) => None,
        };
        let name = |method: Method| match method {
            Method::Ack => "ACK",
            Method::Bye => "BYE",
            Method::Cancel => "CANCEL",
            Method::Invite => "INVITE",
            _ => "other",
        };
        self.sent.iter().filter_map(request).map(|(m, to)| (name(m), to)).collect()
    }

    /// Calls the peer; returns our INVITE.
    fn invite(&mut self) -> (CallKey, Received<Request>) {
        let way = Some(Way::Hop(Hop::udp(THEIRS.parse().expect("an address"))));
        let offer = Some("v=0".to_owned());
        let call =
            self.endpoint.invite(self.now, Placing { way, offer, ..Placing::new("sip:x@y") });
        self.drain();
        match self.sent.first() {
            Some((_, Message::Request(invite))) => (call, invite.clone()),
            other => panic!("no INVITE: {other:?}"),
        }
    }

    /// The peer answers `invite`.
    fn answer(
        &mut self,
        invite: &Received<Request>,
        status: u16,
        tag: &str,
        more: &[(&str, &str)],
    ) {
        let mut answer = Response::to(&invite.message.headers, status, None).with_to_tag(tag);
        for (name, value) in more {
            answer = answer.with(name, value);
        }
        self.receive(&String::from_utf8_lossy(&answer.to_bytes()));
    }

    /// Lets every timer run that is due until `seconds` from now.
    fn wait(&mut self, seconds: u64) {
        let until = self.now + Duration::from_secs(seconds);
        while let Some(next) = self.endpoint.poll_timeout().filter(|next| *next <= until) {
            self.endpoint.handle_timeout(next);
            self.drain();
        }
        self.now = until;
    }

    /// An accepted call; returns our tag.
    fn accepted(&mut self) -> String {
        self.receive(&request("INVITE", 1, "", "z9hG4bKi", "Contact: <sip:a@192.0.2.1:5066>\r\n"));
        let call = self.events[0].0;
        self.endpoint.accept(self.now, call, "v=0".to_owned(), &[]);
        self.drain();
        self.response().to.tag.clone().expect("a 200 has our tag")
    }
}

fn request(method: &str, cseq: u32, tag: &str, branch: &str, more: &str) -> String {
    let tag = if tag.is_empty() { String::new() } else { format!(";tag={tag}") };
    format!(
        "{method} sip:sidetone@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP pbx;rport;branch={branch}\r\n\
         From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>{tag}\r\nCall-ID: x\r\nCSeq: {cseq} {method}\r\n\
         {more}\r\n"
    )
}

#[test]
fn options_tells_what_we_can_do_to_where_it_came_from() {
    let mut bench = Bench::new();
    bench.receive(&request("OPTIONS", 1, "", "z9hG4bKo", ""));
    let headers = &bench.response().message.headers;
    assert_eq!(
        headers.get("Allow"),
        Some("INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE, PRACK")
    );
    assert_eq!(headers.list("Supported").collect::<Vec<_>>(), ["100rel", "timer", "siprec"]);
    assert_eq!(headers.get("Recv-Info"), Some(""));
    let via = "SIP/2.0/UDP pbx;branch=z9hG4bKo;received=192.0.2.1;rport=5066";
    assert_eq!(headers.get("Via"), Some(via));
    assert_eq!(bench.sent[0].0.to_string(), THEIRS);
}

#[test]
fn numbers_out_of_order_are_refused_and_the_call_goes_on() {
    let mut bench = Bench::new();
    let tag = bench.accepted();
    bench.receive(&request("ACK", 1, &tag, "z9hG4bKa", ""));
    bench.receive(&request("OPTIONS", 5, &tag, "z9hG4bKb", ""));
    assert_eq!(bench.status(), 200);
    bench.receive(&request("BYE", 4, &tag, "z9hG4bKc", ""));
    assert_eq!(bench.status(), 500);
    assert_eq!(bench.endpoint.stats().calls_alive, 1);
    bench.receive(&request("BYE", 6, &tag, "z9hG4bKd", "Reason: Q.850;cause=16\r\n"));
    assert_eq!(bench.status(), 200);
    let reason = Some("Q.850;cause=16".to_owned());
    let end = Event::Ended(End::ByPeer { reason });
    assert_eq!(bench.events.last().map(|(_, event)| event), Some(&end));
}

#[test]
fn a_second_invite_has_to_wait_for_the_first() {
    let mut bench = Bench::new();
    let tag = bench.accepted();
    bench.receive(&request("ACK", 1, &tag, "z9hG4bKa", ""));
    bench.receive(&request("INVITE", 2, &tag, "z9hG4bKb", ""));
    bench.receive(&request("INVITE", 3, &tag, "z9hG4bKc", ""));
    assert_eq!(bench.status(), 500);
    let wait = bench.response().message.headers.get("Retry-After").expect("a wait").parse::<u8>();
    assert!(wait.is_ok_and(|wait| wait <= 10));
    bench.receive(&request("BYE", 4, &tag, "z9hG4bKd", ""));
    // The BYE and the INVITE it left open.
    assert_eq!(bench.status(), 487);
}

#[test]
fn a_bye_may_come_before_the_ack() {
    let mut bench = Bench::new();
    let tag = bench.accepted();
    bench.receive(&request("BYE", 2, &tag, "z9hG4bKb", ""));
    assert_eq!(bench.status(), 200);
    assert_eq!(bench.endpoint.stats().calls_alive, 0);
}

#[test]
fn an_info_without_a_package_is_taken_and_one_with_is_not() {
    let mut bench = Bench::new();
    let tag = bench.accepted();
    let digit = "Content-Type: application/dtmf-relay\r\n\r\nSignal=5";
    bench.receive(&request("INFO", 2, &tag, "z9hG4bKb", digit));
    assert_eq!(bench.status(), 200);
    let Some((_, Event::InfoReceived { content_type, body })) = bench.events.last() else {
        panic!("no INFO")
    };
    assert_eq!((content_type.as_str(), &body[..8]), ("application/dtmf-relay", &b"Signal=5"[..]));
    bench.receive(&request("INFO", 3, &tag, "z9hG4bKc", "Info-Package: dtmf\r\n"));
    assert_eq!(bench.status(), 469);
    assert_eq!(bench.response().message.headers.get("Recv-Info"), Some(""));
}

#[test]
fn malformed_requests_are_refused_by_name_and_counted() {
    let mut bench = Bench::new();
    bench.receive(&request("OPTIONS", 1, "", "z9hG4bKo", "Max-Forwards: 300\r\n"));
    let response = &bench.response().message;
    assert_eq!(
        (response.status, response.reason.as_str()),
        (400, "malformed Max-Forwards (RFC 3261 20)")
    );
    let first = bench.sent.clone();
    bench.receive(&request("OPTIONS", 1, "", "z9hG4bKo", "Max-Forwards: 300\r\n"));
    assert_eq!(bench.sent[1..], first);
    assert_eq!(bench.endpoint.stats().malformed.get("invalid"), Some(&2));
    bench.receive("\r\n\r\n");
    assert_eq!(bench.endpoint.stats().keep_alives, 1);
}

#[test]
fn a_second_branch_that_answers_is_acknowledged_and_hung_up() {
    let mut bench = Bench::new();
    let (_, invite) = bench.invite();
    bench.answer(&invite, 200, "one", &[("Contact", "<sip:a@192.0.2.31>")]);
    bench.answer(&invite, 200, "two", &[("Contact", "<sip:b@192.0.2.32>")]);
    let to = |host: &str| format!("{host}:5060");
    let expected = [
        ("INVITE", THEIRS.to_owned()),
        ("ACK", to("192.0.2.31")),
        ("ACK", to("192.0.2.32")),
        ("BYE", to("192.0.2.32")),
    ];
    assert_eq!(bench.requests(), expected);
    assert_eq!(bench.endpoint.stats().calls_alive, 1);
}

#[test]
fn a_cancel_waits_for_a_first_word_and_a_late_success_is_hung_up() {
    let mut bench = Bench::new();
    let (call, invite) = bench.invite();
    bench.endpoint.hang_up(bench.now, call, None);
    bench.drain();
    assert_eq!(bench.requests().len(), 1);
    bench.answer(&invite, 180, "one", &[]);
    assert_eq!(bench.requests().last().map(|request| request.0), Some("CANCEL"));
    // Nobody answers, neither the CANCEL nor the INVITE.
    bench.wait(33);
    let end = Event::Ended(End::ByUs { reason: None });
    assert_eq!(bench.events.last().map(|(_, event)| event), Some(&end));
    bench.answer(&invite, 200, "one", &[("Contact", "<sip:a@192.0.2.31>")]);
    let last: Vec<_> = bench.requests().iter().rev().take(2).map(|request| request.0).collect();
    assert_eq!(last, ["BYE", "ACK"]);
}

#[test]
fn the_route_of_a_call_of_ours_is_theirs_turned_around() {
    let mut bench = Bench::new();
    let (_, invite) = bench.invite();
    let route = ("Record-Route", "<sip:192.0.2.41;lr>, <sip:192.0.2.42;lr>");
    bench.answer(&invite, 200, "one", &[("Contact", "<sip:a@192.0.2.31>"), route]);
    assert_eq!(bench.requests()[1], ("ACK", "192.0.2.42:5060".to_owned()));
}

#[test]
fn a_full_table_refuses_strangers_without_remembering_them() {
    let mut settings = Settings::new(OURS.parse().expect("an address"));
    settings.max_transactions = 1;
    let mut bench = Bench::with(settings);
    bench.receive(&request("OPTIONS", 1, "", "z9hG4bKo", ""));
    bench.receive(&request("OPTIONS", 2, "", "z9hG4bKp", ""));
    assert_eq!(bench.status(), 503);
    let stats = bench.endpoint.stats();
    assert_eq!((stats.transactions_alive, stats.overloaded), (1, 1));
    bench.receive(&request("BYE", 3, "nobody", "z9hG4bKq", ""));
    assert_eq!(bench.status(), 481);
}

#[test]
fn answers_under_a_foreign_via_are_dropped() {
    let mut bench = Bench::new();
    let (_, invite) = bench.invite();
    let answer = Response::to(&invite.message.headers, 486, None).to_bytes();
    let foreign = String::from_utf8_lossy(&answer).replace("UDP 192.0.2.2", "UDP 192.0.2.255");
    bench.receive(&foreign);
    assert_eq!(bench.endpoint.stats().stray_responses, 1);
    assert!(bench.events.is_empty());
}

#[test]
fn a_success_may_be_acknowledged_under_the_invites_own_branch() {
    let mut bench = Bench::new();
    let tag = bench.accepted();
    // Peers of RFC 2543 know no other way.
    bench.receive(&request("ACK", 1, &tag, "z9hG4bKi", ""));
    assert_eq!(bench.events.last().map(|(_, e)| e), Some(&Event::Confirmed { answer: None }));
}

#[test]
fn a_request_is_no_merged_one_once_the_first_is_forgotten() {
    let mut bench = Bench::new();
    bench.receive(&request("OPTIONS", 1, "", "z9hG4bKo", ""));
    bench.receive(&request("OPTIONS", 1, "", "z9hG4bKp", ""));
    assert_eq!(bench.status(), 482);
    bench.wait(32);
    bench.receive(&request("OPTIONS", 1, "", "z9hG4bKq", ""));
    assert_eq!(bench.status(), 200);
}
