//! What only the rules together with the phrases can tell: names of nothing, and contradictions.

use std::collections::HashSet;

use crate::policy::rule::{Party, Policy};
use crate::policy::rules::condition::Condition;
use crate::policy::rules::definition::{Kind, Rule};

/// What is wrong with a policy's rules; each names the rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// Ids must tell rules apart.
    #[error("two rules have the id {0:?}")]
    SameId(String),
    /// An id that would not survive a dialplan.
    #[error("the rule's id {0:?} holds something other than a-z, A-Z, 0-9, '-', '_' and '.'")]
    OddId(String),
    /// A phrase that is none of the policy's.
    #[error("the rule {rule:?} names the phrase {phrase:?}, which the policy does not have")]
    UnknownPhrase {
        /// Id of the rule.
        rule: String,
        /// What it names.
        phrase: String,
    },
    /// A phrase that is not listened for on the leg where it would be said.
    #[error("the rule {rule:?} waits for {phrase:?} from the {}, on whose leg it is not watched", .party.as_str())]
    Unwatched {
        /// Id of the rule.
        rule: String,
        /// The phrase.
        phrase: String,
        /// Who would say it.
        party: Party,
    },
    /// What one rule wants the other forbids.
    #[error("the rule {wants:?} wants what the rule {forbids:?} forbids: {phrase:?}")]
    Contradiction {
        /// Id of the one.
        wants: String,
        /// Id of the other.
        forbids: String,
        /// The phrase.
        phrase: String,
    },
}

/// Checks the rules of `policy`; an error comes with the place of its rule in the list.
pub fn check(policy: &Policy) -> Result<(), (usize, RulesError)> {
    let phrases: HashSet<&str> = policy.phrases.iter().map(|phrase| phrase.id.as_str()).collect();
    let mut seen = HashSet::new();
    for (place, rule) in policy.rules.iter().enumerate() {
        let id = rule.id.clone();
        if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            return Err((place, RulesError::OddId(id)));
        }
        if !seen.insert(rule.id.as_str()) {
            return Err((place, RulesError::SameId(id)));
        }
        if let Some(phrase) = rule.kind.phrases().into_iter().find(|p| !phrases.contains(p)) {
            let phrase = phrase.to_owned();
            return Err((place, RulesError::UnknownPhrase { rule: id, phrase }));
        }
        if let Some((phrase, party)) = unwatched(policy, rule) {
            return Err((place, RulesError::Unwatched { rule: id, phrase, party }));
        }
    }
    for (place, forbids) in policy.rules.iter().enumerate() {
        for wants in &policy.rules {
            if let Some(phrase) = contradiction(wants, forbids) {
                let (wants, forbids) = (wants.id.clone(), forbids.id.clone());
                return Err((place, RulesError::Contradiction { wants, forbids, phrase }));
            }
        }
    }
    Ok(())
}

/// A phrase of `rule` and somebody who is to say it, on whose leg nobody listens for it.
fn unwatched(policy: &Policy, rule: &Rule) -> Option<(String, Party)> {
    let sayers: Vec<(&String, &[Party])> = match &rule.kind {
        Kind::Required { phrases, .. }
        | Kind::Forbidden { phrases, .. }
        | Kind::Sequence { phrases, .. }
        | Kind::Count { phrases, .. } => {
            phrases.iter().map(|phrase| (phrase, rule.parties.as_slice())).collect()
        }
        Kind::Consent { question, assent, refusal, .. } => {
            let asks = question.iter().map(|phrase| (phrase, rule.parties.as_slice()));
            let answers = assent.iter().chain(refusal);
            asks.chain(answers.map(|phrase| (phrase, other_of(&rule.parties)))).collect()
        }
    };
    sayers.into_iter().find_map(|(id, parties)| {
        let phrase = policy.phrases.iter().position(|phrase| phrase.id == *id)?;
        let deaf = parties.iter().find(|party| !policy.watches(phrase, **party))?;
        Some((id.clone(), *deaf))
    })
}

/// Who answers whom.
pub fn other_of(parties: &[Party]) -> &'static [Party] {
    match parties {
        [Party::Agent] => &[Party::Caller],
        [Party::Caller] => &[Party::Agent],
        _ => &[],
    }
}

/// What `wants` cannot be kept without and `forbids` never lets be said by the same party.
fn contradiction(wants: &Rule, forbids: &Rule) -> Option<String> {
    let Kind::Forbidden { phrases: forbidden, after: None, before: None } = &forbids.kind else {
        return None;
    };
    // A rule for some conversations only does not touch those of another.
    let same_conversations = forbids.when == Condition::default() || forbids.when == wants.when;
    let everybody = |parties: &[Party]| {
        if parties.is_empty() { vec![Party::Caller, Party::Agent] } else { parties.to_vec() }
    };
    let silenced = everybody(&forbids.parties);
    let nobody_may =
        |parties: &[Party]| everybody(parties).iter().all(|party| silenced.contains(party));
    if !same_conversations {
        return None;
    }
    let all_of = |phrases: &[String]| {
        phrases.iter().all(|phrase| forbidden.contains(phrase)).then(|| phrases[0].clone())
    };
    match &wants.kind {
        Kind::Required { phrases, .. } | Kind::Count { phrases, at_least: Some(_), .. } => {
            nobody_may(&wants.parties).then(|| all_of(phrases)).flatten()
        }
        Kind::Sequence { phrases, .. } => nobody_may(&wants.parties)
            .then(|| phrases.iter().find(|phrase| forbidden.contains(phrase)).cloned())
            .flatten(),
        Kind::Consent { question, assent, must_ask: true, .. } => nobody_may(&wants.parties)
            .then(|| all_of(question))
            .flatten()
            .or_else(|| nobody_may(other_of(&wants.parties)).then(|| all_of(assent)).flatten()),
        Kind::Consent { .. } | Kind::Count { .. } | Kind::Forbidden { .. } => None,
    }
}
