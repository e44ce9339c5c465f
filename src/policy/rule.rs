//! The policy file: which phrases are watched, on whose leg, and the rules about them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::keyword::example_decision::EXPERIMENT;
use crate::keyword::ipa::{IpaError, phones};
use crate::keyword::language::{Experiment, Language};
use crate::keyword::lexicon::phones_named;
use crate::keyword::phone_decision::{THRESHOLD, TooFewPhones, enough};
use crate::keyword::phones::PhoneId;
use crate::keyword::phrase::{Phrase, PhraseError};
use crate::policy::action::{self, Action, ActionError};
use crate::policy::pause::{self, Pause, PauseError};
use crate::policy::place::Place;
use crate::policy::rules::check::{RulesError, check};
use crate::policy::rules::definition::Rule;
use crate::policy::sensitivity::Sensitivity;
use crate::policy::signal::{PhraseSignal, UsualSignal};

/// Longest phrase, in words: longer ones rarely fit one segment of 4 s.
const MOST_WORDS: usize = 16;
/// Most phrases of a policy: every one costs forced scoring on every segment.
const MOST_PHRASES: usize = 200;
/// Most false alarms an hour that somebody can want to expect: more is no watch.
const MOST_FALSE_ALARMS: f64 = 100.0;

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
    /// When legs are paused.
    #[serde(default, rename = "pause")]
    pub pauses: Vec<Pause>,
    /// What is done about verdicts.
    #[serde(default, rename = "action")]
    pub actions: Vec<Action>,
    /// How words are said that no dictionary has, or that are said otherwise here: by word (lower case) the ways, each the
    /// phones with spaces between, as CMUdict or IPA names them.
    #[serde(default)]
    pub pronunciations: BTreeMap<String, Vec<String>>,
}

/// One watched phrase.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchedPhrase {
    /// Short name for verdicts and metrics' readers; never the words themselves.
    pub id: String,
    /// The words, as one would say them.
    pub text: String,
    /// In which language.
    #[serde(default)]
    pub language: Language,
    /// How it is said, IPA: see [`phones`]. The lexicon's way, or espeak-ng's, if empty.
    #[serde(default)]
    pub pronunciations: Vec<String>,
    /// What `sidetone keywords learn` wrote of recordings of it, from the policy's folder: it alone decides then.
    pub examples: Option<PathBuf>,
    /// The score that it needs, nats; the configuration's, or the language's, where it says none.
    pub threshold: Option<f32>,
    /// In place of a threshold: how often it may be found in an hour of one leg's speech in which nobody says it.
    pub expected_false_alarms_per_hour: Option<f64>,
    /// What class of data a hit is.
    #[serde(default)]
    pub sensitivity: Sensitivity,
    /// Whose legs are watched; all if empty.
    #[serde(default)]
    pub parties: Vec<Party>,
    /// Whom it is signalled to.
    #[serde(default)]
    pub signal: PhraseSignal,
    /// Where the policy's file has it.
    #[serde(skip)]
    pub place: Place,
}

impl WatchedPhrase {
    /// The score that it needs, where phrases that the decoder decides need `decoded`.
    pub fn threshold_in_force(&self, decoded: f32) -> f32 {
        let by_phones = self.language.experiment().is_some();
        self.threshold.unwrap_or(if by_phones { THRESHOLD } else { decoded })
    }

    /// How well it is found, where that is not well enough to rest a decision on.
    pub fn experiment(&self) -> Option<Experiment> {
        if self.examples.is_some() { Some(EXPERIMENT) } else { self.language.experiment() }
    }

    /// The phones of [`Self::pronunciations`].
    pub fn ways(&self) -> Result<Vec<Vec<PhoneId>>, IpaError> {
        self.pronunciations.iter().map(|text| phones(self.language, text)).collect()
    }
}

