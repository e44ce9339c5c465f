//! Whole calls between a PBX and the sidecar's call, judge and endpoint, in simulated time.

mod sim;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sidetone::audio::decoder::Codec;
use sidetone::call::call::{Call, Output};
use sidetone::call::claim_watch::ClaimWatch;
use sidetone::call::facts::Facts;
use sidetone::call::key_source::KeySource;
use sidetone::call::media_plan::{MediaPlan, Payload};
use sidetone::call::negotiation::{MediaTerms, Negotiation};
use sidetone::call::notice::notice;
use sidetone::call::speaker_watch::SpeakerWatch;
use sidetone::policy::evidence::{
    EndEvidence, Evidence, Obstacle, PhraseEvidence, SpeakerEvidence,
};
use sidetone::policy::judge::{Judge, Leg, Models};
use sidetone::policy::rule::Policy;
use sidetone::policy::verdict::Verdict;
use sidetone::runtime::answered_for::answered_for;
use sidetone::sip::client_call::Placing;
use sidetone::sip::event::{CallKey, End, Event, InfoFailure, InfoSkip, Invitation};
use sidetone::speaker::calibration::{Calibration, Comparison, Conditions, Likeness};
use sidetone::speaker::embedder::Embedders;
use sidetone::speaker::embedding::Embedding;
use sidetone::speaker::verifier::{self, Decision, Verifier};
use sidetone::speaker::voiceprint::Voiceprint;
use sim::{CALLER, SIDECAR, Seen, World, to_sidecar};

const POLICY: &str = "name = 'sales'\nversion = '3'\n\
    [[phrase]]\nid = 'capital-at-risk'\ntext = 'your capital is at risk'\n\
    [[phrase]]\nid = 'notice'\ntext = 'this call may be recorded'\nparties = ['agent']\n";
const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendonly\r\n";
const SPEAKER_MODEL: &str = "wespeaker-resnet34@0123456789ab";
/// By then every timer of an ended call has run out.
const LONG: Duration = Duration::from_secs(300);

/// One call as the sidecar has it, and what it was asked to do with its media.
struct Standing {
    call: Call,
    conversation: String,
    media: Vec<Media>,
}

#[derive(Clone, Debug, PartialEq)]
enum Media {
    Opened { plan: MediaPlan, watched: bool },
    Changed(MediaPlan),
    Compared,
    Closed,
}

/// The sidecar less its sockets: what `runtime/signalling.rs` does between endpoint and calls.
#[derive(Default)]
struct Sidecar {
    calls: BTreeMap<CallKey, Standing>,
    judges: BTreeMap<String, Judge>,
    /// Every verdict, and whether the PBX is to be told.
    verdicts: Vec<(Verdict, bool)>,
    /// What claims come to is known late.
    asks_long: bool,
    /// What the newest comes to, which nobody was told yet.
    open: Option<(CallKey, Result<ClaimWatch, Obstacle>)>,
}

impl Sidecar {
    fn react(&mut self, world: &mut World, seen: &Seen) {
        let (_, SIDECAR, key, event) = seen else { return };
        match event {
            Event::Invited(invitation) => self.invited(world, *key, invitation),
            Event::Confirmed { answer } => {
                self.with(world, *key, |call, judge| {
                    call.handle_confirmed(judge, answer.as_deref());
                });
            }
            Event::Reinvited { offer } => {
                self.with(world, *key, |call, _| call.handle_reinvited(offer.as_deref()));
            }
            Event::Ended(_) => self.with(world, *key, |call, _| call.handle_ended()),
            _ => {}
        }
    }

