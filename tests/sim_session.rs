//! Session timers (RFC 4028) over hours: who refreshes, by what, and what ends a dead call.

mod sim;

use std::time::Duration;

use sidetone::sip::client_transactions::Unanswered;
use sidetone::sip::event::{CallKey, End, Event, Failure};
use sidetone::sip::session_timer::SessionExpires;
use sidetone::sip::settings::Settings;
use sim::{CALLER, SIDECAR, Seen, World, address};

const OFFER: &str = "v=0 offer";
const ANSWER: &str = "v=0 answer";
/// A long call.
const HOURS: Duration = Duration::from_secs(8 * 3_600);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Both sides take whatever is offered.
fn agree(world: &mut World, (_, end, call, event): &Seen) {
    if let Event::Invited(_) | Event::Reinvited { .. } = event {
        let now = world.now;
        let sdp = if *end == SIDECAR { ANSWER } else { OFFER };
        world.ends[*end].accept(now, *call, sdp.to_owned(), &[]);
    }
}

/// A call that stands after two seconds; `edit` sees every message, from the INVITE on.
fn standing(edit: impl FnMut(String) -> String + 'static) -> World {
    let mut world = World::new(1);
    world.edit = Some(Box::new(edit));
    world.call(Some(OFFER));
    world.run(seconds(2), agree);
    assert_eq!(alive(&world), [1, 1]);
    world
}

/// A caller that wants the called side to refresh.
fn leaves_it_to_us(text: String) -> String {
    match text.starts_with("INVITE") {
        true => text.replace("Session-Expires: 1800\r", "Session-Expires: 1800;refresher=uas\r"),
        false => text,
    }
}

/// Peers that never heard of UPDATE.
fn without_update(text: &str) -> String {
    text.replace("INFO, UPDATE, PRACK", "INFO, PRACK")
}

/// The first answer to an UPDATE is `status` instead.
fn refused_once(status: &'static str) -> impl FnMut(String) -> String {
    let mut done = false;
    move |text| {
        let refused = !done && text.starts_with("SIP/2.0 200") && text.contains(" UPDATE\r\n");
        done |= refused;
        if refused { text.replacen("SIP/2.0 200 OK", status, 1) } else { text }
    }
}

fn alive(world: &World) -> [u64; 2] {
    world.ends.each_ref().map(|end| end.stats().calls_alive)
}

fn calls(world: &World) -> [CallKey; 2] {
    [CALLER, SIDECAR].map(|end| world.seen.iter().find(|seen| seen.1 == end).expect("a call").2)
}

/// How often each side sent `method`, repeats included.
fn sent(world: &World, method: &str) -> [usize; 2] {
    [CALLER, SIDECAR].map(|end| world.requests(address(end), method).len())
}

fn ended_at(world: &World, end: usize) -> Option<u64> {
    let ended = |seen: &&Seen| seen.1 == end && matches!(seen.3, Event::Ended(_));
    world.seen.iter().find(ended).map(|seen| seen.0.as_secs())
}

#[test]
fn a_caller_that_refreshes_keeps_the_call_for_hours() {
    let mut world = standing(|text| text);
    world.run(HOURS, agree);
    assert_eq!(alive(&world), [1, 1]);
    // Every 900 s, at half of the 1,800 s.
    assert_eq!(sent(&world, "UPDATE"), [31, 0]);
    assert_eq!(world.ends[CALLER].stats().refreshes_sent, 31);
    assert_eq!(world.events(SIDECAR).len(), 2, "a mere refresh is nothing for the owner");
    for update in world.requests(address(CALLER), "UPDATE") {
        let headers = &update.message.headers;
        let asked = SessionExpires::read(headers).map(SessionExpires::to_value);
        assert_eq!(asked.as_deref(), Some("1800;refresher=uac"));
        assert!(headers.get("Supported").is_some_and(|tags| tags.contains("timer")));
        assert!(headers.contains("Contact"), "RFC 3311 §5.1");
    }
    for answer in world.answers(address(SIDECAR), "UPDATE") {
        assert_eq!(answer.message.status, 200);
        let headers = &answer.message.headers;
        assert_eq!(headers.get("Session-Expires"), Some("1800;refresher=uac"));
        assert_eq!(headers.get("Require"), Some("timer"));
    }
}

#[test]
fn we_refresh_where_the_caller_leaves_it_to_us() {
    let mut world = standing(leaves_it_to_us);
    world.run(HOURS, agree);
    assert_eq!(alive(&world), [1, 1]);
    assert_eq!(sent(&world, "UPDATE"), [0, 31]);
    assert_eq!(world.ends[SIDECAR].stats().refreshes_sent, 31);
}

