//! Recordings sent down a channel, cut as calls are, and searched for phrases by the real model.

use std::time::Duration;

use crate::audio::channel::{Channel, Noises};
use crate::audio::listener::{Heard, Listener};
use crate::audio::pcm::{self, SAMPLE_RATE};
use crate::keyword::detections::Detection;
use crate::keyword::spotter::SpotError;
use crate::runtime::audio_file::{AudioFileError, read_mono};
use crate::runtime::onnx::OnnxError;
use crate::runtime::phrase_engine::PhraseEngine;
use crate::runtime::phrase_list::PhraseList;
use crate::runtime::trial_run::LoadedNoises;

/// What was found, by three measures of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// As the spotter decides.
    pub fused: Vec<Detection>,
    /// By the decoder alone.
    pub decoder: Vec<Detection>,
    /// By the very words in the transcript.
    pub exact: Vec<Detection>,
    /// By phrase how often it was found, times that overlap counted once.
    pub found: Vec<Found>,
    /// Length of the recordings.
    pub length: Duration,
    /// Speech in them.
    pub net_speech: Duration,
}

/// How often a phrase was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// In all.
    pub times: usize,
    /// Of these, where the transcript has the very words.
    pub exact: usize,
}

/// Why a run stopped.
#[derive(Debug, thiserror::Error)]
pub enum SpottingRunError {
    /// A recording cannot be used.
    #[error(transparent)]
    File(#[from] AudioFileError),
    /// The channel wants a noise that was not given.
    #[error("channel {0} wants a noise")]
    Noise(Channel),
    /// The model failed.
    #[error(transparent)]
    Model(#[from] SpotError<OnnxError>),
}

/// Searches every recording of `list` for so many phrases, as it comes by `channel`. `progress` is told how many are done.
pub fn run(
    list: &PhraseList,
    (channel, noises, seed): (Channel, &LoadedNoises, u64),
    (phrases, engine): (usize, &mut PhraseEngine),
    mut progress: impl FnMut(usize),
) -> Result<Outcome, SpottingRunError> {
    let found = vec![Found::default(); phrases];
    let mut outcome = Outcome { found, ..Outcome::default() };
    let noises = Noises { talkers: &noises.talkers, own: noises.own.as_deref() };
    for (recording, (file, said)) in list.recordings.iter().enumerate() {
        let speech = read_mono(file, SAMPLE_RATE)?;
        outcome.length += pcm::duration_of(speech.len() as u64);
        let arrived = channel
            .carry(&speech, noises, seed.wrapping_add(recording as u64))
            .ok_or(SpottingRunError::Noise(channel))?;
        let mut listener = Listener::new(false, true);
        for (samples, concealed) in &arrived.spans {
            listener.hear(samples, arrived.rate, *concealed);
        }
        listener.finish();
        outcome.net_speech += listener.net_speech();
        let none = vec![None; phrases];
        let [mut fused, mut decoder, mut exact] = [none.clone(), none.clone(), none];
        // By phrase the end of the last time that it was found: segments overlap.
        let mut told = vec![Duration::ZERO; phrases];
        let better = |best: &mut Option<f32>, score: f32| {
            *best = Some(best.map_or(score, |best| best.max(score)));
        };
        while let Some(heard) = listener.poll() {
            let Heard::Segment(segment) = heard else { continue };
            for hit in engine.search(&segment.samples)?.hits {
                if segment.start + hit.start >= told[hit.phrase] {
                    outcome.found[hit.phrase].times += 1;
                    outcome.found[hit.phrase].exact += usize::from(hit.exact);
                }
                told[hit.phrase] = told[hit.phrase].max(segment.start + hit.end);
                better(&mut fused[hit.phrase], hit.score);
                better(&mut decoder[hit.phrase], hit.decoder);
                if hit.exact {
                    better(&mut exact[hit.phrase], 0.0);
                }
            }
        }
        let lists = [&mut outcome.fused, &mut outcome.decoder, &mut outcome.exact];
        for (detections, scores) in lists.into_iter().zip([fused, decoder, exact]) {
            let detection = |(phrase, score)| {
                let said = said.contains(&phrase);
                Detection { recording, phrase, said, score }
            };
            detections.extend(scores.into_iter().enumerate().map(detection));
        }
        progress(recording + 1);
    }
    Ok(outcome)
}
