//! How often speech in which a phrase is not said reaches a score: what a threshold costs in false alarms.
//!
//! The highest scores of a background thin out exponentially; so a line through them tells of rates rarer than
//! one in the whole background, and of those no less humbly than [`ScoreTail::count`] does.

/// Scores that the line goes through: half of them at most, since the bulk is no tail.
const TAIL: usize = 40;
/// Fewer tell nothing.
const FEWEST: usize = 20;

/// Scores of a background.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreTail {
    /// Highest first.
    scores: Vec<f32>,
    hours: f64,
}

/// A background that is too small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{FEWEST} places or more where the phrase might have been said were wanted in the background, found {0}"
)]
pub struct TooFew(pub usize);

impl ScoreTail {
    /// Of `scores`, one of each place where the phrase might have been said, in so many hours of speech.
    pub fn new(mut scores: Vec<f32>, hours: f64) -> Result<Self, TooFew> {
        scores.retain(|score| score.is_finite());
        if scores.len() < FEWEST || hours <= 0.0 {
            return Err(TooFew(scores.len()));
        }
        scores.sort_by(|one, other| other.total_cmp(one));
        Ok(Self { scores, hours })
    }

    /// Speech that they are of.
    pub fn hours(&self) -> f64 {
        self.hours
    }

    /// Scores from `threshold` on.
    pub fn count(&self, threshold: f32) -> usize {
        self.scores.partition_point(|score| *score >= threshold)
    }

    /// The threshold that so many an hour reach.
    pub fn threshold_for(&self, per_hour: f64) -> f32 {
        let expected = per_hour * self.hours;
        let most = self.scores.len() / 2;
        let tail = TAIL.max((2.0 * expected).ceil() as usize).min(most);
        let base = self.scores[tail];
        let excess = self.scores[..tail].iter().map(|score| f64::from(score - base)).sum::<f64>();
        base + (excess / tail as f64 * (tail as f64 / expected).ln()) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores of which e times fewer are left with every 0.1.
    fn exponential(count: usize) -> Vec<f32> {
        let share = |place: usize| (place as f32 + 0.5) / count as f32;
        (0..count).map(|place| -1.0 - 0.1 * share(place).ln()).collect()
    }

    #[test]
    fn a_rate_within_the_background_is_that_of_the_background() {
        let tail = ScoreTail::new(exponential(1000), 2.0).expect("enough");
        for per_hour in [1.0, 5.0, 10.0, 100.0] {
            let count = tail.count(tail.threshold_for(per_hour)) as f64;
            assert!((count / (2.0 * per_hour) - 1.0).abs() < 0.26, "{per_hour}: {count}");
        }
    }

    #[test]
    fn a_rarer_rate_lies_beyond_it_by_the_same_law() {
        let tail = ScoreTail::new(exponential(1000), 2.0).expect("enough");
        let [one, rare] = [0.5, 0.005].map(|per_hour| tail.threshold_for(per_hour));
        assert!((rare - one - 0.1 * 100_f32.ln()).abs() < 0.03, "{one} {rare}");
        assert_eq!(tail.count(rare), 0);
    }

    #[test]
    fn too_small_a_background_tells_nothing() {
        assert_eq!(ScoreTail::new(exponential(19), 2.0), Err(TooFew(19)));
        assert_eq!(ScoreTail::new(exponential(30), 0.0), Err(TooFew(30)));
        let odd = [exponential(19), vec![f32::NEG_INFINITY]].concat();
        assert_eq!(ScoreTail::new(odd, 1.0), Err(TooFew(19)));
    }
}
