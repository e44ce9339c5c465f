//! Phrases by a CTC model: prefix search (Graves, 2006; Hannun and others, 2014), drawn to the phrases by their graph.
//!
//! Each row has a probability for each piece, whatever was said before; a piece that goes on over several rows is one.

use crate::keyword::streaming::context_graph::{ContextGraph, NodeId, ROOT};
use crate::keyword::streaming::model::StreamingModel;
use crate::keyword::streaming::search::{Found, Search, Settings, log_add};
use crate::keyword::streaming::vocabulary::{BLANK, PieceId};

/// A piece less probable than 1 in 100 in a row was not said there, whatever a phrase would make of it: what the end of a
/// phrase is worth would buy one of its pieces at any price.
const GATE: f32 = -4.6;

/// A search through one stream.
#[derive(Debug)]
pub struct CtcBeam<'g> {
    graph: &'g ContextGraph,
    settings: Settings,
    /// A piece that is passed over as a blank is.
    unknown: Option<PieceId>,
    paths: Vec<Path>,
    row: usize,
}

/// What may have been said.
#[derive(Clone, Debug)]
struct Path {
    /// Pieces since the beginning of a phrase.
    said: Vec<Said>,
    /// The last piece, also where no phrase goes on with it: the same in the next row is no other.
    last: Option<PieceId>,
    /// Of all that led here and ended with a blank, nats.
    blank: f64,
    /// Of all that led here and ended with the last piece, nats.
    piece: f64,
    /// Both without what phrases are worth; only the sums are compared.
    worth: f64,
    node: NodeId,
    /// Rows in which a blank was the more probable end, since the last in which it was not.
    blanks: usize,
}

#[derive(Clone, Copy, Debug)]
struct Said {
    piece: PieceId,
    row: usize,
    /// The highest of its rows.
    log_p: f32,
}

impl Path {
    const START: Self = Self {
        said: Vec::new(),
        last: None,
        blank: 0.0,
        piece: f64::NEG_INFINITY,
        worth: 0.0,
        node: ROOT,
        blanks: 0,
    };

    fn log_p(&self) -> f64 {
        log_add(self.blank, self.piece)
    }

    fn total(&self) -> f64 {
        self.log_p() + self.worth
    }

    fn pieces(&self) -> impl Iterator<Item = PieceId> + '_ {
        self.said.iter().map(|said| said.piece)
    }

    fn says_the_same(&self, other: &Self) -> bool {
        self.last == other.last && self.pieces().eq(other.pieces())
    }
}

impl<'g> CtcBeam<'g> {
    /// At the beginning of a stream.
    pub fn new(graph: &'g ContextGraph, settings: Settings, unknown: Option<PieceId>) -> Self {
        Self { graph, settings, unknown, paths: vec![Path::START], row: 0 }
    }

    /// `path`, when nothing new is said: a blank, or the last piece goes on.
    fn stays(&self, path: &Path, row: &[f32]) -> Path {
        let mut next = path.clone();
        let log_p = |piece: PieceId| row[piece as usize];
        let blank = f64::from(log_p(BLANK));
        let unknown = self.unknown.map_or(f64::NEG_INFINITY, |piece| f64::from(log_p(piece)));
        next.blank = path.log_p() + log_add(blank, unknown);
        next.piece = f64::NEG_INFINITY;
        if let Some(last) = path.last {
            next.piece = path.piece + f64::from(log_p(last));
            // Where a piece is sure only once it goes on, that is how sure it is.
            if next.piece > next.blank
                && let Some(said) = next.said.last_mut()
            {
                said.log_p = said.log_p.max(log_p(last));
            }
        }
        next.blanks = if next.blank > next.piece { path.blanks + 1 } else { 0 };
        next
    }

    /// `path` after a new `piece`.
    fn after(&self, path: &Path, piece: PieceId, log_p: f32) -> Path {
        let before = if path.last == Some(piece) { path.blank } else { path.log_p() };
        let (node, worth) = self.graph.advance(path.node, piece);
        let mut next = path.clone();
        next.said.push(Said { piece, row: self.row, log_p });
        if node == ROOT {
            next.said.clear();
        }
        next.blank = f64::NEG_INFINITY;
        next.piece = before + f64::from(log_p);
        next.worth += f64::from(worth);
        (next.last, next.node, next.blanks) = (Some(piece), node, 0);
        next
    }

