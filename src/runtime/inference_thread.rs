//! One thread per model: takes the newest work of each session in turn, runs it, answers.

use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::audio::mixed_stream::Chunk;
use crate::audio::segmenter::Segment;
use crate::audio::turns::TurnModel;
use crate::call::inference::{Answer, Infer, Withdrawn};
use crate::call::voices::{Asker, VoiceWork};
use crate::keyword::acoustic_model::AcousticModel;
use crate::keyword::schedule::{ANSWER_WITHIN, Turn};
use crate::keyword::searches::{Job, Searches};
use crate::runtime::batcher::Batcher;
use crate::runtime::health::{Model, Pulse};
use crate::runtime::metrics::Metrics;
use crate::runtime::onnx::moonshine::LANES;
use crate::runtime::phrase_engine::Listening;
use crate::runtime::sherpa::SherpaEngine;
use crate::sip::event::CallKey;
use crate::speaker::embedder::{Embedder, Purpose};
use crate::speaker::embedding::Embedding;

/// Segments of one session that may wait at once.
///
/// A segment is at most 4 s long and half of it may be heard twice, so four of them are ten seconds of speech and
/// some 0.3 s of CPU: whoever waits longer would alarm too late, and the rules are told of the gap.
pub const SEGMENTS_WAITING: u64 = 4;
/// Answers that one session may have outstanding: a piece of speech for each embedder and asker, a chunk and [`LANES`]
/// segments being worked on, one more of each piece and chunk and [`SEGMENTS_WAITING`] segments in the queues. A
/// channel of this size is never full.
pub const ANSWERS_OUTSTANDING: usize = 10 + LANES + SEGMENTS_WAITING as usize;
/// Slices that the cheap embedder takes at once: a batch of eight costs it half as much a slice as one.
const SLICES_AT_ONCE: usize = 8;
/// How long a slice waits for company. A call has one every 0.7 s of speech: at twelve calls there is
/// always some, and with fewer there is time.
const SLICE_LINGERS: Duration = Duration::from_millis(50);

/// Speech for one embedder, by who asks.
type VoiceQueue = Queue<(CallKey, Asker), (VoiceWork, Replies)>;

/// A segment, what it is searched by, and where the answer goes.
type KeywordWork = (Segment, Listening, Replies);

/// Where the answers of one session go.
type Replies = mpsc::Sender<Answer>;

/// How much work the models have before them, running work included.
#[derive(Debug, Default)]
pub struct Backlog(AtomicUsize);

impl Backlog {
    /// Whether every answer has been given.
    pub fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// The queues, for the media threads to fill.
#[derive(Clone, Debug)]
pub struct InferenceQueues {
    backlog: Arc<Backlog>,
    decide: Arc<VoiceQueue>,
    watch: Arc<VoiceQueue>,
    keyword: Arc<Queue<(CallKey, u64), KeywordWork>>,
    turns: Arc<Queue<CallKey, (Chunk, Replies)>>,
}

impl InferenceQueues {
    /// Empty queues.
    pub fn new() -> Self {
        Self {
            backlog: Arc::default(),
            // ResNet34 costs the same per window at any batch size, and four segments at once cost
            // Moonshine's encoder four times one.
            decide: Arc::new(Queue::new(1, Duration::ZERO)),
            watch: Arc::new(Queue::new(SLICES_AT_ONCE, SLICE_LINGERS)),
            keyword: Arc::new(Queue::new(1, Duration::ZERO)),
            turns: Arc::new(Queue::new(1, Duration::ZERO)),
        }
    }

    /// What all models have before them.
    pub fn backlog(&self) -> Arc<Backlog> {
        Arc::clone(&self.backlog)
    }

    /// Queues work for the party of `call`; `count` is the number of segments it has asked for before, `listening` what
    /// they are searched by: a call keeps its own, whatever policy is in force by then.
    /// Returns the older work that gave way to it, for the session to count as not analysed.
    pub fn submit(
        &self,
        now: Instant,
        call: CallKey,
        count: u64,
        work: Infer,
        (replies, listening): (&Replies, Option<&Listening>),
    ) -> Option<Infer> {
        self.backlog.0.fetch_add(1, Ordering::Relaxed);
        let replaced = match work {
            Infer::Speaker(work) => self
                .of(work.by)
                .push(now, (call, work.asker), (work, replies.clone()))
                .map(|(work, _)| Infer::Speaker(work)),
            Infer::Keyword(segment) => {
                let listening = listening.expect("who asks for phrases has what listens for them");
                let work = (segment, listening.clone(), replies.clone());
                let replaced = self.keyword.push(now, (call, count % SEGMENTS_WAITING), work);
                replaced.map(|(segment, ..)| Infer::Keyword(segment))
            }
            Infer::Turns(chunk) => self
                .turns
                .push(now, call, (chunk, replies.clone()))
                .map(|(chunk, _)| Infer::Turns(chunk)),
        };
        if replaced.is_some() {
            self.backlog.0.fetch_sub(1, Ordering::Relaxed);
        }
        replaced
    }

