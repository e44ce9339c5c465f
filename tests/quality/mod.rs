//! What a network costs those who listen: the speaker model, the phrase spotter, and the spectrum.
//!
//! Real recordings go through a phone, a network, and the whole `MediaSession` in simulated time; the
//! real models answer at once. The same call meets the same chance on every network of a kind, so
//! what differs from the clean line is the network's doing.

pub(crate) mod figures;
pub(crate) mod models;
pub(crate) mod spectrum;
pub(crate) mod speech;

use std::time::Instant;

use sidetone::audio::decoder::Codec;
use sidetone::call::inference::{Answer, Infer};
use sidetone::call::media_plan::MediaPlan;
use sidetone::call::media_session::{MediaSession, Output};
use sidetone::call::speaker_watch::SpeakerWatch;
use sidetone::consent::reference::ConsentReference;
use sidetone::policy::evidence::Evidence;
use sidetone::policy::line::LineState;
use sidetone::runtime::answered_for::answered_for;
use sidetone::speaker::calibration::Calibration;
use sidetone::speaker::verifier::{Settings, Verifier};
use sidetone::speaker::voiceprint::Voiceprint;

use crate::line::Line;
use crate::network::Network;
use crate::phone::{Datagram, Phone, payloads, peer};
use figures::Outcome;
use models::{Models, embedders};
use spectrum::distance;
use speech::{Call, Question, Sample};

/// Bits a second of Opus: what softphones send of a voice.
const OPUS_RATE: i32 = 24_000;
/// A window is embedded for every so many that are cut, 0.7 s apart: 3 s windows need not overlap by more
/// than a third.
const WINDOWS_APART: usize = 3;

/// How a call comes to us.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Way {
    pub(crate) codec: Codec,
    /// Loss in percent that an Opus sender expects, and repeats itself for; 0 for none.
    pub(crate) expected_loss: u8,
    pub(crate) network: Network,
}

impl Way {
    pub(crate) fn new(codec: Codec, network: Network) -> Self {
        Self { codec, expected_loss: 0, network }
    }
}

/// Everything that is needed to measure, loaded once.
pub(crate) struct Quality {
    calls: Vec<Call>,
    voiceprints: Vec<Voiceprint>,
    /// One set a thread.
    models: Vec<Models>,
    start: Instant,
}

impl Quality {
    /// `None`, with the reason printed, without models or speech.
    #[expect(clippy::disallowed_methods, reason = "simulated time needs one instant to count from")]
    pub(crate) fn load(sample: Sample, threads: usize) -> Option<Self> {
        let store = crate::store::store()?;
        if !speech::is_there() {
            crate::store::skip("the recordings in ../shared/speech are not there");
            return None;
        }
        let runtime = models::runtime(&store);
        let mut models: Vec<_> = (0..threads).map(|_| Models::load(&runtime, &store)).collect();
        let voiceprints = speech::voiceprints(&mut models[0]);
        Some(Self { calls: speech::calls(sample), voiceprints, models, start: Instant::now() })
    }

    /// Every call by `way`, in one order.
    pub(crate) fn measure(&mut self, way: Way) -> Vec<Outcome> {
        let Self { calls, voiceprints, models, start } = self;
        let start = *start;
        let threads = models.len();
        let mut outcomes: Vec<(usize, Outcome)> = std::thread::scope(|scope| {
            let (calls, voiceprints) = (&*calls, &*voiceprints);
            let workers: Vec<_> = models
                .iter_mut()
                .enumerate()
                .map(|(worker, models)| {
                    let mine = (worker..calls.len()).step_by(threads);
                    scope.spawn(move || {
                        mine.map(|n| {
                            let of_call =
                                one_call(start, models, voiceprints, &calls[n], n as u64, way);
                            (n, of_call)
                        })
                        .collect::<Vec<_>>()
                    })
                })
                .collect();
            workers.into_iter().flat_map(|worker| worker.join().expect("it ends well")).collect()
        });
        outcomes.sort_by_key(|(n, _)| *n);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }
}

fn one_call(
    start: Instant,
    models: &mut Models,
    voiceprints: &[Voiceprint],
    call: &Call,
    seed: u64,
    way: Way,
) -> Outcome {
    let sent = said(way, &call.audio);
    let came = way.network.carry(&sent, seed);
    let mut outcome = heard(start, models, voiceprints, call, &came);
    let (meant, got) = (through(start, &sent), through(start, &came));
    // In stream time of the clean line: what was lost before the first packet is missing in front.
    let units = got.began.unwrap_or(0).wrapping_sub(meant.began.unwrap_or(0));
    let front = (u64::from(units) * 16_000 / u64::from(way.codec.clock_rate())) as usize;
    let heard = [vec![0.0; front], got.samples].concat();
    let touched = got.touched.iter().map(|(from, to)| (from + front, to + front));
    let touched: Vec<_> = touched.chain((front > 0).then_some((0, front))).collect();
    (outcome.touched, outcome.all) = distance(&meant.samples, &heard, &touched);
    outcome
}

