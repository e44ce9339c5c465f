//! Recordings of one person to one voiceprint, by the same way that a call's audio goes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::audio::bandwidth::Bandwidth;
use crate::audio::decoder::{Codec, Decoder};
use crate::audio::g711;
use crate::audio::level::LevelMeter;
use crate::audio::listener::{Heard, Listener};
use crate::audio::pcm::{self, SAMPLE_RATE};
use crate::audio::speech_windows::{SpeechWindow, WINDOW};
use crate::audio::tone::ToneMeter;
use crate::consent::permit::{Enrolment, Permit};
use crate::runtime::audio_file::{self, AudioFileError, Recording, folded, resample};
use crate::runtime::voices::Voices;
use crate::speaker::embedder::{Embedder, Embedders, Purpose};
use crate::speaker::embedding::Embedding;
use crate::speaker::enrollment::{Embedded, Enrollment};
use crate::speaker::gathering::Gathering;
use crate::speaker::one_voice::Agreement;
use crate::speaker::quality::{LEAST_SPEECH, Quality, Shortcoming};
use crate::speaker::slices::Slices;
use crate::speaker::voiceprint::{Source, Voiceprint};

/// What callers speak through.
const TELEPHONE_RATE: u32 = 8_000;
/// One packet's worth, samples at [`TELEPHONE_RATE`].
const PACKET: usize = 160;
/// Silence between two recordings: no spurt goes on from one into the next.
const BETWEEN: Duration = Duration::from_secs(1);
/// Loudest sample that a file of floating point may have: 16 times full scale is no recording.
const LOUDEST: f32 = 16.0;

/// Why no voiceprint was made.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// A recording could not be used.
    #[error(transparent)]
    File(#[from] AudioFileError),
    /// A recording of less than a telephone's band.
    #[error(
        "{} has {rate} samples a second, at least {TELEPHONE_RATE} needed for a voice",
        .file.display()
    )]
    Rate {
        /// Which file.
        file: PathBuf,
        /// Its sample rate, Hz.
        rate: u32,
    },
    /// A recording whose samples are no sound.
    #[error(
        "{} has samples that are no numbers or far beyond full scale, a recording needed",
        .file.display()
    )]
    NotSound {
        /// Which file.
        file: PathBuf,
    },
    /// The speech is too little, or not good enough, or not one person's.
    #[error(transparent)]
    Shortcoming(#[from] Shortcoming),
    /// The speaker model failed.
    #[error("the speaker model failed: {0}")]
    Model(String),
}

/// Enrols one person from one recording after another.
#[derive(Debug)]
pub struct Enroller<'a, E> {
    leave: &'a Permit<Enrolment>,
    voices: &'a mut Voices<E>,
    names: &'a Embedders,
    /// One for all recordings, so that speech from several short ones fills a window.
    listener: Listener,
    bandwidth: Bandwidth,
    level: LevelMeter,
    tone: ToneMeter,
    slices: Slices,
    enrollment: Enrollment,
    gathering: Gathering,
    limit: Option<Duration>,
}

impl<'a, E: Embedder> Enroller<'a, E> {
    /// Enrols `subject`, by `leave`, with `voices`, whose names are `names`.
    pub fn new(
        leave: &'a Permit<Enrolment>,
        voices: &'a mut Voices<E>,
        names: &'a Embedders,
        subject: &str,
    ) -> Self {
        Self::onto(leave, voices, names, Gathering::new(subject, leave))
    }

    /// Adds a session to what was gathered before.
    pub fn onto(
        leave: &'a Permit<Enrolment>,
        voices: &'a mut Voices<E>,
        names: &'a Embedders,
        gathering: Gathering,
    ) -> Self {
        let judge = (names.decide.as_str(), Agreement::RESNET34);
        Self {
            leave,
            voices,
            names,
            listener: Listener::new(true, false),
            bandwidth: Bandwidth::default(),
            level: LevelMeter::default(),
            tone: ToneMeter::default(),
            slices: Slices::default(),
            enrollment: Enrollment::new(jiff::Timestamp::now(), Source::File, judge),
            gathering,
            limit: None,
        }
    }

