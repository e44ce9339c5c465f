//! The next deadline of many machines.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// At most one deadline per key; the earliest is found without looking at the others.
#[derive(Debug)]
pub struct Deadlines<K> {
    of: BTreeMap<K, Instant>,
    order: BTreeSet<(Instant, K)>,
}

impl<K: Ord + Clone> Deadlines<K> {
    /// Moves, sets or (with `None`) removes the deadline of `key`.
    pub fn set(&mut self, key: &K, at: Option<Instant>) {
        if let Some(old) = self.of.remove(key) {
            self.order.remove(&(old, key.clone()));
        }
        if let Some(at) = at {
            self.of.insert(key.clone(), at);
            self.order.insert((at, key.clone()));
        }
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes out the key that has been due the longest.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        let (at, key) = self.order.first()?;
        if *at > now {
            return None;
        }
        let key = key.clone();
        self.set(&key, None);
        Some(key)
    }
}

impl<K> Default for Deadlines<K> {
    fn default() -> Self {
        Self { of: BTreeMap::new(), order: BTreeSet::new() }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_moved_deadline_is_due_once_and_in_order() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut deadlines = Deadlines::default();
        deadlines.set(&'a', Some(at(1)));
        deadlines.set(&'b', Some(at(2)));
        deadlines.set(&'a', Some(at(3)));
        assert_eq!(deadlines.next(), Some(at(2)));
        assert_eq!(deadlines.pop_due(at(1)), None);
        assert_eq!([(); 3].map(|()| deadlines.pop_due(at(3))), [Some('b'), Some('a'), None]);
        deadlines.set(&'c', Some(at(4)));
        deadlines.set(&'c', None);
        assert_eq!(deadlines.next(), None);
    }
}
