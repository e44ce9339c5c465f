//! One segment on its way through the decoder: written down token by token, then asked about phrases.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::keyword::acoustic_model::{AcousticModel, BEGIN, END, FRAME, Lane, Query, TokenId};
use crate::keyword::digit_search::{Run, confirmed};
use crate::keyword::language::Language;
use crate::keyword::locator::{Locator, Place};
use crate::keyword::phone_search::Span;
use crate::keyword::spotter::{Candidate, Hit, Spotter, Spotting};
use crate::keyword::transcript::Transcript;

/// 6.5 tokens per second of speech: nobody speaks faster, but a decoder that has lost its place
/// repeats itself for ever (Moonshine's own limit).
const TOKENS_PER_SECOND: f64 = 6.5;
/// No phrase begins where its first token is less probable than e^-9: it bounds the cost of short
/// lists of common words, and was in force when the threshold was measured.
const FIRST_TOKEN_GATE: f32 = -9.0;
/// Tokens that are fed in one run of questions: 7 ms, in which nobody else's segment is decoded. A token among
/// 32 costs a fifth of one alone.
const ASKED_AT_ONCE: usize = 32;

/// What the phones do not rule out in a segment.
#[derive(Debug, Default)]
pub struct Suspects {
    /// Phrases.
    pub phrases: Vec<Candidate>,
    /// Digits in a row.
    pub digits: Vec<(Language, Run)>,
    /// Phrases that are decided already, by their phones or by examples alone.
    pub found: Vec<Hit>,
}

/// The decoding of one segment, in a lane of its own.
#[derive(Debug)]
pub struct Search {
    spotter: Arc<Spotter>,
    candidates: Vec<Candidate>,
    digits: Vec<(Language, Run)>,
    found: Vec<Hit>,
    lane: Lane,
    frames: usize,
    /// Tokens that so much speech can hold.
    limit: usize,
    tokens: Vec<TokenId>,
    /// At every place of the text, how probable each spelling's first token is there.
    first_tokens: Vec<Vec<f32>>,
    stage: Stage,
}

/// What a search needs next.
#[derive(Debug)]
enum Stage {
    /// To have this token fed.
    Decoding(TokenId),
    /// To have these asked, the most promising last; the best answers so far by candidate.
    Asking { questions: Vec<Question>, best: Vec<Option<Guess>>, transcript: Transcript },
}

/// What if this spelling came at this place?
#[derive(Clone, Copy, Debug)]
struct Question {
    candidate: usize,
    spelling: usize,
    place: usize,
}

/// The best place for a phrase that the model did not write.
#[derive(Clone, Copy, Debug)]
struct Guess {
    score: f32,
    place: usize,
    spelling: usize,
}

/// What a search needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A step of the decoder, by [`decode`], together with others.
    Step,
    /// A run of questions, by [`Search::ask`].
    Answers,
    /// Nothing more: [`Search::conclude`].
    Conclusion,
}

impl Search {
    /// Begins to look for `suspects` in a segment of `frames` that has a `lane`.
    pub fn new(spotter: Arc<Spotter>, suspects: Suspects, lane: Lane, frames: usize) -> Self {
        let Suspects { phrases: candidates, digits, found } = suspects;
        let seconds = (FRAME * u32::try_from(frames).unwrap_or(u32::MAX)).as_secs_f64();
        let limit = (seconds * TOKENS_PER_SECOND).ceil() as usize;
        let (tokens, first_tokens) = (Vec::new(), Vec::new());
        let stage = Stage::Decoding(BEGIN);
        Self {
            spotter,
            candidates,
            digits,
            found,
            lane,
            frames,
            limit,
            tokens,
            first_tokens,
            stage,
        }
    }

    /// Where it is decoded.
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// What it needs next.
    pub fn need(&self) -> Need {
        match &self.stage {
            Stage::Decoding(_) => Need::Step,
            Stage::Asking { questions, .. } if questions.is_empty() => Need::Conclusion,
            Stage::Asking { .. } => Need::Answers,
        }
    }

