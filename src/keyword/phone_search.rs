//! Where in a segment a phrase may have been said: the best alignment of its phones with what the head heard.

use std::ops::Range;

use crate::keyword::phones::{BLANK, PhoneId, PhoneScores, SYMBOLS};

/// No symbol counts as less probable than this: a head that is sure of something wrong for one frame
/// does not rule a phrase out.
const LEAST_PROBABILITY: f32 = 1e-4;

/// A place where a phrase may have been said.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Mean per phone of how much less probable the phrase is than whatever the head heard best, nats; 0 at
    /// most, and that only if the head heard the very phones.
    pub score: f32,
    /// Its frames.
    pub frames: Range<usize>,
}

/// What the head heard, made ready for searches.
#[derive(Debug)]
pub struct PhoneSearch {
    /// How much less probable each symbol is than the best of its frame, [frames, 48], nats.
    costs: Vec<f32>,
}

/// One state of an alignment: its score, and the frame in which the alignment began.
#[derive(Clone, Copy, Debug)]
struct State {
    score: f32,
    began: usize,
}

const NOWHERE: State = State { score: f32::NEG_INFINITY, began: 0 };

impl PhoneSearch {
    /// Prepares to search a segment.
    pub fn new(scores: &PhoneScores) -> Self {
        Self { costs: relative_costs(scores) }
    }

    /// The best places of a phrase that may be said in any of `ways`, no two of which overlap, best first: at most
    /// `most`, none with a score below `least`.
    pub fn find(&self, ways: &[Vec<PhoneId>], least: f32, most: usize) -> Vec<Span> {
        let mut all: Vec<Span> = Vec::new();
        for way in ways.iter().filter(|way| !way.is_empty()) {
            all.extend(self.ends(way).into_iter().filter(|span| span.score >= least));
        }
        // Stable: of equals the first way's, and its earliest.
        all.sort_by(|a, b| b.score.total_cmp(&a.score));
        let mut found: Vec<Span> = Vec::new();
        for span in all {
            if found.len() == most {
                break;
            }
            let apart = |other: &Span| {
                span.frames.end <= other.frames.start || other.frames.end <= span.frames.start
            };
            if found.iter().all(apart) {
                found.push(span);
            }
        }
        found
    }

    /// The best alignment of `way` that ends in each frame (Viterbi over CTC's states, begun anywhere).
    fn ends(&self, way: &[PhoneId]) -> Vec<Span> {
        let mut states = vec![NOWHERE; 2 * way.len() - 1];
        let last = states.len() - 1;
        let phones = way.len() as f32;
        let mut spans = Vec::new();
        for (at, costs) in self.costs.chunks_exact(SYMBOLS.len()).enumerate() {
            // From the last state to the first, so that each sees the frame before.
            for place in (0..=last).rev() {
                let mut best = states[place];
                let mut from = |other: State| {
                    if other.score > best.score {
                        best = other;
                    }
                };
                if place > 0 {
                    from(states[place - 1]);
                }
                let symbol = if place % 2 == 1 {
                    BLANK
                } else {
                    let phone = way[place / 2];
                    // Between two of the same phone there has to be a blank.
                    if place > 1 && way[place / 2 - 1] != phone {
                        from(states[place - 2]);
                    }
                    if place == 0 {
                        // Nothing that came before costs anything.
                        from(State { score: 0.0, began: at });
                    }
                    phone
                };
                best.score += costs[symbol as usize];
                states[place] = best;
            }
            let State { score, began } = states[last];
            if score > f32::NEG_INFINITY {
                spans.push(Span { score: score / phones, frames: began..at + 1 });
            }
        }
        spans
    }
}

/// How much less probable each symbol is than the best of its frame, [frames, 48], nats.
pub fn relative_costs(scores: &PhoneScores) -> Vec<f32> {
    let mut costs = Vec::with_capacity(scores.log_p.len());
    for row in scores.rows() {
        let floored = |log_p: &f32| (log_p.exp() + LEAST_PROBABILITY).ln();
        let best = row.iter().map(floored).fold(f32::NEG_INFINITY, f32::max);
        costs.extend(row.iter().map(|log_p| floored(log_p) - best));
    }
    costs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyword::phones::phone;
    use crate::keyword::phones::tests::sure;

    fn heard(symbols: &str) -> PhoneSearch {
        PhoneSearch::new(&sure(symbols))
    }

    fn way(symbols: &str) -> Vec<PhoneId> {
        symbols.split(' ').map(|symbol| phone(symbol).expect("a phone")).collect()
    }

    #[test]
    fn a_phrase_is_found_where_it_was_said() {
        let search = heard("_ s _ k æ æ _ t _ _ m");
        let spans = search.find(&[way("k æ t")], -2.0, 3);
        assert_eq!(spans.len(), 1, "{spans:?}");
        assert!(spans[0].score > -0.01 && spans[0].frames == (3..8), "{spans:?}");
    }

    #[test]
    fn what_was_said_twice_is_found_twice() {
        let search = heard("k æ t _ ð ə _ k æ t");
        let spans = search.find(&[way("k æ t")], -2.0, 3);
        let mut places: Vec<_> = spans.into_iter().map(|span| span.frames).collect();
        places.sort_by_key(|frames| frames.start);
        assert_eq!(places, [0..3, 7..10]);
    }

    #[test]
    fn one_phone_amiss_costs_its_share() {
        let search = heard("_ b æ t _");
        let spans = search.find(&[way("k æ t")], -9.0, 1);
        assert!((-3.2..-2.0).contains(&spans[0].score), "{spans:?}");
        assert_eq!(search.find(&[way("k æ t")], -2.0, 1), []);
        let spans = search.find(&[way("k æ t"), way("b æ t")], -2.0, 1);
        assert!(spans[0].score > -0.01, "another way to say it");
    }

    #[test]
    fn a_phone_said_twice_needs_a_blank_between() {
        let of = |symbols| heard(symbols).find(&[way("n n")], -9.0, 1)[0].score;
        assert!(of("n _ n") > -0.01 && of("n n n") < -1.0);
    }
}
