//! A rule, as it is judged.

use std::time::Duration;

use serde::Deserialize;

use crate::policy::rule::Party;
use crate::policy::rules::condition::Condition;
use crate::policy::rules::standing::Severity;
use crate::policy::rules::table::Table;
use crate::policy::signal::RuleSignal;

/// One `[[rule]]` of a policy.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Table")]
pub struct Rule {
    /// Short name for verdicts.
    pub id: String,
    /// Who has to, or must not, say it; everybody if empty. Of a consent: the one who asks.
    pub parties: Vec<Party>,
    /// How bad a violation is.
    pub severity: Severity,
    /// Which conversations it is for.
    pub when: Condition,
    /// Whom it is signalled to.
    pub signal: RuleSignal,
    /// What it asks for.
    pub kind: Kind,
}

/// What a rule asks for; phrases are ids of the policy.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// One of `phrases` is said in time.
    Required {
        /// Any of them will do.
        phrases: Vec<String>,
        /// From when on.
        after: Anchor,
        /// Until when.
        limit: Limit,
    },
    /// None of `phrases` is said.
    Forbidden {
        /// Each is forbidden.
        phrases: Vec<String>,
        /// Only once this phrase was said.
        after: Option<String>,
        /// Only until this phrase was said.
        before: Option<String>,
    },
    /// All of `phrases` are said, each after the one before.
    Sequence {
        /// In this order.
        phrases: Vec<String>,
        /// Longest time from the beginning of the first to the end of the last.
        within: Option<Duration>,
    },
    /// A question is asked and the other party agrees to it.
    Consent {
        /// Any of them is the question.
        question: Vec<String>,
        /// What the other party agrees with.
        assent: Vec<String>,
        /// What the other party refuses with.
        refusal: Vec<String>,
        /// Longest time from the end of the question to the end of the answer.
        within: Duration,
        /// Whether a conversation in which nobody asks breaks the rule.
        must_ask: bool,
    },
    /// The phrases are said so many times, all taken together.
    Count {
        /// Each counts.
        phrases: Vec<String>,
        /// Not less often.
        at_least: Option<u32>,
        /// Not more often.
        at_most: Option<u32>,
    },
}

/// What time is counted from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The conversation's first audio.
    CallStart,
    /// When the caller is answered: the agent's audio begins.
    Answered,
    /// The end of this phrase, the first time that anybody says it.
    Phrase(String),
}

/// Until when something is to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Before so much time is over.
    Within(Duration),
    /// Before anybody begins to say this phrase.
    Before(String),
    /// Before the conversation is over.
    End,
}

impl Kind {
    /// The word in the policy file.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Required { .. } => "required",
            Self::Forbidden { .. } => "forbidden",
            Self::Sequence { .. } => "sequence",
            Self::Consent { .. } => "consent",
            Self::Count { .. } => "count",
        }
    }

    /// Every phrase that it names.
    pub fn phrases(&self) -> Vec<&str> {
        let mut named: Vec<&String> = Vec::new();
        match self {
            Self::Required { phrases, after, limit } => {
                named.extend(phrases);
                if let Anchor::Phrase(phrase) = after {
                    named.push(phrase);
                }
                if let Limit::Before(phrase) = limit {
                    named.push(phrase);
                }
            }
            Self::Forbidden { phrases, after, before } => {
                named.extend(phrases.iter().chain(after).chain(before));
            }
            Self::Sequence { phrases, .. } | Self::Count { phrases, .. } => named.extend(phrases),
            Self::Consent { question, assent, refusal, .. } => {
                named.extend(question.iter().chain(assent).chain(refusal));
            }
        }
        named.into_iter().map(String::as_str).collect()
    }
}
