//! Phrases by a transducer: the best few of what may have been said, at most one piece a row, drawn to the phrases
//! by their graph.
//!
//! A path forgets what it heard before the beginning of a phrase: it looks for phrases, and writes no text.

use std::rc::Rc;

use crate::keyword::streaming::context_graph::{ContextGraph, NodeId, ROOT};
use crate::keyword::streaming::model::Transducer;
use crate::keyword::streaming::search::{Found, Search, Settings, log_add, log_softmax};
use crate::keyword::streaming::vocabulary::{BLANK, PieceId};

/// A search through one stream.
#[derive(Debug)]
pub struct Beam<'g> {
    graph: &'g ContextGraph,
    settings: Settings,
    /// A piece that is passed over as a blank is.
    unknown: Option<PieceId>,
    paths: Vec<Path>,
    row: usize,
}

/// What may have been said.
#[derive(Clone, Debug, Default)]
struct Path {
    /// Pieces since the beginning of a phrase.
    said: Vec<Said>,
    /// Of all that led here, boosts included, nats.
    log_p: f64,
    node: NodeId,
    /// Rows since the last piece.
    blanks: usize,
    /// What the joiner takes of its last pieces; asked for once they have changed.
    prediction: Option<Rc<[f32]>>,
}

#[derive(Clone, Copy, Debug)]
struct Said {
    piece: PieceId,
    row: usize,
    probability: f32,
}

impl Path {
    fn pieces(&self) -> impl Iterator<Item = PieceId> + '_ {
        self.said.iter().map(|said| said.piece)
    }

    fn says_the_same(&self, other: &Self) -> bool {
        self.pieces().eq(other.pieces())
    }

    /// The last pieces, as the decoder takes them: before the first there is a blank, and before that nothing.
    fn context(&self, length: usize) -> Vec<i64> {
        let before = std::iter::once(i64::from(BLANK)).chain(std::iter::repeat(-1));
        let said = self.said.iter().rev().map(|said| i64::from(said.piece));
        let mut context: Vec<i64> = said.chain(before).take(length).collect();
        context.reverse();
        context
    }
}

impl<'g> Beam<'g> {
    /// At the beginning of a stream.
    pub fn new(graph: &'g ContextGraph, settings: Settings, unknown: Option<PieceId>) -> Self {
        Self { graph, settings, unknown, paths: vec![Path::default()], row: 0 }
    }

    /// `path` after `piece`, or after none; `log_p` is all that led there, without the piece's boost.
    fn after(&self, path: &Path, piece: PieceId, log_p: f32, probability: f32) -> Path {
        let mut path = path.clone();
        let mut worth = 0.0;
        if piece == BLANK || Some(piece) == self.unknown {
            path.blanks += 1;
        } else {
            path.said.push(Said { piece, row: self.row, probability });
            (path.node, worth) = self.graph.advance(path.node, piece);
            if path.node == ROOT {
                path.said.clear();
            }
            (path.blanks, path.prediction) = (0, None);
        }
        // In f32, as the package has it: with the same model it finds the same.
        path.log_p = f64::from(log_p + worth);
        path
    }

    fn found(&self) -> Option<Found> {
        let best = self.paths.iter().max_by(|a, b| a.log_p.total_cmp(&b.log_p))?;
        let matched = self.graph.matched(best.node)?;
        // The phrase's own pieces, where it ends another's beginning; the package takes the mean of as many from the
        // beginning of the path.
        let own = &best.said[best.said.len() - matched.length..];
        let probability =
            own.iter().map(|said| said.probability).sum::<f32>() / matched.length as f32;
        let over = best.blanks > self.settings.trailing_blanks && probability >= matched.threshold;
        over.then(|| Found {
            phrase: matched.phrase,
            rows: own.iter().map(|said| said.row).collect(),
            probability,
        })
    }
}

/// The places of the `most` largest numbers, the largest first.
fn largest(numbers: &[f32], most: usize) -> Vec<usize> {
    let mut places: Vec<usize> = Vec::with_capacity(most + 1);
    for (place, number) in numbers.iter().enumerate() {
        if places.len() == most && *number <= numbers[places[most - 1]] {
            continue;
        }
        let at = places.partition_point(|&other| numbers[other] >= *number);
        places.insert(at, place);
        places.truncate(most);
    }
    places
}

