//! A claim on a leg that several people share: whose turn it is, and whether one of them is the one claimed.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::audio::mixed_stream::{Chunk, MixedStream, Speech};
use crate::audio::pcm::Frame;
use crate::audio::speech_windows::{SpeechWindows, WINDOW_SAMPLES};
use crate::audio::turns::{Row, Talk};
use crate::audio::voice_activity::{Activity, FRAME, FRAME_SAMPLES, Heard};
use crate::call::speaker_watch::{SpeakerWatch, share};
use crate::call::voices::{Asker, VoiceWork};
use crate::policy::evidence::{Obstacle, SpeakerEvidence, WatchlistEvidence};
use crate::speaker::embedder::Purpose;
use crate::speaker::embedding::Embedding;
use crate::speaker::people::{People, Whose};
use crate::speaker::verifier::Decision;

/// Frames of one stretch of speech from which on it is asked whose voice it is, 1.2 s, and at most, 3 s.
const LEAST_TO_PLACE: usize = 60;
const MOST_TO_PLACE: usize = WINDOW_SAMPLES / FRAME_SAMPLES;
/// A pause that ends a stretch.
const PAUSE: Duration = Duration::from_millis(500);

/// Follows the people of a leg and compares each of them with the claim.
///
/// The segmentation model says who of a chunk speaks when, and that two speak at once; but it takes two alike
/// voices for one, and whoever was silent for half a chunk is somebody new to it. So every stretch of up to
/// 3 s that it gives to one of its numbers is embedded, and told to be somebody known, or new, or the agent.
/// What one person says alone then goes, in order, to that person's own comparison, as if it were that
/// person's own leg; overlapped speech goes to none. One question is asked at a time: so nothing depends
/// on how soon a model answers.
#[derive(Debug)]
pub struct MixedWatch {
    /// The comparison as it begins, for each new person.
    fresh: SpeakerWatch,
    stream: MixedStream,
    people: People,
    knows_agent: bool,
    heard_agent: bool,
    persons: Vec<Person>,
    /// Whose each number was last, of those that the newest chunk told of.
    numbers: BTreeMap<u32, Whose>,
    /// Stretches of the newest chunk, in the order of their beginnings.
    stretches: Vec<Stretch>,
    /// How many of the first of them were asked about, or are too short for it.
    asked: usize,
    /// Frames of speech on their way, each with its stretch; `None` where it is in none.
    queue: VecDeque<(Frame, Option<usize>)>,
    open: Option<Open>,
    /// Questions asked so far.
    questions: u64,
    /// Frames of speech that were attributed to one person, and those that were not.
    attributed: u32,
    lost: u32,
    decision: Decision,
    since: Duration,
    work: VecDeque<VoiceWork>,
    evidence: VecDeque<SpeakerEvidence>,
    hits: VecDeque<WatchlistEvidence>,
}

/// One person of the leg.
#[derive(Debug)]
struct Person {
    windows: SpeechWindows,
    watch: SpeakerWatch,
    /// Speech of which a part was made up.
    concealed: Duration,
    newest: Option<SpeakerEvidence>,
}

/// A stretch of speech of one of the model's numbers.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    number: u32,
    /// Frames in it, and the end of the last.
    frames: usize,
    end: Duration,
    /// Whose it is, once that is known.
    whose: Option<Whose>,
}

/// The question that is open.
#[derive(Clone, Copy, Debug)]
enum Open {
    /// Whose this stretch is.
    Placing(usize),
    /// What this person's watch asked, by its own number of the window.
    Comparing(usize, u64),
}

impl MixedWatch {
    /// Compares each person of a leg as `fresh` does, which has heard nothing; the agent's voice is left out
    /// where it is known.
    pub fn new(fresh: SpeakerWatch, agent: Option<Embedding>) -> Self {
        Self {
            fresh,
            stream: MixedStream::new(),
            knows_agent: agent.is_some(),
            heard_agent: false,
            people: People::new(agent),
            persons: Vec::new(),
            numbers: BTreeMap::new(),
            stretches: Vec::new(),
            asked: 0,
            queue: VecDeque::new(),
            open: None,
            questions: 0,
            attributed: 0,
            lost: 0,
            decision: Decision::Collecting,
            since: Duration::ZERO,
            work: VecDeque::new(),
            evidence: VecDeque::new(),
            hits: VecDeque::new(),
        }
    }

    /// Whether more frames are wanted: not once the claimed person was found.
    pub fn wants_frames(&self) -> bool {
        self.decision != Decision::Accepted
    }

    /// Takes the next frame of the leg.
    pub fn handle_frame(&mut self, heard: Heard) {
        if self.wants_frames() {
            self.stream.handle_frame(heard);
        }
    }

