//! The vault: its key, its database, its version.

use crate::cli::doctor::finding::Finding;
use crate::cli::person::database_file;
use crate::config::store::Store;
use crate::runtime::store::key_file::{KeyFile, KeyFileError};
use crate::runtime::store::vault::Vault;

pub(super) fn look(store: &Store) -> Vec<Finding> {
    let path = Vault::key_file(store);
    if let Err(error) = KeyFile::read(&path) {
        let file = path.display();
        let remedy = match &error {
            KeyFileError::Missing(_) => {
                "sidetone vault init for a new vault; else put the copy of its key back".to_owned()
            }
            KeyFileError::Open { .. } => format!("chmod 400 {file}"),
            KeyFileError::Io { .. } => {
                format!("ls -l {file}; run this as root or as the service's user")
            }
            KeyFileError::Exists(_) | KeyFileError::Malformed { .. } => {
                "put the copy of the key back: without it every voice is lost".to_owned()
            }
        };
        return vec![Finding::problem("key file", error.to_string(), remedy)];
    }
    let key = Finding::ok("key file", format!("{} opens for its owner alone", path.display()));
    vec![key, database(store)]
}

fn database(store: &Store) -> Finding {
    // Opening it would make it.
    if database_file(store).is_some_and(|file| !file.exists()) {
        let found = format!("{} is not made yet: the first start makes it", store.database);
        return Finding::ok("vault", found);
    }
    match Vault::configured(store) {
        Ok(vault) => Finding::ok("vault", vault.describe()),
        Err(error) if error.is_outage() => {
            let remedy = "start the database, or mend store.database; calls go on, and what is to be kept waits";
            Finding::problem("vault", error.to_string(), remedy)
        }
        Err(error) => {
            let remedy =
                "nothing is written until this is mended; restore the backup if it is damaged";
            Finding::problem("vault", error.to_string(), remedy)
        }
    }
}
