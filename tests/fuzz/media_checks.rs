//! What must hold for any datagrams at any time: the fuzzing's targets below a party's audio.
#![allow(dead_code, reason = "each target runs one of them")]
#![allow(clippy::disallowed_methods, reason = "a check needs one instant to count from")]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sidetone::audio::decoder::Codec;
use sidetone::audio::speech_windows::{SLICE_SAMPLES, WINDOW_SAMPLES};
use sidetone::audio::turns::{CHUNK_SAMPLES, ROWS};
use sidetone::call::claim_watch::{ClaimWatch, Claimed};
use sidetone::call::inference::{Answer, Infer};
use sidetone::call::media_plan::{MediaPlan, Payload};
use sidetone::call::media_session::{MediaSession, Output};
use sidetone::call::media_stats::MediaStats;
use sidetone::call::voices::VoiceWork;
use sidetone::consent::reference::ConsentReference;
use sidetone::policy::evidence::Evidence;
use sidetone::policy::line::LineState;
use sidetone::policy::rule::Party;
use sidetone::rtp::jitter_buffer::{JitterBuffer, Playout, Settings};
use sidetone::rtp::packet::{Packet, is_rtcp};
use sidetone::rtp::reception::{Arrival, Reception};
use sidetone::rtp::report::Reporter;
use sidetone::rtp::security::Security;
use sidetone::rtp::sequence::Filled;
use sidetone::runtime::answered_for::answered_for;
use sidetone::speaker::calibration::Calibration;
use sidetone::speaker::embedder::{Embedders, Purpose};
use sidetone::speaker::embedding::Embedding;
use sidetone::speaker::verifier::Settings as Weighing;
use sidetone::speaker::voiceprint::Voiceprint;

/// Payload types of the session's plan; 13 and 101 are no audio.
const PAYLOADS: [(u8, Payload); 8] = [
    (0, Payload::Audio(Codec::Pcmu)),
    (8, Payload::Audio(Codec::Pcma)),
    (9, Payload::Audio(Codec::G722)),
    (97, Payload::Audio(Codec::L16)),
    (98, Payload::Audio(Codec::L16Wide)),
    (111, Payload::Audio(Codec::Opus)),
    (101, Payload::TelephoneEvent { clock_rate: 8_000 }),
    (13, Payload::ComfortNoise { clock_rate: 8_000 }),
];
/// Longest segment: 8 s and what is kept from before it, with a frame to spare.
const LONGEST_SEGMENT: usize = 16_000 * 4;
/// Longest that one RTP payload may fill.
const LONGEST_PAYLOAD: Duration = Duration::from_millis(120);

/// The script's next bytes; zeros once it is over.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// Datagrams of up to 255 octets, each with its length and its delay in milliseconds before it: what
/// is read is written and read alike, and the buffer gives each packet once and in order.
pub(crate) fn rtp(data: &[u8]) {
    let mut script = Script(data);
    let mut now = Instant::now();
    let (mut reception, mut buffer) = (Reception::new(now), JitterBuffer::new(Settings::default()));
    let (mut pushed, mut last) = (0, None);
    while !script.0.is_empty() {
        let (length, delay) = (script.byte(), script.byte());
        now += Duration::from_millis(delay.into());
        let datagram = script.take(length.into());
        let Ok(packet) = Packet::parse(datagram) else { continue };
        let again = packet.write();
        assert_eq!(Packet::parse(&again), Ok(packet));
        assert!(!is_rtcp(datagram) || packet.payload_type >= 64);
        let clock_rate = if packet.payload_type < 96 { 8_000 } else { 48_000 };
        let arrival = reception.record(now, &packet, clock_rate);
        if let Arrival::Restart { .. } = arrival {
            buffer.restart();
            last = None;
        }
        if let Arrival::Valid(place) | Arrival::Restart { place, .. } = arrival {
            let units = packet.payload.len() as u32;
            buffer.push(now, place, &packet, Filled { units, clock_rate });
            pushed += 1;
        }
        loop {
            match buffer.pop(now) {
                Playout::Packet { timestamp, payload, .. } => {
                    assert!(payload.len() <= 255);
                    last = Some(timestamp);
                }
                Playout::Lost { packets, .. } => assert!(packets > 0),
                Playout::Silence { time } => assert!(!time.is_zero()),
                Playout::NotYet => break,
            }
        }
        let _ = (last, reception.report(), reception.drift_ppm());
        // What is not given yet is waited for, and not for longer than the most.
        if let Some(due) = buffer.poll_timeout() {
            assert!(due > now && due <= now + buffer.longest_wait());
        }
    }
    let stats = buffer.stats();
    let waiting = pushed - stats.played - stats.late - stats.duplicates - stats.abandoned;
    assert!(waiting <= Settings::default().capacity as u64 && stats.overflowed == 0);
}

