//! Non-INVITE server transaction (RFC 3261 §17.2.2).

use std::time::{Duration, Instant};

use crate::sip::invite_server::{Action, T1};

/// Answers one request other than INVITE and ACK, and each of its repeats with the same answer.
///
/// Nothing is repeated unasked: the asking side does that, so there is never anything to give up.
#[derive(Debug)]
pub struct NonInviteServer {
    reliable: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing answered yet; repeats are absorbed.
    Trying,
    /// Final answer sent; repeats are met with it.
    Completed {
        timer_j: Instant,
    },
    Terminated,
}

impl NonInviteServer {
    /// The request has arrived, over a `reliable` transport or not.
    pub fn new(reliable: bool) -> Self {
        Self { reliable, state: State::Trying }
    }

    /// The request came once more.
    pub fn handle_retransmit(&mut self) -> Option<Action> {
        match self.state {
            State::Completed { .. } => Some(Action::Transmit),
            State::Trying | State::Terminated => None,
        }
    }

    /// Our side answers for good; only the first answer counts.
    pub fn respond(&mut self, now: Instant) -> Option<Action> {
        let State::Trying = self.state else { return None };
        // Over a stream no repeat can come.
        let absorbing = if self.reliable { Duration::ZERO } else { 64 * T1 };
        self.state = State::Completed { timer_j: now + absorbing };
        Some(Action::Transmit)
    }

    /// Ends the transaction once nothing of it can be in the network any more.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Completed { timer_j } if timer_j <= now => self.state = State::Terminated,
            State::Trying | State::Completed { .. } | State::Terminated => {}
        }
    }

    /// When [`Self::handle_timeout`] is next due, if ever.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Completed { timer_j } => Some(timer_j),
            State::Trying | State::Terminated => None,
        }
    }

    /// Whether the owner may forget this transaction.
    pub fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_absorbed_until_answered_and_then_met_with_the_answer() {
        let start = Instant::now();
        let mut server = NonInviteServer::new(false);
        assert_eq!(server.handle_retransmit(), None);
        assert_eq!(server.respond(start), Some(Action::Transmit));
        assert_eq!(server.respond(start), None);
        assert_eq!(server.handle_retransmit(), Some(Action::Transmit));
    }

    #[test]
    fn over_a_stream_it_is_forgotten_once_answered() {
        let (mut server, start) = (NonInviteServer::new(true), Instant::now());
        assert_eq!(server.respond(start), Some(Action::Transmit));
        assert_eq!(server.poll_timeout(), Some(start));
    }

    #[test]
    fn is_forgotten_after_timer_j() {
        let start = Instant::now();
        let mut server = NonInviteServer::new(false);
        server.respond(start);
        assert_eq!(server.poll_timeout(), Some(start + 64 * T1));
        server.handle_timeout(start + 64 * T1);
        assert!(server.is_terminated());
        assert_eq!(server.poll_timeout(), None);
    }
}