    fn invited(&mut self, world: &mut World, key: CallKey, invitation: &Invitation) {
        let facts = Facts::read(&invitation.headers, &invitation.call_id).expect("good headers");
        let watch = facts.subject.as_ref().map(|subject| {
            let voiceprint = (subject == "alice").then(alice);
            let leave = facts.consent.as_ref().map(|c| answered_for(&c.reference));
            let leave = leave.ok_or(Obstacle::NoConsent)?;
            SpeakerWatch::new(&leave, voiceprint.as_ref(), &embedders(), verifier())
                .map(ClaimWatch::from)
        });
        let models =
            Models { speaker: embedders(), keyword: "moonshine-tiny-en@ba9876543210".to_owned() };
        let started = "2026-11-23T10:00:00Z".parse().expect("a time");
        let leg = Leg::new(facts.party, facts.subject.clone(), started, models);
        let local = "192.0.2.2:20000".parse().expect("an address");
        let policy: Policy = toml::from_str(POLICY).expect("a policy");
        let conversation = facts.conversation;
        self.judges
            .entry(conversation.clone())
            .or_insert_with(|| Judge::new(conversation.clone(), Arc::new(policy)));
        let (patience, keys) = (Duration::from_secs(60), KeySource::new([7; 32]));
        let negotiation = Negotiation::new(local, 7, patience, MediaTerms::default(), keys);
        let call = Call::new(leg, negotiation);
        self.calls.insert(key, Standing { call, conversation, media: Vec::new() });
        match watch {
            Some(claim) if self.asks_long => self.open = Some((key, claim)),
            Some(claim) => self.with(world, key, |call, judge| call.handle_claim(judge, claim)),
            None => {}
        }
        self.with(world, key, |call, _| call.handle_invited(invitation.offer.as_deref()));
    }

    fn with(&mut self, world: &mut World, key: CallKey, act: impl FnOnce(&mut Call, &mut Judge)) {
        let standing = self.calls.get_mut(&key).expect("a call that was invited");
        let judge = self.judges.get_mut(&standing.conversation).expect("a judge of the call");
        act(&mut standing.call, judge);
        let (now, endpoint) = (world.now, &mut world.ends[SIDECAR]);
        while let Some(output) = standing.call.poll_output() {
            match output {
                Output::Accept { sdp } => endpoint.accept(now, key, sdp, &[]),
                Output::Refuse { status, reason } => {
                    endpoint.refuse(now, key, status, Some(&reason), &[]);
                }
                Output::OpenMedia { plan, watch } => {
                    standing.media.push(Media::Opened { plan, watched: watch.is_some() });
                }
                Output::Compare(_) => standing.media.push(Media::Compared),
                Output::ChangeMedia(plan) => standing.media.push(Media::Changed(plan)),
                Output::CloseMedia => standing.media.push(Media::Closed),
                Output::Verdict(verdict) => {
                    let inform = standing.call.stands();
                    if inform {
                        endpoint.send_info(now, key, notice(&verdict, None));
                    }
                    self.verdicts.push((*verdict, inform));
                }
                Output::Place { .. } => panic!("nobody is called here"),
                Output::HangUp { reason } => endpoint.hang_up(now, key, Some(reason)),
            }
        }
    }

    /// The audio of a call shows something.
    fn show(&mut self, world: &mut World, key: CallKey, evidence: &Evidence) {
        self.with(world, key, |call, judge| call.handle_evidence(judge, evidence));
    }
}

fn verifier() -> Verifier {
    Verifier::new(Calibration::RESNET34_GE2E, verifier::Settings::default())
}

fn embedders() -> Embedders {
    Embedders { decide: SPEAKER_MODEL.to_owned(), watch: None }
}

fn alice() -> Voiceprint {
    Voiceprint::of_embedding(
        "alice",
        "c-1",
        jiff::Timestamp::UNIX_EPOCH,
        12.0,
        (SPEAKER_MODEL, Embedding::from_raw(vec![1.0, 0.0]).expect("a direction")),
    )
}

