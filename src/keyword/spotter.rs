//! Phrases in a segment of speech: first by their phones, then in the model's own text and by asking it.
//!
//! The phones rule out most phrases in most segments, and those never see the decoder, which costs five
//! times as much as all before it.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::keyword::acoustic_model::{AcousticModel, SAMPLE_RATE, TokenId};
use crate::keyword::digit_search::{DigitRun, DigitSearch, digits_by_phones};
use crate::keyword::example_decision::ExampleDecision;
use crate::keyword::false_alarms::Shape;
use crate::keyword::language::Language;
use crate::keyword::lexicon::Lexicon;
use crate::keyword::phone_decision::PhoneDecision;
use crate::keyword::phone_roots::PhoneRoots;
use crate::keyword::phone_search::{PhoneSearch, Span};
use crate::keyword::phones::{PhoneId, PhoneScores};
use crate::keyword::phrase::Phrase;
use crate::keyword::pronunciation::pronunciations;
use crate::keyword::search::{Need, Search, Suspects, decode};
use crate::keyword::segment_level::levelled;
use crate::keyword::tokenizer::Tokenizer;
use crate::keyword::transcript::Transcript;

/// 4 s, as the segmenter cuts: the encoder attends to a whole segment, so its cost and memory grow faster than length.
pub const LONGEST_SEGMENT: Duration = Duration::from_secs(4);
/// Below 0.2 s the encoder has too few frames, and nobody has said a phrase.
const SHORTEST_SEGMENT: usize = SAMPLE_RATE / 5;
/// By phones of a phrase: the score per phone from which on they speak for it enough to ask the decoder, nats. Shorter
/// ones than the shortest are everywhere, and always asked about. Of 901 phrases that were said these keep .997
/// (mu-law, 25 confusable phrases of 5 to 14 phones), and of 160 compliance phrases all.
const CANDIDATE: [(usize, f32); 2] = [(9, -2.5), (7, -3.0)];
/// Share of the shorter of two phrases over which they are rivals.
const RIVALS_SHARE: f64 = 0.5;
/// What the phones' score weighs beside the decoder's.
const PHONES_WEIGH: f32 = 0.5;
/// Times that one phrase is found in one segment at most.
const MOST_PLACES: usize = 4;

/// How sure to be.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Score that a phrase needs which the model did not write by itself, nats: the decoder's mean log-probability
    /// per token, and half of the phones' score.
    pub threshold: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { threshold: -3.9 }
    }
}

/// A phrase that was said.
///
/// Segments overlap, so one utterance may be hit in two of them: hits of one phrase whose times
/// overlap on the clock of the call are one event; keep the exact one, else the higher score.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Its place in the list that the spotter was made with.
    pub phrase: usize,
    /// See [`Settings::threshold`]; 0 for an exact hit, never above 0.
    pub score: f32,
    /// The decoder's part of the score: the mean natural log of the probability per token, 0 for an exact hit; negative
    /// infinity where it was not asked, since phones or examples alone decide.
    pub decoder: f32,
    /// The words stand in the model's own text.
    pub exact: bool,
    /// When it began, from the start of the segment: by the alignment of its phones, or else by a
    /// [`Locator`](crate::keyword::locator::Locator).
    pub start: Duration,
    /// When it ended, from the start of the segment.
    pub end: Duration,
}

/// What a segment held.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spotting {
    /// The phrases, in the order of the list and then of time. A phrase that was not exactly
    /// understood is hit once per segment at most.
    pub hits: Vec<Hit>,
    /// All that was said, as far as anything was worth asking the decoder about. It never goes into a log.
    pub transcript: Transcript,
    /// Where digits were said in a row; never which.
    pub digits: Vec<DigitRun>,
}

/// Why a segment was not searched.
#[derive(Debug, thiserror::Error)]
pub enum SpotError<E: std::error::Error + Send + Sync + 'static> {
    /// The segmenter cuts earlier; see [`LONGEST_SEGMENT`].
    #[error("a segment of {samples} samples is longer than {} s", LONGEST_SEGMENT.as_secs())]
    TooLong {
        /// Its length at 16 kHz.
        samples: usize,
    },
    /// The model failed.
    #[error(transparent)]
    Model(#[from] E),
}

/// A segment that was heard.
#[derive(Debug)]
pub enum Begun {
    /// There is nothing to ask the decoder.
    Searched(Spotting),
    /// There is.
    Searching(Search),
}

