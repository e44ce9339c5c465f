//! INFO of one dialog: whether it may be sent, and in which order (RFC 6086).
//!
//! RFC 6086 §4.2.2 lets only one INFO of a package be under way where order matters; ours all do.

use std::collections::VecDeque;

use crate::sip::event::{InfoId, InfoSkip};
use crate::sip::headers::{Headers, split};
use crate::sip::message::Request;

/// The INFO package that carries verdicts (RFC 6086 §10.2).
pub const PACKAGE: &str = "sidetone";
/// One verdict, in JSON.
pub const CONTENT_TYPE: &str = "application/vnd.sidetone.verdict+json";
/// INFOs that may wait behind the one under way; more than that means that the peer does not keep
/// up, and the oldest verdict is worth the least.
pub const MAX_QUEUED: usize = 32;

/// The INFOs of one dialog.
#[derive(Debug)]
pub struct InfoQueue {
    permission: Permission,
    under_way: Option<InfoId>,
    queued: VecDeque<(InfoId, Vec<u8>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Permission {
    /// Their Recv-Info does not name our package.
    Denied,
    /// It does.
    Granted,
    /// The settings say that this peer takes INFO though it never says so.
    Legacy,
    /// One of ours was refused or never answered.
    Lost,
}

impl InfoQueue {
    /// `legacy`: send without asking.
    pub fn new(legacy: bool) -> Self {
        let permission = if legacy { Permission::Legacy } else { Permission::Denied };
        Self { permission, under_way: None, queued: VecDeque::new() }
    }

    /// Reads Recv-Info of an INVITE or a success. Where the field is absent nothing changes: a
    /// re-INVITE that only puts us on hold often leaves it out.
    pub fn learn(&mut self, headers: &Headers) {
        if !matches!(self.permission, Permission::Denied | Permission::Granted) {
            return;
        }
        if headers.contains("Recv-Info") {
            let names_ours = |element: &str| {
                split(element, ';').first().is_some_and(|name| name.eq_ignore_ascii_case(PACKAGE))
            };
            let granted = headers.list("Recv-Info").any(names_ours);
            self.permission = if granted { Permission::Granted } else { Permission::Denied };
        }
    }

    /// Queues one; returns what will not be sent because of it.
    pub fn push(&mut self, id: InfoId, body: Vec<u8>) -> Option<(InfoId, InfoSkip)> {
        match self.permission {
            Permission::Denied => Some((id, InfoSkip::NotAllowed)),
            Permission::Lost => Some((id, InfoSkip::PeerRefused)),
            Permission::Granted | Permission::Legacy => {
                self.queued.push_back((id, body));
                let full = self.queued.len() > MAX_QUEUED;
                let oldest = full.then(|| self.queued.pop_front()).flatten();
                oldest.map(|(oldest, _)| (oldest, InfoSkip::QueueFull))
            }
        }
    }

    /// The next one to send now; it counts as under way until [`Self::finish`].
    pub fn pop(&mut self) -> Option<(InfoId, Vec<u8>)> {
        if self.under_way.is_some() {
            return None;
        }
        let (id, body) = self.queued.pop_front()?;
        self.under_way = Some(id);
        Some((id, body))
    }

    /// The one under way was answered (`accepted`) or refused or given up. Returns it and those
    /// that will not be sent because of that.
    pub fn finish(&mut self, accepted: bool) -> (Option<InfoId>, Vec<InfoId>) {
        let finished = self.under_way.take();
        let mut skipped = Vec::new();
        if !accepted {
            self.permission = Permission::Lost;
            skipped.extend(self.queued.drain(..).map(|(id, _)| id));
        }
        (finished, skipped)
    }
}

/// Fills `request`, an INFO of the dialog, with one verdict (RFC 6086 §4.2.1).
pub fn fill(request: &mut Request, body: Vec<u8>) {
    request.headers.push("Info-Package", PACKAGE);
    request.headers.push("Content-Disposition", "Info-Package");
    request.headers.push("Content-Type", CONTENT_TYPE);
    request.body = body;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recv_info(value: &str) -> Headers {
        let mut headers = Headers::default();
        headers.push("Recv-Info", value);
        headers
    }

    fn allowed() -> InfoQueue {
        let mut queue = InfoQueue::new(false);
        queue.learn(&recv_info("other, Sidetone;v=1"));
        queue
    }

    #[test]
    fn nothing_is_sent_to_a_peer_that_did_not_ask() {
        let mut queue = InfoQueue::new(false);
        assert_eq!(queue.push(InfoId(1), vec![]), Some((InfoId(1), InfoSkip::NotAllowed)));
        queue.learn(&recv_info(""));
        assert_eq!(queue.push(InfoId(2), vec![]), Some((InfoId(2), InfoSkip::NotAllowed)));
        queue.learn(&recv_info("sidetone"));
        assert_eq!(queue.push(InfoId(3), vec![]), None);
        assert_eq!(InfoQueue::new(true).push(InfoId(4), vec![]), None);
    }

    #[test]
    fn a_reinvite_without_recv_info_changes_nothing() {
        let mut queue = allowed();
        queue.learn(&Headers::default());
        assert_eq!(queue.push(InfoId(1), vec![]), None);
        queue.learn(&recv_info(""));
        assert_eq!(queue.push(InfoId(2), vec![]), Some((InfoId(2), InfoSkip::NotAllowed)));
    }

    #[test]
    fn one_is_under_way_at_a_time_and_order_is_kept() {
        let mut queue = allowed();
        queue.push(InfoId(1), vec![1]);
        queue.push(InfoId(2), vec![2]);
        assert_eq!(queue.pop(), Some((InfoId(1), vec![1])));
        assert_eq!(queue.pop(), None);
        assert_eq!(queue.finish(true), (Some(InfoId(1)), vec![]));
        assert_eq!(queue.pop(), Some((InfoId(2), vec![2])));
    }

    #[test]
    fn a_full_queue_gives_up_its_oldest() {
        let mut queue = allowed();
        for id in 0..MAX_QUEUED as u64 {
            assert_eq!(queue.push(InfoId(id), vec![]), None);
        }
        assert_eq!(queue.push(InfoId(99), vec![]), Some((InfoId(0), InfoSkip::QueueFull)));
        assert_eq!(queue.pop().map(|(id, _)| id), Some(InfoId(1)));
    }

    #[test]
    fn after_a_refusal_nothing_more_is_sent() {
        let mut queue = allowed();
        queue.push(InfoId(1), vec![]);
        queue.push(InfoId(2), vec![]);
        queue.pop();
        assert_eq!(queue.finish(false), (Some(InfoId(1)), vec![InfoId(2)]));
        queue.learn(&recv_info("sidetone"));
        assert_eq!(queue.push(InfoId(3), vec![]), Some((InfoId(3), InfoSkip::PeerRefused)));
    }
}
