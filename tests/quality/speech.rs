//! Who calls: people who order coffee, readers who are who they claim to be, and strangers.

use std::path::{Path, PathBuf};

use serde_json::Value;
use sidetone::consent::reference::ConsentReference;
use sidetone::runtime::answered_for::answered_for;
use sidetone::runtime::audio_file::read_mono;
use sidetone::runtime::enroller::Enroller;
use sidetone::speaker::voiceprint::Voiceprint;

use super::models::{Models, embedders};
use crate::phone::RATE;

/// Where the recordings are.
const SPEECH: &str = "../shared/speech";

/// What the orders are searched for: phrases that were often said, confusable with each other.
pub(crate) const PHRASES: [&str; 25] = [
    "dark roast",
    "light roast",
    "medium roast",
    "single shot",
    "double shot",
    "triple shot",
    "iced mocha",
    "iced coffee",
    "house coffee",
    "drip coffee",
    "brown sugar",
    "almond milk",
    "soy milk",
    "skim milk",
    "whole milk",
    "eight ounce",
    "twelve ounce",
    "sixteen ounce",
    "twenty ounce",
    "cappuccino",
    "americano",
    "latte",
    "espresso",
    "mocha",
    "sweetener",
];

/// One call, said at 8 kHz.
pub(crate) struct Call {
    pub(crate) audio: Vec<f32>,
    pub(crate) question: Question,
}

/// What is asked about a call.
pub(crate) enum Question {
    /// Which of [`PHRASES`] are in it.
    Phrases(Vec<bool>),
    /// How like the voiceprints it is: that of its speaker, where there is one, and others'.
    Voice { same: Option<usize>, others: Vec<usize> },
}

/// How much of what there is, each n-th.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) orders: usize,
    pub(crate) strangers: usize,
}

pub(crate) fn is_there() -> bool {
    Path::new(SPEECH).join("orders/labels.json").is_file()
}

/// Each reader twice, from the first utterances and from the last.
pub(crate) fn voiceprints(models: &mut Models) -> Vec<Voiceprint> {
    halves()
        .iter()
        .map(|half| {
            let consent = ConsentReference::new("readers").expect("a reference");
            let (names, leave) = (embedders(), answered_for(&consent));
            let mut enroller = Enroller::new(&leave, &mut models.speaker, &names, "reader");
            for file in half {
                enroller.hear_file(file).expect("a recording");
            }
            enroller.finish().expect("enough speech")
        })
        .collect()
}

pub(crate) fn calls(sample: Sample) -> Vec<Call> {
    let prints = halves().len();
    let readers = halves().into_iter().enumerate().map(|(half, files)| Call {
        audio: files
            .iter()
            .flat_map(|file| [recording(file), vec![0.0; RATE / 2]].concat())
            .collect(),
        question: Question::Voice {
            // The other half of the same reader: what was enrolled is never what is tried.
            same: Some(half ^ 1),
            others: (0..prints).filter(|print| print / 2 != half / 2).collect(),
        },
    });
    let strangers =
        listing(&Path::new(SPEECH).join("cohort")).into_iter().step_by(sample.strangers);
    let strangers = strangers.map(|file| Call {
        audio: recording(&file),
        question: Question::Voice { same: None, others: (0..prints).collect() },
    });
    readers.chain(strangers).chain(orders(sample.orders)).collect()
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads its labels from disk")]
fn orders(every: usize) -> impl Iterator<Item = Call> {
    let folder = Path::new(SPEECH).join("orders");
    let labels = std::fs::read_to_string(folder.join("labels.json")).expect("the labels");
    let labels: Value = serde_json::from_str(&labels).expect("JSON");
    let labels = labels.as_object().expect("an order each").clone();
    labels.into_iter().step_by(every).map(move |(name, label)| {
        let slots = label["slots"].as_object().expect("slots").values();
        let slots: Vec<String> =
            slots.map(|slot| format!(" {} ", slot.as_str().expect("text").trim())).collect();
        let said = PHRASES.iter().map(|phrase| {
            let words = format!(" {phrase} ");
            slots.iter().any(|slot| slot.contains(&words))
        });
        Call {
            audio: recording(&folder.join(name).with_extension("flac")),
            question: Question::Phrases(said.collect()),
        }
    })
}

/// The utterances of each reader in two halves, a reader's one after the other.
fn halves() -> Vec<Vec<PathBuf>> {
    let readers = listing(&Path::new(SPEECH).join("speakers"));
    let halves = readers.iter().flat_map(|reader| {
        let utterances = listing(reader);
        let (first, last) = utterances.split_at(utterances.len() / 2);
        [first.to_vec(), last.to_vec()]
    });
    halves.collect()
}

fn recording(file: &Path) -> Vec<f32> {
    read_mono(file, RATE as u32).expect("a recording")
}

/// What lies in `folder`, in order.
fn listing(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}