/// Listens for a fixed list of phrases. It holds no state of any call.
#[derive(Debug)]
pub struct Spotter {
    tokenizer: Arc<Tokenizer>,
    phrases: Vec<Phrase>,
    /// The score that each needs.
    thresholds: Vec<f32>,
    /// How each phrase is said; none where a word of it is not known.
    ways: Vec<Vec<Vec<PhoneId>>>,
    spellings: Vec<Spelling>,
    /// What looks for digits in a row.
    digits: Vec<DigitSearch>,
    /// Phrases that the decoder is not asked about.
    decisions: Vec<PhoneDecision>,
    /// Phrases that are known by example alone, by their places.
    taught: Vec<(usize, ExampleDecision)>,
    /// Whether of phrases that would have been said at once only the best counts.
    rivalry: bool,
}

/// A phrase that may have been said in a segment.
#[derive(Debug)]
pub struct Candidate {
    /// Its place in the list.
    pub phrase: usize,
    /// Where, by its phones, best first; empty where nothing is known of them.
    pub spans: Vec<Span>,
}

impl Candidate {
    /// What the phones add to the decoder's score, nats.
    pub fn phones(&self) -> f32 {
        self.spans.first().map_or(0.0, |span| PHONES_WEIGH * span.score)
    }
}

/// One way in which the model may write a phrase.
#[derive(Debug)]
pub(super) struct Spelling {
    pub(super) phrase: usize,
    /// Never empty.
    pub(super) tokens: Vec<TokenId>,
}

impl Spotter {
    /// Prepares to listen for `phrases`, whose words `lexicon` knows how to say.
    pub fn new(
        tokenizer: Arc<Tokenizer>,
        phrases: Vec<Phrase>,
        lexicon: &Lexicon,
        settings: Settings,
    ) -> Self {
        let mut spellings: Vec<Spelling> = Vec::new();
        for (place, phrase) in phrases.iter().enumerate() {
            for spelling in phrase.spellings() {
                let tokens = tokenizer.encode(spelling);
                if !tokens.is_empty() {
                    spellings.push(Spelling { phrase: place, tokens });
                }
            }
        }
        let said = |phrase: &Phrase| pronunciations(phrase.spoken_forms(), lexicon);
        let ways = phrases.iter().map(said).collect();
        let thresholds = vec![settings.threshold; phrases.len()];
        let (digits, decisions, taught, rivalry) = (Vec::new(), Vec::new(), Vec::new(), true);
        Self { tokenizer, phrases, thresholds, ways, spellings, digits, decisions, taught, rivalry }
    }

    /// The same, and digits in a row are looked for, in these languages.
    #[must_use]
    pub fn with_digits(mut self, languages: impl IntoIterator<Item = Language>) -> Self {
        self.digits = languages.into_iter().map(DigitSearch::new).collect();
        self
    }

    /// The same with a threshold of their own for some phrases; see [`Settings::threshold`].
    #[must_use]
    pub fn with_thresholds(mut self, own: impl IntoIterator<Item = Option<f32>>) -> Self {
        for (threshold, own) in self.thresholds.iter_mut().zip(own) {
            *threshold = own.unwrap_or(*threshold);
        }
        self
    }

    /// The same with pronunciations of their own for some phrases, which go before the lexicon's.
    #[must_use]
    pub fn with_pronunciations(mut self, own: impl IntoIterator<Item = Vec<Vec<PhoneId>>>) -> Self {
        for (ways, own) in self.ways.iter_mut().zip(own) {
            if !own.is_empty() {
                *ways = own;
            }
        }
        self
    }

    /// The same, where the phrases of `decisions` are decided by phones alone: the decoder does not know their language.
    #[must_use]
    pub fn with_phones_alone(mut self, decisions: Vec<PhoneDecision>) -> Self {
        self.spellings.retain(|spelling| !decided(&decisions, spelling.phrase));
        self.decisions = decisions;
        self
    }

    /// The same, where examples alone decide the phrases at these places: their words only describe them.
    #[must_use]
    pub fn with_examples(mut self, examples: Vec<(usize, ExampleDecision)>) -> Self {
        for (place, decision) in &examples {
            self.spellings.retain(|spelling| spelling.phrase != *place);
            self.thresholds[*place] = decision.threshold();
            self.ways[*place].clear();
        }
        self.taught = examples;
        self
    }

