//! The `sidetone` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    sidetone::cli::run()
}
