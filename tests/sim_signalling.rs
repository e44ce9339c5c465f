//! Whole calls between two endpoints in simulated time, over networks that misbehave.

mod sim;

use std::time::Duration;

use sidetone::sip::access::{Access, Peer, Strangers};
use sidetone::sip::client_transactions::Unanswered;
use sidetone::sip::endpoint::Endpoint;
use sidetone::sip::event::{End, Event, Failure, InfoFailure, InfoSkip};
use sidetone::sip::info::InfoProfile;
use sidetone::sip::settings::Settings;
use sidetone::sip::transport::Source;
use sim::{CALLER, SIDECAR, Seen, World, about, address};

const OFFER: &str = "v=0 offer";
const ANSWER: &str = "v=0 answer";
/// By then every timer of an ended call has run out.
const LONG: Duration = Duration::from_secs(300);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The sidecar takes every call, reports one verdict and hangs up once it has arrived.
fn answer_report_hang_up(world: &mut World, seen: &Seen) {
    let (_, end, call, event) = seen;
    if *end != SIDECAR {
        return;
    }
    let (now, sidecar) = (world.now, &mut world.ends[SIDECAR]);
    match event {
        Event::Invited(_) | Event::Reinvited { .. } => {
            sidecar.accept(now, *call, ANSWER.to_owned(), &[]);
        }
        Event::Confirmed { .. } => {
            sidecar.send_info(now, *call, about("any", b"{}"));
        }
        Event::InfoAnswered { .. } | Event::InfoFailed { .. } => {
            sidecar.hang_up(now, *call, None);
        }
        _ => {}
    }
}

fn take_calls(world: &mut World, seen: &Seen) {
    if let (_, SIDECAR, call, Event::Invited(_)) = seen {
        let now = world.now;
        world.ends[SIDECAR].accept(now, *call, ANSWER.to_owned(), &[]);
    }
}

/// A call that stands, after one second.
fn standing() -> World {
    let mut world = World::new(1);
    world.call(Some(OFFER));
    world.run(seconds(1), take_calls);
    assert!(matches!(world.events(SIDECAR).last(), Some(Event::Confirmed { .. })));
    world
}

fn calls(world: &World) -> [sidetone::sip::event::CallKey; 2] {
    let of = |end| world.seen.iter().find(|seen| seen.1 == end).expect("a call").2;
    [of(CALLER), of(SIDECAR)]
}

fn is_info_answered(event: &&&Event) -> bool {
    matches!(event, Event::InfoAnswered { .. })
}

#[test]
fn a_call_on_a_good_network_needs_eight_datagrams() {
    let mut world = World::new(1);
    world.call(Some(OFFER));
    world.run(LONG, answer_report_hang_up);
    let lines: Vec<_> =
        world.transcript.iter().map(|l| l.split(": ").nth(1).unwrap_or("")).collect();
    let expected = [
        "INVITE sip:sidetone@192.0.2.2 SIP/2.0",
        "SIP/2.0 100 Trying",
        "SIP/2.0 200 OK",
        "ACK sip:sidetone@192.0.2.2:5060 SIP/2.0",
        "INFO sip:sidetone@192.0.2.1:5060 SIP/2.0",
        "SIP/2.0 200 OK",
        "BYE sip:sidetone@192.0.2.1:5060 SIP/2.0",
        "SIP/2.0 200 OK",
    ];
    assert_eq!(lines, expected);
    let Event::Answered { sdp, .. } = world.events(CALLER)[0] else { panic!("no answer") };
    assert_eq!(sdp.as_deref(), Some(ANSWER));
    assert_eq!(world.ends_of(CALLER), [&End::ByPeer { reason: None }]);
    assert_eq!(world.ends_of(SIDECAR), [&End::ByUs { reason: None }]);
    assert!(world.is_clean());
}

