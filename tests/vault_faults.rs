//! What goes wrong with a vault is said in one sentence, and nothing is lost by it: keys, rows, the trail, a later schema,
//! a full disk, a server that is away.
#![expect(clippy::disallowed_methods, reason = "a test reads and damages files")]

mod databases;
#[expect(dead_code, reason = "no models are asked for here")]
mod store;
mod vaults;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use databases::Site;
use databases::postgres::Postgres;
use sidetone::runtime::store::database::DatabaseError;
use sidetone::runtime::store::key_file::KeyFile;
use sidetone::runtime::store::vault::{Subject, Vault, VaultError};
use sidetone::vault::chain::{Digest, Draft, Fault, Head, Kind};
use sidetone::vault::secret::Secret;
use vaults::{Keyed, act, agreed, enrol, voiceprint};

fn refused(keyed: &Keyed) -> String {
    keyed.try_open().expect_err(keyed.name()).to_string()
}

fn decision(n: u64) -> Draft {
    Draft {
        at: act().at,
        kind: Kind::Decision,
        actor: "sidetone".to_owned(),
        person: None,
        conversation: None,
        detail: format!("{{\"part\":{n}}}"),
    }
}

#[test]
fn a_key_file_that_is_not_the_vaults_is_refused_by_name_and_the_vault_stays_as_it_is() {
    for mut keyed in Keyed::all() {
        let name = keyed.name();
        let alice = enrol(&mut keyed.open(), "alice", 1).expect(name);
        let ours = keyed.key_file.clone();
        let folder = keyed.site.folder.path().to_owned();

        keyed.key_file = folder.join("other.key");
        let said = refused(&keyed);
        assert!(said.contains("other.key (store.key_file)"), "{name}: {said}");
        assert!(said.starts_with("there is no key file"), "{name}: {said}");

        KeyFile::create(&keyed.key_file, Secret::new([8; 32])).expect("another key");
        let said = refused(&keyed);
        assert!(said.contains("does not open with the key file"), "{name}: {said}");
        assert!(
            said.contains("other.key") && said.contains("the key file does not hold"),
            "{said}"
        );

        fs::set_permissions(&ours, PermissionsExt::from_mode(0o444)).expect("it is ours");
        keyed.key_file = ours.clone();
        let said = refused(&keyed);
        assert!(said.contains("has mode 0444: others can read it"), "{name}: {said}");

        fs::set_permissions(&ours, PermissionsExt::from_mode(0o400)).expect("it is ours");
        let voice = keyed.open().voice(&alice).expect(name);
        assert_eq!(voice.voiceprint, Some(voiceprint("alice", 1, 0)), "{name}");
    }
}

/// Flips one bit in the middle of where `bytes` lie in a file below `folder`; how many places there were.
fn damage(folder: &Path, bytes: &[u8]) -> usize {
    let mut places = 0;
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a folder").path();
        if path.is_dir() {
            places += damage(&path, bytes);
        } else if path.is_file() {
            let mut content = fs::read(&path).expect("readable");
            let found: Vec<_> = memchr::memmem::find_iter(&content, bytes).collect();
            for at in &found {
                content[at + bytes.len() / 2] ^= 1;
            }
            if !found.is_empty() {
                fs::write(&path, content).expect("writable");
            }
            places += found.len();
        }
    }
    places
}

/// The sealed voice of `subject`, as it lies in the database.
fn sealed(keyed: &Keyed, vault: &Vault, subject: &Subject) -> Vec<u8> {
    let (name, person) = (keyed.name(), vault.pseudonym(subject));
    let sql = "SELECT sealed FROM voiceprints WHERE person = $1";
    let rows = keyed.site.open().query(sql, &[person.as_str().into()]).expect(name);
    rows[0].bytes(0).expect("bytes").to_owned()
}

fn assert_alice_is_damaged_and_bob_is_not(keyed: &Keyed, alice: &Subject, bob: &Subject) {
    let (name, mut vault) = (keyed.name(), keyed.open());
    let said = vault.voice(alice).expect_err("a bit is another").to_string();
    let person = vault.pseudonym(alice);
    assert!(said.contains(&format!("the voiceprint of person {person} cannot be used")), "{said}");
    assert!(said.contains("damaged, moved here from another place"), "{said}");
    assert!(!said.contains("alice"), "{said}");
    let voice = vault.voice(bob).expect(name);
    assert_eq!(voice.voiceprint, Some(voiceprint("bob", 2, 0)), "{name}");
    // It can still be told who that is, and be erased.
    assert_eq!(vault.person(alice).expect(name).expect("a person").subject, "alice", "{name}");
    vault.erase(alice, &act()).expect(name);
}

