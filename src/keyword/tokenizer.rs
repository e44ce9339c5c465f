//! Moonshine's vocabulary: text to word pieces and back, as byte-pair encoding in Llama's manner.

use std::collections::HashMap;

use crate::keyword::acoustic_model::TokenId;

/// The space inside a piece, U+2581.
const SPACE: char = '\u{2581}';
/// Ids 3 to 258 stand for single raw bytes, for characters that the vocabulary lacks.
const BYTE_TOKENS: std::ops::Range<TokenId> = 3..259;

/// The pieces of a model's vocabulary, by id and by spelling.
#[derive(Debug)]
pub struct Tokenizer {
    pieces: Vec<Box<[u8]>>,
    ids: HashMap<Box<[u8]>, TokenId>,
}

/// Why a vocabulary file cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenizerError {
    /// A piece runs past the end of the file.
    #[error("tokenizer: the piece at byte {at} runs past the end of the file")]
    Truncated {
        /// Where the piece begins, in bytes.
        at: usize,
    },
    /// Fewer pieces than the special and byte tokens that every vocabulary has.
    #[error("tokenizer: {found} pieces; a vocabulary has at least 259")]
    TooSmall {
        /// Pieces found.
        found: usize,
    },
}

impl Tokenizer {
    /// Reads `tokenizer.bin`: pieces in the order of their ids, each a length and as many bytes.
    ///
    /// A length below 128 is one byte; otherwise its low seven bits come first, then a byte that
    /// counts 128s.
    pub fn parse(file: &[u8]) -> Result<Self, TokenizerError> {
        let mut pieces: Vec<Box<[u8]>> = Vec::new();
        let mut at = 0;
        while let Some(&low) = file.get(at) {
            let cut_short = TokenizerError::Truncated { at };
            let (length, body) = if low < 128 {
                (usize::from(low), at + 1)
            } else {
                let high = *file.get(at + 1).ok_or(cut_short)?;
                (usize::from(high) * 128 + usize::from(low) - 128, at + 2)
            };
            pieces.push(file.get(body..body + length).ok_or(cut_short)?.into());
            at = body + length;
        }
        if pieces.len() < BYTE_TOKENS.end as usize {
            return Err(TokenizerError::TooSmall { found: pieces.len() });
        }
        let mut ids = HashMap::new();
        let last = TokenId::try_from(pieces.len()).unwrap_or(TokenId::MAX);
        for id in BYTE_TOKENS.end..last {
            let piece = &pieces[id as usize];
            if !piece.is_empty() && !is_control(piece) {
                ids.insert(piece.clone(), id);
            }
        }
        // A character that has an id of its own must never go as its byte: the model was trained on
        // the former, and scoring the latter loses 6 of 100 phrases.
        for id in BYTE_TOKENS {
            ids.entry(pieces[id as usize].clone()).or_insert(id);
        }
        Ok(Self { pieces, ids })
    }

    /// The ids of `text`, as they follow running text (the first word gets its leading space).
    pub fn encode(&self, text: &str) -> Vec<TokenId> {
        let mut pieces: Vec<Vec<u8>> = Vec::new();
        for character in std::iter::once(' ').chain(text.chars()) {
            let character = if character == ' ' { SPACE } else { character };
            let bytes = character.to_string().into_bytes();
            if self.ids.contains_key(bytes.as_slice()) {
                pieces.push(bytes);
            } else {
                pieces.extend(bytes.iter().map(|&byte| vec![byte]));
            }
        }
        // The pair whose union has the lowest id merges first: ids are the order of merges.
        while let Some((_, at)) = (1..pieces.len())
            .filter_map(|at| {
                let joined = [pieces[at - 1].as_slice(), &pieces[at]].concat();
                Some((*self.ids.get(joined.as_slice())?, at))
            })
            .min()
        {
            let tail = pieces.remove(at);
            pieces[at - 1].extend(tail);
        }
        pieces.iter().filter_map(|piece| self.ids.get(piece.as_slice()).copied()).collect()
    }

    /// The spelling of one token, with plain spaces; empty for control tokens and unknown ids.
    ///
    /// A character that is spread over byte tokens shows as replacement characters.
    pub fn piece(&self, id: TokenId) -> String {
        match self.pieces.get(id as usize) {
            Some(piece) if !is_control(piece) => String::from_utf8_lossy(piece).replace(SPACE, " "),
            Some(_) | None => String::new(),
        }
    }

