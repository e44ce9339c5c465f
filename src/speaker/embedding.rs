//! A voice as a point on the unit sphere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteBuf;

/// A unit-length speaker embedding; its dimension is the model's (256 for the ResNet34).
///
/// Biometric data: `Debug` shows the dimension only, so no log line can leak a voice.
#[derive(Clone, PartialEq)]
pub struct Embedding(Vec<f32>);

impl Embedding {
    /// Scales `raw` to unit length; `None` if it has no direction (all zeros, or not finite).
    pub fn from_raw(mut raw: Vec<f32>) -> Option<Self> {
        let norm = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
        if !norm.is_normal() {
            return None;
        }
        raw.iter_mut().for_each(|x| *x /= norm);
        Some(Self(raw))
    }

    /// The direction of the sum of `embeddings`; `None` if there are none or they cancel out.
    pub fn mean<'a>(embeddings: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let sum = embeddings.into_iter().fold(Vec::new(), |mut sum: Vec<f32>, e| {
            sum.resize(e.0.len().max(sum.len()), 0.0);
            sum.iter_mut().zip(&e.0).for_each(|(s, x)| *s += x);
            sum
        });
        Self::from_raw(sum)
    }

    /// The direction of `(1 - share) * self + share * other`; `None` if their dimensions differ or
    /// they cancel out.
    pub fn towards(&self, other: &Self, share: f64) -> Option<Self> {
        let share = share as f32;
        let between = |(own, other): (&f32, &f32)| (1.0 - share) * own + share * other;
        (self.0.len() == other.0.len())
            .then(|| self.0.iter().zip(&other.0).map(between).collect())
            .and_then(Self::from_raw)
    }

    /// Cosine of the angle between two voices, in [-1, 1]; `None` if their dimensions differ.
    pub fn cosine(&self, other: &Self) -> Option<f32> {
        (self.0.len() == other.0.len())
            .then(|| self.0.iter().zip(&other.0).map(|(a, b)| a * b).sum())
    }

    /// The coordinates, for storage.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }
}

/// The coordinates, 32 bits each, least significant byte first, as bytes or, for people, as base64; they come back as
/// they were.
impl Serialize for Embedding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|x| x.to_le_bytes()).collect();
        if serializer.is_human_readable() {
            serializer.serialize_str(&STANDARD.encode(bytes))
        } else {
            serializer.serialize_bytes(&bytes)
        }
    }
}

impl<'de> Deserialize<'de> for Embedding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = |why| serde::de::Error::custom(format!("an embedding is {why}"));
        let bytes = if deserializer.is_human_readable() {
            let bytes = STANDARD.decode(String::deserialize(deserializer)?);
            bytes.map_err(|_| wrong("base64"))?
        } else {
            ByteBuf::deserialize(deserializer)?.into_vec()
        };
        let (numbers, rest) = bytes.as_chunks::<4>();
        let numbers: Vec<f32> = numbers.iter().map(|n| f32::from_le_bytes(*n)).collect();
        // Of unit length already: to scale it again would change its last bits.
        let length = numbers.iter().map(|x| x * x).sum::<f32>().sqrt();
        if !rest.is_empty() || (length - 1.0).abs() > 1e-3 || !length.is_finite() {
            return Err(wrong("a direction, of 32-bit numbers and unit length"));
        }
        Ok(Self(numbers))
    }
}

impl std::fmt::Debug for Embedding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Embedding[{}]", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_does_not_matter_to_the_cosine() {
        let a = Embedding::from_raw(vec![3.0, 4.0]).expect("a direction");
        let b = Embedding::from_raw(vec![0.3, 0.4]).expect("a direction");
        assert!((a.cosine(&b).expect("equal dimensions") - 1.0).abs() < 1e-6);
    }

    #[test]
    fn nothing_without_a_direction_becomes_a_voice() {
        assert_eq!(Embedding::from_raw(vec![0.0; 4]), None);
        assert_eq!(Embedding::from_raw(vec![f32::NAN, 1.0]), None);
        assert_eq!(Embedding::mean([]), None);
    }

    #[test]
    fn voices_of_two_models_are_not_compared() {
        let a = Embedding::from_raw(vec![1.0]).expect("a direction");
        let b = Embedding::from_raw(vec![1.0, 0.0]).expect("a direction");
        assert_eq!(a.cosine(&b), None);
    }

    #[test]
    fn half_way_between_two_voices_is_between_them() {
        let a = Embedding::from_raw(vec![1.0, 0.0]).expect("a direction");
        let b = Embedding::from_raw(vec![0.0, 1.0]).expect("a direction");
        let between = a.towards(&b, 0.5).expect("a direction");
        assert!((between.cosine(&a).expect("one model") - 0.5_f32.sqrt()).abs() < 1e-6);
        assert_eq!(a.towards(&b, 0.0), Some(a.clone()));
        let opposite = Embedding::from_raw(vec![-1.0, 0.0]).expect("a direction");
        assert_eq!(a.towards(&opposite, 0.5), None);
    }

    #[test]
    fn debug_keeps_the_voice_to_itself() {
        let a = Embedding::from_raw(vec![0.6, 0.8]).expect("a direction");
        assert_eq!(format!("{a:?}"), "Embedding[2]");
    }
}
