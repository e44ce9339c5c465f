//! A million voiceprints in the vault, on SQLite and on PostgreSQL: how fast they come in, how large they lie, how soon one
//! is found, and whether memory stays (`make vault-bench`, half an hour and 10 GB of `TMPDIR`).
//!
//! `cargo bench --bench vault -- 100000` takes fewer. They are filled in without waiting for the disk (SQLite in
//! `/dev/shm`, PostgreSQL with `fsync=off`), then the vault is put where a commit waits for the disk, and the rest is
//! measured there: enrolments one by one as the appliance makes them, and look-ups in a process that has just
//! opened it.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]
#![expect(clippy::disallowed_methods, reason = "a bench reads clock, disk and its arguments")]

#[path = "../databases/mod.rs"]
mod databases;
#[expect(dead_code, reason = "no models are asked for here")]
#[path = "../store/mod.rs"]
mod store;
#[path = "../vaults/mod.rs"]
mod vaults;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use databases::Site;
use databases::postgres::Postgres;
use sidetone::consent::retention::Settings;
use sidetone::runtime::store::place::Place;
use sidetone::runtime::store::vault::{Subject, Vault};
use vaults::{Keyed, act, agreed, enrol, voiceprint};

/// Voiceprints, unless an argument says otherwise.
const MILLION: u32 = 1_000_000;
/// Look-ups that are measured, spread over all.
const LOOK_UPS: u32 = 20_000;
/// Enrolments that are measured one by one, on the disk.
const ENROLMENTS: u32 = 2_000;
/// Voiceprints with [`WINDOWS`] that are measured for their size.
const LARGE: u32 = 2_000;
/// Kept windows of a minute of speech (`voiceprint::KEPT`).
const WINDOWS: u8 = 24;

fn main() {
    let count = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let count: u32 = count.unwrap_or(MILLION);
    on_sqlite(count);
    on_postgres(count);
}

fn on_sqlite(count: u32) {
    let site = Site::sqlite();
    let (memory, disk) = (tempfile::tempdir_in("/dev/shm").expect("memory"), site.folder.path());
    let filled = memory.path().join("vault.db");
    let keyed = Keyed::at(Site::sqlite());
    let place = Place::parse(&format!("sqlite:{}", filled.display()), None).expect("a place");
    let open =
        |place: &Place| Vault::open(place, &keyed.key_file, Settings::default()).expect("a vault");
    println!("SQLite, {count} voiceprints");
    fill(open(&place), 0..count, 0);
    let file = disk.join("vault.db");
    fs::copy(&filled, &file).expect("room on the disk");
    drop(memory);
    let size = fs::metadata(&file).expect("it is there").len();
    told_size(size, count);
    let place = site.place();
    one_by_one(open(&place), count);
    look_ups(open(&place), count);
    let before = fs::metadata(&file).expect("it is there").len();
    fill(open(&place), 2 * count..2 * count + LARGE, WINDOWS);
    let after = fs::metadata(&file).expect("it is there").len();
    told_large(after - before);
}

fn on_postgres(count: u32) {
    let Some(server) = Postgres::start_new() else { return };
    println!("\nPostgreSQL {}, {count} voiceprints", server.psql("vault", "SHOW server_version"));
    server.stop();
    // Room to write for a minute between checkpoints; the rest is as it comes.
    server.start_with(&["-c", "fsync=off", "-c", "max_wal_size=4GB"]);
    let keyed = Keyed::at(Site::on(&server, "vault"));
    fill(keyed.open(), 0..count, 0);
    server.stop();
    server.start();
    let size = || -> u64 {
        let sql = "VACUUM ANALYZE";
        server.psql("vault", sql);
        let size = server.psql("vault", "SELECT pg_database_size('vault')");
        size.parse().expect("a number")
    };
    told_size(size(), count);
    one_by_one(keyed.open(), count);
    look_ups(keyed.open(), count);
    let before = size();
    fill(keyed.open(), 2 * count..2 * count + LARGE, WINDOWS);
    told_large(size() - before);
}

fn name(n: u32) -> String {
    format!("customer-{n:07}")
}

/// Each agrees, and is enrolled, as the appliance does it.
fn fill(mut vault: Vault, numbers: std::ops::Range<u32>, windows: u8) {
    let (start, total) = (Instant::now(), numbers.len() as u32);
    let mut resident = Vec::new();
    for (done, n) in (1..).zip(numbers) {
        let subject = Subject::caller(&name(n));
        vault.change_consent(&subject, &agreed()).expect("a consent");
        vault.enrol(&subject, &voiceprint(&subject.name, n, windows), &act()).expect("enrolled");
        if done % total.div_ceil(5) == 0 || done == total {
            resident.push(format!("{:.0}", resident_mib()));
        }
    }
    let rate = f64::from(total) / start.elapsed().as_secs_f64();
    println!(
        "  {total} filled in at {rate:.0} a second, {windows} kept windows each; resident along the way {} MiB",
        resident.join(", ")
    );
}

fn one_by_one(mut vault: Vault, count: u32) {
    let mut took: Vec<_> = (count..count + ENROLMENTS)
        .map(|n| {
            let start = Instant::now();
            enrol(&mut vault, &name(n), n).expect("enrolled");
            start.elapsed()
        })
        .collect();
    told("a consent and an enrolment, each on the disk", &mut took);
}

fn look_ups(mut vault: Vault, count: u32) {
    let before = resident_mib();
    // A stride that meets each once: it is prime, and no factor of a round number.
    let mut took: Vec<_> = (0..LOOK_UPS)
        .map(|n| {
            let n = (u64::from(n) * 7_368_787 % u64::from(count)) as u32;
            let subject = Subject::caller(&name(n));
            let start = Instant::now();
            let voice = vault.voice(&subject).expect("it opens");
            let took = start.elapsed();
            let found = voice.voiceprint.expect("it was filled in");
            assert_eq!(found.subject, subject.name, "somebody else's");
            took
        })
        .collect();
    told("a voice looked up and opened", &mut took);
    println!("  resident {before:.0} MiB before the look-ups, {:.0} MiB after", resident_mib());
}

fn told(what: &str, took: &mut [Duration]) {
    took.sort();
    let rank = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let total: Duration = took.iter().sum();
    println!(
        "  {what}: median {:.3} ms, 95 % {:.3} ms, longest {:.1} ms; {:.0} a second",
        rank(0.5),
        rank(0.95),
        rank(1.0),
        took.len() as f64 / total.as_secs_f64()
    );
}

fn told_size(size: u64, count: u32) {
    let bytes = size / u64::from(count);
    println!("  {:.2} GB, {bytes} bytes a person with consent and records", size as f64 / 1e9);
}

fn told_large(size: u64) {
    let bytes = size / u64::from(LARGE);
    println!("  {bytes} bytes a person with {WINDOWS} kept windows");
}

/// Memory of this process that is in use and in place, MiB.
fn resident_mib() -> f64 {
    let status = fs::read_to_string(Path::new("/proc/self/status")).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a figure");
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib / 1024.0
}
