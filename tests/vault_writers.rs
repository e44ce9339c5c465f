//! Eight writers at once, on SQLite in two more processes, too: no update is lost, no record is missing, and nobody waits
//! for ever. For 5 s, or `SIDETONE_WRITERS_S` (`make vault-crash` takes a minute).
#![expect(clippy::disallowed_methods, reason = "a test runs threads, and reads the environment")]
#![expect(clippy::print_stderr, reason = "figures that are worth to be seen")]

mod databases;
#[expect(dead_code, reason = "no models are asked for here")]
mod store;
mod vaults;

use std::time::{Duration, Instant};
use std::{io, thread};

use sidetone::runtime::store::vault::{Subject, VaultError};
use sidetone::vault::chain::{Draft, Kind};
use vaults::again::{heard, start, tell, told};
use vaults::{Keyed, act, enrol};

/// Whom all of them write to.
const PERSONS: u32 = 16;
/// Writers in this process, and in each of two more.
const WRITERS: u32 = 8;
const WRITERS_ELSEWHERE: u32 = 2;
/// Records that are appended at once.
const APPENDED: u64 = 3;

/// What writers did, and how long the slowest thing took.
#[derive(Clone, Debug, Default)]
struct Done {
    revisions: [u32; PERSONS as usize],
    appended: u64,
    slowest: Duration,
}

impl Done {
    fn add(&mut self, other: &Self) {
        for (sum, more) in self.revisions.iter_mut().zip(other.revisions) {
            *sum += more;
        }
        self.appended += other.appended;
        self.slowest = self.slowest.max(other.slowest);
    }
}

fn person(n: u32) -> Subject {
    Subject::caller(&format!("caller {n}"))
}

/// Reads a voiceprint, makes one more revision of it and writes that, and now and then appends records.
fn write_until(keyed: &Keyed, end: Instant) -> Result<Done, VaultError> {
    let (mut vault, mut done) = (keyed.open(), Done::default());
    while Instant::now() < end {
        let (n, start) = (fastrand::u32(0..PERSONS), Instant::now());
        let revised = vault.revise(&person(n), None, &act(), |voiceprint| {
            voiceprint.revision += 1;
            true
        })?;
        assert!(revised.is_some(), "nobody erases");
        done.revisions[n as usize] += 1;
        if done.revisions[n as usize] % 4 == 0 {
            let draft = |n: u64| Draft {
                at: act().at,
                kind: Kind::Decision,
                actor: "sidetone".to_owned(),
                person: None,
                conversation: None,
                detail: format!("{{\"part\":{n}}}"),
            };
            vault.append(&(0..APPENDED).map(draft).collect::<Vec<_>>())?;
            done.appended += APPENDED;
        }
        done.slowest = done.slowest.max(start.elapsed());
    }
    Ok(done)
}

fn write_at_once(keyed: &Keyed, writers: u32, end: Instant) -> Done {
    let mut all = Done::default();
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..writers).map(|_| scope.spawn(|| write_until(keyed, end))).collect();
        for thread in threads {
            let done = thread.join().expect("no panic");
            all.add(&done.expect("whoever is busy is waited for"));
        }
    });
    all
}

fn lasting() -> Duration {
    let told = std::env::var("SIDETONE_WRITERS_S").ok();
    Duration::from_secs(
        told.map_or(5, |told| told.parse().expect("SIDETONE_WRITERS_S is a number")),
    )
}

/// Writes and tells what it did: not a test of its own.
#[test]
#[ignore = "it is run by the other, as a process"]
fn a_process() {
    let Some((keyed, _)) = told() else { return };
    let done = write_at_once(&keyed, WRITERS_ELSEWHERE, Instant::now() + lasting());
    for (n, revisions) in done.revisions.iter().enumerate() {
        tell(&format!("{n} {revisions}"));
    }
    tell(&format!("appended {}", done.appended));
    tell(&format!("slowest {}", done.slowest.as_millis()));
}

fn what_it_did(told: &str) -> Done {
    let mut done = Done::default();
    for line in told.lines().filter_map(heard) {
        let (what, number) = line.split_once(' ').expect("two words");
        let number: u32 = number.parse().expect("a number");
        match what {
            "appended" => done.appended = u64::from(number),
            "slowest" => done.slowest = Duration::from_millis(number.into()),
            n => done.revisions[n.parse::<usize>().expect("a number")] = number,
        }
    }
    done
}

#[test]
fn eight_writers_at_once_lose_nothing_and_wait_for_nobody_for_ever() {
    for keyed in Keyed::all() {
        let name = keyed.name();
        let mut vault = keyed.open();
        for n in 0..PERSONS {
            enrol(&mut vault, &person(n).name, n).expect(name);
        }
        let before = vault.head().expect(name).sequence;
        let elsewhere = (0..2).filter(|_| name == "SQLite").map(|_| start("a_process", &keyed, ""));
        let elsewhere: Vec<_> = elsewhere.collect();
        let began = Instant::now();
        let mut done = write_at_once(&keyed, WRITERS, began + lasting());
        for process in elsewhere {
            let mut output = process.stdout.expect("it is piped");
            let told = io::read_to_string(&mut output).expect("it ends");
            let theirs = what_it_did(&told);
            assert!(theirs.revisions.iter().sum::<u32>() > 0, "{name}: the others write, too");
            done.add(&theirs);
        }
        let took = began.elapsed();
        let all: u32 = done.revisions.iter().sum();
        for n in 0..PERSONS {
            let voice = vault.voice(&person(n)).expect(name);
            let revision = voice.voiceprint.expect(name).revision;
            assert_eq!(revision, done.revisions[n as usize], "{name}: caller {n}");
        }
        let verified = vault.verify(Vec::new(), |_| {}).expect(name);
        assert_eq!(verified.fault, None, "{name}");
        let records = u64::from(all) + done.appended;
        assert_eq!(verified.head.sequence, before + records, "{name}");
        eprintln!(
            "{name}: {all} revisions and {records} records in {:.0} s, the slowest took {} ms",
            took.as_secs_f64(),
            done.slowest.as_millis()
        );
    }
}
