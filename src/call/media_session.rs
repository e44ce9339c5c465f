//! One party's audio: datagrams in, evidence out. Wiring only: the parts are in the wings below.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::audio::decoder::Codec;
use crate::audio::listener::{Heard, Listener};
use crate::audio::playback::{Origin, Piece, Playback};
use crate::call::card_watch::CardWatch;
use crate::call::claim_watch::ClaimWatch;
use crate::call::enrollment_watch::{self, EnrollmentWatch, Progress};
use crate::call::inference::{Answer, Infer, Withdrawn};
use crate::call::line::{self, ONE_WAY_AFTER};
use crate::call::media_pause::CardPause;
use crate::call::media_plan::{MediaPlan, Payload};
use crate::call::media_stats::MediaStats;
use crate::call::pauses::Pauses;
use crate::call::phrase_watch::PhraseWatch;
use crate::call::silence_watch::SilenceWatch;
use crate::call::speaker_watch::share;
use crate::call::voices::{VoiceOutput, Voices};
use crate::policy::evidence::{Evidence, LineEvidence};
use crate::policy::line::{LineReport, LineState};
use crate::rtp::dtls::DtlsFailure;
use crate::rtp::jitter_buffer::{self, JitterBuffer, Playout};
use crate::rtp::packet::{Packet, is_dtls, is_rtcp};
use crate::rtp::reception::{Arrival, Reception};
use crate::rtp::report::{self, Reporter};
use crate::rtp::security::{Guard, GuardError, Security};
use crate::rtp::sequence::{Filled, Place};
use crate::rtp::silence_sender::SilenceSender;
use crate::rtp::source::{Admission, SourceCheck};
use crate::rtp::telephone_event::TelephoneEvents;
use crate::rtp::voip_metrics::LossPattern;
use crate::speaker::adaptation::Step;

/// What the owner has to do next.
#[derive(Debug)]
pub enum Output {
    /// Have a model work on this, then call [`MediaSession::handle_answer`], whatever came of it.
    Infer(Infer),
    /// What was asked of this and waits for a model is not to be worked on any more; no answer to it is waited for.
    Withdraw(Withdrawn),
    /// Something was learnt.
    Evidence(Evidence),
    /// The party's enrolment has come to something.
    Enrollment(Progress),
    /// The call, which is over, has something to teach the voiceprint.
    Adapt(Step),
    /// Nothing has come for as long as the plan allows.
    Silent,
    /// There will never be keys for the audio: the call is deaf.
    HandshakeFailed(DtlsFailure),
    /// Send this datagram.
    Transmit {
        /// From where.
        socket: Socket,
        /// Where to.
        destination: SocketAddr,
        /// RTCP, a silent packet, or part of a handshake.
        datagram: Vec<u8>,
    },
}

/// One of a party's two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Socket {
    /// For RTP, and for RTCP where both share one (RFC 5761).
    Rtp,
    /// For RTCP.
    Rtcp,
}

/// One party of one call.
#[derive(Debug)]
pub struct MediaSession {
    plan: MediaPlan,
    pub(super) guard: Guard,
    /// Where a handshake comes from, and whether its failure was told.
    handshake: (Option<SocketAddr>, bool),
    source: SourceCheck,
    reporter: Reporter,
    silence: SilenceWatch,
    one_way: SilenceWatch,
    reception: Reception,
    /// On probation: when it came, and its bytes.
    held: Option<(Instant, Vec<u8>)>,
    jitter: JitterBuffer,
    pattern: LossPattern,
    pub(super) playback: Playback,
    sender: Option<SilenceSender>,
    seed: u64,
    events: TelephoneEvents,
    pub(super) listener: Listener,
    pub(super) voices: Voices,
    /// What is learnt of phrases, where they are looked for.
    pub(super) phrases: Option<PhraseWatch>,
    /// Segments are not searched: there is no consent to it, or none any more.
    pub(super) deaf: bool,
    pub(super) pauses: Pauses,
    /// What digits of a card begin, and what looks for them.
    pub(super) cards: Option<(Vec<CardPause>, CardWatch)>,
    pub(super) outputs: VecDeque<Output>,
    stats: MediaStats,
}

