//! The thread that owns the vault while calls go on: nothing of a call waits for its disk.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use crate::runtime::health::Pulse;
use crate::runtime::store::vault::{Vault, VaultError};

/// Jobs that may wait: half a second's worth of a busy disk.
const JOBS_WAITING: usize = 256;

/// Something that is done with the vault.
type Job = Box<dyn FnOnce(&mut Vault) + Send>;

/// Where work for the vault is handed in; cheap to clone.
#[derive(Clone)]
pub struct VaultDesk {
    jobs: SyncSender<Job>,
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

impl VaultDesk {
    /// Starts the thread that owns `vault`; it ends when this and all its clones are gone, with what waited done.
    pub fn start(mut vault: Vault, pulse: Pulse) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (jobs, inbox) = sync_channel(JOBS_WAITING);
        let thread = thread::Builder::new().name("vault".to_owned()).spawn(move || {
            let _pulse = pulse;
            run(&mut vault, &inbox);
        })?;
        Ok((Self { jobs }, thread))
    }

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
        self.jobs.try_send(Box::new(work)).map_err(|error| match error {
            TrySendError::Full(_) => DeskError::Busy,
            TrySendError::Disconnected(_) => DeskError::Closed,
        })
    }
}

impl std::fmt::Debug for VaultDesk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VaultDesk").finish_non_exhaustive()
    }
}

fn run(vault: &mut Vault, inbox: &Receiver<Job>) {
    while let Ok(job) = inbox.recv() {
        job(vault);
    }
}