    /// What was heard and not compared is forgotten, and what was asked is not waited for.
    pub fn discard(&mut self) {
        self.stream.discard();
        self.numbers.clear();
        self.stretches.clear();
        self.queue.clear();
        self.work.clear();
        (self.asked, self.open) = (0, None);
        for person in &mut self.persons {
            person.windows.discard();
            person.watch.discard();
        }
    }

    /// Nobody's voice is compared with known voices any more, and what was found is not told.
    pub fn look_away(&mut self) {
        self.fresh.look_away();
        self.persons.iter_mut().for_each(|person| person.watch.look_away());
        self.hits.clear();
    }

    /// The leg is over.
    pub fn finish(&mut self) {
        if self.wants_frames() {
            self.stream.finish();
        }
    }

    /// Takes the segmentation model's answer about a chunk; `None` where it failed or never got to it.
    pub fn handle_rows(&mut self, chunk: u32, rows: Option<&[Row]>) {
        self.stream.handle_rows(chunk, rows);
        self.advance();
    }

    /// Takes an embedder's answer; `None` where it failed or never got to it.
    pub fn handle_embedding(&mut self, by: Purpose, question: u64, embedding: Option<Embedding>) {
        if question + 1 != self.questions {
            return;
        }
        match self.open.take() {
            None => {}
            Some(Open::Placing(stretch)) => self.place(stretch, embedding.as_ref()),
            Some(Open::Comparing(person, window)) => {
                self.persons[person].watch.handle_embedding(by, window, embedding);
                self.follow(person);
            }
        }
        self.advance();
    }

    /// What the segmentation model is to be asked about.
    pub fn poll_chunk(&mut self) -> Option<Chunk> {
        self.stream.poll_chunk()
    }

    /// What an embedder is to work on.
    pub fn poll_work(&mut self) -> Option<VoiceWork> {
        self.work.pop_front()
    }

    /// How the claim stands after one more window of the person most like the one claimed.
    pub fn poll_evidence(&mut self) -> Option<SpeakerEvidence> {
        self.evidence.pop_front()
    }

    /// A known voice that somebody's resembles.
    pub fn poll_hit(&mut self) -> Option<WatchlistEvidence> {
        self.hits.pop_front()
    }

    /// Goes on until a question is open or nothing is left to be done.
    fn advance(&mut self) {
        while self.open.is_none() && self.wants_frames() {
            if self.asked < self.stretches.len() {
                self.asked += 1;
                self.ask_whose(self.asked - 1);
            } else if let Some((frame, stretch)) = self.queue.pop_front() {
                self.take(frame, stretch);
            } else if let Some(speech) = self.stream.poll_speech() {
                self.begin(speech);
            } else {
                return;
            }
        }
        if !self.wants_frames() {
            self.queue.clear();
            self.stretches.clear();
            self.stream = MixedStream::new();
        }
    }

    /// Takes what a chunk told, in stretches.
    fn begin(&mut self, speech: Vec<Speech>) {
        self.stretches.clear();
        self.asked = 0;
        let mut open = BTreeMap::<u32, usize>::new();
        for Speech { frame, talk } in speech {
            let stretch = match talk {
                Talk::Nobody | Talk::Overlap => None,
                Talk::One(number) => {
                    let current = open.get(&number).copied().filter(|&current| {
                        let Stretch { frames, end, .. } = self.stretches[current];
                        frames < MOST_TO_PLACE && frame.start <= end + PAUSE
                    });
                    let current = current.unwrap_or_else(|| {
                        let end = frame.start;
                        self.stretches.push(Stretch { number, frames: 0, end, whose: None });
                        self.stretches.len() - 1
                    });
                    open.insert(number, current);
                    let stretch = &mut self.stretches[current];
                    (stretch.frames, stretch.end) = (stretch.frames + 1, frame.end());
                    Some(current)
                }
            };
            self.queue.push_back((frame, stretch));
        }
        self.numbers.retain(|number, _| open.contains_key(number));
    }

    /// Asks whose a stretch is, if it is long enough.
    fn ask_whose(&mut self, number: usize) {
        let Stretch { frames, end, .. } = self.stretches[number];
        if frames < LEAST_TO_PLACE {
            return;
        }
        let of_it = self.queue.iter().filter(|(_, stretch)| *stretch == Some(number));
        let mut samples: Vec<f32> = Vec::with_capacity(WINDOW_SAMPLES);
        of_it.for_each(|(frame, _)| samples.extend_from_slice(&frame.samples));
        // A shorter stretch is repeated, as in the training of such models: some take a whole window only.
        let said = samples.len();
        (said..WINDOW_SAMPLES).for_each(|at| samples.push(samples[at - said]));
        let net_speech = FRAME * u32::try_from(frames).expect("3 s at most");
        let whose = (Asker::Claim, Purpose::Decide, 0);
        let work = VoiceWork::new(self.fresh.leave(), whose, samples, (end, net_speech));
        self.ask(Open::Placing(number), work);
    }

