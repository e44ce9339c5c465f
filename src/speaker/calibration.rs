//! From likeness to log-likelihood ratio: what a comparison is worth as evidence.

use std::fmt;
use std::time::Duration;

/// Range from which on a window's line counts as clean, dB.
///
/// Read speech by mu-law has 28 dB in the mean; babble and kitchen noise leave 19 dB of it at a ratio of
/// 15 dB, 17 at 10 and 14 at 5.
const CLEAN_DB: f64 = 26.0;
/// Largest lack of range that is told apart, dB: a ratio of 5 dB, the worst that was fitted on, lacks 12.
const MOST_LACK_DB: f64 = 14.0;
/// Level of the upper edge of the telephone band from which down a line counts as narrow, and where it wholly is, dB.
///
/// Digital lines have -6 dB in the mean with a deviation of 4, those that end at 3.4 kHz -18 dB.
const NARROW_DB: (f64, f64) = (-12.0, -26.0);
/// Range below which a window says nothing, dB: at a ratio of 0 dB speech is no longer the louder half.
const LEAST_RANGE_DB: f64 = 6.0;
/// Share of a window's time that may have been lost around it. A line that loses every second packet
/// leaves speech chopped to 20 ms, on which nothing was measured.
const MOST_CONCEALED: f64 = 0.4;

/// Weight of the doubt in the evidence for a change of speaker. .5 lost the goal of 3 s for half of the takeovers.
const EXCITED: f64 = 0.3;

/// Cosines between a stretch of speech and a voiceprint, by embedder.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Likeness {
    /// By the strong embedder, over a whole window.
    pub decide: Option<f32>,
    /// By the cheap one, over the same speech in slices.
    pub watch: Option<f32>,
}

/// What a comparison has to be read with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conditions {
    /// How far the window's loud frames stand above its quiet ones, dB.
    pub range_db: f64,
    /// Level from 3.5 to 3.9 kHz relative to that below, dB.
    pub upper_db: f64,
    /// Share (0 to 1) of the speech around the window that was lost and made up.
    pub concealed: f64,
}

impl Conditions {
    /// Whether a comparison under them says anything.
    pub fn are_fit(&self) -> bool {
        self.range_db >= LEAST_RANGE_DB && self.concealed <= MOST_CONCEALED
    }

    /// How much range the window lacks, dB, from 0 for a clean line.
    fn lack(&self) -> f64 {
        (CLEAN_DB - self.range_db).clamp(0.0, MOST_LACK_DB)
    }

    /// How narrow the line is, from 0 for a telephone's whole band to 1.
    fn narrowness(&self) -> f64 {
        ((NARROW_DB.0 - self.upper_db) / (NARROW_DB.0 - NARROW_DB.1)).clamp(0.0, 1.0)
    }
}

/// One window of speech, compared with a voiceprint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// How alike.
    pub likeness: Likeness,
    /// Under which conditions.
    pub conditions: Conditions,
    /// Speech heard by the window's end.
    pub net_speech: Duration,
    /// New speech in it, as a share (0 to 1) of a whole window; 0 for what was heard before.
    pub fresh: f64,
}

/// What a whole window says before anything is decided, nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// Log-likelihood ratio of "the claimed speaker, as enrolled" against "somebody else".
    pub llr: f64,
    /// The same for "the claimed speaker, however excited": what a rejection rests on.
    pub doubt: f64,
}

/// Calibrations of one pair of embedders, for windows of 3 s at telephone bandwidth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    both: Scale,
    decide: Scale,
    watch: Scale,
    doubt: Scale,
    /// Largest evidence, either way, that one window may give, nats.
    cap: f64,
    /// What the site's own trials made of it.
    site: Recalibration,
}

/// A line that maps log-likelihood ratios to better ones, `slope * llr + offset`, nats.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recalibration {
    /// Factor, above 0.
    pub slope: f64,
    /// Nats.
    pub offset: f64,
}

impl Recalibration {
    /// Changes nothing.
    pub const NONE: Self = Self { slope: 1.0, offset: 0.0 };

    /// The better ratio.
    pub fn apply(&self, llr: f64) -> f64 {
        self.slope * llr + self.offset
    }
}

