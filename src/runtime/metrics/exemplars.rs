//! Which conversation moved a count last: what leads from a graph to the log.
//!
//! A PBX may make a conversation's id of a telephone number, so an exemplar has the reference that the appliance drew
//! for the conversation by chance; the log tells the two together.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

/// One observation, and whose it was.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Exemplar {
    /// Of the conversation.
    pub(super) reference: String,
    /// What was observed; 1 of a counter.
    pub(super) value: f64,
    /// When, seconds since 1970.
    pub(super) at: f64,
}

/// Names one line of a scrape: the family, the values of its labels in the order of their names, and the bucket.
pub(super) type Series = (String, Vec<String>, Option<usize>);

/// The last exemplar of each series that has any.
#[derive(Debug)]
pub(super) struct Exemplars {
    /// None where none are wanted.
    kept: Option<Mutex<BTreeMap<Series, Exemplar>>>,
}

impl Exemplars {
    /// None yet; where they are not `wanted`, none ever.
    pub(super) fn new(wanted: bool) -> Self {
        Self { kept: wanted.then(Mutex::default) }
    }

    /// Whether any are wanted.
    pub(super) fn are_wanted(&self) -> bool {
        self.kept.is_some()
    }

    /// The conversation of that `reference` raised the counter `family` with these labels' values by one.
    pub(super) fn counted(&self, family: &str, labels: &[&str], reference: &str) {
        self.keep((family, labels, None), 1.0, reference);
    }

    /// It added `value` to the histogram `family`, whose buckets have these bounds.
    pub(super) fn observed(
        &self,
        family: &str,
        (labels, bounds): (&[&str], &[f64]),
        value: f64,
        reference: &str,
    ) {
        let bucket = bounds.partition_point(|bound| *bound < value);
        self.keep((family, labels, Some(bucket)), value, reference);
    }

    fn keep(
        &self,
        (family, labels, bucket): (&str, &[&str], Option<usize>),
        value: f64,
        reference: &str,
    ) {
        let Some(kept) = &self.kept else { return };
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let exemplar = Exemplar { reference: reference.to_owned(), value, at };
        let mut kept = kept.lock().expect("nothing panics while it holds this lock");
        kept.insert((family.to_owned(), labels, bucket), exemplar);
    }

    /// The last one of a series.
    pub(super) fn of(&self, series: &Series) -> Option<Exemplar> {
        let kept = self.kept.as_ref()?.lock().expect("nothing panics while it holds this lock");
        kept.get(series).cloned()
    }
}
