//! A leg that is paused, in simulated time: nothing of it reaches a model, and nothing that was under way counts.

#[path = "sim/party.rs"]
#[allow(dead_code, reason = "the tests of decisions need more of it")]
mod party;
#[path = "sim/phone.rs"]
#[allow(dead_code, reason = "the tests of lines need more of it")]
mod phone;

use std::time::Duration;

use sidetone::audio::decoder::Codec;
use sidetone::call::enrollment_watch::EnrollmentWatch;
use sidetone::call::media_pause::CardPause;
use sidetone::call::pauses::Pausing;
use sidetone::consent::reference::ConsentReference;
use sidetone::keyword::digit_search::DigitRun;
use sidetone::policy::evidence::Evidence;
use sidetone::policy::line::LineState;
use sidetone::policy::pause::{Holder, PauseEvidence, PauseState, Trigger};
use sidetone::policy::rules::event::Suspension;
use sidetone::runtime::answered_for::answered_for;
use sidetone::speaker::verifier::Decision;
use sidetone::speaker::voiceprint::Source;

use party::{Party, embedders};
use phone::{Datagram, Phone, voice};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Somebody who speaks without end.
fn said(length: f32) -> Vec<Datagram> {
    let mut phone = Phone::new(Codec::Pcmu);
    phone.say(&voice(length));
    phone.sent
}

fn begin(party: &mut Party, holder: Holder, at_most: Option<Duration>) {
    let by = Trigger::Api;
    party.session.handle_pausing(party.now, Pausing::Begin { holder, by, at_most });
}

fn end(party: &mut Party) {
    party.session.handle_pausing(party.now, Pausing::End { holder: None, by: Trigger::Api });
}

/// Receives what arrives from `from` to `to` of `datagrams`.
fn receive(party: &mut Party, datagrams: &[Datagram], from: Duration, to: Duration) {
    let part = datagrams.iter().filter(|datagram| (from..to).contains(&datagram.at));
    party.receive(part.cloned().collect());
}

/// When the leg was suspended and went on, in stream time.
fn suspensions(party: &Party) -> Vec<(bool, Duration)> {
    let of = |evidence: &Evidence| match evidence {
        Evidence::Suspended { why: Suspension::Pause, begins, at } => Some((*begins, *at)),
        _ => None,
    };
    party.evidence.iter().filter_map(of).collect()
}

fn pauses(party: &Party) -> Vec<PauseEvidence> {
    let of = |evidence: &Evidence| match evidence {
        Evidence::Pause(pause) => Some(pause.clone()),
        _ => None,
    };
    party.evidence.iter().filter_map(of).collect()
}

/// Whether anything of what was said from `from` to `to` was asked of a model.
fn asked_of(party: &Party, from: Duration, to: Duration) -> bool {
    let segment = |start: Duration, samples: usize| {
        let end = start + Duration::from_secs_f64(samples as f64 / 16_000.0);
        start < to && end > from
    };
    party.segments.iter().any(|s| segment(s.start, s.samples.len()))
        || party.windows.iter().any(|w| (from..=to).contains(&w.end))
}

#[test]
fn nothing_of_a_paused_leg_is_asked_and_what_was_under_way_counts_for_nothing() {
    let datagrams = said(40.0);
    let mut party = Party::new();
    receive(&mut party, &datagrams, seconds(0), seconds(10));
    let (windows, segments) = (party.windows.len(), party.segments.len());
    // The keyword model is at work on a segment that ended half a second ago or less.
    let known = party.evidence.clone();
    begin(&mut party, Holder::Api, None);
    receive(&mut party, &datagrams, seconds(10), seconds(20));
    assert_eq!((party.windows.len(), party.segments.len()), (windows, segments));
    let later = &party.evidence[known.len()..];
    let heard = |evidence: &&Evidence| {
        matches!(evidence, Evidence::Speaker(_) | Evidence::Phrase(_) | Evidence::Key { .. })
    };
    assert_eq!(later.iter().find(heard), None, "an answer that came too late");
    assert!(later.iter().any(|e| matches!(e, Evidence::Gap { .. })), "the open spurt is a gap");
    assert!(party.story.contains(&"withdrawn: All".to_owned()));
    end(&mut party);
    receive(&mut party, &datagrams, seconds(20), seconds(40));
    party.finish();
    let [(true, from), (false, to)] = suspensions(&party)[..] else {
        panic!("{party:?}", party = party.story)
    };
    assert!(from.abs_diff(seconds(10)) < Duration::from_millis(50), "{from:?}");
    assert_eq!(to - from, seconds(10), "the stream's time goes on");
    assert!(!asked_of(&party, from + Duration::from_millis(1), to));
    assert!(party.windows.len() > windows + 10 && party.segments.len() > segments + 3);
    let first = party.segments[segments].start;
    assert!(first >= to, "no pre-roll of what was said in the pause: {first:?}");
    let report = party.line.last().expect("a line is closed in the end");
    assert_eq!(
        (report.state, report.report.packets, report.report.lost),
        (LineState::Closed, 2_000, 0)
    );
    let coverage = party.speaker().last().expect("evidence").coverage;
    assert!(coverage > 0.98, "a pause is no loss: {coverage}");
    let analysed = party.evidence.iter().rev().find_map(|evidence| match evidence {
        Evidence::Analysed { coverage, .. } => Some(*coverage),
        _ => None,
    });
    assert_eq!(analysed, Some(1.0));
}

