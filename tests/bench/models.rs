//! What the models cost: a speaker window, its front-end alone, a second of speech for phrases.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads its models from disk")]

#[path = "../store/mod.rs"]
mod store;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use divan::Bencher;
use divan::counter::ItemsCount;
use sidetone::audio::front_end::FrontEnd;
use sidetone::keyword::lexicon::Lexicon;
use sidetone::keyword::phrase::Phrase;
use sidetone::keyword::spotter::{Settings, Spotter};
use sidetone::keyword::tokenizer::Tokenizer;
use sidetone::runtime::audio_file::read_mono;
use sidetone::runtime::installed::MANIFEST;
use sidetone::runtime::models::{Manifest, Model};
use sidetone::runtime::onnx::Runtime;
use sidetone::runtime::onnx::moonshine::MoonshineModel;
use sidetone::runtime::onnx::speaker_model::SpeakerModel;
use sidetone::speaker::embedder::Embedder;
use sidetone::speaker::embedder::Purpose;
use store::store;

const RATE: usize = 16_000;
/// The demonstration's: one is spoken, one is not.
const PHRASES: [&str; 2] = ["going direct to heaven", "your capital is at risk"];

fn main() {
    divan::main();
}

/// What comes before a speaker model, over one window of its card; an item is a tenth of a second.
#[divan::bench(args = [Purpose::Decide, Purpose::Watch])]
fn front_end(bencher: Bencher<'_, '_>, purpose: Purpose) {
    let card = card(purpose).embedder.expect("a speaker model's card");
    let mut random = fastrand::Rng::with_seed(1);
    let noise: Vec<f32> = (0..card.window_samples()).map(|_| random.f32() - 0.5).collect();
    let mut front_end = FrontEnd::new(card.front_end);
    bencher.counter(tenths(noise.len())).bench_local(|| {
        let mut features = Vec::new();
        front_end.compute(&noise, &mut features);
        features
    });
}

/// The same and the model behind it, so many windows at once.
#[divan::bench(args = [Purpose::Decide, Purpose::Watch], consts = [1, 8], sample_count = 20)]
fn speaker_windows<const BATCH: usize>(bencher: Bencher<'_, '_>, purpose: Purpose) {
    let Some(store) = store() else { return };
    let speech = speech(&store);
    let mut model = SpeakerModel::load(runtime(&store), &store, &card(purpose)).expect("the model");
    let length = model.window();
    let windows: Vec<&[f32]> = (0..BATCH).map(|n| &speech[n * RATE..][..length]).collect();
    bencher.counter(tenths(BATCH * length)).bench_local(|| model.embed(&windows).expect("a run"));
}

/// One segment of so many seconds; an item is a second of speech.
#[divan::bench(args = [2, 4], sample_count = 20)]
fn keyword_segment(bencher: Bencher<'_, '_>, seconds: usize) {
    let Some(store) = store() else { return };
    // From 20 s on: the phrase is said at 25 s, in the longer segment only.
    let segment = &speech(&store)[20 * RATE..][..seconds * RATE];
    let mut model = MoonshineModel::load(runtime(&store), &store).expect("the model");
    let tokens = std::fs::read(store.join("moonshine-tiny-en/tokenizer.bin"));
    let tokens = tokens.expect("the vocabulary");
    let tokenizer = Arc::new(Tokenizer::parse(&tokens).expect("a sound vocabulary"));
    let phrases = PHRASES.map(|text| Phrase::new(text).expect("a phrase")).to_vec();
    let said = std::fs::read_to_string(store.join("cmudict/cmudict.dict")).expect("the words");
    let lexicon = Lexicon::of_phrases(&said, &phrases).expect("a dictionary");
    let spotter = Arc::new(Spotter::new(tokenizer, phrases, &lexicon, Settings::default()));
    bencher
        .counter(ItemsCount::new(seconds))
        .bench_local(|| spotter.spot(&mut model, segment).expect("a run").hits.len());
}

fn tenths(samples: usize) -> ItemsCount {
    ItemsCount::new(samples * 10 / RATE)
}

fn card(purpose: Purpose) -> Model {
    let manifest = Manifest::parse(MANIFEST).expect("a sound manifest");
    manifest.embedder(purpose).expect("a speaker model").clone()
}

/// A process has one, for all of its benchmarks.
fn runtime(store: &Path) -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let library = store.join("onnxruntime/libonnxruntime.so");
    RUNTIME.get_or_init(|| Runtime::load(&library).expect("the library"))
}

fn speech(store: &Path) -> Vec<f32> {
    read_mono(&store.join("recordings/two_cities.wav"), RATE as u32).expect("the recording")
}
