//! Everybody whose consents are known, page by page.

use serde::Serialize;

use crate::consent::consents::Consents;
use crate::consent::role::Role;
use crate::runtime::store::consents;
use crate::runtime::store::persons;
use crate::runtime::store::vault::{Vault, VaultError};
use crate::vault::pseudonym::Pseudonym;

/// Somebody who has agreed to something, or has taken it back.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Agreed {
    /// What audit records call them.
    pub person: Pseudonym,
    /// What the PBX calls them; known of those alone of whom a voice is kept.
    pub subject: Option<String>,
    /// In what capacity; as the name.
    pub role: Option<Role>,
    /// What they agreed to.
    pub consents: Consents,
}

impl Vault {
    /// At most `limit` persons whose consents are known, in the order of their pseudonyms, from the one that follows
    /// `after`.
    pub fn agreed(
        &mut self,
        after: Option<&Pseudonym>,
        limit: u32,
    ) -> Result<Vec<Agreed>, VaultError> {
        let sql = "SELECT c.person, c.state, p.role, p.name, p.master, p.wrapped
             FROM consents c LEFT JOIN persons p ON p.person = c.person
             WHERE c.person > $1 ORDER BY c.person LIMIT $2";
        let after = after.map_or("", Pseudonym::as_str);
        let Self { database, keys, .. } = self;
        let rows = database.query(sql, &[after.into(), i64::from(limit).into()])?;
        let agreed = rows.iter().map(|row| {
            let person = Pseudonym::known(row.text(0)?.to_owned());
            let consents = consents::parse(&person, row.text(1)?)?;
            let (mut subject, mut role) = (None, None);
            if let Some(name) = row.optional_bytes(3)? {
                let key = (row.text(4)?, row.bytes(5)?);
                subject = Some(persons::opened_name(keys, &person, key, name)?);
                role = Some(persons::role_of(&person, row.text(2)?)?);
            }
            Ok(Agreed { person, subject, role, consents })
        });
        agreed.collect()
    }
}
