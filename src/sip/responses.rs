//! How many responses there were, by the method that they answer and their status.

use std::collections::BTreeMap;

use crate::sip::message::Method;

/// Pairs of method and status that are told apart. We send some thirty, a PBX sends some twenty; a peer that makes up
/// statuses shall not make up series in whatever keeps our counts.
const MOST: usize = 80;

/// Counts by method, as [`Method::label`] has it, and status; a status of 0 stands for all that came after the first
/// 80 pairs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Responses {
    counts: BTreeMap<(&'static str, u16), u64>,
}

impl Responses {
    /// One more response with `status` to a request of `method`.
    pub fn count(&mut self, method: &str, status: u16) {
        let pair = (Method::label(method), status);
        let known = self.counts.contains_key(&pair) || self.counts.len() < MOST;
        let pair = if known { pair } else { (pair.0, 0) };
        *self.counts.entry(pair).or_default() += 1;
    }

    /// How many there were of a pair.
    pub fn of(&self, pair: (&'static str, u16)) -> u64 {
        self.counts.get(&pair).copied().unwrap_or_default()
    }

    /// All pairs that there were.
    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, u16)> + '_ {
        self.counts.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_that_a_peer_makes_up_are_counted_together() {
        let mut responses = Responses::default();
        for status in 100..700 {
            responses.count("INVITE", status);
            responses.count(&format!("M{status}"), status);
        }
        assert_eq!(responses.of(("INVITE", 100)), 1);
        assert_eq!(responses.pairs().count(), MOST + 2);
        let counted = |method| responses.counts.iter().filter(move |((of, _), _)| *of == method);
        for method in ["INVITE", "OTHER"] {
            assert_eq!(counted(method).map(|(_, count)| count).sum::<u64>(), 600, "{method}");
        }
    }
}