    fn ask(&mut self, question: Open, mut work: VoiceWork) {
        work.window = self.questions;
        self.work.push_back(work);
        self.questions += 1;
        self.open = Some(question);
    }

    /// It is known whose voice a stretch is.
    fn place(&mut self, stretch: usize, voice: Option<&Embedding>) {
        let Some(voice) = voice else { return };
        let number = self.stretches[stretch].number;
        let whose = self.people.place(voice, self.numbers.get(&number).copied());
        self.heard_agent |= whose == Whose::Agent;
        if let Whose::Person(person) = whose
            && person == self.persons.len()
        {
            self.persons.push(Person {
                windows: SpeechWindows::new(),
                watch: self.fresh.clone(),
                concealed: Duration::ZERO,
                newest: None,
            });
        }
        self.numbers.insert(number, whose);
        self.stretches[stretch].whose = Some(whose);
    }

    fn take(&mut self, frame: Frame, stretch: Option<usize>) {
        match stretch.and_then(|stretch| self.whose(stretch)) {
            Some(Whose::Agent) => {}
            Some(Whose::Person(person)) => {
                self.attributed += 1;
                self.hear(person, frame);
            }
            Some(Whose::Nobody) | None => self.lost += 1,
        }
    }

    /// Whose a stretch is; one that was too short to be asked about is taken for whoever its number was in the stretch
    /// before, or else in the next.
    fn whose(&self, stretch: usize) -> Option<Whose> {
        let Stretch { number, whose, .. } = self.stretches[stretch];
        let (before, after) = self.stretches.split_at(stretch);
        let of_number = |other: &&Stretch| other.number == number && other.whose.is_some();
        let near = || before.iter().rev().find(of_number).or_else(|| after.iter().find(of_number));
        whose.or_else(|| near().map_or(self.numbers.get(&number).copied(), |other| other.whose))
    }

    fn hear(&mut self, number: usize, frame: Frame) {
        let person = &mut self.persons[number];
        if frame.concealed {
            person.concealed += FRAME;
        }
        person.windows.handle_frame(&Heard { frame, activity: Activity::Speech });
        // One frame ends one window at most.
        if let Some(window) = person.windows.poll_output() {
            person.watch.handle_window(window, person.concealed);
            self.follow(number);
        }
    }

    /// Passes on what a person's comparison asks and shows.
    fn follow(&mut self, number: usize) {
        let person = &mut self.persons[number];
        if let Some(work) = person.watch.poll_work() {
            let question = Open::Comparing(number, work.window);
            self.ask(question, work);
        }
        while let Some(evidence) = self.persons[number].watch.poll_evidence() {
            self.persons[number].newest = Some(evidence);
            self.tell(number, evidence.at);
        }
        let heard = self.heard();
        while let Some(hit) = self.persons[number].watch.poll_hit() {
            self.hits.push_back(WatchlistEvidence { coverage: hit.coverage * heard, ..hit });
        }
    }

    /// Tells how the claim stands after `person`'s newest window, if it is the one that counts or something changed.
    fn tell(&mut self, person: usize, at: Duration) {
        let decision = self.decide();
        let changed = decision != self.decision;
        if changed {
            (self.decision, self.since) = (decision, at);
        }
        let heard = self.persons.iter().enumerate();
        let newest = heard.filter_map(|(n, person)| Some((n, person.newest?)));
        let likest = newest.max_by(|(_, a), (_, b)| a.llr.total_cmp(&b.llr));
        let Some((likest, evidence)) = likest else { return };
        if likest != person && !changed {
            return;
        }
        let open = (decision == Decision::Inconclusive).then_some(Obstacle::Ambiguous);
        self.evidence.push_back(SpeakerEvidence {
            decision,
            since: self.since,
            reason: evidence.reason.or(open).filter(|_| open.is_some()),
            coverage: evidence.coverage * self.heard(),
            ..evidence
        });
    }

