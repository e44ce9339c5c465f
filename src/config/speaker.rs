//! `[speaker]`: the decision about a voice, and how voiceprints come to be and stay true.

use serde::Deserialize;

use crate::speaker::adaptation;
use crate::speaker::calibration::ErrorRate;
use crate::speaker::gathering;
use crate::speaker::verifier;

/// `[speaker]`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Speaker {
    /// How often an impostor may be accepted.
    pub false_accept: ErrorRate,
    /// How often the true speaker may be rejected.
    pub false_reject: ErrorRate,
    /// How callers are enrolled.
    #[serde(default)]
    pub enrollment: gathering::Settings,
    /// How voiceprints follow their voices.
    #[serde(default)]
    pub adaptation: adaptation::Settings,
}

impl Speaker {
    /// What the decision keeps to.
    pub fn decision(&self) -> verifier::Settings {
        let Self { false_accept, false_reject, .. } = *self;
        verifier::Settings { false_accept, false_reject }
    }

    /// Key, what it must be and what it is, of the first value that makes no sense.
    pub fn validate(&self) -> Result<(), (&'static str, &'static str, String)> {
        let adaptation::Settings { least_llr, least_speech_s, step, .. } = self.adaptation;
        if !(0.0..=20.0).contains(&least_llr) {
            return Err(("speaker.adaptation.least_llr", "must be 0 to 20", least_llr.to_string()));
        }
        if !(10.0..=3600.0).contains(&least_speech_s) {
            let found = least_speech_s.to_string();
            return Err(("speaker.adaptation.least_speech_s", "must be 10 to 3600", found));
        }
        if !(0.001..=1.0).contains(&step) {
            return Err(("speaker.adaptation.step", "must be 0.001 to 1", step.to_string()));
        }
        Ok(())
    }
}
