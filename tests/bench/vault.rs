//! A million voiceprints in the vault, on SQLite and on PostgreSQL: how fast they come in, how large they lie, how soon one
//! is found, and whether memory stays (`make vault-bench`, a quarter of an hour, 10 GB of `TMPDIR` and 4 of `/dev/shm`).
//!
//! `cargo bench --bench vault -- 100000` takes fewer. They are enrolled one by one in a file in `/dev/shm`, where no commit
//! waits for a disk; the file is then put on the disk, and its rows, which are the same on either database, into a
//! server. There the rest is measured: enrolments as the appliance makes them, and look-ups of a process that has just
//! opened the vault, of what the system holds in memory and of what it has to get from the disk.
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
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use databases::Site;
use databases::postgres::Postgres;
use rusqlite::types::ValueRef;
use sidetone::consent::retention::Settings;
use sidetone::runtime::store::place::Place;
use sidetone::runtime::store::vault::{Subject, Vault};
use vaults::{Keyed, act, agreed, enrol, voiceprint};

/// Voiceprints, unless an argument says otherwise.
const MILLION: u32 = 1_000_000;
/// Look-ups that are measured, spread over all.
const LOOK_UPS: u32 = 10_000;
/// Enrolments that are measured one by one, on the disk.
const ENROLMENTS: u32 = 2_000;
/// Erasures that are measured one by one, on the disk.
const ERASURES: u32 = 200;
/// Voiceprints with [`WINDOWS`] that are measured for their size.
const LARGE: u32 = 2_000;
/// Kept windows of a minute of speech (`voiceprint::KEPT`).
const WINDOWS: u8 = 24;

fn main() {
    let count = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let count: u32 = count.unwrap_or(MILLION);
    let Some(server) = Postgres::start_new() else { return };
    println!("SQLite, {count} voiceprints");
    let keyed = Keyed::at(Site::sqlite());
    let file = keyed.site.folder.path().join("vault.db");
    fill_in_memory(&keyed, &file, count);
    told_size(fs::metadata(&file).expect("it is there").len(), count);
    one_by_one(keyed.open(), count);
    look_ups(keyed.open(), count, "in memory");
    forget(keyed.site.folder.path());
    look_ups(keyed.open(), count, "on the disk");
    erasures(keyed.open(), count);
    large(&Keyed::at(Site::sqlite()), |keyed| {
        fs::metadata(keyed.site.folder.path().join("vault.db")).expect("it is there").len()
    });

    println!("\nPostgreSQL {}, {count} voiceprints", server.psql("vault", "SHOW server_version"));
    let shared = Keyed::at(Site::on(&server, "vault"));
    copy(&file, &server, &shared);
    told_size(size(&server, "vault"), count);
    one_by_one(shared.open(), count + ENROLMENTS);
    look_ups(shared.open(), count, "in memory");
    server.stop();
    forget(&server.data());
    server.start();
    look_ups(shared.open(), count, "on the disk");
    erasures(shared.open(), count);
    server.create_database("large");
    large(&Keyed::at(Site::on(&server, "large")), |_| size(&server, "large"));
}

/// Fills a vault in memory, and puts it where `keyed` is.
fn fill_in_memory(keyed: &Keyed, file: &Path, count: u32) {
    let memory = tempfile::tempdir_in("/dev/shm").expect("memory");
    let filled = memory.path().join("vault.db");
    let place = Place::parse(&format!("sqlite:{}", filled.display()), None).expect("a place");
    let vault = Vault::open(&place, &keyed.key_file, Settings::default()).expect("a vault");
    let (start, mut resident) = (Instant::now(), Vec::new());
    fill(vault, 0..count, 0, |n| {
        if (n + 1) % count.div_ceil(5) == 0 || n + 1 == count {
            resident.push(format!("{:.0}", resident_mib()));
        }
    });
    println!(
        "  filled at {:.0} a second; resident along the way {} MiB",
        f64::from(count) / start.elapsed().as_secs_f64(),
        resident.join(", ")
    );
    fs::copy(&filled, file).expect("room on the disk");
}

