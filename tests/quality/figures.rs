//! What came of the calls, and what of it is chance.

use sidetone::call::media_stats::MediaStats;

use super::spectrum::Distance;

/// What came of one call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Phrases that were said, those of them that were found, and found ones that were not said.
    pub(crate) said: usize,
    pub(crate) found: usize,
    pub(crate) false_hits: usize,
    /// Cosines of its windows to its speaker's voiceprint, and to others'.
    pub(crate) same: Vec<f32>,
    pub(crate) others: Vec<f32>,
    /// Share of the speech heard that was really received.
    pub(crate) coverage: f64,
    pub(crate) stats: MediaStats,
    /// Spectral distance to what was sent, over frames that the network touched and over all.
    pub(crate) touched: Distance,
    pub(crate) all: Distance,
}

/// A difference to the clean line, with half of its 95 % interval.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) mean: f64,
    pub(crate) margin: f64,
}

/// All calls by one way beside the same calls on a clean line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comparison<'a> {
    pub(crate) clean: &'a [Outcome],
    pub(crate) lossy: &'a [Outcome],
}

/// Normal for many calls, Student's t for few.
const NORMAL: f64 = 1.96;
/// t at 97.5 % with 9 degrees of freedom: the readers call ten times.
const T_OF_TEN: f64 = 2.262;

impl Comparison<'_> {
    /// Share of the packets that were not played, lost or late.
    pub(crate) fn lost(&self) -> f64 {
        sum(self.lossy, |o| o.stats.lost as f64)
            / sum(self.lossy, |o| (o.stats.lost + o.stats.packets - o.stats.late) as f64)
    }

    /// Share of the clean line's net speech that was heard.
    pub(crate) fn net_speech(&self) -> f64 {
        let speech = |o: &Outcome| o.stats.speech_us as f64;
        sum(self.lossy, speech) / sum(self.clean, speech)
    }

    /// Mean over the calls.
    pub(crate) fn coverage(&self) -> f64 {
        sum(self.lossy, |o| o.coverage) / self.lossy.len() as f64
    }

    /// dB, over touched frames and over all.
    pub(crate) fn distances(&self) -> (f64, f64) {
        let (mut touched, mut all) = (Distance::default(), Distance::default());
        for outcome in self.lossy {
            touched.add(outcome.touched);
            all.add(outcome.all);
        }
        (touched.mean(), all.mean())
    }

    /// Mean cosine over the readers' calls, each call's mean counting once; for the readers alone.
    pub(crate) fn same(&self) -> (f64, Change) {
        self.cosine(|o| &o.same, T_OF_TEN)
    }

    /// The same of readers and strangers to voiceprints that are not theirs.
    pub(crate) fn others(&self) -> (f64, Change) {
        self.cosine(|o| &o.others, NORMAL)
    }

    fn cosine(&self, of: impl Fn(&Outcome) -> &Vec<f32>, quantile: f64) -> (f64, Change) {
        let pairs: Vec<(f64, f64)> = self
            .clean
            .iter()
            .zip(self.lossy)
            .filter_map(|(clean, lossy)| Some((mean(of(clean))?, mean(of(lossy))?)))
            .collect();
        let calls = pairs.len() as f64;
        let level = pairs.iter().map(|(_, lossy)| lossy).sum::<f64>() / calls;
        let changes: Vec<f64> = pairs.iter().map(|(clean, lossy)| lossy - clean).collect();
        let margin = quantile * deviation(&changes) / calls.sqrt();
        (level, Change { mean: changes.iter().sum::<f64>() / calls, margin })
    }

    /// Share of the phrases said that were found. The interval takes orders, not phrases, for
    /// independent: a burst takes neighbours.
    pub(crate) fn found(&self) -> (f64, Change) {
        let said = sum(self.clean, |o| o.said as f64);
        let changes: Vec<f64> = self
            .clean
            .iter()
            .zip(self.lossy)
            .filter(|(clean, _)| clean.said > 0)
            .map(|(clean, lossy)| lossy.found as f64 - clean.found as f64)
            .collect();
        let margin = NORMAL * deviation(&changes) * (changes.len() as f64).sqrt() / said;
        let found = sum(self.lossy, |o| o.found as f64) / said;
        (found, Change { mean: changes.iter().sum::<f64>() / said, margin })
    }

    /// Phrases found that were not said.
    pub(crate) fn false_hits(&self) -> usize {
        self.lossy.iter().map(|o| o.false_hits).sum()
    }

    /// Calls of readers, their windows, orders, phrases said in them.
    pub(crate) fn trials(&self) -> (usize, usize, usize, usize) {
        let count = |is: fn(&Outcome) -> bool| self.clean.iter().filter(|o| is(o)).count();
        let readers = count(|o| !o.same.is_empty());
        let windows = self.clean.iter().map(|o| o.same.len()).sum();
        let said = self.clean.iter().map(|o| o.said).sum();
        (readers, windows, count(|o| o.said > 0), said)
    }
}

fn sum(outcomes: &[Outcome], of: impl Fn(&Outcome) -> f64) -> f64 {
    outcomes.iter().map(of).sum()
}

fn mean(values: &[f32]) -> Option<f64> {
    let sum = values.iter().map(|value| f64::from(*value)).sum::<f64>();
    (!values.is_empty()).then(|| sum / values.len() as f64)
}

/// Of one value from the mean, by the sample.
fn deviation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (squares / (values.len() as f64 - 1.0)).sqrt()
}
