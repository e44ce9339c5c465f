//! `[speaker]`: the decision about a voice, and how voiceprints come to be and stay true.

use std::path::PathBuf;

use serde::Deserialize;

use crate::speaker::adaptation;
use crate::speaker::calibration::ErrorRate;
use crate::speaker::gathering;
use crate::speaker::verifier;

/// `[speaker]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Speaker {
    /// How often an impostor may be accepted.
    pub false_accept: ErrorRate,
    /// How often the true speaker may be rejected.
    pub false_reject: ErrorRate,
    /// How often a claim is false, before anything is heard.
    pub prior: ErrorRate,
    /// Net speech between two looks of the strong embedder at an accepted caller, seconds.
    pub decide_every_s: u32,
    /// File of the site's own calibration, by `sidetone calibrate`.
    pub calibration: Option<PathBuf>,
    /// Known voices that callers are compared with.
    pub watchlist: Watchlist,
    /// How callers are enrolled.
    pub enrollment: gathering::Settings,
    /// How voiceprints follow their voices.
    pub adaptation: adaptation::Settings,
}

/// `[speaker.watchlist]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Watchlist {
    /// Whether anybody is compared.
    pub enabled: bool,
    /// Calls of a thousand that may raise a false alarm, by all entries together.
    pub expected_false_alarms_per_1000_calls: f64,
}

impl Default for Watchlist {
    fn default() -> Self {
        Self { enabled: false, expected_false_alarms_per_1000_calls: 1.0 }
    }
}

impl Default for Speaker {
    fn default() -> Self {
        let verifier::Settings { false_accept, false_reject, prior, decide_every_s } =
            verifier::Settings::default();
        Self {
            false_accept,
            false_reject,
            prior,
            decide_every_s,
            calibration: None,
            watchlist: Watchlist::default(),
            enrollment: gathering::Settings::default(),
            adaptation: adaptation::Settings::default(),
        }
    }
}

impl Speaker {
    /// What the decision keeps to.
    pub fn decision(&self) -> verifier::Settings {
        let Self { false_accept, false_reject, prior, decide_every_s, .. } = *self;
        verifier::Settings { false_accept, false_reject, prior, decide_every_s }
    }

    /// Key, what it must be and what it is, of the first value that makes no sense.
    pub fn validate(&self) -> Result<(), (&'static str, &'static str, String)> {
        let rate = self.watchlist.expected_false_alarms_per_1000_calls;
        if !(0.001..=100.0).contains(&rate) {
            let key = "speaker.watchlist.expected_false_alarms_per_1000_calls";
            return Err((key, "must be 0.001 to 100", rate.to_string()));
        }
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
