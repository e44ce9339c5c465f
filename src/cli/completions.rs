//! `sidetone completions`: what a shell needs to complete our command line.

use clap::Args;
use clap_complete::{Shell, generate};

use crate::cli::{Outcome, print_line};

/// Arguments of `sidetone completions`.
#[derive(Debug, Args)]
#[command(after_help = "The Debian package brings those of bash, zsh and fish.\n\n\
    Examples:\n  \
    sidetone completions bash > /etc/bash_completion.d/sidetone\n  \
    sidetone completions zsh > /usr/local/share/zsh/site-functions/_sidetone\n  \
    sidetone completions fish > ~/.config/fish/completions/sidetone.fish")]
pub struct Arguments {
    /// Whose: bash, zsh, fish, elvish or powershell.
    #[arg(hide_possible_values = true)]
    shell: Shell,
}

/// Prints those of `command`, the whole command line.
pub fn run(arguments: &Arguments, mut command: clap::Command) -> Outcome {
    let mut script = Vec::new();
    generate(arguments.shell, &mut command, "sidetone", &mut script);
    print_line(format_args!("{}", String::from_utf8_lossy(&script).trim_end()));
    Outcome::Done
}
