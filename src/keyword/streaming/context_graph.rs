//! The phrases as one graph of word pieces (Aho and Corasick, 1975): which have begun, which are over, and what it is
//! worth to a search that a phrase goes on.

use std::collections::BTreeMap;

use crate::keyword::streaming::vocabulary::PieceId;

/// A way to say a phrase, as it is looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Way {
    /// The phrase's place in the list.
    pub phrase: usize,
    /// Its pieces; at least one.
    pub pieces: Vec<PieceId>,
    /// What each of them is worth more than it sounds, nats.
    pub boost: f32,
    /// Mean probability of its pieces that it needs.
    pub threshold: f32,
}

/// What has been said of the phrases so far; 0 is nothing.
pub type NodeId = usize;

/// Where nothing of any phrase has been said.
pub const ROOT: NodeId = 0;

/// The phrases.
#[derive(Clone, Debug)]
pub struct ContextGraph {
    nodes: Vec<Node>,
}

/// The beginning of one or more phrases.
#[derive(Clone, Debug, Default)]
struct Node {
    next: BTreeMap<PieceId, NodeId>,
    /// What its last piece is worth.
    boost: f32,
    /// What all its pieces are worth.
    sum: f32,
    /// What it is worth that phrases are over here: this one and those that end with it.
    complete: f32,
    /// The longest beginning of a phrase that this one ends with.
    fail: NodeId,
    /// The longest whole phrase that it ends with, itself left out.
    shorter: Option<NodeId>,
    depth: usize,
    /// The phrase that is over, and the probability that it needs.
    end: Option<(usize, f32)>,
}

/// A phrase whose last piece was said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match {
    /// Its place in the list.
    pub phrase: usize,
    /// Its pieces.
    pub length: usize,
    /// Mean probability of its pieces that it needs.
    pub threshold: f32,
}

impl ContextGraph {
    /// Of all ways. A beginning that several share is worth what the dearest of them gives. Of two phrases with the same
    /// pieces the second is given back: they cannot be told apart.
    pub fn new(ways: &[Way]) -> Result<Self, (usize, usize)> {
        let mut graph = Self { nodes: vec![Node::default()] };
        for way in ways {
            graph.add(way)?;
        }
        graph.link();
        Ok(graph)
    }

    fn add(&mut self, way: &Way) -> Result<(), (usize, usize)> {
        let mut at = ROOT;
        for (place, piece) in way.pieces.iter().enumerate() {
            let fresh = self.nodes.len();
            let next = *self.nodes[at].next.entry(*piece).or_insert(fresh);
            if next == fresh {
                self.nodes.push(Node {
                    depth: place + 1,
                    boost: f32::NEG_INFINITY,
                    ..Node::default()
                });
            }
            let node = &mut self.nodes[next];
            node.boost = node.boost.max(way.boost);
            at = next;
        }
        match self.nodes[at].end {
            Some((other, _)) if other != way.phrase => Err((other, way.phrase)),
            Some((_, threshold)) => {
                self.nodes[at].end = Some((way.phrase, threshold.min(way.threshold)));
                Ok(())
            }
            None => {
                self.nodes[at].end = Some((way.phrase, way.threshold));
                Ok(())
            }
        }
    }

    /// Breadth first, so that what is shorter is known.
    fn link(&mut self) {
        let mut queue = std::collections::VecDeque::from([ROOT]);
        while let Some(at) = queue.pop_front() {
            for (piece, next) in self.nodes[at].next.clone() {
                let fail = if at == ROOT { ROOT } else { self.step(self.nodes[at].fail, piece) };
                let shorter = if self.nodes[fail].end.is_some() {
                    Some(fail)
                } else {
                    self.nodes[fail].shorter
                };
                let below = shorter.map_or(0.0, |shorter| self.nodes[shorter].complete);
                let before = self.nodes[at].sum;
                let node = &mut self.nodes[next];
                node.sum = before + node.boost;
                node.complete = if node.end.is_some() { node.sum } else { 0.0 } + below;
                (node.fail, node.shorter) = (fail, shorter);
                queue.push_back(next);
            }
        }
    }

    fn step(&self, mut at: NodeId, piece: PieceId) -> NodeId {
        loop {
            match self.nodes[at].next.get(&piece) {
                Some(&next) => return next,
                None if at == ROOT => return ROOT,
                None => at = self.nodes[at].fail,
            }
        }
    }