#[test]
fn where_allow_lacks_update_a_reinvite_says_the_same_again() {
    for (they_refresh, refresher) in [(true, CALLER), (false, SIDECAR)] {
        let mut world = standing(move |text| {
            let text = without_update(&text);
            if they_refresh { text } else { leaves_it_to_us(text) }
        });
        world.run(HOURS, agree);
        assert_eq!(alive(&world), [1, 1]);
        assert_eq!(sent(&world, "UPDATE"), [0, 0]);
        let mut expected = [1, 0];
        expected[refresher] += 31;
        assert_eq!(sent(&world, "INVITE"), expected);
        let same = if refresher == CALLER { OFFER } else { ANSWER };
        let told = Event::Reinvited { offer: Some(same.to_owned()) };
        let events = world.events(1 - refresher);
        assert_eq!(events.iter().filter(|event| ***event == told).count(), 31);
        // Their answer is told each time, for it may have changed.
        let answered = |event: &&&Event| matches!(event, Event::Answered { .. });
        let first = usize::from(refresher == CALLER);
        assert_eq!(world.events(refresher).iter().filter(answered).count(), 31 + first);
    }
}

#[test]
fn too_short_a_session_is_refused_with_422_and_asked_for_again() {
    let start = World::new(1).start;
    let caller = Settings { session_expires: 60, ..Settings::new(address(CALLER)) };
    let mut world = World::with(1, start, caller, Settings::new(address(SIDECAR)));
    world.call(Some(OFFER));
    world.run(seconds(2), agree);
    let refusals = world.answers(address(SIDECAR), "INVITE");
    let refusal = refusals.iter().find(|answer| answer.message.status == 422).expect("a 422");
    assert_eq!(refusal.message.headers.get("Min-SE"), Some("90"));
    let invites = world.requests(address(CALLER), "INVITE");
    let last = &invites.last().expect("two").message.headers;
    assert_eq!((last.get("Session-Expires"), last.get("Min-SE")), (Some("90"), Some("90")));
    assert_eq!(last.get("CSeq"), Some("2 INVITE"));
    assert_eq!(last.get("Call-ID"), invites[0].message.headers.get("Call-ID"));
    world.run(HOURS, agree);
    assert_eq!(alive(&world), [1, 1]);
    assert_eq!(world.ends[SIDECAR].stats().calls, 1, "the refused one was none");
}

#[test]
fn a_422_within_the_call_lengthens_the_session() {
    let edit = refused_once("SIP/2.0 422 Session Interval Too Small\r\nMin-SE: 3600");
    let mut world = standing(edit);
    world.run(HOURS, agree);
    let updates = world.requests(address(CALLER), "UPDATE");
    let asked = |at: usize| SessionExpires::read(&updates[at].message.headers).map(|s| s.seconds);
    assert_eq!([asked(0), asked(1), asked(2)], [Some(1_800), Some(3_600), Some(3_600)]);
    assert_eq!(alive(&world), [1, 1]);
    // 900 s, then every 1,800 s.
    assert_eq!(updates.len(), 17);
}

#[test]
fn a_peer_that_vanishes_is_hung_up_whoever_refreshes() {
    for (edit, latest, why) in [
        // They should have refreshed: 32 s before the end (RFC 4028 §10).
        ((|text| text) as fn(String) -> String, 1_768, Failure::SessionExpired),
        // Ours was not answered: 900 s and timer F.
        (leaves_it_to_us, 932, Failure::DialogLost),
        (
            |text| without_update(&leaves_it_to_us(text)),
            932,
            Failure::NoAnswer(Unanswered::TimedOut),
        ),
    ] {
        let mut world = standing(edit);
        world.lost = Box::new(|_, _| true);
        world.run(HOURS, agree);
        assert_eq!(world.ends_of(SIDECAR), [&End::Failed(why)]);
        assert_eq!(ended_at(&world, SIDECAR), Some(latest));
        assert!(ended_at(&world, CALLER).is_some_and(|at| at <= 1_800), "the other side, too");
        assert!(sent(&world, "BYE")[SIDECAR] > 0, "it may hear us yet");
        assert!(world.is_clean());
    }
}

#[test]
fn a_refresh_that_crosses_another_request_is_tried_again() {
    let mut world = standing(refused_once("SIP/2.0 491 Request Pending"));
    world.run(HOURS, agree);
    assert_eq!(alive(&world), [1, 1]);
    let updates: Vec<_> =
        world.sent.iter().filter(|sent| sent.bytes.starts_with(b"UPDATE")).collect();
    let wait = updates[1].at - updates[0].at;
    // RFC 3261 §14.1: who made the Call-ID waits 2.1 to 4 s.
    assert!((2.1..4.1).contains(&wait.as_secs_f64()), "{wait:?}");
    assert_eq!(updates.len(), 32);
}

#[test]
fn a_peer_that_has_forgotten_the_dialog_ends_the_call() {
    let mut world = standing(refused_once("SIP/2.0 481 Call Does Not Exist"));
    world.run(seconds(2_000), agree);
    assert_eq!(world.ends_of(CALLER), [&End::Failed(Failure::DialogLost)]);
    // RFC 4028 §10 has a BYE sent all the same, which this peer is glad of.
    assert!(matches!(world.ends_of(SIDECAR)[..], [End::ByPeer { .. }]));
    assert!(world.is_clean());
}