    /// One accepted person is enough. That none of them is the one claimed is said only where the agent is
    /// known, and was heard: else one of those who were rejected is the agent, and the caller may not have
    /// spoken.
    fn decide(&self) -> Decision {
        let newest = self.persons.iter().filter_map(|person| person.newest);
        let decisions: Vec<Decision> = newest.map(|newest| newest.decision).collect();
        let all = |wanted: &[Decision]| decisions.iter().all(|decision| wanted.contains(decision));
        if decisions.contains(&Decision::Accepted) {
            Decision::Accepted
        } else if self.knows_agent && self.heard_agent && all(&[Decision::Rejected]) {
            Decision::Rejected
        } else if all(&[Decision::Rejected, Decision::Inconclusive]) {
            Decision::Inconclusive
        } else {
            Decision::Collecting
        }
    }

    /// The share (0 to 1) of the speech of others than the agent that one person was heard to say.
    fn heard(&self) -> f64 {
        let lost = FRAME * (self.lost + self.stream.forgotten());
        let attributed = FRAME * self.attributed;
        share(attributed, attributed + lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::turns::ROWS;
    use crate::consent::permit::leave;
    use crate::speaker::calibration::Calibration;
    use crate::speaker::embedder::Embedders;
    use crate::speaker::verifier::{Settings, Verifier};
    use crate::speaker::voiceprint::Voiceprint;

    /// What the samples of each are.
    const CALLER: f32 = 0.1;
    const AGENT: f32 = 0.2;
    const BOTH: f32 = 0.3;

    fn direction(coordinates: [f32; 3], noise: u64) -> Embedding {
        let mut random = fastrand::Rng::with_seed(noise);
        let noise = (0..29).map(|_| 0.11 * (random.f32() - 0.5) * 2.0);
        Embedding::from_raw(coordinates.into_iter().chain(noise).collect()).expect("a direction")
    }

    /// Who says a sample; one frame in five is quiet.
    fn is(sample: f32, who: f32) -> bool {
        let sample = if sample < 0.05 { sample * 50.0 } else { sample };
        (sample - who).abs() < 0.01
    }

    /// The voice of whoever says most of `samples`.
    fn voice(samples: &[f32]) -> Embedding {
        let caller = samples.iter().filter(|sample| is(**sample, CALLER)).count();
        let coordinates =
            if 2 * caller > samples.len() { [0.75, 0.5, 0.0] } else { [0.1, 0.0, 0.8] };
        direction(coordinates, samples.iter().map(|sample| u64::from(sample.to_bits())).sum())
    }

    fn voiceprint(subject: &str, coordinates: [f32; 3]) -> Voiceprint {
        let made = jiff::Timestamp::UNIX_EPOCH;
        let reference = Embedding::from_raw(
            coordinates.into_iter().chain(std::iter::repeat_n(0.0, 29)).collect(),
        );
        let reference = reference.expect("a direction");
        Voiceprint::of_embedding(subject, "c-1", made, 12.0, ("m@1", reference))
    }

    /// A claim to be `coordinates`' voice.
    fn watch(coordinates: [f32; 3], agent: Option<[f32; 3]>) -> MixedWatch {
        let models = Embedders { decide: "m@1".to_owned(), watch: None };
        let verifier = Verifier::new(Calibration::RESNET34_GE2E, Settings::default());
        let print = voiceprint("alice", coordinates);
        let watch = SpeakerWatch::new(&leave(), Some(&print), &models, verifier);
        let agent = agent.map(|agent| voiceprint("agent", agent).references[0].embedding.clone());
        MixedWatch::new(watch.expect("a voiceprint"), agent)
    }

    const ALICE: [f32; 3] = [1.0, 0.0, 0.0];
    const CLERK: [f32; 3] = [0.0, 0.0, 1.0];
    const STRANGER: [f32; 3] = [0.0, -1.0, 0.0];

    /// Turns of 4 s by either, with half a second of both between them.
    fn dialogue(seconds: u32) -> Vec<Heard> {
        let mut random = fastrand::Rng::with_seed(1);
        (0..seconds * 50)
            .map(|n| {
                let who = match n % 450 {
                    0..200 => AGENT,
                    225..425 => CALLER,
                    _ => BOTH,
                };
                let gain = if n % 5 == 0 { 0.02 } else { 1.0 };
                let sample = |_| gain * (who + 0.005 * (random.f32() - 0.5));
                let samples = (0..FRAME_SAMPLES).map(sample).collect();
                let frame = Frame { samples, start: FRAME * n, concealed: false };
                Heard { frame, activity: Activity::Speech }
            })
            .collect()
    }

    /// What the model would say: the caller in one column, the agent in another.
    fn rows(chunk: &Chunk) -> Vec<Row> {
        let row = |row: usize| {
            let at = chunk.samples[(495 + row * 270).min(chunk.samples.len() - 1)];
            let talks = |who: f32| is(at, who) || is(at, BOTH);
            [talks(AGENT), false, talks(CALLER)]
        };
        (0..ROWS).map(row).collect()
    }

    struct Told {
        evidence: Vec<SpeakerEvidence>,
        works: Vec<VoiceWork>,
    }

    /// Hears a dialogue; each answer comes `delay` frames after its question.
    fn hear(mut watch: MixedWatch, frames: Vec<Heard>, delay: usize) -> Told {
        let (mut evidence, mut works) = (Vec::new(), Vec::new());
        let mut chunks = VecDeque::new();
        let mut asked = VecDeque::new();
        let last = frames.len();
        let mut frames = frames.into_iter();
        for n in 0.. {
            match frames.next() {
                Some(frame) => watch.handle_frame(frame),
                None if n == last => watch.finish(),
                None => {}
            }
            if let Some((_, chunk)) = chunks.pop_front_if(|(at, _): &mut (usize, Chunk)| *at <= n) {
                watch.handle_rows(chunk.number, Some(&rows(&chunk)));
            }
            let due = |(at, _): &mut (usize, VoiceWork)| *at <= n;
            while let Some((_, work)) = asked.pop_front_if(due) {
                watch.handle_embedding(work.by, work.window, Some(voice(&work.samples)));
                works.push(work);
                asked.extend(watch.poll_work().map(|work| (n + delay, work)));
            }
            chunks.extend(watch.poll_chunk().map(|chunk| (n + delay, chunk)));
            asked.extend(watch.poll_work().map(|work| (n + delay, work)));
            evidence.extend(std::iter::from_fn(|| watch.poll_evidence()));
            if n > last && chunks.is_empty() && asked.is_empty() {
                break;
            }
        }
        Told { evidence, works }
    }

    fn last(heard: &Told) -> Decision {
        heard.evidence.last().expect("evidence").decision
    }

    #[test]
    fn the_claimed_one_is_found_whoever_else_speaks_and_then_nobody_is_listened_to() {
        let heard = hear(watch(ALICE, None), dialogue(60), 0);
        assert_eq!(last(&heard), Decision::Accepted);
        assert!(heard.works.iter().all(|work| work.end < Duration::from_secs(20)));
        assert!(heard.evidence.iter().all(|evidence| evidence.coverage < 0.95), "both at once");
    }

    #[test]
    fn what_two_say_at_once_is_never_embedded() {
        let heard = hear(watch(STRANGER, None), dialogue(60), 0);
        for work in &heard.works {
            let share = work.samples.iter().filter(|sample| is(**sample, BOTH)).count();
            // A row of the model is no multiple of a frame.
            assert!(share <= 4 * FRAME_SAMPLES, "{share} samples at {:?}", work.end);
        }
        assert!(heard.works.len() > 20);
    }

    #[test]
    fn nobody_is_rejected_unless_the_agent_is_known() {
        let heard = hear(watch(STRANGER, None), dialogue(90), 0);
        assert!(heard.evidence.iter().all(|evidence| evidence.decision != Decision::Rejected));
        assert_eq!(last(&heard), Decision::Inconclusive);
        assert_eq!(heard.evidence.last().expect("evidence").reason, Some(Obstacle::Ambiguous));
        let heard = hear(watch(STRANGER, Some(CLERK)), dialogue(90), 0);
        assert_eq!(last(&heard), Decision::Rejected);
    }

    #[test]
    fn the_agent_s_own_voice_is_not_compared() {
        let heard = hear(watch(CLERK, Some(CLERK)), dialogue(60), 0);
        assert_ne!(last(&heard), Decision::Accepted);
        let heard = hear(watch(CLERK, None), dialogue(60), 0);
        assert_eq!(last(&heard), Decision::Accepted);
    }

    #[test]
    fn the_decision_does_not_depend_on_how_soon_models_answer() {
        for claim in [ALICE, STRANGER] {
            let at_once = hear(watch(claim, Some(CLERK)), dialogue(60), 0);
            for delay in [1, 7, 40] {
                let later = hear(watch(claim, Some(CLERK)), dialogue(60), delay);
                assert_eq!(later.evidence, at_once.evidence, "after {delay} frames");
            }
        }
    }

    #[test]
    fn a_model_that_fails_leaves_the_question_open() {
        let mut watch = watch(ALICE, None);
        for frame in dialogue(40) {
            watch.handle_frame(frame);
            if let Some(chunk) = watch.poll_chunk() {
                watch.handle_rows(chunk.number, None);
            }
        }
        assert_eq!(watch.poll_evidence(), None);
        assert!(watch.wants_frames());
        assert_eq!(watch.heard(), 0.0);
    }
}
