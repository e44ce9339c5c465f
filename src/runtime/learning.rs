//! A phrase learned from recordings of it, and the threshold that it needs, from speech in which nobody says it.
//!
//! All of it is heard as a call by G.711 mu-law would bring it, and cut as a call is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::audio::channel::{Channel, Noises};
use crate::audio::listener::{Heard, Listener};
use crate::audio::pcm::SAMPLE_RATE;
use crate::keyword::acoustic_model::{AcousticModel, FRAME};
use crate::keyword::example::{ExampleError, Examples, check_length, spoken};
use crate::keyword::example_decision::{ExampleDecision, apart};
use crate::keyword::phone_roots::PhoneRoots;
use crate::keyword::phone_search::Span;
use crate::keyword::score_tail::{ScoreTail, TooFew};
use crate::keyword::segment_level::levelled;
use crate::runtime::audio_file::{AudioFileError, read_mono};
use crate::runtime::onnx::OnnxError;
use crate::runtime::onnx::moonshine::MoonshineModel;

/// No score is lower, so that every place counts.
const ALL: f32 = -1.0;

/// Why a phrase cannot be learned.
#[derive(Debug, thiserror::Error)]
pub enum LearningError {
    /// A recording cannot be read.
    #[error(transparent)]
    File(#[from] AudioFileError),
    /// Nobody speaks in an example.
    #[error("{}: nobody speaks in it", .0.display())]
    Silent(PathBuf),
    /// A recording that cannot be an example.
    #[error("{}: {error}", .file.display())]
    Example {
        /// Which.
        file: PathBuf,
        /// Why not.
        error: ExampleError,
    },
    /// They cannot stand for a phrase together.
    #[error(transparent)]
    Examples(#[from] ExampleError),
    /// The background tells too little.
    #[error("the background: {0}")]
    Background(#[from] TooFew),
    /// The model failed.
    #[error(transparent)]
    Model(#[from] OnnxError),
}

/// One example: all that was heard, and the phrase alone.
#[derive(Debug)]
pub struct Recorded {
    /// The segment in which it was said.
    pub heard: PhoneRoots,
    /// Its own frames.
    pub phrase: PhoneRoots,
}

/// A segment of a recording: its samples at 16 kHz, and the stream time of the first.
struct Spoken {
    samples: Vec<f32>,
    start: Duration,
}

/// The segments of a recording, and its net speech.
fn segments(file: &Path) -> Result<(Vec<Spoken>, Duration), LearningError> {
    let speech = read_mono(file, SAMPLE_RATE)?;
    let arrived = Channel::Mulaw.carry(&speech, Noises { talkers: &[], own: None }, 1);
    let mut listener = Listener::new(false, true);
    for (samples, concealed) in &arrived.expect("this channel wants no noise").spans {
        listener.hear(samples, SAMPLE_RATE / 2, *concealed);
    }
    listener.finish();
    let mut segments = Vec::new();
    while let Some(heard) = listener.poll() {
        if let Heard::Segment(segment) = heard {
            segments.push(Spoken { samples: levelled(&segment.samples), start: segment.start });
        }
    }
    Ok((segments, listener.net_speech()))
}

fn encode(model: &mut MoonshineModel, samples: &[f32]) -> Result<PhoneRoots, OnnxError> {
    let audio = model.encode(samples)?;
    let phones = model.phones(&audio)?;
    Ok(PhoneRoots::of(&phones.ok_or_else(|| OnnxError::NoOutput("logp".into()))?))
}

/// What was said in an example: its longest spurt.
pub fn record(model: &mut MoonshineModel, file: &Path) -> Result<Recorded, LearningError> {
    let (segments, _) = segments(file)?;
    let said = segments.into_iter().max_by_key(|segment| segment.samples.len());
    let said = said.ok_or_else(|| LearningError::Silent(file.to_owned()))?;
    let frames = spoken(&said.samples);
    check_length(frames.len())
        .map_err(|error| LearningError::Example { file: file.to_owned(), error })?;
    let heard = encode(model, &said.samples)?;
    Ok(Recorded { phrase: heard.part(frames), heard })
}

/// How well `examples` would have been found anywhere in `background`.
pub fn tail(
    model: &mut MoonshineModel,
    examples: &Examples,
    background: &[PathBuf],
    mut progress: impl FnMut(usize),
) -> Result<ScoreTail, LearningError> {
    let decision = ExampleDecision::new(examples.all(), ALL);
    let (mut scores, mut speech) = (Vec::new(), Duration::ZERO);
    for (done, file) in background.iter().enumerate() {
        let (segments, net_speech) = segments(file)?;
        speech += net_speech;
        let mut spans: Vec<Span> = Vec::new();
        for Spoken { samples, start } in segments {
            let first = (start.as_micros() / FRAME.as_micros()) as usize;
            let heard = encode(model, &samples)?;
            spans.extend(decision.places(&heard).into_iter().map(|Span { score, frames }| Span {
                score,
                frames: first + frames.start..first + frames.end,
            }));
        }
        // Segments overlap: a place that is in two of them counts once, at its best.
        scores.extend(apart(spans).into_iter().map(|span| span.score));
        progress(done + 1);
    }
    Ok(ScoreTail::new(scores, speech.as_secs_f64() / 3600.0)?)
}

/// By example whether the others find it from the score `threshold` on.
pub fn found_by_the_others(recorded: &[Recorded], threshold: f32) -> Vec<bool> {
    let found = |(place, one): (usize, &Recorded)| {
        let others = recorded.iter().enumerate().filter(|(other, _)| *other != place);
        let others = others.map(|(_, other)| &other.phrase);
        !ExampleDecision::new(others, threshold).places(&one.heard).is_empty()
    };
    recorded.iter().enumerate().map(found).collect()
}
