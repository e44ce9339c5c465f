//! What is concluded of speakers, phrases, rules and lines, and how it is told in SIP.

use std::sync::Arc;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

use super::exemplars::Exemplars;
use super::families::Families;
use crate::policy::verdict::{Finding, SpeakerDecision, Verdict};
use crate::runtime::leg_figures::Analysis;

/// Upper bounds, s: the earliest decision takes one window of 3 s, the watch gives up after half a minute.
const SPEECH_BUCKETS: [f64; 10] = [2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 60.0];
/// Upper bounds: a machine that keeps up has all of it, so the classes are narrow there.
const COVERAGE_BUCKETS: [f64; 8] = [0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0];

const TAKEOVERS: &str = "sidetone_speaker_takeovers_total";
const DECISION_SPEECH: &str = "sidetone_speaker_decision_speech_seconds";

/// The metrics of verdicts.
#[derive(Debug)]
pub(super) struct VerdictMetrics {
    verdicts: IntCounterVec,
    info: IntCounterVec,
    takeovers: IntCounter,
    decision_speech: HistogramVec,
    coverage: [Histogram; Analysis::ALL.len()],
    exemplars: Arc<Exemplars>,
}

impl VerdictMetrics {
    pub(super) fn new(families: Families<'_>, exemplars: Arc<Exemplars>) -> Self {
        let coverage = families.histograms(
            "sidetone_leg_coverage_ratio",
            "Share of a leg's speech that was really analysed, at its end: speaker (compared), phrases (searched).",
            &["analysis"],
            &COVERAGE_BUCKETS,
        );
        let metrics = Self {
            verdicts: families.counters(
                "sidetone_verdicts_total",
                "Verdicts, by kind and conclusion.",
                &["kind", "decision"],
            ),
            info: families.counters(
                "sidetone_info_total",
                "Verdicts as SIP INFO: answered, refused, timed_out, skipped; nobody (no leg is there to be told).",
                &["result"],
            ),
            takeovers: families.counter(
                TAKEOVERS,
                "Times that somebody else took over from an accepted caller (verdict changed).",
            ),
            decision_speech: families.histograms(
                DECISION_SPEECH,
                "Net speech until the first decision about a leg's speaker: accepted, rejected, inconclusive.",
                &["decision"],
                &SPEECH_BUCKETS,
            ),
            coverage: Analysis::ALL.map(|of| coverage.with_label_values(&[of.as_str()])),
            exemplars,
        };
        for decision in
            [SpeakerDecision::Accepted, SpeakerDecision::Rejected, SpeakerDecision::Inconclusive]
        {
            metrics.decision_speech.with_label_values(&[decision.as_str()]);
        }
        for result in ["answered", "refused", "timed_out", "skipped", "nobody"] {
            metrics.info.with_label_values(&[result]);
        }
        let kinds: [(&str, &[&str]); 7] = [
            ("speaker", &["accepted", "suspect", "rejected", "changed", "inconclusive"]),
            ("watchlist", &["hit"]),
            ("keyword", &["found"]),
            ("rule", &["pending", "met", "violated", "not_applicable", "unknown"]),
            ("pause", &["begun", "ended"]),
            ("line", &["one_way", "heard", "closed"]),
            ("enrollment", &["collecting", "enrolled", "refused"]),
        ];
        for (kind, decisions) in kinds {
            decisions.iter().for_each(|decision| {
                metrics.verdicts.with_label_values(&[kind, *decision]);
            });
        }
        metrics
    }

    /// A verdict was given about the conversation of that `reference`.
    pub(super) fn told(&self, verdict: &Verdict, reference: &str) {
        let (kind, decision) = verdict.finding.labels();
        self.verdicts.with_label_values(&[kind, decision]).inc();
        if let Finding::Speaker { decision: SpeakerDecision::Changed, .. } = verdict.finding {
            self.takeovers.inc();
            self.exemplars.counted(TAKEOVERS, &[], reference);
        }
    }

    /// The first decision about a leg's speaker came after so much net speech, s.
    pub(super) fn decided(&self, decision: SpeakerDecision, speech: f64, reference: &str) {
        let labels = [match decision {
            SpeakerDecision::Accepted => decision.as_str(),
            SpeakerDecision::Rejected | SpeakerDecision::Changed => "rejected",
            // Whoever is suspect was accepted before, and nobody is told that it is undecided.
            SpeakerDecision::Inconclusive
            | SpeakerDecision::Suspect
            | SpeakerDecision::Undecided => "inconclusive",
        }];
        self.decision_speech.with_label_values(&labels).observe(speech);
        self.exemplars.observed(DECISION_SPEECH, (&labels, &SPEECH_BUCKETS), speech, reference);
    }

    /// Of a leg that is over such a share (0 to 1) of its speech was analysed.
    pub(super) fn covered(&self, analysis: Analysis, share: f64) {
        self.coverage[analysis as usize].observe(share);
    }

    /// What became of a verdict's INFO; `result` is one word of a closed list.
    pub(super) fn info(&self, result: &str) {
        self.info.with_label_values(&[result]).inc();
    }
}
