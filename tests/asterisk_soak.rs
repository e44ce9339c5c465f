//! Calls through a real Asterisk for as long as one has time, twenty a minute, with two taps each: no channel is left on
//! either side, and memory does not grow. `make pbx-soak` runs it (SOAK_MINUTES=60).
#![expect(clippy::disallowed_methods, reason = "a soak reads the environment and the clock")]
#![expect(clippy::print_stderr, reason = "the figures are for docs/reference/figures.md")]

mod appliance;
mod peers;
mod store;

use std::thread;
use std::time::{Duration, Instant};

use appliance::{RATE, write_wav};
use peers::office::{Office, Plan};
use peers::resident_mib;

const POLICY: &str = "name = 'soak'\nversion = '1'\n\
    [[phrase]]\nid = 'heaven'\ntext = 'going direct to heaven'\n\
    [[rule]]\nid = 'once'\nkind = 'count'\nphrases = ['heaven']\nat_least = 1\nparties = ['caller']\n";
/// Time from one call to the next: twenty a minute.
const PACE: Duration = Duration::from_secs(3);
/// Length of a call, seconds: three stand at any time.
const LENGTH_S: usize = 9;
/// Growth that is none, MiB: the allocator's, between two looks at a process that stands still.
const NOTHING_MIB: f64 = 24.0;

#[test]
#[ignore = "takes an hour, or SOAK_MINUTES: make pbx-soak"]
fn an_hour_of_calls_leaves_no_channel_and_no_memory_behind() {
    let minutes = std::env::var("SOAK_MINUTES").map_or(60, |text| text.parse().expect("minutes"));
    let Some(office) = Office::open(&Plan::new(POLICY)) else { return };
    let agent = office.agent(&office.recording("beckett"));
    let mut short = office.site.narrator();
    short.truncate(LENGTH_S * RATE as usize);
    let said = office.site.path("said-8k.wav");
    write_wav(&said, &short);

    let calls = minutes * 60 / PACE.as_secs();
    let (start, mut standing) = (Instant::now(), std::collections::VecDeque::new());
    let mut warm = None;
    for number in 1..=calls {
        thread::sleep((start + PACE * number as u32).saturating_duration_since(Instant::now()));
        standing.push_back(office.call("601", &said));
        // A telephone that has hung up by itself long ago.
        if standing.len() > 8 {
            standing.pop_front();
        }
        if number % 20 != 0 {
            continue;
        }
        let sizes = [office.appliance.id(), office.asterisk.id()].map(resident_mib);
        let channels = office.asterisk.cli("core show channels count");
        let active = office.appliance.metric("sidetone_calls_active");
        eprintln!(
            "{number} calls: sidetone {:.0} MiB, Asterisk {:.0} MiB, {active} legs, {}",
            sizes[0],
            sizes[1],
            channels.lines().next().unwrap_or_default()
        );
        assert!(active <= 12.0, "legs pile up: {active}");
        // A third of the time, or the first minute of a short one, is for what is allocated once.
        if number >= (calls / 3).max(20) {
            warm.get_or_insert(sizes);
        }
    }
    thread::sleep(Duration::from_secs(LENGTH_S as u64));
    drop(standing);
    office.wait_until_empty();
    drop(agent);
    let sizes = [office.appliance.id(), office.asterisk.id()].map(resident_mib);
    let warm = warm.expect("at least a minute");
    for (name, (before, after)) in ["sidetone", "Asterisk"].iter().zip(warm.iter().zip(sizes)) {
        eprintln!("{name}: {before:.0} MiB, {after:.0} MiB at the end");
        assert!(after - before < NOTHING_MIB, "{name} grew from {before} to {after} MiB");
    }
    let ended = office.appliance.metric("sidetone_calls_ended_total{end=\"by_peer\"}");
    assert_eq!(ended, 2.0 * calls as f64, "two legs a call, each ended by Asterisk");
    let all = office.appliance.metric_sum("sidetone_calls_ended_total");
    assert_eq!(all, ended, "and in no other way");
}
