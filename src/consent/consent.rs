//! Consent to the processing of a voice (GDPR Art. 9 (2) (a)): without it nothing is computed.

use std::fmt;

/// Longest reference, bytes: it travels in a SIP header.
const LONGEST: usize = 128;

/// A reference to a consent that somebody can show on request.
///
/// Whoever makes a voiceprint or embeds a voice asks for one of these; there is no other way to
/// get it than a reference that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent(String);

/// Why a text is no reference to a consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConsentError {
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

impl Consent {
    /// Takes a reference as the PBX or the administrator wrote it.
    pub fn from_reference(text: &str) -> Result<Self, ConsentError> {
        let text = text.trim();
        if text.is_empty() {
            Err(ConsentError::Empty)
        } else if text.len() > LONGEST {
            Err(ConsentError::TooLong)
        } else if !text.bytes().all(|b| b.is_ascii_graphic()) {
            Err(ConsentError::NotVisibleAscii)
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// The reference, as it was given.
    pub fn reference(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Consent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unset_dialplan_variable_is_no_consent() {
        assert_eq!(Consent::from_reference(""), Err(ConsentError::Empty));
        assert_eq!(Consent::from_reference("  "), Err(ConsentError::Empty));
        assert_eq!(Consent::from_reference("a b"), Err(ConsentError::NotVisibleAscii));
        assert_eq!(Consent::from_reference(&"x".repeat(129)), Err(ConsentError::TooLong));
    }

    #[test]
    fn a_reference_is_kept_as_given() {
        let consent = Consent::from_reference(" ivr-2026-11-23/4711 ").expect("a reference");
        assert_eq!(consent.reference(), "ivr-2026-11-23/4711");
    }
}