/// Puts the rows of the vault in `file` into the one on `server`.
fn copy(file: &Path, server: &Postgres, shared: &Keyed) {
    // It makes keys of its own, which these rows do not lie under.
    drop(shared.open());
    server.psql("vault", "DELETE FROM vault_keys");
    let start = Instant::now();
    let from = rusqlite::Connection::open(file).expect("a vault");
    let mut to =
        postgres::Client::connect(&server.socket_url("vault"), postgres::NoTls).expect("it runs");
    for table in ["vault_keys", "persons", "voiceprints", "consents", "audit"] {
        let mut rows = from.prepare(&format!("SELECT * FROM {table}")).expect("a table");
        let columns = rows.column_names().collect::<Vec<_>>().join(", ");
        let count = rows.column_count();
        let mut rows = rows.query([]).expect("rows");
        let sql = format!("COPY {table} ({columns}) FROM STDIN");
        let mut out = BufWriter::with_capacity(1 << 20, to.copy_in(&sql).expect("a table"));
        while let Some(row) = rows.next().expect("a row") {
            for column in 0..count {
                let end = if column + 1 == count { "\n" } else { "\t" };
                let value = match row.get_ref(column).expect("a column") {
                    ValueRef::Null => "\\N".to_owned(),
                    ValueRef::Integer(number) => number.to_string(),
                    ValueRef::Text(text) => {
                        str::from_utf8(text).expect("text").replace('\\', "\\\\")
                    }
                    ValueRef::Blob(bytes) => format!("\\\\x{}", hex::encode(bytes)),
                    ValueRef::Real(_) => unreachable!("no table has such a column"),
                };
                write!(out, "{value}{end}").expect("the server takes it");
            }
        }
        out.flush().expect("the server takes it");
        let (out, _) = out.into_parts();
        out.finish().expect("the server takes it");
    }
    println!("  the same rows, copied in {:.0} s", start.elapsed().as_secs_f64());
}

fn size(server: &Postgres, database: &str) -> u64 {
    server.psql(database, "VACUUM ANALYZE");
    server.psql(database, "CHECKPOINT");
    let size = server.psql(database, &format!("SELECT pg_database_size('{database}')"));
    size.parse().expect("a number")
}

/// What a person takes of whom windows are kept, too.
fn large(keyed: &Keyed, size: impl Fn(&Keyed) -> u64) {
    fill(keyed.open(), 0..LARGE, 0, |_| {});
    let before = size(keyed);
    fill(keyed.open(), LARGE..2 * LARGE, WINDOWS, |_| {});
    let bytes = (size(keyed) - before) / u64::from(LARGE);
    println!("  {bytes} bytes a person with {WINDOWS} kept windows");
}

/// Has the system forget what it holds in memory of the files below `folder`.
fn forget(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a folder").path();
        if path.is_dir() {
            forget(&path);
        } else if let Ok(file) = fs::File::open(&path) {
            file.sync_all().expect("a disk");
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("Linux");
        }
    }
}

fn name(n: u32) -> String {
    format!("customer-{n:07}")
}

/// Each agrees, and is enrolled, as the appliance does it; `done` is called after each.
fn fill(mut vault: Vault, numbers: std::ops::Range<u32>, windows: u8, mut done: impl FnMut(u32)) {
    for n in numbers {
        let subject = Subject::caller(&name(n));
        vault.change_consent(&subject, &agreed()).expect("a consent");
        vault.enrol(&subject, &voiceprint(&subject.name, n, windows), &act()).expect("enrolled");
        done(n);
    }
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

fn look_ups(mut vault: Vault, count: u32, what: &str) {
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
    told(&format!("a voice looked up and opened, {what}"), &mut took);
    println!("  resident {before:.0} MiB before the look-ups, {:.0} MiB after", resident_mib());
}

fn erasures(mut vault: Vault, count: u32) {
    let step = count / ERASURES;
    let mut took: Vec<_> = (0..ERASURES)
        .map(|n| {
            let start = Instant::now();
            vault.erase(&Subject::caller(&name(n * step)), &act()).expect("it was filled in");
            start.elapsed()
        })
        .collect();
    told("an erasure, overwritten", &mut took);
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

/// Memory of this process that is in use and in place, MiB.
fn resident_mib() -> f64 {
    let status = fs::read_to_string(Path::new("/proc/self/status")).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a figure");
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib / 1024.0
}