    /// Hears no more than `limit` of net speech, however much it is given, and asks for no more than that: for
    /// evaluation, never for a voiceprint that is kept.
    #[must_use]
    pub fn limited(self, limit: Duration) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// Hears a recording (WAV, FLAC, Ogg); returns the net speech gathered so far.
    pub fn hear_file(&mut self, file: &Path) -> Result<Duration, EnrollError> {
        let (samples, rate) = match audio_file::read(file)? {
            Recording::Samples { channels, rate, .. } => (folded(&channels), rate),
            Recording::Opus { packets, .. } => {
                let mut decoder = Decoder::new(Codec::Opus);
                // A packet that does not decode is left out, as the recorder's own gaps are.
                let heard = packets.iter().filter_map(|packet| decoder.decode(packet).ok());
                (heard.flatten().collect(), Codec::Opus.sample_rate())
            }
        };
        if rate < TELEPHONE_RATE {
            return Err(EnrollError::Rate { file: file.to_owned(), rate });
        }
        // Not a number fits no comparison.
        if !samples.iter().all(|sample| sample.abs() <= LOUDEST) {
            return Err(EnrollError::NotSound { file: file.to_owned() });
        }
        // Before it is converted: a filter rounds the flat tops.
        self.level.hear(&samples);
        if rate >= SAMPLE_RATE {
            self.bandwidth.hear(&resample(samples.clone(), rate, SAMPLE_RATE), SAMPLE_RATE);
        }
        self.take(&resample(samples, rate, TELEPHONE_RATE))
    }

    /// Hears 8 kHz samples; returns the net speech gathered so far.
    pub fn hear(&mut self, samples: &[f32]) -> Result<Duration, EnrollError> {
        self.level.hear(samples);
        self.take(samples)
    }

    /// Takes 8 kHz samples, coded as a telephone codes them: calibration compares telephone with
    /// telephone.
    fn take(&mut self, samples: &[f32]) -> Result<Duration, EnrollError> {
        for packet in pcm::to_i16(samples).chunks(PACKET) {
            if self.limit.is_some_and(|limit| self.listener.net_speech() >= limit) {
                return Ok(self.listener.net_speech());
            }
            let coded = packet
                .iter()
                .map(|&sample| f32::from(g711::decode_ulaw(g711::encode_ulaw(sample))) / 32_768.0);
            let coded: Vec<f32> = coded.collect();
            self.tone.hear(&coded, TELEPHONE_RATE);
            self.listener.hear(&coded, TELEPHONE_RATE, false);
            self.gather()?;
        }
        self.listener.skip(BETWEEN);
        self.gather()?;
        Ok(self.listener.net_speech())
    }

    fn gather(&mut self) -> Result<(), EnrollError> {
        while let Some(heard) = self.listener.poll() {
            if let Heard::Window(window) = heard
                && !self.enrollment.is_full()
            {
                self.observe(&window)?;
            }
        }
        Ok(())
    }

    fn observe(&mut self, window: &SpeechWindow) -> Result<(), EnrollError> {
        self.enrollment.hear(window, window.fresh);
        if let Some(model) = &self.names.watch {
            let embedding = self.embed(Purpose::Watch, window.slice())?;
            self.enrollment.observe(Embedded { model, window, embedding });
        }
        if window.is_whole() {
            let embedding = self.embed(Purpose::Decide, &window.samples)?;
            let model = &self.names.decide;
            self.enrollment.observe(Embedded { model, window, embedding });
        }
        for slice in self.slices.take(window) {
            let embedding = self.embed(Purpose::Decide, &slice.samples)?;
            self.enrollment.observe_slice(&slice, embedding);
        }
        Ok(())
    }

    fn embed(&mut self, role: Purpose, samples: &[f32]) -> Result<Embedding, EnrollError> {
        self.voices.embed(self.leave, role, samples).map_err(EnrollError::Model)
    }

    /// The voiceprint, or why there is none.
    pub fn finish(mut self) -> Result<Voiceprint, EnrollError> {
        let net_speech = self.listener.net_speech();
        let analysed = self.enrollment.analysed().as_secs_f64();
        let coverage = match net_speech.as_secs_f64() {
            // Two minutes are enough; what comes after them was left out on purpose.
            _ if self.enrollment.is_full() => 1.0,
            heard if net_speech >= WINDOW => analysed / heard,
            _ => 1.0,
        };
        let quality = Quality {
            net_speech,
            snr_db: self.enrollment.snr_db(),
            clipping: self.level.clipping(),
            band: self.bandwidth.into(),
            coverage,
            tone: self.tone.longest(),
        };
        let sitting = self.enrollment.conclude(&quality)?;
        self.gathering.add(sitting, (&self.names.decide, Agreement::RESNET34))?;
        let needed = self.limit.map_or(LEAST_SPEECH, |limit| limit.min(LEAST_SPEECH));
        Ok(self.gathering.voiceprint_of(needed, jiff::Timestamp::now())?)
    }
}
