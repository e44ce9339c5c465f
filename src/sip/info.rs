//! What is told to the peer of one dialog: in which form, whether it may be, and in which order
//! (RFC 6086).
//!
//! RFC 6086 §4.2.2 lets only one INFO of a package be under way where order matters; ours all do.

use std::collections::{BTreeMap, VecDeque};

use crate::sip::event::{InfoId, InfoSkip};
use crate::sip::headers::{Headers, split};
use crate::sip::message::Request;

/// The INFO package that carries verdicts (RFC 6086 §10.2).
pub const PACKAGE: &str = "sidetone";
/// One verdict, in JSON.
pub const CONTENT_TYPE: &str = "application/vnd.sidetone.verdict+json";
/// Notices that may wait behind the one under way; more than that means that the peer does not keep
/// up, and the oldest verdict is worth the least.
pub const MAX_QUEUED: usize = 32;

/// The form in which a peer takes verdicts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum InfoProfile {
    /// INFO of our package, to those alone whose Recv-Info names it.
    #[default]
    Rfc6086,
    /// INFO with the JSON document and no package, as before RFC 6086, though the peer never said
    /// that it takes it. FreeSWITCH answers 200 and raises an event; Asterisk never answers.
    LegacyJson,
    /// INFO with one digit (application/dtmf-relay), by the verdict's outcome; others are not sent.
    DtmfRelay(BTreeMap<String, char>),
    /// MESSAGE outside of the dialog to this URI, as text: Asterisk's message context takes it, and
    /// an in-dialog one it would hand to the telephones.
    Message(String),
    /// Nothing is sent.
    None,
}

/// One verdict on its way to the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What it is about: of two that wait, the newer one takes the place of the older.
    pub subject: String,
    /// One word for what came of it, the key of [`InfoProfile::DtmfRelay`].
    pub outcome: String,
    /// The whole of it, in JSON.
    pub json: Vec<u8>,
    /// Fields for [`InfoProfile::Message`], which has no dialog to say which call is meant.
    pub headers: Vec<(String, String)>,
}

/// The notices to one peer.
#[derive(Debug)]
pub struct InfoQueue {
    profile: InfoProfile,
    permission: Permission,
    under_way: Option<InfoId>,
    queued: VecDeque<(InfoId, Notice)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Permission {
    /// Their Recv-Info does not name our package.
    Denied,
    /// It does, or the profile does not ask.
    Granted,
    /// One of ours was refused or never answered.
    Lost,
}

impl InfoQueue {
    /// An empty one for a peer of that profile.
    pub fn new(profile: InfoProfile) -> Self {
        let permission = match profile {
            InfoProfile::Rfc6086 | InfoProfile::None => Permission::Denied,
            InfoProfile::LegacyJson | InfoProfile::DtmfRelay(_) | InfoProfile::Message(_) => {
                Permission::Granted
            }
        };
        Self { profile, permission, under_way: None, queued: VecDeque::new() }
    }

    /// The form that the peer takes.
    pub fn profile(&self) -> &InfoProfile {
        &self.profile
    }

