//! A phrase to listen for, and the ways in which a transcript may spell it.

use crate::keyword::transcript::normal_words;

/// Longer phrases do not fit into a segment of a few seconds.
const MOST_WORDS: usize = 24;
/// Each spelling costs runs of the decoder at every likely place; the common ones come first.
const MOST_SPELLINGS: usize = 12;

/// Words that people run together. Both ways are tried.
const CONTRACTIONS: &[(&str, &str)] = &[
    ("will not", "won't"),
    ("cannot", "can't"),
    ("can not", "can't"),
    ("do not", "don't"),
    ("does not", "doesn't"),
    ("did not", "didn't"),
    ("is not", "isn't"),
    ("are not", "aren't"),
    ("was not", "wasn't"),
    ("have not", "haven't"),
    ("would not", "wouldn't"),
    ("should not", "shouldn't"),
    ("i am", "I'm"),
    ("i will", "I'll"),
    ("i have", "I've"),
    ("you are", "you're"),
    ("you will", "you'll"),
    ("we are", "we're"),
    ("we will", "we'll"),
    ("we have", "we've"),
    ("they are", "they're"),
    ("it is", "it's"),
    ("that is", "that's"),
];

/// Number words below twenty, each at its value.
pub(super) const UNITS: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
/// Number words of the tens, from twenty.
pub(super) const TENS: [&str; 8] =
    ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// A phrase with its spellings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phrase {
    text: String,
    spellings: Vec<String>,
    normal_forms: Vec<Vec<String>>,
    spoken_forms: Vec<Vec<String>>,
}

/// Why a phrase cannot be listened for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhraseError {
    /// Nothing in it is spoken.
    #[error("phrase {text:?} holds no word")]
    Empty {
        /// The phrase as it was given.
        text: String,
    },
    /// More words than one segment of speech can hold.
    #[error("phrase {text:?} has {words} words; at most {MOST_WORDS} can be spotted")]
    TooLong {
        /// The phrase as it was given.
        text: String,
        /// Its words.
        words: usize,
    },
}

impl Phrase {
    /// Prepares `text`, as one would write it within a sentence.
    pub fn new(text: &str) -> Result<Self, PhraseError> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        match normal_words(&text).len() {
            0 => return Err(PhraseError::Empty { text }),
            words if words > MOST_WORDS => return Err(PhraseError::TooLong { text, words }),
            _ => {}
        }
        let mut wordings = vec![text.clone()];
        add(&mut wordings, text.replace('-', " "));
        for at in 0..wordings.len() {
            let expanded = replace_words(&wordings[at], CONTRACTIONS.iter().map(|c| (c.1, c.0)));
            let contracted = replace_words(&wordings[at], CONTRACTIONS.iter().copied());
            add(&mut wordings, expanded);
            add(&mut wordings, contracted);
        }
        for at in 0..wordings.len() {
            for wording in numbers(&wordings[at]) {
                add(&mut wordings, wording);
            }
        }
        let mut spellings = Vec::new();
        for dress in [str::to_owned, capital, title, |text: &str| text.to_lowercase()] {
            for wording in &wordings {
                add(&mut spellings, dress(wording));
            }
        }
        spellings.truncate(MOST_SPELLINGS);
        let mut normal_forms = Vec::new();
        for wording in &wordings {
            add(&mut normal_forms, normal_words(wording));
        }
        let mut spoken_forms = Vec::new();
        for words in wordings.iter().map(|wording| spoken_words(wording)) {
            if words.iter().all(|word| !word.contains(|c: char| c.is_ascii_digit())) {
                add(&mut spoken_forms, words);
            }
        }
        Ok(Self { text, spellings, normal_forms, spoken_forms })
    }

    /// Whether all its words stand in `other`, one after the other.
    pub fn is_part_of(&self, other: &Self) -> bool {
        let words = &self.normal_forms[0];
        other.normal_forms[0].windows(words.len()).any(|part| part == words)
    }

    /// The phrase as it was given, with single spaces.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Ways to write it that a transcript may choose, its own first.
    pub fn spellings(&self) -> &[String] {
        &self.spellings
    }

    /// Its words in every wording without digits, as they are said: lower case, apostrophes kept.
    pub fn spoken_forms(&self) -> &[Vec<String>] {
        &self.spoken_forms
    }

    /// Its normal words (see [`normal_words`]) in every wording.
    pub fn normal_forms(&self) -> &[Vec<String>] {
        &self.normal_forms
    }
}

/// Words as a dictionary lists them: lower case, with their apostrophes; a hyphen parts two.
fn spoken_words(text: &str) -> Vec<String> {
    let word = |word: &str| {
        let kept = word.replace('’', "'").to_lowercase();
        let kept: String = kept.chars().filter(|c| c.is_alphanumeric() || *c == '\'').collect();
        kept.trim_matches('\'').to_owned()
    };
    let text = text.replace('%', " percent ");
    text.split([' ', '-']).map(word).filter(|word| !word.is_empty()).collect()
}

/// Appends what is not there yet.
fn add<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

