//! Trials of recordings, run as calls are: enrolled, sent down a channel, heard and compared.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::audio::channel::{Arrived, Channel, Noises};
use crate::audio::listener::Listener;
use crate::audio::pcm::SAMPLE_RATE;
use crate::call::speaker_watch::SpeakerWatch;
use crate::consent::reference::ConsentReference;
use crate::runtime::answered_for::answered_for;
use crate::runtime::audio_file::{AudioFileError, read_mono};
use crate::runtime::enroller::{EnrollError, Enroller};
use crate::runtime::heard::Heard;
use crate::runtime::trial_list::TrialList;
use crate::runtime::voices::Voices;
use crate::speaker::calibration::{Calibration, Comparison, Conditions, ErrorRate, Likeness};
use crate::speaker::embedder::{Embedder, Embedders};
use crate::speaker::ledger::{Weighed, unbounded};
use crate::speaker::trials::Trial;
use crate::speaker::verifier::{Settings, Verifier};
use crate::speaker::voiceprint::Voiceprint;

/// How trials are run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Net speech that somebody is enrolled on at most.
    pub enrol: Duration,
    /// Net speech that is compared: a recording is cut in pieces of so much, and a rest is left out.
    pub test: Duration,
    /// What is compared with a voiceprint comes by this.
    pub channel: Channel,
    /// Chooses noise and loss.
    pub seed: u64,
    /// Calibration of the scores.
    pub calibration: Calibration,
}

/// Whoever evaluates answers for the consents of those whose recordings they have.
fn evaluation() -> ConsentReference {
    ConsentReference::new("evaluation").expect("a reference")
}

/// What may be added to the speech, loaded.
#[derive(Clone, Debug, Default)]
pub struct LoadedNoises {
    /// Other people.
    pub talkers: Vec<Vec<f32>>,
    /// A noise of the user's own.
    pub own: Option<Vec<f32>>,
}

/// Why a run stopped.
#[derive(Debug, thiserror::Error)]
pub enum TrialRunError {
    /// A recording cannot be used.
    #[error(transparent)]
    File(#[from] AudioFileError),
    /// The channel wants a noise that was not given.
    #[error("channel {channel} wants {wanted}")]
    Noise {
        /// The channel.
        channel: Channel,
        /// The option that gives it.
        wanted: &'static str,
    },
    /// A folder cannot be read.
    #[error("cannot read {}: {error}", .folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
}

/// One trial and its score.
#[derive(Clone, Copy, Debug)]
pub struct Scored {
    /// Its place in the list.
    pub place: usize,
    /// Which piece of the recording was compared, from 0.
    pub piece: usize,
    /// The trial; its score is the calibrated log-likelihood ratio.
    pub trial: Trial,
    /// The mean likeness that the score was made of.
    pub likeness: Likeness,
    /// The mean conditions that it was read with; the largest share lost.
    pub conditions: Conditions,
}

/// What became of the trials.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Those that could be scored, in the list's order.
    pub scored: Vec<Scored>,
    /// Trials whose recording has less speech than is to be compared.
    pub short: usize,
    /// Comparisons on a line too poor for a score.
    pub unfit: usize,
    /// Trials of somebody who could not be enrolled.
    pub unenrolled: usize,
}

/// The voiceprints of a list, or why there is none, in its order. `progress` is told how many are done.
pub fn enrol<E: Embedder>(
    list: &TrialList,
    voices: &mut Voices<E>,
    names: &Embedders,
    limit: Duration,
    mut progress: impl FnMut(usize),
) -> Result<Vec<Result<Voiceprint, EnrollError>>, TrialRunError> {
    let leave = answered_for(&evaluation());
    let mut prints = Vec::new();
    for (files, speaker) in &list.enrolments {
        let subject = &list.speakers[*speaker];
        let mut enroller = Enroller::new(&leave, voices, names, subject).limited(limit);
        let mut heard = Ok(Duration::ZERO);
        for file in files {
            heard = enroller.hear_file(file);
            if heard.is_err() {
                break;
            }
        }
        prints.push(match heard {
            Ok(_) => enroller.finish(),
            Err(EnrollError::File(error)) => return Err(error.into()),
            Err(error) => Err(error),
        });
        progress(prints.len());
    }
    Ok(prints)
}

/// A recording of a list as it arrives, in pieces of the plan's length of net speech.
pub fn carry(
    list: &TrialList,
    place: usize,
    plan: &Plan,
    noises: &LoadedNoises,
) -> Result<Vec<Arrived>, TrialRunError> {
    let speech = read_mono(&list.tests[place].0, SAMPLE_RATE)?;
    let LoadedNoises { talkers, own } = noises;
    let noises = Noises { talkers, own: own.as_deref() };
    let channel = plan.channel;
    let wanted = match channel {
        Channel::Babble(_) => "--babble FOLDER",
        _ => "--noise FILE",
    };
    let arrived = channel.carry(&speech, noises, plan.seed.wrapping_add(place as u64));
    Ok(pieces(&arrived.ok_or(TrialRunError::Noise { channel, wanted })?, plan.test))
}

