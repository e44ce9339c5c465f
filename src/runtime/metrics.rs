//! What Prometheus sees; the only room that names `prometheus`.
//!
//! Base units, ratios 0 to 1, `_total` for counters, and no label that grows with calls or people: no family has 100
//! series, whoever chooses its labels. `docs/watch-it.md` tells all of them.

mod actions;
mod bounded;
mod calls;
mod exemplars;
mod families;
mod http;
mod inference;
pub mod installation;
pub mod media;
mod notify;
mod openmetrics;
pub mod overload;
mod pauses;
mod policy;
pub mod queues;
mod recordings;
mod scores;
mod service;
mod sip;
mod store;
mod verdicts;

use std::sync::{Arc, Mutex};
use std::time::Instant;

use prometheus::{Encoder, IntCounter, IntGauge, Registry, TextEncoder};

use crate::audio::decoder::Codec;
use crate::call::media_stats::MediaStats;
use crate::policy::evidence::SpeakerEvidence;
use crate::policy::rule::Policy;
use crate::policy::verdict::{Finding, SpeakerDecision, Verdict};
use crate::runtime::health::{Health, Model};
use crate::runtime::leg_figures::{Analysis, LegState};
use crate::runtime::metrics::actions::ActionMetrics;
use crate::runtime::metrics::calls::CallMetrics;
use crate::runtime::metrics::exemplars::Exemplars;
use crate::runtime::metrics::families::Families;
use crate::runtime::metrics::http::HttpMetrics;
use crate::runtime::metrics::inference::InferenceMetrics;
use crate::runtime::metrics::installation::InstallationMetrics;
use crate::runtime::metrics::media::{CodecHeard, MediaMetrics};
use crate::runtime::metrics::notify::NotifyMetrics;
use crate::runtime::metrics::overload::{OverloadMetrics, Rung};
use crate::runtime::metrics::pauses::PauseMetrics;
use crate::runtime::metrics::policy::PolicyMetrics;
use crate::runtime::metrics::queues::QueueMetrics;
use crate::runtime::metrics::recordings::RecordingMetrics;
use crate::runtime::metrics::scores::ScoreMetrics;
use crate::runtime::metrics::service::ServiceMetrics;
use crate::runtime::metrics::sip::SipMetrics;
use crate::runtime::metrics::store::StoreMetrics;
use crate::runtime::metrics::verdicts::VerdictMetrics;
use crate::runtime::transport::stats::TransportStats;
use crate::sip::stats::Stats as SipStats;
use crate::speaker::score_drift::FirstLook;

/// All metrics of the appliance.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    calls: CallMetrics,
    sip: SipMetrics,
    media: MediaMetrics,
    scores: ScoreMetrics,
    verdicts: VerdictMetrics,
    policy: PolicyMetrics,
    inference: InferenceMetrics,
    overload: OverloadMetrics,
    /// Lost events are the last rung but two; counted apart from those that are kept.
    events_lost: IntCounter,
    /// What waits between the threads.
    pub queues: QueueMetrics,
    /// Models, threads, certificates.
    pub installation: InstallationMetrics,
    /// Recording sessions, and what their metadata is worth.
    pub recordings: RecordingMetrics,
    /// How often legs are paused.
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
    exemplars: Arc<Exemplars>,
    /// What of the endpoint was published.
    published: Mutex<SipStats>,
}

/// A scrape.
#[derive(Clone, Debug)]
pub struct Scrape {
    /// Which format its text has.
    pub content_type: &'static str,
    /// All metrics.
    pub text: String,
}

impl Metrics {
    /// All of them at zero, in a registry of their own, with the process's own figures.
    pub fn new(health: Arc<Health>) -> Self {
        Self::with_exemplars(health, false)
    }

