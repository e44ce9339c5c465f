//! The command line as a person meets it: exit codes, and one sentence that names what is wrong.
//!
//! Those that need the models say so and pass without them.
#![expect(clippy::disallowed_methods, reason = "a test reads and writes its files")]

mod appliance;
mod store;

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Output, Stdio};

use appliance::{RATE, Site, write_wav};
use store::store;

/// Every subcommand with its examples' first words, where it has examples.
const HELP: &[(&[&str], Option<&str>)] = &[
    (&[], Some("sidetone models fetch && sidetone vault init && sidetone check")),
    (&["demo"], None),
    (&["serve"], Some("sidetone check && systemctl reload sidetone")),
    (&["call"], Some("sidetone call sip:8000@127.0.0.1:5060")),
    (&["token"], Some("sidetone token --name dialler --role operator")),
    (&["check"], None),
    (&["doctor"], Some("sidetone doctor --pbx sip:192.0.2.20")),
    (&["analyze"], Some("sidetone analyze call.pcapng")),
    (&["audit"], None),
    (&["audit", "verify"], Some("sidetone audit verify --anchors")),
    (&["audit", "show"], Some("sidetone audit show --subject customer-4711")),
    (&["audit", "export"], Some("sidetone audit export --output trail.jsonl")),
    (&["audit", "proof"], Some("sidetone audit proof erased-4711.json")),
    (&["audit", "rules"], Some("sidetone audit rules --policy policy.toml kept/*.jsonl")),
    (&["consent"], None),
    (&["consent", "give"], Some("sidetone consent give --subject customer-4711 --reference")),
    (&["consent", "show"], Some("sidetone consent show --subject customer-4711")),
    (&["consent", "withdraw"], Some("sidetone consent withdraw --subject customer-4711")),
    (&["consent", "opt-out"], Some("sidetone consent opt-out --subject customer-4711")),
    (&["consent", "opt-in"], Some("sidetone consent opt-in --subject customer-4711")),
    (&["consent", "list"], Some("sidetone consent list --json")),
    (&["enroll"], Some("sidetone enroll --subject customer-4711 --consent")),
    (&["voiceprint"], None),
    (&["voiceprint", "list"], Some("sidetone voiceprint list --json")),
    (&["voiceprint", "show"], Some("sidetone voiceprint show --subject")),
    (&["voiceprint", "erase"], Some("sidetone voiceprint erase --subject")),
    (&["voiceprint", "export"], Some("sidetone voiceprint export --subject")),
    (&["voiceprint", "revert"], Some("sidetone voiceprint revert --subject")),
    (&["voiceprint", "hold"], Some("sidetone voiceprint hold --subject customer-4711")),
    (&["voiceprint", "withdraw"], Some("sidetone consent withdraw --subject customer-4711")),
    (&["voiceprint", "import"], Some("sidetone voiceprint import --csv customers.csv")),
    (&["voiceprint", "migrate"], Some("sidetone voiceprint migrate --to")),
    (&["vault"], None),
    (&["vault", "init"], Some("sidetone vault init && sidetone vault show")),
    (&["vault", "show"], Some("sidetone vault show --json")),
    (&["vault", "rotate-key"], Some("sidetone vault rotate-key --keep-old")),
    (&["vault", "sweep"], Some("sidetone vault sweep --dry-run")),
    (&["vault", "adopt"], Some("sidetone vault adopt /var/lib/sidetone/voiceprints")),
    (&["keywords"], None),
    (&["keywords", "check"], Some("sidetone keywords check --policy policy.toml --background")),
    (&["keywords", "learn"], Some("sidetone keywords learn --phrase greeting --background calls/")),
    (&["eval"], None),
    (&["eval", "speaker"], Some("sidetone eval speaker --trials trials.csv")),
    (&["calibrate"], Some("sidetone calibrate --trials calls.csv")),
    (&["models"], None),
    (&["models", "list"], None),
    (&["models", "fetch"], None),
    (&["models", "verify"], None),
    (&["completions"], Some("sidetone completions bash > /etc/bash_completion.d/sidetone")),
];

/// A site for what is refused before any model is looked at.
fn site() -> Site {
    Site::new(Path::new("/nonexistent/models"))
}

