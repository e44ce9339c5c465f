//! `sidetone vault rotate-key`: a new master key in place of the old one.

use clap::Args;
use serde_json::json;

use crate::cli::actor::actor;
use crate::cli::person::act;
use crate::cli::progress::Progress;
use crate::cli::{Outcome, Places, Refusal, println};
use crate::runtime::store::vault::{Vault, VaultError};

/// Arguments of `sidetone vault rotate-key`.
#[derive(Debug, Args)]
#[command(
    after_help = "The new key is put into the key file, every person's key is wrapped under it, and the old one is \
    destroyed. Calls go on:\nwhoever meets a key that they do not know reads the key file anew. Where it is interrupted, \
    --drop-old ends it.\nBackups from before open with the old key file alone: keep that with them for as long as they \
    are kept.\n\n\
    Where several machines share a database, each has a key file of its own:\n  \
    sidetone vault rotate-key --keep-old      on one of them; then copy its key file to all others at once,\n                                            \
    since whoever is enrolled from now on lies under the new key\n  \
    sidetone vault rotate-key --drop-old      on the same one, and copy the key file again\n\n\
    Example:\n  sidetone vault rotate-key"
)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
    /// Put a new key into the key file, and leave everything else as it is.
    #[arg(long, conflicts_with = "drop_old")]
    keep_old: bool,
    /// Make no new key: wrap everything under the newest that there is, and destroy the others.
    #[arg(long)]
    drop_old: bool,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Does it, step by step, each of which may be the last.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let mut vault = arguments.places.vault()?;
    let by = actor();
    let before: Vec<_> = vault.master_keys().into_iter().map(str::to_owned).collect();
    if !arguments.drop_old {
        vault.add_master_key(&act(&by))?;
    }
    let mut wrapped = 0;
    if !arguments.keep_old {
        wrapped = rewrap(&mut vault)?;
        vault.drop_older_master_keys(&act(&by))?;
    }
    let keys: Vec<_> = vault.master_keys().into_iter().map(str::to_owned).collect();
    let destroyed: Vec<_> = before.iter().filter(|key| !keys.contains(*key)).collect();
    if arguments.json {
        println!(
            "{}",
            json!({ "master_keys": keys, "rewrapped": wrapped, "destroyed": destroyed })
        );
        return Ok(Outcome::Done);
    }
    println!("master keys  {} (the newest first)", keys.join(", "));
    if arguments.keep_old {
        println!(
            "copy the key file to every machine that shares the database, now; then `sidetone vault rotate-key --drop-old`"
        );
    } else {
        println!(
            "wrapped {wrapped} persons' keys under it, and destroyed {} older",
            destroyed.len()
        );
        println!("put the new key file to where you keep the copy of the old one");
    }
    Ok(Outcome::Done)
}

/// Wraps every key under the newest: how many persons'.
fn rewrap(vault: &mut Vault) -> Result<u64, VaultError> {
    let total = u64::try_from(vault.facts()?.under_older_keys).unwrap_or_default();
    let progress = Progress::new("wrapped", total, "keys");
    loop {
        let left = vault.rewrap()?;
        // Whoever was enrolled meanwhile by somebody with the old key comes on top.
        progress.reach(total.saturating_sub(left));
        if left == 0 {
            return Ok(total);
        }
    }
}
