//! A voiceprint that follows its voice, slowly, by calls that were accepted beyond doubt, and back.
//!
//! Each reference is `enrolled` moved towards the mean of accepted calls by a weight that grows
//! with every call and never reaches more than [`MOST`]: what was enrolled stays the larger half,
//! however many calls a patient impostor has. Each step is a revision that can be taken back.

use serde::{Deserialize, Serialize};

use crate::speaker::embedding::Embedding;
use crate::speaker::voiceprint::{Revision, State, Voiceprint};

/// Weight that accepted calls have at most, all together.
pub const MOST: f64 = 0.5;
/// Earlier states that are kept. That of the enrolment is always one of them.
pub const REVISIONS: usize = 8;
/// Net speech of a call that moves a reference by a whole step, seconds; less moves it by less.
const WHOLE_STEP_S: f64 = 30.0;

/// `[speaker.adaptation]`
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Whether voiceprints are adapted at all.
    pub enabled: bool,
    /// Least mean log-likelihood ratio of the call's windows, nats.
    pub least_llr: f64,
    /// Least net speech of the call, seconds.
    pub least_speech_s: f64,
    /// Share (above 0, to 1) of the way that a whole step goes.
    pub step: f64,
}

impl Settings {
    /// As it is unless somebody says otherwise. 5.0 nats: between 20 enrolments of five readers, 60
    /// pairs of one reader have means of 5.7 to 6.5 and no window below 0, and of 320 pairs of two
    /// the largest mean is 1.4; mu-law, one session a reader, so this flatters.
    pub const OFF: Self = Self { enabled: false, least_llr: 5.0, least_speech_s: 20.0, step: 0.1 };
}

impl Default for Settings {
    fn default() -> Self {
        Self::OFF
    }
}

/// How accepted calls have moved one reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// The reference as it was enrolled.
    pub enrolled: Embedding,
    /// The mean of the calls, the newer ones counting for more.
    pub calls: Embedding,
    /// What the calls weigh, 0 to [`MOST`].
    pub weight: f64,
}

/// What one accepted call has to say.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Mean voice of the call, by model.
    pub voices: Vec<(String, Embedding)>,
    /// Net speech behind it, seconds.
    pub net_speech_s: f64,
    /// Mean log-likelihood ratio of its windows, nats.
    pub llr: f64,
}

/// Why there is nothing to go back to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevertError {
    /// It was never adapted.
    #[error("the voiceprint is as it was enrolled: there is no earlier revision")]
    AsEnrolled,
    /// No longer kept, or never was.
    #[error("revision {wanted} is not kept; kept are {kept}")]
    NotKept {
        /// The number asked for.
        wanted: u32,
        /// Those there are.
        kept: String,
    },
}

impl Voiceprint {
    /// Moves the references by one accepted call; `when` it was. Whether any moved.
    pub fn adapt(&mut self, step: &Step, settings: Settings, when: jiff::Timestamp) -> bool {
        let states = self.references.iter().map(|reference| State {
            model: reference.model.clone(),
            embedding: reference.embedding.clone(),
            drift: reference.drift.clone(),
        });
        let states: Vec<_> = states.collect();
        let share = settings.step * (step.net_speech_s / WHOLE_STEP_S).clamp(0.0, 1.0);
        let mut moved = false;
        for reference in &mut self.references {
            let voice = step.voices.iter().find(|(model, _)| *model == reference.model);
            let Some((_, voice)) = voice else { continue };
            let before = reference.drift.take();
            let after = match &before {
                None => Some((reference.embedding.clone(), voice.clone(), 0.0)),
                Some(drift) => {
                    let calls = drift.calls.towards(voice, share);
                    calls.map(|calls| (drift.enrolled.clone(), calls, drift.weight))
                }
            };
            let after = after.and_then(|(enrolled, calls, weight)| {
                let weight = weight + share * (MOST - weight);
                let embedding = enrolled.towards(&calls, weight)?;
                Some((embedding, Drift { enrolled, calls, weight }))
            });
            match after {
                Some((embedding, drift)) => {
                    (reference.embedding, reference.drift) = (embedding, Some(drift));
                    moved = true;
                }
                None => reference.drift = before,
            }
        }
        if moved {
            let (llr, net_speech_s) = (step.llr, step.net_speech_s);
            let number = self.revision;
            self.revisions.push(Revision { number, replaced: when, llr, net_speech_s, states });
            self.revision += 1;
            if self.revisions.len() > REVISIONS {
                self.revisions.remove(1);
            }
        }
        moved
    }

