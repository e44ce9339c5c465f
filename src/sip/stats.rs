//! What an endpoint counts.

use std::collections::BTreeMap;

use crate::sip::responses::Responses;

/// Plain integers since construction, but for the two gauges at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests received that began a transaction, by method; unknown ones under `OTHER`.
    pub requests: BTreeMap<&'static str, u64>,
    /// Responses sent, repeats not included.
    pub responses_sent: Responses,
    /// Responses received that belong to one of our requests, repeats included.
    pub responses_received: Responses,
    /// Requests of ours that a hop never answered (RFC 3261 §17.1, timers B and F).
    pub requests_timed_out: u64,
    /// Refusals of ours that were never acknowledged (§17.2.1, timer H).
    pub answers_timed_out: u64,
    /// Responses received that belong to none, or bear a foreign Via.
    pub stray_responses: u64,
    /// ACKs that belong to nothing, mostly to a stateless refusal.
    pub stray_acks: u64,
    /// Datagrams that hold no valid message, by kind.
    pub malformed: BTreeMap<&'static str, u64>,
    /// Datagrams of nothing but line breaks (NAT keep-alives).
    pub keep_alives: u64,
    /// Repeated requests absorbed or met with the earlier answer.
    pub retransmissions_received: u64,
    /// Messages that a timer made us send again.
    pub retransmissions_sent: u64,
    /// Requests dropped or refused without state because the transaction table was full.
    pub overloaded: u64,
    /// Calls refused with 503 because of `max_calls` or draining.
    pub calls_refused: u64,
    /// Messages of strangers dropped or refused: no peer of the settings is like the sender.
    pub strangers: u64,
    /// Messages not even read, because their sender had used up what a stranger may send.
    pub rate_limited: u64,
    /// Requests met with a challenge.
    pub challenged: u64,
    /// Requests with wrong credentials.
    pub wrong_passwords: u64,
    /// Refreshes of sessions that we sent (RFC 4028).
    pub refreshes_sent: u64,
    /// Calls begun, either way.
    pub calls: u64,
    /// INFOs sent.
    pub infos_sent: u64,
    /// INFOs answered with 2xx.
    pub infos_answered: u64,
    /// INFOs answered with 300-699.
    pub infos_refused: u64,
    /// INFOs not answered at all.
    pub infos_timed_out: u64,
    /// INFOs never sent.
    pub infos_skipped: u64,
    /// INFOs received.
    pub infos_received: u64,
    /// Accounts that are registered now.
    pub accounts_registered: u64,
    /// Calls alive now.
    pub calls_alive: u64,
    /// Transactions alive now, server and client.
    pub transactions_alive: u64,
}
