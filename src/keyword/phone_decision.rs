//! Phrases of a language that the decoder does not know: their phones alone decide.

use std::time::Duration;

use crate::keyword::acoustic_model::FRAME;
use crate::keyword::language::Language;
use crate::keyword::phone_search::PhoneSearch;
use crate::keyword::phones::{PhoneId, PhoneScores};
use crate::keyword::pronunciation::with_reductions;
use crate::keyword::spotter::Hit;

/// Score per phone that a phrase needs whose policy says none, nats: 10 false alarms in 9.8 h of German, of which each
/// phrase's share counts (`models/phone_head_de.json`, `use`).
pub const THRESHOLD: f32 = -2.2;
/// Of 9 and 10 phones there were 37 false alarms an hour and phrase at that threshold, of 11 to 13 three, of more none
/// to speak of.
pub const FEWEST_PHONES: usize = 11;
/// Times that one phrase is found in one segment at most.
const MOST_PLACES: usize = 4;

/// Phrases of one language, by their place in a spotter's list.
#[derive(Clone, Debug, PartialEq)]
pub struct PhoneDecision {
    language: Language,
    phrases: Vec<Phrase>,
}

#[derive(Clone, Debug, PartialEq)]
struct Phrase {
    place: usize,
    ways: Vec<Vec<PhoneId>>,
    threshold: f32,
}

/// A phrase that is too short to be told by its phones alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is said in {phones} phones, and fewer than {FEWEST_PHONES} are in everything that is said"
)]
pub struct TooFewPhones {
    /// Of its shortest way.
    pub phones: usize,
}

impl PhoneDecision {
    /// No phrase yet.
    pub fn new(language: Language) -> Self {
        Self { language, phrases: Vec::new() }
    }

    /// Its phrases' language.
    pub fn language(&self) -> Language {
        self.language
    }

    /// Listens for one more, said in any of `ways`; `threshold` goes before [`THRESHOLD`].
    pub fn listen(
        &mut self,
        place: usize,
        ways: &[Vec<PhoneId>],
        threshold: Option<f32>,
    ) -> Result<(), TooFewPhones> {
        enough(ways)?;
        let ways = with_reductions(ways);
        self.phrases.push(Phrase { place, ways, threshold: threshold.unwrap_or(THRESHOLD) });
        Ok(())
    }

    /// The places of its phrases.
    pub fn places(&self) -> impl Iterator<Item = usize> {
        self.phrases.iter().map(|phrase| phrase.place)
    }

    /// What was said, by what the language's own head heard in a segment.
    pub fn hits(&self, scores: &PhoneScores) -> Vec<Hit> {
        let search = PhoneSearch::new(scores);
        let mut hits = Vec::new();
        for Phrase { place, ways, threshold } in &self.phrases {
            let mut spans = search.find(ways, *threshold, MOST_PLACES);
            spans.sort_by_key(|span| span.frames.start);
            hits.extend(spans.into_iter().map(|span| Hit {
                phrase: *place,
                score: span.score,
                decoder: f32::NEG_INFINITY,
                exact: false,
                start: at(span.frames.start),
                end: at(span.frames.end),
            }));
        }
        hits
    }
}

/// Whether a phrase that is said in `ways` is long enough.
pub fn enough(ways: &[Vec<PhoneId>]) -> Result<(), TooFewPhones> {
    let phones = ways.iter().map(Vec::len).min().unwrap_or_default();
    if phones < FEWEST_PHONES { Err(TooFewPhones { phones }) } else { Ok(()) }
}

/// When a frame begins, from the start of the segment.
fn at(frame: usize) -> Duration {
    FRAME * u32::try_from(frame).expect("a segment of some seconds")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyword::ipa::phones;
    use crate::keyword::phones::tests::sure;

    fn way(text: &str) -> Vec<PhoneId> {
        phones(Language::German, text).expect("German")
    }

    fn decision(text: &str, threshold: Option<f32>) -> PhoneDecision {
        let mut decision = PhoneDecision::new(Language::German);
        decision.listen(3, &[way(text)], threshold).expect("long enough");
        decision
    }

    #[test]
    fn what_was_said_is_found_with_its_time() {
        let heard = sure("_ _ a m _ m ɪ t v ɔ _ x _ d a b ə n _");
        let hits = decision("a m  m ɪ t v ɔ x  d a b ə n", None).hits(&heard);
        let [hit] = &hits[..] else { panic!("{hits:?}") };
        assert_eq!((hit.phrase, hit.exact), (3, false));
        assert_eq!((hit.start, hit.end), (FRAME * 2, FRAME * 18));
        assert!(hit.score > -0.7, "a phone too many costs one share: {hit:?}");
    }

    #[test]
    fn what_is_said_otherwise_is_not_unless_the_policy_wants_less() {
        let heard = sure("a m ɪ k f a x d ə b i n");
        let hits = |threshold| decision("a m ɪ t v ɔ x d a b ə n", threshold).hits(&heard).len();
        assert_eq!((hits(None), hits(Some(-3.5))), (0, 1));
    }

    #[test]
    fn the_card_of_the_head_says_the_same() {
        let card = include_str!("../../models/phone_head_de.json");
        let card: serde_json::Value = serde_json::from_str(card).expect("JSON");
        let of = |key: &str| card["use"][key].as_f64().expect("a number");
        assert!((of("threshold") - f64::from(THRESHOLD)).abs() < 1e-6);
        assert_eq!(card["use"]["fewest_phones"], FEWEST_PHONES);
        let figure = Language::German.experiment().expect("an experiment");
        assert_eq!(of("recall"), figure.recall);
        assert_eq!(of("false_alarms_per_hour"), figure.false_alarms_per_hour);
    }

    #[test]
    fn what_is_too_short_is_refused() {
        let mut decision = PhoneDecision::new(Language::German);
        let error = decision.listen(0, &[way("j a")], None).expect_err("two phones");
        let wanted = "is said in 2 phones, and fewer than 11 are in everything that is said";
        assert_eq!(error.to_string(), wanted);
    }
}