/// Exit code 2, nothing on standard output, and exactly one line on standard error; that line.
#[track_caller]
fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty(), "nothing was done: {output:?}");
    let text = String::from_utf8(output.stderr.clone()).expect("UTF-8");
    let sentence = text.strip_prefix("sidetone: ").expect("it says who speaks");
    let sentence = sentence.strip_suffix('\n').expect("a line");
    assert!(!sentence.contains('\n') && !sentence.is_empty(), "one sentence: {text}");
    sentence.to_owned()
}

#[test]
fn a_configuration_that_cannot_be_read_is_named() {
    let site = site();
    for command in ["serve", "check"] {
        let said = refusal(&site.run(&[command, "--config", "nowhere.toml"]));
        assert_eq!(said, "cannot read nowhere.toml: No such file or directory (os error 2)");
        let said = refusal(&site.run(&[command, "--config", "."]));
        assert_eq!(said, "cannot read .: Is a directory (os error 21)");
    }
    fs::remove_file(site.path("policy.toml")).expect("the policy is there");
    let said = refusal(&site.run(&["check"]));
    assert!(said.starts_with("cannot read policy.toml: "), "{said}");
}

#[test]
fn a_fault_in_the_configuration_is_told_with_file_key_and_what_was_wanted() {
    let site = site();
    for (from, to, wanted) in [
        (
            "max_calls = 100",
            "max_cals = 100",
            "(max_cals = 100): unknown field `max_cals`, expected one of",
        ),
        ("max_calls = 100", "max_calls = \"ten\"", "(max_calls = \"ten\"): invalid type: string"),
        ("max_calls = 100", "max_calls = 0", "sip.max_calls must be 1 to 10000, found 0"),
        ("max_calls = 100", "max_calls = ", "(max_calls =): "),
        (
            "ports = [20000, 20999]",
            "ports = [20000, 100]",
            "rtp.ports must be [first, last] from 1024 up, with an even port and the next one, found [20000, 100]",
        ),
        ("\"1 in 1000\"", "\"often\"", "an error rate reads \"1 in N\""),
        ("udp:127.0.0.1:0", "udp:0.0.0.0:5060", "sip.advertise must say"),
        ("info = \"rfc6086\"", "info = \"sometimes\"", "expected one of `rfc6086`, `legacy-json`"),
    ] {
        site.configure(from, to);
        let said = refusal(&site.run(&["check"]));
        assert!(said.starts_with("sidetone.toml") && said.contains(wanted), "{to}: {said}");
        assert_eq!(said, refusal(&site.run(&["serve"])), "serve says the same");
    }
}

#[test]
fn a_policy_with_one_id_twice_is_refused() {
    let site = site();
    let phrase = "[[phrase]]\nid = \"risk\"\ntext = \"at risk\"\n";
    site.write("policy.toml", format!("name = \"p\"\nversion = \"1\"\n{phrase}{phrase}"));
    let said = refusal(&site.run(&["check"]));
    assert_eq!(said, "policy.toml, line 6 ([[phrase]]): two phrases have the id \"risk\"");
}

#[test]
fn a_damaged_or_missing_model_is_named_with_the_way_out() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    let copy = site.path("models");
    linked(&store, &copy);
    let tokenizer = copy.join("moonshine-tiny-en/tokenizer.bin");
    let check = || site.command(&["check"]).env("SIDETONE_MODELS", "models").output();

    fs::remove_file(&tokenizer).expect("the link is there");
    let said = refusal(&check().expect("it runs"));
    assert_eq!(
        said,
        "moonshine-tiny-en/tokenizer.bin is missing from models: run `sidetone models fetch`"
    );
    let mut bytes = fs::read(store.join("moonshine-tiny-en/tokenizer.bin")).expect("the model");
    bytes[0] ^= 1;
    fs::write(&tokenizer, bytes).expect("a writable folder");
    let said = refusal(&check().expect("it runs"));
    assert!(said.starts_with("models/moonshine-tiny-en/tokenizer.bin has sha256 "), "{said}");
    assert!(said.ends_with(": run `sidetone models fetch`"), "{said}");

    let verify =
        site.command(&["models", "verify", "--json"]).env("SIDETONE_MODELS", "models").output();
    let verify = verify.expect("it runs");
    assert_eq!(verify.status.code(), Some(1));
    let files: Vec<serde_json::Value> = serde_json::from_slice(&verify.stdout).expect("JSON");
    let bad: Vec<_> = files.iter().filter(|file| file["ok"] == false).collect();
    assert_eq!(bad.len(), 1, "{bad:?}");
    assert_eq!(bad[0]["file"], "moonshine-tiny-en/tokenizer.bin");
    assert_eq!(bad[0]["status"], "damaged");
}

