//! What is read again, each by itself.

/// One of the things that a reload reads; one that is of no use stays as it was, and the others are taken all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The policy that new conversations are judged by.
    Policy,
    /// `[[sip.peer]]` and `[[sip.user]]`: who may call.
    Access,
    /// The certificates of `[sip.tls]`.
    SipCertificate,
    /// The certificate of `[http.tls]`.
    HttpCertificate,
    /// The tokens of the API.
    Tokens,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Policy, Self::Access, Self::SipCertificate, Self::HttpCertificate, Self::Tokens];

    /// The word in labels, log lines and the service's status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Access => "access",
            Self::SipCertificate => "sip_certificate",
            Self::HttpCertificate => "http_certificate",
            Self::Tokens => "tokens",
        }
    }
}
