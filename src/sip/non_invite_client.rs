//! Non-INVITE client transaction (RFC 3261 §17.1.2).

use std::time::{Duration, Instant};

use crate::sip::invite_server::{T1, T2, T4};

/// Sends one request other than INVITE and ACK until a final answer comes.
#[derive(Debug)]
pub struct NonInviteClient {
    reliable: bool,
    state: State,
}

/// What the owner of the transaction has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send the request again.
    Transmit,
    /// No final answer came (timer F): as good as a 408 (§8.1.3.1).
    GiveUp,
    /// Hand the response up.
    Deliver,
}

#[derive(Debug)]
enum State {
    /// No final answer; the request is repeated, with gaps of T2 once a 1xx came.
    Waiting {
        /// Absent where the transport itself repeats.
        timer_e: Option<Instant>,
        interval: Duration,
        timer_f: Instant,
    },
    /// Final answer handed up; its repeats are absorbed.
    Completed {
        timer_k: Instant,
    },
    Terminated,
}

impl NonInviteClient {
    /// The request is on its way, over a `reliable` transport or not.
    pub fn new(now: Instant, reliable: bool) -> Self {
        let timer_e = (!reliable).then(|| now + T1);
        let state = State::Waiting { timer_e, interval: T1, timer_f: now + 64 * T1 };
        Self { reliable, state }
    }

    /// A response with `code` came.
    pub fn handle_response(&mut self, now: Instant, code: u16) -> Option<Action> {
        let State::Waiting { timer_e, timer_f, .. } = self.state else { return None };
        self.state = match code {
            100..200 => State::Waiting { timer_e, interval: T2, timer_f },
            _ if self.reliable => State::Completed { timer_k: now },
            _ => State::Completed { timer_k: now + T4 },
        };
        Some(Action::Deliver)
    }

    /// Moves every due timer; at most one action is due at a time.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Action> {
        match self.state {
            State::Waiting { timer_f, .. } if timer_f <= now => {
                self.state = State::Terminated;
                Some(Action::GiveUp)
            }
            State::Waiting { timer_e: Some(timer_e), interval, timer_f } if timer_e <= now => {
                let interval = (2 * interval).min(T2);
                let timer_e = Some(now + interval);
                self.state = State::Waiting { timer_e, interval, timer_f };
                Some(Action::Transmit)
            }
            State::Completed { timer_k } if timer_k <= now => {
                self.state = State::Terminated;
                None
            }
            State::Waiting { .. } | State::Completed { .. } | State::Terminated => None,
        }
    }

    /// When [`Self::handle_timeout`] is next due, if ever.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { timer_e, timer_f, .. } => {
                Some(timer_e.map_or(timer_f, |timer_e| timer_e.min(timer_f)))
            }
            State::Completed { timer_k } => Some(timer_k),
            State::Terminated => None,
        }
    }

    /// Whether the final answer is still awaited.
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
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

    fn run(client: &mut NonInviteClient, start: Instant) -> Vec<(u128, Action)> {
        let mut actions = Vec::new();
        while let Some(now) = client.poll_timeout() {
            actions.extend(client.handle_timeout(now).map(|a| ((now - start).as_millis(), a)));
        }
        actions
    }

    #[test]
    fn an_unheard_request_is_repeated_ten_times_in_timer_f() {
        let start = Instant::now();
        let ages = run(&mut NonInviteClient::new(start, false), start);
        assert_eq!(
            ages[..5].iter().map(|a| a.0).collect::<Vec<_>>(),
            [500, 1_500, 3_500, 7_500, 11_500]
        );
        assert_eq!(ages.iter().filter(|a| a.1 == Action::Transmit).count(), 10);
        assert_eq!(ages.last(), Some(&(32_000, Action::GiveUp)));
    }

    #[test]
    fn a_provisional_answer_only_slows_it() {
        let start = Instant::now();
        let mut client = NonInviteClient::new(start, false);
        assert_eq!(client.handle_response(start, 100), Some(Action::Deliver));
        let ages = run(&mut client, start);
        assert_eq!(ages[..3].iter().map(|a| a.0).collect::<Vec<_>>(), [500, 4_500, 8_500]);
    }

    #[test]
    fn over_a_stream_it_is_sent_once_and_forgotten_once_answered() {
        let start = Instant::now();
        assert_eq!(run(&mut NonInviteClient::new(start, true), start), [(32_000, Action::GiveUp)]);
        let mut client = NonInviteClient::new(start, true);
        assert_eq!(client.handle_response(start, 200), Some(Action::Deliver));
        assert_eq!(client.poll_timeout(), Some(start));
    }

    #[test]
    fn a_final_answer_is_handed_up_once() {
        let start = Instant::now();
        let mut client = NonInviteClient::new(start, false);
        assert_eq!(client.handle_response(start, 200), Some(Action::Deliver));
        assert_eq!(client.handle_response(start, 200), None);
        assert_eq!(client.poll_timeout(), Some(start + T4));
        assert_eq!(run(&mut client, start), []);
        assert!(client.is_terminated());
    }
}
