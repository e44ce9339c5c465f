//! What is played, and what has to come of it.

use std::time::Duration;

use crate::audio::listener::Listener;

/// Rate of all recordings once read, Hz.
pub const RATE: u32 = 8_000;
/// Whom the callers claim to be.
pub const SUBJECT: &str = "narrator";
/// Reference of the narrator's consent.
pub const CONSENT: &str = "demo-consent-1";
/// How much of two_cities.wav the narrator is enrolled on.
pub const ENROLMENT: Duration = Duration::from_secs(20);
/// A phrase that is spoken in two_cities.wav, as (id, words).
pub const SPOKEN: (&str, &str) = ("heaven", "going direct to heaven");
/// When, in the recording: from the first sound of "going" to the last of "heaven", read off the
/// waveform.
pub const SPOKEN_AT: (f64, f64) = (24.98, 25.97);
/// A phrase that nobody says.
pub const UNSPOKEN: (&str, &str) = ("capital-at-risk", "your capital is at risk");
/// How long the narrator talks in call C before somebody else does.
const BEFORE_TAKEOVER: Duration = Duration::from_secs(12);

/// One call.
#[derive(Clone, Debug)]
pub struct Scene {
    /// One letter.
    pub name: char,
    /// Who calls, in a person's words.
    pub title: &'static str,
    /// What is said, at [`RATE`].
    pub audio: Vec<f32>,
    /// What has to come of it; nothing for a call that is only shown.
    pub expected: Vec<Expectation>,
}

/// Something that must or must not be found in a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expectation {
    /// The speaker is accepted within this much net speech.
    Accepted {
        /// Seconds.
        within_s: f64,
    },
    /// The speaker is rejected within this much net speech.
    Rejected {
        /// Seconds.
        within_s: f64,
    },
    /// A change of speaker is found within this much net speech after it.
    Changed {
        /// Seconds.
        within_s: f64,
        /// Net speech before the change, seconds.
        after_s: f64,
    },
    /// No change and no rejection is ever claimed.
    NoAlarm,
    /// The phrase is found once, its start at this place.
    Phrase {
        /// Its id.
        id: &'static str,
        /// Seconds into the call.
        at_s: f64,
    },
    /// The phrase is never found.
    NoPhrase {
        /// Its id.
        id: &'static str,
    },
}

/// The demonstration's calls, of three recordings at [`RATE`].
pub fn scenes(two_cities: &[f32], endgame: &[f32], beckett: &[f32]) -> Vec<Scene> {
    let rest = &two_cities[samples(ENROLMENT)..];
    let (before, _) = rest.split_at(samples(BEFORE_TAKEOVER));
    let after_s = net_speech(before).as_secs_f64();
    let no_phrase = Expectation::NoPhrase { id: UNSPOKEN.0 };
    let phrase = Expectation::Phrase { id: SPOKEN.0, at_s: SPOKEN_AT.0 - ENROLMENT.as_secs_f64() };
    let accepted = Expectation::Accepted { within_s: 5.0 };
    vec![
        Scene {
            name: 'A',
            title: "the narrator, the rest of two_cities.wav",
            audio: rest.to_vec(),
            expected: vec![accepted, Expectation::NoAlarm, phrase, no_phrase],
        },
        Scene {
            name: 'B',
            title: "somebody else claims to be the narrator: endgame_nagg_nell.wav",
            audio: endgame.to_vec(),
            expected: vec![Expectation::Rejected { within_s: 8.0 }, no_phrase],
        },
        Scene {
            name: 'C',
            title: "the narrator, and after 12 s somebody else takes over",
            audio: [before, endgame].concat(),
            expected: vec![
                accepted,
                Expectation::Changed { within_s: 6.0, after_s },
                phrase,
                no_phrase,
            ],
        },
        Scene {
            name: 'D',
            title: "very likely the narrator in another session: beckett.wav (shown, nothing expected)",
            audio: beckett.to_vec(),
            expected: Vec::new(),
        },
    ]
}

impl Scene {
    /// Length of its audio.
    pub fn length(&self) -> Duration {
        Duration::from_secs_f64(self.audio.len() as f64 / f64::from(RATE))
    }

    /// What its INVITE says about it, as a dialplan would.
    pub fn headers(&self) -> Vec<(String, String)> {
        [
            ("X-Sidetone-Conversation", format!("demo-{}", self.name)),
            ("X-Sidetone-Party", "caller".to_owned()),
            ("X-Sidetone-Subject", SUBJECT.to_owned()),
            ("X-Sidetone-Consent", CONSENT.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

/// Samples at [`RATE`] that fill `time`.
pub fn samples(time: Duration) -> usize {
    (time.as_secs_f64() * f64::from(RATE)) as usize
}

/// Net speech as the appliance would count it.
fn net_speech(audio: &[f32]) -> Duration {
    let mut listener = Listener::new(false, false);
    listener.hear(audio, RATE, false);
    listener.finish();
    listener.net_speech()
}
