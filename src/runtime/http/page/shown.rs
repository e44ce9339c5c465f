//! What the page's program is sent: everything, or what is news since it was last sent something. Times are milliseconds of the
//! Unix epoch where they end in `_ms`, and seconds of the party's audio where they end in `_s`.

use serde::Serialize;

use crate::policy::evidence::Obstacle;
use crate::policy::line::LineReport;
use crate::policy::rules::standing::{Reason, RuleState, Severity};
use crate::policy::verdict::SpeakerDecision;

/// What is news.
#[derive(Debug, Serialize)]
pub struct News {
    /// Whether this is everything, and what was sent before no longer counts.
    pub whole: bool,
    /// Conversations that are new or have changed, the oldest first.
    pub conversations: Vec<ConversationShown>,
    /// References of those that are no longer shown.
    pub gone: Vec<String>,
    /// Conversations that there was no room for.
    pub unlisted: u64,
    /// Observations that came too fast to be shown.
    pub missed: u64,
}

/// A conversation as it stands, and what of it is news.
#[derive(Debug, Serialize)]
pub struct ConversationShown {
    /// What it is called here; means nothing elsewhere.
    pub reference: String,
    /// As the PBX calls it; not for everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// When its first call came.
    pub started_ms: i64,
    /// When its last call ended, while it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_ms: Option<i64>,
    /// The policy it is judged by, `name@version`.
    pub policy: String,
    /// Its parties, in the order in which they came.
    pub legs: Vec<LegShown>,
    /// The policy's rules that have come to anything yet.
    pub rules: Vec<RuleShown>,
    /// What happened since, in order.
    pub events: Vec<EventShown>,
}

/// A party's leg.
#[derive(Debug, Serialize)]
pub struct LegShown {
    /// Tells the legs of a conversation apart.
    pub number: u64,
    /// `caller`, `agent` or `mixed`.
    pub party: &'static str,
    /// Who is claimed to speak; not for everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The PBX's channel; not for everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// How the call ended, one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<&'static str>,
    /// How far its audio has come.
    pub now_s: f64,
    /// How the comparison stands, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speaker: Option<SpeakerShown>,
    /// Whether `points` are all that there are, instead of the newest.
    pub all_points: bool,
    /// End of a window, its log-likelihood ratio alone, and that behind the decision, nats.
    pub points: Vec<(f64, f64, f64)>,
    /// When the decision changed, and to what.
    pub marks: Vec<(f64, SpeakerDecision)>,
    /// Spurts of talk since, the last perhaps not over.
    pub talk: Vec<(f64, Option<f64>)>,
    /// On hold.
    pub held: bool,
    /// Paused, so that nothing of it is heard.
    pub paused: bool,
    /// No audio comes from who is to send.
    pub one_way: bool,
    /// How its line is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<LineReport>,
}

/// How a comparison stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct SpeakerShown {
    /// The conclusion.
    pub decision: Option<SpeakerDecision>,
    /// Log-likelihood ratio behind it, nats.
    pub llr: Option<f64>,
    /// Why there is no conclusion.
    pub reason: Option<Obstacle>,
    /// Net speech used, seconds.
    pub net_speech_s: f64,
    /// Share (0 to 1) of the speech heard that was analysed.
    pub coverage: f64,
}

/// A rule of the policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleShown {
    /// Its id in the policy.
    pub rule: String,
    /// Whom it is about.
    pub party: &'static str,
    /// What it comes to.
    pub state: RuleState,
    /// How bad a violation is.
    pub severity: Severity,
    /// Why.
    pub reason: Reason,
    /// Until when it can be kept, while a time runs.
    pub deadline_ms: Option<i64>,
}

/// Something that was concluded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventShown {
    /// Numbers the conversation's events.
    pub number: u64,
    /// When it was told.
    pub at_ms: i64,
    /// Whom it is about.
    pub party: &'static str,
    /// The verdict's kind.
    pub kind: &'static str,
    /// Its conclusion, one word of a closed list.
    pub what: &'static str,
    /// Id of the phrase or rule, or of the known voice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Log-likelihood ratio, nats, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llr: Option<f64>,
}