    /// The same, and each phrase as if it were the only one: two that would have been said at once both count.
    #[must_use]
    pub fn each_alone(mut self) -> Self {
        self.rivalry = false;
        self
    }

    /// What a phrase is to its false alarms; `None` where nobody knows how to say a word of it.
    pub fn shape_of(&self, phrase: usize) -> Option<Shape> {
        let phones = self.ways.get(phrase)?.iter().map(Vec::len).min()?;
        let digit = |spelling: &String| spelling.contains(|c: char| c.is_ascii_digit());
        Some(Shape { phones, number: self.phrases[phrase].spellings().iter().any(digit) })
    }

    /// The ways to say a phrase, the usual one first; none where nobody knows how.
    pub fn ways_of(&self, phrase: usize) -> &[Vec<PhoneId>] {
        &self.ways[phrase]
    }

    /// The score that a phrase needs, nats; see [`Settings::threshold`].
    pub fn threshold_of(&self, phrase: usize) -> f32 {
        self.thresholds[phrase]
    }

    /// Tokens of the shortest spelling of a phrase.
    pub fn tokens_of(&self, phrase: usize) -> usize {
        let of = self.spellings.iter().filter(|spelling| spelling.phrase == phrase);
        of.map(|spelling| spelling.tokens.len()).min().unwrap_or_default()
    }

    /// The phrases that [`Hit::phrase`] counts.
    pub fn phrases(&self) -> &[Phrase] {
        &self.phrases
    }

    /// Every way in which a phrase may be written.
    pub(super) fn spellings(&self) -> &[Spelling] {
        &self.spellings
    }

    /// What the model's tokens spell.
    pub(super) fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Searches one segment: mono, 16 kHz, any level, at most [`LONGEST_SEGMENT`].
    pub fn spot<M: AcousticModel>(
        self: &Arc<Self>,
        model: &mut M,
        samples: &[f32],
    ) -> Result<Spotting, SpotError<M::Error>> {
        let mut search = match self.begin(model, samples)? {
            Begun::Searched(spotting) => return Ok(spotting),
            Begun::Searching(search) => search,
        };
        let lane = search.lane();
        let spotting = loop {
            let step = match search.need() {
                Need::Step => decode(model, &mut [&mut search]),
                Need::Answers => search.ask(model),
                Need::Conclusion => break search.conclude(model),
            };
            if let Err(error) = step {
                break Err(error);
            }
        };
        model.close(lane);
        Ok(spotting?)
    }

    /// Hears one segment, as [`Self::spot`] takes it, and begins to search it in a lane of the model, unless
    /// its phones tell all there is.
    pub fn begin<M: AcousticModel>(
        self: &Arc<Self>,
        model: &mut M,
        samples: &[f32],
    ) -> Result<Begun, SpotError<M::Error>> {
        if samples.len() > LONGEST_SEGMENT.as_secs() as usize * SAMPLE_RATE {
            return Err(SpotError::TooLong { samples: samples.len() });
        }
        if samples.len() < SHORTEST_SEGMENT {
            return Ok(Begun::Searched(Spotting::default()));
        }
        let audio = model.encode(&levelled(samples))?;
        let phones = model.phones(&audio)?;
        let mut found = self.decided_by_phones(model, &audio)?;
        found.extend(self.decided_by_examples(phones.as_ref()));
        let suspects = Suspects {
            phrases: self.candidates(phones.as_ref()),
            digits: digits_by_phones(&self.digits, phones.as_ref()),
            found,
        };
        if suspects.phrases.is_empty() && suspects.digits.is_empty() {
            return Ok(Begun::Searched(Spotting { hits: suspects.found, ..Spotting::default() }));
        }
        let (lane, frames) = (model.open(&audio)?, model.frames(&audio));
        Ok(Begun::Searching(Search::new(Arc::clone(self), suspects, lane, frames)))
    }

    /// Hits of phrases whose language the decoder does not know. They are rivals of one another alone: their scores
    /// are not the decoder's.
    fn decided_by_phones<M: AcousticModel>(
        &self,
        model: &mut M,
        audio: &M::Audio,
    ) -> Result<Vec<Hit>, M::Error> {
        let mut hits = Vec::new();
        for decision in &self.decisions {
            if let Some(heard) = model.phones_in(decision.language(), audio)? {
                hits.extend(decision.hits(&heard));
            }
        }
        Ok(self.without_rivals(&hits))
    }

