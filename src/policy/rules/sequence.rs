//! Phrases that are to be said one after the other.

use std::time::Duration;

use crate::policy::rule::Party;
use crate::policy::rules::ledger::View;
use crate::policy::rules::standing::{Course, Reason, RuleState, Said, broken};

/// Judges whether `parties` say all of `phrases`, each after the end of the one before; others may be said
/// in between. With `within` the first time that the first is said begins the time for all.
pub fn judge(
    phrases: &[String],
    within: Option<Duration>,
    parties: &[Party],
    view: View<'_>,
) -> Course {
    let mut chain: Vec<Said> = Vec::new();
    for id in phrases {
        let from = chain.last().map_or(Duration::ZERO, |before| before.to);
        let mut those = view.said(std::slice::from_ref(id), parties);
        match those.find(|said| said.from >= from) {
            Some(said) => chain.push(said),
            None => break,
        }
    }
    let mut course = Course::default();
    let (begun, mut deadline) = (chain.first().map(|said| said.from), Duration::MAX);
    if let (Some(within), Some(from)) = (within, begun) {
        course = Course::running(from, within, chain[..1].to_vec());
        course.due = view.deadline(from, within);
        deadline = course.due.unwrap_or(Duration::MAX);
        chain.retain(|said| said.to <= deadline);
    }
    let complete = chain.last().filter(|_| chain.len() == phrases.len()).map(|last| last.to);
    let from = begun.unwrap_or(Duration::ZERO);
    match (complete, view.over()) {
        (Some(at), _) => course.decide((RuleState::Met, Reason::Said), at, chain),
        (None, _) if begun.is_some() && view.has_passed(deadline) => {
            let gap = view.gap(parties, from, deadline);
            course.decide(broken(Reason::NotSaid, gap), deadline, chain)
        }
        (None, Some(end)) => {
            let gap = view.gap(parties, from, Duration::MAX);
            course.decide(broken(Reason::NotSaid, gap), end, chain)
        }
        (None, None) => course,
    }
}