#[test]
fn the_loss_of_any_single_datagram_costs_nothing_but_time() {
    for lost in 0..8 {
        let mut world = World::new(1);
        world.lost = Box::new(move |number, _| number == lost);
        world.call(Some(OFFER));
        world.run(LONG, answer_report_hang_up);
        assert_eq!(world.ends_of(CALLER), [&End::ByPeer { reason: None }], "lost: {lost}");
        assert_eq!(world.ends_of(SIDECAR), [&End::ByUs { reason: None }], "lost: {lost}");
        assert_eq!(
            world.events(SIDECAR).iter().filter(is_info_answered).count(),
            1,
            "lost: {lost}"
        );
        let received = |e: &&&Event| matches!(e, Event::InfoReceived { .. });
        assert_eq!(world.events(CALLER).iter().filter(received).count(), 1, "lost: {lost}");
        // The loss of the 100 alone is healed by the 200 that follows at once.
        assert!(lost == 1 || world.transcript.len() > 8, "nothing was repeated: {lost}");
        assert!(world.is_clean(), "lost: {lost}");
    }
}

fn on_a_bad_network(seed: u64) -> World {
    let mut world = World::new(seed);
    (world.loss, world.doubled, world.jitter) = (0.3, 0.3, Duration::from_millis(700));
    world.call(Some(OFFER));
    world.run(seconds(100), answer_report_hang_up);
    // Where the last BYE was lost eleven times over, one side does not know yet.
    for (end, call) in [CALLER, SIDECAR].into_iter().zip(calls_if_any(&world)) {
        if let Some(call) = call {
            let now = world.now;
            world.ends[end].hang_up(now, call, None);
        }
    }
    world.run(LONG, answer_report_hang_up);
    world
}

fn calls_if_any(world: &World) -> [Option<sidetone::sip::event::CallKey>; 2] {
    let of = |end| world.seen.iter().find(|seen| seen.1 == end).map(|seen| seen.2);
    [of(CALLER), of(SIDECAR)]
}

#[test]
fn no_network_leaves_anything_behind() {
    let mut answered = 0;
    for seed in 0..300 {
        let world = on_a_bad_network(seed);
        assert_eq!(world.ends_of(CALLER).len(), 1, "seed {seed}: {:#?}", world.transcript);
        assert!(world.ends_of(SIDECAR).len() <= 1, "seed {seed}: {:#?}", world.transcript);
        assert!(world.is_clean(), "seed {seed}: {:#?}", world.ends.each_ref().map(Endpoint::stats));
        answered += world.events(SIDECAR).iter().filter(is_info_answered).count();
    }
    assert!(answered > 290, "only {answered} of 300 calls delivered their verdict");
}

#[test]
fn same_seed_same_transcript() {
    let [one, two, other] = [7, 7, 8].map(on_a_bad_network);
    assert_eq!(one.transcript, two.transcript);
    assert_eq!(one.seen, two.seen);
    assert_ne!(one.transcript, other.transcript);
}

#[test]
fn doubled_datagrams_double_no_event() {
    let mut world = World::new(3);
    world.doubled = 1.0;
    world.call(Some(OFFER));
    world.run(LONG, answer_report_hang_up);
    assert_eq!(world.events(SIDECAR).len(), 4, "{:?}", world.seen);
    assert_eq!(world.events(CALLER).len(), 3, "{:?}", world.seen);
}

#[test]
fn a_200_that_is_never_acknowledged_ends_in_a_bye() {
    let mut world = World::new(1);
    world.lost = Box::new(|_, text| text.starts_with("ACK"));
    world.call(Some(OFFER));
    world.run(LONG, take_calls);
    assert_eq!(world.ends_of(SIDECAR), [&End::Failed(Failure::NoAck)]);
    assert!(matches!(world.ends_of(CALLER)[..], [End::ByPeer { reason: Some(_) }]));
    let ended =
        world.seen.iter().find(|seen| seen.1 == SIDECAR && matches!(seen.3, Event::Ended(_)));
    assert_eq!(ended.map(|seen| seen.0.as_secs()), Some(32));
    assert!(world.is_clean());
}

