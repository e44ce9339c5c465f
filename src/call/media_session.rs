//! One party's audio: datagrams in, evidence out. Wiring only: the parts are in the wings below.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::audio::decoder::{Codec, Decoder};
use crate::audio::listener::{Heard, Listener};
use crate::audio::pcm;
use crate::audio::segmenter::Segment;
use crate::audio::speech_windows::{SpeechWindow, WINDOW};
use crate::call::silence_watch::SilenceWatch;
use crate::consent::consent::Consent;
use crate::keyword::spotter::Hit;
use crate::policy::evidence::{Evidence, Obstacle, PhraseEvidence, SpeakerEvidence};
use crate::rtp::jitter_buffer::{self, JitterBuffer, Playout};
use crate::rtp::packet::{Packet, is_rtcp};
use crate::rtp::reception::{Arrival, Reception};
use crate::rtp::report::Reporter;
use crate::rtp::source::{Admission, SourceCheck};
use crate::speaker::embedding::Embedding;
use crate::speaker::verifier::Verifier;
use crate::speaker::voiceprint::Voiceprint;

/// What was agreed in SDP about one party's audio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaPlan {
    /// Payload types that carry audio.
    pub payloads: Vec<(u8, Codec)>,
    /// Where the peer said that its RTP comes from, if it did.
    pub rtp: Option<SocketAddr>,
    /// Where receiver reports go, if anywhere.
    pub rtcp: Option<SocketAddr>,
    /// How long nothing may come before the call counts as dead; `None` on hold.
    pub patience: Option<Duration>,
}

/// The comparison of one caller's voice with a voiceprint: there is none without a consent.
#[derive(Debug)]
pub struct SpeakerWatch {
    voiceprint: Voiceprint,
    verifier: Verifier,
}

impl SpeakerWatch {
    /// Compares with `voiceprint`, to which the caller agreed under `consent`; the voice model in
    /// use is `model` (`name@version`).
    pub fn new(
        consent: Option<&Consent>,
        voiceprint: Option<Voiceprint>,
        model: &str,
        verifier: Verifier,
    ) -> Result<Self, Obstacle> {
        consent.ok_or(Obstacle::NoConsent)?;
        let voiceprint = voiceprint.ok_or(Obstacle::NoVoiceprint)?;
        if voiceprint.model != model {
            return Err(Obstacle::OtherModel);
        }
        Ok(Self { voiceprint, verifier })
    }
}

/// Work for a model.
#[derive(Clone, Debug)]
pub enum Infer {
    /// A window to be embedded.
    Speaker(SpeechWindow),
    /// A segment to be searched for phrases.
    Keyword(Segment),
}

/// What a model made of it; `None` where it failed or never got to it.
#[derive(Debug)]
pub enum Answer {
    /// To [`Infer::Speaker`].
    Embedding {
        /// The window.
        window: SpeechWindow,
        /// Its voice.
        embedding: Option<Embedding>,
    },
    /// To [`Infer::Keyword`].
    Hits {
        /// The segment.
        segment: Segment,
        /// The watched phrases in it.
        hits: Option<Vec<Hit>>,
    },
}

/// What the owner has to do next.
#[derive(Debug)]
pub enum Output {
    /// Have a model work on this, then call [`MediaSession::handle_answer`], whatever came of it.
    Infer(Infer),
    /// Something was learnt.
    Evidence(Evidence),
    /// Nothing has come for as long as the plan allows.
    Silent,
    /// Send this RTCP compound, from the RTCP socket or, where both share one, from the RTP socket.
    Transmit {
        /// Where to.
        destination: SocketAddr,
        /// The compound.
        datagram: Vec<u8>,
    },
}

