//! A capture or a recording in place of sockets and a clock: the same media sessions, in simulated time.
//!
//! The time of a datagram is the time at which it was caught. Nothing here reads a clock, but for the one
//! instant that all others are counted from, so the same file gives the same report.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::call::claim_watch::ClaimWatch;
use crate::call::inference::{Answer, Infer};
use crate::call::media_plan::{MediaPlan, Payload};
use crate::call::media_session::{MediaSession, Output};
use crate::call::media_stats::MediaStats;
use crate::call::voices::VoiceWork;
use crate::policy::evidence::{Evidence, Obstacle};
use crate::policy::judge::{Judge, Leg, Models};
use crate::policy::line::{LineReport, LineState};
use crate::policy::rule::{Party, Policy};
use crate::policy::rules::event::Record;
use crate::policy::signal::UsualSignal;
use crate::policy::verdict::Verdict;
use crate::rtp::packet::{Packet, is_rtcp};

/// Sources that are told apart in one leg.
const MOST_SOURCES: usize = 64;
/// Keys, spurts of talk and verdicts kept of one leg: a day of fluent talk.
const MOST_EVENTS: usize = 100_000;

/// Works in the place of the inference threads: at once, on what one session asks for.
pub trait Analyst {
    /// The answer to `work`.
    fn answer(&mut self, work: Infer) -> Answer;

    /// The comparison to be made on a leg, if one is claimed.
    fn watch(&self, party: Party) -> Option<Result<ClaimWatch, Obstacle>>;

    /// Who is claimed to speak on a leg.
    fn subject(&self, party: Party) -> Option<String>;

    /// Names of the models, `name@version`.
    fn models(&self) -> Models;

    /// The phrases that are watched, if any.
    fn policy(&self) -> Option<Arc<Policy>>;
}

/// No models: everything is counted, nothing is judged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bookkeeper;

impl Analyst for Bookkeeper {
    fn answer(&mut self, work: Infer) -> Answer {
        match work {
            Infer::Speaker(VoiceWork { asker, by, window, .. }) => {
                Answer::Embedding { asker, by, window, embedding: None }
            }
            Infer::Keyword(segment) => Answer::Hits { segment, hits: None, digits: Vec::new() },
            Infer::Turns(chunk) => Answer::Turns { chunk: chunk.number, rows: None },
        }
    }

    fn watch(&self, _party: Party) -> Option<Result<ClaimWatch, Obstacle>> {
        None
    }

    fn subject(&self, _party: Party) -> Option<String> {
        None
    }

    fn models(&self) -> Models {
        Models::default()
    }

    fn policy(&self) -> Option<Arc<Policy>> {
        None
    }
}

/// What names a leg in its report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegName {
    /// Where it comes from: an address, or a channel of a recording.
    pub from: String,
    /// Where it goes.
    pub to: Option<String>,
    /// The Call-ID, where SIP told of it.
    pub call_id: Option<String>,
    /// Joins the legs of one conversation.
    pub conversation: String,
    /// Whose voice it is.
    pub party: Party,
}

/// One payload type of a leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecCount {
    /// Its number.
    pub payload_type: u8,
    /// Its encoding as SDP names it; `None` if nothing tells.
    pub name: Option<String>,
    /// Packets of it.
    pub packets: u64,
    /// Whether they were decoded, or read as keys or noise.
    pub heard: bool,
}

/// One source of a leg, in the order of their first packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceCount {
    /// SSRC.
    pub ssrc: u32,
    /// Packets of it.
    pub packets: u64,
}

/// What one leg came to.
#[derive(Clone, Debug)]
pub struct LegReport {
    /// Whose it is.
    pub name: LegName,
    /// When its first packet came.
    pub started: jiff::Timestamp,
    /// The media session's counts.
    pub stats: MediaStats,
    /// How its line was.
    pub line: LineReport,
    /// By payload type, in the order of their numbers.
    pub codecs: Vec<CodecCount>,
    /// Length of most packets of audio, milliseconds.
    pub ptime_ms: Option<u32>,
    /// Who sent; no more than 64 are told apart.
    pub sources: Vec<SourceCount>,
    /// Times that a packet came from another source than the one before.
    pub source_changes: u64,
    /// RTCP beside it.
    pub rtcp: u64,
    /// Keys pressed, and when in stream time.
    pub keys: Vec<(Duration, char)>,
    /// Spurts of talk in stream time; the last may end with the stream.
    pub talk: Vec<(Duration, Duration)>,
    /// What was concluded.
    pub verdicts: Vec<Verdict>,
}

