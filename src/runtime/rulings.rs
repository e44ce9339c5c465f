//! What the signalling thread does about the rules of a conversation: their time, holds, and its end.

use std::time::{Duration, Instant};

use crate::policy::evidence::Evidence;
use crate::policy::rules::event::Suspension;
use crate::runtime::conversations::Left;
use crate::runtime::signalling::{Entry, Signalling};
use crate::sip::event::CallKey;

impl Signalling {
    /// Has every rule judged whose time is over.
    pub(super) fn time_rules(&mut self) {
        let now = jiff::Timestamp::now();
        let due = |entry: &Entry| {
            let conversation = self.conversations.get(&entry.facts.conversation);
            let due = conversation.and_then(|conversation| conversation.judge.poll_timeout());
            !entry.ended && due.is_some_and(|due| due <= now)
        };
        let due: Vec<_> = self.calls.iter().filter(|(_, entry)| due(entry)).collect();
        let due: Vec<CallKey> = due.into_iter().map(|(key, _)| *key).collect();
        for key in due {
            self.with(key, |call, judge| call.handle_timeout(judge, now));
        }
    }

    /// The peer sends nothing from now on, or sends again; the rules hear of it, once.
    pub(super) fn hold(&mut self, key: CallKey, held: bool) {
        let Some(entry) = self.calls.get_mut(&key) else { return };
        if std::mem::replace(&mut entry.held, held) == held {
            return;
        }
        let since = jiff::Timestamp::now().duration_since(entry.call.started());
        let at = Duration::try_from(since).unwrap_or_default();
        self.weigh(key, Evidence::Suspended { why: Suspension::Hold, begins: held, at });
    }

    /// Concludes the conversations that nobody has come back to.
    pub(super) fn conclude(&mut self, now: Instant) {
        self.conclude_where(|left| left.until <= now);
    }

    /// Concludes all that have no call, since nobody can come back any more.
    pub(super) fn conclude_all(&mut self) {
        self.conclude_where(|_| true);
    }

    fn conclude_where(&mut self, is_over: impl Fn(Left) -> bool) {
        let all = self.conversations.iter();
        let over = all.filter(|(_, conversation)| conversation.left.is_some_and(&is_over));
        let mut over: Vec<String> = over.map(|(id, _)| id.clone()).collect();
        // The same run, the same order of what is told.
        over.sort();
        over.iter().for_each(|id| self.conclude_rules(id));
    }

    /// A conversation was over when its last call was: what is open is decided.
    fn conclude_rules(&mut self, id: &str) {
        let Some(ending) = self.conversations.get_mut(id) else { return };
        let Some(Left { call, at, .. }) = ending.left else { return };
        ending.judge.finish(at);
        ending.keep_events();
        // No dialog is left to tell it in.
        let mut last = Vec::new();
        while let Some(verdict) = ending.judge.poll_verdict() {
            last.push((ending.policy.policy().signal(&verdict.finding).log, verdict));
        }
        for (log, verdict) in last {
            self.publish_verdict(call, Box::new(verdict), log);
        }
        self.conversations.remove(id);
    }
}