#[test]
fn a_runtime_library_that_is_none_is_named() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    let check = |library: &str| {
        refusal(&site.command(&["check"]).env("ORT_DYLIB_PATH", library).output().expect("it runs"))
    };
    let said = check("/nowhere/lib.so");
    assert_eq!(said, "ONNX Runtime cannot be loaded from /nowhere/lib.so: there is no such file");
    let said = check("policy.toml");
    assert!(said.starts_with("ONNX Runtime cannot be loaded from policy.toml: "), "{said}");
}

#[test]
fn a_port_in_use_is_told_with_its_key() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let udp = udp.local_addr().expect("bound");
    let tcp = tcp.local_addr().expect("bound");
    let http = ("\"127.0.0.1:0\"", format!("\"{tcp}\""));
    for (key, place, (from, to)) in [
        ("sip.listen", format!("udp:{udp}"), ("udp:127.0.0.1:0", format!("udp:{udp}"))),
        ("sip.listen", format!("tcp:{tcp}"), ("tcp:127.0.0.1:0", format!("tcp:{tcp}"))),
        ("http.listen", tcp.to_string(), http),
    ] {
        site.configure(from, &to);
        let said = refusal(&site.run(&["serve"]));
        assert!(said.starts_with("cannot listen on ") && said.contains(&place), "{said}");
        assert!(said.contains(key) && said.contains("(os error 98)"), "{said}");
    }
}

