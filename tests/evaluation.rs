//! `sidetone eval speaker` and `sidetone calibrate` on a handful of recordings, from the command line to the files
//! that they write. Needs the models and the readers.
#![expect(clippy::disallowed_methods, reason = "a test reads and writes its files")]

mod appliance;
mod store;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use appliance::Site;
use serde_json::Value;
use sidetone::speaker::calibration::{Calibration, Comparison, Conditions, Likeness};
use store::{skip, store};

const SPEECH: &str = "../shared/speech";

/// A site with trials of three readers: each enrolled on four utterances and tried with three of everybody's.
fn site() -> Option<Site> {
    let store = store()?;
    if !Path::new(SPEECH).is_dir() {
        skip("the readers are not there");
        return None;
    }
    let site = Site::new(&store);
    let readers = listing(&Path::new(SPEECH).join("speakers"));
    let mut lines = vec!["enrol,test,label,enrol_speaker,test_speaker".to_owned()];
    let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
    for owner in &readers[..3] {
        let enrol: Vec<_> =
            listing(owner)[..5].iter().map(|file| file.display().to_string()).collect();
        for speaker in &readers[..3] {
            for test in &listing(speaker)[5..8] {
                let (owner, speaker) = (name(owner), name(speaker));
                let label = if owner == speaker { "target" } else { "nontarget" };
                let (enrol, test) = (enrol.join(";"), test.display());
                lines.push(format!("{enrol},{test},{label},{owner},{speaker}"));
            }
        }
    }
    fs::write(site.path("trials.csv"), lines.join("\n")).expect("a file");
    Some(site)
}

