//! `sidetone voiceprint revert`: what calls taught a voiceprint, taken back.

use clap::Args;
use serde_json::json;

use crate::cli::actor::actor;
use crate::cli::person::act;
use crate::cli::voiceprint::OneArguments;
use crate::cli::{Outcome, Refusal, println};

/// Arguments of `sidetone voiceprint revert`.
#[derive(Debug, Args)]
#[command(
    after_help = "`show` lists the revisions; 0 is as enrolled. Exit code 1 if there is nothing to go back to.\n\n\
    Examples:\n  \
    sidetone voiceprint revert --subject customer-4711\n  \
    sidetone voiceprint revert --subject customer-4711 --to 0"
)]
pub struct Arguments {
    #[command(flatten)]
    of: OneArguments,
    /// Number of the revision; left out, the one before.
    #[arg(long, value_name = "N")]
    to: Option<u32>,
}

/// Goes back.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let (mut vault, subject) = (arguments.of.places.vault()?, arguments.of.whom.subject());
    let mut reverted = Err(format!("no voiceprint of {subject}"));
    // To take back what was learned asks nobody's leave.
    vault.revise(&subject, None, &act(&actor()), |voiceprint| {
        reverted = voiceprint.revert(arguments.to).map_err(|error| error.to_string());
        reverted.is_ok()
    })?;
    let name = &subject.name;
    match (&reverted, arguments.of.json) {
        (Ok(number), true) => println!("{}", json!({ "subject": name, "revision": number })),
        (Err(why), true) => println!("{}", json!({ "subject": name, "reason": why })),
        (Ok(number), false) => println!("the voiceprint of {name} is at revision {number}"),
        (Err(why), false) => println!("{why}"),
    }
    Ok(if reverted.is_ok() { Outcome::Done } else { Outcome::Problem })
}