/// The judges of a file's conversations.
#[derive(Debug, Default)]
pub struct Judges {
    /// By conversation, each with the end of its last leg, since 1970.
    of: HashMap<String, (Judge, Duration)>,
    /// What the rules were judged by, to be kept.
    pub records: Vec<Record>,
}

impl Judges {
    fn of(&mut self, conversation: &str, policy: &Arc<Policy>) -> &mut Judge {
        let judge = || Judge::new(conversation.to_owned(), Arc::clone(policy)).keeping().waiting();
        let entry = self.of.entry(conversation.to_owned());
        &mut entry.or_insert_with(|| (judge(), Duration::ZERO)).0
    }

    /// Every leg has been heard: the rules are judged, and what they come to is told in the report of a leg
    /// of the party, or else of the conversation.
    pub fn conclude(&mut self, reports: &mut [LegReport]) {
        let mut conversations: Vec<_> = self.of.drain().collect();
        conversations.sort_by(|a, b| a.0.cmp(&b.0));
        for (conversation, (mut judge, end)) in conversations {
            judge.finish(moment(end));
            while let Some(verdict) = judge.poll_verdict() {
                let mut legs =
                    reports.iter().enumerate().filter(|(_, r)| r.name.conversation == conversation);
                let first = legs.clone().next();
                let leg = legs.find(|(_, leg)| leg.name.party == verdict.party).or(first);
                if let Some(place) = leg.map(|(place, _)| place) {
                    reports[place].verdicts.push(verdict);
                }
            }
            self.records.extend(std::iter::from_fn(|| judge.poll_record()));
        }
    }
}

/// One leg that is being played.
#[derive(Debug)]
pub struct Player {
    name: LegName,
    /// The instant that stands for 1970.
    epoch: Instant,
    now: Duration,
    started: Duration,
    session: MediaSession,
    leg: Leg,
    policy: Arc<Policy>,
    plan: MediaPlan,
    codecs: Vec<CodecCount>,
    /// Place of a payload type among them, under the plan in force.
    places: BTreeMap<u8, usize>,
    /// Whether a payload was audio.
    audible: bool,
    lengths: BTreeMap<u32, u64>,
    sources: Vec<SourceCount>,
    last_source: Option<u32>,
    source_changes: u64,
    keys: Vec<(Duration, char)>,
    talk: Vec<(Duration, Duration)>,
    talking: Option<Duration>,
    end: Duration,
    verdicts: Vec<Verdict>,
}

impl Player {
    /// A leg of which the first packet came at `started`, since 1970; `epoch` is the instant that
    /// stands for 1970.
    pub fn new(
        epoch: Instant,
        started: Duration,
        name: LegName,
        plan: MediaPlan,
        analyst: &dyn Analyst,
        judges: &mut Judges,
    ) -> Self {
        let party = name.party;
        let (watch, obstacle) = match analyst.watch(party) {
            None => (None, None),
            Some(Ok(watch)) => (Some(watch), None),
            Some(Err(obstacle)) => (None, Some(obstacle)),
        };
        let phrases = analyst.policy();
        let spotting = phrases.as_ref().is_some_and(|policy| {
            (0..policy.phrases.len()).any(|phrase| policy.watches(phrase, party))
        });
        let policy = phrases.unwrap_or_else(|| Arc::new(nothing_watched()));
        // Nothing is sent, so it does not matter which source and name it would have been sent under.
        let session =
            MediaSession::new(epoch + started, plan.clone(), watch, spotting, 1, "analyze");
        let leg = Leg::new(party, analyst.subject(party), moment(started), analyst.models());
        let mut player = Self {
            name,
            epoch,
            now: started,
            started,
            session,
            leg,
            policy,
            plan,
            codecs: Vec::new(),
            places: BTreeMap::new(),
            audible: false,
            lengths: BTreeMap::new(),
            sources: Vec::new(),
            last_source: None,
            source_changes: 0,
            keys: Vec::new(),
            talk: Vec::new(),
            talking: None,
            end: Duration::ZERO,
            verdicts: Vec::new(),
        };
        if let Some(obstacle) = obstacle {
            player.take(&Evidence::NoSpeakerCheck(obstacle), judges);
        }
        player
    }

    /// When the last datagram came, since 1970.
    pub fn heard(&self) -> Duration {
        self.now
    }

