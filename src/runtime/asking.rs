//! How the signalling thread asks the vault: it goes on, and what comes of it comes back as an event.

use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::warn;

use crate::runtime::health::Health;
use crate::runtime::signalling::Signalling;
use crate::runtime::store::keeper::{DeskError, VaultDesk};
use crate::runtime::store::trail::Trail;
use crate::runtime::store::vault::{Vault, VaultError};

/// What is done on the signalling thread once there is an answer.
pub struct Back(pub Box<dyn FnOnce(&mut Signalling) + Send>);

/// The vault, for the signalling thread.
#[derive(Debug)]
pub struct Asking {
    /// Where work is handed in.
    pub desk: VaultDesk,
    /// What is to be put on record.
    pub trail: Trail,
    /// Where answers go. There are no more of them than the desk takes jobs.
    pub back: mpsc::UnboundedSender<Back>,
    /// Who is told that it is away.
    pub health: Arc<Health>,
}

/// Somebody waits for an answer, and gets one whatever becomes of the work.
struct Waiting<T, F: FnOnce(&mut Signalling, Result<T, DeskError>) + Send + 'static>
where
    T: Send + 'static,
{
    then: Option<F>,
    back: mpsc::UnboundedSender<Back>,
    answer: std::marker::PhantomData<fn(T)>,
}

impl fmt::Debug for Back {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Back").finish_non_exhaustive()
    }
}

impl Asking {
    /// Has `work` done with the vault, and then `then` with what comes of it on this thread.
    pub fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vault) -> Result<T, VaultError> + Send + 'static,
        then: impl FnOnce(&mut Signalling, Result<T, DeskError>) + Send + 'static,
    ) {
        let (back, answer) = (self.back.clone(), std::marker::PhantomData);
        let mut waiting = Waiting { then: Some(then), back, answer };
        let health = Arc::clone(&self.health);
        let handed_in = self.desk.hand_in(move |vault| {
            let done = work(vault);
            if let Err(error) = &done {
                warn!(%error, "the store did not do what a call asked for");
                if error.is_outage() {
                    // The next look, within a second, may find it back.
                    health.set_store(Some(error.to_string()));
                }
            }
            waiting.answer(done.map_err(DeskError::from));
        });
        if let Err(error) = handed_in {
            warn!(%error, "the store was not asked");
        }
    }
}

impl<T, F> Waiting<T, F>
where
    T: Send + 'static,
    F: FnOnce(&mut Signalling, Result<T, DeskError>) + Send + 'static,
{
    fn answer(&mut self, answer: Result<T, DeskError>) {
        let Some(then) = self.then.take() else { return };
        // At the end nobody takes answers any more, and then they matter no more.
        let _ = self.back.send(Back(Box::new(move |signalling| then(signalling, answer))));
    }
}

impl<T, F> Drop for Waiting<T, F>
where
    T: Send + 'static,
    F: FnOnce(&mut Signalling, Result<T, DeskError>) + Send + 'static,
{
    /// Nobody took the work, or whoever did is gone.
    fn drop(&mut self) {
        self.answer(Err(DeskError::Busy));
    }
}