impl MediaSession {
    /// A session that has heard nothing. `seed` chooses its SSRC and the rhythm of its reports;
    /// `cname` names it in them.
    ///
    /// Without a `watch` no window is cut and so no voice is embedded; `spotting` says whether
    /// segments are cut for the keyword model.
    pub fn new(
        now: Instant,
        plan: MediaPlan,
        watch: Option<ClaimWatch>,
        spotting: bool,
        seed: u64,
        cname: &str,
    ) -> Self {
        let voices = Voices::new(watch);
        let mut session = Self {
            guard: Guard::new(now, plan.security.clone()),
            handshake: (None, false),
            source: SourceCheck::new(plan.rtp),
            silence: SilenceWatch::new(now, plan.patience),
            one_way: SilenceWatch::new(now, plan.patience.map(|_| ONE_WAY_AFTER)),
            plan,
            reporter: Reporter::new(now, seed, cname),
            reception: Reception::new(now),
            held: None,
            jitter: JitterBuffer::new(jitter_buffer::Settings::default()),
            pattern: LossPattern::default(),
            playback: Playback::new(),
            sender: None,
            seed,
            events: TelephoneEvents::default(),
            listener: Listener::new(false, spotting),
            voices,
            phrases: spotting.then(PhraseWatch::new),
            deaf: false,
            pauses: Pauses::default(),
            cards: None,
            outputs: VecDeque::new(),
            stats: MediaStats::default(),
        };
        session.follow_voices();
        session.begin_sending(now);
        session.shake_hands();
        session
    }

    /// A re-INVITE agreed on something else: another address, another codec, hold.
    pub fn handle_plan(&mut self, now: Instant, plan: MediaPlan) {
        self.source.signal(plan.rtp);
        self.silence.renew(now, plan.patience);
        self.one_way.renew(now, plan.patience.map(|_| ONE_WAY_AFTER));
        self.guard.handle_plan(now, plan.security.clone());
        if plan.rtp != self.plan.rtp {
            self.handshake.0 = None;
        }
        let sent = std::mem::replace(&mut self.plan, plan).send;
        self.shake_hands();
        if sent != self.plan.send {
            self.begin_sending(now);
        }
    }

    /// From now on the party is being enrolled; a second enrolment takes the place of the first.
    pub fn enroll(&mut self, watch: EnrollmentWatch) {
        self.voices.enroll(watch, &self.condition());
        self.follow_voices();
    }

    /// How the line is, for an enrolment.
    pub(super) fn condition(&self) -> enrollment_watch::Heard {
        let net_speech = self.listener.net_speech();
        enrollment_watch::Heard {
            at: self.listener.stream_time(),
            clipping: self.playback.level().clipping(),
            tone: self.playback.tone(),
            coverage: share(net_speech, net_speech + self.listener.concealed_speech()),
        }
    }

    /// Silent packets where the plan has them.
    fn begin_sending(&mut self, now: Instant) {
        self.sender = self.plan.send.and_then(|(payload_type, codec)| {
            let (payload, units) = codec.silence()?;
            Some(SilenceSender::new(now, self.seed, payload_type, payload, units))
        });
    }

    /// A datagram came to the RTP or the RTCP socket; what it is, its bytes tell (RFC 5761 §4).
    pub fn handle_datagram(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) {
        if is_dtls(datagram) {
            return self.handle_handshake(now, source, datagram);
        }
        let datagram = match self.guard.handle_datagram(now, datagram) {
            Ok(Some(datagram)) => datagram,
            // Counted by the guard; but what is no media at all has no key that could be wrong.
            Ok(None) | Err(GuardError::Srtp(_) | GuardError::NoKeys) => return,
            Err(GuardError::NotMedia) => {
                self.stats.malformed += 1;
                return;
            }
        };
        if is_rtcp(&datagram) {
            return self.handle_rtcp(now, source, &datagram);
        }
        let Ok(packet) = Packet::parse(&datagram) else {
            self.stats.malformed += 1;
            return;
        };
        match self.source.check(now, source, &packet) {
            Admission::Accept | Admission::Latched => self.handle_packet(now, &datagram, &packet),
            Admission::Drop => self.stats.foreign += 1,
        }
        self.play(now);
    }

    /// Part of a DTLS handshake, as far as it comes from the peer's address.
    fn handle_handshake(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) {
        if !matches!(self.plan.security, Security::Dtls { .. }) {
            self.stats.malformed += 1;
        } else if self.source.admits_rtcp(source) {
            self.handshake.0 = Some(source);
            let taken = self.guard.handle_datagram(now, datagram);
            debug_assert_eq!(taken, Ok(None), "DTLS is the guard's own");
            self.shake_hands();
        } else {
            self.stats.foreign += 1;
        }
    }