/// Counts since the party's audio began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MediaStats {
    /// RTP packets received.
    pub packets: u64,
    /// Packets that were sent and not played.
    pub lost: u64,
    /// Packets that came after their turn.
    pub late: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Datagrams that are neither RTP nor RTCP.
    pub malformed: u64,
    /// Datagrams from somebody else than the peer.
    pub foreign: u64,
    /// Payloads that did not decode.
    pub undecodable: u64,
    /// Audio heard, microseconds.
    pub audio_us: u64,
    /// Net speech in it, microseconds.
    pub speech_us: u64,
    /// Audio made up in place of lost packets, microseconds.
    pub concealed_us: u64,
    /// Windows and segments that no model got to in time, or failed on.
    pub unanalysed: u64,
    /// Windows that were embedded.
    pub windows: u64,
    /// Segments that were searched.
    pub segments: u64,
}

/// The stream as it comes, one codec at a time.
#[derive(Debug)]
struct Stream {
    decoder: Decoder,
    reception: Reception,
    jitter: JitterBuffer,
}

/// One party of one call.
#[derive(Debug)]
pub struct MediaSession {
    plan: MediaPlan,
    source: SourceCheck,
    reporter: Reporter,
    silence: SilenceWatch,
    stream: Option<Stream>,
    listener: Listener,
    watch: Option<SpeakerWatch>,
    /// Speech offered to the models and speech that they worked on, by model.
    offered: Coverage,
    analysed: Coverage,
    outputs: VecDeque<Output>,
    stats: MediaStats,
}

