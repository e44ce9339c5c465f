//! Streams beside datagrams, and names that lead to one server after another (RFC 3261 §18, RFC 3263).

mod sim;

use std::net::SocketAddr;
use std::time::Duration;

use Transport::{Tcp, Udp};
use sidetone::sip::client_call::Placing;
use sidetone::sip::client_transactions::Unanswered;
use sidetone::sip::dns::{Query, Records, Srv};
use sidetone::sip::event::{CallKey, End, Event, Failure};
use sidetone::sip::message::{Message, Method, Response};
use sidetone::sip::settings::Settings;
use sidetone::sip::transport::{Hop, Source, Transport};
use sim::{CALLER, SIDECAR, Seen, World, address, host, local, to_sidecar};

const ANSWER: &str = "v=0 answer";
const LONG: Duration = Duration::from_secs(300);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Both ends, over what each can be reached.
fn world(caller: &[Transport], sidecar: &[Transport]) -> World {
    let settings = |end, transports: &[Transport]| {
        let mut settings = Settings::new(address(end));
        settings.locals = transports.iter().map(|transport| local(end, *transport)).collect();
        settings
    };
    let start = World::new(1).start;
    World::with(1, start, settings(CALLER, caller), settings(SIDECAR, sidecar))
}

fn take(world: &mut World, (_, end, call, event): &Seen) {
    if let (SIDECAR, Event::Invited(_)) = (*end, event) {
        let now = world.now;
        world.ends[SIDECAR].accept(now, *call, ANSWER.to_owned(), &[]);
    }
}

/// The caller calls `uri` with an offer of so many bytes.
fn call(world: &mut World, uri: &str, size: usize) -> CallKey {
    let placing = Placing { offer: Some("v".repeat(size)), ..Placing::new(uri) };
    world.ends[CALLER].invite(world.now, placing)
}

/// Where each `method` of `end` went, repeats included.
fn ways(world: &World, end: usize, method: &str) -> Vec<String> {
    let ours = world.sent.iter().filter(|sent| sent.from == address(end));
    let of_method = ours.filter(|sent| sent.bytes.starts_with(format!("{method} ").as_bytes()));
    of_method.map(|sent| sent.hop.to_string()).collect()
}

fn alive(world: &World) -> [u64; 2] {
    world.ends.each_ref().map(|end| end.stats().calls_alive)
}

/// Ends what stands from the caller's side, and sees that nothing is left.
fn hang_up(world: &mut World, call: CallKey) {
    world.ends[CALLER].hang_up(world.now, call, None);
    world.idle(world.now - world.start + LONG);
    assert!(world.is_clean(), "{:#?}", world.transcript);
}

#[test]
fn a_large_request_leaves_over_a_stream_and_the_call_stays_there() {
    let mut world = world(&[Udp, Tcp], &[Udp, Tcp]);
    let small = call(&mut world, "sip:sidetone@192.0.2.2", 500);
    world.run(seconds(1), take);
    assert_eq!(ways(&world, CALLER, "INVITE"), ["udp:192.0.2.2:5060"]);
    let large = call(&mut world, "sip:sidetone@192.0.2.2", 1_500);
    world.run(seconds(60), take);
    assert_eq!(ways(&world, CALLER, "INVITE")[1..], ["tcp:192.0.2.2:5060"]);
    let invite = world.requests(address(CALLER), "INVITE").remove(1);
    assert_eq!(invite.via.transport, "TCP");
    let contact = invite.message.headers.get("Contact");
    assert_eq!(contact, Some("<sip:sidetone@192.0.2.1:5060;transport=tcp>"));
    assert_eq!(alive(&world), [2, 2]);
    world.ends[CALLER].hang_up(world.now, small, None);
    hang_up(&mut world, large);
    assert_eq!(ways(&world, CALLER, "BYE"), ["udp:192.0.2.2:5060", "tcp:192.0.2.2:5060"]);
    assert_eq!(world.streams.len(), 1);
}

