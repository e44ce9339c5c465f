//! An account at a registrar, and how its registration stands.

use std::time::{Duration, Instant};

use crate::sip::client_transactions::Unanswered;
use crate::sip::digest::Credentials;
use crate::sip::digest_client::DigestRefusal;

/// Who registers, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// For people and logs.
    pub name: String,
    /// URI of the registrar; a user part is left out.
    pub registrar: String,
    /// Address of record: the URI that others call.
    pub aor: String,
    /// User part of our Contact.
    pub contact_user: String,
    /// For a registrar that asks.
    pub credentials: Option<Credentials>,
    /// Lifetime to ask for.
    pub expires: Duration,
    /// Whether to register at all, or only to place calls.
    pub registers: bool,
}

/// How a registration stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistrationState {
    /// Not yet, and nothing has failed.
    Trying,
    /// Calls reach us.
    Registered {
        /// When the binding lapses unless it is refreshed.
        until: Instant,
    },
    /// Calls do not reach us; trying goes on.
    Failed(RegistrationFailure),
    /// We withdrew.
    Withdrawn,
}

/// Something for the owner to know; each is told once for each change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistrationEvent {
    /// Calls reach us, after they did not or after a failure was told.
    Registered {
        /// Lifetime granted.
        expires: Duration,
    },
    /// A REGISTER failed, otherwise than the one before. A binding may still stand.
    Failed {
        /// How.
        why: RegistrationFailure,
    },
    /// A binding that stood is gone: it lapsed, or its connection broke.
    Lost,
    /// We withdrew; nothing follows.
    Withdrawn,
}

/// Why a REGISTER failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationFailure {
    /// No answer.
    #[error("the registrar: {0}")]
    Unanswered(Unanswered),
    /// Answered with this status, 300-699.
    #[error("the registrar refuses with {0}")]
    Refused(u16),
    /// The registrar asks for a password and the account has none.
    #[error("the registrar asks for a password, and none is configured")]
    NoCredentials,
    /// The registrar's challenge cannot be answered.
    #[error("{0}")]
    Digest(DigestRefusal),
    /// A success with no lifetime left.
    #[error("the registrar grants a lifetime of 0 s")]
    NothingGranted,
}

impl RegistrationFailure {
    /// Whether trying again is of little use until somebody changes an account.
    pub(super) fn needs_a_hand(&self) -> bool {
        match self {
            Self::Refused(status) => matches!(status, 403 | 404),
            Self::NoCredentials | Self::Digest(_) => true,
            Self::Unanswered(_) | Self::NothingGranted => false,
        }
    }
}
