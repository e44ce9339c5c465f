//! A call whose every window speaks for the claim: what it may teach the voiceprint.

use std::time::Duration;

use crate::consent::permit::{Adaptation, Permit};
use crate::policy::evidence::SpeakerEvidence;
use crate::speaker::adaptation::{Settings, Step};
use crate::speaker::embedder::Embedders;
use crate::speaker::embedding::Embedding;
use crate::speaker::verifier::Decision;

/// Voices of one embedder that a call's mean is made of: three minutes without overlap.
const MOST_VOICES: usize = 60;

/// Watches a call for the slightest suspicion, after which it teaches nothing.
#[derive(Clone, Debug)]
pub struct AdaptationWatch {
    settings: Settings,
    models: Embedders,
    decide: Vec<Embedding>,
    watch: Vec<Embedding>,
    speech: Duration,
    /// Evidence of the windows, nats.
    llrs: (f64, u32),
    accepted: bool,
    suspicious: bool,
}

impl AdaptationWatch {
    /// Watches from the beginning of a call, by leave to let it move the voiceprint; its embedders are `models`.
    pub fn new(_leave: &Permit<Adaptation>, settings: Settings, models: &Embedders) -> Self {
        Self {
            settings,
            models: models.clone(),
            decide: Vec::new(),
            watch: Vec::new(),
            speech: Duration::ZERO,
            llrs: (0.0, 0),
            accepted: false,
            suspicious: false,
        }
    }

    /// Takes one more window with so much new speech: its voice by either embedder, as far as it was asked,
    /// and what it was worth as evidence.
    pub fn observe(
        &mut self,
        fresh: Duration,
        decide: Option<&Embedding>,
        watch: Option<&Embedding>,
        evidence: &SpeakerEvidence,
    ) {
        self.accepted = evidence.decision == Decision::Accepted;
        // The cheap embedder alone errs in one window of a hundred; what it doubts, the strong one hears.
        self.suspicious |= match evidence.decision {
            Decision::Suspect | Decision::Changed | Decision::Rejected => true,
            Decision::Collecting | Decision::Inconclusive | Decision::Accepted => {
                decide.is_some() && evidence.newest_llr <= 0.0
            }
        };
        self.llrs = (self.llrs.0 + evidence.newest_llr, self.llrs.1 + 1);
        self.speech += fresh;
        for (voices, voice) in [(&mut self.decide, decide), (&mut self.watch, watch)] {
            if voices.len() < MOST_VOICES {
                voices.extend(voice.cloned());
            }
        }
    }

    /// The call is over: the step that it is worth, if it is worth one.
    pub fn finish(&self) -> Option<Step> {
        let llr = self.llrs.0 / f64::from(self.llrs.1.max(1));
        let net_speech_s = self.speech.as_secs_f64();
        let strong = self.accepted
            && !self.suspicious
            && llr >= self.settings.least_llr
            && net_speech_s >= self.settings.least_speech_s;
        let decide = Embedding::mean(&self.decide).filter(|_| strong)?;
        let watch = self.models.watch.clone().zip(Embedding::mean(&self.watch));
        let voices = std::iter::once((self.models.decide.clone(), decide)).chain(watch);
        Some(Step { voices: voices.collect(), net_speech_s, llr })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::permit::leave;
    use crate::speaker::calibration::{Comparison, Conditions, Likeness};

    const SETTINGS: Settings = Settings { enabled: true, ..Settings::OFF };

    fn heard(seconds: u64, llr: impl Fn(u64) -> f64, last: Decision) -> Option<Step> {
        let models = Embedders { decide: "m@1".to_owned(), watch: Some("m@2".to_owned()) };
        let mut watch = AdaptationWatch::new(&leave(), SETTINGS, &models);
        for second in (3..=seconds).step_by(3) {
            let net_speech = Duration::from_secs(second);
            let decision = if second + 3 > seconds { last } else { Decision::Accepted };
            let evidence = SpeakerEvidence {
                decision,
                since: Duration::ZERO,
                at: net_speech,
                llr: 8.0,
                newest: Comparison {
                    likeness: Likeness::default(),
                    conditions: Conditions { range_db: 28.0, upper_db: -6.0, concealed: 0.0 },
                    net_speech,
                    fresh: 1.0,
                },
                newest_llr: llr(second),
                probability: 0.99,
                reason: None,
                net_speech,
                coverage: 1.0,
            };
            let voice = Embedding::from_raw(vec![1.0, 0.0]).expect("a direction");
            watch.observe(Duration::from_secs(3), Some(&voice), Some(&voice), &evidence);
        }
        watch.finish()
    }

    #[test]
    fn a_long_call_beyond_doubt_is_worth_a_step_by_either_embedder() {
        let step = heard(30, |_| 6.0, Decision::Accepted).expect("a step");
        assert_eq!((step.net_speech_s, step.llr, step.voices.len()), (30.0, 6.0, 2));
    }

    #[test]
    fn a_doubt_a_short_call_or_a_weak_score_is_worth_none() {
        assert_eq!(heard(18, |_| 6.0, Decision::Accepted), None, "18 s");
        assert_eq!(heard(30, |_| 4.0, Decision::Accepted), None, "weak");
        let once = |second| if second == 15 { -0.1 } else { 6.0 };
        assert_eq!(heard(60, once, Decision::Accepted), None, "one window against it");
        for last in [Decision::Collecting, Decision::Suspect, Decision::Rejected, Decision::Changed]
        {
            assert_eq!(heard(30, |_| 6.0, last), None, "{last:?}");
        }
    }
}
