//! What the signalling thread does where a leg begins: who it is, what judges it, how its audio is agreed on.

use std::net::SocketAddr;

use tracing::info;

use crate::call::call::Call;
use crate::call::facts::Facts;
use crate::call::key_source::{KeySource, SECRET};
use crate::call::negotiation::{MediaTerms, Negotiation};
use crate::policy::judge::Leg;
use crate::runtime::conversations::Conversation;
use crate::runtime::leg_figures::LegFigures;
use crate::runtime::leg_orders::LegOrders;
use crate::runtime::media_thread::MediaSockets;
use crate::runtime::signalling::{Entry, Signalling};
use crate::sip::event::CallKey;
use crate::speaker::score_drift::FirstLook;

impl Signalling {
    /// A call with these facts whose audio comes to `sockets`; it fails where the system has no
    /// randomness for its keys.
    pub(super) fn begin(
        &mut self,
        facts: &Facts,
        sockets: &MediaSockets,
        terms: MediaTerms,
    ) -> Result<Call, getrandom::Error> {
        let negotiation = self.negotiation(sockets, terms)?;
        Ok(Call::new(self.leg(facts), negotiation))
    }

    /// Our side of the description of what comes to `sockets`; it fails where the system has no randomness.
    pub(super) fn negotiation(
        &mut self,
        sockets: &MediaSockets,
        terms: MediaTerms,
    ) -> Result<Negotiation, getrandom::Error> {
        let port = sockets.rtp.local_addr().expect("a bound socket has an address").port();
        let local = SocketAddr::new(self.advertised, port);
        let mut secret = [0; SECRET];
        getrandom::fill(&mut secret)?;
        let (session_id, keys) = (self.random.u64(..) >> 2, KeySource::new(secret));
        Ok(Negotiation::new(local, session_id, self.patience, terms, keys))
    }

    /// Whose leg it is for the judge.
    pub(super) fn leg(&self, facts: &Facts) -> Leg {
        let started = jiff::Timestamp::now();
        let leg = Leg::new(facts.party, facts.subject.clone(), started, self.models.clone());
        leg.through(facts.queue.clone())
    }

    /// Takes up a call. `exposed` names its peer where the SIP between us is not encrypted.
    pub(super) fn enter(
        &mut self,
        key: CallKey,
        call: Call,
        facts: Facts,
        sockets: MediaSockets,
        exposed: Option<&String>,
    ) {
        let id = facts.conversation.clone();
        let conversation = self.conversations.entry(id.clone()).or_insert_with(|| {
            let reference = format!("{:016x}", self.random.u64(..));
            if self.metrics.tells_exemplars() {
                info!(conversation = id, reference, "conversation");
            }
            Conversation::new((id, reference), &self.policy, self.events.as_ref())
        });
        conversation.joined(facts.party, facts.channel.as_deref());
        let entry = Entry {
            call,
            facts,
            started: jiff::Timestamp::now(),
            asked: false,
            by: String::new(),
            person: None,
            agent: None,
            enrolling: None,
            keeping: 0,
            orders: LegOrders::new(),
            recording: None,
            exposed: exposed.cloned(),
            sockets: Some(sockets),
            plan: None,
            look: FirstLook::default(),
            figures: LegFigures::default(),
            held: false,
            paused: false,
            ended: false,
            silent: true,
        };
        self.calls.insert(key, entry);
    }
}
