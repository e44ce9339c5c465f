//! Recordings of one person to one voiceprint, by the same way that a call's audio goes.

use std::path::Path;
use std::time::Duration;

use crate::audio::g711;
use crate::audio::listener::{Heard, Listener};
use crate::audio::pcm;
use crate::consent::consent::Consent;
use crate::runtime::audio_file::{AudioFileError, read_mono};
use crate::runtime::inference_thread::embed;
use crate::speaker::embedder::Embedder;
use crate::speaker::enrollment::{Enrollment, EnrollmentError};
use crate::speaker::voiceprint::Voiceprint;

/// What callers speak through.
const TELEPHONE_RATE: u32 = 8_000;
/// One packet's worth, samples at [`TELEPHONE_RATE`].
const PACKET: usize = 160;
/// New speech between windows. 1 s: a mean over overlapping windows leans less on where they fall.
const HOP: Duration = Duration::from_secs(1);
/// Silence between two recordings: no spurt goes on from one into the next.
const BETWEEN: Duration = Duration::from_secs(1);

/// Why no voiceprint was made.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// A recording could not be used.
    #[error(transparent)]
    File(#[from] AudioFileError),
    /// Too little speech.
    #[error(transparent)]
    Enrollment(#[from] EnrollmentError),
    /// The speaker model failed.
    #[error("the speaker model failed: {0}")]
    Model(String),
}

/// Enrols one person from one recording after another.
#[derive(Debug)]
pub struct Enroller<'a, E> {
    model: &'a mut E,
    name: String,
    /// One for all recordings, so that speech from several short ones fills a window.
    listener: Listener,
    enrollment: Enrollment,
}

impl<'a, E: Embedder> Enroller<'a, E> {
    /// Enrols `subject`, who agreed to it under `consent`, with `model`, whose name is `name`.
    pub fn new(model: &'a mut E, name: &str, subject: &str, consent: Consent) -> Self {
        Self {
            model,
            name: name.to_owned(),
            listener: Listener::new(Some(HOP), false),
            enrollment: Enrollment::new(subject.to_owned(), consent),
        }
    }

    /// Hears a recording (WAV, FLAC, Ogg); returns the net speech gathered so far.
    pub fn hear_file(&mut self, file: &Path) -> Result<Duration, EnrollError> {
        let samples = read_mono(file, TELEPHONE_RATE)?;
        self.hear(&samples)
    }

    /// Hears 8 kHz samples; returns the net speech gathered so far.
    ///
    /// They are coded as a telephone codes them: calibration compares telephone with telephone.
    pub fn hear(&mut self, samples: &[f32]) -> Result<Duration, EnrollError> {
        for packet in pcm::to_i16(samples).chunks(PACKET) {
            let coded = packet
                .iter()
                .map(|&sample| f32::from(g711::decode_ulaw(g711::encode_ulaw(sample))) / 32_768.0);
            self.listener.hear(&coded.collect::<Vec<_>>(), TELEPHONE_RATE, false);
            self.take()?;
        }
        self.listener.skip(BETWEEN);
        self.take()?;
        Ok(self.listener.net_speech())
    }

    fn take(&mut self) -> Result<(), EnrollError> {
        while let Some(heard) = self.listener.poll() {
            if let Heard::Window(window) = heard {
                let embedding = embed(self.model, &window.samples);
                self.enrollment.observe(embedding.map_err(EnrollError::Model)?);
            }
        }
        Ok(())
    }

    /// The voiceprint, or how much speech is missing.
    pub fn finish(self) -> Result<Voiceprint, EnrollError> {
        let net_speech = self.listener.net_speech();
        Ok(self.enrollment.finish(net_speech, self.name, jiff::Timestamp::now())?)
    }
}
