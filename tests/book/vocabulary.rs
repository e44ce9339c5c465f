//! What a handbook may name: subcommands and options as the binary's own help has them, and keys of the shipped
//! configuration, those in comments too.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Subcommands and their options.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    /// "vault show" to its options: "--json".
    commands: BTreeMap<String, BTreeSet<String>>,
    /// "sip.tls.certificate"; and each table: "sip.tls".
    keys: BTreeSet<String>,
}

impl Vocabulary {
    /// Asks the binary, and reads the configuration.
    pub(crate) fn learn() -> Self {
        let mut commands = BTreeMap::new();
        ask("", &mut commands);
        Self { commands, keys: keys(include_str!("../../config/sidetone.toml")) }
    }

    /// The subcommands that do something themselves.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = &str> {
        self.commands.keys().map(String::as_str).filter(|command| {
            let inner = format!("{command} ");
            !command.is_empty() && !self.commands.keys().any(|other| other.starts_with(&inner))
        })
    }

    /// What of `words`, which begin with "sidetone", the binary would not understand.
    pub(crate) fn fault(&self, words: &[String]) -> Option<String> {
        let mut command = String::new();
        let mut rest = &words[1..];
        while let Some((next, behind)) = rest.split_first() {
            let longer = format!("{command} {next}").trim_start().to_owned();
            if !self.commands.contains_key(&longer) {
                break;
            }
            (command, rest) = (longer, behind);
        }
        let is_leaf = self.leaves().any(|leaf| leaf == command);
        if !is_leaf && rest.first().is_some_and(|word| !word.starts_with('-')) {
            return Some(format!("sidetone {command} has no subcommand {:?}", rest[0]));
        }
        let options = &self.commands[&command];
        let unknown = rest.iter().take_while(|word| *word != "--").find(|word| {
            let name = word.split_once('=').map_or(word.as_str(), |(name, _)| name);
            name.starts_with("--") && name.len() > 2 && !options.contains(name)
        });
        unknown.map(|word| format!("sidetone {command} has no option {word}"))
    }

    /// Whether `name` looks like a key of the configuration, and whether there is one of that name.
    pub(crate) fn key(&self, name: &str) -> Option<bool> {
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let letters = |letter: char| {
            letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_.".contains(letter)
        };
        let (table, last) = name.split_once('.')?;
        let file = ["key", "toml", "socket", "service"].contains(&last);
        let is_table = self.keys.iter().any(|key| key == table);
        let there = self.keys.contains(name);
        (is_table && name.chars().all(letters) && (there || !file)).then_some(there)
    }
}

/// Adds what `sidetone COMMAND --help` tells, and asks the same of its subcommands.
fn ask(command: &str, commands: &mut BTreeMap<String, BTreeSet<String>>) {
    let mut asked = Command::new(env!("CARGO_BIN_EXE_sidetone"));
    asked.args(command.split_whitespace()).arg("--help");
    let output = asked.output().expect("the binary runs");
    assert!(output.status.success(), "sidetone {command} --help: {output:?}");
    let help = String::from_utf8(output.stdout).expect("UTF-8");
    let (mut options, mut inner, mut section) = (BTreeSet::new(), Vec::new(), "");
    for line in help.lines() {
        if !line.starts_with(' ') && line.ends_with(':') {
            section = line;
        }
        match section {
            "Commands:" if line.starts_with("  ") && !line.starts_with("   ") => {
                inner.extend(line.split_whitespace().next().filter(|name| *name != "help"));
            }
            "Options:" if line.trim_start().starts_with('-') => {
                let names = line.split([' ', ',', '[', '.']).filter(|word| word.starts_with("--"));
                options.extend(names.map(str::to_owned));
            }
            _ => {}
        }
    }
    commands.insert(command.to_owned(), options);
    for name in inner {
        ask(format!("{command} {name}").trim_start(), commands);
    }
}

/// What in a text looks like the name of a metric; one that ends in `_` stands for all that begin so.
pub(crate) fn metrics(text: &str) -> impl Iterator<Item = &str> {
    let inner =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    text.match_indices("sidetone_").filter_map(move |(at, _)| {
        let begins = text[..at]
            .chars()
            .next_back()
            .is_none_or(|before| !inner(before) && !"/-".contains(before));
        let end = text[at..].find(|letter| !inner(letter)).map_or(text.len(), |length| at + length);
        // A file's name goes on.
        let file = text[end..].strip_prefix('.').is_some_and(|rest| rest.starts_with(inner));
        (begins && !file).then(|| &text[at..end])
    })
}

/// Tables and keys of a configuration, whether they stand in a comment or not.
fn keys(text: &str) -> BTreeSet<String> {
    let (mut keys, mut table) = (BTreeSet::new(), String::new());
    for line in text.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if let Some(name) =
            line.strip_prefix('[').and_then(|line| line.trim_end().strip_suffix(']'))
        {
            table = name.trim_start_matches('[').trim_end_matches(']').to_owned();
            keys.insert(table.clone());
        } else if let Some((name, _)) = line.split_once(" = ")
            && name.chars().all(|letter| {
                letter.is_ascii_lowercase() || letter == '_' || letter.is_ascii_digit()
            })
        {
            keys.insert(format!("{table}.{name}"));
        }
    }
    keys
}