/// A calibration that is affine in the likeness on either side of 0, with
/// `x = (decide * cos + watch * cos + offset) * (1 - dulling * lack) + shift * lack + narrow * narrowness`, nats.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Scale {
    decide: f64,
    watch: f64,
    offset: f64,
    /// Share of the evidence that each dB of missing range takes.
    dulling: f64,
    /// Nats that each dB of missing range takes from everybody's likeness.
    shift: f64,
    /// Nats that a narrow line takes from everybody's likeness.
    narrow: f64,
    /// Factor on evidence for the claim.
    upwards: f64,
}

impl Scale {
    fn llr(&self, likeness: Likeness, conditions: &Conditions) -> f64 {
        let lack = conditions.lack();
        let of = |factor: f64, cosine: Option<f32>| factor * f64::from(cosine.unwrap_or_default());
        let x = of(self.decide, likeness.decide) + of(self.watch, likeness.watch) + self.offset;
        let x = x * (1.0 - self.dulling * lack)
            + self.shift * lack
            + self.narrow * conditions.narrowness();
        if x > 0.0 { x * self.upwards } else { x }
    }
}

impl Calibration {
    /// ResNet34 to decide, GE2E with the telephone head to watch; both sides at telephone bandwidth.
    ///
    /// Fitted (logistic loss, targets and others weighing the same) on 188 readers of LibriSpeech
    /// train-clean-100, enrolled with 6 s and compared over 3 s in nine conditions: mu-law, Opus, 5 % loss,
    /// 300-3400 Hz, babble at 15, 10 and 5 dB, kitchen noise at 10 and 5 dB: 2,417 target and 454,396 other
    /// trials, Cllr .027 (.025 by the best monotone calibration). On five other readers and 94 other strangers: see `docs/reference/figures.md`.
    ///
    /// `models/training/calibration.py` fits such lines by the same method (`make calibration`).
    ///
    /// `doubt`: five speakers of EmoDB, acted emotions against their neutral selves (197 genuine trials
    /// over 5 s, lowest cosine .16, mean .62) and against one another (788, mean .21): steeper lines reject
    /// excited callers. The cap is below the highest evidence of the 454,396 others, 10.2.
    pub const RESNET34_GE2E: Self = Self {
        both: Scale {
            decide: 45.73,
            watch: 58.51,
            offset: -72.88,
            dulling: 0.0226,
            shift: 0.563,
            narrow: 4.56,
            upwards: 0.876,
        },
        decide: Scale {
            decide: 61.33,
            watch: 0.0,
            offset: -33.66,
            dulling: 0.0348,
            shift: 0.352,
            narrow: 4.11,
            upwards: 0.962,
        },
        watch: Scale {
            decide: 0.0,
            watch: 88.29,
            offset: -71.32,
            dulling: 0.0131,
            shift: 0.402,
            narrow: 3.51,
            upwards: 0.805,
        },
        doubt: Scale {
            decide: 13.0,
            watch: 0.0,
            offset: -4.68,
            dulling: 0.0,
            shift: 0.0,
            narrow: 0.0,
            upwards: 1.0,
        },
        cap: 9.0,
        site: Recalibration::NONE,
    };

    /// The same, corrected by a site's own trials.
    #[must_use]
    pub fn at_site(self, site: Recalibration) -> Self {
        Self { site, ..self }
    }

    /// Log-likelihood ratio (nats) of "the claimed speaker, as enrolled" against "somebody else", by what
    /// was compared; `None` if nothing was, or the line is too poor.
    pub fn llr(&self, comparison: &Comparison) -> Option<f64> {
        Some(self.unbounded(comparison)?.clamp(-self.cap, self.cap))
    }

    /// The same without its bounds: for ranking and fitting, where a bound would hide the order.
    pub fn unbounded(&self, comparison: &Comparison) -> Option<f64> {
        let Comparison { likeness, conditions, .. } = comparison;
        let scale = match (likeness.decide, likeness.watch) {
            _ if !conditions.are_fit() => return None,
            (Some(_), Some(_)) => &self.both,
            (Some(_), None) => &self.decide,
            (None, Some(_)) => &self.watch,
            (None, None) => return None,
        };
        Some(self.site.apply(scale.llr(*likeness, conditions)))
    }

