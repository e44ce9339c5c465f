//! Phrases by example: learned from some speakers, found in the running speech of others through the whole of the
//! product, and told as the experiment that they are.
//!
//! `SIDETONE_EXAMPLES=all` measures on all there is, which takes minutes.

#![expect(clippy::disallowed_methods, reason = "a measurement reads its environment")]
#![expect(clippy::print_stderr, reason = "it says what it found")]

mod store;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sidetone::audio::channel::Channel;
use sidetone::audio::pcm;
use sidetone::config::parse_policy;
use sidetone::keyword::acoustic_model::FRAME_SAMPLES;
use sidetone::keyword::detections::{at, poisson, wilson};
use sidetone::keyword::example::{Examples, LONGEST, SHORTEST, spoken};
use sidetone::keyword::example_decision::EXPERIMENT;
use sidetone::keyword::phone_roots::PhoneRoots;
use sidetone::keyword::segment_level::levelled;
use sidetone::policy::evidence::{Evidence, PhraseEvidence};
use sidetone::policy::judge::{Judge, Leg, Models};
use sidetone::policy::rule::{Party, Policy};
use sidetone::runtime::audio_file::read_mono;
use sidetone::runtime::example_file::{Calibrated, ExampleFile};
use sidetone::runtime::installed::Installed;
use sidetone::runtime::learning::{self, Recorded};
use sidetone::runtime::phrase_engine::PhraseEngine;
use sidetone::runtime::phrase_list::PhraseList;
use sidetone::runtime::recordings::recordings;
use sidetone::runtime::spotting_run;
use sidetone::runtime::trial_run::LoadedNoises;
use store::{skip, store};
use tempfile::TempDir;

const POLICY: &str = "name = 'p'\nversion = '1'\n[[phrase]]\nid = 'cat'\ntext = 'cat'\n\
    [[phrase]]\nid = 'word'\ntext = 'computer'\nexamples = 'word.phrase'\n";

fn policy(folder: &Path) -> Policy {
    parse_policy(&folder.join("policy.toml"), POLICY).expect("a policy")
}

/// Rate of the recordings that are made here, Hz.
const RATE: u32 = 16_000;
const WORDS: [&str; 3] = ["computer", "snowboy", "smart_mirror"];
/// Examples of a word.
const LEARNED: usize = 8;
/// Of its recordings by other speakers.
const FOUND: usize = 30;

/// A word that was learned, and what is searched for it.
struct Learned {
    folder: TempDir,
    calibrated: Calibrated,
    /// By others, each amid another's running speech.
    said: Vec<PathBuf>,
}

/// The recordings of a folder of speech.
fn all_of(folder: &str) -> Vec<PathBuf> {
    recordings(&Path::new("../shared/speech").join(folder)).unwrap_or_default()
}

fn every(files: &[PathBuf], from: usize, step: usize) -> Vec<PathBuf> {
    files.iter().skip(from).step_by(step).cloned().collect()
}

/// `samples` as loud as all others are.
fn loud(samples: &[f32]) -> Vec<f32> {
    levelled(samples).iter().map(|sample| sample.clamp(-1.0, 1.0)).collect()
}

/// The word of `word` amid a second and more of `carrier` on either side, as a file.
fn amid(word: &Path, carrier: &Path, file: PathBuf) -> Option<PathBuf> {
    let read = |file: &Path| read_mono(file, RATE).expect("a recording");
    let (word, carrier) = (loud(&read(word)), loud(&read(carrier)));
    let frames = spoken(&word);
    if !(SHORTEST..LONGEST).contains(&frames.len()) {
        return None;
    }
    let word = &word[frames.start * FRAME_SAMPLES..frames.end * FRAME_SAMPLES];
    let middle = carrier.len() / 2;
    let around = middle.min(RATE as usize * 6 / 5);
    let parts = [&carrier[middle - around..middle], word, &carrier[middle..middle + around]];
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&file, spec).expect("a file");
    for sample in pcm::to_i16(&parts.concat()) {
        writer.write_sample(sample).expect("a disk");
    }
    writer.finalize().expect("a disk");
    Some(file)
}