#[test]
fn one_bit_that_is_another_is_noticed_in_a_file() {
    let keyed = Keyed::at(Site::sqlite());
    let mut vault = keyed.open();
    let (alice, bob) =
        (enrol(&mut vault, "alice", 1).expect("a"), enrol(&mut vault, "bob", 2).expect("b"));
    let bytes = sealed(&keyed, &vault, &alice);
    drop(vault);
    assert_eq!(damage(keyed.site.folder.path(), &bytes[..200]), 1);
    assert_alice_is_damaged_and_bob_is_not(&keyed, &alice, &bob);
}

#[test]
fn one_bit_that_is_another_is_noticed_on_a_server() {
    let Some(server) = Postgres::start_new() else { return };
    let keyed = Keyed::at(Site::on(&server, "vault"));
    let mut vault = keyed.open();
    let (alice, bob) =
        (enrol(&mut vault, "alice", 1).expect("a"), enrol(&mut vault, "bob", 2).expect("b"));
    let bytes = sealed(&keyed, &vault, &alice);
    server.stop();
    assert!(damage(&server.data().join("base"), &bytes[..200]) > 0, "it lies in a table");
    server.start();
    assert_alice_is_damaged_and_bob_is_not(&keyed, &alice, &bob);
}

#[test]
fn a_file_that_is_no_database_any_more_is_said_to_be_damaged() {
    let keyed = Keyed::at(Site::sqlite());
    enrol(&mut keyed.open(), "alice", 1).expect("enrolled");
    let path = keyed.site.folder.path().join("vault.db");
    let whole = fs::read(&path).expect("readable");
    let mut other = whole.clone();
    other[..16].copy_from_slice(b"no database here");
    // A page that is another's content, and a file of which the end is missing.
    let mut mixed = whole.clone();
    let pages = whole.len() / 4096;
    for page in 1..pages {
        mixed.copy_within(0..4096, page * 4096);
    }
    for content in [other, mixed, whole[..whole.len() / 2].to_vec()] {
        fs::write(&path, &content).expect("writable");
        let said = keyed.try_open().and_then(|mut vault| vault.persons(None, 10));
        let said = said.expect_err("it is damaged");
        assert!(matches!(said, VaultError::Database(DatabaseError::Damaged { .. })), "{said}");
        assert!(said.to_string().contains("vault.db is damaged, restore it"), "{said}");
    }
}

#[test]
fn records_that_changed_places_or_were_written_anew_are_found() {
    for keyed in Keyed::all() {
        let (name, mut vault) = (keyed.name(), keyed.open());
        vault.append(&(0..10).map(decision).collect::<Vec<_>>()).expect(name);
        let anchor = vault.head().expect(name);
        let mut database = keyed.site.open();
        let unlock = match name {
            "SQLite" => "DROP TRIGGER audit_is_not_changed; DROP TRIGGER audit_is_not_removed",
            _ => "ALTER TABLE audit DISABLE TRIGGER ALL",
        };
        database.execute_script(unlock).expect(name);
        let swap = "UPDATE audit SET sequence = 99 WHERE sequence = 4; \
            UPDATE audit SET sequence = 4 WHERE sequence = 5; \
            UPDATE audit SET sequence = 5 WHERE sequence = 99";
        database.execute_script(swap).expect(name);
        let fault = vault.verify(Vec::new(), |_| {}).expect(name).fault;
        assert_eq!(fault, Some(Fault::Changed { sequence: 4 }), "{name}");
        database.execute_script(swap).expect(name);
        assert_eq!(vault.verify(vec![anchor], |_| {}).expect(name).fault, None, "{name}: put back");

        // Somebody who may write, and knows how it is done, writes the end anew: that is what anchors are for.
        database.execute("DELETE FROM audit WHERE sequence > 7", &[]).expect(name);
        vault.append(&(20..23).map(decision).collect::<Vec<_>>()).expect(name);
        assert_eq!(
            vault.verify(Vec::new(), |_| {}).expect(name).fault,
            None,
            "{name}: it is a chain"
        );
        let fault = vault.verify(vec![anchor], |_| {}).expect(name).fault;
        assert_eq!(fault, Some(Fault::Rewritten { sequence: 10 }), "{name}");
        let later = Head { sequence: 50, digest: Digest::NONE };
        let fault = vault.verify(vec![later], |_| {}).expect(name).fault;
        assert_eq!(fault, Some(Fault::Cut { found: 10, anchored: 50 }), "{name}");
    }
}

#[test]
fn a_vault_of_a_later_release_is_refused() {
    for keyed in Keyed::all() {
        drop(keyed.open());
        let sql = "INSERT INTO schema_history (version, name, sha256) VALUES (99, 'later', '')";
        keyed.site.open().execute(sql, &[]).expect(keyed.site.name);
        let said = refused(&keyed);
        assert!(said.contains("has schema 99, which a newer release made"), "{said}");
    }
}