    /// Sends what the handshake has to say, and tells of its failure once.
    fn shake_hands(&mut self) {
        while let Some(datagram) = self.guard.poll_transmit() {
            if let Some(destination) = self.handshake.0.or(self.plan.rtp) {
                let socket = Socket::Rtp;
                self.outputs.push_back(Output::Transmit { socket, destination, datagram });
            }
        }
        match self.guard.failure() {
            Some(_) if self.handshake.1 => {}
            Some(why) => {
                self.handshake.1 = true;
                self.outputs.push_back(Output::HandshakeFailed(why.clone()));
            }
            None => self.handshake.1 = false,
        }
    }

    fn handle_rtcp(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) {
        if !self.source.admits_rtcp(source) {
            self.stats.foreign += 1;
            return;
        }
        let Ok(incoming) = self.reporter.handle_datagram(now, datagram) else {
            self.stats.malformed += 1;
            return;
        };
        self.silence.hear(now);
        // Nothing more is to come of a source that left: no gap is waited for.
        if self.reception.source().is_some_and(|source| incoming.bye.contains(&source)) {
            self.drain(now);
        }
    }

    fn handle_packet(&mut self, now: Instant, datagram: &[u8], packet: &Packet<'_>) {
        self.stats.packets += 1;
        self.silence.hear(now);
        if self.one_way.hear(now) {
            self.tell_line(LineState::Heard);
        }
        // What was not agreed on has no clock, but a number that is not lost.
        let payload = self.plan.payload(packet.payload_type);
        let clock_rate = payload.map_or_else(|| self.clock_rate(), Payload::clock_rate);
        match self.reception.record(now, packet, clock_rate) {
            Arrival::Valid(place) => self.push(now, place, packet),
            Arrival::Restart { held: before, place } => {
                self.drain(now);
                self.jitter.restart();
                if let Some((arrived, datagram)) = self.held.take()
                    && let Ok(first) = Packet::parse(&datagram)
                {
                    self.push(arrived, before, &first);
                }
                self.push(now, place, packet);
            }
            Arrival::Probation => self.held = Some((now, datagram.to_vec())),
            Arrival::Duplicate => {}
        }
    }

    fn push(&mut self, now: Instant, place: Place, packet: &Packet<'_>) {
        let filled = match self.plan.payload(packet.payload_type) {
            Some(Payload::Audio(codec)) => Filled {
                // A payload that will not decode fills no time: it shows as silence.
                units: codec.duration(packet.payload).unwrap_or(0),
                clock_rate: codec.clock_rate(),
            },
            Some(Payload::TelephoneEvent { clock_rate } | Payload::ComfortNoise { clock_rate }) => {
                Filled { units: 0, clock_rate }
            }
            None => Filled { units: 0, clock_rate: self.clock_rate() },
        };
        self.jitter.push(now, place, packet, filled);
    }

    /// Of the codec heard last, or else of telephony.
    fn clock_rate(&self) -> u32 {
        self.codec().unwrap_or(Codec::Pcmu).clock_rate()
    }

    /// Gives out what the jitter buffer has ready at `now`.
    fn play(&mut self, now: Instant) {
        loop {
            match self.jitter.pop(now) {
                Playout::Packet { payload_type, payload, timestamp, .. } => {
                    self.pattern.received();
                    match self.plan.payload(payload_type) {
                        Some(Payload::Audio(codec)) if self.pauses.hold() => {
                            self.playback.handle_silence(codec.time(&payload));
                        }
                        Some(Payload::Audio(codec)) => {
                            self.playback.handle_payload(codec, &payload);
                        }
                        Some(Payload::TelephoneEvent { .. }) => {
                            let key = self.events.handle_payload(timestamp, &payload);
                            if let Some(key) = key.filter(|_| !self.pauses.hold()) {
                                self.hear();
                                self.stats.keys += 1;
                                self.hear_key(now, key);
                            }
                        }
                        Some(Payload::ComfortNoise { .. }) | None => {}
                    }
                }
                Playout::Lost { time, packets } => {
                    (0..packets).for_each(|_| self.pattern.lost());
                    self.playback.handle_lost(time);
                }
                Playout::Silence { time } => self.playback.handle_silence(time),
                Playout::NotYet => break,
            }
        }
        self.hear();
    }

    /// Gives out all that waits, gaps or not.
    pub(super) fn drain(&mut self, now: Instant) {
        self.play(now + self.jitter.longest_wait());
        self.playback.settle();
        self.hear();
    }

