//! What the signalling thread tells one leg's media session beside its plan: whom to enrol, and when it is paused.

use tokio::sync::mpsc;

use crate::call::enrollment_watch::EnrollmentWatch;
use crate::call::pauses::Pausing;

/// Words about pauses that may wait for a media thread, which takes them within milliseconds.
const PAUSES_WAITING: usize = 64;

/// Where a leg gets its orders from.
#[derive(Debug)]
pub struct LegInbox {
    /// Who is to be enrolled.
    pub enrollments: mpsc::Receiver<EnrollmentWatch>,
    /// When it is paused.
    pub pauses: mpsc::Receiver<Pausing>,
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
        Self { enroll, pause, inbox: Some(LegInbox { enrollments, pauses }) }
    }
}

impl Default for LegOrders {
    fn default() -> Self {
        Self::new()
    }
}
