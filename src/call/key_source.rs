//! The master keys that we write into SDP: drawn from one secret of the call, none of them twice.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Octets of the secret; the longest key and salt together have 46, and 256 bits of strength.
pub const SECRET: usize = 32;

/// Makes keys of a secret that came from the system's randomness, as HKDF-Expand does (RFC 5869
/// §2.3): so a call needs randomness once, and its negotiation can be played again.
pub struct KeySource {
    secret: Zeroizing<[u8; SECRET]>,
    drawn: u64,
}

impl KeySource {
    /// A source of its own for each call; the same secret gives the same keys.
    pub fn new(secret: [u8; SECRET]) -> Self {
        Self { secret: Zeroizing::new(secret), drawn: 0 }
    }

    /// The key that is next, of `length` octets; it stays the next one until [`Self::spend`].
    pub fn next(&self, length: usize) -> Zeroizing<Vec<u8>> {
        let mut key = Zeroizing::new(Vec::with_capacity(length));
        for block in 0_u8.. {
            if key.len() >= length {
                break;
            }
            let mac = Hmac::<Sha256>::new_from_slice(&*self.secret);
            let mut mac = mac.expect("an HMAC takes a key of any length");
            mac.update(b"sidetone SDES key");
            mac.update(&self.drawn.to_be_bytes());
            mac.update(&[block]);
            key.extend_from_slice(&mac.finalize().into_bytes());
        }
        key.truncate(length);
        key
    }

    /// The key was used: it is never the next one again. A key that served twice, with counters that
    /// began anew, would give both streams away (RFC 3711 §9.1).
    pub fn spend(&mut self) {
        self.drawn += 1;
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySource").field("drawn", &self.drawn).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_comes_twice_and_each_has_its_length() {
        let mut source = KeySource::new([7; SECRET]);
        let first = source.next(46);
        assert_eq!((first.len(), &source.next(46)), (46, &first));
        source.spend();
        let second = source.next(30);
        assert_eq!(second.len(), 30);
        assert_ne!(first[..30], second[..]);
        assert_ne!(first[..14], first[32..], "no block repeats");
        assert_eq!(KeySource::new([7; SECRET]).next(46), first);
        assert_ne!(KeySource::new([8; SECRET]).next(46), first);
    }
}