    /// Lets the listener hear what was played.
    pub(super) fn hear(&mut self) {
        while let Some(piece) = self.playback.poll_piece() {
            match piece {
                Piece::Silence(time) if self.pauses.hold() => self.listener.pass(time),
                Piece::Samples { samples, rate, origin } => {
                    self.voices.hear(&samples, rate);
                    self.listener.hear(&samples, rate, origin == Origin::Concealed);
                }
                Piece::Silence(time) => self.listener.skip(time),
            }
        }
        self.gather();
    }

    /// Turns what the listener heard into work and evidence.
    pub(super) fn gather(&mut self) {
        while let Some(heard) = self.listener.poll() {
            let output = match heard {
                Heard::Window(window) => {
                    let concealed = self.listener.concealed_speech();
                    self.voices.handle_window(window, concealed);
                    self.follow_voices();
                    continue;
                }
                Heard::Frame(frame) => {
                    self.voices.handle_frame(frame);
                    self.follow_voices();
                    continue;
                }
                Heard::Segment(segment) => {
                    self.phrases.iter_mut().for_each(|phrases| phrases.handle_segment(&segment));
                    if self.deaf {
                        self.leave_unheard(&segment);
                        continue;
                    }
                    Output::Infer(Infer::Keyword(segment))
                }
                Heard::Settled { at } => {
                    self.phrases.iter_mut().for_each(|phrases| phrases.handle_settled(at));
                    continue;
                }
                Heard::Talk { talking, at } => {
                    if talking {
                        self.phrases.iter_mut().for_each(|phrases| phrases.handle_talk(at));
                    }
                    Output::Evidence(Evidence::Talk { talking, at })
                }
            };
            self.outputs.push_back(output);
        }
        self.follow_phrases();
    }

    /// Passes on what was learnt of phrases.
    pub(super) fn follow_phrases(&mut self) {
        let evidence = std::iter::from_fn(|| self.phrases.as_mut()?.poll_evidence());
        self.outputs.extend(evidence.map(Output::Evidence));
    }

    /// Passes on what is to be asked and to be told of the party's voice.
    pub(super) fn follow_voices(&mut self) {
        while let Some(output) = self.voices.poll_output() {
            self.outputs.push_back(match output {
                VoiceOutput::Work(work) => Output::Infer(Infer::Speaker(work)),
                VoiceOutput::Chunk(chunk) => Output::Infer(Infer::Turns(chunk)),
                VoiceOutput::Evidence(evidence) => Output::Evidence(Evidence::Speaker(evidence)),
                VoiceOutput::Hit(hit) => Output::Evidence(Evidence::Watchlist(hit)),
                VoiceOutput::Enrollment(progress) => Output::Enrollment(progress),
                VoiceOutput::Adapt(step) => Output::Adapt(step),
                VoiceOutput::Ended(why) => Output::Evidence(self.claim_ended(why)),
            });
        }
        self.listener.cut_windows(self.voices.want_windows());
        self.listener.hand_out_frames(self.voices.want_frames());
    }

    /// A model's answer to an [`Output::Infer`], or the news that there will be none.
    pub fn handle_answer(&mut self, now: Instant, answer: Answer) {
        match answer {
            Answer::Embedding { asker, by, window, embedding } => {
                match &embedding {
                    Some(_) => self.stats.windows += 1,
                    None => self.stats.unanalysed += 1,
                }
                let condition = self.condition();
                self.voices.handle_embedding((asker, by, window), embedding, &condition);
                self.follow_voices();
            }
            Answer::Hits { segment, hits, digits } => {
                match &hits {
                    Some(_) => self.stats.segments += 1,
                    None => self.stats.unanalysed += 1,
                }
                let concealed = self.listener.concealed_speech();
                let phrases = self.phrases.as_mut();
                let waited_for =
                    phrases.is_some_and(|phrases| phrases.handle_hits(&segment, hits, concealed));
                self.follow_phrases();
                if waited_for {
                    self.hear_digits(now, segment.start, &digits);
                }
            }
            Answer::Turns { chunk, rows } => {
                if rows.is_none() {
                    self.stats.unanalysed += 1;
                }
                self.voices.handle_rows(chunk, rows.as_deref());
                self.follow_voices();
            }
        }
    }