    /// Whole lower-case words and beginnings of words of at least three letters, most frequent first: ids are the order in
    /// which pieces were found in text.
    pub fn frequent_words(&self) -> impl Iterator<Item = String> + '_ {
        let pieces = self.pieces.get(BYTE_TOKENS.end as usize..).unwrap_or_default();
        pieces.iter().filter_map(|piece| {
            let word = std::str::from_utf8(piece).ok()?.strip_prefix(SPACE)?;
            let letters = word.len() >= 3 && word.bytes().all(|byte| byte.is_ascii_lowercase());
            letters.then(|| word.to_owned())
        })
    }

    /// The text of `ids`, without control tokens and outer spaces.
    pub fn decode(&self, ids: &[TokenId]) -> String {
        let bytes: Vec<u8> = ids
            .iter()
            .filter_map(|&id| self.pieces.get(id as usize))
            .filter(|piece| !is_control(piece))
            .flat_map(|piece| piece.iter().copied())
            .collect();
        String::from_utf8_lossy(&bytes).replace(SPACE, " ").trim().to_owned()
    }
}

/// `<s>`, `</s>`, `<<ST_12>>`: tokens that steer and say nothing.
fn is_control(piece: &[u8]) -> bool {
    piece.len() > 2 && piece.starts_with(b"<") && piece.ends_with(b">")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Specials, the 256 bytes, then `words` and every prefix of them as mergeable pieces.
    pub(crate) fn toy(pieces: &[&str]) -> Tokenizer {
        Tokenizer::parse(&toy_file(pieces)).expect("a sound vocabulary")
    }

    fn toy_file(pieces: &[&str]) -> Vec<u8> {
        let mut file = Vec::new();
        for special in ["<unk>", "<s>", "</s>"] {
            push(&mut file, special.as_bytes());
        }
        for byte in 0..=255 {
            push(&mut file, &[byte]);
        }
        for piece in pieces {
            push(&mut file, piece.replace(' ', "\u{2581}").as_bytes());
        }
        file
    }

    fn push(file: &mut Vec<u8>, piece: &[u8]) {
        match u8::try_from(piece.len()) {
            Ok(length) if length < 128 => file.push(length),
            _ => {
                file.push((piece.len() % 128) as u8 + 128);
                file.push((piece.len() / 128) as u8);
            }
        }
        file.extend(piece);
    }

    #[test]
    fn text_comes_back_from_its_pieces() {
        let tokenizer =
            toy(&[" ", "h", "e", "a", "v", "n", "he", "av", " he", "heav", " heav", "en"]);
        for text in ["heaven", "he heave", "naïve \u{1f600}", ""] {
            assert_eq!(tokenizer.decode(&tokenizer.encode(text)), text);
        }
        assert_eq!(tokenizer.encode("heaven"), [269, 270]);
    }

    #[test]
    fn a_character_with_an_id_of_its_own_is_not_a_byte() {
        let tokenizer = toy(&[" ", "x"]);
        assert_eq!(tokenizer.encode("xy"), [259, 260, 3 + TokenId::from(b'y')]);
    }

    #[test]
    fn the_lowest_id_merges_first() {
        let tokenizer = toy(&[" ", "a", "b", "c", "bc", "ab"]);
        assert_eq!(tokenizer.encode("abc"), [259, 260, 263]);
    }

    #[test]
    fn frequent_words_come_in_the_order_of_their_ids() {
        let tokenizer = toy(&[" the", "ing", " of", " and", " Anna", " caf\u{e9}"]);
        assert_eq!(tokenizer.frequent_words().collect::<Vec<_>>(), ["the", "and"]);
    }

    #[test]
    fn a_phrase_cannot_speak_control_tokens() {
        let tokenizer = toy(&[" ", "<", "s", ">", "<s", "<s>"]);
        assert!(!tokenizer.encode("<s>").contains(&264));
        assert_eq!(tokenizer.decode(&[1, 264, 260, 2]), "<");
    }

    #[test]
    fn long_pieces_have_two_length_bytes() {
        let long = "y".repeat(300);
        let tokenizer = toy(&[&long]);
        assert_eq!(tokenizer.piece(259), long);
    }

    #[test]
    fn a_cut_file_is_refused_with_the_place() {
        let file = toy_file(&["abcdef"]);
        let cut = Tokenizer::parse(&file[..file.len() - 1]).err();
        assert_eq!(cut, Some(TokenizerError::Truncated { at: file.len() - 7 }));
        assert_eq!(Tokenizer::parse(&[]).err(), Some(TokenizerError::TooSmall { found: 0 }));
    }
}
