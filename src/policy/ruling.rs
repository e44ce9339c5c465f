//! The rules of a judge: evidence of its legs in the conversation's time, changes as findings.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::policy::judge::{moment, seconds};
use crate::policy::rule::{Party, Policy};
use crate::policy::rules::book::{Change, RuleBook};
use crate::policy::rules::event::{EVENT_VERSION, Event, Record, in_order};
use crate::policy::rules::standing::one_of;
use crate::policy::verdict::{Finding, Rested};

/// How long after it happened something may still be told of a party that seems to be silent.
///
/// 2 s: a gap in the RTP is waited for by up to a second, and speech is only told from noise after some
/// hundred milliseconds.
const LATENESS: Duration = Duration::from_secs(2);

/// A rule book, on the clock of one conversation.
#[derive(Debug)]
pub struct Ruling {
    book: RuleBook,
    /// What conversation time counts from: the first leg's first audio.
    origin: Option<jiff::Timestamp>,
    /// By number: whose leg it is, its net speech and coverage as last told.
    legs: Vec<(Party, Duration, f64)>,
    model: Option<String>,
    /// Events that are to be kept, where they are.
    kept: Option<VecDeque<Event>>,
    /// Events that are judged at the end, where legs are heard one after the other.
    waiting: Option<Vec<Event>>,
}

/// A change, as a verdict tells it.
#[derive(Clone, Debug)]
pub struct Ruled {
    /// Whom the rule is about.
    pub party: Party,
    /// The change.
    pub finding: Finding,
    /// Since when.
    pub since: jiff::Timestamp,
    /// The same, in seconds of the conversation.
    pub since_s: f64,
    /// Net speech of all legs of the party.
    pub net_speech: Duration,
    /// The worst share (0 to 1) of a leg's speech that was analysed.
    pub coverage: f64,
    /// What finds the phrases.
    pub model: Option<String>,
}

impl Ruling {
    /// The rules of `policy`, of which none has begun.
    pub fn new(policy: Arc<Policy>) -> Self {
        let book = RuleBook::new(policy);
        Self { book, origin: None, legs: Vec::new(), model: None, kept: None, waiting: None }
    }

    /// From now on every event is kept.
    pub fn keep(&mut self) {
        self.kept.get_or_insert_default();
    }

    /// From now on nothing is judged before the end.
    pub fn wait(&mut self) {
        self.waiting.get_or_insert_default();
    }

    /// A leg's audio began at `started`; returns its number.
    pub fn join(
        &mut self,
        (party, queue): (Party, Option<String>),
        started: jiff::Timestamp,
        model: &str,
    ) -> u32 {
        let leg = u32::try_from(self.legs.len()).expect("no conversation has 4 billion legs");
        // Of nothing all was heard.
        self.legs.push((party, Duration::ZERO, 1.0));
        if !model.is_empty() {
            self.model = Some(model.to_owned());
        }
        if self.origin.is_none() {
            self.origin = Some(started);
            self.tell(started, |_| Event::Started { started });
        }
        self.tell(started, |time| Event::Joined { leg, party, queue, at: time(Duration::ZERO) });
        if party != Party::Caller {
            self.tell(started, |time| Event::Answered { at: time(Duration::ZERO) });
        }
        leg
    }

    /// Net speech and coverage of a leg by now.
    pub fn heard(&mut self, leg: u32, (net_speech, coverage): (Duration, f64)) {
        if let Some(known) = self.legs.get_mut(leg as usize) {
            (known.1, known.2) = (net_speech, coverage);
        }
    }

    /// Something happened on a leg that began at `started`; `event` gets what makes conversation time of the
    /// leg's own.
    pub fn tell(
        &mut self,
        started: jiff::Timestamp,
        event: impl FnOnce(&dyn Fn(Duration) -> Duration) -> Event,
    ) {
        let before = self.since_origin(started);
        let event = event(&|at| whole_millis(before + at));
        if let Some(kept) = &mut self.kept {
            kept.push_back(event.clone());
        }
        match &mut self.waiting {
            Some(waiting) => waiting.push(event),
            None => self.book.handle(&event),
        }
    }

    /// What is open is decided.
    pub fn finish(&mut self, now: jiff::Timestamp) {
        if self.origin.is_some() {
            self.tell(now, |time| Event::Over { at: time(Duration::ZERO) });
        }
        let mut waiting = self.waiting.take().unwrap_or_default();
        in_order(&mut waiting);
        waiting.iter().for_each(|event| self.book.handle(event));
    }

    /// It is `now`.
    pub fn handle_timeout(&mut self, now: jiff::Timestamp) {
        let now = whole_millis(self.since_origin(now));
        self.book.handle_timeout(now.saturating_sub(LATENESS));
    }

    /// When [`Self::handle_timeout`] is next due, if ever.
    pub fn poll_timeout(&self) -> Option<jiff::Timestamp> {
        let due = self.book.poll_timeout()?;
        Some(moment(self.origin?, due + LATENESS))
    }

    /// The next change.
    pub fn poll(&mut self) -> Option<Ruled> {
        let Change { rule, standing } = self.book.poll_change()?;
        let origin = self.origin.expect("nothing is decided before a leg joins");
        let phrases = standing.basis.iter().map(|said| {
            let (phrase, party) = self.book.describe(*said);
            let (start_s, end_s) = (seconds(said.from), seconds(said.to));
            let sensitivity = self.book.policy().sensitivity(phrase);
            Rested { phrase: phrase.to_owned(), sensitivity, party, start_s, end_s }
        });
        let phrases = phrases.collect();
        let rule = &self.book.policy().rules[rule];
        let whose = |party: &Party| rule.parties.is_empty() || rule.parties.contains(party);
        let legs = self.legs.iter().filter(|(party, ..)| *party == Party::Mixed || whose(party));
        let (net_speech, coverage) = legs.fold((Duration::ZERO, None), |(net, worst), leg| {
            (net + leg.1, Some(worst.map_or(leg.2, |worst: f64| worst.min(leg.2))))
        });
        Some(Ruled {
            party: one_of(&rule.parties),
            finding: Finding::Rule {
                rule: rule.id.clone(),
                state: standing.state,
                severity: rule.severity,
                reason: standing.reason,
                deadline: standing.deadline.map(|deadline| moment(origin, deadline)),
                phrases,
                experiment: self.book.policy().experiment(rule.kind.phrases()),
            },
            since: moment(origin, standing.since),
            since_s: seconds(standing.since),
            net_speech,
            coverage: coverage.unwrap_or(0.0),
            model: self.model.clone(),
        })
    }

    /// The next event to be kept.
    pub fn poll_record(&mut self, conversation: &str) -> Option<Record> {
        let event = self.kept.as_mut()?.pop_front()?;
        Some(Record { version: EVENT_VERSION, conversation: conversation.to_owned(), event })
    }

    /// Conversation time of a moment; what was before its beginning counts as its beginning.
    fn since_origin(&self, moment: jiff::Timestamp) -> Duration {
        let since = self.origin.map(|origin| moment.duration_since(origin));
        since.and_then(|since| since.try_into().ok()).unwrap_or_default()
    }
}

/// As events are kept, so that what is kept comes to the same.
fn whole_millis(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
