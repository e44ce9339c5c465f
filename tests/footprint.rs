//! What an idle appliance costs: memory with all models loaded, and the time until it is ready.
//!
//! Without the models these tests say so and pass.
#![expect(clippy::disallowed_methods, reason = "a test reads /proc")]
#![expect(clippy::print_stderr, reason = "the figures are for docs/reference/figures.md")]

mod appliance;
mod store;

use std::time::Duration;

use appliance::{Appliance, Site};
use store::store;

/// Most memory of an idle appliance, KiB. 138 MB are measured; with the models mapped, copied and
/// their arenas grown once more it would still fit.
const MOST_MEMORY: u64 = 350 * 1024;
/// Most time from exec to a ready answer: a restart must cost less than the few seconds after
/// which a PBX gives up on an INVITE. 0.4 s is measured in a release build.
const LONGEST_START: Duration = Duration::from_secs(3);

#[test]
fn an_idle_appliance_with_its_models_stays_below_350_mib_and_starts_within_3_s() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    let appliance = Appliance::start(&site);
    let status = std::fs::read_to_string(format!("/proc/{}/status", appliance.id()));
    let status = status.expect("Linux tells about its processes");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let memory = line.and_then(|line| line.trim().strip_suffix(" kB")).expect("the line");
    let memory: u64 = memory.parse().expect("a number");
    eprintln!("idle: {} MiB, ready after {:?}", memory / 1024, appliance.ready_after);
    assert!(memory < MOST_MEMORY, "{memory} KiB");
    assert!(appliance.ready_after < LONGEST_START, "{:?}", appliance.ready_after);
    // What Prometheus is told is the same figure, in bytes.
    let told = appliance.metric("process_resident_memory_bytes") / 1024.0;
    assert!((told - memory as f64).abs() < 0.1 * memory as f64, "{told} KiB are told");
    assert_eq!(appliance.metric("sidetone_ready"), 1.0);
    assert!(appliance.stop().status.success());
}
