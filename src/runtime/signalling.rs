//! One thread that owns the SIP transports, the endpoint, the calls and their judges.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{sleep_until, timeout_at};
use tracing::{info, warn};

use crate::call::call::{Call, Output};
use crate::call::claim_watch::ClaimWatch;
use crate::call::facts::Facts;
use crate::call::media_plan::MediaPlan;
use crate::config::consent::Consent;
use crate::config::speaker::Speaker;
use crate::policy::evidence::Evidence;
use crate::policy::judge::{Judge, Models};
use crate::rtp::security::Security;
use crate::runtime::asking::{Asking, Back};
use crate::runtime::complaints::Complaints;
use crate::runtime::conversations::Conversation;
use crate::runtime::event_streams::EventStreams;
use crate::runtime::health::{Health, Pulse};
use crate::runtime::leg_figures::LegFigures;
use crate::runtime::leg_orders::LegOrders;
use crate::runtime::locate::locate;
use crate::runtime::media_settings::MediaSettings;
use crate::runtime::media_thread::{MediaEvent, MediaSockets, MediaThread, Opening};
use crate::runtime::metrics::Metrics;
use crate::runtime::metrics::queues::Queue;
use crate::runtime::notify::notifiers::Notifiers;
use crate::runtime::observation::{InfoOutcome, Observation};
use crate::runtime::pauses::card_pauses;
use crate::runtime::placed_calls::{Order, PlacedCalls};
use crate::runtime::policy_in_force::PolicyInForce;
use crate::runtime::port_range::PortRange;
use crate::runtime::recording_sessions::RecordingSessions;
use crate::runtime::transport::resolver::Resolver;
use crate::runtime::transport::transports::{Arrival, Transports};
use crate::sip::account::Account;
use crate::sip::client_transactions::ClientId;
use crate::sip::endpoint::Endpoint;
use crate::sip::event::{self, CallKey, End, Event, InfoFailure, Invitation};
use crate::sip::headers::Headers;
use crate::sip::info::InfoProfile;
use crate::sip::location::Target;
use crate::sip::transport::Transport;
use crate::speaker::calibration::Calibration;
use crate::speaker::score_drift::FirstLook;
use crate::speaker::watchlist::Known;
use crate::vault::pseudonym::Pseudonym;

/// Messages taken in one turn, so that a flood cannot keep timers and evidence waiting.
const MESSAGES_A_TURN: usize = 32;
/// When a caller whom we had no room for may try again: a call ends in the meantime, or another
/// sidecar is found.
const RETRY_AFTER_S: u32 = 5;
/// How often counters are published.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
/// How long calls that are hung up at the end may take: a BYE, its answer, a few retransmissions.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// How long streams may take to write what waits, after that.
const LAST_WRITES: Duration = Duration::from_millis(500);