fn speaker(decision: Decision, at_s: u64, llr: f64) -> Evidence {
    Evidence::Speaker(SpeakerEvidence {
        decision,
        since: Duration::from_secs(at_s) + Duration::from_millis(340),
        at: Duration::from_secs(at_s) + Duration::from_millis(340),
        llr,
        newest: Comparison {
            likeness: Likeness { decide: Some(0.75), watch: None },
            conditions: Conditions { range_db: 28.0, upper_db: -6.0, concealed: 0.0 },
            net_speech: Duration::from_secs(at_s),
            fresh: 1.0,
        },
        newest_llr: llr.signum() * 6.5,
        probability: 0.999_87,
        reason: None,
        net_speech: Duration::from_secs(at_s),
        coverage: 0.98765,
    })
}

fn phrase(start_ms: u64) -> Evidence {
    Evidence::Phrase(PhraseEvidence {
        phrase: 0,
        start: Duration::from_millis(start_ms),
        end: Duration::from_millis(start_ms + 1_210),
        score: -0.457,
        exact: false,
        net_speech: Duration::from_secs(9),
        coverage: 1.0,
    })
}

/// A PBX and the sidecar.
struct Bench {
    world: World,
    sidecar: Sidecar,
}

impl Bench {
    fn new() -> Self {
        Self { world: World::new(1), sidecar: Sidecar::default() }
    }

    /// An INVITE with these `X-Sidetone-` headers; returns the PBX's handle and the sidecar's.
    fn call(&mut self, offer: Option<&str>, facts: &[(&str, &str)]) -> [CallKey; 2] {
        let headers: Vec<_> =
            facts.iter().map(|(n, v)| (format!("X-Sidetone-{n}"), (*v).to_owned())).collect();
        let now = self.world.now;
        let placing = Placing { headers, offer: offer.map(str::to_owned), ..to_sidecar() };
        let theirs = self.world.ends[CALLER].invite(now, placing);
        self.pass(1);
        let ours = self.sidecar.calls.keys().next_back().copied();
        [theirs, ours.expect("the sidecar was called")]
    }

    fn alice(&mut self) -> [CallKey; 2] {
        self.call(Some(OFFER), &[("Subject", "alice"), ("Consent", "c-1"), ("Conversation", "k7")])
    }

    fn pass(&mut self, seconds: u64) {
        let until = self.world.now - self.world.start + Duration::from_secs(seconds);
        let Self { world, sidecar } = self;
        world.run(until, |world, seen| sidecar.react(world, seen));
    }

    fn show(&mut self, key: CallKey, evidence: &Evidence) {
        self.sidecar.show(&mut self.world, key, evidence);
    }

    /// What the newest claim comes to is known.
    fn claim(&mut self) {
        let (key, claim) = self.sidecar.open.take().expect("a claim that is open");
        self.sidecar.with(&mut self.world, key, |call, judge| call.handle_claim(judge, claim));
    }

    /// Shows all of it, a second apart.
    fn show_all(&mut self, key: CallKey, evidence: &[Evidence]) {
        for evidence in evidence {
            self.show(key, evidence);
            self.pass(1);
        }
    }

    /// The PBX hangs up, and every timer runs out.
    fn hang_up(&mut self, key: CallKey) {
        let now = self.world.now;
        self.world.ends[CALLER].hang_up(now, key, None);
        self.pass(LONG.as_secs());
    }

    /// The bodies of the INFOs that the PBX got.
    fn told(&self) -> Vec<String> {
        let body = |event: &&Event| match event {
            Event::InfoReceived { body, .. } => Some(String::from_utf8_lossy(body).into_owned()),
            _ => None,
        };
        self.world.events(CALLER).iter().filter_map(body).collect()
    }

    /// `sequence` and `decision` or `phrase` of each.
    fn conclusions(&self) -> Vec<(u64, String)> {
        let read = |body: &String| -> (u64, String) {
            let json: serde_json::Value = serde_json::from_str(body).expect("JSON");
            let word = json["decision"].as_str().or(json["phrase"].as_str()).expect("a word");
            (json["sequence"].as_u64().expect("a number"), word.to_owned())
        };
        self.told().iter().map(read).collect()
    }

