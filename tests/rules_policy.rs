//! Policies that make no sense, each with its sentence, and the audit of what was kept.
#![expect(clippy::disallowed_methods, reason = "a test runs the binary and writes files")]

mod policies;

use std::path::Path;
use std::process::{Command, Output};

use policies::{CONTRADICTIONS, NAMES, PHRASES, RULES, SIGNALS, WORDS};
use sidetone::config::parse_policy;

/// What is wrong with the policy of the two phrases and `rest`.
fn says(rest: &str) -> String {
    let text = format!("{PHRASES}{rest}");
    parse_policy(Path::new("policy.toml"), &text).expect_err("a bad policy").to_string()
}

/// Each policy's sentence begins as it should.
#[track_caller]
fn say(bad: &[(&str, &str)]) {
    for (rules, wanted) in bad {
        let text = format!("{PHRASES}{rules}");
        let said = parse_policy(Path::new("policy.toml"), &text).expect_err(rules).to_string();
        assert!(said.starts_with(wanted) && !said.contains('\n'), "{said}, wanted {wanted}");
    }
}

#[test]
fn a_bad_action_is_a_sentence_with_its_file_line_and_name() {
    let of = |rest: &str| says(&format!("[[action]]\nid = 'x'\n{rest}\n"));
    let at_action = |sentence: &str| format!("policy.toml, line 10 ([[action]]): {sentence}");
    let asks = |act: &str| format!("speaker = ['rejected']\nby = 'pbx'\ndo = [{act}]");
    for (rest, sentence) in [
        (
            "by = 'pbx'\ndo = ['hang_up_call']".to_owned(),
            "the action \"x\" needs speaker, phrases or rules, and with rules their states",
        ),
        (
            "rules = ['r']\nby = 'pbx'\ndo = ['hang_up_call']".to_owned(),
            "the action \"x\" names the rule \"r\", which the policy does not have",
        ),
        (
            "phrases = ['c']\nby = 'pbx'\ndo = ['hang_up_call']".to_owned(),
            "the action \"x\" names the phrase \"c\", which the policy does not have",
        ),
        (
            "speaker = ['rejected']\ndo = ['hang_up_tap', 'hang_up_call']".to_owned(),
            "the action \"x\" needs by, the name of the receiver in sidetone.toml that does it",
        ),
        (asks(""), "the action \"x\" needs do, what is done"),
        (
            asks("{ redirect = 'step-up' }"),
            "the action \"x\" redirects to \"step-up\": context,extension,priority is wanted",
        ),
        (
            asks("{ redirect = 'step up,s,1' }"),
            "the action \"x\" redirects to \"step up,s,1\": context,extension,priority is wanted",
        ),
        (
            asks("{ set = { variable = '1A', value = '' } }"),
            "the action \"x\" sets the variable \"1A\": letters, digits and '_' are wanted, not a digit first",
        ),
        (
            asks("{ warn = 'call {desicion}' }"),
            "the action \"x\" names {desicion}; a text may name conversation, sequence, party, ",
        ),
        (
            format!("{}\nparty = 'mixed'", asks("'hang_up_call'")),
            "the action \"x\" is to be done to the caller or the agent",
        ),
        (
            format!("{}\n[[action]]\nid = 'x'\n{0}", asks("'hang_up_call'")),
            "two actions have the id \"x\"",
        ),
    ] {
        let (said, at) = (of(&rest), at_action(sentence));
        let twice = sentence.starts_with("two");
        let fits = if twice { said.ends_with(sentence) } else { said.starts_with(&at) };
        assert!(fits, "{rest}\nsaid {said}\nwanted {at}");
    }
    assert!(of(&asks("'ring_a_bell'")).contains("unknown variant `ring_a_bell`"));
}

#[test]
fn what_touches_a_call_may_not_rest_on_an_experiment() {
    let german = "[[phrase]]\nid = 'g'\ntext = 'das gespräch wird aufgezeichnet'\nlanguage = 'de'\n\
        [[rule]]\nid = 'r'\nkind = 'forbidden'\nphrases = ['g']\n";
    let with = |cause: &str, act: &str| {
        format!("{german}[[action]]\nid = 'x'\n{cause}\nby = 'pbx'\ndo = [{act}]\n")
    };
    for cause in ["phrases = ['g']", "rules = ['r']"] {
        let said = says(&with(cause, "{ redirect = 'a,s,1' }"));
        let wanted = "which rests on an experiment: it may set and warn";
        assert!(said.ends_with(wanted), "{said}");
        let fine = format!("{PHRASES}{}", with(cause, "{ warn = '{rule}' }"));
        assert!(parse_policy(Path::new("policy.toml"), &fine).is_ok());
    }
}

