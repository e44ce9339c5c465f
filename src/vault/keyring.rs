//! The master keys: under the newest each person's key lies wrapped, older ones still open what they wrapped.

use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::vault::sealed::{self, DoesNotOpen, NONCE};
use crate::vault::secret::{LENGTH, Secret};

/// The keys of a key file, the newest first: a line each, 64 hexadecimal digits; lines that begin with `#` say something
/// to people.
#[derive(Clone, PartialEq, Eq)]
pub struct Keyring {
    keys: Vec<(String, Secret)>,
}

/// Why a text holds no master keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// A line of something else. What stands there is not told: it may be most of a key.
    #[error("line {line} is no key, 64 hexadecimal digits needed")]
    Line {
        /// Which, from 1.
        line: usize,
    },
    /// No line holds a key.
    #[error("it holds no key, a line of 64 hexadecimal digits needed")]
    Empty,
}

/// Why a wrapped key does not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnwrapError {
    /// It was wrapped under a key that we do not have.
    #[error("it lies under master key {0}, which the key file does not hold")]
    NoSuchMaster(String),
    /// Its key is there, and it is not what that key wrapped here.
    #[error(transparent)]
    DoesNotOpen(#[from] DoesNotOpen),
}

/// A key under a master key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// Name of the master key.
    pub master: String,
    /// The key, sealed.
    pub bytes: Vec<u8>,
}

impl Keyring {
    /// Of one new key.
    pub fn new(key: Secret) -> Self {
        Self { keys: vec![(name(&key), key)] }
    }

    /// Reads the content of a key file.
    pub fn parse(text: &str) -> Result<Self, KeyringError> {
        let mut keys = Vec::new();
        for (n, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut key = Zeroizing::new([0; LENGTH]);
            hex::decode_to_slice(line, &mut key[..])
                .map_err(|_| KeyringError::Line { line: n + 1 })?;
            let key = Secret::new(*key);
            keys.push((name(&key), key));
        }
        if keys.is_empty() { Err(KeyringError::Empty) } else { Ok(Self { keys }) }
    }

    /// The content of a key file that holds these keys.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        text.push_str("# Master keys of sidetone's vault, the newest first. Whoever reads this can read every voiceprint.\n");
        for (name, key) in &self.keys {
            text.push_str(&format!("# {name}\n"));
            text.push_str(&Zeroizing::new(hex::encode(key.as_bytes())));
            text.push('\n');
        }
        text
    }

    /// Name of the newest key: what its hash begins with, so that it can be written anywhere.
    pub fn newest(&self) -> &str {
        &self.keys[0].0
    }

    /// The names of all keys, the newest first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(name, _)| name.as_str())
    }

    /// With `key` before all others.
    #[must_use]
    pub fn with_newer(&self, key: Secret) -> Self {
        let mut keys = vec![(name(&key), key)];
        keys.extend(self.keys.iter().cloned());
        Self { keys }
    }

    /// The newest key alone.
    #[must_use]
    pub fn without_older(&self) -> Self {
        Self { keys: vec![self.keys[0].clone()] }
    }

    /// Wraps `key`, which is for `purpose`, under the newest key.
    pub fn wrap(&self, key: &Secret, purpose: &[&str], nonce: [u8; NONCE]) -> Wrapped {
        let (name, master) = &self.keys[0];
        let bytes = sealed::seal(master, nonce, purpose, key.as_bytes());
        Wrapped { master: name.clone(), bytes }
    }

    /// The key for `purpose` that was wrapped.
    pub fn unwrap(&self, wrapped: &Wrapped, purpose: &[&str]) -> Result<Secret, UnwrapError> {
        let master = self.keys.iter().find(|(name, _)| *name == wrapped.master);
        let (_, master) =
            master.ok_or_else(|| UnwrapError::NoSuchMaster(wrapped.master.clone()))?;
        let plain = Zeroizing::new(sealed::open(master, purpose, &wrapped.bytes)?);
        let bytes: [u8; LENGTH] = plain[..].try_into().map_err(|_| DoesNotOpen)?;
        Ok(Secret::new(bytes))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// 64 bits of a hash: enough to tell keys apart, and of no use to find one.
fn name(key: &Secret) -> String {
    let hash = Sha256::new().chain_update("sidetone master key").chain_update(key.as_bytes());
    hex::encode(&hash.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: u8) -> Secret {
        Secret::new([byte; LENGTH])
    }

    #[test]
    fn a_key_file_is_read_as_it_was_written() {
        let keyring = Keyring::new(secret(1)).with_newer(secret(2));
        let again = Keyring::parse(&keyring.to_text()).expect("keys");
        assert_eq!(again, keyring);
        assert_eq!(again.names().count(), 2);
        assert_eq!(again.without_older().names().collect::<Vec<_>>(), [keyring.newest()]);
    }

    #[test]
    fn what_is_no_key_file_is_told_without_telling_its_content() {
        assert_eq!(Keyring::parse("# nothing\n\n"), Err(KeyringError::Empty));
        let error = Keyring::parse("# a key\nabcdef\n").expect_err("too short");
        assert_eq!(error.to_string(), "line 2 is no key, 64 hexadecimal digits needed");
        assert!(!format!("{:?}", Keyring::new(secret(0xab))).contains("abab"));
    }

    #[test]
    fn an_older_key_still_opens_and_a_newer_one_wraps() {
        let (person, old) = (secret(9), Keyring::new(secret(1)));
        let wrapped = old.wrap(&person, &["subject", "p"], [0; NONCE]);
        let both = old.with_newer(secret(2));
        assert_eq!(both.unwrap(&wrapped, &["subject", "p"]), Ok(person.clone()));
        assert_eq!(both.unwrap(&wrapped, &["subject", "q"]), Err(DoesNotOpen.into()));
        let anew = both.wrap(&person, &["subject", "p"], [1; NONCE]);
        assert_eq!(anew.master, both.newest());
        let rid = both.without_older();
        assert_eq!(rid.unwrap(&anew, &["subject", "p"]), Ok(person));
        let lost = rid.unwrap(&wrapped, &["subject", "p"]);
        assert_eq!(lost, Err(UnwrapError::NoSuchMaster(wrapped.master)));
    }
}