impl<M: Transducer> Search<M> for Beam<'_> {
    fn advance(&mut self, model: &mut M, row: &[f32]) -> Result<Option<Found>, M::Error> {
        let (vocabulary, length) = (model.chunk().vocabulary, model.context());
        for path in &mut self.paths {
            if path.prediction.is_none() {
                path.prediction = Some(model.predict(&path.context(length))?.into());
            }
        }
        let predictions: Vec<&[f32]> =
            self.paths.iter().filter_map(|path| path.prediction.as_deref()).collect();
        let mut own = model.join(row, &predictions)?;
        own.chunks_exact_mut(vocabulary).for_each(log_softmax);
        let of_path = own.chunks_exact(vocabulary).zip(&self.paths);
        let all: Vec<f32> = of_path
            .flat_map(|(row, path)| {
                row.iter().map(move |log_p| (f64::from(*log_p) + path.log_p) as f32)
            })
            .collect();
        let mut next: Vec<Path> = Vec::with_capacity(self.settings.paths);
        for place in largest(&all, self.settings.paths) {
            let piece = (place % vocabulary) as PieceId;
            let from = &self.paths[place / vocabulary];
            let path = self.after(from, piece, all[place], own[place].exp());
            match next.iter_mut().find(|other| other.says_the_same(&path)) {
                Some(other) => other.log_p = log_add(other.log_p, path.log_p),
                None => next.push(path),
            }
        }
        self.paths = next;
        self.row += 1;
        let found = self.found();
        if found.is_some() {
            self.paths = vec![Path::default()];
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

    /// What is found of `ways` where a piece is said in each row, and with how many questions to the decoder.
    fn find(ways: &[Way], said: &[usize]) -> (Vec<Found>, usize) {
        find_in(ways, said.iter().map(|&piece| saying(piece)))
    }

    fn find_in(ways: &[Way], rows: impl Iterator<Item = Vec<f32>>) -> (Vec<Found>, usize) {
        let graph = ContextGraph::new(ways).expect("phrases");
        let mut beam = Beam::new(&graph, Settings::default(), Some(2));
        let mut model = Script::default();
        let mut found = Vec::new();
        for row in rows {
            found.extend(beam.advance(&mut model, &row).expect("a script"));
        }
        (found, model.predictions)
    }

    #[test]
    fn a_phrase_is_found_once_enough_rows_said_nothing_more() {
        let ways = [way(0, &[5, 6])];
        assert_eq!(find(&ways, &[0, 5, 0, 6, 0]).0, []);
        let (found, _) = find(&ways, &[0, 5, 0, 6, 0, 0, 0, 0]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].phrase, &found[0].rows[..]), (0, &[1, 3][..]));
        assert!((found[0].probability - 0.9).abs() < 0.01, "{}", found[0].probability);
    }

    #[test]
    fn a_phrase_that_was_found_may_be_said_again() {
        let (found, _) = find(&[way(0, &[5, 6])], &[5, 6, 0, 0, 0, 5, 6, 0, 0]);
        let rows: Vec<_> = found.iter().map(|found| &found.rows[..]).collect();
        assert_eq!(rows, [[0, 1], [5, 6]]);
    }

    #[test]
    fn something_between_its_pieces_parts_a_phrase_and_a_sound_that_is_none_does_not() {
        let ways = [way(0, &[5, 6])];
        let parted = [5, 7, 6, 0, 0, 0].map(surely);
        assert_eq!(find_in(&ways, parted.into_iter()).0, []);
        assert_eq!(find(&ways, &[5, 2, 6, 0, 0, 0]).0.len(), 1);
    }

    #[test]
    fn a_phrase_that_is_too_improbable_is_none() {
        let strict = Way { threshold: 0.95, ..way(0, &[5, 6]) };
        assert_eq!(find(&[strict], &[5, 6, 0, 0, 0]).0, []);
    }

    #[test]
    fn of_a_phrase_that_ends_anothers_beginning_its_own_pieces_count() {
        let (found, _) = find(&[way(0, &[5, 6, 7, 8]), way(1, &[6, 7])], &[5, 0, 6, 7, 0, 0, 0]);
        assert_eq!((found[0].phrase, &found[0].rows[..]), (1, &[2, 3][..]));
    }

    #[test]
    fn the_decoder_is_asked_only_after_a_new_piece() {
        let (_, asked) = find(&[way(0, &[5, 6])], &[0; 50]);
        assert!(asked <= 50, "{asked}");
        let (_, more) = find(&[way(0, &[5, 6])], &[0; 51]);
        assert!(more - asked <= 3, "the best path, which says nothing, is not asked again");
    }

    #[test]
    fn before_the_first_piece_there_is_a_blank_and_before_that_nothing() {
        let said = |piece| Said { piece, row: 0, probability: 1.0 };
        let mut path = Path::default();
        assert_eq!(path.context(2), [-1, 0]);
        path.said.push(said(5));
        assert_eq!(path.context(2), [0, 5]);
        path.said.extend([said(6), said(7)]);
        assert_eq!(path.context(2), [6, 7]);
    }

    #[test]
    fn the_largest_come_first() {
        assert_eq!(largest(&[1.0, 4.0, 3.0, 5.0, 4.0], 3), [3, 1, 4]);
        assert_eq!(largest(&[1.0], 3), [0]);
    }
}
