//! Whether a command said what the handbook shows: times and digests are any, `...` is anything.

use serde_json::Value;

/// What differs, if anything does.
pub(crate) fn difference(language: &str, wanted: &str, found: &str) -> Option<String> {
    if language == "json" {
        return json_difference(wanted, found);
    }
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| plain(line.trim_end()));
        lines.filter(|line| !line.is_empty()).collect()
    };
    let (wanted, found) = (lines(wanted), lines(found));
    (!lines_fit(&wanted, &found)).then(|| {
        let all =
            |lines: &[String]| lines.iter().map(|line| format!("    {line}\n")).collect::<String>();
        format!("wanted\n{}found\n{}", all(&wanted), all(&found))
    })
}

/// Whether the lines fit; a line of `...` is any number of lines.
fn lines_fit(wanted: &[String], found: &[String]) -> bool {
    match wanted.split_first() {
        None => found.is_empty(),
        Some((line, rest)) if line == "..." => {
            (0..=found.len()).any(|skipped| lines_fit(rest, &found[skipped..]))
        }
        Some((line, rest)) => {
            found.first().is_some_and(|first| fits(line, first)) && lines_fit(rest, &found[1..])
        }
    }
}

/// Whether `found` is `wanted`, in which `...` stands for anything.
fn fits(wanted: &str, found: &str) -> bool {
    let Some((before, after)) = wanted.split_once("...") else { return wanted == found };
    let Some(rest) = found.strip_prefix(before) else { return false };
    (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| fits(after, &rest[at..]))
}

/// A line without what differs from run to run: widths of columns, times, digests.
fn plain(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let core = word.trim_matches(['"', ',', ':', '(', ')', ';']);
        match () {
            () if is_time(core) => word.replace(core, "<time>"),
            () if is_digest(core) => word.replace(core, "<digest>"),
            () => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn is_time(word: &str) -> bool {
    word.parse::<jiff::Timestamp>().is_ok() || word.parse::<jiff::civil::Date>().is_ok()
}

/// Twelve hexadecimal digits and more, of which not all are decimal.
fn is_digest(word: &str) -> bool {
    let word = word.trim_end_matches("...");
    word.len() >= 12
        && word.chars().all(|letter| letter.is_ascii_hexdigit())
        && word.chars().any(|letter| letter.is_ascii_alphabetic())
}

fn json_difference(wanted: &str, found: &str) -> Option<String> {
    let parse = |text: &str| -> Result<Vec<Value>, serde_json::Error> {
        serde_json::Deserializer::from_str(text).into_iter().collect()
    };
    let said = |error| format!("{error}: wanted\n{wanted}\nfound\n{found}");
    let (wanted, found) = match (parse(wanted), parse(found)) {
        (Ok(wanted), Ok(found)) => (Value::from(wanted), Value::from(found)),
        (Err(error), _) | (_, Err(error)) => return Some(said(error)),
    };
    value_difference(&wanted, &found, "").map(|what| format!("{what} of {found:#}"))
}

/// A string `...` is anything; a member `"..."` allows others beside those named.
fn value_difference(wanted: &Value, found: &Value, path: &str) -> Option<String> {
    let differs = || Some(format!("{path}: wanted {wanted}, found {found}"));
    match (wanted, found) {
        (Value::String(text), _) if text == "..." => None,
        (Value::Object(wanted_members), Value::Object(members)) => {
            let open = wanted_members.contains_key("...");
            if let Some(name) =
                members.keys().find(|name| !open && !wanted_members.contains_key(*name))
            {
                return Some(format!("{path}: {name:?} is not wanted"));
            }
            wanted_members.iter().filter(|(name, _)| *name != "...").find_map(|(name, wanted)| {
                let path = format!("{path}.{name}");
                match members.get(name) {
                    Some(found) => value_difference(wanted, found, &path),
                    None => Some(format!("{path}: not there")),
                }
            })
        }
        (Value::Array(wanted_items), Value::Array(items)) if wanted_items.len() == items.len() => {
            let mut pairs = wanted_items.iter().zip(items).enumerate();
            pairs.find_map(|(place, (wanted, found))| {
                value_difference(wanted, found, &format!("{path}[{place}]"))
            })
        }
        (Value::String(wanted), Value::String(found)) if fits(&plain(wanted), &plain(found)) => {
            None
        }
        _ if wanted == found => None,
        _ => differs(),
    }
}

#[test]
fn what_varies_is_passed_over_and_what_does_not_is_told() {
    let wanted = "persons  1 caller\n...\nits end is 0123456789ab at 2026-11-27T10:00:00Z\n";
    let found =
        "persons 1 caller\nmore\nand more\nits end is ffff56789abc at 2027-01-01T00:00:01Z\n";
    assert_eq!(difference("text", wanted, found), None);
    assert!(difference("text", wanted, &found.replace("1 caller", "2 caller")).is_some());
    let (wanted, found) = (r#"{"a": "...", "b": [1], "...": 0}"#, r#"{"a": 5, "b": [1], "c": 2}"#);
    assert_eq!(difference("json", wanted, found), None);
    let told = difference("json", &wanted.replace(", \"...\": 0", ""), found);
    assert!(told.is_some_and(|told| told.contains("\"c\" is not wanted")));
    assert!(difference("json", wanted, &found.replace("[1]", "[2]")).is_some());
}
