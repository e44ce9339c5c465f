//! Whom a subcommand is about, and the vault that it asks.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use rustix::process::geteuid;

use crate::cli::{Places, Refusal, subject};
use crate::config::store::Store;
use crate::consent::role::Role;
use crate::runtime::store::persons::Act;
use crate::runtime::store::vault::{Subject, Vault};

/// In what capacity somebody is known; callers and agents of one name are two persons.
#[derive(Clone, Debug, Args)]
pub struct Capacity {
    /// As what they are known: caller or agent.
    #[arg(long, default_value = "caller", value_parser = asked, conflicts_with = "watchlist")]
    role: Role,
    /// The entry of the watchlist of that name; nobody there was asked.
    #[arg(long)]
    watchlist: bool,
}

/// One person.
#[derive(Clone, Debug, Args)]
pub struct Whom {
    /// Who, by the name that X-Sidetone-Subject claims.
    #[arg(long, value_parser = subject)]
    subject: String,
    #[command(flatten)]
    capacity: Capacity,
}

/// One person who can be asked.
#[derive(Clone, Debug, Args)]
pub struct Asked {
    /// Who, by the name that X-Sidetone-Subject claims.
    #[arg(long, value_parser = subject)]
    subject: String,
    /// As what they are known: caller or agent.
    #[arg(long, default_value = "caller", value_parser = asked)]
    role: Role,
}

impl Capacity {
    /// The role.
    pub fn role(&self) -> Role {
        if self.watchlist { Role::Watchlist } else { self.role }
    }
}

impl Whom {
    /// The person.
    pub fn subject(&self) -> Subject {
        Subject::new(self.capacity.role(), &self.subject)
    }
}

impl Asked {
    /// The person.
    pub fn subject(&self) -> Subject {
        Subject::new(self.role, &self.subject)
    }
}

/// A role whose people can agree to something.
pub fn asked(text: &str) -> Result<Role, String> {
    match text {
        "caller" => Ok(Role::Caller),
        "agent" => Ok(Role::Agent),
        other => Err(format!("a role is caller or agent, not {other:?}")),
    }
}

/// What `by` does now.
pub fn act(by: &str) -> Act<'_> {
    Act { by, at: Timestamp::now(), conversation: None }
}

impl Places {
    /// The vault that the configuration names.
    pub fn vault(&self) -> Result<Vault, Refusal> {
        let (config, _) = self.load()?;
        open(&config.store)
    }
}

/// Opens the vault; what root makes anew belongs to whoever owns the folder, which is the service's user.
pub fn open(store: &Store) -> Result<Vault, Refusal> {
    let made = database_file(store).filter(|file| !file.exists());
    let vault = Vault::configured(store)?;
    made.map_or(Ok(()), |file| give_to_owner(&file, &file))?;
    Ok(vault)
}

/// The file of an embedded database.
pub fn database_file(store: &Store) -> Option<PathBuf> {
    store.database.strip_prefix("sqlite:").map(PathBuf::from)
}

/// Gives `file`, where root made it, to whoever owns the folder that `beside` lies in.
pub fn give_to_owner(file: &Path, beside: &Path) -> Result<(), Refusal> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let folder = beside.parent().filter(|folder| !folder.as_os_str().is_empty());
    let owner = std::fs::metadata(folder.unwrap_or(Path::new(".")));
    let given = owner
        .and_then(|owner| std::os::unix::fs::chown(file, Some(owner.uid()), Some(owner.gid())));
    Ok(given.map_err(|error| {
        format!("cannot give {} to the service's user: {error}", file.display())
    })?)
}
