//! `sidetone vault init`: a new master key, and the database that it is for.

use clap::Args;

use crate::cli::person::{database_file, give_to_owner, open};
use crate::cli::{Outcome, Places, Refusal, println};
use crate::runtime::store::facts::holds_a_vault;
use crate::runtime::store::key_file::KeyFile;
use crate::runtime::store::place::Place;
use crate::runtime::store::vault::{Vault, new_secret};

/// Arguments of `sidetone vault init`.
#[derive(Debug, Args)]
#[command(
    after_help = "A key file that is there is never replaced, and a database that holds a vault opens with its own key \
    alone: both\nare refused. As root it gives key file and database to the user that the folder of store.database (of \
    a server:\nof store.anchor_file) belongs to. Further machines that share a database get a copy of the first one's \
    key file.\n\n\
    Example:\n  sidetone vault init && sidetone vault show"
)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
}

/// Makes both.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let (config, _) = arguments.places.load()?;
    let store = &config.store;
    let key_file = Vault::key_file(store);
    let file = database_file(store);
    if !key_file.exists() && file.as_ref().is_none_or(|file| file.exists()) {
        let place = Place::parse(&store.database, store.password_file.as_deref())?;
        let mut database = place.open()?;
        if holds_a_vault(&mut *database)? {
            return Err(format!(
                "{} holds a vault, which opens with its own key file alone: put that back to {} (store.key_file)",
                database.describe(),
                key_file.display()
            )
            .into());
        }
    }
    KeyFile::create(&key_file, new_secret())?;
    give_to_owner(&key_file, file.as_ref().unwrap_or(&store.anchor_file))?;
    let vault = open(store)?;
    println!("made the master key {} in {}", vault.master_keys().join(", "), key_file.display());
    println!("made the vault in {}", vault.describe());
    println!(
        "keep a copy of the key file away from this machine and from the database's backups: without it every voice is \
         lost, and whoever has both can read every voice"
    );
    Ok(Outcome::Done)
}
