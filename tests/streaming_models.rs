//! Streaming models in the layout of sherpa-onnx: tiny ones, heard and searched as the package of that name does it.
//!
//! `tests/streaming/make.py` makes the models, `tests/streaming/reference.py` asks the package; what it said lies in
//! `tests/data/streaming/expected.json`. Where the package can be had it is asked afresh, about recordings too.
#![expect(clippy::disallowed_methods, reason = "tests read their data from disk")]
#![expect(clippy::print_stderr, reason = "a measurement says what it found")]

mod sounds;
mod store;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;
use sidetone::audio::fbank::{FilterBank, K2};
use sidetone::keyword::spotter::Hit;
use sidetone::keyword::streaming::context_graph::Way;
use sidetone::keyword::streaming::keyword_line::KeywordLine;
use sidetone::keyword::streaming::model::{StreamingModel, Transducer};
use sidetone::keyword::streaming::search::{Settings, log_softmax};
use sidetone::keyword::streaming::spotter::StreamingSpotter;
use sidetone::keyword::streaming::vocabulary::Vocabulary;
use sidetone::runtime::audio_file::read_mono;
use sidetone::runtime::onnx::Runtime;
use sidetone::runtime::onnx::streaming::layout::Layout;
use sidetone::runtime::onnx::streaming::{StreamingError, StreamingOnnx};
use store::{skip, store};

const DATA: &str = "tests/data/streaming";
/// Of a probability's logarithm, and of a probability. The same graphs compute both; they are given features that differ
/// in their last bits (see [`LAST_BIT`]).
const TOLERANCE: f32 = 3e-5;
/// Of an energy's logarithm.
const FEATURES: f32 = 1e-4;
/// Of the frame's loudest amplitude: a band is as exact as that lets it be, in f32 (`tests/kaldi_parity.rs`).
const LAST_BIT: f32 = 2.0 * f32::EPSILON;
/// The package's search ends its greedy rows with a softmax of half the logits: how sure it says that it is.
const TEMPERATURE: f32 = 2.0;
/// Hits that end a path which began as another phrase: the package takes the mean of the path's first pieces, and we that
/// of the phrase's own.
const OF_OTHER_PIECES: [(&str, &str); 2] =
    [("two phrases", "hello_world"), ("one begins another", "the_call")];
/// Bands of a frame.
const BANDS: usize = 80;

#[test]
fn features_are_those_that_the_package_hands_its_models() {
    let expected = expected();
    let case = &expected["cases"]["one"];
    let features = FilterBank::new(K2).compute(&sounds(case));
    assert_eq!(
        features.len() / BANDS,
        expected["features_frames"].as_u64().expect("a count") as usize
    );
    let rows = expected["features"].as_array().expect("rows");
    for (row, wanted) in rows.iter().enumerate() {
        let found = &features[row * 7 * BANDS..][..BANDS];
        let wanted = floats(wanted);
        let loudest = wanted.iter().copied().fold(f32::MIN, f32::max);
        for (found, wanted) in found.iter().zip(wanted) {
            let bit = LAST_BIT * ((loudest - wanted) / 2.0).exp();
            assert!((found - wanted).abs() < FEATURES + bit, "row {row}: {found}, not {wanted}");
        }
    }
}

#[test]
fn the_stored_answers_of_the_package_are_ours() {
    let Some(runtime) = runtime() else { return };
    agree(runtime, &expected());
}

