//! Phrases by example: learned from some speakers, found on others through the whole of the product, and told as the
//! experiment that they are.

mod store;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sidetone::audio::channel::Channel;
use sidetone::config::parse_policy;
use sidetone::keyword::detections::{at, wilson};
use sidetone::keyword::example::Examples;
use sidetone::keyword::example_decision::EXPERIMENT;
use sidetone::policy::evidence::{Evidence, PhraseEvidence};
use sidetone::policy::judge::{Judge, Leg, Models};
use sidetone::policy::rule::{Party, Policy};
use sidetone::runtime::example_file::{Calibrated, ExampleFile};
use sidetone::runtime::installed::Installed;
use sidetone::runtime::learning::{self, Recorded};
use sidetone::runtime::phrase_engine::PhraseEngine;
use sidetone::runtime::phrase_list::PhraseList;
use sidetone::runtime::recordings::recordings;
use sidetone::runtime::spotting_run;
use sidetone::runtime::trial_run::LoadedNoises;
use store::{skip, store};

const POLICY: &str = "name = 'p'\nversion = '1'\n[[phrase]]\nid = 'cat'\ntext = 'cat'\n\
    [[phrase]]\nid = 'word'\ntext = 'computer'\nexamples = 'word.phrase'\n";

fn policy(folder: &Path) -> Policy {
    parse_policy(&folder.join("policy.toml"), POLICY).expect("a policy")
}

/// Every `step`th recording of a folder of speech, from one on.
fn some(folder: &str, from: usize, step: usize) -> Vec<PathBuf> {
    let all = recordings(&Path::new("../shared/speech").join(folder)).unwrap_or_default();
    all.into_iter().skip(from).step_by(step).collect()
}

/// Learns the word from eight people and a background of half an hour.
fn learned(installed: &Installed, into: &Path) -> Calibrated {
    let mut model = installed.moonshine().expect("the model");
    let record = |file: PathBuf| learning::record(&mut model, &file).ok();
    let recorded: Vec<Recorded> =
        some("words/computer", 0, 10).into_iter().filter_map(record).take(8).collect();
    let background = some("cohort", 0, 3);
    let centre = learning::centre(&mut model, &background, |_| ()).expect("speech");
    let frames = recorded.into_iter().map(|recorded| recorded.phrase).collect();
    let examples = Examples::new(centre, frames).expect("eight examples");
    let tail = learning::tail(&mut model, &examples, &background, |_| ()).expect("speech");
    let (wanted, made) = (0.5, jiff::Timestamp::UNIX_EPOCH);
    let threshold = tail.threshold_for(wanted);
    let calibrated = Calibrated {
        threshold,
        expected_false_alarms_per_hour: wanted,
        background_hours: tail.hours(),
        background_found: tail.count(threshold),
    };
    let file = ExampleFile::of("word", installed.encoder(), &examples, calibrated, made);
    file.write(into).expect("it is written");
    calibrated
}

#[test]
#[expect(clippy::print_stderr, reason = "a figure is told with its interval")]
fn a_word_learned_from_some_speakers_is_found_on_others() {
    let Some(store) = store() else { return };
    let (others, strangers) = (some("words/computer", 5, 5), some("cohort", 1, 6));
    if others.is_empty() || strangers.is_empty() {
        return skip("no speech at ../shared/speech/words and ../shared/speech/cohort");
    }
    let installed = Installed::open(&store, None).expect("the models");
    let folder = tempfile::tempdir().expect("a folder");
    let Calibrated { threshold, .. } = learned(&installed, &folder.path().join("word.phrase"));
    let policy = policy(folder.path());
    let spotter = installed.spotter(&policy, -3.9).expect("phrases");
    assert_eq!(spotter.threshold_of(1), threshold);
    let model = Box::new(installed.moonshine().expect("the model"));
    let mut engine = PhraseEngine::Moonshine { model, spotter };
    let said = |files: Vec<PathBuf>, phrases: &[usize]| {
        files.into_iter().map(|file| (file, phrases.to_vec())).collect::<Vec<_>>()
    };
    // The eight examples are among every tenth from the first: these are every fifth from the sixth, without the tenths.
    let others: Vec<PathBuf> = others.into_iter().step_by(2).collect();
    let list = PhraseList { recordings: [said(others, &[1]), said(strangers, &[])].concat() };
    let quiet = LoadedNoises { talkers: Vec::new(), own: None };
    let found = spotting_run::run(&list, (Channel::Mulaw, &quiet, 1), (2, &mut engine), |_| {});
    let outcome = found.expect("a run");
    let of_word: Vec<_> = outcome.fused.into_iter().filter(|found| found.phrase == 1).collect();
    let found = at(&of_word, threshold);
    let (low, high) = wilson(found.recall(), found.said);
    eprintln!(
        "threshold {threshold:.3}: {} of {} others found ({low:.2} to {high:.2}), {} false alarms in {:.2} h",
        found.found,
        found.said,
        found.false_alarms,
        outcome.net_speech.as_secs_f64() / 3600.0
    );
    assert!(found.recall() >= 0.5, "{found:?}");
    assert!(found.false_alarms <= 1, "{found:?}");
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
    let frames = |number: f32| {
        sidetone::keyword::encoder_frames::EncoderFrames::new(2, vec![number; 40]).expect("whole")
    };
    let examples = Examples::new(vec![0.0; 2], [0.5, 1.5, 2.5].map(frames).to_vec());
    let calibrated = Calibrated {
        threshold: -0.2,
        expected_false_alarms_per_hour: 0.5,
        background_hours: 1.0,
        background_found: 0,
    };
    let (examples, made) = (examples.expect("three"), jiff::Timestamp::UNIX_EPOCH);
    let file = ExampleFile::of("other", installed.encoder(), &examples, calibrated, made);
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
