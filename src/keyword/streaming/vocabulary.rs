//! The word pieces of a streaming model: `tokens.txt`, a line a piece, `▁HELLO 14`.

use std::collections::HashMap;

/// A word piece, by its number in `tokens.txt`.
pub type PieceId = u32;

/// The piece that stands for "nothing new" in every model of the family.
pub const BLANK: PieceId = 0;
/// What a model says of a sound that none of its pieces is.
const UNKNOWN: &str = "<unk>";

/// The pieces of one model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vocabulary {
    ids: HashMap<String, PieceId>,
}

/// Why a `tokens.txt` is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VocabularyError {
    /// A line that is not `piece number`.
    #[error("line {line} ({text}): a piece, a space and its number were wanted")]
    Malformed {
        /// From 1.
        line: usize,
        /// What it says.
        text: String,
    },
    /// Two lines contradict each other.
    #[error("line {line} ({text}): the piece or its number was there before")]
    Twice {
        /// From 1.
        line: usize,
        /// What it says.
        text: String,
    },
    /// Every number from 0 on has to have a piece.
    #[error("{found} pieces, where the model has {wanted}")]
    Size {
        /// Pieces in the file.
        found: usize,
        /// Pieces that the model tells apart.
        wanted: usize,
    },
}

impl Vocabulary {
    /// Understands the text of a `tokens.txt`, of a model that tells `size` pieces apart.
    pub fn parse(text: &str, size: usize) -> Result<Self, VocabularyError> {
        let mut ids = HashMap::new();
        let mut numbers = std::collections::HashSet::new();
        for (place, text) in text.lines().enumerate() {
            let line = place + 1;
            if text.trim().is_empty() {
                continue;
            }
            let malformed = || VocabularyError::Malformed { line, text: text.to_owned() };
            let (piece, number) = text.trim_end().rsplit_once([' ', '\t']).ok_or_else(malformed)?;
            let number: PieceId = number.parse().map_err(|_| malformed())?;
            let fresh = ids.insert(piece.trim_end().to_owned(), number).is_none();
            if !fresh || !numbers.insert(number) {
                return Err(VocabularyError::Twice { line, text: text.to_owned() });
            }
        }
        // icefall's auxiliary symbols (#0, #1) lie above what the model knows.
        let known = numbers.iter().filter(|&&number| (number as usize) < size).count();
        if known != size {
            return Err(VocabularyError::Size { found: known, wanted: size });
        }
        ids.retain(|_, number| (*number as usize) < size);
        Ok(Self { ids })
    }

    /// The number of `piece`.
    pub fn id(&self, piece: &str) -> Option<PieceId> {
        self.ids.get(piece).copied()
    }

    /// The piece that says of a sound that it is none; a search passes over it as over a blank.
    pub fn unknown(&self) -> Option<PieceId> {
        self.id(UNKNOWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_has_the_number_behind_it() {
        let text = "<blk> 0\n<unk> 1\n▁HE 2\nLL 3\n\n#0 4\n";
        let vocabulary = Vocabulary::parse(text, 4).expect("four pieces");
        assert_eq!(vocabulary.id("▁HE"), Some(2));
        assert_eq!(vocabulary.unknown(), Some(1));
        assert_eq!(vocabulary.id("#0"), None, "it lies beyond the model");
        assert_eq!(vocabulary.id("HE"), None);
    }

    #[test]
    fn what_is_no_list_of_pieces_is_refused_with_its_line() {
        let refused = |text, size| Vocabulary::parse(text, size).expect_err(text).to_string();
        let wanted = "line 2 (▁HE): a piece, a space and its number were wanted";
        assert_eq!(refused("<blk> 0\n▁HE\n", 2), wanted);
        let wanted = "line 2 (▁HE two): a piece, a space and its number were wanted";
        assert_eq!(refused("<blk> 0\n▁HE two\n", 2), wanted);
        let wanted = "line 2 (▁HE 0): the piece or its number was there before";
        assert_eq!(refused("<blk> 0\n▁HE 0\n", 1), wanted);
        assert_eq!(refused("<blk> 0\n▁HE 1\n", 3), "2 pieces, where the model has 3");
        assert_eq!(refused("<blk> 0\n▁HE 2\n", 2), "1 pieces, where the model has 2");
    }
}
