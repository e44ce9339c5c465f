//! What the signalling thread does in a recording session (SIPREC, RFC 7866): one dialog, in which each stream is a leg
//! of its own, with a key, a port and a media session of its own.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::call::call::Call;
use crate::call::facts::Facts;
use crate::call::media_plan::MediaPlan;
use crate::call::negotiation::{MediaTerms, Negotiation};
use crate::call::recording::{Recording, RecordingTerms, Step};
use crate::config::sip::{FirstParty, Peer, SubjectSource};
use crate::policy::line::LineState;
use crate::policy::rule::Party;
use crate::rtp::security::Guard;
use crate::runtime::leg_orders::Relay;
use crate::runtime::media_thread::MediaSockets;
use crate::runtime::observation::Observation;
use crate::runtime::signalling::{Signalling, told};
use crate::sdp::offer::Offer;
use crate::sdp::session::Origin;
use crate::sdp::several::Settled;
use crate::sip::event::{CallKey, End, Event, Invitation};
use crate::sip::transport::Transport;
use crate::siprec::metadata::Metadata;

/// Streams of one session that are heard; the others are refused. Two people are two, a conference is mixed.
const MOST_STREAMS: usize = 8;

/// All sessions, and what each peer's leave open.
#[derive(Debug)]
pub struct RecordingSessions {
    terms: Vec<(String, RecordingTerms)>,
    sessions: HashMap<CallKey, RecordingSession>,
}

/// One session.
#[derive(Debug)]
struct RecordingSession {
    recording: Recording,
    /// By m-line.
    streams: BTreeMap<usize, Heard>,
    terms: MediaTerms,
    origin: Origin,
    /// Our last description.
    sdp: String,
    /// Ours was sent as an offer, and their answer comes with the ACK.
    asked: bool,
    /// An ACK has come.
    confirmed: bool,
    /// The peer, where whoever sees its SIP can read it.
    exposed: Option<String>,
    /// Its name.
    peer: String,
}

/// One stream that is heard, whoever speaks there.
#[derive(Debug)]
struct Heard {
    negotiation: Negotiation,
    /// For whoever speaks there next: the port stays, since metadata alone cannot change it.
    sockets: MediaSockets,
    plan: MediaPlan,
    /// What whoever speaks there now hands over.
    relay: Option<oneshot::Receiver<Guard>>,
    /// Nothing has come for as long as is waited.
    silent: bool,
}

/// Why a session, or a change of one, is refused.
struct Refused {
    status: u16,
    reason: String,
}

impl RecordingSessions {
    /// None yet, of these peers.
    pub fn new(peers: &[Peer]) -> Self {
        let mut none = Self { terms: Vec::new(), sessions: HashMap::new() };
        none.replace_peers(peers);
        none
    }

    /// Other peers from now on.
    pub fn replace_peers(&mut self, peers: &[Peer]) {
        let terms = peers.iter().map(|peer| {
            let first = match peer.siprec_first {
                FirstParty::Caller => Party::Caller,
                FirstParty::Agent => Party::Agent,
            };
            let claims = peer.siprec_subject == SubjectSource::Aor;
            (
                peer.name.clone(),
                RecordingTerms { agents: peer.siprec_agents.clone(), first, claims },
            )
        });
        self.terms = terms.collect();
    }

    /// Whether the dialog of `key` is one of them.
    pub(super) fn contains(&self, key: CallKey) -> bool {
        self.sessions.contains_key(&key)
    }

    fn legs(&self, key: CallKey) -> Vec<CallKey> {
        self.sessions.get(&key).map_or_else(Vec::new, |session| session.recording.legs())
    }
}

impl Signalling {
    /// Sees to `event` where it opens a recording session, or belongs to one; gives back what it is like in every call.
    pub(super) fn handle_recorded(&mut self, key: CallKey, event: Event) -> Option<Event> {
        match event {
            Event::Invited(invitation) if invitation.recording => {
                self.open_recording(key, &invitation);
            }
            _ if !self.recordings.contains(key) => return Some(event),
            Event::Described { metadata } => self.describe_recording(key, &metadata),
            Event::Confirmed { answer } => self.confirm_recording(key, answer.as_deref()),
            Event::Reinvited { offer } => self.change_recording(key, offer.as_deref()),
            Event::PauseAsked { begins } => {
                let legs = self.recordings.legs(key).into_iter();
                legs.for_each(|leg| self.pause_by_header(leg, begins));
            }
            Event::Ended(end) => self.end_recording(key, &end),
            _ => return Some(event),
        }
        None
    }

