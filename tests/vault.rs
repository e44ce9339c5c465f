//! What the vault promises, on SQLite and on PostgreSQL: no consent, no voice kept; what is sealed stays where it was
//! sealed; what is erased is gone; what was done is on record.

mod databases;
#[expect(dead_code, reason = "no models are asked for here")]
mod store;

use std::path::PathBuf;

use databases::{Site, databases};
use jiff::{SignedDuration, Timestamp};
use sidetone::consent::consents::{Change, Given, Mark, Refusal};
use sidetone::consent::permit::Verification;
use sidetone::consent::reference::ConsentReference;
use sidetone::consent::retention::{self, Reason};
use sidetone::consent::role::Role;
use sidetone::consent::scope::{Scope, Scopes};
use sidetone::runtime::store::audit_trail::Wanted;
use sidetone::runtime::store::erasure::Erased;
use sidetone::runtime::store::key_file::KeyFile;
use sidetone::runtime::store::persons::Act;
use sidetone::runtime::store::vault::{Subject, Vault, VaultError};
use sidetone::speaker::embedding::Embedding;
use sidetone::speaker::gathering::Gathering;
use sidetone::speaker::voiceprint::Voiceprint;
use sidetone::vault::chain::{Fault, Kind};
use sidetone::vault::secret::Secret;

/// A vault's place and key.
struct Keyed {
    site: Site,
    key_file: PathBuf,
}

impl Keyed {
    fn all() -> Vec<Self> {
        let keyed = |site: Site| {
            let key_file = site.folder.path().join("store.key");
            KeyFile::create(&key_file, Secret::new([7; 32])).expect("a key");
            Self { site, key_file }
        };
        databases().into_iter().map(keyed).collect()
    }

    fn open(&self) -> Vault {
        self.open_with(retention::Settings::default())
    }

    fn open_with(&self, retention: retention::Settings) -> Vault {
        Vault::open(&self.site.place(), &self.key_file, retention).expect(self.site.name)
    }
}

fn now() -> Timestamp {
    Timestamp::now()
}

fn act() -> Act<'static> {
    Act { by: "user:test", at: now(), conversation: None }
}

fn mark() -> Mark {
    Mark { at: now(), by: "user:test".to_owned() }
}

fn given(scopes: &str, reference: &str) -> Change {
    given_until(scopes, reference, None)
}

fn given_until(scopes: &str, reference: &str, expires: Option<Timestamp>) -> Change {
    let reference = ConsentReference::new(reference).expect("a reference");
    let Mark { at, by } = mark();
    let given = Given { reference, at, by, expires };
    Change::Given { scopes: scopes.parse().expect("scopes"), given }
}

fn voiceprint(subject: &str, x: f32) -> Voiceprint {
    let embedding = Embedding::from_raw(vec![1.0, x, 0.5]).expect("a direction");
    Voiceprint::of_embedding(subject, "c-1", Timestamp::UNIX_EPOCH, 12.5, ("m@1", embedding))
}

/// Somebody who agreed, and is enrolled.
fn enrol(vault: &mut Vault, name: &str, x: f32) -> Subject {
    let subject = Subject::caller(name);
    vault.change_consent(&subject, &given("verify enrol adapt", "c-1")).expect("a consent");
    vault.enrol(&subject, &voiceprint(name, x), &act()).expect("enrolled");
    subject
}

fn kinds(vault: &mut Vault) -> Vec<Kind> {
    let records = vault.records(&Wanted::default(), 1_000).expect("records");
    records.iter().map(|record| record.draft.kind).collect()
}

