//! How good scores are: error rates, costs and intervals over trials whose truth is known.

/// One comparison whose truth is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// Log-likelihood ratio, nats; for the error rates any score that rises with likeness will do.
    pub score: f64,
    /// Whether both sides are one person.
    pub target: bool,
    /// Who was enrolled and who spoke, as numbers.
    pub speakers: (usize, usize),
}

/// What trials come to.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Measures {
    /// Trials of one person with himself.
    pub targets: usize,
    /// Trials of one with another.
    pub others: usize,
    /// Equal error rate: where the two error rates cross, linear between thresholds.
    pub eer: f64,
    /// Least detection cost over all thresholds at a prior of .01, of which 1 is that of a blind refusal.
    pub min_dcf_01: f64,
    /// The same at .001.
    pub min_dcf_001: f64,
    /// Cost of the log-likelihood ratios (Brümmer), bits: 0 perfect, 1 worthless.
    pub cllr: f64,
    /// What is left of it by the best monotone calibration (pool adjacent violators).
    pub min_cllr: f64,
}

/// Error rates at a threshold.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Point {
    /// Share of others at or above it.
    pub false_accept: f64,
    /// Share of targets below it.
    pub false_reject: f64,
}

/// Why nothing can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{targets} target and {others} other trials; at least one of each is needed")]
pub struct TooFew {
    /// Targets found.
    pub targets: usize,
    /// Others found.
    pub others: usize,
}

/// The measures of `trials`.
pub fn measure(trials: &[Trial]) -> Result<Measures, TooFew> {
    let (targets, others) = split(trials);
    if targets.is_empty() || others.is_empty() {
        return Err(TooFew { targets: targets.len(), others: others.len() });
    }
    let curve = curve(trials);
    let cost = |p: f64| {
        let costs = curve.iter().map(|at| p * at.false_reject + (1.0 - p) * at.false_accept);
        costs.fold(f64::INFINITY, f64::min) / p.min(1.0 - p)
    };
    Ok(Measures {
        targets: targets.len(),
        others: others.len(),
        eer: crossing(&curve),
        min_dcf_01: cost(0.01),
        min_dcf_001: cost(0.001),
        cllr: cllr(&targets, &others),
        min_cllr: min_cllr(trials),
    })
}

/// Error rates at every threshold that matters, from accepting all to accepting none.
pub fn curve(trials: &[Trial]) -> Vec<Point> {
    let (targets, others) = split(trials);
    let mut sorted: Vec<&Trial> = trials.iter().collect();
    sorted.sort_by(|a, b| a.score.total_cmp(&b.score));
    let (mut missed, mut kept_out) = (0, 0);
    let mut points = vec![Point { false_accept: 1.0, false_reject: 0.0 }];
    for tied in sorted.chunk_by(|a, b| a.score == b.score) {
        let of = tied.iter().filter(|trial| trial.target).count();
        (missed, kept_out) = (missed + of, kept_out + tied.len() - of);
        points.push(Point {
            false_accept: 1.0 - kept_out as f64 / others.len().max(1) as f64,
            false_reject: missed as f64 / targets.len().max(1) as f64,
        });
    }
    points
}

/// Error rates at `threshold`.
pub fn at(trials: &[Trial], threshold: f64) -> Point {
    let (targets, others) = split(trials);
    let share = |scores: &[f64], wrong: &dyn Fn(f64) -> bool| {
        scores.iter().filter(|score| wrong(**score)).count() as f64 / scores.len().max(1) as f64
    };
    Point {
        false_accept: share(&others, &|score| score >= threshold),
        false_reject: share(&targets, &|score| score < threshold),
    }
}

