//! What every evaluation of the speaker decision begins with: trials, models, noises, enrolment.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;

use crate::audio::channel::{Arrived, Channel};
use crate::audio::pcm;
use crate::cli::{Places, Refusal};
use crate::config::Config;
use crate::runtime::audio_file::read_mono;
use crate::runtime::enroller::EnrollError;
use crate::runtime::onnx::speaker_model::SpeakerModel;
use crate::runtime::site_calibration;
use crate::runtime::trial_list::TrialList;
use crate::runtime::trial_run::{self, LoadedNoises, Plan};
use crate::runtime::voices::Voices;
use crate::speaker::calibration::Calibration;
use crate::speaker::embedder::Embedders;
use crate::speaker::voiceprint::Voiceprint;

/// Arguments of all evaluations of the speaker decision.
#[derive(Clone, Debug, Args)]
pub struct Setup {
    #[command(flatten)]
    places: Places,
    /// File of trials.
    #[arg(long, value_name = "FILE")]
    trials: PathBuf,
    /// Channel that the compared recordings come by: mulaw, alaw, opus16, loss5 (any per cent), band, babble15, kitchen10,
    /// noise10 (the last three with any ratio in dB); repeatable.
    #[arg(long, value_name = "NAME", default_value = "mulaw")]
    pub channel: Vec<Channel>,
    /// Net speech that people are enrolled on at most, seconds; below 10, less than `sidetone enroll` takes.
    #[arg(long, value_name = "S", default_value_t = 10.0, value_parser = seconds)]
    enrol_seconds: f64,
    /// Folder of recordings of people who take part in no trial, for babble.
    #[arg(long, value_name = "FOLDER")]
    babble: Option<PathBuf>,
    /// Recording of the noise for the channel `noise`.
    #[arg(long, value_name = "FILE")]
    noise: Option<PathBuf>,
    /// Chooses noise and losses.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// A length of speech.
pub fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (1.6..=600.0).contains(seconds));
    seconds.ok_or_else(|| "a length of speech is 1.6 to 600 seconds".to_owned())
}

/// Everything loaded, everybody enrolled.
#[derive(Debug)]
pub struct Bench {
    /// The configuration, for its error rates.
    pub config: Config,
    /// What scores are worth.
    pub calibration: Calibration,
    /// The trials.
    pub list: TrialList,
    /// The embedders.
    pub voices: Voices<SpeakerModel>,
    /// Their names.
    pub names: Embedders,
    /// Noises for the channels.
    pub noises: LoadedNoises,
    /// In the list's order.
    pub prints: Vec<Result<Voiceprint, EnrollError>>,
}

impl Setup {
    /// Net speech that people are enrolled on.
    pub fn enrol(&self) -> Duration {
        Duration::from_secs_f64(self.enrol_seconds)
    }

    /// Loads and enrols.
    pub fn open(&self) -> Result<Bench, Refusal> {
        let list = TrialList::read(&self.trials)?;
        let (config, _) = self.places.load()?;
        let installed = self.places.installed(&config)?;
        let mut voices = installed.voices()?;
        let names = installed.models().speaker.clone();
        let talkers = self.babble.as_deref().map(trial_run::talkers).transpose()?;
        let own = self.noise.as_deref().map(|file| read_mono(file, 8_000)).transpose()?;
        let mut progress = Progress::new("enrolling".to_owned(), list.enrolments.len());
        let (limit, show) = (self.enrol(), |done| progress.show(done));
        let prints = trial_run::enrol(&list, &mut voices, &names, limit, show)?;
        progress.finish();
        let noises = LoadedNoises { talkers: talkers.unwrap_or_default(), own };
        let calibration = site_calibration::in_use(config.speaker.calibration.as_deref(), &names)?;
        Ok(Bench { config, calibration, list, voices, names, noises, prints })
    }
}

impl Bench {
    /// Why people could not be enrolled.
    pub fn refusals(&self) -> impl Iterator<Item = String> {
        self.prints.iter().zip(&self.list.enrolments).filter_map(|(print, (files, _))| {
            let file = files.first().map(|file| file.display().to_string()).unwrap_or_default();
            print.as_ref().err().map(|error| format!("{file}: not enrolled: {error}"))
        })
    }

    /// Writes the recordings as they arrive by a channel, named by channel, length, place and piece:
    /// `mulaw-3s-0007-00.wav`, and what people are enrolled on by theirs: `enrol-0003.wav`.
    pub fn write_audio(&self, folder: &Path, plan: &Plan) -> Result<(), Refusal> {
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        let write = |name: String, arrived: &Arrived| {
            let file = folder.join(name);
            std::fs::write(&file, wav(&arrived.samples()))
                .map_err(|error| format!("cannot write {}: {error}", file.display()))
        };
        for place in 0..self.list.enrolments.len() {
            let arrived = trial_run::enrolment(&self.list, place, plan.enrol)?;
            write(format!("enrol-{place:04}.wav"), &arrived)?;
        }
        for place in 0..self.list.tests.len() {
            let pieces = trial_run::carry(&self.list, place, plan, &self.noises)?;
            for (piece, arrived) in pieces.iter().enumerate() {
                let (channel, seconds) = (plan.channel, plan.test.as_secs_f64());
                write(format!("{channel}-{seconds}s-{place:04}-{piece:02}.wav"), arrived)?;
            }
        }
        Ok(())
    }
}

/// A WAV file of 16 kHz mono in 16 bits.
fn wav(samples: &[f32]) -> Vec<u8> {
    let (rate, length) = (pcm::SAMPLE_RATE, 2 * samples.len() as u32);
    let mut bytes = Vec::with_capacity(44 + length as usize);
    let (id, size) = (*b"RIFF", 36 + length);
    bytes.extend(id.into_iter().chain(size.to_le_bytes()).chain(*b"WAVEfmt "));
    bytes.extend(16_u32.to_le_bytes());
    // Integers, one channel, samples and octets a second, octets and bits a sample.
    bytes.extend([1_u16, 1].into_iter().flat_map(u16::to_le_bytes));
    bytes.extend([rate, 2 * rate].into_iter().flat_map(u32::to_le_bytes));
    bytes.extend([2_u16, 16].into_iter().flat_map(u16::to_le_bytes));
    bytes.extend(b"data".iter().copied().chain(length.to_le_bytes()));
    bytes.extend(pcm::to_i16(samples).into_iter().flat_map(i16::to_le_bytes));
    bytes
}

/// How far a long job is, on a terminal's standard error.
#[derive(Debug)]
pub struct Progress {
    what: String,
    all: usize,
    started: Instant,
    shown: bool,
}

impl Progress {
    /// `all` pieces are to be done.
    #[expect(clippy::disallowed_methods, reason = "a person waits")]
    pub fn new(what: String, all: usize) -> Self {
        Self { what, all, started: Instant::now(), shown: false }
    }

    /// So many are done.
    pub fn show(&mut self, done: usize) {
        if std::io::stderr().is_terminal() && done > 0 {
            let spent = self.started.elapsed().as_secs_f64();
            let left = spent / done as f64 * self.all.saturating_sub(done) as f64;
            let Self { what, all, .. } = self;
            let _ = write!(anstream::stderr(), "\r{what}: {done} of {all}, {left:.0} s left   ");
            self.shown = true;
        }
    }

    /// All is done: the line goes.
    pub fn finish(&self) {
        if self.shown {
            let _ = write!(anstream::stderr(), "\r{}\r", " ".repeat(self.what.len() + 40));
        }
    }
}
