//! How a rule stands in one conversation, and on what it rests.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::policy::rule::Party;

/// What a rule comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleState {
    /// Nothing is decided yet.
    Pending,
    /// It was kept.
    Met,
    /// It was broken.
    Violated,
    /// It asks for nothing here.
    NotApplicable,
    /// Too little was heard to tell.
    Unknown,
}

impl RuleState {
    /// The word in JSON, metrics and log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Met => "met",
            Self::Violated => "violated",
            Self::NotApplicable => "not_applicable",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a rule stands as it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It waits for what may come.
    Open,
    /// What was to be said, or must not be said, was said.
    Said,
    /// It was not said in its time.
    NotSaid,
    /// It was said more often than it may be.
    TooOften,
    /// It was said less often than it must be.
    TooSeldom,
    /// It was said as often as it is to be.
    OftenEnough,
    /// The other party agreed.
    Agreed,
    /// The other party refused.
    Refused,
    /// The other party neither agreed nor refused in time.
    NoAnswer,
    /// The question was never put.
    NotAsked,
    /// What the rule counts from, or must come before, never came.
    NoOccasion,
    /// The conversation was over before the time was.
    EndedFirst,
    /// The conversation is none of those that the rule is for.
    Condition,
    /// A stretch of speech was not analysed in which it may have been said.
    Gap,
    /// No leg of the party was heard at all.
    NotHeard,
    /// Several people share the leg, so it cannot be told whose words they were.
    WhoSpoke,
}

impl Reason {
    /// The word in JSON and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Said => "said",
            Self::NotSaid => "not_said",
            Self::TooOften => "too_often",
            Self::TooSeldom => "too_seldom",
            Self::OftenEnough => "often_enough",
            Self::Agreed => "agreed",
            Self::Refused => "refused",
            Self::NoAnswer => "no_answer",
            Self::NotAsked => "not_asked",
            Self::NoOccasion => "no_occasion",
            Self::EndedFirst => "ended_first",
            Self::Condition => "condition",
            Self::Gap => "gap",
            Self::NotHeard => "not_heard",
            Self::WhoSpoke => "who_spoke",
        }
    }
}

/// How bad a violation is, the least first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth a look.
    Info,
    /// To be followed up.
    #[default]
    Warning,
    /// To be acted upon at once.
    Critical,
}

impl Severity {
    /// The word in JSON and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// A phrase that was said, in conversation time.
///
/// Its order is the one in which speech is understood: by its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Said {
    /// Last sound.
    pub to: Duration,
    /// First sound.
    pub from: Duration,
    /// The leg that it was heard on.
    pub leg: u32,
    /// Its place in the policy's list.
    pub phrase: usize,
}

/// How a rule stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What it comes to.
    pub state: RuleState,
    /// Why.
    pub reason: Reason,
    /// Since when, in conversation time.
    pub since: Duration,
    /// Until when it can be kept, of a time that runs; or could have been, of one that is over.
    pub deadline: Option<Duration>,
    /// What was said that it rests on, in the order of time.
    pub basis: Vec<Said>,
}

impl Standing {
    /// Decided at `since`, resting on `basis`.
    pub fn new(state: RuleState, reason: Reason, since: Duration, basis: Vec<Said>) -> Self {
        Self { state, reason, since, deadline: None, basis }
    }

    /// The same with a deadline.
    pub fn until(mut self, deadline: Option<Duration>) -> Self {
        self.deadline = deadline;
        self
    }
}

/// What a rule has come to by the time that is analysed.
///
/// Neither `running` nor `decided` changes once it is there, however much more is analysed. So it does not
/// matter how often one looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// The deadline that began to run, as it was when it began: holds and pauses are not in it.
    pub running: Option<Standing>,
    /// The deadline by now, where one runs.
    pub due: Option<Duration>,
    /// What became of it.
    pub decided: Option<Standing>,
}

impl Course {
    /// A deadline runs since `since`, when `basis` was said.
    pub fn running(since: Duration, within: Duration, basis: Vec<Said>) -> Self {
        let standing = Standing::new(RuleState::Pending, Reason::Open, since, basis);
        let running = Some(standing.until(Some(since.saturating_add(within))));
        Self { running, ..Self::default() }
    }

    /// The same, decided.
    pub fn decide(
        mut self,
        (state, reason): (RuleState, Reason),
        since: Duration,
        basis: Vec<Said>,
    ) -> Self {
        // What came before a deadline leaves open where it would have been: a hold may have begun since.
        let deadline = self.due.filter(|due| *due == since);
        self.decided = Some(Standing::new(state, reason, since, basis).until(deadline));
        self
    }
}

/// Broken, for `reason`; or unknown, where `gap` may hide what would have kept it.
pub fn broken(reason: Reason, gap: bool) -> (RuleState, Reason) {
    if gap { (RuleState::Unknown, Reason::Gap) } else { (RuleState::Violated, reason) }
}

/// The parties of a rule as one for its verdicts: the only one, or all of them.
pub fn one_of(parties: &[Party]) -> Party {
    match parties {
        [party] => *party,
        [] | [_, _, ..] => Party::Mixed,
    }
}
