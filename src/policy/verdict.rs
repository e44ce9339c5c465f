//! What the PBX is told: the body of an INFO, a log line, a metric. Schema version 1.
//!
//! The schema is documented in `docs/reference/verdicts.md` as the package definition of RFC 6086 §10.

use serde::{Deserialize, Serialize};

use crate::keyword::language::Experiment;
use crate::policy::evidence::{EnrollmentState, Obstacle};
use crate::policy::line::{LineReport, LineState};
use crate::policy::pause::{PauseState, Trigger};
use crate::policy::rule::Party;
use crate::policy::rules::standing::{Reason, RuleState, Severity};
use crate::policy::sensitivity::Sensitivity;
use crate::speaker::verifier::Decision;

/// Version of the JSON schema; a field may be added without raising it, never changed.
pub const SCHEMA_VERSION: u32 = 1;

/// One conclusion about one party of one conversation.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// [`SCHEMA_VERSION`].
    pub version: u32,
    /// Rises by one with every verdict of the conversation.
    pub sequence: u64,
    /// The conversation (`X-Sidetone-Conversation`, else the Call-ID).
    pub conversation: String,
    /// Whose leg it is about.
    pub party: Party,
    /// What was concluded.
    #[serde(flatten)]
    pub finding: Finding,
    /// Since when it holds.
    pub since: jiff::Timestamp,
    /// The same, in seconds of the party's audio; of a rule, in seconds of the conversation.
    pub since_s: f64,
    /// Net speech used, seconds.
    pub net_speech_s: f64,
    /// Share (0 to 1) of the speech heard that was really analysed.
    pub coverage: f64,
    /// Model behind it (`name@version`), where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Policy in force (`name@version`).
    pub policy: String,
}

/// What a verdict concludes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    /// Whether the caller is the claimed speaker.
    Speaker {
        /// The claimed identity.
        subject: String,
        /// The conclusion.
        decision: SpeakerDecision,
        /// Calibrated log-likelihood ratio, nats: above 0 speaks for the claim.
        #[serde(skip_serializing_if = "Option::is_none")]
        llr: Option<f64>,
        /// Probability (0 to 1) that the claim is true, with the configured prior.
        #[serde(skip_serializing_if = "Option::is_none")]
        probability: Option<f64>,
        /// Why there is no conclusion.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Obstacle>,
    },
    /// The caller sounds like a known voice: a hint for a person, never a decision.
    Watchlist {
        /// The voice's id in the list.
        entry: String,
        /// Log-likelihood ratio, nats.
        llr: f64,
    },
    /// A watched phrase was spoken.
    Keyword {
        /// Id of the phrase in the policy.
        phrase: String,
        /// What class of data it is that it was said.
        sensitivity: Sensitivity,
        /// First and last sound, in seconds of the party's audio.
        start_s: f64,
        /// See `start_s`.
        end_s: f64,
        /// Mean log probability per token, nats; 0 where the transcript has the very words. Of a phrase that its phones
        /// alone decided, per phone.
        score: f64,
        /// Whether the transcript has the very words.
        exact: bool,
        /// How well phrases of its language are found, where that is not well enough to rest a decision on.
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        experiment: Option<Experiment>,
    },
    /// How the party's line is.
    Line {
        /// What has become of it.
        state: LineState,
        /// All that was counted and measured so far.
        #[serde(flatten)]
        report: Box<LineReport>,
    },
    /// How the party's enrolment stands.
    Enrollment {
        /// Who is enrolled.
        subject: String,
        /// What has become of it.
        state: EnrollmentState,
        /// What is missing or wrong, a sentence.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// How a rule of the policy stands.
    Rule {
        /// Its id in the policy.
        rule: String,
        /// What it comes to.
        state: RuleState,
        /// How bad a violation is.
        severity: Severity,
        /// Why it stands so.
        reason: Reason,
        /// Until when it can be kept, while a time runs for it; or could have been, where that is over.
        #[serde(skip_serializing_if = "Option::is_none")]
        deadline: Option<jiff::Timestamp>,
        /// What was said that it rests on; no other words are ever told.
        phrases: Vec<Rested>,
        /// As of a phrase, where one that the rule names is an experiment.
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        experiment: Option<Experiment>,
    },
    /// That the party's leg is paused, so that nothing of it is heard, or is not any more; never what was said or keyed.
    Pause {
        /// What has become of the wish to have it paused.
        state: PauseState,
        /// What made it so.
        by: Trigger,
        /// Id of the pause in the policy, where that began it.
        #[serde(skip_serializing_if = "Option::is_none")]
        pause: Option<String>,
        /// Whether the leg is paused now: by this one or another.
        paused: bool,
    },
}

/// A phrase that a rule rests on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rested {
    /// Its id in the policy.
    pub phrase: String,
    /// What class of data it is that it was said.
    pub sensitivity: Sensitivity,
    /// On whose leg it was said.
    pub party: Party,
    /// First and last sound, in seconds of the conversation.
    pub start_s: f64,
    /// See `start_s`.
    pub end_s: f64,
}

