//! INVITE client transaction (RFC 3261 §17.1.1, as mended by RFC 6026 §7.2).

use std::time::{Duration, Instant};

use crate::sip::invite_server::T1;

/// How long repeats of a refusal are acknowledged (§17.1.1.2: at least 32 s over UDP).
const TIMER_D: Duration = Duration::from_secs(32);

/// Sends one INVITE until something answers, and acknowledges a refusal.
///
/// The ACK to a success belongs to the dialog (§13.2.2.4); successes are only handed up.
#[derive(Debug)]
pub struct InviteClient {
    /// How long to wait for a final answer after each 1xx.
    limit: Duration,
    reliable: bool,
    state: State,
}

/// What the owner of the transaction has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send the INVITE again.
    Transmit,
    /// Nobody answered (timer B), or for good: tell whoever called.
    GiveUp,
    /// Hand the response up.
    Deliver,
    /// Acknowledge the refusal and hand it up.
    AcknowledgeAndDeliver,
    /// Acknowledge the refusal again; it was handed up before.
    Acknowledge,
}

#[derive(Debug)]
enum State {
    /// Nothing heard; the INVITE is repeated with doubling gaps.
    Calling {
        /// Absent where the transport itself repeats.
        timer_a: Option<Instant>,
        interval: Duration,
        timer_b: Instant,
    },
    /// A 1xx came. A person may take long, but a peer that vanished must not be waited for: proxies
    /// have timer C (§16.6) for that, and so have we.
    Proceeding {
        timer_c: Instant,
    },
    /// 2xx came; further ones, repeats or from other branches, are handed up (RFC 6026 §8.4).
    Accepted {
        timer_m: Instant,
    },
    /// 300-699 came.
    Completed {
        timer_d: Instant,
    },
    Terminated,
}

impl InviteClient {
    /// The INVITE is on its way, over a `reliable` transport or not; a final answer is awaited for
    /// `limit` after each 1xx.
    pub fn new(now: Instant, limit: Duration, reliable: bool) -> Self {
        let timer_a = (!reliable).then(|| now + T1);
        let state = State::Calling { timer_a, interval: T1, timer_b: now + 64 * T1 };
        Self { limit, reliable, state }
    }

    /// A response with `code` came.
    pub fn handle_response(&mut self, now: Instant, code: u16) -> Option<Action> {
        match (&self.state, code) {
            (State::Calling { .. } | State::Proceeding { .. }, 100..200) => {
                self.state = State::Proceeding { timer_c: now + self.limit };
                Some(Action::Deliver)
            }
            (State::Calling { .. } | State::Proceeding { .. }, 200..300) => {
                self.state = State::Accepted { timer_m: now + 64 * T1 };
                Some(Action::Deliver)
            }
            (State::Calling { .. } | State::Proceeding { .. }, _) => {
                let absorbing = if self.reliable { Duration::ZERO } else { TIMER_D };
                self.state = State::Completed { timer_d: now + absorbing };
                Some(Action::AcknowledgeAndDeliver)
            }
            (State::Accepted { .. }, 200..300) => Some(Action::Deliver),
            (State::Completed { .. }, 300..) => Some(Action::Acknowledge),
            (State::Accepted { .. } | State::Completed { .. } | State::Terminated, _) => None,
        }
    }

