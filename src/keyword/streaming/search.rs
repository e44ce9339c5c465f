//! What looks for phrases in the rows that a streaming model gives, one row after the other.

use crate::keyword::streaming::model::StreamingModel;

/// How wide to search, and how sure to be. The values are those of the package sherpa-onnx.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// What a piece of a phrase is worth more than it sounds, nats: `keywords_score`.
    pub boost: f32,
    /// Mean probability of its pieces that a phrase needs: `keywords_threshold`.
    pub threshold: f32,
    /// What may have been said, that is followed at once: `max_active_paths`.
    pub paths: usize,
    /// Rows without a new piece that have to be more than these once a phrase is over: `num_trailing_blanks`.
    pub trailing_blanks: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { boost: 1.0, threshold: 0.25, paths: 4, trailing_blanks: 1 }
    }
}

impl Settings {
    /// Whether a search is possible: the key of the configuration, what was wanted and what was found of the first that is not.
    pub fn validate(&self) -> Result<(), (&'static str, &'static str, String)> {
        if !(0.0..=10.0).contains(&self.boost) {
            return Err(("keyword.sherpa.boost", "must be 0 to 10", self.boost.to_string()));
        }
        if !(0.0..=1.0).contains(&self.threshold) {
            return Err(("keyword.sherpa.threshold", "must be 0 to 1", self.threshold.to_string()));
        }
        if !(1..=64).contains(&self.paths) {
            return Err(("keyword.sherpa.paths", "must be 1 to 64", self.paths.to_string()));
        }
        if self.trailing_blanks > 25 {
            return Err((
                "keyword.sherpa.trailing_blanks",
                "must be 0 to 25",
                self.trailing_blanks.to_string(),
            ));
        }
        Ok(())
    }
}

/// A phrase that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its place in the list.
    pub phrase: usize,
    /// The row of each of its pieces, counted from the first row of the stream.
    pub rows: Vec<usize>,
    /// Mean probability of its pieces, without any boost.
    pub probability: f32,
}

/// A search with a model of kind `M`.
pub trait Search<M: StreamingModel> {
    /// Hears the next row. After a phrase was found everything begins anew.
    fn advance(&mut self, model: &mut M, row: &[f32]) -> Result<Option<Found>, M::Error>;
}

/// Natural logs of the probabilities that `logits` stand for.
pub fn log_softmax(logits: &mut [f32]) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.iter().map(|logit| (logit - largest).exp()).sum();
    let normalizer = largest + sum.ln();
    logits.iter_mut().for_each(|logit| *logit -= normalizer);
}

/// ln(e^a + e^b).
pub fn log_add(a: f64, b: f64) -> f64 {
    let (less, more) = if a < b { (a, b) } else { (b, a) };
    if less == f64::NEG_INFINITY { more } else { more + (less - more).exp().ln_1p() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one() {
        let mut row = [1.0, 30.0, 29.0, -4.0];
        log_softmax(&mut row);
        let sum: f32 = row.iter().map(|log_p| log_p.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        let half = 0.5_f64.ln();
        assert!(log_add(half, half).abs() < 1e-12);
        assert_eq!(log_add(f64::NEG_INFINITY, half), half);
    }

    #[test]
    fn a_setting_out_of_reason_is_named() {
        let of = |settings: Settings| settings.validate().map_err(|(key, ..)| key);
        let good = Settings::default();
        assert_eq!(of(good), Ok(()));
        assert_eq!(of(Settings { boost: -1.0, ..good }), Err("keyword.sherpa.boost"));
        assert_eq!(of(Settings { threshold: 2.0, ..good }), Err("keyword.sherpa.threshold"));
        assert_eq!(of(Settings { paths: 0, ..good }), Err("keyword.sherpa.paths"));
        assert_eq!(
            of(Settings { trailing_blanks: 26, ..good }),
            Err("keyword.sherpa.trailing_blanks")
        );
    }
}
