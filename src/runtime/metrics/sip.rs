//! What comes and goes over SIP.

use std::sync::Mutex;

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::bounded::{Bounded, OTHER};
use super::families::Families;
use crate::runtime::transport::stats::{CloseReason, TransportStats};
use crate::runtime::transport::tls::HandshakeFault;
use crate::sip::malformed::MessageError;
use crate::sip::message::Method;
use crate::sip::responses::Responses;
use crate::sip::stats::Stats;
use crate::sip::transport::Transport;

/// Accounts that have a label of their own.
const MOST_ACCOUNTS: usize = 90;

/// The metrics of SIP.
#[derive(Debug)]
pub(super) struct SipMetrics {
    requests: IntCounterVec,
    responses_received: IntCounterVec,
    responses_sent: IntCounterVec,
    transactions: IntGauge,
    timed_out: IntCounterVec,
    malformed: IntCounterVec,
    retransmissions: IntCounterVec,
    rejected: IntCounterVec,
    unreachable: IntCounter,
    refreshes: IntCounter,
    registered: IntGaugeVec,
    registration_failures: IntCounterVec,
    accounts: Bounded,
    messages: IntCounterVec,
    connections: IntGaugeVec,
    connections_refused: IntCounterVec,
    connections_closed: IntCounterVec,
    tls_failures: IntCounterVec,
    /// What of the sockets was published.
    transports: Mutex<TransportStats>,
}

impl SipMetrics {
    pub(super) fn new(families: Families<'_>) -> Self {
        let responses = |name: &str, help: &str| {
            let counters = families.counters(name, help, &["method", "code"]);
            for method in ["INVITE", "BYE", "INFO", "OPTIONS"] {
                counters.with_label_values(&[method, "200"]);
            }
            counters
        };
        let metrics = Self {
            requests: families.counters(
                "sidetone_sip_requests_total",
                "SIP requests received, by method; OTHER are those that we do not know.",
                &["method"],
            ),
            responses_received: responses(
                "sidetone_sip_responses_received_total",
                "SIP responses to our requests, by the request's method and their status; repeats included.",
            ),
            responses_sent: responses(
                "sidetone_sip_responses_sent_total",
                "SIP responses that we sent, by the request's method and their status; repeats not included.",
            ),
            transactions: families
                .gauge("sidetone_sip_transactions_active", "SIP transactions that are remembered."),
            timed_out: families.counters(
                "sidetone_sip_transactions_timed_out_total",
                "SIP transactions that nobody answered: client (a request of ours), server (no ACK to a refusal).",
                &["side"],
            ),
            malformed: families.counters(
                "sidetone_sip_malformed_total",
                "Datagrams at the SIP socket that hold no valid message, by kind.",
                &["kind"],
            ),
            retransmissions: families.counters(
                "sidetone_sip_retransmissions_total",
                "Repeated SIP messages, by direction.",
                &["direction"],
            ),
            rejected: families.counters(
                "sidetone_sip_rejected_total",
                "Messages not listened to: stranger, rate (not even read), password, overload (too many transactions).",
                &["reason"],
            ),
            unreachable: families.counter(
                "sidetone_sip_unreachable_total",
                "Times that a next hop could not be sent to.",
            ),
            refreshes: families.counter(
                "sidetone_sip_session_refreshes_total",
                "Refreshes of sessions that we sent (RFC 4028).",
            ),
            registered: families.gauges(
                "sidetone_sip_registered",
                "1 while the account is registered.",
                &["account"],
            ),
            registration_failures: families.counters(
                "sidetone_sip_registration_failures_total",
                "Times that an account began to fail to register, or failed in another way.",
                &["account"],
            ),
            accounts: Bounded::new(MOST_ACCOUNTS),
            messages: families.counters(
                "sidetone_sip_messages_total",
                "SIP messages, by transport and direction.",
                &["transport", "direction"],
            ),
            connections: families.gauges(
                "sidetone_sip_connections",
                "SIP connections open.",
                &["transport"],
            ),
            connections_refused: families.counters(
                "sidetone_sip_connections_refused_total",
                "Connections turned away: as many as may be are open, in all or from one peer.",
                &["bound"],
            ),
            connections_closed: families.counters(
                "sidetone_sip_connections_closed_total",
                "Connections over, by why.",
                &["reason"],
            ),
            tls_failures: families.counters(
                "sidetone_sip_tls_failures_total",
                "TLS handshakes that failed, by what was wrong.",
                &["fault"],
            ),
            transports: Mutex::default(),
        };
        // Present at zero from the start, so that a rate over them is never "no data".
        let presets = [
            (&metrics.requests, Method::LABELS.as_slice()),
            (&metrics.timed_out, &["client", "server"]),
            (&metrics.malformed, &MessageError::ONE_OF_EACH.map(MessageError::kind)),
            (&metrics.retransmissions, &["received", "sent"]),
            (&metrics.rejected, &["stranger", "rate", "password", "overload"]),
        ];
        for (counters, words) in presets {
            words.iter().for_each(|word| drop(counters.with_label_values(&[*word])));
        }
        metrics.publish_transports(&TransportStats::default());
        metrics
    }