/// A small disk of memory, which may get full.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of `mib`; says so where that may not be done.
    fn mount(place: &Path, mib: u32) -> Option<Self> {
        fs::create_dir_all(place).expect("a folder");
        let size = format!("size={mib}m,mode=0777");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(place).output();
        match mounted {
            Ok(done) if done.status.success() => Some(Self(place.to_owned())),
            _ => {
                store::skip("no disk can be mounted to be filled (that takes root)");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

/// Enrols until there is no room; whom.
fn fill(vault: &mut Vault) -> (Vec<Subject>, VaultError) {
    let mut all = Vec::new();
    for n in 0.. {
        let name = format!("caller {n}");
        let subject = Subject::caller(&name);
        let done = vault
            .change_consent(&subject, &agreed())
            .and_then(|_| vault.enrol(&subject, &voiceprint(&name, n, 24), &act()));
        match done {
            Ok(()) => all.push(subject),
            Err(full) => return (all, full),
        }
    }
    unreachable!("a disk has an end")
}

fn assert_full_and_whole(vault: &mut Vault, make_room: impl FnOnce()) {
    let (all, full) = fill(vault);
    assert!(all.len() > 10, "{full}");
    assert!(matches!(full, VaultError::Database(DatabaseError::Full { .. })), "{full:?}");
    assert!(full.is_outage(), "{full}");
    assert!(full.to_string().contains("has no room left"), "{full}");
    // What is kept can be read, and the next that cannot be kept is said, too.
    for (n, subject) in (0..).zip(&all) {
        let voice = vault.voice(subject).expect("it is kept");
        assert_eq!(voice.voiceprint, Some(voiceprint(&subject.name, n, 24)));
    }
    assert_eq!(vault.verify(Vec::new(), |_| {}).expect("a trail").fault, None);
    make_room();
    let (n, last) = (4711, Subject::caller("the last"));
    vault.change_consent(&last, &agreed()).expect("there is room");
    vault.enrol(&last, &voiceprint("the last", n, 24), &act()).expect("there is room");
    assert_eq!(vault.verify(Vec::new(), |_| {}).expect("a trail").fault, None);
}

#[test]
fn a_full_disk_is_said_and_what_was_kept_before_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = folder.path().join("small");
    let Some(mounted) = SmallDisk::mount(&disk, 8) else { return };
    let ballast = disk.join("ballast");
    fs::write(&ballast, vec![1; 4 << 20]).expect("room");
    let mut keyed = Keyed::at(Site::sqlite());
    keyed.site.url = format!("sqlite:{}", disk.join("vault/vault.db").display());
    let mut vault = keyed.open();
    assert_full_and_whole(&mut vault, || fs::remove_file(&ballast).expect("it is ours"));
    drop((vault, mounted));
}

#[test]
fn a_full_disk_of_a_server_is_said_and_what_was_kept_before_stays() {
    let Some(server) = Postgres::start_new() else { return };
    let disk = server.data().with_file_name("small");
    let Some(mounted) = SmallDisk::mount(&disk, 24) else { return };
    server.give(&disk);
    server.psql("postgres", &format!("CREATE TABLESPACE small LOCATION '{}'", disk.display()));
    server.psql("postgres", "CREATE DATABASE small OWNER sidetone TABLESPACE small");
    let ballast = disk.join("ballast");
    fs::write(&ballast, vec![1; 6 << 20]).expect("room");
    let keyed = Keyed::at(Site::on(&server, "small"));
    let mut vault = keyed.open();
    assert_full_and_whole(&mut vault, || fs::remove_file(&ballast).expect("it is ours"));
    drop(vault);
    server.stop_at_once();
    drop(mounted);
}

#[test]
fn a_server_that_is_away_is_said_soon_and_what_waits_is_kept_in_its_order_afterwards() {
    let Some(server) = Postgres::start_new() else { return };
    let keyed = Keyed::at(Site::on(&server, "vault"));
    let mut vault = keyed.open();
    let alice = enrol(&mut vault, "alice", 1).expect("enrolled");
    let before = vault.head().expect("a trail");
    server.stop();
    let mut waiting = Vec::new();
    for n in 0..5 {
        let start = Instant::now();
        let gone = vault.append(&[decision(n)]).expect_err("nobody answers");
        assert!(gone.is_outage(), "{gone}");
        assert!(gone.to_string().contains("cannot be reached"), "{gone}");
        assert!(start.elapsed() < Duration::from_secs(5), "nobody waits long to hear that");
        waiting.push(decision(n));
        assert!(vault.voice(&alice).expect_err("nobody answers").is_outage());
    }
    server.start();
    let head = vault.append(&waiting).expect("it is back");
    assert_eq!(head.sequence, before.sequence + 5, "each once");
    let verified = vault.verify(vec![before, head], |_| {}).expect("a trail");
    assert_eq!((verified.fault, verified.head), (None, head));
    assert!(vault.voice(&alice).expect("it is back").voiceprint.is_some());
}
