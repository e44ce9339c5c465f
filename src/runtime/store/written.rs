//! A record of the audit trail as it is shown and handed out.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::vault::chain::Record;

/// Every field that the digest is over, and the digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(title = "Record")]
pub struct Written {
    /// Its number, from 1, without a gap.
    #[schema(example = 4711)]
    pub sequence: u64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What it is about.
    #[schema(example = "consent")]
    pub kind: &'static str,
    /// Who did it: `peer:NAME`, `token:NAME`, `user:NAME`, `sidetone`.
    #[schema(example = "token:dpo")]
    pub actor: String,
    /// Of whom, by pseudonym.
    pub person: Option<String>,
    /// In which conversation.
    pub conversation: Option<String>,
    /// The rest: JSON, as text, since the digest is over these very bytes.
    #[schema(example = "{\"hold\":\"case 4711\"}")]
    pub detail: String,
    /// Digest of the record before, 64 hexadecimal digits.
    pub previous: String,
    /// Its own digest.
    pub digest: String,
}

impl From<Record> for Written {
    fn from(record: Record) -> Self {
        let Record { sequence, draft, previous, digest } = record;
        Self {
            sequence,
            at: draft.at,
            kind: draft.kind.as_str(),
            actor: draft.actor,
            person: draft.person.map(|person| person.to_string()),
            conversation: draft.conversation,
            detail: draft.detail,
            previous: previous.to_string(),
            digest: digest.to_string(),
        }
    }
}
