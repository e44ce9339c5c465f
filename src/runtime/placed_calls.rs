//! Calls that we place on request: the orders, and what became of each.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use utoipa::ToSchema;

use crate::runtime::admission::Admission;
use crate::runtime::enrollments::{EnrollOrder, Enrolling, NotEnrolled};
use crate::runtime::pauses::{Ordered, Whose};
use crate::runtime::policy_in_force::PolicyInForce;
use crate::runtime::transport::tls::Tls;
use crate::sip::event::CallKey;
use crate::sip::headers::Headers;

/// Calls that are remembered after their end.
const ENDED_KEPT: usize = 256;
/// Orders that may wait for the signalling thread.
const ORDERS_WAITING: usize = 16;

/// What to call, and as what: the body of `POST /calls`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceOrder {
    /// A SIP URI; with an account also an extension alone.
    #[schema(example = "sip:8000@pbx.example.org")]
    pub target: String,
    /// Name of the account that calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Name of the peer whose form of verdicts the called side takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// As `X-Sidetone-Conversation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// As `X-Sidetone-Party`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party: Option<String>,
    /// As `X-Sidetone-Subject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// As `X-Sidetone-Consent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<String>,
    /// As `X-Sidetone-Consent-Scope`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent_scope: Option<String>,
    /// As `X-Sidetone-Policy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// As `X-Sidetone-Enroll`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enroll: Option<String>,
}

/// How a placed call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    /// Not answered yet.
    Calling,
    /// It stands.
    Answered,
    /// It stood, and is over.
    Ended,
    /// It never stood.
    Failed,
}

/// A placed call, as `/calls` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlacedCall {
    /// Its number, from 1.
    pub id: u64,
    /// Whom it goes to.
    pub target: String,
    /// The conversation that its verdicts name.
    pub conversation: String,
    /// The policy that its conversation is judged by, whatever is in force by now, `name@version`.
    #[serde(default)]
    #[schema(example = "default@1")]
    pub policy: String,
    /// How it stands.
    pub state: CallState,
    /// How it ended, or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Something asked of the signalling thread.
#[derive(Debug)]
pub enum Order {
    /// Call somebody, by the word of `token:NAME`; the answer says why not.
    Place(PlaceOrder, String, oneshot::Sender<Result<PlacedCall, String>>),
    /// All calls placed, the oldest first.
    List(oneshot::Sender<Vec<PlacedCall>>),
    /// One of them.
    Show(u64, oneshot::Sender<Option<PlacedCall>>),
    /// Enrol the caller of a call or conversation; the answer says why not.
    Enroll(EnrollOrder, oneshot::Sender<Result<Enrolling, NotEnrolled>>),
    /// Pause legs, or not any more; the answer says that there are none.
    Pause(Whose, bool, oneshot::Sender<Option<Ordered>>),
    /// Hang one up; tells how it stood.
    End(u64, oneshot::Sender<Option<PlacedCall>>),
    /// Use these certificates for new connections.
    Certify(Box<Tls>, oneshot::Sender<()>),
    /// Let these call from now on.
    Admit(Box<Admission>, oneshot::Sender<()>),
    /// Take no new call any more; those that stand go on.
    CloseDoors(oneshot::Sender<()>),
    /// Judge new conversations by this policy.
    Enforce(PolicyInForce, oneshot::Sender<()>),
}

/// Where orders are given; cheap to clone.
#[derive(Clone, Debug)]
pub struct Desk {
    orders: mpsc::Sender<Order>,
}

/// The calls placed so far.
#[derive(Debug, Default)]
pub struct PlacedCalls {
    calls: BTreeMap<u64, PlacedCall>,
    numbers: HashMap<CallKey, u64>,
    last: u64,
}