#[test]
fn the_package_asked_afresh_says_the_same_of_sounds_and_speech() {
    let Some(runtime) = runtime() else { return };
    let venv = Command::new("tests/streaming/venv").output();
    let venv = venv.map_err(|error| error.to_string()).and_then(|done| {
        let words = String::from_utf8_lossy(&done.stderr);
        done.status.success().then_some(()).ok_or(words.trim().to_owned())
    });
    if let Err(reason) = venv {
        return skip(&format!("sherpa-onnx cannot be had: {reason}"));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let done = Command::new("target/streaming/bin/python")
        .arg("tests/streaming/reference.py")
        .args(recordings(folder.path()))
        .output()
        .expect("the Python that tests/streaming/venv made");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    agree(runtime, &serde_json::from_slice(&done.stdout).expect("JSON"));
}

#[test]
fn a_ctc_model_finds_the_phrases_that_were_said() {
    let Some(runtime) = runtime() else { return };
    let expected = expected();
    let StreamingOnnx::Ctc(mut model) = load(runtime, "ctc").expect("a model") else {
        panic!("a CTC model has one graph")
    };
    let (mut spotter, names) = spotter(&expected, "ctc");
    let found = |case: &str, model: &mut _, spotter: &mut StreamingSpotter| -> Vec<String> {
        let samples = sounds(&expected["cases"][case]);
        let mut hits = spotter.spot_by_ctc(model, &samples).expect("a run").hits;
        hits.sort_by_key(|hit| hit.start);
        hits.iter().map(|hit| names[hit.phrase].clone()).collect()
    };
    let wanted: [(&str, &[&str]); 4] = [
        ("one", &["hello_world"]),
        ("two phrases", &["the_call", "hello_world"]),
        ("twice", &["we", "lease", "we"]),
        ("none", &[]),
    ];
    for (case, wanted) in wanted {
        assert_eq!(found(case, &mut model, &mut spotter), wanted, "{case}");
    }
}

#[test]
fn two_streams_in_turn_hear_what_each_hears_alone() {
    let Some(runtime) = runtime() else { return };
    let StreamingOnnx::Transducer(mut model) = load(runtime, "transducer").expect("a model") else {
        panic!("a transducer has three graphs")
    };
    let expected = expected();
    let of = |case: &str| chunks(&sounds(&expected["cases"][case]), &*model);
    let (one, other) = (of("two phrases"), of("twice"));
    let mut alone = model.begin().expect("a state");
    let wanted: Vec<_> =
        one.iter().map(|features| model.encode(features, &mut alone).expect("a run")).collect();
    let (mut state, mut beside) =
        (model.begin().expect("a state"), model.begin().expect("a state"));
    for ((features, noise), wanted) in one.iter().zip(other.iter().cycle()).zip(&wanted) {
        assert_eq!(&model.encode(features, &mut state).expect("a run"), wanted);
        model.encode(noise, &mut beside).expect("a run");
    }
}

#[test]
fn what_is_no_streaming_model_is_refused_in_a_sentence() {
    let Some(runtime) = runtime() else { return };
    let file = |kind: &str, name: &str| Path::new(DATA).join(kind).join(name);
    let refused = |layout: Layout| match StreamingOnnx::load(runtime, &layout) {
        Err(StreamingError::Metadata { error, .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let ctc = |model: PathBuf| Layout::Ctc { model, tokens: file("ctc", "tokens.txt") };
    assert_eq!(refused(ctc(file("transducer", "joiner.onnx"))), "its metadata has no model_type");
    let transducer = |decoder: PathBuf, joiner: PathBuf| Layout::Transducer {
        encoder: file("transducer", "encoder.onnx"),
        decoder,
        joiner,
        tokens: file("transducer", "tokens.txt"),
    };
    let (decoder, joiner) = (file("transducer", "decoder.onnx"), file("transducer", "joiner.onnx"));
    assert_eq!(refused(transducer(joiner.clone(), joiner)), "its metadata has no context_size");
    assert_eq!(refused(transducer(decoder.clone(), decoder)), "it has 1 inputs, and 2 were wanted");
    let missing = StreamingOnnx::load(runtime, &ctc(file("ctc", "nothing.onnx")));
    let missing = missing.expect_err("no file").to_string();
    assert!(missing.ends_with("nothing.onnx cannot be loaded: there is no such file"), "{missing}");
}

/// Holds everything that the package said against what we make of the same.
fn agree(runtime: &Runtime, expected: &Value) {
    let (mut spotter, names) = spotter(expected, "transducer");
    let mut models = ["transducer", "lstm", "ctc"]
        .map(|kind| (kind, load(runtime, kind).expect("a model"), 0.0_f32, 0));
    let (mut hits, mut apart) = (0, 0.0_f32);
    for (name, case) in expected["cases"].as_object().expect("cases") {
        let samples = match case["file"].as_str() {
            Some(file) => read_mono(Path::new(file), 16_000).expect("a recording"),
            None => sounds(case),
        };
        for (kind, model, apart, pieces) in &mut models {
            let (found, wanted) = (greedy(model, &samples), &case[*kind]);
            assert_eq!(found.ids, integers::<usize>(&wanted["ids"]), "{name} {kind}");
            assert_eq!(found.frames, integers::<usize>(&wanted["frames"]), "{name} {kind}");
            for (found, wanted) in found.log_p.iter().zip(floats(&wanted["log_p"])) {
                assert!((found - wanted).abs() < TOLERANCE, "{name} {kind}: {found}, not {wanted}");
                *apart = apart.max((found - wanted).abs());
            }
            *pieces += found.ids.len();
        }
        let StreamingOnnx::Transducer(model) = &mut models[0].1 else { panic!("a transducer") };
        let found = spotter.spot(&mut **model, &samples).expect("a run").hits;
        apart = apart.max(same_hits(name, found, &case["hits"], &names));
        hits += case["hits"].as_array().map_or(0, Vec::len);
    }
    let told =
        models.map(|(kind, _, apart, pieces)| format!("{kind} {pieces} pieces, {apart:.1e}"));
    eprintln!("{}: {}; {hits} hits, {apart:.1e}", expected["package"], told.join("; "));
}

/// The phrases, the rows of their pieces and their probabilities; gives how far the last are apart at most.
fn same_hits(name: &str, mut found: Vec<Hit>, wanted: &Value, names: &[String]) -> f32 {
    found.sort_by_key(|hit| hit.start);
    let wanted = wanted.as_array().expect("hits");
    let told = |hit: &Hit| (names[hit.phrase].as_str(), hit.start.as_millis(), hit.end.as_millis());
    let theirs = |hit: &Value| -> Option<(String, u128, u128)> {
        let frames: Vec<u128> = integers(&hit["frames"]);
        Some((hit["name"].as_str()?.to_owned(), frames.first()? * 40, (frames.last()? + 1) * 40))
    };
    let wanted_times: Vec<_> = wanted.iter().filter_map(theirs).collect();
    let found_times: Vec<_> =
        found.iter().map(told).map(|(name, start, end)| (name.to_owned(), start, end)).collect();
    assert_eq!(found_times, wanted_times, "{name}");
    let mut apart = 0.0_f32;
    for (hit, wanted) in found.iter().zip(wanted) {
        let Some(probability) = wanted["probability"].as_f64() else { continue };
        let off = (hit.score.exp() - probability as f32).abs();
        let phrase = names[hit.phrase].as_str();
        if OF_OTHER_PIECES.contains(&(name, phrase)) {
            assert!(off > TOLERANCE, "{name}: the package has come to count {phrase}'s own pieces");
        } else {
            assert!(off < TOLERANCE, "{name}: {phrase} {}, not {probability}", hit.score.exp());
            apart = apart.max(off);
        }
    }
    apart
}

/// What is most probable in each row.
#[derive(Debug, Default)]
struct Greedy {
    ids: Vec<usize>,
    frames: Vec<usize>,
    log_p: Vec<f32>,
}

fn greedy(model: &mut StreamingOnnx, samples: &[f32]) -> Greedy {
    match model {
        StreamingOnnx::Transducer(model) => {
            let (mut greedy, mut said) = (Greedy::default(), vec![-1, 0]);
            let mut prediction = model.predict(&said).expect("a run");
            for (frame, row) in rows(&mut **model, samples).iter().enumerate() {
                let mut logits = model.join(row, &[&prediction]).expect("a run");
                let best = best(&logits);
                // The package takes "unknown" for silence here as well.
                if best == 0 || best == 2 {
                    continue;
                }
                logits.iter_mut().for_each(|logit| *logit /= TEMPERATURE);
                log_softmax(&mut logits);
                greedy.ids.push(best);
                greedy.frames.push(frame);
                greedy.log_p.push(logits[best]);
                said.push(best as i64);
                prediction = model.predict(&said[said.len() - 2..]).expect("a run");
            }
            greedy
        }
        StreamingOnnx::Ctc(model) => {
            let (mut greedy, mut before) = (Greedy::default(), 0);
            for (frame, row) in rows(model, samples).iter().enumerate() {
                let best = best(row);
                if best != 0 && best != before {
                    greedy.ids.push(best);
                    greedy.frames.push(frame);
                }
                before = best;
            }
            greedy
        }
    }
}

fn best(row: &[f32]) -> usize {
    (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).expect("a vocabulary")
}

fn rows<M: StreamingModel>(model: &mut M, samples: &[f32]) -> Vec<Vec<f32>> {
    let mut state = model.begin().expect("a state");
    let features = chunks(samples, model);
    features
        .iter()
        .flat_map(|features| model.encode(features, &mut state).expect("a run"))
        .collect()
}

/// Features of the samples and a second of silence, as the package takes them.
fn chunks<M: StreamingModel>(samples: &[f32], model: &M) -> Vec<Vec<f32>> {
    let features = FilterBank::new(K2).compute(&[samples, &[0.0; 16_000]].concat());
    let chunk = model.chunk();
    let starts = (0..features.len() / BANDS - chunk.frames).step_by(chunk.shift);
    starts.map(|start| features[start * BANDS..][..chunk.frames * BANDS].to_vec()).collect()
}

/// With the reference's keywords; their names as well.
fn spotter(expected: &Value, kind: &str) -> (StreamingSpotter, Vec<String>) {
    let text = std::fs::read_to_string(Path::new(DATA).join(kind).join("tokens.txt"));
    let vocabulary = Vocabulary::parse(&text.expect("a file"), 33).expect("pieces");
    let lines = expected["keywords"].as_array().expect("keywords").iter();
    let lines: Vec<KeywordLine> = lines
        .map(|line| {
            KeywordLine::parse(line.as_str().expect("a line"), &vocabulary).expect("a keyword")
        })
        .collect();
    let settings = Settings::default();
    let ways: Vec<Way> = lines
        .iter()
        .enumerate()
        .map(|(phrase, line)| Way {
            phrase,
            pieces: line.pieces.clone(),
            boost: line.boost.unwrap_or(settings.boost),
            threshold: line.threshold.unwrap_or(settings.threshold),
        })
        .collect();
    let spotter = StreamingSpotter::new(&ways, vocabulary.unknown(), settings);
    (spotter.expect("phrases that differ"), lines.into_iter().map(|line| line.name).collect())
}

fn sounds(case: &Value) -> Vec<f32> {
    let seed = case["seed"].as_u64().expect("a seed") as u32;
    sounds::sounds(&integers::<usize>(&case["ids"]), seed)
}

/// Some orders of many accents, as the package reads them; none where they are not there.
fn recordings(folder: &Path) -> Vec<PathBuf> {
    let Ok(orders) = std::fs::read_dir("../shared/speech/orders") else {
        skip("no recorded orders there; only sounds are compared");
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = orders.filter_map(Result::ok).map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "flac"));
    files.sort();
    let copy = |(place, file): (usize, &PathBuf)| {
        let copy = folder.join(format!("order_{place}.wav"));
        sounds::write_wav(&copy, &read_mono(file, 16_000).expect("a recording"));
        copy
    };
    files.iter().step_by(50).enumerate().map(copy).collect()
}

fn load(runtime: &Runtime, kind: &str) -> Result<StreamingOnnx, StreamingError> {
    StreamingOnnx::load(runtime, &Layout::of(&Path::new(DATA).join(kind))?)
}

fn runtime() -> Option<&'static Runtime> {
    static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
    let load = || {
        let library = store()?.join("onnxruntime/libonnxruntime.so");
        Some(Runtime::load(&library).expect("the library"))
    };
    RUNTIME.get_or_init(load).as_ref()
}

fn expected() -> Value {
    let text = std::fs::read_to_string(Path::new(DATA).join("expected.json")).expect("test data");
    serde_json::from_str(&text).expect("JSON")
}

fn floats(list: &Value) -> Vec<f32> {
    let list = list.as_array().expect("a list");
    list.iter().map(|number| number.as_f64().expect("a number") as f32).collect()
}

fn integers<T: TryFrom<u64>>(list: &Value) -> Vec<T> {
    let list = list.as_array().expect("a list");
    list.iter().filter_map(|number| T::try_from(number.as_u64()?).ok()).collect()
}