/// `text` with every whole-word occurrence of a pair's first in place of its second undone.
fn replace_words<'a>(text: &str, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = format!(" {text} ");
    for (from, to) in pairs {
        // ASCII only, so that places in the lower-case text are places in the text.
        while let Some(at) =
            text.to_ascii_lowercase().find(&format!(" {} ", from.to_ascii_lowercase()))
        {
            text.replace_range(at + 1..at + 1 + from.len(), to);
        }
    }
    text.trim().to_owned()
}

/// Other ways to write the numbers in `text`: as digits, also tied to the next word ("12-ounce"),
/// or as words.
fn numbers(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split(' ').collect();
    let mut digits: Vec<String> = Vec::new();
    let mut tied = String::new();
    let mut spelled: Vec<String> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let (value, taken) = number_at(&words[at..]);
        let written = value.map_or_else(|| words[at].to_owned(), |value| value.to_string());
        tied.push_str(&written);
        let last = at + taken >= words.len();
        if !last {
            tied.push(if value.is_some() { '-' } else { ' ' });
        }
        digits.push(written);
        let in_words = words[at].parse().ok().and_then(number_in_words);
        spelled.push(in_words.unwrap_or_else(|| words[at..at + taken].join(" ")));
        at += taken;
    }
    vec![digits.join(" "), tied, spelled.join(" ")]
}

/// The value of the number word(s) below 100 that `words` begin with, and how many words it takes.
fn number_at(words: &[&str]) -> (Option<usize>, usize) {
    let unit = |word: &str| UNITS.iter().position(|name| name.eq_ignore_ascii_case(word));
    let tens = |word: &str| TENS.iter().position(|name| name.eq_ignore_ascii_case(word));
    let Some(ten) = tens(words[0]) else { return (unit(words[0]), 1) };
    let value = (ten + 2) * 10;
    match words.get(1).and_then(|word| unit(word)) {
        Some(one @ 1..10) => (Some(value + one), 2),
        Some(_) | None => (Some(value), 1),
    }
}

/// A number below 100 in words.
fn number_in_words(value: usize) -> Option<String> {
    if let Some(name) = UNITS.get(value) {
        return Some((*name).to_owned());
    }
    let ten = TENS.get((value / 10).checked_sub(2)?)?;
    Some(match value % 10 {
        0 => (*ten).to_owned(),
        one => format!("{ten} {}", UNITS[one]),
    })
}

/// "your capital" -> "Your capital": the phrase begins a sentence.
fn capital(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
}

/// "your capital" -> "Your Capital": names and titles.
fn title(text: &str) -> String {
    text.split(' ').map(capital).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spellings(text: &str) -> Vec<String> {
        Phrase::new(text).expect("a sound phrase").spellings().to_vec()
    }

    #[test]
    fn a_phrase_may_begin_a_sentence_or_be_a_name() {
        assert_eq!(
            spellings(" your capital  is at risk"),
            ["your capital is at risk", "Your capital is at risk", "Your Capital Is At Risk"]
        );
    }

    #[test]
    fn words_are_run_together_and_parted() {
        assert!(spellings("do not call list").contains(&"don't call list".to_owned()));
        assert!(spellings("Don't call").contains(&"do not call".to_owned()));
        let phrase = Phrase::new("I am not sure").expect("a sound phrase");
        assert!(phrase.normal_forms().contains(&normal_words("im not sure")));
        assert!(!spellings("willing").contains(&"won'tg".to_owned()));
    }

    #[test]
    fn numbers_are_written_both_ways() {
        let twelve = spellings("twelve ounce cup");
        for wanted in ["12 ounce cup", "12-ounce cup"] {
            assert!(twelve.contains(&wanted.to_owned()), "{twelve:?}");
        }
        assert!(spellings("within twenty four hours").contains(&"within 24 hours".to_owned()));
        assert!(spellings("within 14 days").contains(&"within fourteen days".to_owned()));
        assert!(spellings("45 days").contains(&"forty five days".to_owned()));
    }

    #[test]
    fn a_hyphen_may_be_a_space() {
        let phrase = Phrase::new("pre-paid card").expect("a sound phrase");
        assert!(phrase.spellings().contains(&"pre paid card".to_owned()));
        assert_eq!(phrase.normal_forms(), [normal_words("pre paid card")]);
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        assert_eq!(Phrase::new(" ?! "), Err(PhraseError::Empty { text: "?!".into() }));
        let long = "very ".repeat(25);
        assert!(matches!(Phrase::new(&long), Err(PhraseError::TooLong { words: 25, .. })));
    }

    #[test]
    fn what_is_said_has_neither_digits_nor_hyphens() {
        let phrase = Phrase::new("We don't owe 12-ounce cups").expect("a phrase");
        let forms: Vec<String> =
            phrase.spoken_forms().iter().map(|words| words.join(" ")).collect();
        assert!(forms.contains(&"we don't owe twelve ounce cups".to_owned()), "{forms:?}");
        assert!(forms.contains(&"we do not owe twelve ounce cups".to_owned()), "{forms:?}");
        assert!(forms.iter().all(|form| !form.contains("12")), "{forms:?}");
    }
}