/// Learns a word from eight people and `background`, and has others say it amid the speech of `carriers`.
fn learned(
    installed: &Installed,
    word: &str,
    background: &[PathBuf],
    carriers: &[PathBuf],
) -> Learned {
    let folder = tempfile::tempdir().expect("a folder");
    let mut model = installed.moonshine().expect("the model");
    let mut files = all_of(&format!("words/{word}"));
    // The names are those of volunteers: in this order nobody's recordings are side by side.
    fastrand::Rng::with_seed(7).shuffle(&mut files);
    let mut files = files.into_iter();
    let mut recorded: Vec<Recorded> = Vec::new();
    while recorded.len() < LEARNED {
        let file = files.next().expect("two hundred recordings");
        recorded.extend(learning::record(&mut model, &file).ok());
    }
    let said = recorded.into_iter().map(|recorded| recorded.phrase).collect();
    let examples = Examples::new(said).expect("eight examples");
    let tail = learning::tail(&mut model, &examples, background, |_| ()).expect("speech");
    let (wanted, made) = (0.5, jiff::Timestamp::UNIX_EPOCH);
    let threshold = tail.threshold_for(wanted);
    let calibrated = Calibrated {
        threshold,
        expected_false_alarms_per_hour: wanted,
        background_hours: tail.hours(),
        background_found: tail.count(threshold),
    };
    let file = ExampleFile::of("word", installed.ear(), &examples, calibrated, made);
    file.write(&folder.path().join("word.phrase")).expect("it is written");
    let amid = |(nth, (word, carrier)): (usize, (PathBuf, &PathBuf))| {
        amid(&word, carrier, folder.path().join(format!("{nth}.wav")))
    };
    let said = files.zip(carriers.iter().cycle()).enumerate().filter_map(amid).take(FOUND);
    let said = said.collect();
    Learned { folder, calibrated, said }
}

#[test]
fn a_word_learned_from_some_speakers_is_found_in_what_others_say() {
    let Some(store) = store() else { return };
    let cohort = all_of("cohort");
    if cohort.is_empty() || all_of("words/computer").is_empty() {
        return skip("no speech at ../shared/speech/words and ../shared/speech/cohort");
    }
    let all = std::env::var("SIDETONE_EXAMPLES").is_ok_and(|which| which == "all");
    // Nobody of the background is among the others.
    let step = if all { 2 } else { 6 };
    let (background, strangers) = (every(&cohort, 0, step), every(&cohort, 1, step));
    let installed = Installed::open(&store, None).expect("the models");
    let (mut found, mut said, mut false_alarms, mut hours) = (0, 0, 0, 0.0);
    for word in &WORDS[..if all { WORDS.len() } else { 1 }] {
        let Learned { folder, calibrated, said: files } =
            learned(&installed, word, &background, &strangers);
        let policy = policy(folder.path());
        let spotter = installed.spotter(&policy, -3.9).expect("phrases");
        assert_eq!(spotter.threshold_of(1), calibrated.threshold);
        let model = Box::new(installed.moonshine().expect("the model"));
        let mut engine = PhraseEngine::Moonshine { model, spotter };
        let quiet = LoadedNoises { talkers: Vec::new(), own: None };
        let with = |files: &[PathBuf], phrases: &[usize]| PhraseList {
            recordings: files.iter().map(|file| (file.clone(), phrases.to_vec())).collect(),
        };
        let mut searched = |list: &PhraseList| {
            let run =
                spotting_run::run(list, (Channel::Mulaw, &quiet, 1), (2, &mut engine), |_| {});
            let outcome = run.expect("a run");
            let of_word: Vec<_> = outcome.fused.into_iter().filter(|one| one.phrase == 1).collect();
            (at(&of_word, calibrated.threshold), outcome.net_speech.as_secs_f64() / 3600.0)
        };
        let (own, _) = searched(&with(&files, &[1]));
        let (others, net_speech) = searched(&with(&strangers, &[]));
        eprintln!(
            "{word}, threshold {:.3} by {:.2} h: {} of {} found, {} false alarms in {net_speech:.2} h of speech",
            calibrated.threshold,
            calibrated.background_hours,
            own.found,
            own.said,
            others.false_alarms,
        );
        found += own.found;
        said += own.said;
        false_alarms += others.false_alarms;
        hours += net_speech;
    }
    let recall = found as f64 / said as f64;
    let (low, high) = wilson(recall, said);
    let (fewest, most) = poisson(false_alarms);
    eprintln!(
        "{found} of {said}: {recall:.2} [{low:.2}, {high:.2}]; {false_alarms} false alarms in {hours:.2} h: \
         {:.1} [{:.1}, {:.1}] an hour and phrase",
        false_alarms as f64 / hours,
        fewest / hours,
        most / hours
    );
    assert_eq!(said, if all { 90 } else { 30 });
    assert!(recall >= 0.5 && false_alarms <= if all { 3 } else { 1 });
}