#[test]
fn no_voice_is_kept_of_whoever_did_not_agree_to_it() {
    for keyed in Keyed::all() {
        let (name, mut vault) = (keyed.site.name, keyed.open());
        let alice = Subject::caller("alice");
        let enrol = |vault: &mut Vault| vault.enrol(&alice, &voiceprint("alice", 0.1), &act());
        assert!(matches!(enrol(&mut vault), Err(VaultError::Refused(Refusal::None))), "{name}");
        vault.change_consent(&alice, &given("verify", "c-1")).expect(name);
        assert!(
            matches!(enrol(&mut vault), Err(VaultError::Refused(Refusal::NotCovered))),
            "{name}"
        );
        assert_eq!(vault.person(&alice).expect(name), None, "{name}: nothing half made");
        vault.change_consent(&alice, &given("enrol", "c-1")).expect(name);
        enrol(&mut vault).expect(name);
        assert_eq!(vault.voice(&alice).expect(name).voiceprint, Some(voiceprint("alice", 0.1)));
        let agent = Subject::new(Role::Agent, "alice");
        assert_eq!(vault.voice(&agent).expect(name).voiceprint, None, "{name}: another role");
        assert_eq!(vault.consents(&agent).expect(name).covered(now()), Scopes::NONE, "{name}");
        assert_eq!(kinds(&mut vault), [Kind::Consent, Kind::Consent, Kind::Enrolment], "{name}");
    }
}

#[test]
fn a_withdrawal_takes_the_voice_with_it_and_an_opt_out_is_remembered_without_one() {
    for keyed in Keyed::all() {
        let (name, mut vault) = (keyed.site.name, keyed.open());
        let alice = enrol(&mut vault, "alice", 0.1);
        let gathering = Gathering {
            subject: "alice".to_owned(),
            consent: "c-1".to_owned(),
            sessions: Vec::new(),
            net_speech_s: 4.0,
            models: Vec::new(),
        };
        vault.gather(&alice, &gathering, &act()).expect(name);
        let seen = vault.head().expect(name).sequence;
        let enrol_only = Scopes::NONE.with(Scope::Enrol);
        let part = Change::Withdrawn { scopes: enrol_only, mark: mark() };
        let changed = vault.change_consent(&alice, &part).expect(name);
        let gathering = Erased { gathering: true, ..Erased::default() };
        assert_eq!(changed.erased, gathering, "{name}: what was unfinished");
        assert!(vault.voice(&alice).expect(name).voiceprint.is_some(), "{name}");
        let changed = vault.change_consent(&alice, &Change::OptedOut(mark())).expect(name);
        let all = Erased { voiceprint: true, gathering: false, key: true };
        assert_eq!(changed.erased, all, "{name}");
        let refused = vault.change_consent(&alice, &given("verify", "c-2"));
        assert!(matches!(refused, Err(VaultError::Refused(Refusal::OptedOut))), "{name}");
        drop(vault);
        let mut vault = keyed.open();
        let consents = vault.consents(&alice).expect(name);
        assert_eq!(consents.permit::<Verification>(now()), Err(Refusal::OptedOut), "{name}");
        assert_eq!(vault.person(&alice).expect(name), None, "{name}");
        let news = vault.consent_changes_since(seen).expect(name);
        let expected = (vault.pseudonym(&alice), consents);
        assert_eq!((news.changed, news.until), (vec![expected], seen + 3), "{name}");
        assert_eq!(vault.consent_changes_since(seen + 3).expect(name).changed, [], "{name}");
    }
}

#[test]
fn what_a_pbx_says_again_is_recorded_once() {
    for keyed in Keyed::all() {
        let (name, mut vault) = (keyed.site.name, keyed.open());
        let alice = Subject::caller("alice");
        for _ in 0..3 {
            vault.change_consent(&alice, &given("verify", "c-1")).expect(name);
        }
        assert_eq!(kinds(&mut vault), [Kind::Consent], "{name}");
    }
}

