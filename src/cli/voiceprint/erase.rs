//! `sidetone voiceprint erase`: all that is kept of a voice goes, and that is signed.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use crate::cli::actor::actor;
use crate::cli::output::PrivateFile;
use crate::cli::person::{Whom, act};
use crate::cli::{Outcome, Places, Refusal, println};
use crate::runtime::store::vault::VaultError;

/// Arguments of `sidetone voiceprint erase`.
#[derive(Debug, Args)]
#[command(
    after_help = "The key that the voice lay under is destroyed, too: what backups and the database's own files have left \
    of it opens no\nmore. What they agreed to and what was done stays, under a pseudonym. Exit code 1 if there was \
    nothing, or a legal hold\nforbids it.\n\n\
    Examples:\n  \
    sidetone voiceprint erase --subject customer-4711 --proof erased-4711.json\n  \
    sidetone voiceprint erase --subject customer-4711 --json > erased-4711.json && sidetone audit proof erased-4711.json"
)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
    #[command(flatten)]
    whom: Whom,
    /// Write the signed statement of it to this file, mode 0600.
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
    /// Print the signed statement, as one JSON document.
    #[arg(long)]
    json: bool,
}

/// Erases it.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let (mut vault, subject) = (arguments.places.vault()?, arguments.whom.subject());
    // What cannot be written is to be known before.
    let file = arguments.proof.as_deref().map(PrivateFile::create).transpose()?;
    let signed = match vault.erase(&subject, &act(&actor())) {
        Ok(signed) => signed,
        Err(error @ (VaultError::NobodyKnown | VaultError::Held(_))) => {
            let reason = match error {
                VaultError::NobodyKnown => format!("nothing is kept of {subject}"),
                error => format!("not erased: {error}"),
            };
            if arguments.json {
                println!("{}", json!({ "subject": subject.name, "reason": reason }));
            } else {
                println!("{reason}");
            }
            return Ok(Outcome::Problem);
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(mut file) = file {
        file.line(&serde_json::to_string(&signed)?)?;
        file.finish()?;
    }
    if arguments.json {
        println!("{}", json!(signed));
        return Ok(Outcome::Done);
    }
    println!("erased of {subject}: {}", signed.statement.erased);
    println!("audit record {}", signed.statement.record.sequence);
    let covered = vault.consents(&subject)?.covered(Timestamp::now());
    if !covered.is_empty() {
        println!(
            "what they agreed to stands ({covered}); `sidetone consent withdraw` or `opt-out` ends it"
        );
    }
    Ok(Outcome::Done)
}
