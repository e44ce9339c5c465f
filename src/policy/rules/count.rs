//! Phrases that are to be said so many times.

use std::collections::HashMap;
use std::time::Duration;

use crate::policy::rule::Party;
use crate::policy::rules::ledger::View;
use crate::policy::rules::standing::{Course, Reason, RuleState, Said, broken};

/// Most phrases that a verdict names.
const MOST_NAMED: usize = 16;

/// Judges how often `parties` say one of `phrases`. Phrases that overlap on one leg are one.
pub fn judge(
    phrases: &[String],
    (at_least, at_most): (Option<u32>, Option<u32>),
    parties: &[Party],
    view: View<'_>,
) -> Course {
    let mut last: HashMap<u32, Duration> = HashMap::new();
    let counted: Vec<Said> = view
        .said(phrases, parties)
        .filter(|said| {
            let to = last.entry(said.leg).or_default();
            let apart = said.from >= *to;
            if apart {
                *to = said.to;
            }
            apart
        })
        .collect();
    let nth = |n: u32| counted.get(n as usize).copied();
    let through = |last: Said| {
        let upto: Vec<Said> = counted.iter().copied().filter(|said| *said <= last).collect();
        upto[upto.len().saturating_sub(MOST_NAMED)..].to_vec()
    };
    let course = Course::default();
    if let Some(said) = at_most.and_then(nth) {
        let verdict = (RuleState::Violated, Reason::TooOften);
        return course.decide(verdict, said.to, through(said));
    }
    let enough = at_least.map(|n| nth(n.saturating_sub(1)));
    if let (None, Some(Some(said))) = (at_most, enough) {
        let verdict = (RuleState::Met, Reason::OftenEnough);
        return course.decide(verdict, said.to, through(said));
    }
    let Some(end) = view.over() else { return course };
    let gap = view.gap(parties, Duration::ZERO, Duration::MAX);
    let verdict = match enough {
        Some(None) => broken(Reason::TooSeldom, gap),
        // There is an upper bound, and one more may have been said.
        Some(Some(_)) | None if gap => (RuleState::Unknown, Reason::Gap),
        Some(Some(_)) | None => (RuleState::Met, Reason::OftenEnough),
    };
    course.decide(verdict, end, counted.last().map_or(Vec::new(), |last| through(*last)))
}