/// What the signalling thread works with.
#[derive(Debug)]
pub struct Signalling {
    pub(super) transports: Transports,
    pub(super) resolver: Resolver,
    /// What was found of the names that were looked up.
    pub(super) located: (mpsc::Sender<Located>, mpsc::Receiver<Located>),
    /// The transports that we listen on.
    pub(super) supported: Vec<Transport>,
    pub(super) endpoint: Endpoint,
    pub(super) accounts: Vec<Account>,
    /// The peers of the configuration, and how each takes verdicts.
    pub(super) peers: Vec<(String, InfoProfile)>,
    /// What each of them gets in SDP.
    pub(super) media_settings: MediaSettings,
    /// Peers of which the log says already that others can read their keys.
    pub(super) exposed: HashSet<String>,
    pub(super) placed: PlacedCalls,
    pub(super) complaints: Complaints,
    /// How long nothing may come from a peer that is to send.
    pub(super) patience: Duration,
    pub(super) ports: PortRange,
    /// The address in our SDP.
    pub(super) advertised: IpAddr,
    pub(super) media: Vec<MediaThread>,
    /// What new conversations are judged by.
    pub(super) policy: PolicyInForce,
    pub(super) models: Models,
    pub(super) speaker: Speaker,
    /// What consents cover.
    pub(super) consent: Consent,
    /// Known voices that callers are compared with.
    pub(super) known: Arc<Known>,
    /// What scores are worth here.
    pub(super) calibration: Calibration,
    /// The vault.
    pub(super) asking: Asking,
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Arc<Health>,
    /// Its thread's.
    pub(super) pulse: Pulse,
    pub(super) observers: broadcast::Sender<Observation>,
    pub(super) random: fastrand::Rng,
    pub(super) calls: HashMap<CallKey, Entry>,
    pub(super) conversations: HashMap<String, Conversation>,
    /// How long a conversation without a call waits for another.
    pub(super) rejoin: Duration,
    pub(super) recordings: RecordingSessions,
    /// Where their events are kept, if they are.
    pub(super) events: Option<EventStreams>,
    /// Who else is told of verdicts.
    pub(super) notifiers: Notifiers,
    /// When counters are published next.
    pub(super) publish: Instant,
}

/// The hops that a request may take.
pub(super) type Located = (ClientId, Vec<Target>);

/// A call and what belongs to it here.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) call: Call,
    pub(super) facts: Facts,
    /// When it began.
    pub(super) started: jiff::Timestamp,
    /// Whether an enrolment was begun, or refused, that the facts ask for.
    pub(super) asked: bool,
    /// Who told its facts: `peer:NAME`, or `api`.
    pub(super) by: String,
    /// Who is claimed to speak, as records call them, once that is known.
    pub(super) person: Option<Pseudonym>,
    /// The agent who is left out, likewise.
    pub(super) agent: Option<Pseudonym>,
    /// Who is being enrolled, likewise.
    pub(super) enrolling: Option<Pseudonym>,
    /// What the store has to keep before the call is forgotten.
    pub(super) keeping: u32,
    /// What its media session is told.
    pub(super) orders: LegOrders,
    /// The dialog of the recording session that it is a stream of; none where its dialog is its own.
    pub(super) recording: Option<CallKey>,
    /// The peer, where whoever sees its SIP can read it.
    pub(super) exposed: Option<String>,
    /// Bound, and waiting for the media session to take them.
    pub(super) sockets: Option<MediaSockets>,
    /// Keeps the media session open.
    pub(super) plan: Option<watch::Sender<MediaPlan>>,
    /// What its first decisive window said.
    pub(super) look: FirstLook,
    /// What is counted of it.
    pub(super) figures: LegFigures,
    /// The peer is not to send: it is on hold.
    pub(super) held: bool,
    /// Nothing of it is heard.
    pub(super) paused: bool,
    /// The dialog is over.
    pub(super) ended: bool,
    /// The media session is over, or never was.
    pub(super) silent: bool,
}

impl Signalling {
    /// Serves until `stop` fires or its sender is gone; then ends every call.
    /// Returns how many there were.
    pub async fn run(
        mut self,
        mut events: mpsc::Receiver<MediaEvent>,
        mut orders: mpsc::Receiver<Order>,
        mut answers: mpsc::UnboundedReceiver<Back>,
        mut stop: oneshot::Receiver<()>,
    ) -> usize {
        for account in self.accounts.iter().filter(|account| account.registers) {
            self.metrics.registration(&account.name, false);
        }
        self.endpoint.register(Instant::now());
        self.drain();
        while self.turn(&mut events, &mut orders, &mut answers, &mut stop).await {}
        self.health.set_stopping();
        orders.close();
        let left = self.calls.len();
        self.endpoint.drain(Instant::now());
        self.drain();
        let until = (Instant::now() + LAST_WORDS).into();
        let (_keep, mut never) = oneshot::channel();
        while !self.calls.is_empty() || self.endpoint.stats().accounts_registered > 0 {
            if timeout_at(until, self.turn(&mut events, &mut orders, &mut answers, &mut never))
                .await
                .is_err()
            {
                let (calls, stats) = (self.calls.len(), self.endpoint.stats());
                let accounts = stats.accounts_registered;
                warn!(calls, accounts, "what did not end in time is abandoned");
                break;
            }
        }
        self.conclude_all();
        self.metrics.publish_sip(&self.endpoint.stats());
        self.calls.clear();
        self.metrics.legs(std::iter::empty());
        drop(events);
        let media = std::mem::take(&mut self.media);
        self.pulse.idle(|| media.into_iter().for_each(MediaThread::join));
        self.transports.close(LAST_WRITES).await;
        left
    }

