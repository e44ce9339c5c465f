//! One thread per model: takes the newest work of each session in turn, runs it, answers.

use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::audio::segmenter::Segment;
use crate::audio::speech_windows::SpeechWindow;
use crate::call::media_session::{Answer, Infer};
use crate::keyword::acoustic_model::AcousticModel;
use crate::keyword::spotter::Spotter;
use crate::runtime::batcher::Batcher;
use crate::runtime::health::{Model, Pulse};
use crate::runtime::metrics::Metrics;
use crate::sip::event::CallKey;
use crate::speaker::embedder::Embedder;
use crate::speaker::embedding::Embedding;

/// Segments of one session that may wait at once.
///
/// A segment is at most 8 s long and costs some 0.3 s of CPU, so four of them are half a minute
/// of speech: whoever waits longer would alarm too late, and the spotter is told of the gap.
pub const SEGMENTS_WAITING: u64 = 4;
/// Answers that one session may have outstanding: a window and a segment being worked on, a window
/// and [`SEGMENTS_WAITING`] segments in the queues. A channel of this size is never full.
pub const ANSWERS_OUTSTANDING: usize = 3 + SEGMENTS_WAITING as usize;

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

/// Both queues, for the media threads to fill.
#[derive(Clone, Debug)]
pub struct InferenceQueues {
    backlog: Arc<Backlog>,
    speaker: Arc<Queue<CallKey, (SpeechWindow, Replies)>>,
    keyword: Arc<Queue<(CallKey, u64), (Segment, Replies)>>,
}

impl InferenceQueues {
    /// Two empty queues.
    pub fn new() -> Self {
        Self {
            backlog: Arc::default(),
            speaker: Arc::new(Queue::new()),
            keyword: Arc::new(Queue::new()),
        }
    }

    /// What both models have before them.
    pub fn backlog(&self) -> Arc<Backlog> {
        Arc::clone(&self.backlog)
    }

    /// Queues work for the party of `call`; `count` is the number of segments it has asked for before.
    /// Returns the older work that gave way to it, for the session to count as not analysed.
    pub fn submit(
        &self,
        now: Instant,
        call: CallKey,
        count: u64,
        work: Infer,
        replies: &Replies,
    ) -> Option<Infer> {
        self.backlog.0.fetch_add(1, Ordering::Relaxed);
        let replaced = match work {
            Infer::Speaker(window) => self
                .speaker
                .push(now, call, (window, replies.clone()))
                .map(|(window, _)| Infer::Speaker(window)),
            Infer::Keyword(segment) => self
                .keyword
                .push(now, (call, count % SEGMENTS_WAITING), (segment, replies.clone()))
                .map(|(segment, _)| Infer::Keyword(segment)),
        };
        if replaced.is_some() {
            self.backlog.0.fetch_sub(1, Ordering::Relaxed);
        }
        replaced
    }

    /// Lets both threads end once they have done what waits.
    pub fn close(&self) {
        self.speaker.close();
        self.keyword.close();
    }
}

impl Default for InferenceQueues {
    fn default() -> Self {
        Self::new()
    }
}

/// Starts the thread that owns the speaker model.
pub fn spawn_speaker<E: Embedder + Send + 'static>(
    queues: &InferenceQueues,
    mut model: E,
    metrics: Arc<Metrics>,
    pulse: Pulse,
) -> std::io::Result<JoinHandle<()>> {
    let (queue, backlog) = (Arc::clone(&queues.speaker), queues.backlog());
    thread::Builder::new().name("speaker-model".into()).spawn(move || {
        let _pulse = pulse;
        while let Some((window, replies)) = queue.pop() {
            let embedding = metrics.time(Model::Speaker, || embed(&mut model, &window.samples));
            reply(&backlog, &replies, Answer::Embedding { window, embedding });
        }
    })
}

/// Starts the thread that owns the keyword model.
pub fn spawn_keyword<M: AcousticModel + Send + 'static>(
    queues: &InferenceQueues,
    mut model: M,
    spotter: Spotter,
    metrics: Arc<Metrics>,
    pulse: Pulse,
) -> std::io::Result<JoinHandle<()>> {
    let (queue, backlog) = (Arc::clone(&queues.keyword), queues.backlog());
    thread::Builder::new().name("keyword-model".into()).spawn(move || {
        let _pulse = pulse;
        while let Some((segment, replies)) = queue.pop() {
            let spotting =
                metrics.time(Model::Keyword, || spotter.spot(&mut model, &segment.samples));
            // The transcript ends here: what was said around a phrase is nobody's business.
            let hits = spotting.map(|spotting| spotting.hits);
            reply(&backlog, &replies, Answer::Hits { segment, hits });
        }
    })
}

/// The embedding of one window of 16 kHz speech; the error is the model's own sentence.
pub fn embed<E: Embedder>(model: &mut E, samples: &[f32]) -> Result<Embedding, String> {
    let raw = model.embed(&[samples]).map_err(|e| e.to_string())?.pop();
    raw.and_then(Embedding::from_raw).ok_or_else(|| "the embedding has no direction".to_owned())
}

/// The channel has room by construction; a session that is gone wants no answer.
fn reply(backlog: &Backlog, replies: &Replies, answer: Answer) {
    backlog.0.fetch_sub(1, Ordering::Relaxed);
    if let Err(mpsc::error::TrySendError::Full(_)) = replies.try_send(answer) {
        unreachable!("a session has at most {ANSWERS_OUTSTANDING} answers outstanding");
    }
}

/// A [`Batcher`] between threads: batches of one, since neither model gains by more (ResNet34 costs the
/// same per window at any batch size, and four segments at once cost Moonshine's encoder four times
/// one).
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
    fn new() -> Self {
        let state = QueueState { batcher: Batcher::new(1, Duration::ZERO), closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn push(&self, now: Instant, key: K, item: T) -> Option<T> {
        let replaced = self.lock().batcher.push(now, key, item);
        self.changed.notify_one();
        replaced
    }

    /// Waits for the next item; `None` once the queue is closed and empty.
    fn pop(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some((_, item)) = state.batcher.pop(Instant::now()).pop() {
                return Some(item);
            }
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).expect("nothing panics while it holds this lock");
        }
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
        let queue = Queue::new();
        let now = Instant::now();
        assert_eq!(queue.push(now, 'a', 1), None);
        assert_eq!(queue.push(now, 'b', 2), None);
        assert_eq!(queue.push(now, 'a', 3), Some(1));
        queue.close();
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some(3), Some(2), None]);
    }
}