/// What is wrong with a policy that is well-formed TOML.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
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
    /// A pronunciation that is none.
    #[error("the pronunciation of phrase {id:?}: {error}")]
    Pronunciation {
        /// The phrase.
        id: String,
        /// What is wrong with it.
        error: IpaError,
    },
    /// A pronunciation by which it cannot be told from what else is said.
    #[error("the phrase {id:?} {error}")]
    Short {
        /// The phrase.
        id: String,
        /// What is wrong with it.
        error: TooFewPhones,
    },
    /// The one is made of the other.
    #[error("phrase {0:?} has a threshold and expected_false_alarms_per_hour: one of them decides")]
    TwoThresholds(String),
    /// Its threshold stands in the file of its examples.
    #[error(
        "phrase {id:?} has examples, which `sidetone keywords learn` made a threshold for: {key} has no place beside them"
    )]
    BesideExamples {
        /// Which phrase.
        id: String,
        /// The key that it has besides.
        key: &'static str,
    },
    /// A rate of false alarms that is none.
    #[error(
        "expected_false_alarms_per_hour of phrase {id:?} is to be above 0 and at most {MOST_FALSE_ALARMS}, found {found}"
    )]
    FalseAlarms {
        /// Which phrase.
        id: String,
        /// What it wants, as it would be written.
        found: String,
    },
    /// A pronunciation that cannot be looked for.
    #[error(
        "the pronunciation {way:?} of {word:?} is to name phones of CMUdict or IPA with spaces between: {wrong}"
    )]
    WordPronunciation {
        /// Of which word.
        word: String,
        /// What was given.
        way: String,
        /// What is wrong with it.
        wrong: String,
    },
    /// A word that no phrase could hold.
    #[error("pronunciations are of single words in lower case, found {0:?}")]
    NoWord(String),
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
    /// An action that does not fit the phrases and rules or makes no sense.
    #[error("{error}")]
    Action {
        /// Its place among the actions.
        place: usize,
        /// What is wrong with it.
        error: ActionError,
    },
    /// A pause that does not fit the phrases or makes no sense.
    #[error("{error}")]
    Pause {
        /// Its place among the pauses.
        place: usize,
        /// What is wrong with it.
        error: PauseError,
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
            | Self::Threshold(id)
            | Self::TwoThresholds(id)
            | Self::BesideExamples { id, .. }
            | Self::FalseAlarms { id, .. }
            | Self::Pronunciation { id, .. }
            | Self::Short { id, .. } => last(id).map(|place| ("phrase", place)),
            Self::TooMany(_) | Self::WordPronunciation { .. } | Self::NoWord(_) => None,
            Self::Rules { place, .. } => Some(("rule", *place)),
            Self::Pause { place, .. } => Some(("pause", *place)),
            Self::Action { place, .. } => Some(("action", *place)),
        }
    }

    /// The word whose pronunciation it is about.
    pub fn word(&self) -> Option<&str> {
        match self {
            Self::WordPronunciation { word, .. } | Self::NoWord(word) => Some(word),
            _ => None,
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
        self.validate_pronunciations()?;
        for phrase in &self.phrases {
            let WatchedPhrase { id, text, threshold, .. } = phrase;
            phrase.validate_examples()?;
            phrase.validate_rate()?;
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
            let ways = phrase.ways();
            let ways =
                ways.map_err(|error| PolicyError::Pronunciation { id: id.clone(), error })?;
            if phrase.language.experiment().is_some() && !ways.is_empty() {
                enough(&ways).map_err(|error| PolicyError::Short { id: id.clone(), error })?;
            } else if ways.iter().any(Vec::is_empty) {
                return Err(PolicyError::NoWords(id.clone()));
            }
        }
        check(self).map_err(|(place, error)| PolicyError::Rules { place, error })?;
        pause::check(self).map_err(|(place, error)| PolicyError::Pause { place, error })?;
        action::check(self).map_err(|(place, error)| PolicyError::Action { place, error })
    }

    /// The place of the phrase `id` in the list.
    pub fn place_of_phrase(&self, id: &str) -> Option<usize> {
        self.phrases.iter().position(|phrase| phrase.id == id)
    }

    /// How well any of the phrases `ids` is found, where one of them is an experiment.
    pub fn experiment<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> Option<Experiment> {
        let of = |id| self.phrases.iter().find(|phrase| phrase.id == id)?.experiment();
        ids.into_iter().find_map(of)
    }

    /// What class of data it is that the phrase `id` was said.
    pub fn sensitivity(&self, id: &str) -> Sensitivity {
        let phrase = self.phrases.iter().find(|phrase| phrase.id == id);
        phrase.map(|phrase| phrase.sensitivity).unwrap_or_default()
    }

    fn validate_pronunciations(&self) -> Result<(), PolicyError> {
        for (word, ways) in &self.pronunciations {
            let spoken = |c: char| c.is_lowercase() || c == '\'';
            if word.is_empty() || !word.chars().all(spoken) {
                return Err(PolicyError::NoWord(word.clone()));
            }
            for way in ways {
                phones_named(way).map_err(|wrong| PolicyError::WordPronunciation {
                    word: word.clone(),
                    way: way.clone(),
                    wrong: wrong.to_string(),
                })?;
            }
        }
        Ok(())
    }

    /// Whether phrase number `phrase` is watched on legs of `party`; a mixed leg holds everybody.
    pub fn watches(&self, phrase: usize, party: Party) -> bool {
        self.phrases.get(phrase).is_some_and(|p| {
            p.parties.is_empty() || party == Party::Mixed || p.parties.contains(&party)
        })
    }
}

impl WatchedPhrase {
    fn validate_examples(&self) -> Result<(), PolicyError> {
        let keys = [
            ("threshold", self.threshold.is_some()),
            ("expected_false_alarms_per_hour", self.expected_false_alarms_per_hour.is_some()),
            ("pronunciations", !self.pronunciations.is_empty()),
        ];
        let beside = keys.into_iter().find(|(_, has)| *has).filter(|_| self.examples.is_some());
        match beside {
            Some((key, _)) => Err(PolicyError::BesideExamples { id: self.id.clone(), key }),
            None => Ok(()),
        }
    }

