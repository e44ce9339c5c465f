//! Callers who are enrolled while they speak, and voiceprints that follow them: whole media sessions in
//! simulated time.
//!
//! The model is made up, and hears what the test says; the audio is real speech, or a synthetic voice
//! where there is none.

#[path = "sim/party.rs"]
#[allow(dead_code, reason = "the tests of parties need more of it")]
mod party;
#[path = "sim/phone.rs"]
#[allow(dead_code, reason = "the tests of lines need more of it")]
mod phone;

use std::path::Path;

use sidetone::audio::decoder::Codec;
use sidetone::call::adaptation_watch::AdaptationWatch;
use sidetone::call::enrollment_watch::{EnrollmentWatch, Progress};
use sidetone::policy::evidence::EnrollmentState;
use sidetone::runtime::audio_file::read_mono;
use sidetone::speaker::adaptation;
use sidetone::speaker::gathering::Gathering;
use sidetone::speaker::quality::Band;
use sidetone::speaker::voiceprint::{Source, Voiceprint};

use party::{MODEL, Party, SAME, embedders, leave};
use phone::{Phone, RATE, voice};

/// Cosine of a window to the person's mean: as one voice's windows have it, alternating around .8.
fn own(n: usize) -> f32 {
    // The embedders take turns: of two pieces of speech one is the strong one's.
    if (n / 2).is_multiple_of(2) { 1.0 } else { 0.78 }
}

/// `seconds` of speech at [`RATE`], from `from` on.
fn speech(from: usize, seconds: usize) -> Vec<f32> {
    let file = Path::new("models/store/recordings/two_cities.wav");
    match read_mono(file, RATE as u32) {
        Ok(speech) => speech[from * RATE..(from + seconds) * RATE].to_vec(),
        Err(_) => voice(seconds as f32),
    }
}

fn watch(source: Source, earlier: Option<Gathering>) -> EnrollmentWatch {
    let began = jiff::Timestamp::UNIX_EPOCH;
    EnrollmentWatch::new("alice", &leave(), began, source, &embedders(), earlier)
}

/// A call of `audio` in `codec`, in which whoever the ear hears is enrolled.
fn call(
    audio: &[f32],
    codec: Codec,
    mut ear: impl FnMut(usize) -> Option<f32> + 'static,
    watch: EnrollmentWatch,
) -> Party {
    let mut party = Party::with(None, 1);
    party.ear = Box::new(move |n, _| ear(n));
    party.session.enroll(watch);
    let mut phone = Phone::new(codec);
    phone.say(audio);
    party.hear(phone.sent)
}

/// How the enrolment stood at each change.
fn told(party: &Party) -> Vec<(EnrollmentState, Option<&str>)> {
    let told = party.enrolling.iter().map(|progress| match progress {
        Progress::Evidence(evidence)
        | Progress::Enrolled(_, evidence)
        | Progress::Gathered(_, evidence) => (evidence.state, evidence.reason.as_deref()),
    });
    told.collect()
}

fn enrolled(party: &Party) -> &Voiceprint {
    let print = party.enrolling.iter().find_map(|progress| match progress {
        Progress::Enrolled(print, _) => Some(print),
        Progress::Evidence(_) | Progress::Gathered(..) => None,
    });
    print.expect("a voiceprint")
}

const COLLECTING: (EnrollmentState, Option<&str>) = (EnrollmentState::Collecting, None);
const ENROLLED: (EnrollmentState, Option<&str>) = (EnrollmentState::Enrolled, None);

#[test]
fn a_caller_is_enrolled_as_soon_as_ten_seconds_are_good() {
    let party = call(&speech(0, 25), Codec::Pcmu, |n| Some(own(n)), watch(Source::Call, None));
    assert_eq!(told(&party), [COLLECTING, ENROLLED]);
    let print = enrolled(&party);
    assert_eq!((print.subject.as_str(), print.consent.as_str()), ("alice", "c-1"));
    assert_eq!(print.net_speech_s, 10.0, "no window is embedded that is not needed");
    assert_eq!(party.windows.len(), 13 + 11, "by the cheap embedder and by the strong one");
    let session = print.sessions[0];
    assert_eq!((session.source, session.band, session.coverage), (Source::Call, Band::Narrow, 1.0));
    assert_eq!(print.reference(MODEL).map(|reference| reference.windows), Some(11));
}

