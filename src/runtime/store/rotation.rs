//! A new master key: first it stands in the key file, then everything is wrapped under it, then the old one goes.
//!
//! Whoever works with the vault meanwhile reads the key file anew when they meet a key that they do not know, so
//! nobody has to stop. What of the old rows remains in backups and in a server's write-ahead log is of no use once
//! the old master key is destroyed.

use crate::runtime::store::audit_trail;
use crate::runtime::store::database::{Database, Row, in_transaction};
use crate::runtime::store::key_file::KeyFile;
use crate::runtime::store::persons::Act;
use crate::runtime::store::vault::{Vault, VaultError, new_nonce, new_secret};
use crate::vault::chain::{Draft, Kind};
use crate::vault::keyring::Wrapped;
use crate::vault::pseudonym::Pseudonym;

/// Keys that are wrapped anew in one transaction: calls wait no longer for it than for an enrolment.
const BATCH: i64 = 256;

impl Vault {
    /// Puts a new master key before the others in the key file.
    pub fn add_master_key(&mut self, act: &Act<'_>) -> Result<(), VaultError> {
        let keyring = self.keys.keyring().with_newer(new_secret());
        let newest = keyring.newest().to_owned();
        self.keys.replace(keyring)?;
        self.note_key(act, &serde_json::json!({ "added": newest }))
    }

    /// Wraps some keys that lie under an older master key under the newest one: how many are left.
    pub fn rewrap(&mut self) -> Result<u64, VaultError> {
        let Self { database, keys, .. } = self;
        let newest = keys.keyring().newest().to_owned();
        in_transaction(&mut **database, |database| {
            let sql = "SELECT name, master, wrapped FROM vault_keys WHERE master <> $1";
            for row in database.query(sql, &[newest.as_str().into()])? {
                let name = row.text(0)?;
                let wrapped = again(keys, &["vault", name], &row)?;
                let sql = "UPDATE vault_keys SET master = $1, wrapped = $2 WHERE name = $3";
                let values = [wrapped.master.into(), wrapped.bytes.into(), name.into()];
                database.execute(sql, &values)?;
            }
            let sql = "SELECT person, master, wrapped FROM persons WHERE master <> $1 LIMIT $2";
            for row in database.query(sql, &[newest.as_str().into(), BATCH.into()])? {
                let person = row.text(0)?;
                let wrapped = again(keys, &["person", person], &row)?;
                let sql = "UPDATE persons SET master = $1, wrapped = $2 WHERE person = $3";
                let values = [wrapped.master.into(), wrapped.bytes.into(), person.into()];
                database.execute(sql, &values)?;
            }
            under_older(database, &newest)
        })
    }

    /// Destroys all master keys but the newest; only when nothing lies under them any more.
    pub fn drop_older_master_keys(&mut self, act: &Act<'_>) -> Result<(), VaultError> {
        while self.rewrap()? > 0 {}
        let keyring = self.keys.keyring();
        let kept = keyring.without_older();
        let dropped: Vec<_> = keyring.names().skip(1).map(str::to_owned).collect();
        if dropped.is_empty() {
            return Ok(());
        }
        self.keys.replace(kept)?;
        self.scrub();
        self.note_key(act, &serde_json::json!({ "destroyed": dropped }))
    }

    /// The names of the master keys in the key file, the newest first.
    pub fn master_keys(&self) -> Vec<&str> {
        self.keys.keyring().names().collect()
    }

    fn note_key(&mut self, act: &Act<'_>, detail: &serde_json::Value) -> Result<(), VaultError> {
        let (at, kind, actor, detail) = (act.at, Kind::Key, act.by.to_owned(), detail.to_string());
        let draft = Draft { at, kind, actor, person: None, conversation: None, detail };
        in_transaction(&mut *self.database, |database| {
            audit_trail::append(database, [draft.clone()]).map(drop)
        })
    }
}

/// A wrapped key under the newest master key.
fn again(keys: &mut KeyFile, purpose: &[&str], row: &Row) -> Result<Wrapped, VaultError> {
    let wrapped = Wrapped { master: row.text(1)?.to_owned(), bytes: row.bytes(2)?.to_owned() };
    let key = keys.unwrap(&wrapped, purpose).map_err(|error| {
        VaultError::damaged("the key", &Pseudonym::known(row_name(purpose)), error)
    })?;
    Ok(keys.wrap(&key, purpose, new_nonce()))
}

fn row_name(purpose: &[&str]) -> String {
    purpose.last().copied().unwrap_or_default().to_owned()
}

fn under_older(database: &mut dyn Database, newest: &str) -> Result<u64, VaultError> {
    let sql = "SELECT count(*) FROM persons WHERE master <> $1";
    let rows = database.query(sql, &[newest.into()])?;
    let count = rows.first().map_or(Ok(0), |row| row.integer(0))?;
    Ok(u64::try_from(count).unwrap_or_default())
}
