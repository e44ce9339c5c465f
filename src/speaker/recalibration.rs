//! A site's own calibration: what its trials say that the shipped log-likelihood ratios are worth.

use crate::speaker::calibration::Recalibration;
use crate::speaker::trials::{Trial, cllr, softplus};

/// Fewest trials of each kind that a line is fitted to: with less, its two numbers are chance.
pub const LEAST_TRIALS: usize = 50;
/// Fewest speakers: each half of them has to bear out what the other says.
pub const LEAST_SPEAKERS: usize = 10;
/// Groups of speakers that take turns in being left out.
const FOLDS: usize = 5;
/// Pull of the slope towards 1 and of the offset towards 0: that of one trial of each kind, so that scores
/// without a single error do not make it infinite.
const PULL: f64 = 1.0;

/// A fitted line and what it gains.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Fit {
    /// The line, fitted to all trials.
    pub line: Recalibration,
    /// Trials of one person with himself.
    pub targets: usize,
    /// Trials of one with another.
    pub others: usize,
    /// Different speakers.
    pub speakers: usize,
    /// Cost of the ratios as they were, bits.
    pub cllr_before: f64,
    /// Cost after, each trial by a line that was fitted without its speakers.
    pub cllr_after: f64,
}

/// Why nothing was fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    /// Too few trials.
    #[error(
        "{targets} target and {others} other trials found, at least {LEAST_TRIALS} of each needed: of fewer \
         the two numbers of a calibration would be chance"
    )]
    Trials {
        /// Targets found.
        targets: usize,
        /// Others found.
        others: usize,
    },
    /// Too few speakers.
    #[error(
        "target trials of {found} speakers found, of at least {LEAST_SPEAKERS} needed: one voice is no site"
    )]
    Speakers {
        /// Speakers found.
        found: usize,
    },
    /// The trials contradict the scores.
    #[error("the trials rank impostors above the speakers themselves; are their labels right?")]
    UpsideDown,
}

/// Fits a line to `trials`, whose scores are log-likelihood ratios: logistic regression, targets and others
/// weighing the same.
pub fn fit(trials: &[Trial]) -> Result<Fit, FitError> {
    let targets = trials.iter().filter(|trial| trial.target).count();
    let others = trials.len() - targets;
    if targets < LEAST_TRIALS || others < LEAST_TRIALS {
        return Err(FitError::Trials { targets, others });
    }
    let mut names: Vec<usize> =
        trials.iter().flat_map(|trial| [trial.speakers.0, trial.speakers.1]).collect();
    names.sort_unstable();
    names.dedup();
    // Of one voice and many strangers nothing is learnt about the next voice.
    let mut enrolled: Vec<usize> =
        trials.iter().filter(|trial| trial.target).map(|trial| trial.speakers.0).collect();
    enrolled.sort_unstable();
    enrolled.dedup();
    if enrolled.len() < LEAST_SPEAKERS {
        return Err(FitError::Speakers { found: enrolled.len() });
    }
    let line = regress(&trials.iter().collect::<Vec<_>>()).ok_or(FitError::UpsideDown)?;
    let fold = |name: usize| names.binary_search(&name).map_or(0, |place| place % FOLDS);
    let mut after = Vec::new();
    for (one, other) in (0..FOLDS).flat_map(|one| (one..FOLDS).map(move |other| (one, other))) {
        let of = |trial: &Trial| {
            let (a, b) = (fold(trial.speakers.0), fold(trial.speakers.1));
            (a.min(b), a.max(b))
        };
        // What is tested shares no speaker with what the line was fitted to.
        let foreign = trials.iter().filter(|trial| {
            let (a, b) = of(trial);
            a != one && a != other && b != one && b != other
        });
        let line = regress(&foreign.collect::<Vec<_>>())
            .ok_or(FitError::Speakers { found: names.len() })?;
        let tested = trials.iter().filter(|trial| of(trial) == (one, other));
        after.extend(tested.map(|t| Trial { score: line.apply(t.score), ..*t }));
    }
    let cost = |trials: &[Trial]| {
        let of = |wanted| {
            let of = trials.iter().filter(|trial| trial.target == wanted);
            of.map(|trial| trial.score).collect::<Vec<_>>()
        };
        cllr(&of(true), &of(false))
    };
    Ok(Fit {
        line,
        targets,
        others,
        speakers: names.len(),
        cllr_before: cost(trials),
        cllr_after: cost(&after),
    })
}