    fn media(&self, key: CallKey) -> &[Media] {
        &self.sidecar.calls[&key].media
    }
}

fn conclusion(sequence: u64, word: &str) -> (u64, String) {
    (sequence, word.to_owned())
}

#[test]
fn each_changed_conclusion_is_one_info_with_the_next_number() {
    let mut bench = Bench::new();
    let [theirs, ours] = bench.alice();
    assert!(matches!(bench.media(ours), [Media::Opened { watched: true, .. }]));
    bench.show_all(
        ours,
        &[
            Evidence::Talk { talking: true, at: Duration::ZERO },
            speaker(Decision::Collecting, 3, 6.5),
            speaker(Decision::Accepted, 4, 8.67),
            speaker(Decision::Accepted, 7, 8.67),
            phrase(8_000),
            speaker(Decision::Accepted, 10, 8.67),
            speaker(Decision::Changed, 14, -12.0),
            speaker(Decision::Changed, 15, -12.0),
        ],
    );
    let expected =
        [conclusion(1, "accepted"), conclusion(2, "capital-at-risk"), conclusion(3, "changed")];
    assert_eq!(bench.conclusions(), expected);
    bench.hang_up(theirs);
    assert_eq!(bench.world.ends_of(SIDECAR), [&End::ByPeer { reason: None }]);
    assert_eq!(bench.media(ours).last(), Some(&Media::Closed));
    assert!(bench.world.is_clean());
}

#[test]
fn a_verdict_reads_like_this() {
    let mut bench = Bench::new();
    let [_, ours] = bench.alice();
    bench.show_all(ours, &[speaker(Decision::Accepted, 4, 8.6667), phrase(8_020)]);
    let [_, other] = bench.call(
        Some(OFFER),
        &[("Subject", "alice"), ("Conversation", "k8"), ("Party", "mixed"), ("Consent", "")],
    );
    assert!(matches!(bench.media(other), [Media::Opened { watched: false, .. }]));
    // The contract with dialplans and dashboards, schema version 1: fields may be added to it.
    let expected = [
        r#"{"version":1,"sequence":1,"conversation":"k7","party":"caller","kind":"speaker",
            "subject":"alice","decision":"accepted","llr":8.67,"probability":0.9999,"since":"2026-11-23T10:00:04.34Z",
            "since_s":4.34,"net_speech_s":4.0,"coverage":0.988,
            "model":"wespeaker-resnet34@0123456789ab","policy":"sales@3"}"#,
        r#"{"version":1,"sequence":2,"conversation":"k7","party":"caller","kind":"keyword",
            "phrase":"capital-at-risk","sensitivity":"public","start_s":8.02,"end_s":9.23,"score":-0.46,"exact":false,
            "since":"2026-11-23T10:00:08.02Z","since_s":8.02,"net_speech_s":9.0,"coverage":1.0,
            "model":"moonshine-tiny-en@ba9876543210","policy":"sales@3"}"#,
        r#"{"version":1,"sequence":1,"conversation":"k8","party":"mixed","kind":"speaker",
            "subject":"alice","decision":"inconclusive","reason":"no_consent",
            "since":"2026-11-23T10:00:00Z","since_s":0.0,"net_speech_s":0.0,"coverage":0.0,
            "policy":"sales@3"}"#,
    ];
    let one_line = |sample: &str| sample.lines().map(str::trim).collect::<String>();
    assert_eq!(bench.told(), expected.map(one_line));
}

