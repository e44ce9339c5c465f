//! The words of a decoding, and which tokens spell each of them.

use std::ops::Range;

use crate::keyword::acoustic_model::TokenId;
use crate::keyword::tokenizer::Tokenizer;

/// What was said in a segment, as far as the model knows. Never to be logged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    /// The text with its capitals and punctuation.
    pub text: String,
    words: Vec<Word>,
}

/// A word in its normal form.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Word {
    normal: String,
    /// Places of the tokens that spell it.
    tokens: Range<usize>,
}

impl Transcript {
    /// Spells out `tokens`.
    pub fn new(tokenizer: &Tokenizer, tokens: &[TokenId]) -> Self {
        let mut spelling = String::new();
        let mut place_of_byte = Vec::new();
        for (place, &token) in tokens.iter().enumerate() {
            let piece = tokenizer.piece(token);
            place_of_byte.extend(std::iter::repeat_n(place, piece.len()));
            spelling.push_str(&piece);
        }
        let words = words_at(&spelling)
            .map(|(bytes, normal)| {
                let tokens = place_of_byte[bytes.start]..place_of_byte[bytes.end - 1] + 1;
                Word { normal, tokens }
            })
            .collect();
        Self { text: tokenizer.decode(tokens), words }
    }

    /// The tokens of every place where `phrase` (normal words) was said, in order.
    pub fn find(&self, phrase: &[String]) -> Vec<Range<usize>> {
        if phrase.is_empty() {
            return Vec::new();
        }
        self.words
            .windows(phrase.len())
            .filter(|said| said.iter().zip(phrase).all(|(word, wanted)| word.normal == *wanted))
            .map(|said| said[0].tokens.start..said[said.len() - 1].tokens.end)
            .collect()
    }
}

/// The words of `text` without capitals, punctuation and apostrophes; a hyphen parts two words.
pub fn normal_words(text: &str) -> Vec<String> {
    words_at(text).map(|(_, normal)| normal).collect()
}

/// Each word's bytes in `text` and its normal form.
fn words_at(text: &str) -> impl Iterator<Item = (Range<usize>, String)> + '_ {
    let mut rest = text.char_indices().peekable();
    std::iter::from_fn(move || {
        let (start, first) = rest.find(|(_, c)| c.is_alphanumeric() || *c == '%')?;
        if first == '%' {
            return Some((start..start + 1, "percent".to_owned()));
        }
        let mut normal: String = first.to_lowercase().collect();
        let mut end = start + first.len_utf8();
        while let Some((at, c)) = rest.next_if(|(_, c)| c.is_alphanumeric() || is_apostrophe(*c)) {
            end = at + c.len_utf8();
            if !is_apostrophe(c) {
                normal.extend(c.to_lowercase());
            }
        }
        Some((start..end, normal))
    })
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyword::tokenizer::tests::toy;

    #[test]
    fn words_are_compared_without_dress() {
        let words = normal_words("\"Don't\" call—Mid-May, 5% O\u{2019}Brien!");
        assert_eq!(words, ["dont", "call", "mid", "may", "5", "percent", "obrien"]);
    }

    #[test]
    fn a_word_knows_the_tokens_that_spell_it() {
        let tokenizer = toy(&[" Go", "ing", " to", ".", " going"]);
        let said = Transcript::new(&tokenizer, &[259, 260, 261, 262, 263, 261, 2]);
        assert_eq!(said.text, "Going to. going to");
        assert_eq!(said.find(&normal_words("going TO")), [0..3, 4..6]);
        assert!(said.find(&normal_words("go")).is_empty());
        assert!(said.find(&[]).is_empty());
    }
}