impl PlaceOrder {
    /// The order as the header fields that a PBX would have sent.
    pub fn headers(&self) -> Headers {
        let mut headers = Headers::default();
        let fields = [
            ("X-Sidetone-Conversation", &self.conversation),
            ("X-Sidetone-Party", &self.party),
            ("X-Sidetone-Subject", &self.subject),
            ("X-Sidetone-Consent", &self.consent),
            ("X-Sidetone-Consent-Scope", &self.consent_scope),
            ("X-Sidetone-Policy", &self.policy),
            ("X-Sidetone-Enroll", &self.enroll),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                headers.push(name, value);
            }
        }
        headers
    }
}

impl Desk {
    /// A desk, and where its orders come out.
    pub fn new() -> (Self, mpsc::Receiver<Order>) {
        let (orders, inbox) = mpsc::channel(ORDERS_WAITING);
        (Self { orders }, inbox)
    }

    /// Gives the order that `make` makes, and waits for its answer; `None` while nobody takes
    /// orders, at the start and at the end.
    pub async fn give<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> Order) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.orders.send(make(reply)).await.ok()?;
        answer.await.ok()
    }
}

impl PlacedCalls {
    /// A call is on its way.
    pub fn begin(
        &mut self,
        key: CallKey,
        target: String,
        (conversation, policy): (String, String),
    ) -> PlacedCall {
        self.last += 1;
        let (id, state) = (self.last, CallState::Calling);
        let call = PlacedCall { id, target, conversation, policy, state, detail: None };
        self.calls.insert(id, call.clone());
        self.numbers.insert(key, id);
        call
    }

    /// It was answered.
    pub fn answered(&mut self, key: CallKey) {
        if let Some(call) = self.numbers.get(&key).and_then(|id| self.calls.get_mut(id)) {
            call.state = CallState::Answered;
        }
    }

    /// It is over; `detail` says how. Nothing happens for calls that we did not place.
    pub fn over(&mut self, key: CallKey, detail: &str) {
        let id = self.numbers.remove(&key);
        let Some(call) = id.and_then(|id| self.calls.get_mut(&id)) else { return };
        call.state = match call.state {
            CallState::Calling => CallState::Failed,
            CallState::Answered | CallState::Ended | CallState::Failed => CallState::Ended,
        };
        call.detail = Some(detail.to_owned());
        let ended = self.calls.len() - self.numbers.len();
        let is_over =
            |call: &PlacedCall| matches!(call.state, CallState::Ended | CallState::Failed);
        if ended > ENDED_KEPT
            && let Some(oldest) = self.calls.values().find(|call| is_over(call)).map(|c| c.id)
        {
            self.calls.remove(&oldest);
        }
    }

    /// All of them, the oldest first.
    pub fn list(&self) -> Vec<PlacedCall> {
        self.calls.values().cloned().collect()
    }

    /// One of them.
    pub fn show(&self, id: u64) -> Option<PlacedCall> {
        self.calls.get(&id).cloned()
    }

    /// The handle of a call that is not over.
    pub fn key(&self, id: u64) -> Option<CallKey> {
        self.numbers.iter().find(|(_, number)| **number == id).map(|(key, _)| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_followed_to_its_end_and_forgotten_after_many_others() {
        let mut placed = PlacedCalls::default();
        let call = placed.begin(CallKey(7), "sip:a@b".into(), ("c".into(), "p@1".into()));
        assert_eq!((call.id, call.state), (1, CallState::Calling));
        placed.answered(CallKey(7));
        assert_eq!(placed.key(1), Some(CallKey(7)));
        placed.over(CallKey(7), "by_peer");
        let call = placed.show(1).expect("still known");
        assert_eq!((call.state, call.detail.as_deref()), (CallState::Ended, Some("by_peer")));
        assert_eq!(placed.key(1), None);
        for n in 0..ENDED_KEPT as u64 {
            placed.begin(CallKey(100 + n), "sip:a@b".into(), ("c".into(), "p@1".into()));
            placed.over(CallKey(100 + n), "refused with 486");
        }
        assert_eq!(placed.show(1), None);
        assert_eq!(placed.list().len(), ENDED_KEPT);
        assert!(placed.list().iter().all(|call| call.state == CallState::Failed));
    }
}