/// One compound: it is read or refused, and our next report is one that we read ourselves.
pub(crate) fn rtcp(data: &[u8]) {
    let now = Instant::now();
    let mut reporter = Reporter::new(now, 1, "listener@192.0.2.2");
    let _ = reporter.handle_datagram(now, data);
    let bye = reporter.bye(now + Duration::from_secs(3), None);
    assert!(is_rtcp(&bye));
    assert_eq!(reporter.handle_datagram(now, &bye).expect("our own").bye.len(), 1);
}

/// A script of datagrams, ticks, plans and answers, played twice: the same comes of it.
pub(crate) fn session(data: &[u8]) {
    let start = Instant::now();
    assert_eq!(play(start, data), play(start, data));
}

/// What came of one script, as a number.
fn play(start: Instant, data: &[u8]) -> u64 {
    let mut script = Script(data);
    let mut run = Run::new(start, script.byte());
    let (mut sequence, mut timestamp) = (65_530_u16, u32::MAX - 1_000);
    while !script.0.is_empty() {
        let action = script.byte();
        match action % 16 {
            // A packet of a stream that goes on, with a step aside now and then.
            0..=8 => {
                let how = script.byte();
                let (payload_type, _) = PAYLOADS[usize::from(how & 7)];
                let length = if how & 8 == 0 { 160 } else { usize::from(script.byte()) };
                let filler = script.byte();
                let given = script.take(usize::from(how >> 4));
                let mut payload = vec![filler; length.saturating_sub(given.len())];
                payload.splice(0..0, given.iter().copied());
                sequence = sequence.wrapping_add(match action >> 4 {
                    0..=10 => 1,
                    11 => 2,
                    12 => 0,
                    13 => u16::MAX,
                    14 => u16::from(script.byte()),
                    _ => 30_000,
                });
                timestamp = timestamp.wrapping_add(if action >> 4 == 10 { 16_000 } else { 160 });
                let ssrc = u32::from(action % 16 == 8);
                let marker = how & 0x40 != 0;
                let packet =
                    Packet { payload_type, marker, sequence, timestamp, ssrc, payload: &payload };
                run.datagram(peer(), &packet.write());
            }
            9 | 10 => {
                let length = script.byte();
                let bytes = script.take(length.into());
                run.datagram(if action % 16 == 9 { peer() } else { stranger() }, bytes);
            }
            11 | 12 => run.pass(Duration::from_millis(u64::from(script.byte()))),
            13 => run.pass(Duration::from_secs(u64::from(script.byte() & 31))),
            14 => run.plan(script.byte()),
            _ => run.answer(script.byte() & 1 == 0),
        }
        // 20 ms go by between two packets of most streams.
        if action & 0x10 != 0 {
            run.pass(Duration::from_millis(20));
        }
    }
    run.finish()
}

fn peer() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 4_000))
}

fn stranger() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 1], 9))
}

/// One session and all that has to hold of it.
struct Run {
    now: Instant,
    start: Instant,
    session: MediaSession,
    waiting: Vec<Infer>,
    before: MediaStats,
    last_window: Duration,
    last_slice: Duration,
    closed: usize,
    mixed: bool,
    story: DefaultHasher,
}

impl Run {
    fn new(start: Instant, how: u8) -> Self {
        let watch = (how & 1 == 0).then(|| watch(how));
        let session = MediaSession::new(start, plan(how), watch, how & 2 == 0, 1, "us@192.0.2.2");
        Self {
            now: start,
            start,
            session,
            waiting: Vec::new(),
            before: MediaStats::default(),
            last_window: Duration::ZERO,
            last_slice: Duration::ZERO,
            closed: 0,
            mixed: how & 4 == 0,
            story: DefaultHasher::new(),
        }
    }

    fn datagram(&mut self, from: SocketAddr, bytes: &[u8]) {
        self.session.handle_datagram(self.now, from, bytes);
        self.check();
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        let mut turns = 0;
        while self.session.poll_timeout() <= until {
            self.now = self.now.max(self.session.poll_timeout());
            self.session.handle_timeout(self.now);
            self.check();
            assert!(self.session.poll_timeout() > self.now, "nothing due is left undone");
            turns += 1;
            // Silent packets every 20 ms, and a few gaps and reports.
            assert!(turns <= 1_000 + time.as_millis() / 10, "a timer never ends");
        }
        self.now = until;
    }

    fn plan(&mut self, how: u8) {
        self.session.handle_plan(self.now, plan(how));
        self.check();
    }

    fn answer(&mut self, well: bool) {
        if self.waiting.is_empty() {
            return;
        }
        let answer = match self.waiting.remove(0) {
            Infer::Speaker(VoiceWork { asker, by, window, .. }) => {
                let embedding = well.then(|| Embedding::from_raw(vec![0.8, 0.6]).expect("one"));
                Answer::Embedding { asker, by, window, embedding }
            }
            Infer::Keyword(segment) => {
                Answer::Hits { segment, hits: well.then(Vec::new), digits: Vec::new() }
            }
            Infer::Turns(chunk) => {
                let talks = |row: usize| [row % 200 < 110, row % 200 > 100, row < 9];
                let rows = well.then(|| (0..ROWS).map(talks).collect());
                Answer::Turns { chunk: chunk.number, rows }
            }
        };
        self.session.handle_answer(self.now, answer);
        self.check();
    }

