//! One thread per model: takes the newest work of each session in turn, runs it, answers.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::audio::mel::FilterBank;
use crate::audio::segmenter::{Segment, SpeechWindow};
use crate::call::media_session::{Answer, Infer};
use crate::keyword::acoustic_model::AcousticModel;
use crate::keyword::spotter::Spotter;
use crate::runtime::batcher::Batcher;
use crate::runtime::metrics::{Metrics, Model};
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

/// Names one media session for as long as the appliance runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionKey(pub u64);

/// Where the answers of one session go.
type Replies = mpsc::Sender<Answer>;

/// Both queues, for the media threads to fill.
#[derive(Clone, Debug)]
pub struct InferenceQueues {
    speaker: Arc<Queue<SessionKey, (SpeechWindow, Replies)>>,
    keyword: Arc<Queue<(SessionKey, u64), (Segment, Replies)>>,
}

impl InferenceQueues {
    /// Two empty queues.
    pub fn new() -> Self {
        Self { speaker: Arc::new(Queue::new()), keyword: Arc::new(Queue::new()) }
    }

    /// Queues work of `session`; `count` is the number of segments it has asked for before.
    /// Returns the older work that gave way to it, for the session to count as not analysed.
    pub fn submit(
        &self,
        now: Instant,
        session: SessionKey,
        count: u64,
        work: Infer,
        replies: &Replies,
    ) -> Option<Infer> {
        match work {
            Infer::Speaker(window) => self
                .speaker
                .push(now, session, (window, replies.clone()))
                .map(|(window, _)| Infer::Speaker(window)),
            Infer::Keyword(segment) => self
                .keyword
                .push(now, (session, count % SEGMENTS_WAITING), (segment, replies.clone()))
                .map(|(segment, _)| Infer::Keyword(segment)),
        }
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
) -> std::io::Result<JoinHandle<()>> {
    let queue = Arc::clone(&queues.speaker);
    thread::Builder::new().name("speaker-model".into()).spawn(move || {
        let mut filter_bank = FilterBank::new();
        while let Some((window, replies)) = queue.pop() {
            let embedding = metrics.time(Model::Speaker, || {
                embed(&mut filter_bank, &mut model, &window.samples)
            });
            answer(&replies, Answer::Embedding { window, embedding });
        }
    })
}

/// Starts the thread that owns the keyword model.
pub fn spawn_keyword<M: AcousticModel + Send + 'static>(
    queues: &InferenceQueues,
    mut model: M,
    mut spotter: Spotter,
    metrics: Arc<Metrics>,
) -> std::io::Result<JoinHandle<()>> {
    let queue = Arc::clone(&queues.keyword);
    thread::Builder::new().name("keyword-model".into()).spawn(move || {
        while let Some((segment, replies)) = queue.pop() {
            let hits = metrics.time(Model::Keyword, || {
                spotter.spot(&mut model, &segment.samples).map_err(|e| e.to_string())
            });
            answer(&replies, Answer::Hits { segment, hits: hits.ok() });
        }
    })
}

/// The embedding of one window of 16 kHz speech; the error is the model's own sentence.
pub fn embed<E: Embedder>(
    filter_bank: &mut FilterBank,
    model: &mut E,
    samples: &[f32],
) -> Result<Embedding, String> {
    let mut fbank = filter_bank.compute(samples);
    fbank.subtract_mean();
    let raw = model.embed(fbank.as_slice(), fbank.frames()).map_err(|e| e.to_string())?;
    Embedding::from_raw(raw).ok_or_else(|| "the embedding has no direction".to_owned())
}
