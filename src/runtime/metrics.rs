//! What Prometheus sees; the only room that names `prometheus`.
//!
//! Base units, ratios 0 to 1, `_total` for counters, and no label that grows with calls or people.

mod actions;
mod http;
mod media;
mod notify;
mod pauses;
mod policy;
mod recordings;
mod scores;
mod service;
mod store;

use std::sync::{Arc, Mutex};
use std::time::Instant;

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use crate::call::media_stats::MediaStats;
use crate::policy::evidence::SpeakerEvidence;
use crate::policy::line::LineState;
use crate::policy::verdict::{Finding, Verdict};
use crate::runtime::health::{Health, Model};
use crate::runtime::metrics::actions::ActionMetrics;
use crate::runtime::metrics::http::HttpMetrics;
use crate::runtime::metrics::media::MediaMetrics;
use crate::runtime::metrics::notify::NotifyMetrics;
use crate::runtime::metrics::pauses::PauseMetrics;
use crate::runtime::metrics::policy::PolicyMetrics;
use crate::runtime::metrics::recordings::RecordingMetrics;
use crate::runtime::metrics::scores::ScoreMetrics;
use crate::runtime::metrics::service::ServiceMetrics;
use crate::runtime::metrics::store::StoreMetrics;
use crate::runtime::transport::stats::{CloseReason, TransportStats};
use crate::runtime::transport::tls::HandshakeFault;
use crate::sip::stats::Stats as SipStats;
use crate::sip::transport::Transport;
use crate::speaker::score_drift::FirstLook;

/// Content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics of the appliance.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    calls_active: IntGauge,
    calls_ended: IntCounterVec,
    calls_refused: IntCounterVec,
    verdicts: IntCounterVec,
    info: IntCounterVec,
    sip_requests: IntCounterVec,
    sip_malformed: IntCounterVec,
    sip_retransmissions: IntCounterVec,
    sip_rejected: IntCounterVec,
    sip_unreachable: IntCounter,
    sip_refreshes: IntCounter,
    sip_registered: IntGaugeVec,
    sip_registration_failures: IntCounterVec,
    sip_messages: IntCounterVec,
    sip_connections: IntGaugeVec,
    sip_connections_refused: IntCounterVec,
    sip_connections_closed: IntCounterVec,
    sip_tls_failures: IntCounterVec,
    silent_calls: IntCounter,
    media: MediaMetrics,
    scores: ScoreMetrics,
    policy: PolicyMetrics,
    inference_seconds: HistogramVec,
    inference_failures: IntCounterVec,
    inference_replaced: IntCounterVec,
    /// Recording sessions, and what their metadata is worth.
    pub recordings: RecordingMetrics,
    /// How often legs are paused, and how many are now.
    pub pauses: PauseMetrics,
    /// What becomes of verdicts for receivers beside SIP.
    pub notify: NotifyMetrics,
    /// Of actions.
    pub actions: ActionMetrics,
    /// Of reloads and threads.
    pub service: ServiceMetrics,
    /// Who is turned away over HTTP.
    pub http: HttpMetrics,
    /// What the store does, and what waits for it.
    pub store: StoreMetrics,
    ready: IntGauge,
    health: Arc<Health>,
    /// What of the endpoint was published.
    sip: Mutex<SipStats>,
    /// What of the sockets was published.
    transports: Mutex<TransportStats>,
}

