//! The speaker decision on real speech, by way of the telephone: how often it is right, wrong, or
//! rightly says nothing.
//!
//! Five readers of LibriSpeech test-other, most likely among the ten that the calibration was fitted
//! on, and strangers from train-clean-100, who were not; mu-law, read English, one session each: the
//! figures flatter. They are printed; the bounds below are the configuration's own.
//! Without the models or the readers in `../shared/speech` the test says so and passes.
#![expect(clippy::print_stderr, reason = "a measurement says what it found")]

mod store;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sidetone::audio::g711;
use sidetone::audio::listener::{Heard, Listener};
use sidetone::audio::pcm;
use sidetone::audio::speech_windows::WINDOW;
use sidetone::consent::consent::Consent;
use sidetone::runtime::audio_file::read_mono;
use sidetone::runtime::embedder_card::Purpose;
use sidetone::runtime::enroller::Enroller;
use sidetone::runtime::inference_thread::embed;
use sidetone::runtime::installed::MANIFEST;
use sidetone::runtime::models::Manifest;
use sidetone::runtime::onnx::Runtime;
use sidetone::runtime::onnx::speaker_model::SpeakerModel;
use sidetone::speaker::calibration::{Calibration, ErrorRate};
use sidetone::speaker::embedding::Embedding;
use sidetone::speaker::verifier::{Decision, Settings, Verifier};
use sidetone::speaker::voiceprint::Voiceprint;
use store::{skip, store};

const RATE: u32 = 8_000;
/// Readers of the cohort who try to pass for somebody else: every fourth of 252 is enough for some
/// hundred trials and half a minute.
const EVERY: usize = 4;

#[test]
fn impostors_are_turned_away_and_the_true_speaker_is_not() {
    let Some(store) = store() else { return };
    let speech = Path::new("../shared/speech");
    if !speech.is_dir() {
        return skip("the readers are not there");
    }
    let runtime = Runtime::load(&store.join("onnxruntime/libonnxruntime.so")).expect("the library");
    let manifest = Manifest::parse(MANIFEST).expect("a sound manifest");
    let model = manifest.embedder(Purpose::Decide).expect("a speaker model");
    let mut bench = Bench {
        model: SpeakerModel::load(&runtime, &store, model).expect("the model"),
        known: HashMap::new(),
    };
    // Each reader twice: enrolled on the first utterances and tried with the last, and the reverse.
    let mut claims = Vec::new();
    let readers: Vec<Vec<PathBuf>> =
        listing(&speech.join("speakers")).iter().map(|reader| listing(reader)).collect();
    for (reader, utterances) in readers.iter().enumerate() {
        let (first, last) = utterances.split_at(utterances.len() / 2);
        for (enrolled, tried) in [(first, last), (last, first)] {
            claims.extend(bench.enrol(enrolled).map(|print| (reader, print, tried.to_vec())));
        }
    }
    let strangers: Vec<_> = listing(&speech.join("cohort")).into_iter().step_by(EVERY).collect();

    let (mut genuine, mut impostors) = (Tally::default(), Tally::default());
    for (reader, print, tried) in &claims {
        for utterance in tried {
            genuine.add(bench.call(utterance, print));
        }
        let others = readers.iter().enumerate().filter(|(other, _)| other != reader);
        for utterance in others.flat_map(|(_, utterances)| utterances).chain(&strangers) {
            impostors.add(bench.call(utterance, print));
        }
    }
    eprintln!("{} voiceprints; genuine calls: {genuine:?}; impostors: {impostors:?}", claims.len());
    assert!(genuine.accepted + impostors.rejected > 100, "the readers are there");
    // 1 in 50 and 1 in 1000, as set below, with room for chance: Poisson, one in a hundred.
    assert!(genuine.rejected <= 1 + genuine.calls / 20, "{genuine:?}");
    assert!(impostors.accepted <= 2 + impostors.calls / 500, "{impostors:?}");
}

/// How many calls came to what.
#[derive(Debug, Default)]
struct Tally {
    calls: usize,
    accepted: usize,
    rejected: usize,
    /// Too short to tell.
    undecided: usize,
    /// Accepted, then held for a change of speaker.
    changed: usize,
    /// Sum of net speech to the first decision, seconds.
    net_speech_s: u64,
}

impl Tally {
    fn add(&mut self, (decision, net_speech): (Decision, Duration)) {
        self.calls += 1;
        self.net_speech_s += net_speech.as_secs();
        match decision {
            Decision::Undecided => self.undecided += 1,
            Decision::Accepted => self.accepted += 1,
            Decision::Rejected => self.rejected += 1,
            Decision::Changed => self.changed += 1,
        }
    }
}

struct Bench {
    model: SpeakerModel,
    /// Embeddings by recording and by the net speech at the window's end, since many claims meet
    /// the same recording.
    known: HashMap<(PathBuf, Duration), Embedding>,
}

impl Bench {
    /// A voiceprint of the speech in `files`; `None` if that is too little.
    fn enrol(&mut self, files: &[PathBuf]) -> Option<Voiceprint> {
        let consent = Consent::from_reference("readers").expect("a reference");
        let mut enroller = Enroller::new(&mut self.model, "m@1", "reader", consent);
        for file in files {
            enroller.hear_file(file).expect("a recording");
        }
        enroller.finish().ok()
    }

    /// One call that says `file` and claims to be `claimed`: how it stands at the end, and the net
    /// speech to the first decision, zero without one.
    fn call(&mut self, file: &Path, claimed: &Voiceprint) -> (Decision, Duration) {
        let rate = |n| ErrorRate::one_in(n).expect("a rate");
        let settings = Settings { false_accept: rate(1_000), false_reject: rate(50) };
        let mut verifier = Verifier::new(Calibration::RESNET34_3S, settings);
        let mut listener = Listener::new(verifier.hop(), false);
        let mut decided = Duration::ZERO;
        let samples = read_mono(file, RATE).expect("a recording");
        for packet in pcm::to_i16(&samples).chunks(160) {
            let coded = packet.iter().map(|&s| g711::decode_ulaw(g711::encode_ulaw(s)));
            let coded: Vec<f32> = coded.map(|s| f32::from(s) / 32_768.0).collect();
            listener.hear(&coded, RATE, false);
            while let Some(heard) = listener.poll() {
                let Heard::Window(window) = heard else { continue };
                let Self { model, known } = self;
                let embedding = known
                    .entry((file.to_owned(), window.net_speech))
                    .or_insert_with(|| embed(model, &window.samples).expect("a run"));
                let cosine = embedding.cosine(&claimed.embedding).expect("one model");
                let fresh = window.fresh.as_secs_f64() / WINDOW.as_secs_f64();
                let decision = verifier.observe(cosine, fresh);
                if decision != Decision::Undecided && decided.is_zero() {
                    decided = window.net_speech;
                }
                listener.set_hop(verifier.hop());
            }
        }
        (verifier.decision(), decided)
    }
}

/// What lies in `folder`, in order.
fn listing(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}
