//! Digits in a row by what the phone head heard: a loop over the words that stand for digits.
//!
//! The result says how many digits were said from when to when, and never which.

use std::time::Duration;

use crate::keyword::acoustic_model::FRAME;
use crate::keyword::digits::digits_in;
use crate::keyword::language::Language;
use crate::keyword::phone_search::relative_costs;
use crate::keyword::phones::{BLANK, PhoneId, PhoneScores, SYMBOLS, phone};
use crate::keyword::transcript::{Transcript, normal_words};

/// What a word in the loop is worth, nats: it may be so much less probable than what the head heard best.
///
/// With 5 and an entry of 8, of 80 cards said by four people (mu-law) half of the digits and more are found in 77, and
/// in 0.4 h of other speech 35 segments hold a run of three that is none; with 4 it is 72 and 8, with 6 all 80 and 80. The loop costs 0.08 ms per second.
const WORTH: f32 = 5.0;
/// What a run has to be worth beside, nats: two words that sound like digits are everywhere.
const ENTRY: f32 = 8.0;

/// Digits of a run from which on it counts.
const LEAST: usize = 3;
/// Digits in the decoder's text that agree with a run: it hears every seventh digit wrongly.
///
/// With 2, and eight digits for a card, 90 of 100 cards said by four people (mu-law, groups of four) pause the leg, and
/// so does something else once in 0.72 h of orders, which are full of numbers, and five times in 0.87 h of books.
const WRITTEN: usize = 2;
/// Digits of a run from which on the decoder need not agree, which makes "nice, nice, easy" of some accents' digits:
/// 86 cards without this, and one false pause less.
const SURE: usize = 6;

/// Words for digits, how many digits each is worth, and the ways to say it; tens are followed by a unit, which is worth
/// the other digit, and a word that repeats the next digit is worth the repeats.
const ENGLISH: &[(usize, &[&str])] = &[
    (1, &["z ɪ ɹ oʊ", "z i ɹ oʊ"]),
    (1, &["oʊ"]),
    (1, &["w ʌ n", "w ɑ n"]),
    (1, &["t u"]),
    (1, &["θ ɹ i"]),
    (1, &["f ɔ ɹ", "f ɔ"]),
    (1, &["f aɪ v"]),
    (1, &["s ɪ k s"]),
    (1, &["s ɛ v ə n", "s ɛ v n"]),
    (1, &["eɪ t"]),
    (1, &["n aɪ n"]),
    (2, &["t ɛ n"]),
    (2, &["ɪ l ɛ v ə n"]),
    (2, &["t w ɛ l v"]),
    (2, &["θ ɚ t i n"]),
    (2, &["f ɔ ɹ t i n"]),
    (2, &["f ɪ f t i n"]),
    (2, &["s ɪ k s t i n"]),
    (2, &["s ɛ v ə n t i n"]),
    (2, &["eɪ t i n"]),
    (2, &["n aɪ n t i n"]),
    (1, &["t w ɛ n t i", "t w ɛ n i"]),
    (1, &["θ ɚ t i"]),
    (1, &["f ɔ ɹ t i"]),
    (1, &["f ɪ f t i"]),
    (1, &["s ɪ k s t i"]),
    (1, &["s ɛ v ə n t i"]),
    (1, &["eɪ t i"]),
    (1, &["n aɪ n t i"]),
    (1, &["d ʌ b ə l"]),
    (2, &["t ɹ ɪ p ə l"]),
];

/// The same in German; of two digits in one word the second is said first.
const GERMAN: &[(usize, &[&str])] = &[
    (1, &["n ʊ l"]),
    (1, &["aɪ n s"]),
    (1, &["t s v aɪ"]),
    (1, &["t s v o"]),
    (1, &["d R aɪ"]),
    (1, &["f i ɐ"]),
    (1, &["f y n f"]),
    (1, &["z ɛ k s"]),
    (1, &["z i b ə n", "z i b m"]),
    (1, &["a x t"]),
    (1, &["n ɔɪ n"]),
    (2, &["t s e n"]),
    (2, &["ɛ l f"]),
    (2, &["t s v ø l f"]),
    (1, &["ʊ n t"]),
    (1, &["t s v a n t s ɪ ç"]),
    (1, &["d R aɪ s ɪ ç"]),
    (1, &["f i R t s ɪ ç"]),
    (1, &["f y n f t s ɪ ç"]),
    (1, &["z ɛ ç t s ɪ ç"]),
    (1, &["z i p t s ɪ ç"]),
    (1, &["a x t s ɪ ç"]),
    (1, &["n ɔɪ n t s ɪ ç"]),
];

