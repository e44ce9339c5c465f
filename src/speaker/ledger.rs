//! Evidence of many windows of one voice, weighed together: windows correlate, so they do not add up.

use crate::speaker::calibration::{Calibration, Comparison, Conditions, Likeness};

/// How alike the evidence of two windows of one impostor is that share no speech: the correlation of
/// their log-likelihood ratios (72 readers, 5,112 pairs; .87). A voice that resembles another
/// resembles it all along, so more of it adds next to nothing for acceptance.
pub(in crate::speaker) const IMPOSTOR_CORRELATION: f64 = 0.85;
/// The same of a genuine caller's (72 readers; .31 to .39): a bad window of the true speaker is mostly
/// chance, so more speech does clear him of the doubt.
const GENUINE_CORRELATION: f64 = 0.4;

/// What was heard before a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ledger {
    /// Whole windows' worth of speech that was compared, overlaps counted once.
    pub windows: f64,
    /// The same of what a poor line made worthless.
    pub spoilt: f64,
    /// Evidence for the claim, and doubt about it, each times its windows, nats.
    pub evidence: f64,
    /// See `evidence`.
    pub doubt: f64,
}

impl Ledger {
    /// Evidence of all of it for the claim, nats.
    pub fn llr(&self) -> f64 {
        self.mean(self.evidence) * effective(self.windows, IMPOSTOR_CORRELATION)
    }

    /// Evidence of all of it against the claim, negative, nats.
    pub fn doubt(&self) -> f64 {
        self.mean(self.doubt) * effective(self.windows, GENUINE_CORRELATION)
    }

    fn mean(&self, sum: f64) -> f64 {
        if self.windows > 0.0 { sum / self.windows } else { 0.0 }
    }
}

/// What all the speech of a recording says, and what that was made of: for evaluation and fitting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weighed {
    /// Log-likelihood ratio without the bounds on a single window, nats.
    pub llr: f64,
    /// Cosines in the mean over the windows that were weighed, each by its new speech.
    pub likeness: Likeness,
    /// Range and upper edge in the same mean, and the largest share that was lost around any of them.
    pub conditions: Conditions,
}

/// Weighs all the speech in `comparisons`. Of speech that the strong embedder never heard, it is what the newest
/// comparison says; `None` where nothing was heard on a line that is good enough.
pub fn unbounded(calibration: &Calibration, comparisons: &[Comparison]) -> Option<Weighed> {
    let fit = |comparison| Some((comparison, calibration.unbounded(comparison)?));
    let whole: Vec<(&Comparison, f64)> = comparisons
        .iter()
        .filter(|comparison| comparison.likeness.decide.is_some() && comparison.fresh > 0.0)
        .filter_map(fit)
        .collect();
    let windows: f64 = whole.iter().map(|(comparison, _)| comparison.fresh).sum();
    let effective = effective(windows, IMPOSTOR_CORRELATION);
    let weighed = match comparisons.iter().rev().find_map(fit) {
        Some(newest) if whole.is_empty() => vec![newest],
        _ => whole,
    };
    let mean = |of: &dyn Fn(&Comparison) -> Option<f64>| mean(&weighed, |(one, _)| of(one));
    Some(Weighed {
        llr: self::mean(&weighed, |(_, llr)| Some(*llr))? * effective,
        likeness: Likeness {
            decide: mean(&|one| one.likeness.decide.map(f64::from)).map(|cosine| cosine as f32),
            watch: mean(&|one| one.likeness.watch.map(f64::from)).map(|cosine| cosine as f32),
        },
        conditions: Conditions {
            range_db: mean(&|one| Some(one.conditions.range_db))?,
            upper_db: mean(&|one| Some(one.conditions.upper_db))?,
            concealed: weighed.iter().map(|(one, _)| one.conditions.concealed).fold(0.0, f64::max),
        },
    })
}

/// Mean of what `of` finds, each by the new speech of its window; a single one is its own mean, new or not.
fn mean<'a>(
    weighed: &[(&'a Comparison, f64)],
    of: impl Fn(&(&'a Comparison, f64)) -> Option<f64>,
) -> Option<f64> {
    let found = |one| Some((of(one)?, if weighed.len() == 1 { 1.0 } else { one.0.fresh }));
    let (sum, weight) = weighed
        .iter()
        .filter_map(found)
        .fold((0.0, 0.0), |(sum, weight), (value, fresh)| (sum + fresh * value, weight + fresh));
    (weight > 0.0).then(|| sum / weight)
}

/// As how many independent windows `windows` count that correlate by `correlation` (the design effect of
/// cluster sampling).
pub(in crate::speaker) fn effective(windows: f64, correlation: f64) -> f64 {
    if windows <= 1.0 { 1.0 } else { windows / (1.0 + (windows - 1.0) * correlation) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_correlates_counts_for_less_than_it_is() {
        assert_eq!(effective(1.0, 0.85), 1.0);
        assert!((effective(3.0, 0.0) - 3.0).abs() < 1e-12, "strangers to one another");
        assert!((effective(3.0, 1.0) - 1.0).abs() < 1e-12, "one and the same");
        assert!((effective(3.0, 0.85) - 3.0 / 2.7).abs() < 1e-12);
        assert!(effective(1e9, 0.85) < 1.18);
    }

    fn window(decide: Option<f32>, watch: Option<f32>, fresh: f64, range_db: f64) -> Comparison {
        Comparison {
            likeness: Likeness { decide, watch },
            conditions: Conditions { range_db, upper_db: -6.0, concealed: fresh / 10.0 },
            net_speech: std::time::Duration::from_secs(3),
            fresh,
        }
    }

    #[test]
    fn what_a_score_was_made_of_is_the_mean_of_what_was_weighed() {
        let calibration = Calibration::RESNET34_GE2E;
        let slice = window(None, Some(0.9), 0.0, 28.0);
        let poor = window(Some(0.9), Some(0.9), 1.0, 4.0);
        let alone = window(Some(0.5), Some(0.75), 1.0, 20.0);
        let weighed = unbounded(&calibration, &[slice, alone, poor]).expect("a window");
        assert_eq!(Some(weighed.llr), calibration.unbounded(&alone));
        assert_eq!((weighed.likeness, weighed.conditions), (alone.likeness, alone.conditions));

        let second = window(Some(0.8), None, 0.25, 25.0);
        let both = unbounded(&calibration, &[alone, second]).expect("two windows");
        let decide = both.likeness.decide.expect("both have it");
        assert!((decide - 0.56).abs() < 1e-6 && both.likeness.watch == Some(0.75), "{both:?}");
        assert!((both.conditions.range_db - 21.0).abs() < 1e-9, "{both:?}");
        assert_eq!(both.conditions.concealed, 0.1, "the largest");

        let heard = unbounded(&calibration, &[slice, poor]).expect("a slice");
        assert_eq!((heard.likeness, heard.conditions), (slice.likeness, slice.conditions));
        assert_eq!(unbounded(&calibration, &[poor]), None);
    }

    #[test]
    fn more_speech_clears_the_caller_sooner_than_it_helps_the_impostor() {
        let ledger = Ledger { windows: 5.0, evidence: 5.0, doubt: 5.0, spoilt: 0.0 };
        assert!(ledger.llr() < 1.2 && ledger.doubt() > 1.9);
        assert_eq!(Ledger::default().llr(), 0.0);
    }
}
