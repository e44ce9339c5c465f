//! Whether the scores of production are still those that the calibration was made for.
//!
//! What a call's first decisive window says is collected for calls that came to be accepted, and compared
//! with what clean trials said, by the population stability index. A new codec, an echo canceller, another
//! handset or a wrong gain shows here long before anybody complains of being turned away.

use std::collections::VecDeque;

use crate::speaker::calibration::Comparison;
use crate::speaker::verifier::Decision;

/// Accepted calls that are compared, the newest.
pub const CALLS: usize = 200;
/// Upper bounds of the classes of evidence, nats; the last has none: it is of windows at the cap of 9, which
/// is what a clean call nearly always says.
const BOUNDS: [f64; CLASSES - 1] = [6.0, 8.0, 8.95];
const CLASSES: usize = 4;
/// From this index on a population counts as another one (the usual reading of the index: below .1 the same,
/// above .25 another). Of 200 calls chance alone makes .015 on average, .08 in one of a thousand.
pub const SHIFTED: f64 = 0.25;
/// Share of each class among clean calls: 63 that were accepted, of five readers whom neither embedder nor
/// calibration knew, mu-law, enrolled with some 10 s (0, 4, 1 and 58 calls, and half a call more in each
/// class). With noise behind all of them the same readers come to an index of .19 (kitchen, 5 dB; the
/// calibration makes up for most of it) and .95 (2 dB).
const REFERENCE: [f64; CLASSES] = [0.008, 0.069, 0.023, 0.900];
/// Least share that a class counts with: an empty one would make the index infinite.
const LEAST_SHARE: f64 = 0.005;

/// The first decisive window of one call, told once the call is accepted.
///
/// The whole of it is held back until then, because of an impostor's call it says nothing about drift.
#[derive(Clone, Copy, Debug, Default)]
pub struct FirstLook {
    first: Option<f64>,
    told: bool,
}

impl FirstLook {
    /// Takes a comparison, what it says (nats), and the decision after it. Returns what the first one by the
    /// strong embedder said, once: when the call is accepted.
    pub fn observe(
        &mut self,
        comparison: &Comparison,
        llr: f64,
        decision: Decision,
    ) -> Option<f64> {
        let decisive = comparison.likeness.decide.is_some() && comparison.conditions.are_fit();
        if self.first.is_none() && decisive {
            self.first = Some(llr);
        }
        if self.told || decision != Decision::Accepted {
            return None;
        }
        self.told = true;
        self.first
    }
}

/// The newest accepted calls, by what their first decisive windows said.
#[derive(Clone, Debug, Default)]
pub struct ScoreDrift {
    classes: VecDeque<usize>,
}

impl ScoreDrift {
    /// Takes the evidence (nats) of an accepted call.
    pub fn observe(&mut self, llr: f64) {
        if self.classes.len() == CALLS {
            self.classes.pop_front();
        }
        self.classes.push_back(class(llr));
    }

    /// Population stability index against clean calls: 0 where the shares are equal, without an upper bound.
    /// `None` before [`CALLS`] were seen: of fewer, chance alone would look like drift.
    pub fn index(&self) -> Option<f64> {
        if self.classes.len() < CALLS {
            return None;
        }
        let mut counts = [0_u32; CLASSES];
        for &class in &self.classes {
            counts[class] += 1;
        }
        let found = counts.map(|count| f64::from(count) / CALLS as f64);
        Some(index(found, REFERENCE))
    }
}

fn class(llr: f64) -> usize {
    BOUNDS.iter().take_while(|bound| llr >= **bound).count()
}

/// `sum((p - q) ln(p / q))` over the classes.
fn index(found: [f64; CLASSES], expected: [f64; CLASSES]) -> f64 {
    let pairs = found.iter().zip(expected);
    pairs
        .map(|(found, expected)| {
            let (p, q) = (found.max(LEAST_SHARE), expected.max(LEAST_SHARE));
            (p - q) * (p / q).ln()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::speaker::calibration::{Conditions, Likeness};

    fn comparison(decide: Option<f32>, range_db: f64) -> Comparison {
        Comparison {
            likeness: Likeness { decide, watch: Some(0.9) },
            conditions: Conditions { range_db, upper_db: -6.0, concealed: 0.0 },
            net_speech: Duration::from_secs(3),
            fresh: 1.0,
        }
    }

    fn index_of(shares: [usize; CLASSES]) -> Option<f64> {
        let mut drift = ScoreDrift::default();
        for (llr, calls) in [2.0, 7.0, 8.5, 9.0].into_iter().zip(shares) {
            (0..calls).for_each(|_| drift.observe(llr));
        }
        drift.index()
    }

    #[test]
    fn calls_like_the_clean_ones_are_no_drift_and_those_behind_noise_are() {
        assert!(index_of([2, 14, 4, 180]).expect("200 calls") < 0.01);
        assert!(index_of([0, 36, 21, 143]).expect("200 calls") > SHIFTED);
    }

    #[test]
    fn a_population_that_left_its_classes_has_a_finite_index() {
        let index = index_of([200, 0, 0, 0]).expect("200 calls");
        assert!(index.is_finite() && index > 4.0, "{index}");
    }

    #[test]
    fn few_calls_say_nothing_and_old_ones_are_forgotten() {
        assert_eq!(index_of([0, 0, 0, CALLS - 1]), None);
        let mut drift = ScoreDrift::default();
        (0..CALLS).for_each(|_| drift.observe(-5.0));
        (0..CALLS).for_each(|_| drift.observe(9.0));
        assert!(drift.index().expect("200 calls") < SHIFTED);
    }

    #[test]
    fn an_accepted_call_tells_its_first_decisive_window_once() {
        let mut look = FirstLook::default();
        let decisive = comparison(Some(0.7), 28.0);
        let told = [
            look.observe(&comparison(None, 28.0), 1.0, Decision::Collecting),
            look.observe(&comparison(Some(0.7), 5.0), 2.0, Decision::Collecting),
            look.observe(&decisive, 3.0, Decision::Collecting),
            look.observe(&decisive, 8.0, Decision::Accepted),
            look.observe(&decisive, 9.0, Decision::Suspect),
            look.observe(&decisive, 9.0, Decision::Accepted),
        ];
        assert_eq!(told, [None, None, None, Some(3.0), None, None]);
    }

    #[test]
    fn a_call_that_is_never_accepted_tells_nothing() {
        let mut look = FirstLook::default();
        let decisive = comparison(Some(0.1), 28.0);
        for decision in [Decision::Collecting, Decision::Rejected] {
            assert_eq!(look.observe(&decisive, -9.0, decision), None);
        }
    }
}