    /// Takes out what waits for the party of `call` and is not wanted any more; returns how many answers will not come.
    pub fn withdraw(&self, call: CallKey, what: Withdrawn) -> usize {
        let asked = |asker: Asker| match (what, asker) {
            (Withdrawn::All, _)
            | (Withdrawn::Claim, Asker::Claim)
            | (Withdrawn::Enrollment, Asker::Enrollment) => true,
            (Withdrawn::Claim | Withdrawn::Enrollment | Withdrawn::Phrases, _) => false,
        };
        let voices = [&self.decide, &self.watch];
        let voices = voices.map(|queue| queue.withdraw(|(of, asker)| *of == call && asked(*asker)));
        let segments = matches!(what, Withdrawn::All | Withdrawn::Phrases);
        let chunks = matches!(what, Withdrawn::All | Withdrawn::Claim);
        let withdrawn = voices.iter().sum::<usize>()
            + self.keyword.withdraw(|(of, _)| segments && *of == call)
            + self.turns.withdraw(|of| chunks && *of == call);
        self.backlog.0.fetch_sub(withdrawn, Ordering::Relaxed);
        withdrawn
    }

    fn of(&self, role: Purpose) -> &Arc<VoiceQueue> {
        match role {
            Purpose::Decide => &self.decide,
            Purpose::Watch => &self.watch,
        }
    }

    /// How many windows, segments or chunks wait for `model`.
    pub fn waiting(&self, model: Model) -> usize {
        match model {
            Model::Speaker => self.decide.len(),
            Model::SpeakerWatch => self.watch.len(),
            Model::Keyword => self.keyword.len(),
            Model::Turns => self.turns.len(),
        }
    }

    /// Lets all threads end once they have done what waits.
    pub fn close(&self) {
        self.decide.close();
        self.watch.close();
        self.keyword.close();
        self.turns.close();
    }
}

impl Default for InferenceQueues {
    fn default() -> Self {
        Self::new()
    }
}

/// Starts the thread that owns the embedder for `role`.
pub fn spawn_speaker<E: Embedder + Send + 'static>(
    queues: &InferenceQueues,
    role: Purpose,
    mut model: E,
    metrics: Arc<Metrics>,
    pulse: Pulse,
) -> std::io::Result<JoinHandle<()>> {
    let (queue, backlog) = (Arc::clone(queues.of(role)), queues.backlog());
    thread::Builder::new().name(role.thread().into()).spawn(move || {
        while let Some(batch) = pulse.idle(|| queue.pop()) {
            let windows: Vec<&[f32]> = batch.iter().map(|(work, _)| &work.samples[..]).collect();
            let embeddings =
                metrics.time(Model::of(role), windows.len(), || embed_all(&mut model, &windows));
            let embeddings = embeddings.unwrap_or_else(|| vec![None; batch.len()]);
            for ((work, replies), embedding) in batch.into_iter().zip(embeddings) {
                let VoiceWork { asker, by, window, .. } = work;
                reply(&backlog, &replies, Answer::Embedding { asker, by, window, embedding });
            }
        }
    })
}

/// Starts the thread that owns the keyword model.
pub fn spawn_keyword<M: AcousticModel + Send + 'static>(
    queues: &InferenceQueues,
    mut model: M,
    metrics: Arc<Metrics>,
    pulse: Pulse,
) -> std::io::Result<JoinHandle<()>> {
    let (queue, backlog) = (Arc::clone(&queues.keyword), queues.backlog());
    thread::Builder::new().name("keyword-model".into()).spawn(move || {
        let mut searches = Searches::new();
        loop {
            pulse.beat();
            let now = Instant::now();
            let waiting = queue.waiting_since().map(|since| since + ANSWER_WITHIN);
            let admitted = match searches.next(now, &model, waiting) {
                Turn::Admit => queue.try_pop(now),
                Turn::Wait => match pulse.idle(|| queue.pop()) {
                    Some(batch) => batch,
                    None => return,
                },
                turn => {
                    let items = searches.worked_on(turn);
                    metrics.time(Model::Keyword, items, || searches.run(&mut model, turn));
                    Vec::new()
                }
            };
            for (segment, listening, replies) in admitted {
                let Listening::Moonshine(spotter) = listening else {
                    unreachable!("this thread is started where Moonshine listens")
                };
                let due = waiting.unwrap_or(now + ANSWER_WITHIN);
                let job = Job { of: (segment, replies), due, spotter };
                metrics.time(Model::Keyword, 1, || searches.admit(&mut model, job, samples_of));
            }
            while let Some(((segment, replies), spotting)) = searches.poll() {
                // The transcript ends here: what was said around a phrase is nobody's business.
                let (hits, digits) = spotting.map(|s| (s.hits, s.digits)).unzip();
                let digits = digits.unwrap_or_default();
                reply(&backlog, &replies, Answer::Hits { segment, hits, digits });
            }
        }
    })
}