#[test]
fn a_row_that_was_moved_or_changed_does_not_open() {
    for keyed in Keyed::all() {
        let (name, mut vault) = (keyed.site.name, keyed.open());
        let (alice, bob) = (enrol(&mut vault, "alice", 0.1), enrol(&mut vault, "bob", 0.9));
        let (a, b) = (vault.pseudonym(&alice), vault.pseudonym(&bob));
        let mut database = keyed.site.open();
        let columns = ["sealed", "models"];
        for column in columns {
            let sql = format!(
                "UPDATE voiceprints SET {column} = (SELECT {column} FROM voiceprints WHERE person = $1)
                 WHERE person = $2"
            );
            if column == "models" {
                database
                    .execute(
                        "UPDATE voiceprints SET models = $1 WHERE person = $2",
                        &["m@2".into(), a.as_str().into()],
                    )
                    .expect(name);
            } else {
                database.execute(&sql, &[a.as_str().into(), b.as_str().into()]).expect(name);
            }
        }
        for subject in [&alice, &bob] {
            let error = vault.voice(subject).expect_err("moved").to_string();
            assert!(error.contains("cannot be used: it does not open"), "{name}: {error}");
        }
        // Another person's key is of no use either.
        let carol = enrol(&mut vault, "carol", 0.4);
        let c = vault.pseudonym(&carol);
        let sql = "UPDATE persons SET wrapped = (SELECT wrapped FROM persons WHERE person = $1)
             WHERE person = $2";
        database.execute(sql, &[a.as_str().into(), c.as_str().into()]).expect(name);
        let error = vault.voice(&carol).expect_err("moved").to_string();
        assert!(error.starts_with(&format!("the key of person {c} cannot be used")), "{error}");
    }
}

#[test]
fn a_vault_opens_with_its_own_key_file_only() {
    for keyed in Keyed::all() {
        let name = keyed.site.name;
        enrol(&mut keyed.open(), "alice", 0.1);
        let other = keyed.site.folder.path().join("other.key");
        KeyFile::create(&other, Secret::new([8; 32])).expect("a key");
        let error = Vault::open(&keyed.site.place(), &other, retention::Settings::default());
        let error = error.expect_err("another key").to_string();
        assert!(error.contains("does not open with the key file"), "{name}: {error}");
        assert!(error.contains("which the key file does not hold"), "{name}: {error}");
    }
}

#[test]
fn a_master_key_is_changed_while_others_work() {
    for keyed in Keyed::all() {
        let (name, mut vault, mut other) = (keyed.site.name, keyed.open(), keyed.open());
        let subjects: Vec<_> =
            (0..300).map(|n| enrol(&mut vault, &format!("caller {n}"), n as f32)).collect();
        vault.add_master_key(&act()).expect(name);
        // Whoever has the old keys alone still writes with them.
        let late = enrol(&mut other, "late", 0.2);
        let left = vault.rewrap().expect(name);
        assert!(left > 0, "{name}: in several steps");
        assert!(other.voice(&subjects[0]).expect(name).voiceprint.is_some(), "{name}");
        vault.drop_older_master_keys(&act()).expect(name);
        assert_eq!(vault.master_keys().len(), 1, "{name}");
        for subject in subjects.iter().chain([&late]) {
            assert!(other.voice(subject).expect(name).voiceprint.is_some(), "{name}");
        }
        let mut fresh = keyed.open();
        assert_eq!(fresh.pseudonym(&late), vault.pseudonym(&late), "{name}");
        let keys = Wanted { kind: Some(Kind::Key), ..Wanted::default() };
        assert_eq!(fresh.records(&keys, 10).expect(name).len(), 2, "{name}");
    }
}

#[test]
fn an_erasure_is_proved_and_a_hold_forbids_it() {
    for keyed in Keyed::all() {
        let (name, mut vault) = (keyed.site.name, keyed.open());
        let alice = enrol(&mut vault, "alice", 0.1);
        vault.hold(&alice, Some("case 4711"), &act()).expect(name);
        let held = vault.erase(&alice, &act()).expect_err("a hold").to_string();
        assert_eq!(held, "there is a legal hold on this person: case 4711", "{name}");
        let withdrawn = Change::Withdrawn { scopes: Scopes::ALL, mark: mark() };
        let changed = vault.change_consent(&alice, &withdrawn).expect(name);
        assert!(!changed.erased.any(), "{name}: kept, and nobody may be compared with it");
        vault.hold(&alice, None, &act()).expect(name);
        let proof = vault.erase(&alice, &act()).expect(name);
        assert_eq!(proof.verify(), Ok(()), "{name}");
        assert_eq!(proof.public_key, vault.public_key(), "{name}");
        assert_eq!(proof.statement.subject, "alice", "{name}");
        assert!(proof.statement.overwritten, "{name}");
        let record = vault.records(&Wanted { kind: Some(Kind::Erasure), ..Wanted::default() }, 10);
        let record = record.expect(name).pop().expect("a record");
        assert_eq!(record.head(), proof.statement.record, "{name}");
        assert_eq!(record.draft.person.as_ref(), Some(&vault.pseudonym(&alice)), "{name}");
        assert!(!record.draft.detail.contains("alice"), "{name}");
        assert!(matches!(vault.erase(&alice, &act()), Err(VaultError::NobodyKnown)), "{name}");
        assert_eq!(vault.verify(Vec::new(), |_| {}).expect(name).fault, None, "{name}");
    }
}

