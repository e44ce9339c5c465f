//! `sidetone audit`: what was done, and whether the record of it is whole; and rules over what was kept of calls.

pub mod export;
pub mod proof;
pub mod rules;
pub mod show;
pub mod verify;

use clap::Subcommand;

use crate::cli::{Outcome, Refusal};

/// Subcommands of `sidetone audit`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Find any change, removal or reordering in the audit trail.
    Verify(verify::Arguments),
    /// Show records of the audit trail.
    Show(show::Arguments),
    /// Write the audit trail as lines of JSON that can be verified anywhere.
    Export(export::Arguments),
    /// Verify a signed statement of erasure.
    Proof(proof::Arguments),
    /// Run the policy's rules over conversations that were kept.
    Rules(rules::Arguments),
}

/// Runs one of them.
pub fn run(command: &Command) -> Result<Outcome, Refusal> {
    match command {
        Command::Verify(arguments) => verify::run(arguments),
        Command::Show(arguments) => show::run(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::Proof(arguments) => proof::run(arguments),
        Command::Rules(arguments) => rules::run(arguments),
    }
}
