//! N threads, each with its share of the parties: their RTP sockets and their media sessions.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;
use tokio::time::{sleep_until, timeout};

use crate::call::claim_watch::ClaimWatch;
use crate::call::enrollment_watch::Progress;
use crate::call::inference::{Answer, Infer};
use crate::call::media_pause::CardPause;
use crate::call::media_plan::MediaPlan;
use crate::call::media_session::{MediaSession, Output, Socket};
use crate::call::media_stats::MediaStats;
use crate::call::voices::VoiceWork;
use crate::config::priority::Priority;
use crate::policy::evidence::Evidence;
use crate::rtp::dtls::DtlsFailure;
use crate::rtp::packet::is_dtls;
use crate::rtp::security::Security;
use crate::runtime::health::{Model, Pulse};
use crate::runtime::inference_thread::{ANSWERS_OUTSTANDING, InferenceQueues};
use crate::runtime::leg_orders::LegInbox;
use crate::runtime::line_watch::LineWatch;
use crate::runtime::metrics::Metrics;
use crate::runtime::metrics::media::CodecHeard;
use crate::runtime::phrase_engine::Listening;
use crate::runtime::thread_priority;
use crate::sip::event::CallKey;
use crate::speaker::adaptation::Step;

/// Largest datagram that is read whole: an Ethernet frame's worth and then some.
const LARGEST_DATAGRAM: usize = 2048;
/// How often a thread says that it comes round, whether it has something to do or not.
const ROUND: Duration = Duration::from_secs(1);
/// How often a session's counts are published.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
/// How long a session that is over waits for the models' last answers.
const LAST_ANSWERS: Duration = Duration::from_secs(5);
/// How long a session waits for the one that it takes over from: that has nothing to do first.
const LETTING_GO: Duration = Duration::from_secs(1);
/// Sessions that may wait to be opened on one thread; one more is answered 503.
const OPENINGS_WAITING: usize = 64;

/// Two bound sockets on neighbouring ports.
#[derive(Debug)]
pub struct MediaSockets {
    /// Even port.
    pub rtp: std::net::UdpSocket,
    /// The next one.
    pub rtcp: std::net::UdpSocket,
}

impl MediaSockets {
    /// The same two sockets for a session that takes over: what comes is read by whichever reads first.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { rtp: self.rtp.try_clone()?, rtcp: self.rtcp.try_clone()? })
    }
}

/// A session to be opened.
#[derive(Debug)]
pub struct Opening {
    /// Names it in what it reports.
    pub call: CallKey,
    /// What was agreed so far; a later value takes its place, and the sender's end ends it.
    pub plan: watch::Receiver<MediaPlan>,
    /// Its sockets, in non-blocking mode.
    pub sockets: MediaSockets,
    /// Whom to compare with.
    pub watch: Option<ClaimWatch>,
    /// What its voice may be used for, from the beginning or later on, and when it is paused.
    pub orders: LegInbox,
    /// What digits of a card begin.
    pub cards: Vec<CardPause>,
    /// What listens for phrases, where some are watched.
    pub listening: Option<Listening>,
    /// Whether they are listened for only once there is leave to.
    pub awaits_leave: bool,
    /// Chooses SSRC and report times.
    pub seed: u64,
    /// Names us in RTCP.
    pub cname: String,
}

/// What a session tells the signalling thread.
#[derive(Debug)]
pub enum MediaEvent {
    /// The first audio came then.
    Began(CallKey, jiff::Timestamp),
    /// Something was learnt.
    Evidence(CallKey, Evidence),
    /// The party's enrolment has come to something.
    Enrollment(CallKey, Progress),
    /// The call has something to teach the voiceprint.
    Adapt(CallKey, Step),
    /// Nothing has come from the peer for as long as it is given.
    Silent(CallKey),
    /// There will never be keys for the audio.
    HandshakeFailed(CallKey, DtlsFailure),
    /// The session is over, and every answer is in.
    Closed(CallKey, MediaStats),
}

/// The way to one media thread.
#[derive(Debug)]
pub struct MediaThread {
    openings: mpsc::Sender<Opening>,
    thread: Option<JoinHandle<()>>,
}

impl MediaThread {
    /// Starts media thread number `index` with that priority, if the system grants it; its sessions report to `events`,
    /// and by `lines` how their lines are.
    pub fn spawn(
        (index, priority): (usize, Priority),
        queues: InferenceQueues,
        metrics: Arc<Metrics>,
        (events, lines): (mpsc::Sender<MediaEvent>, LineWatch),
        pulse: Pulse,
    ) -> io::Result<Self> {
        let (openings, mut inbox) = mpsc::channel::<Opening>(OPENINGS_WAITING);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name(format!("media-{index}")).spawn(move || {
            metrics.service.media_thread(thread_priority::give(priority));
            // A session stays on its thread for life: its voice activity detector cannot move.
            let local = LocalSet::new();
            local.block_on(&runtime, async {
                let mut round = tokio::time::interval(ROUND);
                loop {
                    pulse.beat();
                    let opening = tokio::select! {
                        opening = inbox.recv() => opening,
                        _ = round.tick() => continue,
                    };
                    let Some(opening) = opening else { break };
                    let (call, events) = (opening.call, events.clone());
                    let party = Party::open(opening, &queues, &metrics, &events, &lines);
                    tokio::task::spawn_local(async move {
                        let over = match party {
                            Ok(party) => tokio::task::spawn_local(party.run()).await,
                            Err(error) => {
                                tracing::error!(%error, "a media socket was not taken over");
                                Ok(MediaStats::default())
                            }
                        };
                        // A broken invariant ends this session alone, and the call hears of it.
                        let stats = over.unwrap_or_default();
                        let _ = events.send(MediaEvent::Closed(call, stats)).await;
                    });
                }
            });
            // No more openings come: the sessions that are left end by themselves.
            pulse.idle(|| runtime.block_on(local));
        })?;
        Ok(Self { openings, thread: Some(thread) })
    }

