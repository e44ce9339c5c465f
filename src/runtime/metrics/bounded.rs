//! Labels that configuration or peers choose, bounded: so many have their own, the rest share one.

use std::collections::BTreeSet;
use std::sync::Mutex;

/// Label of those that have none of their own.
pub(super) const OTHER: &str = "other";

/// The first labels that came; no family may have 100 series, whoever names them.
#[derive(Debug)]
pub(super) struct Bounded {
    most: usize,
    known: Mutex<BTreeSet<String>>,
}

impl Bounded {
    /// Room for `most` labels beside [`OTHER`].
    pub(super) fn new(most: usize) -> Self {
        Self { most, known: Mutex::default() }
    }

    /// `label`, if there is room for it or it is known, else [`OTHER`].
    pub(super) fn label<'a>(&self, label: &'a str) -> &'a str {
        let mut known = self.known.lock().expect("nothing panics while it holds this lock");
        if known.contains(label) {
            return label;
        }
        if known.len() == self.most {
            return OTHER;
        }
        known.insert(label.to_owned());
        label
    }
}
