//! Consents that come late or go while a call goes on: whole media sessions in simulated time.

#[path = "sim/party.rs"]
#[allow(dead_code, reason = "the tests of parties need more of it")]
mod party;
#[path = "sim/phone.rs"]
#[allow(dead_code, reason = "the tests of lines need more of it")]
mod phone;

use std::sync::Arc;
use std::time::Duration;

use sidetone::audio::decoder::Codec;
use sidetone::call::adaptation_watch::AdaptationWatch;
use sidetone::call::claim_watch::{ClaimWatch, Claimed};
use sidetone::call::enrollment_watch::{EnrollmentWatch, Progress};
use sidetone::call::media_consent::VoiceOrder;
use sidetone::call::voices::Asker;
use sidetone::consent::consents::Refusal;
use sidetone::consent::scope::{Scope, Scopes};
use sidetone::policy::evidence::{EnrollmentState, Evidence, Obstacle};
use sidetone::policy::rule::Party as Whose;
use sidetone::speaker::adaptation;
use sidetone::speaker::calibration::Calibration;
use sidetone::speaker::verifier::{Decision, Settings};
use sidetone::speaker::voiceprint::Source;
use sidetone::speaker::watchlist::{Known, Watchlist};

use party::{MODEL, Party, SAME, embedders, leave, voiceprint, watch};
use phone::{Datagram, Phone, voice};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Somebody who speaks without end.
fn said(seconds: f32) -> Vec<Datagram> {
    let mut phone = Phone::new(Codec::Pcmu);
    phone.say(&voice(seconds));
    phone.sent
}

/// Receives `datagrams`, and does `act` after what arrives before `at`.
fn receive(party: &mut Party, datagrams: &[Datagram], at: Duration, act: impl FnOnce(&mut Party)) {
    let (before, after): (Vec<_>, Vec<_>) =
        datagrams.iter().cloned().partition(|datagram| datagram.at < at);
    party.receive(before);
    party.wait_until(at);
    act(party);
    party.receive(after);
    party.finish();
}

fn compare(watch: impl Into<ClaimWatch>) -> VoiceOrder {
    VoiceOrder::Compare(Box::new(watch.into()))
}

fn withdraw(scopes: Scopes) -> VoiceOrder {
    VoiceOrder::Withdraw(scopes, Refusal::Withdrawn)
}

/// What becomes of it is not what the test is about.
const VERIFY: Scopes = Scopes::NONE.with(Scope::Verify);

/// Everything that may be done with a voice, at once.
fn everything(party: &mut Party) {
    let mut watch = watch();
    let settings = adaptation::Settings { enabled: true, ..adaptation::Settings::OFF };
    watch.adapt(AdaptationWatch::new(&leave(), settings, &embedders()));
    let (known, _) = Known::new(&[voiceprint(MODEL)], &embedders(), 1.0);
    watch.look_out(Watchlist::new(&leave(), Arc::new(known), Calibration::RESNET34_GE2E));
    party.order(compare(watch));
    party.order(enroll());
}

fn enroll() -> VoiceOrder {
    let (began, source) = (jiff::Timestamp::UNIX_EPOCH, Source::Call);
    let watch = EnrollmentWatch::new("alice", &leave(), began, source, &embedders(), None);
    VoiceOrder::Enroll(Box::new(watch))
}

fn hits(evidence: &[Evidence]) -> usize {
    evidence.iter().filter(|evidence| matches!(evidence, Evidence::Watchlist(_))).count()
}

fn speaks(evidence: &[Evidence]) -> usize {
    evidence.iter().filter(|evidence| matches!(evidence, Evidence::Speaker(_))).count()
}

fn ends(evidence: &[Evidence]) -> Vec<Obstacle> {
    let end = |evidence: &Evidence| match evidence {
        Evidence::ComparisonEnded(end) => Some(end.why),
        _ => None,
    };
    evidence.iter().filter_map(end).collect()
}

fn asked(party: &Party, asker: Asker) -> usize {
    party.windows.iter().filter(|work| work.asker == asker).count()
}

/// Which states the enrolment came through, and the last reason.
fn enrolling(party: &Party) -> (Vec<EnrollmentState>, Option<String>) {
    let evidence = party.enrolling.iter().map(|progress| match progress {
        Progress::Evidence(evidence)
        | Progress::Enrolled(_, evidence)
        | Progress::Gathered(_, evidence) => evidence,
    });
    let last = evidence.clone().next_back().and_then(|evidence| evidence.reason.clone());
    (evidence.map(|evidence| evidence.state).collect(), last)
}

