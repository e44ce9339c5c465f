//! The language of a phrase, and how much its being found is worth.

use serde::{Deserialize, Serialize};

/// A language in which phrases are listened for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub enum Language {
    /// By phones and by the decoder, which knows it.
    #[default]
    #[serde(rename = "en")]
    English,
    /// By phones alone, as an experiment.
    #[serde(rename = "de")]
    German,
}

/// How well phrases of a language are found that is not yet fit to rest a decision on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Experiment {
    /// Always true: the word that a reader of verdicts looks for.
    pub experimental: bool,
    /// Share (0 to 1) of what was said that was found, of unseen speakers and unseen sentences.
    pub recall: f64,
    /// False alarms in an hour of speech, for one phrase, at that recall.
    pub false_alarms_per_hour: f64,
}

impl Language {
    /// The policy's word for it, which is espeak-ng's too.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// The figure of a language that is an experiment: `models/phone_head_de.json`, cross-validated.
    pub fn experiment(self) -> Option<Experiment> {
        match self {
            Self::English => None,
            Self::German => {
                Some(Experiment { experimental: true, recall: 0.58, false_alarms_per_hour: 1.02 })
            }
        }
    }
}
