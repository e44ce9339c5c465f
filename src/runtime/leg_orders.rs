//! What the signalling thread tells one leg's media session beside its plan: whom to enrol, and when it is paused.

use tokio::sync::{mpsc, oneshot};

use crate::call::media_consent::VoiceOrder;
use crate::call::pauses::Pausing;
use crate::consent::consents::Refusal;
use crate::consent::scope::Scopes;
use crate::rtp::security::Guard;

/// Words about pauses that may wait for a media thread, which takes them within milliseconds.
const PAUSES_WAITING: usize = 64;
/// Orders about a voice that may wait likewise.
const VOICE_WAITING: usize = 16;
/// Room that is kept for withdrawals: whoever wants to enrol waits before a withdrawal has to.
const FOR_WITHDRAWALS: usize = 8;

/// Where a leg gets its orders from.
#[derive(Debug)]
pub struct LegInbox {
    /// What is to be done with the voice on it.
    pub voice: mpsc::Receiver<VoiceOrder>,
    /// When it is paused.
    pub pauses: mpsc::Receiver<Pausing>,
    /// From whom it takes over a stream, and who may take over from it.
    pub relay: Option<Relay>,
}

/// A leg's place among those that are heard on one stream, one after the other.
#[derive(Debug)]
pub struct Relay {
    /// What the one before hands over, unless it is the first.
    pub from: Option<oneshot::Receiver<Guard>>,
    /// For the one after, should there be one.
    pub to: oneshot::Sender<Guard>,
}

/// Where they are given, and the other end until the leg takes it.
#[derive(Debug)]
pub struct LegOrders {
    /// What is to be done with its voice.
    voice: mpsc::Sender<VoiceOrder>,
    /// When it is paused.
    pub pause: mpsc::Sender<Pausing>,
    /// The leg's end.
    pub inbox: Option<LegInbox>,
}

impl LegOrders {
    /// For a leg that is about to begin.
    pub fn new() -> Self {
        let (voice, voices) = mpsc::channel(VOICE_WAITING);
        let (pause, pauses) = mpsc::channel(PAUSES_WAITING);
        Self { voice, pause, inbox: Some(LegInbox { voice: voices, pauses, relay: None }) }
    }

    /// Has the leg's voice used as `order` says; gives it back where too much waits already.
    pub fn use_voice(&self, order: VoiceOrder) -> Result<(), VoiceOrder> {
        if self.voice.capacity() <= FOR_WITHDRAWALS {
            return Err(order);
        }
        self.give(order)
    }

    /// There is no leave for `scopes` any more. It fails where the leg does not hear of it.
    pub fn withdraw(&self, scopes: Scopes, why: Refusal) -> Result<(), VoiceOrder> {
        self.give(VoiceOrder::Withdraw(scopes, why))
    }

    fn give(&self, order: VoiceOrder) -> Result<(), VoiceOrder> {
        self.voice.try_send(order).map_err(|error| match error {
            mpsc::error::TrySendError::Full(order) | mpsc::error::TrySendError::Closed(order) => {
                order
            }
        })
    }
}

impl Default for LegOrders {
    fn default() -> Self {
        Self::new()
    }
}