/// The line of the least cost; `None` where it would fall.
fn regress(trials: &[&Trial]) -> Option<Recalibration> {
    let count = |wanted| trials.iter().filter(|trial| trial.target == wanted).count() as f64;
    let (targets, others) = (count(true), count(false));
    let pull = PULL * (1.0 / targets.max(1.0) + 1.0 / others.max(1.0));
    let cost = |slope: f64, offset: f64| {
        let of = |trial: &Trial| {
            let llr = slope * trial.score + offset;
            let (sign, count) = if trial.target { (-1.0, targets) } else { (1.0, others) };
            softplus(sign * llr) / count
        };
        let pulled = pull * ((slope - 1.0).powi(2) + offset * offset) / 2.0;
        trials.iter().map(|trial| of(trial)).sum::<f64>() + pulled
    };
    let (mut slope, mut offset): (f64, f64) = (1.0, 0.0);
    // Newton's method on a convex cost: a few steps arrive.
    for _ in 0..50 {
        let (mut g0, mut g1) = (pull * (slope - 1.0), pull * offset);
        let (mut h00, mut h01, mut h11) = (pull, 0.0, pull);
        for trial in trials {
            let weight = 1.0 / if trial.target { targets } else { others };
            let p = 1.0 / (1.0 + (-(slope * trial.score + offset)).exp());
            let error = weight * (p - f64::from(u8::from(trial.target)));
            let bend = weight * p * (1.0 - p);
            (g0, g1) = (g0 + error * trial.score, g1 + error);
            (h00, h01) = (h00 + bend * trial.score * trial.score, h01 + bend * trial.score);
            h11 += bend;
        }
        let determinant = h00 * h11 - h01 * h01;
        let step0 = (h11 * g0 - h01 * g1) / determinant;
        let step1 = (h00 * g1 - h01 * g0) / determinant;
        // A whole step may lead past the bottom: the first part of it that leads down is taken.
        let here = cost(slope, offset);
        let part = (0..30)
            .map(|n| 0.5_f64.powi(n))
            .find(|part| cost(slope - part * step0, offset - part * step1) < here);
        let Some(part) = part else { break };
        (slope, offset) = (slope - part * step0, offset - part * step1);
    }
    (slope.is_finite() && offset.is_finite() && slope > 0.0)
        .then_some(Recalibration { slope, offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Normal populations whose true log-likelihood ratio is their value, stretched and moved.
    fn trials(stretch: f64, shift: f64) -> Vec<Trial> {
        let mut random = fastrand::Rng::with_seed(1);
        let mut normal = || (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
        // Variance 2 m around +-m: the ratio of two normals is then the value itself.
        let mean = 3.0_f64;
        (0..4_000)
            .map(|n| {
                let target = n % 2 == 0;
                let llr = if target { mean } else { -mean } + (2.0 * mean).sqrt() * normal();
                let speaker = n / 2 % 40;
                let other = if target { speaker } else { (speaker + 1 + n % 7) % 40 };
                Trial { score: llr * stretch + shift, target, speakers: (speaker, other) }
            })
            .collect()
    }

    #[test]
    fn a_stretched_and_shifted_ratio_is_put_right() {
        let fit = fit(&trials(2.0, 3.0)).expect("enough trials");
        assert!((fit.line.slope - 0.5).abs() < 0.05, "{fit:?}");
        assert!((fit.line.offset + 1.5).abs() < 0.2, "{fit:?}");
        assert!(fit.cllr_after < fit.cllr_before - 0.1, "{fit:?}");
    }

    #[test]
    fn what_is_right_is_left_alone() {
        let fit = fit(&trials(1.0, 0.0)).expect("enough trials");
        assert!((fit.line.slope - 1.0).abs() < 0.1 && fit.line.offset.abs() < 0.2, "{fit:?}");
    }

    #[test]
    fn too_little_is_refused_with_what_is_needed() {
        let few = fit(&trials(1.0, 0.0)[..80]).expect_err("40 of each");
        assert!(few.to_string().starts_with("40 target and 40 other trials found, at least 50"));
        let mut one_voice = trials(1.0, 0.0);
        one_voice.iter_mut().for_each(|trial| trial.speakers.0 = 1);
        assert_eq!(fit(&one_voice), Err(FitError::Speakers { found: 1 }));
        assert_eq!(fit(&trials(-1.0, 0.0)), Err(FitError::UpsideDown));
    }

    #[test]
    fn scores_without_an_error_do_not_make_the_line_infinite() {
        let apart: Vec<_> = trials(1.0, 0.0)
            .into_iter()
            .map(|t| Trial { score: if t.target { 5.0 } else { -5.0 }, ..t })
            .collect();
        let fit = fit(&apart).expect("enough trials");
        assert!(fit.line.slope < 5.0, "{fit:?}");
    }
}
