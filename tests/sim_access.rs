//! Who gets in: peers by network, certificate and password; what strangers get, and how little of
//! our work.

mod sim;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sidetone::sip::access::{Access, Peer, Strangers};
use sidetone::sip::account::Account;
use sidetone::sip::client_call::Placing;
use sidetone::sip::digest::Credentials;
use sidetone::sip::event::{End, Event, Failure, Rejection};
use sidetone::sip::info::InfoProfile;
use sidetone::sip::settings::Settings;
use sidetone::sip::transport::{LocalId, Source, Transport};
use sim::{CALLER, SIDECAR, Seen, World, address, host, local, to_sidecar};

const LONG: Duration = Duration::from_secs(300);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The caller's host is the only peer.
fn only_the_caller() -> Peer {
    let network = address(CALLER).ip().into();
    Peer { name: "pbx".into(), networks: vec![network], ..Peer::anybody(InfoProfile::Rfc6086) }
}

fn world(peers: Vec<Peer>, strangers: Strangers) -> World {
    let start = World::new(1).start;
    let mut settings = Settings::new(address(SIDECAR));
    settings.locals.push(local(SIDECAR, Transport::Tls));
    settings.access = Access::new(peers, strangers);
    settings.users = vec![Credentials::new("us", "rabbit")];
    World::with(1, start, Settings::new(address(CALLER)), settings)
}

fn request(method: &str, from: SocketAddr, nth: usize) -> String {
    format!(
        "{method} sip:sidetone@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP {from};rport;branch=z9hG4bK{nth}\r\n\
         From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x{nth}\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:a@{from}>\r\nContent-Length: 0\r\n\r\n"
    )
}

fn knock(world: &mut World, method: &str, from: SocketAddr, times: std::ops::Range<usize>) {
    for nth in times {
        world.receive(SIDECAR, &Source::udp(from), &request(method, from, nth));
    }
    world.idle(world.now - world.start + Duration::from_millis(10));
}

fn statuses(world: &World, method: &str) -> Vec<u16> {
    let answers = world.answers(address(SIDECAR), method);
    answers.iter().map(|answer| answer.message.status).collect()
}

fn take(world: &mut World, (_, end, call, event): &Seen) {
    if let (SIDECAR, Event::Invited(_)) = (*end, event) {
        let now = world.now;
        world.ends[SIDECAR].accept(now, *call, "v=0 answer".to_owned(), &[]);
    }
}

#[test]
fn a_stranger_hears_nothing_and_the_owner_hears_of_it() {
    let mut world = world(vec![only_the_caller()], Strangers::Silence);
    for (nth, method) in
        ["INVITE", "OPTIONS", "BYE", "CANCEL", "REGISTER", "DANCE"].iter().enumerate()
    {
        knock(&mut world, method, host(66), nth..nth + 1);
    }
    assert!(world.sent.is_empty() && world.seen.is_empty(), "{:#?}", world.transcript);
    assert_eq!(world.rejections.len(), 6);
    assert_eq!(world.rejections[0], (Source::udp(host(66)), Rejection::Stranger));
    let stats = world.ends[SIDECAR].stats();
    assert_eq!((stats.strangers, stats.transactions_alive, stats.calls), (6, 0, 0));
}

#[test]
fn a_stranger_may_be_told_403_but_not_often() {
    let mut world = world(vec![only_the_caller()], Strangers::Refusal);
    knock(&mut world, "INVITE", host(66), 0..100);
    assert_eq!(statuses(&world, "INVITE"), [403; 20]);
    assert_eq!(world.ends[SIDECAR].stats().rate_limited, 80);
    assert!(world.rejections.len() <= 20);
    // Another has an allowance of its own; theirs comes back, two a second.
    knock(&mut world, "INVITE", host(67), 0..1);
    world.idle(seconds(5));
    knock(&mut world, "INVITE", host(66), 100..200);
    assert_eq!(statuses(&world, "INVITE").len(), 20 + 1 + 10);
    // A 403 is without state: neither repeats nor an ACK make it more.
    knock(&mut world, "ACK", host(68), 0..1);
    world.idle(LONG);
    assert_eq!(statuses(&world, "INVITE").len(), 31);
    assert!(world.is_clean());
}

