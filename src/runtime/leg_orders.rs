//! What the signalling thread tells one leg's media session beside its plan: whom to enrol, and when it is paused.

use tokio::sync::{mpsc, oneshot};

use crate::call::enrollment_watch::EnrollmentWatch;
use crate::call::pauses::Pausing;
use crate::rtp::security::Guard;

/// Words about pauses that may wait for a media thread, which takes them within milliseconds.
const PAUSES_WAITING: usize = 64;

/// Where a leg gets its orders from.
#[derive(Debug)]
pub struct LegInbox {
    /// Who is to be enrolled.
    pub enrollments: mpsc::Receiver<EnrollmentWatch>,
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
    /// Who is to be enrolled.
    pub enroll: mpsc::Sender<EnrollmentWatch>,
    /// When it is paused.
    pub pause: mpsc::Sender<Pausing>,
    /// The leg's end.
    pub inbox: Option<LegInbox>,
}

impl LegOrders {
    /// For a leg that is about to begin.
    pub fn new() -> Self {
        let (enroll, enrollments) = mpsc::channel(1);
        let (pause, pauses) = mpsc::channel(PAUSES_WAITING);
        Self { enroll, pause, inbox: Some(LegInbox { enrollments, pauses, relay: None }) }
    }
}

impl Default for LegOrders {
    fn default() -> Self {
        Self::new()
    }
}
