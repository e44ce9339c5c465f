//! What is kept of a voice: the references that a caller is compared with, and where they come from.
//!
//! On disk it is JSON, `"format": 2`; [`crate::speaker::voiceprint_format`] reads it, and the format
//! before it.

use serde::{Deserialize, Serialize};

use crate::speaker::adaptation::Drift;
use crate::speaker::embedding::Embedding;
use crate::speaker::quality::Band;

/// Windows that are kept of one reference: what a minute of speech has, three seconds apart, and
/// enough to tell how far a voice strays from its mean.
pub const KEPT: usize = 24;
/// Sessions that are remembered; of more, the oldest are forgotten.
pub const SESSIONS: usize = 16;

/// One person's enrolled voice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Voiceprint {
    /// Whose voice, in the PBX's own terms (`X-Sidetone-Subject`).
    pub subject: String,
    /// Reference of the consent under which it was made (GDPR Art. 9 (2) (a)).
    pub consent: String,
    /// When it was made.
    pub created: jiff::Timestamp,
    /// Speech that it was made from, seconds.
    pub net_speech_s: f64,
    /// What it was made from, the oldest first; at most [`SESSIONS`].
    pub sessions: Vec<Session>,
    /// One a model. Scores across models are meaningless.
    pub references: Vec<Reference>,
    /// SHA-256 of each recording that it was made from, hexadecimal; empty of calls. They lie sealed beside the voice and
    /// go with it: whoever has a recording cannot tell by them whose it is.
    #[serde(default)]
    pub recordings: Vec<String>,
    /// Number of the state that the references are in; 0 as enrolled.
    #[serde(default)]
    pub revision: u32,
    /// Earlier states, to go back to; see [`crate::speaker::adaptation`].
    #[serde(default)]
    pub revisions: Vec<Revision>,
}

/// A voice as one model hears it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The model, as in the manifest: `name@version`.
    pub model: String,
    /// What callers are compared with.
    pub embedding: Embedding,
    /// Windows that it is the mean direction of; 0 where nobody counted them.
    pub windows: u32,
    /// How far these windows are from it.
    pub spread: Option<Spread>,
    /// Some of these windows, at most [`KEPT`].
    pub kept: Vec<Kept>,
    /// How accepted calls have moved it; `None` as enrolled.
    #[serde(default)]
    pub drift: Option<Drift>,
}

/// Cosines between windows and the mean of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation.
    pub deviation: f64,
}

/// One window's voice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// [`Session::when`] of the session that it was heard in.
    pub session: jiff::Timestamp,
    /// Its voice.
    pub embedding: Embedding,
}

/// One recording or call that a voiceprint was made from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// When it was heard; names it.
    pub when: jiff::Timestamp,
    /// Where it came from.
    pub source: Source,
    /// Speech in it, seconds.
    pub net_speech_s: f64,
    /// Ratio of voice to pauses, dB; `None` where it had no pause.
    pub snr_db: Option<f64>,
    /// Share (0 to 1) of its samples in a flat top.
    pub clipping: f64,
    /// Bandwidth as it came, before it was cut to a telephone's.
    pub band: Band,
    /// Share (0 to 1) of its speech that a model worked on.
    pub coverage: f64,
}

/// Where a session came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Recordings that somebody chose.
    File,
    /// A call in which enrolment was asked for.
    Call,
    /// A call of somebody who had agreed, without a question.
    Passive,
}

/// A state that the references were in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// Its number; 0 as enrolled.
    pub number: u32,
    /// When the next one took its place.
    pub replaced: jiff::Timestamp,
    /// Mean log-likelihood ratio of the windows of the call that moved it on, nats.
    pub llr: f64,
    /// Net speech of that call, seconds.
    pub net_speech_s: f64,
    /// Each reference as it was.
    pub states: Vec<State>,
}

/// What changes in a reference from one revision to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The reference's model.
    pub model: String,
    /// Its embedding then.
    pub embedding: Embedding,
    /// Its drift then.
    #[serde(default)]
    pub drift: Option<Drift>,
}

impl Voiceprint {
    /// A voiceprint of one mean `embedding` by `model` (`name@version`), of whose windows nothing is
    /// known.
    pub fn of_embedding(
        subject: &str,
        consent: &str,
        created: jiff::Timestamp,
        net_speech_s: f64,
        (model, embedding): (&str, Embedding),
    ) -> Self {
        let (model, kept) = (model.to_owned(), Vec::new());
        let reference = Reference { model, embedding, windows: 0, spread: None, kept, drift: None };
        Self {
            subject: subject.to_owned(),
            consent: consent.to_owned(),
            created,
            net_speech_s,
            sessions: Vec::new(),
            references: vec![reference],
            recordings: Vec::new(),
            revision: 0,
            revisions: Vec::new(),
        }
    }

    /// The reference that `model` (`name@version`) made.
    pub fn reference(&self, model: &str) -> Option<&Reference> {
        self.references.iter().find(|reference| reference.model == model)
    }
}

impl Reference {
    /// The mean direction of `windows`, each with its session; `None` if they have none.
    ///
    /// Kept are those that lie evenly over all of them, so that every session has its share.
    pub fn of(model: &str, windows: &[Kept]) -> Option<Self> {
        let embedding = Embedding::mean(windows.iter().map(|window| &window.embedding))?;
        let spread = Spread::of(&embedding, windows);
        let stride = windows.len().div_ceil(KEPT).max(1);
        let kept = windows.iter().step_by(stride).cloned().collect();
        let count = u32::try_from(windows.len()).unwrap_or(u32::MAX);
        let model = model.to_owned();
        Some(Self { model, embedding, windows: count, spread, kept, drift: None })
    }
}

impl Spread {
    /// How far `windows` are from their `mean`; `None` without windows of its dimension.
    fn of(mean: &Embedding, windows: &[Kept]) -> Option<Self> {
        let cosines = windows.iter().filter_map(|window| mean.cosine(&window.embedding));
        let cosines: Vec<f64> = cosines.map(f64::from).collect();
        let count = cosines.len() as f64;
        let average = cosines.iter().sum::<f64>() / count;
        let variance = cosines.iter().map(|cosine| (cosine - average).powi(2)).sum::<f64>() / count;
        (!cosines.is_empty()).then(|| Self { mean: average, deviation: variance.sqrt() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(x: f32) -> Kept {
        let embedding = Embedding::from_raw(vec![1.0, x]).expect("a direction");
        Kept { session: jiff::Timestamp::UNIX_EPOCH, embedding }
    }

    #[test]
    fn a_reference_is_the_mean_direction_and_knows_how_far_its_windows_are() {
        let reference = Reference::of("m@1", &[window(1.0), window(-1.0)]).expect("a direction");
        assert!((reference.embedding.as_slice()[0] - 1.0).abs() < 1e-6);
        let spread = reference.spread.expect("two windows");
        assert!((spread.mean - 0.5_f64.sqrt()).abs() < 1e-6 && spread.deviation < 1e-6);
        assert_eq!(reference.windows, 2);
        assert!(Reference::of("m@1", &[]).is_none());
    }

    #[test]
    fn of_many_windows_some_are_kept_from_first_to_last() {
        let windows: Vec<Kept> = (0..100).map(|n| window(n as f32 / 100.0)).collect();
        let reference = Reference::of("m@1", &windows).expect("a direction");
        assert_eq!((reference.windows, reference.kept.len()), (100, 20));
        assert_eq!(reference.kept.last(), windows.get(95));
    }
}