/// Digits that were said one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigitRun {
    /// How many.
    pub digits: usize,
    /// When the first began, from the start of the segment.
    pub start: Duration,
    /// When the last ended, from the start of the segment.
    pub end: Duration,
}

/// A run by its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// How many digits.
    pub digits: usize,
    /// Its first frame.
    pub from: usize,
    /// The frame behind its last.
    pub to: usize,
}

/// Listens for the digits of one language. It holds no state of any call.
#[derive(Debug)]
pub struct DigitSearch {
    language: Language,
    words: Vec<Word>,
}

#[derive(Debug)]
struct Word {
    digits: usize,
    phones: Vec<PhoneId>,
}

/// A path through the segment so far.
#[derive(Clone, Copy, Debug)]
struct Path {
    score: f32,
    /// The run that it is in: where that began, and its digits.
    from: usize,
    digits: usize,
    /// The place of the run before among all that ended.
    before: Option<usize>,
}

const NOWHERE: Path = Path { score: f32::NEG_INFINITY, from: 0, digits: 0, before: None };

impl Path {
    fn or(self, other: Self) -> Self {
        if other.score > self.score { other } else { self }
    }

    fn plus(self, nats: f32) -> Self {
        Self { score: self.score + nats, ..self }
    }
}

impl DigitSearch {
    /// Prepares to listen for the digits of `language`.
    pub fn new(language: Language) -> Self {
        let table = match language {
            Language::English => ENGLISH,
            Language::German => GERMAN,
        };
        let ids = |way: &&str| {
            way.split(' ').map(|symbol| phone(symbol).expect("the tables hold phones")).collect()
        };
        let words = table.iter().flat_map(|(digits, ways)| {
            ways.iter().map(move |way| Word { digits: *digits, phones: ids(way) })
        });
        Self { language, words: words.collect() }
    }

    /// The runs of digits in a segment, in the order of time (Viterbi over CTC's states: outside of a run whatever the
    /// head heard best, within one the words one after the other).
    pub fn find(&self, scores: &PhoneScores) -> Vec<Run> {
        let mut ended: Vec<(Run, Option<usize>)> = Vec::new();
        let mut outside = Path { score: 0.0, ..NOWHERE };
        let mut between = NOWHERE;
        let mut words: Vec<Vec<Path>> =
            self.words.iter().map(|word| vec![NOWHERE; 2 * word.phones.len() - 1]).collect();
        // The best path that has just heard the last phone of a word, and its place in time.
        let mut said = NOWHERE;
        for (at, costs) in relative_costs(scores).chunks_exact(SYMBOLS.len()).enumerate() {
            let enter = Path { from: at, digits: 0, ..outside.plus(-ENTRY) }.or(between).or(said);
            let next_between = between.or(said).plus(costs[BLANK as usize]);
            let mut next_said = NOWHERE;
            for (word, states) in self.words.iter().zip(&mut words) {
                advance(states, &word.phones, costs, enter);
                let last = states[states.len() - 1];
                let whole = Path { digits: last.digits + word.digits, ..last.plus(WORTH) };
                next_said = next_said.or(whole);
            }
            if said.score > outside.score {
                let run = Run { digits: said.digits, from: said.from, to: at };
                ended.push((run, said.before));
                outside = Path { score: said.score, before: Some(ended.len() - 1), ..NOWHERE };
            }
            (between, said) = (next_between, next_said);
        }
        let mut place = outside.before;
        let mut runs = Vec::new();
        if said.score > outside.score {
            runs.push(Run { digits: said.digits, from: said.from, to: scores.frames() });
            place = said.before;
        }
        while let Some((run, before)) = place.map(|place| ended[place]) {
            runs.push(run);
            place = before;
        }
        runs.reverse();
        runs
    }
}