    /// Waits for the next thing to happen and sees to it; `false` when it is time to stop.
    async fn turn(
        &mut self,
        events: &mut mpsc::Receiver<MediaEvent>,
        orders: &mut mpsc::Receiver<Order>,
        answers: &mut mpsc::UnboundedReceiver<Back>,
        stop: &mut oneshot::Receiver<()>,
    ) -> bool {
        self.pulse.beat();
        let due = self.endpoint.poll_timeout().map_or(self.publish, |due| due.min(self.publish));
        tokio::select! {
            _ = stop => return false,
            Some(event) = events.recv() => self.handle_media(event),
            arrival = self.transports.recv() => {
                self.handle_arrival(arrival);
                for _ in 1..MESSAGES_A_TURN {
                    let Some(arrival) = self.transports.try_recv() else { break };
                    self.handle_arrival(arrival);
                }
            }
            Some((id, targets)) = self.located.1.recv() => {
                self.endpoint.handle_located(Instant::now(), id, &targets);
            }
            Some(order) = orders.recv() => self.handle_order(order),
            Some(Back(answer)) = answers.recv() => answer(self),
            () = sleep_until(due.into()) => self.endpoint.handle_timeout(Instant::now()),
        }
        self.drain();
        self.health.set_calls(self.calls.len());
        let now = Instant::now();
        if self.publish <= now {
            self.publish = now + PUBLISH_EVERY;
            self.metrics.publish_sip(&self.endpoint.stats());
            self.metrics.publish_transports(&self.transports.stats());
            self.metrics.legs(self.calls.values().map(Entry::state));
            self.metrics.queues.set(Queue::Evidence, events.len());
            self.time_rules();
            self.conclude(now);
        }
        true
    }

    fn handle_arrival(&mut self, arrival: Arrival) {
        let now = Instant::now();
        match arrival {
            Arrival::Message { source, bytes } => {
                self.endpoint.handle_message(now, &source, &bytes);
            }
            Arrival::Unreadable { source, head } => self.endpoint.handle_unreadable(&source, &head),
            Arrival::Closed { connection, .. } => self.endpoint.handle_closed(now, connection),
            Arrival::Unreachable { hop, error } => {
                self.metrics.unreachable();
                if let Some(kept_back) = self.complaints.due(now) {
                    warn!(%hop, %error, kept_back, "not reached");
                }
                self.endpoint.handle_unreachable(now, &hop);
            }
        }
    }