    /// Reads Recv-Info of an INVITE, an UPDATE or a success. Where the field is absent nothing
    /// changes: a re-INVITE that only puts us on hold often leaves it out.
    pub fn learn(&mut self, headers: &Headers) {
        if self.profile != InfoProfile::Rfc6086 || self.permission == Permission::Lost {
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
    pub fn push(&mut self, id: InfoId, notice: Notice) -> Option<(InfoId, InfoSkip)> {
        match self.permission {
            Permission::Denied => return Some((id, InfoSkip::NotAllowed)),
            Permission::Lost => return Some((id, InfoSkip::PeerRefused)),
            Permission::Granted => {}
        }
        if let InfoProfile::DtmfRelay(digits) = &self.profile
            && !digits.contains_key(&notice.outcome)
        {
            return Some((id, InfoSkip::NoDigit));
        }
        let same = self.queued.iter().position(|(_, queued)| queued.subject == notice.subject);
        let older = same.and_then(|at| self.queued.remove(at));
        self.queued.push_back((id, notice));
        if let Some((older, _)) = older {
            return Some((older, InfoSkip::Superseded));
        }
        let full = self.queued.len() > MAX_QUEUED;
        let oldest = full.then(|| self.queued.pop_front()).flatten();
        oldest.map(|(oldest, _)| (oldest, InfoSkip::QueueFull))
    }

    /// The next one to send now; it counts as under way until [`Self::finish`].
    pub fn pop(&mut self) -> Option<(InfoId, Notice)> {
        if self.under_way.is_some() {
            return None;
        }
        let (id, notice) = self.queued.pop_front()?;
        self.under_way = Some(id);
        Some((id, notice))
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

    /// Fills `request`, an INFO of the dialog or a MESSAGE outside of it, with `notice`.
    pub fn fill(&self, request: &mut Request, notice: Notice) {
        match &self.profile {
            InfoProfile::Rfc6086 | InfoProfile::None => {
                request.headers.push("Info-Package", PACKAGE);
                request.headers.push("Content-Disposition", "Info-Package");
                request.headers.push("Content-Type", CONTENT_TYPE);
                request.body = notice.json;
            }
            InfoProfile::LegacyJson => {
                request.headers.push("Content-Type", CONTENT_TYPE);
                request.body = notice.json;
            }
            InfoProfile::DtmfRelay(digits) => {
                let digit = digits.get(&notice.outcome).copied().unwrap_or('D');
                request.headers.push("Content-Type", "application/dtmf-relay");
                request.body = format!("Signal={digit}\r\nDuration=160\r\n").into_bytes();
            }
            InfoProfile::Message(_) => {
                for (name, value) in &notice.headers {
                    request.headers.push(name, value);
                }
                request.headers.push("Content-Type", "text/plain;charset=utf-8");
                request.body = notice.json;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recv_info(value: &str) -> Headers {
        let mut headers = Headers::default();
        headers.push("Recv-Info", value);
        headers
    }

    fn about(subject: u64) -> Notice {
        let (subject, outcome) = (subject.to_string(), "accepted".to_owned());
        Notice { subject, outcome, json: b"{}".to_vec(), headers: Vec::new() }
    }

    fn allowed() -> InfoQueue {
        let mut queue = InfoQueue::new(InfoProfile::Rfc6086);
        queue.learn(&recv_info("other, Sidetone;v=1"));
        queue
    }

    #[test]
    fn nothing_is_sent_to_a_peer_that_did_not_ask() {
        let mut queue = InfoQueue::new(InfoProfile::Rfc6086);
        assert_eq!(queue.push(InfoId(1), about(1)), Some((InfoId(1), InfoSkip::NotAllowed)));
        queue.learn(&recv_info(""));
        assert_eq!(queue.push(InfoId(2), about(2)), Some((InfoId(2), InfoSkip::NotAllowed)));
        queue.learn(&recv_info("sidetone"));
        assert_eq!(queue.push(InfoId(3), about(3)), None);
        assert_eq!(InfoQueue::new(InfoProfile::LegacyJson).push(InfoId(4), about(4)), None);
    }

    #[test]
    fn a_reinvite_without_recv_info_changes_nothing() {
        let mut queue = allowed();
        queue.learn(&Headers::default());
        assert_eq!(queue.push(InfoId(1), about(1)), None);
        queue.learn(&recv_info(""));
        assert_eq!(queue.push(InfoId(2), about(2)), Some((InfoId(2), InfoSkip::NotAllowed)));
    }

    #[test]
    fn one_is_under_way_at_a_time_and_order_is_kept() {
        let mut queue = allowed();
        queue.push(InfoId(1), about(1));
        queue.push(InfoId(2), about(2));
        assert_eq!(queue.pop(), Some((InfoId(1), about(1))));
        assert_eq!(queue.pop(), None);
        assert_eq!(queue.finish(true), (Some(InfoId(1)), vec![]));
        assert_eq!(queue.pop(), Some((InfoId(2), about(2))));
    }

    #[test]
    fn a_full_queue_gives_up_its_oldest() {
        let mut queue = allowed();
        for id in 0..MAX_QUEUED as u64 {
            assert_eq!(queue.push(InfoId(id), about(id)), None);
        }
        assert_eq!(queue.push(InfoId(99), about(99)), Some((InfoId(0), InfoSkip::QueueFull)));
        assert_eq!(queue.pop().map(|(id, _)| id), Some(InfoId(1)));
    }

    #[test]
    fn after_a_refusal_nothing_more_is_sent() {
        let mut queue = allowed();
        queue.push(InfoId(1), about(1));
        queue.push(InfoId(2), about(2));
        queue.pop();
        assert_eq!(queue.finish(false), (Some(InfoId(1)), vec![InfoId(2)]));
        queue.learn(&recv_info("sidetone"));
        assert_eq!(queue.push(InfoId(3), about(3)), Some((InfoId(3), InfoSkip::PeerRefused)));
    }

    #[test]
    fn the_newest_verdict_on_a_subject_takes_the_place_of_one_that_waits() {
        let mut queue = allowed();
        for id in 1..=3 {
            assert_eq!(queue.push(InfoId(id), about(id)), None);
        }
        assert_eq!(queue.pop().map(|(id, _)| id), Some(InfoId(1)));
        assert_eq!(queue.push(InfoId(4), about(1)), None, "the first is on its way already");
        assert_eq!(queue.push(InfoId(5), about(2)), Some((InfoId(2), InfoSkip::Superseded)));
        let mut order = Vec::new();
        while let (Some(_), _) = queue.finish(true) {
            order.extend(queue.pop().map(|(id, _)| id));
        }
        assert_eq!(order, [InfoId(3), InfoId(4), InfoId(5)]);
    }

    #[test]
    fn each_profile_writes_what_its_peer_reads() {
        let digits = BTreeMap::from([("accepted".to_owned(), '1')]);
        let written = |profile: InfoProfile| {
            let mut request = Request::new(crate::sip::message::Method::Info, "sip:a@b");
            InfoQueue::new(profile).fill(&mut request, about(1));
            let kind = request.headers.get("Content-Type").map(str::to_owned);
            (kind, request.headers.contains("Info-Package"), request.body)
        };
        let json = |kind: &str, package| (Some(kind.to_owned()), package, b"{}".to_vec());
        assert_eq!(written(InfoProfile::Rfc6086), json(CONTENT_TYPE, true));
        assert_eq!(written(InfoProfile::LegacyJson), json(CONTENT_TYPE, false));
        assert_eq!(
            written(InfoProfile::Message("sip:x@y".into())),
            json("text/plain;charset=utf-8", false)
        );
        let (kind, _, body) = written(InfoProfile::DtmfRelay(digits.clone()));
        assert_eq!(kind.as_deref(), Some("application/dtmf-relay"));
        assert_eq!(body, b"Signal=1\r\nDuration=160\r\n");
        let mut queue = InfoQueue::new(InfoProfile::DtmfRelay(digits));
        let other = Notice { outcome: "rejected".into(), ..about(1) };
        assert_eq!(queue.push(InfoId(1), other), Some((InfoId(1), InfoSkip::NoDigit)));
    }
}
