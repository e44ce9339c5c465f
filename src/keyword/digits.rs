//! Digits that were said, as a string, and whether they look like the number of a payment card.

use crate::keyword::language::Language;
use crate::keyword::phrase::{TENS, UNITS};

/// First digits of the issuers' numbers, from and to, and how long these are (ISO/IEC 7812-1 registrations in use:
/// American Express, Diners Club, JCB, Visa, Mastercard twice, Discover twice and its range, Maestro twice, UnionPay).
const ISSUERS: [(&str, &str, usize); 13] = [
    ("34", "34", 15),
    ("37", "37", 15),
    ("300", "305", 14),
    ("36", "36", 14),
    ("3528", "3589", 16),
    ("4", "4", 16),
    ("51", "55", 16),
    ("2221", "2720", 16),
    ("6011", "6011", 16),
    ("644", "659", 16),
    ("50", "50", 16),
    ("56", "58", 16),
    ("62", "62", 16),
];

/// The runs of digits in `words` (lower case, without punctuation), each of two or more. A number of two digits is two
/// ("forty two", "zweiundvierzig"), one of tens alone as well; `double` and `triple` (`doppel`) repeat what follows.
/// Any other word ends a run, but for an `and` or `und` and hesitations.
pub fn digits_in<'a>(words: impl IntoIterator<Item = &'a str>, language: Language) -> Vec<String> {
    let mut runs = Vec::new();
    let mut run = String::new();
    let (mut repeats, mut tens) = (1, false);
    for word in words {
        let spoken = match language {
            Language::English => english(word),
            Language::German => german(word),
        };
        match spoken {
            Spoken::Digits(digits) => {
                // "forty two" is 42 and not 402.
                let unit = digits.len() == 1 && digits != "0";
                if tens && unit && repeats == 1 {
                    run.pop();
                }
                (0..repeats).for_each(|_| run.push_str(&digits));
                (repeats, tens) = (1, false);
            }
            Spoken::Tens(digits) => {
                (0..repeats).for_each(|_| run.push_str(&digits));
                (repeats, tens) = (1, true);
            }
            Spoken::Repeat(times) => (repeats, tens) = (times, false),
            Spoken::Filler => {}
            Spoken::Other => {
                if run.len() > 1 {
                    runs.push(std::mem::take(&mut run));
                }
                run.clear();
                (repeats, tens) = (1, false);
            }
        }
    }
    if run.len() > 1 {
        runs.push(run);
    }
    runs
}

/// Whether `digits` (ASCII) begin as the number of a card does, by its issuer.
pub fn begins_card_number(digits: &[u8]) -> bool {
    ISSUERS.iter().any(|(from, to, _)| is_issued(digits, from, to))
}

/// Whether some of `digits` (ASCII) in a row are a card's number by their issuer, length and check digit (Luhn;
/// ISO/IEC 7812-1 annex B). Of other numbers of 16 digits one in about twenty is taken for one.
pub fn holds_card_number(digits: &[u8]) -> bool {
    (0..digits.len()).any(|start| {
        let rest = &digits[start..];
        ISSUERS.iter().any(|(from, to, length)| {
            is_issued(rest, from, to) && rest.get(..*length).is_some_and(passes_luhn)
        })
    })
}

fn is_issued(digits: &[u8], from: &str, to: &str) -> bool {
    let first = digits.get(..from.len());
    first.is_some_and(|first| (from.as_bytes()..=to.as_bytes()).contains(&first))
}

fn passes_luhn(digits: &[u8]) -> bool {
    let values = digits.iter().rev().map(|digit| u32::from(digit - b'0'));
    let weighed = values.enumerate().map(|(place, digit)| match (place % 2, digit) {
        (0, digit) => digit,
        (_, digit @ 0..5) => 2 * digit,
        (_, digit) => 2 * digit - 9,
    });
    weighed.sum::<u32>().is_multiple_of(10)
}

enum Spoken {
    Digits(String),
    /// Tens, whose zero gives way to a unit that follows.
    Tens(String),
    Repeat(usize),
    Filler,
    Other,
}

/// What is written in digits already.
fn written(word: &str) -> Option<Spoken> {
    let all = !word.is_empty() && word.chars().all(|c| c.is_ascii_digit());
    all.then(|| Spoken::Digits(word.to_owned()))
}

