//! One media session, a network, models that answer late, and a clock that only tests move.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sidetone::audio::segmenter::Segment;
use sidetone::audio::turns::ROWS;
use sidetone::call::enrollment_watch::Progress;
use sidetone::call::inference::{Answer, Infer};
use sidetone::call::media_consent::VoiceOrder;
use sidetone::call::media_plan::MediaPlan;
use sidetone::call::media_session::{MediaSession, Output};
use sidetone::call::speaker_watch::SpeakerWatch;
use sidetone::call::voices::{Asker, VoiceWork};
use sidetone::consent::permit::{Permit, Processing};
use sidetone::consent::reference::ConsentReference;
use sidetone::keyword::digit_search::DigitRun;
use sidetone::keyword::spotter::Hit;
use sidetone::policy::evidence::{Evidence, LineEvidence, SpeakerEvidence};
use sidetone::rtp::dtls::DtlsFailure;
use sidetone::rtp::security::Security;
use sidetone::runtime::answered_for::answered_for;
use sidetone::speaker::adaptation::Step;
use sidetone::speaker::calibration::Calibration;
use sidetone::speaker::embedder::{Embedders, Purpose};
use sidetone::speaker::embedding::Embedding;
use sidetone::speaker::verifier::{Settings, Verifier};
use sidetone::speaker::voiceprint::Voiceprint;

use crate::phone::{Datagram, payloads, peer};

pub(crate) const MODEL: &str = "fake@1";
/// Cosines in the middle of the same and of other speakers.
pub(crate) const SAME: f32 = 0.78;
pub(crate) const OTHER: f32 = 0.15;
/// The cheap embedder.
pub(crate) const WATCH: &str = "fake-watch@1";
/// How long the models take.
const SPEAKER_TAKES: Duration = Duration::from_millis(200);
const KEYWORD_TAKES: Duration = Duration::from_millis(700);

/// What the speaker models find in a window, given how many pieces of speech they had before; `None`
/// fails. It is the strong one's cosine; the cheap one, to whom all people sound more alike, is as far
/// from 1 by half.
pub(crate) type Ear = Box<dyn FnMut(usize, &VoiceWork) -> Option<f32>>;

/// The digits that the keyword model hears in a segment.
pub(crate) type Counting = Box<dyn FnMut(&Segment) -> Vec<DigitRun>>;

pub(crate) struct Party {
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    pub(crate) session: MediaSession,
    pub(crate) ear: Ear,
    /// Whether the keyword model fails on a segment.
    pub(crate) deaf: Box<dyn FnMut(&Segment) -> bool>,
    /// The digits that it hears in one.
    pub(crate) digits: Counting,
    /// Speech that was to be embedded, by either embedder.
    pub(crate) windows: Vec<VoiceWork>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) evidence: Vec<Evidence>,
    /// What became of the line. It is about the network, so it is no part of the story.
    pub(crate) line: Vec<LineEvidence>,
    pub(crate) reports: Vec<(Duration, SocketAddr, Vec<u8>)>,
    /// Every output but the reports, in order, without its time: it is about the stream, and the
    /// same stream may come by another network.
    pub(crate) story: Vec<String>,
    /// How often it was woken.
    pub(crate) turns: usize,
    /// How long a speaker model takes, given how many pieces of speech it had before.
    pub(crate) takes: Box<dyn FnMut(usize) -> Duration>,
    answers: BTreeMap<(Instant, usize), Answer>,
    asked: usize,
    /// Why there were no keys.
    pub(crate) unheard: Vec<DtlsFailure>,
    /// What its enrolment came to.
    pub(crate) enrolling: Vec<Progress>,
    /// What it taught.
    pub(crate) steps: Vec<Step>,
    /// How often it was told that nothing comes any more.
    pub(crate) silences: usize,
}

pub(crate) fn plan() -> MediaPlan {
    MediaPlan {
        payloads: payloads(),
        rtp: Some(peer()),
        rtcp: Some(SocketAddr::new(peer().ip(), peer().port() + 1)),
        patience: None,
        xr: false,
        send: None,
        security: Security::None,
    }
}

pub(crate) fn verifier() -> Verifier {
    Verifier::new(Calibration::RESNET34_GE2E, Settings::default())
}

/// A voice at `cosine` to the enrolled one.
pub(crate) fn embedding(cosine: f32) -> Embedding {
    let across = (1.0 - cosine * cosine).max(0.0).sqrt();
    Embedding::from_raw(vec![cosine, across]).expect("a direction")
}

/// The same voice among as many coordinates as [`one_of_many`] has.
fn in_plane(cosine: f32) -> Embedding {
    let mut coordinates = embedding(cosine).as_slice().to_vec();
    coordinates.resize(32, 0.0);
    Embedding::from_raw(coordinates).expect("a direction")
}

