//! What the encoder makes of a segment, frame by frame: the ground on which a phrase is known by example.

use std::ops::Range;

/// Vectors of the encoder, [frames, width], one for each [`FRAME`](crate::keyword::acoustic_model::FRAME).
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderFrames {
    width: usize,
    numbers: Vec<f32>,
}

impl EncoderFrames {
    /// `numbers` frame after frame; `None` where they do not make up whole frames, or one of them is none.
    pub fn new(width: usize, numbers: Vec<f32>) -> Option<Self> {
        let whole = width > 0 && numbers.len().is_multiple_of(width);
        (whole && numbers.iter().all(|number| number.is_finite()))
            .then_some(Self { width, numbers })
    }

    /// Numbers of a frame.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many there are.
    pub fn frames(&self) -> usize {
        self.numbers.len() / self.width
    }

    /// One of them.
    pub fn frame(&self, place: usize) -> &[f32] {
        &self.numbers[place * self.width..][..self.width]
    }

    /// All numbers, frame after frame.
    pub fn numbers(&self) -> &[f32] {
        &self.numbers
    }

    /// Some of them, as far as they are there.
    #[must_use]
    pub fn part(&self, frames: Range<usize>) -> Self {
        let end = frames.end.min(self.frames());
        let numbers = self.numbers[frames.start.min(end) * self.width..end * self.width].to_vec();
        Self { width: self.width, numbers }
    }

    /// The mean frame of `all`, which are of one width; `None` where there is no frame.
    pub fn mean<'a>(all: impl IntoIterator<Item = &'a Self>) -> Option<Vec<f32>> {
        let (mut sum, mut count) = (Vec::new(), 0_usize);
        for frame in all.into_iter().flat_map(|frames| frames.numbers.chunks_exact(frames.width)) {
            sum.resize(frame.len(), 0.0_f64);
            sum.iter_mut().zip(frame).for_each(|(sum, number)| *sum += f64::from(*number));
            count += 1;
        }
        (count > 0).then(|| sum.into_iter().map(|sum| (sum / count as f64) as f32).collect())
    }

    /// In which direction from `centre` each lies: vectors of length 1, so that a product of two is their cosine. Most
    /// of what the encoder says is the same in all frames, and hides what is not.
    #[must_use]
    pub fn directions(&self, centre: &[f32]) -> Self {
        let mut numbers = Vec::with_capacity(self.numbers.len());
        for frame in self.numbers.chunks_exact(self.width) {
            let away = || frame.iter().zip(centre).map(|(number, centre)| number - centre);
            let length = away().map(|number| number * number).sum::<f32>().sqrt();
            numbers.extend(away().map(|number| number / length.max(f32::MIN_POSITIVE)));
        }
        Self { width: self.width, numbers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_make_up_whole_frames_or_none() {
        let frames = EncoderFrames::new(2, vec![1.0, 2.0, 3.0, 4.0]).expect("two frames");
        assert_eq!((frames.frames(), frames.frame(1)), (2, &[3.0, 4.0][..]));
        assert_eq!(frames.part(1..9).numbers(), [3.0, 4.0]);
        assert_eq!(frames.part(5..9).frames(), 0);
        assert_eq!(EncoderFrames::new(3, vec![1.0; 4]), None);
        assert_eq!(EncoderFrames::new(1, vec![f32::NAN]), None);
    }

    #[test]
    fn directions_are_seen_from_the_mean() {
        let frames = EncoderFrames::new(2, vec![5.0, 9.0, 1.0, 9.0]).expect("two frames");
        let centre = EncoderFrames::mean([&frames]).expect("a mean");
        assert_eq!(centre, [3.0, 9.0]);
        assert_eq!(frames.directions(&centre).numbers(), [1.0, 0.0, -1.0, 0.0]);
        assert_eq!(frames.directions(&[5.0, 9.0]).frame(0), [0.0, 0.0], "no direction, no NaN");
        assert_eq!(EncoderFrames::mean([]), None);
    }
}
