//! Who writes to the vault is killed at random moments, and so is the server: what it was told is kept is there, nothing
//! is half there, and the trail is whole. `SIDETONE_KILLS=500` kills as often (`make vault-crash`).
#![expect(clippy::disallowed_methods, reason = "a test runs programs and reads the environment")]
#![expect(clippy::print_stderr, reason = "figures that are worth to be seen")]

mod databases;
#[expect(dead_code, reason = "no models are asked for here")]
mod store;
mod vaults;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use databases::Site;
use databases::postgres::Postgres;
use sidetone::runtime::store::vault::{Subject, Vault, VaultError};
use sidetone::vault::chain::{Digest, Draft, Head, Kind};
use vaults::again::{heard, start, tell, told};
use vaults::{Keyed, act, enrol, voiceprint};

/// Threads of the child, each with a connection of its own.
const THREADS: u32 = 2;
/// Whole verifications of the trail are done once in so many kills, and at the end.
const VERIFY_EVERY: u32 = 50;

/// How it stands with somebody, as far as the child told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// Begun, and not told done: there, or not.
    Enrolling,
    Enrolled,
    Erasing,
    Erased,
}

/// Everything that children have told.
#[derive(Debug, Default)]
struct Account {
    persons: BTreeMap<String, Told>,
    /// Ends of the trail, as they were told.
    heads: Vec<Head>,
    /// Things that were told done.
    done: u32,
}

impl Account {
    /// Notes a line of a child's; whether it is one.
    fn note(&mut self, line: &str) -> bool {
        let Some(told) = heard(line) else { return false };
        let words: Vec<_> = told.split(' ').collect();
        let (person, told) = match words[..] {
            ["enrolling", name] => (name, Told::Enrolling),
            ["enrolled", name] => (name, Told::Enrolled),
            ["erasing", name] => (name, Told::Erasing),
            ["erased", name] => (name, Told::Erased),
            ["head", sequence, digest] => {
                let digest = Digest::try_from(digest.to_owned()).expect("a digest");
                let sequence = sequence.parse().expect("a number");
                self.heads.push(Head { sequence, digest });
                self.done += 1;
                return true;
            }
            // Killed within a line.
            _ => return false,
        };
        self.persons.insert(person.to_owned(), told);
        self.done += u32::from(matches!(told, Told::Enrolled | Told::Erased));
        true
    }
}

/// Writes and tells until it is killed: not a test of its own.
#[test]
#[ignore = "it is run by the others, which kill it"]
fn the_child() {
    let Some((keyed, name)) = told() else { return };
    let away = AtomicBool::new(false);
    thread::scope(|scope| {
        for n in 0..THREADS {
            let (keyed, away) = (&keyed, &away);
            let name = format!("{name}-{n}");
            scope.spawn(move || {
                let ended = write_for_ever(keyed, &name, away);
                // Its server was killed.
                assert!(ended.is_outage(), "{ended}");
                away.store(true, Ordering::SeqCst);
            });
        }
    });
}

/// Enrols, erases every fourth of those, and appends records, until it cannot.
fn write_for_ever(keyed: &Keyed, name: &str, away: &AtomicBool) -> VaultError {
    let once = |vault: &mut Vault, n: u32| {
        let person = format!("{name}-{n}");
        tell(&format!("enrolling {person}"));
        let subject = enrol(vault, &person, n)?;
        tell(&format!("enrolled {person}"));
        if n % 4 == 3 {
            tell(&format!("erasing {person}"));
            vault.erase(&subject, &act())?;
            tell(&format!("erased {person}"));
        }
        let draft = |k: u32| Draft {
            at: jiff::Timestamp::now(),
            kind: Kind::Decision,
            actor: "sidetone".to_owned(),
            person: None,
            conversation: Some(person.clone()),
            detail: format!("{{\"part\":{k}}}"),
        };
        let head = vault.append(&[draft(0), draft(1), draft(2)])?;
        tell(&format!("head {} {}", head.sequence, head.digest));
        Ok(())
    };
    let mut vault = match keyed.try_open() {
        Ok(vault) => vault,
        Err(error) => return error,
    };
    for n in 0.. {
        if let Err(error) = once(&mut vault, n) {
            return error;
        }
        if away.load(Ordering::SeqCst) {
            break;
        }
    }
    vault.head().expect_err("the other found the server away")
}

/// Lets the child tell for a random while, calls `kill`, and notes all that it has told.
fn until_killed(mut child: Child, account: &mut Account, kill: impl FnOnce(&mut Child)) {
    let out = child.stdout.take().expect("it is piped");
    let lines = BufReader::new(out).lines().map_while(Result::ok);
    // From its first write on: some of them, and then a part of the next.
    let (mut left, mut kill) = (fastrand::u32(0..40), Some(kill));
    for line in lines {
        if !account.note(&line) {
            continue;
        }
        if left == 0
            && let Some(kill) = kill.take()
        {
            let start = Instant::now();
            let wait = Duration::from_micros(fastrand::u64(0..6_000));
            while start.elapsed() < wait {
                std::hint::spin_loop();
            }
            kill(&mut child);
        }
        left = left.saturating_sub(1);
    }
    assert!(kill.is_none(), "it writes until it is killed");
    child.wait().expect("it is our child");
}

