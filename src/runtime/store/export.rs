//! All that is held of a person, for that person (GDPR Art. 15 and 20), and that it was looked at or handed out.

use jiff::Timestamp;
use serde::Serialize;

use crate::consent::consents::Consents;
use crate::consent::role::Role;
use crate::runtime::store::audit_trail::Wanted;
use crate::runtime::store::persons::{Act, draft};
use crate::runtime::store::vault::{Subject, Vault, VaultError};
use crate::runtime::store::written::Written;
use crate::speaker::gathering::Gathering;
use crate::speaker::voiceprint::Voiceprint;
use crate::vault::chain::{Draft, Kind};
use crate::vault::pseudonym::Pseudonym;

/// Layout of an export.
const VERSION: u32 = 1;
/// Records that are read at once.
const PAGE: u32 = 1_000;

/// Everything, readable but for the voices: those are base64 of little-endian 32-bit numbers, each beside its model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Export {
    /// Layout of this document.
    pub version: u32,
    /// When it was made.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// What the PBX calls them.
    pub subject: String,
    /// In what capacity.
    pub role: Role,
    /// What audit records call them.
    pub person: Pseudonym,
    /// Since when something is kept of their voice, if it is.
    pub created: Option<Timestamp>,
    /// When they were last heard, to a day.
    pub used: Option<Timestamp>,
    /// Why nothing may be erased, if so.
    pub hold: Option<String>,
    /// What they agreed to.
    pub consents: Consents,
    /// The voiceprint.
    pub voiceprint: Option<Voiceprint>,
    /// What was gathered for one.
    pub gathering: Option<Gathering>,
    /// What was done, as the audit trail has it.
    pub records: Vec<Written>,
}

impl Vault {
    /// Everything that is held of `subject`; that it was handed out is recorded.
    pub fn export(&mut self, subject: &Subject, act: &Act<'_>) -> Result<Export, VaultError> {
        let person = self.pseudonym(subject);
        let kept = self.person(subject)?;
        let consents = self.consents(subject)?;
        let records = self.records_of(&person)?;
        if kept.is_none() && records.is_empty() && consents == Consents::default() {
            return Err(VaultError::NobodyKnown);
        }
        let voice = self.voice(subject)?;
        let detail = serde_json::json!({
            "voiceprint": voice.voiceprint.is_some(),
            "gathering": voice.gathering.is_some(),
            "records": records.len(),
        });
        // Before anybody has it: what cannot be recorded is not handed out.
        self.append(&[draft(Kind::Export, &person, act, &detail)])?;
        Ok(Export {
            version: VERSION,
            at: act.at,
            by: act.by.to_owned(),
            subject: subject.name.clone(),
            role: subject.role,
            person,
            created: kept.as_ref().map(|kept| kept.created),
            used: kept.as_ref().map(|kept| kept.used),
            hold: kept.and_then(|kept| kept.hold),
            consents,
            voiceprint: voice.voiceprint,
            gathering: voice.gathering,
            records,
        })
    }

    /// Records that somebody looked at what is kept of `person`, or of several where none is named.
    pub fn note_access(
        &mut self,
        person: Option<&Pseudonym>,
        act: &Act<'_>,
        detail: &serde_json::Value,
    ) -> Result<(), VaultError> {
        let record = Draft {
            at: act.at,
            kind: Kind::Access,
            actor: act.by.to_owned(),
            person: person.cloned(),
            conversation: act.conversation.map(str::to_owned),
            detail: detail.to_string(),
        };
        self.append(&[record]).map(drop)
    }

    fn records_of(&mut self, person: &Pseudonym) -> Result<Vec<Written>, VaultError> {
        let mut wanted = Wanted { after: 0, kind: None, person: Some(person.clone()) };
        let mut all = Vec::new();
        loop {
            let records = self.records(&wanted, PAGE)?;
            let last = records.last().map(|record| record.sequence);
            all.extend(records.into_iter().map(Written::from));
            match last {
                Some(last) => wanted.after = last,
                None => return Ok(all),
            }
        }
    }
}