#[test]
fn a_claim_may_be_known_at_any_time_and_what_hinders_it_is_told_once_the_call_stands() {
    for known_after in [0, 1] {
        let mut bench = Bench::new();
        bench.sidecar.asks_long = true;
        let now = bench.world.now;
        let facts = [("X-Sidetone-Subject", "alice"), ("X-Sidetone-Consent", "c-1")];
        let headers = facts.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let placing = Placing { headers, offer: Some(OFFER.to_owned()), ..to_sidecar() };
        bench.world.ends[CALLER].invite(now, placing);
        bench.pass(known_after + 1);
        let ours = *bench.sidecar.calls.keys().next().expect("a call");
        assert!(matches!(bench.media(ours), [Media::Opened { watched: false, .. }]));
        bench.claim();
        assert_eq!(bench.media(ours).last(), Some(&Media::Compared));
    }
    let mut bench = Bench::new();
    bench.sidecar.asks_long = true;
    let [theirs, ours] = bench.call(Some(OFFER), &[("Subject", "bob"), ("Consent", "c-1")]);
    bench.pass(3);
    assert_eq!(bench.told(), [""; 0], "nothing is known");
    bench.claim();
    bench.pass(1);
    assert_eq!(bench.conclusions(), [conclusion(1, "inconclusive")]);
    assert!(bench.told()[0].contains("\"reason\":\"no_voiceprint\""));
    assert_eq!(bench.media(ours).len(), 1);
    // After the call nobody wants to know.
    bench.hang_up(theirs);
    let [theirs, ours] = bench.alice();
    bench.hang_up(theirs);
    let before = bench.media(ours).len();
    bench.claim();
    assert_eq!(bench.media(ours).len(), before);
}

#[test]
fn a_comparison_that_ends_in_the_call_is_told_whatever_was_decided() {
    let end = |why| {
        let (at, net_speech) = (Duration::from_secs(9), Duration::from_secs(8));
        Evidence::ComparisonEnded(EndEvidence { why, at, net_speech })
    };
    for before in [Decision::Collecting, Decision::Accepted, Decision::Inconclusive] {
        let mut bench = Bench::new();
        let [_, ours] = bench.alice();
        bench.show_all(ours, &[speaker(before, 4, 1.0), end(Obstacle::ConsentWithdrawn)]);
        let told = bench.told();
        let last: serde_json::Value =
            serde_json::from_str(told.last().expect("told")).expect("JSON");
        assert_eq!(
            (&last["decision"], &last["reason"]),
            (&"inconclusive".into(), &"consent_withdrawn".into())
        );
        assert_eq!((&last["since_s"], &last["coverage"]), (&9.0.into(), &0.0.into()));
        assert!(last.get("llr").is_none_or(serde_json::Value::is_null), "{last}");
    }
}

#[test]
fn an_identity_that_cannot_be_checked_is_inconclusive_once_and_says_why() {
    for (facts, reason) in [
        (vec![("Subject", "alice")], "no_consent"),
        (vec![("Subject", "alice"), ("Consent", "not a reference")], "no_consent"),
        (vec![("Subject", "bob"), ("Consent", "c-2")], "no_voiceprint"),
    ] {
        let mut bench = Bench::new();
        let [_, ours] = bench.call(Some(OFFER), &facts);
        assert!(matches!(bench.media(ours), [Media::Opened { watched: false, .. }]));
        bench.show(ours, &Evidence::NoSpeakerCheck(Obstacle::NoConsent));
        bench.pass(1);
        assert_eq!(bench.conclusions(), [conclusion(1, "inconclusive")], "{facts:?}");
        assert!(bench.told()[0].contains(&format!("\"reason\":\"{reason}\"")), "{facts:?}");
    }
}

#[test]
fn a_caller_who_claims_nothing_is_not_judged() {
    let mut bench = Bench::new();
    let [_, ours] = bench.call(Some(OFFER), &[("Consent", "c-1")]);
    assert!(matches!(bench.media(ours), [Media::Opened { watched: false, .. }]));
    bench.show_all(ours, &[speaker(Decision::Accepted, 4, 8.7), phrase(5_000)]);
    assert_eq!(bench.conclusions(), [conclusion(1, "capital-at-risk")]);
}

