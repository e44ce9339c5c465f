//! Phrases in a segment of speech, by a streaming model: a fresh state a segment, and silence behind it.

use std::time::Duration;

use crate::audio::fbank::{FilterBank, K2};
use crate::keyword::spotter::{Hit, Spotting};
use crate::keyword::streaming::beam::Beam;
use crate::keyword::streaming::context_graph::{ContextGraph, Way};
use crate::keyword::streaming::ctc_beam::CtcBeam;
use crate::keyword::streaming::model::{Chunk, StreamingModel, Transducer};
use crate::keyword::streaming::search::{Found, Search, Settings};
use crate::keyword::streaming::vocabulary::PieceId;

/// What a frame of features stands for.
const FRAME: Duration = Duration::from_millis(10);
/// Samples in it, at 16 kHz.
const FRAME_SAMPLES: usize = 160;
/// Frames that a row stands for at most: models of the family give one for four.
const ROW_FRAMES: usize = 4;

/// Listens for a fixed list of phrases. It holds no state of any call.
#[derive(Debug)]
pub struct StreamingSpotter {
    graph: ContextGraph,
    settings: Settings,
    unknown: Option<PieceId>,
    bank: FilterBank,
}

impl StreamingSpotter {
    /// Prepares to listen for phrases in all their `ways`; `unknown` is the model's piece for a sound that is none. Of two
    /// phrases with the same pieces the second is given back.
    pub fn new(
        ways: &[Way],
        unknown: Option<PieceId>,
        settings: Settings,
    ) -> Result<Self, (usize, usize)> {
        Ok(Self { graph: ContextGraph::new(ways)?, settings, unknown, bank: FilterBank::new(K2) })
    }

    /// Searches one segment by a transducer: mono, 16 kHz in [-1, 1], of any length and level.
    pub fn spot<M: Transducer>(
        &mut self,
        model: &mut M,
        samples: &[f32],
    ) -> Result<Spotting, M::Error> {
        let beam = Beam::new(&self.graph, self.settings, self.unknown);
        search(&mut self.bank, self.settings, beam, model, samples)
    }

    /// The same by a CTC model.
    pub fn spot_by_ctc<M: StreamingModel>(
        &mut self,
        model: &mut M,
        samples: &[f32],
    ) -> Result<Spotting, M::Error> {
        let beam = CtcBeam::new(&self.graph, self.settings, self.unknown);
        search(&mut self.bank, self.settings, beam, model, samples)
    }
}

fn search<M: StreamingModel>(
    bank: &mut FilterBank,
    settings: Settings,
    mut search: impl Search<M>,
    model: &mut M,
    samples: &[f32],
) -> Result<Spotting, M::Error> {
    let mut hits = Vec::new();
    let mut state = model.begin()?;
    for features in chunks(bank, model.chunk(), settings, samples) {
        let rows = model.encode(&features, &mut state)?;
        let each = FRAME * (model.chunk().shift / rows.len().max(1)) as u32;
        for row in &rows {
            let found = search.advance(model, row)?;
            hits.extend(found.map(|found| hit(&found, each, samples.len())));
        }
    }
    hits.sort_by_key(|hit: &Hit| (hit.phrase, hit.start));
    Ok(Spotting { hits, ..Spotting::default() })
}

/// The features of a segment, chunk by chunk, with as much silence behind it as the last of its rows and those that have
/// to be empty want.
fn chunks(
    bank: &mut FilterBank,
    chunk: Chunk,
    settings: Settings,
    samples: &[f32],
) -> impl Iterator<Item = Vec<f32>> {
    let silence = chunk.frames + ROW_FRAMES * (settings.trailing_blanks + 2) + 1;
    let mut heard = samples.to_vec();
    heard.resize(samples.len() + silence * FRAME_SAMPLES, 0.0);
    let features = bank.compute(&heard);
    let frames = features.len() / K2.bands;
    // The package never takes the very last frame.
    let starts = (0..frames.saturating_sub(chunk.frames)).step_by(chunk.shift.max(1));
    starts.map(move |start| features[start * K2.bands..][..chunk.frames * K2.bands].to_vec())
}

