//! What the card of a speaker model says beyond those of other models: what it hears, gives and costs.

use serde::Deserialize;

use crate::audio::front_end::Settings;
use crate::audio::pcm::SAMPLE_RATE;
use crate::speaker::embedder::Purpose;

/// Windows that a card may name, in seconds.
const WINDOWS_S: std::ops::RangeInclusive<f64> = 0.1..=30.0;
/// Numbers that an embedding may have.
const EMBEDDINGS: std::ops::RangeInclusive<usize> = 2..=4_096;

/// `[model.embedder]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbedderCard {
    /// What it is asked for.
    #[serde(rename = "use")]
    pub purpose: Purpose,
    /// Net speech that it hears at once, in seconds.
    pub window_s: f64,
    /// Numbers in an embedding.
    pub embedding: usize,
    /// What happens to the samples before it.
    pub front_end: Settings,
    /// What it costs, where that was measured.
    pub cost_ms_per_s: Option<Cost>,
}

/// Milliseconds of one core's time for a second of speech, front-end included.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// One window at a time.
    pub batch_1: f64,
    /// Eight at a time.
    pub batch_8: f64,
}

/// Why a speaker model's card is refused.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum EmbedderCardError {
    /// The table is missing, or stands in another model's card.
    #[error("[model.embedder] and role = \"embedder\" want each other")]
    Role,
    /// Words where numbers are needed.
    #[error("front_end is words, and [model.embedder] was to say it")]
    FrontEndInWords,
    /// Nothing to hear, or more than a window of speech holds.
    #[error("window_s is {found}, and {} to {} were wanted", WINDOWS_S.start(), WINDOWS_S.end())]
    Window {
        /// The card's number.
        found: f64,
    },
    /// No embedding, or none of a voice.
    #[error("embedding is {found}, and {} to {} were wanted", EMBEDDINGS.start(), EMBEDDINGS.end())]
    Embedding {
        /// The card's number.
        found: usize,
    },
    /// A model of speech at another rate.
    #[error("sample_rate is {found}, and {SAMPLE_RATE} was wanted")]
    SampleRate {
        /// The card's number; 0 if there is none.
        found: u32,
    },
    /// The front-end is none.
    #[error(transparent)]
    FrontEnd(#[from] crate::audio::front_end::SettingsError),
}

impl EmbedderCard {
    /// Whether its numbers make sense.
    pub(crate) fn check(&self) -> Result<(), EmbedderCardError> {
        if !WINDOWS_S.contains(&self.window_s) {
            return Err(EmbedderCardError::Window { found: self.window_s });
        }
        if !EMBEDDINGS.contains(&self.embedding) {
            return Err(EmbedderCardError::Embedding { found: self.embedding });
        }
        Ok(self.front_end.check()?)
    }

    /// Net speech that it hears at once, in samples at 16 kHz.
    pub fn window_samples(&self) -> usize {
        (self.window_s * f64::from(SAMPLE_RATE)).round() as usize
    }
}
