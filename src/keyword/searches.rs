//! The segments of many calls at one model: heard one by one, decoded together.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::keyword::acoustic_model::AcousticModel;
use crate::keyword::schedule::{Schedule, Turn};
use crate::keyword::search::{Need, Search, decode};
use crate::keyword::spotter::{Begun, SpotError, Spotter, Spotting};

/// A segment to be searched; `J` is whose it is.
#[derive(Debug)]
pub struct Job<J> {
    /// Whose it is.
    pub of: J,
    /// When the answer is wanted.
    pub due: Instant,
    /// What it is searched for.
    pub spotter: Arc<Spotter>,
}

/// The searches that go on. They join and leave at every run of the decoder, which does not alter what is found.
#[derive(Debug)]
pub struct Searches<J> {
    schedule: Schedule,
    running: Vec<Running<J>>,
    finished: VecDeque<(J, Option<Spotting>)>,
}

#[derive(Debug)]
struct Running<J> {
    of: J,
    due: Instant,
    search: Search,
}

impl<J> Searches<J> {
    /// None yet.
    pub fn new() -> Self {
        Self { schedule: Schedule::default(), running: Vec::new(), finished: VecDeque::new() }
    }

    /// What is to be done at `now`, where the next job that waits is due by `waiting`.
    pub fn next<M: AcousticModel>(
        &mut self,
        now: Instant,
        model: &M,
        waiting: Option<Instant>,
    ) -> Turn {
        let running: Vec<(Instant, Need)> =
            self.running.iter().map(|running| (running.due, running.search.need())).collect();
        self.schedule.next(now, model.lanes(), &running, waiting)
    }

    /// Hears the `samples` of `job`, and begins to search them if anything may have been said. To be called on
    /// [`Turn::Admit`] only, when a lane is free.
    pub fn admit<M: AcousticModel>(
        &mut self,
        model: &mut M,
        job: Job<J>,
        samples: fn(&J) -> &[f32],
    ) -> Result<(), SpotError<M::Error>> {
        let Job { of, due, spotter } = job;
        match spotter.begin(model, samples(&of)) {
            Ok(Begun::Searching(search)) => self.running.push(Running { of, due, search }),
            Ok(Begun::Searched(spotting)) => self.finished.push_back((of, Some(spotting))),
            Err(error) => {
                self.finished.push_back((of, None));
                return Err(error);
            }
        }
        Ok(())
    }

    /// One run of the decoder: for [`Turn::Step`] or [`Turn::Ask`]. Those whose run failed are done with, without a
    /// result.
    pub fn run<M: AcousticModel>(&mut self, model: &mut M, turn: Turn) -> Result<(), M::Error> {
        match turn {
            Turn::Step => {
                let stepping = self.running.iter_mut().map(|running| &mut running.search);
                let mut stepping: Vec<&mut Search> =
                    stepping.filter(|search| search.need() == Need::Step).collect();
                let result = decode(model, &mut stepping);
                if result.is_err() {
                    while let Some(place) =
                        self.running.iter().position(|other| other.search.need() == Need::Step)
                    {
                        self.fail(model, place);
                    }
                    return result;
                }
            }
            Turn::Ask(place) => {
                if let Err(error) = self.running[place].search.ask(model) {
                    self.fail(model, place);
                    return Err(error);
                }
            }
            Turn::Admit | Turn::Wait => unreachable!("a run is a step or questions"),
        }
        let concluded = |running: &Running<J>| running.search.need() == Need::Conclusion;
        while let Some(place) = self.running.iter().position(concluded) {
            self.conclude(model, place)?;
        }
        Ok(())
    }

    /// How many searches a run of `turn` works on.
    pub fn worked_on(&self, turn: Turn) -> usize {
        match turn {
            Turn::Step => self.running.iter().filter(|r| r.search.need() == Need::Step).count(),
            Turn::Admit | Turn::Ask(_) => 1,
            Turn::Wait => 0,
        }
    }

    /// The next that is done with: its result, none where the model failed.
    pub fn poll(&mut self) -> Option<(J, Option<Spotting>)> {
        self.finished.pop_front()
    }

    fn conclude<M: AcousticModel>(&mut self, model: &mut M, place: usize) -> Result<(), M::Error> {
        let Running { of, search, .. } = self.running.remove(place);
        let lane = search.lane();
        let spotting = search.conclude(model);
        model.close(lane);
        let (spotting, result) = match spotting {
            Ok(spotting) => (Some(spotting), Ok(())),
            Err(error) => (None, Err(error)),
        };
        self.finished.push_back((of, spotting));
        result
    }

