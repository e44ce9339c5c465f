//! Whether a party is compared with a voiceprint, by which embedder when, and what comes of it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::audio::speech_windows::{SpeechWindow, WINDOW};
use crate::call::adaptation_watch::AdaptationWatch;
use crate::call::voices::{Asker, VoiceWork};
use crate::consent::permit::{Permit, Verification};
use crate::policy::evidence::{Obstacle, SpeakerEvidence, WatchlistEvidence};
use crate::speaker::adaptation::Step as Lesson;
use crate::speaker::calibration::{Comparison, Conditions, Likeness};
use crate::speaker::embedder::{Embedders, Purpose};
use crate::speaker::embedding::Embedding;
use crate::speaker::verifier::Verifier;
use crate::speaker::voiceprint::Voiceprint;
use crate::speaker::watchlist::Watchlist;

/// Windows that may wait for their answers: four are 2.8 s of speech and 0.8 MB. Models that are
/// further behind lose the oldest, which the coverage then tells.
const WAITING: usize = 4;
/// Slices whose voices are remembered: those of one whole window.
const SLICES: usize = 3;
/// Whole windows whose voices are remembered, to know them again: half a minute of them.
const REMEMBERED: usize = 48;
/// From this cosine on, a window says again what an earlier one said: the same recording.
///
/// Two windows of one person that share no speech come to .90 at most (2,041 pairs of 28 readers, mu-law);
/// the same speech cut half a step elsewhere to .91 in all but one of a hundred (477 pairs).
const SAME_SPEECH: f32 = 0.92;

/// The comparison of one caller's voice with a voiceprint: there is none without leave.
///
/// Every window is asked of the cheap embedder at once, and of the strong one if the verifier wants
/// it when its turn comes. Windows have their turns in the order of the speech, each when all its
/// answers are there: so the decision is the same however late, or in whatever batches, models
/// answer.
#[derive(Clone, Debug)]
pub struct SpeakerWatch {
    leave: Permit<Verification>,
    decide: Embedding,
    watch: Option<Embedding>,
    verifier: Verifier,
    adaptation: Option<Box<AdaptationWatch>>,
    watchlist: Option<Watchlist>,
    windows: u64,
    waiting: VecDeque<Step>,
    /// Voices of the newest slices, the oldest first.
    slices: VecDeque<Embedding>,
    /// Voices of whole windows, each with the net speech at its end.
    whole: VecDeque<(Duration, Embedding)>,
    /// Speech offered, and speech that was compared.
    offered: Duration,
    compared: Duration,
    /// Concealed speech at the newest window, in all.
    concealed: Duration,
    /// What was heard before is forgotten, and no whole window has come since.
    anew: bool,
    work: VecDeque<VoiceWork>,
    evidence: VecDeque<SpeakerEvidence>,
    hits: VecDeque<WatchlistEvidence>,
}

/// A window on its way.
#[derive(Clone, Debug)]
struct Step {
    number: u64,
    window: SpeechWindow,
    conditions: Conditions,
    /// Speech offered and concealed by then.
    offered: Duration,
    concealed: Duration,
    slice: Slot,
    whole: Slot,
}

#[derive(Clone, Debug)]
enum Slot {
    Unasked,
    Asked,
    Answered(Option<Embedding>),
}

impl Slot {
    fn take(&mut self) -> Option<Embedding> {
        match std::mem::replace(self, Self::Answered(None)) {
            Self::Answered(embedding) => embedding,
            Self::Unasked | Self::Asked => None,
        }
    }
}

impl SpeakerWatch {
    /// Compares with `voiceprint`, by `leave`; the embedders in use are `models`. A voiceprint that only the strong
    /// one made does without the cheap one.
    pub fn new(
        leave: &Permit<Verification>,
        voiceprint: Option<&Voiceprint>,
        models: &Embedders,
        verifier: Verifier,
    ) -> Result<Self, Obstacle> {
        let voiceprint = voiceprint.ok_or(Obstacle::NoVoiceprint)?;
        let of = |model: &String| voiceprint.reference(model).map(|of| of.embedding.clone());
        Ok(Self {
            leave: leave.clone(),
            decide: of(&models.decide).ok_or(Obstacle::OtherModel)?,
            watch: models.watch.as_ref().and_then(of),
            verifier,
            adaptation: None,
            watchlist: None,
            windows: 0,
            waiting: VecDeque::new(),
            slices: VecDeque::new(),
            whole: VecDeque::new(),
            offered: Duration::ZERO,
            compared: Duration::ZERO,
            concealed: Duration::ZERO,
            anew: false,
            work: VecDeque::new(),
            evidence: VecDeque::new(),
            hits: VecDeque::new(),
        })
    }

