//! Bytes that are readable with one key and in one place only: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03).
//!
//! Its nonce of 24 bytes may be drawn by chance for every writing, so no counter has to survive a crash.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use crate::vault::secret::Secret;

/// Bytes of a nonce.
pub const NONCE: usize = 24;
/// First byte of what is sealed: cipher and layout.
const VERSION: u8 = 1;

/// Why something does not open: the key, the place or a bit is another than when it was sealed. Nobody can tell which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it does not open: damaged, moved here from another place, or sealed with another key")]
pub struct DoesNotOpen;

/// Seals `plain` so that it opens with `key` at `place` only. The nonce must never have been used with the key.
///
/// `place` is what the sealed bytes stand beside in the clear (GDPR Art. 32: whoever moves them there is noticed).
pub fn seal(key: &Secret, nonce: [u8; NONCE], place: &[&str], plain: &[u8]) -> Vec<u8> {
    let aad = bound(place);
    let sealed = cipher(key).encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: &aad });
    let sealed = sealed.expect("it fails beyond 256 GiB only");
    [&[VERSION], &nonce[..], &sealed].concat()
}

/// What was sealed with `key` for `place`.
pub fn open(key: &Secret, place: &[&str], sealed: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
    let (&version, rest) = sealed.split_first().ok_or(DoesNotOpen)?;
    let (nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or(DoesNotOpen)?;
    if version != VERSION {
        return Err(DoesNotOpen);
    }
    let aad = bound(place);
    let opened = cipher(key).decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &aad });
    opened.map_err(|_| DoesNotOpen)
}

fn cipher(key: &Secret) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.as_bytes().into())
}

/// The parts of a place, each with its length before it: no two places are alike.
fn bound(place: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in place {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend(part.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: &[&str] = &["person-1", "voiceprint", "m@1"];

    fn key(byte: u8) -> Secret {
        Secret::new([byte; 32])
    }

    #[test]
    fn it_opens_with_its_key_in_its_place_and_nowhere_else() {
        let sealed = seal(&key(1), [7; NONCE], PLACE, b"a voice");
        assert_eq!(open(&key(1), PLACE, &sealed), Ok(b"a voice".to_vec()));
        assert_eq!(open(&key(2), PLACE, &sealed), Err(DoesNotOpen));
        for moved in [
            &["person-2", "voiceprint", "m@1"][..],
            &["person-1", "watchlist", "m@1"],
            &["person-1", "voiceprint", "m@2"],
            &["person-1", "voiceprintm@1"],
            &["person-1voiceprint", "", "m@1"],
        ] {
            assert_eq!(open(&key(1), moved, &sealed), Err(DoesNotOpen), "{moved:?}");
        }
    }

    #[test]
    fn a_changed_bit_is_noticed_wherever_it_is() {
        let sealed = seal(&key(1), [7; NONCE], PLACE, b"a voice");
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&key(1), PLACE, &changed), Err(DoesNotOpen), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(open(&key(1), PLACE, &sealed[..length]), Err(DoesNotOpen), "{length} bytes");
        }
    }

    #[test]
    fn it_is_the_cipher_of_the_draft() {
        // draft-irtf-cfrg-xchacha-03, A.3.1: its associated data is free, ours is bound to a place, so the key stream and
        // not the tag is compared.
        let key: [u8; 32] = std::array::from_fn(|n| 0x80 + n as u8);
        let nonce: [u8; NONCE] = std::array::from_fn(|n| 0x40 + n as u8);
        let plain = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
        let sealed = seal(&Secret::new(key), nonce, &[], plain);
        assert_eq!(hex::encode(&sealed[25..41]), "bd6d179d3e83d43b9576579493c0e939");
    }
}
