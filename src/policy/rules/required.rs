//! A phrase that is to be said in time.

use std::slice;
use std::time::Duration;

use crate::keyword::spotter::LONGEST_SEGMENT;
use crate::policy::rule::Party;
use crate::policy::rules::definition::{Anchor, Limit};
use crate::policy::rules::ledger::View;
use crate::policy::rules::standing::{Course, Reason, RuleState, Said, broken};

/// Judges whether one of `phrases` is said by `parties` after `after` and before `limit` is over.
pub fn judge(
    phrases: &[String],
    (after, limit): (&Anchor, &Limit),
    parties: &[Party],
    view: View<'_>,
) -> Course {
    let anchor = match after {
        Anchor::CallStart => Some((Duration::ZERO, None)),
        Anchor::Answered => view.answered().map(|at| (at, None)),
        Anchor::Phrase(id) => {
            view.said(slice::from_ref(id), &[]).next().map(|said| (said.to, Some(said)))
        }
    };
    let Some((from, occasion)) = anchor else {
        let may_have_been = matches!(after, Anchor::Phrase(_));
        return no_occasion(may_have_been && view.gap(&[], Duration::ZERO, Duration::MAX), view);
    };
    let hit = view.said(phrases, parties).find(|said| said.from >= from);
    let with = |said: Said| occasion.into_iter().chain([said]).collect::<Vec<_>>();
    match limit {
        Limit::Within(within) => {
            let mut course = Course::running(from, *within, occasion.into_iter().collect());
            course.due = view.deadline(from, *within);
            let deadline = course.due.unwrap_or(Duration::MAX);
            match (hit.filter(|said| said.to <= deadline), view.over()) {
                (Some(said), _) => {
                    course.decide((RuleState::Met, Reason::Said), said.to, with(said))
                }
                (None, _) if view.has_passed(deadline) => {
                    let gap = view.gap(parties, from, deadline);
                    let basis = occasion.into_iter().collect();
                    course.decide(broken(Reason::NotSaid, gap), deadline, basis)
                }
                (None, Some(end)) => {
                    let ended = (RuleState::NotApplicable, Reason::EndedFirst);
                    course.decide(ended, end, occasion.into_iter().collect())
                }
                (None, None) => course,
            }
        }
        Limit::End => match (hit, view.over()) {
            (Some(said), _) => {
                Course::default().decide((RuleState::Met, Reason::Said), said.to, with(said))
            }
            (None, Some(end)) => {
                let basis = occasion.into_iter().collect();
                let verdict = broken(Reason::NotSaid, view.gap(parties, from, end));
                Course::default().decide(verdict, end, basis)
            }
            (None, None) => Course::default(),
        },
        Limit::Before(id) => {
            let mut others = view.said(slice::from_ref(id), &[]).filter(|x| x.from >= from);
            let too_early = others.find(|x| hit.is_none_or(|said| x.from < said.to));
            match (too_early, hit) {
                (Some(x), _) => {
                    let verdict = broken(Reason::NotSaid, view.gap(parties, from, x.from));
                    Course::default().decide(verdict, x.from, with(x))
                }
                // What somebody began before the phrase had ended may not have ended yet.
                (None, Some(said)) if view.knows(said.to + LONGEST_SEGMENT) => {
                    Course::default().decide((RuleState::Met, Reason::Said), said.to, with(said))
                }
                (None, Some(_)) => Course::default(),
                (None, None) => no_occasion(view.gap(&[], from, Duration::MAX), view),
            }
        }
    }
}

/// Nothing came of what the rule turns on, unless it came in a `gap`.
fn no_occasion(gap: bool, view: View<'_>) -> Course {
    let verdict = if gap {
        (RuleState::Unknown, Reason::Gap)
    } else {
        (RuleState::NotApplicable, Reason::NoOccasion)
    };
    let course = Course::default();
    view.over().map_or(course.clone(), |end| course.decide(verdict, end, Vec::new()))
}