#[test]
fn a_phrase_in_two_overlapping_segments_is_told_once() {
    let mut bench = Bench::new();
    let [_, ours] = bench.alice();
    bench.show_all(ours, &[phrase(7_100), phrase(7_240), phrase(20_000)]);
    let expected = [conclusion(1, "capital-at-risk"), conclusion(2, "capital-at-risk")];
    assert_eq!(bench.conclusions(), expected);
    assert!(bench.told()[1].contains("\"start_s\":20.0"));
}

#[test]
fn the_legs_of_one_conversation_share_one_sequence() {
    let mut bench = Bench::new();
    let [_, caller] = bench.alice();
    let [_, agent] = bench.call(Some(OFFER), &[("Party", "agent"), ("Conversation", "k7")]);
    let [_, other] = bench.call(Some(OFFER), &[("Party", "agent"), ("Conversation", "k8")]);
    bench.show_all(caller, &[speaker(Decision::Accepted, 4, 8.7)]);
    bench.show_all(agent, &[phrase(4_000)]);
    bench.show_all(other, &[phrase(4_000)]);
    bench.show_all(caller, &[phrase(4_000)]);
    let numbers: Vec<_> = bench.conclusions().into_iter().map(|(sequence, _)| sequence).collect();
    assert_eq!(numbers, [1, 2, 1, 3], "what one leg said, the other may say too");
}

#[test]
fn evidence_before_the_ack_waits_for_it() {
    let mut bench = Bench::new();
    let acked = Rc::new(Cell::new(false));
    let passes = Rc::clone(&acked);
    bench.world.lost = Box::new(move |_, text| text.starts_with("ACK") && !passes.get());
    let [theirs, ours] = bench.call(Some(OFFER), &[("Subject", "alice")]);
    bench.show_all(ours, &[phrase(100)]);
    assert_eq!(bench.conclusions(), []);
    acked.set(true);
    bench.pass(10);
    let expected = [conclusion(1, "capital-at-risk"), conclusion(2, "inconclusive")];
    assert_eq!(bench.conclusions(), expected);
    bench.hang_up(theirs);
    assert!(bench.world.is_clean());
}

/// What became of the sidecar's INFOs.
fn fates(bench: &Bench) -> Vec<&Event> {
    let is_fate = |e: &&Event| matches!(e, Event::InfoFailed { .. } | Event::InfoSkipped { .. });
    bench.world.events(SIDECAR).into_iter().filter(is_fate).collect()
}

#[test]
fn a_refused_info_does_not_end_the_call() {
    let mut bench = Bench::new();
    let [theirs, ours] = bench.alice();
    // The PBX hangs up, and its BYE is lost: it then knows nothing of the dialog.
    bench.world.lost = Box::new(|_, text| text.starts_with("BYE"));
    let now = bench.world.now;
    bench.world.ends[CALLER].hang_up(now, theirs, None);
    bench.pass(40);
    bench.show_all(ours, &[speaker(Decision::Accepted, 4, 8.7), phrase(5_000)]);
    let fates = fates(&bench);
    let [Event::InfoFailed { why, .. }, Event::InfoSkipped { why: skipped, .. }] = fates[..] else {
        panic!("{fates:?}")
    };
    assert_eq!(*why, InfoFailure::Refused { status: 481 });
    assert_eq!(*skipped, InfoSkip::PeerRefused);
    assert_eq!(bench.sidecar.verdicts.len(), 2, "the conclusions stand all the same");
    bench.pass(600);
    assert!(bench.world.ends_of(SIDECAR).is_empty(), "a refused INFO ends nothing");
}

