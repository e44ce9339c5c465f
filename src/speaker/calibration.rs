//! From cosine to log-likelihood ratio: what a score is worth as evidence.

use std::fmt;

/// An affine calibration, `llr = slope * cosine + offset` in nats, valid for one model, one window
/// length and one bandwidth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    slope: f64,
    offset: f64,
    /// Largest evidence, either way, that one window may give, in nats.
    cap: f64,
}

impl Calibration {
    /// ResNet34 (int8) over 3 s of net speech, both sides band-limited to telephone bandwidth.
    ///
    /// Slope and offset: logistic regression on held-out LibriSpeech readers over seven telephone
    /// conditions (mu-law, Opus, 300-3400 Hz, babble and kitchen noise), pooled EER 1.07 %,
    /// minCllr 0.042. The cap is ln 665, about as many as the target trials per condition (839)
    /// can bear out: beyond it the straight line is extrapolation.
    pub const RESNET34_3S: Self = Self { slope: 36.3, offset: -17.35, cap: 6.5 };

    /// Log-likelihood ratio (nats) of "the claimed speaker" against "somebody else".
    pub fn llr(&self, cosine: f32) -> f64 {
        (self.slope * f64::from(cosine) + self.offset).clamp(-self.cap, self.cap)
    }

    /// The most that one window can say, in nats.
    pub fn cap(&self) -> f64 {
        self.cap
    }
}

/// Error rate in the words of an administrator: `"1 in 1000"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErrorRate(f64);

/// Why a text is no [`ErrorRate`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an error rate reads \"1 in N\" with N from 2 to 1000000, not {0:?}")]
pub struct ErrorRateError(String);

impl ErrorRate {
    /// One error in `n` trials; `None` unless 2 <= `n` <= 1,000,000.
    pub fn one_in(n: u32) -> Option<Self> {
        (2..=1_000_000).contains(&n).then(|| Self(1.0 / f64::from(n)))
    }

    /// The rate as a probability in (0, 0.5].
    pub fn probability(self) -> f64 {
        self.0
    }
}

impl std::str::FromStr for ErrorRate {
    type Err = ErrorRateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("1 in ")
            .and_then(|n| n.trim().parse().ok())
            .and_then(Self::one_in)
            .ok_or_else(|| ErrorRateError(text.to_owned()))
    }
}

impl fmt::Display for ErrorRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1 in {:.0}", 1.0 / self.0)
    }
}

impl<'de> serde::Deserialize<'de> for ErrorRate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_populations_means_fall_on_either_side() {
        // Means of the calibration set: targets .70, non-targets .21.
        assert!(Calibration::RESNET34_3S.llr(0.70) > 6.0);
        assert!(Calibration::RESNET34_3S.llr(0.21) < -6.0);
        assert!(Calibration::RESNET34_3S.llr(0.478).abs() < 0.1);
    }

    #[test]
    fn no_window_says_more_than_the_trials_bear_out() {
        assert_eq!(Calibration::RESNET34_3S.llr(1.0), 6.5);
        assert_eq!(Calibration::RESNET34_3S.llr(-1.0), -6.5);
    }

    #[test]
    fn an_error_rate_reads_as_an_administrator_writes_it() {
        let rate: ErrorRate = "1 in 1000".parse().expect("a rate");
        assert_eq!(rate.probability(), 0.001);
        assert_eq!(rate.to_string(), "1 in 1000");
        for wrong in ["0.1 %", "1 in 1", "2 in 100", "1 in -5", "1 in"] {
            assert!(wrong.parse::<ErrorRate>().is_err(), "{wrong}");
        }
    }
}