    /// What the endpoint has counted since `before`.
    pub(super) fn publish(&self, before: &Stats, now: &Stats) {
        for (&method, count) in &now.requests {
            let earlier = before.requests.get(method).copied().unwrap_or(0);
            self.requests.with_label_values(&[method]).inc_by(count - earlier);
        }
        for (&kind, count) in &now.malformed {
            let earlier = before.malformed.get(kind).copied().unwrap_or(0);
            self.malformed.with_label_values(&[kind]).inc_by(count - earlier);
        }
        for (counters, earlier, responses) in [
            (&self.responses_received, &before.responses_received, &now.responses_received),
            (&self.responses_sent, &before.responses_sent, &now.responses_sent),
        ] {
            publish_responses(counters, earlier, responses);
        }
        self.transactions.set(i64::try_from(now.transactions_alive).unwrap_or(i64::MAX));
        let since = |count: fn(&Stats) -> u64| count(now) - count(before);
        for (counters, label, count) in [
            (&self.timed_out, "client", since(|stats| stats.requests_timed_out)),
            (&self.timed_out, "server", since(|stats| stats.answers_timed_out)),
            (&self.retransmissions, "received", since(|stats| stats.retransmissions_received)),
            (&self.retransmissions, "sent", since(|stats| stats.retransmissions_sent)),
            (&self.rejected, "stranger", since(|stats| stats.strangers)),
            (&self.rejected, "rate", since(|stats| stats.rate_limited)),
            (&self.rejected, "password", since(|stats| stats.wrong_passwords)),
            (&self.rejected, "overload", since(|stats| stats.overloaded)),
        ] {
            counters.with_label_values(&[label]).inc_by(count);
        }
        self.refreshes.inc_by(since(|stats| stats.refreshes_sent));
    }

    /// What the sockets have counted since the last time.
    pub(super) fn publish_transports(&self, stats: &TransportStats) {
        let mut published =
            self.transports.lock().expect("nothing panics while it holds this lock");
        let before = std::mem::replace(&mut *published, *stats);
        for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
            let name = transport.as_str().to_ascii_lowercase();
            let (now, then) = (stats.of(transport), before.of(transport));
            let received = now.messages_in - then.messages_in;
            let sent = now.messages_out - then.messages_out;
            self.messages.with_label_values(&[name.as_str(), "received"]).inc_by(received);
            self.messages.with_label_values(&[name.as_str(), "sent"]).inc_by(sent);
            let open = i64::try_from(now.open).unwrap_or(i64::MAX);
            if transport.is_reliable() {
                self.connections.with_label_values(&[name.as_str()]).set(open);
            }
        }
        for (bound, count) in [
            ("total", stats.refused_total - before.refused_total),
            ("peer", stats.refused_per_peer - before.refused_per_peer),
        ] {
            self.connections_refused.with_label_values(&[bound]).inc_by(count);
        }
        for reason in CloseReason::ALL {
            let count = stats.closed(reason) - before.closed(reason);
            self.connections_closed.with_label_values(&[reason.as_str()]).inc_by(count);
        }
        for fault in HandshakeFault::ALL {
            let count = stats.handshakes_failed(fault) - before.handshakes_failed(fault);
            self.tls_failures.with_label_values(&[fault.as_str()]).inc_by(count);
        }
    }

    /// A next hop could not be sent to.
    pub(super) fn unreachable(&self) {
        self.unreachable.inc();
    }

    /// Whether `account` is registered now.
    pub(super) fn registration(&self, account: &str, registered: bool) {
        let account = self.accounts.label(account);
        self.registered.with_label_values(&[account]).set(i64::from(registered));
        self.registration_failures.with_label_values(&[account]);
    }

    /// `account` failed to register.
    pub(super) fn registration_failed(&self, account: &str) {
        self.registration_failures.with_label_values(&[self.accounts.label(account)]).inc();
    }
}

fn publish_responses(counters: &IntCounterVec, before: &Responses, now: &Responses) {
    for (method, status) in now.pairs() {
        let count = now.of((method, status)) - before.of((method, status));
        let code = if status == 0 { OTHER.to_owned() } else { status.to_string() };
        counters.with_label_values(&[method, code.as_str()]).inc_by(count);
    }
}
