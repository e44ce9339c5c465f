//! What an erasure leaves: every file of either database is searched for the voice, the name and the key, as they are
//! and as they were written.
//!
//! A server keeps its write-ahead log, and pages that it has not yet written over; so there the wrapped key may still
//! lie somewhere. It opens with the master key alone, and is nothing once that has been exchanged.
#![expect(clippy::disallowed_methods, reason = "a test reads the disk")]
#![expect(clippy::print_stderr, reason = "figures that are worth to be seen")]

mod databases;
#[expect(dead_code, reason = "no models are asked for here")]
mod store;
mod vaults;

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use databases::Site;
use databases::postgres::Postgres;
use sidetone::runtime::store::key_file::KeyFile;
use sidetone::runtime::store::packed::pack;
use sidetone::runtime::store::vault::Subject;
use sidetone::vault::keyring::{Keyring, UnwrapError, Wrapped};
use vaults::{Keyed, act, enrol, voiceprint};

const NAME: &str = "caroline-cochrane-4711";

/// What is to be looked for.
struct Traces {
    /// What must never lie anywhere.
    plain: Vec<(&'static str, Vec<u8>)>,
    /// The key under the master key, as it was written, and whose.
    wrapped: Wrapped,
    person: String,
    /// The voice under the key, as it was written.
    sealed: Vec<u8>,
}

/// Enrols somebody among others, and takes from the database what was written of them.
fn enrolled(keyed: &Keyed) -> Traces {
    let name = keyed.name();
    let mut vault = keyed.open();
    for n in 0..40 {
        enrol(&mut vault, &format!("somebody else {n}"), n).expect(name);
    }
    let subject = enrol(&mut vault, NAME, 4711).expect(name);
    for n in 40..80 {
        enrol(&mut vault, &format!("somebody else {n}"), n).expect(name);
    }
    let person = vault.pseudonym(&subject).as_str().to_owned();
    let sql = "SELECT p.master, p.wrapped, v.sealed FROM persons p JOIN voiceprints v
         ON v.person = p.person WHERE p.person = $1";
    let rows = keyed.site.open().query(sql, &[person.as_str().into()]).expect(name);
    let (master, wrapped) = (rows[0].text(0).expect(name), rows[0].bytes(1).expect(name));
    let wrapped = Wrapped { master: master.to_owned(), bytes: wrapped.to_owned() };
    let keys = KeyFile::read(&keyed.key_file).expect("our key");
    let key = keys.keyring().unwrap(&wrapped, &["person", &person]).expect("it opens with ours");
    let voice = voiceprint(NAME, 4711, 0);
    let numbers = voice.references[0].embedding.as_slice();
    // Six numbers in a row as they lie in memory, which is how they are sealed, and as people get them: in base64, whose
    // groups of three bytes begin with the 102nd number anew.
    let memory: Vec<u8> = numbers[102..108].iter().flat_map(|x| x.to_le_bytes()).collect();
    let base64 = STANDARD.encode(&memory);
    let all = pack(&voice);
    assert!(serde_json::to_string(&voice).expect("JSON").contains(&base64), "this would be found");
    for part in [&memory, NAME.as_bytes()] {
        assert!(memchr::memmem::find(&all, part).is_some(), "this would be found");
    }
    let plain = vec![
        ("the name", NAME.as_bytes().to_vec()),
        ("the voice", memory),
        ("the voice in base64", base64.into_bytes()),
        ("the person's key", key.as_bytes().to_vec()),
    ];
    Traces { plain, wrapped, person, sealed: rows[0].bytes(2).expect(name).to_owned() }
}

/// The files below `folder` in which `wanted` lies.
fn files_with(folder: &Path, wanted: &[u8]) -> Vec<PathBuf> {
    let finder = memchr::memmem::Finder::new(wanted);
    let (mut folders, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("a folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() && finder.find(&fs::read(&path).expect("readable")).is_some() {
                found.push(path);
            }
        }
    }
    found
}