    /// Log-likelihood ratio (nats) of "still the speaker who was accepted" against "somebody else".
    ///
    /// A voice that was accepted calmly may become excited: what it says of the speaker however excited
    /// has its share. The cheap embedder knows no excitement; where it doubts, the strong one is asked.
    pub fn steady(&self, comparison: &Comparison) -> Option<f64> {
        match self.decisive(comparison) {
            Some(Evidence { llr, doubt }) => Some((1.0 - EXCITED) * llr + EXCITED * doubt),
            None => self.llr(comparison),
        }
    }

    /// What a window says that the strong embedder heard, before anything is decided.
    pub fn decisive(&self, comparison: &Comparison) -> Option<Evidence> {
        comparison.likeness.decide?;
        let llr = self.llr(comparison)?;
        let doubt = self.doubt.llr(comparison.likeness, &comparison.conditions);
        Some(Evidence { llr, doubt: doubt.clamp(-self.cap, self.cap) })
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

    /// The rate of each of `parts` that come to this rate together.
    #[must_use]
    pub fn shared_by(self, parts: u32) -> Self {
        Self(self.0 / f64::from(parts.max(1)))
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

    const CALIBRATION: Calibration = Calibration::RESNET34_GE2E;

    fn compared(decide: Option<f32>, watch: Option<f32>, range_db: f64) -> Comparison {
        Comparison {
            likeness: Likeness { decide, watch },
            conditions: Conditions { range_db, upper_db: -6.0, concealed: 0.0 },
            net_speech: Duration::from_secs(3),
            fresh: 1.0,
        }
    }

    #[test]
    fn the_two_populations_means_fall_on_either_side_whoever_was_asked() {
        for (same, other) in [
            (compared(Some(0.75), Some(0.89), 28.0), compared(Some(0.18), Some(0.65), 28.0)),
            (compared(Some(0.75), None, 28.0), compared(Some(0.18), None, 28.0)),
            (compared(None, Some(0.89), 28.0), compared(None, Some(0.65), 28.0)),
        ] {
            assert!(CALIBRATION.llr(&same).expect("evidence") > 5.0);
            assert!(CALIBRATION.llr(&other).expect("evidence") < -5.0);
        }
        assert_eq!(CALIBRATION.llr(&compared(None, None, 28.0)), None);
    }

    #[test]
    fn what_noise_takes_from_a_likeness_is_not_held_against_the_caller() {
        let clean = CALIBRATION.llr(&compared(Some(0.5), Some(0.8), 28.0)).expect("evidence");
        let noisy = CALIBRATION.llr(&compared(Some(0.5), Some(0.8), 16.0)).expect("evidence");
        assert!(clean < 0.0 && noisy > 0.0, "{clean} {noisy}");
    }

    #[test]
    fn a_line_that_is_too_poor_says_nothing() {
        assert_eq!(CALIBRATION.llr(&compared(Some(0.9), Some(0.9), 5.0)), None);
        let mut lossy = compared(Some(0.9), Some(0.9), 28.0);
        lossy.conditions.concealed = 0.5;
        assert_eq!(CALIBRATION.llr(&lossy), None);
    }

    #[test]
    fn no_window_says_more_than_the_trials_bear_out() {
        assert_eq!(CALIBRATION.llr(&compared(Some(1.0), Some(1.0), 28.0)), Some(9.0));
        assert_eq!(CALIBRATION.llr(&compared(Some(-1.0), Some(-1.0), 28.0)), Some(-9.0));
    }

    #[test]
    fn excitement_is_no_proof_of_somebody_else() {
        // A cosine that is far below a neutral voice's and common among excited ones.
        let evidence = CALIBRATION.decisive(&compared(Some(0.3), Some(0.75), 28.0));
        let evidence = evidence.expect("evidence");
        assert!(evidence.llr < -9.0 + 1e-9 && evidence.doubt > -1.0, "{evidence:?}");
        assert_eq!(CALIBRATION.decisive(&compared(None, Some(0.9), 28.0)), None);
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