    /// Moves every due timer: a gap that lasted too long, a receiver report, a silence.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.play(now);
        self.time_pauses(now);
        self.guard.handle_timeout(now);
        self.shake_hands();
        if self.reporter.poll_timeout() <= now {
            let heard = self.heard();
            let report = self.reporter.handle_timeout(now, || heard);
            self.transmit(report);
        }
        let silent = self.sender.as_mut().and_then(|sender| sender.handle_timeout(now));
        let silent = silent.and_then(|packet| self.guard.protect_rtp(packet));
        if let (Some(datagram), Some(destination)) =
            (silent, self.source.latched().or(self.plan.rtp))
        {
            let socket = Socket::Rtp;
            self.outputs.push_back(Output::Transmit { socket, destination, datagram });
        }
        if self.one_way.handle_timeout(now) {
            self.stats.one_way += 1;
            self.tell_line(LineState::OneWay);
        }
        if self.silence.handle_timeout(now) {
            self.outputs.push_back(Output::Silent);
        }
    }

    /// The call is over: gives out what still waits, and a BYE. Answers may still come.
    pub fn finish(&mut self, now: Instant) {
        self.drain(now);
        self.listener.finish();
        self.gather();
        let end = self.listener.stream_time();
        self.phrases.iter_mut().for_each(|phrases| phrases.handle_settled(end));
        self.follow_phrases();
        self.voices.finish();
        self.follow_voices();
        self.tell_line(LineState::Closed);
        let heard = self.heard();
        let bye = self.reporter.bye(now, heard);
        self.transmit(Some(bye));
    }

    /// Every answer is in, after [`Self::finish`]: what the call was worth is told.
    pub fn conclude(&mut self) {
        self.voices.conclude(&self.condition());
        self.follow_voices();
    }

    fn tell_line(&mut self, state: LineState) {
        let net_speech = self.listener.net_speech();
        let evidence = LineEvidence {
            state,
            at: self.listener.stream_time(),
            net_speech,
            coverage: share(net_speech, net_speech + self.listener.concealed_speech()),
            report: Box::new(self.report()),
        };
        self.outputs.push_back(Output::Evidence(Evidence::Line(evidence)));
    }

    /// What the next report says of the stream; asking starts its next interval.
    fn heard(&mut self) -> Option<report::Heard> {
        let block = self.reception.report()?;
        let metrics =
            self.plan.xr.then(|| line::metrics(&self.jitter, &self.pattern, &self.listener));
        Some(report::Heard { block, metrics })
    }

    /// Sends a report, from the socket that the peer sends its own to.
    fn transmit(&mut self, compound: Option<Vec<u8>>) {
        let datagram = compound.and_then(|compound| self.guard.protect_rtcp(compound));
        if let (Some(datagram), Some(destination)) = (datagram, self.plan.rtcp) {
            let socket = if self.plan.rtcp == self.plan.rtp { Socket::Rtp } else { Socket::Rtcp };
            self.outputs.push_back(Output::Transmit { socket, destination, datagram });
        }
    }

    /// The next thing to do; drain it after every `handle_*`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is next due.
    pub fn poll_timeout(&self) -> Instant {
        let report = self.reporter.poll_timeout();
        let gap = self.jitter.poll_timeout();
        let silences = [self.silence.poll_timeout(), self.one_way.poll_timeout()];
        let sender = self.sender.as_ref().map(SilenceSender::poll_timeout);
        let others = silences.into_iter().flatten().chain(self.guard.poll_timeout());
        let others = others.chain(self.pauses.poll_timeout());
        gap.into_iter().chain(sender).chain(others).fold(report, Instant::min)
    }

    /// How the line is, in counts and levels.
    pub fn report(&self) -> LineReport {
        line::report(
            &self.stats(),
            &self.guard,
            &self.reception,
            &self.jitter,
            &self.playback,
            &self.listener,
        )
    }

    /// That of the payload heard last.
    pub fn codec(&self) -> Option<Codec> {
        self.playback.codec()
    }

    /// The counts so far.
    pub fn stats(&self) -> MediaStats {
        let (reception, jitter) = (self.reception.stats(), self.jitter.stats());
        let guard = self.guard.stats();
        let mut stats = self.stats;
        stats.unauthentic = guard.unauthentic;
        stats.replayed = guard.replayed;
        stats.unprotected = guard.unprotected;
        stats.lost = jitter.lost;
        stats.late = jitter.late;
        stats.reordered = reception.reordered;
        stats.duplicates = reception.duplicates + jitter.duplicates;
        stats.undecodable = self.playback.undecodable();
        stats.repaired = self.playback.repaired();
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        stats.audio_us = us(self.listener.audio());
        stats.speech_us = us(self.listener.net_speech());
        stats.concealed_us = us(self.listener.concealed());
        stats
    }
}
