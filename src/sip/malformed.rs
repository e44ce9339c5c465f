//! Messages that are none, and what of them can still be answered.

use crate::sip::headers::Headers;
use crate::sip::via::Via;

/// What is wrong with a message, by field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Neither `METHOD uri version` nor `version status reason`.
    #[error("malformed start line (RFC 3261 7.1)")]
    StartLine,
    /// A version other than SIP/2.0.
    #[error("version is not SIP/2.0 (RFC 3261 7.1)")]
    Version,
    /// Blanks, brackets or embedded header fields in the Request-URI, or no URI at all.
    #[error("malformed Request-URI (RFC 3261 19.1.1)")]
    RequestUri,
    /// A status outside 100-699.
    #[error("malformed status code (RFC 3261 7.2)")]
    Status,
    /// A line without a colon, or with a name that is no token.
    #[error("malformed header line (RFC 3261 7.3.1)")]
    HeaderLine,
    /// A field that every message must have is absent.
    #[error("missing {0} (RFC 3261 8.1.1)")]
    Missing(&'static str),
    /// A field that may stand once stands more often.
    #[error("repeated {0} (RFC 3261 7.3.1)")]
    Repeated(&'static str),
    /// A field whose value does not follow its grammar.
    #[error("malformed {0} (RFC 3261 20)")]
    Invalid(&'static str),
    /// A stream that cannot be cut into messages here.
    #[error("the stream cannot be cut into messages (RFC 3261 18.3)")]
    Framing,
    /// CSeq names another method than the start line.
    #[error("CSeq method differs from the request (RFC 3261 8.1.1.5)")]
    MethodMismatch,
    /// Content-Length is no number, or larger than the datagram.
    #[error("Content-Length does not fit (RFC 3261 18.3)")]
    ContentLength,
}

/// A datagram that is no valid message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The first thing found wrong.
    pub error: MessageError,
    /// What an answer needs, where the method allows one and any Via says that one is awaited.
    pub answerable: Option<Box<Answerable>>,
}

/// Enough of a malformed request to refuse it. Fields that every request must have may be missing
/// (RFC 4475 §3.3.1): the answer then goes without them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answerable {
    /// Its fields, for [`crate::sip::message::Response::to`]; one Via at least.
    pub headers: Headers,
    /// Where the answer goes; `None` where the topmost Via is unreadable, and the answer can only go
    /// back to where the request came from.
    pub via: Option<Via>,
}

impl MessageError {
    /// One of each [`Self::kind`].
    pub const ONE_OF_EACH: [Self; 11] = [
        Self::StartLine,
        Self::Version,
        Self::RequestUri,
        Self::Status,
        Self::HeaderLine,
        Self::Missing(""),
        Self::Repeated(""),
        Self::Invalid(""),
        Self::Framing,
        Self::MethodMismatch,
        Self::ContentLength,
    ];

    /// Name of the kind, for a counter's label.
    pub fn kind(self) -> &'static str {
        match self {
            Self::StartLine => "start_line",
            Self::Version => "version",
            Self::RequestUri => "request_uri",
            Self::Status => "status",
            Self::HeaderLine => "header_line",
            Self::Missing(_) => "missing",
            Self::Repeated(_) => "repeated",
            Self::Invalid(_) => "invalid",
            Self::Framing => "framing",
            Self::MethodMismatch => "method_mismatch",
            Self::ContentLength => "content_length",
        }
    }
}
