//! `sidetone check`: would `serve` start?

use clap::Args;

use crate::cli::{Outcome, Places, Refusal, println};

/// Arguments of `sidetone check`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
}

/// Reads what `serve` would read, and verifies every model's hash.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let (config, policy) = arguments.places.load()?;
    let installed = arguments.places.installed(&config)?;
    installed.spotter(&policy, config.keyword.forced_threshold)?;
    println!("configuration  {}", arguments.places.config.display());
    println!("policy         {}@{}, {} phrases", policy.name, policy.version, policy.phrases.len());
    println!("speaker model  {}", installed.models().speaker);
    println!("keyword model  {}", installed.models().keyword);
    println!("good: `sidetone serve` would listen on {}", config.sip.listen);
    Ok(Outcome::Done)
}
