//! A caller who is being enrolled while he speaks: because somebody asked for it, or passively, over
//! as many calls as it takes.

use std::collections::VecDeque;
use std::time::Duration;

use crate::audio::bandwidth::Bandwidth;
use crate::audio::speech_windows::{SpeechWindow, WINDOW};
use crate::audio::tone::Tone;
use crate::call::voices::{Asker, VoiceWork};
use crate::consent::permit::{Enrolment, Permit};
use crate::policy::evidence::{EnrollmentEvidence, EnrollmentState};
use crate::speaker::embedder::{Embedders, Purpose};
use crate::speaker::embedding::Embedding;
use crate::speaker::enrollment::{Embedded, Enrollment};
use crate::speaker::gathering::Gathering;
use crate::speaker::one_voice::Agreement;
use crate::speaker::quality::{LEAST_SPEECH, Quality, Shortcoming};
use crate::speaker::voiceprint::{Source, Voiceprint};

/// Windows that may wait for their answers; of more the oldest are lost, which the coverage then tells.
const WAITING: usize = 4;

/// One caller's enrolment: there is none without leave.
#[derive(Debug)]
pub struct EnrollmentWatch {
    leave: Permit<Enrolment>,
    models: Embedders,
    windows: u64,
    /// Net speech up to which the strong embedder has heard it.
    covered: Duration,
    waiting: VecDeque<Waiting>,
    work: VecDeque<VoiceWork>,
    source: Source,
    started: jiff::Timestamp,
    enrollment: Enrollment,
    /// What earlier sessions left.
    gathering: Gathering,
    bandwidth: Bandwidth,
    /// The fault that was told last.
    fault: Option<Shortcoming>,
    over: bool,
}

/// A window on its way, and how many embedders are still to answer.
#[derive(Debug)]
struct Waiting {
    number: u64,
    window: SpeechWindow,
    missing: u8,
}

/// How the line was, for the gates.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heard {
    /// How far the stream has come.
    pub at: Duration,
    /// Share (0 to 1) of the samples in a flat top.
    pub clipping: f64,
    /// The longest steady tone.
    pub tone: Option<Tone>,
    /// Share (0 to 1) of the speech heard that was analysed.
    pub coverage: f64,
}

/// What an enrolment has come to.
#[derive(Debug)]
pub enum Progress {
    /// Something to be told.
    Evidence(EnrollmentEvidence),
    /// A voiceprint to be kept; the evidence is true once it is.
    Enrolled(Box<Voiceprint>, EnrollmentEvidence),
    /// To be kept until the next call.
    Gathered(Box<Gathering>, EnrollmentEvidence),
}

impl EnrollmentWatch {
    /// Enrols `subject`, by `leave`, in a call that began at `started`. `models` embed; `earlier` is what is known of
    /// the voice already.
    pub fn new(
        subject: &str,
        leave: &Permit<Enrolment>,
        started: jiff::Timestamp,
        source: Source,
        models: &Embedders,
        earlier: Option<Gathering>,
    ) -> Self {
        Self {
            leave: leave.clone(),
            models: models.clone(),
            windows: 0,
            covered: Duration::ZERO,
            waiting: VecDeque::new(),
            work: VecDeque::new(),
            source,
            started,
            enrollment: Enrollment::new(
                started,
                source,
                (models.decide.as_str(), Agreement::RESNET34),
            ),
            gathering: earlier.unwrap_or_else(|| Gathering::new(subject, leave)),
            bandwidth: Bandwidth::default(),
            fault: None,
            over: false,
        }
    }

    /// Its windows are numbered from `next` on: answers to those of an enrolment before it are none to its own.
    #[must_use]
    pub fn after(self, next: u64) -> Self {
        Self { windows: next, ..self }
    }

    /// The number of its next window.
    pub fn windows(&self) -> u64 {
        self.windows
    }

    /// Whether more windows are wanted.
    pub fn wants_windows(&self) -> bool {
        !self.over
    }

    /// That it has begun.
    pub fn begin(&self, heard: &Heard) -> EnrollmentEvidence {
        self.evidence(EnrollmentState::Collecting, None, heard)
    }

    /// Hears the audio as it came, to know its band.
    pub fn hear(&mut self, samples: &[f32], rate: u32) {
        if !self.over {
            self.bandwidth.hear(samples, rate);
        }
    }

    /// Takes the next window, and has the embedders hear it.
    pub fn handle_window(&mut self, window: &SpeechWindow) {
        if self.over {
            return;
        }
        let number = self.windows;
        self.windows += 1;
        let watched = self.models.watch.is_some().then(|| (Purpose::Watch, window.slice()));
        let decided = window.is_whole().then_some((Purpose::Decide, &window.samples[..]));
        let mut missing = 0;
        for (by, samples) in watched.into_iter().chain(decided) {
            let samples = samples.to_vec();
            let SpeechWindow { end, net_speech, .. } = *window;
            let whose = (Asker::Enrollment, by, number);
            self.work.push_back(VoiceWork::new(&self.leave, whose, samples, (end, net_speech)));
            missing += 1;
        }
        if missing > 0 {
            if self.waiting.len() == WAITING {
                self.waiting.pop_front();
            }
            self.waiting.push_back(Waiting { number, window: window.clone(), missing });
        }
    }

