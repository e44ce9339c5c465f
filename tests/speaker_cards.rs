//! Any speaker model by its card: tiny graphs, some of which are not what their cards say.
//!
//! `tests/data/onnx/make.py` made the graphs. Without ONNX Runtime in the store the tests say so and pass.

mod store;

use std::path::Path;
use std::sync::OnceLock;

use sidetone::audio::turns::{CHUNK_SAMPLES, ROWS, TurnModel};
use sidetone::consent::permit::Verification;
use sidetone::consent::reference::ConsentReference;
use sidetone::runtime::answered_for::answered_for;
use sidetone::runtime::models::Manifest;
use sidetone::runtime::onnx::segmentation_model::SegmentationModel;
use sidetone::runtime::onnx::speaker_model::SpeakerModel;
use sidetone::runtime::onnx::{OnnxError, Runtime};
use sidetone::runtime::voices::Voices;
use sidetone::speaker::embedder::{Embedder, Purpose};
use store::store;

const FBANK: &str = r#"
    version = 1
    [[package]]
    name = "tiny"
    version = "1"
    licence = "MIT"
    home = "tests/data/onnx/make.py"
    wheel = []
    [[model]]
    name = "tiny"
    role = "embedder"
    package = "tiny"
    licence = "MIT"
    about = "A test."
    sample_rate = 16000
    [model.embedder]
    use = "decide"
    window_s = 0.5
    embedding = 80
    front_end = { kind = "kaldi-fbank", bands = 80, window = "povey", subtract_mean = false, scale = 1 }
    [[model.file]]
    path = "fbank.onnx"
    member = "fbank.onnx"
    sha256 = { any = "not looked at" }
    inputs = [
        { name = "fbank", type = "f32", shape = ["batch", "frames", "80"] },
        { name = "weights", type = "f32", shape = ["batch", "frames"] },
    ]
    outputs = [{ name = "embedding", type = "f32", shape = ["batch", "80"] }]
"#;

#[test]
fn a_new_model_needs_a_card_only() {
    let Some(mut model) = load(FBANK) else { return };
    let model = model.as_mut().expect("a model as its card says");
    let (loud, quiet) = (noise(0.5), noise(0.05));
    let both = model.embed(&[&loud, &quiet]).expect("a run");
    assert_eq!(both.iter().map(Vec::len).collect::<Vec<_>>(), [80, 80]);
    // The mean of logarithms of power: 20 dB are 4.61.
    for (loud, quiet) in both[0].iter().zip(&both[1]) {
        assert!((loud - quiet - 100_f32.ln()).abs() < 1e-2, "{loud} {quiet}");
    }
    let alone = model.embed(&[&quiet]).expect("a run").remove(0);
    assert!(alone.iter().zip(&both[1]).all(|(alone, beside)| (alone - beside).abs() < 1e-4));
    assert_eq!(model.embed(&[]).expect("nothing to do"), Vec::<Vec<f32>>::new());
}

#[test]
fn a_window_that_is_no_window_is_refused() {
    let Some(mut model) = load(FBANK) else { return };
    let model = model.as_mut().expect("a model as its card says");
    let refused = |windows: &[&[f32]], model: &mut SpeakerModel| {
        model.embed(windows).expect_err("a refusal").to_string()
    };
    let window = noise(0.5);
    let error = refused(&[&window, &window[1..]], model);
    assert_eq!(error, "a window of 7999 samples, where 8000 were wanted");
    let error = refused(&[&window[..399]], model);
    assert_eq!(error, "a window of 399 samples, where 8000 were wanted");
}

