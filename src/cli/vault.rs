//! `sidetone vault`: keys and database of what is kept of persons.

pub mod adopt;
pub mod init;
pub mod rotate_key;
pub mod show;
pub mod sweep;

use clap::Subcommand;

use crate::cli::{Outcome, Refusal};

/// Subcommands of `sidetone vault`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the master key and the database.
    Init(init::Arguments),
    /// Show where the vault is, its keys' names, and how much it holds.
    Show(show::Arguments),
    /// Put a new master key in place of the old one, while calls go on.
    RotateKey(rotate_key::Arguments),
    /// Erase what may not be kept any longer, as the appliance does each hour.
    Sweep(sweep::Arguments),
    /// Take over the voiceprints of a release that kept them as files.
    Adopt(adopt::Arguments),
}

/// Runs one of them.
pub fn run(command: &Command) -> Result<Outcome, Refusal> {
    match command {
        Command::Init(arguments) => init::run(arguments),
        Command::Show(arguments) => show::run(arguments),
        Command::RotateKey(arguments) => rotate_key::run(arguments),
        Command::Sweep(arguments) => sweep::run(arguments),
        Command::Adopt(arguments) => adopt::run(arguments),
    }
}
