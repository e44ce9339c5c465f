//! Whom verdicts about phrases and rules are signalled to; standard output and the metrics have all of them.

use serde::Deserialize;

use crate::policy::rule::{Party, Policy};
use crate::policy::rules::standing::{RuleState, Severity};
use crate::policy::verdict::Finding;

/// `signal` of a `[[phrase]]`. What it leaves out the policy's `[signal]` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhraseSignal {
    /// See [`Signal::info`].
    pub info: Option<Vec<Party>>,
    /// See [`Signal::log`].
    pub log: Option<bool>,
}

/// `signal` of a `[[rule]]`. What it leaves out the policy's `[signal]` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSignal {
    /// See [`Signal::info`].
    pub info: Option<Vec<Party>>,
    /// See [`Signal::log`].
    pub log: Option<bool>,
    /// States that are signalled; all of them without it.
    pub states: Option<Vec<RuleState>>,
}

/// `[signal]` of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UsualSignal {
    /// Of phrases and rules that do not say it themselves.
    pub info: Option<Vec<Party>>,
    /// Of phrases and rules that do not say it themselves.
    pub log: bool,
    /// Of rules that do not say it themselves.
    pub states: Option<Vec<RuleState>>,
    /// Rules of a lesser severity are not signalled, whatever they say.
    pub severity: Option<Severity>,
}

/// Whom one verdict is signalled to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal<'a> {
    /// The parties of the conversation whose dialogs get it as INFO; without it that of the leg that showed it.
    pub info: Option<&'a [Party]>,
    /// Whether the log has a line of it.
    pub log: bool,
}

impl Signal<'_> {
    /// A verdict that stays where all of them are.
    const NONE: Self = Self { info: Some(&[]), log: false };

    /// Whether it is for a leg of `party`; a mixed leg holds everybody. `own` says that this leg showed it.
    pub fn is_for(&self, party: Party, own: bool) -> bool {
        match self.info {
            None => own,
            Some([]) => false,
            Some(parties) => party == Party::Mixed || parties.contains(&party),
        }
    }
}

impl Policy {
    /// Whom a verdict with this finding is signalled to.
    pub fn signal(&self, finding: &Finding) -> Signal<'_> {
        let usual = &self.signal;
        let (info, log) = match finding {
            Finding::Keyword { phrase, .. } => {
                let phrase = self.phrases.iter().find(|known| known.id == *phrase);
                phrase.map_or((&None, None), |phrase| (&phrase.signal.info, phrase.signal.log))
            }
            Finding::Rule { rule, state, severity, .. } => {
                let rule = self.rules.iter().find(|known| known.id == *rule);
                let own = rule.and_then(|rule| rule.signal.states.as_ref());
                let states = own.or(usual.states.as_ref());
                let unwanted = states.is_some_and(|states| !states.contains(state));
                if unwanted || usual.severity.is_some_and(|least| *severity < least) {
                    return Signal::NONE;
                }
                rule.map_or((&None, None), |rule| (&rule.signal.info, rule.signal.log))
            }
            Finding::Speaker { .. }
            | Finding::Watchlist { .. }
            | Finding::Line { .. }
            | Finding::Pause { .. }
            | Finding::Enrollment { .. } => return Signal { info: None, log: false },
        };
        let info = info.as_ref().or(usual.info.as_ref());
        Signal { info: info.map(Vec::as_slice), log: log.unwrap_or(usual.log) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::rules::standing::Reason;

    const PLAIN: &str = "name = 'p'\nversion = '1'\n\
        [[phrase]]\nid = 'a'\ntext = 'one'\n\
        [[rule]]\nid = 'r'\nkind = 'count'\nphrases = ['a']\nat_most = 1\n";

    fn policy(changes: &[(&str, &str)]) -> Policy {
        let text = changes.iter().fold(PLAIN.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        });
        toml::from_str(&text).expect("a policy")
    }

    fn phrase() -> Finding {
        let phrase = "a".to_owned();
        Finding::Keyword {
            phrase,
            start_s: 0.0,
            end_s: 1.0,
            score: 0.0,
            exact: true,
            experiment: None,
            sensitivity: crate::policy::sensitivity::Sensitivity::default(),
        }
    }

    fn rule(state: RuleState, severity: Severity) -> Finding {
        let (rule, reason) = ("r".to_owned(), Reason::Said);
        Finding::Rule {
            rule,
            state,
            severity,
            reason,
            deadline: None,
            phrases: Vec::new(),
            experiment: None,
        }
    }

    #[test]
    fn a_policy_that_says_nothing_signals_to_the_leg_that_showed_it() {
        let policy = policy(&[]);
        let violated = rule(RuleState::Violated, Severity::Info);
        for finding in [phrase(), violated] {
            assert_eq!(policy.signal(&finding), Signal { info: None, log: false });
        }
        let signal = policy.signal(&phrase());
        assert_eq!(
            (signal.is_for(Party::Caller, true), signal.is_for(Party::Agent, false)),
            (true, false)
        );
    }

    #[test]
    fn what_a_phrase_says_goes_before_what_the_policy_says() {
        let usual = "version = '1'\nsignal = { info = [], log = true }";
        let own = "text = 'one'\nsignal = { info = ['agent'] }";
        let policy = policy(&[("version = '1'", usual), ("text = 'one'", own)]);
        let signal = policy.signal(&phrase());
        assert_eq!(signal, Signal { info: Some(&[Party::Agent]), log: true });
        let legs = [Party::Agent, Party::Caller, Party::Mixed].map(|leg| signal.is_for(leg, true));
        assert_eq!(legs, [true, false, true]);
        let rule = policy.signal(&rule(RuleState::Met, Severity::Info));
        assert_eq!(rule, Signal { info: Some(&[]), log: true });
        assert!(!rule.is_for(Party::Mixed, true));
    }

    #[test]
    fn only_the_states_that_are_named_and_the_severities_from_the_one_named_are_signalled() {
        let usual =
            "version = '1'\nsignal = { states = ['violated', 'unknown'], severity = 'warning' }";
        let own = "at_most = 1\nsignal = { states = ['violated'], info = ['caller', 'agent'] }";
        let of =
            |policy: &Policy, state, severity| policy.signal(&rule(state, severity)).info.is_none();
        let told = |policy: &Policy| {
            [
                of(policy, RuleState::Violated, Severity::Critical),
                of(policy, RuleState::Violated, Severity::Warning),
                of(policy, RuleState::Violated, Severity::Info),
                of(policy, RuleState::Unknown, Severity::Warning),
                of(policy, RuleState::Met, Severity::Critical),
            ]
        };
        assert_eq!(told(&policy(&[("version = '1'", usual)])), [true, true, false, true, false]);
        let policy = policy(&[("version = '1'", usual), ("at_most = 1", own)]);
        let both = Signal { info: Some(&[Party::Caller, Party::Agent]), log: false };
        assert_eq!(policy.signal(&rule(RuleState::Violated, Severity::Warning)), both);
        assert_eq!(policy.signal(&rule(RuleState::Unknown, Severity::Warning)), Signal::NONE);
    }
}
