//! What waits for one receiver: bounded, in order within each conversation, tried again with back-off; no clock.
//!
//! Every conversation waits for itself, so that one whose document is never taken holds up no other; a gate before all
//! of them closes when several fail in a row, so that a receiver that is away is not asked for each.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::runtime::notify::notice::Notice;
use crate::runtime::notify::receiver::Failure;

/// Wait after the first failure; it doubles with each. 500 ms: a PBX that reloads is back by then.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Wait after a login that was refused. 180 s: fail2ban as it is shipped bans who fails five times in ten minutes.
const LOGIN_WAIT: Duration = Duration::from_secs(180);

/// How much waits, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Notices that wait at most.
    pub bound: usize,
    /// Age from which a notice is given up.
    pub keep: Duration,
    /// Longest wait between two tries, unless the other side asks for more.
    pub longest: Duration,
}

/// The notices of one receiver.
#[derive(Debug)]
pub struct Backlog {
    patience: Patience,
    random: fastrand::Rng,
    lines: BTreeMap<String, Line>,
    waiting: usize,
    /// Rises with every notice, and with every turn that a conversation has had.
    ticket: u64,
    /// Nothing is tried before.
    gate: Option<Instant>,
    /// Failures since anything was taken or refused.
    failures: u32,
}

/// One conversation.
#[derive(Debug)]
struct Line {
    notices: VecDeque<Waiting>,
    /// When its first notice may be tried, and its place among those that may.
    due: (Instant, u64),
    /// How often that was tried in vain.
    tries: u32,
}

#[derive(Debug)]
struct Waiting {
    notice: Notice,
    told: Instant,
}

/// What became of a notice that waits no more.
#[derive(Debug)]
pub struct Gone {
    /// Which.
    pub notice: Notice,
    /// How long it waited.
    pub age: Duration,
}

impl Backlog {
    /// An empty one; `random` spreads the tries of several appliances.
    pub fn new(patience: Patience, random: fastrand::Rng) -> Self {
        Self {
            patience,
            random,
            lines: BTreeMap::new(),
            waiting: 0,
            ticket: 0,
            gate: None,
            failures: 0,
        }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Takes a notice that was told at `told`. Where there is no room, the oldest of the conversation that holds most
    /// gives way: what a verdict said first is what its later ones replace.
    pub fn push(&mut self, notice: Notice, told: Instant) -> Option<Gone> {
        let ticket = self.next_ticket();
        let line = self.lines.entry(notice.verdict.conversation.clone());
        let line = line.or_insert_with(|| Line {
            notices: VecDeque::new(),
            due: (told, ticket),
            tries: 0,
        });
        line.notices.push_back(Waiting { notice, told });
        self.waiting += 1;
        if self.waiting <= self.patience.bound {
            return None;
        }
        let longest = self.lines.iter().max_by_key(|(_, line)| line.notices.len());
        let longest = longest.map(|(id, _)| id.clone())?;
        self.remove_first(&longest, told)
    }

    /// The notice to try at `now`, if there is one, and how old it is; what became of it goes to [`Self::settle`].
    pub fn due(&self, now: Instant) -> Option<(&Notice, Duration)> {
        if self.is_closed(now) {
            return None;
        }
        let line = self.first_line().filter(|line| line.due.0 <= now)?;
        let first = line.notices.front()?;
        Some((&first.notice, now.saturating_duration_since(first.told)))
    }

    /// Whether nothing should be tried now, not even the connection.
    pub fn is_closed(&self, now: Instant) -> bool {
        self.gate.is_some_and(|gate| now < gate)
    }

    /// When something may be tried again, where nothing may before.
    pub fn opens(&self) -> Option<Instant> {
        self.gate
    }

    /// What became of the notice that [`Self::due`] gave; it comes back if it waits no more.
    pub fn settle(&mut self, now: Instant, outcome: &Result<(), Failure>) -> Option<Gone> {
        let id = self.first_line()?.notices.front()?.notice.verdict.conversation.clone();
        let ticket = self.next_ticket();
        let line = self.lines.get_mut(&id)?;
        match outcome {
            Ok(()) | Err(Failure::Refused(_)) => {
                line.due = (now, ticket);
                self.open();
                self.remove_first(&id, now)
            }
            Err(failure) => {
                let wait = back_off(line.tries, self.patience.longest, &mut self.random);
                line.tries = line.tries.saturating_add(1);
                line.due = (now + wait, ticket);
                self.fail(now, failure);
                None
            }
        }
    }

    /// The receiver failed at `now`, with a notice or without: everything waits a while.
    pub fn fail(&mut self, now: Instant, failure: &Failure) {
        let wait = match failure {
            Failure::Refused(_) => return,
            Failure::Login(_) => jittered(LOGIN_WAIT, &mut self.random),
            Failure::Unreachable { after, .. } => {
                // One failure may be one document's; a second in a row is the receiver's.
                let wait = self
                    .failures
                    .checked_sub(1)
                    .map(|earlier| back_off(earlier, self.patience.longest, &mut self.random));
                // Who asks for longer than anything is kept asks for nothing any more.
                wait.unwrap_or_default().max((*after).min(self.patience.keep))
            }
        };
        self.failures = self.failures.saturating_add(1);
        self.gate = Some(now + wait);
    }

    /// The receiver works: nothing waits for it any more, but what failed for itself.
    pub fn open(&mut self) {
        self.failures = 0;
        self.gate = None;
    }

    /// Has everything tried at once, once more.
    pub fn hurry(&mut self, now: Instant) {
        self.open();
        self.lines.values_mut().for_each(|line| line.due.0 = now);
    }

    /// Gives up one notice that is too old at `now`, if there is one.
    pub fn expire(&mut self, now: Instant) -> Option<Gone> {
        let is_old =
            |line: &Line| line.oldest().is_some_and(|told| told + self.patience.keep <= now);
        let id = self.lines.iter().find(|(_, line)| is_old(line)).map(|(id, _)| id.clone())?;
        self.remove_first(&id, now)
    }

    /// When there is something to try or to give up next; nothing while nothing waits.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = self.first_line()?.due.0;
        let due = self.gate.map_or(due, |gate| due.max(gate));
        let oldest = self.lines.values().filter_map(Line::oldest).min()?;
        Some(due.min(oldest + self.patience.keep))
    }

