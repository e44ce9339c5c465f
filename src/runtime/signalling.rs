//! One thread that owns the SIP socket, the endpoint, the calls and their judges.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{sleep_until, timeout_at};
use tracing::{debug, info, warn};

use crate::call::call::{Call, Output};
use crate::call::facts::Facts;
use crate::call::media_session::{MediaPlan, SpeakerWatch};
use crate::policy::evidence::Obstacle;
use crate::policy::judge::{Judge, Leg, Models};
use crate::policy::rule::Policy;
use crate::runtime::health::Health;
use crate::runtime::media_thread::{MediaEvent, MediaSockets, MediaThread, Opening};
use crate::runtime::metrics::Metrics;
use crate::runtime::observation::{InfoOutcome, Observation};
use crate::runtime::port_range::PortRange;
use crate::runtime::store::voiceprints::Voiceprints;
use crate::sip::endpoint::Endpoint;
use crate::sip::event::{self, CallKey, End, Event, InfoFailure, Invitation};
use crate::speaker::calibration::Calibration;
use crate::speaker::verifier::{self, Verifier};

/// Largest SIP message over UDP.
const LARGEST_DATAGRAM: usize = 65_535;
/// Datagrams taken in one turn, so that a flood cannot keep timers and evidence waiting.
const DATAGRAMS_A_TURN: usize = 32;
/// When a caller whom we had no room for may try again: a call ends in the meantime, or another
/// sidecar is found.
const RETRY_AFTER_S: u32 = 5;
/// How often counters are published.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
/// How long calls that are hung up at the end may take: a BYE, its answer, a few retransmissions.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// What the signalling thread works with.
#[derive(Debug)]
pub struct Signalling {
    pub(super) socket: UdpSocket,
    pub(super) endpoint: Endpoint,
    pub(super) ports: PortRange,
    /// The address in our SDP.
    pub(super) advertised: IpAddr,
    pub(super) media: Vec<MediaThread>,
    pub(super) policy: Arc<Policy>,
    pub(super) models: Models,
    pub(super) decision: verifier::Settings,
    pub(super) store: Voiceprints,
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Arc<Health>,
    pub(super) observers: broadcast::Sender<Observation>,
    pub(super) random: fastrand::Rng,
    pub(super) calls: HashMap<CallKey, Entry>,
    /// One judge a conversation, and how many calls it has.
    pub(super) judges: HashMap<String, (Judge, usize)>,
    /// When counters are published next.
    pub(super) publish: Instant,
}

/// A call and what belongs to it here.
#[derive(Debug)]
pub(super) struct Entry {
    call: Call,
    facts: Facts,
    /// Bound, and waiting for the media session to take them.
    sockets: Option<MediaSockets>,
    /// Keeps the media session open.
    plan: Option<watch::Sender<MediaPlan>>,
    /// The dialog is over.
    ended: bool,
    /// The media session is over, or never was.
    silent: bool,
}

impl Signalling {
    /// Serves until `stop` fires or its sender is gone; then ends every call.
    /// Returns how many there were.
    pub async fn run(
        mut self,
        mut events: mpsc::Receiver<MediaEvent>,
        mut stop: oneshot::Receiver<()>,
    ) -> usize {
        let mut datagram = vec![0; LARGEST_DATAGRAM];
        while self.turn(&mut events, &mut stop, &mut datagram).await {}
        self.health.set_draining();
        let left = self.calls.len();
        self.endpoint.drain(Instant::now());
        self.drain().await;
        let until = (Instant::now() + LAST_WORDS).into();
        let (_keep, mut never) = oneshot::channel();
        while !self.calls.is_empty() {
            if timeout_at(until, self.turn(&mut events, &mut never, &mut datagram)).await.is_err() {
                warn!(calls = self.calls.len(), "calls that did not end in time are abandoned");
                break;
            }
        }
        self.metrics.publish_sip(&self.endpoint.stats());
        self.calls.clear();
        drop(events);
        self.media.drain(..).for_each(MediaThread::join);
        left
    }

