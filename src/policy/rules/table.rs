//! `[[rule]]` as the policy file writes it: every key that any kind of rule has.

use std::time::Duration;

use serde::Deserialize;

use crate::policy::rule::Party;
use crate::policy::rules::condition::Condition;
use crate::policy::rules::definition::{Anchor, Kind, Limit, Rule};
use crate::policy::rules::standing::Severity;
use crate::policy::signal::RuleSignal;

/// Longest time that a rule may give: a day.
const LONGEST_S: f64 = 86_400.0;

/// The keys of a rule; which of them a kind has, [`Rule`] tells.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    id: String,
    kind: Word,
    #[serde(default)]
    parties: Vec<Party>,
    #[serde(default)]
    severity: Severity,
    #[serde(default)]
    when: Condition,
    #[serde(default)]
    signal: RuleSignal,
    phrases: Option<Vec<String>>,
    within_s: Option<f64>,
    after: Option<String>,
    before: Option<String>,
    question: Option<Vec<String>>,
    assent: Option<Vec<String>>,
    refusal: Option<Vec<String>>,
    must_ask: Option<bool>,
    at_least: Option<u32>,
    at_most: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Required,
    Forbidden,
    Sequence,
    Consent,
    Count,
}

impl Word {
    fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Forbidden => "forbidden",
            Self::Sequence => "sequence",
            Self::Consent => "consent",
            Self::Count => "count",
        }
    }

    /// The keys that it has beside those of every rule.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Required => &["phrases", "within_s", "after", "before"],
            Self::Forbidden => &["phrases", "after", "before"],
            Self::Sequence => &["phrases", "within_s"],
            Self::Consent => &["question", "assent", "refusal", "within_s", "must_ask"],
            Self::Count => &["phrases", "at_least", "at_most"],
        }
    }
}

/// What is wrong with one rule, whatever else the policy holds.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RuleError {
    /// A key of another kind of rule.
    #[error("the rule {id:?} is of kind {kind}, which has no key {key}")]
    ForeignKey {
        /// Of the rule.
        id: String,
        /// Its kind.
        kind: &'static str,
        /// The key.
        key: &'static str,
    },
    /// A key that this kind cannot do without.
    #[error("the rule {id:?} needs {wanted}")]
    Missing {
        /// Of the rule.
        id: String,
        /// What is missing.
        wanted: &'static str,
    },
    /// No time, or more than a day.
    #[error("within_s of the rule {id:?} must be above 0 and at most 86400 s, found {found}")]
    Within {
        /// Of the rule.
        id: String,
        /// What it is.
        found: f64,
    },
    /// One phrase is no sequence.
    #[error("the sequence {id:?} must have at least 2 phrases, found {found}")]
    Short {
        /// Of the rule.
        id: String,
        /// How many it has.
        found: usize,
    },
    /// Both ends of a required phrase's time.
    #[error("the rule {0:?} has both within_s and before: one of them is its limit")]
    TwoLimits(String),
    /// Who asks is not known, or there is nobody else to answer.
    #[error("parties of the consent {0:?} must be the one who asks, [\"agent\"] or [\"caller\"]")]
    Asker(String),
    /// Nothing would keep it.
    #[error("the rule {id:?} wants at least {at_least} and at most {at_most}, which nothing is")]
    NoNumber {
        /// Of the rule.
        id: String,
        /// Its lower bound.
        at_least: u32,
        /// Its upper bound.
        at_most: u32,
    },
}

impl TryFrom<Table> for Rule {
    type Error = RuleError;

    fn try_from(table: Table) -> Result<Self, RuleError> {
        let id = table.id.clone();
        let missing = |wanted| RuleError::Missing { id: id.clone(), wanted };
        table.refuse_foreign_keys()?;
        let within = table.within()?;
        let Table { kind, parties, severity, when, signal, phrases, after, before, .. } = table;
        let some = |phrases: Option<Vec<String>>, wanted| {
            phrases.filter(|phrases| !phrases.is_empty()).ok_or_else(|| missing(wanted))
        };
        let phrases = |wanted| some(phrases, wanted);
        let kind = match kind {
            Word::Required => Kind::Required {
                phrases: phrases("phrases: the ids of which one is to be said")?,
                after: match after.as_deref() {
                    None | Some("call_start") => Anchor::CallStart,
                    Some("answered") => Anchor::Answered,
                    Some(phrase) => Anchor::Phrase(phrase.to_owned()),
                },
                limit: match (within, before) {
                    (Some(_), Some(_)) => return Err(RuleError::TwoLimits(id)),
                    (Some(within), None) => Limit::Within(within),
                    (None, Some(phrase)) if phrase != "end" => Limit::Before(phrase),
                    (None, _) => Limit::End,
                },
            },
            Word::Forbidden => Kind::Forbidden {
                phrases: phrases("phrases: the ids of what must not be said")?,
                after,
                before,
            },
            Word::Sequence => {
                let phrases = phrases("phrases: the ids of what is to be said, in order")?;
                if phrases.len() < 2 {
                    return Err(RuleError::Short { id, found: phrases.len() });
                }
                Kind::Sequence { phrases, within }
            }
            Word::Consent => {
                if !matches!(parties.as_slice(), [Party::Agent | Party::Caller]) {
                    return Err(RuleError::Asker(id));
                }
                Kind::Consent {
                    question: some(table.question, "question: the ids of what is asked")?,
                    assent: some(table.assent, "assent: the ids of what the other agrees with")?,
                    refusal: table.refusal.unwrap_or_default(),
                    within: within.ok_or_else(|| missing("within_s: the time for the answer"))?,
                    must_ask: table.must_ask.unwrap_or(true),
                }
            }
            Word::Count => {
                let (at_least, at_most) = (table.at_least.filter(|&n| n > 0), table.at_most);
                match (at_least, at_most) {
                    (None, None) => return Err(missing("at_least (from 1 up) or at_most")),
                    (Some(at_least), Some(at_most)) if at_least > at_most => {
                        return Err(RuleError::NoNumber { id, at_least, at_most });
                    }
                    _ => {}
                }
                let phrases = phrases("phrases: the ids of what is counted")?;
                Kind::Count { phrases, at_least, at_most }
            }
        };
        Ok(Self { id, parties, severity, when, signal, kind })
    }
}

impl Table {
    fn refuse_foreign_keys(&self) -> Result<(), RuleError> {
        let given = [
            ("phrases", self.phrases.is_some()),
            ("within_s", self.within_s.is_some()),
            ("after", self.after.is_some()),
            ("before", self.before.is_some()),
            ("question", self.question.is_some()),
            ("assent", self.assent.is_some()),
            ("refusal", self.refusal.is_some()),
            ("must_ask", self.must_ask.is_some()),
            ("at_least", self.at_least.is_some()),
            ("at_most", self.at_most.is_some()),
        ];
        let own = self.kind.keys();
        let foreign = given.into_iter().find(|(key, given)| *given && !own.contains(key));
        foreign.map_or(Ok(()), |(key, _)| {
            let (id, kind) = (self.id.clone(), self.kind.as_str());
            Err(RuleError::ForeignKey { id, kind, key })
        })
    }

    /// In whole milliseconds, as all of a rule's times are.
    fn within(&self) -> Result<Option<Duration>, RuleError> {
        let Some(found) = self.within_s else { return Ok(None) };
        let time = Duration::from_millis((found * 1_000.0).round() as u64);
        if found > LONGEST_S || time.is_zero() {
            return Err(RuleError::Within { id: self.id.clone(), found });
        }
        Ok(Some(time))
    }
}