#[test]
fn an_erasure_is_one_though_somebody_reads_and_the_next_sweep_overwrites_it() {
    for keyed in Keyed::all() {
        let (name, mut vault) = (keyed.site.name, keyed.open());
        if name != "SQLite" {
            // A server's readers hold nothing up.
            continue;
        }
        let alice = enrol(&mut vault, "alice", 0.1);
        let mut reader = keyed.site.open();
        reader.execute_script("BEGIN; SELECT count(*) FROM persons").expect(name);
        let proof = vault.erase(&alice, &act()).expect("erased");
        assert!(!proof.statement.overwritten);
        assert_eq!(vault.person(&alice).expect(name), None);
        let log = keyed.site.folder.path().join("vault.db-wal");
        let size = || std::fs::metadata(&log).expect("a log").len();
        assert!(size() > 0);
        reader.execute_script("COMMIT").expect(name);
        vault.sweep(None, 10, now(), false).expect(name);
        assert_eq!(size(), 0, "nothing is left in the log");
    }
}

#[test]
fn a_sweep_takes_what_nobody_uses_and_whose_consent_has_run_out() {
    for keyed in Keyed::all() {
        let (name, mut vault) = (keyed.site.name, keyed.open());
        enrol(&mut vault, "alice", 0.1);
        let bob = Subject::caller("bob");
        let expires = now() + SignedDuration::from_hours(24);
        vault.change_consent(&bob, &given_until("verify enrol", "c-2", Some(expires))).expect(name);
        vault.enrol(&bob, &voiceprint("bob", 0.2), &act()).expect(name);
        let sweep = |vault: &mut Vault, days: i64, dry_run| {
            let (mut all, mut after) = (Vec::new(), None);
            loop {
                let at = now() + SignedDuration::from_hours(24 * days);
                let sweep = vault.sweep(after.as_ref(), 1, at, dry_run).expect(name);
                all.extend(sweep.swept.into_iter().map(|swept| swept.reason));
                after = sweep.next;
                if after.is_none() {
                    return all;
                }
            }
        };
        assert_eq!(sweep(&mut vault, 0, false), [], "{name}");
        assert_eq!(sweep(&mut vault, 2, true), [Reason::Expired], "{name}");
        assert!(vault.voice(&bob).expect(name).voiceprint.is_some(), "{name}: a dry run");
        assert_eq!(sweep(&mut vault, 2, false), [Reason::Expired], "{name}");
        assert_eq!(vault.person(&bob).expect(name), None, "{name}");
        assert_eq!(sweep(&mut vault, 1095, false), [], "{name}");
        assert_eq!(sweep(&mut vault, 1097, false), [Reason::Unused], "{name}");
        assert_eq!(vault.persons(None, 10).expect(name), [], "{name}");
        let consent = Wanted { kind: Some(Kind::Consent), ..Wanted::default() };
        let records = vault.records(&consent, 10).expect(name);
        assert!(records.last().expect("a record").draft.detail.contains("expired"), "{name}");
    }
}

#[test]
fn who_is_heard_now_and_then_is_not_swept() {
    for keyed in Keyed::all() {
        let (name, mut vault) = (keyed.site.name, keyed.open());
        let alice = enrol(&mut vault, "alice", 0.1);
        let later = now() + SignedDuration::from_hours(24 * 1000);
        vault.used(&alice, later).expect(name);
        let at = now() + SignedDuration::from_hours(24 * 1100);
        assert_eq!(vault.sweep(None, 10, at, false).expect(name).swept, [], "{name}");
    }
}

