//! How well phrases are found: recall and false alarms over a threshold, on recordings whose phrases are known.

/// Whether a phrase was said in a recording, and how sure the spotter was that it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Place of the recording in its list.
    pub recording: usize,
    /// Place of the phrase in its policy.
    pub phrase: usize,
    /// Whether it was said.
    pub said: bool,
    /// The best score that it had there, nats; `None` where the spotter found nothing of it.
    pub score: Option<f32>,
}

/// What a threshold does.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Operating {
    /// Scores from here on count, nats.
    pub threshold: f32,
    /// Phrases that were said, and those of them that were found.
    pub said: usize,
    /// See `said`.
    pub found: usize,
    /// Recordings in which a phrase was found that was not said, by phrase.
    pub false_alarms: usize,
}

impl Operating {
    /// Found of what was said, 0 to 1; 1 where nothing was.
    pub fn recall(&self) -> f64 {
        if self.said == 0 { 1.0 } else { self.found as f64 / self.said as f64 }
    }
}

/// What `threshold` does.
pub fn at(detections: &[Detection], threshold: f32) -> Operating {
    let over = |detection: &&Detection| detection.score.is_some_and(|score| score >= threshold);
    let count = |said: bool| detections.iter().filter(move |d| d.said == said);
    Operating {
        threshold,
        said: count(true).count(),
        found: count(true).filter(over).count(),
        false_alarms: count(false).filter(over).count(),
    }
}

/// One point for each number of false alarms, from none on: the lowest threshold that has no more.
pub fn curve(detections: &[Detection]) -> Vec<Operating> {
    let said: Vec<f32> = detections.iter().filter(|d| d.said).filter_map(|d| d.score).collect();
    let mut thresholds = said;
    thresholds.sort_by(|a, b| b.total_cmp(a));
    thresholds.dedup();
    let mut points: Vec<Operating> = Vec::new();
    for threshold in thresholds {
        let point = at(detections, threshold);
        match points.last_mut() {
            Some(last) if last.false_alarms == point.false_alarms => *last = point,
            _ => points.push(point),
        }
    }
    points
}

/// A threshold `margin` above the highest score of what was not said; where nothing of that was found, the lowest of
/// what was said.
pub fn safe_threshold(detections: &[Detection], margin: f32) -> f32 {
    let scores = |said: bool| {
        detections.iter().filter(move |d| d.said == said).filter_map(|detection| detection.score)
    };
    let highest = scores(false).fold(f32::NEG_INFINITY, f32::max);
    let lowest = scores(true).fold(f32::INFINITY, f32::min);
    if highest.is_finite() { (highest + margin).min(0.0) } else { lowest }
}

/// 95 % interval of a share of `n` independent trials (Wilson 1927).
pub fn wilson(share: f64, n: usize) -> (f64, f64) {
    const Z: f64 = 1.959_964;
    if n == 0 {
        return (0.0, 1.0);
    }
    let n = n as f64;
    let centre = share + Z * Z / (2.0 * n);
    let spread = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let whole = 1.0 + Z * Z / n;
    (((centre - spread) / whole).max(0.0), ((centre + spread) / whole).min(1.0))
}

/// 95 % interval of the mean of a Poisson count (Garwood 1936).
pub fn poisson(count: usize) -> (f64, f64) {
    const TAIL: f64 = 0.025;
    // Both ends lie where the tail of the distribution has 2.5 %; the tail falls with the mean, so halving finds them.
    let mean_at = |upto: usize, share: f64| {
        let (mut low, mut high) = (0.0, 20.0 + 3.0 * upto as f64);
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if at_most(upto, middle) > share { low = middle } else { high = middle }
        }
        low
    };
    (count.checked_sub(1).map_or(0.0, |fewer| mean_at(fewer, 1.0 - TAIL)), mean_at(count, TAIL))
}

/// Probability of at most `count` where `mean` are expected.
fn at_most(count: usize, mean: f64) -> f64 {
    let logs = (0..=count).scan(-mean, |log, n| {
        if n > 0 {
            *log += mean.ln() - (n as f64).ln();
        }
        Some(log.exp())
    });
    logs.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detection(said: bool, score: impl Into<Option<f32>>) -> Detection {
        Detection { recording: 0, phrase: 0, said, score: score.into() }
    }

    fn some() -> Vec<Detection> {
        vec![
            detection(true, 0.0),
            detection(true, -1.0),
            detection(true, -2.5),
            detection(true, None),
            detection(false, -2.0),
            detection(false, None),
        ]
    }

    #[test]
    fn a_threshold_finds_and_errs() {
        let point = at(&some(), -1.5);
        assert_eq!((point.said, point.found, point.false_alarms), (4, 2, 0));
        assert_eq!(point.recall(), 0.5);
        assert_eq!(at(&some(), -3.0).false_alarms, 1);
    }

    #[test]
    fn the_curve_has_a_point_for_each_number_of_false_alarms() {
        let points: Vec<_> = curve(&some()).iter().map(|p| (p.false_alarms, p.found)).collect();
        assert_eq!(points, [(0, 2), (1, 3)]);
    }

    #[test]
    fn a_safe_threshold_lies_above_what_was_not_said() {
        assert_eq!(safe_threshold(&some(), 0.15), -1.85);
        assert_eq!(safe_threshold(&some()[..3], 0.15), -2.5, "nothing to be safe from");
    }

    #[test]
    fn few_trials_leave_a_wide_interval() {
        let (low, high) = wilson(0.5, 10);
        assert!((low - 0.2366).abs() < 1e-3 && (high - 0.7634).abs() < 1e-3, "{low} {high}");
        assert_eq!(wilson(1.0, 100).1, 1.0);
        assert_eq!(wilson(0.0, 0), (0.0, 1.0));
    }

    #[test]
    fn a_count_has_the_interval_of_the_tables() {
        for (count, low, high) in
            [(0, 0.0, 3.689), (1, 0.0253, 5.572), (10, 4.795, 18.390), (100, 81.36, 121.63)]
        {
            let found = poisson(count);
            assert!(
                (found.0 - low).abs() < 0.01 && (found.1 - high).abs() < 0.01,
                "{count}: {found:?}"
            );
        }
    }
}
