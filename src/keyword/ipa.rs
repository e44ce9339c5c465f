//! Pronunciations as the IPA writes them, by hand or by espeak-ng, in the phones of the head.

use crate::keyword::language::Language;
use crate::keyword::phones::{PhoneId, SYMBOLS, is_consonant, phone};

/// What is written otherwise than in [`SYMBOLS`], in any language: an affricate is two phones, length and the rest of
/// the marks say nothing that the head tells apart.
const COMMON: [(&str, &[&str]); 13] = [
    ("tʃ", &["t", "ʃ"]),
    ("dʒ", &["d", "ʒ"]),
    ("ɡ", &["g"]),
    ("ˈ", &[]),
    ("ˌ", &[]),
    ("ː", &[]),
    ("ʔ", &[]),
    ("ʲ", &[]),
    ("\u{303}", &[]),
    ("\u{329}", &[]),
    ("-", &[]),
    ("'", &[]),
    (".", &[]),
];
/// What German has besides: espeak-ng's signs first, then others in use. Close pairs fall together.
const GERMAN: [(&str, &[&str]); 26] = [
    ("ts", &["t", "s"]),
    ("pf", &["p", "f"]),
    ("ɔø", &["ɔɪ"]),
    ("ɔʏ", &["ɔɪ"]),
    ("eɪ", &["e"]),
    ("oʊ", &["o"]),
    ("ɑ\u{303}", &["a", "ŋ"]),
    ("ɔ\u{303}", &["ɔ", "ŋ"]),
    ("ɛ\u{303}", &["ɛ", "ŋ"]),
    ("ʏ", &["y"]),
    ("œ", &["ø"]),
    ("ɑ", &["a"]),
    ("æ", &["ɛ"]),
    ("ʌ", &["a"]),
    ("ɒ", &["ɔ"]),
    ("ɜ", &["ɐ"]),
    ("ɚ", &["ɐ"]),
    ("r", &["R"]),
    ("ɾ", &["R"]),
    ("ʁ", &["R"]),
    ("ʀ", &["R"]),
    ("ɹ", &["R"]),
    ("w", &["v"]),
    ("θ", &["s"]),
    ("ð", &["d"]),
    ("ɣ", &["g"]),
];

/// A sign that stands for no phone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sign:?} in {text:?} is no phone: they are {}", SYMBOLS[1..].join(" "))]
pub struct IpaError {
    /// The sign.
    pub sign: String,
    /// Where it stands.
    pub text: String,
}

/// The phones of `text`, IPA with spaces between phones, or none, and two or more between words. What espeak-ng puts in
/// brackets, as `(en)`, is left out, and a phone that repeats is said once.
pub fn phones(language: Language, text: &str) -> Result<Vec<PhoneId>, IpaError> {
    let mut all: Vec<PhoneId> = Vec::new();
    for word in without_brackets(text).replace('\n', "  ").split("  ") {
        let mut said = Vec::new();
        for signs in word.split_whitespace() {
            let mut rest = signs;
            while !rest.is_empty() {
                let (phones, length) = next(language, rest).ok_or_else(|| IpaError {
                    sign: rest.chars().take(1).collect(),
                    text: text.trim().to_owned(),
                })?;
                said.extend(phones);
                rest = &rest[length..];
            }
        }
        if language == Language::German {
            vocalise(&mut said);
        }
        all.extend(said);
    }
    all.dedup();
    Ok(all)
}

/// The phones that `signs` begins with, and how many bytes they take: the longest that is known.
fn next(language: Language, signs: &str) -> Option<(Vec<PhoneId>, usize)> {
    let german: &[_] = if language == Language::German { &GERMAN } else { &[] };
    let ends = signs.char_indices().map(|(at, sign)| at + sign.len_utf8()).take(3);
    let mut ends: Vec<usize> = ends.collect();
    ends.reverse();
    ends.into_iter().find_map(|end| {
        let sign = &signs[..end];
        let mut written = german.iter().chain(&COMMON);
        let found = written.find(|(from, _)| *from == sign).map(|(_, to)| *to);
        let ids = match found {
            Some(to) => to.iter().filter_map(|symbol| phone(symbol)).collect(),
            None => vec![phone(sign)?],
        };
        Some((ids, end))
    })
}

/// After a vowel and before none of its word, a German r is ɐ.
fn vocalise(word: &mut [PhoneId]) {
    let (r, a) = (phone("R"), phone("ɐ"));
    let vowel: Vec<bool> = word.iter().map(|phone| !is_consonant(*phone)).collect();
    for at in 1..word.len() {
        let before_vowel = vowel.get(at + 1).is_some_and(|vowel| *vowel);
        if Some(word[at]) == r && vowel[at - 1] && !before_vowel {
            word[at] = a.unwrap_or(word[at]);
        }
    }
}

/// `text` without what stands in round brackets.
fn without_brackets(text: &str) -> String {
    let mut depth = 0_usize;
    let mut kept = String::new();
    for sign in text.chars() {
        match sign {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            sign if depth == 0 => kept.push(sign),
            _ => {}
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn german(text: &str) -> String {
        let ids = phones(Language::German, text).expect("German");
        ids.iter().map(|id| SYMBOLS[*id as usize]).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_espeak_ng_says_is_in_our_phones() {
        let said = " d ɛ ɾ  l ˈa p ə n  l ˈiː k t    aʊ f  d eː m   ˈaɪ s ç r a ŋ k\n";
        assert_eq!(german(said), "d ɛ ɐ l a p ə n l i k t aʊ f d e m aɪ s ç R a ŋ k");
        assert_eq!(german("h ˈɔø t ə  ts ˈuː  (en)r ˈɑ̃(de)"), "h ɔɪ t ə t s u R a ŋ");
    }

    #[test]
    fn an_r_after_a_vowel_is_a_vowel_unless_another_follows() {
        assert_eq!(german("v ɪ ʁ t"), "v ɪ ɐ t");
        assert_eq!(german("d eː ʁ  aː b ə n t"), "d e ɐ a b ə n t", "the next word does not count");
        assert_eq!(german("f aː ʁ ə n"), "f a R ə n");
    }

    #[test]
    fn signs_need_no_spaces_and_what_repeats_is_said_once() {
        assert_eq!(german("anneːmən"), "a n e m ə n");
        assert_eq!(german("a m  m ɪ t v ɔ x"), "a m ɪ t v ɔ x");
    }

    #[test]
    fn english_is_written_in_our_own_symbols() {
        let ids = phones(Language::English, "tʃ ɑ ɹ dʒ").expect("English");
        let spelt: Vec<_> = ids.iter().map(|id| SYMBOLS[*id as usize]).collect();
        assert_eq!(spelt, ["t", "ʃ", "ɑ", "ɹ", "d", "ʒ"]);
    }

    #[test]
    fn what_is_no_phone_is_named() {
        let error = phones(Language::German, "j a q").expect_err("no phone");
        let wanted = "\"q\" in \"j a q\" is no phone: they are p b t d";
        assert!(error.to_string().starts_with(wanted), "{error}");
    }
}
