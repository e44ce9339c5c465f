//! How words are said: the CMU Pronouncing Dictionary.

use std::collections::{HashMap, HashSet};

use crate::keyword::phones::{PhoneId, SYMBOLS, from_arpabet, phone};
use crate::keyword::phrase::Phrase;

/// Pronunciations of some words, the usual one of each first.
#[derive(Clone, Debug, Default)]
pub struct Lexicon {
    words: HashMap<String, Vec<Vec<PhoneId>>>,
}

/// A line that is none of a dictionary.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} names the phone {phone:?}, which is none of ARPAbet")]
pub struct LexiconError {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong.
    pub phone: String,
}

/// Why phones by hand are not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhonesError {
    /// Nothing is said.
    #[error("it is empty")]
    Empty,
    /// A symbol of neither set.
    #[error("{0:?} is none")]
    Unknown(String),
}

/// The phones that `text` names one by one, as CMUdict (`AH0`) or IPA (`ʌ`) does.
pub fn phones_named(text: &str) -> Result<Vec<PhoneId>, PhonesError> {
    let mut phones = Vec::new();
    for name in text.split_whitespace() {
        match (from_arpabet(name), phone(name)) {
            (Some(ids), _) => phones.extend_from_slice(ids),
            (None, Some(id)) => phones.push(id),
            (None, None) => return Err(PhonesError::Unknown(name.to_owned())),
        }
    }
    if phones.is_empty() { Err(PhonesError::Empty) } else { Ok(phones) }
}

impl Lexicon {
    /// The same, but `word` is said in `ways`, whatever was known of it.
    #[must_use]
    pub fn with(mut self, word: &str, ways: Vec<Vec<PhoneId>>) -> Self {
        self.words.insert(word.to_owned(), ways);
        self
    }

    /// Reads what `phrases` need out of `text`.
    pub fn of_phrases(text: &str, phrases: &[Phrase]) -> Result<Self, LexiconError> {
        let words = phrases.iter().flat_map(Phrase::spoken_forms).flatten();
        let with_noun = |word: &String| [word.clone(), word.trim_end_matches("'s").to_owned()];
        Self::parse(text, &words.flat_map(with_noun).collect())
    }

    /// Reads the entries of `wanted` words out of `text`: a word and its phones a line, other pronunciations as
    /// `word(2)`, comments after `#` (cmudict 0.7b and later).
    pub fn parse(text: &str, wanted: &HashSet<String>) -> Result<Self, LexiconError> {
        let mut words: HashMap<String, Vec<Vec<PhoneId>>> = HashMap::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let Some((word, phones)) = line.trim().split_once(' ') else { continue };
            let word = word.split('(').next().unwrap_or_default();
            if line.starts_with(";;;") || !wanted.contains(word) {
                continue;
            }
            let mut said = Vec::new();
            for phone in phones.split_whitespace() {
                let ids = from_arpabet(phone)
                    .ok_or_else(|| LexiconError { line: at + 1, phone: phone.to_owned() })?;
                said.extend_from_slice(ids);
            }
            let ways = words.entry(word.to_owned()).or_default();
            if !ways.contains(&said) {
                ways.push(said);
            }
        }
        Ok(Self { words })
    }

    /// The words of `phrase` that nobody knows how to say: of its first wording without digits, else those with digits.
    pub fn missing(&self, phrase: &Phrase) -> Vec<String> {
        match phrase.spoken_forms().first() {
            Some(words) => {
                let unknown = |word: &&String| self.pronunciations(word).is_none();
                words.iter().filter(unknown).cloned().collect()
            }
            None => {
                let digit = |word: &&str| word.contains(|c: char| c.is_ascii_digit());
                phrase.text().split(' ').filter(digit).map(str::to_owned).collect()
            }
        }
    }

    /// How `word` (lower case) is said, if it is known. A possessive follows its noun.
    pub fn pronunciations(&self, word: &str) -> Option<Vec<Vec<PhoneId>>> {
        if let Some(ways) = self.words.get(word) {
            return Some(ways.clone());
        }
        let noun = self.words.get(word.strip_suffix("'s")?)?;
        let possessive = |way: &Vec<PhoneId>| [&way[..], &ending(way)].concat();
        Some(noun.iter().map(possessive).collect())
    }
}

/// How the `'s` after `noun` is said.
fn ending(noun: &[PhoneId]) -> Vec<PhoneId> {
    let last = noun.last().map_or("", |last| SYMBOLS[*last as usize]);
    let said: &[&str] = match last {
        "s" | "z" | "ʃ" | "ʒ" => &["ə", "z"],
        "p" | "t" | "k" | "f" | "θ" => &["s"],
        _ => &["z"],
    };
    said.iter().filter_map(|symbol| phone(symbol)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = ";;; a comment\nrisk R IH1 S K\nthe DH AH0\nthe(2) DH IY0 # before a vowel\nbox B AA1 K S\n";

    fn said(lexicon: &Lexicon, word: &str) -> Vec<String> {
        let ways = lexicon.pronunciations(word).unwrap_or_default();
        let spell = |way: &Vec<PhoneId>| way.iter().map(|id| SYMBOLS[*id as usize]).collect();
        ways.iter().map(spell).collect()
    }

    #[test]
    fn wanted_words_and_their_possessives_are_known() {
        let wanted = ["risk", "the", "box"].map(str::to_owned).into();
        let lexicon = Lexicon::parse(TEXT, &wanted).expect("a dictionary");
        assert_eq!(said(&lexicon, "the"), ["ðə", "ði"]);
        assert_eq!(said(&lexicon, "risk's"), ["ɹɪsks"]);
        assert_eq!(said(&lexicon, "box's"), ["bɑksəz"]);
        assert_eq!(lexicon.pronunciations("bonnet"), None);
    }

    #[test]
    fn a_word_by_hand_goes_before_the_dictionary() {
        let wanted = ["risk".to_owned()].into();
        let lexicon = Lexicon::parse(TEXT, &wanted).expect("a dictionary");
        let by_hand = phones_named("R IY1 s k").expect("phones of both sets");
        assert_eq!(said(&lexicon.with("risk", vec![by_hand]), "risk"), ["ɹisk"]);
        assert_eq!(phones_named("R QQ"), Err(PhonesError::Unknown("QQ".to_owned())));
    }

    #[test]
    fn what_nobody_can_say_of_a_phrase_is_named() {
        let wanted = ["risk", "the"].map(str::to_owned).into();
        let lexicon = Lexicon::parse(TEXT, &wanted).expect("a dictionary");
        let missing = |text| lexicon.missing(&Phrase::new(text).expect("a phrase"));
        assert_eq!(missing("the bonneted risk"), ["bonneted"]);
        assert_eq!(missing("the 911 risk"), ["911"]);
        assert_eq!(missing("the risk"), [""; 0]);
    }

    #[test]
    fn what_is_no_phone_is_named_with_its_line() {
        let wanted = ["a".to_owned()].into();
        let error = Lexicon::parse("b B\na EY9X", &wanted).expect_err("no phone");
        assert_eq!(error.to_string(), "line 2 names the phone \"EY9X\", which is none of ARPAbet");
    }
}