    /// Opens a session; gives it back if too many wait already.
    pub fn open(&self, opening: Opening) -> Result<(), Box<Opening>> {
        self.openings.try_send(opening).map_err(|error| match error {
            mpsc::error::TrySendError::Full(opening)
            | mpsc::error::TrySendError::Closed(opening) => Box::new(opening),
        })
    }

    /// Waits for the thread's sessions, which end once their plans' senders are gone.
    pub fn join(mut self) {
        drop(self.openings);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a media thread ends by returning");
        }
    }
}

/// One session with its sockets.
struct Party {
    key: CallKey,
    session: MediaSession,
    plan: watch::Receiver<MediaPlan>,
    orders: LegInbox,
    listening: Option<Listening>,
    rtp: UdpSocket,
    rtcp: UdpSocket,
    queues: InferenceQueues,
    replies: mpsc::Sender<Answer>,
    answers: mpsc::Receiver<Answer>,
    /// Answers that are still to come.
    outstanding: usize,
    /// Segments asked for so far.
    segments: u64,
    metrics: Arc<Metrics>,
    published: MediaStats,
    /// The codec that it is counted under.
    heard: Option<CodecHeard>,
    events: mpsc::Sender<MediaEvent>,
    lines: LineWatch,
    /// Whether its first audio has come.
    began: bool,
}

impl Party {
    fn open(
        opening: Opening,
        queues: &InferenceQueues,
        metrics: &Arc<Metrics>,
        events: &mpsc::Sender<MediaEvent>,
        lines: &LineWatch,
    ) -> io::Result<Self> {
        let Opening { call, mut plan, sockets, watch, listening, seed, cname, .. } = opening;
        let mut agreed = plan.borrow_and_update().clone();
        if opening.orders.relay.as_ref().is_some_and(|relay| relay.from.is_some()) {
            agreed.security = Security::Awaited;
        }
        let (replies, answers) = mpsc::channel(ANSWERS_OUTSTANDING);
        let now = Instant::now();
        let mut session = MediaSession::new(now, agreed, watch, listening.is_some(), seed, &cname);
        session.watch_cards(opening.cards);
        if opening.awaits_leave {
            session.await_leave();
        }
        Ok(Self {
            key: call,
            session,
            plan,
            orders: opening.orders,
            listening,
            rtp: UdpSocket::from_std(sockets.rtp)?,
            rtcp: UdpSocket::from_std(sockets.rtcp)?,
            queues: queues.clone(),
            replies,
            answers,
            outstanding: 0,
            segments: 0,
            metrics: Arc::clone(metrics),
            published: MediaStats::default(),
            heard: None,
            events: events.clone(),
            lines: lines.clone(),
            began: false,
        })
    }

    /// Waits until the leg before has let go of the stream; what comes meanwhile waits in the socket.
    async fn take_over(&mut self) {
        let relay = self.orders.relay.as_mut();
        let Some(from) = relay.and_then(|relay| relay.from.take()) else { return };
        let guard = timeout(LETTING_GO, from).await.ok().and_then(Result::ok);
        let plan = self.plan.borrow_and_update().clone();
        self.session.take_over(Instant::now(), guard, plan);
        self.drain().await;
    }

    async fn run(mut self) -> MediaStats {
        self.take_over().await;
        let (mut datagram, mut control) = ([0; LARGEST_DATAGRAM], [0; LARGEST_DATAGRAM]);
        let mut publish = tokio::time::interval(PUBLISH_EVERY);
        // What was paused before it began is heard in no word.
        while let Ok(pausing) = self.orders.pauses.try_recv() {
            self.session.handle_pausing(Instant::now(), pausing);
        }
        // And what consents say before it began holds from its first word on.
        while let Ok(order) = self.orders.voice.try_recv() {
            self.session.handle_order(order);
        }
        loop {
            let due = self.session.poll_timeout().into();
            tokio::select! {
                read = self.rtp.recv_from(&mut datagram) => {
                    self.handle(&read, &datagram);
                    // What else is there already is taken in the same turn.
                    while let Ok(read) = self.rtp.try_recv_from(&mut datagram) {
                        self.handle(&Ok(read), &datagram);
                    }
                }
                // A handshake of its own for RTCP (RFC 5764 §4.1) has no answer: who shakes hands
                // shares one port.
                read = self.rtcp.recv_from(&mut control) => if !is_dtls(&control) {
                    self.handle(&read, &control);
                },
                answer = self.answers.recv() => self.answer(answer),
                changed = self.plan.changed() => match changed {
                    Ok(()) => {
                        let plan = self.plan.borrow_and_update().clone();
                        self.session.handle_plan(Instant::now(), plan);
                    },
                    Err(_) => break,
                },
                Some(order) = self.orders.voice.recv() => self.session.handle_order(order),
                Some(pausing) = self.orders.pauses.recv() => {
                    self.session.handle_pausing(Instant::now(), pausing);
                }
                () = sleep_until(due) => self.session.handle_timeout(Instant::now()),
                _ = publish.tick() => self.publish(),
            }
            self.drain().await;
        }
        self.finish().await
    }