/// Interval of 95 % of the equal error rate, by drawing speakers anew with replacement `rounds` times: a
/// trial counts as often as both of its speakers were drawn. `None` where too few speakers are left to draw.
pub fn eer_interval(trials: &[Trial], rounds: usize, seed: u64) -> Option<(f64, f64)> {
    let mut names: Vec<usize> =
        trials.iter().flat_map(|trial| [trial.speakers.0, trial.speakers.1]).collect();
    names.sort_unstable();
    names.dedup();
    let mut sorted: Vec<(usize, usize, &Trial)> = trials
        .iter()
        .filter_map(|trial| {
            let place = |name: usize| names.binary_search(&name).ok();
            Some((place(trial.speakers.0)?, place(trial.speakers.1)?, trial))
        })
        .collect();
    sorted.sort_by(|a, b| a.2.score.total_cmp(&b.2.score));
    let mut random = fastrand::Rng::with_seed(seed);
    let mut rates: Vec<f64> = (0..rounds)
        .filter_map(|_| {
            let mut drawn = vec![0.0; names.len()];
            (0..names.len()).for_each(|_| drawn[random.usize(..names.len())] += 1.0);
            let weighted: Vec<_> = sorted
                .iter()
                .map(|(a, b, trial)| {
                    // Somebody with himself is one draw, two people are two.
                    let weight = if a == b { drawn[*a] } else { drawn[*a] * drawn[*b] };
                    (weight, **trial)
                })
                .collect();
            weighted_eer(&weighted)
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    let at = |share: f64| rates.get(((rates.len() as f64 - 1.0) * share).round() as usize).copied();
    (rates.len() * 2 >= rounds && rounds > 0).then(|| Some((at(0.025)?, at(0.975)?)))?
}

/// Equal error rate of weighted trials that come in the order of their scores.
fn weighted_eer(sorted: &[(f64, Trial)]) -> Option<f64> {
    let sum = |wanted: bool| -> f64 {
        sorted.iter().filter(|(_, trial)| trial.target == wanted).map(|(weight, _)| weight).sum()
    };
    let (targets, others) = (sum(true), sum(false));
    if targets == 0.0 || others == 0.0 {
        return None;
    }
    let (mut missed, mut kept_out) = (0.0, 0.0);
    let mut points = vec![Point { false_accept: 1.0, false_reject: 0.0 }];
    for tied in sorted.chunk_by(|a, b| a.1.score == b.1.score) {
        for (weight, trial) in tied {
            *(if trial.target { &mut missed } else { &mut kept_out }) += weight;
        }
        let (false_accept, false_reject) = (1.0 - kept_out / others, missed / targets);
        points.push(Point { false_accept, false_reject });
    }
    Some(crossing(&points))
}

fn split(trials: &[Trial]) -> (Vec<f64>, Vec<f64>) {
    let of = |wanted: bool| {
        trials.iter().filter(|trial| trial.target == wanted).map(|trial| trial.score).collect()
    };
    (of(true), of(false))
}

/// Where false accepts and false rejects are equal.
fn crossing(curve: &[Point]) -> f64 {
    for pair in curve.windows(2) {
        let [before, after] = pair else { continue };
        let (gap, next) =
            (before.false_accept - before.false_reject, after.false_accept - after.false_reject);
        if next <= 0.0 {
            let share = if gap == next { 0.0 } else { gap / (gap - next) };
            return before.false_reject + share * (after.false_reject - before.false_reject);
        }
    }
    0.0
}

/// Cost of log-likelihood ratios, bits.
pub fn cllr(targets: &[f64], others: &[f64]) -> f64 {
    let mean = |scores: &[f64], sign: f64| {
        scores.iter().map(|score| softplus(sign * score)).sum::<f64>() / scores.len() as f64
    };
    (mean(targets, -1.0) + mean(others, 1.0)) / 2.0 / std::f64::consts::LN_2
}

/// ln(1 + e^x), for any x.
pub(in crate::speaker) fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Cost that the best monotone calibration leaves, bits: pool adjacent violators, targets and others
/// weighing the same.
fn min_cllr(trials: &[Trial]) -> f64 {
    let (targets, others) = split(trials);
    let weight = |target: bool| 1.0 / if target { targets.len() } else { others.len() } as f64;
    let mut sorted: Vec<&Trial> = trials.iter().collect();
    sorted.sort_by(|a, b| a.score.total_cmp(&b.score));
    // Pools of (weight of targets, weight of others), their shares of targets rising.
    let mut pools: Vec<(f64, f64)> = Vec::new();
    for tied in sorted.chunk_by(|a, b| a.score == b.score) {
        let of = tied.iter().filter(|trial| trial.target).count() as f64;
        let mut pool = (of * weight(true), (tied.len() as f64 - of) * weight(false));
        while let Some(&(t, o)) = pools.last()
            && t * (pool.0 + pool.1) >= pool.0 * (t + o)
        {
            pools.pop();
            pool = (pool.0 + t, pool.1 + o);
        }
        pools.push(pool);
    }
    // A pool of targets alone has an infinite ratio, which costs them nothing.
    let cost = |of: f64, against: f64| if of == 0.0 { 0.0 } else { of * (against / of).ln_1p() };
    let sum: f64 = pools.iter().map(|&(t, o)| cost(t, o) + cost(o, t)).sum();
    sum / 2.0 / std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two overlapping populations, frozen; the values below are those of NumPy and scikit-learn.
    fn trials() -> Vec<Trial> {
        let targets = [3.1, 2.2, 0.4, 5.0, -0.7, 1.9, 2.8, 4.1, 0.9, 3.3];
        let others = [-4.0, -2.1, -3.3, 0.6, -1.2, -5.1, -2.8, 1.1, -0.9, -3.9, -2.4, -6.0];
        let trial = |target: bool| {
            move |(n, &score): (usize, &f64)| Trial {
                score,
                target,
                speakers: if target { (n % 5, n % 5) } else { (n % 5, 5 + n % 3) },
            }
        };
        let targets = targets.iter().enumerate().map(trial(true));
        targets.chain(others.iter().enumerate().map(trial(false))).collect()
    }

    #[test]
    fn the_measures_are_those_of_the_field() {
        let measures = measure(&trials()).expect("both kinds");
        assert_eq!((measures.targets, measures.others), (10, 12));
        assert!((measures.eer - 0.166_667).abs() < 1e-5, "{}", measures.eer);
        assert!((measures.min_dcf_01 - 0.3).abs() < 1e-9, "{}", measures.min_dcf_01);
        assert!((measures.min_dcf_001 - 0.3).abs() < 1e-9);
        assert!((measures.cllr - 0.373_343).abs() < 1e-5, "{}", measures.cllr);
        assert!((measures.min_cllr - 0.219_400).abs() < 1e-5, "{}", measures.min_cllr);
    }

    #[test]
    fn scores_that_never_err_cost_nothing() {
        let apart: Vec<_> = trials()
            .into_iter()
            .map(|trial| Trial { score: if trial.target { 50.0 } else { -50.0 }, ..trial })
            .collect();
        let measures = measure(&apart).expect("both kinds");
        assert_eq!((measures.eer, measures.min_dcf_01, measures.min_cllr), (0.0, 0.0, 0.0));
        assert!(measures.cllr < 1e-20);
        let blind: Vec<_> = trials().into_iter().map(|t| Trial { score: 0.0, ..t }).collect();
        let measures = measure(&blind).expect("both kinds");
        assert!((measures.eer - 0.5).abs() < 1e-12 && (measures.cllr - 1.0).abs() < 1e-12);
        assert!((measures.min_cllr - 1.0).abs() < 1e-12 && measures.min_dcf_01 == 1.0);
        let (low, high) = eer_interval(&blind, 50, 1).expect("enough speakers");
        assert!((low - 0.5).abs() < 1e-12 && (high - 0.5).abs() < 1e-12, "ties are one step");
    }

    #[test]
    fn the_operating_point_counts_errors_on_either_side() {
        let point = at(&trials(), 0.5);
        assert!((point.false_accept - 2.0 / 12.0).abs() < 1e-12);
        assert!((point.false_reject - 0.2).abs() < 1e-12);
    }

    #[test]
    fn the_interval_is_around_the_rate_and_the_same_for_the_same_seed() {
        let trials = trials();
        let (low, high) = eer_interval(&trials, 200, 1).expect("enough speakers");
        let eer = measure(&trials).expect("both kinds").eer;
        assert!(low <= eer && eer <= high && low < high, "{low} {eer} {high}");
        assert_eq!(eer_interval(&trials, 200, 1), Some((low, high)));
    }

    #[test]
    fn one_kind_of_trials_says_nothing() {
        let targets: Vec<_> = trials().into_iter().filter(|trial| trial.target).collect();
        assert_eq!(measure(&targets), Err(TooFew { targets: 10, others: 0 }));
    }
}