#[derive(Clone, Copy, Debug, Default)]
struct Coverage {
    speaker: Duration,
    keyword: Duration,
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
        watch: Option<SpeakerWatch>,
        spotting: bool,
        seed: u64,
        cname: &str,
    ) -> Self {
        let hop = watch.as_ref().and_then(|watch| watch.verifier.hop());
        Self {
            source: SourceCheck::new(plan.rtp),
            silence: SilenceWatch::new(now, plan.patience),
            plan,
            reporter: Reporter::new(now, seed, cname),
            stream: None,
            listener: Listener::new(hop, spotting),
            watch,
            offered: Coverage::default(),
            analysed: Coverage::default(),
            outputs: VecDeque::new(),
            stats: MediaStats::default(),
        }
    }

    /// A re-INVITE agreed on something else: another address, another codec, hold.
    pub fn handle_plan(&mut self, now: Instant, plan: MediaPlan) {
        self.source.signal(plan.rtp);
        self.silence = SilenceWatch::new(now, plan.patience);
        self.plan = plan;
    }

    /// A datagram came to the RTP or the RTCP socket; what it is, its bytes tell (RFC 5761 §4).
    pub fn handle_datagram(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) {
        if is_rtcp(datagram) {
            if !self.source.admits_rtcp(source) {
                self.stats.foreign += 1;
            } else if self.reporter.handle_datagram(now, datagram).is_err() {
                self.stats.malformed += 1;
            } else {
                self.silence.hear(now);
            }
            return;
        }
        let Ok(packet) = Packet::parse(datagram) else {
            self.stats.malformed += 1;
            return;
        };
        match self.source.check(now, source, &packet) {
            Admission::Accept | Admission::Latched => self.handle_packet(now, &packet),
            Admission::Drop => self.stats.foreign += 1,
        }
        self.play(now);
    }

    fn handle_packet(&mut self, now: Instant, packet: &Packet<'_>) {
        self.stats.packets += 1;
        self.silence.hear(now);
        let codec = self.plan.codec(packet.payload_type);
        if let Some(codec) = codec
            && self.stream.as_ref().is_none_or(|s| s.clock_rate() != codec.clock_rate())
        {
            self.drain(now);
            if let Some(ended) = self.stream.replace(Stream::new(now, codec)) {
                ended.count_into(&mut self.stats);
            }
        }
        // A telephone event before the first audio has no clock to be placed on.
        let Some(stream) = &mut self.stream else { return };
        let place = match stream.reception.record(now, packet) {
            Arrival::Valid(place) => place,
            Arrival::Restart(place) => {
                self.drain(now);
                let stream = self.stream.as_mut().expect("draining keeps the stream");
                stream.jitter.restart();
                place
            }
            Arrival::Probation | Arrival::Duplicate => return,
        };
        let stream = self.stream.as_mut().expect("nothing above takes the stream");
        // What is no audio of ours (events, comfort noise) fills no time: it shows as silence. So
        // does a payload that will not decode.
        let duration = codec.map_or(Ok(0), |codec| codec.duration(packet.payload)).unwrap_or(0);
        stream.jitter.push(now, place, packet, duration);
    }

    /// Gives out what the jitter buffer has ready at `now`.
    fn play(&mut self, now: Instant) {
        let Self { plan, stream: Some(stream), listener, stats, .. } = self else { return };
        loop {
            match stream.jitter.pop(now) {
                Playout::Packet { payload_type, payload, .. } => {
                    let Some(codec) = plan.codec(payload_type) else { continue };
                    if codec != stream.decoder.codec() {
                        stream.decoder = Decoder::new(codec);
                    }
                    match stream.decoder.decode(&payload) {
                        Ok(samples) => listener.hear(&samples, codec.sample_rate(), false),
                        Err(_) => {
                            stats.undecodable += 1;
                            let units = codec.duration(&payload).map_or(0, u64::from);
                            let samples = stream.decoder.conceal(units);
                            listener.hear(&samples, codec.sample_rate(), true);
                        }
                    }
                }
                Playout::Lost { duration, .. } => {
                    let codec = stream.decoder.codec();
                    let samples = stream.decoder.conceal(duration);
                    let made = Duration::from_secs_f64(
                        samples.len() as f64 / f64::from(codec.sample_rate()),
                    );
                    listener.hear(&samples, codec.sample_rate(), true);
                    listener.skip(stream.time(duration).saturating_sub(made));
                }
                Playout::Silence { duration } => listener.skip(stream.time(duration)),
                Playout::NotYet => break,
            }
        }
        self.gather();
    }

    /// Gives out all that waits, gaps or not.
    fn drain(&mut self, now: Instant) {
        self.play(now + jitter_buffer::Settings::default().depth);
    }

    /// Turns what the listener heard into work and evidence.
    fn gather(&mut self) {
        while let Some(heard) = self.listener.poll() {
            let output = match heard {
                Heard::Window(window) => {
                    self.offered.speaker += window.fresh;
                    Output::Infer(Infer::Speaker(window))
                }
                Heard::Segment(segment) => {
                    self.offered.keyword += pcm::duration_of(segment.samples.len() as u64);
                    Output::Infer(Infer::Keyword(segment))
                }
                Heard::Talk { talking, at } => Output::Evidence(Evidence::Talk { talking, at }),
            };
            self.outputs.push_back(output);
        }
    }

    /// A model's answer to an [`Output::Infer`], or the news that there will be none.
    pub fn handle_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Embedding { window, embedding: Some(embedding) } => {
                self.stats.windows += 1;
                self.analysed.speaker += window.fresh;
                let Some(watch) = &mut self.watch else { return };
                // Equal dimensions: the voiceprint is of the model in use, as `SpeakerWatch` saw to.
                let Some(cosine) = embedding.cosine(&watch.voiceprint.embedding) else { return };
                let fresh = window.fresh.as_secs_f64() / WINDOW.as_secs_f64();
                let decision = watch.verifier.observe(cosine, fresh);
                let evidence = SpeakerEvidence {
                    decision,
                    at: window.end,
                    llr: watch.verifier.llr(),
                    newest_llr: watch.verifier.newest_llr(),
                    net_speech: window.net_speech,
                    coverage: share(
                        self.analysed.speaker,
                        self.offered.speaker + self.listener.concealed_speech(),
                    ),
                };
                self.listener.set_hop(watch.verifier.hop());
                self.outputs.push_back(Output::Evidence(Evidence::Speaker(evidence)));
            }
            Answer::Hits { segment, hits: Some(hits) } => {
                self.stats.segments += 1;
                self.analysed.keyword += pcm::duration_of(segment.samples.len() as u64);
                let coverage = share(
                    self.analysed.keyword,
                    self.offered.keyword + self.listener.concealed_speech(),
                );
                for hit in hits {
                    let evidence = PhraseEvidence {
                        phrase: hit.phrase,
                        start: segment.start + hit.start,
                        end: segment.start + hit.end,
                        score: hit.score,
                        exact: hit.exact,
                        net_speech: segment.net_speech,
                        coverage,
                    };
                    self.outputs.push_back(Output::Evidence(Evidence::Phrase(evidence)));
                }
            }
            Answer::Embedding { embedding: None, .. } | Answer::Hits { hits: None, .. } => {
                self.stats.unanalysed += 1;
            }
        }
    }

    /// Moves every due timer: a gap that lasted too long, a receiver report, a silence.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.play(now);
        let Self { reporter, stream, .. } = self;
        let report =
            reporter.handle_timeout(now, || stream.as_mut().and_then(|s| s.reception.report()));
        self.transmit(report);
        if self.silence.handle_timeout(now) {
            self.outputs.push_back(Output::Silent);
        }
    }

    /// The call is over: gives out what still waits, and a BYE. Answers may still come.
    pub fn finish(&mut self, now: Instant) {
        self.drain(now);
        self.listener.finish();
        self.gather();
        let block = self.stream.as_mut().and_then(|s| s.reception.report());
        let bye = self.reporter.bye(now, block);
        self.transmit(Some(bye));
    }

    fn transmit(&mut self, datagram: Option<Vec<u8>>) {
        if let (Some(datagram), Some(destination)) = (datagram, self.plan.rtcp) {
            self.outputs.push_back(Output::Transmit { destination, datagram });
        }
    }

    /// The next thing to do; drain it after every `handle_*`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is next due.
    pub fn poll_timeout(&self) -> Instant {
        let report = self.reporter.poll_timeout();
        let gap = self.stream.as_ref().and_then(|stream| stream.jitter.poll_timeout());
        gap.into_iter().chain(self.silence.poll_timeout()).fold(report, Instant::min)
    }

    /// The counts so far.
    pub fn stats(&self) -> MediaStats {
        let mut stats = self.stats;
        if let Some(stream) = &self.stream {
            stream.count_into(&mut stats);
        }
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        stats.audio_us = us(self.listener.audio());
        stats.speech_us = us(self.listener.net_speech());
        stats.concealed_us = us(self.listener.concealed());
        stats
    }
}