    /// `log_p` of every token at the next place of the text: the most probable one is taken, until the model says
    /// [`END`] or so much speech can hold no more.
    fn handle_step(&mut self, log_p: &[f32]) {
        let spellings = self.spotter.spellings();
        self.first_tokens.push(spellings.iter().map(|s| log_p[s.tokens[0] as usize]).collect());
        let token = most_probable(log_p);
        if token != END {
            self.tokens.push(token);
            if self.tokens.len() < self.limit {
                self.stage = Stage::Decoding(token);
                return;
            }
        }
        let transcript = Transcript::new(self.spotter.tokenizer(), &self.tokens);
        let mut best = vec![None; self.candidates.len()];
        let mut questions = Vec::new();
        for (candidate, best) in best.iter_mut().enumerate() {
            if self.written(candidate, &transcript).is_empty() {
                self.weigh_first_tokens(candidate, best, &mut questions);
            }
        }
        // Who begins most probably is asked first, and may spare the others: the questions are taken from the end.
        let promise = |question: &Question| {
            let length = self.spotter.spellings()[question.spelling].tokens.len() as f32;
            self.first_tokens[question.place][question.spelling] / length
        };
        questions.sort_by(|one, other| promise(one).total_cmp(&promise(other)));
        self.stage = Stage::Asking { questions, best, transcript };
    }

    /// Where the model wrote a candidate by itself, in the order of time.
    fn written(&self, candidate: usize, transcript: &Transcript) -> Vec<Range<usize>> {
        let phrase = &self.spotter.phrases()[self.candidates[candidate].phrase];
        let forms = phrase.normal_forms();
        let mut written: Vec<_> = forms.iter().flat_map(|form| transcript.find(form)).collect();
        written.sort_by_key(|tokens| tokens.start);
        written
    }

    /// Where a candidate may begin; a spelling of one token is answered by that.
    fn weigh_first_tokens(
        &self,
        candidate: usize,
        best: &mut Option<Guess>,
        questions: &mut Vec<Question>,
    ) {
        let phrase = self.candidates[candidate].phrase;
        let spellings = self.spotter.spellings().iter().enumerate();
        for (spelling, of) in spellings.filter(|(_, of)| of.phrase == phrase) {
            for (place, log_p) in self.first_tokens.iter().enumerate() {
                let question = Question { candidate, spelling, place };
                if !self.may_be(question, *best) {
                    continue;
                }
                if of.tokens.len() == 1 {
                    self.weigh(question, log_p[spelling], best);
                } else {
                    questions.push(question);
                }
            }
        }
    }

    /// Whether the first token leaves room for enough. No log-probability exceeds 0, so one token can already spend
    /// what all may.
    fn may_be(&self, question: Question, best: Option<Guess>) -> bool {
        let length = self.spotter.spellings()[question.spelling].tokens.len() as f32;
        let floor = best.map_or(self.least(question.candidate), |best| best.score) * length;
        self.first_tokens[question.place][question.spelling] >= floor.max(FIRST_TOKEN_GATE)
    }

    /// What the decoder must say of a candidate at least, nats per token.
    fn least(&self, candidate: usize) -> f32 {
        let candidate = &self.candidates[candidate];
        self.spotter.threshold_of(candidate.phrase) - candidate.phones()
    }

    /// `sum` is the log-probability of all tokens of the question's spelling.
    fn weigh(&self, question: Question, sum: f32, best: &mut Option<Guess>) {
        let Question { candidate, spelling, place } = question;
        let score = sum / self.spotter.spellings()[spelling].tokens.len() as f32;
        if score >= self.least(candidate) && best.is_none_or(|best| score > best.score) {
            *best = Some(Guess { score, place, spelling });
        }
    }

    /// Has the most promising questions answered, in one run of the decoder.
    pub fn ask<M: AcousticModel>(&mut self, model: &mut M) -> Result<(), M::Error> {
        let stage = std::mem::replace(&mut self.stage, Stage::Decoding(END));
        let Stage::Asking { mut questions, mut best, transcript } = stage else {
            unreachable!("only a search that needs answers is asked")
        };
        let spotter = Arc::clone(&self.spotter);
        let spelt = |question: &Question| &spotter.spellings()[question.spelling].tokens[..];
        let (mut asked, mut tokens) = (Vec::new(), 0);
        while let Some(question) = questions.pop() {
            if !self.may_be(question, best[question.candidate]) {
                continue;
            }
            tokens += spelt(&question).len() - 1;
            if tokens > ASKED_AT_ONCE && !asked.is_empty() {
                questions.push(question);
                break;
            }
            asked.push(question);
        }
        let mut sums: Vec<f32> =
            asked.iter().map(|q| self.first_tokens[q.place][q.spelling]).collect();
        let queries: Vec<Query<'_>> = asked
            .iter()
            .map(|question| {
                let tokens = spelt(question);
                Query { history: question.place + 1, tokens: &tokens[..tokens.len() - 1] }
            })
            .collect();
        if !queries.is_empty() {
            model.score(self.lane, 0..self.frames, &queries, &mut |question, at, log_p| {
                sums[question] += log_p[spelt(&asked[question])[at + 1] as usize];
            })?;
        }
        for (question, sum) in asked.into_iter().zip(sums) {
            self.weigh(question, sum, &mut best[question.candidate]);
        }
        self.stage = Stage::Asking { questions, best, transcript };
        Ok(())
    }