    /// Whether nothing comes any more in the dialog of the leg `key`, whose own audio has stopped. In a recording session
    /// one stream may be silent for long: its party is muted.
    pub(super) fn is_dead(&mut self, key: CallKey) -> bool {
        let Some(heard) = self.stream_of(key) else { return true };
        heard.silent = true;
        let dialog = self.calls.get(&key).and_then(|entry| entry.recording);
        let session = dialog.and_then(|dialog| self.recordings.sessions.get(&dialog));
        session.is_none_or(|session| {
            session.streams.values().all(|heard| heard.silent || heard.plan.patience.is_none())
        })
    }

    /// The line of a leg was silent, or is not any more.
    pub(super) fn handle_line(&mut self, key: CallKey, state: LineState) {
        if let (LineState::Heard, Some(heard)) = (state, self.stream_of(key)) {
            heard.silent = false;
        }
    }

    /// The stream of a recording session that the leg `key` is.
    fn stream_of(&mut self, key: CallKey) -> Option<&mut Heard> {
        let dialog = self.calls.get(&key)?.recording?;
        let RecordingSession { recording, streams, .. } =
            self.recordings.sessions.get_mut(&dialog)?;
        streams
            .iter_mut()
            .find(|(index, _)| recording.leg(**index) == Some(key))
            .map(|(_, heard)| heard)
    }

    fn open_recording(&mut self, key: CallKey, invitation: &Invitation) {
        let told = match self.facts(&invitation.headers, &invitation.call_id) {
            Ok(told) => told,
            Err(why) => return self.refuse(key, 400, &why),
        };
        let Some(offer) = &invitation.offer else {
            return self.refuse(key, 488, "a recording session needs an offer (RFC 7866 7.1)");
        };
        let offer = match Offer::parse(offer) {
            Ok(offer) => offer,
            Err(error) => return self.refuse(key, 400, &error.to_string()),
        };
        let header =
            |name| invitation.headers.get(name).is_some_and(|value| !value.trim().is_empty());
        let party = header("X-Sidetone-Party").then_some(told.party);
        let peer = &invitation.peer;
        let terms = self.recordings.terms.iter().find(|(name, _)| name == peer);
        let Some((_, terms)) = terms else { return self.refuse(key, 403, "no peer of recordings") };
        let mut recording = Recording::new(terms.clone(), told, party);
        let metadata = invitation.metadata.as_deref().and_then(|m| self.read_metadata(m));
        if let Some(metadata) = metadata {
            recording.handle_metadata(metadata, !header("X-Sidetone-Conversation"));
        }
        let conversation = recording.conversation().to_owned();
        let whose = (invitation.source.hop.transport != Transport::Tls).then(|| peer.clone());
        let session = RecordingSession {
            recording,
            streams: BTreeMap::new(),
            terms: self.media_settings.of_caller(peer).clone(),
            origin: Origin::new(self.random.u64(..) >> 2),
            sdp: String::new(),
            asked: false,
            confirmed: false,
            exposed: whose,
            peer: peer.clone(),
        };
        self.recordings.sessions.insert(key, session);
        let (source, streams) = (&invitation.source, offer.streams().count());
        info!(conversation, %source, peer, streams, "recording session");
        match self.agree(key, &offer, true) {
            Ok(sdp) => {
                self.metrics.recordings.begun();
                self.endpoint.accept(Instant::now(), key, sdp, &[]);
            }
            Err(Refused { status, reason }) => {
                self.recordings.sessions.remove(&key);
                self.refuse(key, status, &reason);
            }
        }
    }

    /// Metadata of its own, by UPDATE, or before what a re-INVITE offers.
    fn describe_recording(&mut self, key: CallKey, metadata: &[u8]) {
        let Some(metadata) = self.read_metadata(metadata) else { return };
        self.in_session(key, |signalling, session| {
            session.recording.handle_metadata(metadata, false);
            signalling.step_legs(key, session);
        });
    }