    /// From now on the payload types mean something else.
    pub fn handle_plan(&mut self, plan: MediaPlan) {
        self.session.handle_plan(self.epoch + self.now, plan.clone());
        self.places.clear();
        self.plan = plan;
    }

    /// One datagram, caught at `at` since 1970; `name` says what a payload type carries.
    pub fn handle_datagram(
        &mut self,
        at: Duration,
        source: SocketAddr,
        datagram: &[u8],
        name: &dyn Fn(u8) -> Option<String>,
        analyst: &mut dyn Analyst,
        judges: &mut Judges,
    ) {
        // A capture of two interfaces may be a little out of order; time goes forward all the same.
        self.now = self.now.max(at);
        let now = self.epoch + self.now;
        if self.session.poll_timeout() <= now {
            self.session.handle_timeout(now);
            self.drain(analyst, judges);
        }
        if !is_rtcp(datagram)
            && let Ok(packet) = Packet::parse(datagram)
        {
            self.count(&packet, name);
        }
        self.session.handle_datagram(now, source, datagram);
        self.drain(analyst, judges);
    }

    fn count(&mut self, packet: &Packet<'_>, name: &dyn Fn(u8) -> Option<String>) {
        let number = packet.payload_type;
        let place = self.places.get(&number).copied().unwrap_or_else(|| self.place(number, name));
        self.codecs[place].packets += 1;
        if let Some(Payload::Audio(codec)) = self.plan.payload(number)
            && let Ok(units) = codec.duration(packet.payload)
            && self.lengths.len() < MOST_SOURCES
        {
            *self.lengths.entry(units * 1_000 / codec.clock_rate()).or_default() += 1;
        }
        self.source_changes += u64::from(self.last_source.is_some_and(|last| last != packet.ssrc));
        self.last_source = Some(packet.ssrc);
        let place = self.sources.iter().position(|source| source.ssrc == packet.ssrc);
        match place {
            Some(place) => self.sources[place].packets += 1,
            None if self.sources.len() < MOST_SOURCES => {
                self.sources.push(SourceCount { ssrc: packet.ssrc, packets: 1 });
            }
            None => {}
        }
    }

    /// The place where packets of type `number` are counted from now on.
    fn place(&mut self, number: u8, name: &dyn Fn(u8) -> Option<String>) -> usize {
        let (payload, name) = (self.plan.payload(number), name(number));
        self.audible |= matches!(payload, Some(Payload::Audio(_)));
        let known = |codec: &CodecCount| (codec.payload_type, &codec.name) == (number, &name);
        let place = self.codecs.iter().position(known).unwrap_or(self.codecs.len());
        if place == self.codecs.len() {
            let heard = payload.is_some();
            self.codecs.push(CodecCount { payload_type: number, name, packets: 0, heard });
        }
        self.places.insert(number, place);
        place
    }