fn english(word: &str) -> Spoken {
    if let Some(value) = UNITS.iter().position(|unit| *unit == word) {
        return Spoken::Digits(value.to_string());
    }
    if let Some(place) = TENS.iter().position(|tens| *tens == word) {
        return Spoken::Tens(((place + 2) * 10).to_string());
    }
    match word {
        "oh" | "o" | "nought" | "nil" => Spoken::Digits("0".to_owned()),
        "double" => Spoken::Repeat(2),
        "triple" | "treble" => Spoken::Repeat(3),
        "and" | "uh" | "um" | "er" | "dash" => Spoken::Filler,
        _ => written(word).unwrap_or(Spoken::Other),
    }
}

fn german(word: &str) -> Spoken {
    const UNITS: [&str; 20] = [
        "null",
        "eins",
        "zwei",
        "drei",
        "vier",
        "fünf",
        "sechs",
        "sieben",
        "acht",
        "neun",
        "zehn",
        "elf",
        "zwölf",
        "dreizehn",
        "vierzehn",
        "fünfzehn",
        "sechzehn",
        "siebzehn",
        "achtzehn",
        "neunzehn",
    ];
    const TENS: [&str; 8] =
        ["zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"];
    let unit = |word: &str| match word {
        "ein" | "eine" => Some(1),
        "zwo" => Some(2),
        _ => UNITS.iter().position(|unit| *unit == word),
    };
    let tens = |word: &str| {
        let word = if word == "dreissig" { "dreißig" } else { word };
        TENS.iter().position(|tens| *tens == word).map(|place| (place + 2) * 10)
    };
    if let Some(value) = unit(word) {
        return Spoken::Digits(value.to_string());
    }
    // A unit after tens is a digit of its own here: 42 is "zweiundvierzig".
    if let Some(value) = tens(word) {
        return Spoken::Digits(value.to_string());
    }
    if let Some((one, ten)) = word.split_once("und")
        && let (Some(one @ 1..10), Some(ten)) = (unit(one), tens(ten))
    {
        return Spoken::Digits((ten + one).to_string());
    }
    match word {
        "doppel" => Spoken::Repeat(2),
        "dreifach" => Spoken::Repeat(3),
        "und" | "äh" | "ähm" | "strich" => Spoken::Filler,
        _ => written(word).unwrap_or(Spoken::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, language: Language) -> Vec<String> {
        digits_in(text.split(' '), language)
    }

    #[test]
    fn english_digits_are_told_as_people_say_them() {
        let english = |text| said(text, Language::English);
        assert_eq!(english("my number is four one oh double seven please"), ["41077"]);
        assert_eq!(english("forty two and fifteen triple zero"), ["4215000"]);
        assert_eq!(english("twenty twenty one"), ["2021"]);
        assert_eq!(english("4111 1111 um 11"), ["4111111111"]);
        assert_eq!(english("one moment two"), [""; 0], "single digits are no run");
    }

    #[test]
    fn german_digits_are_told_as_people_say_them() {
        let german = |text| said(text, Language::German);
        assert_eq!(german("die nummer ist vier zwo null zweiundvierzig"), ["42042"]);
        assert_eq!(german("zwanzig eins doppel neun"), ["20199"]);
        assert_eq!(german("einundzwanzig und dreissig danke"), ["2130"]);
    }

    #[test]
    fn a_card_number_is_known_by_its_check_digit() {
        assert!(holds_card_number(b"4111111111111111"));
        assert!(holds_card_number(b"994111111111111111"), "with something before it");
        assert!(!holds_card_number(b"4111111111111112"));
        assert!(!holds_card_number(b"0000000000000000"));
        assert!(!holds_card_number(b"79927398713"), "eleven digits of nobody's are no card's");
        assert!(holds_card_number(b"378282246310005"), "fifteen are");
    }

    #[test]
    fn a_card_number_begins_with_its_issuer() {
        for begins in ["411111", "510510", "222100", "272099", "378282", "305693", "62"] {
            assert!(begins_card_number(begins.as_bytes()), "{begins}");
        }
        for other in ["1234", "00", "2720", "73", "306", "", "5"] {
            let wanted = other == "2720";
            assert_eq!(begins_card_number(other.as_bytes()), wanted, "{other}");
        }
    }
}