    /// Windows that wait for their answers are forgotten, and the answers will count for nothing.
    pub fn discard(&mut self) {
        self.waiting.clear();
        self.work.clear();
    }

    /// What an embedder is to work on.
    pub fn poll_work(&mut self) -> Option<VoiceWork> {
        self.work.pop_front()
    }

    /// Takes an embedder's answer about a window.
    pub fn handle_embedding(
        &mut self,
        by: Purpose,
        number: u64,
        embedding: Option<Embedding>,
        heard: &Heard,
    ) -> Option<Progress> {
        let place = self.waiting.iter().position(|waiting| waiting.number == number)?;
        if self.over {
            return None;
        }
        let model = match by {
            Purpose::Decide => &self.models.decide,
            Purpose::Watch => self.models.watch.as_ref()?,
        };
        let waiting = &mut self.waiting[place];
        waiting.missing -= 1;
        if let Some(embedding) = embedding {
            let window = &waiting.window;
            if by == Purpose::Decide {
                // A window before it that got no answer is still in it, as far as it reaches back.
                let from = self.covered.max(window.net_speech.saturating_sub(WINDOW));
                self.enrollment.hear(window, window.net_speech.saturating_sub(from));
                self.covered = window.net_speech;
            }
            self.enrollment.observe(Embedded { model, window, embedding });
        }
        if self.waiting[place].missing == 0 {
            self.waiting.remove(place);
        }
        // Both have to have heard enough: the strong one is the last to begin.
        if by == Purpose::Watch {
            return None;
        }
        if self.enrollment.analysed() + self.gathering.net_speech() < LEAST_SPEECH {
            return None;
        }
        match self.conclude(heard) {
            Ok((_, Ok(voiceprint))) => Some(self.enrolled(voiceprint, heard)),
            // More speech may mend it: a loud word weighs less, and one voice becomes clearer.
            Ok((_, Err(fault))) | Err(fault) if !self.enrollment.is_full() => {
                let news = self.fault.as_ref().is_none_or(|told| !is_like(told, &fault));
                let evidence = self.evidence(EnrollmentState::Collecting, Some(&fault), heard);
                self.fault = Some(fault);
                news.then_some(Progress::Evidence(evidence))
            }
            Ok((_, Err(fault))) | Err(fault) => Some(self.refused(&fault, heard)),
        }
    }

    /// The leave has gone: it ends here, for `reason`, and nothing is kept.
    pub fn revoke(self, reason: &str, heard: &Heard) -> EnrollmentEvidence {
        let evidence = self.evidence(EnrollmentState::Refused, None, heard);
        EnrollmentEvidence { reason: Some(reason.to_owned()), ..evidence }
    }

    /// The call is over, and every answer is in.
    pub fn finish(&mut self, heard: &Heard) -> Option<Progress> {
        if self.over {
            return None;
        }
        Some(match self.conclude(heard) {
            Ok((_, Ok(voiceprint))) => self.enrolled(voiceprint, heard),
            Ok((gathering, Err(missing)))
                if self.source == Source::Passive && !self.enrollment.analysed().is_zero() =>
            {
                self.over = true;
                let evidence = self.evidence(EnrollmentState::Collecting, Some(&missing), heard);
                Progress::Gathered(Box::new(gathering), evidence)
            }
            Ok((_, Err(fault))) | Err(fault) => self.refused(&fault, heard),
        })
    }

    /// This session with those before, and the voiceprint of them all if it is enough.
    fn conclude(
        &self,
        heard: &Heard,
    ) -> Result<(Gathering, Result<Voiceprint, Shortcoming>), Shortcoming> {
        let quality = Quality {
            net_speech: self.enrollment.analysed(),
            snr_db: self.enrollment.snr_db(),
            clipping: heard.clipping,
            band: self.bandwidth.clone().into(),
            coverage: heard.coverage,
            tone: heard.tone,
        };
        let sitting = self.enrollment.conclude(&quality)?;
        let mut gathering = self.gathering.clone();
        gathering.add(sitting, (&self.models.decide, Agreement::RESNET34))?;
        let created = self.started.checked_add(heard.at).unwrap_or(self.started);
        let voiceprint = gathering.voiceprint(created);
        Ok((gathering, voiceprint))
    }

    fn enrolled(&mut self, voiceprint: Voiceprint, heard: &Heard) -> Progress {
        self.over = true;
        let evidence = self.evidence(EnrollmentState::Enrolled, None, heard);
        Progress::Enrolled(Box::new(voiceprint), evidence)
    }

    fn refused(&mut self, fault: &Shortcoming, heard: &Heard) -> Progress {
        self.over = true;
        Progress::Evidence(self.evidence(EnrollmentState::Refused, Some(fault), heard))
    }

    fn evidence(
        &self,
        state: EnrollmentState,
        reason: Option<&Shortcoming>,
        heard: &Heard,
    ) -> EnrollmentEvidence {
        EnrollmentEvidence {
            subject: self.gathering.subject.clone(),
            state,
            reason: reason.map(ToString::to_string),
            at: heard.at,
            net_speech: self.enrollment.analysed(),
            coverage: heard.coverage,
        }
    }
}

/// Whether two faults are of one kind: the figures alone are no news.
fn is_like(a: &Shortcoming, b: &Shortcoming) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}