impl MediaPlan {
    /// The audio codec behind a payload type; `None` for events, comfort noise and strangers.
    fn codec(&self, payload_type: u8) -> Option<Codec> {
        self.payloads.iter().find(|(pt, _)| *pt == payload_type).map(|&(_, codec)| codec)
    }
}

impl Stream {
    fn new(now: Instant, codec: Codec) -> Self {
        Self {
            decoder: Decoder::new(codec),
            reception: Reception::new(now, codec.clock_rate()),
            jitter: JitterBuffer::new(jitter_buffer::Settings::default(), codec.clock_rate()),
        }
    }

    fn clock_rate(&self) -> u32 {
        self.decoder.codec().clock_rate()
    }

    fn count_into(&self, stats: &mut MediaStats) {
        let (reception, jitter) = (self.reception.stats(), self.jitter.stats());
        stats.lost += jitter.lost;
        stats.late += jitter.late;
        stats.duplicates += reception.duplicates + jitter.duplicates;
    }

    /// Timestamp units as time.
    fn time(&self, units: u64) -> Duration {
        Duration::from_secs_f64(units as f64 / f64::from(self.clock_rate()))
    }
}

/// `part` of `whole` in [0, 1]; all of it while there is nothing yet.
fn share(part: Duration, whole: Duration) -> f64 {
    if whole.is_zero() { 1.0 } else { (part.as_secs_f64() / whole.as_secs_f64()).min(1.0) }
}
