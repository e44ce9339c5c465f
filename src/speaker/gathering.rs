//! Sessions of one person, put together until they are enough for a voiceprint.
//!
//! It is also what the store keeps of somebody who is enrolled over several calls.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::consent::permit::{Enrolment, Permit};
use crate::speaker::embedding::Embedding;
use crate::speaker::enrollment::Sitting;
use crate::speaker::one_voice::Agreement;
use crate::speaker::quality::{LEAST_SPEECH, Shortcoming};
use crate::speaker::voiceprint::{KEPT, Kept, Reference, SESSIONS, Session, Voiceprint};

/// Windows of one model that are kept while sessions are gathered.
const MOST_WINDOWS: usize = 8 * KEPT;

/// `[speaker.enrollment]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Whether who agreed and has no voiceprint is enrolled without being asked.
    pub passive: bool,
}

/// What has been heard of one person so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gathering {
    /// Whose voice.
    pub subject: String,
    /// Reference of the consent to it.
    pub consent: String,
    /// The sessions, the oldest first.
    pub sessions: Vec<Session>,
    /// Net speech of all of them, seconds.
    pub net_speech_s: f64,
    /// Their windows, by model.
    pub models: Vec<ModelWindows>,
}

/// What one model heard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelWindows {
    /// `name@version`.
    pub model: String,
    /// The windows, the oldest first.
    pub windows: Vec<Kept>,
}

impl Gathering {
    /// Nothing yet of `subject`, whom there is `leave` to enrol.
    pub fn new(subject: &str, leave: &Permit<Enrolment>) -> Self {
        Self {
            subject: subject.to_owned(),
            consent: leave.reference().as_str().to_owned(),
            sessions: Vec::new(),
            net_speech_s: 0.0,
            models: Vec::new(),
        }
    }

    /// What `voiceprint` was made from, for more to be added by `leave`; `None` where no window was kept of it
    /// (format 1).
    pub fn of(voiceprint: &Voiceprint, leave: &Permit<Enrolment>) -> Option<Self> {
        let models: Vec<_> = voiceprint
            .references
            .iter()
            .filter(|reference| !reference.kept.is_empty())
            .map(|reference| ModelWindows {
                model: reference.model.clone(),
                windows: reference.kept.clone(),
            })
            .collect();
        let (sessions, net_speech_s) = (voiceprint.sessions.clone(), voiceprint.net_speech_s);
        let subject = voiceprint.subject.clone();
        let consent = leave.reference().as_str().to_owned();
        (!models.is_empty()).then_some(Self { subject, consent, sessions, net_speech_s, models })
    }

    /// Adds a session, if it is of the same voice as those before by the bounds of `judge`
    /// (`name@version`); else nothing changes.
    pub fn add(&mut self, sitting: Sitting, judge: (&str, Agreement)) -> Result<(), Shortcoming> {
        let of = |kept: &[Kept]| Embedding::mean(kept.iter().map(|kept| &kept.embedding));
        let before = self.models.iter().find(|m| m.model == judge.0).and_then(|m| of(&m.windows));
        let now = sitting.windows.iter().find(|(m, _)| m == judge.0).and_then(|(_, w)| of(w));
        if let (Some(before), Some(now)) = (&before, &now) {
            let cosine = before.cosine(now).ok_or(Shortcoming::NoDirection)?;
            let (cosine, needed) = (f64::from(cosine), judge.1.sessions);
            if cosine < needed {
                return Err(Shortcoming::AnotherVoice { cosine, needed });
            }
        }
        for (model, windows) in sitting.windows {
            match self.models.iter_mut().find(|known| known.model == model) {
                Some(known) => known.windows.extend(windows),
                None => self.models.push(ModelWindows { model, windows }),
            }
        }
        for known in &mut self.models {
            thin(&mut known.windows);
        }
        self.net_speech_s += sitting.session.net_speech_s;
        self.sessions.push(sitting.session);
        let many = self.sessions.len().saturating_sub(SESSIONS);
        self.sessions.drain(..many);
        Ok(())
    }

    /// Net speech of all sessions.
    pub fn net_speech(&self) -> Duration {
        Duration::from_secs_f64(self.net_speech_s.max(0.0))
    }

