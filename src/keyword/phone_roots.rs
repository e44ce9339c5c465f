//! What the phone head hears of a segment, as vectors that can be compared: the ground on which a phrase is known by
//! example.
//!
//! The encoder's own frames would know a word that stands alone (576 of 576), and not in running speech (30 of 90), since
//! the encoder attends to all of a segment; of what the phone head makes of them 67 of 90 are found there.

use std::ops::Range;

use crate::keyword::phones::{PhoneScores, SYMBOLS};

/// Numbers of a frame.
const WIDTH: usize = SYMBOLS.len();
/// How far from 1 the length of a frame may be: the file has single precision, and the head's sums are its own.
const LENGTH_WITHIN: f32 = 0.01;

/// Square roots of the phones' probabilities, [frames, 48], one for each
/// [`FRAME`](crate::keyword::acoustic_model::FRAME). A frame has the length 1, so the product of two is 1 where the head
/// hears the same and 0 where it hears nothing alike (Bhattacharyya 1943).
#[derive(Clone, Debug, PartialEq)]
pub struct PhoneRoots {
    numbers: Vec<f32>,
}

impl PhoneRoots {
    /// Of what the head heard.
    pub fn of(heard: &PhoneScores) -> Self {
        Self { numbers: heard.log_p.iter().map(|log_p| (log_p / 2.0).exp()).collect() }
    }

    /// `numbers` frame after frame; `None` where they do not make up whole frames, or one of them is none.
    pub fn new(numbers: Vec<f32>) -> Option<Self> {
        let is_frame = |frame: &[f32]| {
            let length = frame.iter().map(|number| number * number).sum::<f32>().sqrt();
            frame.iter().all(|number| *number >= 0.0) && (length - 1.0).abs() <= LENGTH_WITHIN
        };
        let whole = numbers.len().is_multiple_of(WIDTH);
        (whole && numbers.chunks_exact(WIDTH).all(is_frame)).then_some(Self { numbers })
    }

    /// How many there are.
    pub fn frames(&self) -> usize {
        self.numbers.len() / WIDTH
    }

    /// One of them.
    pub fn frame(&self, place: usize) -> &[f32] {
        &self.numbers[place * WIDTH..][..WIDTH]
    }

    /// All numbers, frame after frame.
    pub fn numbers(&self) -> &[f32] {
        &self.numbers
    }

    /// Some of them, as far as they are there.
    #[must_use]
    pub fn part(&self, frames: Range<usize>) -> Self {
        let end = frames.end.min(self.frames());
        Self { numbers: self.numbers[frames.start.min(end) * WIDTH..end * WIDTH].to_vec() }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::keyword::phones::tests::sure;

    /// Frames that are as far apart as can be, by letter; a blank is like no letter.
    pub(crate) fn letters(text: &str) -> PhoneRoots {
        let frame = |c: char| {
            let mut frame = vec![0.0; WIDTH];
            let place = if c.is_ascii_lowercase() { (c as u8 - b'a') as usize } else { WIDTH - 1 };
            frame[place] = 1.0;
            frame
        };
        PhoneRoots::new(text.chars().flat_map(frame).collect()).expect("whole frames")
    }

    #[test]
    fn numbers_make_up_whole_frames_or_none() {
        let frames = letters("ab");
        assert_eq!((frames.frames(), frames.frame(1)[1]), (2, 1.0));
        assert_eq!(frames.part(1..9), letters("b"));
        assert_eq!(frames.part(5..9).frames(), 0);
        assert_eq!(PhoneRoots::new(vec![1.0; WIDTH - 1]), None);
        for damage in [f32::NAN, f32::INFINITY, -1.0, 0.5] {
            let mut numbers = frames.numbers().to_vec();
            numbers[0] = damage;
            assert_eq!(PhoneRoots::new(numbers), None, "{damage}");
        }
    }

    #[test]
    fn what_the_head_hears_has_the_length_1() {
        let roots = PhoneRoots::of(&sure("k _ æ"));
        assert_eq!(PhoneRoots::new(roots.numbers().to_vec()), Some(roots.clone()));
        let alike = |one: usize, other: usize| -> f32 {
            let product = roots.frame(one).iter().zip(roots.frame(other)).map(|(a, b)| a * b);
            product.sum()
        };
        assert!((alike(0, 0) - 1.0).abs() < 1e-5 && alike(0, 2) < 0.04);
    }
}