    fn handle(&mut self, read: &io::Result<(usize, SocketAddr)>, datagram: &[u8]) {
        // An error here is an ICMP "port unreachable" for an RTCP report of ours: not our concern.
        if let Ok((length, source)) = *read {
            self.session.handle_datagram(Instant::now(), source, &datagram[..length]);
        }
    }

    fn answer(&mut self, answer: Option<Answer>) {
        self.outstanding -= 1;
        self.session.handle_answer(Instant::now(), answer.expect("this side holds a sender too"));
    }

    async fn drain(&mut self) {
        if !self.began && self.session.stats().packets > 0 {
            self.began = true;
            let event = MediaEvent::Began(self.key, jiff::Timestamp::now());
            if self.events.send(event).await.is_err() {
                return;
            }
        }
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Infer(work) => self.submit(work),
                Output::Withdraw(what) => {
                    self.outstanding -= self.queues.withdraw(self.key, what);
                }
                Output::Evidence(evidence) => {
                    let event = MediaEvent::Evidence(self.key, evidence);
                    // Evidence is never dropped; the signalling thread takes it without waiting for us.
                    if self.events.send(event).await.is_err() {
                        return;
                    }
                }
                Output::Enrollment(progress) => {
                    if self.events.send(MediaEvent::Enrollment(self.key, progress)).await.is_err() {
                        return;
                    }
                }
                Output::Adapt(step) => {
                    if self.events.send(MediaEvent::Adapt(self.key, step)).await.is_err() {
                        return;
                    }
                }
                Output::Silent => {
                    if self.events.send(MediaEvent::Silent(self.key)).await.is_err() {
                        return;
                    }
                }
                Output::HandshakeFailed(why) => {
                    let event = MediaEvent::HandshakeFailed(self.key, why);
                    if self.events.send(event).await.is_err() {
                        return;
                    }
                }
                Output::Transmit { socket, destination, datagram } => {
                    let socket = match socket {
                        Socket::Rtp => &self.rtp,
                        Socket::Rtcp => &self.rtcp,
                    };
                    // A report that does not fit the socket's buffer now is not worth waiting for.
                    let _ = socket.try_send_to(&datagram, destination);
                }
            }
        }
    }

    fn submit(&mut self, work: Infer) {
        let count = self.segments;
        self.segments += u64::from(matches!(work, Infer::Keyword(_)));
        let to = (&self.replies, self.listening.as_ref());
        let replaced = self.queues.submit(Instant::now(), self.key, count, work, to);
        let Some(replaced) = replaced else {
            self.outstanding += 1;
            return;
        };
        let (model, answer) = match replaced {
            Infer::Speaker(VoiceWork { asker, by, window, .. }) => {
                (Model::of(by), Answer::Embedding { asker, by, window, embedding: None })
            }
            Infer::Keyword(segment) => {
                (Model::Keyword, Answer::Hits { segment, hits: None, digits: Vec::new() })
            }
            Infer::Turns(chunk) => {
                (Model::Turns, Answer::Turns { chunk: chunk.number, rows: None })
            }
        };
        self.metrics.inference_replaced(model);
        self.session.handle_answer(Instant::now(), answer);
    }

    fn publish(&mut self) {
        let stats = self.session.stats();
        self.metrics.publish_media(&self.published, &stats);
        self.published = stats;
        let (codec, counted) = (self.session.codec(), self.heard.as_ref().map(CodecHeard::codec));
        if codec != counted {
            self.heard = codec.map(|codec| self.metrics.hears(codec));
        }
        self.lines.tell(self.key, || self.session.report());
    }

    async fn finish(mut self) -> MediaStats {
        if let Some(relay) = self.orders.relay.take() {
            // Most legs are their stream's last.
            let _ = relay.to.send(self.session.hand_over());
        }
        self.session.finish(Instant::now());
        self.drain().await;
        let until = Instant::now() + LAST_ANSWERS;
        while self.outstanding > 0 {
            tokio::select! {
                answer = self.answers.recv() => self.answer(answer),
                () = sleep_until(until.into()) => break,
            }
            self.drain().await;
        }
        self.session.conclude();
        self.drain().await;
        self.publish();
        self.session.stats()
    }
}