#[test]
fn hanging_up_before_the_ack_waits_for_it() {
    let mut world = World::new(1);
    world.lost = Box::new(|number, text| text.starts_with("ACK") && number < 5);
    world.call(Some(OFFER));
    world.run(LONG, |world, seen| {
        take_calls(world, seen);
        if let (_, SIDECAR, call, Event::Invited(_)) = seen {
            let now = world.now;
            world.ends[SIDECAR].hang_up(now, *call, Some("SIP;cause=200".to_owned()));
        }
    });
    let bye = world.transcript.iter().position(|l| l.contains("BYE")).expect("a BYE");
    let acks = world.transcript[..bye].iter().filter(|line| line.contains("ACK")).count();
    assert_eq!(acks, 2, "{:#?}", world.transcript);
    let reason = Some("SIP;cause=200".to_owned());
    assert_eq!(world.ends_of(CALLER), [&End::ByPeer { reason: reason.clone() }]);
    assert_eq!(world.ends_of(SIDECAR), [&End::ByUs { reason }]);
}

#[test]
fn a_cancel_and_a_200_may_cross_at_any_moment() {
    let (mut cancelled, mut hung_up) = (0, 0);
    for delay in (0..200).step_by(5) {
        let mut world = World::new(delay);
        let call = world.call(Some(OFFER));
        world.idle(Duration::from_millis(delay));
        let now = world.now;
        world.ends[CALLER].hang_up(now, call, None);
        world.idle(Duration::from_millis(100.max(delay)));
        let invited = world.seen.iter().find(|seen| matches!(seen.3, Event::Invited(_)));
        if let Some(call) = invited.map(|seen| seen.2) {
            let now = world.now;
            world.ends[SIDECAR].accept(now, call, ANSWER.to_owned(), &[]);
        }
        world.run(LONG, take_calls);
        assert_eq!(world.ends_of(CALLER), [&End::ByUs { reason: None }], "{delay} ms");
        match world.ends_of(SIDECAR)[..] {
            [End::Cancelled] => cancelled += 1,
            [End::ByPeer { .. }] => hung_up += 1,
            ref other => panic!("{delay} ms: {other:?}"),
        }
        assert!(world.is_clean(), "{delay} ms");
    }
    assert!(cancelled > 0 && hung_up > 0, "{cancelled} cancelled, {hung_up} hung up");
}

#[test]
fn an_unanswered_call_is_given_up_by_either_side() {
    let mut world = World::new(1);
    world.lost = Box::new(|_, _| true);
    world.call(Some(OFFER));
    world.idle(LONG);
    assert_eq!(world.ends_of(CALLER), [&End::Failed(Failure::NoAnswer(Unanswered::TimedOut))]);
    assert_eq!(world.count("INVITE"), 7);
    let mut world = World::new(1);
    world.call(Some(OFFER));
    world.idle(seconds(600));
    assert!(matches!(
        world.ends_of(SIDECAR)[..],
        [End::Failed(Failure::Undecided) | End::Cancelled]
    ));
    assert!(world.is_clean());
}

#[test]
fn a_refusal_reaches_the_caller_with_its_fields() {
    let mut world = World::new(1);
    world.lost = Box::new(|number, text| number < 6 && text.starts_with("ACK"));
    world.call(Some(OFFER));
    world.run(LONG, |world, seen| {
        if let (_, SIDECAR, call, Event::Invited(_)) = seen {
            let fields = [("Retry-After".to_owned(), "5".to_owned())];
            let now = world.now;
            world.ends[SIDECAR].refuse(now, *call, 503, None, &fields);
        }
    });
    assert_eq!(world.ends_of(CALLER), [&End::Refused { status: 503 }]);
    assert!(world.count("503 Service Unavailable") >= 2, "{:#?}", world.transcript);
    assert!(world.is_clean());
}

#[test]
fn an_info_that_nobody_answers_never_ends_the_call() {
    let mut world = standing();
    let [_, call] = calls(&world);
    world.lost = Box::new(|_, text| text.starts_with("INFO"));
    let now = world.now;
    let subjects = ["a", "b", "c"];
    let ids =
        subjects.map(|subject| world.ends[SIDECAR].send_info(now, call, about(subject, b"{}")));
    world.idle(seconds(60));
    let later = world.ends[SIDECAR].send_info(world.now, call, about("d", b"{}"));
    world.idle(seconds(61));
    let skipped = |id| Event::InfoSkipped { id, why: InfoSkip::PeerRefused };
    let expected = [
        Event::InfoFailed { id: ids[0], why: InfoFailure::TimedOut },
        skipped(ids[1]),
        skipped(ids[2]),
        skipped(later),
    ];
    assert_eq!(world.events(SIDECAR)[2..], expected.iter().collect::<Vec<_>>());
    assert_eq!(world.ends[SIDECAR].stats().calls_alive, 1);
    assert_eq!(world.ends[SIDECAR].stats().infos_timed_out, 1);
    let now = world.now;
    world.ends[SIDECAR].hang_up(now, call, None);
    world.idle(LONG);
    assert_eq!(world.ends_of(CALLER), [&End::ByPeer { reason: None }]);
}

