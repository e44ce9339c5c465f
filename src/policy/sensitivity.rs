//! What class of data it is that a phrase was said.

use serde::{Deserialize, Serialize};

/// Who may know of a hit. Verdicts carry it, so that whoever receives one can keep to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sensitivity {
    /// Anybody: a disclosure that was read out.
    #[default]
    Public,
    /// The house: a complaint.
    Internal,
    /// It tells something of a person, such as health or debts. The id of such a phrase stands in verdicts and results,
    /// never in a log.
    Personal,
}

impl Sensitivity {
    /// The word in policies, JSON and log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Personal => "personal",
        }
    }
}