fn hit(found: &Found, row: Duration, samples: usize) -> Hit {
    let length = Duration::from_secs_f64(samples as f64 / (FRAME_SAMPLES * 100) as f64);
    let at = |rows: usize| (row * rows as u32).min(length);
    // A probability of 0 has no logarithm.
    let score = found.probability.max(f32::MIN_POSITIVE).ln().min(0.0);
    Hit {
        phrase: found.phrase,
        score,
        decoder: score,
        exact: false,
        start: at(found.rows.first().copied().unwrap_or_default()),
        end: at(found.rows.last().map_or(0, |last| last + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyword::streaming::context_graph::tests::way;
    use crate::keyword::streaming::model::tests::Script;
    use crate::keyword::streaming::search::log_softmax;

    fn spotter(settings: Settings) -> StreamingSpotter {
        StreamingSpotter::new(&[way(0, &[8]), way(1, &[5, 6])], None, settings).expect("phrases")
    }

    #[test]
    fn a_hit_has_its_phrase_its_time_and_its_score() {
        let mut spotter = spotter(Settings::default());
        let hits = spotter.spot(&mut Script::default(), &[0.0; 16_000]).expect("a script").hits;
        assert_eq!(hits.len(), 1);
        assert_eq!((hits[0].phrase, hits[0].exact), (1, false));
        // Rows 2 to 5 of 40 ms.
        assert_eq!(hits[0].start, Duration::from_millis(80));
        assert_eq!(hits[0].end, Duration::from_millis(240));
        assert!((hits[0].score - 0.9_f32.ln()).abs() < 0.01, "{}", hits[0].score);
    }

    #[test]
    fn a_hit_ends_with_its_segment() {
        let mut spotter = spotter(Settings::default());
        let hits = spotter.spot(&mut Script::default(), &[0.0; 1_600]).expect("a script").hits;
        assert_eq!(hits[0].end, Duration::from_millis(100));
    }

    #[test]
    fn behind_a_segment_there_is_silence_enough_for_its_last_row_and_the_blanks() {
        let chunk = Chunk { frames: 45, shift: 32, vocabulary: 12 };
        for trailing_blanks in [0, 1, 8] {
            let settings = Settings { trailing_blanks, ..Settings::default() };
            for samples in (160..40_000).step_by(1_234) {
                let mut bank = FilterBank::new(K2);
                let taken = chunks(&mut bank, chunk, settings, &vec![0.0; samples]).count();
                let rows = taken * 8;
                assert!(rows > samples.div_ceil(640) + trailing_blanks, "{samples} {rows}");
            }
        }
    }

    #[test]
    fn a_ctc_model_is_searched_the_same_way() {
        /// Its rows are probabilities already.
        struct Ctc(Script);
        impl StreamingModel for Ctc {
            type Error = <Script as StreamingModel>::Error;
            type State = usize;
            fn chunk(&self) -> Chunk {
                self.0.chunk()
            }
            fn begin(&self) -> Result<usize, Self::Error> {
                self.0.begin()
            }
            fn encode(
                &mut self,
                features: &[f32],
                state: &mut usize,
            ) -> Result<Vec<Vec<f32>>, Self::Error> {
                let mut rows = self.0.encode(features, state)?;
                rows.iter_mut().for_each(|row| log_softmax(row));
                Ok(rows)
            }
        }
        let mut spotter = spotter(Settings::default());
        let mut model = Ctc(Script::default());
        let hits = spotter.spot_by_ctc(&mut model, &[0.0; 16_000]).expect("a script").hits;
        assert_eq!(hits.len(), 1);
        assert_eq!((hits[0].phrase, hits[0].start), (1, Duration::from_millis(80)));
    }
}
