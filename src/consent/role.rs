//! In what capacity somebody is known: an agent's consent is an employee's, and not a caller's.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Whose voice it is. One person who is both is two persons here: consents, voiceprints and erasure are apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Who calls.
    #[default]
    Caller,
    /// Who works here; a consent in employment has its own conditions (BDSG section 26 (2)).
    Agent,
    /// Whose voice callers are compared with. They were not asked: what allows that, whoever lists them has to know.
    Watchlist,
}

/// A word that names no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a role is caller, agent or watchlist, not {0:?}")]
pub struct RoleError(String);

impl Role {
    /// The word in files, in databases and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Agent => "agent",
            Self::Watchlist => "watchlist",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        match text {
            "caller" => Ok(Self::Caller),
            "agent" => Ok(Self::Agent),
            "watchlist" => Ok(Self::Watchlist),
            other => Err(RoleError(other.to_owned())),
        }
    }
}