    /// By what leave it compares.
    pub fn leave(&self) -> &Permit<Verification> {
        &self.leave
    }

    /// From the beginning on the call may teach the voiceprint.
    pub fn adapt(&mut self, watch: AdaptationWatch) {
        self.adaptation = Some(Box::new(watch));
    }

    /// The same windows are compared with known voices.
    pub fn look_out(&mut self, watchlist: Watchlist) {
        self.watchlist = Some(watchlist);
    }

    /// The call teaches nothing after all.
    pub fn teach_nothing(&mut self) {
        self.adaptation = None;
    }

    /// No more windows are compared with known voices, and what was found is not told.
    pub fn look_away(&mut self) {
        self.watchlist = None;
        self.hits.clear();
    }

    /// A known voice that the caller's resembles.
    pub fn poll_hit(&mut self) -> Option<WatchlistEvidence> {
        self.hits.pop_front()
    }

    /// The call is over: what it may teach the voiceprint, if anything.
    pub fn lesson(&mut self) -> Option<Lesson> {
        self.adaptation.take().and_then(|watch| watch.finish())
    }

    /// Whether more windows are wanted: not once nothing can change any more.
    pub fn wants_windows(&self) -> bool {
        !self.verifier.is_final()
    }

    /// Takes the next window; `concealed` is all the speech so far of which a part was made up.
    pub fn handle_window(&mut self, window: SpeechWindow, concealed: Duration) {
        self.offered += window.fresh;
        if self.verifier.is_final() {
            return;
        }
        let lost = concealed.saturating_sub(self.concealed);
        self.concealed = concealed;
        let number = self.windows;
        self.windows += 1;
        let slice = match &self.watch {
            Some(_) => {
                self.ask(Purpose::Watch, number, &window, window.slice());
                Slot::Asked
            }
            None => Slot::Answered(None),
        };
        if self.waiting.len() == WAITING {
            self.waiting.pop_front();
            self.slices.clear();
        }
        let conditions = Conditions {
            range_db: window.range_db(),
            upper_db: window.upper_db(),
            concealed: share(lost, lost + window.fresh),
        };
        self.waiting.push_back(Step {
            number,
            window,
            conditions,
            offered: self.offered,
            concealed,
            slice,
            whole: Slot::Unasked,
        });
        self.advance();
    }

    /// Windows that wait for their answers are forgotten, and the answers will count for nothing.
    pub fn discard(&mut self) {
        let forgotten = self.waiting.drain(..).map(|step| step.window.fresh).sum();
        // Nobody failed to work on it: it was not to be worked on.
        self.offered = self.offered.saturating_sub(forgotten);
        self.slices.clear();
        self.work.clear();
        self.anew = true;
    }

    /// Takes an embedder's answer about a window; `None` where it failed or never got to it.
    pub fn handle_embedding(&mut self, by: Purpose, window: u64, embedding: Option<Embedding>) {
        let Some(step) = self.waiting.iter_mut().find(|step| step.number == window) else { return };
        match by {
            Purpose::Watch => step.slice = Slot::Answered(embedding),
            Purpose::Decide => step.whole = Slot::Answered(embedding),
        }
        self.advance();
    }

    /// What an embedder is to work on.
    pub fn poll_work(&mut self) -> Option<VoiceWork> {
        self.work.pop_front()
    }

    /// What a window showed.
    pub fn poll_evidence(&mut self) -> Option<SpeakerEvidence> {
        self.evidence.pop_front()
    }

    /// Gives every window its turn whose answers are there.
    fn advance(&mut self) {
        while let Some(mut step) = self.waiting.pop_front() {
            if matches!(step.slice, Slot::Asked) || matches!(step.whole, Slot::Asked) {
                self.waiting.push_front(step);
                return;
            }
            if matches!(step.whole, Slot::Unasked) {
                self.hear_slice(step.slice.take());
            }
            let comparison = self.compare(&step);
            if matches!(step.whole, Slot::Unasked)
                && step.window.is_whole()
                && self.verifier.wants_decision(&comparison)
            {
                self.ask(Purpose::Decide, step.number, &step.window, &step.window.samples);
                step.whole = Slot::Asked;
                self.waiting.push_front(step);
                return;
            }
            self.conclude(&mut step, comparison);
            if self.verifier.is_final() {
                self.waiting.clear();
            }
        }
    }

