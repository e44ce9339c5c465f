//! What of a call is put on record: decisions, hits, rules and pauses, under the pseudonym of whoever they are about.

use serde_json::Value;

use crate::consent::role::Role;
use crate::policy::evidence::EnrollmentState;
use crate::policy::rule::Party;
use crate::policy::verdict::{Finding, Verdict};
use crate::runtime::policy_in_force::PolicyInForce;
use crate::runtime::signalling::Signalling;
use crate::runtime::store::trail::Entry;
use crate::runtime::store::vault::Subject;
use crate::vault::chain::Kind;

impl Signalling {
    /// Puts a verdict on record. A line's figures are none, and what is kept of an enrolment is recorded where it is kept.
    pub(super) fn record(&self, verdict: &Verdict) {
        let verdict = verdict.for_log();
        let (kind, subject) = match &verdict.finding {
            Finding::Speaker { subject, .. } => (Kind::Decision, Some(subject)),
            Finding::Watchlist { .. } => (Kind::Watchlist, None),
            Finding::Keyword { .. } | Finding::Rule { .. } => (Kind::Rule, None),
            Finding::Pause { .. } => (Kind::Pause, None),
            Finding::Enrollment { subject, state: EnrollmentState::Refused, .. } => {
                (Kind::Enrolment, Some(subject))
            }
            Finding::Enrollment { .. } | Finding::Line { .. } => return,
        };
        let role = if verdict.party == Party::Agent { Role::Agent } else { Role::Caller };
        let mut detail: Value =
            serde_json::from_str(&verdict.to_json()).expect("a verdict is a JSON document");
        if let Some(detail) = detail.as_object_mut() {
            // Names stand in no record, and the rest in columns of its own.
            for field in ["subject", "conversation", "version"] {
                detail.remove(field);
            }
        }
        self.asking.trail.push(Entry {
            subject: subject.map(|name| Subject::new(role, name)),
            conversation: Some(verdict.conversation.clone()),
            ..Entry::now(kind, &detail)
        });
    }

    /// Puts on record that conversations are judged by `policy` from now on.
    pub(super) fn record_policy(&self, policy: &PolicyInForce) {
        let detail = serde_json::json!({
            "policy": policy.policy().versioned_name(), "sha256": policy.digest(),
        });
        self.asking.trail.push(Entry::now(Kind::Configuration, &detail));
    }
}
