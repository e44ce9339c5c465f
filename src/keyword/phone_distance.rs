//! How alike two ways to say something sound: edit distance over phones, where phones that are easily taken for one
//! another cost less.
//!
//! The costs follow how phones are made (place, manner, voice, height of the tongue), which is what a telephone line
//! blurs; they were set by hand, not measured.

use crate::keyword::phones::{PhoneId, SYMBOLS, is_consonant};

/// Phones that differ in voice, length or a little in place: the line hardly tells them apart.
const CLOSE: f32 = 0.3;
/// Phones of one manner, or vowels that are neighbours.
const ALIKE: f32 = 0.6;
/// Phones that have nothing in common but that both are consonants, or vowels.
const UNLIKE: f32 = 1.0;
/// A consonant for a vowel.
const OPPOSITE: f32 = 1.4;
/// A phone that is often swallowed: stops, h and the murmured vowels.
const SWALLOWED: f32 = 0.6;
/// Any other phone more or less.
const MISSING: f32 = 0.9;

/// Sets of phones that are hardly told apart.
const CLOSE_SETS: [&[&str]; 21] = [
    &["p", "b"],
    &["t", "d"],
    &["k", "g"],
    &["f", "v"],
    &["θ", "ð", "f"],
    &["s", "z"],
    &["ʃ", "ʒ"],
    &["m", "n", "ŋ"],
    &["ɹ", "R"],
    &["ç", "x", "h"],
    &["i", "ɪ"],
    &["ɪ", "ə", "e"],
    &["eɪ", "e"],
    &["ɛ", "e", "æ"],
    &["æ", "a"],
    &["a", "ɑ", "ʌ"],
    &["ɑ", "ɔ"],
    &["o", "oʊ", "ɔ"],
    &["ʊ", "u"],
    &["ʌ", "ə", "ɐ"],
    &["ə", "ɚ", "ɐ"],
];
/// Sets of phones of one manner, or of neighbouring vowels.
const ALIKE_SETS: [&[&str]; 7] = [
    &["p", "b", "t", "d", "k", "g"],
    &["f", "v", "θ", "ð", "s", "z", "ʃ", "ʒ", "ç", "x", "h"],
    &["l", "ɹ", "R", "j", "w"],
    &["i", "ɪ", "e", "eɪ", "ɛ", "y", "ø"],
    &["ɛ", "æ", "a", "aɪ", "eɪ", "ə"],
    &["ɑ", "ɔ", "o", "oʊ", "ʊ", "u", "aʊ", "ɔɪ"],
    &["ʌ", "ə", "ɚ", "ɐ", "ʊ", "ɪ"],
];
const SWALLOWED_PHONES: [&str; 8] = ["p", "t", "d", "k", "g", "h", "ə", "ɪ"];

/// What one phone for another costs: 0 for the same, up to 1.4.
fn swapped(a: PhoneId, b: PhoneId) -> f32 {
    let (one, other) = (SYMBOLS[a as usize], SYMBOLS[b as usize]);
    let both = |sets: &[&[&str]]| sets.iter().any(|set| set.contains(&one) && set.contains(&other));
    if a == b {
        0.0
    } else if both(&CLOSE_SETS) {
        CLOSE
    } else if both(&ALIKE_SETS) {
        ALIKE
    } else if is_consonant(a) == is_consonant(b) {
        UNLIKE
    } else {
        OPPOSITE
    }
}

fn missing(phone: PhoneId) -> f32 {
    if SWALLOWED_PHONES.contains(&SYMBOLS[phone as usize]) { SWALLOWED } else { MISSING }
}

/// The costs of all pairs, computed once: comparisons with thousands of words ask for them.
static SWAPPED: std::sync::LazyLock<Vec<[f32; SYMBOLS.len()]>> = std::sync::LazyLock::new(|| {
    let all = || 0..SYMBOLS.len() as PhoneId;
    all().map(|a| std::array::from_fn(|b| swapped(a, b as PhoneId))).collect()
});

/// The distance of two ways to say something, per phone of the longer: 0 for the same, about 1 for what has nothing in
/// common.
pub fn distance(a: &[PhoneId], b: &[PhoneId]) -> f32 {
    let longer = a.len().max(b.len());
    if longer == 0 {
        return 0.0;
    }
    let mut row: Vec<f32> = std::iter::once(0.0)
        .chain(b.iter().scan(0.0, |sum, phone| {
            *sum += missing(*phone);
            Some(*sum)
        }))
        .collect();
    for &one in a {
        let mut diagonal = row[0];
        row[0] += missing(one);
        for (place, &other) in b.iter().enumerate() {
            let best = (diagonal + SWAPPED[one as usize][other as usize])
                .min(row[place + 1] + missing(one))
                .min(row[place] + missing(other));
            diagonal = row[place + 1];
            row[place + 1] = best;
        }
    }
    row[b.len()] / longer as f32
}

/// The least distance between any of the ways to say one thing and another; `None` where nothing is known of one.
pub fn nearest(ones: &[Vec<PhoneId>], others: &[Vec<PhoneId>]) -> Option<f32> {
    let pairs = ones.iter().flat_map(|one| others.iter().map(move |other| distance(one, other)));
    pairs.min_by(f32::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyword::lexicon::phones_named;

    fn apart(a: &str, b: &str) -> f32 {
        let way = |text| phones_named(text).expect("phones");
        distance(&way(a), &way(b))
    }

    #[test]
    fn the_same_is_no_distance_and_what_sounds_alike_a_small_one() {
        assert_eq!(apart("D AO1 T ER0", "D AO1 T ER0"), 0.0);
        let (bat, cat) = (apart("P AE T", "B AE T"), apart("P AE T", "S AE T"));
        assert!(0.0 < bat && bat < cat, "{bat} {cat}");
        assert!((bat - CLOSE / 3.0).abs() < 1e-6);
    }

    #[test]
    fn a_swallowed_t_costs_less_than_another_vowel() {
        assert!(apart("AY1 S T", "AY1 S") < apart("AY1 S", "AY1 S L"));
        assert!(apart("AY1 S", "S") > 0.4);
    }

    #[test]
    fn it_is_the_same_both_ways_and_counts_per_phone_of_the_longer() {
        let (there, back) =
            (apart("S IH K S T IY N", "S IH K S T IY"), apart("S IH K S T IY", "S IH K S T IY N"));
        assert!((there - back).abs() < 1e-6);
        assert!((there - MISSING / 7.0).abs() < 1e-6, "{there}");
    }

    #[test]
    fn every_phone_of_the_sets_is_one() {
        let sets = CLOSE_SETS.iter().chain(&ALIKE_SETS).copied().flatten();
        let all: Vec<_> = sets.chain(&SWALLOWED_PHONES).collect();
        assert!(all.iter().all(|phone| SYMBOLS.contains(phone)));
    }

    #[test]
    fn of_several_ways_the_nearest_counts() {
        let way = |text| phones_named(text).expect("phones");
        let ways = [way("DH IY"), way("DH AH0")];
        assert_eq!(nearest(&ways, &[way("DH AH0")]), Some(0.0));
        assert_eq!(nearest(&ways, &[]), None);
    }
}
