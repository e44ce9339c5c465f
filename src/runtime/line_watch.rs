//! How lines are, told once a second to those who watch, and not at all while nobody does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::broadcast;

use crate::policy::line::LineReport;
use crate::runtime::observation::Observation;
use crate::sip::event::CallKey;

/// The way from the media threads to those who watch; cheap to clone.
#[derive(Clone, Debug)]
pub struct LineWatch {
    observers: broadcast::Sender<Observation>,
    watchers: Arc<AtomicUsize>,
}

/// Somebody who watches, until it is dropped.
#[derive(Debug)]
pub struct Watcher(Arc<AtomicUsize>);

impl LineWatch {
    /// Nobody watches yet; what is told goes to `observers`.
    pub fn new(observers: broadcast::Sender<Observation>) -> Self {
        Self { observers, watchers: Arc::default() }
    }

    /// Somebody watches from now on.
    pub fn begin(&self) -> Watcher {
        self.watchers.fetch_add(1, Ordering::Relaxed);
        Watcher(Arc::clone(&self.watchers))
    }

    /// Tells how the line of `call` is; the report is made only where somebody watches.
    pub fn tell(&self, call: CallKey, report: impl FnOnce() -> LineReport) {
        // One second sooner or later is no matter.
        if self.watchers.load(Ordering::Relaxed) > 0 {
            let report = Box::new(report());
            let _ = self.observers.send(Observation::Line { call, report });
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_told_of_only_while_somebody_watches() {
        let (observers, mut told) = broadcast::channel(4);
        let lines = LineWatch::new(observers);
        let unwanted = || panic!("nobody watches");
        lines.tell(CallKey(1), unwanted);
        let (first, second) = (lines.begin(), lines.begin());
        drop(first);
        lines.tell(CallKey(1), LineReport::default);
        assert!(matches!(told.try_recv(), Ok(Observation::Line { call: CallKey(1), .. })));
        drop(second);
        lines.tell(CallKey(1), unwanted);
        assert!(told.try_recv().is_err());
    }
}
