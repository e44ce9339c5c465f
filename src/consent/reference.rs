//! What names a consent, so that somebody can show it: a record of the PBX, a recording, a signed sheet.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest reference, bytes: it travels in a SIP header.
const LONGEST: usize = 128;

/// A reference to a consent that somebody can show on request (GDPR Art. 7 (1)): 1 to 128 bytes of visible ASCII.
///
/// It says that somebody agreed once; whether that still holds, and for what, is [`crate::consent::consents`]' to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConsentReference(String);

/// Why a text is no reference to a consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing stands there.
    #[error("the consent reference is empty")]
    Empty,
    /// More than fits a header.
    #[error("the consent reference is longer than {LONGEST} bytes")]
    TooLong,
    /// White space or a control character, most likely a broken dialplan variable.
    #[error("the consent reference holds a character other than visible ASCII")]
    NotVisibleAscii,
}

impl ConsentReference {
    /// Takes a reference as the PBX or the administrator wrote it.
    pub fn new(text: &str) -> Result<Self, ReferenceError> {
        let text = text.trim();
        if text.is_empty() {
            Err(ReferenceError::Empty)
        } else if text.len() > LONGEST {
            Err(ReferenceError::TooLong)
        } else if !text.bytes().all(|b| b.is_ascii_graphic()) {
            Err(ReferenceError::NotVisibleAscii)
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// The reference, as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ConsentReference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, ReferenceError> {
        Self::new(&text)
    }
}

impl From<ConsentReference> for String {
    fn from(reference: ConsentReference) -> Self {
        reference.0
    }
}

impl fmt::Display for ConsentReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unset_dialplan_variable_is_no_consent() {
        assert_eq!(ConsentReference::new(""), Err(ReferenceError::Empty));
        assert_eq!(ConsentReference::new("  "), Err(ReferenceError::Empty));
        assert_eq!(ConsentReference::new("a b"), Err(ReferenceError::NotVisibleAscii));
        assert_eq!(ConsentReference::new(&"x".repeat(129)), Err(ReferenceError::TooLong));
    }

    #[test]
    fn a_reference_is_kept_as_given() {
        let consent = ConsentReference::new(" ivr-2026-11-23/4711 ").expect("a reference");
        assert_eq!(consent.as_str(), "ivr-2026-11-23/4711");
    }
}