/// One more of the many voices at `cosine` to the enrolled one: no two are the same speech.
fn one_of_many(cosine: f32, number: u64) -> Embedding {
    let mut random = fastrand::Rng::with_seed(number);
    let across: Vec<f32> = (0..31).map(|_| random.f32() - 0.5).collect();
    let norm = across.iter().map(|x| x * x).sum::<f32>().sqrt();
    let scale = (1.0 - cosine * cosine).max(0.0).sqrt() / norm;
    let coordinates = std::iter::once(cosine).chain(across.iter().map(|x| x * scale));
    Embedding::from_raw(coordinates.collect()).expect("a direction")
}

/// A voiceprint that both embedders made.
pub(crate) fn voiceprint(model: &str) -> Voiceprint {
    let made = jiff::Timestamp::UNIX_EPOCH;
    let mut voiceprint =
        Voiceprint::of_embedding("alice", "c-1", made, 12.0, (model, one_of_many(1.0, 0)));
    let mut watch = voiceprint.references[0].clone();
    (watch.model, watch.embedding) = (WATCH.to_owned(), embedding(1.0));
    voiceprint.references.push(watch);
    voiceprint
}

pub(crate) fn embedders() -> Embedders {
    Embedders { decide: MODEL.to_owned(), watch: Some(WATCH.to_owned()) }
}

/// Leave under the consent `c-1`.
pub(crate) fn leave<P: Processing>() -> Permit<P> {
    answered_for(&ConsentReference::new("c-1").expect("a reference"))
}

/// The watch that a claim leads to, to which there is a consent.
pub(crate) fn watch() -> SpeakerWatch {
    let watch = SpeakerWatch::new(&leave(), Some(&voiceprint(MODEL)), &embedders(), verifier());
    watch.expect("a voiceprint of these models")
}

impl Party {
    /// Somebody whose every window is the claimed speaker, watched with consent.
    pub(crate) fn new() -> Self {
        Self::with(Some(watch()), 1)
    }

