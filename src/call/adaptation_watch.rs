//! A call whose every window speaks for the claim: what it may teach the voiceprint.

use std::time::Duration;

use crate::audio::speech_windows::SpeechWindow;
use crate::policy::evidence::SpeakerEvidence;
use crate::speaker::adaptation::{Settings, Step};
use crate::speaker::embedding::Embedding;
use crate::speaker::verifier::Decision;

/// Windows that a call's mean is made of: three minutes of them without overlap.
const MOST_WINDOWS: usize = 60;

/// Watches a call for the slightest suspicion, after which it teaches nothing.
#[derive(Debug)]
pub struct AdaptationWatch {
    settings: Settings,
    /// The model that embeds, `name@version`.
    model: String,
    voices: Vec<Embedding>,
    speech: Duration,
    /// Evidence of the windows, nats.
    llrs: (f64, u32),
    accepted: bool,
    suspicious: bool,
}

impl AdaptationWatch {
    /// Watches from the beginning of a call.
    pub fn new(settings: Settings, model: &str) -> Self {
        Self {
            settings,
            model: model.to_owned(),
            voices: Vec::new(),
            speech: Duration::ZERO,
            llrs: (0.0, 0),
            accepted: false,
            suspicious: false,
        }
    }

    /// Takes one more window, and what it was worth as evidence.
    pub fn observe(
        &mut self,
        window: &SpeechWindow,
        embedding: &Embedding,
        evidence: &SpeakerEvidence,
    ) {
        self.accepted = evidence.decision == Decision::Accepted;
        let against = matches!(evidence.decision, Decision::Rejected | Decision::Changed);
        self.suspicious |= against || evidence.newest_llr <= 0.0;
        self.llrs = (self.llrs.0 + evidence.newest_llr, self.llrs.1 + 1);
        self.speech += window.fresh;
        if self.voices.len() < MOST_WINDOWS {
            self.voices.push(embedding.clone());
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
        let voice = Embedding::mean(&self.voices).filter(|_| strong)?;
        Some(Step { voices: vec![(self.model.clone(), voice)], net_speech_s, llr })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings { enabled: true, ..Settings::OFF };

    fn heard(seconds: u64, llr: impl Fn(u64) -> f64, last: Decision) -> Option<Step> {
        let mut watch = AdaptationWatch::new(SETTINGS, "m@1");
        for second in (3..=seconds).step_by(3) {
            let window = SpeechWindow {
                samples: Vec::new(),
                start: Duration::from_secs(second - 3),
                end: Duration::from_secs(second),
                net_speech: Duration::from_secs(second),
                fresh: Duration::from_secs(3),
            };
            let decision = if second + 3 > seconds { last } else { Decision::Accepted };
            let evidence = SpeakerEvidence {
                decision,
                at: window.end,
                llr: 8.0,
                newest_llr: llr(second),
                net_speech: window.net_speech,
                coverage: 1.0,
            };
            let embedding = Embedding::from_raw(vec![1.0, 0.0]).expect("a direction");
            watch.observe(&window, &embedding, &evidence);
        }
        watch.finish()
    }

    #[test]
    fn a_long_call_beyond_doubt_is_worth_a_step() {
        let step = heard(30, |_| 6.0, Decision::Accepted).expect("a step");
        assert_eq!((step.net_speech_s, step.llr, step.voices.len()), (30.0, 6.0, 1));
    }

    #[test]
    fn a_doubt_a_short_call_or_a_weak_score_is_worth_none() {
        assert_eq!(heard(18, |_| 6.0, Decision::Accepted), None, "18 s");
        assert_eq!(heard(30, |_| 4.0, Decision::Accepted), None, "weak");
        let once = |second| if second == 15 { -0.1 } else { 6.0 };
        assert_eq!(heard(60, once, Decision::Accepted), None, "one window against it");
        for last in [Decision::Undecided, Decision::Rejected, Decision::Changed] {
            assert_eq!(heard(30, |_| 6.0, last), None, "{last:?}");
        }
    }
}
