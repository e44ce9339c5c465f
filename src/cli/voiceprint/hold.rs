//! `sidetone voiceprint hold`: what must not be erased, and may be again.

use clap::Args;

use crate::cli::actor::actor;
use crate::cli::person::{Whom, act};
use crate::cli::{Outcome, Places, Refusal, println};
use crate::runtime::store::vault::VaultError;

/// Longest reason, bytes.
const LONGEST: usize = 500;

/// Arguments of `sidetone voiceprint hold`.
#[derive(Debug, Args)]
#[command(
    after_help = "While it holds, nothing erases what is kept of them: no request, no withdrawal, no retention. Nobody is \
    compared with\nit all the same, where the consent has ended. Exit code 1 if nothing is kept.\n\n\
    Examples:\n  \
    sidetone voiceprint hold --subject customer-4711 --reason \"file 17 O 23/26, until judged\"\n  \
    sidetone voiceprint hold --subject customer-4711 --release"
)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
    #[command(flatten)]
    whom: Whom,
    /// Why; it stands in the audit trail, so no name.
    #[arg(long, value_name = "WHY", required_unless_present = "release", value_parser = reason)]
    reason: Option<String>,
    /// Allow it again.
    #[arg(long, conflicts_with = "reason")]
    release: bool,
}

fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("the reason is empty".to_owned()),
        text if text.len() > LONGEST => Err(format!("the reason is longer than {LONGEST} bytes")),
        text => Ok(text.to_owned()),
    }
}

/// Sets or releases it.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let (mut vault, subject) = (arguments.places.vault()?, arguments.whom.subject());
    match vault.hold(&subject, arguments.reason.as_deref(), &act(&actor())) {
        Ok(()) if arguments.release => println!("what is kept of {subject} may be erased again"),
        Ok(()) => println!("what is kept of {subject} is not erased from now on"),
        Err(VaultError::NobodyKnown) => {
            println!("nothing is kept of {subject}");
            return Ok(Outcome::Problem);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Outcome::Done)
}
