//! Whether a phrase was said that is known by example alone: in any language, and whatever it is called.

use std::time::Duration;

use crate::keyword::acoustic_model::FRAME;
use crate::keyword::language::Experiment;
use crate::keyword::phone_roots::PhoneRoots;
use crate::keyword::phone_search::Span;
use crate::keyword::spotter::Hit;
use crate::keyword::subsequence_dtw::{Ending, endings};

/// Examples that have to agree: one alone is too often like something else.
const AGREEING: usize = 2;
/// 0.14 s: how far apart two examples may see the end of one utterance.
const APART: usize = 6;
/// Times that one phrase is found in one segment at most.
const MOST_PLACES: usize = 4;

/// How well phrases by example are found: 75 of 90 words of strangers amid running speech [.74, .90], three words learned
/// from eight people each, and 2 false alarms in three times .37 h of others' speech [.2, 6.6 an hour], at thresholds made
/// for .5 an hour (`SIDETONE_EXAMPLES=all`, `phrases_by_example`).
pub const EXPERIMENT: Experiment =
    Experiment { experimental: true, recall: 0.83, false_alarms_per_hour: 1.8 };

/// One phrase that its examples decide.
#[derive(Clone, Debug, PartialEq)]
pub struct ExampleDecision {
    templates: Vec<PhoneRoots>,
    threshold: f32,
}

impl ExampleDecision {
    /// By `examples`, two or more, for what has the score `threshold` or more; see [`Self::places`].
    pub fn new<'a>(examples: impl IntoIterator<Item = &'a PhoneRoots>, threshold: f32) -> Self {
        Self { templates: examples.into_iter().cloned().collect(), threshold }
    }

    /// The score that counts.
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    /// The phrase at place `phrase` of a spotter's list, wherever it was said in a segment.
    pub fn hits(&self, phrase: usize, heard: &PhoneRoots) -> impl Iterator<Item = Hit> {
        self.places(heard).into_iter().map(move |Span { score, frames }| {
            let (start, end) = (at(frames.start), at(frames.end));
            Hit { phrase, score, decoder: f32::NEG_INFINITY, exact: false, start, end }
        })
    }

    /// Where it was said in a segment, in the order of time. The score is 0 for what sounds like the two best examples
    /// in every frame, and less by the mean of their mean distances, never below -1.
    pub fn places(&self, heard: &PhoneRoots) -> Vec<Span> {
        let ends: Vec<Vec<Ending>> =
            self.templates.iter().map(|template| endings(template, heard)).collect();
        let spans = (0..heard.frames()).filter_map(|at| agreed(&ends, at));
        let mut found = apart(spans.filter(|span| span.score >= self.threshold).collect());
        found.truncate(MOST_PLACES);
        found.sort_by_key(|span| span.frames.start);
        found
    }
}

/// The best of `spans`, best first, no two of which overlap.
pub fn apart(mut spans: Vec<Span>) -> Vec<Span> {
    // Stable: of equals the first.
    spans.sort_by(|one, other| other.score.total_cmp(&one.score));
    let mut found: Vec<Span> = Vec::new();
    for span in spans {
        let apart = |other: &Span| {
            span.frames.end <= other.frames.start || other.frames.end <= span.frames.start
        };
        if found.iter().all(apart) {
            found.push(span);
        }
    }
    found
}

/// When a frame begins, from the start of the segment.
fn at(frame: usize) -> Duration {
    FRAME * u32::try_from(frame).expect("a segment of some seconds")
}

/// What the best examples say of an utterance that one of them sees end at `at`.
fn agreed(ends: &[Vec<Ending>], at: usize) -> Option<Span> {
    let frames = ends.first()?.len();
    let near = |ends: &Vec<Ending>| {
        let around = &ends[at.saturating_sub(APART)..(at + APART + 1).min(frames)];
        around.iter().map(|end| end.cost).fold(f32::INFINITY, f32::min)
    };
    let best = ends.iter().map(|ends| ends[at]).min_by(|a, b| a.cost.total_cmp(&b.cost))?;
    let mut costs: Vec<f32> = ends.iter().map(near).collect();
    costs.sort_by(f32::total_cmp);
    let agreeing = costs.get(..AGREEING)?;
    let score = -agreeing.iter().sum::<f32>() / AGREEING as f32;
    // Another frame is the better end of it.
    let is_end = best.cost <= agreeing[AGREEING - 1];
    (is_end && score.is_finite()).then(|| Span { score, frames: best.began..at + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyword::phone_roots::tests::letters;

    const SAID: &str = "abcdefghijklmn";

    fn decision(threshold: f32) -> ExampleDecision {
        let examples = [SAID, SAID, "zzzzzzzzzzzzzzzz"].map(letters);
        ExampleDecision::new(&examples, threshold)
    }

    #[test]
    fn what_two_examples_agree_on_is_found_each_time() {
        let heard = letters(&format!("xxx{SAID}yyyyyyyyyyyyyyy{SAID}x"));
        let spans = decision(-0.3).places(&heard);
        let found: Vec<_> = spans.iter().map(|span| (span.frames.clone(), span.score)).collect();
        assert_eq!(found, [(3..17, 0.0), (32..46, 0.0)]);
    }

    #[test]
    fn what_one_example_says_alone_is_not() {
        let heard = letters(&"z".repeat(40));
        assert_eq!(decision(-0.3).places(&heard), []);
        let low = decision(-1.0).places(&heard);
        assert!(low.iter().all(|span| span.score == -0.5), "the mean of 0 and 1: {low:?}");
        assert!(!low.is_empty());
    }

    #[test]
    fn what_sounds_alike_counts_from_the_threshold_on() {
        let heard = letters("abcdqfghijqlmn");
        let score = |threshold| decision(threshold).places(&heard).first().map(|span| span.score);
        assert_eq!(score(-0.1), None);
        assert!((score(-0.2).expect("alike") + 1.0 / 7.0).abs() < 1e-6);
    }

    #[test]
    fn in_too_short_a_segment_nothing_was_said() {
        assert_eq!(decision(-1.0).places(&letters("abc")), []);
        assert_eq!(decision(-1.0).places(&letters("")), []);
    }
}
