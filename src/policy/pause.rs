//! When a leg is paused so that nothing of it is heard or kept (PCI DSS 3.3.1: sensitive authentication data is not
//! stored), and what keeps it so.

use std::collections::HashSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::keyword::language::Language;
use crate::policy::rule::{Party, Policy};

/// Longest time that a pause may give: an hour. A forgotten one costs everything that is to be heard.
const LONGEST_S: f64 = 3_600.0;

/// `[[pause]]` of the policy file: what begins it, whose legs it silences, and what ends it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// Short name for verdicts.
    pub id: String,
    /// Whose legs are paused; a leg that carries everybody is, too.
    pub legs: Vec<Party>,
    /// Ids of phrases, any of which begins it.
    #[serde(default)]
    pub begin: Vec<String>,
    /// Who has to say one of them; anybody if empty.
    #[serde(default)]
    pub parties: Vec<Party>,
    /// Whether digits that look like a card's number begin it, keyed or said on one of `legs`.
    #[serde(default)]
    pub cards: bool,
    /// In which language the digits are said.
    #[serde(default)]
    pub language: Option<Language>,
    /// Ids of phrases, any of which ends it, said by a party that is still heard.
    #[serde(default)]
    pub resume: Vec<String>,
    /// When it ends by itself, seconds.
    #[serde(default = "five_minutes")]
    pub at_most_s: f64,
}

/// 300 s: to read out a card, correct it and have it booked takes two or three minutes.
fn five_minutes() -> f64 {
    300.0
}

/// Who wants a leg paused. The same one ends it; several are a set, and the leg is paused while it is not empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// A pause of the policy, by its id.
    Policy(String),
    /// The PBX, by a header field.
    Header,
    /// Somebody at the API.
    Api,
}

/// What makes a pause begin or end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A phrase, by a pause of the policy.
    Phrase,
    /// Digits that look like a card's number.
    Card,
    /// A header field of the PBX.
    Header,
    /// An order at the API.
    Api,
    /// It lasted for as long as it may.
    Time,
}

impl Trigger {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Phrase, Self::Card, Self::Header, Self::Api, Self::Time];

    /// The word in JSON, metrics and log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Phrase => "phrase",
            Self::Card => "card",
            Self::Header => "header",
            Self::Api => "api",
            Self::Time => "time",
        }
    }
}

/// What has become of one wish to have a leg paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseState {
    /// It holds.
    Begun,
    /// It is over.
    Ended,
}

impl PauseState {
    /// The word in JSON, metrics and log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Ended => "ended",
        }
    }
}

/// That a leg is paused for one more reason, or one less.
#[derive(Clone, Debug, PartialEq)]
pub struct PauseEvidence {
    /// What has become of it.
    pub state: PauseState,
    /// What made it so.
    pub by: Trigger,
    /// Id of the pause in the policy, where that began it.
    pub pause: Option<String>,
    /// Whether the leg is paused now.
    pub paused: bool,
    /// Whether it was this leg that was heard to give cause for it.
    pub heard_here: bool,
    /// How far the stream had come.
    pub at: Duration,
    /// Net speech heard by then.
    pub net_speech: Duration,
    /// Share (0 to 1) of the speech heard that was really received.
    pub coverage: f64,
}