    fn finish(mut self) -> u64 {
        self.session.finish(self.now);
        self.check();
        assert_eq!(self.closed, 1, "a line is closed once");
        self.session.report().packets.hash(&mut self.story);
        self.story.finish()
    }

    fn check(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Infer(Infer::Speaker(work)) => {
                    let (length, last) = match work.by {
                        Purpose::Watch => (SLICE_SAMPLES, &mut self.last_slice),
                        Purpose::Decide => (WINDOW_SAMPLES, &mut self.last_window),
                    };
                    assert_eq!(work.samples.len(), length);
                    assert!(work.samples.iter().all(|sample| sample.is_finite()));
                    assert!(
                        self.mixed || *last < work.end,
                        "each person has an order of their own"
                    );
                    *last = work.end;
                    (work.end, work.net_speech).hash(&mut self.story);
                    self.waiting.push(Infer::Speaker(work));
                }
                Output::Infer(Infer::Keyword(segment)) => {
                    assert!(segment.samples.len() <= LONGEST_SEGMENT);
                    assert!((0.0..=1.0).contains(&segment.concealed_share));
                    (segment.start, segment.samples.len()).hash(&mut self.story);
                    self.waiting.push(Infer::Keyword(segment));
                }
                Output::Infer(Infer::Turns(chunk)) => {
                    assert_eq!(chunk.samples.len(), CHUNK_SAMPLES);
                    chunk.number.hash(&mut self.story);
                    self.waiting.push(Infer::Turns(chunk));
                }
                Output::Evidence(Evidence::Line(line)) => {
                    self.closed += usize::from(line.state == LineState::Closed);
                    assert!((0.0..=1.0).contains(&line.coverage));
                    assert!((0.0..=1.0).contains(&line.report.loss));
                    serde_json::to_string(&line.report).expect("figures").hash(&mut self.story);
                }
                Output::Evidence(evidence) => format!("{evidence:?}").hash(&mut self.story),
                Output::Transmit { datagram, .. } => datagram.hash(&mut self.story),
                Output::Withdraw(what) => self.waiting.retain(|work| !what.covers(work)),
                Output::Enrollment(_)
                | Output::Adapt(_)
                | Output::Silent
                | Output::HandshakeFailed(_) => "silent".hash(&mut self.story),
            }
        }
        let stats = self.session.stats();
        let MediaStats { packets, lost, late, audio_us, speech_us, concealed_us, .. } = stats;
        let before = self.before;
        assert!(packets >= before.packets && lost >= before.lost && late >= before.late);
        assert!(audio_us >= before.audio_us && concealed_us >= before.concealed_us);
        assert!(speech_us + concealed_us <= audio_us + 20_000, "{stats:?}");
        // All audio came in packets, or in their place, or as the half second that ends a spurt.
        let pieces = u32::try_from(packets + lost + 1).expect("a short script");
        assert!(
            Duration::from_micros(audio_us)
                <= LONGEST_PAYLOAD * pieces + Duration::from_millis(500) * pieces
        );
        assert!(self.now >= self.start);
        self.before = stats;
    }
}

fn plan(how: u8) -> MediaPlan {
    let flag = |bit: u8| how & 1 << bit != 0;
    let rtp = Some(peer());
    let own = Some(SocketAddr::new(peer().ip(), peer().port() + 1));
    MediaPlan {
        payloads: PAYLOADS[..if flag(2) { 4 } else { 8 }].to_vec(),
        rtp: if flag(3) { None } else { rtp },
        rtcp: if flag(4) { rtp } else { own },
        patience: (!flag(5)).then_some(Duration::from_secs(60)),
        xr: flag(6),
        send: flag(7).then_some((0, Codec::Pcmu)),
        security: Security::None,
    }
}

fn watch(how: u8) -> ClaimWatch {
    let mut voiceprint = Voiceprint::of_embedding(
        "alice",
        "c-1",
        jiff::Timestamp::UNIX_EPOCH,
        12.0,
        ("m@1", Embedding::from_raw(vec![1.0, 0.0]).expect("a direction")),
    );
    let mut watch = voiceprint.references[0].clone();
    "m@2".clone_into(&mut watch.model);
    voiceprint.references.push(watch);
    let leave = answered_for(&ConsentReference::new("c-1").expect("a reference"));
    let models = Embedders { decide: "m@1".to_owned(), watch: Some("m@2".to_owned()) };
    let claimed = Claimed { leave: &leave, voiceprint: Some(&voiceprint), agent: None };
    let party = if how & 4 == 0 { Party::Mixed } else { Party::Caller };
    let weighing = (Calibration::RESNET34_GE2E, Weighing::default());
    ClaimWatch::new(party, claimed, &models, weighing, None).expect("a voiceprint")
}
