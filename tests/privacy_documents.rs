//! The templates in `config/privacy`: every setting that they name exists, both languages name the same ones with the same
//! defaults, and each names the paragraph that it answers to.
#![expect(clippy::disallowed_methods, reason = "a test reads the files of the repository")]

use std::collections::BTreeSet;
use std::fs;

const DOCUMENTS: [&str; 3] = ["processing-record", "impact-assessment", "caller-information"];

/// Keys of a configuration in which some stand behind `# `: "store.retention.gathering_days", "sip.peer.srtp", and tables
/// of several as "[[pause]]".
fn keys(text: &str) -> BTreeSet<String> {
    let (mut table, mut keys) = (String::new(), BTreeSet::new());
    for line in text.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if let Some(name) = line.strip_prefix("[[").and_then(|line| line.split_once("]]")) {
            table = name.0.to_owned();
            keys.insert(format!("[[{table}]]"));
        } else if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            table = name.to_owned();
        } else if let Some((key, _)) = line.split_once(" = ")
            && key
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        {
            keys.insert(format!("{table}.{key}"));
        }
    }
    keys
}

/// The rows of the table of settings: key, default, paragraph.
fn settings(language: &str, document: &str) -> Vec<(String, String, String)> {
    let text = fs::read_to_string(format!("config/privacy/{language}/{document}.md"));
    let text = text.expect("the document");
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let key = cells.next()?.strip_suffix('`')?.to_owned();
        let (default, rest) = (cells.next()?, cells.next()?);
        Some((key, default.to_owned(), rest.trim_end_matches(" |").to_owned()))
    };
    text.lines().filter_map(row).collect()
}

#[test]
fn every_setting_that_is_named_exists_and_says_which_paragraph_it_answers_to() {
    let mut known = keys(include_str!("../config/sidetone.toml"));
    known.extend(keys(include_str!("../config/policy.toml")));
    for document in DOCUMENTS {
        for language in ["de", "en"] {
            let settings = settings(language, document);
            assert!(settings.len() >= 10, "{language}/{document}: {} settings", settings.len());
            for (key, _, paragraph) in &settings {
                assert!(known.contains(key), "{language}/{document}: there is no key {key}");
                assert!(paragraph.contains("Art. "), "{language}/{document}: {key}: {paragraph}");
            }
        }
    }
}

#[test]
fn both_languages_name_the_same_settings_and_the_same_paragraphs() {
    for document in DOCUMENTS {
        let (german, english) = (settings("de", document), settings("en", document));
        assert_eq!(german.len(), english.len(), "{document}");
        for (german, english) in german.iter().zip(&english) {
            assert_eq!(german.0, english.0, "{document}");
            // "Art. 5 Abs. 1 Buchst. c" and "Art. 5 (1) (c)" have the numbers in common.
            let numbers = |text: &str| -> Vec<u32> {
                let law = text.split(':').next().expect("a first part");
                let words = law.split(|c: char| !c.is_ascii_digit());
                words.filter_map(|word| word.parse().ok()).collect()
            };
            assert_eq!(numbers(&german.2), numbers(&english.2), "{document}: {}", german.0);
        }
    }
}

#[test]
fn the_defaults_that_they_tell_are_those_of_the_shipped_configuration() {
    let shipped = include_str!("../config/sidetone.toml");
    for (key, wanted) in [
        ("unused_voiceprint_days", "1096"),
        ("gathering_days", "45"),
        ("erase_on_withdrawal", "true"),
        ("passive", "false"),
        ("standing", "false"),
        ("days", "1096"),
        ("events_days", "30"),
        ("keep_s", "3600"),
    ] {
        let line = format!("{key} = {wanted}");
        assert!(shipped.contains(&line), "the configuration has {line}");
        let rows = DOCUMENTS.iter().flat_map(|d| [settings("de", d), settings("en", d)]).flatten();
        for (named, default, _) in rows.filter(|row| row.0.ends_with(&format!(".{key}"))) {
            assert_eq!(default, wanted, "{named}");
        }
    }
}

#[test]
fn each_says_that_it_is_no_legal_advice_and_names_the_laws() {
    for document in DOCUMENTS {
        for (language, words) in [
            ("de", ["**Vorlage, keine Rechtsberatung.**", "§ 201 StGB", "§ 26"]),
            ("en", ["**A template, not legal advice.**", "section 201", "section 26"]),
        ] {
            let text = fs::read_to_string(format!("config/privacy/{language}/{document}.md"));
            let text = text.expect("the document");
            for word in words {
                assert!(text.contains(word), "{language}/{document} says {word}");
            }
        }
    }
}