#[test]
fn an_accepted_caller_is_still_accepted_after_a_pause_and_another_one_is_a_change() {
    for (after, wanted) in [(party::SAME, Decision::Accepted), (party::OTHER, Decision::Changed)] {
        let datagrams = said(60.0);
        let mut party = Party::heard_as(move |_, work| {
            let early = work.end < seconds(20);
            // Of a slice alone after the pause the cheap one says what it says of nobody.
            let alone = (30..33).contains(&work.end.as_secs()) && work.samples.len() < 48_000;
            Some(if alone {
                0.45
            } else if early {
                party::SAME
            } else {
                after
            })
        });
        receive(&mut party, &datagrams, seconds(0), seconds(20));
        assert_eq!(party.speaker().last().map(|e| e.decision), Some(Decision::Accepted));
        begin(&mut party, Holder::Header, None);
        receive(&mut party, &datagrams, seconds(20), seconds(30));
        end(&mut party);
        receive(&mut party, &datagrams, seconds(30), seconds(60));
        party.finish();
        let later: Vec<_> = party.speaker().into_iter().filter(|e| e.at > seconds(20)).collect();
        assert!(later[0].at > Duration::from_millis(32_900), "after a whole window of 3 s");
        assert_eq!(later.last().map(|e| e.decision), Some(wanted));
        if wanted == Decision::Accepted {
            assert!(later.iter().all(|e| e.decision == Decision::Accepted));
        }
    }
}

#[test]
fn an_enrolment_goes_on_after_a_pause_with_nothing_of_it() {
    let datagrams = said(20.0);
    let mut party = Party::with(None, 1);
    let consent = ConsentReference::new("c-1").expect("a reference");
    let began = jiff::Timestamp::UNIX_EPOCH;
    let (leave, source) = (answered_for(&consent), Source::Call);
    let watch = EnrollmentWatch::new("alice", &leave, began, source, &embedders(), None);
    party.session.enroll(watch);
    receive(&mut party, &datagrams, seconds(0), seconds(5));
    begin(&mut party, Holder::Api, None);
    let before = party.windows.len();
    receive(&mut party, &datagrams, seconds(5), seconds(10));
    assert_eq!(party.windows.len(), before);
    end(&mut party);
    receive(&mut party, &datagrams, seconds(10), seconds(20));
    assert!(party.windows.len() > before + 10);
    assert!(!party.windows[before..].iter().any(|w| w.end < Duration::from_millis(11_600)));
}

#[test]
fn a_pause_ends_by_itself_and_a_gap_in_the_packets_keeps_nothing_of_it() {
    let mut datagrams = said(20.0);
    // One packet is lost at the pause's end: what is behind it waits for it, and is of the pause.
    datagrams.retain(|datagram| datagram.at != Duration::from_millis(9_900));
    let mut party = Party::new();
    receive(&mut party, &datagrams, seconds(0), seconds(5));
    begin(&mut party, Holder::Policy("card".to_owned()), Some(seconds(5)));
    receive(&mut party, &datagrams, seconds(5), seconds(20));
    party.finish();
    let told: Vec<_> = pauses(&party).iter().map(|p| (p.state, p.by, p.paused)).collect();
    let wanted =
        [(PauseState::Begun, Trigger::Api, true), (PauseState::Ended, Trigger::Time, false)];
    assert_eq!(told, wanted);
    let [(true, from), (false, to)] = suspensions(&party)[..] else { panic!("one pause") };
    assert!((to - from).abs_diff(seconds(5)) < Duration::from_millis(50), "{from:?} {to:?}");
    assert!(!asked_of(&party, from + Duration::from_millis(1), to));
}

fn watching_cards() -> Party {
    let mut party = Party::new();
    let card = CardPause { id: "card".to_owned(), at_most: seconds(300) };
    party.session.watch_cards(vec![card]);
    party
}

#[test]
fn keys_of_a_card_pause_the_leg_before_the_sixth_is_told() {
    let mut phone = Phone::new(Codec::Pcmu);
    phone.say(&voice(2.0));
    for _ in 0..16 {
        phone.press(Duration::from_millis(100));
        phone.say(&voice(0.3));
    }
    let party = watching_cards().hear(phone.sent);
    let keys = party.evidence.iter().filter(|e| matches!(e, Evidence::Key { .. })).count();
    assert_eq!(keys, 5, "the phone presses a 5, and 55 is an issuer's");
    let [pause] = &pauses(&party)[..] else { panic!("{:?}", pauses(&party)) };
    assert_eq!(
        (pause.by, pause.pause.as_deref(), pause.heard_here),
        (Trigger::Card, Some("card"), true)
    );
    let at = pause.at;
    assert!(!asked_of(&party, at + Duration::from_millis(1), seconds(100)));
}

#[test]
fn digits_that_were_said_pause_the_leg_and_the_answer_that_follows_is_dropped() {
    let run = |at: &sidetone::audio::segmenter::Segment| {
        let second = at.start > seconds(1);
        let (start, end) = (Duration::from_millis(2_200), Duration::from_millis(3_900));
        if second { vec![DigitRun { digits: 4, start, end }] } else { Vec::new() }
    };
    let mut party = watching_cards();
    party.digits = Box::new(run);
    let party = party.hear(said(20.0));
    let [pause] = &pauses(&party)[..] else { panic!("{:?}", pauses(&party)) };
    assert_eq!((pause.by, pause.state), (Trigger::Card, PauseState::Begun));
    // The first segment with digits ends at 6 s and the second at 8 s; the models take 0.7 s.
    assert!((8_000..9_000).contains(&pause.at.as_millis()), "{:?}", pause.at);
    assert!(!asked_of(&party, pause.at, seconds(100)));
    let mut unwatched = Party::new();
    unwatched.digits = Box::new(run);
    let unwatched = unwatched.hear(said(20.0));
    assert_eq!(pauses(&unwatched), [], "nobody wanted to know");
}
