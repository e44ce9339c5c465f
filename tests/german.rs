//! German phrases: found in real speech through the whole of the product, and told as the experiment that they are.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sidetone::audio::channel::Channel;
use sidetone::config::parse_policy;
use sidetone::keyword::detections::at;
use sidetone::keyword::language::Language;
use sidetone::keyword::phone_decision::THRESHOLD;
use sidetone::policy::evidence::{Evidence, PhraseEvidence};
use sidetone::policy::judge::{Judge, Leg, Models};
use sidetone::policy::rule::{Party, Policy};
use sidetone::runtime::installed::Installed;
use sidetone::runtime::phrase_engine::PhraseEngine;
use sidetone::runtime::phrase_list::PhraseList;
use sidetone::runtime::spotting_run;
use sidetone::runtime::trial_run::LoadedNoises;
use store::{skip, store};

mod store;

/// Sentence of the recordings, a phrase in it, and how it is said.
const SAID: [(&str, &str, &str); 5] = [
    ("a01", "auf dem Eisschrank", "aʊ f  d eː m  aɪ s ʃ r a ŋ k"),
    ("a02", "am Mittwoch abgeben", "a m  m ɪ t v ɔ x  a p ɡ eː b ə n"),
    ("a07", "in sieben Stunden", "ɪ n  z iː b ə n  ʃ t ʊ n d ə n"),
    ("b03", "nach Hause gefahren", "n aː x  h aʊ z ə  ɡ ə f aː r ə n"),
    ("b10", "wo wir sie immer hinlegen", "v oː  v iː r  z iː  ɪ m ɐ  h ɪ n l eː ɡ ə n"),
];

fn policy() -> Policy {
    let mut text =
        "name = 'p'\nversion = '1'\n[[phrase]]\nid = 'english'\ntext = 'good morning'\n".to_owned();
    for (id, phrase, said) in SAID {
        text += &format!(
            "[[phrase]]\nid = '{id}'\ntext = '{phrase}'\nlanguage = 'de'\npronunciations = ['{said}']\n"
        );
    }
    text += "[[rule]]\nid = 'r'\nkind = 'forbidden'\nphrases = ['a01', 'english']\n";
    parse_policy(Path::new("policy.toml"), &text).expect("a policy")
}

/// Every third recording; its sentence is in its name.
fn recordings(folder: &Path) -> PhraseList {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "flac"));
    files.sort();
    let said = |file: &PathBuf| -> Vec<usize> {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let place = SAID.iter().position(|(sentence, ..)| name.get(2..5) == Some(sentence));
        place.map(|place| place + 1).into_iter().collect()
    };
    PhraseList { recordings: files.into_iter().step_by(3).map(|f| (f.clone(), said(&f))).collect() }
}

/// The head was taught with these speakers and sentences (28 of 42 are found), so this shows that all of it works
/// together, at least as well as with strangers; what it is worth with those is in its card.
#[test]
fn german_phrases_are_found_in_real_speech() {
    let Some(store) = store() else { return };
    if !store.join("phone-head-de/phone_head_de.onnx").is_file() {
        return skip("no German phone head there; models/fetch gets it");
    }
    let list = recordings(Path::new("../shared/speech/german"));
    if list.recordings.is_empty() {
        return skip("no German speech at ../shared/speech/german");
    }
    let installed = Installed::open(&store, None).expect("the models");
    let policy = policy();
    let mut engine = PhraseEngine::Moonshine {
        model: Box::new(installed.moonshine().expect("the model")),
        spotter: installed.spotter(&policy, -3.9).expect("phrases"),
    };
    let quiet = LoadedNoises { talkers: Vec::new(), own: None };
    let channel = (Channel::Mulaw, &quiet, 1);
    let found = spotting_run::run(&list, channel, (policy.phrases.len(), &mut engine), |_| {});
    let found = at(&found.expect("a run").fused, THRESHOLD);
    assert!(found.said >= 35, "{found:?}");
    let strangers = Language::German.experiment().expect("German is one");
    assert!(found.recall() >= strangers.recall, "{found:?}");
    assert!(found.false_alarms <= 2, "{found:?}");
}

#[test]
fn a_verdict_that_rests_on_german_is_labelled_with_its_figure() {
    let models = Models::default();
    let mut leg = Leg::new(Party::Caller, None, jiff::Timestamp::UNIX_EPOCH, models);
    let mut judge = Judge::new("c".to_owned(), Arc::new(policy()));
    let phrase = |phrase: usize, second: u64| {
        let at = Duration::from_secs(second);
        let (start, end) = (at, at + Duration::from_millis(900));
        let (score, exact, net_speech, coverage) = (-1.5, false, at, 1.0);
        Evidence::Phrase(PhraseEvidence { phrase, start, end, score, exact, net_speech, coverage })
    };
    let json = |verdict: sidetone::policy::verdict::Verdict| -> Value {
        serde_json::from_str(&verdict.to_json()).expect("JSON")
    };
    let figure = Language::German.experiment().expect("German is one");
    let english = json(judge.weigh(&mut leg, &phrase(0, 1)).expect("a verdict"));
    assert_eq!((&english["phrase"], &english["experimental"]), (&"english".into(), &Value::Null));
    let german = json(judge.weigh(&mut leg, &phrase(1, 5)).expect("a verdict"));
    assert_eq!((&german["phrase"], &german["experimental"]), (&"a01".into(), &true.into()));
    assert_eq!(german["recall"], figure.recall);
    assert_eq!(german["false_alarms_per_hour"], figure.false_alarms_per_hour);
    judge.finish(jiff::Timestamp::from_second(60).expect("a time"));
    let ruled: Vec<Value> = std::iter::from_fn(|| judge.poll_verdict()).map(json).collect();
    assert!(!ruled.is_empty());
    assert!(ruled.iter().all(|verdict| verdict["experimental"] == true), "{ruled:?}");
}
