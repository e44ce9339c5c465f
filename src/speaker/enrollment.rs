//! Makes a voiceprint out of enough speech, or says how much is missing.

use std::time::Duration;

use crate::consent::consent::Consent;
use crate::speaker::embedding::Embedding;
use crate::speaker::voiceprint::Voiceprint;

/// Least net speech for a voiceprint. 10 s: the length that the calibration's trials enrolled on.
pub const LEAST_SPEECH: Duration = Duration::from_secs(10);

/// Gathers the embeddings of one person's speech.
#[derive(Debug)]
pub struct Enrollment {
    subject: String,
    consent: Consent,
    embeddings: Vec<Embedding>,
}

/// Why no voiceprint was made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnrollmentError {
    /// Less speech than a voiceprint needs.
    #[error(
        "{:.1} s of net speech found, at least {:.0} s needed",
        .found.as_secs_f64(),
        LEAST_SPEECH.as_secs_f64()
    )]
    TooLittleSpeech {
        /// Net speech found.
        found: Duration,
    },
    /// The model gave no usable direction.
    #[error("the speaker model gave no usable embedding")]
    NoDirection,
}

impl Enrollment {
    /// An enrolment of `subject`, who agreed to it under `consent`.
    pub fn new(subject: String, consent: Consent) -> Self {
        Self { subject, consent, embeddings: Vec::new() }
    }

    /// Takes one window's embedding.
    pub fn observe(&mut self, embedding: Embedding) {
        self.embeddings.push(embedding);
    }

    /// The voiceprint of all `net_speech` heard, made by `model` (`name@version`) at `created`.
    pub fn finish(
        self,
        net_speech: Duration,
        model: String,
        created: jiff::Timestamp,
    ) -> Result<Voiceprint, EnrollmentError> {
        if net_speech < LEAST_SPEECH {
            return Err(EnrollmentError::TooLittleSpeech { found: net_speech });
        }
        let embedding = Embedding::mean(&self.embeddings).ok_or(EnrollmentError::NoDirection)?;
        Ok(Voiceprint {
            subject: self.subject,
            consent: self.consent.reference().to_owned(),
            model,
            created,
            net_speech_s: net_speech.as_secs_f64(),
            embedding,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enrollment() -> Enrollment {
        let consent = Consent::from_reference("c-1").expect("a reference");
        Enrollment::new("alice".to_owned(), consent)
    }

    fn voice(x: f32) -> Embedding {
        Embedding::from_raw(vec![1.0, x]).expect("a direction")
    }

    fn finish(enrollment: Enrollment, ms: u64) -> Result<Voiceprint, EnrollmentError> {
        let net_speech = Duration::from_millis(ms);
        enrollment.finish(net_speech, "m@1".to_owned(), jiff::Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn too_little_speech_is_refused_with_what_was_found() {
        let mut enrollment = enrollment();
        enrollment.observe(voice(0.0));
        let error = finish(enrollment, 9_900).expect_err("9.9 s are too little");
        assert_eq!(error.to_string(), "9.9 s of net speech found, at least 10 s needed");
    }

    #[test]
    fn a_voiceprint_is_the_mean_direction_and_keeps_its_consent() {
        let mut enrollment = enrollment();
        enrollment.observe(voice(1.0));
        enrollment.observe(voice(-1.0));
        let print = finish(enrollment, 10_000).expect("10 s are enough");
        assert!((print.embedding.as_slice()[0] - 1.0).abs() < 1e-6);
        assert_eq!((print.consent.as_str(), print.subject.as_str()), ("c-1", "alice"));
    }
}
