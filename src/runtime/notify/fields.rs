//! A verdict as named values, for receivers that take no document: headers of an event, variables of a channel.

use crate::policy::verdict::{Finding, Verdict};
use crate::runtime::notify::notice::Notice;

/// The event that tells a verdict.
pub const VERDICT: &str = "SidetoneVerdict";
/// The event that warns an agent.
pub const WARNING: &str = "SidetoneWarning";

/// What an event says of a notice, the document itself apart: names, and values without line breaks.
pub fn fields(notice: &Notice) -> Vec<(&'static str, String)> {
    let verdict = &*notice.verdict;
    let (kind, decision) = verdict.finding.labels();
    let mut fields = vec![
        ("Id", notice.id.clone()),
        ("Conversation", verdict.conversation.clone()),
        ("Sequence", verdict.sequence.to_string()),
        ("Party", verdict.party.as_str().to_owned()),
        ("Kind", kind.to_owned()),
        ("Decision", decision.to_owned()),
    ];
    match &verdict.finding {
        Finding::Speaker { subject, .. } | Finding::Enrollment { subject, .. } => {
            fields.push(("Subject", subject.clone()));
        }
        Finding::Watchlist { entry, .. } => fields.push(("Entry", entry.clone())),
        Finding::Keyword { phrase, .. } => fields.push(("Phrase", phrase.clone())),
        Finding::Rule { rule, severity, .. } => {
            fields.push(("Rule", rule.clone()));
            fields.push(("Severity", severity.as_str().to_owned()));
        }
        Finding::Line { .. } | Finding::Pause { .. } => {}
    }
    fields.extend(notice.channel.clone().map(|channel| ("Channel", channel)));
    fields.extend(notice.agent.clone().map(|agent| ("AgentChannel", agent)));
    for (_, value) in &mut fields {
        *value = one_line(value);
    }
    fields
}

/// What the party's channel may know of a verdict, for a dialplan to read: name and value of each variable. A rule has
/// one of its own, so that none hides another.
pub fn variables(verdict: &Verdict) -> Vec<(String, String)> {
    let (kind, decision) = verdict.finding.labels();
    let plain = |name: &str, value: &str| vec![(format!("SIDETONE_{name}"), one_line(value))];
    match &verdict.finding {
        Finding::Speaker { probability, .. } => {
            let mut variables = plain("DECISION", decision);
            let probability =
                probability.map(|p| ("SIDETONE_PROBABILITY".to_owned(), format!("{p:.4}")));
            variables.extend(probability);
            variables
        }
        Finding::Watchlist { entry, .. } => plain("WATCHLIST", entry),
        Finding::Keyword { phrase, .. } => plain("PHRASE", phrase),
        Finding::Rule { rule, .. } => {
            let is_word = |c: char| c.is_ascii_alphanumeric();
            let word = rule.chars().map(|c| if is_word(c) { c.to_ascii_uppercase() } else { '_' });
            plain(&format!("RULE_{}", word.collect::<String>()), decision)
        }
        Finding::Line { .. } | Finding::Enrollment { .. } | Finding::Pause { .. } => {
            plain(&kind.to_ascii_uppercase(), decision)
        }
    }
}

/// Without control characters: a line break in a header that a caller's PBX copied would begin a header of its own.
pub fn one_line(value: &str) -> String {
    value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