    /// The same; where they are `wanted`, whoever asks for OpenMetrics gets exemplars.
    pub fn with_exemplars(health: Arc<Health>, wanted: bool) -> Self {
        let registry = Registry::new();
        let families = Families(&registry);
        let exemplars = Arc::new(Exemplars::new(wanted));
        let overload = OverloadMetrics::new(families);
        let process = prometheus::process_collector::ProcessCollector::for_self();
        registry.register(Box::new(process)).expect("nothing else has its names");
        Self {
            calls: CallMetrics::new(families),
            sip: SipMetrics::new(families),
            media: MediaMetrics::new(&registry, &overload, Arc::clone(&exemplars)),
            scores: ScoreMetrics::new(&registry),
            verdicts: VerdictMetrics::new(families, Arc::clone(&exemplars)),
            policy: PolicyMetrics::new(families, Arc::clone(&exemplars)),
            inference: InferenceMetrics::new(families),
            events_lost: overload.of(Rung::RuleEvent),
            queues: QueueMetrics::new(families),
            installation: InstallationMetrics::new(&registry),
            recordings: RecordingMetrics::new(&registry),
            pauses: PauseMetrics::new(&registry),
            actions: ActionMetrics::new(&registry),
            http: HttpMetrics::new(&registry),
            service: ServiceMetrics::new(&registry),
            store: StoreMetrics::new(&registry, &overload),
            notify: NotifyMetrics::new(&registry, &overload),
            ready: families.gauge("sidetone_ready", "1 while /ready says so."),
            overload,
            health,
            exemplars,
            published: Mutex::default(),
            registry,
        }
    }