/// Opens the vault, and compares it with what was told of the persons whose names begin with `prefix`.
fn compare(keyed: &Keyed, account: &Account, prefix: &str) {
    let name = keyed.name();
    let mut vault = keyed.open();
    let told = account.persons.iter().filter(|(person, _)| person.starts_with(prefix));
    for (person, told) in told {
        let subject = Subject::caller(person);
        let voice = vault.voice(&subject).expect(name);
        let known = vault.person(&subject).expect(name);
        assert_eq!(known.is_some(), voice.voiceprint.is_some(), "{name}: {person} is half there");
        if *told == Told::Enrolled {
            assert!(known.is_some(), "{name}: {person} was told to be kept");
        }
        if *told == Told::Erased {
            assert!(known.is_none(), "{name}: {person} was told to be erased");
        }
        if let Some(found) = voice.voiceprint {
            let (_, n) = person.rsplit_once('-').expect("a number");
            let n = n.parse().expect("a number");
            assert_eq!(found, voiceprint(person, n, 0), "{name}: {person}");
            assert!(!vault.consents(&subject).expect(name).covered(act().at).is_empty(), "{name}");
        }
    }
    let last = account.heads.iter().max_by_key(|head| head.sequence);
    let now = vault.head().expect(name);
    assert!(last.is_none_or(|last| last.sequence <= now.sequence), "{name}: records are missing");
}

/// Looks at every person and every record.
fn compare_all(keyed: &Keyed, account: &Account) {
    let name = keyed.name();
    let mut vault = keyed.open();
    let verified = vault.verify(account.heads.clone(), |_| {}).expect(name);
    assert_eq!(verified.fault, None, "{name}");
    for (what, sql) in [
        (
            "persons without a voice",
            "SELECT count(*) FROM persons p WHERE NOT EXISTS
                 (SELECT 1 FROM voiceprints v WHERE v.person = p.person)",
        ),
        (
            "voices without a person",
            "SELECT count(*) FROM voiceprints v WHERE NOT EXISTS
                 (SELECT 1 FROM persons p WHERE p.person = v.person)",
        ),
        (
            "voices without a consent",
            "SELECT count(*) FROM voiceprints v WHERE NOT EXISTS
                 (SELECT 1 FROM consents c WHERE c.person = v.person)",
        ),
        (
            "voices without a record of a consent and of an enrolment",
            "SELECT count(*) FROM voiceprints v WHERE 2 <>
                 (SELECT count(DISTINCT kind) FROM audit a
                  WHERE a.person = v.person AND a.kind IN ('consent', 'enrolment'))",
        ),
        (
            "records of an erasure of whoever is still there",
            "SELECT count(*) FROM audit a JOIN persons p ON p.person = a.person
                 WHERE a.kind = 'erasure'",
        ),
        (
            "records of an enrolment of whoever is neither there nor erased",
            "SELECT count(*) FROM audit a WHERE a.kind = 'enrolment'
                 AND NOT EXISTS (SELECT 1 FROM persons p WHERE p.person = a.person)
                 AND NOT EXISTS (SELECT 1 FROM audit e WHERE e.person = a.person AND e.kind = 'erasure')",
        ),
    ] {
        let rows = keyed.site.open().query(sql, &[]).expect(what);
        assert_eq!(rows[0].integer(0), Ok(0), "{name}: {what}");
    }
    compare(keyed, account, "");
}

fn kills(otherwise: u32) -> u32 {
    let told = std::env::var("SIDETONE_KILLS").ok();
    told.map_or(otherwise, |told| told.parse().expect("SIDETONE_KILLS is a number"))
}

#[test]
fn a_writer_that_is_killed_leaves_all_that_it_was_told_is_kept_and_nothing_half_done() {
    for keyed in Keyed::all() {
        let (kills, began) = (kills(25), Instant::now());
        let mut account = Account::default();
        for n in 0..kills {
            let child = start("the_child", &keyed, &format!("r{n}"));
            until_killed(child, &mut account, |child| child.kill().expect("it lives"));
            compare(&keyed, &account, &format!("r{n}-"));
            if n % VERIFY_EVERY == VERIFY_EVERY - 1 {
                compare_all(&keyed, &account);
            }
        }
        compare_all(&keyed, &account);
        eprintln!(
            "{}: {kills} kills, {} writes told, {} persons, {} records, {:.0} s",
            keyed.name(),
            account.done,
            account.persons.len(),
            keyed.open().head().expect("a trail").sequence,
            began.elapsed().as_secs_f64()
        );
        assert!(account.done > kills, "{}: hardly anything was written", keyed.name());
    }
}

#[test]
fn a_vault_whose_making_was_killed_is_made_by_the_next() {
    for _ in 0..kills(50).div_ceil(10) {
        for keyed in Keyed::all() {
            let mut child = start("the_child", &keyed, "m");
            // From before it opens the vault until it has made the tables and keys, and a little more.
            thread::sleep(Duration::from_micros(fastrand::u64(0..60_000)));
            child.kill().expect("it writes for ever");
            child.wait().expect("it is our child");
            let mut vault = keyed.open();
            let subject = enrol(&mut vault, "alice", 1).expect(keyed.site.name);
            assert!(vault.voice(&subject).expect(keyed.site.name).voiceprint.is_some());
            compare_all(&keyed, &Account::default());
        }
    }
}

#[test]
fn a_server_that_is_killed_has_kept_all_that_it_said_it_had() {
    let Some(server) = Postgres::start_new() else { return };
    let keyed = Keyed::at(Site::on(&server, "vault"));
    // The schema and the keys of the vault are not what is to be interrupted here.
    drop(keyed.open());
    let kills = kills(30).div_ceil(10);
    let mut account = Account::default();
    for n in 0..kills {
        let child = start("the_child", &keyed, &format!("s{n}"));
        until_killed(child, &mut account, |_| match n % 2 {
            0 => server.kill(),
            _ => server.stop_at_once(),
        });
        server.start();
        compare(&keyed, &account, &format!("s{n}-"));
    }
    compare_all(&keyed, &account);
    eprintln!("the server: {kills} kills, {} writes told", account.done);
}
