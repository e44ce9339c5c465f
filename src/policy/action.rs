//! What is done when a verdict says something: the policy of action.
//!
//! Every receiver is told of verdicts anyhow; an action does something beside. The people's own call is touched by nothing
//! but an action that says so.

use std::collections::HashSet;

use serde::Deserialize;

use crate::policy::act::Act;
use crate::policy::place::Place;
use crate::policy::rule::{Party, Policy};
use crate::policy::rules::standing::RuleState;
use crate::policy::verdict::{Finding, SpeakerDecision};

/// What a text may name in braces, as verdicts write it.
const NAMES: [&str; 11] = [
    "conversation",
    "sequence",
    "party",
    "subject",
    "decision",
    "llr",
    "probability",
    "reason",
    "phrase",
    "rule",
    "state",
];

/// `[[action]]` of the policy file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// Short name for the log.
    pub id: String,
    /// Decisions about the caller, any of which asks for it.
    #[serde(default)]
    pub speaker: Vec<SpeakerDecision>,
    /// Ids of phrases, any of which asks for it.
    #[serde(default)]
    pub phrases: Vec<String>,
    /// Ids of rules, any of which asks for it once it stands so as `states` say.
    #[serde(default)]
    pub rules: Vec<String>,
    /// States of `rules`.
    #[serde(default = "violated")]
    pub states: Vec<RuleState>,
    /// Whose channel it is done to; that of the leg that the verdict is about, if nobody's.
    pub party: Option<Party>,
    /// Name of the `[[notify]]` receiver that does it.
    pub by: Option<String>,
    /// What is done, in this order.
    #[serde(rename = "do")]
    pub acts: Vec<Act>,
    /// Where in the policy file it stands.
    #[serde(skip)]
    pub place: Place,
}

fn violated() -> Vec<RuleState> {
    vec![RuleState::Violated]
}

/// What is wrong with an action of the policy; each names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// Ids must tell actions apart.
    #[error("two actions have the id {0:?}")]
    SameId(String),
    /// An id that would not survive a log.
    #[error("the action's id {0:?} holds something other than a-z, A-Z, 0-9, '-', '_' and '.'")]
    OddId(String),
    /// Nothing would ask for it.
    #[error("the action {0:?} needs speaker, phrases or rules, and with rules their states")]
    NoCause(String),
    /// Nothing would be done.
    #[error("the action {0:?} needs do, what is done")]
    NothingToDo(String),
    /// A phrase or rule that is none of the policy's.
    #[error("the action {action:?} names the {what} {name:?}, which the policy does not have")]
    Unknown {
        /// Id of the action.
        action: String,
        /// `phrase` or `rule`.
        what: &'static str,
        /// What it names.
        name: String,
    },
    /// Everybody has no channel.
    #[error("the action {0:?} is to be done to the caller or the agent")]
    Party(String),
    /// Nobody could do it.
    #[error("the action {0:?} needs by, the name of the receiver in sidetone.toml that does it")]
    Nobody(String),
    /// A place that no dialplan has.
    #[error("the action {action:?} redirects to {found:?}: context,extension,priority is wanted")]
    Place {
        /// Id of the action.
        action: String,
        /// What it says.
        found: String,
    },
    /// A variable that no PBX has.
    #[error(
        "the action {action:?} sets the variable {found:?}: letters, digits and '_' are wanted, not a digit first"
    )]
    Variable {
        /// Id of the action.
        action: String,
        /// What it says.
        found: String,
    },
    /// A text that names what no verdict says.
    #[error("the action {action:?} names {{{found}}}; a text may name {}", NAMES.join(", "))]
    Name {
        /// Id of the action.
        action: String,
        /// What is in the braces.
        found: String,
    },
    /// A call would be touched on grounds that are too thin.
    #[error(
        "the action {action:?} would touch the call for {cause:?}, which rests on an experiment: it may set and warn"
    )]
    Experiment {
        /// Id of the action.
        action: String,
        /// The phrase or rule.
        cause: String,
    },
}

impl Action {
    /// Whether a verdict with this finding asks for it.
    pub(super) fn is_for(&self, finding: &Finding) -> bool {
        match finding {
            Finding::Speaker { decision, .. } => self.speaker.contains(decision),
            Finding::Keyword { phrase, .. } => self.phrases.contains(phrase),
            Finding::Rule { rule, state, .. } => {
                self.rules.contains(rule) && self.states.contains(state)
            }
            Finding::Watchlist { .. }
            | Finding::Line { .. }
            | Finding::Pause { .. }
            | Finding::Enrollment { .. } => false,
        }
    }

