//! A voiceprint, or what was gathered for one, as the bytes that are sealed: CBOR (RFC 8949), which has no base64 to
//! carry and names its fields, so that a later release reads what this one wrote.

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

/// Layout of the bytes.
const FORMAT: u8 = 3;

/// Why bytes cannot be read: one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackedError {
    /// Of a later release, or of nobody's.
    #[error("its format is {0}, wanted {FORMAT}")]
    Format(u8),
    /// Not what its format wants.
    #[error("{0}")]
    Cbor(String),
}

/// The bytes of `value`.
pub fn pack(value: &impl Serialize) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(vec![FORMAT]);
    ciborium::into_writer(value, &mut *bytes)
        .expect("memory takes what numbers and strings become");
    bytes
}

/// What `bytes` were made of.
pub fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, PackedError> {
    match bytes.split_first() {
        Some((&FORMAT, cbor)) => {
            ciborium::from_reader(cbor).map_err(|error| PackedError::Cbor(error.to_string()))
        }
        Some((&other, _)) => Err(PackedError::Format(other)),
        None => Err(PackedError::Cbor("nothing is there".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speaker::embedding::Embedding;
    use crate::speaker::voiceprint::{Kept, Reference, Voiceprint};

    #[test]
    fn a_voiceprint_comes_back_bit_by_bit_and_takes_four_bytes_a_number() {
        let embedding = |n: f32| {
            Embedding::from_raw((0..256).map(|x| (x as f32 * n).sin()).collect())
                .expect("a direction")
        };
        let kept = |n: u8| Kept {
            session: jiff::Timestamp::UNIX_EPOCH,
            embedding: embedding(f32::from(n) + 0.3),
        };
        let windows: Vec<_> = (0..24).map(kept).collect();
        let made = ("m@1", embedding(0.1));
        let mut voiceprint =
            Voiceprint::of_embedding("alice", "c-1", jiff::Timestamp::UNIX_EPOCH, 12.5, made);
        voiceprint.references = vec![Reference::of("m@1", &windows).expect("a direction")];
        let bytes = pack(&voiceprint);
        assert_eq!(unpack::<Voiceprint>(&bytes).as_ref(), Ok(&voiceprint));
        assert!(bytes.len() < 25 * (256 * 4 + 64) + 512, "{} bytes", bytes.len());
        assert_eq!(unpack::<Voiceprint>(&[9, 0]), Err(PackedError::Format(9)));
        assert!(unpack::<Voiceprint>(&bytes[..100]).is_err());
    }
}