    fn ask(&mut self, by: Purpose, number: u64, window: &SpeechWindow, samples: &[f32]) {
        let SpeechWindow { end, net_speech, .. } = *window;
        let whose = (Asker::Claim, by, number);
        let work = VoiceWork::new(&self.leave, whose, samples.to_vec(), (end, net_speech));
        self.work.push_back(work);
    }

    fn hear_slice(&mut self, slice: Option<Embedding>) {
        match slice {
            // Slices on either side of one that is missing are not of one window.
            None => self.slices.clear(),
            Some(slice) => {
                self.slices.push_back(slice);
                if self.slices.len() > SLICES {
                    self.slices.pop_front();
                }
            }
        }
    }

    /// What is known of a window without the strong embedder.
    fn compare(&self, step: &Step) -> Comparison {
        let reference = self.watch.as_ref();
        // The references are of the models in use, as `new` saw to: their dimensions are equal.
        let watch = reference.zip(Embedding::mean(&self.slices)).and_then(|(r, e)| r.cosine(&e));
        Comparison {
            likeness: Likeness { decide: None, watch },
            conditions: step.conditions,
            net_speech: step.window.net_speech,
            fresh: 0.0,
        }
    }

    fn conclude(&mut self, step: &mut Step, mut comparison: Comparison) {
        let whole = step.whole.take();
        if let Some(voice) = &whole {
            comparison.likeness.decide = voice.cosine(&self.decide);
            comparison.fresh = self.fresh(step, voice);
        }
        if comparison.likeness == Likeness::default() {
            return;
        }
        self.compared += step.window.fresh;
        // One slice alone errs more often than the calibration of three says. At the beginning of a call that costs
        // time, of an accepted caller it would be taken for a change.
        if self.anew && !step.window.is_whole() {
            return;
        }
        self.anew = false;
        let decision = self.verifier.observe(&comparison, step.window.end);
        let coverage = share(self.compared, step.offered + step.concealed);
        if let (Some(watchlist), Some(voice)) = (&mut self.watchlist, &whole) {
            let slices = Embedding::mean(&self.slices);
            let hits = watchlist.observe(voice, slices.as_ref(), step.conditions, comparison.fresh);
            self.hits.extend(hits.into_iter().map(|hit| WatchlistEvidence {
                hit,
                at: step.window.end,
                net_speech: step.window.net_speech,
                coverage,
            }));
        }
        let evidence = SpeakerEvidence {
            decision,
            since: self.verifier.since(),
            at: step.window.end,
            llr: self.verifier.llr(),
            newest: comparison,
            newest_llr: self.verifier.newest_llr(),
            probability: self.verifier.probability(),
            reason: self.verifier.reason().map(Obstacle::from),
            net_speech: step.window.net_speech,
            coverage,
        };
        if let Some(adaptation) = &mut self.adaptation {
            adaptation.observe(step.window.fresh, whole.as_ref(), self.slices.back(), &evidence);
        }
        self.evidence.push_back(evidence);
    }

    /// The share of a whole window that `voice`'s adds to what was heard: nothing if its speech was heard
    /// before, because a recording began anew.
    fn fresh(&mut self, step: &Step, voice: &Embedding) -> f64 {
        let start = step.window.net_speech.saturating_sub(WINDOW);
        let again = self
            .whole
            .iter()
            .any(|(end, earlier)| *end <= start && earlier.cosine(voice) >= Some(SAME_SPEECH));
        if again {
            return 0.0;
        }
        let first = self.whole.is_empty();
        self.whole.push_back((step.window.net_speech, voice.clone()));
        if self.whole.len() > REMEMBERED {
            self.whole.pop_front();
        }
        if first { 1.0 } else { step.window.fresh.as_secs_f64() / WINDOW.as_secs_f64() }
    }
}

/// `part` of `whole` in [0, 1]; all of it while there is nothing yet.
pub(super) fn share(part: Duration, whole: Duration) -> f64 {
    if whole.is_zero() { 1.0 } else { (part.as_secs_f64() / whole.as_secs_f64()).min(1.0) }
}
