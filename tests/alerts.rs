//! The alerts and examples that are shipped for Prometheus and Alertmanager, by their own tools.
//!
//! Without `promtool` (Debian: prometheus) or `amtool` (prometheus-alertmanager) these tests say so and pass. That every
//! metric which they name exists is checked in tests/metrics.rs.
#![expect(clippy::disallowed_methods, reason = "a test reads files")]

#[expect(dead_code, reason = "no models are needed")]
mod store;

use std::fs;
use std::path::Path;
use std::process::Command;

const FOLDER: &str = "config/prometheus";
const ALERTS: &str = include_str!("../config/prometheus/alerts.yml");
const RUNBOOK: &str = include_str!("../docs/read-an-alert.md");

/// What the tool says to `arguments`; nothing where it is not installed.
#[track_caller]
fn passes(tool: &str, package: &str, arguments: &[&str]) -> bool {
    let Ok(output) = Command::new(tool).args(arguments).output() else {
        store::skip(&format!("{tool} is not installed (Debian: {package})"));
        return false;
    };
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {arguments:?}: {said}");
    true
}

/// Each alert's name and what stands under it.
fn alerts() -> Vec<(&'static str, &'static str)> {
    let all = ALERTS.split("- alert: ").skip(1);
    all.map(|alert| alert.split_once('\n').expect("a name and more")).collect()
}

#[test]
fn every_alert_fires_when_it_should_and_stays_calm_when_it_should() {
    let tests = format!("{FOLDER}/alerts.test.yml");
    passes("promtool", "prometheus", &["test", "rules", &tests]);
    let text = fs::read_to_string(&tests).expect("the tests are shipped");
    for (name, _) in alerts() {
        let fires = format!("        alertname: {name}\n        exp_alerts:\n");
        let calm = format!("        alertname: {name}\n      - eval_time");
        assert!(text.contains(&fires) && text.contains(&calm), "{name} is not tried");
    }
}

#[test]
fn rules_and_examples_are_what_their_readers_take() {
    let [recording, alerts] =
        ["recording.yml", "alerts.yml"].map(|file| format!("{FOLDER}/{file}"));
    passes("promtool", "prometheus", &["check", "rules", &recording, &alerts]);
    let etc = tempfile::tempdir().expect("a folder");
    let place = |name: &str| etc.path().join(name);
    fs::create_dir(place("sidetone")).expect("a writable folder");
    for (from, to) in [
        ("prometheus.yml", "prometheus.yml"),
        ("recording.yml", "sidetone/recording.yml"),
        ("alerts.yml", "sidetone/alerts.yml"),
    ] {
        fs::copy(Path::new(FOLDER).join(from), place(to)).expect("a writable folder");
    }
    let config = place("prometheus.yml").display().to_string();
    passes("promtool", "prometheus", &["check", "config", &config]);
    let alertmanager = format!("{FOLDER}/alertmanager.yml");
    let package = "prometheus-alertmanager";
    if passes("amtool", package, &["check-config", &alertmanager]) {
        let route = |severity: &str| {
            let severity = format!("severity={severity}");
            let output = Command::new("amtool")
                .args(["config", "routes", "test", "--config.file", &alertmanager, &severity])
                .output();
            let said = output.expect("it ran before").stdout;
            String::from_utf8(said).expect("UTF-8").trim().to_owned()
        };
        assert_eq!([route("critical"), route("warning")], ["night", "day"]);
    }
}

#[test]
fn every_alert_says_for_how_long_how_bad_what_and_where_to_read_on() {
    let all = alerts();
    assert_eq!(all.len(), 13, "few, and all of them");
    for (name, under) in all {
        for key in ["expr: ", "for: ", "severity: ", "summary: ", "description: "] {
            assert!(under.contains(&format!(" {key}")), "{name} has no {key}");
        }
        let runbook = format!(" runbook: docs/read-an-alert.md#{}\n", name.to_lowercase());
        assert!(under.contains(&runbook), "{name} has no{runbook}");
        let section = RUNBOOK.split_once(&format!("\n## {name}\n")).map(|(_, section)| section);
        let section = section.unwrap_or_else(|| panic!("no section is about {name}"));
        let section = section.split("\n## ").next().expect("the first");
        for part in ["**It means**", "**Look first**", "**Do**"] {
            assert!(section.contains(part), "{name} has no {part}");
        }
    }
}
