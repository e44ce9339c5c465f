//! Whether a party is compared with a voiceprint, and what comes of it.

use std::time::Duration;

use crate::audio::speech_windows::{SpeechWindow, WINDOW};
use crate::consent::consent::Consent;
use crate::policy::evidence::{Obstacle, SpeakerEvidence};
use crate::speaker::embedding::Embedding;
use crate::speaker::verifier::Verifier;
use crate::speaker::voiceprint::Voiceprint;

/// The comparison of one caller's voice with a voiceprint: there is none without a consent.
#[derive(Debug)]
pub struct SpeakerWatch {
    reference: Embedding,
    verifier: Verifier,
}

impl SpeakerWatch {
    /// Compares with `voiceprint`, to which the caller agreed under `consent`; the voice model in
    /// use is `model` (`name@version`).
    pub fn new(
        consent: Option<&Consent>,
        voiceprint: Option<Voiceprint>,
        model: &str,
        verifier: Verifier,
    ) -> Result<Self, Obstacle> {
        consent.ok_or(Obstacle::NoConsent)?;
        let voiceprint = voiceprint.ok_or(Obstacle::NoVoiceprint)?;
        let reference = voiceprint.reference(model).ok_or(Obstacle::OtherModel)?;
        Ok(Self { reference: reference.embedding.clone(), verifier })
    }

    /// New speech between one window and the next; `None` once nothing more is to be embedded.
    pub fn hop(&self) -> Option<Duration> {
        self.verifier.hop()
    }

    /// What `embedding` of `window` says of the claim, at a `coverage` of the speech heard.
    pub fn observe(
        &mut self,
        window: &SpeechWindow,
        embedding: &Embedding,
        coverage: f64,
    ) -> Option<SpeakerEvidence> {
        // Equal dimensions: the reference is of the model in use, as `new` saw to.
        let cosine = embedding.cosine(&self.reference)?;
        let fresh = window.fresh.as_secs_f64() / WINDOW.as_secs_f64();
        let decision = self.verifier.observe(cosine, fresh);
        Some(SpeakerEvidence {
            decision,
            at: window.end,
            llr: self.verifier.llr(),
            newest_llr: self.verifier.newest_llr(),
            net_speech: window.net_speech,
            coverage,
        })
    }
}