/// Starts the thread that owns the keyword model, where that is a streaming one. Each segment begins anew.
pub fn spawn_sherpa(
    queues: &InferenceQueues,
    mut engine: Box<SherpaEngine>,
    metrics: Arc<Metrics>,
    pulse: Pulse,
) -> std::io::Result<JoinHandle<()>> {
    let (queue, backlog) = (Arc::clone(&queues.keyword), queues.backlog());
    thread::Builder::new().name("keyword-model".into()).spawn(move || {
        while let Some(batch) = pulse.idle(|| queue.pop()) {
            for (segment, _, replies) in batch {
                pulse.beat();
                let spotting = metrics.time(Model::Keyword, 1, || engine.search(&segment.samples));
                let hits = spotting.map(|spotting| spotting.hits);
                reply(&backlog, &replies, Answer::Hits { segment, hits, digits: Vec::new() });
            }
        }
    })
}

/// Starts the thread that owns the segmentation model.
pub fn spawn_turns<M: TurnModel + Send + 'static>(
    queues: &InferenceQueues,
    mut model: M,
    metrics: Arc<Metrics>,
    pulse: Pulse,
) -> std::io::Result<JoinHandle<()>> {
    let (queue, backlog) = (Arc::clone(&queues.turns), queues.backlog());
    thread::Builder::new().name("turns-model".into()).spawn(move || {
        while let Some(batch) = pulse.idle(|| queue.pop()) {
            for (chunk, replies) in batch {
                pulse.beat();
                let rows = metrics.time(Model::Turns, 1, || model.turns(&chunk.samples));
                reply(&backlog, &replies, Answer::Turns { chunk: chunk.number, rows });
            }
        }
    })
}

fn samples_of((segment, _): &(Segment, Replies)) -> &[f32] {
    &segment.samples
}

/// The embeddings of equally long windows, each `None` where it has no direction.
fn embed_all<E: Embedder>(
    model: &mut E,
    windows: &[&[f32]],
) -> Result<Vec<Option<Embedding>>, E::Error> {
    Ok(model.embed(windows)?.into_iter().map(Embedding::from_raw).collect())
}

/// The channel has room by construction; a session that is gone wants no answer.
fn reply(backlog: &Backlog, replies: &Replies, answer: Answer) {
    backlog.0.fetch_sub(1, Ordering::Relaxed);
    if let Err(mpsc::error::TrySendError::Full(_)) = replies.try_send(answer) {
        unreachable!("a session has at most {ANSWERS_OUTSTANDING} answers outstanding");
    }
}

/// A [`Batcher`] between threads.
#[derive(Debug)]
struct Queue<K, T> {
    state: Mutex<QueueState<K, T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct QueueState<K, T> {
    batcher: Batcher<K, T>,
    closed: bool,
}

impl<K: Copy + Eq + Hash, T> Queue<K, T> {
    fn new(at_once: usize, linger: Duration) -> Self {
        let state = QueueState { batcher: Batcher::new(at_once, linger), closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn push(&self, now: Instant, key: K, item: T) -> Option<T> {
        let replaced = self.lock().batcher.push(now, key, item);
        self.changed.notify_one();
        replaced
    }

    /// Since when the first that waits has waited.
    fn waiting_since(&self) -> Option<Instant> {
        self.lock().batcher.waiting_since()
    }

    /// The next batch, if one is due.
    fn try_pop(&self, now: Instant) -> Vec<T> {
        self.lock().batcher.pop(now).into_iter().map(|(_, item)| item).collect()
    }

    /// Waits for the next batch; `None` once the queue is closed and empty.
    fn pop(&self) -> Option<Vec<T>> {
        const WHOLE: &str = "nothing panics while it holds this lock";
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let due = state.batcher.poll_timeout();
            // Nothing more comes once it is closed: what lingers goes at once.
            let by = if state.closed { due.unwrap_or(now) } else { now };
            let batch = state.batcher.pop(by);
            if !batch.is_empty() {
                return Some(batch.into_iter().map(|(_, item)| item).collect());
            }
            state = match due {
                Some(due) => {
                    let wait = due.saturating_duration_since(now);
                    self.changed.wait_timeout(state, wait).expect(WHOLE).0
                }
                None if state.closed => return None,
                None => self.changed.wait(state).expect(WHOLE),
            };
        }
    }

    fn len(&self) -> usize {
        self.lock().batcher.len()
    }

    fn withdraw(&self, of: impl Fn(&K) -> bool) -> usize {
        self.lock().batcher.withdraw(of)
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, QueueState<K, T>> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_done_before_the_end() {
        let queue = Queue::new(1, Duration::ZERO);
        let now = Instant::now();
        assert_eq!(queue.push(now, 'a', 1), None);
        assert_eq!(queue.push(now, 'b', 2), None);
        assert_eq!(queue.push(now, 'a', 3), Some(1));
        queue.close();
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some(vec![3]), Some(vec![2]), None]);
    }

    #[test]
    fn slices_of_several_calls_go_together_and_a_lone_one_does_not_wait_for_ever() {
        let queue = Queue::new(2, Duration::from_millis(20));
        let now = Instant::now();
        queue.push(now, 'a', 1);
        queue.push(now, 'b', 2);
        queue.push(now, 'c', 3);
        assert_eq!(queue.pop(), Some(vec![1, 2]));
        assert_eq!(queue.pop(), Some(vec![3]));
        assert!(now.elapsed() >= Duration::from_millis(20));
    }
}
