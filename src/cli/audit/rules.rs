//! `sidetone audit rules`: the rules over conversations that were kept, with the rule book of a live call.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde::Serialize;

use crate::cli::{Outcome, Refusal, println};
use crate::config::{self, ConfigError};
use crate::policy::rule::Policy;
use crate::policy::rules::book::RuleBook;
use crate::policy::rules::event::{Event, Record, in_order};
use crate::policy::rules::standing::{RuleState, Standing};
use crate::policy::verdict::Rested;

/// Arguments of `sidetone audit rules`.
#[derive(Debug, Args)]
#[command(
    after_help = "A kept file has one event of one conversation in each line, as JSON: `sidetone analyze \
    --events` writes them.\nThe order of the lines does not matter. Phrases that the policy does not have are \
    passed over; those\nthat it has must have been watched when the file was made.\n\n\
    Examples:\n  \
    sidetone audit rules --policy policy.toml kept/*.jsonl\n  \
    sidetone audit rules --policy new.toml --json kept.jsonl | jq '.conversations[].rules[] | select(.state == \"violated\")'\n\n\
    Exit code 1 if a rule is violated."
)]
pub struct Arguments {
    /// The rules.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Print the result as one JSON document.
    #[arg(long)]
    json: bool,
    /// Kept events.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// What every conversation came to.
#[derive(Debug, Serialize)]
struct Document {
    policy: String,
    conversations: Vec<Conversation>,
}

#[derive(Debug, Serialize)]
struct Conversation {
    conversation: String,
    rules: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    rule: String,
    kind: &'static str,
    severity: &'static str,
    state: RuleState,
    reason: &'static str,
    since_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline_s: Option<f64>,
    phrases: Vec<Rested>,
}

/// Judges every conversation of the files.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let file = &arguments.policy;
    let text = std::fs::read_to_string(file)
        .map_err(|error| ConfigError::Unreadable { file: file.clone(), error })?;
    let policy = Arc::new(config::parse_policy(file, &text)?);
    let mut events: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    for file in &arguments.files {
        read(file, &mut events)?;
    }
    let conversations = events.into_iter().map(|(name, events)| judge(name, events, &policy));
    let document =
        Document { policy: policy.versioned_name(), conversations: conversations.collect() };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        document.conversations.iter().for_each(print);
    }
    let rows = document.conversations.iter().flat_map(|conversation| &conversation.rules);
    let violated = rows.into_iter().any(|row| row.state == RuleState::Violated);
    Ok(if violated { Outcome::Problem } else { Outcome::Done })
}

fn read(file: &Path, events: &mut BTreeMap<String, Vec<Event>>) -> Result<(), Refusal> {
    let unreadable = |error| format!("cannot read {}: {error}", file.display());
    let lines = BufReader::new(File::open(file).map_err(unreadable)?).lines();
    for (number, line) in lines.enumerate() {
        let line = line.map_err(unreadable)?;
        if line.trim().is_empty() {
            continue;
        }
        let record = Record::parse(&line)
            .map_err(|error| format!("{}, line {}: {error}", file.display(), number + 1))?;
        events.entry(record.conversation).or_default().push(record.event);
    }
    Ok(())
}

fn judge(conversation: String, mut events: Vec<Event>, policy: &Arc<Policy>) -> Conversation {
    let mut book = RuleBook::new(Arc::clone(policy));
    in_order(&mut events);
    events.iter().for_each(|event| book.handle(event));
    let rules =
        book.standings().map(|(rule, Standing { state, reason, since, deadline, basis })| {
            let said = |said| {
                let (phrase, party) = book.describe(said);
                let (start_s, end_s) = (seconds(said.from), seconds(said.to));
                let (phrase, sensitivity) = (phrase.to_owned(), policy.sensitivity(phrase));
                Rested { phrase, sensitivity, party, start_s, end_s }
            };
            Row {
                rule: rule.id.clone(),
                kind: rule.kind.as_str(),
                severity: rule.severity.as_str(),
                state,
                reason: reason.as_str(),
                since_s: seconds(since),
                deadline_s: deadline.map(seconds),
                phrases: basis.into_iter().map(said).collect(),
            }
        });
    Conversation { conversation, rules: rules.collect() }
}

/// Whole milliseconds, as events are kept and as the verdicts of the call had them.
fn seconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1000.0
}

fn print(conversation: &Conversation) {
    println!("{}", conversation.conversation);
    let width = conversation.rules.iter().map(|row| row.rule.len()).max().unwrap_or(0);
    for row in &conversation.rules {
        let color = match row.state {
            RuleState::Violated => AnsiColor::Red,
            RuleState::Met => AnsiColor::Green,
            RuleState::Unknown => AnsiColor::Yellow,
            RuleState::Pending | RuleState::NotApplicable => AnsiColor::White,
        };
        let style = Style::new().fg_color(Some(color.into()));
        let said = row.phrases.iter().map(|said| {
            format!("{} {} {:.2}-{:.2}", said.party.as_str(), said.phrase, said.start_s, said.end_s)
        });
        let said = said.collect::<Vec<_>>().join(", ");
        println!(
            "  {:width$}  {:8}  {style}{:14}{style:#}  {:8.2} s  {:12}  {said}",
            row.rule,
            row.severity,
            row.state.as_str(),
            row.since_s,
            row.reason
        );
    }
}