#[test]
fn samples_themselves_may_be_heard() {
    let card = waveform("waveform", r#"["batch", "samples"]"#);
    let Some(mut model) = load(&card) else { return };
    let windows = [vec![0.5; 8_000], vec![0.25; 8_000]];
    let windows = windows.each_ref().map(Vec::as_slice);
    let wanted = [[0.5, 0.5 * 8_000_f32.sqrt()], [0.25, 0.25 * 8_000_f32.sqrt()]];
    let embeddings = model.as_mut().expect("a model").embed(&windows).expect("a run");
    assert_close(&embeddings, &wanted);
    // And by a graph that was made for one window at a time, of one length.
    let card = waveform("one", r#"["1", "1", "8000"]"#);
    let Some(mut model) = load(&card) else { return };
    let model = model.as_mut().expect("a model");
    assert_close(&model.embed(&windows).expect("two runs"), &wanted);
    let error = model.embed(&[&windows[0][1..]]).expect_err("another length").to_string();
    assert_eq!(error, "a window of 7999 samples, where 8000 were wanted");
}

#[test]
fn a_graph_that_its_card_does_not_describe_is_refused_at_start() {
    let refused = |card: &str| -> Option<String> {
        let error = load(card)?.expect_err("a refusal").to_string();
        let reason = error.split_once(".onnx is not as its card says: ").map(|(_, reason)| reason);
        Some(reason.unwrap_or_else(|| panic!("{error}")).to_owned())
    };
    let other = |from: &str, to: &str| {
        assert!(FBANK.contains(from), "{from}");
        FBANK.replace(from, to)
    };
    let Some(reason) = refused(&other("name = \"fbank\"", "name = \"mel\"")) else { return };
    assert_eq!(reason, "the graph wants an input fbank besides");
    let cards = [
        (
            other("name = \"embedding\"", "name = \"embed\""),
            "the graph has no output embed, only embedding",
        ),
        (
            other("\"frames\", \"80\"]", "\"frames\", \"40\"]"),
            "input fbank is f32 [any, any, 80], and f32 [batch, frames, 40] was wanted",
        ),
        (
            other("{ name = \"fbank\", type = \"f32\"", "{ name = \"fbank\", type = \"i64\""),
            "input fbank is f32 [any, any, 80], and i64 [batch, frames, 80] was wanted",
        ),
        (
            other("bands = 80", "bands = 64"),
            "input fbank takes [any, any, 80], and the front-end gives [any, 48, 64]",
        ),
        (
            other(
                "kind = \"kaldi-fbank\", bands = 80, window = \"povey\", subtract_mean = false, scale = 1",
                "kind = \"waveform\"",
            ),
            "input fbank takes [any, any, 80], and the front-end gives [any, 1, 8000]",
        ),
        (
            other("embedding = 80", "embedding = 192"),
            "output embedding has 80 numbers, and 192 were wanted",
        ),
        (
            waveform("one", r#"["1", "1", "8000"]"#).replace("window_s = 0.5", "window_s = 3.0"),
            "input samples takes [1, 1, 8000], and the front-end gives [any, 1, 48000]",
        ),
    ];
    for (card, wanted) in cards {
        assert_eq!(refused(&card).as_deref(), Some(wanted));
    }
}

#[test]
fn a_file_that_is_no_graph_is_one_sentence() {
    let Some(missing) = load(&FBANK.replace("path = \"fbank.onnx\"", "path = \"nowhere.onnx\""))
    else {
        return;
    };
    let missing = missing.expect_err("no file").to_string();
    assert!(missing.ends_with("nowhere.onnx cannot be loaded: there is no such file"), "{missing}");
    let none = load(&FBANK.replace("path = \"fbank.onnx\"", "path = \"make.py\""));
    let none = none.expect("the library").expect_err("no graph").to_string();
    assert!(none.contains("make.py cannot be loaded: ") && none.lines().count() == 1, "{none}");
}

#[test]
fn numbers_that_are_no_embedding_are_an_error() {
    let card = |graph: &str| FBANK.replace("path = \"fbank.onnx\"", &format!("path = \"{graph}\""));
    let Some(nan) = load(&card("nan.onnx")) else { return };
    let mut voices = Voices { decide: nan.expect("a model"), watch: None };
    // An inference thread drops the window, and counts it.
    let leave = answered_for::<Verification>(&ConsentReference::new("c-1").expect("a reference"));
    let error = voices.embed(&leave, Purpose::Decide, &noise(0.5)).expect_err("no embedding");
    assert_eq!(error, "the output embedding of tiny holds NaN");
    let mut size = load(&card("size.onnx"));
    let size = size.as_mut().expect("the library").as_mut().expect("a model");
    let error = size.embed(&[&noise(0.5)]).expect_err("no embedding").to_string();
    assert_eq!(error, "the output embedding of tiny has shape [1, 79], not [1, 80]");
}

#[test]
fn a_segmentation_says_yes_or_no_of_each_speaker_in_each_row() {
    let Some(mut model) = load_turns("turns", "segmentation") else { return };
    let model = model.as_mut().expect("a model as its card says");
    let mut chunk = vec![0.0; CHUNK_SAMPLES];
    (chunk[3], chunk[5]) = (1.0, 1.0);
    let rows = model.turns(&chunk).expect("rows");
    assert_eq!(rows.len(), ROWS);
    assert_eq!(rows[..3], [[false; 3], [true, false, true], [false; 3]]);
    for number in [0.5, f32::NAN, -1.0] {
        chunk[4] = number;
        let error = model.turns(&chunk).expect_err("neither").to_string();
        let wanted =
            format!("the output segmentation of tiny holds {number}, where 0 and 1 were wanted");
        assert_eq!(error, wanted);
    }
    let error = model.turns(&chunk[1..]).expect_err("too short").to_string();
    assert_eq!(error, "a window of 159999 samples, where 160000 were wanted");
}

#[test]
fn a_segmentation_that_its_card_does_not_describe_is_refused_at_start() {
    let Some(other) = load_turns("waveform", "segmentation") else { return };
    let error = other.expect_err("a refusal").to_string();
    assert!(error.ends_with("the graph wants an input samples besides"), "{error}");
    let renamed = load_turns("turns", "turns").expect("the library");
    let error = renamed.expect_err("a refusal").to_string();
    assert!(error.ends_with("the graph has no output turns, only segmentation"), "{error}");
}

/// The card of a graph that takes samples.
fn waveform(graph: &str, shape: &str) -> String {
    let (head, _) = FBANK.split_once("    front_end").expect("a card");
    format!(
        r#"{}    front_end = {{ kind = "waveform" }}
    [[model.file]]
    path = "{graph}.onnx"
    member = "{graph}.onnx"
    sha256 = {{ any = "not looked at" }}
    inputs = [{{ name = "samples", type = "f32", shape = {shape} }}]
    outputs = [{{ name = "embedding", type = "f32", shape = ["batch", "2"] }}]
"#,
        head.replace("embedding = 80", "embedding = 2")
    )
}

fn runtime() -> Option<&'static Runtime> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let library = store()?.join("onnxruntime/libonnxruntime.so");
    Some(RUNTIME.get_or_init(|| Runtime::load(&library).expect("the library")))
}

fn load(card: &str) -> Option<Result<SpeakerModel, OnnxError>> {
    let manifest = Manifest::parse(card).unwrap_or_else(|error| panic!("{error}"));
    Some(SpeakerModel::load(runtime()?, Path::new("tests/data/onnx"), &manifest.models[0]))
}

/// The card of a segmentation model, and how it loads.
fn load_turns(graph: &str, output: &str) -> Option<Result<SegmentationModel, OnnxError>> {
    let (head, _) = FBANK.split_once("    [model.embedder]").expect("a card");
    let card = format!(
        r#"{}    [[model.file]]
    path = "{graph}.onnx"
    member = "{graph}.onnx"
    sha256 = {{ any = "not looked at" }}
    inputs = [{{ name = "waveforms", type = "f32", shape = ["batch", "1", "160000"] }}]
    outputs = [{{ name = "{output}", type = "f32", shape = ["batch", "589", "3"] }}]
"#,
        head.replace("\"embedder\"", "\"segmentation\"")
    );
    let manifest = Manifest::parse(&card).unwrap_or_else(|error| panic!("{error}"));
    Some(SegmentationModel::load(runtime()?, Path::new("tests/data/onnx"), &manifest.models[0]))
}

fn noise(level: f32) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(1);
    (0..8_000).map(|_| level * (random.f32() - 0.5)).collect()
}

fn assert_close(found: &[Vec<f32>], wanted: &[[f32; 2]]) {
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().flatten().zip(wanted.iter().flatten()) {
        assert!((found / wanted - 1.0).abs() < 1e-4, "{found} {wanted}");
    }
}