#[test]
fn an_info_that_is_refused_never_ends_the_call() {
    let mut world = standing();
    let [theirs, call] = calls(&world);
    // The other side hangs up and its BYE is lost: it then knows nothing of the dialog.
    world.lost = Box::new(|_, text| text.starts_with("BYE"));
    let now = world.now;
    world.ends[CALLER].hang_up(now, theirs, None);
    let id = world.ends[SIDECAR].send_info(now, call, about("any", b"{}"));
    world.idle(seconds(60));
    let failed = Event::InfoFailed { id, why: InfoFailure::Refused { status: 481 } };
    assert_eq!(world.events(SIDECAR).last(), Some(&&failed));
    assert_eq!(world.ends[SIDECAR].stats().calls_alive, 1);
}

#[test]
fn a_peer_that_takes_messages_gets_them_outside_of_the_call() {
    let mut sidecar = Settings::new(address(SIDECAR));
    let profile = InfoProfile::Message("sip:verdict@192.0.2.1".to_owned());
    sidecar.access = Access::new(vec![Peer::anybody(profile)], Strangers::Silence);
    let start = World::new(1).start;
    let mut world = World::with(1, start, Settings::new(address(CALLER)), sidecar);
    world.call(Some(OFFER));
    world.run(LONG, answer_report_hang_up);
    let message = world.requests(address(SIDECAR), "MESSAGE").remove(0);
    assert_eq!(message.message.uri, "sip:verdict@192.0.2.1");
    assert_eq!(message.to.tag, None, "Asterisk hands one within a call to the telephones");
    assert_eq!(message.message.headers.get("Content-Type"), Some("text/plain;charset=utf-8"));
    assert_eq!(message.message.body, b"{}");
    // The other side here takes no MESSAGE, which costs the call nothing.
    let refused = InfoFailure::Refused { status: 405 };
    assert!(matches!(world.events(SIDECAR)[2], Event::InfoFailed { why, .. } if *why == refused));
    assert_eq!(world.ends_of(SIDECAR), [&End::ByUs { reason: None }]);
    assert!(world.is_clean());
}