    /// The text format of Prometheus, for whoever asks.
    pub fn render(&self) -> String {
        self.refresh();
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut text)
            .expect("every family is well-formed, and a vector takes every byte");
        String::from_utf8(text).expect("the text format is UTF-8")
    }

    /// A scrape for whoever accepts `accept`: OpenMetrics only where exemplars are wanted here and it is asked for.
    pub fn scrape(&self, accept: &str) -> Scrape {
        let asked = accept.split(',').any(|range| {
            let (kind, parameters) = range.split_once(';').unwrap_or((range, ""));
            let refused = parameters.split(';').any(|p| matches!(p.trim(), "q=0" | "q=0.0"));
            kind.trim().eq_ignore_ascii_case("application/openmetrics-text") && !refused
        });
        if !asked || !self.exemplars.are_wanted() {
            let content_type = "text/plain; version=0.0.4; charset=utf-8";
            return Scrape { content_type, text: self.render() };
        }
        self.refresh();
        let text = openmetrics::render(&self.registry.gather(), &self.exemplars);
        Scrape { content_type: openmetrics::CONTENT_TYPE, text }
    }

    /// Whether conversations' references are told, so that the log has to tell them, too.
    pub fn tells_exemplars(&self) -> bool {
        self.exemplars.are_wanted()
    }

    fn refresh(&self) {
        self.ready.set(i64::from(self.health.not_ready_because().is_none()));
        self.store.refresh();
        self.queues.refresh();
        self.installation.refresh(&self.health);
    }

    /// Runs a model on so many `items` at once and notes how long it took and whether it failed; the failure is logged.
    pub fn time<T, E: std::fmt::Display>(
        &self,
        model: Model,
        items: usize,
        run: impl FnOnce() -> Result<T, E>,
    ) -> Option<T> {
        let start = Instant::now();
        let result = run();
        self.inference.ran(model, items, start.elapsed());
        self.health.note_run(model, result.is_ok());
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.inference.failed(model);
                tracing::warn!(model = model.as_str(), %error, "a model run failed");
                None
            }
        }
    }

    /// A window or segment gave way to a newer one.
    pub fn inference_replaced(&self, model: Model) {
        self.inference.replaced(model);
        let rung = match model {
            Model::Speaker | Model::SpeakerWatch | Model::Turns => Rung::SpeakerWindow,
            Model::Keyword => Rung::KeywordSegment,
        };
        self.overload.of(rung).inc();
    }

    /// A call was refused with `status`.
    pub fn call_refused(&self, status: u16) {
        self.calls.refused(status);
        if status == 503 {
            self.overload.of(Rung::NewCall).inc();
        }
    }

    /// A call ended; `end` is one word of a closed list.
    pub fn call_ended(&self, end: &str) {
        self.calls.ended(end);
    }

    /// A call was ended because nothing came any more.
    pub fn silent_call(&self) {
        self.calls.silent();
    }

    /// What all legs are at now.
    pub fn legs(&self, states: impl Iterator<Item = LegState>) {
        self.calls.legs(states);
    }

    /// There will never be keys for a party's audio.
    pub fn handshake_failed(&self) {
        self.media.handshake_failed();
    }

    /// A next hop could not be sent to.
    pub fn unreachable(&self) {
        self.sip.unreachable();
    }

    /// Whether `account` is registered now.
    pub fn registration(&self, account: &str, registered: bool) {
        self.sip.registration(account, registered);
    }

    /// `account` failed to register.
    pub fn registration_failed(&self, account: &str) {
        self.sip.registration_failed(account);
    }

    /// A verdict was given about the conversation of that `reference`.
    pub fn verdict(&self, verdict: &Verdict, reference: &str) {
        self.verdicts.told(verdict, reference);
        self.policy.told(verdict, reference);
        if let Finding::Line { state, report } = &verdict.finding {
            self.media.line(*state, report, reference);
        }
    }

    /// The first decision about a leg's speaker came after so much net speech, s, in the conversation of that `reference`.
    pub fn decided(&self, decision: SpeakerDecision, speech: f64, reference: &str) {
        self.verdicts.decided(decision, speech, reference);
    }

    /// Of a leg that is over such a share (0 to 1) of its speech was analysed.
    pub fn covered(&self, analysis: Analysis, share: f64) {
        self.verdicts.covered(analysis, share);
    }

    /// A window of a call was compared with a voiceprint; `look` has seen the call's earlier ones.
    pub fn compared(&self, look: &mut FirstLook, evidence: &SpeakerEvidence) {
        self.scores.compared(look, evidence);
    }

    /// New conversations are judged by `policy`.
    pub fn policy_in_force(&self, policy: &Policy) {
        self.policy.in_force(policy);
        self.health.set_policy(&policy.versioned_name());
    }

    /// What became of so many events that were to be kept; `outcome` is one word of a closed list.
    pub fn rule_events(&self, outcome: &str, count: u64) {
        self.policy.events(outcome, count);
        if outcome == "lost" {
            self.events_lost.inc_by(count);
        }
    }

    /// What became of a verdict's INFO; `result` is one word of a closed list.
    pub fn info(&self, result: &str) {
        self.verdicts.info(result);
    }

    /// Publishes what the endpoint has counted since the last time.
    pub fn publish_sip(&self, stats: &SipStats) {
        let mut published = self.published.lock().expect("nothing panics while it holds this lock");
        let before = std::mem::replace(&mut *published, stats.clone());
        self.sip.publish(&before, stats);
        self.calls.publish(&before, stats);
        self.overload.of(Rung::NewCall).inc_by(stats.calls_refused - before.calls_refused);
    }

    /// Publishes what the sockets have counted since the last time.
    pub fn publish_transports(&self, stats: &TransportStats) {
        self.sip.publish_transports(stats);
    }

    /// Publishes what one media session has counted since it was published last, `before`.
    pub fn publish_media(&self, before: &MediaStats, now: &MediaStats) {
        self.media.publish(before, now);
    }

    /// A leg that hears `codec`, for as long as what is given back lives.
    pub fn hears(&self, codec: Codec) -> CodecHeard {
        self.media.hears(codec)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::policy::rules::standing::{Reason, RuleState, Severity};
    use crate::policy::sensitivity::Sensitivity;
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

    /// A policy of so many rules and phrases.
    fn policy(version: &str, rules: usize, phrases: usize) -> Policy {
        let phrase = |n| format!("[[phrase]]\nid = 'p{n}'\ntext = 'your capital'\n");
        let rule = |n| {
            format!(
                "[[rule]]\nid = 'r{n}'\nkind = 'forbidden'\nphrases = ['p0']\nseverity = 'critical'\n"
            )
        };
        let phrases = (0..phrases).map(phrase).chain((0..rules).map(rule));
        let text: String = phrases.collect();
        toml::from_str(&format!("name = 'p'\nversion = '{version}'\n{text}")).expect("a policy")
    }

    fn verdict(finding: Finding) -> Verdict {
        Verdict {
            version: crate::policy::verdict::SCHEMA_VERSION,
            sequence: 1,
            conversation: "+41441234567".to_owned(),
            party: crate::policy::rule::Party::Caller,
            finding,
            since: jiff::Timestamp::UNIX_EPOCH,
            since_s: 1.0,
            net_speech_s: 3.5,
            coverage: 1.0,
            model: None,
            policy: "p@1".to_owned(),
        }
    }

    fn said(phrase: &str, sensitivity: Sensitivity) -> Finding {
        let (phrase, score, exact) = (phrase.to_owned(), 0.0, true);
        let (start_s, end_s, experiment) = (1.0, 2.0, None);
        Finding::Keyword { phrase, sensitivity, start_s, end_s, score, exact, experiment }
    }

    fn broken(rule: &str, severity: Severity) -> Finding {
        let (rule, phrases) = (rule.to_owned(), Vec::new());
        let (state, reason) = (RuleState::Violated, Reason::Said);
        Finding::Rule { rule, state, severity, reason, deadline: None, phrases, experiment: None }
    }

    fn changed() -> Finding {
        let (subject, decision) = ("somebody".to_owned(), SpeakerDecision::Changed);
        Finding::Speaker { subject, decision, llr: Some(-9.0), probability: None, reason: None }
    }

    #[test]
    fn no_family_has_a_hundred_series_whoever_chooses_its_labels() {
        let metrics = Metrics::new(Arc::default());
        metrics.policy_in_force(&policy("1", 100, 150));
        let mut stats = SipStats::default();
        for n in 0..150_u16 {
            let name = format!("name-{n}");
            metrics.registration(&name, true);
            metrics.registration_failed(&name);
            metrics.notify.configured(&name);
            metrics.notify.result(&name, "overflow");
            metrics.notify.failure(&name, "login");
            metrics.notify.delivered_after(&name, Duration::from_secs(1));
            metrics.call_refused(400 + n);
            for severity in [Severity::Info, Severity::Warning, Severity::Critical] {
                metrics.verdict(&verdict(broken(&format!("r{n}"), severity)), "");
            }
            metrics.verdict(&verdict(said(&format!("p{n}"), Sensitivity::Public)), "");
            for method in ["INVITE", "MADE-UP"] {
                stats.responses_received.count(method, 300 + n);
                stats.responses_sent.count(method, 300 + n);
            }
        }
        metrics.publish_sip(&stats);
        for family in metrics.registry.gather() {
            let buckets = |metric: &prometheus::proto::Metric| match family.get_field_type() {
                prometheus::proto::MetricType::HISTOGRAM => {
                    metric.get_histogram().get_bucket().len() + 3
                }
                _ => 1,
            };
            let series: usize = family.get_metric().iter().map(buckets).sum();
            assert!(series < 100, "{}: {series}", family.name());
        }
        let text = metrics.render();
        let has = |line: &str| assert!(text.contains(line), "{line}: {text}");
        has("sidetone_phrase_hits_total{phrase=\"p94\"} 1\n");
        has("sidetone_phrase_hits_total{phrase=\"other\"} 55\n");
        has(
            "sidetone_rule_verdicts_total{outcome=\"violated\",rule=\"r20\",severity=\"critical\"} 1\n",
        );
        // 129 that have no label, and 21 that are none of the policy's as it has them.
        has(
            "sidetone_rule_verdicts_total{outcome=\"violated\",rule=\"other\",severity=\"critical\"} 129\n",
        );
        has(
            "sidetone_rule_verdicts_total{outcome=\"violated\",rule=\"other\",severity=\"info\"} 150\n",
        );
        has("sidetone_overload_total{rung=\"receiver_verdict\"} 150\n");
    }

    #[test]
    fn another_policy_brings_its_ids_at_zero_and_takes_the_old_ones_away() {
        let metrics = Metrics::new(Arc::default());
        metrics.policy_in_force(&policy("1", 2, 2));
        metrics.verdict(&verdict(broken("r0", Severity::Critical)), "");
        metrics.verdict(&verdict(said("p1", Sensitivity::Public)), "");
        metrics.verdict(&verdict(said("debts", Sensitivity::Personal)), "");
        metrics.policy_in_force(&policy("2", 1, 1));
        metrics.verdict(&verdict(said("p1", Sensitivity::Public)), "");
        let text = metrics.render();
        let has = |line: &str| assert!(text.contains(line), "{line}: {text}");
        has("sidetone_policy_info{policy=\"p@2\"} 1\n");
        has(
            "sidetone_rule_verdicts_total{outcome=\"violated\",rule=\"r0\",severity=\"critical\"} 1\n",
        );
        has("sidetone_rule_verdicts_total{outcome=\"met\",rule=\"r0\",severity=\"critical\"} 0\n");
        has("sidetone_phrase_hits_total{phrase=\"p0\"} 0\n");
        has("sidetone_phrase_hits_total{phrase=\"other\"} 1\n");
        has("sidetone_phrase_hits_total{phrase=\"personal\"} 1\n");
        for gone in ["\"r1\"", "\"p1\"", "debts", "p@1"] {
            assert!(!text.contains(gone), "{gone}: {text}");
        }
    }

    #[test]
    fn exemplars_are_told_only_where_both_sides_want_them_and_never_with_the_conversation_s_id() {
        let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2";
        let scrape = |wanted: bool, accept: &str| {
            let metrics = Metrics::with_exemplars(Arc::default(), wanted);
            metrics.policy_in_force(&policy("1", 1, 1));
            metrics.verdict(&verdict(changed()), "00c0ffee");
            metrics.verdict(&verdict(broken("r0", Severity::Critical)), "00c0ffee");
            metrics.decided(SpeakerDecision::Accepted, 3.5, "00c0ffee");
            metrics.scrape(accept)
        };
        let told = scrape(true, accept).text;
        for line in [
            "sidetone_speaker_takeovers_total 1.0 # {conversation=\"00c0ffee\"} 1.0 ",
            "sidetone_rule_verdicts_total{outcome=\"violated\",rule=\"r0\",severity=\"critical\"} 1.0 # {conv",
            "sidetone_speaker_decision_speech_seconds_bucket{decision=\"accepted\",le=\"4.0\"} 1 # {conversation=\"00c0ffee\"} 3.5 ",
            "sidetone_speaker_decision_speech_seconds_bucket{decision=\"accepted\",le=\"3.0\"} 0\n",
        ] {
            assert!(told.contains(line), "{line}: {told}");
        }
        assert!(told.ends_with("\n# EOF\n"));
        // What may be negative has neither sum nor count in this format.
        assert!(told.contains("sidetone_speaker_first_llr_nats_bucket{le=\"-8.9\"} 0\n"));
        assert!(!told.contains("first_llr_nats_sum") && !told.contains("first_llr_nats_count"));
        assert!(!told.contains("41441234567"));
        for (wanted, accept) in [
            (false, accept),
            (true, "text/plain"),
            (true, ""),
            (true, "application/openmetrics-text;q=0, */*"),
        ] {
            let Scrape { content_type, text } = scrape(wanted, accept);
            assert!(content_type.starts_with("text/plain"), "{wanted} {accept}");
            assert!(!text.contains("00c0ffee") && !text.contains("# EOF"), "{wanted} {accept}");
        }
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
