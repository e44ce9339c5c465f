//! The API against its own description: Schemathesis asks the running binary what the description lets it ask. Needs the
//! Python package index once.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test runs programs, and says what it skips"
)]

mod appliance;
mod http;
mod store;

use std::path::Path;
use std::process::Command;

use appliance::{Appliance, Site, TOKEN};
use http::ask;
use store::store;

/// Examples of each request in each phase, and the seed of all chance; `SIDETONE_EXAMPLES` makes it more thorough.
const EXAMPLES: &str = "20";
const SEED: &str = "20261127";

/// A program of the Python that has Schemathesis; `None` where that cannot be had, which is said.
fn python() -> Option<&'static Path> {
    let made = Command::new("tests/schemathesis/venv").output().map_err(|error| error.to_string());
    let made = made.and_then(|made| {
        let words = String::from_utf8_lossy(&made.stderr).trim().to_owned();
        made.status.success().then_some(Path::new("target/schemathesis/bin")).ok_or(words)
    });
    made.map_err(|why| eprintln!("skipped: Schemathesis cannot be had: {why}")).ok()
}

#[test]
fn whatever_the_description_lets_one_ask_is_answered_as_it_says() {
    let (Some(store), Some(bin)) = (store(), python()) else { return };
    let site = Site::new(&store);
    site.write("sidetone.toml", site.open_api());
    let appliance = Appliance::start(&site);
    let description = ask(appliance.http, "GET /openapi.json", "", "").body;
    let file = site.write("openapi.json", description);
    let valid = Command::new(bin.join("openapi-spec-validator")).arg(file).output();
    let valid = valid.expect("the validator runs");
    assert!(valid.status.success(), "{}", String::from_utf8_lossy(&valid.stdout));

    let config = std::env::current_dir().expect("the package root").join("tests/schemathesis");
    let examples = std::env::var("SIDETONE_EXAMPLES");
    let schemathesis = std::env::current_dir().expect("the package root").join(bin);
    let asked = Command::new(schemathesis.join("schemathesis"))
        .current_dir(site.path(""))
        .arg("--config-file")
        .arg(config.join("schemathesis.toml"))
        .args(["run", &format!("http://{}/openapi.json", appliance.http), "--no-color"])
        .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
        .args(["--max-examples", examples.as_deref().unwrap_or(EXAMPLES), "--seed", SEED])
        .args(["--continue-on-failure", "--suppress-health-check", "all"])
        .output()
        .expect("Schemathesis runs");
    let said = String::from_utf8_lossy(&asked.stdout);
    assert!(asked.status.success(), "{said}");
    assert_eq!(appliance.stop().status.code(), Some(0));
}
