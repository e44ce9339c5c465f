//! The signalling thread's end of one receiver: never waits.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tracing::warn;

use crate::config::notify::{Notify, Told as Wanted};
use crate::policy::verdict::Finding;
use crate::runtime::complaints::Complaints;
use crate::runtime::health::Pulse;
use crate::runtime::metrics::Metrics;
use crate::runtime::notify::backlog::{Backlog, Patience};
use crate::runtime::notify::notice::Notice;
use crate::runtime::notify::receiver::Receiver;
use crate::runtime::notify::worker::{State, Told, Worker};

/// Notices that may wait for the thread while it waits for its receiver: a hundred conversations conclude some ten
/// times a second, so this is the longest time-out and as much again.
const ON_THE_WAY: usize = 1024;

/// Where verdicts for one receiver go.
#[derive(Debug)]
pub struct Notifier {
    wanted: Wanted,
    outbox: SyncSender<Told>,
    metrics: Arc<Metrics>,
    complaints: Complaints,
}

impl Notifier {
    /// Starts the thread of `receiver`; it ends when this is gone.
    pub fn start(
        settings: &Notify,
        wanted: &Wanted,
        receiver: Box<dyn Receiver>,
        metrics: Arc<Metrics>,
        pulse: Pulse,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (outbox, inbox) = sync_channel(ON_THE_WAY);
        let patience = Patience {
            bound: settings.waiting,
            keep: Duration::from_secs(settings.keep_s),
            longest: Duration::from_secs(settings.retry_longest_s),
        };
        metrics.notify.configured(&wanted.name);
        let worker = Worker {
            name: wanted.name.clone(),
            receiver,
            backlog: Backlog::new(patience, fastrand::Rng::new()),
            act_within: Duration::from_secs(settings.act_within_s),
            metrics: Arc::clone(&metrics),
            state: State::New,
            refusals: Complaints::default(),
            losses: Complaints::default(),
        };
        let thread = thread::Builder::new().name("notify".to_owned()).spawn(move || {
            worker.run(&inbox, &pulse);
        })?;
        let complaints = Complaints::default();
        Ok((Self { wanted: wanted.clone(), outbox, metrics, complaints }, thread))
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.wanted.name
    }

    /// Whether its receiver is told of such findings.
    pub fn wants(&self, finding: &Finding) -> bool {
        self.wanted.kinds.iter().any(|kind| kind.is_of(finding))
    }

    /// Whether its receiver may know which personal phrases were said.
    pub fn may_know_personal(&self) -> bool {
        self.wanted.personal
    }

    /// Has `notice` told; what its thread has no room for is counted and lost.
    pub fn tell(&mut self, notice: Notice) {
        let at = Instant::now();
        if self.outbox.try_send(Told { notice, at }).is_err() {
            self.metrics.notify.result(&self.wanted.name, "overflow");
            if let Some(kept_back) = self.complaints.due(at) {
                warn!(
                    receiver = self.wanted.name,
                    kept_back, "too many verdicts wait: one is given up"
                );
            }
        }
    }
}