#[test]
fn a_large_request_falls_back_to_datagrams_where_no_stream_leads() {
    let mut world = world(&[Udp, Tcp], &[Udp]);
    let key = call(&mut world, "sip:sidetone@192.0.2.2", 1_500);
    world.run(seconds(2), take);
    assert_eq!(ways(&world, CALLER, "INVITE"), ["tcp:192.0.2.2:5060", "udp:192.0.2.2:5060"]);
    let invites = world.requests(address(CALLER), "INVITE");
    assert_eq!(invites[1].via.transport, "UDP");
    assert_ne!(invites[0].via.branch, invites[1].via.branch);
    assert_eq!(alive(&world), [1, 1]);
    hang_up(&mut world, key);
}

#[test]
fn a_large_request_that_no_stream_of_ours_could_take_is_a_datagram() {
    let mut world = world(&[Udp], &[Udp, Tcp]);
    let key = call(&mut world, "sip:sidetone@192.0.2.2", 1_500);
    world.run(seconds(2), take);
    assert_eq!(ways(&world, CALLER, "INVITE"), ["udp:192.0.2.2:5060"]);
    hang_up(&mut world, key);
}

#[test]
fn a_whole_call_over_a_stream_repeats_nothing() {
    let mut world = world(&[Tcp], &[Tcp]);
    let key = call(&mut world, "sip:sidetone@192.0.2.2", 10);
    world.run(seconds(60), take);
    hang_up(&mut world, key);
    let lines: Vec<_> = world.transcript.iter().filter_map(|l| l.split(": ").nth(1)).collect();
    let expected = [
        "INVITE sip:sidetone@192.0.2.2 SIP/2.0",
        "SIP/2.0 100 Trying",
        "SIP/2.0 200 OK",
        "ACK sip:sidetone@192.0.2.2:5060;transport=tcp SIP/2.0",
        "BYE sip:sidetone@192.0.2.2:5060;transport=tcp SIP/2.0",
        "SIP/2.0 200 OK",
    ];
    assert_eq!(lines, expected);
    assert_eq!(world.streams.len(), 1, "answers come over the stream that the caller opened");
}

#[test]
fn over_a_stream_no_request_is_repeated_but_the_wait_is_as_long() {
    let mut world = world(&[Udp, Tcp], &[Udp]);
    world.hosts.insert(host(9).ip(), (vec![Tcp], Box::new(|_, _, _| Vec::new())));
    call(&mut world, "sip:them@192.0.2.9;transport=tcp", 10);
    world.idle(LONG);
    assert_eq!(ways(&world, CALLER, "INVITE").len(), 1);
    assert_eq!(world.ends_of(CALLER), [&End::Failed(Failure::NoAnswer(Unanswered::TimedOut))]);
    assert_eq!(world.seen[0].0, seconds(32));
    assert!(world.is_clean());
}

/// A peer of the test's own at 192.0.2.9 that has called the sidecar from `source`.
struct Visitor {
    world: World,
    source: Source,
    contact: &'static str,
    call: CallKey,
}

impl Visitor {
    fn new(mut world: World, transport: Transport, contact: &'static str) -> Self {
        let ok = |_, _: &Hop, message: &Message| match message {
            Message::Request(r) if r.method != Method::Ack => {
                vec![Response::to(&r.message.headers, 200, None).to_bytes()]
            }
            _ => Vec::new(),
        };
        world.hosts.insert(host(9).ip(), (vec![Udp, Tcp], Box::new(ok)));
        let source = match transport {
            Udp => Source::udp(SocketAddr::new(host(9).ip(), 5_066)),
            _ => world.connect(host(9), SIDECAR, transport),
        };
        let invite = Self::text("INVITE", "", contact, transport);
        world.receive(SIDECAR, &source, &invite);
        world.idle(Duration::from_millis(100));
        let call = world.seen[0].2;
        Self { world, source, contact, call }
    }

    fn text(method: &str, tag: &str, contact: &str, transport: Transport) -> String {
        let transport = transport.as_str();
        format!(
            "{method} sip:sidetone@192.0.2.2 SIP/2.0\r\n\
             Via: SIP/2.0/{transport} 192.0.2.9:5070;branch=z9hG4bK{method};rport\r\n\
             From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>{tag}\r\nCall-ID: x\r\nCSeq: 1 {}\r\n\
             Contact: <{contact}>\r\nContent-Length: 0\r\n\r\n",
            if method == "ACK" { "ACK" } else { "INVITE" }
        )
    }

