//! What somebody can agree to, each by itself (GDPR Art. 7 (2), recital 43).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Comparing the voice with the voiceprint of who is claimed.
    Verify,
    /// Making a voiceprint, and keeping it.
    Enrol,
    /// Letting calls move the voiceprint.
    Adapt,
    /// Comparing the voice with those of the watchlist.
    Watchlist,
    /// Listening for phrases.
    Keywords,
}

/// Some purposes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Scopes(u8);

/// Words that name no purposes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopesError {
    /// A word of no purpose.
    #[error("a scope is verify, enrol, adapt, watchlist or keywords, not {0:?}")]
    Unknown(String),
    /// Nothing stands there.
    #[error(
        "no scope is named, one or more of verify, enrol, adapt, watchlist and keywords needed"
    )]
    Empty,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Verify, Self::Enrol, Self::Adapt, Self::Watchlist, Self::Keywords];

    /// The word in headers, files and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Enrol => "enrol",
            Self::Adapt => "adapt",
            Self::Watchlist => "watchlist",
            Self::Keywords => "keywords",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = ScopesError;

    fn from_str(word: &str) -> Result<Self, ScopesError> {
        let named = Self::ALL.into_iter().find(|scope| scope.as_str().eq_ignore_ascii_case(word));
        named.ok_or_else(|| ScopesError::Unknown(word.to_owned()))
    }
}

impl Scopes {
    /// None.
    pub const NONE: Self = Self(0);
    /// Every purpose there is.
    pub const ALL: Self = Self(0b1_1111);

    /// Whether `scope` is among them.
    pub fn contains(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// These and `scope`.
    #[must_use]
    pub const fn with(self, scope: Scope) -> Self {
        Self(self.0 | 1 << scope as u8)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        scopes.into_iter().fold(Self::NONE, Self::with)
    }
}

/// As in a header: `verify enrol`.
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.iter().map(Scope::as_str).collect();
        f.write_str(&words.join(" "))
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// Words between spaces or commas.
impl FromStr for Scopes {
    type Err = ScopesError;

    fn from_str(text: &str) -> Result<Self, ScopesError> {
        let words = text.split([' ', ',', '\t']).filter(|word| !word.is_empty());
        let scopes: Self = words.map(Scope::from_str).collect::<Result<_, _>>()?;
        if scopes.is_empty() { Err(ScopesError::Empty) } else { Ok(scopes) }
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Scope::as_str))
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = Vec::<String>::deserialize(deserializer)?;
        let scopes = words.iter().map(|word| word.parse::<Scope>());
        scopes.collect::<Result<_, _>>().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_dialplans_write_them() {
        let scopes: Scopes = "Verify, enrol".parse().expect("two scopes");
        assert_eq!(scopes, Scopes::NONE.with(Scope::Verify).with(Scope::Enrol));
        assert_eq!(scopes.to_string(), "verify enrol");
        assert_eq!(serde_json::to_string(&scopes).expect("text"), r#"["verify","enrol"]"#);
        assert_eq!("all".parse::<Scopes>(), Err(ScopesError::Unknown("all".to_owned())));
        assert_eq!(" , ".parse::<Scopes>(), Err(ScopesError::Empty));
        assert_eq!(Scopes::ALL.iter().count(), Scope::ALL.len());
    }
}
