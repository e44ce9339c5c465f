//! Digits of one leg in a row, keyed or said: whether they look like the number of a payment card.

use std::collections::VecDeque;
use std::time::Duration;

use zeroize::Zeroize;

use crate::keyword::digit_search::DigitRun;
use crate::keyword::digits::{begins_card_number, holds_card_number};

/// Keyed digits in a row that are taken for a card's if an issuer's numbers begin so (ISO/IEC 7812-1): a third of all.
const ENOUGH: usize = 6;
/// The same of digits that were said, of which nobody knows what they are: half of all. The first eight of sixteen
/// are no secret yet (PCI SSC FAQ 1091), and six in a row are said for other reasons six times an hour.
const SAID: usize = 8;
/// Digits that are remembered at most: the longest number of a card.
const LONGEST: usize = 19;
/// Longest time between two keys of one number: somebody looks it up on the card.
const KEYED_APART: Duration = Duration::from_secs(10);
/// A pause between two keys after which a number may begin: what was keyed before chose from a menu.
const KEYED_GROUP: Duration = Duration::from_millis(1_500);
/// Longest time from one run of digits that were said to the next of the same number: a breath, and the other's "yes".
const SAID_APART: Duration = Duration::from_secs(4);

/// Counts digits until there are enough. What they were is known of keys alone, and forgotten with the last of them.
#[derive(Debug, Default)]
pub struct CardWatch {
    keys: Vec<u8>,
    /// Where in `keys` a number may begin.
    begins: VecDeque<usize>,
    keyed: Option<Duration>,
    said: usize,
    /// Where the digits that were said end.
    until: Duration,
}

impl CardWatch {
    /// A key was pressed at `at`; whether those in a row look like the number of a card now.
    pub fn handle_key(&mut self, key: char, at: Duration) -> bool {
        let since = self.keyed.map(|keyed| at.saturating_sub(keyed));
        if !key.is_ascii_digit() || since.is_some_and(|since| since > KEYED_APART) {
            self.forget_keys();
        }
        let Some(digit) = u8::try_from(key).ok().filter(u8::is_ascii_digit) else { return false };
        if self.keys.is_empty() || since.is_some_and(|since| since > KEYED_GROUP) {
            self.begins.push_back(self.keys.len());
        }
        if self.keys.len() == LONGEST {
            self.keys[..].rotate_left(1);
            self.keys.pop();
            self.begins.iter_mut().for_each(|place| *place = place.saturating_sub(1));
        }
        self.keys.push(digit);
        self.keyed = Some(at);
        let enough = |digits: &[u8]| digits.len() >= ENOUGH && begins_card_number(digits);
        let card = self.begins.iter().any(|place| enough(&self.keys[*place..]))
            || holds_card_number(&self.keys);
        if card {
            self.discard();
        }
        card
    }

    /// Digits were said in a segment that begins at `start`; whether enough were in a row by now.
    pub fn handle_digits(&mut self, start: Duration, runs: &[DigitRun]) -> bool {
        for run in runs {
            let (from, to) = (start + run.start, start + run.end);
            if from > self.until + SAID_APART {
                self.said = 0;
            }
            // Segments overlap: digits that both hold were said once.
            let length = (to - from).as_secs_f64().max(f64::EPSILON);
            let fresh = to.saturating_sub(from.max(self.until)).as_secs_f64() / length;
            self.said += (run.digits as f64 * fresh).round() as usize;
            self.until = self.until.max(to);
            if self.said >= SAID {
                self.discard();
                return true;
            }
        }
        false
    }

    /// Whatever was keyed or said is forgotten.
    pub fn discard(&mut self) {
        self.forget_keys();
        self.said = 0;
    }

    fn forget_keys(&mut self) {
        self.keys.zeroize();
        self.begins.clear();
        self.keyed = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// Keys half a second apart, where a space stands two seconds: how many were pressed when they looked like a card.
    fn keyed(keys: &str) -> Option<usize> {
        let (mut watch, mut at, mut pressed) = (CardWatch::default(), ms(0), 0);
        for key in keys.chars() {
            if key == ' ' {
                at += ms(2_000);
                continue;
            }
            at += ms(500);
            pressed += 1;
            if watch.handle_key(key, at) {
                return Some(pressed);
            }
        }
        None
    }

    #[test]
    fn a_card_is_known_by_its_first_six_keys() {
        assert_eq!(keyed("4111111111111111"), Some(6));
        assert_eq!(keyed("1 4111 1111"), Some(7), "after a choice from a menu");
        assert_eq!(keyed("1#411111"), Some(8));
        assert_eq!(keyed("41111"), None);
    }

    #[test]
    fn other_numbers_are_none_and_a_whole_card_within_one_is() {
        assert_eq!(keyed("0049301234567890"), None);
        assert_eq!(keyed("123456"), None);
        assert_eq!(keyed("41#11#11"), None);
        assert_eq!(keyed("94111111111111111"), Some(17), "by its check digit");
    }

    #[test]
    fn keys_that_are_too_far_apart_are_no_number() {
        let mut watch = CardWatch::default();
        for place in 0..8_u64 {
            assert!(!watch.handle_key('4', ms(place * 10_001)));
        }
    }

    fn run(digits: usize, from: u64, to: u64) -> DigitRun {
        DigitRun { digits, start: ms(from), end: ms(to) }
    }

    #[test]
    fn eight_digits_said_in_a_row_are_enough_even_in_groups() {
        let mut watch = CardWatch::default();
        assert!(!watch.handle_digits(ms(0), &[run(4, 200, 1_800)]));
        assert!(watch.handle_digits(ms(3_000), &[run(4, 200, 1_800)]));
        let mut watch = CardWatch::default();
        assert!(!watch.handle_digits(ms(0), &[run(4, 200, 1_800)]));
        assert!(!watch.handle_digits(ms(6_000), &[run(4, 200, 1_800)]), "four seconds later");
    }

    #[test]
    fn digits_in_the_overlap_of_two_segments_were_said_once() {
        let mut watch = CardWatch::default();
        assert!(!watch.handle_digits(ms(0), &[run(4, 2_000, 4_000)]));
        assert!(!watch.handle_digits(ms(2_000), &[run(4, 0, 2_000)]));
        assert!(watch.handle_digits(ms(2_000), &[run(8, 0, 4_000)]), "half of them are new: 8");
    }
}
