//! What the signalling thread does about the rules of a conversation: their time, holds, and its end.

use std::time::Duration;

use crate::policy::evidence::Evidence;
use crate::policy::rules::event::Suspension;
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
        let since = jiff::Timestamp::now().duration_since(entry.started);
        let at = Duration::try_from(since).unwrap_or_default();
        self.weigh(key, Evidence::Suspended { why: Suspension::Hold, begins: held, at });
    }

    /// The last call of a conversation, `key`, is over: what is open is decided.
    pub(super) fn conclude_rules(&mut self, key: CallKey, conversation: &str) {
        let Some(ending) = self.conversations.get_mut(conversation) else { return };
        ending.judge.finish(jiff::Timestamp::now());
        ending.keep_events();
        // No dialog is left to tell it in.
        let mut last = Vec::new();
        while let Some(verdict) = ending.judge.poll_verdict() {
            last.push((ending.policy.policy().signal(&verdict.finding).log, verdict));
        }
        for (log, verdict) in last {
            self.publish_verdict(key, Box::new(verdict), log);
        }
        self.conversations.remove(conversation);
    }
}