    /// Moves every due timer; at most one action is due at a time.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Action> {
        match self.state {
            State::Calling { timer_b: end, .. } | State::Proceeding { timer_c: end }
                if end <= now =>
            {
                self.state = State::Terminated;
                Some(Action::GiveUp)
            }
            State::Calling { timer_a: Some(timer_a), interval, timer_b } if timer_a <= now => {
                let interval = 2 * interval;
                let timer_a = Some(now + interval);
                self.state = State::Calling { timer_a, interval, timer_b };
                Some(Action::Transmit)
            }
            State::Accepted { timer_m: end } | State::Completed { timer_d: end } if end <= now => {
                self.state = State::Terminated;
                None
            }
            State::Calling { .. }
            | State::Proceeding { .. }
            | State::Accepted { .. }
            | State::Completed { .. }
            | State::Terminated => None,
        }
    }

    /// When [`Self::handle_timeout`] is next due, if ever.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Calling { timer_a, timer_b, .. } => {
                Some(timer_a.map_or(timer_b, |timer_a| timer_a.min(timer_b)))
            }
            State::Proceeding { timer_c: end }
            | State::Accepted { timer_m: end }
            | State::Completed { timer_d: end } => Some(end),
            State::Terminated => None,
        }
    }

    /// Whether nothing at all was heard yet, so that another hop may be tried (RFC 3263 §4.3).
    pub fn is_unheard(&self) -> bool {
        matches!(self.state, State::Calling { .. })
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

    const LIMIT: Duration = Duration::from_secs(180);

    fn run(invite: &mut InviteClient, start: Instant) -> Vec<(u128, Action)> {
        let mut actions = Vec::new();
        while let Some(now) = invite.poll_timeout() {
            actions.extend(invite.handle_timeout(now).map(|a| ((now - start).as_millis(), a)));
        }
        actions
    }

    #[test]
    fn an_unheard_invite_is_sent_seven_times_and_given_up() {
        let start = Instant::now();
        let mut invite = InviteClient::new(start, LIMIT, false);
        let ages = run(&mut invite, start);
        let at = |age| (age, Action::Transmit);
        let sent = [at(500), at(1_500), at(3_500), at(7_500), at(15_500), at(31_500)];
        assert_eq!(ages[..6], sent);
        assert_eq!(ages[6..], [(32_000, Action::GiveUp)]);
        assert!(invite.is_terminated());
    }

    #[test]
    fn a_provisional_answer_stops_the_repeats_and_grants_time() {
        let start = Instant::now();
        let mut invite = InviteClient::new(start, LIMIT, false);
        assert_eq!(invite.handle_response(start, 180), Some(Action::Deliver));
        let later = start + LIMIT / 2;
        assert_eq!(invite.handle_response(later, 180), Some(Action::Deliver));
        assert_eq!(run(&mut invite, later), [(LIMIT.as_millis(), Action::GiveUp)]);
        assert!(invite.is_terminated());
    }

    #[test]
    fn a_repeated_refusal_is_acknowledged_again_but_not_told_again() {
        let start = Instant::now();
        let mut invite = InviteClient::new(start, LIMIT, false);
        assert_eq!(invite.handle_response(start, 486), Some(Action::AcknowledgeAndDeliver));
        assert_eq!(invite.handle_response(start, 486), Some(Action::Acknowledge));
        assert_eq!(invite.poll_timeout(), Some(start + TIMER_D));
        assert_eq!(run(&mut invite, start), []);
        assert!(invite.is_terminated());
    }

    #[test]
    fn over_a_stream_it_is_sent_once_and_a_refusal_ends_it() {
        let start = Instant::now();
        let mut invite = InviteClient::new(start, LIMIT, true);
        assert_eq!(run(&mut invite, start), [(32_000, Action::GiveUp)]);
        let mut invite = InviteClient::new(start, LIMIT, true);
        assert_eq!(invite.handle_response(start, 486), Some(Action::AcknowledgeAndDeliver));
        assert_eq!(invite.poll_timeout(), Some(start));
    }

    #[test]
    fn every_success_is_handed_up_for_the_dialog_to_acknowledge() {
        let start = Instant::now();
        let mut invite = InviteClient::new(start, LIMIT, false);
        assert_eq!(invite.handle_response(start, 200), Some(Action::Deliver));
        assert_eq!(invite.handle_response(start, 200), Some(Action::Deliver));
        assert_eq!(invite.handle_response(start, 486), None);
        assert_eq!(invite.poll_timeout(), Some(start + 64 * T1));
    }
}