    /// Goes back to revision `to`, or to the one before; returns its number.
    pub fn revert(&mut self, to: Option<u32>) -> Result<u32, RevertError> {
        let newest = self.revisions.last().ok_or(RevertError::AsEnrolled)?;
        let wanted = to.unwrap_or(newest.number);
        let Some(place) = self.revisions.iter().position(|revision| revision.number == wanted)
        else {
            let kept: Vec<_> = self.revisions.iter().map(|r| r.number.to_string()).collect();
            return Err(RevertError::NotKept { wanted, kept: kept.join(", ") });
        };
        let mut later = self.revisions.split_off(place);
        for state in later.swap_remove(0).states {
            let reference = self.references.iter_mut().find(|r| r.model == state.model);
            if let Some(reference) = reference {
                (reference.embedding, reference.drift) = (state.embedding, state.drift);
            }
        }
        self.revision = wanted;
        Ok(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speaker::voiceprint::{Kept, Reference};

    const WHEN: jiff::Timestamp = jiff::Timestamp::UNIX_EPOCH;

    fn at(degrees: f32) -> Embedding {
        let (sine, cosine) = degrees.to_radians().sin_cos();
        Embedding::from_raw(vec![cosine, sine]).expect("a direction")
    }

    fn voiceprint() -> Voiceprint {
        let window = Kept { session: WHEN, embedding: at(0.0) };
        Voiceprint {
            subject: "alice".to_owned(),
            consent: "c-1".to_owned(),
            created: WHEN,
            net_speech_s: 12.0,
            sessions: Vec::new(),
            references: vec![Reference::of("m@1", &[window]).expect("a direction")],
            recordings: Vec::new(),
            revision: 0,
            revisions: Vec::new(),
        }
    }

    fn step(degrees: f32, net_speech_s: f64) -> Step {
        let voices = vec![("m@1".to_owned(), at(degrees))];
        Step { voices, net_speech_s, llr: 12.0 }
    }

    fn angle(voiceprint: &Voiceprint) -> f32 {
        let embedding = &voiceprint.references[0].embedding;
        embedding.cosine(&at(0.0)).expect("one model").acos().to_degrees()
    }

    #[test]
    fn one_call_moves_it_a_little_and_more_speech_moves_it_more() {
        let (mut long, mut short) = (voiceprint(), voiceprint());
        assert!(long.adapt(&step(40.0, 60.0), Settings::default(), WHEN));
        assert!(short.adapt(&step(40.0, 10.0), Settings::default(), WHEN));
        // A twentieth of 40 degrees, and a third of that.
        assert!((angle(&long) - 1.94).abs() < 0.1, "{}", angle(&long));
        assert!((angle(&short) - 0.63).abs() < 0.1, "{}", angle(&short));
    }

    #[test]
    fn a_thousand_calls_leave_the_enrolment_the_larger_half() {
        let mut voiceprint = voiceprint();
        for _ in 0..1_000 {
            voiceprint.adapt(&step(60.0, 300.0), Settings::default(), WHEN);
        }
        assert!(angle(&voiceprint) <= 30.01, "{}", angle(&voiceprint));
        let drift = voiceprint.references[0].drift.as_ref().expect("it moved");
        assert!(drift.weight <= MOST);
        assert_eq!(voiceprint.revisions.len(), REVISIONS);
        assert_eq!(voiceprint.revert(Some(0)), Ok(0));
        assert_eq!((angle(&voiceprint), voiceprint.revisions.len()), (0.0, 0));
    }

    #[test]
    fn a_step_is_taken_back_to_the_bit() {
        let mut voiceprint = voiceprint();
        let mut states = vec![voiceprint.clone()];
        for degrees in [10.0, 30.0, 20.0] {
            voiceprint.adapt(&step(degrees, 30.0), Settings::default(), WHEN);
            states.push(voiceprint.clone());
        }
        assert_eq!(voiceprint.revision, 3);
        assert_eq!(voiceprint.revert(None), Ok(2));
        assert_eq!(voiceprint, states[2]);
        assert_eq!(
            voiceprint.revert(Some(7)),
            Err(RevertError::NotKept { wanted: 7, kept: "0, 1".to_owned() })
        );
        assert_eq!(voiceprint.revert(Some(0)), Ok(0));
        assert_eq!(voiceprint, states[0]);
        assert_eq!(voiceprint.revert(None), Err(RevertError::AsEnrolled));
    }

    #[test]
    fn a_call_heard_by_another_model_moves_nothing() {
        let mut voiceprint = voiceprint();
        let mut step = step(40.0, 60.0);
        step.voices[0].0 = "m@2".to_owned();
        assert!(!voiceprint.adapt(&step, Settings::default(), WHEN));
        assert_eq!((voiceprint.revision, voiceprint.revisions.len()), (0, 0));
    }
}
