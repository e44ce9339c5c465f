//! `X-Sidetone-Pause` in a request of theirs within the dialog: the PBX knows that a card is about to be told.

use crate::sip::headers::Headers;

/// The field's name.
pub const NAME: &str = "X-Sidetone-Pause";

/// A value that it does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("X-Sidetone-Pause is begin or end")]
pub struct PauseHeaderError;

impl PauseHeaderError {
    /// As a reason phrase.
    pub const REASON: &'static str = "X-Sidetone-Pause is begin or end";
}

/// Whether the leg's pause is to begin or to end, if `headers` say anything of it.
pub fn read(headers: &Headers) -> Result<Option<bool>, PauseHeaderError> {
    let Some(value) = headers.get(NAME) else { return Ok(None) };
    match value.trim() {
        word if word.eq_ignore_ascii_case("begin") => Ok(Some(true)),
        word if word.eq_ignore_ascii_case("end") => Ok(Some(false)),
        _ => Err(PauseHeaderError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begin_and_end_are_its_only_values() {
        let said = |value: &str| {
            let mut headers = Headers::default();
            headers.push(NAME, value);
            read(&headers)
        };
        assert_eq!(read(&Headers::default()), Ok(None));
        assert_eq!([said("begin"), said(" End ")], [Ok(Some(true)), Ok(Some(false))]);
        for other in ["", "on", "begin,end"] {
            let error = said(other).expect_err(other);
            assert_eq!(error.to_string(), PauseHeaderError::REASON);
        }
    }
}
