//! The ways to say a phrase, as phones.

use crate::keyword::lexicon::Lexicon;
use crate::keyword::phones::{PhoneId, is_consonant, phone};

/// Each way costs a search through every segment; the usual ones come first.
const MOST_WAYS: usize = 24;

/// The ways to say one of `forms` (lower-case words, numbers spelt out), without those of which a word is unknown.
///
/// A phone that repeats across two words is said once, and a final t or d after a consonant may be silent before
/// another: "iced mocha", "almond milk".
pub fn pronunciations(forms: &[Vec<String>], lexicon: &Lexicon) -> Vec<Vec<PhoneId>> {
    let mut all: Vec<Vec<PhoneId>> = Vec::new();
    for form in forms {
        let words: Option<Vec<_>> = form.iter().map(|word| lexicon.pronunciations(word)).collect();
        let Some(words) = words.filter(|words| !words.is_empty()) else { continue };
        for way in ways(&words) {
            if !way.is_empty() && !all.contains(&way) {
                all.push(way);
            }
        }
    }
    all.truncate(MOST_WAYS);
    all
}

/// German `ways`, and each as it is said in haste, without the ə of -en after a consonant: "haben" as "habn".
pub fn with_reductions(ways: &[Vec<PhoneId>]) -> Vec<Vec<PhoneId>> {
    let (schwa, n) = (phone("ə"), phone("n"));
    let mut all: Vec<Vec<PhoneId>> = Vec::new();
    for way in ways {
        let silent = |at: usize| {
            Some(way[at]) == schwa
                && way.get(at + 1).copied() == n
                && at.checked_sub(1).is_some_and(|before| is_consonant(way[before]))
        };
        let mut hasty: Vec<_> =
            (0..way.len()).filter(|at| !silent(*at)).map(|at| way[at]).collect();
        hasty.dedup();
        for way in [way.clone(), hasty] {
            if !all.contains(&way) {
                all.push(way);
            }
        }
    }
    all
}

/// Every way to say each of `words`, one after the other.
fn ways(words: &[Vec<Vec<PhoneId>>]) -> Vec<Vec<PhoneId>> {
    let mut ways: Vec<Vec<PhoneId>> = vec![Vec::new()];
    for (place, said) in words.iter().enumerate() {
        let next = words.get(place + 1).and_then(|next| next.first()?.first().copied());
        let mut said = said.clone();
        if next.is_some_and(is_consonant) {
            let shortened: Vec<_> = said.iter().filter_map(|way| without_stop(way)).collect();
            said.extend(shortened);
        }
        // The usual way of each word first, then one word otherwise, and so on.
        let mut longer = Vec::new();
        for word in &said {
            longer.extend(ways.iter().map(|way| joined(way, word)));
        }
        longer.truncate(2 * MOST_WAYS);
        ways = longer;
    }
    ways
}

fn joined(way: &[PhoneId], word: &[PhoneId]) -> Vec<PhoneId> {
    let repeated = way.last().is_some() && way.last() == word.first();
    [way, &word[usize::from(repeated)..]].concat()
}

fn without_stop(way: &[PhoneId]) -> Option<Vec<PhoneId>> {
    let [rest @ .., before, last] = way else { return None };
    let stop = [phone("t"), phone("d")].contains(&Some(*last));
    (stop && is_consonant(*before) && !rest.is_empty()).then(|| way[..way.len() - 1].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyword::phones::SYMBOLS;

    fn said(forms: &[&str]) -> Vec<String> {
        let text =
            "iced AY1 S T\nmocha M OW1 K AH0\nthe DH AH0\nthe(2) DH IY0\nis IH1 Z\nzoo Z UW1\n";
        let forms: Vec<Vec<String>> =
            forms.iter().map(|form| form.split(' ').map(str::to_owned).collect()).collect();
        let wanted = forms.iter().flatten().cloned().collect();
        let lexicon = Lexicon::parse(text, &wanted).expect("a dictionary");
        let spell = |way: &Vec<PhoneId>| way.iter().map(|id| SYMBOLS[*id as usize]).collect();
        pronunciations(&forms, &lexicon).iter().map(spell).collect()
    }

    #[test]
    fn every_way_is_there_the_usual_one_first() {
        assert_eq!(said(&["the mocha"]), ["ðəmoʊkə", "ðimoʊkə"]);
        assert_eq!(said(&["iced mocha"]), ["aɪstmoʊkə", "aɪsmoʊkə"]);
        assert_eq!(said(&["is zoo"]), ["ɪzu"], "one z");
    }

    #[test]
    fn in_haste_the_e_of_en_is_silent() {
        let way = |text: &str| -> Vec<_> { text.split(' ').filter_map(phone).collect() };
        let both = with_reductions(&[way("h a b ə n")]);
        assert_eq!(both, [way("h a b ə n"), way("h a b n")]);
        assert_eq!(with_reductions(&[way("b ə z u x t")]).len(), 1);
        assert_eq!(with_reductions(&[way("g e ə n")]).len(), 1, "after a vowel it is said");
    }

    #[test]
    fn a_form_with_an_unknown_word_is_left_out() {
        assert_eq!(said(&["bonneted mocha", "mocha"]), ["moʊkə"]);
        assert_eq!(said(&["bonneted"]), [""; 0]);
    }
}
