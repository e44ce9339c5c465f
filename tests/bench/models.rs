//! What the models cost: a speaker window, its front-end alone, a second of speech for phrases.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads its models from disk")]

#[path = "../store/mod.rs"]
mod store;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use divan::Bencher;
use divan::counter::ItemsCount;
use sidetone::audio::mel::FilterBank;
use sidetone::audio::speech_windows::WINDOW_SAMPLES;
use sidetone::keyword::phrase::Phrase;
use sidetone::keyword::spotter::{Settings, Spotter};
use sidetone::keyword::tokenizer::Tokenizer;
use sidetone::runtime::audio_file::read_mono;
use sidetone::runtime::inference_thread::embed;
use sidetone::runtime::onnx::{MoonshineModel, Runtime, SpeakerModel};
use store::store;

const RATE: usize = 16_000;
/// The demonstration's: one is spoken, one is not.
const PHRASES: [&str; 2] = ["going direct to heaven", "your capital is at risk"];

fn main() {
    divan::main();
}

/// 80 mel bands over one window of 3 s.
#[divan::bench]
fn filter_bank(bencher: Bencher<'_, '_>) {
    let mut random = fastrand::Rng::with_seed(1);
    let noise: Vec<f32> = (0..WINDOW_SAMPLES).map(|_| random.f32() - 0.5).collect();
    let mut filter_bank = FilterBank::new();
    bencher.bench_local(|| filter_bank.compute(&noise));
}

/// The same and the ResNet34 behind it.
#[divan::bench(sample_count = 20)]
fn speaker_window(bencher: Bencher<'_, '_>) {
    let Some(store) = store() else { return };
    let speech = speech(&store);
    let model = store.join("wespeaker-resnet34/embedding.ort");
    let mut model = SpeakerModel::load(runtime(&store), &model).expect("the model");
    bencher.bench_local(|| embed(&mut model, &speech[..WINDOW_SAMPLES]));
}

/// One segment of so many seconds; an item is a second of speech.
#[divan::bench(args = [4, 8], sample_count = 20)]
fn keyword_segment(bencher: Bencher<'_, '_>, seconds: usize) {
    let Some(store) = store() else { return };
    // From 20 s on: the phrase is said at 25 s, in the longer segment only.
    let segment = &speech(&store)[20 * RATE..][..seconds * RATE];
    let file = |name: &str| store.join("moonshine-tiny-en").join(name);
    let (encoder, decoder) = (file("encoder_model.ort"), file("decoder_model_merged.ort"));
    let mut model = MoonshineModel::load(runtime(&store), &encoder, &decoder).expect("the model");
    let tokens = std::fs::read(file("tokenizer.bin")).expect("the vocabulary");
    let tokenizer = Arc::new(Tokenizer::parse(&tokens).expect("a sound vocabulary"));
    let phrases = PHRASES.map(|text| Phrase::new(text).expect("a phrase")).to_vec();
    let spotter = Spotter::new(tokenizer, phrases, Settings::default());
    bencher
        .counter(ItemsCount::new(seconds))
        .bench_local(|| spotter.spot(&mut model, segment).expect("a run").hits.len());
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