#[test]
fn a_stranger_reaches_no_call_without_its_tags() {
    let mut world = world(vec![only_the_caller()], Strangers::Silence);
    world.call(Some("v=0"));
    world.run(seconds(1), take);
    let invite = world.requests(address(CALLER), "INVITE").remove(0);
    let tag = |text: &Option<String>| text.clone().expect("both have one");
    let ours = tag(&world.answers(address(SIDECAR), "INVITE").remove(1).to.tag);
    let theirs = tag(&invite.from.tag);
    let sent = world.sent.len();
    let bye = |theirs: &str, ours: &str, nth: usize| {
        request("BYE", host(66), nth)
            .replace("To: <sip:c@d>", &format!("To: <sip:c@d>;tag={ours}"))
            .replace("tag=1\r", &format!("tag={theirs}\r"))
            .replace(&format!("Call-ID: x{nth}"), &format!("Call-ID: {}", invite.call_id))
            .replace("CSeq: 1", "CSeq: 9")
    };
    let tries = [bye(&theirs, "guess", 1), bye("guess", &ours, 2), bye("", "", 3)];
    let branch = invite.via.branch.as_deref().expect("an INVITE of ours has one");
    let cancel = request("CANCEL", host(66), 4)
        .replace("z9hG4bK4", branch)
        .replace("192.0.2.66:5060;rport", "192.0.2.1:5060;rport");
    for text in tries.iter().chain([&cancel]) {
        world.receive(SIDECAR, &Source::udp(host(66)), text);
    }
    world.idle(seconds(3));
    assert_eq!(world.sent.len(), sent, "silence");
    assert_eq!(world.ends[SIDECAR].stats().calls_alive, 1);
    // With both tags it is the peer itself, whose address has changed on the way.
    world.receive(SIDECAR, &Source::udp(host(66)), &bye(&theirs, &ours, 5));
    world.idle(seconds(4));
    assert_eq!(statuses(&world, "BYE"), [200]);
    assert_eq!(world.ends_of(SIDECAR), [&End::ByPeer { reason: None }]);
}

#[test]
fn what_a_stranger_answers_unasked_is_dropped() {
    let mut world = world(vec![only_the_caller()], Strangers::Refusal);
    let call = world.ends[SIDECAR].invite(
        world.now,
        Placing { offer: Some("v=0".into()), ..Placing::new("sip:them@192.0.2.9") },
    );
    world.idle(Duration::from_millis(50));
    let answer = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKguess\r\n\
        From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n";
    world.receive(SIDECAR, &Source::udp(host(66)), answer);
    assert_eq!(world.ends[SIDECAR].stats().stray_responses, 1);
    // The called side is no peer, and is awaited: its answers use up nothing.
    let invite = world.requests(address(SIDECAR), "INVITE").remove(0).message;
    let ringing = sidetone::sip::message::Response::to(&invite.headers, 180, None);
    let ringing = String::from_utf8(ringing.with_to_tag("t").to_bytes()).expect("text");
    (0..100).for_each(|_| world.receive(SIDECAR, &Source::udp(host(9)), &ringing));
    world.idle(Duration::from_millis(60));
    let progress = (call, Event::Progress { status: 180 });
    let told = world.seen.iter().filter(|seen| (seen.2, &seen.3) == (progress.0, &progress.1));
    assert_eq!(told.count(), 100);
    assert_eq!(world.ends[SIDECAR].stats().rate_limited, 0);
}

#[test]
fn nonsense_of_strangers_gets_nothing_and_of_peers_a_400() {
    let mut world = world(vec![only_the_caller()], Strangers::Refusal);
    let wrong = |from, nth| {
        request("OPTIONS", from, nth).replace("Contact", "Max-Forwards: 300\r\nContact")
    };
    world.receive(SIDECAR, &Source::udp(host(66)), &wrong(host(66), 1));
    world.receive(SIDECAR, &Source::udp(host(66)), "\u{0}\u{1}nothing at all\r\n\r\n");
    let (stranger, head) = (Source::udp(host(66)), request("INVITE", host(66), 2));
    world.ends[SIDECAR].handle_unreadable(&stranger, head.as_bytes());
    world.idle(seconds(1));
    assert!(world.sent.is_empty(), "{:#?}", world.transcript);
    assert_eq!(world.ends[SIDECAR].stats().malformed.values().sum::<u64>(), 3);
    world.receive(SIDECAR, &Source::udp(address(CALLER)), &wrong(address(CALLER), 3));
    world.ends[SIDECAR].handle_unreadable(&Source::udp(address(CALLER)), head.as_bytes());
    world.idle(seconds(2));
    assert_eq!([statuses(&world, "OPTIONS"), statuses(&world, "INVITE")].concat(), [400, 400]);
}

