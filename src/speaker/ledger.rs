//! Evidence of many windows of one voice, weighed together: windows correlate, so they do not add up.

use crate::speaker::calibration::{Calibration, Comparison};

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

/// Log-likelihood ratio (nats) of all the speech in `comparisons`, without the bounds on a single window: for
/// evaluation. Of speech that the strong embedder never heard, it is what the newest comparison says; `None` where
/// nothing was heard on a line that is good enough.
pub fn unbounded(calibration: &Calibration, comparisons: &[Comparison]) -> Option<f64> {
    let whole = comparisons.iter().filter(|comparison| comparison.likeness.decide.is_some());
    let (mut windows, mut evidence) = (0.0, 0.0);
    for comparison in whole {
        if let Some(llr) = calibration.unbounded(comparison) {
            windows += comparison.fresh;
            evidence += comparison.fresh * llr;
        }
    }
    if windows > 0.0 {
        return Some(evidence / windows * effective(windows, IMPOSTOR_CORRELATION));
    }
    comparisons.iter().rev().find_map(|comparison| calibration.unbounded(comparison))
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

    #[test]
    fn more_speech_clears_the_caller_sooner_than_it_helps_the_impostor() {
        let ledger = Ledger { windows: 5.0, evidence: 5.0, doubt: 5.0, spoilt: 0.0 };
        assert!(ledger.llr() < 1.2 && ledger.doubt() > 1.9);
        assert_eq!(Ledger::default().llr(), 0.0);
    }
}
