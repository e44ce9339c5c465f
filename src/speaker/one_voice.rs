//! Is it one person who speaks, and a person at all? By how alike its parts are.

use std::time::Duration;

use crate::speaker::embedding::Embedding;
use crate::speaker::quality::Shortcoming;

/// A part of the speech, as a model heard it.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Net speech up to its end.
    pub until: Duration,
    /// Its own length.
    pub length: Duration,
    /// Its voice.
    pub embedding: Embedding,
}

/// What the mean cosine between parts of one voice that share no speech lies between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Below it more than one speaks.
    pub least: f64,
    /// Above it nobody does: no voice is as much like itself as music and noise are.
    pub most: f64,
}

/// The bounds of one model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// Of windows of 3 s.
    pub windows: Bounds,
    /// Of slices of 1.5 s, in which short turns show.
    pub slices: Bounds,
    /// Least cosine between the means of two sessions.
    pub sessions: f64,
}

impl Agreement {
    /// ResNet34 (int8) in telephone bandwidth.
    ///
    /// Chosen on mu-law with some 10 s of net speech, on files of two readers (7 s and 7 s, turns of
    /// 3.5 s, turns of 2 s) split by the first reader's number: of one half 51 of 52 are refused and
    /// of single readers 0 of 20; of the other half 46 of 47, and 1 of 28. Both halves had been seen
    /// at other bounds before these were taken, and so had every eighth of the readers that
    /// tests/enrolment_trials.rs measures (23 of 23 halves, 21 of 23 turns of 2 s, and 0 of 27 alone):
    /// no figure here is from readers never looked at. With babble at 15 dB 0 of
    /// 13 single readers are refused, of German speakers in one mood 0 of 12, and 5 of 5 of those
    /// who change between acted moods. The windows alone, as in a call, find 39 of 40, 24 of 29 and
    /// 11 of 30. One voice's slices agree by .43 to .72, two readers' by .23 to .45, synthetic
    /// music, tones and noise by .86 to .98; windows by .60 to .85, and .90 to .99. Sessions: 464 of
    /// 465 pairs of readers lie below .60, neutral and angry speech of one German at .60 to .70.
    pub const RESNET34: Self = Self {
        windows: Bounds { least: 0.60, most: 0.88 },
        slices: Bounds { least: 0.44, most: 0.80 },
        sessions: 0.60,
    };
}

impl Bounds {
    /// Whether `parts` are of a voice at all; too few to compare, and there is nothing to say.
    pub fn check_a_voice(&self, parts: &[Part]) -> Result<(), Shortcoming> {
        match agreement(parts) {
            Some(cosine) if cosine > self.most => {
                Err(Shortcoming::NoVoice { cosine, allowed: self.most })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether `parts` are of one voice alone; too few to compare, and there is nothing to say.
    pub fn check_alone(&self, parts: &[Part]) -> Result<(), Shortcoming> {
        match agreement(parts) {
            Some(cosine) if cosine < self.least => {
                Err(Shortcoming::SeveralVoices { cosine, needed: self.least })
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Mean cosine over the pairs of parts that share no speech; `None` if there is no such pair.
fn agreement(parts: &[Part]) -> Option<f64> {
    let (mut sum, mut pairs) = (0.0, 0_u32);
    for (n, later) in parts.iter().enumerate() {
        for earlier in &parts[..n] {
            if later.until >= earlier.until + later.length
                && let Some(cosine) = later.embedding.cosine(&earlier.embedding)
            {
                sum += f64::from(cosine);
                pairs += 1;
            }
        }
    }
    (pairs > 0).then(|| sum / f64::from(pairs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(degrees: &[f32]) -> Vec<Part> {
        let part = |(n, degrees): (usize, &f32)| {
            let (sine, cosine) = degrees.to_radians().sin_cos();
            Part {
                until: Duration::from_secs(3 + n as u64),
                length: Duration::from_secs(3),
                embedding: Embedding::from_raw(vec![cosine, sine]).expect("a direction"),
            }
        };
        degrees.iter().enumerate().map(part).collect()
    }

    const BOUNDS: Bounds = Agreement::RESNET34.windows;

    #[test]
    fn one_voice_varies_a_little_two_a_lot_and_music_not_at_all() {
        let one = parts(&[0., 20., 0., 50., 5., 45., 60.]);
        assert_eq!((BOUNDS.check_a_voice(&one), BOUNDS.check_alone(&one)), (Ok(()), Ok(())));
        let two = BOUNDS.check_alone(&parts(&[0., 0., 0., 0., 80., 80., 80., 80.]));
        assert!(matches!(two, Err(Shortcoming::SeveralVoices { .. })), "{two:?}");
        let music = BOUNDS.check_a_voice(&parts(&[0., 2., 1., 3., 0., 2.]));
        assert!(matches!(music, Err(Shortcoming::NoVoice { .. })), "{music:?}");
    }

    #[test]
    fn windows_that_share_speech_are_alike_and_say_nothing() {
        assert_eq!(agreement(&parts(&[0., 0., 0.])), None);
        let apart = agreement(&parts(&[0., 10., 20., 60.])).expect("first and last");
        assert!((apart - 0.5).abs() < 1e-6, "{apart}");
    }
}
