//! The policy file: which phrases are watched, on whose leg, and the rules about them.

use serde::Deserialize;

use crate::keyword::phrase::{Phrase, PhraseError};
use crate::policy::rules::check::{RulesError, check};
use crate::policy::rules::definition::Rule;
use crate::policy::signal::{PhraseSignal, UsualSignal};

/// Longest phrase, in words: longer ones rarely fit one segment of 4 s.
const MOST_WORDS: usize = 16;
/// Most phrases of a policy: every one costs forced scoring on every segment.
const MOST_PHRASES: usize = 200;

/// Who a leg belongs to (`X-Sidetone-Party`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// The person who called.
    #[default]
    Caller,
    /// The person who serves the caller.
    Agent,
    /// Both, mixed into one stream.
    Mixed,
}

impl Party {
    /// The header's word for this party, and the word in verdicts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Agent => "agent",
            Self::Mixed => "mixed",
        }
    }
}

impl std::str::FromStr for Party {
    type Err = PartyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Caller, Self::Agent, Self::Mixed]
            .into_iter()
            .find(|party| party.as_str().eq_ignore_ascii_case(text.trim()))
            .ok_or(PartyError)
    }
}

/// The text names none of the parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a party is caller, agent or mixed")]
pub struct PartyError;

/// A set of watched phrases, as `config/policy.toml` writes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Name that `X-Sidetone-Policy` asks for and verdicts carry.
    pub name: String,
    /// Version that verdicts carry, so that a verdict can be traced to its rule.
    pub version: String,
    /// Whom verdicts are signalled to, where a phrase or rule does not say.
    #[serde(default)]
    pub signal: UsualSignal,
    /// What is watched.
    #[serde(default, rename = "phrase")]
    pub phrases: Vec<WatchedPhrase>,
    /// What it means that they are, or are not, said.
    #[serde(default, rename = "rule")]
    pub rules: Vec<Rule>,
}

/// One watched phrase.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchedPhrase {
    /// Short name for verdicts and metrics' readers; never the words themselves.
    pub id: String,
    /// The words, as one would say them.
    pub text: String,
    /// The score that it needs, nats; the configuration's where it says none.
    pub threshold: Option<f32>,
    /// Whose legs are watched; all if empty.
    #[serde(default)]
    pub parties: Vec<Party>,
    /// Whom it is signalled to.
    #[serde(default)]
    pub signal: PhraseSignal,
}

/// What is wrong with a policy that is well-formed TOML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Ids must tell phrases apart.
    #[error("two phrases have the id {0:?}")]
    SameId(String),
    /// An id that would not survive a dialplan.
    #[error("the id {0:?} holds something other than a-z, A-Z, 0-9, '-', '_' and '.'")]
    OddId(String),
    /// Nothing to listen for.
    #[error("the phrase {0:?} holds no word")]
    NoWords(String),
    /// More than one segment of speech can hold.
    #[error("the phrase {0:?} has more than {MOST_WORDS} words")]
    TooLong(String),
    /// The spotter would not have it.
    #[error("the phrase {id:?} cannot be listened for: {error}")]
    Unheard {
        /// Its id.
        id: String,
        /// What is wrong with it.
        error: PhraseError,
    },
    /// A score is a mean log-probability and the half of another.
    #[error("the threshold of phrase {0:?} is not within -10 to 0")]
    Threshold(String),
    /// More phrases than can be scored in time.
    #[error("{0} phrases are watched, at most {MOST_PHRASES} are possible")]
    TooMany(usize),
    /// A rule that does not fit the phrases or another rule.
    #[error("{error}")]
    Rules {
        /// Its place among the rules.
        place: usize,
        /// What is wrong with it.
        error: RulesError,
    },
}

impl PolicyError {
    /// The table of the file that it is about, and its place among those of its name.
    pub fn table(&self, policy: &Policy) -> Option<(&'static str, usize)> {
        let last = |id: &String| policy.phrases.iter().rposition(|phrase| phrase.id == *id);
        match self {
            Self::SameId(id)
            | Self::OddId(id)
            | Self::NoWords(id)
            | Self::TooLong(id)
            | Self::Unheard { id, .. }
            | Self::Threshold(id) => last(id).map(|place| ("phrase", place)),
            Self::TooMany(_) => None,
            Self::Rules { place, .. } => Some(("rule", *place)),
        }
    }
}

impl Policy {
    /// What verdicts carry: `name@version`.
    pub fn versioned_name(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// Checks what the types cannot say.
    pub fn validate(&self) -> Result<(), PolicyError> {
        if self.phrases.len() > MOST_PHRASES {
            return Err(PolicyError::TooMany(self.phrases.len()));
        }
        let mut seen = std::collections::HashSet::new();
        for WatchedPhrase { id, text, threshold, .. } in &self.phrases {
            if threshold.is_some_and(|threshold| !(-10.0..=0.0).contains(&threshold)) {
                return Err(PolicyError::Threshold(id.clone()));
            }
            if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            {
                return Err(PolicyError::OddId(id.clone()));
            }
            if !seen.insert(id) {
                return Err(PolicyError::SameId(id.clone()));
            }
            match text.split_whitespace().filter(|w| w.contains(char::is_alphanumeric)).count() {
                0 => return Err(PolicyError::NoWords(id.clone())),
                n if n > MOST_WORDS => return Err(PolicyError::TooLong(id.clone())),
                _ => {}
            }
            if let Err(error) = Phrase::new(text) {
                return Err(PolicyError::Unheard { id: id.clone(), error });
            }
        }
        check(self).map_err(|(place, error)| PolicyError::Rules { place, error })
    }

    /// Whether phrase number `phrase` is watched on legs of `party`; a mixed leg holds everybody.
    pub fn watches(&self, phrase: usize, party: Party) -> bool {
        self.phrases.get(phrase).is_some_and(|p| {
            p.parties.is_empty() || party == Party::Mixed || p.parties.contains(&party)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(toml: &str) -> Policy {
        toml::from_str(toml).expect("well-formed TOML")
    }

    #[test]
    fn a_phrase_is_watched_on_its_parties_and_on_mixed_legs() {
        let policy = policy(
            "name='p'\nversion='1'\n[[phrase]]\nid='risk'\ntext='at risk'\nparties=['agent']",
        );
        assert_eq!(policy.validate(), Ok(()));
        let watched = [Party::Agent, Party::Caller, Party::Mixed].map(|p| policy.watches(0, p));
        assert_eq!(watched, [true, false, true]);
    }

    #[test]
    fn what_types_cannot_say_is_checked() {
        let twice =
            "name='p'\nversion='1'\n[[phrase]]\nid='a'\ntext='x'\n[[phrase]]\nid='a'\ntext='y'";
        assert_eq!(policy(twice).validate(), Err(PolicyError::SameId("a".to_owned())));
        let silent = "name='p'\nversion='1'\n[[phrase]]\nid='a'\ntext=' - '";
        assert_eq!(policy(silent).validate(), Err(PolicyError::NoWords("a".to_owned())));
    }
}
