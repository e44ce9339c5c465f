//! Who wants one leg paused, since when, and until when at the latest.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::policy::pause::{Holder, PauseState, Trigger};

/// What one leg is told about pauses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pausing {
    /// Somebody wants it paused.
    Begin {
        /// Who.
        holder: Holder,
        /// Why.
        by: Trigger,
        /// For how long at most.
        at_most: Option<Duration>,
    },
    /// Whoever wanted it paused does not any more.
    End {
        /// Who; all of them where nobody is named.
        holder: Option<Holder>,
        /// Why.
        by: Trigger,
    },
}

/// One wish more, or one less.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub holder: Holder,
    /// Which of the two.
    pub state: PauseState,
    /// Why.
    pub by: Trigger,
    /// Whether the leg is paused after it.
    pub paused: bool,
}

/// The set of those who want a leg paused, each with its last moment.
#[derive(Debug, Default)]
pub struct Pauses {
    held: BTreeMap<Holder, Option<Instant>>,
}

impl Pauses {
    /// Whether anybody wants the leg paused.
    pub fn hold(&self) -> bool {
        !self.held.is_empty()
    }

    /// Does what the leg is told. A second beginning only moves the last moment.
    pub fn handle(&mut self, now: Instant, pausing: Pausing) -> Vec<Change> {
        match pausing {
            Pausing::Begin { holder, by, at_most } => {
                let until = at_most.map(|at_most| now + at_most);
                let known = self.held.insert(holder.clone(), until).is_some();
                let state = PauseState::Begun;
                let begun = Change { holder, state, by, paused: true };
                (!known).then_some(begun).into_iter().collect()
            }
            Pausing::End { holder: Some(holder), by } => self.end(vec![holder], by),
            Pausing::End { holder: None, by } => self.end(self.held.keys().cloned().collect(), by),
        }
    }

    /// Ends what has lasted for as long as it may.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Change> {
        let over = self.held.iter().filter(|(_, until)| until.is_some_and(|until| until <= now));
        self.end(over.map(|(holder, _)| holder.clone()).collect(), Trigger::Time)
    }

    /// When [`Self::handle_timeout`] is next due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.held.values().flatten().min().copied()
    }

    fn end(&mut self, holders: Vec<Holder>, by: Trigger) -> Vec<Change> {
        let mut changes = Vec::new();
        for holder in holders {
            if self.held.remove(&holder).is_some() {
                let (state, paused) = (PauseState::Ended, self.hold());
                changes.push(Change { holder, state, by, paused });
            }
        }
        changes
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn card() -> Holder {
        Holder::Policy("card".to_owned())
    }

    fn begin(holder: Holder, at_most: Option<Duration>) -> Pausing {
        Pausing::Begin { holder, by: Trigger::Card, at_most }
    }

    fn told(changes: &[Change]) -> Vec<(PauseState, bool)> {
        changes.iter().map(|change| (change.state, change.paused)).collect()
    }

    #[test]
    fn a_leg_is_paused_until_the_last_who_wants_it_does_not_any_more() {
        let (mut pauses, now) = (Pauses::default(), Instant::now());
        let (begun, ended) = (PauseState::Begun, PauseState::Ended);
        assert_eq!(told(&pauses.handle(now, begin(card(), None))), [(begun, true)]);
        assert_eq!(told(&pauses.handle(now, begin(Holder::Api, None))), [(begun, true)]);
        assert_eq!(told(&pauses.handle(now, begin(card(), None))), [], "it is paused already");
        let end = |holder| Pausing::End { holder: Some(holder), by: Trigger::Phrase };
        assert_eq!(told(&pauses.handle(now, end(card()))), [(ended, true)]);
        assert_eq!(told(&pauses.handle(now, end(card()))), [], "it ended before");
        assert_eq!(told(&pauses.handle(now, end(Holder::Api))), [(ended, false)]);
        assert!(!pauses.hold());
    }

    #[test]
    fn an_end_for_all_ends_all() {
        let (mut pauses, now) = (Pauses::default(), Instant::now());
        for holder in [card(), Holder::Header] {
            pauses.handle(now, begin(holder, None));
        }
        let changes = pauses.handle(now, Pausing::End { holder: None, by: Trigger::Api });
        assert_eq!(told(&changes), [(PauseState::Ended, true), (PauseState::Ended, false)]);
        assert!(changes.iter().all(|change| change.by == Trigger::Api));
    }

    #[test]
    fn what_lasted_as_long_as_it_may_ends_by_itself_and_a_second_beginning_gives_it_longer() {
        let (mut pauses, now) = (Pauses::default(), Instant::now());
        pauses.handle(now, begin(card(), Some(MINUTE)));
        pauses.handle(now + MINUTE / 2, begin(card(), Some(MINUTE)));
        assert_eq!(pauses.poll_timeout(), Some(now + MINUTE / 2 + MINUTE));
        assert_eq!(pauses.handle_timeout(now + MINUTE), []);
        let changes = pauses.handle_timeout(now + MINUTE * 2);
        assert_eq!(
            (told(&changes), changes[0].by),
            (vec![(PauseState::Ended, false)], Trigger::Time)
        );
        assert_eq!(pauses.poll_timeout(), None);
    }
}