    /// Waits for the next thing to happen and sees to it; `false` when it is time to stop.
    async fn turn(
        &mut self,
        events: &mut mpsc::Receiver<MediaEvent>,
        stop: &mut oneshot::Receiver<()>,
        datagram: &mut [u8],
    ) -> bool {
        let due = self.endpoint.poll_timeout().map_or(self.publish, |due| due.min(self.publish));
        tokio::select! {
            _ = stop => return false,
            Some(event) = events.recv() => self.handle_media(event),
            read = self.socket.recv_from(datagram) => {
                self.handle_datagram(read, datagram);
                for _ in 1..DATAGRAMS_A_TURN {
                    let Ok(read) = self.socket.try_recv_from(datagram) else { break };
                    self.handle_datagram(Ok(read), datagram);
                }
            }
            () = sleep_until(due.into()) => self.endpoint.handle_timeout(Instant::now()),
        }
        self.drain().await;
        let now = Instant::now();
        if self.publish <= now {
            self.publish = now + PUBLISH_EVERY;
            self.metrics.publish_sip(&self.endpoint.stats());
        }
        true
    }

    fn handle_datagram(&mut self, read: io::Result<(usize, SocketAddr)>, datagram: &[u8]) {
        match read {
            Ok((length, source)) => {
                self.endpoint.handle_datagram(Instant::now(), source, &datagram[..length]);
            }
            // ICMP on behalf of a peer that is gone; its transaction will time out.
            Err(error) => debug!(%error, "the SIP socket reports"),
        }
    }

    fn handle_media(&mut self, event: MediaEvent) {
        match event {
            MediaEvent::Evidence(key, evidence) => {
                let Some(entry) = self.calls.get_mut(&key) else { return };
                let (judge, _) = self
                    .judges
                    .get_mut(&entry.facts.conversation)
                    .expect("a call's conversation has a judge");
                entry.call.handle_evidence(judge, &evidence);
                let _ = self.observers.send(Observation::Evidence { call: key, evidence });
                self.drain_call(key);
            }
            MediaEvent::Closed(key, stats) => {
                let Some(entry) = self.calls.get_mut(&key) else { return };
                info!(
                    conversation = entry.facts.conversation,
                    party = entry.facts.party.as_str(),
                    packets = stats.packets,
                    lost = stats.lost,
                    speech_s = stats.speech_us / 1_000_000,
                    "media closed"
                );
                entry.silent = true;
                if !entry.ended {
                    // The session broke: its call is of no use any more.
                    let reason = "SIP;cause=500;text=\"media failed\"".to_owned();
                    self.endpoint.hang_up(Instant::now(), key, Some(reason));
                }
                let _ = self.observers.send(Observation::Closed { call: key, stats });
                self.forget(key);
            }
        }
    }

