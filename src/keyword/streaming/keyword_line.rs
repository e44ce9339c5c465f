//! One line of a `keywords.txt`: `▁HE LL O ▁WORLD :1.5 #0.35 @greeting`, a phrase in the pieces of the model.
//!
//! `:` boosts each piece of it, `#` is the mean probability that its pieces need, and `@` names the phrase. What is a
//! piece of the model is a piece, whatever sign it begins with.

use crate::keyword::streaming::vocabulary::{PieceId, Vocabulary};

/// A way to say a phrase.
#[derive(Clone, Debug, PartialEq)]
pub struct KeywordLine {
    /// Its pieces; at least one.
    pub pieces: Vec<PieceId>,
    /// What each of them is worth more than it sounds, nats; the settings' where it says none.
    pub boost: Option<f32>,
    /// Mean probability of its pieces that it needs; the settings' where it says none.
    pub threshold: Option<f32>,
    /// The phrase's id.
    pub name: String,
}

/// Why a line is no keyword.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeywordLineError {
    /// A word that the model does not know.
    #[error("phrase {name:?}: tokens.txt has no piece {piece:?}")]
    NoPiece {
        /// The phrase, as far as it is named.
        name: String,
        /// The word.
        piece: String,
    },
    /// Nothing to listen for.
    #[error("phrase {name:?} has no piece")]
    Empty {
        /// The phrase, as far as it is named.
        name: String,
    },
    /// It would be found, and nobody would know as what.
    #[error("a phrase's id was wanted, as in @id, and there is none in {text:?}")]
    NoName {
        /// The line.
        text: String,
    },
    /// Not a number, or one out of reason.
    #[error("phrase {name:?}: {found} was found, and {wanted} was wanted")]
    Number {
        /// The phrase, as far as it is named.
        name: String,
        /// What it says.
        found: String,
        /// What it may say.
        wanted: &'static str,
    },
}

impl KeywordLine {
    /// Understands one line in the pieces of `vocabulary`.
    pub fn parse(text: &str, vocabulary: &Vocabulary) -> Result<Self, KeywordLineError> {
        let words = || text.split_whitespace();
        let is_piece = |word: &str| vocabulary.id(word).is_some();
        let name = words().filter(|word| !is_piece(word)).find_map(|word| word.strip_prefix('@'));
        let name = name.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| KeywordLineError::NoName { text: text.to_owned() })?;
        let mut line =
            Self { pieces: Vec::new(), boost: None, threshold: None, name: name.to_owned() };
        for word in words() {
            let number = |text: &str, range: std::ops::RangeInclusive<f32>, wanted| {
                let number = text.parse().ok().filter(|number| range.contains(number));
                number.ok_or_else(|| KeywordLineError::Number {
                    name: name.to_owned(),
                    found: word.to_owned(),
                    wanted,
                })
            };
            if let Some(piece) = vocabulary.id(word) {
                line.pieces.push(piece);
            } else if let Some(boost) = word.strip_prefix(':') {
                line.boost = Some(number(boost, 0.0..=10.0, "a boost of :0 to :10")?);
            } else if let Some(threshold) = word.strip_prefix('#') {
                line.threshold = Some(number(threshold, 0.0..=1.0, "a probability, #0 to #1")?);
            } else if !word.starts_with('@') {
                let (name, piece) = (name.to_owned(), word.to_owned());
                return Err(KeywordLineError::NoPiece { name, piece });
            }
        }
        if line.pieces.is_empty() {
            return Err(KeywordLineError::Empty { name: name.to_owned() });
        }
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<KeywordLine, String> {
        let vocabulary =
            Vocabulary::parse("<blk> 0\n<unk> 1\n▁HE 2\nLL 3\nO 4\n: 5\n", 6).expect("six pieces");
        KeywordLine::parse(text, &vocabulary).map_err(|error| error.to_string())
    }

    #[test]
    fn a_line_is_pieces_a_boost_a_threshold_and_a_name() {
        let line = parse("▁HE LL O :1.5 #0.35 @hello").expect("a line");
        assert_eq!(line.pieces, [2, 3, 4]);
        assert_eq!((line.boost, line.threshold), (Some(1.5), Some(0.35)));
        assert_eq!(line.name, "hello");
        let line = parse("▁HE @he").expect("a line");
        assert_eq!((line.boost, line.threshold), (None, None));
    }

    #[test]
    fn a_sign_that_is_a_piece_is_a_piece() {
        assert_eq!(parse("▁HE : @he").expect("a line").pieces, [2, 5]);
    }

    #[test]
    fn what_is_no_keyword_is_refused_in_a_sentence() {
        let refused = |text| parse(text).expect_err(text);
        assert_eq!(refused("▁HE ▁WORLD @x"), "phrase \"x\": tokens.txt has no piece \"▁WORLD\"");
        assert_eq!(refused("@x :1"), "phrase \"x\" has no piece");
        let wanted = "a phrase's id was wanted, as in @id, and there is none in \"▁HE LL\"";
        assert_eq!(refused("▁HE LL"), wanted);
        let wanted = "phrase \"x\": #1.5 was found, and a probability, #0 to #1 was wanted";
        assert_eq!(refused("▁HE #1.5 @x"), wanted);
        let wanted = "phrase \"x\": :loud was found, and a boost of :0 to :10 was wanted";
        assert_eq!(refused("▁HE :loud @x"), wanted);
    }
}
