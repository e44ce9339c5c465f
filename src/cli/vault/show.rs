//! `sidetone vault show`: a vault in figures.

use clap::Args;
use serde_json::json;

use crate::cli::{Outcome, Places, Refusal, println};
use crate::runtime::store::vault::Vault;

/// Arguments of `sidetone vault show`.
#[derive(Debug, Args)]
#[command(after_help = "Keys are named by what their hash begins with; no key is shown.\n\n\
    Example:\n  sidetone vault show --json | jq -r .public_key")]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Shows it.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let (config, _) = arguments.places.load()?;
    let facts = crate::cli::person::open(&config.store)?.facts()?;
    let key_file = Vault::key_file(&config.store).display().to_string();
    if arguments.json {
        let mut told = json!(facts);
        told["key_file"] = key_file.into();
        println!("{told}");
        return Ok(Outcome::Done);
    }
    let counted = |counts: &std::collections::BTreeMap<String, i64>| match counts.len() {
        0 => "none".to_owned(),
        _ => {
            let each: Vec<_> = counts.iter().map(|(of, count)| format!("{count} {of}")).collect();
            each.join(", ")
        }
    };
    println!("database     {}, {:.1} MB", facts.database, facts.size as f64 / 1e6);
    println!("schema       {}", facts.schema);
    println!("key file     {key_file}");
    println!("master keys  {} (the newest first)", facts.master_keys.join(", "));
    if facts.under_older_keys > 0 {
        println!("             {} persons lie under an older one", facts.under_older_keys);
    }
    println!("public key   {} (of proofs of erasure)", facts.public_key);
    println!("persons      {}", counted(&facts.persons));
    println!("voices       {}", counted(&facts.voices));
    println!("consents     of {} persons", facts.consents);
    println!("audit trail  {} records, its end is {}", facts.head.sequence, facts.head.digest);
    Ok(Outcome::Done)
}
