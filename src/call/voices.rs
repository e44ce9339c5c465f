//! Who wants a party's voice embedded, and for what: the comparison with a voiceprint, and an enrolment.

use std::collections::VecDeque;
use std::time::Duration;

use crate::audio::mixed_stream::Chunk;
use crate::audio::speech_windows::SpeechWindow;
use crate::audio::turns::Row;
use crate::audio::voice_activity;
use crate::call::claim_watch::ClaimWatch;
use crate::call::enrollment_watch::{EnrollmentWatch, Heard, Progress};
use crate::call::inference::Withdrawn;
use crate::consent::consents::Refusal;
use crate::consent::permit::{Permit, Processing};
use crate::consent::scope::{Scope, Scopes};
use crate::policy::evidence::{Obstacle, SpeakerEvidence, WatchlistEvidence};
use crate::speaker::adaptation::Step;
use crate::speaker::embedder::Purpose;
use crate::speaker::embedding::Embedding;

/// Speech for an embedder.
#[derive(Clone, Debug)]
pub struct VoiceWork {
    /// Who asks.
    pub asker: Asker,
    /// Which embedder is asked.
    pub by: Purpose,
    /// Which of the asker's windows it is of: its number, from 0.
    pub window: u64,
    /// 16 kHz.
    pub samples: Vec<f32>,
    /// Where the window ends: in stream time, and in speech heard.
    pub end: Duration,
    /// See `end`.
    pub net_speech: Duration,
    /// Nothing makes it but [`VoiceWork::new`], which asks for leave.
    _made: Made,
}

/// What only this file can make.
#[derive(Clone, Debug)]
struct Made;

impl VoiceWork {
    /// The window `window` of `asker`, of which there is leave to have `samples` of `speech` embedded by `by`.
    pub fn new<P: Processing>(
        _leave: &Permit<P>,
        (asker, by, window): (Asker, Purpose, u64),
        samples: Vec<f32>,
        (end, net_speech): (Duration, Duration),
    ) -> Self {
        Self { asker, by, window, samples, end, net_speech, _made: Made }
    }
}

/// Who asks an embedder. Either has its own turn in the queues, so that neither's work replaces the other's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asker {
    /// The comparison with a voiceprint.
    Claim,
    /// An enrolment.
    Enrollment,
}

/// What is to be done, and what was learnt.
#[derive(Debug)]
pub enum VoiceOutput {
    /// Have this embedded.
    Work(VoiceWork),
    /// Have it said who speaks when in this.
    Chunk(Chunk),
    /// One more window was compared with the claim.
    Evidence(SpeakerEvidence),
    /// The caller sounds like a known voice.
    Hit(WatchlistEvidence),
    /// An enrolment has come further.
    Enrollment(Progress),
    /// The call may move the voiceprint so far.
    Adapt(Step),
    /// The comparison is over before the call is, or never begins.
    Ended(Obstacle),
}

/// One party's voice, as far as anybody may listen to it.
#[derive(Debug)]
pub struct Voices {
    claim: Option<ClaimWatch>,
    /// Why no claim is compared any more.
    over: Option<Obstacle>,
    enrollment: Option<Box<EnrollmentWatch>>,
    /// Windows that earlier enrolments numbered: answers to theirs are none to a later one's.
    numbered: u64,
    outputs: VecDeque<VoiceOutput>,
}

impl Voices {
    /// A voice that is compared with a claim, if one may be checked.
    pub fn new(claim: Option<ClaimWatch>) -> Self {
        let (over, enrollment, numbered) = (None, None, 0);
        Self { claim, over, enrollment, numbered, outputs: VecDeque::new() }
    }

    /// From now on the party is being enrolled; a second enrolment takes the place of the first.
    pub fn enroll(&mut self, watch: EnrollmentWatch, heard: &Heard) {
        let watch = watch.after(self.leave_enrollment().map_or(self.numbered, |(_, next)| next));
        let begun = Progress::Evidence(watch.begin(heard));
        self.outputs.push_back(VoiceOutput::Enrollment(begun));
        self.enrollment = Some(Box::new(watch));
    }

    /// From now on the party is compared with a claim. A leg has one: another is not taken, and none once the consent
    /// to it has gone.
    pub fn compare(&mut self, watch: ClaimWatch) {
        match self.over {
            Some(why) => self.outputs.push_back(VoiceOutput::Ended(why)),
            None => {
                self.claim.get_or_insert(watch);
            }
        }
    }

    /// There is no leave for `scopes` any more, for `why`: what rests on it ends here, and answers that are under way
    /// will count for nothing. Gives what is not to be worked on any more.
    pub fn withdraw(&mut self, scopes: Scopes, why: Refusal, heard: &Heard) -> Vec<Withdrawn> {
        let mut withdrawn = Vec::new();
        if scopes.contains(Scope::Verify) {
            let why = *self.over.get_or_insert(why.into());
            if self.claim.take().is_some() {
                let is_news = |output: &VoiceOutput| {
                    !matches!(output, VoiceOutput::Evidence(_) | VoiceOutput::Hit(_))
                };
                self.outputs.retain(is_news);
                self.outputs.push_back(VoiceOutput::Ended(why));
                withdrawn.push(Withdrawn::Claim);
            }
        }
        if let Some(claim) = &mut self.claim {
            if scopes.contains(Scope::Adapt) {
                claim.teach_nothing();
            }
            if scopes.contains(Scope::Watchlist) {
                claim.look_away();
                self.outputs.retain(|output| !matches!(output, VoiceOutput::Hit(_)));
            }
        }
        if scopes.contains(Scope::Enrol)
            && let Some((watch, _)) = self.leave_enrollment()
        {
            if watch.wants_windows() {
                let evidence = watch.revoke(&why.to_string(), heard);
                self.outputs.push_back(VoiceOutput::Enrollment(Progress::Evidence(evidence)));
            }
            withdrawn.push(Withdrawn::Enrollment);
        }
        withdrawn
    }