#[test]
fn a_claim_that_comes_before_the_first_window_decides_bit_for_bit_as_one_that_was_there() {
    let datagrams = said(20.0);
    let there = Party::new().hear(datagrams.clone());
    assert_eq!(there.speaker().last().map(|e| e.decision), Some(Decision::Accepted));
    for late in [0, 1, 40, 333, 700] {
        let mut party = Party::with(None, 1);
        receive(&mut party, &datagrams, millis(late), |party| party.order(compare(watch())));
        assert_eq!(party.story, there.story, "{late} ms");
    }
}

#[test]
fn a_claim_that_comes_later_hears_the_same_windows_from_then_on() {
    let datagrams = said(30.0);
    let windows = |party: &Party| -> Vec<(Duration, Vec<u32>)> {
        let bits = |samples: &[f32]| samples.iter().map(|sample| sample.to_bits()).collect();
        party.windows.iter().map(|work| (work.end, bits(&work.samples))).collect()
    };
    // The strong embedder is asked by what was heard before: here it is asked at every window.
    let unsure = || Party::heard_as(|_, _| Some(0.45));
    let there = windows(&unsure().hear(datagrams.clone()));
    let mut party = Party::with(None, 1);
    party.ear = unsure().ear;
    receive(&mut party, &datagrams, millis(7_300), |party| party.order(compare(watch())));
    let late = windows(&party);
    let from = there.iter().position(|window| *window == late[0]).expect("the first of them");
    assert!(there[from].0 > millis(7_300) && there[from].0 < millis(8_100), "{:?}", there[from].0);
    assert_eq!(late[..20], there[from..from + 20]);
    let mut party = Party::with(None, 1);
    receive(&mut party, &datagrams, millis(7_300), |party| party.order(compare(watch())));
    assert_eq!(party.speaker().last().map(|e| e.decision), Some(Decision::Accepted));
}

#[test]
fn after_a_withdrawal_at_any_moment_nothing_is_embedded_and_nothing_counts_but_the_one_obstacle() {
    let datagrams = said(14.0);
    for step in 0..60 {
        let at = millis(step * 229);
        let mut party = Party::with(None, 1);
        // Models that take long, so that something is always on its way.
        party.takes = Box::new(|n| millis(50 + 97 * (n as u64 % 9)));
        everything(&mut party);
        let mut before = (0, 0);
        receive(&mut party, &datagrams, at, |party| {
            before = (party.windows.len(), party.evidence.len());
            party.order(withdraw(Scopes::ALL));
        });
        let later = &party.evidence[before.1..];
        assert_eq!(party.windows.len(), before.0, "{at:?}: embedded after the withdrawal");
        assert_eq!((speaks(later), hits(later)), (0, 0), "{at:?}");
        assert_eq!(ends(later), [Obstacle::ConsentWithdrawn], "{at:?}");
        assert!(!later.iter().any(|e| matches!(e, Evidence::Phrase(_))), "{at:?}");
        assert_eq!(party.steps, [], "{at:?}");
        let (states, reason) = enrolling(&party);
        if states.contains(&EnrollmentState::Enrolled) {
            assert!(at > millis(9_000), "what was kept is erased by whoever keeps it");
        } else {
            assert_eq!(states.last(), Some(&EnrollmentState::Refused), "{at:?}");
            assert_eq!(reason.as_deref(), Some("the consent was withdrawn"), "{at:?}");
        }
    }
}

#[test]
fn what_a_leg_shared_by_several_was_asked_of_everybody_is_not_asked_after_a_withdrawal() {
    let datagrams = said(40.0);
    for at in [0, 9_000, 11_500, 17_300, 25_000] {
        let print = voiceprint(MODEL);
        let claimed = Claimed { leave: &leave(), voiceprint: Some(&print), agent: None };
        let weighing = (Calibration::RESNET34_GE2E, Settings::default());
        let watch = ClaimWatch::new(Whose::Mixed, claimed, &embedders(), weighing, None);
        let mut party = Party::with(None, 1);
        party.order(compare(watch.expect("a voiceprint")));
        let mut before = (0, 0);
        let asked = |party: &Party| {
            let chunks = party.story.iter().filter(|line| line.starts_with("chunk"));
            (party.windows.len(), chunks.count())
        };
        receive(&mut party, &datagrams, millis(at), |party| {
            before = asked(party);
            party.order(withdraw(VERIFY));
        });
        assert_eq!(asked(&party), before, "{at} ms");
        assert_eq!(ends(&party.evidence), [Obstacle::ConsentWithdrawn]);
        if at > 12_000 {
            assert!(before.1 > 0, "people were told apart until then");
        }
    }
}