    /// Hits of phrases that are known by example. Their scores are of another kind again.
    fn decided_by_examples(&self, phones: Option<&PhoneScores>) -> Vec<Hit> {
        let Some(phones) = phones.filter(|_| !self.taught.is_empty()) else { return Vec::new() };
        let heard = PhoneRoots::of(phones);
        let hits = self.taught.iter().flat_map(|(phrase, decision)| decision.hits(*phrase, &heard));
        self.without_rivals(&hits.collect::<Vec<_>>())
    }

    /// Of two phrases that would have been said at once only the better: people say one thing at a time. One that is part
    /// of the other is no rival: "mocha" and "iced mocha".
    pub(super) fn without_rivals(&self, hits: &[Hit]) -> Vec<Hit> {
        let beaten = |hit: &Hit| {
            self.rivalry
                && hits.iter().any(|other| {
                    let common = hit.end.min(other.end).saturating_sub(hit.start.max(other.start));
                    let shorter = (hit.end - hit.start).min(other.end - other.start);
                    other.score > hit.score
                        && common.as_secs_f64() > RIVALS_SHARE * shorter.as_secs_f64()
                        && !self.phrases[hit.phrase].is_part_of(&self.phrases[other.phrase])
                        && !self.phrases[other.phrase].is_part_of(&self.phrases[hit.phrase])
                })
        };
        hits.iter().filter(|hit| !beaten(hit)).cloned().collect()
    }

    /// The phrases that the phones do not rule out.
    fn candidates(&self, scores: Option<&PhoneScores>) -> Vec<Candidate> {
        let search = scores.map(PhoneSearch::new);
        let candidate = |(phrase, ways): (usize, &Vec<Vec<PhoneId>>)| {
            let Some(search) = search.as_ref().filter(|_| !ways.is_empty()) else {
                return Some(Candidate { phrase, spans: Vec::new() });
            };
            let phones = ways.iter().map(Vec::len).min().unwrap_or_default();
            let gate = CANDIDATE.iter().find(|(from, _)| phones >= *from).map(|(_, gate)| *gate);
            let spans = search.find(ways, gate.unwrap_or(f32::NEG_INFINITY), MOST_PLACES);
            (gate.is_none() || !spans.is_empty()).then_some(Candidate { phrase, spans })
        };
        let decided = |phrase| {
            decided(&self.decisions, phrase) || self.taught.iter().any(|(n, _)| *n == phrase)
        };
        let asked = self.ways.iter().enumerate().filter(|(n, _)| !decided(*n));
        asked.filter_map(candidate).collect()
    }
}

