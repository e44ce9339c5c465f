//! What is to be put on record, while the database has no time for it or is away: in order, and not without end.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;

use crate::runtime::metrics::Metrics;
use crate::runtime::store::keeper::Waker;
use crate::runtime::store::vault::{Subject, Vault};
use crate::vault::chain::{Draft, Kind};

/// Records that may wait: some ten minutes of a hundred calls whose every decision changes each half minute. What
/// comes then is lost, and how much of it is put on record.
const WAITING: usize = 10_000;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What it is about.
    pub kind: Kind,
    /// Who did it.
    pub actor: String,
    /// Of whom, by name: the record has the pseudonym.
    pub subject: Option<Subject>,
    /// In which conversation.
    pub conversation: Option<String>,
    /// The rest, as JSON: never audio, a voice, a name, or words around a hit.
    pub detail: String,
}

/// The records that wait; cheap to clone.
#[derive(Clone, Debug)]
pub struct Trail {
    queue: Arc<Mutex<Queue>>,
    metrics: Arc<Metrics>,
    waker: Waker,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Entry>,
    /// How many were lost since the last that was taken, and when the first of them was.
    lost: Option<(u64, Timestamp)>,
}

impl Entry {
    /// Something that we did, now.
    pub fn now(kind: Kind, detail: &serde_json::Value) -> Self {
        Self {
            at: Timestamp::now(),
            kind,
            actor: "sidetone".to_owned(),
            subject: None,
            conversation: None,
            detail: detail.to_string(),
        }
    }

    /// As a record says it.
    pub fn draft(&self, vault: &Vault) -> Draft {
        let Self { at, kind, actor, subject, conversation, detail } = self.clone();
        let ms = at.as_millisecond();
        Draft {
            at: Timestamp::from_millisecond(ms).expect("it was a time before it was rounded"),
            kind,
            actor,
            person: subject.map(|subject| vault.pseudonym(&subject)),
            conversation,
            detail,
        }
    }
}

impl Trail {
    /// Nothing waits; `waker` is told when something does.
    pub fn new(metrics: Arc<Metrics>, waker: Waker) -> Self {
        Self { queue: Arc::default(), metrics, waker }
    }

    /// Has `entry` put on record; never waits.
    pub fn push(&self, entry: Entry) {
        let mut queue = self.lock();
        // Once something was lost, that comes first: the record of it stands where it happened.
        queue.tell_loss();
        if queue.waiting.len() >= WAITING {
            let first = entry.at;
            let (lost, since) = queue.lost.unwrap_or((0, first));
            queue.lost = Some((lost + 1, since));
            self.metrics.store.lost(1);
        } else {
            queue.waiting.push_back(entry);
        }
        self.metrics.store.waiting(queue.waiting.len());
        drop(queue);
        self.waker.wake();
    }

    /// The first of those that wait, at most `many`.
    pub fn first(&self, many: usize) -> Vec<Entry> {
        let mut queue = self.lock();
        queue.tell_loss();
        queue.waiting.iter().take(many).cloned().collect()
    }

    /// So many of the first are on record.
    pub fn written(&self, many: usize) {
        let mut queue = self.lock();
        queue.waiting.drain(..many);
        self.metrics.store.waiting(queue.waiting.len());
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.lock().waiting.len()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("nothing panics while it holds this lock")
    }
}

impl Queue {
    /// Puts that something was lost in its place, if there is one.
    fn tell_loss(&mut self) {
        if self.waiting.len() < WAITING
            && let Some((records, since)) = self.lost.take()
        {
            let detail = serde_json::json!({ "records": records, "since": since });
            self.waiting.push_back(Entry::now(Kind::Lost, &detail));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::health::Health;

    #[test]
    fn what_overflows_is_counted_and_told_in_its_place() {
        let trail = Trail::new(Arc::new(Metrics::new(Arc::new(Health::default()))), Waker::none());
        let entry = |n: usize| Entry::now(Kind::Decision, &serde_json::json!({ "n": n }));
        (0..WAITING + 3).for_each(|n| trail.push(entry(n)));
        assert_eq!(trail.count(), WAITING);
        let first = trail.first(2);
        assert_eq!((first.len(), first[0].detail.as_str()), (2, r#"{"n":0}"#));
        trail.written(WAITING - 1);
        trail.push(entry(7));
        let left: Vec<_> = trail.first(9).into_iter().map(|e| (e.kind, e.detail)).collect();
        assert_eq!(left[0].1, format!("{{\"n\":{}}}", WAITING - 1));
        assert_eq!(left[1].0, Kind::Lost);
        assert!(left[1].1.starts_with(r#"{"records":3,"#), "{}", left[1].1);
        assert_eq!((left[2].1.as_str(), left.len()), (r#"{"n":7}"#, 3));
    }
}