#[test]
fn a_voiceprint_is_changed_by_one_at_a_time_and_with_leave() {
    for keyed in Keyed::all() {
        let (name, mut vault) = (keyed.site.name, keyed.open());
        let alice = enrol(&mut vault, "alice", 0.1);
        let more = |voiceprint: &mut Voiceprint| {
            voiceprint.revision += 1;
            true
        };
        let revised = vault.revise(&alice, Some(Scope::Adapt), &act(), more).expect(name);
        assert_eq!(revised.expect("a voiceprint").revision, 1, "{name}");
        let adapt = Scopes::NONE.with(Scope::Adapt);
        let withdrawn = Change::Withdrawn { scopes: adapt, mark: mark() };
        vault.change_consent(&alice, &withdrawn).expect(name);
        let refused = vault.revise(&alice, Some(Scope::Adapt), &act(), more);
        assert!(matches!(refused, Err(VaultError::Refused(Refusal::Withdrawn))), "{name}");
        let reverted = vault.revise(&alice, None, &act(), more).expect(name);
        assert_eq!(reverted.expect("an administrator may").revision, 2, "{name}");
    }
}

#[test]
fn the_trail_takes_no_changes_and_notices_those_that_were_forced_on_it() {
    for keyed in Keyed::all() {
        let (name, mut vault) = (keyed.site.name, keyed.open());
        for n in 0..5 {
            enrol(&mut vault, &format!("caller {n}"), 0.1);
        }
        let anchor = vault.head().expect(name);
        let mut database = keyed.site.open();
        for sql in ["UPDATE audit SET actor = 'eve'", "DELETE FROM audit"] {
            let refused = database.execute(sql, &[]).expect_err("append only").to_string();
            assert!(refused.contains("the audit trail takes no changes"), "{name}: {refused}");
        }
        assert_eq!(vault.verify(vec![anchor], |_| {}).expect(name).fault, None, "{name}");
        let unlock = match name {
            "SQLite" => "DROP TRIGGER audit_is_not_changed; DROP TRIGGER audit_is_not_removed",
            _ => "ALTER TABLE audit DISABLE TRIGGER ALL",
        };
        database.execute_script(unlock).expect(name);
        database.execute("DELETE FROM audit WHERE sequence = 10", &[]).expect(name);
        let cut = Fault::Cut { found: 9, anchored: 10 };
        assert_eq!(vault.verify(vec![anchor], |_| {}).expect(name).fault, Some(cut), "{name}");
        database.execute("UPDATE audit SET actor = 'eve' WHERE sequence = 4", &[]).expect(name);
        let verified = vault.verify(Vec::new(), |_| {}).expect(name);
        assert_eq!(verified.fault, Some(Fault::Changed { sequence: 4 }), "{name}");
        assert_eq!(verified.head.sequence, 3, "{name}");
        database.execute("DELETE FROM audit WHERE sequence = 2", &[]).expect(name);
        let missing = Fault::Missing { from: 2, to: 2 };
        assert_eq!(vault.verify(Vec::new(), |_| {}).expect(name).fault, Some(missing), "{name}");
    }
}

#[test]
fn persons_are_listed_page_by_page_by_name() {
    for keyed in Keyed::all() {
        let (name, mut vault) = (keyed.site.name, keyed.open());
        for n in 0..7 {
            enrol(&mut vault, &format!("caller {n}"), 0.1);
        }
        let (mut names, mut after) = (Vec::new(), None);
        loop {
            let page = vault.persons(after.as_ref(), 3).expect(name);
            let Some(last) = page.last() else { break };
            after = Some(last.person.clone());
            names.extend(page.into_iter().map(|person| {
                assert_eq!((person.role, person.models), (Role::Caller, vec!["m@1".to_owned()]));
                person.subject
            }));
        }
        names.sort();
        let wanted: Vec<_> = (0..7).map(|n| format!("caller {n}")).collect();
        assert_eq!(names, wanted, "{name}");
    }
}
