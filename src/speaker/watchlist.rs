//! Known voices that a caller is compared with beside the claim, one against many.
//!
//! A hit is a hint for a person: it accepts and rejects nobody.

use std::sync::Arc;

use crate::consent::permit::{Permit, Watchlisting};
use crate::speaker::calibration::{Calibration, Comparison, Conditions, Likeness};
use crate::speaker::embedder::Embedders;
use crate::speaker::embedding::Embedding;
use crate::speaker::ledger::{IMPOSTOR_CORRELATION, effective};
use crate::speaker::voiceprint::Voiceprint;

/// `[speaker.watchlist]`, as far as the comparison needs it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    entries: Vec<Entry>,
    /// Evidence from which on an entry is a hit, nats.
    bound: f64,
}

/// One known voice.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    id: String,
    decide: Embedding,
    watch: Option<Embedding>,
}

impl Known {
    /// Those of `voiceprints` that `models` made, and how many others there are. `rate` is how many calls of a
    /// thousand may raise a false alarm, by all entries together.
    pub fn new(voiceprints: &[Voiceprint], models: &Embedders, rate: f64) -> (Self, usize) {
        let entries: Vec<Entry> = voiceprints
            .iter()
            .filter_map(|print| {
                let of = |model: &String| print.reference(model).map(|of| of.embedding.clone());
                let watch = models.watch.as_ref().and_then(of);
                Some(Entry { id: print.subject.clone(), decide: of(&models.decide)?, watch })
            })
            .collect();
        let left_out = voiceprints.len() - entries.len();
        // Each entry has its share of the false alarms (Bonferroni).
        let bound = (1_000.0 * entries.len().max(1) as f64 / rate).ln();
        (Self { entries, bound }, left_out)
    }

    /// How many voices.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// A caller on the way past the known voices.
#[derive(Clone, Debug)]
pub struct Watchlist {
    known: Arc<Known>,
    calibration: Calibration,
    /// By entry: windows' worth of speech, their evidence times that, and whether it was told.
    pools: Vec<(f64, f64, bool)>,
}

/// A known voice that the caller's resembles.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Its id.
    pub entry: String,
    /// Evidence for it, nats, without the bounds on a single window: beyond some 10 nats it is extrapolation.
    pub llr: f64,
}

impl Watchlist {
    /// Nothing heard yet of somebody whom there is leave to compare.
    pub fn new(_leave: &Permit<Watchlisting>, known: Arc<Known>, calibration: Calibration) -> Self {
        let pools = vec![(0.0, 0.0, false); known.len()];
        Self { known, calibration, pools }
    }

    /// Takes a whole window's voice by both embedders, with `fresh` new speech as a share of a window. Tells each
    /// entry once.
    pub fn observe(
        &mut self,
        decide: &Embedding,
        watch: Option<&Embedding>,
        conditions: Conditions,
        fresh: f64,
    ) -> Vec<Hit> {
        let Self { known, calibration, pools } = self;
        let pairs = known.entries.iter().zip(pools);
        let hit = |(entry, (windows, evidence, told)): (&Entry, &mut (f64, f64, bool))| {
            let watch =
                entry.watch.as_ref().zip(watch).and_then(|(known, voice)| known.cosine(voice));
            let likeness = Likeness { decide: entry.decide.cosine(decide), watch };
            let net_speech = std::time::Duration::ZERO;
            let comparison = Comparison { likeness, conditions, net_speech, fresh };
            let llr = calibration.unbounded(&comparison)?;
            (*windows, *evidence) = (*windows + fresh, *evidence + fresh * llr);
            let whole = *windows >= 1.0;
            let llr = *evidence / windows.max(f64::MIN_POSITIVE)
                * effective(*windows, IMPOSTOR_CORRELATION);
            let news = whole && !*told && llr >= known.bound;
            *told |= news;
            news.then(|| Hit { entry: entry.id.clone(), llr })
        };
        pairs.filter_map(hit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::permit::leave;

    const CLEAN: Conditions = Conditions { range_db: 28.0, upper_db: -6.0, concealed: 0.0 };

    fn voice(degrees: f32) -> Embedding {
        let (sine, cosine) = degrees.to_radians().sin_cos();
        Embedding::from_raw(vec![cosine, sine]).expect("a direction")
    }

    fn known(degrees: &[f32], rate: f64) -> (Known, usize) {
        let made = jiff::Timestamp::UNIX_EPOCH;
        let prints: Vec<_> = degrees
            .iter()
            .enumerate()
            .map(|(n, degrees)| {
                let model = if n == 2 { "old@1" } else { "m@1" };
                let id = format!("case-{n}");
                Voiceprint::of_embedding(&id, "basis", made, 12.0, (model, voice(*degrees)))
            })
            .collect();
        Known::new(&prints, &Embedders { decide: "m@1".to_owned(), watch: None }, rate)
    }

    #[test]
    fn who_sounds_like_an_entry_is_told_once_and_others_are_not() {
        let (known, left_out) = known(&[0.0, 120.0, 0.0], 1.0);
        assert_eq!((known.len(), left_out), (2, 1), "one is of another model");
        let mut list = Watchlist::new(&leave(), Arc::new(known), Calibration::RESNET34_GE2E);
        let hits = list.observe(&voice(30.0), None, CLEAN, 1.0);
        assert_eq!(hits.iter().map(|hit| hit.entry.as_str()).collect::<Vec<_>>(), ["case-0"]);
        assert!(hits[0].llr > 7.6);
        assert_eq!(list.observe(&voice(30.0), None, CLEAN, 0.3), []);
        let mut list =
            Watchlist::new(&leave(), Arc::clone(&list.known), Calibration::RESNET34_GE2E);
        assert_eq!(list.observe(&voice(60.0), None, CLEAN, 1.0), [], "like neither enough");
        assert_eq!(
            list.observe(&voice(30.0), None, CLEAN, 0.0),
            [],
            "what is heard again says nothing"
        );
    }

    #[test]
    fn more_entries_and_fewer_false_alarms_ask_for_more_evidence() {
        let bound = |entries: usize, rate| known(&vec![0.0; entries], rate).0.bound;
        assert!((bound(1, 1.0) - 1_000.0_f64.ln()).abs() < 1e-9);
        assert!(bound(2, 1.0) > bound(1, 1.0) && bound(1, 0.1) > bound(1, 1.0));
    }
}
