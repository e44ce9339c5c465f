//! Who is told of verdicts by other means than SIP.

use std::time::Duration;

use crate::runtime::notify::notice::Notice;

/// One receiver and the connection to it, on a thread of its own: calls block, each with a bound of its own.
pub trait Receiver: Send {
    /// Tells a notice, and returns once the other side has taken it and done all its acts.
    fn deliver(&mut self, notice: &Notice) -> Result<(), Failure>;

    /// Keeps the connection alive while there is nothing to tell; called every few seconds.
    fn idle(&mut self) -> Result<(), Failure>;
}

/// Why a notice was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It may be taken later; not sooner than the other side asked for.
    #[error("{why}")]
    Unreachable {
        /// One sentence.
        why: String,
        /// What `Retry-After` said, else nothing.
        after: Duration,
    },
    /// Our name or password is wrong: only somebody's hand mends it, and until then all wait.
    #[error("login refused: {0}")]
    Login(String),
    /// This notice will never be taken, the next may be: the channel is gone, the document refused.
    #[error("{0}")]
    Refused(String),
}