#[test]
fn a_bad_pause_is_a_sentence_with_its_file_line_and_name() {
    let of = |rest: &str| says(&format!("[[pause]]\nid = 'p'\n{rest}\n"));
    let at_pause = |sentence: &str| format!("policy.toml, line 10 ([[pause]]): {sentence}");
    for (rest, sentence) in [
        (
            "legs = []\ncards = true",
            "the pause \"p\" needs legs: [\"caller\"], [\"agent\"] or both",
        ),
        ("legs = ['caller']", "the pause \"p\" needs begin, the ids of phrases, or cards = true"),
        (
            "legs = ['caller']\nbegin = ['c']",
            "the pause \"p\" names the phrase \"c\", which the policy does not have",
        ),
        (
            "legs = ['caller']\nbegin = ['b']\nparties = ['caller']",
            "the pause \"p\" waits for \"b\" from the caller, on whose leg it is not watched",
        ),
        (
            "legs = ['agent']\nbegin = ['a']\nresume = ['b']",
            "the pause \"p\" is to end with \"b\", which is watched on no leg that is still heard",
        ),
        (
            "legs = ['caller']\nbegin = ['b']\nresume = ['b']",
            "the pause \"p\" both begins and ends with \"b\"",
        ),
        (
            "legs = ['caller']\nbegin = ['b']\nlanguage = 'de'",
            "the pause \"p\" has a language, and no cards = true that it could be of",
        ),
        (
            "legs = ['caller']\ncards = true\nat_most_s = 0",
            "at_most_s of the pause \"p\" must be above 0 and at most 3600 s, found 0",
        ),
        (
            "legs = ['caller']\ncards = true\nat_most_s = 4000",
            "at_most_s of the pause \"p\" must be above 0 and at most 3600 s, found 4000",
        ),
    ] {
        assert_eq!(of(rest), at_pause(sentence));
    }
    let twice = "[[pause]]\nid = 'p'\nlegs = ['caller']\ncards = true\n".repeat(2);
    assert_eq!(says(&twice), "policy.toml, line 14 ([[pause]]): two pauses have the id \"p\"");
    let odd = says("[[pause]]\nid = 'p q'\nlegs = ['caller']\ncards = true\n");
    assert!(odd.contains("line 10 ([[pause]]): the pause's id \"p q\" holds something"), "{odd}");
    let unknown = of("legs = ['caller']\ncards = true\nlanguage = 'fr'");
    assert!(unknown.contains("line 14 (language = 'fr')"), "{unknown}");
}

#[test]
fn a_bad_rule_is_a_sentence_with_its_file_line_and_name() {
    say(RULES);
}

#[test]
fn an_unknown_key_or_kind_is_named_with_its_own_line() {
    say(WORDS);
}

#[test]
fn a_signal_to_nobody_who_is_known_or_of_no_state_is_named_with_its_own_line() {
    say(SIGNALS);
}

#[test]
fn the_example_signals_in_the_shipped_policy_are_good() {
    let shipped = include_str!("../config/policy.toml");
    let example = |start: &str| {
        let line = shipped.lines().rfind(|line| line.starts_with(start));
        line.unwrap_or_else(|| panic!("{start} stands there")).trim_start_matches("# ")
    };
    let rule = example("# signal = { info = [\"agent\"], states");
    let phrase = example("# signal = { info = [\"agent\"], log");
    let (usual, severity) = (example("# [signal]"), example("# severity = "));
    let rule =
        format!("[[rule]]\nid = 'r'\nkind = 'count'\nphrases = ['a']\nat_most = 1\n{rule}\n");
    let phrase = format!("[[phrase]]\nid = 'c'\ntext = 'three'\n{phrase}\n");
    let text = format!("{PHRASES}{phrase}{rule}{usual}\n{severity}\n");
    parse_policy(Path::new("policy.toml"), &text).expect("good examples");
}

#[test]
fn two_rules_that_cannot_both_be_kept_are_named_together() {
    say(CONTRADICTIONS);
    let good = |required: &str, forbidden: &str| {
        let text = format!(
            "{PHRASES}[[rule]]\nid = 'say'\nkind = 'required'\nphrases = ['a']\n{required}\n\
             [[rule]]\nid = 'hush'\nkind = 'forbidden'\nphrases = ['a']\n{forbidden}\n"
        );
        parse_policy(Path::new("policy.toml"), &text).expect("they can both be kept");
    };
    good("parties = ['agent']", "parties = ['caller']");
    good("", "after = 'b'");
    good("", "when = { queue = ['q'] }");
}

#[test]
fn rules_and_phrases_with_one_id_or_none_are_named_with_their_line() {
    say(NAMES);
}