#[test]
fn an_enrolment_that_fails_says_why_and_leaves_nothing_behind() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    let enroll = |file: &str| site.run(&["enroll", "--subject", "a", "--consent", "c", file]);

    let said = refusal(&enroll("policy.toml"));
    assert_eq!(said, "policy.toml is no WAV, FLAC or Ogg recording: its format is not known");
    let said = refusal(&enroll("nowhere.wav"));
    assert_eq!(said, "cannot read nowhere.wav: No such file or directory (os error 2)");

    let mut short = site.two_cities();
    short.truncate(5 * RATE as usize);
    write_wav(&site.path("short.wav"), &short);
    let output = site.run(&["enroll", "--json", "--subject", "a", "--consent", "c", "short.wav"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&told["subject"], &told["enrolled"]), (&"a".into(), &false.into()));
    let said = told["reason"].as_str().expect("a sentence");
    let found = said.strip_suffix(" s of net speech found, at least 10 s needed").expect(said);
    let found: f64 = found.parse().expect("seconds");
    assert!((1.0..5.0).contains(&found), "{found} s of 5 s");
    // A good file does not save a bad one after it.
    site.enroll();
    let kept = || {
        let facts = site.run(&["vault", "show", "--json"]).stdout;
        let facts: serde_json::Value = serde_json::from_slice(&facts).expect("JSON");
        (facts["persons"]["caller"].as_u64(), facts["consents"].as_u64())
    };
    let before = kept();
    assert_eq!(before, (Some(1), Some(2)), "the good one of `enroll`, and that `a` agreed");
    let output =
        site.run(&["enroll", "--subject", "a", "--consent", "c", "enrolment.wav", "nowhere.wav"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(kept(), before, "no voiceprint and no draft of one");
    assert!(site.run(&["consent", "opt-out", "--subject", "a"]).status.success());
    let output = site.run(&["enroll", "--subject", "a", "--consent", "d", "enrolment.wav"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"not enrolled: the person opted out\n");
}

#[test]
fn nobody_is_enrolled_without_consent_or_name() {
    let site = site();
    for (arguments, wanted) in [
        (&["--subject", "a", "x.wav"][..], "--consent <REF>"),
        (&["--subject", "a", "--consent", "", "x.wav"], "the consent reference is empty"),
        (&["--subject", " ", "--consent", "c", "x.wav"], "the subject is empty"),
        (&["--subject", "a", "--consent", "c"], "<FILE>..."),
    ] {
        let output = site.run(&[&["enroll"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.starts_with("error: ") && text.contains(wanted), "{text}");
        assert!(!site.path("vault.db").exists(), "nothing was begun");
    }
}

#[test]
fn an_analysis_is_not_begun_on_half_an_order() {
    let site = site();
    for (arguments, wanted) in [
        (&[][..], "<FILE>..."),
        (&["--voiceprint-of", "a", "x.pcap"], "--consent <REF>"),
        (&["--consent", "c", "x.pcap"], "--voiceprint-of <SUBJECT>"),
        (&["--voiceprint-of", " ", "--consent", "c", "x.pcap"], "the subject is empty"),
        (&["--no-models", "--policy", "policy.toml", "x.pcap"], "cannot be used with"),
    ] {
        let output = site.run(&[&["analyze"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.starts_with("error: ") && text.contains(wanted), "{text}");
    }
    let said = refusal(&site.run(&["analyze", "--policy", "nowhere.toml", "x.pcap"]));
    assert!(said.starts_with("cannot read nowhere.toml: "), "{said}");
    let said = refusal(&site.run(&["analyze", "--policy", "policy.toml", "x.pcap"]));
    assert!(said.ends_with("run `sidetone models fetch`"), "{said}");
}

#[test]
fn a_file_that_cannot_be_analysed_is_what_the_work_found() {
    let site = site();
    for (file, wanted) in [
        ("nowhere.pcap", "cannot read nowhere.pcap: No such file or directory (os error 2)"),
        (".", "cannot read .: Is a directory (os error 21)"),
        ("policy.toml", "policy.toml is no WAV, FLAC or Ogg recording: its format is not known"),
    ] {
        let output = site.run(&["analyze", "--json", file]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(document["files"][0]["fault"], wanted);
        assert_eq!(document["files"][0]["kind"], "unknown");
    }
}

#[test]
fn verifying_an_empty_folder_lists_what_is_missing() {
    let site = site();
    fs::create_dir(site.path("empty")).expect("a folder");
    let output = site.run(&["models", "verify", "--models", "empty"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.lines().count() > 5, "{text}");
    assert!(text.lines().all(|line| line.starts_with("missing   ")), "{text}");
    assert!(text.contains("wespeaker-resnet34/embedding.onnx"), "{text}");
}

#[test]
fn the_configuration_chooses_among_the_speaker_models() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    site.configure("[models]\n", "[models]\ndecide = \"ge2e-telephone\"\n");
    let output = site.run(&["check"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.contains("speaker model  ge2e-telephone@"), "{text}");
    site.configure("[models]\n", "[models]\nwatch = \"titanet\"\n");
    let said = refusal(&site.run(&["check"]));
    let known = "wespeaker-resnet34, ge2e-telephone";
    assert_eq!(
        said,
        format!("models.watch is \"titanet\", and the manifest's speaker models are {known}")
    );
}

#[test]
fn the_models_cards_are_json() {
    let output = site().run(&["models", "list", "--json"]);
    assert!(output.status.success());
    let models: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let embedder = models.iter().find(|model| model["role"] == "embedder").expect("an embedder");
    assert_eq!(embedder["name"], "wespeaker-resnet34");
    assert_eq!(embedder["embedder"]["front_end"], "kaldi-fbank");
    let uses = models.iter().filter_map(|model| model["embedder"]["use"].as_str());
    assert_eq!(uses.collect::<Vec<_>>(), ["decide", "watch"]);
    assert!(models.iter().all(|m| m["licence"].is_string() && m["files"].is_array()));
}

#[test]
fn a_good_configuration_is_said_to_be_good() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    let output = site.run(&["check"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert!(!site.path("vault.db").exists(), "looking makes nothing");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.contains("policy         default@1, 2 phrases"), "{text}");
    assert!(text.contains("vault.db, which is not made yet\n"), "{text}");
    assert!(
        text.ends_with("good: `sidetone serve` would listen on udp:127.0.0.1:0, tcp:127.0.0.1:0\n"),
        "{text}"
    );
    fs::remove_file(site.path("store.key")).expect("the site's own");
    let said = refusal(&site.run(&["check"]));
    assert!(said.contains("store.key (store.key_file): `sidetone vault init` makes one"), "{said}");
}

#[test]
fn receivers_of_verdicts_are_checked_with_their_secrets() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    let webhook = "[notify]\n[[notify.webhook]]\nname = \"crm\"\n\
        url = \"http://localhost/in\"\nsecret_file = \"crm.secret\"\n";
    site.configure("[notify]\n", webhook);
    let said = refusal(&site.run(&["check"]));
    let wanted = "cannot read the secret in crm.secret (notify.webhook.secret_file): No such file";
    assert!(said.starts_with(wanted), "{said}");
    site.write("crm.secret", "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n");
    let output = site.run(&["check"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success() && text.contains("\nverdicts to    crm\n"), "{text}");
    site.configure("[notify]\n", &webhook.replace("http://localhost", "http://crm.example.org"));
    let said = refusal(&site.run(&["check"]));
    assert!(
        said.contains("notify.webhook.url must be https://, or http:// to this machine"),
        "{said}"
    );
}

#[test]
fn every_subcommand_has_help() {
    let site = site();
    for (subcommand, example) in HELP {
        let output = site.run(&[subcommand, &["--help"][..]].concat());
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(text.contains("Usage: sidetone"), "{text}");
        if let Some(example) = example {
            assert!(text.contains("Example") && text.contains(example), "{text}");
        }
    }
}

#[test]
fn the_list_of_subcommands_is_whole() {
    let text = String::from_utf8(site().run(&["--help"]).stdout).expect("UTF-8");
    let (_, list) = text.split_once("Commands:\n").expect("a list");
    let listed = list.lines().take_while(|line| !line.is_empty()).map(str::trim);
    let listed: Vec<_> = listed.map(|line| line.split(' ').next().expect("a name")).collect();
    let mut tested: Vec<_> = HELP.iter().filter_map(|(s, _)| s.first().copied()).collect();
    tested.dedup();
    tested.push("help");
    assert_eq!(listed, tested, "a subcommand without a row in HELP");
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let site = site();
    fs::create_dir(site.path("empty")).expect("a folder");
    // Exit code 1 is what the work came to: the files are missing.
    for (arguments, code) in [
        (&["models", "list"][..], 0),
        (&["models", "verify", "--models", "empty"], 1),
        (&["models", "list", "--json"], 0),
        (&["enroll", "--help"], 0),
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = site.command(arguments);
        let child = command.stdout(writer).stderr(Stdio::piped()).spawn().expect("it runs");
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.is_empty(), "{arguments:?}: {said}");
    }
}

#[test]
fn results_that_cannot_be_written_are_a_fault() {
    let full = fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    let site = site();
    let mut command = site.command(&["models", "list", "--json"]);
    let output = command.stdout(full).output().expect("it runs");
    let said = refusal(&output);
    assert!(said.starts_with("cannot write to standard output: "), "{said}");
}

/// A copy of the models' folders with links in place of files.
fn linked(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a writable folder");
    for entry in fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let (file, link) = (entry.path(), to.join(entry.file_name()));
        if file.is_dir() {
            linked(&file, &link);
        } else {
            symlink(file, link).expect("a writable folder");
        }
    }
}

#[test]
fn a_policy_that_contradicts_itself_about_false_alarms_is_refused_with_its_line() {
    let site = site();
    let policy = |own: &str| {
        let head = "name = \"p\"\nversion = \"1\"\n[[phrase]]\nid = \"risk\"\ntext = \"at risk\"\n";
        site.write("policy.toml", format!("{head}{own}"));
        refusal(&site.run(&["check"]))
    };
    assert_eq!(
        policy("threshold = -3.0\nexpected_false_alarms_per_hour = 0.1"),
        "policy.toml, line 3 ([[phrase]]): phrase \"risk\" has a threshold and \
         expected_false_alarms_per_hour: one of them decides"
    );
    let said = policy("sensitivity = \"secret\"");
    assert!(
        said.starts_with(
            "policy.toml, line 6 (sensitivity = \"secret\"): unknown variant `secret`"
        ),
        "{said}"
    );
    assert_eq!(
        policy("[pronunciations]\nrisk = [\"R IH1 Q\"]"),
        "policy.toml, line 7 (risk = [\"R IH1 Q\"]): the pronunciation \"R IH1 Q\" of \"risk\" is to name phones of \
         CMUdict or IPA with spaces between: \"Q\" is none"
    );
}

#[test]
fn phrases_are_checked_before_anybody_watches_for_them() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    let phrase = |id: &str, text: &str, own: &str| {
        format!("[[phrase]]\nid = \"{id}\"\ntext = \"{text}\"\n{own}\n")
    };
    let write = |phrases: &[String]| {
        let head = "name = \"p\"\nversion = \"2\"\n";
        site.write("own.toml", format!("{head}{}", phrases.concat()));
    };
    let check = |more: &[&str]| {
        let arguments = [&["keywords", "check", "--policy", "own.toml"], more].concat();
        site.command(&arguments).output().expect("it runs")
    };

    write(&[
        phrase("risk", "your capital is at risk", ""),
        phrase("rare", "seldom said yet expected", "expected_false_alarms_per_hour = 0.01"),
    ]);
    let good = check(&[]);
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    let text = String::from_utf8(good.stdout).expect("UTF-8");
    assert!(text.ends_with("good: nothing to warn of\n"), "{text}");

    write(&[
        phrase("risk", "your capital is at risk", "sensitivity = \"personal\""),
        phrase("thirty", "thirty", ""),
        phrase("odd", "zzyzxqua", ""),
        phrase("part", "capital is at risk", ""),
        phrase("double", "double shot", ""),
        phrase("triple", "triple shot", ""),
        "[pronunciations]\nshot = [\"SH AA1 T\", \"ʃ ɔ t\"]\n".to_owned(),
    ]);
    let warned = check(&["--json"]);
    assert_eq!(warned.status.code(), Some(1), "{warned:?}");
    let document: serde_json::Value = serde_json::from_slice(&warned.stdout).expect("JSON");
    let kinds = |id: &str| -> Vec<String> {
        let all = document["warnings"].as_array().expect("a list").iter();
        let of = all.filter(|warning| warning["phrase"] == id);
        of.map(|warning| warning["kind"].as_str().expect("a word").to_owned()).collect()
    };
    assert_eq!(kinds("risk"), [""; 0]);
    assert_eq!(kinds("odd"), ["unpronounced"]);
    assert_eq!(kinds("part"), ["part"]);
    assert!(kinds("thirty").contains(&"short".to_owned()));
    assert!(kinds("triple").contains(&"confusable".to_owned()));
    assert!(!kinds("double").contains(&"confusable".to_owned()), "once is enough");
    let phrases = &document["phrases"];
    assert_eq!(phrases[0]["sensitivity"], "personal");
    assert_eq!(phrases[2]["missing"], serde_json::json!(["zzyzxqua"]));
    assert_eq!(phrases[4]["by_hand"], serde_json::json!(["shot"]));
    let odd =
        document["warnings"].as_array().expect("a list").iter().find(|w| w["phrase"] == "odd");
    let message = odd.expect("a warning")["message"].as_str().expect("a sentence");
    assert!(
        message.starts_with("own.toml, line 11: phrase \"odd\" cannot be looked for"),
        "{message}"
    );

    write(&[phrase("thirty", "thirty", "expected_false_alarms_per_hour = 0.1")]);
    let said = refusal(&check(&[]));
    assert!(
        said.starts_with("own.toml, line 3: phrase \"thirty\": with 4 phones it cannot have as few as 0.1 false alarms"),
        "{said}"
    );
    fs::create_dir(site.path("empty")).expect("a folder");
    let said = refusal(&check(&["--background", "empty"]));
    assert_eq!(said, "empty holds no recording: none ends with .wav, .flac, .ogg");
}

#[test]
fn a_background_tells_how_often_a_phrase_is_found() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    let phrase = "[[phrase]]\nid = \"degree\"\ntext = \"in the superlative degree\"\n";
    site.write("own.toml", format!("name = \"p\"\nversion = \"2\"\n{phrase}"));
    let background = store.join("recordings");
    let found = site
        .command(&["keywords", "check", "--policy", "own.toml", "--json", "--background"])
        .arg(&background)
        .output()
        .expect("it runs");
    let document: serde_json::Value = serde_json::from_slice(&found.stdout).expect("JSON");
    let counted = &document["phrases"][0]["background"];
    // Dickens says it once, and nothing like it; "the best of times" is too like "the worst of times".
    assert_eq!(counted["found"], 1, "{document}");
    assert!(counted["per_hour_interval"][1].as_f64() > counted["per_hour"].as_f64());
    assert_eq!(document["warnings"][0]["kind"], "background", "{document}");
    assert_eq!(found.status.code(), Some(1));
}