    fn check(&self, policy: &Policy) -> Result<(), ActionError> {
        let action = || self.id.clone();
        if !is_word(&self.id, "-_.") {
            return Err(ActionError::OddId(action()));
        }
        let no_cause = self.speaker.is_empty() && self.phrases.is_empty() && self.rules.is_empty();
        if no_cause || self.states.is_empty() {
            return Err(ActionError::NoCause(action()));
        }
        if self.acts.is_empty() {
            return Err(ActionError::NothingToDo(action()));
        }
        if self.party == Some(Party::Mixed) {
            return Err(ActionError::Party(action()));
        }
        let unknown = |what, name: &String| ActionError::Unknown {
            action: action(),
            what,
            name: name.clone(),
        };
        if let Some(name) = self.phrases.iter().find(|id| policy.place_of_phrase(id).is_none()) {
            return Err(unknown("phrase", name));
        }
        let is_rule = |id: &&String| policy.rules.iter().any(|rule| rule.id == **id);
        if let Some(name) = self.rules.iter().find(|id| !is_rule(id)) {
            return Err(unknown("rule", name));
        }
        if self.by.is_none() && self.acts.iter().any(|act| *act != Act::HangUpTap) {
            return Err(ActionError::Nobody(action()));
        }
        self.acts.iter().try_for_each(|act| self.check_act(act))?;
        if self.acts.iter().any(Act::touches_the_call) {
            self.check_grounds(policy)?;
        }
        Ok(())
    }

    fn check_act(&self, act: &Act) -> Result<(), ActionError> {
        let action = || self.id.clone();
        match act {
            Act::Set { variable, value } => {
                let begins_well =
                    variable.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
                if !begins_well || !is_word(variable, "_") {
                    return Err(ActionError::Variable {
                        action: action(),
                        found: variable.clone(),
                    });
                }
                self.check_text(value)
            }
            Act::Redirect(place) => {
                let parts: Vec<&str> = place.split(',').collect();
                let [context, extension, priority] = parts[..] else {
                    return Err(ActionError::Place { action: action(), found: place.clone() });
                };
                let number = priority.parse::<u32>().is_ok_and(|priority| priority > 0);
                if !is_word(context, "-_.") || !is_word(extension, "-_.+*#") || !number {
                    return Err(ActionError::Place { action: action(), found: place.clone() });
                }
                Ok(())
            }
            Act::Warn(text) => self.check_text(text),
            Act::HangUpTap | Act::HangUpCall => Ok(()),
        }
    }

    /// Whether all that `text` has in braces is known.
    fn check_text(&self, text: &str) -> Result<(), ActionError> {
        let named = text.split('{').skip(1).map(|rest| rest.split('}').next().unwrap_or_default());
        match named.into_iter().find(|name| !NAMES.contains(name)) {
            None => Ok(()),
            Some(found) => {
                Err(ActionError::Name { action: self.id.clone(), found: found.to_owned() })
            }
        }
    }

    /// An experiment must not cost anybody their call.
    fn check_grounds(&self, policy: &Policy) -> Result<(), ActionError> {
        let thin = |cause: &String| {
            Err(ActionError::Experiment { action: self.id.clone(), cause: cause.clone() })
        };
        for phrase in &self.phrases {
            if policy.experiment([phrase.as_str()]).is_some() {
                return thin(phrase);
            }
        }
        for rule in policy.rules.iter().filter(|rule| self.rules.contains(&rule.id)) {
            if policy.experiment(rule.kind.phrases()).is_some() {
                return thin(&rule.id);
            }
        }
        Ok(())
    }
}

/// Whether `text` is something, and nothing but letters, digits and `more`.
fn is_word(text: &str, more: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
}

/// Checks the actions of `policy`; an error comes with the place of its action in the list.
pub fn check(policy: &Policy) -> Result<(), (usize, ActionError)> {
    let mut seen = HashSet::new();
    for (place, action) in policy.actions.iter().enumerate() {
        action.check(policy).map_err(|error| (place, error))?;
        if !seen.insert(action.id.as_str()) {
            return Err((place, ActionError::SameId(action.id.clone())));
        }
    }
    Ok(())
}