    /// What was said, once nothing more is needed; when, where the phones do not tell, by a [`Locator`].
    pub fn conclude<M: AcousticModel>(self, model: &mut M) -> Result<Spotting, M::Error> {
        let Stage::Asking { best, transcript, .. } = &self.stage else {
            unreachable!("only a search that needs nothing more is concluded")
        };
        let spellings = self.spotter.spellings();
        let mut hits = Vec::new();
        for (number, candidate) in self.candidates.iter().enumerate() {
            let phrase = candidate.phrase;
            let place = |start: usize, text| Place { context: &self.tokens[..start], text };
            let written = self.written(number, transcript);
            let mut places: Vec<Place<'_>> = written
                .into_iter()
                .map(|tokens| place(tokens.start, &self.tokens[tokens]))
                .collect();
            let (exact, mut score, mut decoder) = (!places.is_empty(), 0.0, 0.0);
            if let Some(guess) = best[number] {
                places.push(place(guess.place, &spellings[guess.spelling].tokens));
                (score, decoder) = (guess.score + candidate.phones(), guess.score);
            }
            let times = match &candidate.spans[..] {
                spans if spans.len() >= places.len() => times(&spans[..places.len()]),
                _ => Locator { model, lane: self.lane, frames: self.frames }.locate(&places)?,
            };
            for Range { start, end } in times {
                hits.push(Hit { phrase, score, decoder, exact, start, end });
            }
        }
        let Stage::Asking { transcript, .. } = self.stage else { unreachable!("as above") };
        let digits = confirmed(self.digits, &transcript);
        let mut hits = self.spotter.without_rivals(&hits);
        hits.extend(self.found);
        hits.sort_by_key(|hit| (hit.phrase, hit.start));
        Ok(Spotting { hits, transcript, digits })
    }
}

/// One step of the decoder for all of `searches` that need one, in one run.
pub fn decode<M: AcousticModel>(
    model: &mut M,
    searches: &mut [&mut Search],
) -> Result<(), M::Error> {
    let fed: Vec<(Lane, TokenId)> = searches
        .iter()
        .map(|search| match search.stage {
            Stage::Decoding(token) => (search.lane, token),
            Stage::Asking { .. } => unreachable!("only a search that needs a step is stepped"),
        })
        .collect();
    model.step(&fed, &mut |place, log_p| searches[place].handle_step(log_p))
}

/// The place of the highest log-probability; the first of equals.
fn most_probable(log_p: &[f32]) -> TokenId {
    let highest = log_p.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    log_p.iter().position(|p| *p == highest).unwrap_or_default() as TokenId
}

/// When what lies in `spans` was said, in the order of time.
fn times(spans: &[Span]) -> Vec<Range<Duration>> {
    let at = |frame: usize| FRAME * u32::try_from(frame).expect("a segment of some seconds");
    let mut times: Vec<_> =
        spans.iter().map(|span| at(span.frames.start)..at(span.frames.end)).collect();
    times.sort_by_key(|time| time.start);
    times
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyword::acoustic_model::tests::{FRAMES_PER_TOKEN, Parrot};
    use crate::keyword::lexicon::Lexicon;
    use crate::keyword::spotter::Settings;
    use crate::keyword::tokenizer::tests::toy;

    /// Steps a search of nothing through what the parrot says, with speech of `frames`.
    fn written_down(model: &mut Parrot, frames: usize) -> (Vec<TokenId>, usize) {
        let nothing = Lexicon::default();
        let spotter = Spotter::new(Arc::new(toy(&[])), Vec::new(), &nothing, Settings::default());
        let lane = model.open(&frames).expect("a parrot does not fail");
        let mut search = Search::new(Arc::new(spotter), Suspects::default(), lane, frames);
        while search.need() == Need::Step {
            decode(model, &mut [&mut search]).expect("a parrot does not fail");
        }
        (search.tokens, search.first_tokens.len())
    }

    #[test]
    fn it_stops_where_the_model_does() {
        let mut model = Parrot::new(&[7, 9, 8]);
        let (tokens, places) = written_down(&mut model, 4 * FRAMES_PER_TOKEN);
        assert_eq!(tokens, [7, 9, 8]);
        assert_eq!(places, 4, "three words and the place of the end");
    }

    #[test]
    fn a_decoder_that_never_ends_is_stopped_by_the_clock_of_speech() {
        let mut model = Parrot::new(&[5; 500]);
        let (tokens, _) = written_down(&mut model, 83);
        assert_eq!((tokens.len(), model.runs), (13, 13), "1.992 s of speech");
    }
}