impl Metrics {
    /// All of them at zero, in a registry of their own, with the process's own figures.
    pub fn new(health: Arc<Health>) -> Self {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| {
            registered(&registry, IntCounter::new(name, help).expect("a valid name"))
        };
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let opts = Opts::new(name, help);
            registered(&registry, IntCounterVec::new(opts, labels).expect("valid names"))
        };
        let gauge = |name: &str, help: &str| {
            registered(&registry, IntGauge::new(name, help).expect("a valid name"))
        };
        let inference_seconds = HistogramOpts::new(
            "sidetone_inference_seconds",
            "Wall time of one run: a speaker window of 3 s, a segment of up to 4 s.",
        )
        .buckets(vec![0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 4.0]);
        let metrics = Self {
            calls_active: gauge("sidetone_calls_active", "Calls in progress."),
            calls_ended: counters("sidetone_calls_ended_total", "Calls over, by how.", &["end"]),
            calls_refused: counters(
                "sidetone_calls_refused_total",
                "Calls not taken, by the status that said so.",
                &["status"],
            ),
            verdicts: counters(
                "sidetone_verdicts_total",
                "Verdicts, by kind and conclusion.",
                &["kind", "decision"],
            ),
            info: counters(
                "sidetone_info_total",
                "Verdicts as SIP INFO: answered, refused, timed_out, skipped.",
                &["result"],
            ),
            sip_requests: counters(
                "sidetone_sip_requests_total",
                "SIP requests received, by method.",
                &["method"],
            ),
            sip_malformed: counters(
                "sidetone_sip_malformed_total",
                "Datagrams at the SIP socket that hold no valid message, by kind.",
                &["kind"],
            ),
            sip_retransmissions: counters(
                "sidetone_sip_retransmissions_total",
                "Repeated SIP messages, by direction.",
                &["direction"],
            ),
            sip_rejected: counters(
                "sidetone_sip_rejected_total",
                "Messages not listened to: stranger, rate (not even read), password.",
                &["reason"],
            ),
            sip_unreachable: counter(
                "sidetone_sip_unreachable_total",
                "Times that a next hop could not be sent to.",
            ),
            sip_refreshes: counter(
                "sidetone_sip_session_refreshes_total",
                "Refreshes of sessions that we sent (RFC 4028).",
            ),
            sip_registered: registered(
                &registry,
                IntGaugeVec::new(
                    Opts::new("sidetone_sip_registered", "1 while the account is registered."),
                    &["account"],
                )
                .expect("valid names"),
            ),
            sip_registration_failures: counters(
                "sidetone_sip_registration_failures_total",
                "Times that an account began to fail to register, or failed in another way.",
                &["account"],
            ),
            sip_messages: counters(
                "sidetone_sip_messages_total",
                "SIP messages, by transport and direction.",
                &["transport", "direction"],
            ),
            sip_connections: registered(
                &registry,
                IntGaugeVec::new(
                    Opts::new("sidetone_sip_connections", "SIP connections open."),
                    &["transport"],
                )
                .expect("valid names"),
            ),
            sip_connections_refused: counters(
                "sidetone_sip_connections_refused_total",
                "Connections turned away: as many as may be are open, in all or from one peer.",
                &["bound"],
            ),
            sip_connections_closed: counters(
                "sidetone_sip_connections_closed_total",
                "Connections over, by why.",
                &["reason"],
            ),
            sip_tls_failures: counters(
                "sidetone_sip_tls_failures_total",
                "TLS handshakes that failed, by what was wrong.",
                &["fault"],
            ),
            silent_calls: counter(
                "sidetone_calls_silent_total",
                "Calls ended because nothing came any more.",
            ),
            media: MediaMetrics::new(&registry),
            scores: ScoreMetrics::new(&registry),
            policy: PolicyMetrics::new(&registry),
            inference_seconds: registered(
                &registry,
                HistogramVec::new(inference_seconds, &["model"]).expect("valid names"),
            ),
            inference_failures: counters(
                "sidetone_inference_failures_total",
                "Model runs that failed.",
                &["model"],
            ),
            inference_replaced: counters(
                "sidetone_inference_replaced_total",
                "Windows and segments that gave way to newer ones: overload.",
                &["model"],
            ),
            recordings: RecordingMetrics::new(&registry),
            pauses: PauseMetrics::new(&registry),
            actions: ActionMetrics::new(&registry),
            http: HttpMetrics::new(&registry),
            service: ServiceMetrics::new(&registry),
            store: StoreMetrics::new(&registry),
            notify: NotifyMetrics::new(&registry),
            ready: gauge("sidetone_ready", "1 while /ready says so."),
            health,
            sip: Mutex::default(),
            transports: Mutex::default(),
            registry,
        };
        let version = Opts::new("sidetone_build_info", "Always 1; the version is its label.")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        registered(&metrics.registry, IntGauge::with_opts(version).expect("valid names")).set(1);
        let process = prometheus::process_collector::ProcessCollector::for_self();
        metrics.registry.register(Box::new(process)).expect("nothing else has its names");
        // Present at zero from the start, so that a rate over them is never "no data".
        for model in Model::ALL {
            metrics.inference_seconds.with_label_values(&[model.as_str()]);
            metrics.inference_failures.with_label_values(&[model.as_str()]);
            metrics.inference_replaced.with_label_values(&[model.as_str()]);
        }
        for end in ["by_peer", "by_us", "cancelled", "refused", "failed"] {
            metrics.calls_ended.with_label_values(&[end]);
        }
        for result in ["answered", "refused", "timed_out", "skipped", "nobody"] {
            metrics.info.with_label_values(&[result]);
        }
        for reason in ["stranger", "rate", "password"] {
            metrics.sip_rejected.with_label_values(&[reason]);
        }
        for decision in ["accepted", "rejected", "changed", "inconclusive"] {
            metrics.verdicts.with_label_values(&["speaker", decision]);
        }
        metrics.verdicts.with_label_values(&["keyword", "found"]);
        for state in ["pending", "met", "violated", "not_applicable", "unknown"] {
            metrics.verdicts.with_label_values(&["rule", state]);
        }
        for state in ["begun", "ended"] {
            metrics.verdicts.with_label_values(&["pause", state]);
        }
        for state in ["one_way", "heard", "closed"] {
            metrics.verdicts.with_label_values(&["line", state]);
        }
        metrics
    }

    /// The text format of Prometheus, see [`CONTENT_TYPE`].
    pub fn render(&self) -> String {
        self.ready.set(i64::from(self.health.not_ready_because().is_none()));
        self.store.refresh();
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut text)
            .expect("every family is well-formed, and a vector takes every byte");
        String::from_utf8(text).expect("the text format is UTF-8")
    }

    /// Runs a model and notes how long it took and whether it failed; the failure is logged.
    pub fn time<T, E: std::fmt::Display>(
        &self,
        model: Model,
        run: impl FnOnce() -> Result<T, E>,
    ) -> Option<T> {
        let start = Instant::now();
        let result = run();
        let seconds = start.elapsed().as_secs_f64();
        self.inference_seconds.with_label_values(&[model.as_str()]).observe(seconds);
        self.health.note_run(model, result.is_ok());
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.inference_failures.with_label_values(&[model.as_str()]).inc();
                tracing::warn!(model = model.as_str(), %error, "a model run failed");
                None
            }
        }
    }

    /// A window or segment gave way to a newer one.
    pub fn inference_replaced(&self, model: Model) {
        self.inference_replaced.with_label_values(&[model.as_str()]).inc();
    }

    /// A call was refused with `status`.
    pub fn call_refused(&self, status: u16) {
        self.calls_refused.with_label_values(&[&status.to_string()]).inc();
    }

    /// A call ended; `end` is one word of a closed list.
    pub fn call_ended(&self, end: &str) {
        self.calls_ended.with_label_values(&[end]).inc();
    }

    /// A call was ended because nothing came any more.
    pub fn silent_call(&self) {
        self.silent_calls.inc();
    }

    /// There will never be keys for a party's audio.
    pub fn handshake_failed(&self) {
        self.media.handshake_failed();
    }

    /// A next hop could not be sent to.
    pub fn unreachable(&self) {
        self.sip_unreachable.inc();
    }

    /// Whether `account` is registered now.
    pub fn registration(&self, account: &str, registered: bool) {
        self.sip_registered.with_label_values(&[account]).set(i64::from(registered));
    }

    /// `account` failed to register.
    pub fn registration_failed(&self, account: &str) {
        self.sip_registration_failures.with_label_values(&[account]).inc();
    }

    /// A verdict was given.
    pub fn verdict(&self, verdict: &Verdict) {
        let (kind, decision) = verdict.finding.labels();
        self.verdicts.with_label_values(&[kind, decision]).inc();
        if let Finding::Line { state: LineState::Closed, report } = &verdict.finding {
            self.media.line_closed(report);
        }
    }

    /// A window of a call was compared with a voiceprint; `look` has seen the call's earlier ones.
    pub fn compared(&self, look: &mut FirstLook, evidence: &SpeakerEvidence) {
        self.scores.compared(look, evidence);
    }

    /// New conversations are judged by `policy`, `name@version`.
    pub fn policy_in_force(&self, policy: &str) {
        self.policy.in_force(policy);
        self.health.set_policy(policy);
    }

    /// What became of so many events that were to be kept; `outcome` is one word of a closed list.
    pub fn rule_events(&self, outcome: &str, count: u64) {
        self.policy.events(outcome, count);
    }

    /// What became of a verdict's INFO; `result` is one word of a closed list.
    pub fn info(&self, result: &str) {
        self.info.with_label_values(&[result]).inc();
    }

    /// Publishes what the endpoint has counted since the last time.
    pub fn publish_sip(&self, stats: &SipStats) {
        let mut published = self.sip.lock().expect("nothing panics while it holds this lock");
        let before = std::mem::replace(&mut *published, stats.clone());
        self.calls_active.set(i64::try_from(stats.calls_alive).unwrap_or(i64::MAX));
        self.calls_refused
            .with_label_values(&["503"])
            .inc_by(stats.calls_refused - before.calls_refused);
        for (&method, count) in &stats.requests {
            let earlier = before.requests.get(method).copied().unwrap_or(0);
            self.sip_requests.with_label_values(&[method]).inc_by(count - earlier);
        }
        for (&kind, count) in &stats.malformed {
            let earlier = before.malformed.get(kind).copied().unwrap_or(0);
            self.sip_malformed.with_label_values(&[kind]).inc_by(count - earlier);
        }
        let (received, sent) = (stats.retransmissions_received, stats.retransmissions_sent);
        let retransmissions = &self.sip_retransmissions;
        retransmissions
            .with_label_values(&["received"])
            .inc_by(received - before.retransmissions_received);
        retransmissions.with_label_values(&["sent"]).inc_by(sent - before.retransmissions_sent);
        for (reason, count) in [
            ("stranger", stats.strangers - before.strangers),
            ("rate", stats.rate_limited - before.rate_limited),
            ("password", stats.wrong_passwords - before.wrong_passwords),
        ] {
            self.sip_rejected.with_label_values(&[reason]).inc_by(count);
        }
        self.sip_refreshes.inc_by(stats.refreshes_sent - before.refreshes_sent);
    }

    /// Publishes what the sockets have counted since the last time.
    pub fn publish_transports(&self, stats: &TransportStats) {
        let mut published =
            self.transports.lock().expect("nothing panics while it holds this lock");
        let before = std::mem::replace(&mut *published, *stats);
        for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
            let name = transport.as_str().to_ascii_lowercase();
            let (now, then) = (stats.of(transport), before.of(transport));
            let received = now.messages_in - then.messages_in;
            let sent = now.messages_out - then.messages_out;
            self.sip_messages.with_label_values(&[name.as_str(), "received"]).inc_by(received);
            self.sip_messages.with_label_values(&[name.as_str(), "sent"]).inc_by(sent);
            let open = i64::try_from(now.open).unwrap_or(i64::MAX);
            if transport.is_reliable() {
                self.sip_connections.with_label_values(&[name.as_str()]).set(open);
            }
        }
        for (bound, count) in [
            ("total", stats.refused_total - before.refused_total),
            ("peer", stats.refused_per_peer - before.refused_per_peer),
        ] {
            self.sip_connections_refused.with_label_values(&[bound]).inc_by(count);
        }
        for reason in CloseReason::ALL {
            let count = stats.closed(reason) - before.closed(reason);
            self.sip_connections_closed.with_label_values(&[reason.as_str()]).inc_by(count);
        }
        for fault in HandshakeFault::ALL {
            let count = stats.handshakes_failed(fault) - before.handshakes_failed(fault);
            self.sip_tls_failures.with_label_values(&[fault.as_str()]).inc_by(count);
        }
    }

    /// Publishes what one media session has counted since it was published last, `before`.
    pub fn publish_media(&self, before: &MediaStats, now: &MediaStats) {
        self.media.publish(before, now);
    }
}