fn assert_nothing_plain(folder: &Path, traces: &Traces, when: &str) {
    for (what, bytes) in &traces.plain {
        let found = files_with(folder, bytes);
        assert_eq!(found, Vec::<PathBuf>::new(), "{when}: {what}");
    }
}

#[test]
fn nothing_is_left_of_an_erased_person_in_a_file() {
    let keyed = Keyed::at(Site::sqlite());
    // The vault stays open, as a service's does, and so does its log.
    let mut vault = keyed.open();
    let traces = enrolled(&keyed);
    // The key file lies in the same folder, and holds none of it.
    let folder = keyed.site.folder.path();
    assert_nothing_plain(folder, &traces, "kept");
    assert!(!files_with(folder, &traces.wrapped.bytes).is_empty(), "it is kept somewhere");
    assert!(!files_with(folder, &traces.sealed[..64]).is_empty(), "it is kept somewhere");
    let proof = vault.erase(&Subject::caller(NAME), &act()).expect("erased");
    assert!(proof.statement.overwritten, "nobody reads");
    assert!(folder.join("vault.db-wal").exists(), "the log is there, and is searched");
    assert_nothing_plain(folder, &traces, "erased");
    assert_eq!(files_with(folder, &traces.wrapped.bytes), Vec::<PathBuf>::new(), "the key");
    for (n, part) in traces.sealed.chunks(64).enumerate() {
        assert_eq!(files_with(folder, part), Vec::<PathBuf>::new(), "part {n} of the sealed voice");
    }
    let remembered = files_with(folder, traces.person.as_bytes());
    assert!(!remembered.is_empty(), "the records of it stay, under the pseudonym");
}

#[test]
fn what_a_server_still_has_of_an_erased_person_opens_with_no_key_that_there_is() {
    let Some(server) = Postgres::start_new() else { return };
    let keyed = Keyed::at(Site::on(&server, "vault"));
    let mut vault = keyed.open();
    let traces = enrolled(&keyed);
    server.psql("vault", "CHECKPOINT");
    let data = server.data();
    assert_nothing_plain(&data, &traces, "kept");
    assert!(!files_with(&data, &traces.wrapped.bytes).is_empty(), "it is kept somewhere");
    vault.erase(&Subject::caller(NAME), &act()).expect("erased");
    server.psql("vault", "CHECKPOINT");
    assert_nothing_plain(&data, &traces, "erased");
    let log = files_with(&data.join("pg_wal"), &traces.wrapped.bytes);
    let pages = files_with(&data.join("base"), &traces.wrapped.bytes);
    eprintln!(
        "after an erasure the wrapped key lies in {} files of the log, {} of tables",
        log.len(),
        pages.len()
    );
    assert!(!log.is_empty(), "a server's log stays until it is written over");

    let before = fs::read_to_string(&keyed.key_file).expect("our key");
    let before = Keyring::parse(&before).expect("keys");
    let purpose = ["person", traces.person.as_str()];
    before.unwrap(&traces.wrapped, &purpose).expect("until the master key is exchanged");
    vault.add_master_key(&act()).expect("a new one");
    vault.drop_older_master_keys(&act()).expect("all is under the new one");
    let after = fs::read_to_string(&keyed.key_file).expect("our key");
    let after = Keyring::parse(&after).expect("keys");
    let opened = after.unwrap(&traces.wrapped, &purpose);
    assert!(matches!(opened, Err(UnwrapError::NoSuchMaster(_))), "{opened:?}");
    // And not because of what stands beside it: under its master key's name, it is still not the new key's.
    let forged = Wrapped { master: after.newest().to_owned(), bytes: traces.wrapped.bytes.clone() };
    let opened = after.unwrap(&forged, &purpose);
    assert!(matches!(opened, Err(UnwrapError::DoesNotOpen(_))), "{opened:?}");
    let other = Subject::caller("somebody else 3");
    assert!(vault.voice(&other).expect("it opens").voiceprint.is_some(), "the others stay");
}