    /// Does what the endpoint asks for, until it asks for nothing more.
    async fn drain(&mut self) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                event::Output::Transmit { destination, bytes } => {
                    // What cannot be sent is lost like any datagram; SIP repeats it.
                    if let Err(error) = self.socket.send_to(&bytes, destination).await {
                        debug!(%error, %destination, "a SIP message was not sent");
                    }
                }
                event::Output::Event { call, event } => self.handle_event(call, event),
            }
        }
    }

    fn handle_event(&mut self, key: CallKey, event: Event) {
        match event {
            Event::Invited(invitation) => self.handle_invited(key, &invitation),
            Event::Confirmed { answer } => {
                self.with(key, |call, judge| call.handle_confirmed(judge, answer.as_deref()));
            }
            Event::Reinvited { offer } => {
                self.with(key, |call, _| call.handle_reinvited(offer.as_deref()));
            }
            Event::InfoAnswered { status, .. } => self.handle_info(key, InfoOutcome::Answered(status)),
            Event::InfoFailed { why, .. } => {
                let outcome = match why {
                    InfoFailure::Refused { status } => InfoOutcome::Refused(status),
                    InfoFailure::TimedOut => InfoOutcome::TimedOut,
                    InfoFailure::CallOver => InfoOutcome::Skipped,
                };
                self.handle_info(key, outcome);
            }
            Event::InfoSkipped { .. } => self.handle_info(key, InfoOutcome::Skipped),
            Event::Ended(end) => self.handle_ended(key, &end),
            // Digits and other INFO of theirs are answered by the endpoint; nothing listens to them.
            Event::InfoReceived { .. }
            // These belong to calls that we place.
            | Event::Progress { .. }
            | Event::Answered { .. }
            | Event::ReinviteRefused { .. } => {}
        }
    }

    fn handle_invited(&mut self, key: CallKey, invitation: &Invitation) {
        let facts = match Facts::read(&invitation.headers, &invitation.call_id) {
            Ok(facts) => facts,
            Err(error) => return self.refuse(key, 400, &error.to_string()),
        };
        if facts.policy.as_ref().is_some_and(|wanted| *wanted != self.policy.name) {
            return self.refuse(key, 400, "X-Sidetone-Policy: no policy of that name");
        }
        let Some(sockets) = self.ports.bind() else {
            return self.refuse(key, 503, "No RTP port is free");
        };
        let port = sockets.rtp.local_addr().expect("a bound socket has an address").port();
        let local = SocketAddr::new(self.advertised, port);
        if let Some(fault) = facts.consent_fault {
            warn!(conversation = facts.conversation, %fault, "the consent does not count");
        }
        let watch = facts.subject.as_deref().map(|subject| self.watch(subject, &facts));
        let (party, conversation) = (facts.party, facts.conversation.clone());
        info!(
            conversation,
            party = party.as_str(),
            source = %invitation.source,
            identity_claimed = facts.subject.is_some(),
            consent = facts.consent.is_some(),
            "call"
        );
        let started = jiff::Timestamp::now();
        let leg = Leg::new(party, facts.subject.clone(), started, self.models.clone());
        let call = Call::new(leg, watch, local, self.random.u64(..) >> 2);
        let policy = Arc::clone(&self.policy);
        let judge = self
            .judges
            .entry(conversation.clone())
            .or_insert_with(|| (Judge::new(conversation, policy), 0));
        judge.1 += 1;
        let entry =
            Entry { call, facts, sockets: Some(sockets), plan: None, ended: false, silent: true };
        self.calls.insert(key, entry);
        self.with(key, |call, _| call.handle_invited(invitation.offer.as_deref()));
    }

    /// The comparison that the claim of `subject` asks for, or why there can be none.
    fn watch(&self, subject: &str, facts: &Facts) -> Result<SpeakerWatch, Obstacle> {
        // Nothing is looked up about a person who has not agreed to it.
        let voiceprint = match &facts.consent {
            None => None,
            Some(_) => self.store.load(subject).unwrap_or_else(|error| {
                warn!(%error, "a voiceprint cannot be used");
                None
            }),
        };
        let verifier = Verifier::new(Calibration::RESNET34_3S, self.decision);
        SpeakerWatch::new(facts.consent.as_ref(), voiceprint, &self.models.speaker, verifier)
    }

    fn handle_info(&mut self, key: CallKey, outcome: InfoOutcome) {
        self.metrics.info(outcome.as_str());
        let _ = self.observers.send(Observation::Info { call: key, outcome });
    }

    fn handle_ended(&mut self, key: CallKey, end: &End) {
        let word = match end {
            End::ByPeer { .. } => "by_peer",
            End::ByUs { .. } => "by_us",
            End::Cancelled => "cancelled",
            End::Refused { .. } => "refused",
            End::Failed(_) => "failed",
        };
        // A call that was refused is not one that ended.
        let Some(entry) = self.calls.get_mut(&key) else { return };
        self.metrics.call_ended(word);
        info!(conversation = entry.facts.conversation, end = word, "call over");
        entry.ended = true;
        self.with(key, |call, _| call.handle_ended());
        let _ = self.observers.send(Observation::Ended { call: key, end: word });
        self.forget(key);
    }

    /// Runs `act` on a live call and does what it asks for.
    fn with(&mut self, key: CallKey, act: impl FnOnce(&mut Call, &mut Judge)) {
        let Some(entry) = self.calls.get_mut(&key) else { return };
        let (judge, _) = self
            .judges
            .get_mut(&entry.facts.conversation)
            .expect("a call's conversation has a judge");
        act(&mut entry.call, judge);
        self.drain_call(key);
    }

    fn drain_call(&mut self, key: CallKey) {
        let now = Instant::now();
        while let Some(output) = self.calls.get_mut(&key).and_then(|e| e.call.poll_output()) {
            match output {
                Output::Accept { sdp } => self.endpoint.accept(now, key, sdp, &[]),
                Output::Refuse { status, reason } => self.refuse(key, status, &reason),
                Output::OpenMedia { plan, watch } => self.open_media(key, plan, watch),
                Output::ChangeMedia(plan) => {
                    if let Some(sender) = self.calls.get(&key).and_then(|e| e.plan.as_ref()) {
                        sender.send_replace(plan);
                    }
                }
                Output::CloseMedia => {
                    let entry = self.calls.get_mut(&key).expect("it was just looked at");
                    entry.plan = None;
                    entry.sockets = None;
                }
                Output::Verdict { verdict, inform } => {
                    self.metrics.verdict(&verdict);
                    if inform {
                        self.endpoint.send_info(now, key, verdict.to_json().into_bytes());
                    }
                    let verdict = Arc::from(verdict);
                    let _ = self.observers.send(Observation::Verdict { call: key, verdict });
                }
                Output::HangUp { reason } => self.endpoint.hang_up(now, key, Some(reason)),
            }
        }
    }

    /// Refuses the open INVITE of `key`, which ends the call, or its re-INVITE, which changes nothing.
    fn refuse(&mut self, key: CallKey, status: u16, reason: &str) {
        let entry = self.calls.get_mut(&key);
        let opening = entry.as_ref().is_none_or(|entry| entry.plan.is_none());
        if let Some(entry) = entry {
            entry.ended |= opening;
        }
        if opening {
            info!(status, reason, "call refused");
            self.metrics.call_refused(status);
        }
        let retry = [("Retry-After".to_owned(), RETRY_AFTER_S.to_string())];
        let headers = if status == 503 { retry.as_slice() } else { &[] };
        self.endpoint.refuse(Instant::now(), key, status, Some(reason), headers);
        self.forget(key);
    }

    fn open_media(&mut self, key: CallKey, plan: MediaPlan, watch: Option<SpeakerWatch>) {
        let entry = self.calls.get_mut(&key).expect("only a live call opens media");
        let Some(sockets) = entry.sockets.take() else { return };
        let party = entry.facts.party;
        let (sender, receiver) = watch::channel(plan);
        let opening = Opening {
            call: key,
            plan: receiver,
            sockets,
            watch,
            spotting: (0..self.policy.phrases.len()).any(|p| self.policy.watches(p, party)),
            seed: self.random.u64(..),
            cname: format!("{:012x}@{}", self.random.u64(..) >> 16, self.advertised),
        };
        // The parties are dealt out by chance; each stays where it is for life.
        let turn = self.random.usize(..self.media.len());
        if self.media[turn].open(opening).is_ok() {
            entry.plan = Some(sender);
            entry.silent = false;
            let conversation = entry.facts.conversation.clone();
            let _ = self.observers.send(Observation::Started { call: key, conversation, party });
        } else {
            self.refuse(key, 503, "No media thread is free");
        }
    }

    /// Drops a call once its dialog and its media session are over.
    fn forget(&mut self, key: CallKey) {
        if !self.calls.get(&key).is_some_and(|entry| entry.ended && entry.silent) {
            return;
        }
        let entry = self.calls.remove(&key).expect("it was just looked at");
        if let Some((_, calls)) = self.judges.get_mut(&entry.facts.conversation) {
            *calls -= 1;
            if *calls == 0 {
                self.judges.remove(&entry.facts.conversation);
            }
        }
    }
}
