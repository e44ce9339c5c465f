//! What was said and what came of the rules, for the log, where the policy wants it there: ids, never words.

use tracing::{info, warn};

use crate::policy::rules::standing::{RuleState, Severity};
use crate::policy::verdict::{Finding, Verdict};

/// One line, if `verdict` is about a phrase or a rule; a violation that is more than worth a look is a warning.
pub fn log(verdict: &Verdict) {
    let (conversation, party) = (&verdict.conversation, verdict.party.as_str());
    match &verdict.finding {
        Finding::Keyword { phrase, .. } => info!(conversation, party, phrase, "phrase said"),
        Finding::Rule { rule, state, severity, reason, .. } => {
            let (word, why) = (state.as_str(), reason.as_str());
            if *state == RuleState::Violated && *severity > Severity::Info {
                warn!(conversation, party, rule, state = word, why, "rule violated");
            } else {
                info!(conversation, party, rule, state = word, why, "rule");
            }
        }
        Finding::Speaker { .. }
        | Finding::Watchlist { .. }
        | Finding::Line { .. }
        | Finding::Pause { .. }
        | Finding::Enrollment { .. } => {}
    }
}
