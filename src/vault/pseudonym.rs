//! What a person is called where their name must not stand (GDPR Art. 4 (5)): in indexes, audit records and proofs.

use std::fmt;

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::vault::secret::Secret;

/// Bytes of a pseudonym: among a million persons two share one with a chance of 1e-27.
const BYTES: usize = 16;

/// 32 hexadecimal digits, the same for the same person in the same role; without the key nobody can tell of whom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pseudonym(String);

impl Pseudonym {
    /// That of `subject`, as the PBX names them, in `role`.
    pub fn of(key: &Secret, role: &str, subject: &str) -> Self {
        let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("any length is a key");
        // A role has no zero byte, so no two pairs are alike.
        let mac = mac.chain_update(role).chain_update([0]).chain_update(subject);
        Self(hex::encode(&mac.finalize().into_bytes()[..BYTES]))
    }

    /// One that a database or a record holds.
    pub fn known(text: String) -> Self {
        Self(text)
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_for_each_person_role_and_key() {
        let key = |byte| Secret::new([byte; 32]);
        let alice = Pseudonym::of(&key(1), "caller", "alice");
        assert_eq!(alice.as_str().len(), 2 * BYTES);
        assert_eq!(alice, Pseudonym::of(&key(1), "caller", "alice"));
        let others = [("agent", "alice", 1), ("caller", "bob", 1), ("caller", "alice", 2)];
        for (role, subject, byte) in others {
            assert_ne!(alice, Pseudonym::of(&key(byte), role, subject), "{role} {subject} {byte}");
        }
    }
}