    fn handle_media(&mut self, event: MediaEvent) {
        match event {
            MediaEvent::Began(key, at) => {
                if let Some(entry) = self.calls.get_mut(&key) {
                    entry.figures.began = true;
                }
                self.with(key, |call, judge| call.handle_began(judge, at));
            }
            MediaEvent::Evidence(key, evidence) => self.weigh(key, evidence),
            MediaEvent::Enrollment(key, progress) => self.handle_progress(key, progress),
            MediaEvent::Adapt(key, step) => self.handle_step(key, step),
            MediaEvent::Silent(key) if !self.is_dead(key) => {}
            MediaEvent::Silent(key) => {
                if let Some(entry) = self.calls.get(&key) {
                    warn!(conversation = entry.facts.conversation, "no RTP: the call is ended");
                    self.metrics.silent_call();
                }
                self.with(key, |call, _| call.handle_silence());
            }
            MediaEvent::HandshakeFailed(key, why) => {
                self.metrics.handshake_failed();
                if let Some(entry) = self.calls.get(&key) {
                    let conversation = &entry.facts.conversation;
                    warn!(conversation, %why, "no keys for the audio: it is not heard");
                }
            }
            MediaEvent::Closed(key, stats) => {
                let Some(entry) = self.calls.get_mut(&key) else { return };
                entry.silent = true;
                if !entry.ended {
                    // The session broke: its call is of no use any more.
                    let reason = "SIP;cause=500;text=\"media failed\"".to_owned();
                    self.hang_up(key, reason);
                }
                let _ = self.observers.send(Observation::Closed { call: key, stats });
                self.forget(key);
            }
        }
    }

    /// Has a call's judge weigh what its audio showed.
    pub(super) fn weigh(&mut self, key: CallKey, evidence: Evidence) {
        let Some(entry) = self.calls.get_mut(&key) else { return };
        let conversation = self
            .conversations
            .get_mut(&entry.facts.conversation)
            .expect("a call's conversation has a judge");
        entry.call.handle_evidence(&mut conversation.judge, &evidence);
        conversation.keep_events();
        entry.figures.observe(&evidence);
        if let Evidence::Speaker(compared) = &evidence {
            self.metrics.compared(&mut entry.look, compared);
        }
        match &evidence {
            Evidence::Pause(pause) => self.handle_pause(key, pause),
            Evidence::Line(line) => self.handle_line(key, line.state),
            _ => {}
        }
        let _ = self.observers.send(Observation::Evidence { call: key, evidence });
        self.drain_call(key);
    }

