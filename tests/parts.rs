//! Whose work the program is made of: NOTICE, which `make notice` makes of debian/about.hbs, names every Rust package that
//! is compiled in with its licence, and no licence is one that the program may not be given away under.
#![expect(clippy::disallowed_methods, reason = "a test reads the source")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

/// Packages that are compiled in on this machine, `name version`, with what they say of their licence. Of Cargo's answers
/// only its tree leaves out what the tests alone switch on.
fn compiled_in() -> BTreeMap<String, String> {
    let told = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "none"])
        .args(["--format", "{p}|{l}"])
        .output()
        .expect("cargo runs");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let told = String::from_utf8(told.stdout).expect("UTF-8");
    let described = told.lines().filter_map(|line| {
        let (package, licence) = line.trim_end_matches(" (*)").split_once('|')?;
        let (name, version) = package.split_once(" v")?;
        (name != "sidetone").then(|| (format!("{name} {version}"), licence.to_owned()))
    });
    described.collect()
}

#[test]
fn every_rust_package_that_is_compiled_in_stands_in_the_notice_with_a_licence_of_its_own() {
    let notice = fs::read_to_string("NOTICE").expect("tests run at the package root");
    let about: toml::Table =
        fs::read_to_string("debian/about.toml").expect("it is there").parse().expect("TOML");
    let accepted = about["accepted"].as_array().expect("licences").iter();
    let accepted: BTreeSet<&str> = accepted.filter_map(|licence| licence.as_str()).collect();
    let mut named: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (package, licence) in notice.lines().filter_map(|line| line.split_once(": ")) {
        named.entry(package).or_default().push(licence);
    }
    let compiled_in = compiled_in();
    assert!(compiled_in.len() > 200, "{} packages", compiled_in.len());
    for (package, says) in &compiled_in {
        let Some(licences) = named.get(package.as_str()) else {
            panic!("NOTICE lacks {package} ({says}): run `make notice`");
        };
        for licence in licences {
            assert!(accepted.contains(licence), "{package}: {licence} is not accepted");
            assert!(
                says.is_empty() || says.contains(licence),
                "{package}: NOTICE says {licence}, the package {says}"
            );
        }
    }
}

#[test]
fn whoever_gets_the_program_is_told_where_the_source_of_what_asks_for_it_is() {
    let notice = fs::read_to_string("NOTICE").expect("tests run at the package root");
    let asks: Vec<_> =
        compiled_in().into_iter().filter(|(_, says)| says.contains("MPL-2.0")).collect();
    assert!(!asks.is_empty(), "Symphonia is compiled in");
    for (package, _) in asks {
        assert!(
            package.starts_with("symphonia"),
            "{package} is MPL-2.0, and NOTICE offers no source of it"
        );
    }
    assert!(notice.contains(
        "The source of Symphonia (MPL-2.0), which is compiled in unchanged, is at crates.io"
    ));
}
