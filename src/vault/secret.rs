//! 256 bits that nobody else may know.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

/// Bytes of a [`Secret`].
pub const LENGTH: usize = 32;

/// A key: wiped when it is dropped, and shown by no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<[u8; LENGTH]>);

impl Secret {
    /// Takes what the system's randomness, or an opened box, gave.
    pub fn new(mut bytes: [u8; LENGTH]) -> Self {
        let secret = Self(Zeroizing::new(bytes));
        bytes.zeroize();
        secret
    }

    /// The bytes, for a cipher.
    pub fn as_bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
