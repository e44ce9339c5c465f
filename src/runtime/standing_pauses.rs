//! What is paused of a conversation, so that who joins it is paused, too.

use std::time::Instant;

use crate::call::pauses::Pausing;
use crate::policy::pause::{Holder, Trigger};
use crate::policy::rule::Party;

/// The pauses that hold for a party of the conversation, whichever legs it has.
#[derive(Debug, Default)]
pub struct StandingPauses(Vec<Standing>);

#[derive(Debug)]
struct Standing {
    party: Party,
    holder: Holder,
    by: Trigger,
    until: Option<Instant>,
}

impl StandingPauses {
    /// A leg of `party` is told so, and whoever joins for it later is meant, too.
    pub fn handle(&mut self, now: Instant, party: Party, pausing: &Pausing) {
        match pausing {
            Pausing::Begin { holder, by, at_most } => {
                self.0.retain(|known| known.party != party || known.holder != *holder);
                let (holder, by, until) = (holder.clone(), *by, at_most.map(|time| now + time));
                self.0.push(Standing { party, holder, by, until });
            }
            Pausing::End { holder, .. } => self.0.retain(|known| {
                known.party != party
                    || holder.as_ref().is_some_and(|holder| known.holder != *holder)
            }),
        }
    }

    /// What a leg of `party` that joins at `now` is to be told, each for what is left of its time.
    pub fn of(&self, now: Instant, party: Party) -> Vec<Pausing> {
        let holds =
            |known: &&Standing| known.party == party && known.until.is_none_or(|until| now < until);
        let begin = |known: &Standing| Pausing::Begin {
            holder: known.holder.clone(),
            by: known.by,
            at_most: known.until.map(|until| until - now),
        };
        self.0.iter().filter(holds).map(begin).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn begin(holder: Holder, seconds: Option<u64>) -> Pausing {
        Pausing::Begin { holder, by: Trigger::Api, at_most: seconds.map(Duration::from_secs) }
    }

    fn end(holder: Option<Holder>) -> Pausing {
        Pausing::End { holder, by: Trigger::Api }
    }

    #[test]
    fn who_joins_is_paused_for_what_is_left() {
        let (mut standing, now) = (StandingPauses::default(), Instant::now());
        let card = Holder::Policy("card".to_owned());
        standing.handle(now, Party::Caller, &begin(card.clone(), Some(60)));
        standing.handle(now, Party::Caller, &begin(Holder::Api, None));
        let later = now + Duration::from_secs(20);
        let told = standing.of(later, Party::Caller);
        assert_eq!(told, [begin(card.clone(), Some(40)), begin(Holder::Api, None)]);
        assert_eq!(standing.of(later, Party::Agent), [], "only the caller is paused");
        let over = now + Duration::from_secs(60);
        assert_eq!(standing.of(over, Party::Caller), [begin(Holder::Api, None)]);
        standing.handle(later, Party::Caller, &end(Some(Holder::Api)));
        assert_eq!(standing.of(later, Party::Caller), [begin(card, Some(40))]);
    }

    #[test]
    fn who_ends_it_by_hand_means_all_of_them_of_that_party() {
        let (mut standing, now) = (StandingPauses::default(), Instant::now());
        for party in [Party::Caller, Party::Agent] {
            standing.handle(now, party, &begin(Holder::Api, None));
            standing.handle(now, party, &begin(Holder::Policy("card".to_owned()), Some(60)));
        }
        standing.handle(now, Party::Agent, &end(None));
        assert_eq!(standing.of(now, Party::Agent), []);
        assert_eq!(standing.of(now, Party::Caller).len(), 2);
    }

    #[test]
    fn a_second_beginning_only_moves_the_last_moment() {
        let (mut standing, now) = (StandingPauses::default(), Instant::now());
        standing.handle(now, Party::Mixed, &begin(Holder::Api, Some(10)));
        let later = now + Duration::from_secs(5);
        standing.handle(later, Party::Mixed, &begin(Holder::Api, Some(10)));
        assert_eq!(standing.of(later, Party::Mixed), [begin(Holder::Api, Some(10))]);
    }
}
