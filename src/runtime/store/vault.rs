//! The vault: all that is kept of persons, in one database, readable with one key file.
//!
//! What it does stands in the files beside this one: [`crate::runtime::store::consents`] what they agreed to,
//! [`crate::runtime::store::persons`] their voices, [`crate::runtime::store::erasure`] how those go,
//! [`crate::runtime::store::rotation`] master keys, and [`crate::runtime::store::audit_trail`] what was done.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::config::store::Store;
use crate::consent::consents::Refusal;
use crate::consent::retention;
use crate::consent::role::Role;
use crate::runtime::store::database::{
    Database, DatabaseError, MayBeBusy, Row, Value, in_transaction,
};
use crate::runtime::store::key_file::{KeyFile, KeyFileError};
use crate::runtime::store::place::Place;
use crate::runtime::store::schema;
use crate::vault::keyring::{UnwrapError, Wrapped};
use crate::vault::proof::Signer;
use crate::vault::pseudonym::Pseudonym;
use crate::vault::sealed::NONCE;
use crate::vault::secret::{LENGTH, Secret};

/// The environment's word for where the master keys are; systemd hands out credentials that way.
const KEY_FILE: &str = "SIDETONE_STORE_KEY_FILE";
/// The vault's own keys, by name.
const PSEUDONYMS: &str = "pseudonyms";
const SIGNATURES: &str = "signatures";

/// Who is meant, by the name that the PBX, or whoever enrolled them, calls them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// In what capacity.
    pub role: Role,
    /// The name.
    pub name: String,
}

/// One connection to what is kept.
#[derive(Debug)]
pub struct Vault {
    pub(super) database: Box<dyn Database>,
    pub(super) keys: KeyFile,
    pub(super) retention: retention::Settings,
    pub(super) signer: Signer,
    pseudonyms: Secret,
}

/// Why the vault did not do what was asked: one sentence.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The database did not.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// There are no master keys.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// They are those of another vault.
    #[error("{database} does not open with the key file {key_file} (store.key_file): {error}")]
    WrongKey {
        /// Which database.
        database: String,
        /// Which key file.
        key_file: String,
        /// Why.
        error: UnwrapError,
    },
    /// A row that was changed, moved, or written with another key.
    #[error("{what} of person {person} cannot be used: {why}")]
    Damaged {
        /// The row.
        what: &'static str,
        /// Of whom.
        person: Pseudonym,
        /// Why.
        why: String,
    },
    /// It is not agreed to.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nothing may be erased.
    #[error("there is a legal hold on this person: {0}")]
    Held(String),
    /// Nothing is kept of them.
    #[error("nothing is kept of this person")]
    NobodyKnown,
}

impl Subject {
    /// A caller, by name.
    pub fn caller(name: &str) -> Self {
        Self { role: Role::Caller, name: name.to_owned() }
    }

    /// Somebody in `role`, by name.
    pub fn new(role: Role, name: &str) -> Self {
        Self { role, name: name.to_owned() }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl VaultError {
    /// A row of `person` that is not as it was written.
    pub(super) fn damaged(what: &'static str, person: &Pseudonym, why: impl fmt::Display) -> Self {
        Self::Damaged { what, person: person.clone(), why: why.to_string() }
    }

    /// Whether the database is away, so that the same may be done when it is back.
    pub fn is_outage(&self) -> bool {
        let Self::Database(error) = self else { return false };
        matches!(
            error,
            DatabaseError::Busy { .. }
                | DatabaseError::Gone { .. }
                | DatabaseError::InDoubt { .. }
                | DatabaseError::Full { .. }
                | DatabaseError::ReadOnly { .. }
        )
    }
}

impl MayBeBusy for VaultError {
    fn is_busy(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_busy())
    }
}

impl Vault {
    /// Opens what the configuration names; where the environment names a key file, that one.
    pub fn configured(store: &Store) -> Result<Self, VaultError> {
        let place = Place::parse(&store.database, store.password_file.as_deref())?;
        Self::open(&place, &Self::key_file(store), store.retention)
    }