#[test]
fn a_call_that_ends_too_soon_says_what_is_missing_and_keeps_nothing() {
    let party = call(&speech(0, 8), Codec::Pcmu, |n| Some(own(n)), watch(Source::Call, None));
    let told = told(&party);
    assert_eq!((told.len(), told[0], told[1].0), (2, COLLECTING, EnrollmentState::Refused));
    let reason = told[1].1.expect("a reason");
    assert!(reason.ends_with(" s of net speech found, at least 10 s needed"), "{reason}");
}

#[test]
fn two_callers_on_one_leg_are_told_and_not_enrolled() {
    let two = |n| Some(if n < 14 { 1.0 } else { 0.1 });
    let party = call(&speech(0, 25), Codec::Pcmu, two, watch(Source::Call, None));
    let told = told(&party);
    let states: Vec<_> = told.iter().map(|(state, _)| *state).collect();
    let (collecting, refused) = (EnrollmentState::Collecting, EnrollmentState::Refused);
    assert_eq!(states, [collecting, collecting, refused], "once while it goes on, and at the end");
    for (_, reason) in &told[1..] {
        assert!(reason.expect("a reason").starts_with("more than one voice found"), "{told:?}");
    }
}

#[test]
fn several_short_calls_make_a_voiceprint_in_passing() {
    let first = call(&speech(0, 8), Codec::Pcmu, |n| Some(own(n)), watch(Source::Passive, None));
    let Some(Progress::Gathered(gathered, evidence)) = first.enrolling.last() else {
        panic!("{:?}", first.enrolling)
    };
    assert_eq!(evidence.state, EnrollmentState::Collecting);
    assert!(evidence.reason.as_deref().expect("a reason").contains("at least 10 s needed"));
    let before = gathered.net_speech_s;
    assert!((5.0..8.0).contains(&before), "{before}");

    // Somebody else under that name adds nothing.
    let other = watch(Source::Passive, Some((**gathered).clone()));
    let other = call(
        &speech(8, 10),
        Codec::Pcmu,
        |n| Some(if (n / 2).is_multiple_of(2) { 0.2 } else { -0.42 }),
        other,
    );
    let told_of_other = told(&other);
    let (state, reason) = told_of_other.last().expect("an end");
    assert_eq!(*state, EnrollmentState::Refused);
    assert!(reason.expect("a reason").starts_with("another voice than before found"), "{reason:?}");

    let second = watch(Source::Passive, Some((**gathered).clone()));
    let second = call(&speech(8, 10), Codec::Pcmu, |n| Some(own(n)), second);
    assert_eq!(told(&second), [COLLECTING, ENROLLED]);
    let print = enrolled(&second);
    assert_eq!(print.sessions.len(), 2);
    assert!(print.sessions.iter().all(|session| session.source == Source::Passive));
    assert!((10.0..12.0).contains(&print.net_speech_s), "{}", print.net_speech_s);
}

#[test]
fn windows_that_the_model_failed_on_are_no_speech_of_a_voiceprint() {
    // It works until some 7 s of speech are heard, and then on nothing.
    let at_first = |n: usize| (n < 15).then(|| own(n));
    let party = call(&speech(0, 25), Codec::Pcmu, at_first, watch(Source::Call, None));
    let told = told(&party);
    let (state, reason) = told.last().expect("an end");
    assert_eq!(*state, EnrollmentState::Refused);
    assert!(reason.expect("a reason").contains(" needed"), "{reason:?}");
}

#[test]
fn an_accepted_call_teaches_the_voiceprint_and_one_window_of_doubt_does_not() {
    let settings = adaptation::Settings { enabled: true, ..adaptation::Settings::OFF };
    let steps = |doubt: Option<usize>| {
        let ear = move |n, _: &_| Some(if doubt == Some(n) { 0.3 } else { SAME });
        let mut watch = party::watch();
        watch.adapt(AdaptationWatch::new(&leave(), settings, &embedders()));
        let mut party = Party::with(Some(watch), 1);
        party.ear = Box::new(ear);
        let mut phone = Phone::new(Codec::Pcmu);
        phone.say(&speech(0, 30));
        party.hear(phone.sent).steps
    };
    let taught = steps(None);
    assert_eq!(taught.len(), 1);
    assert!(taught[0].net_speech_s >= 20.0 && taught[0].llr >= 5.0, "{taught:?}");
    assert_eq!(steps(Some(3)), []);
}
