//! The engine "sherpa" in the product: `check`, `analyze` and `eval keywords` with a tiny model.

mod appliance;
mod sounds;
mod store;

use std::fs;
use std::path::Path;

use appliance::Site;
use serde_json::Value;
use sounds::{sounds, write_wav};
use store::store;

const MODEL: &str = "tests/data/streaming/transducer";
/// `▁HELLO ▁WORLD`, `▁W E`, and what is neither.
const SAID: [&[usize]; 3] = [&[14, 10], &[23, 5, 8], &[15, 18, 7, 27, 22]];
const KEYWORDS: &str = "▁HELLO ▁WORLD :1.5 @hello\n▁W E #0.2 @we\n";
const POLICY: &str = "name = \"p\"\nversion = \"1\"\n\
    [[phrase]]\nid = \"hello\"\ntext = \"hello world\"\n[[phrase]]\nid = \"we\"\ntext = \"we\"\n";

/// A site with the model, a policy and a recording of each thing that is said.
fn site() -> Option<Site> {
    let site = Site::new(&store()?);
    fs::create_dir(site.path("model")).expect("a folder");
    for entry in fs::read_dir(MODEL).expect("test data") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), site.path("model").join(entry.file_name())).expect("a copy");
    }
    site.write("model/keywords.txt", KEYWORDS);
    site.write("policy.toml", POLICY);
    let engine = "engine = \"sherpa\"\n[keyword.sherpa]\nfolder = \"model\"";
    site.configure("# engine = \"moonshine\"", engine);
    for (place, ids) in SAID.iter().enumerate() {
        write_wav(&site.path(&format!("{place}.wav")), &sounds(ids, place as u32));
    }
    site.write("calls.csv", "recording,phrases\n0.wav,hello\n1.wav,we\n2.wav,\n");
    Some(site)
}

#[test]
fn check_names_the_model_and_what_is_missing_of_it() {
    let Some(site) = site() else { return };
    let says = |wanted: &str| {
        let done = site.run(&["check"]);
        let told = [&done.stdout[..], &done.stderr[..]].concat();
        let told = String::from_utf8_lossy(&told).into_owned();
        assert!(told.contains(wanted), "{told}");
        done.status.code()
    };
    assert_eq!(says("keyword model  model@"), Some(0));
    site.write("model/keywords.txt", "▁HELLO ▁WORLD @hello\n▁WE E @we\n");
    let wanted = "model/keywords.txt, line 2: phrase \"we\": tokens.txt has no piece \"▁WE\"";
    assert_eq!(says(wanted), Some(2));
    site.write("model/keywords.txt", "▁HELLO ▁WORLD @hello\n");
    assert_eq!(says("model/keywords.txt has no line for the phrase \"we\""), Some(2));
    site.write("model/keywords.txt", KEYWORDS);
    site.write("model/tokens.txt", "<blk> 0\n");
    assert_eq!(says("model/tokens.txt: 1 pieces, where the model has 33"), Some(2));
    fs::remove_file(site.path("model/joiner.onnx")).expect("a file");
    assert_eq!(says("model has no joiner.onnx"), Some(2));
    let joiner = Path::new(MODEL).join("joiner.onnx");
    fs::copy(&joiner, site.path("model/joiner.onnx")).expect("a copy");
    fs::copy(&joiner, site.path("model/encoder.onnx")).expect("a copy");
    assert_eq!(says("model/encoder.onnx: its metadata has no model_type"), Some(2));
}

#[test]
fn an_evaluation_finds_what_was_said_and_nothing_else() {
    let Some(site) = site() else { return };
    let list = ["eval", "keywords", "--policy", "policy.toml", "--list", "calls.csv"];
    let done = site.run(&[&list[..], &["--channel", "mulaw", "--json"]].concat());
    assert!(done.status.success(), "{done:?}");
    let document: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    let rows = document["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 1, "there is one score: {document}");
    assert_eq!(rows[0]["system"], "sherpa");
    let configured = &rows[0]["configured"];
    assert_eq!(configured["said"], 2);
    assert_eq!(configured["found"], 2, "{document}");
    assert_eq!(configured["false_alarms"], 0);
    let refused = site.run(&[&list[..], &["--without-phones"]].concat());
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn an_analysis_says_when_a_phrase_was_said() {
    let Some(site) = site() else { return };
    let done = site.run(&["analyze", "--policy", "policy.toml", "--json", "0.wav"]);
    assert!(done.status.success(), "{done:?}");
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(told.contains("\"hello\"") && !told.contains("\"we\""), "{told}");
}
