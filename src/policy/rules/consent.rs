//! A question, and the other party's answer to it.

use std::time::Duration;

use crate::policy::rule::Party;
use crate::policy::rules::ledger::View;
use crate::policy::rules::standing::{Course, Reason, RuleState, Said, broken};

/// How much longer than an assent a refusal may last that overlaps it.
///
/// 1 s: "I agree" is heard in "I do not agree" too, and which of the two ends first is a matter of some
/// tens of milliseconds; a refusal goes before.
const AMENDED_WITHIN: Duration = Duration::from_secs(1);

/// The phrases of a consent.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    /// The question.
    pub question: &'a [String],
    /// What is agreed with.
    pub assent: &'a [String],
    /// What is refused with.
    pub refusal: &'a [String],
}

/// Judges whether `asker` asks and `other` agrees within `within` of the end of the question, or of one of
/// its repetitions that is asked while an answer is still waited for. The first answer counts, and only one
/// that begins once the question has ended.
pub fn judge(
    words: Words<'_>,
    (within, must_ask): (Duration, bool),
    (asker, other): (&[Party], &[Party]),
    view: View<'_>,
) -> Course {
    let asked: Vec<Said> = view.said(words.question, asker).collect();
    let Some(first) = asked.first().copied() else { return never_asked(must_ask, asker, view) };
    let mut course = Course::running(first.to, within, vec![first]);
    let mut closes = view.deadline(first.to, within);
    for again in &asked[1..] {
        if closes.is_none_or(|closes| again.to <= closes) {
            closes = closes.and_then(|c| Some(c.max(view.deadline(again.to, within)?)));
        }
    }
    course.due = closes;
    let closes = closes.unwrap_or(Duration::MAX);
    let answers_to = |answer: &Said| {
        asked.iter().copied().filter(|q| q.to <= closes).find(|question| {
            let in_time = view.deadline(question.to, within).is_none_or(|last| answer.to <= last);
            question.to <= answer.from && in_time
        })
    };
    let answer = |ids| view.said(ids, other).find_map(|said| Some((answers_to(&said)?, said)));
    let (yes, no) = (answer(words.assent), answer(words.refusal));
    let assent = yes.filter(|(_, yes)| no.is_none_or(|(_, no)| yes.to < no.to));
    if let Some((question, yes)) = assent {
        let amended = view
            .said(words.refusal, other)
            .find(|no| no.from < yes.to && yes.from < no.to && no.to <= yes.to + AMENDED_WITHIN);
        let decided = match amended {
            Some(no) => Some(((RuleState::Violated, Reason::Refused), no)),
            None if view.knows(yes.to + AMENDED_WITHIN) => {
                Some(((RuleState::Met, Reason::Agreed), yes))
            }
            None => None,
        };
        return decided.map_or(course.clone(), |(verdict, answer)| {
            answered(course, verdict, (question, answer), view)
        });
    }
    if let Some((question, no)) = no {
        let verdict = (RuleState::Violated, Reason::Refused);
        return answered(course, verdict, (question, no), view);
    }
    let silent_since = if view.has_passed(closes) { Some(closes) } else { view.over() };
    let Some(at) = silent_since else { return course };
    let gap = view.gap(other, first.to, closes);
    course.decide(broken(Reason::NoAnswer, gap), at, vec![first])
}

fn answered(
    course: Course,
    verdict: (RuleState, Reason),
    (question, answer): (Said, Said),
    view: View<'_>,
) -> Course {
    // On a leg that both share the one who asked may have said it.
    let whose = view.is_shared(answer).then_some((RuleState::Unknown, Reason::WhoSpoke));
    course.decide(whose.unwrap_or(verdict), answer.to, vec![question, answer])
}

fn never_asked(must_ask: bool, asker: &[Party], view: View<'_>) -> Course {
    let course = Course::default();
    let Some(end) = view.over() else { return course };
    let gap = view.gap(asker, Duration::ZERO, Duration::MAX);
    let verdict = if gap || must_ask {
        broken(Reason::NotAsked, gap)
    } else {
        (RuleState::NotApplicable, Reason::NotAsked)
    };
    course.decide(verdict, end, Vec::new())
}
