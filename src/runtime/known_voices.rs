//! Known voices that callers are compared with: read at the start, and again when some are added or erased, by whomever.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::runtime::asking::Back;
use crate::runtime::signalling::Signalling;
use crate::runtime::store::keeper::{DeskError, VaultDesk};
use crate::runtime::store::vault::{Vault, VaultError};
use crate::speaker::embedder::Embedders;
use crate::speaker::voiceprint::Voiceprint;
use crate::speaker::watchlist::Known;

/// How often it is looked whether voices changed: whoever is erased is compared with nobody who calls after that.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Reads the watchlist for the models in use.
#[derive(Clone, Debug)]
pub struct KnownVoices {
    /// The models that calls are heard by.
    pub models: Embedders,
    /// Calls of a thousand that may raise a false alarm.
    pub false_alarms_per_1000: f64,
}

impl KnownVoices {
    /// All of them, and up to which record of the audit trail they hold; blocks.
    pub fn read(&self, desk: &VaultDesk) -> Result<(Known, u64), VaultError> {
        let (reply, answer) = sync_channel(1);
        let read = move |vault: &mut Vault| {
            let _ = reply.send(read(vault));
        };
        desk.hand_in(read).expect("nobody else has asked yet");
        let (all, until) = answer.recv().expect("the vault's thread answers before it ends")?;
        Ok((self.known(&all), until))
    }

    /// Hands what has changed after record `until` to the signalling thread, until the vault is closed. Calls that stand go on
    /// with what they began with.
    pub async fn follow(self, desk: VaultDesk, mut until: u64, back: mpsc::UnboundedSender<Back>) {
        loop {
            sleep(LOOK_EVERY).await;
            let look = move |vault: &mut Vault| match vault.voices_changed_after(until)? {
                true => read(vault).map(Some),
                false => Ok(None),
            };
            let (all, read_until) = match desk.ask(look).await {
                Ok(Some(changed)) => changed,
                Err(DeskError::Closed) => return,
                // One that is away or busy is asked again.
                Ok(None) | Err(_) => continue,
            };
            until = read_until;
            let known = self.known(&all);
            let act = move |signalling: &mut Signalling| signalling.handle_known_voices(known);
            // At the end nobody calls any more.
            let _ = back.send(Back(Box::new(act)));
        }
    }

    fn known(&self, all: &[Voiceprint]) -> Known {
        let (known, left_out) = Known::new(all, &self.models, self.false_alarms_per_1000);
        if left_out > 0 {
            warn!(left_out, "voices of the watchlist are of other models and are not compared");
        }
        info!(voices = known.len(), "callers are compared with the watchlist");
        known
    }
}

/// What changes while it is read is read again.
fn read(vault: &mut Vault) -> Result<(Vec<Voiceprint>, u64), VaultError> {
    let until = vault.head()?.sequence;
    Ok((vault.watchlist()?, until))
}
