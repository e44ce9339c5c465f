//! A phrase that must not be said.

use std::slice;
use std::time::Duration;

use crate::policy::rule::Party;
use crate::policy::rules::ledger::View;
use crate::policy::rules::standing::{Course, Reason, RuleState};

/// Judges whether `parties` say none of `phrases`, once `after` and until `before` was said.
pub fn judge(
    phrases: &[String],
    (after, before): (Option<&String>, Option<&String>),
    parties: &[Party],
    view: View<'_>,
) -> Course {
    let of = |id: &'_ String| view.said(slice::from_ref(id), &[]).collect::<Vec<_>>();
    let (opens, closes) = (after.map(of), before.map(of));
    let wrong = view.said(phrases, parties).find(|said| {
        let opened = opens.as_ref().is_none_or(|all| all.iter().any(|a| a.to <= said.from));
        let closed = closes.as_ref().is_some_and(|all| all.iter().any(|b| b.to <= said.from));
        opened && !closed
    });
    let course = Course::default();
    if let Some(said) = wrong {
        let occasion =
            opens.and_then(|all| all.into_iter().find(|opening| opening.to <= said.from));
        let basis = occasion.into_iter().chain([said]).collect();
        return course.decide((RuleState::Violated, Reason::Said), said.to, basis);
    }
    let Some(end) = view.over() else { return course };
    let from = opens.as_ref().map_or(Some(Duration::ZERO), |all| all.first().map(|a| a.to));
    let to = closes.and_then(|all| all.first().map(|b| b.to)).unwrap_or(Duration::MAX);
    let verdict = match from {
        Some(from) if view.gap(parties, from, to) => (RuleState::Unknown, Reason::Gap),
        Some(_) => (RuleState::Met, Reason::NotSaid),
        None if view.gap(&[], Duration::ZERO, to) => (RuleState::Unknown, Reason::Gap),
        None => (RuleState::NotApplicable, Reason::NoOccasion),
    };
    course.decide(verdict, end, Vec::new())
}
