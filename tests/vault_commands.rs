//! `sidetone vault`, `consent`, `voiceprint` and `audit` on SQLite and on PostgreSQL: what they print, what they exit
//! with, and what is on record afterwards.
#![expect(clippy::disallowed_methods, reason = "a test reads and writes its files")]

mod appliance;
mod databases;
#[expect(dead_code, reason = "no models are asked for here")]
mod store;

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Output, Stdio};

use appliance::Site;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sidetone::consent::consents::{Change, Given};
use sidetone::consent::reference::ConsentReference;
use sidetone::consent::retention;
use sidetone::runtime::store::persons::Act;
use sidetone::runtime::store::vault::{Subject, Vault};
use sidetone::speaker::embedding::Embedding;
use sidetone::speaker::voiceprint::Voiceprint;
use sidetone::speaker::voiceprint_format;
use sidetone::vault::chain::{Draft, Kind};

/// A configuration whose vault is in one of the databases.
struct Bench {
    name: &'static str,
    site: Site,
    database: databases::Site,
}

/// One of each kind.
fn benches() -> Vec<Bench> {
    let bench = |database: databases::Site| {
        let site = Site::new(Path::new("/nonexistent/models"));
        let password = database.password_file.as_ref().map_or(String::new(), |file| {
            format!("\npassword_file = {:?}", file.display().to_string())
        });
        site.configure("\"sqlite:vault.db\"", &format!("{:?}{password}", database.url));
        Bench { name: database.name, site, database }
    };
    databases::databases().into_iter().map(bench).collect()
}

impl Bench {
    fn run(&self, line: &str) -> Output {
        self.site.run(&line.split(' ').collect::<Vec<_>>())
    }