    fn accept(&mut self) {
        self.world.ends[SIDECAR].accept(self.world.now, self.call, ANSWER.to_owned(), &[]);
        self.wait(Duration::from_millis(50));
    }

    fn acknowledge(&mut self) {
        let answers = self.world.answers(address(SIDECAR), "INVITE");
        let tag = answers.last().and_then(|answer| answer.to.tag.clone()).expect("a 200 has one");
        let ack =
            Self::text("ACK", &format!(";tag={tag}"), self.contact, self.source.hop.transport);
        self.world.receive(SIDECAR, &self.source, &ack);
        self.wait(Duration::from_millis(50));
    }

    /// The sidecar hangs up; the ways that its BYEs take.
    fn bye(&mut self, wait: Duration) -> Vec<String> {
        self.world.ends[SIDECAR].hang_up(self.world.now, self.call, None);
        self.wait(wait);
        ways(&self.world, SIDECAR, "BYE")
    }

    fn wait(&mut self, wait: Duration) {
        self.world.idle(self.world.now - self.world.start + wait);
    }

    fn last_hop(&self) -> &Hop {
        &self.world.sent.last().expect("something was sent").hop
    }
}

fn both() -> World {
    world(&[Udp], &[Udp, Tcp])
}

#[test]
fn an_answer_goes_back_over_its_stream_or_over_a_new_one_to_the_sent_by_port() {
    let mut visitor = Visitor::new(both(), Tcp, "sip:a@192.0.2.9:5070;transport=tcp");
    let id = visitor.source.hop.connection.expect("a stream");
    assert_eq!((visitor.last_hop().connection, visitor.world.streams.len()), (Some(id), 1));
    visitor.world.close(id);
    visitor.accept();
    // §18.2.2: to the address that the request came from, at the port of Via.
    assert_eq!(visitor.last_hop().to_string(), "tcp:192.0.2.9:5070");
    assert_eq!(visitor.world.streams.len(), 2);
    assert_eq!(visitor.world.streams[1].to, SocketAddr::new(host(9).ip(), 5_070));
    assert_eq!(visitor.world.ends[SIDECAR].stats().calls_alive, 1, "a stream is not a call");
}

#[test]
fn a_success_is_repeated_until_its_ack_over_a_stream_too() {
    let mut visitor = Visitor::new(both(), Tcp, "sip:a@192.0.2.9:5070;transport=tcp");
    visitor.accept();
    visitor.wait(seconds(5));
    // 0, 0.5, 1.5 and 3.5 s: a proxy behind the stream may have gone on over UDP (§13.3.1.4).
    let successes = |world: &World| {
        let answers = world.answers(address(SIDECAR), "INVITE");
        answers.iter().filter(|answer| answer.message.status == 200).count()
    };
    assert_eq!(successes(&visitor.world), 4);
    visitor.acknowledge();
    visitor.wait(seconds(60));
    assert_eq!(successes(&visitor.world), 4);
    assert_eq!(visitor.world.ends[SIDECAR].stats().calls_alive, 1);
    let mut silent = Visitor::new(both(), Tcp, "sip:a@192.0.2.9:5070;transport=tcp");
    silent.accept();
    silent.wait(LONG);
    assert_eq!(successes(&silent.world), 11);
    assert_eq!(silent.world.ends_of(SIDECAR), [&End::Failed(Failure::NoAck)]);
}

#[test]
fn a_refusal_is_sent_once_over_a_stream() {
    let mut visitor = Visitor::new(both(), Tcp, "sip:a@192.0.2.9:5070;transport=tcp");
    let now = visitor.world.now;
    visitor.world.ends[SIDECAR].refuse(now, visitor.call, 486, None, &[]);
    visitor.wait(LONG);
    let answers = visitor.world.answers(address(SIDECAR), "INVITE");
    assert_eq!(answers.iter().map(|a| a.message.status).collect::<Vec<_>>(), [100, 486]);
    assert!(visitor.world.is_clean());
}

#[test]
fn our_requests_take_the_stream_that_the_peer_opened_while_it_is_open() {
    for close in [false, true] {
        let mut visitor = Visitor::new(both(), Tcp, "sip:a@192.0.2.9:5070;transport=tcp");
        visitor.accept();
        visitor.acknowledge();
        let id = visitor.source.hop.connection.expect("a stream");
        if close {
            visitor.world.close(id);
        }
        assert_eq!(visitor.bye(seconds(1)), ["tcp:192.0.2.9:5070"]);
        let streams = &visitor.world.streams;
        assert_eq!(streams.len(), 1 + usize::from(close), "a new one only where the old is closed");
        assert_eq!(visitor.world.answers(host(9), "BYE").len(), 1);
    }
}

