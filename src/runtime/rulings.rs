//! What the signalling thread does about the rules of a conversation: their time, holds, and its end.

use std::time::{Duration, Instant};

use crate::policy::evidence::Evidence;
use crate::policy::rules::event::Suspension;
use crate::runtime::conversations::{Conversation, Left};
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
        let is_over = |_: &String, conversation: &mut Conversation| {
            conversation.left.is_some_and(|left| left.until <= now)
        };
        let over: Vec<_> = self.conversations.extract_if(is_over).collect();
        over.into_iter().for_each(|(_, conversation)| self.conclude_rules(conversation));
    }

    /// Concludes all that have no call, since nobody can come back any more.
    pub(super) fn conclude_all(&mut self) {
        let left = |_: &String, conversation: &mut Conversation| conversation.left.is_some();
        let left: Vec<_> = self.conversations.extract_if(left).collect();
        left.into_iter().for_each(|(_, conversation)| self.conclude_rules(conversation));
    }

    /// A conversation was over when its last call was: what is open is decided.
    fn conclude_rules(&mut self, mut conversation: Conversation) {
        let Some(Left { call, at, .. }) = conversation.left else { return };
        conversation.judge.finish(at);
        conversation.keep_events();
        // No dialog is left to tell it in.
        while let Some(verdict) = conversation.judge.poll_verdict() {
            let log = conversation.policy.policy().signal(&verdict.finding).log;
            self.publish_verdict(call, Box::new(verdict), log);
        }
    }
}
