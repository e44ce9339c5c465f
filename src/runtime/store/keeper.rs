//! The thread that owns the vault while calls go on: nothing of a call waits for its disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use serde_json::json;
use tokio::sync::oneshot;

use crate::config::store::Store;
use crate::runtime::health::{Health, Pulse};
use crate::runtime::metrics::Metrics;
use crate::runtime::metrics::queues::Queue;
use crate::runtime::store::chores::{self, Chores};
use crate::runtime::store::consents::News;
use crate::runtime::store::trail::{Entry, Trail};
use crate::runtime::store::vault::{Vault, VaultError};
use crate::vault::chain::Kind;

/// Jobs that may wait: half a second's worth of a busy disk.
const JOBS_WAITING: usize = 256;

/// Something that is done with the vault.
enum Job {
    /// Whatever it is.
    Work(Box<dyn FnOnce(&mut Vault) + Send>),
    /// There are records to be written.
    Wake,
    /// What waits is the last.
    Close,
}

/// Where work for the vault is handed in; cheap to clone.
#[derive(Clone)]
pub struct VaultDesk {
    jobs: SyncSender<Job>,
    metrics: Arc<Metrics>,
}

/// Tells the thread that records wait.
#[derive(Clone)]
pub struct Waker {
    jobs: SyncSender<Job>,
    woken: Arc<AtomicBool>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The vault itself says so.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// It is behind.
    #[error("the store is too slow: {JOBS_WAITING} requests wait for it")]
    Busy,
    /// It is not there any more.
    #[error("the store is closed")]
    Closed,
}

impl DeskError {
    /// Whether the same may be asked again in a while.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Busy | Self::Closed => true,
            Self::Vault(error) => error.is_outage(),
        }
    }
}

/// A vault that is open.
#[derive(Debug)]
pub struct Keeper {
    /// Where work for it is handed in.
    pub desk: VaultDesk,
    /// What is to be put on record in it.
    pub trail: Trail,
    thread: JoinHandle<()>,
    /// How the run before ended.
    before: &'static str,
}

impl Keeper {
    /// Opens the vault on a thread of its own, and waits until that is done. `news` is told of consents that change.
    pub fn start(
        store: &Store,
        metrics: Arc<Metrics>,
        health: Arc<Health>,
        pulse: Pulse,
        news: impl FnMut(News) + Send + 'static,
    ) -> Result<Self, KeeperError> {
        let (jobs, inbox) = sync_channel(JOBS_WAITING);
        let woken = Arc::new(AtomicBool::new(false));
        let waker = Waker { jobs: jobs.clone(), woken: Arc::clone(&woken) };
        let trail = Trail::new(Arc::clone(&metrics), waker);
        let counts = Arc::clone(&metrics);
        let (opened, opening) = sync_channel(1);
        let (settings, queue) = (store.clone(), trail.clone());
        let thread = thread::Builder::new().name("vault".to_owned()).spawn(move || {
            let open = || -> Result<_, VaultError> {
                let mut vault = Vault::configured(&settings)?;
                let before = chores::before(&mut vault)?;
                let watched = (metrics, health);
                let chores =
                    Chores::new(&mut vault, &settings, queue, watched, Box::new(news), before)?;
                Ok((vault, chores, before))
            };
            match open() {
                Ok((mut vault, chores, before)) => {
                    let _ = opened.send(Ok(before));
                    run(&mut vault, &inbox, (&woken, &pulse), chores);
                }
                Err(error) => drop(opened.send(Err(error))),
            }
        });
        let thread = thread.map_err(KeeperError::Thread)?;
        let before = opening.recv().expect("the thread answers first")?;
        Ok(Self { desk: VaultDesk { jobs, metrics: counts }, trail, thread, before })
    }
}

impl Keeper {
    /// Puts on record that the work begins.
    pub fn begin(&self) {
        let detail = json!({
            "version": env!("CARGO_PKG_VERSION"), "host": chores::host(), "before": self.before,
        });
        self.trail.push(Entry::now(Kind::Start, &detail));
    }

    /// Puts on record that it is over, does what waits, and ends the thread, whoever still has a desk.
    pub fn end(self) {
        self.trail.push(Entry::now(Kind::Stop, &json!({ "host": chores::host() })));
        // It waits for room; a thread that is gone is closed already.
        let _ = self.desk.jobs.send(Job::Close);
        self.thread.join().expect("the vault's thread ends by returning");
    }
}

/// Why there is no vault.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// It does not open.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

impl VaultDesk {
    /// Has `work` done with the vault, and waits for what comes of it.
    pub async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vault) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, DeskError> {
        let (reply, answer) = oneshot::channel();
        self.hand_in(move |vault| {
            // Whoever asked may have gone.
            let _ = reply.send(work(vault));
        })?;
        Ok(answer.await.map_err(|_| DeskError::Closed)??)
    }

    /// Has `work` done with the vault; never waits.
    pub fn hand_in(&self, work: impl FnOnce(&mut Vault) + Send + 'static) -> Result<(), DeskError> {
        // Before it is there, or it could be done before it was counted.
        self.metrics.queues.entered(Queue::Store);
        self.jobs.try_send(Job::Work(Box::new(work))).map_err(|error| {
            self.metrics.queues.left(Queue::Store, 1);
            match error {
                TrySendError::Full(_) => DeskError::Busy,
                TrySendError::Disconnected(_) => DeskError::Closed,
            }
        })
    }
}

impl Waker {
    /// Records wait.
    pub fn wake(&self) {
        // Where jobs wait, the thread looks after each of them.
        if !self.woken.swap(true, Ordering::Relaxed) {
            let _ = self.jobs.try_send(Job::Wake);
        }
    }

    /// Of nobody.
    #[cfg(test)]
    pub fn none() -> Self {
        Self { jobs: sync_channel(1).0, woken: Arc::default() }
    }
}

impl std::fmt::Debug for VaultDesk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VaultDesk").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Waker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waker").finish_non_exhaustive()
    }
}

fn run(
    vault: &mut Vault,
    inbox: &Receiver<Job>,
    (woken, pulse): (&AtomicBool, &Pulse),
    mut chores: Chores,
) {
    loop {
        let wait = chores.due().saturating_duration_since(Instant::now());
        match pulse.idle(|| inbox.recv_timeout(wait)) {
            Ok(Job::Work(work)) => {
                chores.time(|| work(vault));
                chores.look_again();
            }
            Ok(Job::Wake) | Err(RecvTimeoutError::Timeout) => {}
            Ok(Job::Close) | Err(RecvTimeoutError::Disconnected) => break,
        }
        woken.store(false, Ordering::Relaxed);
        chores.write(vault);
        chores.handle_timeout(vault, Instant::now());
    }
    chores.finish(vault);
}