/// Runs `sidetone audit rules` over `events` with a rule that wants "a" within 5 s.
fn audit(folder: &Path, events: &str, arguments: &[&str]) -> Output {
    let rule = "[[rule]]\nid = 'r'\nkind = 'required'\nphrases = ['a']\nwithin_s = 5\n";
    let (policy, kept) = (folder.join("policy.toml"), folder.join("kept.jsonl"));
    std::fs::write(&policy, format!("{PHRASES}{rule}")).expect("a writable folder");
    std::fs::write(&kept, events).expect("a writable folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidetone"));
    let command = command.env_clear().args(["audit", "rules"]).arg("--policy").arg(policy);
    command.args(arguments).arg(kept).output().expect("the program")
}

const KEPT: &str = r#"{"version":1,"conversation":"k1","event":"started","started":"2026-11-27T10:00:00Z"}
{"version":1,"conversation":"k1","event":"joined","leg":0,"party":"caller","at_ms":0}
{"version":1,"conversation":"k2","event":"started","started":"2026-11-27T11:00:00Z"}
{"version":1,"conversation":"k2","event":"joined","leg":0,"party":"caller","at_ms":0}
{"version":1,"conversation":"k1","event":"phrase","leg":0,"phrase":"a","from_ms":4000,"to_ms":5000}
{"version":1,"conversation":"k1","event":"phrase","leg":0,"phrase":"of another policy","from_ms":1000,"to_ms":2000}
{"version":1,"conversation":"k1","event":"analysed","leg":0,"until_ms":8000}
{"version":1,"conversation":"k2","event":"analysed","leg":0,"until_ms":8000}
{"version":1,"conversation":"k1","event":"over","at_ms":9000}
"#;

#[test]
fn what_was_kept_is_judged_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let json = audit(folder.path(), KEPT, &["--json"]);
    assert_eq!(json.status.code(), Some(1), "k2 is violated");
    let document: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    let wanted = serde_json::json!({ "policy": "p@1", "conversations": [
        { "conversation": "k1", "rules": [{
            "rule": "r", "kind": "required", "severity": "warning", "state": "met", "reason": "said",
            "since_s": 5.0, "deadline_s": 5.0,
            "phrases": [{ "phrase": "a", "sensitivity": "public", "party": "caller", "start_s": 4.0, "end_s": 5.0 }] }] },
        { "conversation": "k2", "rules": [{
            "rule": "r", "kind": "required", "severity": "warning", "state": "violated",
            "reason": "not_said", "since_s": 5.0, "deadline_s": 5.0, "phrases": [] }] },
    ]});
    assert_eq!(document, wanted);
    let backwards: String = KEPT.lines().rev().map(|line| line.to_owned() + "\n").collect();
    assert_eq!(audit(folder.path(), &backwards, &["--json"]).stdout, json.stdout);
    let k1: String = KEPT
        .lines()
        .filter(|line| line.contains("k1"))
        .map(|line| line.to_owned() + "\n")
        .collect();
    let table = audit(folder.path(), &k1, &[]);
    assert_eq!(table.status.code(), Some(0));
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.starts_with("k1\n  r  warning   met "), "{table}");
    assert!(table.contains("caller a 4.00-5.00"), "{table}");
}

#[test]
fn a_line_that_is_no_event_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let bad = audit(folder.path(), "\n{\"version\":1}\n", &[]);
    assert_eq!(bad.status.code(), Some(2));
    let message = String::from_utf8_lossy(&bad.stderr).into_owned();
    assert!(
        message.contains("kept.jsonl, line 2: an event was wanted: missing field"),
        "{message}"
    );
}

#[test]
fn the_examples_in_the_shipped_policy_are_good() {
    let shipped = include_str!("../config/policy.toml");
    let (policy, _) = shipped.split_once("# In English:\n").expect("examples");
    // Each kind of table is a paragraph, which ends with its examples.
    let examples = shipped.split("\n\n").filter_map(|part| part.split_once("# In English:\n"));
    let lines = examples.flat_map(|(_, examples)| examples.lines());
    let lines = lines.map(|line| line.trim_start_matches('#').trim_start());
    let lines: Vec<&str> = lines.filter(|line| !line.ends_with([':', '.'])).collect();
    let text = format!("{policy}{}", lines.join("\n"));
    let policy = parse_policy(Path::new("policy.toml"), &text).expect("good examples");
    let ids: Vec<&str> = policy.rules.iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(ids, ["recording-consent", "notice-at-once"]);
    let ids: Vec<&str> = policy.pauses.iter().map(|pause| pause.id.as_str()).collect();
    assert_eq!(ids, ["card", "karte"]);
    let ids: Vec<&str> = policy.actions.iter().map(|action| action.id.as_str()).collect();
    assert_eq!(ids, ["step-up", "remind"]);
}