#[test]
fn what_went_down_with_a_stream_is_sent_anew() {
    let mut visitor = Visitor::new(both(), Tcp, "sip:a@192.0.2.9:5070;transport=tcp");
    visitor.accept();
    visitor.acknowledge();
    let id = visitor.source.hop.connection.expect("a stream");
    let deaf = |_, _: &Hop, _: &Message| Vec::new();
    let (transports, ok) = visitor.world.hosts.remove(&host(9).ip()).expect("it is there");
    visitor.world.hosts.insert(host(9).ip(), (transports.clone(), Box::new(deaf)));
    visitor.bye(seconds(1));
    visitor.world.close(id);
    visitor.world.hosts.insert(host(9).ip(), (transports, ok));
    visitor.wait(seconds(1));
    assert_eq!(visitor.world.answers(host(9), "BYE").len(), 1);
    assert_eq!(visitor.world.streams.len(), 2, "over a stream of ours");
}

/// One zone for all: two servers, one host, and a name whose server is silent.
fn zone(query: &Query) -> Option<Records> {
    let srv =
        |priority, target: &str| Srv { priority, weight: 1, port: 5_060, target: target.into() };
    let address = |text: &str| Records::Address(vec![text.parse().expect("an address")]);
    Some(match query {
        Query::Naptr(name) | Query::Srv(name) | Query::Address(name) if name.contains("silent") => {
            return None;
        }
        Query::Srv(name) if name.ends_with("pbx.example") => {
            Records::Srv(vec![srv(2, "second.example"), srv(1, "first.example")])
        }
        Query::Address(name) => match name.as_str() {
            "first.example" => address("192.0.2.9"),
            "second.example" => address("192.0.2.2"),
            "contact.example" => address("192.0.2.10"),
            _ => Records::Failed,
        },
        Query::Naptr(_) | Query::Srv(_) => Records::Failed,
    })
}

#[test]
fn a_dead_first_server_is_passed_over_for_the_second() {
    let refuses = |_, _: &Hop, message: &Message| match message {
        Message::Request(r) if r.method == Method::Invite => {
            vec![Response::to(&r.message.headers, 503, None).with_to_tag("busy").to_bytes()]
        }
        _ => Vec::new(),
    };
    for (transport, overloaded, within) in
        [(Udp, false, 33.0), (Tcp, false, 0.1), (Udp, true, 0.2), (Tcp, true, 0.1)]
    {
        let mut world = world(&[Udp, Tcp], &[Udp, Tcp]);
        world.zone = Box::new(zone);
        if overloaded {
            world.hosts.insert(host(9).ip(), (vec![Udp, Tcp], Box::new(refuses)));
        }
        let name = transport.as_str().to_ascii_lowercase();
        let key = call(&mut world, &format!("sip:them@pbx.example;transport={name}"), 10);
        world.run(seconds(40), take);
        let ways = ways(&world, CALLER, "INVITE");
        assert_eq!(ways[0], format!("{name}:192.0.2.9:5060"));
        assert_eq!(ways.last(), Some(&format!("{name}:192.0.2.2:5060")));
        let invited = world.seen.iter().find(|seen| seen.1 == SIDECAR).expect("it arrived").0;
        assert!(invited.as_secs_f64() < within, "{name}, overloaded {overloaded}: {invited:?}");
        assert_eq!(world.events(CALLER).len(), 1, "the owner hears of the answer alone");
        let acks = world.requests(address(CALLER), "ACK");
        assert_eq!(acks.len(), 1 + usize::from(overloaded), "a 503 has its ACK, too");
        assert_eq!(alive(&world), [1, 1]);
        hang_up(&mut world, key);
    }
}