    /// The ACK; their answer with it where we were asked for an offer. Some clients send none, and then all stays as it was.
    fn confirm_recording(&mut self, key: CallKey, answer: Option<&str>) {
        let session = self.recordings.sessions.get_mut(&key);
        let asked = session.is_some_and(|session| {
            session.confirmed = true;
            std::mem::take(&mut session.asked)
        });
        if let Some(Ok(answer)) = answer.filter(|_| asked).map(Offer::parse) {
            // What they say of their streams is what an offer would say; ours is on its way already.
            let _ = self.agree(key, &answer, false);
        }
        self.confirm_legs(key);
    }

    fn change_recording(&mut self, key: CallKey, offer: Option<&str>) {
        let Some(offer) = offer else {
            let Some(session) = self.recordings.sessions.get_mut(&key) else { return };
            session.asked = true;
            let sdp = session.sdp.clone();
            return self.endpoint.accept(Instant::now(), key, sdp, &[]);
        };
        let agreed = match Offer::parse(offer) {
            Ok(offer) => self.agree(key, &offer, false),
            Err(error) => Err(Refused { status: 400, reason: error.to_string() }),
        };
        match agreed {
            Ok(sdp) => self.endpoint.accept(Instant::now(), key, sdp, &[]),
            Err(Refused { status, reason }) => self.refuse(key, status, &reason),
        }
        self.confirm_legs(key);
    }

    fn end_recording(&mut self, key: CallKey, end: &End) {
        let Some(session) = self.recordings.sessions.remove(&key) else { return };
        let (word, detail) = told(end);
        self.metrics.recordings.ended();
        self.metrics.call_ended(word);
        info!(conversation = session.recording.conversation(), end = detail, "call over");
        session.recording.legs().into_iter().for_each(|leg| self.end_leg(leg, word));
    }

    /// Counts and logs what is of no use.
    fn read_metadata(&self, metadata: &[u8]) -> Option<Metadata> {
        match Metadata::parse(metadata) {
            Ok(metadata) => Some(metadata),
            Err(fault) => {
                self.metrics.recordings.fault(fault);
                warn!(%fault, "recording metadata is of no use: parties by order");
                None
            }
        }
    }

    /// Runs `act` on a session that stands.
    fn in_session<T>(
        &mut self,
        key: CallKey,
        act: impl FnOnce(&mut Self, &mut RecordingSession) -> T,
    ) -> Option<T> {
        let mut session = self.recordings.sessions.remove(&key)?;
        let result = act(self, &mut session);
        self.recordings.sessions.insert(key, session);
        Some(result)
    }

    /// Has every stream of `offer` that can be heard heard, and ends what is not in it; our answer. Of a refusal nothing
    /// comes but itself.
    fn agree(&mut self, key: CallKey, offer: &Offer, opens: bool) -> Result<String, Refused> {
        let agreed = self
            .in_session(key, |signalling, session| signalling.agree_in(key, session, offer, opens));
        agreed.unwrap_or_else(|| Err(Refused { status: 481, reason: "no such session".to_owned() }))
    }

    fn agree_in(
        &mut self,
        key: CallKey,
        session: &mut RecordingSession,
        offer: &Offer,
        opens: bool,
    ) -> Result<String, Refused> {
        let (mut settled, mut heard, mut refused) = (Vec::new(), Vec::new(), None);
        for stream in offer.streams().take(MOST_STREAMS) {
            let agreed = match session.streams.get_mut(&stream.index) {
                Some(heard) => {
                    let answer = heard.negotiation.respond_to_stream(offer, stream.index);
                    answer.map_err(|error| Refused {
                        status: error.status(),
                        reason: error.to_string(),
                    })
                }
                None => self.hear(session, offer, stream.index),
            };
            match agreed {
                Ok((answer, plan)) => {
                    settled.push(answer);
                    heard.push((stream, plan));
                }
                Err(why) => refused = Some(why),
            }
        }
        let nothing = || Refused { status: 488, reason: "no audio stream over RTP".to_owned() };
        let refused = refused.or_else(|| opens.then(nothing));
        if let Some(refused) = refused.filter(|_| settled.is_empty()) {
            return Err(refused);
        }
        session.streams.retain(|index, _| heard.iter().any(|(stream, _)| stream.index == *index));
        let streams = heard.iter().map(|(stream, _)| (stream.index, stream.label));
        for leg in session.recording.handle_streams(streams) {
            info!(conversation = session.recording.conversation(), "leg over: its stream is gone");
            self.end_leg(leg, "by_peer");
        }
        for (stream, plan) in heard {
            let Some(heard) = session.streams.get_mut(&stream.index) else { continue };
            (heard.plan, heard.silent) = (plan.clone(), false);
            if let Some(leg) = session.recording.leg(stream.index) {
                self.with(leg, |call, _| call.handle_agreed(plan));
            }
        }
        self.step_legs(key, session);
        if opens && session.streams.is_empty() {
            let reason = "No media thread is free".to_owned();
            return Err(Refused { status: 503, reason });
        }
        let ip = self.advertised;
        settled.retain(|answer| session.streams.contains_key(&answer.index));
        session.sdp = offer.answer_several(ip, &settled, &mut session.origin);
        Ok(session.sdp.clone())
    }