#[test]
fn an_info_that_is_never_answered_does_not_end_the_call() {
    let mut bench = Bench::new();
    bench.world.lost = Box::new(|_, text| text.starts_with("INFO"));
    let [theirs, ours] = bench.alice();
    bench.show_all(ours, &[speaker(Decision::Accepted, 4, 8.7)]);
    bench.pass(60);
    let fates = fates(&bench);
    let [Event::InfoFailed { why: InfoFailure::TimedOut, .. }] = fates[..] else {
        panic!("{fates:?}")
    };
    assert!(bench.world.ends_of(SIDECAR).is_empty() && bench.world.ends_of(CALLER).is_empty());
    bench.hang_up(theirs);
    assert_eq!(bench.world.ends_of(SIDECAR), [&End::ByPeer { reason: None }]);
}

#[test]
fn last_words_become_a_verdict_that_is_told_to_nobody() {
    let mut bench = Bench::new();
    let [theirs, ours] = bench.alice();
    bench.hang_up(theirs);
    bench.show(ours, &phrase(5_000));
    bench.pass(60);
    let inform: Vec<_> = bench.sidecar.verdicts.iter().map(|(_, inform)| *inform).collect();
    assert_eq!((inform, bench.world.count("INFO")), (vec![false], 0));
}

#[test]
fn an_offer_of_ours_is_answered_in_the_ack() {
    let mut bench = Bench::new();
    let [theirs, ours] = bench.call(None, &[]);
    let answered = bench.world.events(CALLER).into_iter().find_map(|event| match event {
        Event::Answered { sdp, .. } => sdp.clone(),
        _ => None,
    });
    let offer = answered.expect("an offer of ours");
    assert!(offer.contains("a=recvonly") && offer.contains("opus/48000/2"), "{offer}");
    let number = offer.split("a=rtpmap:").find(|line| line.contains("opus")).expect("a map");
    let number = number.split(' ').next().expect("a number");
    let answer = OFFER.replace("RTP/AVP 8 0 101", &format!("RTP/AVP {number}"));
    let answer = answer.replace("a=rtpmap:101 telephone-event", &format!("a=rtpmap:{number} opus"));
    let answer = answer.replace("opus/8000", "opus/48000/2");
    let now = bench.world.now;
    bench.world.ends[CALLER].acknowledge(now, theirs, answer);
    bench.pass(1);
    let Some(Media::Changed(plan)) = bench.media(ours).last() else { panic!("no answer") };
    let opus = Payload::Audio(Codec::Opus);
    assert_eq!(plan.payloads, [(number.parse().expect("a number"), opus)]);
    assert_eq!(plan.rtp, Some("192.0.2.1:4000".parse().expect("an address")));
    bench.show_all(ours, &[phrase(1_000)]);
    assert_eq!(bench.conclusions(), [conclusion(1, "capital-at-risk")]);
}

#[test]
fn an_ack_without_the_answer_that_it_owes_ends_the_call_with_a_reason() {
    let mut bench = Bench::new();
    let [theirs, _] = bench.call(None, &[]);
    let now = bench.world.now;
    bench.world.ends[CALLER].acknowledge(now, theirs, "hello".to_owned());
    bench.pass(60);
    assert!(
        matches!(bench.world.ends_of(SIDECAR)[..], [End::ByUs { reason: Some(r) }] if r.contains("488"))
    );
}

/// The SDP of the answers to the PBX's re-INVITEs, the first INVITE's included.
fn answers(bench: &Bench) -> Vec<String> {
    let sdp = |event: &Event| match event {
        Event::Answered { sdp, .. } => sdp.clone(),
        _ => None,
    };
    bench.world.events(CALLER).into_iter().filter_map(sdp).collect()
}