/// What somebody is enrolled on, as another system may hear it: mu-law, up to `limit` of net speech.
pub fn enrolment(
    list: &TrialList,
    place: usize,
    limit: Duration,
) -> Result<Arrived, TrialRunError> {
    let mut speech = Vec::new();
    for file in &list.enrolments[place].0 {
        speech.extend(read_mono(file, SAMPLE_RATE)?);
    }
    let arrived = Channel::Mulaw.carry(&speech, Noises::default(), 0);
    let arrived = arrived.expect("mu-law wants no noise");
    Ok(pieces(&arrived, limit).into_iter().next().unwrap_or(arrived))
}

/// Cuts what arrived into pieces of `length` of net speech, as a listener counts it that hears each anew.
fn pieces(arrived: &Arrived, length: Duration) -> Vec<Arrived> {
    let rate = arrived.rate;
    let new = || (Listener::new(false, false), Arrived { rate, spans: Vec::new() });
    let (mut listener, mut piece) = new();
    let mut whole = Vec::new();
    for (samples, concealed) in &arrived.spans {
        listener.hear(samples, rate, *concealed);
        piece.spans.push((samples.clone(), *concealed));
        if listener.net_speech() >= length {
            whole.push(std::mem::replace(&mut piece, new().1));
            listener = new().0;
        }
    }
    whole
}

/// Runs the trials of a list; each recording is sent and embedded once. `progress` is told how many
/// recordings are done.
pub fn run<E: Embedder>(
    list: &TrialList,
    prints: &[Result<Voiceprint, EnrollError>],
    (voices, names): (&mut Voices<E>, &Embedders),
    plan: &Plan,
    noises: &LoadedNoises,
    mut progress: impl FnMut(usize),
) -> Result<Outcome, TrialRunError> {
    let mut of_test = vec![Vec::new(); list.tests.len()];
    for (place, (_, test, _)) in list.trials.iter().enumerate() {
        of_test[*test].push(place);
    }
    let mut outcome = Outcome::default();
    for (test, places) in of_test.iter().enumerate() {
        let pieces = carry(list, test, plan, noises)?;
        if pieces.is_empty() {
            outcome.short += places.len();
        }
        for (piece, arrived) in pieces.iter().enumerate() {
            let spans = arrived.spans.iter().map(|(samples, concealed)| (&samples[..], *concealed));
            let mut heard = Heard::of_spans(spans, arrived.rate, Some(plan.test));
            for &place in places {
                let (enrolment, _, target) = list.trials[place];
                let Ok(print) = &prints[enrolment] else {
                    outcome.unenrolled += 1;
                    continue;
                };
                let watch = undecided(print, names, plan.calibration);
                let evidence = heard.compare(watch, voices);
                let newest: Vec<Comparison> = evidence.iter().map(|e| e.newest).collect();
                let Some(weighed) = unbounded(&plan.calibration, &newest) else {
                    outcome.unfit += 1;
                    continue;
                };
                let speakers = (list.enrolments[enrolment].1, list.tests[test].1);
                let Weighed { llr, likeness, conditions } = weighed;
                let trial = Trial { score: llr, target, speakers };
                outcome.scored.push(Scored { place, piece, trial, likeness, conditions });
            }
        }
        progress(test + 1);
    }
    outcome.scored.sort_by_key(|scored| (scored.place, scored.piece));
    Ok(outcome)
}

/// A comparison whose bounds lie beyond the evidence of any recording worth a trial, so that all of it is heard.
fn undecided(print: &Voiceprint, names: &Embedders, calibration: Calibration) -> SpeakerWatch {
    let never = ErrorRate::one_in(1_000_000).expect("a rate within bounds");
    let settings = Settings { false_accept: never, false_reject: never, ..Settings::default() };
    let verifier = Verifier::new(calibration, settings);
    SpeakerWatch::new(&answered_for(&evaluation()), Some(print), names, verifier)
        .expect("the voiceprint was made by these models")
}

/// Other people from a folder of recordings, one a file. Who is heard there should take part in no trial.
pub fn talkers(folder: &Path) -> Result<Vec<Vec<f32>>, TrialRunError> {
    let unreadable = |error| TrialRunError::Folder { folder: folder.to_owned(), error };
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(unreadable)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files.iter().map(|file| Ok(read_mono(file, 8_000)?)).collect()
}
