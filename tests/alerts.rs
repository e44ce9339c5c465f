//! The alert rules that are shipped, by Prometheus's own `promtool`.
//!
//! Without it (Debian: prometheus) the test says so and passes.

#[expect(dead_code, reason = "no models are needed")]
mod store;

use std::process::Command;

#[test]
fn drift_is_told_after_an_hour_and_calm_or_too_few_calls_are_not() {
    let rules = Command::new("promtool")
        .args(["test", "rules", "config/prometheus/speaker.test.yml"])
        .output();
    let Ok(output) = rules else {
        return store::skip("promtool is not installed (Debian: prometheus)");
    };
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
