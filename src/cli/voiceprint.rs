//! `sidetone voiceprint`: what is kept of whose voice, to look at, hand out, take back and remove.

pub mod erase;
pub mod export;
pub mod hold;
pub mod import;
pub mod list;
pub mod migrate;
pub mod revert;
pub mod show;

use clap::{Args, Subcommand};

use crate::cli::consent::{self, WITHDRAW_HELP, WithdrawArguments};
use crate::cli::person::Whom;
use crate::cli::{Outcome, Places, Refusal};

/// Subcommands of `sidetone voiceprint`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List everybody of whose voice something is kept.
    List(list::Arguments),
    /// Show what is known of one voiceprint, without the voice itself.
    #[command(
        after_help = "That somebody looked is an audit record. Exit code 1 if there is none.\n\n\
        Example:\n  sidetone voiceprint show --subject customer-4711"
    )]
    Show(OneArguments),
    /// Write all that is held of a person as one JSON document (GDPR Art. 15 and 20).
    Export(export::Arguments),
    /// Remove all that is kept of a person's voice, and destroy its key (GDPR Art. 17).
    Erase(erase::Arguments),
    /// Forbid to erase what is kept of a person, or allow it again (GDPR Art. 17 (3) (e), 18).
    Hold(hold::Arguments),
    /// Record that a person took their consent back: the same as `sidetone consent withdraw`.
    #[command(after_help = WITHDRAW_HELP)]
    Withdraw(WithdrawArguments),
    /// Take adaptation back, by one step or to a numbered revision.
    Revert(revert::Arguments),
    /// Give every voiceprint a reference of another model, from what that model has heard so far.
    Migrate(migrate::Arguments),
    /// Enrol many persons from recordings.
    Import(import::Arguments),
}

/// Arguments of those about one person.
#[derive(Debug, Args)]
pub struct OneArguments {
    #[command(flatten)]
    places: Places,
    #[command(flatten)]
    whom: Whom,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Runs one of them.
pub fn run(command: &Command) -> Result<Outcome, Refusal> {
    match command {
        Command::List(arguments) => list::run(arguments),
        Command::Show(arguments) => show::run(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::Erase(arguments) => erase::run(arguments),
        Command::Hold(arguments) => hold::run(arguments),
        Command::Withdraw(arguments) => consent::withdraw(arguments),
        Command::Revert(arguments) => revert::run(arguments),
        Command::Migrate(arguments) => migrate::run(arguments),
        Command::Import(arguments) => import::run(arguments),
    }
}
