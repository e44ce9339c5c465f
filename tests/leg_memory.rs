//! What one party's audio may take of memory, whatever its peer sends.

#[path = "sim/party.rs"]
#[allow(dead_code, reason = "the tests of decisions need more of it")]
mod party;
#[path = "sim/phone.rs"]
#[allow(dead_code, reason = "the tests of decisions need more of it")]
mod phone;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use sidetone::audio::decoder::Codec;
use sidetone::audio::turns::ROWS;
use sidetone::call::claim_watch::{ClaimWatch, Claimed};
use sidetone::call::inference::{Answer, Infer};
use sidetone::call::media_plan::MediaPlan;
use sidetone::call::media_session::{MediaSession, Output};
use sidetone::consent::reference::ConsentReference;
use sidetone::policy::rule::Party;
use sidetone::rtp::packet::Packet;
use sidetone::rtp::security::Security;
use sidetone::runtime::answered_for::answered_for;
use sidetone::speaker::calibration::Calibration;
use sidetone::speaker::embedding::Embedding;
use sidetone::speaker::verifier::Settings;

use party::{MODEL, embedders, voiceprint, watch};
use phone::{Datagram, PTIME, Phone, payloads, peer, voice};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Most that a session may hold, bytes. What it can hold by construction: 64 datagrams of 2 KiB that
/// wait for a gap, a window of 3 s and a segment of 8 s of 16 kHz in frames, one more of each on its
/// way to a model: 1.6 MiB. Outside of it libopus has 18 KiB and the detector 3 KiB.
const MOST: usize = 2 << 20;
/// Largest payload that a media thread reads whole.
const LARGEST: usize = 2_048 - 12;

struct Leg {
    start: Instant,
    session: MediaSession,
    /// What a second of the stream left behind, and the most in between.
    held: Vec<usize>,
    peak: usize,
    empty: usize,
}

impl Leg {
    #[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn new(watch: Option<ClaimWatch>) -> Self {
        let start = Instant::now();
        let empty = MEMORY.current_usage();
        let plan = MediaPlan {
            payloads: payloads(),
            rtp: Some(peer()),
            rtcp: Some(SocketAddr::new(peer().ip(), 4_001)),
            patience: None,
            xr: true,
            send: Some((0, Codec::Pcmu)),
            security: Security::None,
        };
        let session = MediaSession::new(start, plan, watch, true, 1, "us@192.0.2.2");
        MEMORY.reset_peak_usage();
        Self { start, session, held: Vec::with_capacity(10_000), peak: 0, empty }
    }

    fn receive(&mut self, datagrams: impl Iterator<Item = Datagram>) {
        let mut second = Duration::ZERO;
        for Datagram { at, from, bytes } in datagrams {
            self.session.handle_timeout(self.start + at);
            self.session.handle_datagram(self.start + at, from, &bytes);
            drop(bytes);
            while let Some(output) = self.session.poll_output() {
                match output {
                    Output::Infer(Infer::Speaker(work)) => {
                        let embedding = Embedding::from_raw(vec![0.5, 0.86]);
                        let (asker, by, window) = (work.asker, work.by, work.window);
                        self.session.handle_answer(
                            self.start + at,
                            Answer::Embedding { asker, by, window, embedding },
                        );
                    }
                    Output::Infer(Infer::Keyword(segment)) => {
                        self.session.handle_answer(
                            self.start + at,
                            Answer::Hits { segment, hits: Some(Vec::new()), digits: Vec::new() },
                        );
                    }
                    Output::Infer(Infer::Turns(chunk)) => {
                        let rows = Some(vec![[true, false, false]; ROWS]);
                        self.session.handle_answer(
                            self.start + at,
                            Answer::Turns { chunk: chunk.number, rows },
                        );
                    }
                    Output::Evidence(_)
                    | Output::Enrollment(_)
                    | Output::Adapt(_)
                    | Output::Silent
                    | Output::Withdraw(_)
                    | Output::HandshakeFailed(_)
                    | Output::Transmit { .. } => {}
                }
            }
            self.peak = self.peak.max(MEMORY.peak_usage());
            if at >= second {
                self.held.push(MEMORY.current_usage().saturating_sub(self.empty));
                second = at + Duration::from_secs(1);
            }
        }
    }
}

