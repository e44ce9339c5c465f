//! A statement that we signed: what was erased of a person, for whoever asks later (GDPR Art. 5 (2), 17, 19).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::vault::secret::Secret;

/// Signs with Ed25519 (RFC 8032).
pub struct Signer(Ed25519KeyPair);

/// A statement with its signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed<T> {
    /// What is said.
    pub statement: T,
    /// The signer's public key, 64 hexadecimal digits; `sidetone vault show` names ours.
    pub public_key: String,
    /// Ed25519 over the statement as compact JSON, its fields in their order; base64.
    pub signature: String,
}

/// Why a signature does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Key or signature are no such things.
    #[error("the public key or the signature cannot be read")]
    Unreadable,
    /// Somebody else's, or of something else.
    #[error("the signature is not of this key over this statement")]
    NotSigned,
}

impl Signer {
    /// The signer of a seed.
    pub fn new(seed: &Secret) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_bytes());
        Self(pair.expect("any 32 bytes are a seed"))
    }

    /// The public key, 64 hexadecimal digits.
    pub fn public_key(&self) -> String {
        hex::encode(self.0.public_key())
    }

    /// Signs `statement`.
    pub fn sign<T: Serialize>(&self, statement: T) -> Signed<T> {
        let signature = STANDARD.encode(self.0.sign(&bytes(&statement)));
        Signed { statement, public_key: self.public_key(), signature }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&self.public_key()).finish()
    }
}

impl<T: Serialize + DeserializeOwned> Signed<T> {
    /// Whether the key that it names signed it. Whose key that is, the reader has to know.
    pub fn verify(&self) -> Result<(), ProofError> {
        let key = hex::decode(&self.public_key).map_err(|_| ProofError::Unreadable)?;
        let signature = STANDARD.decode(&self.signature).map_err(|_| ProofError::Unreadable)?;
        let key = UnparsedPublicKey::new(&ED25519, key);
        key.verify(&bytes(&self.statement), &signature).map_err(|_| ProofError::NotSigned)
    }
}

fn bytes(statement: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(statement).expect("a statement is made of text and numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Statement {
        person: String,
        voiceprint: bool,
    }

    #[test]
    fn a_signature_is_of_one_statement_by_one_key() {
        let signer = Signer::new(&Secret::new([7; 32]));
        let signed = signer.sign(Statement { person: "p-1".to_owned(), voiceprint: true });
        let text = serde_json::to_string(&signed).expect("text");
        let signed: Signed<Statement> = serde_json::from_str(&text).expect("a proof");
        assert_eq!(signed.verify(), Ok(()));
        let mut other = signed.clone();
        other.statement.voiceprint = false;
        assert_eq!(other.verify(), Err(ProofError::NotSigned));
        let mut other = signed.clone();
        other.public_key = Signer::new(&Secret::new([8; 32])).public_key();
        assert_eq!(other.verify(), Err(ProofError::NotSigned));
        let unreadable = Signed { signature: "!".to_owned(), ..signed };
        assert_eq!(unreadable.verify(), Err(ProofError::Unreadable));
    }
}
