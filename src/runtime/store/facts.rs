//! What a vault is like as a whole: for whoever looks after it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::runtime::store::database::{Database, DatabaseError, Dialect};
use crate::runtime::store::vault::{Vault, VaultError};
use crate::vault::chain::Head;

/// A vault in figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Which database, without a password.
    pub database: String,
    /// Version of its tables.
    pub schema: i64,
    /// Its size, bytes.
    pub size: i64,
    /// Names of the master keys in the key file, the newest first.
    pub master_keys: Vec<String>,
    /// Persons whose keys lie under an older one of them.
    pub under_older_keys: i64,
    /// What proofs of erasure are signed with, 64 hexadecimal digits.
    pub public_key: String,
    /// Persons of whom something is kept, by role.
    pub persons: BTreeMap<String, i64>,
    /// Voices that are kept, by what they are for.
    pub voices: BTreeMap<String, i64>,
    /// Persons whose consents are known, those included of whom nothing else is kept.
    pub consents: i64,
    /// The end of the audit trail.
    pub head: Head,
}

impl Vault {
    /// Counts what is there; some hundred milliseconds for a million persons.
    pub fn facts(&mut self) -> Result<Facts, VaultError> {
        let head = self.head()?;
        let newest = self.keys.keyring().newest().to_owned();
        let size = match self.database.dialect() {
            Dialect::Sqlite => {
                "SELECT c.page_count * s.page_size FROM pragma_page_count() c, pragma_page_size() s"
            }
            Dialect::Postgres => "SELECT pg_database_size(current_database())",
        };
        let database = &mut *self.database;
        let number = |database: &mut dyn Database, sql: &str| -> Result<i64, DatabaseError> {
            let rows = database.query(sql, &[])?;
            rows.first().map_or(Ok(0), |row| row.integer(0))
        };
        let under_older = database
            .query("SELECT count(*) FROM persons WHERE master <> $1", &[newest.as_str().into()])?;
        Ok(Facts {
            schema: number(database, "SELECT max(version) FROM schema_history")?,
            size: number(database, size)?,
            under_older_keys: under_older.first().map_or(Ok(0), |row| row.integer(0))?,
            persons: counted(database, "SELECT role, count(*) FROM persons GROUP BY role")?,
            voices: counted(
                database,
                "SELECT purpose, count(*) FROM voiceprints GROUP BY purpose",
            )?,
            consents: number(database, "SELECT count(*) FROM consents")?,
            database: database.describe(),
            master_keys: self.master_keys().into_iter().map(str::to_owned).collect(),
            public_key: self.public_key(),
            head,
        })
    }
}

/// Whether `database` holds a vault already, which then opens with its own key alone.
pub fn holds_a_vault(database: &mut dyn Database) -> Result<bool, DatabaseError> {
    let sql = match database.dialect() {
        Dialect::Sqlite => "SELECT 1 FROM sqlite_schema WHERE name = 'vault_keys'",
        Dialect::Postgres => "SELECT 1 WHERE to_regclass('vault_keys') IS NOT NULL",
    };
    if database.query(sql, &[])?.is_empty() {
        return Ok(false);
    }
    Ok(!database.query("SELECT 1 FROM vault_keys LIMIT 1", &[])?.is_empty())
}

fn counted(database: &mut dyn Database, sql: &str) -> Result<BTreeMap<String, i64>, DatabaseError> {
    let rows = database.query(sql, &[])?;
    rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.integer(1)?))).collect()
}