/// Two ends, of which the sidecar asks the caller for a password, and the caller has this one.
fn with_password(password: &str) -> World {
    let start = World::new(1).start;
    let mut caller = Settings::new(address(CALLER));
    caller.accounts = vec![Account {
        name: "us".into(),
        registrar: "sip:192.0.2.2".into(),
        aor: "sip:us@pbx.example".into(),
        contact_user: "us".into(),
        credentials: Some(Credentials::new("us", password)),
        expires: seconds(600),
        registers: false,
    }];
    let mut sidecar = Settings::new(address(SIDECAR));
    sidecar.access =
        Access::new(vec![Peer { digest: true, ..only_the_caller() }], Strangers::Silence);
    sidecar.users = vec![Credentials::new("us", "rabbit")];
    World::with(1, start, caller, sidecar)
}

fn call_with_account(world: &mut World) {
    let placing = Placing { account: Some(0), offer: Some("v=0".into()), ..to_sidecar() };
    let age = world.now - world.start;
    world.ends[CALLER].invite(world.now, placing);
    world.run(age + seconds(1), take);
}

#[test]
fn the_right_password_gets_in_after_one_challenge_and_its_answer_serves_once() {
    let mut world = with_password("rabbit");
    call_with_account(&mut world);
    assert_eq!(statuses(&world, "INVITE"), [401, 100, 200]);
    assert_eq!(world.ends[SIDECAR].stats().challenged, 1);
    let invited = |event: &&Event| matches!(event, Event::Invited(_));
    assert_eq!(world.events(SIDECAR).into_iter().filter(invited).count(), 1);
    // Somebody who listened sends the same credentials again, in a call of their own.
    let sent = world.sent.iter().rfind(|sent| sent.bytes.starts_with(b"INVITE")).expect("two");
    let text = String::from_utf8(sent.bytes.clone()).expect("text");
    let replay = text.replace("z9hG4bK", "z9hG4bKagain").replace("Call-ID: ", "Call-ID: again");
    world.receive(SIDECAR, &Source::udp(address(CALLER)), &replay);
    world.run(seconds(2), take);
    assert_eq!(world.events(SIDECAR).into_iter().filter(invited).count(), 1);
    let refusal = world
        .answers(address(SIDECAR), "INVITE")
        .into_iter()
        .find(|answer| answer.call_id.starts_with("again"))
        .expect("an answer");
    assert_eq!(refusal.message.status, 401);
    let challenges: Vec<_> = refusal.message.headers.all("WWW-Authenticate").collect();
    assert_eq!(challenges.len(), 2, "RFC 8760: SHA-256 and, below it, MD5");
    assert!(challenges.iter().all(|challenge| challenge.contains("stale=true")));
    assert_eq!(world.ends[SIDECAR].stats().calls_alive, 1);
}

#[test]
fn a_wrong_password_is_refused_counted_and_slowed_down() {
    let mut world = with_password("rabit");
    for _ in 0..30 {
        call_with_account(&mut world);
    }
    let stats = world.ends[SIDECAR].stats();
    assert_eq!((stats.calls, stats.wrong_passwords), (0, 30));
    let wrong = world.rejections.iter().filter(|(_, why)| *why == Rejection::WrongPassword);
    assert_eq!(wrong.count(), 30);
    assert!(world.ends_of(CALLER).iter().all(|end| **end == End::Failed(Failure::WrongPassword)));
    // One guess a second is within the allowance of strangers; a hundred at once are not.
    let now = world.now;
    for _ in 0..100 {
        let placing = Placing { account: Some(0), offer: None, ..to_sidecar() };
        world.ends[CALLER].invite(now, placing);
    }
    world.idle(now - world.start + seconds(1));
    let refused = statuses(&world, "INVITE").into_iter().filter(|status| *status == 403).count();
    assert!((75..=81).contains(&refused), "{refused} were not even challenged again");
}

#[test]
fn other_peers_count_from_then_on_and_a_call_that_stands_goes_on() {
    let mut world = world(vec![only_the_caller()], Strangers::Refusal);
    let standing = world.call(Some("v=0"));
    world.run(seconds(1), take);
    assert_eq!(world.ends[SIDECAR].stats().calls_alive, 1);
    let elsewhere = Peer { networks: vec![host(77).ip().into()], ..only_the_caller() };
    world.ends[SIDECAR].admit(vec![elsewhere], Vec::new());
    world.call(Some("v=0"));
    world.run(seconds(2), take);
    assert_eq!(world.ends_of(CALLER), [&End::Refused { status: 403 }], "a stranger by now");
    assert_eq!(world.ends[SIDECAR].stats().calls_alive, 1);
    let now = world.now;
    world.ends[CALLER].hang_up(now, standing, None);
    world.run(seconds(3), take);
    assert_eq!(world.ends_of(SIDECAR), [&End::ByPeer { reason: None }]);
}