/// Registers `metric` and gives it back; the registry shares its values.
fn registered<M: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    metric: M,
) -> M {
    registry.register(Box::new(metric.clone())).expect("no two metrics have one name");
    metric
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::runtime::reload::part::Part;
    use crate::speaker::calibration::{Comparison, Conditions, Likeness};
    use crate::speaker::score_drift::CALLS;
    use crate::speaker::verifier::Decision;

    #[test]
    fn what_may_come_of_rules_and_policies_is_there_at_zero() {
        let text = Metrics::new(Arc::default()).render();
        let zero = |series: &str| {
            assert!(text.lines().any(|line| line == format!("{series} 0")), "{series}: {text}");
        };
        for state in ["pending", "met", "violated", "not_applicable", "unknown"] {
            zero(&format!("sidetone_verdicts_total{{decision=\"{state}\",kind=\"rule\"}}"));
        }
        for outcome in ["applied", "unchanged", "refused"] {
            for part in Part::ALL.map(Part::as_str) {
                let labels = format!("outcome=\"{outcome}\",part=\"{part}\"");
                zero(&format!("sidetone_reloads_total{{{labels}}}"));
                zero(&format!("sidetone_reload_refused{{part=\"{part}\"}}"));
            }
        }
        for outcome in ["kept", "lost"] {
            zero(&format!("sidetone_rule_events_total{{outcome=\"{outcome}\"}}"));
        }
        for result in ["answered", "refused", "timed_out", "skipped", "nobody"] {
            zero(&format!("sidetone_info_total{{result=\"{result}\"}}"));
        }
    }

    #[test]
    fn counts_are_published_once() {
        let metrics = Metrics::new(Arc::default());
        let mut stats = SipStats::default();
        stats.requests.insert("INVITE", 3);
        metrics.publish_sip(&stats);
        metrics.publish_sip(&stats);
        let text = metrics.render();
        assert!(text.contains("sidetone_sip_requests_total{method=\"INVITE\"} 3\n"), "{text}");
    }

    #[test]
    fn a_call_counts_once_towards_drift_however_long_it_is_accepted() {
        let metrics = Metrics::new(Arc::default());
        let evidence = accepted(-3.0);
        for call in 1..=CALLS {
            let mut look = FirstLook::default();
            metrics.compared(&mut look, &evidence);
            metrics.compared(&mut look, &evidence);
            let text = metrics.render();
            let unknown = text.contains("sidetone_speaker_drift_index NaN\n");
            assert_eq!(unknown, call < CALLS, "after {call} calls");
        }
        let text = metrics.render();
        assert!(text.contains("sidetone_speaker_first_llr_nats_count 200\n"), "{text}");
        assert!(text.contains("sidetone_speaker_newest_llr_nats_count 400\n"), "{text}");
        assert!(
            text.contains("sidetone_speaker_newest_llr_nats_bucket{le=\"-2\"} 400\n"),
            "{text}"
        );
    }

    fn accepted(llr: f64) -> SpeakerEvidence {
        let at = Duration::from_secs(4);
        SpeakerEvidence {
            decision: Decision::Accepted,
            since: at,
            at,
            llr: 8.0,
            newest: Comparison {
                likeness: Likeness { decide: Some(0.75), watch: None },
                conditions: Conditions { range_db: 28.0, upper_db: -6.0, concealed: 0.0 },
                net_speech: at,
                fresh: 1.0,
            },
            newest_llr: llr,
            probability: 0.999,
            reason: None,
            net_speech: at,
            coverage: 1.0,
        }
    }
}
