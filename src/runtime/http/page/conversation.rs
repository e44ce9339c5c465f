//! One conversation as the page has it: bounded, however much happens in it.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::policy::rules::standing::RuleState;
use crate::policy::sensitivity::Sensitivity;
use crate::policy::verdict::{Finding, Verdict};
use crate::runtime::http::page::leg::Leg;
use crate::runtime::http::page::shown::{ConversationShown, EventShown, RuleShown};

/// Legs: two parties, each of whom may leave and come back; those that are over go first.
const LEGS: usize = 8;
/// Rules that stand beside each other; a policy of a hundred is one that nobody reads on a page.
const RULES: usize = 64;
/// What happened last.
const EVENTS: usize = 40;

/// One conversation.
#[derive(Debug)]
pub struct Conversation {
    /// What it is called here.
    pub reference: String,
    /// When its first call came.
    pub started: Timestamp,
    /// When its last call ended, while it has none.
    pub over: Option<Timestamp>,
    /// The board's version when it changed last.
    pub changed: u64,
    /// Its parties.
    pub legs: Vec<Leg>,
    policy: String,
    rules: Vec<RuleShown>,
    events: VecDeque<Event>,
    numbered: u64,
}

#[derive(Debug)]
struct Event {
    version: u64,
    shown: EventShown,
    /// What is told in place of its id to who may not know whom the call is with.
    veiled: Option<&'static str>,
}

impl Conversation {
    /// One without a party yet.
    pub fn new(reference: String, policy: String, started: Timestamp) -> Self {
        let (legs, rules, events) = (Vec::new(), Vec::new(), VecDeque::new());
        let (over, changed, numbered) = (None, 0, 0);
        Self { reference, started, over, changed, legs, policy, rules, events, numbered }
    }

    /// A party joins; what was too much is gone.
    pub fn join(&mut self, leg: Leg) {
        self.over = None;
        if self.legs.len() >= LEGS {
            let ended = self.legs.iter().position(|leg| leg.end.is_some());
            self.legs.remove(ended.unwrap_or_default());
        }
        self.legs.push(leg);
    }

    /// Takes in what was concluded, told at `at`.
    pub fn handle_verdict(&mut self, version: u64, at: Timestamp, verdict: &Verdict) {
        let party = verdict.party.as_str();
        if let Finding::Rule { rule, state, severity, reason, deadline, .. } = &verdict.finding {
            let shown = RuleShown {
                rule: rule.clone(),
                party,
                state: *state,
                severity: *severity,
                reason: *reason,
                deadline_ms: deadline.map(Timestamp::as_millisecond),
            };
            let same = |known: &RuleShown| known.rule == shown.rule && known.party == party;
            match self.rules.iter().position(same) {
                Some(nth) => self.rules[nth] = shown,
                None if self.rules.len() < RULES => self.rules.push(shown),
                None => {}
            }
        }
        let (kind, what) = verdict.finding.labels();
        let (id, veiled) = match &verdict.finding {
            Finding::Keyword { phrase, sensitivity, .. } => {
                let personal = *sensitivity == Sensitivity::Personal;
                let veil = personal.then_some(sensitivity.as_str());
                (Some(phrase.clone()), veil)
            }
            // The list would be full of them, and both are shown beside it.
            Finding::Line { .. } | Finding::Rule { state: RuleState::Pending, .. } => return,
            Finding::Rule { rule, .. } => (Some(rule.clone()), None),
            Finding::Watchlist { entry, .. } => (Some(entry.clone()), Some("")),
            Finding::Pause { pause, .. } => (pause.clone(), None),
            Finding::Speaker { .. } | Finding::Enrollment { .. } => (None, None),
        };
        let llr = match &verdict.finding {
            Finding::Speaker { llr, .. } => *llr,
            Finding::Watchlist { llr, .. } => Some(*llr),
            _ => None,
        };
        if self.events.len() == EVENTS {
            self.events.pop_front();
        }
        self.numbered += 1;
        let (number, at_ms) = (self.numbered, at.as_millisecond());
        let shown = EventShown { number, at_ms, party, kind, what, id, llr };
        self.events.push_back(Event { version, shown, veiled });
    }

    /// What is shown of it to who has seen everything up to `since`; who it is with only where `identified`, by whom the
    /// PBX calls it `id`.
    pub fn shown(&self, id: &str, since: u64, identified: bool) -> ConversationShown {
        let news = self.events.iter().filter(|event| event.version > since);
        let event = |event: &Event| {
            let mut shown = event.shown.clone();
            if let (false, Some(veil)) = (identified, event.veiled) {
                shown.id = Some(veil.to_owned()).filter(|veil| !veil.is_empty());
            }
            shown
        };
        ConversationShown {
            reference: self.reference.clone(),
            conversation: identified.then(|| id.to_owned()),
            started_ms: self.started.as_millisecond(),
            over_ms: self.over.map(Timestamp::as_millisecond),
            policy: self.policy.clone(),
            legs: self.legs.iter().map(|leg| leg.shown(since, identified)).collect(),
            rules: self.rules.clone(),
            events: news.map(event).collect(),
        }
    }
}