#[test]
fn infos_arrive_in_order_one_at_a_time() {
    let mut world = standing();
    (world.loss, world.jitter) = (0.2, Duration::from_millis(300));
    let [_, call] = calls(&world);
    for number in 0..20_u8 {
        let now = world.now;
        world.ends[SIDECAR].send_info(now, call, about(&number.to_string(), &[number]));
    }
    world.idle(LONG);
    let bodies = world.events(CALLER).into_iter().filter_map(|event| match event {
        Event::InfoReceived { body, content_type } => {
            assert_eq!(content_type, "application/vnd.sidetone.verdict+json");
            Some(body[0])
        }
        _ => None,
    });
    assert_eq!(bodies.collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
}

#[test]
fn an_offerless_invite_is_answered_in_the_ack() {
    let mut world = World::new(1);
    world.call(None);
    world.run(LONG, |world, seen| {
        answer_report_hang_up(world, seen);
        if let (_, CALLER, call, Event::Answered { sdp, .. }) = seen {
            assert_eq!(sdp.as_deref(), Some(ANSWER));
            let now = world.now;
            world.ends[CALLER].acknowledge(now, *call, "v=0 their answer".to_owned());
        }
    });
    let answer = Some("v=0 their answer".to_owned());
    assert!(world.events(SIDECAR).contains(&&Event::Confirmed { answer }));
    assert_eq!(world.ends_of(SIDECAR), [&End::ByUs { reason: None }]);
}

#[test]
fn a_reinvite_is_answered_or_refused_and_the_call_goes_on() {
    let mut world = standing();
    let [theirs, ours] = calls(&world);
    let now = world.now;
    world.ends[CALLER].reinvite(now, theirs, Some("v=0 hold".to_owned()));
    world.idle(seconds(2));
    let held = Event::Reinvited { offer: Some("v=0 hold".to_owned()) };
    assert_eq!(world.events(SIDECAR).last(), Some(&&held));
    world.ends[SIDECAR].accept(world.now, ours, ANSWER.to_owned(), &[]);
    world.idle(seconds(3));
    assert_eq!(world.events(SIDECAR).last(), Some(&&Event::Confirmed { answer: None }));
    let now = world.now;
    world.ends[CALLER].reinvite(now, theirs, Some("v=0 video".to_owned()));
    world.idle(seconds(4));
    world.ends[SIDECAR].refuse(world.now, ours, 488, None, &[]);
    world.idle(seconds(5));
    assert_eq!(world.events(CALLER).last(), Some(&&Event::ReinviteRefused { status: 488 }));
    assert_eq!(world.ends.each_ref().map(|end| end.stats().calls_alive), [1, 1]);
}

#[test]
fn two_reinvites_that_cross_are_both_refused_with_491() {
    let mut world = standing();
    let calls = calls(&world);
    for end in [CALLER, SIDECAR] {
        let now = world.now;
        world.ends[end].reinvite(now, calls[end], Some(OFFER.to_owned()));
    }
    world.idle(LONG);
    let refused = Event::ReinviteRefused { status: 491 };
    assert_eq!([CALLER, SIDECAR].map(|end| world.events(end).contains(&&refused)), [true, true]);
    assert_eq!(world.ends.each_ref().map(|end| end.stats().calls_alive), [1, 1]);
}

#[test]
fn draining_hangs_up_and_lets_nobody_in() {
    let mut world = standing();
    let now = world.now;
    world.ends[SIDECAR].drain(now);
    world.idle(seconds(2));
    assert!(matches!(world.ends_of(CALLER)[..], [End::ByPeer { reason: Some(_) }]));
    world.call(Some(OFFER));
    world.idle(LONG);
    assert_eq!(world.ends_of(CALLER)[1], &End::Refused { status: 503 });
    assert!(world.is_clean());
}

#[test]
fn behind_closed_doors_a_call_goes_on_and_nobody_else_gets_in() {
    let mut world = standing();
    let (now, calls) = (world.now, calls(&world));
    world.ends[SIDECAR].close_doors(now);
    world.call(Some(OFFER));
    let options = "OPTIONS sip:sidetone@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKo\r\n\
                   From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: o\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
    world.receive(SIDECAR, &Source::udp(address(CALLER)), options);
    let age = now - world.start;
    world.idle(age + seconds(1));
    assert_eq!(world.ends_of(CALLER), [&End::Refused { status: 503 }]);
    let answers = world.answers(address(SIDECAR), "OPTIONS");
    let [answer] = answers.as_slice() else { panic!("one answer: {answers:?}") };
    assert_eq!(answer.message.status, 503, "RFC 3261 11.2: as an INVITE would be answered");
    assert!(answer.message.headers.get("Retry-After").is_some());
    assert_eq!(world.ends[SIDECAR].stats().calls_alive, 1);
    let now = world.now;
    world.ends[CALLER].hang_up(now, calls[CALLER], None);
    world.idle(LONG);
    assert_eq!(world.ends_of(SIDECAR), [&End::ByPeer { reason: None }]);
    assert!(world.is_clean());
}

#[test]
fn one_call_too_many_is_refused_and_the_others_stay() {
    let start = World::new(1).start;
    let mut sidecar = Settings::new(address(SIDECAR));
    sidecar.max_calls = 2;
    let mut world = World::with(1, start, Settings::new(address(CALLER)), sidecar);
    for _ in 0..3 {
        world.call(Some(OFFER));
    }
    world.run(seconds(50), take_calls);
    assert_eq!(world.ends_of(CALLER), [&End::Refused { status: 503 }]);
    let stats = world.ends[SIDECAR].stats();
    assert_eq!((stats.calls_alive, stats.calls_refused), (2, 1));
}