#[test]
fn a_peer_that_refuses_update_is_refreshed_by_reinvite() {
    let mut world = standing(|text| match text.contains(" UPDATE\r\n") {
        true => text.replacen("SIP/2.0 200 OK", "SIP/2.0 501 Not Implemented", 1),
        false => text,
    });
    world.run(HOURS, agree);
    assert_eq!(alive(&world), [1, 1]);
    // Its Allow of the next answer names UPDATE once more; it is believed.
    let [updates, _] = sent(&world, "UPDATE");
    let [invites, _] = sent(&world, "INVITE");
    assert_eq!((updates, invites), (31, 32));
}

/// The first refresh of the caller brings an offer.
fn update_with_offer() -> World {
    let mut done = false;
    standing(move |text| {
        let changes = text.starts_with("UPDATE") && !done;
        done |= changes;
        let offer = "Content-Type: application/sdp\r\nContent-Length: 8\r\n\r\nv=0 hold";
        if changes { text.replace("Content-Length: 0\r\n\r\n", offer) } else { text }
    })
}

#[test]
fn an_update_with_an_offer_is_for_the_owner_to_answer() {
    let mut world = update_with_offer();
    world.run(seconds(1_000), agree);
    let told = Event::Reinvited { offer: Some("v=0 hold".to_owned()) };
    assert_eq!(world.events(SIDECAR).last(), Some(&&told), "and no ACK comes");
    let answers = world.answers(address(SIDECAR), "UPDATE");
    assert_eq!(answers[0].message.body, ANSWER.as_bytes());
    assert_eq!(answers[0].message.headers.get("Content-Type"), Some("application/sdp"));
    assert_eq!(answers.len(), 1, "it is not repeated, for no ACK is awaited");
    world.run(HOURS, agree);
    assert_eq!(alive(&world), [1, 1]);
}

#[test]
fn an_update_that_the_owner_refuses_changes_nothing() {
    let mut world = update_with_offer();
    world.run(seconds(1_000), |world, (_, end, call, event)| {
        if let Event::Reinvited { .. } = event {
            let now = world.now;
            world.ends[*end].refuse(now, *call, 488, None, &[]);
        }
    });
    assert_eq!(world.answers(address(SIDECAR), "UPDATE")[0].message.status, 488);
    world.run(HOURS, agree);
    assert_eq!(alive(&world), [1, 1]);
}

#[test]
fn reinvites_that_cross_are_refused_and_may_be_tried_again() {
    let mut world = standing(|text| text);
    let [theirs, ours] = calls(&world);
    let now = world.now;
    world.ends[CALLER].reinvite(now, theirs, Some(OFFER.to_owned()));
    world.ends[SIDECAR].reinvite(now, ours, Some(ANSWER.to_owned()));
    world.run(seconds(4), agree);
    let refused = Event::ReinviteRefused { status: 491 };
    assert_eq!([CALLER, SIDECAR].map(|end| world.events(end).contains(&&refused)), [true, true]);
    let now = world.now;
    world.ends[SIDECAR].reinvite(now, ours, Some(ANSWER.to_owned()));
    world.run(seconds(6), agree);
    let told = Event::Reinvited { offer: Some(ANSWER.to_owned()) };
    assert!(world.events(CALLER).contains(&&told));
    // The side that asked last refreshes from now on; both have understood it alike.
    world.run(HOURS, agree);
    assert_eq!(alive(&world), [1, 1]);
    assert_eq!(sent(&world, "UPDATE"), [0, 31]);
}

#[test]
fn a_refresh_that_meets_a_reinvite_of_theirs_comes_later() {
    let mut world = standing(|text| without_update(&leaves_it_to_us(text)));
    let refresh = world.ends[SIDECAR].poll_timeout().expect("a refresh is due");
    // Transactions of the beginning are over by then.
    world.run(seconds(890), agree);
    let [theirs, _] = calls(&world);
    let due = world.ends[SIDECAR].poll_timeout().expect("a refresh is due");
    assert!(due > refresh);
    world.run(due - world.start - Duration::from_millis(1), agree);
    let now = world.now;
    world.ends[CALLER].reinvite(now, theirs, Some("v=0 hold".to_owned()));
    world.run(seconds(960), agree);
    assert_eq!(world.answers(address(CALLER), "INVITE")[0].message.status, 491);
    assert_eq!(
        world.answers(address(CALLER), "INVITE").last().map(|a| a.message.status),
        Some(200)
    );
    world.run(HOURS, agree);
    assert_eq!(alive(&world), [1, 1]);
}

/// Ten calls over eight hours where every fifth datagram is lost.
fn long_and_lossy(seed: u64) -> World {
    let mut world = World::new(seed);
    (world.loss, world.doubled, world.jitter) = (0.2, 0.1, Duration::from_millis(300));
    for _ in 0..10 {
        world.call(Some(OFFER));
    }
    world.run(HOURS, agree);
    world
}

#[test]
fn long_calls_stay_up_over_a_bad_network_and_the_same_seed_is_the_same_day() {
    let [one, two, other] = [5, 5, 6].map(long_and_lossy);
    assert_eq!(alive(&one), [10, 10]);
    assert_eq!(alive(&other), [10, 10]);
    assert_eq!((&one.transcript, &one.seen), (&two.transcript, &two.seen));
    assert_ne!(one.transcript, other.transcript);
}