/// One test, since what it measures is the process's.
/// A minute of talk without a pause.
fn minute() -> Vec<Datagram> {
    let mut phone = Phone::new(Codec::Pcmu);
    phone.say(&voice(60.0));
    phone.sent
}

/// The same `minutes` times over, as one stream.
fn minutes(talk: &[Datagram], minutes: usize) -> impl Iterator<Item = Datagram> {
    (0..minutes * talk.len()).map(|step| {
        let (minute, n) = (step / talk.len(), step % talk.len());
        let packet = Packet::parse(&talk[n].bytes).expect("RTP");
        let sequence = packet.sequence.wrapping_add((minute * talk.len()) as u16);
        let timestamp = packet.timestamp.wrapping_add((minute * talk.len() * 160) as u32);
        let bytes = Packet { sequence, timestamp, ..packet }.write();
        Datagram { at: PTIME * step as u32, from: peer(), bytes }
    })
}

#[test]
#[expect(clippy::print_stderr, reason = "the figures are for docs/reference/figures.md")]
fn a_leg_stays_below_two_mebibytes_whatever_comes() {
    let mut random = fastrand::Rng::with_seed(1);
    let talk = minute();
    let mut leg = Leg::new(Some(ClaimWatch::from(watch())));
    leg.receive(minutes(&talk, 10));
    let talked = leg.held.clone();

    // The largest payloads that there are: in gaps, repeated, from far away, of new sources.
    let payload = vec![0x55; LARGEST];
    let mut sequence = 0_u16;
    let hostile = (0..60_000_u32).map(|n| {
        sequence = match random.u8(..) {
            0..=99 => sequence.wrapping_add(2),
            100..=199 => sequence.wrapping_add(random.u16(0..60)),
            200..=240 => sequence.wrapping_sub(random.u16(0..60)),
            _ => random.u16(..),
        };
        let packet = Packet {
            payload_type: [0, 8, 9, 97, 98, 111, 101, 13, 77][random.usize(0..9)],
            marker: random.bool(),
            sequence,
            timestamp: random.u32(..),
            ssrc: u32::from(random.u8(..) / 64),
            payload: &payload[..random.usize(0..=LARGEST)],
        };
        Datagram {
            at: Duration::from_secs(700) + PTIME * n / 4,
            from: peer(),
            bytes: packet.write(),
        }
    });
    leg.receive(hostile);

    let most = leg.held.iter().copied().max().expect("figures");
    let peak = leg.peak - leg.empty;
    eprintln!("a leg holds {most} bytes at most, {peak} for a moment");
    assert!(peak < MOST, "{peak} bytes");
    let (early, late) = (talked[60..120].iter().max(), talked[talked.len() - 60..].iter().max());
    assert_eq!(early, late, "ten minutes of talk leave no more than two");
}

#[test]
#[expect(clippy::print_stderr, reason = "the figure is what the test is about")]
fn a_leg_that_several_share_holds_ten_seconds_more() {
    let leave = answered_for(&ConsentReference::new("c-1").expect("a reference"));
    let print = voiceprint(MODEL);
    let claimed = Claimed { leave: &leave, voiceprint: Some(&print), agent: None };
    let weighing = (Calibration::RESNET34_GE2E, Settings::default());
    let watch = ClaimWatch::new(Party::Mixed, claimed, &embedders(), weighing, None);
    let talk = minute();
    let mut leg = Leg::new(watch.ok());
    leg.receive(minutes(&talk, 5));
    let most = leg.held.iter().copied().max().expect("figures");
    let peak = leg.peak - leg.empty;
    eprintln!("a mixed leg holds {most} bytes at most, {peak} for a moment");
    assert!(peak < 2 * MOST, "{peak} bytes");
}