/// The decision about a claimed identity, as told to the PBX.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SpeakerDecision {
    /// Too little evidence either way.
    Undecided,
    /// The caller is the claimed speaker.
    Accepted,
    /// The caller was accepted, and of late sounds like somebody else.
    Suspect,
    /// The caller is somebody else.
    Rejected,
    /// Somebody else has taken over.
    Changed,
    /// It cannot be decided; `reason` says why.
    Inconclusive,
}

impl From<Decision> for SpeakerDecision {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Collecting => Self::Undecided,
            Decision::Accepted => Self::Accepted,
            Decision::Suspect => Self::Suspect,
            Decision::Inconclusive => Self::Inconclusive,
            Decision::Rejected => Self::Rejected,
            Decision::Changed => Self::Changed,
        }
    }
}

impl SpeakerDecision {
    /// The word in JSON, metrics and log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Undecided => "undecided",
            Self::Accepted => "accepted",
            Self::Suspect => "suspect",
            Self::Rejected => "rejected",
            Self::Changed => "changed",
            Self::Inconclusive => "inconclusive",
        }
    }
}

impl Finding {
    /// Kind and conclusion as two words, for metrics and log lines; no call or person in them.
    pub fn labels(&self) -> (&'static str, &'static str) {
        match self {
            Self::Speaker { decision, .. } => ("speaker", decision.as_str()),
            Self::Watchlist { .. } => ("watchlist", "hit"),
            Self::Keyword { .. } => ("keyword", "found"),
            Self::Line { state, .. } => ("line", state.as_str()),
            Self::Enrollment { state, .. } => ("enrollment", state.as_str()),
            Self::Rule { state, .. } => ("rule", state.as_str()),
            Self::Pause { state, .. } => ("pause", state.as_str()),
        }
    }
}

impl Verdict {
    /// The same without the ids of phrases that are personal, as a log may keep it.
    #[must_use]
    pub fn for_log(&self) -> Self {
        let mut verdict = self.clone();
        let hide = |phrase: &mut String, sensitivity: Sensitivity| {
            if sensitivity == Sensitivity::Personal {
                sensitivity.as_str().clone_into(phrase);
            }
        };
        match &mut verdict.finding {
            Finding::Keyword { phrase, sensitivity, .. } => hide(phrase, *sensitivity),
            Finding::Rule { phrases, .. } => {
                phrases.iter_mut().for_each(|rested| hide(&mut rested.phrase, rested.sensitivity));
            }
            Finding::Speaker { .. }
            | Finding::Watchlist { .. }
            | Finding::Line { .. }
            | Finding::Pause { .. }
            | Finding::Enrollment { .. } => {}
        }
        verdict
    }

    /// The JSON document, as INFO bodies and log lines carry it.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings, numbers and enums always serialise")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(phrase: &str, sensitivity: Sensitivity) -> Verdict {
        let phrase = phrase.to_owned();
        let (start_s, end_s, score, exact) = (1.0, 2.0, 0.0, true);
        Verdict {
            version: SCHEMA_VERSION,
            sequence: 1,
            conversation: "c".to_owned(),
            party: Party::Caller,
            finding: Finding::Keyword {
                phrase,
                sensitivity,
                start_s,
                end_s,
                score,
                exact,
                experiment: None,
            },
            since: jiff::Timestamp::UNIX_EPOCH,
            since_s: 1.0,
            net_speech_s: 2.0,
            coverage: 1.0,
            model: None,
            policy: "p@1".to_owned(),
        }
    }

    #[test]
    fn a_verdict_says_what_class_of_data_it_is_and_a_log_keeps_no_personal_id() {
        let verdict = found("my-debts", Sensitivity::Personal);
        assert!(verdict.to_json().contains(r#""phrase":"my-debts","sensitivity":"personal""#));
        let kept = verdict.for_log().to_json();
        assert!(kept.contains(r#""phrase":"personal""#) && !kept.contains("debts"), "{kept}");
        let public = found("risk", Sensitivity::Internal);
        assert_eq!(public.for_log().to_json(), public.to_json());
    }

    #[test]
    fn a_rule_s_verdict_in_a_log_names_no_personal_phrase() {
        let rested = |phrase: &str, sensitivity| Rested {
            phrase: phrase.to_owned(),
            sensitivity,
            party: Party::Caller,
            start_s: 0.0,
            end_s: 1.0,
        };
        let mut verdict = found("", Sensitivity::Public);
        verdict.finding = Finding::Rule {
            rule: "r".to_owned(),
            state: RuleState::Met,
            severity: Severity::Info,
            reason: Reason::Said,
            experiment: None,
            deadline: None,
            phrases: vec![
                rested("my-debts", Sensitivity::Personal),
                rested("risk", Sensitivity::Public),
            ],
        };
        let kept = verdict.for_log().to_json();
        assert!(kept.contains("risk") && !kept.contains("debts"), "{kept}");
    }
}