    fn drain(&mut self, analyst: &mut dyn Analyst, judges: &mut Judges) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Infer(work) => {
                    self.session.handle_answer(self.epoch + self.now, analyst.answer(work));
                }
                Output::Evidence(evidence) => self.take(&evidence, judges),
                // Nobody is there to be told, and no dialog to be ended.
                Output::Silent
                | Output::HandshakeFailed(_)
                | Output::Transmit { .. }
                | Output::Withdraw(_) => {}
                // Nobody is enrolled from a recording of a call, nor adapted to.
                Output::Enrollment(_) | Output::Adapt(_) => {}
            }
        }
    }

    fn take(&mut self, evidence: &Evidence, judges: &mut Judges) {
        match evidence {
            Evidence::Key { key, at } if self.keys.len() < MOST_EVENTS => {
                self.keys.push((*at, *key));
            }
            Evidence::Talk { talking: true, at } => self.talking = Some(*at),
            Evidence::Talk { talking: false, at } => self.cease(*at),
            // It stands in the report.
            Evidence::Line(line) => {
                if line.state == LineState::Closed {
                    judges.of(&self.name.conversation, &self.policy).leave(&mut self.leg, line);
                }
                return;
            }
            Evidence::Analysed { .. }
            | Evidence::Gap { .. }
            | Evidence::Suspended { .. }
            | Evidence::Pause(_)
            | Evidence::Key { .. }
            | Evidence::Speaker(_)
            | Evidence::NoSpeakerCheck(_)
            | Evidence::ComparisonEnded(_)
            | Evidence::Phrase(_)
            | Evidence::Watchlist(_)
            | Evidence::Enrollment(_) => {}
        }
        let judge = judges.of(&self.name.conversation, &self.policy);
        if let Some(verdict) = judge.weigh(&mut self.leg, evidence)
            && self.verdicts.len() < MOST_EVENTS
        {
            self.verdicts.push(verdict);
        }
    }

    fn cease(&mut self, at: Duration) {
        if let Some(since) = self.talking.take()
            && self.talk.len() < MOST_EVENTS
        {
            self.talk.push((since, at));
        }
    }

    /// Nothing more comes: what the leg came to. `rtcp` is what came beside it.
    pub fn finish(
        mut self,
        rtcp: u64,
        analyst: &mut dyn Analyst,
        judges: &mut Judges,
    ) -> LegReport {
        self.session.finish(self.epoch + self.now);
        self.drain(analyst, judges);
        if let Some((_, end)) = judges.of.get_mut(&self.name.conversation) {
            *end = self.now.max(*end);
        }
        let (mut stats, line) = (self.session.stats(), self.session.report());
        self.end = self.now.saturating_sub(self.started);
        self.cease(self.end);
        if !self.audible {
            // The steps of timestamps that nobody could decode between are no audio.
            (stats.audio_us, stats.speech_us, stats.concealed_us) = (0, 0, 0);
            self.talk.clear();
        }
        self.codecs.sort_by_key(|codec| codec.payload_type);
        let usual = self.lengths.iter().max_by_key(|&(length, packets)| (*packets, *length));
        LegReport {
            codecs: self.codecs,
            ptime_ms: usual.map(|(length, _)| *length).filter(|&length| length > 0),
            started: moment(self.started),
            stats,
            line,
            sources: self.sources,
            source_changes: self.source_changes,
            rtcp,
            keys: self.keys,
            talk: self.talk,
            verdicts: self.verdicts,
            name: self.name,
        }
    }
}

/// Payload type of a recording's packets: any dynamic one.
const RECORDED: u8 = 96;
/// Length of a recording's packets.
const PACKET: Duration = Duration::from_millis(20);

/// Plays a recording's packets, in the order in which they were made and one as long as it is after the
/// other. `coding` is what they carry and what it is called.
pub fn play_recording(
    epoch: Instant,
    name: LegName,
    (payload, encoding): (Payload, &str),
    packets: impl Iterator<Item = Vec<u8>>,
    analyst: &mut dyn Analyst,
    judges: &mut Judges,
) -> LegReport {
    // No packet of a recording came over a network.
    let source = SocketAddr::from(([127, 0, 0, 1], 9));
    let payloads = vec![(RECORDED, payload)];
    let plan = MediaPlan::overhearing(payloads, source);
    let mut player = Player::new(epoch, Duration::ZERO, name, plan, analyst, judges);
    let (mut sequence, mut ticks, mut at) = (0_u16, 0_u64, Duration::ZERO);
    let rate = payload.clock_rate();
    for bytes in packets {
        let units = match payload {
            Payload::Audio(codec) => codec.duration(&bytes).ok(),
            Payload::TelephoneEvent { .. } | Payload::ComfortNoise { .. } => None,
        };
        let packet = Packet {
            payload_type: RECORDED,
            marker: sequence == 0,
            sequence,
            timestamp: ticks as u32,
            ssrc: 1,
            payload: &bytes,
        };
        let called = |_| Some(encoding.to_owned());
        player.handle_datagram(at, source, &packet.write(), &called, analyst, judges);
        sequence = sequence.wrapping_add(1);
        // What does not decode is taken to be as long as a packet usually is.
        let units = units.map_or(u64::from(rate) * PACKET.as_millis() as u64 / 1_000, u64::from);
        ticks += units;
        at = Duration::from_nanos((u128::from(ticks) * 1_000_000_000 / u128::from(rate)) as u64);
    }
    player.now = player.now.max(at);
    player.finish(0, analyst, judges)
}

/// The policy of one who watches no phrase; verdicts about a voice carry its name.
fn nothing_watched() -> Policy {
    Policy {
        name: "none".to_owned(),
        version: "0".to_owned(),
        signal: UsualSignal::default(),
        phrases: Vec::new(),
        rules: Vec::new(),
        pauses: Vec::new(),
        actions: Vec::new(),
        pronunciations: std::collections::BTreeMap::new(),
    }
}

fn moment(since: Duration) -> jiff::Timestamp {
    jiff::Timestamp::UNIX_EPOCH.checked_add(since).unwrap_or(jiff::Timestamp::MAX)
}