    /// The enrolment that goes on, which ends here, and the number of the window after its last.
    fn leave_enrollment(&mut self) -> Option<(EnrollmentWatch, u64)> {
        let watch = *self.enrollment.take()?;
        self.numbered = watch.windows();
        Some((watch, self.numbered))
    }

    /// Whether anybody wants windows.
    pub fn want_windows(&self) -> bool {
        self.claim.as_ref().is_some_and(ClaimWatch::wants_windows)
            || self.enrollment.as_ref().is_some_and(|enrollment| enrollment.wants_windows())
    }

    /// Whether anybody wants every frame.
    pub fn want_frames(&self) -> bool {
        self.claim.as_ref().is_some_and(ClaimWatch::wants_frames)
    }

    /// Hears the audio as it came, to know its band.
    pub fn hear(&mut self, samples: &[f32], rate: u32) {
        if let Some(enrollment) = &mut self.enrollment {
            enrollment.hear(samples, rate);
        }
    }

    /// Takes the next window; `concealed` is all the speech so far of which a part was made up.
    pub fn handle_window(&mut self, window: SpeechWindow, concealed: Duration) {
        if let Some(enrollment) = &mut self.enrollment {
            enrollment.handle_window(&window);
        }
        if let Some(claim) = &mut self.claim {
            claim.handle_window(window, concealed);
        }
        self.gather();
    }

    /// Takes the next frame, speech or not.
    pub fn handle_frame(&mut self, heard: voice_activity::Heard) {
        if let Some(claim) = &mut self.claim {
            claim.handle_frame(heard);
        }
        self.gather();
    }

    /// Takes the segmentation model's answer about a chunk; `None` where it failed or never got to it.
    pub fn handle_rows(&mut self, chunk: u32, rows: Option<&[Row]>) {
        if let Some(claim) = &mut self.claim {
            claim.handle_rows(chunk, rows);
        }
        self.gather();
    }

    /// What was heard and neither compared nor gathered is forgotten, and what is to be asked is not asked.
    pub fn discard(&mut self) {
        if let Some(enrollment) = &mut self.enrollment {
            enrollment.discard();
        }
        if let Some(claim) = &mut self.claim {
            claim.discard();
        }
        let asks =
            |output: &VoiceOutput| matches!(output, VoiceOutput::Work(_) | VoiceOutput::Chunk(_));
        self.outputs.retain(|output| !asks(output));
    }

    /// The stream is over; answers may still come.
    pub fn finish(&mut self) {
        if let Some(claim) = &mut self.claim {
            claim.finish();
        }
        self.gather();
    }

    /// Takes an embedder's answer about a window; `None` where it failed or never got to it.
    pub fn handle_embedding(
        &mut self,
        (asker, by, window): (Asker, Purpose, u64),
        embedding: Option<Embedding>,
        heard: &Heard,
    ) {
        match asker {
            Asker::Claim => {
                if let Some(claim) = &mut self.claim {
                    claim.handle_embedding(by, window, embedding);
                }
            }
            Asker::Enrollment => {
                let progress = self.enrollment.as_mut().and_then(|enrollment| {
                    enrollment.handle_embedding(by, window, embedding, heard)
                });
                self.outputs.extend(progress.map(VoiceOutput::Enrollment));
            }
        }
        self.gather();
    }

    /// Every answer is in, and the call is over: what it was worth is told.
    pub fn conclude(&mut self, heard: &Heard) {
        let progress = self.enrollment.take().and_then(|mut enrollment| enrollment.finish(heard));
        self.outputs.extend(progress.map(VoiceOutput::Enrollment));
        let step = self.claim.as_mut().and_then(ClaimWatch::lesson);
        self.outputs.extend(step.map(VoiceOutput::Adapt));
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<VoiceOutput> {
        self.outputs.pop_front()
    }

    fn gather(&mut self) {
        if let Some(enrollment) = &mut self.enrollment {
            let work = std::iter::from_fn(|| enrollment.poll_work());
            self.outputs.extend(work.map(VoiceOutput::Work));
        }
        if let Some(claim) = &mut self.claim {
            let work = std::iter::from_fn(|| claim.poll_work());
            self.outputs.extend(work.map(VoiceOutput::Work));
            let chunks = std::iter::from_fn(|| claim.poll_chunk());
            self.outputs.extend(chunks.map(VoiceOutput::Chunk));
            let evidence = std::iter::from_fn(|| claim.poll_evidence());
            self.outputs.extend(evidence.map(VoiceOutput::Evidence));
            let hits = std::iter::from_fn(|| claim.poll_hit());
            self.outputs.extend(hits.map(VoiceOutput::Hit));
        }
    }
}