    /// What it printed, which came with exit code `code`.
    #[track_caller]
    fn says(&self, code: i32, line: &str) -> String {
        let output = self.run(line);
        assert_eq!(output.status.code(), Some(code), "{}: {line}: {output:?}", self.name);
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// The JSON document that it printed, which came with exit code `code`.
    #[track_caller]
    fn tells(&self, code: i32, line: &str) -> Value {
        let text = self.says(code, line);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {error}: {text}"))
    }

    /// The one sentence of exit code 2.
    #[track_caller]
    fn refuses(&self, line: &str) -> String {
        let output = self.run(line);
        assert_eq!(output.status.code(), Some(2), "{}: {line}: {output:?}", self.name);
        assert!(output.stdout.is_empty(), "{output:?}");
        let text = String::from_utf8(output.stderr).expect("UTF-8");
        let sentence = text.strip_prefix("sidetone: ").and_then(|text| text.strip_suffix('\n'));
        let sentence = sentence.unwrap_or_else(|| panic!("{text}"));
        assert!(!sentence.contains('\n'), "one sentence: {text}");
        sentence.to_owned()
    }

    fn vault(&self) -> Vault {
        let retention = retention::Settings::default();
        let key_file = self.site.path("store.key");
        Vault::open(&self.database.place(), &key_file, retention).expect(self.name)
    }

    /// Somebody of whom a voice is kept, heard `days` ago.
    fn enrol(&self, name: &str, days: i64) {
        let at = Timestamp::now() - SignedDuration::from_hours(24 * days);
        let reference = ConsentReference::new("c-1").expect("a reference");
        let given = Given { reference, at, by: "user:test".to_owned(), expires: None };
        let scopes = "verify enrol adapt".parse().expect("scopes");
        let (mut vault, subject) = (self.vault(), Subject::caller(name));
        vault.change_consent(&subject, &Change::Given { scopes, given }).expect("a consent");
        let act = Act { by: "user:test", at, conversation: None };
        vault.enrol(&subject, &voiceprint(name), &act).expect("enrolled");
    }

    /// Kinds of the audit records about `name`, in their order.
    fn kinds(&self, name: &str) -> Vec<String> {
        let lines = self.says(0, &format!("audit show --json --subject {name}"));
        let kind = |line: &str| {
            let record: Value = serde_json::from_str(line).expect("JSON");
            record["kind"].as_str().expect("a word").to_owned()
        };
        lines.lines().map(kind).collect()
    }
}

fn voiceprint(name: &str) -> Voiceprint {
    let embedding = Embedding::from_raw(vec![1.0, 0.25, 0.5]).expect("a direction");
    Voiceprint::of_embedding(name, "c-1", Timestamp::UNIX_EPOCH, 12.5, ("m@1", embedding))
}

#[test]
fn a_vault_is_made_once_and_its_key_is_its_owners_alone() {
    for bench in benches() {
        let (name, key) = (bench.name, bench.site.path("store.key"));
        fs::remove_file(&key).expect("the site's own");
        let missing = bench.refuses("vault show");
        assert!(missing.contains("store.key (store.key_file): `sidetone vault init`"), "{missing}");
        let made = bench.says(0, "vault init");
        assert!(made.contains("keep a copy of the key file"), "{made}");
        assert_eq!(fs::metadata(&key).expect("a key").permissions().mode() & 0o7777, 0o400);
        let facts = bench.tells(0, "vault show --json");
        assert_eq!(facts["master_keys"].as_array().map(Vec::len), Some(1), "{name}");
        assert_eq!((&facts["schema"], &facts["persons"]), (&json!(1), &json!({})), "{name}");
        assert_eq!(facts["public_key"].as_str().map(str::len), Some(64), "{name}");
        let words = bench.says(0, "vault show");
        assert!(words.contains("audit trail  0 records"), "{words}");

        let there = bench.refuses("vault init");
        assert!(there.ends_with("store.key is there already, and is not replaced"), "{there}");
        // A new key would open nothing of what is there.
        let kept = bench.site.path("kept.key");
        fs::rename(&key, &kept).expect("the same folder");
        let other = bench.refuses("vault init");
        assert!(other.contains("holds a vault, which opens with its own key file"), "{other}");
        assert!(!key.exists(), "{name}: no key is left of it");
    }
}

#[test]
fn what_root_makes_belongs_to_the_services_user() {
    if !rustix::process::geteuid().is_root() {
        store::skip("only root can give something away");
        return;
    }
    /// `nobody`, in every system.
    const SERVICE: u32 = 65_534;
    let bench = benches().remove(0);
    let file = bench.database.folder.path().join("vault.db");
    let folder = file.parent().expect("a folder");
    chown(folder, Some(SERVICE), Some(SERVICE)).expect("root may");
    fs::remove_file(bench.site.path("store.key")).expect("the site's own");
    bench.says(0, "vault init");
    bench.tells(0, "consent give --json --subject a --reference c --scopes verify");
    bench.says(0, "vault rotate-key");
    let mut made: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    made.push(bench.site.path("store.key"));
    assert!(made.contains(&file), "{made:?}");
    for path in made {
        let owner = fs::metadata(&path).expect("a file");
        assert_eq!((owner.uid(), owner.gid()), (SERVICE, SERVICE), "{}", path.display());
    }
}

#[test]
fn a_key_file_that_is_none_or_anothers_or_open_to_all_is_one_sentence() {
    for bench in benches() {
        let key = bench.site.path("store.key");
        bench.enrol("alice", 0);
        let commands =
            ["voiceprint list", "consent show --subject alice", "audit verify", "vault rotate-key"];
        let refused = |wanted: &str| {
            for command in commands {
                let said = bench.refuses(command);
                assert!(said.contains(wanted), "{}: {command}: {said}", bench.name);
            }
        };
        fs::set_permissions(&key, Permissions::from_mode(0o644)).expect("our file");
        refused("has mode 0644: others can read it");
        // As systemd hands out a credential: its access control list shows as the group's bits.
        fs::set_permissions(&key, Permissions::from_mode(0o440)).expect("our file");
        refused("has mode 0440: others can read it");
        let mut command = bench.site.command(&["voiceprint", "list"]);
        let output = command
            .env("CREDENTIALS_DIRECTORY", key.parent().expect("a folder"))
            .env("SIDETONE_STORE_KEY_FILE", &key)
            .output()
            .expect("the binary runs");
        assert!(output.status.success(), "{output:?}");
        fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("our file");
        fs::write(&key, "22".repeat(32)).expect("our file");
        fs::set_permissions(&key, Permissions::from_mode(0o400)).expect("our file");
        refused("does not open with the key file");
        bench.site.write("torn.key", "11".repeat(31));
        fs::rename(bench.site.path("torn.key"), &key).expect("the same folder");
        fs::set_permissions(&key, Permissions::from_mode(0o400)).expect("our file");
        refused("line 1 is no key, 64 hexadecimal digits needed");
        fs::remove_file(&key).expect("our file");
        refused("there is no key file");
    }
}

#[test]
fn a_consent_is_given_narrowed_taken_back_and_given_anew_by_another_reference() {
    for bench in benches() {
        let (name, who) = (bench.name, "--subject alice");
        let unknown = bench.tells(1, &format!("consent show --json {who}"));
        assert_eq!(unknown["covered"], json!([]), "{name}");
        let give = |reference: &str| format!("consent give --json {who} --reference {reference}");
        let given = bench.tells(0, &(give("c-1") + " --scopes verify,enrol,adapt"));
        assert_eq!(given["covered"], json!(["verify", "enrol", "adapt"]), "{name}");
        let again = bench.tells(0, &(give("c-1") + " --scopes verify"));
        assert_eq!((&again["changed"], &again["reason"]), (&json!(false), &Value::Null), "{name}");
        bench.enrol("alice", 0);
        let part = bench.tells(0, &format!("consent withdraw --json {who} --scopes adapt"));
        assert_eq!(part["covered"], json!(["verify", "enrol"]), "{name}");
        assert_eq!(part["erased"]["voiceprint"], json!(false), "{name}");
        let nothing = bench.tells(1, &format!("consent withdraw --json {who} --scopes adapt"));
        assert_eq!(nothing["reason"], json!("nothing is given that could be withdrawn"));
        // The same by its other name; it takes the voice with it.
        let all = bench.tells(0, &format!("voiceprint withdraw --json {who}"));
        assert_eq!((&all["covered"], &all["erased"]["key"]), (&json!([]), &json!(true)), "{name}");
        let old = bench.tells(1, &(give("c-1") + " --scopes verify"));
        assert_eq!(old["reason"], json!("the consent was withdrawn"), "{name}");
        bench.tells(0, &(give("c-2") + " --scopes verify --expires 2099-12-31"));
        let shown = bench.says(0, &format!("consent show {who}"));
        assert!(shown.contains("verify: given") && shown.contains("until 2"), "{name}: {shown}");
        assert!(shown.contains("enrol: withdrawn"), "{name}: {shown}");
        let agent = bench.tells(1, &format!("consent show --json {who} --role agent"));
        assert_eq!(agent["covered"], json!([]), "{name}: an agent of that name is somebody else");

        bench.tells(0, &format!("consent opt-out --json {who}"));
        let refused = bench.tells(1, &(give("c-3") + " --scopes verify"));
        assert_eq!(refused["reason"], json!("the person opted out"), "{name}");
        let list = bench.tells(0, "consent list --json");
        assert!(list[0]["consents"]["opted_out"]["by"].as_str().is_some(), "{name}: {list}");
        assert_eq!(list[0]["subject"], Value::Null, "{name}: without a voice there is no name");
        bench.tells(0, &format!("consent opt-in --json {who}"));
        bench.tells(1, &format!("consent opt-in --json {who}"));
        bench.tells(0, &(give("c-3") + " --scopes verify"));
        let expected = [
            "consent",
            "enrolment",
            "consent",
            "consent",
            "erasure",
            "consent",
            "access",
            "consent",
            "consent",
            "consent",
        ];
        assert_eq!(bench.kinds("alice"), expected, "{name}");
    }
}

#[test]
fn who_works_at_the_command_line_is_on_record() {
    for bench in benches() {
        let mut command = bench.site.command(&[
            "consent",
            "give",
            "--subject",
            "a",
            "--reference",
            "c",
            "--scopes",
            "verify",
        ]);
        let output = command.env("SUDO_USER", "anna").output().expect("the binary runs");
        assert!(output.status.success(), "{output:?}");
        let shown = bench.says(0, "audit show");
        assert!(shown.contains("consent        user:anna "), "{shown}");
    }
}

#[test]
fn what_is_kept_is_listed_shown_handed_out_held_and_erased_with_proof() {
    for bench in benches() {
        let name = bench.name;
        assert_eq!(bench.tells(0, "voiceprint list --json"), json!([]), "{name}");
        bench.enrol("alice", 0);
        bench.enrol("bob", 400);
        let subjects = |line: &str| {
            let list = bench.tells(0, line);
            let list = list.as_array().expect("a list").iter();
            let mut names: Vec<_> =
                list.map(|person| person["subject"].as_str().expect("a name").to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(subjects("voiceprint list --json"), ["alice", "bob"], "{name}");
        assert_eq!(subjects("voiceprint list --json --unused-for 300"), ["bob"], "{name}");
        assert_eq!(subjects("voiceprint list --json --role agent"), [""; 0], "{name}");
        assert_eq!(subjects("voiceprint list --json --withdrawn"), [""; 0], "{name}");

        let shown = bench.tells(0, "voiceprint show --json --subject alice");
        assert_eq!(shown["voiceprint"]["references"][0]["model"], "m@1", "{name}");
        assert_eq!(shown["voiceprint"]["references"][0]["embedding"], Value::Null, "{name}");
        let words = bench.says(0, "voiceprint show --subject alice");
        assert!(words.contains("m@1") && words.contains("adapt: given"), "{name}: {words}");
        assert!(
            bench.says(1, "voiceprint show --subject carol").contains("no voiceprint of carol")
        );
        assert_eq!(bench.kinds("carol"), [""; 0], "{name}: nothing is noted of whom nobody knows");

        bench.says(0, "voiceprint export --subject alice --embeddings --output alice.json");
        let file = bench.site.path("alice.json");
        assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
        let held: Value = serde_json::from_slice(&fs::read(&file).expect("a file")).expect("JSON");
        assert!(held["voiceprint"]["references"][0]["embedding"].is_string(), "{name}");
        let records = held["records"].as_array().expect("records");
        let last = records.last().expect("a record");
        assert_eq!(last["kind"], "export", "{name}: the export itself is in it");
        let plain = bench.tells(0, "voiceprint export --subject alice");
        assert_eq!(plain["voiceprint"]["references"][0]["embedding"], Value::Null, "{name}");
        assert!(plain["consents"]["scopes"]["verify"].is_object(), "{name}");
        bench.tells(1, "voiceprint export --subject carol");

        bench.says(0, "voiceprint hold --subject alice --reason file-17");
        let held = bench.says(1, "voiceprint erase --subject alice");
        assert!(held.contains("there is a legal hold on this person: file-17"), "{name}: {held}");
        bench.says(0, "voiceprint hold --subject alice --release");
        bench.says(1, "voiceprint hold --subject carol --reason file-17");

        let erased = bench.says(0, "voiceprint erase --subject alice --proof erased.json");
        assert!(erased.contains("erased of alice: the voiceprint, the key"), "{name}: {erased}");
        assert!(erased.contains("what they agreed to stands (verify enrol adapt)"), "{erased}");
        bench.says(1, "voiceprint erase --subject alice");
        assert_eq!(subjects("voiceprint list --json"), ["bob"], "{name}");
        let good = bench.says(0, "audit proof erased.json");
        assert!(good.starts_with("good: the voiceprint, the key of the caller alice"), "{good}");
        let key =
            bench.tells(0, "vault show --json")["public_key"].as_str().expect("a key").to_owned();
        bench.says(0, &format!("audit proof erased.json --key {key}"));
        let other =
            bench.tells(1, &format!("audit proof erased.json --json --key {}", "ab".repeat(32)));
        assert!(other["reason"].as_str().is_some_and(|why| why.contains("wanted abab")), "{other}");
        let text = fs::read_to_string(bench.site.path("erased.json")).expect("a proof");
        bench.site.write("forged.json", text.replace("alice", "bob"));
        bench.says(1, "audit proof forged.json");
        assert!(bench.refuses("audit proof policy.toml").contains("is no statement of erasure"));
        let kinds = bench.kinds("alice");
        let expected = [
            "consent",
            "enrolment",
            "access",
            "access",
            "export",
            "export",
            "hold",
            "hold",
            "erasure",
        ];
        assert_eq!(kinds, expected, "{name}");
    }
}

#[test]
fn a_row_that_cannot_be_read_hides_no_other() {
    for bench in benches() {
        let name = bench.name;
        ["alice", "bob", "carol"].into_iter().for_each(|who| bench.enrol(who, 0));
        let bob = bench.vault().pseudonym(&Subject::caller("bob"));
        let sql = "UPDATE persons SET name = $1 WHERE person = $2";
        let values = [[7_u8; 60][..].into(), bob.as_str().into()];
        bench.database.open().execute(sql, &values).expect(name);
        let list = bench.tells(1, "voiceprint list --json");
        let list = list.as_array().expect("a list");
        let faults = list.iter().filter(|found| found["fault"].is_string()).count();
        assert_eq!((list.len(), faults), (3, 1), "{name}: {list:?}");
    }
}

#[test]
fn a_rotated_key_opens_what_the_old_one_did_and_the_old_one_no_more() {
    for bench in benches() {
        let name = bench.name;
        ["alice", "bob"].into_iter().for_each(|who| bench.enrol(who, 0));
        let old = fs::read(bench.site.path("store.key")).expect("a key");
        let kept = bench.tells(0, "vault rotate-key --json --keep-old");
        assert_eq!(kept["master_keys"].as_array().map(Vec::len), Some(2), "{name}");
        assert_eq!(bench.tells(0, "vault show --json")["under_older_keys"], 2, "{name}");
        let dropped = bench.tells(0, "vault rotate-key --json --drop-old");
        assert_eq!(dropped["rewrapped"], 2, "{name}");
        assert_eq!(dropped["destroyed"].as_array().map(Vec::len), Some(1), "{name}");
        let at_once = bench.says(0, "vault rotate-key");
        assert!(at_once.contains("wrapped 2 persons' keys"), "{name}: {at_once}");
        bench.says(0, "voiceprint show --subject alice");
        let key = bench.site.path("store.key");
        assert_eq!(fs::metadata(&key).expect("a key").permissions().mode() & 0o7777, 0o400);
        fs::remove_file(&key).expect("our file");
        bench.site.write("store.key", old);
        fs::set_permissions(&key, Permissions::from_mode(0o400)).expect("our file");
        let refused = bench.refuses("voiceprint list");
        assert!(refused.contains("which the key file does not hold"), "{name}: {refused}");
    }
}

#[test]
fn a_sweep_says_beforehand_what_it_takes() {
    for bench in benches() {
        let name = bench.name;
        bench.enrol("alice", 0);
        bench.enrol("bob", 1_200);
        let would = bench.tells(0, "vault sweep --dry-run --json");
        assert_eq!(would["swept"][0]["reason"], "unused", "{name}: {would}");
        assert_eq!(bench.tells(0, "vault show --json")["persons"]["caller"], 2, "{name}");
        let swept = bench.says(0, "vault sweep");
        assert!(swept.contains("erased the voiceprint, the key of"), "{name}: {swept}");
        assert!(swept.ends_with("erased something of 1 persons\n"), "{name}: {swept}");
        assert_eq!(bench.tells(0, "vault sweep --json")["swept"], json!([]), "{name}");
        assert_eq!(bench.tells(0, "voiceprint list --json")[0]["subject"], "alice", "{name}");
    }
}

#[test]
fn an_older_releases_files_are_taken_over_and_removed_once_they_are_kept() {
    for bench in benches() {
        let (name, folder) = (bench.name, bench.site.path("old"));
        fs::create_dir(&folder).expect("a folder");
        let put = |file: &str, bytes: &[u8]| fs::write(folder.join(file), bytes).expect("a file");
        put("1.voiceprint.json", &voiceprint_format::write(&voiceprint("alice")));
        put("2.voiceprint.json", &voiceprint_format::write(&voiceprint("bob")));
        put("3.voiceprint.json", b"{\"format\":9}");
        put("4.voiceprint.draft", b"{\"format\":2,\"subj");
        let gathering = json!({ "subject": "carol", "consent": "c-1", "sessions": [],
            "net_speech_s": 4.0, "models": [] });
        put("5.gathering.json", gathering.to_string().as_bytes());
        bench.tells(0, "consent give --json --subject bob --reference c-1 --scopes verify");
        bench.tells(0, "consent opt-out --json --subject bob");
        let told = bench.tells(1, "vault adopt old --json");
        assert_eq!((&told["adopted"], &told["drafts_removed"]), (&json!(2), &json!(1)), "{told}");
        let reasons = told["refused"].to_string();
        assert!(reasons.contains("the person opted out"), "{name}: {reasons}");
        assert!(reasons.contains("its format is 9, wanted 1 or 2"), "{name}: {reasons}");
        let mut left: Vec<_> = fs::read_dir(&folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
            .collect();
        left.sort();
        assert_eq!(left, ["2.voiceprint.json", "3.voiceprint.json"], "{name}");
        let kept = bench.vault().voice(&Subject::caller("alice")).expect(name);
        assert_eq!(kept.voiceprint, Some(voiceprint("alice")), "{name}");
        assert!(bench.vault().voice(&Subject::caller("carol")).expect(name).gathering.is_some());

        // It was kept, and the power went before the file did.
        put("1.voiceprint.json", &voiceprint_format::write(&voiceprint("alice")));
        let again = bench.tells(1, "vault adopt old --json");
        assert_eq!(again["adopted"], 1, "{name}: {again}");
        assert_eq!(bench.kinds("alice"), ["consent", "enrolment"], "{name}: nothing twice");
        // Somebody enrolled anew is not overwritten with what is older.
        let mut older = voiceprint("alice");
        older.net_speech_s = 99.0;
        put("1.voiceprint.json", &voiceprint_format::write(&older));
        let refused = bench.tells(1, "vault adopt old --json")["refused"].to_string();
        assert!(refused.contains("another voiceprint of alice is in the vault"), "{refused}");
        bench.says(1, "vault adopt old --watchlist");
        let listed = bench.tells(0, "voiceprint list --json --watchlist");
        assert_eq!(listed.as_array().map(Vec::len), Some(2), "{name}: nobody there was asked");
    }
}

#[test]
fn a_changed_cut_or_rewritten_trail_is_found_and_told_with_what_to_do() {
    for bench in benches() {
        let name = bench.name;
        ["alice", "bob"].into_iter().for_each(|who| bench.enrol(who, 0));
        let whole = bench.says(0, "audit verify");
        assert!(whole.starts_with("whole: 4 records, against no anchor: whether"), "{whole}");
        let told = bench.tells(0, "audit verify --json");
        assert_eq!((&told["records"], &told["anchors"]), (&json!(4), &json!(0)), "{name}");
        assert_eq!(told["last_starts"], json!([]), "{name}");
        let anchor = json!({ "at": Timestamp::now(), "sequence": 4, "digest": told["digest"] });
        bench.site.write("audit.anchors", format!("{anchor}\n"));
        let anchored = bench.says(0, "audit verify");
        assert!(anchored.starts_with("whole: 4 records, against 1 anchor\n"), "{anchored}");

        bench.says(0, "audit export --output trail.jsonl");
        let trail = bench.site.path("trail.jsonl");
        assert_eq!(fs::metadata(&trail).expect("a file").permissions().mode() & 0o777, 0o600);
        let offline =
            bench.tells(0, "audit verify --json --file trail.jsonl --anchors audit.anchors");
        assert_eq!((&offline["records"], &offline["anchors"]), (&json!(4), &json!(1)), "{name}");
        let text = fs::read_to_string(&trail).expect("a trail");
        bench.site.write("changed.jsonl", text.replacen("user:test", "user:eve", 1));
        let changed = bench.says(1, "audit verify --file changed.jsonl");
        assert!(changed.starts_with("NOT whole: record 1 was changed\n"), "{changed}");
        let shorter = text.lines().take(3).map(|line| format!("{line}\n")).collect::<String>();
        bench.site.write("shorter.jsonl", shorter);
        let cut = bench.says(1, "audit verify --file shorter.jsonl --anchors audit.anchors");
        assert!(cut.contains("but 4 was anchored: its end is missing"), "{cut}");
        assert!(bench.refuses("audit verify --anchors nowhere").contains("it is not there"));

        let mut database = bench.database.open();
        database
            .execute_script(match name {
                "SQLite" => "DROP TRIGGER audit_is_not_changed; DROP TRIGGER audit_is_not_removed",
                _ => "ALTER TABLE audit DISABLE TRIGGER ALL",
            })
            .expect(name);
        database.execute("UPDATE audit SET actor = 'eve' WHERE sequence = 3", &[]).expect(name);
        let changed = bench.says(1, "audit verify");
        assert!(
            changed.starts_with("NOT whole: record 3 was changed\nwhole up to record 2"),
            "{changed}"
        );
        assert!(changed.contains("keep the database as it is"), "{changed}");
        database.execute("DELETE FROM audit WHERE sequence = 3", &[]).expect(name);
        let missing = bench.tells(1, "audit verify --json");
        assert_eq!(missing["fault"], "records 3 to 3 are missing", "{name}");
    }
}

#[test]
fn a_run_that_ended_without_a_word_is_told_for_each_machine() {
    for bench in benches() {
        let start = |host: &str, before: &str| Draft {
            at: Timestamp::now(),
            kind: Kind::Start,
            actor: "sidetone".to_owned(),
            person: None,
            conversation: None,
            detail: json!({ "host": host, "before": before }).to_string(),
        };
        let starts = [("a", "none"), ("b", "none"), ("a", "killed"), ("b", "stopped")];
        let drafts: Vec<_> = starts.iter().map(|(host, before)| start(host, before)).collect();
        bench.vault().append(&drafts).expect(bench.name);
        let words = bench.says(0, "audit verify");
        let killed = "last start on a: record 3; the run before it ended without a stop";
        assert!(words.contains(killed), "{words}");
        let stopped = "last start on b: record 4; the run before it had ended in order\n";
        assert!(words.ends_with(stopped), "{words}");
        let told = bench.tells(0, "audit verify --json");
        assert_eq!(told["last_starts"][0]["before"], "killed", "{told}");
    }
}

#[test]
fn records_are_shown_by_kind_person_and_time_and_as_they_come() {
    for bench in benches() {
        let name = bench.name;
        bench.enrol("alice", 10);
        bench.enrol("bob", 0);
        let count = |line: &str| bench.says(0, line).lines().count();
        assert_eq!(count("audit show"), 4, "{name}");
        assert_eq!(count("audit show --kind enrolment"), 2, "{name}");
        assert_eq!(count("audit show --subject alice"), 2, "{name}");
        let pseudonym = bench.vault().pseudonym(&Subject::caller("alice"));
        assert_eq!(count(&format!("audit show --person {pseudonym}")), 2, "{name}");
        let day = (Timestamp::now() - SignedDuration::from_hours(5 * 24)).to_string();
        assert_eq!(count(&format!("audit show --since {day}")), 2, "{name}");
        assert_eq!(count(&format!("audit show --until {day} --kind consent")), 1, "{name}");
        assert!(!bench.says(0, "audit show").contains("alice"), "{name}: no name in the trail");

        let mut command = bench.site.command(&["audit", "show", "--follow", "--kind", "hold"]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary runs");
        let mut stdout = child.stdout.take().expect("a pipe");
        bench.says(0, "voiceprint hold --subject alice --reason file-17");
        let mut seen = [0; 8];
        stdout.read_exact(&mut seen).expect("a record as it comes");
        assert_eq!(seen, *b"       5", "{name}: its number");
        child.kill().and_then(|()| child.wait()).expect("our child");
    }
}
