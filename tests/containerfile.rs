//! The Containerfile: hadolint finds nothing in it, and it agrees with what is shipped. Building an image takes an engine
//! and the images that it begins with, which a test has not.
#![expect(clippy::disallowed_methods, reason = "a test reads the source")]

#[expect(dead_code, reason = "no models are needed")]
mod store;

use std::fs;
use std::path::Path;
use std::process::Command;

use store::skip;

fn containerfile() -> String {
    fs::read_to_string("Containerfile").expect("tests run at the package root")
}

/// What follows `instruction` in each of its lines.
fn said<'a>(file: &'a str, instruction: &str) -> Vec<&'a str> {
    file.lines().filter_map(|line| line.strip_prefix(instruction)?.strip_prefix(' ')).collect()
}

#[test]
fn hadolint_finds_nothing_in_it() {
    let made = Command::new("tests/container/venv").output();
    if !made.as_ref().is_ok_and(|made| made.status.success()) {
        skip(&format!("hadolint cannot be had: {made:?}"));
        return;
    }
    let found = Command::new("target/hadolint/bin/hadolint")
        .arg("Containerfile")
        .output()
        .expect("it runs");
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stdout));
}

#[test]
fn the_ports_that_it_names_are_those_of_the_shipped_configuration() {
    let file = containerfile();
    let exposed = said(&file, "EXPOSE").join(" ");
    let mut exposed: Vec<_> = exposed.split(' ').map(str::to_owned).collect();
    let shipped = fs::read_to_string("config/sidetone.toml").expect("it is shipped");
    let config: toml::Table = shipped.parse().expect("TOML");
    let sip = config["sip"]["listen"].as_array().expect("a list").iter().map(|socket| {
        let (transport, address) =
            socket.as_str().expect("text").split_once(':').expect("a socket");
        format!("{}/{transport}", address.rsplit(':').next().expect("a port"))
    });
    let http = config["http"]["listen"].as_str().expect("an address");
    let (_, http) = http.rsplit_once(':').expect("a port");
    let mut wanted: Vec<_> = sip.chain([format!("{http}/tcp")]).collect();
    exposed.sort();
    wanted.sort();
    assert_eq!(exposed, wanted);
    assert!(said(&file, "   ").iter().any(|line| line.contains(&format!("127.0.0.1/{http} "))));
}

#[test]
fn it_runs_as_nobody_of_the_host_and_copies_what_there_is() {
    let file = containerfile();
    assert_eq!(said(&file, "USER"), ["64090:64090"], "a number, so that no host gives it a name");
    assert_eq!(said(&file, "STOPSIGNAL"), ["SIGTERM"]);
    for copied in said(&file, "COPY").iter().filter(|copied| !copied.starts_with("--from=")) {
        let words: Vec<_> = copied.split(' ').filter(|word| !word.starts_with("--")).collect();
        let (_, sources) = words.split_last().expect("where to");
        for source in sources {
            assert!(Path::new(source).exists(), "{source} is copied, and is not there");
        }
    }
    let base = said(&file, "FROM");
    assert!(base.iter().all(|image| image.contains("bookworm")), "one C library: {base:?}");
}