    /// A stream that was not heard so far.
    fn hear(
        &mut self,
        session: &mut RecordingSession,
        offer: &Offer,
        index: usize,
    ) -> Result<(Settled, MediaPlan), Refused> {
        let busy = |reason: String| Refused { status: 503, reason };
        let sockets = self.ports.bind().ok_or_else(|| busy("No RTP port is free".to_owned()))?;
        let negotiation = self.negotiation(&sockets, session.terms.clone());
        let mut negotiation = negotiation.map_err(|error| busy(error.to_string()))?;
        let answer = negotiation.respond_to_stream(offer, index);
        let (answer, plan) =
            answer.map_err(|e| Refused { status: e.status(), reason: e.to_string() })?;
        let heard = Heard { negotiation, sockets, plan: plan.clone(), relay: None, silent: false };
        session.streams.insert(index, heard);
        Ok((answer, plan))
    }

    /// Ends legs and begins others, as who speaks where wants it.
    fn step_legs(&mut self, key: CallKey, session: &mut RecordingSession) {
        while let Some(step) = session.recording.poll_step() {
            match step {
                Step::End(leg) => {
                    info!(
                        conversation = session.recording.conversation(),
                        "leg over: somebody else speaks"
                    );
                    self.end_leg(leg, "by_peer");
                }
                Step::Begin { index, facts } => match self.begin_leg(key, session, index, *facts) {
                    Some(leg) => session.recording.begun(index, leg),
                    None => {
                        session.streams.remove(&index);
                        session.recording.dropped(index);
                    }
                },
            }
        }
    }

    /// Opens the media session of a leg; `None` where that cannot be.
    fn begin_leg(
        &mut self,
        key: CallKey,
        session: &mut RecordingSession,
        index: usize,
        facts: Facts,
    ) -> Option<CallKey> {
        let heard = session.streams.get_mut(&index)?;
        let sockets = heard.sockets.try_clone().ok()?;
        let judged = self.leg(&facts);
        let leg = self.endpoint.new_key();
        info!(
            conversation = facts.conversation,
            party = facts.party.as_str(),
            identity_claimed = facts.subject.is_some(),
            consent = facts.consent.is_some(),
            "leg"
        );
        self.enter(leg, Call::recorded(judged), facts, sockets, session.exposed.as_ref());
        let entry = self.calls.get_mut(&leg)?;
        entry.recording = Some(key);
        let (to, next) = oneshot::channel();
        if let Some(inbox) = &mut entry.orders.inbox {
            inbox.relay = Some(Relay { from: heard.relay.replace(next), to });
        }
        self.claim(leg, &format!("peer:{}", session.peer));
        let plan = heard.plan.clone();
        let held = plan.patience.is_none();
        self.with(leg, |call, _| call.handle_agreed(plan));
        if !self.calls.contains_key(&leg) {
            return None;
        }
        self.hold(leg, held);
        if session.confirmed {
            self.confirm_leg(leg);
        }
        Some(leg)
    }

    fn confirm_legs(&mut self, key: CallKey) {
        self.recordings.legs(key).into_iter().for_each(|leg| self.confirm_leg(leg));
    }

    fn confirm_leg(&mut self, leg: CallKey) {
        self.with(leg, |call, judge| call.handle_confirmed(judge, None));
        self.begin_enrollment(leg);
    }

    fn end_leg(&mut self, leg: CallKey, end: &'static str) {
        let Some(entry) = self.calls.get_mut(&leg) else { return };
        entry.ended = true;
        self.with(leg, |call, _| call.handle_ended());
        let _ = self.observers.send(Observation::Ended { call: leg, end });
        self.forget(leg);
    }
}
