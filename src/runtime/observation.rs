//! What happens in the appliance, for those who watch: log, demonstration, live page.

use std::sync::Arc;

use crate::call::media_stats::MediaStats;
use crate::policy::evidence::Evidence;
use crate::policy::line::LineReport;
use crate::policy::rule::Party;
use crate::policy::verdict::Verdict;
use crate::sip::event::CallKey;

/// Something that happened, for those who watch. They can never hold up a call.
#[derive(Clone, Debug)]
pub enum Observation {
    /// A call came in.
    Started {
        /// Which call.
        call: CallKey,
        /// Its conversation.
        conversation: String,
        /// What the appliance calls that conversation where its id, which the PBX chose, is not to be told.
        reference: String,
        /// Whose leg it is.
        party: Party,
        /// Who is claimed to speak, where anybody is.
        subject: Option<String>,
        /// The PBX's channel, where it told one.
        channel: Option<String>,
        /// The policy that the conversation is judged by, `name@version`.
        policy: String,
        /// When the call came.
        at: jiff::Timestamp,
    },
    /// How a party's line is; once a second, and only while somebody asks for it by [`crate::runtime::line_watch`].
    Line {
        /// Which call.
        call: CallKey,
        /// All that was counted and measured so far.
        report: Box<LineReport>,
    },
    /// A party's audio showed something.
    Evidence {
        /// Which call.
        call: CallKey,
        /// What.
        evidence: Evidence,
    },
    /// A conclusion.
    Verdict {
        /// Which call.
        call: CallKey,
        /// What.
        verdict: Arc<Verdict>,
    },
    /// What became of a verdict's INFO; they are answered in the order of the verdicts.
    Info {
        /// Which call.
        call: CallKey,
        /// What.
        outcome: InfoOutcome,
    },
    /// The dialog is over.
    Ended {
        /// Which call.
        call: CallKey,
        /// How, one word.
        end: &'static str,
    },
    /// The media session is over.
    Closed {
        /// Which call.
        call: CallKey,
        /// What it counted.
        stats: MediaStats,
    },
}

/// What became of an INFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InfoOutcome {
    /// 200-299.
    Answered(u16),
    /// 300-699.
    Refused(u16),
    /// No answer in 32 s.
    TimedOut,
    /// Not sent: the peer takes none, or the call was over.
    Skipped,
}

impl InfoOutcome {
    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered(_) => "answered",
            Self::Refused(_) => "refused",
            Self::TimedOut => "timed_out",
            Self::Skipped => "skipped",
        }
    }
}
