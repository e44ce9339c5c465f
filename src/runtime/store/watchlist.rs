//! Known voices that callers are compared with.

use crate::consent::role::Role;
use crate::runtime::store::audit_trail::Wanted;
use crate::runtime::store::persons::voice;
use crate::runtime::store::vault::{Vault, VaultError};
use crate::speaker::voiceprint::Voiceprint;
use crate::vault::chain::Kind;
use crate::vault::pseudonym::Pseudonym;

impl Vault {
    /// All of them. One that cannot be read is a fault: a list with a hole in it is no list.
    pub fn watchlist(&mut self) -> Result<Vec<Voiceprint>, VaultError> {
        let sql = "SELECT person FROM persons WHERE role = $1 ORDER BY person";
        let rows = self.database.query(sql, &[Role::Watchlist.as_str().into()])?;
        let mut all = Vec::new();
        for row in &rows {
            let person = Pseudonym::known(row.text(0)?.to_owned());
            all.extend(voice(&mut *self.database, &mut self.keys, &person)?.voiceprint);
        }
        Ok(all)
    }

    /// Whether a voice was made or erased after record `after` of the audit trail, whosever, by whomever.
    pub fn voices_changed_after(&mut self, after: u64) -> Result<bool, VaultError> {
        for kind in [Kind::Enrolment, Kind::Erasure] {
            let wanted = Wanted { after, kind: Some(kind), person: None };
            if !self.records(&wanted, 1)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