/// What is wrong with a pause of the policy; each names it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PauseError {
    /// Ids must tell pauses apart.
    #[error("two pauses have the id {0:?}")]
    SameId(String),
    /// An id that would not survive a dialplan.
    #[error("the pause's id {0:?} holds something other than a-z, A-Z, 0-9, '-', '_' and '.'")]
    OddId(String),
    /// Nobody would be paused.
    #[error("the pause {0:?} needs legs: [\"caller\"], [\"agent\"] or both")]
    NoLegs(String),
    /// Nothing would begin it.
    #[error("the pause {0:?} needs begin, the ids of phrases, or cards = true")]
    NoBeginning(String),
    /// A phrase that is none of the policy's.
    #[error("the pause {pause:?} names the phrase {phrase:?}, which the policy does not have")]
    UnknownPhrase {
        /// Id of the pause.
        pause: String,
        /// What it names.
        phrase: String,
    },
    /// A phrase that is not listened for on the leg where it would be said.
    #[error("the pause {pause:?} waits for {phrase:?} from the {}, on whose leg it is not watched", .party.as_str())]
    Unwatched {
        /// Id of the pause.
        pause: String,
        /// The phrase.
        phrase: String,
        /// Who would say it.
        party: Party,
    },
    /// Nobody who is still heard could end it.
    #[error(
        "the pause {pause:?} is to end with {phrase:?}, which is watched on no leg that is still heard"
    )]
    Unheard {
        /// Id of the pause.
        pause: String,
        /// The phrase.
        phrase: String,
    },
    /// A phrase that would do both.
    #[error("the pause {pause:?} both begins and ends with {phrase:?}")]
    Both {
        /// Id of the pause.
        pause: String,
        /// The phrase.
        phrase: String,
    },
    /// A language of nothing.
    #[error("the pause {0:?} has a language, and no cards = true that it could be of")]
    Language(String),
    /// No time, or too long a one.
    #[error("at_most_s of the pause {pause:?} must be above 0 and at most 3600 s, found {found}")]
    AtMost {
        /// Id of the pause.
        pause: String,
        /// What it is.
        found: f64,
    },
}

impl Pause {
    /// Whether it silences the legs of `party`.
    pub fn silences(&self, party: Party) -> bool {
        party == Party::Mixed || self.legs.contains(&party)
    }

    /// Whether `phrase` begins it, said by `party`.
    pub fn begins_with(&self, phrase: &str, party: Party) -> bool {
        let may = self.parties.is_empty() || party == Party::Mixed || self.parties.contains(&party);
        may && self.begin.iter().any(|begin| begin == phrase)
    }

    /// Whether `phrase` ends it.
    pub fn ends_with(&self, phrase: &str) -> bool {
        self.resume.iter().any(|resume| resume == phrase)
    }

    /// When it ends by itself.
    pub fn at_most(&self) -> Duration {
        Duration::from_millis((self.at_most_s * 1_000.0).round() as u64)
    }

    fn check(&self, policy: &Policy) -> Result<(), PauseError> {
        let pause = || self.id.clone();
        if self.id.is_empty()
            || !self.id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        {
            return Err(PauseError::OddId(pause()));
        }
        if self.legs.is_empty() || self.legs.contains(&Party::Mixed) {
            return Err(PauseError::NoLegs(pause()));
        }
        if self.begin.is_empty() && !self.cards {
            return Err(PauseError::NoBeginning(pause()));
        }
        if self.language.is_some() && !self.cards {
            return Err(PauseError::Language(pause()));
        }
        if self.at_most_s > LONGEST_S || self.at_most().is_zero() {
            return Err(PauseError::AtMost { pause: pause(), found: self.at_most_s });
        }
        let place =
            |phrase: &String| {
                policy.phrases.iter().position(|known| known.id == *phrase).ok_or_else(|| {
                    PauseError::UnknownPhrase { pause: pause(), phrase: phrase.clone() }
                })
            };
        for phrase in &self.begin {
            let known = place(phrase)?;
            let deaf = self.parties.iter().find(|party| !policy.watches(known, **party));
            if let Some(&party) = deaf {
                return Err(PauseError::Unwatched {
                    pause: pause(),
                    phrase: phrase.clone(),
                    party,
                });
            }
        }
        for phrase in &self.resume {
            let known = place(phrase)?;
            if self.begin.contains(phrase) {
                return Err(PauseError::Both { pause: pause(), phrase: phrase.clone() });
            }
            let heard = |party: &Party| !self.silences(*party) && policy.watches(known, *party);
            if ![Party::Caller, Party::Agent].iter().any(heard) {
                return Err(PauseError::Unheard { pause: pause(), phrase: phrase.clone() });
            }
        }
        Ok(())
    }
}

/// Checks the pauses of `policy`; an error comes with the place of its pause in the list.
pub fn check(policy: &Policy) -> Result<(), (usize, PauseError)> {
    let mut seen = HashSet::new();
    for (place, pause) in policy.pauses.iter().enumerate() {
        pause.check(policy).map_err(|error| (place, error))?;
        if !seen.insert(pause.id.as_str()) {
            return Err((place, PauseError::SameId(pause.id.clone())));
        }
    }
    Ok(())
}