#[test]
fn a_file_that_is_missing_or_of_another_phrase_is_told_with_file_and_line() {
    let Some(store) = store() else { return };
    let installed = Installed::open(&store, None).expect("the models");
    let folder = tempfile::tempdir().expect("a folder");
    let refused = || {
        let error = installed.spotter(&policy(folder.path()), -3.9).expect_err("no examples");
        error.to_string().replace(&format!("{}/", folder.path().display()), "")
    };
    let at = "policy.toml, line 6: phrase \"word\": ";
    let missing = refused();
    assert!(missing.starts_with(&format!("{at}cannot use word.phrase: No such file")), "{missing}");
    let frames = PhoneRoots::new([1.0].into_iter().chain([0.0; 47]).collect::<Vec<_>>().repeat(40));
    let examples = Examples::new(vec![frames.expect("whole frames"); 3]);
    let calibrated = Calibrated {
        threshold: -0.2,
        expected_false_alarms_per_hour: 0.5,
        background_hours: 1.0,
        background_found: 0,
    };
    let (examples, made) = (examples.expect("three"), jiff::Timestamp::UNIX_EPOCH);
    let file = ExampleFile::of("other", installed.ear(), &examples, calibrated, made);
    file.write(&folder.path().join("word.phrase")).expect("it is written");
    assert_eq!(refused(), format!("{at}word.phrase was learned for the phrase \"other\""));
}

#[test]
fn a_verdict_that_rests_on_examples_is_labelled_with_their_figure() {
    let policy = Arc::new(policy(Path::new("")));
    let mut leg = Leg::new(Party::Caller, None, jiff::Timestamp::UNIX_EPOCH, Models::default());
    let mut judge = Judge::new("c".to_owned(), policy);
    let mut verdict = |phrase: usize, second: u64| -> Value {
        let at = Duration::from_secs(second);
        let (start, end) = (at, at + Duration::from_millis(900));
        let (score, exact, net_speech, coverage) = (-0.3, false, at, 1.0);
        let said = PhraseEvidence { phrase, start, end, score, exact, net_speech, coverage };
        let verdict = judge.weigh(&mut leg, &Evidence::Phrase(said)).expect("a verdict");
        serde_json::from_str(&verdict.to_json()).expect("JSON")
    };
    assert_eq!(verdict(0, 1)["experimental"], Value::Null);
    let by_example = verdict(1, 5);
    assert_eq!(
        (&by_example["phrase"], &by_example["experimental"]),
        (&"word".into(), &true.into())
    );
    assert_eq!(by_example["recall"], EXPERIMENT.recall);
    assert_eq!(by_example["false_alarms_per_hour"], EXPERIMENT.false_alarms_per_hour);
}