#[test]
fn the_last_server_has_the_last_word() {
    let mut world = world(&[Udp, Tcp], &[]);
    world.zone = Box::new(zone);
    call(&mut world, "sip:them@pbx.example;transport=tcp", 10);
    world.idle(seconds(1));
    let unreachable = End::Failed(Failure::NoAnswer(Unanswered::Unreachable));
    assert_eq!(world.ends_of(CALLER), [&unreachable]);
    assert_eq!(ways(&world, CALLER, "INVITE").len(), 2);
    assert!(world.is_clean());
}

#[test]
fn a_name_that_leads_nowhere_ends_the_call_at_once_and_a_silent_name_server_in_32_s() {
    let not_located = End::Failed(Failure::NoAnswer(Unanswered::NotLocated));
    let no_transport = End::Failed(Failure::NoAnswer(Unanswered::NoTransport));
    for (uri, end, when) in [
        ("sip:them@nowhere.example", &not_located, 0),
        ("sip:them@silent.example", &not_located, 32),
        ("sip:them@pbx.example;transport=tls", &no_transport, 0),
        ("sip:them@192.0.2.9;transport=tcp", &no_transport, 0),
        ("sip:them@[2001:db8::1]", &no_transport, 0),
    ] {
        let mut world = world(&[Udp], &[Udp]);
        world.zone = Box::new(zone);
        call(&mut world, uri, 10);
        world.idle(seconds(60));
        assert_eq!(world.ends_of(CALLER), [end], "{uri}");
        assert_eq!(world.seen[0].0.as_secs(), when, "{uri}");
        assert!(world.sent.is_empty() && world.is_clean(), "{uri}");
    }
}

#[test]
fn a_call_that_is_taken_back_while_its_name_is_looked_up_is_never_sent() {
    for name in ["silent.example", "pbx.example"] {
        let mut world = world(&[Udp], &[Udp]);
        world.zone = Box::new(zone);
        let key = call(&mut world, &format!("sip:them@{name}"), 10);
        world.idle(Duration::from_millis(1));
        hang_up(&mut world, key);
        assert_eq!(world.ends_of(CALLER), [&End::ByUs { reason: None }]);
        assert_eq!(world.seen[0].0, Duration::from_millis(1), "{name}: at once");
        assert!(world.sent.is_empty(), "{name}: nobody's telephone rings");
    }
}

#[test]
fn a_contact_with_a_name_is_looked_up_and_else_the_peer_is_where_it_sends_from() {
    let visitor = |contact| {
        let mut world = both();
        world.zone = Box::new(zone);
        let mut visitor = Visitor::new(world, Udp, contact);
        visitor.accept();
        visitor.acknowledge();
        visitor
    };
    // A container's host name, as Asterisk writes it where nobody told it better.
    assert_eq!(visitor("sip:a@4f1c2d").bye(seconds(1)), ["udp:192.0.2.9:5066"]);
    // The name leads to a host that is not there; what it sends from is.
    let mut elsewhere = visitor("sip:a@contact.example:5080");
    let ways = elsewhere.bye(seconds(40));
    assert_eq!(ways.first().map(String::as_str), Some("udp:192.0.2.10:5080"));
    assert_eq!(ways.last().map(String::as_str), Some("udp:192.0.2.9:5066"));
    assert_eq!(elsewhere.world.answers(host(9), "BYE").len(), 1);
    elsewhere.wait(LONG);
    assert!(elsewhere.world.is_clean());
    // An address is believed: §12.2.1.1.
    assert_eq!(visitor("sip:a@192.0.2.9:5090").bye(seconds(1)), ["udp:192.0.2.9:5090"]);
}

#[test]
fn the_same_seed_is_the_same_call_over_streams_and_names() {
    let play = || {
        let mut world = world(&[Udp, Tcp], &[Udp, Tcp]);
        world.zone = Box::new(zone);
        (world.loss, world.doubled) = (0.2, 0.2);
        let placings = ["sip:them@pbx.example", "sip:them@pbx.example;transport=tcp"];
        let calls = placings.map(|uri| call(&mut world, uri, 1_000));
        world.ends[CALLER].invite(world.now, to_sidecar());
        world.run(seconds(100), take);
        for call in calls {
            world.ends[CALLER].hang_up(world.now, call, None);
        }
        world.idle(seconds(400));
        (world.transcript, world.seen)
    };
    let (one, two) = (play(), play());
    assert!(one.0.len() > 12, "{:#?}", one.0);
    assert_eq!(one, two);
}