    fn validate_rate(&self) -> Result<(), PolicyError> {
        let Some(rate) = self.expected_false_alarms_per_hour else { return Ok(()) };
        if self.threshold.is_some() {
            return Err(PolicyError::TwoThresholds(self.id.clone()));
        }
        if rate > 0.0 && rate <= MOST_FALSE_ALARMS {
            return Ok(());
        }
        Err(PolicyError::FalseAlarms { id: self.id.clone(), found: rate.to_string() })
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
    fn a_pronunciation_that_is_none_or_too_short_is_refused() {
        let german = |said: &str| {
            let text =
                "name='p'\nversion='1'\n[[phrase]]\nid='a'\ntext='ja gerne'\nlanguage='de'\n";
            policy(&format!("{text}pronunciations=['{said}']")).validate()
        };
        assert_eq!(german("d a m ɪ t b ɪ n ɪ ç aɪ n"), Ok(()));
        assert!(matches!(german("j a  q"), Err(PolicyError::Pronunciation { .. })));
        assert!(matches!(german("j a"), Err(PolicyError::Short { .. })));
        let english =
            "name='p'\nversion='1'\n[[phrase]]\nid='a'\ntext='yes'\npronunciations=['j ɛ s', '-']";
        assert_eq!(policy(english).validate(), Err(PolicyError::NoWords("a".to_owned())));
    }

    #[test]
    fn what_rests_on_german_is_an_experiment() {
        let policy = policy(
            "name='p'\nversion='1'\n[[phrase]]\nid='a'\ntext='x'\n\
             [[phrase]]\nid='b'\ntext='y'\nlanguage='de'",
        );
        assert_eq!(policy.experiment(["a"]), None);
        assert_eq!(policy.experiment(["a", "b"]), Language::German.experiment());
    }

    #[test]
    fn a_phrase_by_example_is_an_experiment_and_decided_by_nothing_else() {
        let with = |own: &str| {
            policy(&format!(
                "name='p'\nversion='1'\n[[phrase]]\nid='a'\ntext='x'\nexamples='a.phrase'\n{own}"
            ))
        };
        assert_eq!(with("").validate(), Ok(()));
        assert_eq!(with("").experiment(["a"]), Some(EXPERIMENT));
        assert_eq!(with("language='de'").experiment(["a"]), Some(EXPERIMENT));
        for (own, key) in [
            ("threshold=-2.0", "threshold"),
            ("expected_false_alarms_per_hour=1.0", "expected_false_alarms_per_hour"),
            ("pronunciations=['j ɛ s']", "pronunciations"),
        ] {
            let wanted = PolicyError::BesideExamples { id: "a".to_owned(), key };
            assert_eq!(with(own).validate(), Err(wanted));
        }
    }

    #[test]
    fn what_types_cannot_say_is_checked() {
        let twice =
            "name='p'\nversion='1'\n[[phrase]]\nid='a'\ntext='x'\n[[phrase]]\nid='a'\ntext='y'";
        assert_eq!(policy(twice).validate(), Err(PolicyError::SameId("a".to_owned())));
        let with = |own: &str| policy(&format!("name='p'\nversion='1'\n{own}")).validate();
        let phrase = "[[phrase]]\nid='a'\ntext='x'\n";
        for (own, said) in [
            ("expected_false_alarms_per_hour = 0.1", ""),
            (
                "expected_false_alarms_per_hour = 0.1\nthreshold = -2.0",
                "phrase \"a\" has a threshold and expected_false_alarms_per_hour: one of them decides",
            ),
            (
                "expected_false_alarms_per_hour = 0.0",
                "expected_false_alarms_per_hour of phrase \"a\" is to be above 0 and at most 100, found 0",
            ),
            (
                "expected_false_alarms_per_hour = nan",
                "expected_false_alarms_per_hour of phrase \"a\" is to be above 0 and at most 100, found NaN",
            ),
        ] {
            let found = with(&format!("{phrase}{own}"));
            assert_eq!(found.map_err(|error| error.to_string()).err().unwrap_or_default(), said);
        }
        for (own, said) in [
            ("x = ['EH1 K S', 'ɛ k s']", ""),
            (
                "x = ['EH K Q']",
                "the pronunciation \"EH K Q\" of \"x\" is to name phones of CMUdict or IPA with spaces between: \"Q\" is none",
            ),
            (
                "x = [' ']",
                "the pronunciation \" \" of \"x\" is to name phones of CMUdict or IPA with spaces between: it is empty",
            ),
            ("X = ['EH1']", "pronunciations are of single words in lower case, found \"X\""),
        ] {
            let found = with(&format!("[pronunciations]\n{own}"));
            assert_eq!(found.map_err(|error| error.to_string()).err().unwrap_or_default(), said);
        }
        let silent = "name='p'\nversion='1'\n[[phrase]]\nid='a'\ntext=' - '";
        assert_eq!(policy(silent).validate(), Err(PolicyError::NoWords("a".to_owned())));
    }
}
