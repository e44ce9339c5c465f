//! `models/training/calibration.py` on scores whose truth was drawn by the lines of `speaker/calibration.rs`: it has to
//! find them again, and so has to read cosines, range and edge as they do.
//!
//! Needs numpy and scipy, in `target/training` (`models/training/venv`) or the system's Python.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test reads and writes its files; a skipped test says why"
)]

use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

use sidetone::speaker::calibration::{Calibration, Comparison, Conditions, Likeness};

const SCRIPT: &str = "models/training/calibration.py";
const HEADER: &str = "trial,piece,channel,seconds,target,score,decide,watch,range_db,upper_db,concealed,\
                      enrol_speaker,test_speaker\n";
/// Enough for each number of a line to be found within a few hundredths of what it is.
const TRIALS: usize = 40_000;

/// A Python with what the script needs; says so if there is none.
fn python() -> Option<&'static str> {
    let needs = "import numpy; from scipy.optimize import isotonic_regression";
    let has = |python: &&str| {
        let found = Command::new(python).args(["-c", needs]).output();
        found.is_ok_and(|output| output.status.success())
    };
    let found = ["target/training/bin/python", "python3"].into_iter().find(has);
    if found.is_none() {
        eprintln!("skipped: no Python has numpy and scipy; models/training/venv makes one");
    }
    found
}

fn run(python: &str, arguments: &[&str]) -> Output {
    Command::new(python).arg(SCRIPT).args(arguments).output().expect("python runs")
}

/// Trials for one of the lines. Their ratios are spread evenly; each is of one person as often as its ratio says.
fn scores(line: &str, speakers: &str, trials: usize) -> String {
    let mut random = fastrand::Rng::with_seed(7);
    let mut text = HEADER.to_owned();
    let mut kept = 0;
    while kept < trials {
        let mut between = |low: f64, high: f64| low + (high - low) * random.f64();
        let (decide, watch) = (between(0.0, 1.0) as f32, between(0.4, 1.0) as f32);
        let conditions = Conditions {
            range_db: between(10.0, 32.0),
            upper_db: between(-30.0, 0.0),
            concealed: 0.0,
        };
        let likeness = Likeness {
            decide: (line != "watch").then_some(decide),
            watch: (line != "decide").then_some(watch),
        };
        let net_speech = Duration::from_secs(3);
        let comparison = Comparison { likeness, conditions, net_speech, fresh: 1.0 };
        let llr = Calibration::RESNET34_GE2E.unbounded(&comparison).expect("a sound line");
        let (chance, spread) = (between(0.0, 1.0), between(-8.0, 8.0));
        // As many above 0 as below, and most where a line is decided.
        if llr.abs() > spread.abs() || llr.abs() > 6.0 {
            continue;
        }
        let target = chance < 1.0 / (1.0 + (-llr).exp());
        let other = if target { "a" } else { "b" };
        let Conditions { range_db, upper_db, .. } = conditions;
        text += &format!(
            "{kept},0,mulaw,3.0,{target},{llr},{decide},{watch},{range_db},{upper_db},0.0,\
             {speakers}a,{speakers}{other}\n"
        );
        kept += 1;
    }
    text
}

/// The numbers of a line as calibration.rs writes it, by name.
fn literal(text: &str, line: &str) -> Vec<(String, f64)> {
    let from = text.split_once(&format!("{line}: Scale {{")).expect("the line").1;
    let fields = from.split_once('}').expect("its end").0.split(',');
    let field = |field: &str| {
        let (name, value) = field.trim().split_once(": ")?;
        Some((name.to_owned(), value.parse().expect("a number")))
    };
    fields.filter_map(field).collect()
}

#[test]
fn the_fit_finds_the_lines_that_drew_the_truth() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let source = fs::read_to_string("src/speaker/calibration.rs").expect("the source");
    for line in ["both", "decide", "watch"] {
        let file = folder.path().join(format!("{line}.csv"));
        fs::write(&file, scores(line, "x-", TRIALS)).expect("a file");
        let output = run(python, &[&file.display().to_string(), "--line", line]);
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stdout).expect("text");
        let (found, wanted) = (literal(&said, line), literal(&source, line));
        assert_eq!(found.len(), 7, "{said}");
        for ((name, found), (wanted_name, wanted)) in found.iter().zip(&wanted) {
            assert_eq!(name, wanted_name, "in the order of the source");
            let slack = match &name[..] {
                "decide" | "watch" | "offset" => 0.06 * wanted.abs(),
                "dulling" => 0.006,
                "shift" => 0.06,
                "narrow" => 0.4,
                _ => 0.08,
            };
            assert!((found - wanted).abs() <= slack, "{line}: {name} {found}, not {wanted}");
        }
    }
}

#[test]
fn scores_that_cannot_be_used_are_refused_in_a_sentence() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::write(&file, text).expect("a file");
        file.display().to_string()
    };
    let fit = write("fit.csv", &scores("both", "x-", 400));
    let others = write("others.csv", &scores("both", "y-", 400));
    let few = write("few.csv", &scores("both", "x-", 60));
    let bare =
        write("bare.csv", "trial,piece,channel,seconds,target,score\n0,0,mulaw,3.0,true,1\n");
    let long = write("long.csv", &scores("both", "x-", 400).replace(",3.0,", ",5.0,"));
    let torn = write("torn.csv", &format!("{HEADER}0,0,mulaw,3.0,true\n"));
    let absent = folder.path().join("absent.csv").display().to_string();
    let said = |arguments: &[&str], wanted: &str| {
        let output = run(python, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(wanted) && said.lines().count() == 1, "{said}");
        assert!(output.stdout.is_empty(), "{output:?}");
    };
    said(&[&fit, "--report", &fit], "shares 2 speakers with the fit, 'x-a' for one");
    said(&[&few], "at least 50 of each needed");
    said(&[&bare], "has no column decide, watch, range_db");
    said(&[&long], "only 3 s wanted");
    said(&[&torn], "is not as `eval speaker --scores` writes it");
    said(&[&absent], "cannot read");

    let output = run(python, &[&fit, "--report", &others, "--line", "decide"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains("// report, ") && text.contains("minCllr"), "{text}");
}
