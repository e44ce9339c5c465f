//! The phones that the phone head tells apart, and what it says of a segment.

/// A phone: its place among [`SYMBOLS`]; 0 is the blank.
pub type PhoneId = u8;

/// The symbol of CTC that stands for no phone.
pub const BLANK: PhoneId = 0;

/// What the head tells apart, in the order of its output: the blank, then 47 phones of English and German
/// (IPA, without stress and length; affricates are two).
pub const SYMBOLS: [&str; 48] = [
    "<blank>", "p", "b", "t", "d", "k", "g", "f", "v", "θ", "ð", "s", "z", "ʃ", "ʒ", "ç", "x", "h",
    "m", "n", "ŋ", "l", "ɹ", "R", "j", "w", "i", "ɪ", "e", "eɪ", "ɛ", "æ", "a", "ɑ", "ɔ", "o",
    "oʊ", "ʊ", "u", "ʌ", "ə", "ɚ", "ɐ", "y", "ø", "aɪ", "aʊ", "ɔɪ",
];
/// The first of the vowels; before it stand the consonants.
const FIRST_VOWEL: &str = "i";

/// The phone that `symbol` names.
pub fn phone(symbol: &str) -> Option<PhoneId> {
    let place = SYMBOLS.iter().skip(1).position(|known| *known == symbol)?;
    PhoneId::try_from(place + 1).ok()
}

/// Whether it is a consonant.
pub fn is_consonant(phone: PhoneId) -> bool {
    phone != BLANK && SYMBOLS[..=phone as usize].iter().all(|symbol| *symbol != FIRST_VOWEL)
}

/// A phone of CMUdict (ARPAbet, with the digit of its stress) in ours; affricates become two.
pub fn from_arpabet(arpabet: &str) -> Option<&'static [PhoneId]> {
    const TABLE: [(&str, &[&str]); 39] = [
        ("P", &["p"]),
        ("B", &["b"]),
        ("T", &["t"]),
        ("D", &["d"]),
        ("K", &["k"]),
        ("G", &["g"]),
        ("F", &["f"]),
        ("V", &["v"]),
        ("TH", &["θ"]),
        ("DH", &["ð"]),
        ("S", &["s"]),
        ("Z", &["z"]),
        ("SH", &["ʃ"]),
        ("ZH", &["ʒ"]),
        ("HH", &["h"]),
        ("M", &["m"]),
        ("N", &["n"]),
        ("NG", &["ŋ"]),
        ("L", &["l"]),
        ("R", &["ɹ"]),
        ("Y", &["j"]),
        ("W", &["w"]),
        ("CH", &["t", "ʃ"]),
        ("JH", &["d", "ʒ"]),
        ("IY", &["i"]),
        ("IH", &["ɪ"]),
        ("EY", &["eɪ"]),
        ("EH", &["ɛ"]),
        ("AE", &["æ"]),
        ("AA", &["ɑ"]),
        ("AO", &["ɔ"]),
        ("OW", &["oʊ"]),
        ("UH", &["ʊ"]),
        ("UW", &["u"]),
        ("ER", &["ɚ"]),
        ("AY", &["aɪ"]),
        ("AW", &["aʊ"]),
        ("OY", &["ɔɪ"]),
        ("AH", &["ʌ"]),
    ];
    static IDS: std::sync::LazyLock<Vec<(&str, Vec<PhoneId>)>> = std::sync::LazyLock::new(|| {
        let id = |symbol: &&str| phone(symbol).expect("the table names known phones");
        TABLE
            .iter()
            .map(|(from, to)| (*from, to.iter().map(id).collect()))
            .chain([("AH0", vec![phone("ə").expect("a known phone")])])
            .collect()
    });
    let bare = arpabet.trim_end_matches(['0', '1', '2']);
    // An unstressed AH is another vowel.
    let name = if arpabet == "AH0" { arpabet } else { bare };
    IDS.iter().find(|(from, _)| *from == name).map(|(_, to)| &to[..])
}

/// What the head says of a segment.
#[derive(Clone, Debug, PartialEq)]
pub struct PhoneScores {
    /// Natural logs of the symbols' probabilities, [frames, 48], a frame every 24 ms.
    pub log_p: Vec<f32>,
}

impl PhoneScores {
    /// Frames of the segment.
    pub fn frames(&self) -> usize {
        self.log_p.len() / SYMBOLS.len()
    }

    /// One frame after the other, 48 numbers each.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.log_p.chunks_exact(SYMBOLS.len())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What a head hears that is sure of each of `symbols`, a frame each; `_` is the blank.
    pub(crate) fn sure(symbols: &str) -> PhoneScores {
        let mut log_p = Vec::new();
        for symbol in symbols.split(' ') {
            let sure = if symbol == "_" { BLANK } else { phone(symbol).expect("a phone") };
            let row = |n: usize| if n == sure as usize { 0.99_f32 } else { 0.01 / 47.0 };
            log_p.extend((0..SYMBOLS.len()).map(|n| row(n).ln()));
        }
        PhoneScores { log_p }
    }

    #[test]
    fn the_dictionary_s_phones_are_ours() {
        let spelt = |arpabet: &str| -> Option<Vec<&str>> {
            let ids = from_arpabet(arpabet)?;
            Some(ids.iter().map(|id| SYMBOLS[*id as usize]).collect())
        };
        assert_eq!(spelt("CH"), Some(vec!["t", "ʃ"]));
        assert_eq!(spelt("AH0"), Some(vec!["ə"]));
        assert_eq!(spelt("AH1"), Some(vec!["ʌ"]));
        assert_eq!(spelt("OY2"), Some(vec!["ɔɪ"]));
        assert_eq!(spelt("QQ"), None);
    }

    #[test]
    fn consonants_come_before_the_vowels() {
        let is = |symbol| is_consonant(phone(symbol).expect("a phone"));
        assert!(is("p") && is("w") && !is("i") && !is("ɔɪ") && !is_consonant(BLANK));
    }
}
