//! The rules of one conversation: events in, changes out. The same for a call and for what is kept of one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::policy::rule::{Party, Policy};
use crate::policy::rules::check::other_of;
use crate::policy::rules::condition::Condition;
use crate::policy::rules::consent::{self, Words};
use crate::policy::rules::definition::{Anchor, Kind, Limit, Rule};
use crate::policy::rules::event::Event;
use crate::policy::rules::ledger::Ledger;
use crate::policy::rules::standing::{Course, Reason, RuleState, Said, Standing};
use crate::policy::rules::{count, forbidden, required, sequence};

/// How one rule stands from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its place in the policy's list.
    pub rule: usize,
    /// How it stands.
    pub standing: Standing,
}

/// The rules of one conversation.
///
/// A rule is judged by what has been said up to the time that is analysed of everybody whom it concerns,
/// and decided once nothing that may still come can alter it; so neither a model's delays nor the order of
/// two legs' events matter.
#[derive(Debug)]
pub struct RuleBook {
    policy: Arc<Policy>,
    ledger: Ledger,
    told: Vec<Told>,
    changes: VecDeque<Change>,
}

/// What was told of a rule.
#[derive(Clone, Debug, Default)]
struct Told {
    running: Option<Standing>,
    due: Option<Duration>,
    decided: Option<Standing>,
}

impl RuleBook {
    /// Nothing has happened yet.
    pub fn new(policy: Arc<Policy>) -> Self {
        let told = vec![Told::default(); policy.rules.len()];
        let ledger = Ledger::new(Arc::clone(&policy));
        Self { policy, ledger, told, changes: VecDeque::new() }
    }

    /// Something happened; see [`Event`] for how late it may be told.
    pub fn handle(&mut self, event: &Event) {
        if self.is_decided() {
            return;
        }
        self.ledger.record(event);
        match event {
            Event::Started { .. }
            | Event::Joined { .. }
            | Event::Answered { .. }
            | Event::Analysed { .. }
            | Event::Suspended { .. }
            | Event::Left { .. }
            | Event::Over { .. } => self.judge(),
            // They count once the leg is analysed that far.
            Event::Phrase { .. } | Event::Gap { .. } | Event::Talk { .. } => {}
        }
    }

    /// It is `now` in conversation time, and all that happened on any leg before has been told.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.ledger.pass(now);
        self.judge();
    }

    /// When a deadline is over by time alone, since nobody whom it concerns is talking.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let rules = self.policy.rules.iter().zip(&self.told);
        let waiting = rules.filter(|(rule, told)| {
            told.decided.is_none() && self.ledger.is_silent(concerned(rule))
        });
        waiting.filter_map(|(_, told)| told.due).min()
    }

    /// The next change; drain it after every `handle` and `handle_timeout`.
    pub fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    /// How each rule stands by now, in the order of the policy.
    pub fn standings(&self) -> impl Iterator<Item = (&Rule, Standing)> {
        self.policy.rules.iter().zip(&self.told).map(|(rule, told)| {
            let open =
                || Standing::new(RuleState::Pending, Reason::Open, Duration::ZERO, Vec::new());
            let standing = told.decided.as_ref().or(told.running.as_ref()).cloned();
            (rule, standing.unwrap_or_else(open))
        })
    }

    /// The policy that the rules are of.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Id of the phrase and the party of what was said.
    pub fn describe(&self, said: Said) -> (&str, Party) {
        let party = self.ledger.party(said.leg).unwrap_or_default();
        (self.policy.phrases[said.phrase].id.as_str(), party)
    }

    /// Whether nothing can change any more.
    pub fn is_decided(&self) -> bool {
        self.told.iter().all(|told| told.decided.is_some())
    }

    fn judge(&mut self) {
        for (place, rule) in self.policy.rules.iter().enumerate() {
            if self.told[place].decided.is_some() {
                continue;
            }
            match applies(&rule.when, &self.ledger) {
                None => continue,
                // It never was a rule for this conversation, so there is nothing to tell.
                Some(false) => {
                    let at = self.ledger.over().unwrap_or_default();
                    let (state, reason) = (RuleState::NotApplicable, Reason::Condition);
                    self.told[place].decided = Some(Standing::new(state, reason, at, Vec::new()));
                    continue;
                }
                Some(true) => {}
            }
            let course = course(rule, &self.ledger);
            let told = &mut self.told[place];
            told.due = course.due;
            let mut tell = |standing: &Option<Standing>, told: &mut Option<Standing>| {
                if let (Some(standing), None) = (standing, &told) {
                    *told = Some(standing.clone());
                    self.changes.push_back(Change { rule: place, standing: standing.clone() });
                }
            };
            tell(&course.running, &mut told.running);
            tell(&course.decided, &mut told.decided);
        }
    }
}

/// Whether a rule is for the conversation; unknown while it may still become one.
fn applies(when: &Condition, ledger: &Ledger) -> Option<bool> {
    let over = ledger.over().is_some();
    if let Some(hours) = &when.hours {
        match ledger.started() {
            Some(started) if hours.hold(started) => {}
            Some(_) => return Some(false),
            None => return over.then_some(false),
        }
    }
    if !when.queue.is_empty() {
        match ledger.queue() {
            Some(queue) if when.queue.iter().any(|wanted| wanted == queue) => {}
            Some(_) => return Some(false),
            None => return over.then_some(false),
        }
    }
    if !when.party.is_empty() && !ledger.heard(&when.party) {
        return over.then_some(false);
    }
    Some(true)
}

/// Whose words have to be known as far as a time before the rule is judged by it.
fn concerned(rule: &Rule) -> &[Party] {
    match &rule.kind {
        Kind::Required { after: Anchor::Phrase(_), .. }
        | Kind::Required { limit: Limit::Before(_), .. }
        | Kind::Forbidden { after: Some(_), .. }
        | Kind::Forbidden { before: Some(_), .. }
        | Kind::Consent { .. } => &[],
        Kind::Required { .. }
        | Kind::Forbidden { .. }
        | Kind::Sequence { .. }
        | Kind::Count { .. } => &rule.parties,
    }
}

fn course(rule: &Rule, ledger: &Ledger) -> Course {
    let parties = rule.parties.as_slice();
    let other = match rule.kind {
        Kind::Consent { .. } => other_of(parties),
        Kind::Required { .. }
        | Kind::Forbidden { .. }
        | Kind::Sequence { .. }
        | Kind::Count { .. } => parties,
    };
    if !ledger.heard(parties) || !ledger.heard(other) {
        let unheard = |end| {
            let verdict = (RuleState::Unknown, Reason::NotHeard);
            Course::default().decide(verdict, end, Vec::new())
        };
        return ledger.over().map_or(Course::default(), unheard);
    }
    let view = ledger.view(concerned(rule));
    match &rule.kind {
        Kind::Required { phrases, after, limit } => {
            required::judge(phrases, (after, limit), parties, view)
        }
        Kind::Forbidden { phrases, after, before } => {
            forbidden::judge(phrases, (after.as_ref(), before.as_ref()), parties, view)
        }
        Kind::Sequence { phrases, within } => sequence::judge(phrases, *within, parties, view),
        Kind::Consent { question, assent, refusal, within, must_ask } => {
            let words = Words { question, assent, refusal };
            consent::judge(words, (*within, *must_ask), (parties, other), view)
        }
        Kind::Count { phrases, at_least, at_most } => {
            count::judge(phrases, (*at_least, *at_most), parties, view)
        }
    }
}
