//! `sidetone voiceprint import` on real recordings: who is enrolled, who is refused and why, and that an import which was
//! killed goes on where it was.
//!
//! Needs the models and the readers of `../shared/speech`; without them it says so and passes.
#![expect(clippy::disallowed_methods, reason = "a test reads and writes its files")]

mod appliance;
mod store;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use appliance::{RATE, Site, wait_for, write_wav};
use serde_json::{Value, json};
use sidetone::consent::retention;
use sidetone::runtime::store::place::Place;
use sidetone::runtime::store::vault::{Subject, Vault};
use store::{skip, store};

/// A site, and the folder of each reader.
fn bench() -> Option<(Site, Vec<PathBuf>)> {
    let store = store()?;
    let folder = Path::new("../shared/speech/speakers");
    if !folder.is_dir() {
        skip("the readers are not there");
        return None;
    }
    Some((Site::new(&store), listing(folder)))
}

fn listing(folder: &Path) -> Vec<PathBuf> {
    let folder = fs::canonicalize(folder).expect("a folder");
    let entries = fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn vault(site: &Site) -> Vault {
    let place = Place::parse(&format!("sqlite:{}", site.path("vault.db").display()), None);
    let retention = retention::Settings::default();
    Vault::open(&place.expect("a place"), &site.path("store.key"), retention).expect("a vault")
}

#[track_caller]
fn told(output: &Output, code: i32) -> Value {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

#[test]
fn a_list_is_imported_once_and_says_of_everybody_what_became_of_them() {
    let Some((site, readers)) = bench() else { return };
    let files: Vec<_> = readers.iter().map(|reader| listing(reader)).collect();
    let speech = sidetone::runtime::audio_file::read_mono(&files[0][0], RATE).expect("speech");
    write_wav(&site.path("short.wav"), &speech[..3 * RATE as usize]);
    let mut list = "subject,file,consent,scopes\n".to_owned();
    let mut row = |subject: &str, file: &Path, rest: &str| {
        list.push_str(&format!("{subject},{},{rest}\n", file.display()));
    };
    for (subject, n) in [("anna", 0), ("bert", 1)] {
        files[n][..2].iter().for_each(|file| row(subject, file, "c-1,verify enrol adapt"));
    }
    row("cora", Path::new("short.wav"), "c-1,");
    row("dirk", &files[2][0], "c-1,");
    row("dirk", &files[2][1], "c-2,");
    row("emma", &files[3][0], "c-1,");
    row("fred", &files[3][0], "c-1,");
    row("gina", Path::new("nowhere.wav"), "c-1,");
    row("hugo", &files[4][0], "c-1,");
    row("ines", Path::new("policy.toml"), "c-1,");
    row("john", &files[4][1], "c-1,verify");
    site.write("list.csv", &list);
    let opt_out = site.run(&["consent", "opt-out", "--subject", "hugo"]);
    assert!(opt_out.status.success(), "{opt_out:?}");

    let import = ["voiceprint", "import", "--json", "--csv", "list.csv", "--report", "report.csv"];
    let first = told(&site.run(&import), 1);
    assert_eq!((&first["enrolled"], &first["passed_over"]), (&json!(2), &json!(0)), "{first}");
    let codes = json!({ "too_little_speech": 1, "differing_consent": 1, "same_recording": 2,
        "unreadable": 2, "opted_out": 1, "not_covered": 1 });
    assert_eq!(first["codes"], codes, "{first}");
    let report = site.path("report.csv");
    assert_eq!(fs::metadata(&report).expect("a report").permissions().mode() & 0o777, 0o600);
    let rows = fs::read_to_string(&report).expect("a report");
    let mut rows: Vec<_> = rows.lines().collect();
    assert_eq!(rows.remove(0), "subject,role,recordings,result,code,reason,net_speech_s");
    rows.sort_unstable();
    assert!(rows[0].starts_with("anna,caller,2,enrolled,,,"), "{rows:?}");
    let unreadable = "gina,caller,1,refused,unreadable,cannot read nowhere.wav: No such file";
    assert!(rows[6].starts_with(unreadable), "{rows:?}");
    assert_eq!(rows.len(), 10, "{rows:?}");

    let mut kept = vault(&site);
    let anna = kept.voice(&Subject::caller("anna")).expect("an answer").voiceprint;
    let anna = anna.expect("a voiceprint");
    assert_eq!((anna.consent.as_str(), anna.recordings.len()), ("c-1", 2));
    assert_eq!(kept.voice(&Subject::caller("cora")).expect("an answer").voiceprint, None);
    let head = kept.head().expect("an answer");
    let second = told(&site.run(&import), 1);
    assert_eq!((&second["enrolled"], &second["passed_over"]), (&json!(0), &json!(2)), "{second}");
    assert_eq!(kept.head().expect("an answer"), head, "nothing is recorded twice");
    // Another consent, or another recording, is another enrolment.
    site.write("list.csv", list.replace("c-1,verify enrol adapt", "c-9,verify enrol adapt"));
    let third = told(&site.run(&import), 1);
    assert_eq!((&third["enrolled"], &third["passed_over"]), (&json!(2), &json!(0)), "{third}");
}

#[test]
fn an_import_that_was_killed_goes_on_where_it_was() {
    let Some((site, readers)) = bench() else { return };
    fs::create_dir(site.path("recordings")).expect("a folder");
    for (n, reader) in readers.iter().enumerate() {
        let subject = site.path(&format!("recordings/reader-{n}"));
        fs::create_dir(&subject).expect("a folder");
        for file in &listing(reader)[..3] {
            symlink(file, subject.join(file.file_name().expect("a name"))).expect("a link");
        }
    }
    let import = ["voiceprint", "import", "--json", "--folder", "recordings"];
    let options = ["--consent-prefix", "k/", "--jobs", "1", "--report", "report.json"];
    let import = [&import[..], &options].concat();
    let mut child = site.command(&import).stdout(Stdio::null()).spawn().expect("the binary runs");
    let mut kept = vault(&site);
    let mut enrolled = || {
        let facts = kept.facts().expect("figures");
        facts.voices.get("voiceprint").copied().unwrap_or_default()
    };
    wait_for("somebody is enrolled", || (enrolled() > 0).then_some(()));
    child.kill().and_then(|()| child.wait()).expect("our child");
    let before = enrolled();
    assert!(before < readers.len() as i64, "it was killed too late to tell anything");
    assert!(!site.path("report.json").exists(), "no half report");

    let second = told(&site.run(&import), 0);
    let all = readers.len() as i64;
    assert_eq!(second["passed_over"], before, "{second}");
    assert_eq!(second["enrolled"], all - before, "{second}");
    assert_eq!(enrolled(), all);
    let report = fs::read_to_string(site.path("report.json")).expect("a report");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report.as_array().map(Vec::len), Some(readers.len()), "{report}");
    let show = site.run(&["audit", "show", "--kind", "enrolment"]);
    assert_eq!(show.stdout.split(|&byte| byte == b'\n').count() as i64 - 1, all, "each once");
    let verify = site.run(&["audit", "verify"]);
    assert!(verify.status.success(), "{verify:?}");
}
