//! Dynamic time warping of a whole template with any part of what was heard (Müller 2007, 4.4).
//!
//! A path goes one frame on in both, or two in one of them: what was heard may be said at half to twice the template's
//! speed. Each frame of the template counts once, so the costs of all paths are of one length and can be compared.

use crate::keyword::phone_roots::PhoneRoots;

/// The best path that ends in some frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ending {
    /// Mean distance of a frame of the template, 0 to 1; infinite where no path ends.
    pub cost: f32,
    /// The frame in which the path began.
    pub began: usize,
}

const NO_PATH: Ending = Ending { cost: f32::INFINITY, began: 0 };

/// The best path of all of `template` that ends in each frame of `heard`.
pub fn endings(template: &PhoneRoots, heard: &PhoneRoots) -> Vec<Ending> {
    let frames = heard.frames();
    let distances = |row: usize| -> Vec<f32> {
        let of = template.frame(row);
        (0..frames).map(|at| distance(of, heard.frame(at))).collect()
    };
    // Rows of the template: the sums up to the one before, and to the one before that.
    let mut earlier = vec![NO_PATH; frames];
    let mut before = vec![NO_PATH; frames];
    let mut costs_before = vec![0.0; frames];
    for row in 0..template.frames() {
        let costs = distances(row);
        let mut sums = vec![NO_PATH; frames];
        for at in 0..frames {
            let mut best = NO_PATH;
            let mut may_come = |from: Ending, cost: f32| {
                if from.cost + cost < best.cost {
                    best = Ending { cost: from.cost + cost, began: from.began };
                }
            };
            if row == 0 {
                may_come(Ending { cost: 0.0, began: at }, costs[at]);
            } else if row == 1 {
                may_come(Ending { cost: 0.0, began: at }, costs_before[at] + costs[at]);
            }
            if row > 0 && at > 0 {
                may_come(before[at - 1], costs[at]);
                may_come(earlier[at - 1], costs_before[at] + costs[at]);
                if at > 1 {
                    may_come(before[at - 2], f32::midpoint(costs[at - 1], costs[at]));
                }
            }
            sums[at] = best;
        }
        earlier = std::mem::replace(&mut before, sums);
        costs_before = costs;
    }
    let length = template.frames().max(1) as f32;
    before.into_iter().map(|end| Ending { cost: end.cost / length, began: end.began }).collect()
}

/// How unlike two frames are, 0 to 1.
fn distance(one: &[f32], other: &[f32]) -> f32 {
    1.0 - one.iter().zip(other).map(|(one, other)| one * other).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyword::phone_roots::tests::letters;

    fn best(template: &str, heard: &str) -> (usize, Ending) {
        let ends = endings(&letters(template), &letters(heard)).into_iter().enumerate();
        ends.min_by(|one, other| one.1.cost.total_cmp(&other.1.cost)).expect("frames")
    }

    #[test]
    fn it_is_found_where_it_was_said() {
        assert_eq!(best("abcd", "xxyabcdzz"), (6, Ending { cost: 0.0, began: 3 }));
    }

    #[test]
    fn twice_as_slow_and_twice_as_fast_cost_nothing_and_more_does() {
        let (end, slow) = best("abcd", "xaabbccddx");
        assert_eq!((end, slow), (7, Ending { cost: 0.0, began: 2 }));
        // At half the frames each is passed with its neighbour.
        assert_eq!(best("aabbcc", "xabcx").1.cost, 0.0);
        assert!(best("abcd", "xaaabbbcccdddx").1.cost > 0.1);
        assert!(best("aaabbbccc", "xabcx").1.cost > 0.1);
    }

    #[test]
    fn a_frame_that_differs_costs_its_share() {
        assert_eq!(best("abcd", "xabqdx").1.cost, 0.25);
        assert_eq!(best("abcd", "dcba").1.cost, 0.75);
    }

    #[test]
    fn what_is_too_short_holds_no_path() {
        let ends = endings(&letters("abcdef"), &letters("a"));
        assert!(ends.iter().all(|end| end.cost == f32::INFINITY), "{ends:?}");
        assert_eq!(endings(&letters("ab"), &letters("")), []);
    }
}
