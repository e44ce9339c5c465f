//! Weighs the evidence of one conversation's parties: a verdict when a conclusion changes.

use std::sync::Arc;
use std::time::Duration;

use crate::policy::evidence::{Evidence, PhraseEvidence};
use crate::policy::rule::{Party, Policy};
use crate::policy::verdict::{Finding, SCHEMA_VERSION, SpeakerDecision, Verdict};

/// Concludes for one conversation and numbers its verdicts.
#[derive(Debug)]
pub struct Judge {
    conversation: String,
    policy: Arc<Policy>,
    sequence: u64,
}

/// What a judge has to know of a leg, and remembers about it.
#[derive(Debug)]
pub struct Leg {
    /// Whose leg it is.
    pub party: Party,
    /// The claimed identity, if one is claimed.
    pub subject: Option<String>,
    /// When the leg's first audio came.
    pub started: jiff::Timestamp,
    /// Models in use, `name@version`.
    pub models: Models,
    told: Option<SpeakerDecision>,
    phrases: Vec<PhraseEvidence>,
}

/// The models behind the evidence, `name@version`.
#[derive(Clone, Debug, Default)]
pub struct Models {
    /// Makes speaker embeddings.
    pub speaker: String,
    /// Makes transcripts and phrase scores.
    pub keyword: String,
}

impl Leg {
    /// A leg that has shown nothing yet.
    pub fn new(
        party: Party,
        subject: Option<String>,
        started: jiff::Timestamp,
        models: Models,
    ) -> Self {
        Self { party, subject, started, models, told: None, phrases: Vec::new() }
    }
}

impl Judge {
    /// A judge of one conversation under one policy.
    pub fn new(conversation: String, policy: Arc<Policy>) -> Self {
        Self { conversation, policy, sequence: 0 }
    }

    /// Takes one piece of evidence about `leg`; returns a verdict if a conclusion changed.
    pub fn weigh(&mut self, leg: &mut Leg, evidence: &Evidence) -> Option<Verdict> {
        match evidence {
            Evidence::Speaker(speaker) => {
                let decision = SpeakerDecision::from(speaker.decision);
                let unsaid = decision != SpeakerDecision::Undecided && leg.told != Some(decision);
                let subject = leg.subject.clone().filter(|_| unsaid)?;
                leg.told = Some(decision);
                let llr = Some(rounded(speaker.llr, 100.0));
                let finding = Finding::Speaker { subject, decision, llr, reason: None };
                let model = Some(leg.models.speaker.clone());
                let heard = (speaker.net_speech, speaker.coverage);
                Some(self.verdict(leg, finding, speaker.at, heard, model))
            }
            Evidence::NoSpeakerCheck(obstacle) => {
                let decision = SpeakerDecision::Inconclusive;
                let subject = leg.subject.clone().filter(|_| leg.told != Some(decision))?;
                leg.told = Some(decision);
                let finding =
                    Finding::Speaker { subject, decision, llr: None, reason: Some(*obstacle) };
                Some(self.verdict(leg, finding, Duration::ZERO, (Duration::ZERO, 0.0), None))
            }
            Evidence::Phrase(phrase) => {
                let unsaid = !leg.phrases.iter().any(|earlier| is_same_sound(earlier, phrase));
                if !unsaid || !self.policy.watches(phrase.phrase, leg.party) {
                    return None;
                }
                leg.phrases.push(*phrase);
                let finding = Finding::Keyword {
                    phrase: self.policy.phrases[phrase.phrase].id.clone(),
                    start_s: seconds(phrase.start),
                    end_s: seconds(phrase.end),
                    score: rounded(f64::from(phrase.score), 100.0),
                    exact: phrase.exact,
                };
                let model = Some(leg.models.keyword.clone());
                let heard = (phrase.net_speech, phrase.coverage);
                Some(self.verdict(leg, finding, phrase.start, heard, model))
            }
            Evidence::Talk { .. } => None,
        }
    }

    fn verdict(
        &mut self,
        leg: &Leg,
        finding: Finding,
        since: Duration,
        (net_speech, coverage): (Duration, f64),
        model: Option<String>,
    ) -> Verdict {
        self.sequence += 1;
        Verdict {
            version: SCHEMA_VERSION,
            sequence: self.sequence,
            conversation: self.conversation.clone(),
            party: leg.party,
            finding,
            // Rounded so that a verdict reads well; saturating for a clock set to year 9999.
            since: leg.started.saturating_add(since).unwrap_or(leg.started),
            since_s: seconds(since),
            net_speech_s: seconds(net_speech),
            coverage: rounded(coverage, 1000.0),
            model,
            policy: format!("{}@{}", self.policy.name, self.policy.version),
        }
    }
}

/// Two segments that overlap may both hold a phrase: it was spoken once.
fn is_same_sound(a: &PhraseEvidence, b: &PhraseEvidence) -> bool {
    a.phrase == b.phrase && a.start < b.end && b.start < a.end
}

/// Seconds with three places, as JSON carries them.
fn seconds(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64(), 1000.0)
}

fn rounded(x: f64, steps: f64) -> f64 {
    (x * steps).round() / steps
}
