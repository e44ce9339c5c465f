//! `sidetone voiceprint export`: all that is held of a person, for them.

use std::path::PathBuf;

use clap::Args;

use crate::cli::actor::actor;
use crate::cli::output::PrivateFile;
use crate::cli::person::{Whom, act};
use crate::cli::{Outcome, Places, Refusal, println};
use crate::vault::chain::Kind;

/// Arguments of `sidetone voiceprint export`.
#[derive(Debug, Args)]
#[command(
    after_help = "The voiceprint, what was gathered for one, what they agreed to, a legal hold, and every audit record \
    about them, the\nhistory of their consents included. That it was handed out is such a record itself. Exit code 1 if \
    nothing is held.\n\n\
    Examples:\n  \
    sidetone voiceprint export --subject customer-4711 --output customer-4711.json\n  \
    sidetone voiceprint export --subject customer-4711 --embeddings > customer-4711.json"
)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
    #[command(flatten)]
    whom: Whom,
    /// With the voice itself, which is biometric data: base64 of 32-bit numbers.
    #[arg(long)]
    embeddings: bool,
    /// Write to this file, mode 0600, instead of standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// It is always JSON; taken for the sake of those who say it everywhere.
    #[arg(long)]
    json: bool,
}

/// Writes it.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let (mut vault, subject) = (arguments.places.vault()?, arguments.whom.subject());
    // Before anything leaves, somebody is to know that it does.
    let file = arguments.output.as_deref().map(PrivateFile::create).transpose()?;
    let mut held = vault.held(&subject)?;
    let any = held.any();
    if any {
        let what = if arguments.embeddings { "all, with the voice" } else { "all but the voice" };
        vault.note_use(&subject, Kind::Export, &act(&actor()), what)?;
        held = vault.held(&subject)?;
    }
    let document = held.document(arguments.embeddings);
    match file {
        Some(mut file) => {
            file.line(&serde_json::to_string_pretty(&document)?)?;
            file.finish()?;
        }
        None => println!("{document}"),
    }
    Ok(if any { Outcome::Done } else { Outcome::Problem })
}