/// What a phone sends of `audio`.
fn said(way: Way, audio: &[f32]) -> Vec<Datagram> {
    let mut phone = Phone::new(way.codec);
    let rate = audiopus::Bitrate::BitsPerSecond(OPUS_RATE);
    phone.opus.set_bitrate(rate).expect("a setting");
    phone.opus.set_inband_fec(way.expected_loss > 0).expect("a setting");
    phone.opus.set_packet_loss_perc(way.expected_loss).expect("a setting");
    phone.say(audio);
    phone.sent
}

/// The line without its listener.
fn through(start: Instant, datagrams: &[Datagram]) -> Line {
    let (mut line, mut end) = (Line::new(start), start);
    for datagram in datagrams {
        end = start + datagram.at;
        while let Some(due) = line.poll_timeout().filter(|due| *due <= end) {
            line.play(due);
        }
        line.handle_datagram(end, &datagram.bytes);
    }
    line.finish(end);
    line
}

/// A whole session over `datagrams`, its models' answers at once.
fn heard(
    start: Instant,
    models: &mut Models,
    voiceprints: &[Voiceprint],
    call: &Call,
    datagrams: &[Datagram],
) -> Outcome {
    let plan = MediaPlan::overhearing(payloads(), peer());
    let (watch, spotting) = match &call.question {
        Question::Voice { .. } => (watch(voiceprints), false),
        Question::Phrases(_) => (None, true),
    };
    let mut session =
        MediaSession::new(start, plan, watch.map(Into::into), spotting, 1, "us@192.0.2.2");
    let (mut outcome, mut windows, mut end) = (Outcome::default(), 0, start);
    let mut found = vec![false; speech::PHRASES.len()];
    let mut drain = |now: Instant, session: &mut MediaSession| {
        while let Some(output) = session.poll_output() {
            match output {
                Output::Infer(Infer::Speaker(work)) => {
                    if windows % WINDOWS_APART == 0
                        && let Question::Voice { same, others } = &call.question
                    {
                        let voice = models.embed(&work.samples);
                        let cosine = |print: &usize| {
                            voice
                                .cosine(&voiceprints[*print].references[0].embedding)
                                .expect("one model")
                        };
                        outcome.same.extend(same.iter().map(cosine));
                        outcome.others.extend(others.iter().map(cosine));
                    }
                    windows += 1;
                    // Nothing is decided, so every window goes on being asked about.
                    let (asker, by, window) = (work.asker, work.by, work.window);
                    session.handle_answer(
                        now,
                        Answer::Embedding { asker, by, window, embedding: None },
                    );
                }
                Output::Infer(Infer::Keyword(segment)) => {
                    let hits = Some(models.spot(&segment.samples));
                    session.handle_answer(now, Answer::Hits { segment, hits, digits: Vec::new() });
                }
                Output::Infer(Infer::Turns(_)) => unreachable!("no leg is a mixed one here"),
                Output::Evidence(Evidence::Phrase(phrase)) => found[phrase.phrase] = true,
                Output::Evidence(Evidence::Line(line)) if line.state == LineState::Closed => {
                    outcome.coverage = line.coverage;
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
    };
    for datagram in datagrams {
        end = start + datagram.at;
        while session.poll_timeout() <= end {
            let due = session.poll_timeout();
            session.handle_timeout(due);
            drain(due, &mut session);
        }
        session.handle_datagram(end, datagram.from, &datagram.bytes);
        drain(end, &mut session);
    }
    session.finish(end);
    drain(end, &mut session);
    if let Question::Phrases(said) = &call.question {
        let count = |wanted: bool| {
            found.iter().zip(said).filter(|(found, said)| **found && **said == wanted).count()
        };
        outcome.said = said.iter().filter(|said| **said).count();
        (outcome.found, outcome.false_hits) = (count(true), count(false));
    }
    outcome.stats = session.stats();
    outcome
}

fn watch(voiceprints: &[Voiceprint]) -> Option<SpeakerWatch> {
    let verifier = Verifier::new(Calibration::RESNET34_GE2E, Settings::default());
    let consent = ConsentReference::new("readers").expect("a reference");
    SpeakerWatch::new(&answered_for(&consent), voiceprints.first(), &embedders(), verifier).ok()
}