    /// The voiceprint, made at `created`, or how much is missing.
    pub fn voiceprint(&self, created: jiff::Timestamp) -> Result<Voiceprint, Shortcoming> {
        self.voiceprint_of(LEAST_SPEECH, created)
    }

    /// The same of at least `needed` net speech: evaluation measures what less than [`LEAST_SPEECH`] costs.
    pub fn voiceprint_of(
        &self,
        needed: Duration,
        created: jiff::Timestamp,
    ) -> Result<Voiceprint, Shortcoming> {
        let found = self.net_speech();
        if found < needed {
            return Err(Shortcoming::TooLittleSpeech { found, needed });
        }
        let reference = |known: &ModelWindows| Reference::of(&known.model, &known.windows);
        let references: Vec<_> = self.models.iter().filter_map(reference).collect();
        if references.is_empty() {
            return Err(Shortcoming::NoDirection);
        }
        Ok(Voiceprint {
            subject: self.subject.clone(),
            consent: self.consent.clone(),
            created,
            net_speech_s: self.net_speech_s,
            sessions: self.sessions.clone(),
            references,
            recordings: Vec::new(),
            revision: 0,
            revisions: Vec::new(),
        })
    }
}

/// Leaves out every other window where there are too many: every session keeps its share.
fn thin(windows: &mut Vec<Kept>) {
    while windows.len() > MOST_WINDOWS {
        let mut keep = false;
        windows.retain(|_| {
            keep = !keep;
            keep
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::permit::leave;
    use crate::speaker::quality::Band;
    use crate::speaker::voiceprint::Source;

    const JUDGE: (&str, Agreement) = ("m@1", Agreement::RESNET34);

    fn gathering() -> Gathering {
        Gathering::new("alice", &leave())
    }

    fn sitting(second: i64, net_speech_s: f64, degrees: f32) -> Sitting {
        let when = jiff::Timestamp::from_second(second).expect("a time");
        let (sine, cosine) = degrees.to_radians().sin_cos();
        let embedding = Embedding::from_raw(vec![cosine, sine]).expect("a direction");
        let kept = Kept { session: when, embedding };
        let session = Session {
            when,
            source: Source::Passive,
            net_speech_s,
            snr_db: Some(30.0),
            clipping: 0.0,
            band: Band::Narrow,
            coverage: 1.0,
        };
        Sitting { session, windows: vec![("m@1".to_owned(), vec![kept; 4])] }
    }

    #[test]
    fn sessions_add_up_to_a_voiceprint() {
        let mut gathering = gathering();
        gathering.add(sitting(1, 6.0, 0.0), JUDGE).expect("the first");
        let error = gathering.voiceprint(jiff::Timestamp::UNIX_EPOCH).expect_err("6 s");
        assert_eq!(error.to_string(), "6.0 s of net speech found, at least 10 s needed");
        gathering.add(sitting(2, 5.0, 20.0), JUDGE).expect("the same voice");
        let print = gathering.voiceprint(jiff::Timestamp::UNIX_EPOCH).expect("11 s");
        assert_eq!((print.sessions.len(), print.references[0].windows), (2, 8));
        assert_eq!((print.consent.as_str(), print.subject.as_str()), ("c-1", "alice"));
        let print = Voiceprint { consent: "c-0".to_owned(), ..print };
        let again = Gathering::of(&print, &leave()).expect("it keeps windows");
        assert_eq!((again.consent.as_str(), again.sessions.len()), ("c-1", 2));
    }

    #[test]
    fn a_session_of_another_voice_changes_nothing() {
        let mut gathering = gathering();
        gathering.add(sitting(1, 6.0, 0.0), JUDGE).expect("the first");
        let before = gathering.clone();
        let error = gathering.add(sitting(2, 6.0, 70.0), JUDGE).expect_err("another voice");
        assert!(error.to_string().contains("earlier sessions by 0.34, at least 0.60"), "{error}");
        assert_eq!(gathering, before);
    }

    #[test]
    fn a_hundred_sessions_keep_a_bounded_number_of_windows() {
        let mut gathering = gathering();
        for second in 0..100 {
            gathering.add(sitting(second, 6.0, 0.0), JUDGE).expect("one voice");
        }
        assert!(gathering.models[0].windows.len() <= MOST_WINDOWS);
        assert_eq!((gathering.sessions.len(), gathering.net_speech_s), (SESSIONS, 600.0));
    }
}