#[test]
fn hold_and_resume_change_the_media_and_nothing_else() {
    let mut bench = Bench::new();
    let [theirs, ours] = bench.alice();
    let held = OFFER.replace("a=sendonly", "a=inactive").replace("1 1 IN", "1 2 IN");
    let resumed = OFFER.replace("audio 4000", "audio 4002").replace("1 1 IN", "1 3 IN");
    for offer in [held, resumed] {
        let now = bench.world.now;
        bench.world.ends[CALLER].reinvite(now, theirs, Some(offer));
        bench.pass(1);
    }
    let directions: Vec<_> = answers(&bench)
        .iter()
        .map(|sdp| {
            sdp.lines().find(|l| ["a=recvonly", "a=inactive"].contains(l)).map(str::to_owned)
        })
        .collect();
    let said = |word: &str| Some(format!("a={word}"));
    assert_eq!(directions, [said("recvonly"), said("inactive"), said("recvonly")]);
    let [Media::Opened { .. }, Media::Changed(_), Media::Changed(plan)] = bench.media(ours) else {
        panic!("{:?}", bench.media(ours))
    };
    assert_eq!(plan.rtp, Some("192.0.2.1:4002".parse().expect("an address")));
    bench.show_all(ours, &[speaker(Decision::Accepted, 4, 8.7)]);
    assert_eq!(bench.conclusions(), [conclusion(1, "accepted")]);
}

#[test]
fn an_offerless_reinvite_changes_nothing_before_its_answer() {
    let mut bench = Bench::new();
    let [theirs, ours] = bench.alice();
    let now = bench.world.now;
    bench.world.ends[CALLER].reinvite(now, theirs, None);
    bench.pass(1);
    assert_eq!(bench.media(ours).len(), 1, "{:?}", bench.media(ours));
    let moved = OFFER.replace("audio 4000", "audio 4002");
    let now = bench.world.now;
    bench.world.ends[CALLER].acknowledge(now, theirs, moved);
    bench.pass(1);
    let Some(Media::Changed(plan)) = bench.media(ours).last() else { panic!("no answer") };
    assert_eq!(plan.rtp, Some("192.0.2.1:4002".parse().expect("an address")));
}

#[test]
fn an_offer_without_a_codec_of_ours_is_refused_and_a_running_call_survives_it() {
    let g729 = OFFER.replace("8 0 101", "18");
    let mut bench = Bench::new();
    let [_, ours] = bench.call(Some(&g729), &[]);
    assert_eq!(bench.world.ends_of(CALLER), [&End::Refused { status: 488 }]);
    assert_eq!(bench.media(ours), [Media::Closed]);
    bench.pass(LONG.as_secs());
    assert!(bench.world.is_clean());

    let mut bench = Bench::new();
    let [theirs, ours] = bench.alice();
    let now = bench.world.now;
    bench.world.ends[CALLER].reinvite(now, theirs, Some(g729));
    bench.pass(1);
    assert!(bench.world.events(CALLER).contains(&&Event::ReinviteRefused { status: 488 }));
    assert_eq!(bench.media(ours).len(), 1, "as it was");
    bench.show_all(ours, &[phrase(1_000)]);
    assert_eq!(bench.conclusions(), [conclusion(1, "capital-at-risk")]);
}

#[test]
fn verdicts_keep_their_order_over_a_network_that_misbehaves() {
    for seed in 0..40 {
        let mut bench = Bench { world: World::new(seed), sidecar: Sidecar::default() };
        (bench.world.loss, bench.world.doubled) = (0.2, 0.2);
        bench.world.jitter = Duration::from_millis(400);
        let now = bench.world.now;
        let placing = Placing { offer: Some(OFFER.to_owned()), ..to_sidecar() };
        bench.world.ends[CALLER].invite(now, placing);
        bench.pass(40);
        let Some(ours) = bench.sidecar.calls.keys().next().copied() else { continue };
        for n in 0..20 {
            bench.show(ours, &phrase(n * 2_000));
            bench.pass(n % 3);
        }
        bench.pass(600);
        let numbers: Vec<_> = bench.conclusions().into_iter().map(|(n, _)| n).collect();
        let all: Vec<_> = (1..=numbers.len() as u64).collect();
        assert_eq!(
            numbers, all,
            "seed {seed}: one of each, in order, none left out before the last"
        );
    }
}
