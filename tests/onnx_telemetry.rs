//! ONNX Runtime tells nobody of us: where its environment does not forbid it, it leaves an id of the machine and what it
//! would send in the home folder.
#![expect(clippy::disallowed_methods, reason = "a test reads its folder")]

mod appliance;
mod store;

use std::fs;
use std::process::Stdio;

use appliance::{Site, wait_for};
use store::store;

#[test]
fn models_are_loaded_and_nothing_is_left_at_home_whatever_the_environment_was() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    let home = tempfile::tempdir().expect("a folder");
    for value in [None, Some("0")] {
        let mut check = site.command(&["keywords", "check", "--policy", "policy.toml"]);
        check.env("HOME", home.path()).env_remove("XDG_CACHE_HOME");
        check.env_remove("ORT_DISABLE_TELEMETRY");
        check.envs(value.map(|value| ("ORT_DISABLE_TELEMETRY", value)));
        let output = check.output().expect("the binary runs");
        assert!(!output.stdout.is_empty(), "the models were at work: {output:?}");
        let left: Vec<_> = fs::read_dir(home.path()).expect("a folder").collect();
        assert!(left.is_empty(), "{value:?}: {left:?}");
    }
}

#[test]
fn the_process_that_serves_is_the_one_that_was_started() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    let mut serve = site.command(&["serve"]);
    serve.env_remove("ORT_DISABLE_TELEMETRY").stdout(Stdio::null()).stderr(Stdio::null());
    let mut served = serve.spawn().expect("the binary runs");
    let environment = format!("/proc/{}/environ", served.id());
    wait_for("it forbids reports", || {
        let text = fs::read(&environment).expect("a process of ours");
        text.split(|byte| *byte == 0).any(|pair| pair == b"ORT_DISABLE_TELEMETRY=1").then_some(())
    });
    let arguments = fs::read_to_string(format!("/proc/{}/cmdline", served.id())).expect("ours");
    assert!(arguments.ends_with("\0serve\0"), "{arguments:?}");
    served.kill().expect("it runs");
    served.wait().expect("it ends");
}