    #[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    pub(crate) fn with(watch: Option<SpeakerWatch>, seed: u64) -> Self {
        let start = Instant::now();
        Self {
            start,
            now: start,
            session: MediaSession::new(
                start,
                plan(),
                watch.map(Into::into),
                true,
                seed,
                "us@192.0.2.2",
            ),
            ear: Box::new(|_, _| Some(SAME)),
            deaf: Box::new(|_| false),
            digits: Box::new(|_| Vec::new()),
            windows: Vec::new(),
            segments: Vec::new(),
            evidence: Vec::new(),
            line: Vec::new(),
            reports: Vec::new(),
            story: Vec::new(),
            turns: 0,
            takes: Box::new(|_| SPEAKER_TAKES),
            answers: BTreeMap::new(),
            asked: 0,
            unheard: Vec::new(),
            enrolling: Vec::new(),
            steps: Vec::new(),
            silences: 0,
        }
    }

    /// A party whose windows sound as `ear` says.
    pub(crate) fn heard_as(ear: impl FnMut(usize, &VoiceWork) -> Option<f32> + 'static) -> Self {
        Self { ear: Box::new(ear), ..Self::new() }
    }

    /// Lets `datagrams` arrive, each at its time, and every deadline before and between them.
    pub(crate) fn receive(&mut self, mut datagrams: Vec<Datagram>) {
        datagrams.sort_by_key(|datagram| datagram.at);
        for Datagram { at, from, bytes } in datagrams {
            self.wait_until(at);
            self.turns += 1;
            self.session.handle_datagram(self.now, from, &bytes);
            self.drain();
        }
    }

    /// Lets time pass until `until` since the start.
    pub(crate) fn wait_until(&mut self, until: Duration) {
        let until = self.start + until;
        loop {
            let answer = self.answers.keys().next().copied();
            let due = self.session.poll_timeout().max(self.now);
            let next = answer.map_or(due, |(at, _)| at.min(due));
            if next > until {
                break;
            }
            self.now = next;
            self.turns += 1;
            match answer {
                Some(key) if key.0 == next => {
                    let answer = self.answers.remove(&key).expect("it has just been seen");
                    self.session.handle_answer(self.now, answer);
                }
                _ => self.session.handle_timeout(next),
            }
            self.drain();
        }
        self.now = self.now.max(until);
    }

    /// Tells the session what its voice may be used for.
    #[allow(dead_code, reason = "most tests have no consent that changes")]
    pub(crate) fn order(&mut self, order: VoiceOrder) {
        self.session.handle_order(order);
        self.drain();
    }

    /// The call ends; the models' last answers still come.
    pub(crate) fn finish(&mut self) {
        self.session.finish(self.now);
        self.drain();
        while let Some((_, answer)) = self.answers.pop_first() {
            self.session.handle_answer(self.now, answer);
            self.drain();
        }
        self.session.conclude();
        self.drain();
    }

    /// Receives `datagrams` to the end of the call.
    pub(crate) fn hear(mut self, datagrams: Vec<Datagram>) -> Self {
        self.receive(datagrams);
        self.finish();
        self
    }

    /// What is known about the speaker, in order.
    pub(crate) fn speaker(&self) -> Vec<SpeakerEvidence> {
        let of_speaker = |evidence: &Evidence| match evidence {
            Evidence::Speaker(speaker) => Some(*speaker),
            Evidence::NoSpeakerCheck(_)
            | Evidence::ComparisonEnded(_)
            | Evidence::Phrase(_)
            | Evidence::Talk { .. }
            | Evidence::Key { .. }
            | Evidence::Pause(_)
            | Evidence::Line(_)
            | Evidence::Watchlist(_)
            | Evidence::Enrollment(_)
            | Evidence::Analysed { .. }
            | Evidence::Gap { .. }
            | Evidence::Suspended { .. } => None,
        };
        self.evidence.iter().filter_map(of_speaker).collect()
    }

    /// What was cut and concluded, whenever the answers came: the story in the alphabet's order.
    pub(crate) fn heard(&self) -> Vec<&str> {
        let mut lines: Vec<&str> = self.story.iter().map(String::as_str).collect();
        lines.sort_unstable();
        lines
    }

    /// When talk began and ended.
    pub(crate) fn talk(&self) -> Vec<(bool, Duration)> {
        let of_talk = |evidence: &Evidence| match evidence {
            Evidence::Talk { talking, at } => Some((*talking, *at)),
            Evidence::NoSpeakerCheck(_)
            | Evidence::ComparisonEnded(_)
            | Evidence::Phrase(_)
            | Evidence::Speaker(_)
            | Evidence::Key { .. }
            | Evidence::Pause(_)
            | Evidence::Line(_)
            | Evidence::Watchlist(_)
            | Evidence::Enrollment(_)
            | Evidence::Analysed { .. }
            | Evidence::Gap { .. }
            | Evidence::Suspended { .. } => None,
        };
        self.evidence.iter().filter_map(of_talk).collect()
    }

    fn drain(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Infer(work) => {
                    self.story.push(told(&work));
                    self.ask(work);
                }
                Output::Evidence(Evidence::Line(line)) => self.line.push(line),
                Output::Evidence(evidence) => {
                    self.story.push(format!("{evidence:?}"));
                    self.evidence.push(evidence);
                }
                // What is on its way is answered all the same: a model that is at work is not stopped.
                Output::Withdraw(what) => self.story.push(format!("withdrawn: {what:?}")),
                Output::Silent => self.silences += 1,
                Output::Enrollment(progress) => self.enrolling.push(progress),
                Output::Adapt(step) => self.steps.push(step),
                Output::HandshakeFailed(why) => self.unheard.push(why),
                Output::Transmit { destination, datagram, .. } => {
                    self.reports.push((self.now - self.start, destination, datagram));
                }
            }
        }
    }

    fn ask(&mut self, work: Infer) {
        let (takes, answer) = match work {
            Infer::Speaker(work) => {
                let (asker, by, window) = (work.asker, work.by, work.window);
                let embedding = (self.ear)(self.windows.len(), &work).map(|cosine| match by {
                    // Of whoever is enrolled one voice is enough: what is heard again is no matter there.
                    Purpose::Decide if asker == Asker::Enrollment => in_plane(cosine),
                    Purpose::Decide => one_of_many(cosine, window),
                    Purpose::Watch => embedding((1.0 + cosine) / 2.0),
                });
                self.windows.push(work);
                (
                    (self.takes)(self.windows.len()),
                    Answer::Embedding { asker, by, window, embedding },
                )
            }
            Infer::Keyword(segment) => {
                self.segments.push(segment.clone());
                let hit = Hit {
                    phrase: 0,
                    score: -0.5,
                    decoder: -0.5,
                    exact: false,
                    start: Duration::from_millis(100),
                    end: Duration::from_millis(300),
                };
                let hits = (!(self.deaf)(&segment)).then(|| vec![hit]);
                let digits = (self.digits)(&segment);
                (KEYWORD_TAKES, Answer::Hits { segment, hits, digits })
            }
            // One talks all the time.
            Infer::Turns(chunk) => {
                let rows = Some(vec![[true, false, false]; ROWS]);
                (SPEAKER_TAKES, Answer::Turns { chunk: chunk.number, rows })
            }
        };
        self.asked += 1;
        self.answers.insert((self.now + takes, self.asked), answer);
    }
}

/// The work in a line, its audio as a number.
fn told(work: &Infer) -> String {
    let digest = |samples: &[f32]| {
        let mut hasher = DefaultHasher::new();
        samples.iter().for_each(|sample| sample.to_bits().hash(&mut hasher));
        hasher.finish()
    };
    match work {
        Infer::Speaker(VoiceWork { by, window, samples, end, net_speech, .. }) => {
            let sound = digest(samples);
            format!("{by:?} window {window}, to {end:?}, {net_speech:?}: {sound:016x}")
        }
        Infer::Keyword(segment) => {
            let Segment { start, continued, cut, provisional, .. } = segment;
            let (length, sound) = (segment.samples.len(), digest(&segment.samples));
            let (concealed, net_speech) = (segment.concealed_share, segment.net_speech);
            format!(
                "segment {start:?} {length} {continued} {cut} {provisional} {concealed} \
                 {net_speech:?}: {sound:016x}"
            )
        }
        Infer::Turns(chunk) => format!("chunk {}: {:016x}", chunk.number, digest(&chunk.samples)),
    }
}
