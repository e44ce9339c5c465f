//! `sidetone vault adopt`: voiceprints that an older release kept as files.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use crate::cli::actor::actor;
use crate::cli::person::{Capacity, act};
use crate::cli::progress::Progress;
use crate::cli::{Outcome, Places, Refusal, println};
use crate::consent::consents::{Change, Given};
use crate::consent::reference::ConsentReference;
use crate::consent::role::Role;
use crate::consent::scope::Scopes;
use crate::runtime::store::vault::{Subject, Vault, VaultError};
use crate::speaker::gathering::Gathering;
use crate::speaker::voiceprint::Voiceprint;
use crate::speaker::voiceprint_format;

/// How the file of a voiceprint ends.
const VOICEPRINT: &str = ".voiceprint.json";
/// How the file of what was gathered ends.
const GATHERING: &str = ".gathering.json";
/// How a file ends that was never put in its place.
const DRAFT: &str = ".draft";

/// Arguments of `sidetone vault adopt`.
#[derive(Debug, Args)]
#[command(
    after_help = "Each file names the consent under which it was made. That consent is recorded as given for --scopes, the \
    voice is kept under\nit, and the file is removed once it is. Where it is interrupted, run it again. What cannot be taken \
    over stays where\nit is (exit code 1). Files are removed, not overwritten: what the disk keeps of them is for the \
    disk's own encryption.\n\n\
    Examples:\n  \
    sidetone vault adopt /var/lib/sidetone/voiceprints\n  \
    sidetone vault adopt /var/lib/sidetone/watchlist --watchlist"
)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
    /// What the consents cover: words of verify, enrol, adapt, watchlist, keywords.
    #[arg(long, value_name = "SCOPES", default_value = "verify enrol")]
    scopes: Scopes,
    #[command(flatten)]
    capacity: Capacity,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
    /// Folder of the files, store.folder or speaker.watchlist.folder of before.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// What a file holds.
enum Content {
    Voiceprint(Box<Voiceprint>),
    Gathering(Box<Gathering>),
}

/// Takes over all of the folder.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let mut vault = arguments.places.vault()?;
    // A gathering beside a voiceprint is for a migration, and is kept after it.
    let mut files = files(&arguments.folder, VOICEPRINT)?;
    files.extend(self::files(&arguments.folder, GATHERING)?);
    let drafts = self::files(&arguments.folder, DRAFT)?;
    let progress = Progress::new("took over", files.len() as u64, "files");
    let (by, mut adopted, mut refused) = (actor(), 0, Vec::new());
    for (number, file) in (1..).zip(&files) {
        let taken = read(file).and_then(|content| keep(&mut vault, &content, arguments, &by));
        match taken {
            Ok(()) => {
                remove(file)?;
                adopted += 1;
            }
            Err(Fault::OfThis(reason)) => refused.push((file.display().to_string(), reason)),
            Err(Fault::OfAll(error)) => return Err(error),
        }
        progress.reach(number);
    }
    drop(progress);
    for draft in &drafts {
        remove(draft)?;
    }
    if arguments.json {
        let refused: Vec<_> = refused
            .iter()
            .map(|(file, reason)| json!({ "file": file, "reason": reason }))
            .collect();
        println!(
            "{}",
            json!({ "adopted": adopted, "refused": refused, "drafts_removed": drafts.len() })
        );
    } else {
        for (file, reason) in &refused {
            println!("left {file}: {reason}");
        }
        println!("took over {adopted} of {} files, and removed them", files.len());
    }
    Ok(if refused.is_empty() { Outcome::Done } else { Outcome::Problem })
}

/// Why a file is not taken over.
enum Fault {
    /// Something about this one.
    OfThis(String),
    /// Nothing goes any more.
    OfAll(Refusal),
}

impl From<VaultError> for Fault {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Refused(_) | VaultError::Held(_) | VaultError::Damaged { .. } => {
                Self::OfThis(error.to_string())
            }
            other => Self::OfAll(other.into()),
        }
    }
}

fn read(file: &Path) -> Result<Content, Fault> {
    let bytes = fs::read(file)
        .map_err(|error| Fault::OfAll(format!("cannot read {}: {error}", file.display()).into()))?;
    if file.to_string_lossy().ends_with(VOICEPRINT) {
        let voiceprint = voiceprint_format::read(&bytes);
        let voiceprint = voiceprint.map_err(|error| Fault::OfThis(error.to_string()))?;
        return Ok(Content::Voiceprint(Box::new(voiceprint)));
    }
    let gathering = serde_json::from_slice(&bytes);
    let gathering = gathering.map_err(|error| Fault::OfThis(error.to_string()))?;
    Ok(Content::Gathering(Box::new(gathering)))
}

fn keep(
    vault: &mut Vault,
    content: &Content,
    arguments: &Arguments,
    by: &str,
) -> Result<(), Fault> {
    let (name, reference) = match content {
        Content::Voiceprint(voiceprint) => (&voiceprint.subject, &voiceprint.consent),
        Content::Gathering(gathering) => (&gathering.subject, &gathering.consent),
    };
    let subject = Subject::new(arguments.capacity.role(), name);
    let kept = vault.voice(&subject)?;
    match content {
        // It was kept, and the file was not removed any more.
        Content::Voiceprint(ours) if kept.voiceprint.as_ref() == Some(&**ours) => return Ok(()),
        Content::Gathering(ours) if kept.gathering.as_ref() == Some(&**ours) => return Ok(()),
        Content::Voiceprint(_) if kept.voiceprint.is_some() => {
            return Err(Fault::OfThis(format!("another voiceprint of {name} is in the vault")));
        }
        Content::Voiceprint(_) | Content::Gathering(_) => {}
    }
    if subject.role != Role::Watchlist {
        let reference = ConsentReference::new(reference);
        let reference = reference.map_err(|error| Fault::OfThis(error.to_string()))?;
        let given = Given { reference, at: Timestamp::now(), by: by.to_owned(), expires: None };
        vault.change_consent(&subject, &Change::Given { scopes: arguments.scopes, given })?;
    }
    match content {
        Content::Voiceprint(voiceprint) => vault.enrol(&subject, voiceprint, &act(by))?,
        Content::Gathering(gathering) => vault.gather(&subject, gathering, &act(by))?,
    }
    Ok(())
}

fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, Refusal> {
    let unreadable = |error| format!("cannot list {}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(ending)) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn remove(file: &Path) -> Result<(), Refusal> {
    Ok(fs::remove_file(file)
        .map_err(|error| format!("cannot remove {}: {error}", file.display()))?)
}