    fn step(&self, row: &[f32]) -> Vec<Path> {
        let mut next: Vec<Path> = Vec::new();
        let mut add = |path: Path| match next.iter_mut().find(|o| o.says_the_same(&path)) {
            Some(other) => {
                // The more probable knows when its pieces were said.
                let (blank, piece) =
                    (log_add(other.blank, path.blank), log_add(other.piece, path.piece));
                if path.log_p() > other.log_p() {
                    *other = path;
                }
                (other.blank, other.piece) = (blank, piece);
            }
            None => next.push(path),
        };
        for path in &self.paths {
            add(self.stays(path, row));
            for (piece, &log_p) in (0..).zip(row) {
                let silent = piece == BLANK || Some(piece) == self.unknown;
                if !silent && log_p > GATE {
                    add(self.after(path, piece, log_p));
                }
            }
        }
        next.sort_by(|a, b| b.total().total_cmp(&a.total()));
        next.truncate(self.settings.paths);
        next
    }

    fn found(&self) -> Option<Found> {
        let best = self.paths.first()?;
        let matched = self.graph.matched(best.node)?;
        let own = &best.said[best.said.len() - matched.length..];
        let probability =
            own.iter().map(|said| said.log_p.exp()).sum::<f32>() / matched.length as f32;
        let over = best.blanks > self.settings.trailing_blanks && probability >= matched.threshold;
        over.then(|| Found {
            phrase: matched.phrase,
            rows: own.iter().map(|said| said.row).collect(),
            probability,
        })
    }
}

impl<M: StreamingModel> Search<M> for CtcBeam<'_> {
    fn advance(&mut self, _: &mut M, row: &[f32]) -> Result<Option<Found>, M::Error> {
        self.paths = self.step(row);
        self.row += 1;
        let found = self.found();
        if found.is_some() {
            self.paths = vec![Path::START];
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyword::streaming::context_graph::Way;
    use crate::keyword::streaming::context_graph::tests::way;
    use crate::keyword::streaming::model::tests::{Script, saying, surely};
    use crate::keyword::streaming::search::log_softmax;

    fn find(pieces: &[PieceId], said: &[usize]) -> Vec<Found> {
        search(&[way(0, pieces)], said, saying)
    }

    fn search(ways: &[Way], said: &[usize], saying: fn(usize) -> Vec<f32>) -> Vec<Found> {
        let graph = ContextGraph::new(ways).expect("a phrase");
        let mut beam = CtcBeam::new(&graph, Settings::default(), Some(2));
        let mut found = Vec::new();
        for &piece in said {
            let mut row = saying(piece);
            log_softmax(&mut row);
            found.extend(beam.advance(&mut Script::default(), &row).expect("a script"));
        }
        found
    }

    #[test]
    fn a_piece_that_goes_on_is_one() {
        let found = find(&[5, 6], &[0, 5, 5, 5, 6, 6, 0, 0, 0]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].rows, [1, 4]);
        assert!((found[0].probability - 0.9).abs() < 0.01, "{}", found[0].probability);
    }

    #[test]
    fn a_piece_that_is_said_twice_has_a_blank_between() {
        assert_eq!(search(&[way(0, &[5, 5])], &[5, 5, 5, 0, 0, 0], surely), []);
        assert_eq!(find(&[5, 5], &[5, 0, 5, 0, 0, 0])[0].rows, [0, 2]);
    }

    #[test]
    fn no_boost_makes_a_piece_of_nothing() {
        // Piece 5 has a probability of e^-6 everywhere.
        let faint = |piece| {
            let mut logits = saying(piece);
            logits[5] = -3.7;
            logits
        };
        let dear = Way { boost: 10.0, ..way(0, &[5, 6]) };
        assert_eq!(search(&[dear], &[0, 0, 6, 0, 0, 0], faint), []);
    }

    #[test]
    fn a_phrase_waits_for_its_end_and_may_be_said_again() {
        assert_eq!(find(&[5, 6], &[5, 6, 0]), []);
        assert_eq!(find(&[5, 6], &[5, 6, 0, 0, 5, 6, 0, 0, 0]).len(), 2);
    }

    #[test]
    fn something_between_its_pieces_parts_a_phrase() {
        assert_eq!(search(&[way(0, &[5, 6])], &[5, 7, 6, 0, 0, 0], surely), []);
        assert_eq!(find(&[5, 6], &[5, 2, 6, 0, 0, 0]).len(), 1, "a sound that is none");
    }
}
