//! What the bearer of a token may do.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// What a token is for. What each request needs stands in [`crate::runtime::http::access::NEEDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks at calls.
    Viewer,
    /// Places and ends calls, pauses legs, enrols callers, has the policy read again; and looks at calls.
    Operator,
    /// Sees, exports and erases what is held of a person, and keeps their consents.
    Privacy,
    /// Reads the audit trail.
    Auditor,
    /// Everything.
    Admin,
}

/// The text names no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a role is viewer, operator, privacy, auditor or admin, found {0:?}")]
pub struct RoleError(String);

impl Role {
    /// Each once.
    pub const ALL: [Self; 5] =
        [Self::Viewer, Self::Operator, Self::Privacy, Self::Auditor, Self::Admin];

    /// The word in the tokens' file, in problems and in the description.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Privacy => "privacy",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }

    /// Whether its bearer may do what `needed` is needed for. Nobody but the administrator reads of persons and of calls:
    /// who runs the telephony has no business with what is held of a voice, and the other way round.
    pub fn covers(self, needed: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Operator => matches!(needed, Self::Operator | Self::Viewer),
            Self::Viewer | Self::Privacy | Self::Auditor => self == needed,
        }
    }

    /// Whether the live page tells its bearer whom a call is with: the subject, the PBX's channel, the conversation as the PBX
    /// names it, which may be a telephone number, and the ids of phrases that are personal. Who runs the telephony has to find
    /// a call again in the PBX; who only looks on has no need to, and is told a reference instead.
    pub fn identifies(self) -> bool {
        matches!(self, Self::Operator | Self::Admin)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| RoleError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_administrator_may_do_everything_and_only_an_operator_more_than_its_own() {
        for role in Role::ALL {
            let more: Vec<Role> = Role::ALL
                .into_iter()
                .filter(|needed| role != *needed && role.covers(*needed))
                .collect();
            assert!(role.covers(role));
            match role {
                Role::Admin => assert_eq!(more.len(), Role::ALL.len() - 1),
                Role::Operator => assert_eq!(more, [Role::Viewer]),
                Role::Viewer | Role::Privacy | Role::Auditor => assert_eq!(more, []),
            }
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        let said = "root".parse::<Role>().expect_err("no role").to_string();
        assert!(said.ends_with("found \"root\""), "{said}");
    }
}
