//! What a party's audio has shown, in stream time.

use std::time::Duration;

use crate::consent::consents::Refusal;
use crate::policy::line::{LineReport, LineState};
use crate::policy::pause::PauseEvidence;
use crate::policy::rules::event::Suspension;
use crate::speaker::calibration::Comparison;
use crate::speaker::verifier::{Decision, Reason};
use crate::speaker::watchlist::Hit;

/// One observation about one party. Times count from the party's first audio.
#[derive(Clone, Debug, PartialEq)]
pub enum Evidence {
    /// One more window of speech was compared with the claimed identity.
    Speaker(SpeakerEvidence),
    /// The caller sounds like a known voice.
    Watchlist(WatchlistEvidence),
    /// The claimed identity cannot be checked at all.
    NoSpeakerCheck(Obstacle),
    /// The claimed identity was compared, and is not any more.
    ComparisonEnded(EndEvidence),
    /// A watched phrase was spoken.
    Phrase(PhraseEvidence),
    /// The party began or ceased to talk.
    Talk {
        /// Whether it talks now.
        talking: bool,
        /// Since when.
        at: Duration,
    },
    /// The party pressed a key. It may be part of a secret: never to be logged.
    Key {
        /// `0-9 * # A-D`.
        key: char,
        /// When.
        at: Duration,
    },
    /// The party's line fell silent, came back or is over.
    Line(LineEvidence),
    /// The party is being enrolled.
    Enrollment(EnrollmentEvidence),
    /// Every watched phrase that ends by then, and every gap that begins before, has been told.
    Analysed {
        /// By when.
        until: Duration,
        /// Net speech heard by the end of what was searched last.
        net_speech: Duration,
        /// Share (0 to 1) of the speech heard that was really searched.
        coverage: f64,
    },
    /// Speech in which nobody looked for phrases.
    Gap {
        /// Where it begins.
        from: Duration,
        /// Where it ends.
        to: Duration,
    },
    /// The party is put on hold, or paused so that nothing of it is heard; or it goes on.
    Suspended {
        /// Why.
        why: Suspension,
        /// Whether it begins.
        begins: bool,
        /// When.
        at: Duration,
    },
    /// Somebody had the leg paused, or does not any more.
    Pause(PauseEvidence),
}

/// How an enrolment stands, at a change.
#[derive(Clone, Debug, PartialEq)]
pub struct EnrollmentEvidence {
    /// Who is enrolled.
    pub subject: String,
    /// How it stands.
    pub state: EnrollmentState,
    /// What is missing or wrong, a sentence.
    pub reason: Option<String>,
    /// How far the stream had come.
    pub at: Duration,
    /// Net speech of this call in it.
    pub net_speech: Duration,
    /// Share (0 to 1) of the speech heard that was really analysed.
    pub coverage: f64,
}

/// What has become of an enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrollmentState {
    /// It goes on, in this call or the next.
    Collecting,
    /// The voiceprint is kept.
    Enrolled,
    /// Nothing is kept.
    Refused,
}

impl EnrollmentState {
    /// The word in JSON, metrics and log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Collecting => "collecting",
            Self::Enrolled => "enrolled",
            Self::Refused => "refused",
        }
    }
}

/// How a party's line is, at a change.
#[derive(Clone, Debug, PartialEq)]
pub struct LineEvidence {
    /// What has become of it.
    pub state: LineState,
    /// How far the stream had come.
    pub at: Duration,
    /// Net speech heard by then.
    pub net_speech: Duration,
    /// Share (0 to 1) of the speech heard that was really received.
    pub coverage: f64,
    /// All that was counted and measured so far.
    pub report: Box<LineReport>,
}

/// How the comparison with a voiceprint stands after one more window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpeakerEvidence {
    /// The decision now.
    pub decision: Decision,
    /// Since when it stands.
    pub since: Duration,
    /// End of the newest window.
    pub at: Duration,
    /// Log-likelihood ratio behind the decision, nats.
    pub llr: f64,
    /// What the newest window showed.
    pub newest: Comparison,
    /// Log-likelihood ratio of the newest window alone, nats.
    pub newest_llr: f64,
    /// Probability (0 to 1) that the claim is true, with what was to be expected before the call.
    pub probability: f64,
    /// Why it is inconclusive, where it is.
    pub reason: Option<Obstacle>,
    /// Net speech heard through the newest window's end.
    pub net_speech: Duration,
    /// Share (0 to 1) of the speech heard that was really analysed.
    pub coverage: f64,
}

/// That the comparison with a voiceprint ended before the call did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EndEvidence {
    /// Why.
    pub why: Obstacle,
    /// How far the stream had come.
    pub at: Duration,
    /// Net speech heard by then.
    pub net_speech: Duration,
}

/// That a caller sounds like a known voice.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchlistEvidence {
    /// Which, and how much so.
    pub hit: Hit,
    /// End of the window that made it so.
    pub at: Duration,
    /// Net speech heard through that window's end.
    pub net_speech: Duration,
    /// Share (0 to 1) of the speech heard that was really analysed.
    pub coverage: f64,
}

/// Why an identity is not decided upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// Nobody agreed to anything, as far as we were told, so no embedding may be computed.
    NoConsent,
    /// The consent is for something else than a comparison.
    NotCovered,
    /// The consent was taken back, before the call or in it.
    ConsentWithdrawn,
    /// The consent has run out.
    ConsentExpired,
    /// The person wants none of it.
    OptedOut,
    /// What is kept of consents and voices cannot be asked now.
    StoreUnavailable,
    /// The claimed identity has not enrolled a voice.
    NoVoiceprint,
    /// The voiceprint was made by another model than the one in use.
    OtherModel,
    /// Too much noise, or too much that was lost, in what was heard so far.
    PoorLine,
    /// The voice is neither like nor unlike enough, after half a minute of speech.
    Ambiguous,
}

impl From<Refusal> for Obstacle {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::None => Self::NoConsent,
            Refusal::NotCovered => Self::NotCovered,
            Refusal::Withdrawn => Self::ConsentWithdrawn,
            Refusal::Expired => Self::ConsentExpired,
            Refusal::OptedOut => Self::OptedOut,
        }
    }
}

impl From<Reason> for Obstacle {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::PoorLine => Self::PoorLine,
            Reason::Ambiguous => Self::Ambiguous,
        }
    }
}

/// A watched phrase in the audio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PhraseEvidence {
    /// Its place in the policy's list.
    pub phrase: usize,
    /// First sound of the phrase.
    pub start: Duration,
    /// Last sound of the phrase.
    pub end: Duration,
    /// Mean log probability per token, nats; 0 where the transcript has the very words.
    pub score: f32,
    /// Whether the transcript has the very words.
    pub exact: bool,
    /// Net speech heard by then.
    pub net_speech: Duration,
    /// Share (0 to 1) of the speech heard that was really analysed.
    pub coverage: f64,
}
