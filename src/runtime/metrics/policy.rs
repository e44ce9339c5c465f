//! Which policy is in force, what comes of its rules and phrases, and what became of events to be kept for its rules.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use prometheus::{IntCounterVec, IntGaugeVec};

use super::bounded::OTHER;
use super::exemplars::Exemplars;
use super::families::Families;
use crate::policy::rule::Policy;
use crate::policy::rules::standing::{RuleState, Severity};
use crate::policy::sensitivity::Sensitivity;
use crate::policy::verdict::{Finding, Verdict};

/// What a rule may come to; that it is pending is no outcome.
const OUTCOMES: [RuleState; 4] =
    [RuleState::Met, RuleState::Violated, RuleState::NotApplicable, RuleState::Unknown];
/// Severities that the rules without a label may have.
const SEVERITIES: [Severity; 3] = [Severity::Info, Severity::Warning, Severity::Critical];
/// Rules that have a label of their own, the first of the policy: with the rest under one label that makes 96 series.
const MOST_RULES: usize = 21;
/// Phrases that have, likewise: 97 series.
const MOST_PHRASES: usize = 95;

const RULES: &str = "sidetone_rule_verdicts_total";
const PHRASES: &str = "sidetone_phrase_hits_total";

/// The metrics of policies.
#[derive(Debug)]
pub(super) struct PolicyMetrics {
    in_force: IntGaugeVec,
    events: IntCounterVec,
    rules: IntCounterVec,
    phrases: IntCounterVec,
    named: Mutex<Named>,
    exemplars: Arc<Exemplars>,
}

/// The ids that are labels.
#[derive(Debug, Default)]
struct Named {
    rules: BTreeMap<String, Severity>,
    phrases: Vec<String>,
}

impl PolicyMetrics {
    pub(super) fn new(families: Families<'_>, exemplars: Arc<Exemplars>) -> Self {
        let metrics = Self {
            events: families.counters(
                "sidetone_rule_events_total",
                "Events to be kept for an audit: kept, lost (the disk refused or was too slow; the file ends there).",
                &["outcome"],
            ),
            in_force: families.gauges(
                "sidetone_policy_info",
                "Always 1; the policy that new conversations are judged by is its label.",
                &["policy"],
            ),
            rules: families.counters(
                RULES,
                "What rules came to: met, violated, not_applicable, unknown. The policy in force has the ids; rules beyond \
                 its 21st, and those of a policy before it, are other.",
                &["rule", "severity", "outcome"],
            ),
            phrases: families.counters(
                PHRASES,
                "Times that a watched phrase was said. The policy in force has the ids; personal are all whose id no log may \
                 keep, other those beyond its 95th and of a policy before it.",
                &["phrase"],
            ),
            named: Mutex::default(),
            exemplars,
        };
        for outcome in ["kept", "lost"] {
            metrics.events.with_label_values(&[outcome]);
        }
        for severity in SEVERITIES {
            metrics.each_outcome(OTHER, severity, |rules, labels| {
                rules.with_label_values(labels);
            });
        }
        for phrase in [Sensitivity::Personal.as_str(), OTHER] {
            metrics.phrases.with_label_values(&[phrase]);
        }
        metrics
    }

    /// New conversations are judged by `policy`: its ids are labels from now on, at zero, and others go.
    pub(super) fn in_force(&self, policy: &Policy) {
        self.in_force.reset();
        self.in_force.with_label_values(&[policy.versioned_name().as_str()]).set(1);
        let rules = policy.rules.iter().filter(|rule| rule.id != OTHER).take(MOST_RULES);
        let phrases = policy.phrases.iter();
        let phrases = phrases.filter(|phrase| {
            let shared = [OTHER, Sensitivity::Personal.as_str()].contains(&phrase.id.as_str());
            phrase.sensitivity != Sensitivity::Personal && !shared
        });
        let named = Named {
            rules: rules.map(|rule| (rule.id.clone(), rule.severity)).collect(),
            phrases: phrases.map(|phrase| phrase.id.clone()).take(MOST_PHRASES).collect(),
        };
        let mut before = self.named.lock().expect("nothing panics while it holds this lock");
        for (rule, severity) in &before.rules {
            if named.rules.get(rule) != Some(severity) {
                self.each_outcome(rule, *severity, |rules, labels| {
                    let _ = rules.remove_label_values(labels);
                });
            }
        }
        for phrase in before.phrases.iter().filter(|phrase| !named.phrases.contains(phrase)) {
            let _ = self.phrases.remove_label_values(&[phrase.as_str()]);
        }
        for (rule, severity) in &named.rules {
            self.each_outcome(rule, *severity, |rules, labels| {
                rules.with_label_values(labels);
            });
        }
        for phrase in &named.phrases {
            self.phrases.with_label_values(&[phrase.as_str()]);
        }
        *before = named;
    }

    /// A verdict was given about the conversation of that `reference`.
    pub(super) fn told(&self, verdict: &Verdict, reference: &str) {
        let named = self.named.lock().expect("nothing panics while it holds this lock");
        match &verdict.finding {
            Finding::Rule { rule, state, severity, .. } if OUTCOMES.contains(state) => {
                let known = named.rules.get(rule) == Some(severity);
                let rule = if known { rule.as_str() } else { OTHER };
                let (severity, outcome) = (severity.as_str(), state.as_str());
                self.rules.with_label_values(&[rule, severity, outcome]).inc();
                if *state == RuleState::Violated {
                    // In the order of the labels' names.
                    self.exemplars.counted(RULES, &[outcome, rule, severity], reference);
                }
            }
            Finding::Keyword { phrase, sensitivity, .. } => {
                let phrase = match sensitivity {
                    Sensitivity::Personal => sensitivity.as_str(),
                    Sensitivity::Public | Sensitivity::Internal
                        if named.phrases.contains(phrase) =>
                    {
                        phrase
                    }
                    Sensitivity::Public | Sensitivity::Internal => OTHER,
                };
                self.phrases.with_label_values(&[phrase]).inc();
            }
            Finding::Rule { .. }
            | Finding::Speaker { .. }
            | Finding::Watchlist { .. }
            | Finding::Line { .. }
            | Finding::Pause { .. }
            | Finding::Enrollment { .. } => {}
        }
    }

    pub(super) fn events(&self, outcome: &str, count: u64) {
        self.events.with_label_values(&[outcome]).inc_by(count);
    }

    fn each_outcome(&self, rule: &str, severity: Severity, act: impl Fn(&IntCounterVec, &[&str])) {
        for outcome in OUTCOMES {
            act(&self.rules, &[rule, severity.as_str(), outcome.as_str()]);
        }
    }
}