#[test]
fn another_password_counts_from_then_on() {
    let mut world = with_password("hare");
    call_with_account(&mut world);
    assert_eq!(world.ends[SIDECAR].stats().wrong_passwords, 1);
    let peer = Peer { digest: true, ..only_the_caller() };
    world.ends[SIDECAR].admit(vec![peer], vec![Credentials::new("us", "hare")]);
    call_with_account(&mut world);
    let stats = world.ends[SIDECAR].stats();
    assert_eq!((stats.wrong_passwords, stats.calls_alive), (1, 1));
}

#[test]
fn the_names_of_a_certificate_decide_over_tls_and_nothing_else_does() {
    let certificate = Some("pbx.example".to_owned());
    let transports = vec![Transport::Tls];
    let peer = Peer { certificate, transports, ..Peer::anybody(InfoProfile::None) };
    let mut world = world(vec![peer], Strangers::Silence);
    let over_tls = |names: &[&str]| {
        let mut source = Source::udp(host(9));
        (source.hop.transport, source.hop.local) = (Transport::Tls, LocalId(1));
        source.names = names.iter().map(|name| (*name).to_owned()).collect::<Arc<[_]>>();
        source
    };
    let mut named_on_udp = over_tls(&["pbx.example"]);
    (named_on_udp.hop.transport, named_on_udp.hop.local) = (Transport::Udp, LocalId(0));
    let text = |nth| request("INVITE", host(9), nth).replace("/UDP", "/TLS");
    let kept_out = [over_tls(&[]), over_tls(&["other.example", "pbx.example.evil"]), named_on_udp];
    for (nth, source) in kept_out.iter().enumerate() {
        world.ends[SIDECAR].handle_message(world.now, source, text(nth).as_bytes());
    }
    assert_eq!(world.ends[SIDECAR].stats().calls, 0);
    let proven = over_tls(&["other.example", "PBX.example"]);
    world.ends[SIDECAR].handle_message(world.now, &proven, text(9).as_bytes());
    assert_eq!(world.ends[SIDECAR].stats().calls, 1);
    assert_eq!(world.ends[SIDECAR].stats().strangers, 3);
}

#[test]
fn a_flood_of_strangers_costs_a_known_peer_nothing() {
    let quiet = {
        let mut world = world(vec![only_the_caller()], Strangers::Refusal);
        world.call(Some("v=0"));
        world.run(seconds(10), take);
        world.transcript
    };
    let mut world = world(vec![only_the_caller()], Strangers::Refusal);
    world.call(Some("v=0"));
    let mut nth = 0;
    // 20,000 a second, half of them from one host and half from as many.
    for tick in 1..=100 {
        for _ in 0..1_000 {
            nth += 1;
            let spread =
                SocketAddr::from(([10, (nth >> 16) as u8, (nth >> 8) as u8, nth as u8], 5060));
            for from in [host(66), spread] {
                let now = world.now;
                let text = request("INVITE", from, nth);
                world.ends[SIDECAR].handle_message(now, &Source::udp(from), text.as_bytes());
            }
        }
        world.run(Duration::from_millis(100 * tick), take);
    }
    let to_strangers = |line: &&String| line.contains(" to udp:");
    let (strangers, peer): (Vec<_>, Vec<_>) =
        world.transcript.iter().partition(|line| to_strangers(line));
    let lines = |lines: Vec<&String>| {
        let line = |line: &String| line.split(": ").nth(1).unwrap_or_default().to_owned();
        lines.into_iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(lines(peer), lines(quiet.iter().collect()));
    let stats = world.ends[SIDECAR].stats();
    assert_eq!(stats.retransmissions_received + stats.retransmissions_sent, 0);
    assert_eq!((stats.requests.get("INVITE"), stats.overloaded), (Some(&1), 0));
    assert_eq!(stats.transactions_alive, 1, "the peer's own");
    // Read at all: 20 and 2 a second of the one; of the many as many a second as the table holds,
    // which is looked through once a second.
    assert_eq!(stats.strangers + stats.rate_limited, 200_000);
    assert!(stats.strangers <= 10 * 4_096 + 200, "{} were read", stats.strangers);
    assert_eq!(strangers.len() as u64, stats.strangers, "one answer each, and none is kept");
    assert!(world.rejections.len() <= 16 * 100, "told: {}", world.rejections.len());
}