    /// Does what the endpoint asks for, until it asks for nothing more.
    fn drain(&mut self) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                event::Output::Transmit { hop, bytes } => self.transports.send(&hop, bytes),
                event::Output::Locate { id, uri } => self.locate(id, uri),
                event::Output::Event { call, event } => self.handle_event(call, event),
                event::Output::Registration { account, event } => {
                    self.handle_registration(account, &event);
                }
                event::Output::Rejected { source, why } => {
                    if let Some(kept_back) = self.complaints.due(Instant::now()) {
                        warn!(%source, %why, kept_back, "not listened to");
                    }
                }
            }
        }
    }

    /// Looks a name up beside everything else; nothing waits for it but its request.
    fn locate(&self, id: ClientId, uri: String) {
        let (resolver, supported) = (self.resolver.clone(), self.supported.clone());
        let (found, random) = (self.located.0.clone(), fastrand::Rng::new());
        tokio::spawn(async move {
            let targets = locate(&resolver, &uri, &supported, random).await;
            // Nobody waits any more once the thread has ended.
            let _ = found.send((id, targets)).await;
        });
    }

    fn handle_event(&mut self, key: CallKey, event: Event) {
        let Some(event) = self.handle_recorded(key, event) else { return };
        match event {
            Event::Invited(invitation) => self.handle_invited(key, &invitation),
            Event::Confirmed { answer } => {
                self.with(key, |call, judge| call.handle_confirmed(judge, answer.as_deref()));
                self.begin_enrollment(key);
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
            Event::Answered { sdp, .. } => {
                self.placed.answered(key);
                self.with(key, |call, judge| call.handle_answered(judge, sdp.as_deref()));
                self.begin_enrollment(key);
            }
            Event::PauseAsked { begins } => self.pause_by_header(key, begins),
            // Only within a recording session.
            Event::Described { .. }
            // Digits and other INFO of theirs are answered by the endpoint; nothing listens to them.
            | Event::InfoReceived { .. }
            // A call that we place is answered or it is not.
            | Event::Progress { .. }
            // No re-INVITE of ours changes anything.
            | Event::ReinviteRefused { .. } => {}
        }
    }

    fn handle_invited(&mut self, key: CallKey, invitation: &Invitation) {
        let facts = match self.facts(&invitation.headers, &invitation.call_id) {
            Ok(facts) => facts,
            Err(why) => return self.refuse(key, 400, &why),
        };
        let Some(sockets) = self.ports.bind() else {
            return self.refuse(key, 503, "No RTP port is free");
        };
        info!(
            conversation = facts.conversation,
            party = facts.party.as_str(),
            source = %invitation.source,
            peer = invitation.peer,
            identity_claimed = facts.subject.is_some(),
            consent = facts.consent.is_some(),
            "call"
        );
        let terms = self.media_settings.of_caller(&invitation.peer).clone();
        let call = match self.begin(&facts, &sockets, terms) {
            Ok(call) => call,
            Err(error) => return self.refuse(key, 503, &error.to_string()),
        };
        let whose = (invitation.source.hop.transport != Transport::Tls).then_some(&invitation.peer);
        self.enter(key, call, facts, sockets, whose);
        self.claim(key, &format!("peer:{}", invitation.peer));
        self.with(key, |call, _| call.handle_invited(invitation.offer.as_deref()));
    }

    pub(super) fn facts(&self, headers: &Headers, call_id: &str) -> Result<Facts, String> {
        let facts = Facts::read(headers, call_id).map_err(|error| error.to_string())?;
        let policy = self.policy_of(&facts.conversation).policy();
        if facts.policy.as_ref().is_some_and(|wanted| *wanted != policy.name) {
            return Err("X-Sidetone-Policy: no policy of that name".to_owned());
        }
        if let Some(fault) = &facts.consent_fault {
            warn!(conversation = facts.conversation, %fault, "the consent does not count");
        }
        Ok(facts)
    }

    fn handle_info(&mut self, key: CallKey, outcome: InfoOutcome) {
        self.metrics.info(outcome.as_str());
        let _ = self.observers.send(Observation::Info { call: key, outcome });
    }

    fn handle_ended(&mut self, key: CallKey, end: &End) {
        let (word, detail) = told(end);
        self.placed.over(key, &detail);
        // A call that was refused is not one that ended.
        let Some(entry) = self.calls.get_mut(&key) else { return };
        self.metrics.call_ended(word);
        info!(conversation = entry.facts.conversation, end = detail, "call over");
        entry.ended = true;
        self.with(key, |call, _| call.handle_ended());
        let _ = self.observers.send(Observation::Ended { call: key, end: word });
        self.forget(key);
    }

    /// Its audio is not wanted any more, or cannot be had: ends the dialog that it is heard in.
    pub(super) fn hang_up(&mut self, key: CallKey, reason: String) {
        let recording = self.calls.get(&key).and_then(|entry| entry.recording);
        self.endpoint.hang_up(Instant::now(), recording.unwrap_or(key), Some(reason));
    }

    /// Runs `act` on a live call and does what it asks for.
    pub(super) fn with(&mut self, key: CallKey, act: impl FnOnce(&mut Call, &mut Judge)) {
        let Some(entry) = self.calls.get_mut(&key) else { return };
        let conversation = self
            .conversations
            .get_mut(&entry.facts.conversation)
            .expect("a call's conversation has a judge");
        act(&mut entry.call, &mut conversation.judge);
        conversation.keep_events();
        self.drain_call(key);
    }

    fn drain_call(&mut self, key: CallKey) {
        let now = Instant::now();
        while let Some(output) = self.calls.get_mut(&key).and_then(|e| e.call.poll_output()) {
            match output {
                Output::Accept { sdp } => self.endpoint.accept(now, key, sdp, &[]),
                Output::Refuse { status, reason } => self.refuse(key, status, &reason),
                Output::Compare(watch) => self.compare(key, watch),
                Output::OpenMedia { plan, watch } => self.open_media(key, plan, watch),
                Output::ChangeMedia(plan) => {
                    self.hold(key, plan.patience.is_none());
                    if let Some(sender) = self.calls.get(&key).and_then(|e| e.plan.as_ref()) {
                        sender.send_replace(plan);
                    }
                }
                Output::CloseMedia => {
                    let entry = self.calls.get_mut(&key).expect("it was just looked at");
                    entry.plan = None;
                    entry.sockets = None;
                }
                Output::Verdict(verdict) => self.tell(key, verdict),
                // Polled where the call was made, before it had a key.
                Output::Place { .. } => {}
                Output::HangUp { reason } => self.hang_up(key, reason),
            }
        }
    }

    /// Refuses the open INVITE of `key`, which ends the call, or its re-INVITE, which changes nothing.
    pub(super) fn refuse(&mut self, key: CallKey, status: u16, reason: &str) {
        let stands = self.recordings.contains(key);
        let entry = self.calls.get_mut(&key);
        let opening = !stands && entry.as_ref().is_none_or(|entry| entry.plan.is_none());
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

    fn open_media(&mut self, key: CallKey, plan: MediaPlan, watch: Option<ClaimWatch>) {
        let entry = self.calls.get_mut(&key).expect("only a live call opens media");
        let conversation = self.conversations.get(&entry.facts.conversation);
        let policy = conversation.map_or(&self.policy, |conversation| &conversation.policy);
        let listening = policy.listening(entry.facts.party);
        let cards = card_pauses(policy.policy(), entry.facts.party);
        let with_keys = matches!(plan.security, Security::Sdes { .. } | Security::Awaited);
        if let Some(peer) = entry.exposed.take().filter(|_| with_keys)
            && self.exposed.insert(peer.clone())
        {
            warn!(peer, "SRTP keys travel in SIP without TLS: who sees it can decrypt the audio");
        }
        let Some(sockets) = entry.sockets.take() else { return };
        let Some(orders) = entry.orders.inbox.take() else { return };
        let party = entry.facts.party;
        self.pause_joiner(key);
        let entry = self.calls.get_mut(&key).expect("it was just looked at");
        let (sender, receiver) = watch::channel(plan);
        let opening = Opening {
            call: key,
            plan: receiver,
            sockets,
            watch,
            orders,
            listening,
            awaits_leave: self.consent.keywords,
            cards,
            seed: self.random.u64(..),
            cname: format!("{:012x}@{}", self.random.u64(..) >> 16, self.advertised),
        };
        // The parties are dealt out by chance; each stays where it is for life.
        let turn = self.random.usize(..self.media.len());
        if self.media[turn].open(opening).is_ok() {
            entry.plan = Some(sender);
            entry.silent = false;
            let Facts { conversation, subject, channel, .. } = entry.facts.clone();
            let (at, policy) = (entry.started, self.policy_of(&conversation).policy());
            let policy = policy.versioned_name();
            let known = self.conversations.get(&conversation);
            let reference = known.map_or(String::new(), |known| known.reference.clone());
            let started = Observation::Started {
                call: key,
                conversation,
                reference,
                party,
                subject,
                channel,
                policy,
                at,
            };
            let _ = self.observers.send(started);
        } else {
            self.refuse(key, 503, "No media thread is free");
        }
    }
}

/// How a call ended: one word of a closed list, and what there is to say beyond it.
pub(super) fn told(end: &End) -> (&'static str, String) {
    let word = match end {
        End::ByPeer { .. } => "by_peer",
        End::ByUs { .. } => "by_us",
        End::Cancelled => "cancelled",
        End::Refused { .. } => "refused",
        End::Failed(_) => "failed",
    };
    let detail = match end {
        End::Refused { status } => format!("refused with {status}"),
        End::Failed(failure) => failure.to_string(),
        End::ByPeer { .. } | End::ByUs { .. } | End::Cancelled => word.to_owned(),
    };
    (word, detail)
}