#[test]
fn each_purpose_is_withdrawn_by_itself() {
    let datagrams = said(40.0);
    let at = millis(2_500);
    let after = |scope: Option<Scope>| {
        let mut party = Party::with(None, 1);
        everything(&mut party);
        let mut before = (0, 0, 0);
        receive(&mut party, &datagrams, at, |party| {
            before =
                (asked(party, Asker::Claim), asked(party, Asker::Enrollment), party.segments.len());
            if let Some(scope) = scope {
                party.order(withdraw(Scopes::NONE.with(scope)));
            }
        });
        let claims = asked(&party, Asker::Claim) > before.0;
        let enrols = asked(&party, Asker::Enrollment) > before.1;
        let listens = party.segments.len() > before.2;
        let teaches = party.steps.len() == 1;
        ([claims, enrols, teaches, hits(&party.evidence) == 1, listens], party)
    };
    let works = |scope| after(scope).0;
    assert_eq!(works(None), [true; 5]);
    assert_eq!(works(Some(Scope::Verify)), [false, true, false, false, true]);
    assert_eq!(works(Some(Scope::Enrol)), [true, false, true, true, true]);
    assert_eq!(works(Some(Scope::Adapt)), [true, true, false, true, true]);
    assert_eq!(works(Some(Scope::Watchlist)), [true, true, true, false, true]);
    let (works, party) = after(Some(Scope::Keywords));
    assert_eq!(works, [true, true, true, true, false]);
    let last = party.evidence.iter().rev().find_map(|evidence| match evidence {
        Evidence::Analysed { coverage, .. } => Some(*coverage),
        _ => None,
    });
    assert!(last.is_some_and(|coverage| coverage < 0.1), "the coverage says so: {last:?}");
    assert!(party.evidence.iter().any(|evidence| matches!(evidence, Evidence::Gap { .. })));
}

#[test]
fn a_claim_that_comes_after_its_consent_has_gone_is_not_compared() {
    let mut party = Party::with(None, 1);
    receive(&mut party, &said(10.0), millis(1_000), |party| {
        party.order(VoiceOrder::Withdraw(VERIFY, Refusal::OptedOut));
        party.order(compare(watch()));
        party.order(compare(watch()));
    });
    assert_eq!((party.windows.len(), speaks(&party.evidence)), (0, 0));
    assert_eq!(ends(&party.evidence)[0], Obstacle::OptedOut);
}

#[test]
fn a_new_enrolment_hears_nothing_of_one_that_was_withdrawn() {
    let datagrams = said(25.0);
    let told = |first: bool| {
        let mut party = Party::with(None, 1);
        party.takes = Box::new(|_| millis(2_600));
        // Until the first consent goes, somebody else speaks.
        party.ear = Box::new(|_, work| Some(if work.end < millis(3_200) { -0.5 } else { SAME }));
        if first {
            party.order(enroll());
        }
        receive(&mut party, &datagrams, millis(3_200), |party| {
            assert_eq!(asked(party, Asker::Enrollment) > 0, first, "on its way");
            party.order(withdraw(Scopes::NONE.with(Scope::Enrol)));
            party.order(enroll());
        });
        let told = party.enrolling.iter().map(|progress| format!("{progress:?}"));
        told.collect::<Vec<_>>()
    };
    let (both, second) = (told(true), told(false));
    assert!(second.len() >= 2, "{second:?}");
    assert_eq!(both[2..], second, "begun, refused, and then as if nothing had been");
}

#[test]
fn phrases_are_listened_for_from_when_there_is_leave_where_that_is_wanted() {
    let datagrams = said(30.0);
    let mut party = Party::with(None, 1);
    party.session.await_leave();
    let mut before = 0;
    receive(&mut party, &datagrams, millis(15_000), |party| {
        before = party.segments.len();
        party.order(VoiceOrder::Listen(leave()));
    });
    assert_eq!(before, 0);
    assert!(party.segments.len() > 3);
    let gap = party.evidence.iter().find_map(|evidence| match evidence {
        Evidence::Gap { from, .. } => Some(*from),
        _ => None,
    });
    assert!(gap.is_some_and(|from| from < millis(1_000)), "what was missed is a gap: {gap:?}");
}