    /// After `piece`: where that leads, and what it is worth, nats. What a beginning was worth is taken back when
    /// something else follows; a phrase that is over is worth its whole sum once more.
    pub fn advance(&self, from: NodeId, piece: PieceId) -> (NodeId, f32) {
        let to = self.step(from, piece);
        let worth = match self.nodes[from].next.get(&piece) {
            Some(&next) => self.nodes[next].boost,
            None => self.nodes[to].sum - self.nodes[from].sum,
        };
        (to, worth + self.nodes[to].complete)
    }

    /// The longest phrase that ends at `at`.
    pub fn matched(&self, at: NodeId) -> Option<Match> {
        let at = if self.nodes[at].end.is_some() { at } else { self.nodes[at].shorter? };
        let Node { end, depth, .. } = &self.nodes[at];
        end.map(|(phrase, threshold)| Match { phrase, length: *depth, threshold })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn way(phrase: usize, pieces: &[PieceId]) -> Way {
        Way { phrase, pieces: pieces.to_vec(), boost: 1.0, threshold: 0.25 }
    }

    /// Where the pieces lead, and what all of them are worth.
    fn walk(graph: &ContextGraph, pieces: &[PieceId]) -> (NodeId, f32) {
        pieces.iter().fold((ROOT, 0.0), |(at, sum), &piece| {
            let (at, worth) = graph.advance(at, piece);
            (at, sum + worth)
        })
    }

    #[test]
    fn a_phrase_is_over_with_its_last_piece_and_worth_its_sum_twice() {
        let graph = ContextGraph::new(&[way(0, &[5, 6, 7])]).expect("one phrase");
        let (at, worth) = walk(&graph, &[5, 6]);
        assert_eq!((graph.matched(at), worth), (None, 2.0));
        let (at, worth) = walk(&graph, &[5, 6, 7]);
        let matched = Match { phrase: 0, length: 3, threshold: 0.25 };
        assert_eq!((graph.matched(at), worth), (Some(matched), 6.0));
    }

    #[test]
    fn what_a_beginning_was_worth_is_taken_back() {
        let graph = ContextGraph::new(&[way(0, &[5, 6, 7])]).expect("one phrase");
        assert_eq!(walk(&graph, &[5, 6, 9]), (ROOT, 0.0));
        assert_eq!(walk(&graph, &[5, 6, 5]).1, 1.0, "another beginning");
    }

    #[test]
    fn a_phrase_within_another_is_found_on_its_way() {
        let ways = [way(0, &[5, 6, 7, 8]), way(1, &[6, 7])];
        let graph = ContextGraph::new(&ways).expect("two phrases");
        let (at, worth) = walk(&graph, &[5, 6, 7]);
        assert_eq!(graph.matched(at).map(|m| (m.phrase, m.length)), Some((1, 2)));
        assert_eq!(worth, 5.0, "three pieces, and the two of a phrase that is over");
        let (at, _) = walk(&graph, &[5, 6, 7, 8]);
        assert_eq!(graph.matched(at).map(|m| m.phrase), Some(0));
    }

    #[test]
    fn the_end_of_one_phrase_is_the_beginning_of_another() {
        let graph = ContextGraph::new(&[way(0, &[5, 6]), way(1, &[6, 7])]).expect("two phrases");
        let (at, _) = walk(&graph, &[5, 6, 7]);
        assert_eq!(graph.matched(at).map(|m| m.phrase), Some(1));
    }

    #[test]
    fn a_shared_beginning_is_worth_what_the_dearest_gives_in_any_order() {
        let dear = Way { boost: 3.0, ..way(0, &[5, 6]) };
        for ways in [[dear.clone(), way(1, &[5, 7])], [way(1, &[5, 7]), dear]] {
            let graph = ContextGraph::new(&ways).expect("two phrases");
            assert_eq!(walk(&graph, &[5]).1, 3.0);
            assert_eq!(walk(&graph, &[5, 7]).1, 8.0);
        }
    }

    #[test]
    fn phrases_of_the_same_pieces_cannot_be_told_apart() {
        let same = [way(0, &[5, 6]), way(1, &[5, 6])];
        assert_eq!(ContextGraph::new(&same).map(|_| ()), Err((0, 1)));
        let again = [way(0, &[5, 6]), Way { threshold: 0.1, ..way(0, &[5, 6]) }];
        let graph = ContextGraph::new(&again).expect("one phrase, twice");
        assert_eq!(graph.matched(walk(&graph, &[5, 6]).0).map(|m| m.threshold), Some(0.1));
    }
}