    /// Where its master keys are.
    pub fn key_file(store: &Store) -> PathBuf {
        env::var_os(KEY_FILE).map_or_else(|| store.key_file.clone(), PathBuf::from)
    }

    /// Opens the database at `place` with the keys in `key_file`, and brings it up to date. The first to open a new one
    /// makes its keys.
    ///
    /// It waits for disk and network: not for the thread of a call.
    pub fn open(
        place: &Place,
        key_file: &Path,
        retention: retention::Settings,
    ) -> Result<Self, VaultError> {
        let mut keys = KeyFile::read(key_file)?;
        let mut database = place.open()?;
        schema::upgrade(&mut *database)?;
        let pseudonyms = own_key(&mut *database, &mut keys, PSEUDONYMS)?;
        let signer = Signer::new(&own_key(&mut *database, &mut keys, SIGNATURES)?);
        Ok(Self { database, keys, retention, signer, pseudonyms })
    }

    /// What `subject` is called where names must not stand.
    pub fn pseudonym(&self, subject: &Subject) -> Pseudonym {
        Pseudonym::of(&self.pseudonyms, subject.role.as_str(), &subject.name)
    }

    /// The key that proofs of this vault are signed with.
    pub fn public_key(&self) -> String {
        self.signer.public_key()
    }

    /// What database it is, for messages.
    pub fn describe(&self) -> String {
        self.database.describe()
    }
}

/// One of the vault's own keys, made where there is none.
fn own_key(
    database: &mut dyn Database,
    keys: &mut KeyFile,
    name: &str,
) -> Result<Secret, VaultError> {
    let purpose = ["vault", name];
    let find = |database: &mut dyn Database| -> Result<Option<Wrapped>, VaultError> {
        let sql = "SELECT master, wrapped FROM vault_keys WHERE name = $1";
        let rows = database.query(sql, &[name.into()])?;
        let wrapped = |row: &Row| -> Result<Wrapped, DatabaseError> {
            Ok(Wrapped { master: row.text(0)?.to_owned(), bytes: row.bytes(1)?.to_owned() })
        };
        Ok(rows.first().map(wrapped).transpose()?)
    };
    let wrapped = match find(database)? {
        Some(wrapped) => wrapped,
        None => in_transaction(database, |database| {
            // Somebody else may have been first.
            if let Some(wrapped) = find(database)? {
                return Ok(wrapped);
            }
            let wrapped = keys.wrap(&new_secret(), &purpose, new_nonce());
            database.execute(
                "INSERT INTO vault_keys (name, master, wrapped) VALUES ($1, $2, $3)",
                &[name.into(), wrapped.master.clone().into(), wrapped.bytes.clone().into()],
            )?;
            Ok::<_, VaultError>(wrapped)
        })?,
    };
    keys.unwrap(&wrapped, &purpose).map_err(|error| VaultError::WrongKey {
        database: database.describe(),
        key_file: keys.path().display().to_string(),
        error,
    })
}

/// A key by chance.
pub fn new_secret() -> Secret {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).expect("the system has had randomness since it started");
    Secret::new(bytes)
}

/// A nonce by chance.
pub(super) fn new_nonce() -> [u8; NONCE] {
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).expect("the system has had randomness since it started");
    nonce
}

/// Milliseconds since 1970, as they are kept.
pub(super) fn to_value(at: Timestamp) -> Value {
    Value::Integer(at.as_millisecond())
}

/// A moment that was kept.
pub(super) fn to_timestamp(ms: i64) -> Result<Timestamp, DatabaseError> {
    Timestamp::from_millisecond(ms).map_err(|error| DatabaseError::Damaged {
        database: "the vault".to_owned(),
        what: format!("{ms} is no moment: {error}"),
    })
}