/// The runs that the phones speak for, of all languages.
pub fn digits_by_phones(
    searches: &[DigitSearch],
    scores: Option<&PhoneScores>,
) -> Vec<(Language, Run)> {
    let of = |search: &DigitSearch, scores| {
        let language = search.language;
        search
            .find(scores)
            .into_iter()
            .filter(|run| run.digits >= LEAST)
            .map(move |run| (language, run))
    };
    let searches = searches.iter().filter_map(|search| Some((search, scores?)));
    searches.flat_map(|(search, scores)| of(search, scores).collect::<Vec<_>>()).collect()
}

/// Those that the decoder's text speaks for as well: it writes English alone, so others stand as they are.
pub fn confirmed(runs: Vec<(Language, Run)>, transcript: &Transcript) -> Vec<DigitRun> {
    let words = normal_words(&transcript.text);
    let written = digits_in(words.iter().map(String::as_str), Language::English);
    let written: usize = written.iter().map(String::len).sum();
    let stands = |(language, run): &(Language, Run)| match language {
        Language::English => written >= WRITTEN || run.digits >= SURE,
        Language::German => true,
    };
    let at = |frame: usize| FRAME * u32::try_from(frame).expect("a segment of some seconds");
    let runs = runs.into_iter().filter(stands);
    runs.map(|(_, run)| DigitRun { digits: run.digits, start: at(run.from), end: at(run.to) })
        .collect()
}

/// Moves the states of a word by one frame.
fn advance(states: &mut [Path], phones: &[PhoneId], costs: &[f32], enter: Path) {
    // From the last state to the first, so that each sees the frame before.
    for place in (0..states.len()).rev() {
        let mut best = states[place];
        if place > 0 {
            best = best.or(states[place - 1]);
        }
        let symbol = if place % 2 == 1 {
            BLANK
        } else {
            let phone = phones[place / 2];
            if place > 1 && phones[place / 2 - 1] != phone {
                best = best.or(states[place - 2]);
            }
            if place == 0 {
                best = best.or(enter);
            }
            phone
        };
        states[place] = best.plus(costs[symbol as usize]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyword::phones::tests::sure;

    fn runs(language: Language, heard: &str) -> Vec<(usize, usize, usize)> {
        let runs = DigitSearch::new(language).find(&sure(heard));
        runs.into_iter().map(|run| (run.digits, run.from, run.to)).collect()
    }

    #[test]
    fn digits_in_a_row_are_counted_and_placed() {
        let heard = "m aɪ _ k ɑ ɹ d _ f ɔ ɹ _ w ʌ n _ _ w ʌ n _ w ʌ n _ s ɛ v ə n _ _ p l i z";
        assert_eq!(runs(Language::English, heard), [(5, 8, 30)]);
    }

    #[test]
    fn words_that_are_worth_two_or_repeat_the_next_are_counted_so() {
        let heard = "d ʌ b ə l _ s ɪ k s _ t w ɛ l v _ f ɔ ɹ t i t u";
        assert_eq!(runs(Language::English, heard).first().map(|run| run.0), Some(6));
    }

    #[test]
    fn a_digit_or_two_in_other_speech_are_no_run_and_two_runs_are_two() {
        let heard = "aɪ _ w ɑ n t _ t u _ b aɪ _ m ɔ ɹ _ f ɔ ɹ _ m i";
        assert_eq!(runs(Language::English, heard), []);
        let run = "n aɪ n _ eɪ t _ s ɪ k s _ f aɪ v _ z ɪ ɹ oʊ";
        let twice = format!("{run} k æ t ð æ t b ɛ g ə m {run}");
        assert_eq!(runs(Language::English, &twice), [(5, 0, 20), (5, 31, 51)]);
    }

    #[test]
    fn german_digits_are_found_by_their_own_words() {
        let heard = "m aɪ n ə _ n ʊ l _ f i ɐ _ z i b m _ a x t _ t s v o _ d a ŋ k ə";
        assert_eq!(runs(Language::German, heard), [(5, 5, 26)]);
        assert_eq!(runs(Language::English, heard), []);
    }
}
