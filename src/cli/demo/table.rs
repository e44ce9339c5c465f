//! What was expected of the calls and what was found, read off the INFOs that their callers got.

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use crate::cli::demo::script::{Expectation, Scene};
use crate::cli::println;
use crate::runtime::caller::CallReport;

/// How far off a phrase's start may be, seconds.
const TOLERANCE_S: f64 = 0.5;

/// One expectation and what came of it.
#[derive(Clone, Debug)]
pub struct Row {
    /// Letter of the call.
    pub call: char,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
    /// Seconds of net speech to the decision, where one was made.
    pub net_speech_s: Option<f64>,
    /// Whether it is what was expected.
    pub good: bool,
}

/// Holds every scene's expectations against its report.
pub fn judge(scenes: &[Scene], reports: &[Result<CallReport, String>]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (scene, report) in scenes.iter().zip(reports) {
        let report = match report {
            Ok(report) => report,
            Err(error) => {
                rows.push(row(scene, "a whole call", error.clone(), None, false));
                continue;
            }
        };
        let verdicts: Vec<Value> =
            report.infos.iter().filter_map(|body| serde_json::from_str(body).ok()).collect();
        let found = format!("{} RTP, {} RTCP", report.rtp, report.reports);
        rows.push(row(scene, "silence from us but for RTCP", found, None, report.rtp == 0));
        rows.extend(scene.expected.iter().map(|expected| check(scene, expected, &verdicts)));
        if scene.expected.is_empty() {
            let decision = verdicts.iter().find(|v| v["kind"] == "speaker");
            let found = decision.map_or("undecided", |v| v["decision"].as_str().unwrap_or("?"));
            let net_speech = decision.and_then(|v| v["net_speech_s"].as_f64());
            rows.push(row(scene, "(nothing)", found.to_owned(), net_speech, true));
        }
    }
    rows
}

fn check(scene: &Scene, expected: &Expectation, verdicts: &[Value]) -> Row {
    let speaker = |decision: &str| {
        verdicts.iter().find(|v| v["kind"] == "speaker" && v["decision"] == decision)
    };
    let phrases = |id: &str| -> Vec<f64> {
        let hits = verdicts.iter().filter(|v| v["kind"] == "keyword" && v["phrase"] == id);
        hits.filter_map(|v| v["start_s"].as_f64()).collect()
    };
    match expected {
        Expectation::Accepted { within_s } => {
            decided(scene, "accepted", *within_s, 0.0, speaker("accepted"))
        }
        Expectation::Rejected { within_s } => {
            decided(scene, "rejected", *within_s, 0.0, speaker("rejected"))
        }
        Expectation::Changed { within_s, after_s } => {
            decided(scene, "changed", *within_s, *after_s, speaker("changed"))
        }
        Expectation::NoAlarm => {
            let alarm = speaker("changed").or(speaker("rejected"));
            let found = alarm.map_or("none", |v| v["decision"].as_str().unwrap_or("?"));
            row(scene, "no alarm", found.to_owned(), None, alarm.is_none())
        }
        Expectation::Phrase { id, at_s } => {
            let found = phrases(id);
            let good = found.len() == 1 && (found[0] - at_s).abs() <= TOLERANCE_S;
            let times: Vec<_> = found.iter().map(|t| format!("{t:.2}")).collect();
            let said = match times.len() {
                0 => "never".to_owned(),
                n => format!("{n}x at {} s", times.join(", ")),
            };
            row(scene, &format!("phrase {id} once at {at_s:.2} s"), said, None, good)
        }
        Expectation::NoPhrase { id } => {
            let found = phrases(id).len();
            row(scene, &format!("phrase {id} never"), format!("{found}x"), None, found == 0)
        }
    }
}

/// `after_s`: net speech that does not count towards the decision.
fn decided(scene: &Scene, what: &str, within_s: f64, after_s: f64, verdict: Option<&Value>) -> Row {
    let net_speech = verdict.and_then(|v| v["net_speech_s"].as_f64()).map(|s| s - after_s);
    let good = net_speech.is_some_and(|s| (0.0..=within_s).contains(&s));
    let found = verdict.map_or("never".to_owned(), |_| what.to_owned());
    row(scene, &format!("{what} within {within_s:.0} s"), found, net_speech, good)
}

fn row(scene: &Scene, expected: &str, found: String, net_speech_s: Option<f64>, good: bool) -> Row {
    Row { call: scene.name, expected: expected.to_owned(), found, net_speech_s, good }
}

impl Row {
    /// For `--json`.
    pub fn to_json(&self) -> Value {
        serde_json::json!({
            "call": self.call.to_string(), "expected": self.expected, "found": self.found,
            "net_speech_s": self.net_speech_s.map(|s| (s * 100.0).round() / 100.0),
            "good": self.good,
        })
    }
}

/// The table, for a person.
pub fn print(rows: &[Row]) {
    println!("\ncall  {:<38}{:<24}{:>13}", "expected", "found", "net speech");
    for row in rows {
        let color = if row.good { AnsiColor::Green } else { AnsiColor::Red };
        let style = Style::new().fg_color(Some(color.into()));
        let net_speech = row.net_speech_s.map(|s| format!("{s:.1} s")).unwrap_or_default();
        println!(
            "{style}{:<6}{:<38}{:<24}{net_speech:>13}  {}{style:#}",
            row.call,
            row.expected,
            row.found,
            if row.good { "ok" } else { "NOT AS EXPECTED" }
        );
    }
}