fn listing(folder: &Path) -> Vec<PathBuf> {
    let folder = folder.canonicalize().expect("a folder");
    let entries = fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

/// A CSV file's lines, by column.
fn lines(file: &Path) -> Vec<HashMap<String, String>> {
    let reader = csv::Reader::from_path(file).expect("a file");
    reader.into_deserialize().map(|line| line.expect("a line")).collect()
}

/// Scores as another system may write them.
fn bare(scores: &[HashMap<String, String>]) -> String {
    let columns = ["trial", "piece", "channel", "seconds", "target", "score"];
    let lines = scores.iter().map(|line| columns.map(|column| &line[column][..]).join(","));
    std::iter::once(columns.join(",")).chain(lines).collect::<Vec<_>>().join("\n")
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("one JSON document")
}

#[test]
fn trials_become_figures_a_drawing_and_scores_that_can_stand_beside_others() {
    let Some(site) = site() else { return };
    let table = json(&site.run(&[
        "eval",
        "speaker",
        "--trials",
        "trials.csv",
        "--seconds",
        "2",
        "--seconds",
        "3",
        "--channel",
        "mulaw",
        "--channel",
        "kitchen10",
        "--svg",
        "det.svg",
        "--scores",
        "scores.csv",
        "--write-audio",
        "audio",
        "--json",
    ]));
    assert_eq!(table["enrolled"], 3);
    let rows = table["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 6, "two channels and both together, at two lengths");
    for row in rows {
        let rate = row["eer"].as_f64().expect("a rate");
        // Of a handful of trials one error is a lot; scores that say nothing would be at .5.
        assert!(rate < 0.35, "{row}");
        assert!(row["targets"].as_u64() > Some(5) && row["others"].as_u64() > Some(10), "{row}");
    }
    let svg = fs::read_to_string(site.path("det.svg")).expect("a drawing");
    assert!(svg.contains("<title>DET curve</title>") && svg.contains(">sidetone<"));
    let scores = lines(&site.path("scores.csv"));
    let distinct: HashSet<&str> = scores.iter().map(|line| &line["score"][..]).collect();
    assert!(distinct.len() * 10 > scores.len() * 8, "scores are told apart");
    let audio = fs::read_dir(site.path("audio")).expect("recordings").count();
    assert!(audio > 3 + 2 * 9, "{audio}");

    // Our own scores under another name come to the same, and so they do without what they were made of.
    fs::write(site.path("bare.csv"), bare(&scores)).expect("a file");
    let again = json(&site.run(&[
        "eval",
        "speaker",
        "--trials",
        "trials.csv",
        "--channel",
        "mulaw",
        "--beside",
        "other=scores.csv",
        "--beside",
        "bare=bare.csv",
        "--json",
    ]));
    let eers: Vec<_> =
        again["rows"].as_array().expect("rows").iter().map(|row| &row["eer"]).collect();
    assert_eq!((eers.len(), eers[0], eers[0]), (3, eers[1], eers[2]));
}

#[test]
fn a_score_stands_beside_what_it_was_made_of() {
    let Some(site) = site() else { return };
    json(&site.run(&[
        "eval",
        "speaker",
        "--trials",
        "trials.csv",
        "--channel",
        "loss5",
        "--scores",
        "scores.csv",
        "--json",
    ]));
    let scores = lines(&site.path("scores.csv"));
    assert!(scores.len() > 20, "{}", scores.len());
    let mut lossy = 0;
    for line in &scores {
        let number = |column: &str| line[column].parse::<f64>().expect(column);
        let cosine = |column: &str| line[column].parse::<f32>().ok();
        let conditions = Conditions {
            range_db: number("range_db"),
            upper_db: number("upper_db"),
            concealed: number("concealed"),
        };
        // A piece of 3 s is one window, so its score is that of the means.
        let likeness = Likeness { decide: cosine("decide"), watch: cosine("watch") };
        let net_speech = std::time::Duration::from_secs(3);
        let comparison = Comparison { likeness, conditions, net_speech, fresh: 1.0 };
        let score = Calibration::RESNET34_GE2E.unbounded(&comparison).expect("a sound line");
        assert!((score - number("score")).abs() < 1e-4, "{score}: {line:?}");
        assert!(likeness.decide.is_some() && likeness.watch.is_some(), "{line:?}");
        assert_eq!(line["target"] == "true", line["enrol_speaker"] == line["test_speaker"]);
        lossy += usize::from(conditions.concealed > 0.0);
    }
    assert!(lossy * 2 > scores.len(), "{lossy} of {} lost anything", scores.len());
}

#[test]
fn people_may_be_enrolled_on_less_than_a_voiceprint_needs() {
    let Some(site) = site() else { return };
    let trials = ["eval", "speaker", "--trials", "trials.csv", "--enrol-seconds", "8", "--json"];
    let table = json(&site.run(&trials));
    assert_eq!(table["enrolled"], 3);
}

#[test]
fn what_cannot_be_measured_is_refused_in_a_sentence() {
    let Some(site) = site() else { return };
    for bad in ["0", "-1", "NaN", "1", "601"] {
        let option = format!("--seconds={bad}");
        let output = site.run(&["eval", "speaker", "--trials", "trials.csv", &option]);
        assert_eq!(output.status.code(), Some(2), "{bad}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("a length of speech is 1.6 to 600 seconds"), "{said}");
    }
    let said = |arguments: &[&str]| {
        let output = site.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let babble = ["eval", "speaker", "--trials", "trials.csv", "--channel", "babble10"];
    assert!(said(&babble).contains("channel babble10 wants --babble FOLDER"));
    fs::write(
        site.path("bad.csv"),
        "enrol,test,label,enrol_speaker,test_speaker\na,b,target,x,y\n",
    )
    .expect("a file");
    let upside = said(&["eval", "speaker", "--trials", "bad.csv"]);
    assert!(upside.contains("bad.csv, line 2: a target trial of x with y"), "{upside}");
}

#[test]
fn too_few_trials_calibrate_nothing_and_write_nothing() {
    let Some(site) = site() else { return };
    let output = site.run(&["calibrate", "--trials", "trials.csv", "--out", "site.toml", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    let reason = said["reason"].as_str().expect("a reason");
    assert!(reason.contains("at least 50 of each needed"), "{reason}");
    assert!(!site.path("site.toml").exists());
}
