//! The thread of one receiver: takes what is told, tries it, and tells metrics and log what came of it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver as Inbox, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::runtime::complaints::Complaints;
use crate::runtime::health::Pulse;
use crate::runtime::metrics::Metrics;
use crate::runtime::notify::backlog::{Backlog, Gone};
use crate::runtime::notify::notice::Notice;
use crate::runtime::notify::receiver::{Failure, Receiver};

/// How often a connection with nothing to tell is looked after: well below the minute after which firewalls forget one.
const IDLE_EVERY: Duration = Duration::from_secs(10);
/// How long what waits is still tried when the appliance stops; a try that has begun may take its own time-out more.
const LAST_TRIES: Duration = Duration::from_secs(2);

/// What a receiver's thread works with.
pub(super) struct Worker {
    pub(super) name: String,
    pub(super) receiver: Box<dyn Receiver>,
    pub(super) backlog: Backlog,
    /// Age from which nothing is done any more about a verdict, only told.
    pub(super) act_within: Duration,
    pub(super) metrics: Arc<Metrics>,
    pub(super) state: State,
    pub(super) refusals: Complaints,
    pub(super) losses: Complaints,
}

/// A notice and when it was told.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) notice: Notice,
    pub(super) at: Instant,
}

/// How the receiver was found last.
#[derive(Debug)]
pub(super) enum State {
    /// Not tried yet.
    New,
    /// It took something, or its connection stands.
    Up,
    /// It did not.
    Down {
        /// Since when.
        since: Instant,
        /// The word in metrics.
        why: &'static str,
        /// Whether a notice found it so: then only a notice can find it well.
        by_notice: bool,
    },
}

impl Worker {
    /// Works until every sender of `inbox` is gone, then tries what waits for a moment more.
    pub(super) fn run(mut self, inbox: &Inbox<Told>, pulse: &Pulse) {
        let mut idle = Instant::now();
        loop {
            pulse.beat();
            let open = self.take(inbox);
            let now = Instant::now();
            self.give_up(now);
            self.metrics.notify.waiting(&self.name, self.backlog.waiting());
            if !open {
                return self.last_tries();
            }
            if self.try_one(now) {
                idle = Instant::now() + IDLE_EVERY;
                continue;
            }
            if idle <= now && !self.backlog.is_closed(now) {
                self.look_after();
                idle = Instant::now() + IDLE_EVERY;
                continue;
            }
            let look = self.backlog.opens().map_or(idle, |opens| idle.max(opens));
            let next = self.backlog.poll_timeout().map_or(look, |due| due.min(look));
            match pulse.idle(|| inbox.recv_timeout(next.saturating_duration_since(now))) {
                Ok(told) => self.push(told),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
    }

    /// Takes what was told; `false` once nothing will be any more.
    fn take(&mut self, inbox: &Inbox<Told>) -> bool {
        loop {
            match inbox.try_recv() {
                Ok(told) => self.push(told),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn push(&mut self, told: Told) {
        if let Some(gone) = self.backlog.push(told.notice, told.at) {
            self.lose(&gone, "overflow", "too many verdicts wait: the oldest is given up");
        }
    }

    fn give_up(&mut self, now: Instant) {
        while let Some(gone) = self.backlog.expire(now) {
            self.lose(&gone, "expired", "a verdict waited too long and is given up");
        }
    }

    fn lose(&mut self, gone: &Gone, result: &str, sentence: &str) {
        self.metrics.notify.result(&self.name, result);
        if let Some(kept_back) = self.losses.due(Instant::now()) {
            let conversation = &gone.notice.verdict.conversation;
            warn!(
                receiver = self.name,
                conversation,
                age_s = gone.age.as_secs(),
                kept_back,
                "{sentence}"
            );
        }
    }

    /// Tries the notice whose turn it is; `false` if there is none.
    fn try_one(&mut self, now: Instant) -> bool {
        let Some((notice, age)) = self.backlog.due(now) else { return false };
        let (id, conversation) = (notice.id.clone(), notice.verdict.conversation.clone());
        let outcome = if age <= self.act_within || notice.acts.is_empty() {
            self.receiver.deliver(notice)
        } else {
            // Who was to be sent on or warned then is somewhere else by now.
            warn!(receiver = self.name, conversation, "too late to act: the verdict is only told");
            self.receiver.deliver(&Notice { acts: Vec::new(), ..notice.clone() })
        };
        let now = Instant::now();
        let gone = self.backlog.settle(now, &outcome);
        match &outcome {
            Ok(()) => {
                self.metrics.notify.result(&self.name, "delivered");
                if let Some(gone) = gone {
                    self.metrics.notify.delivered_after(&self.name, gone.age);
                }
                self.found_up(true);
            }
            Err(Failure::Refused(why)) => {
                self.metrics.notify.result(&self.name, "refused");
                self.metrics.notify.failure(&self.name, "refused");
                if let Some(kept_back) = self.refusals.due(now) {
                    warn!(
                        receiver = self.name,
                        conversation, id, why, kept_back, "a verdict is refused"
                    );
                }
                self.found_up(true);
            }
            Err(failure) => self.found_down(failure, true),
        }
        true
    }

    /// Looks after the connection.
    fn look_after(&mut self) {
        match self.receiver.idle() {
            Ok(()) => self.found_up(false),
            Err(failure) => {
                self.backlog.fail(Instant::now(), &failure);
                self.found_down(&failure, false);
            }
        }
    }

    fn found_up(&mut self, by_notice: bool) {
        match self.state {
            State::Up => return,
            State::Down { by_notice: true, .. } if !by_notice => return,
            State::New => {}
            State::Down { since, .. } => {
                let (waiting, down_s) = (self.backlog.waiting(), since.elapsed().as_secs());
                info!(receiver = self.name, waiting, down_s, "verdicts are told again");
            }
        }
        self.backlog.open();
        self.state = State::Up;
        self.metrics.notify.up(&self.name, true);
    }

    fn found_down(&mut self, failure: &Failure, by_notice: bool) {
        let why = match failure {
            Failure::Unreachable { .. } => "unreachable",
            Failure::Login(_) => "login",
            Failure::Refused(_) => "refused",
        };
        self.metrics.notify.failure(&self.name, why);
        self.metrics.notify.up(&self.name, false);
        let (since, new) = match self.state {
            State::Down { since, why: before, .. } => (since, before != why),
            State::New | State::Up => (Instant::now(), true),
        };
        if new {
            let waiting = self.backlog.waiting();
            warn!(receiver = self.name, %failure, waiting, "verdicts are not told: they wait");
        }
        self.state = State::Down { since, why, by_notice };
    }

    /// Tries what waits until time is over or the receiver fails.
    fn last_tries(mut self) {
        let until = Instant::now() + LAST_TRIES;
        self.backlog.hurry(Instant::now());
        while Instant::now() < until && !self.backlog.is_closed(Instant::now()) {
            if !self.try_one(Instant::now()) {
                break;
            }
        }
        self.metrics.notify.waiting(&self.name, 0);
        let lost = self.backlog.drain();
        if lost > 0 {
            warn!(receiver = self.name, lost, "verdicts that wait are lost with the stop");
        }
    }
}