    /// The run of the search at `place` failed.
    fn fail<M: AcousticModel>(&mut self, model: &mut M, place: usize) {
        let Running { of, search, .. } = self.running.remove(place);
        model.close(search.lane());
        self.finished.push_back((of, None));
    }
}

impl<J> Default for Searches<J> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;
    use crate::keyword::acoustic_model::tests::{FRAMES_PER_TOKEN, LANES, Parrot};
    use crate::keyword::acoustic_model::{FRAME_SAMPLES, TokenId};
    use crate::keyword::lexicon::Lexicon;
    use crate::keyword::phrase::Phrase;
    use crate::keyword::spotter::Settings;
    use crate::keyword::tokenizer::tests::toy;
    use proptest::prelude::*;
    use std::time::Duration;

    fn token(c: char) -> TokenId {
        if c == ' ' { 259 } else { c as TokenId + 3 }
    }

    fn parrot() -> Parrot {
        let says: Vec<TokenId> = " sat, go to it".chars().map(token).collect();
        let mut model = Parrot::new(&says);
        model.sounds_like =
            vec![(1, token('c'), -2.0), (2, token('u'), -3.0), (6, token('b'), -1.0)];
        model
    }

    fn spotter() -> Arc<Spotter> {
        let phrases = ["cat", "cut", "go to", "bo", "hero"];
        let phrases = phrases.iter().map(|p| Phrase::new(p).expect("a sound phrase")).collect();
        let settings = Settings { threshold: -1.5 };
        Arc::new(Spotter::new(Arc::new(toy(&[" "])), phrases, &Lexicon::default(), settings))
    }

    /// So much of the sentence, at least the first token.
    fn segment(tokens: usize) -> Vec<f32> {
        vec![0.1; tokens * FRAMES_PER_TOKEN * FRAME_SAMPLES]
    }

    /// Searches a segment of each length, with one more waiting after so many runs; the answers by segment.
    fn together(model: &mut Parrot, lengths: &[(usize, usize)]) -> Vec<Option<Spotting>> {
        let (spotter, mut searches) = (spotter(), Searches::new());
        let (now, mut runs) = (Instant::now(), 0);
        let mut waiting: Vec<usize> = (0..lengths.len()).rev().collect();
        let mut answers = vec![None; lengths.len()];
        loop {
            let due = |of: usize| now + Duration::from_millis(1_000 + of as u64);
            let next = waiting.last().copied().filter(|of| lengths[*of].1 <= runs);
            match searches.next(now, model, next.map(due)) {
                Turn::Admit => {
                    let of = waiting.pop().expect("one waits");
                    let job = Job {
                        of: (of, segment(lengths[of].0)),
                        due: due(of),
                        spotter: Arc::clone(&spotter),
                    };
                    searches
                        .admit(model, job, |(_, segment)| segment)
                        .expect("a parrot does not fail");
                }
                Turn::Wait if waiting.is_empty() => return answers,
                Turn::Wait => {}
                turn => searches.run(model, turn).expect("a parrot does not fail"),
            }
            runs += 1;
            while let Some(((of, _), spotting)) = searches.poll() {
                assert_eq!(answers[of], None, "one answer each");
                answers[of] = spotting;
            }
        }
    }

    #[test]
    fn those_who_wait_are_decoded_together_as_far_as_there_are_lanes() {
        let mut model = parrot();
        together(&mut model, &[(16, 0), (16, 0), (16, 0), (16, 0)]);
        assert_eq!(model.batches[0], LANES);
        assert!(
            model.batches.contains(&1),
            "the fourth joins when one has left: {:?}",
            model.batches
        );
    }

    proptest! {
        #[test]
        fn what_is_found_does_not_depend_on_the_company(
            mut lengths in proptest::collection::vec((1_usize..17, 0_usize..40), 1..8)
        ) {
            lengths.sort_by_key(|(_, from)| *from);
            let answers = together(&mut parrot(), &lengths);
            for ((length, _), answer) in lengths.iter().zip(answers) {
                let alone = spotter().spot(&mut parrot(), &segment(*length));
                prop_assert_eq!(answer, Some(alone.expect("a parrot does not fail")));
            }
        }
    }
}
