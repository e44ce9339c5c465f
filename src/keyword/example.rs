//! Recordings by which a phrase is known, as the phone head hears them.

use std::ops::Range;

use crate::keyword::acoustic_model::{FRAME, FRAME_SAMPLES};
use crate::keyword::phone_roots::PhoneRoots;

/// Two of them have to agree with what is heard, and one may be bad.
pub const FEWEST: usize = 3;
/// Each costs as much again as the phrase itself.
pub const MOST: usize = 10;
/// 0.3 s: what is shorter sounds like parts of many words.
pub const SHORTEST: usize = 13;
/// 3 s: said at two thirds of the speed it still fits a segment of 4 s and more.
pub const LONGEST: usize = 125;
/// Of the loudest frame: a lip's noise and the line's hum are below it.
const QUIET_DB: f32 = -30.0;

/// Why recordings cannot stand for a phrase.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExampleError {
    /// Too few or too many.
    #[error("a phrase is learned from {FEWEST} to {MOST} examples, found {0}")]
    Number(usize),
    /// Too short or too long.
    #[error(
        "an example has {:.1} to {:.1} s of speech, found {:.2} s",
        seconds(SHORTEST), seconds(LONGEST), seconds(*.0)
    )]
    Length(usize),
}

fn seconds(frames: usize) -> f64 {
    FRAME.as_secs_f64() * frames as f64
}

/// Examples of one phrase.
#[derive(Clone, Debug, PartialEq)]
pub struct Examples {
    all: Vec<PhoneRoots>,
}

impl Examples {
    /// Of [`FEWEST`] to [`MOST`] recordings, each the frames of the phrase alone.
    pub fn new(all: Vec<PhoneRoots>) -> Result<Self, ExampleError> {
        if !(FEWEST..=MOST).contains(&all.len()) {
            return Err(ExampleError::Number(all.len()));
        }
        all.iter().try_for_each(|example| check_length(example.frames()))?;
        Ok(Self { all })
    }

    /// The recordings.
    pub fn all(&self) -> &[PhoneRoots] {
        &self.all
    }
}

/// Whether so many frames can be an example.
pub fn check_length(frames: usize) -> Result<(), ExampleError> {
    if (SHORTEST..=LONGEST).contains(&frames) { Ok(()) } else { Err(ExampleError::Length(frames)) }
}

/// The frames from the first to the last in which somebody speaks, of `samples` at 16 kHz.
pub fn spoken(samples: &[f32]) -> Range<usize> {
    let energy = |frame: &[f32]| frame.iter().map(|sample| sample * sample).sum::<f32>();
    let energies: Vec<f32> = samples.chunks_exact(FRAME_SAMPLES).map(energy).collect();
    let loudest = energies.iter().copied().fold(0.0, f32::max);
    let least = loudest * 10_f32.powf(QUIET_DB / 10.0);
    let loud = |energy: &f32| *energy > 0.0 && *energy >= least;
    let first = energies.iter().position(loud).unwrap_or_default();
    first..energies.iter().rposition(loud).map_or(first, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyword::phone_roots::tests::letters;

    fn frames(count: usize) -> PhoneRoots {
        letters(&"a".repeat(count))
    }

    fn refused(examples: Vec<PhoneRoots>) -> String {
        Examples::new(examples).expect_err("bad examples").to_string()
    }

    #[test]
    fn too_few_and_too_many_are_refused() {
        assert!(Examples::new(vec![frames(20); 3]).is_ok());
        let said = "a phrase is learned from 3 to 10 examples, found";
        assert_eq!(refused(vec![frames(20); 2]), format!("{said} 2"));
        assert_eq!(refused(vec![frames(20); 11]), format!("{said} 11"));
    }

    #[test]
    fn too_short_and_too_long_ones_are_refused() {
        let said = "an example has 0.3 to 3.0 s of speech, found";
        let with = |count| vec![frames(20), frames(20), frames(count)];
        assert_eq!(refused(with(12)), format!("{said} 0.29 s"));
        assert_eq!(refused(with(126)), format!("{said} 3.02 s"));
    }

    #[test]
    fn silence_around_it_is_no_part_of_an_example() {
        let mut samples = vec![0.001; FRAME_SAMPLES * 20];
        samples[FRAME_SAMPLES * 5..FRAME_SAMPLES * 9].fill(0.5);
        samples[FRAME_SAMPLES * 11..FRAME_SAMPLES * 12].fill(0.1);
        assert_eq!(spoken(&samples), 5..12);
        assert_eq!(spoken(&[0.0; 4000]), 0..0);
        assert_eq!(spoken(&[]), 0..0);
    }
}