    /// All that waits, when nothing is tried any more.
    pub fn drain(&mut self) -> usize {
        self.lines.clear();
        std::mem::take(&mut self.waiting)
    }

    fn first_line(&self) -> Option<&Line> {
        self.lines.values().min_by_key(|line| line.due)
    }

    fn remove_first(&mut self, id: &str, now: Instant) -> Option<Gone> {
        let line = self.lines.get_mut(id)?;
        let Waiting { notice, told } = line.notices.pop_front()?;
        // Those before it failed, not the next.
        line.tries = 0;
        if line.notices.is_empty() {
            self.lines.remove(id);
        }
        self.waiting -= 1;
        Some(Gone { notice, age: now.saturating_duration_since(told) })
    }

    fn next_ticket(&mut self) -> u64 {
        self.ticket += 1;
        self.ticket
    }
}

impl Line {
    fn oldest(&self) -> Option<Instant> {
        self.notices.front().map(|waiting| waiting.told)
    }
}

/// The wait after a failure that `earlier` others came before.
fn back_off(earlier: u32, longest: Duration, random: &mut fastrand::Rng) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(earlier));
    jittered(doubled.min(longest), random)
}

/// Half to all of `wait`, so that appliances that lost a receiver together do not come back together.
fn jittered(wait: Duration, random: &mut fastrand::Rng) -> Duration {
    wait.mul_f64(0.5 + random.f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::policy::rule::Party;
    use crate::policy::verdict::{Finding, SpeakerDecision, Verdict};

    const PATIENCE: Patience =
        Patience { bound: 1000, keep: Duration::from_secs(3600), longest: Duration::from_secs(30) };

    fn notice(conversation: &str, sequence: u64) -> Notice {
        let finding = Finding::Speaker {
            subject: "s".to_owned(),
            decision: SpeakerDecision::Accepted,
            llr: None,
            probability: None,
            reason: None,
        };
        let verdict = Verdict {
            version: 1,
            sequence,
            conversation: conversation.to_owned(),
            party: Party::Caller,
            finding,
            since: jiff::Timestamp::UNIX_EPOCH,
            since_s: 0.0,
            net_speech_s: 0.0,
            coverage: 1.0,
            model: None,
            policy: "p@1".to_owned(),
        };
        let verdict = Arc::new(verdict);
        Notice {
            id: format!("{conversation}-{sequence}"),
            verdict,
            channel: None,
            agent: None,
            acts: Vec::new(),
        }
    }

    fn backlog(patience: Patience) -> Backlog {
        Backlog::new(patience, fastrand::Rng::with_seed(7))
    }

    fn away() -> Result<(), Failure> {
        Err(Failure::Unreachable { why: "away".to_owned(), after: Duration::ZERO })
    }

    /// Tries what is due, at each time that it asks for, until `until`; the times of the tries.
    fn tries(
        backlog: &mut Backlog,
        mut now: Instant,
        until: Instant,
        mut outcome: impl FnMut(&Notice, Instant) -> Result<(), Failure>,
    ) -> Vec<Instant> {
        let mut tries = Vec::new();
        while now < until {
            while let Some((notice, _)) = backlog.due(now) {
                let outcome = outcome(notice, now);
                tries.push(now);
                backlog.settle(now, &outcome);
            }
            while backlog.expire(now).is_some() {}
            let Some(next) = backlog.poll_timeout() else { break };
            assert!(next > now, "it never asks to be woken for nothing");
            now = next;
        }
        tries
    }

    #[test]
    fn ten_minutes_of_failure_cost_some_twenty_tries_and_no_verdict() {
        let (mut backlog, start) = (backlog(PATIENCE), Instant::now());
        for n in 0..500 {
            let conversation = format!("c{}", n % 100);
            assert!(backlog.push(notice(&conversation, n / 100), start).is_none());
        }
        let back = start + Duration::from_secs(600);
        let mut told: Vec<String> = Vec::new();
        let tries = tries(&mut backlog, start, start + Duration::from_secs(1200), |notice, now| {
            if now < back {
                return away();
            }
            told.push(notice.id.clone());
            Ok(())
        });
        let failed = tries.iter().filter(|at| **at < back).count();
        assert!((20..60).contains(&failed), "{failed} tries");
        assert_eq!((told.len(), backlog.waiting()), (500, 0));
        let last = tries.last().expect("tries").duration_since(back);
        assert!(last <= PATIENCE.longest, "all are told {last:?} after it is back");
        for n in 0..100 {
            let of = |id: &&String| id.starts_with(&format!("c{n}-"));
            let order: Vec<_> = told.iter().filter(of).collect();
            assert!(order.is_sorted(), "{order:?}");
        }
    }

    #[test]
    fn one_document_that_is_never_taken_holds_up_only_its_conversation() {
        let (mut backlog, start) = (backlog(PATIENCE), Instant::now());
        backlog.push(notice("poison", 0), start);
        backlog.push(notice("poison", 1), start);
        for n in 0..50 {
            backlog.push(notice("good", n), start);
        }
        let mut told = Vec::new();
        let until = start + Duration::from_secs(10);
        tries(&mut backlog, start, until, |notice, now| match notice.id.starts_with("poison") {
            true => away(),
            false => {
                told.push(now);
                Ok(())
            }
        });
        assert_eq!((told.len(), backlog.waiting()), (50, 2));
        let last = told.last().expect("told").duration_since(start);
        assert!(last < Duration::from_secs(1), "{last:?}");
    }

    #[test]
    fn a_login_that_is_refused_is_tried_again_after_a_minute_and_a_half_at_the_soonest() {
        let (mut backlog, start) = (backlog(PATIENCE), Instant::now());
        backlog.push(notice("a", 0), start);
        backlog.push(notice("b", 0), start);
        let refused = |_: &Notice, _| Err(Failure::Login("wrong".to_owned()));
        let tries = tries(&mut backlog, start, start + Duration::from_secs(600), refused);
        assert!((4..=7).contains(&tries.len()), "{}", tries.len());
        assert!(tries.is_sorted_by(|a, b| *b - *a >= LOGIN_WAIT / 2));
    }

    #[test]
    fn who_asks_for_a_wait_gets_it() {
        let (mut backlog, start) = (backlog(PATIENCE), Instant::now());
        backlog.push(notice("a", 0), start);
        let after = Duration::from_secs(120);
        let busy = Err(Failure::Unreachable { why: "busy".to_owned(), after });
        backlog.settle(start, &busy);
        assert!(backlog.due(start + after - Duration::from_millis(1)).is_none());
        assert!(backlog.due(start + after).is_some());
        // The other conversations wait too: it was the receiver that asked.
        backlog.push(notice("b", 0), start);
        assert!(backlog.due(start + Duration::from_secs(60)).is_none());
        // The appliance's stop does not wait.
        backlog.hurry(start);
        assert!(backlog.due(start).is_some());
    }

    #[test]
    fn the_oldest_of_the_conversation_that_holds_most_gives_way() {
        let (mut backlog, now) = (backlog(Patience { bound: 3, ..PATIENCE }), Instant::now());
        backlog.push(notice("short", 0), now);
        backlog.push(notice("long", 0), now);
        backlog.push(notice("long", 1), now);
        let gone = backlog.push(notice("third", 0), now).expect("one gives way");
        assert_eq!((gone.notice.id.as_str(), backlog.waiting()), ("long-0", 3));
    }

    /// What may happen to a backlog.
    #[derive(Clone, Debug)]
    enum Step {
        Told(u8),
        Tried(u8),
        Passed(u16),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..5_u8).prop_map(Step::Told),
            (0..4_u8).prop_map(Step::Tried),
            (1..20_000_u16).prop_map(Step::Passed),
        ]
    }

    proptest! {
        #[test]
        fn order_is_kept_and_every_notice_goes_one_way_once(steps in vec(step(), 1..200), bound in 1..40_usize) {
            let patience = Patience { bound, keep: Duration::from_secs(60), longest: Duration::from_secs(8) };
            let (mut backlog, mut now) = (backlog(patience), Instant::now());
            let (mut told, mut gone, mut taken) = ([0_u64; 5], BTreeSet::new(), Vec::new());
            let mut over = |notice: &Notice| assert!(gone.insert(notice.id.clone()), "{} went twice", notice.id);
            for step in steps {
                match step {
                    Step::Told(n) => {
                        let sequence = &mut told[usize::from(n)];
                        let lost = backlog.push(notice(&format!("c{n}"), *sequence), now);
                        *sequence += 1;
                        if let Some(lost) = lost {
                            over(&lost.notice);
                        }
                    }
                    Step::Passed(ms) => {
                        now += Duration::from_millis(ms.into());
                        while let Some(old) = backlog.expire(now) {
                            prop_assert!(old.age >= patience.keep);
                            over(&old.notice);
                        }
                    }
                    Step::Tried(kind) => {
                        let Some((due, age)) = backlog.due(now) else {
                            prop_assert!(backlog.poll_timeout().is_none_or(|next| next > now));
                            continue;
                        };
                        prop_assert!(age < patience.keep, "what is too old is not tried");
                        let id = due.id.clone();
                        let outcome = match kind {
                            0 => away(),
                            1 => Err(Failure::Login("no".to_owned())),
                            2 => Err(Failure::Refused("no".to_owned())),
                            _ => Ok(()),
                        };
                        let settled = backlog.settle(now, &outcome);
                        prop_assert_eq!(settled.is_some(), kind >= 2);
                        if let Some(settled) = settled {
                            prop_assert_eq!(&settled.notice.id, &id);
                            over(&settled.notice);
                            taken.push((settled.notice.verdict.conversation.clone(), settled.notice.verdict.sequence));
                        }
                    }
                }
                prop_assert!(backlog.waiting() <= bound);
            }
            for n in 0..5 {
                let of: Vec<_> = taken.iter().filter(|(c, _)| *c == format!("c{n}")).map(|(_, s)| *s).collect();
                prop_assert!(of.is_sorted_by(|a, b| a < b), "{:?}", of);
            }
            let total: u64 = told.iter().sum();
            prop_assert_eq!(gone.len() + backlog.waiting(), usize::try_from(total).expect("few"));
        }
    }
}
