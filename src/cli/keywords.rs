//! `sidetone keywords`: work on the phrases of a policy.

pub mod check;
pub mod learn;

use clap::Subcommand;

use crate::cli::{Outcome, Refusal};

/// Subcommands of `sidetone keywords`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Tell what phrases are worth: how they are said, what they cost in false alarms, what they may be taken for.
    Check(check::Arguments),
    /// Learn a phrase from recordings of it: an experiment.
    Learn(learn::Arguments),
}

/// Runs a subcommand.
pub fn run(command: &Command) -> Result<Outcome, Refusal> {
    match command {
        Command::Check(arguments) => check::run(arguments),
        Command::Learn(arguments) => learn::run(arguments),
    }
}
