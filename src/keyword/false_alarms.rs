//! What a threshold costs: how often a phrase is found in speech in which nobody says it, and the other way round.
//!
//! Fitted by `tests/keyword/false_alarms.py` (`make false-alarms`) on the scores that random phrases of one to five words
//! got in .74 h of read English speech of 251 people, through mu-law: 36 short ones, 5 with a number, 90 of seven and eight
//! phones, 437 longer, of which none of 12 phones and more was found above -6. Scores that high come as a Poisson process
//! whose rate falls by the same factor for every nat. Single phrases differ from the mean of their kind by a factor of three and more:
//! an expectation is one of many phrases, `sidetone keywords check --background` counts those of one.

/// What a phrase is, as far as its false alarms depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Of the shortest way to say it.
    pub phones: usize,
    /// Whether it may be written with digits: a decoder that is asked for a number finds it almost anywhere.
    pub number: bool,
}

/// Phrases of fewer phones are never ruled out by their phones; see the spotter's gates.
const MEDIUM: usize = 7;
/// From so many phones on the stricter gate is in force.
const LONG: usize = 9;
/// Natural logs of the false alarms in an hour of speech at [`REFERENCE`]: of short phrases, of short ones with a number, of
/// those of seven and eight phones, and of those of nine.
const SHORT_LEVEL: f64 = 0.97;
const NUMBER_LEVEL: f64 = 4.69;
const MEDIUM_LEVEL: f64 = -0.56;
const LONG_LEVEL: f64 = -2.07;
/// How much the log falls with every phone from nine on.
const PER_PHONE: f64 = 0.66;
/// How much it falls with every nat.
const PER_NAT: f64 = 1.30;
/// The threshold at which the levels hold, nats.
const REFERENCE: f64 = -5.5;
/// Phones beyond which nothing was measured: no more is expected of longer phrases.
const MOST_PHONES: usize = 14;
/// Above it too few scores were seen to say how their number falls on, and a hit is near to the very words.
const HIGHEST: f32 = -2.5;
/// Below it the decoder is asked so much that nobody can want it, nats.
const LOWEST: f32 = -6.0;

/// Why a phrase cannot be watched as somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "with {phones} phones it cannot have as few as {wanted} false alarms an hour: {least:.2} are expected at \
     {HIGHEST}, the highest threshold that was measured; say more words"
)]
pub struct TooShort {
    /// Its phones.
    pub phones: usize,
    /// Wanted in an hour of speech.
    pub wanted: f64,
    /// The fewest that can be promised.
    pub least: f64,
}

impl Shape {
    fn level(self) -> f64 {
        match self.phones {
            ..MEDIUM if self.number => NUMBER_LEVEL,
            ..MEDIUM => SHORT_LEVEL,
            MEDIUM..LONG => MEDIUM_LEVEL,
            LONG.. => LONG_LEVEL - PER_PHONE * (self.phones.min(MOST_PHONES) - LONG) as f64,
        }
    }

    /// False alarms that are expected in an hour of one leg's speech at `threshold` (nats). The very words, where
    /// others said them, are none.
    pub fn expected_per_hour(self, threshold: f32) -> f64 {
        (self.level() - PER_NAT * (f64::from(threshold.min(HIGHEST)) - REFERENCE)).exp()
    }

    /// The threshold (nats) at which `wanted` false alarms are expected in an hour of speech.
    pub fn threshold_for(self, wanted: f64) -> Result<f32, TooShort> {
        let threshold = (REFERENCE + (self.level() - wanted.ln()) / PER_NAT) as f32;
        if threshold > HIGHEST {
            let least = self.expected_per_hour(HIGHEST);
            return Err(TooShort { phones: self.phones, wanted, least });
        }
        Ok(threshold.max(LOWEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(phones: usize) -> Shape {
        Shape { phones, number: false }
    }

    #[test]
    fn a_threshold_and_the_rate_that_it_costs_are_two_ways_to_say_the_same() {
        for (phones, rate) in [(5, 0.2), (8, 0.05), (9, 0.01), (13, 0.001)] {
            let threshold = shape(phones).threshold_for(rate).expect("it can be had");
            let again = shape(phones).expected_per_hour(threshold);
            assert!((again / rate - 1.0).abs() < 1e-3, "{phones} {rate}: {threshold} {again}");
        }
    }

    #[test]
    fn the_longer_the_phrase_and_the_higher_the_threshold_the_fewer() {
        let at = |phones, threshold| shape(phones).expected_per_hour(threshold);
        assert!(
            at(5, -3.9) > at(7, -3.9) && at(8, -3.9) > at(9, -3.9) && at(9, -3.9) > at(12, -3.9)
        );
        assert!(at(8, -3.9) > at(8, -3.0));
        assert_eq!(at(20, -3.9), at(40, -3.9), "nothing was measured of such");
        let thirty = Shape { phones: 5, number: true };
        assert!(thirty.expected_per_hour(-3.9) > 5.0 && at(5, -3.9) < 1.0);
    }

    #[test]
    fn what_cannot_be_had_is_refused_with_what_can() {
        let error = shape(5).threshold_for(0.01).expect_err("too short").to_string();
        assert!(
            error.starts_with(
                "with 5 phones it cannot have as few as 0.01 false alarms an hour: 0.05"
            ),
            "{error}"
        );
        assert_eq!(
            shape(30).threshold_for(50.0),
            Ok(LOWEST),
            "the decoder is not asked about everything"
        );
    }
}