/// Whether one of `decisions` decides a phrase.
fn decided(decisions: &[PhoneDecision], phrase: usize) -> bool {
    decisions.iter().any(|decision| decision.places().any(|place| place == phrase))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyword::acoustic_model::tests::{FRAMES_PER_TOKEN, Parrot};
    use crate::keyword::acoustic_model::{FRAME, FRAME_SAMPLES};
    use crate::keyword::ipa::phones;
    use crate::keyword::phones::tests::sure;
    use crate::keyword::tokenizer::tests::toy;

    const SECOND: f64 = SAMPLE_RATE as f64;

    // Whole words as single bytes would be: " a" is 259, and so on.
    fn tokenizer() -> Arc<Tokenizer> {
        Arc::new(toy(&[" "]))
    }

    fn segment(tokens: usize) -> Vec<f32> {
        vec![0.1; tokens * FRAMES_PER_TOKEN * FRAME_SAMPLES]
    }

    /// The byte token of an ASCII character, or the space's own.
    fn token(c: char) -> TokenId {
        if c == ' ' { 259 } else { c as TokenId + 3 }
    }

    fn spell(text: &str) -> Vec<TokenId> {
        text.chars().map(token).collect()
    }

    fn spotter(phrases: &[&str]) -> Arc<Spotter> {
        let phrases = phrases.iter().map(|p| Phrase::new(p).expect("a sound phrase")).collect();
        let settings = Settings { threshold: -1.5 };
        Arc::new(Spotter::new(tokenizer(), phrases, &Lexicon::default(), settings))
    }

    /// A spotter that nobody else holds.
    fn sole(spotter: Arc<Spotter>) -> Spotter {
        Arc::into_inner(spotter).expect("it was just made")
    }

    #[test]
    fn a_written_phrase_is_an_exact_hit_at_its_time() {
        let mut model = Parrot::new(&spell(" a go to, go to"));
        let spotting = spotter(&["no way", "Go to"])
            .spot(&mut model, &segment(16))
            .expect("a parrot does not fail");
        assert_eq!(spotting.transcript.text, "a go to, go to");
        let [one, two] = &spotting.hits[..] else { panic!("{:?}", spotting.hits) };
        assert_eq!((one.phrase, one.exact, one.score), (1, true, 0.0));
        let began = (2 * FRAMES_PER_TOKEN * FRAME_SAMPLES) as f64 / SECOND;
        assert!((one.start.as_secs_f64() - began).abs() < 0.3, "{one:?}");
        assert!(one.end < two.start, "{one:?} {two:?}");
    }

    #[test]
    fn a_misheard_phrase_is_found_by_asking() {
        let mut model = Parrot::new(&spell(" sat here"));
        model.sounds_like = vec![(1, token('c'), -2.0)];
        let spotting =
            spotter(&["cat"]).spot(&mut model, &segment(10)).expect("a parrot does not fail");
        let [hit] = &spotting.hits[..] else { panic!("{:?}", spotting.hits) };
        assert!(!hit.exact);
        // The first token is the space, which the parrot knows; of four tokens one costs 2.
        assert!((hit.score + 0.5).abs() < 0.1, "{hit:?}");
    }

    #[test]
    fn what_is_too_improbable_is_not_said() {
        let mut model = Parrot::new(&spell(" sat here"));
        model.sounds_like = vec![(1, token('c'), -6.5)];
        let spotting =
            spotter(&["cat"]).spot(&mut model, &segment(10)).expect("a parrot does not fail");
        assert_eq!(spotting.hits, []);
    }

    /// A spotter that knows how to say "certain death".
    fn listener(phrases: &[&str]) -> Arc<Spotter> {
        let phrases = phrases.iter().map(|p| Phrase::new(p).expect("a sound phrase")).collect();
        let wanted = ["certain", "death", "meath"].map(str::to_owned).into();
        let said = "certain S ER1 T AH0 N\ndeath D EH1 TH\nmeath M IY1 TH\n";
        let lexicon = Lexicon::parse(said, &wanted).expect("a dictionary");
        Arc::new(Spotter::new(tokenizer(), phrases, &lexicon, Settings::default()))
    }

    #[test]
    fn what_the_phones_rule_out_the_decoder_is_not_asked_about() {
        let mut model = Parrot::new(&spell(" certain death"));
        model.phones = Some(sure("m _ oʊ _ k _ ə _ _ _ s _ ɚ _ _ _ _ _ _ _ _ _"));
        let spotting = listener(&["certain death"])
            .spot(&mut model, &segment(15))
            .expect("a parrot does not fail");
        assert_eq!((spotting, model.runs), (Spotting::default(), 0));
        // Of a phrase that nobody knows how to say, they can rule out nothing.
        let all = listener(&["certain death", "bonnet"]);
        all.spot(&mut model, &segment(15)).expect("a parrot does not fail");
        assert!(model.runs > 0);
    }

    #[test]
    fn the_phones_tell_when_it_was_said_and_add_to_the_score() {
        let mut model = Parrot::new(&spell(" certain meath"));
        model.sounds_like = vec![(9, token('d'), -3.0)];
        let heard = "_ _ _ _ _ s ɚ _ t ə n _ d ɛ _ m _ _ _ _";
        model.phones = Some(sure(heard));
        let spotting = listener(&["certain death"])
            .spot(&mut model, &segment(15))
            .expect("a parrot does not fail");
        let [hit] = &spotting.hits[..] else { panic!("{:?}", spotting.hits) };
        assert_eq!((hit.start, hit.end), (FRAME * 5, FRAME * 15));
        assert!(!hit.exact && hit.score < hit.decoder - 0.2, "{hit:?}");
    }

    #[test]
    fn of_two_phrases_that_would_have_been_said_at_once_the_better_counts() {
        let mut model = Parrot::new(&spell(" certain death"));
        model.sounds_like = vec![(9, token('m'), -1.0)];
        model.phones = Some(sure("_ _ _ _ _ s ɚ _ t ə n _ d ɛ θ _ _ _ _ _"));
        let hits = |phrases: &[&str], model: &mut Parrot| {
            let spotting = listener(phrases).spot(model, &segment(15));
            spotting.expect("a parrot does not fail").hits.iter().map(|hit| hit.phrase).collect()
        };
        let alone: Vec<usize> = hits(&["certain meath"], &mut model);
        assert_eq!(alone, [0], "it would be one by itself");
        let both: Vec<usize> = hits(&["certain meath", "certain death"], &mut model);
        assert_eq!(both, [1]);
        let part: Vec<usize> = hits(&["certain", "certain death"], &mut model);
        assert_eq!(part, [0, 1], "a part of the other is said with it");
    }

    #[test]
    fn of_a_foreign_phrase_its_phones_alone_decide() {
        let way = phones(Language::German, "a m  m ɪ t v ɔ x  d a b ə n").expect("German");
        let mut decision = PhoneDecision::new(Language::German);
        decision.listen(0, &[way], None).expect("long enough");
        let all = sole(spotter(&["am mittwoch da", "cat"]));
        let all = Arc::new(all.with_phones_alone(vec![decision]));
        let mut model = Parrot::new(&spell(" am mittwoch da"));
        let written = all.spot(&mut model, &segment(16)).expect("a parrot does not fail");
        assert_eq!(written.hits, [], "what the decoder writes of it says nothing");
        model = Parrot::new(&spell(" a cat"));
        model.foreign_phones = Some(sure("_ a m ɪ t v ɔ x _ d a b ə n _"));
        let spotting = all.spot(&mut model, &segment(16)).expect("a parrot does not fail");
        let found: Vec<_> = spotting.hits.iter().map(|hit| (hit.phrase, hit.exact)).collect();
        assert_eq!(found, [(0, false), (1, true)]);
    }

    #[test]
    fn of_a_phrase_by_example_its_sound_alone_decides() {
        let said = "k æ t _ s ɪ m n f l i ʃ w ɑ";
        let example = PhoneRoots::of(&sure(said));
        let decision = ExampleDecision::new(&[example.clone(), example.clone(), example], -0.05);
        let all = sole(spotter(&["bonnet", "cat"])).with_examples(vec![(0, decision)]);
        assert_eq!((all.threshold_of(0), all.shape_of(0)), (-0.05, None));
        let all = Arc::new(all);
        let mut model = Parrot::new(&spell(" bonnet"));
        model.phones = Some(sure("b b ɑ ɑ n n ɪ ɪ t t _ _ _ _ _"));
        let written = all.spot(&mut model, &segment(12)).expect("a parrot does not fail");
        assert_eq!(written.hits, [], "what the decoder writes of it says nothing");
        model = Parrot::new(&spell(" a cat"));
        model.phones = Some(sure(&format!("_ _ _ _ {said} _ _ _ _ _ _")));
        let spotting = all.spot(&mut model, &segment(12)).expect("a parrot does not fail");
        let found: Vec<_> = spotting.hits.iter().map(|hit| (hit.phrase, hit.exact)).collect();
        assert_eq!(found, [(0, false), (1, true)]);
        assert_eq!((spotting.hits[0].start, spotting.hits[0].end), (FRAME * 4, FRAME * 18));
    }

    #[test]
    fn a_pronunciation_of_the_phrase_s_own_goes_before_the_lexicon_s() {
        let way = phones(Language::English, "s ɚ t ə n m i θ").expect("English");
        let mut model = Parrot::new(&spell(" certain death"));
        model.phones = Some(sure("_ s ɚ _ t ə n _ d ɛ θ _ _"));
        let mut runs = |spotter: Arc<Spotter>| {
            model.runs = 0;
            spotter.spot(&mut model, &segment(15)).expect("a parrot does not fail");
            model.runs
        };
        assert!(runs(listener(&["certain death"])) > 0);
        let phones_of_another = vec![[way.clone(), way].concat()];
        let own = sole(listener(&["certain death"])).with_pronunciations([phones_of_another]);
        assert_eq!(runs(Arc::new(own)), 0);
    }

    #[test]
    fn the_length_of_a_segment_has_limits() {
        let mut model = Parrot::new(&[]);
        let all = spotter(&["cat"]);
        assert!(matches!(
            all.spot(&mut model, &[0.0; 64_001]),
            Err(SpotError::TooLong { samples: 64_001 })
        ));
        let blink = all.spot(&mut model, &[0.0; 3_199]).expect("a parrot does not fail");
        assert_eq!((blink, model.runs), (Spotting::default(), 0));
    }
}
