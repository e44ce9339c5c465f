//! `sidetone audit proof`: whether a statement of erasure is ours.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::{Outcome, Places, Refusal, println};
use crate::runtime::store::erasure::Erasure;
use crate::vault::proof::Signed;

/// Arguments of `sidetone audit proof`.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 1 if the statement was changed, or somebody else signed it.\n\n\
    Examples:\n  \
    sidetone audit proof erased-4711.json\n  \
    sidetone audit proof erased-4711.json --key 6b1c...e2    without the vault")]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
    /// The public key that has to have signed it, 64 hexadecimal digits as `sidetone vault show` names them; left out, the
    /// vault's own.
    #[arg(long, value_name = "HEX", value_parser = public_key)]
    key: Option<String>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
    /// The statement, as `sidetone voiceprint erase --proof` wrote it.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

fn public_key(text: &str) -> Result<String, String> {
    match hex::decode(text) {
        Ok(bytes) if bytes.len() == 32 => Ok(text.to_lowercase()),
        Ok(_) | Err(_) => Err("a public key is 64 hexadecimal digits".to_owned()),
    }
}

/// Verifies it.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let file = &arguments.file;
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let signed: Signed<Erasure> = serde_json::from_str(&text)
        .map_err(|error| format!("{} is no statement of erasure: {error}", file.display()))?;
    let wanted = match &arguments.key {
        Some(key) => key.clone(),
        None => arguments.places.vault()?.public_key(),
    };
    let fault = match signed.verify() {
        Err(error) => Some(error.to_string()),
        Ok(()) if signed.public_key != wanted => {
            Some(format!("it was signed with the key {}, wanted {wanted}", signed.public_key))
        }
        Ok(()) => None,
    };
    let statement = &signed.statement;
    if arguments.json {
        println!("{}", json!({ "good": fault.is_none(), "reason": fault, "statement": statement }));
    } else if let Some(fault) = &fault {
        println!("NOT good: {fault}");
    } else {
        println!(
            "good: {} of the {} {} (pseudonym {}) were erased {:.0} by {}, audit record {}",
            statement.erased,
            statement.role,
            statement.subject,
            statement.person,
            statement.at,
            statement.by,
            statement.record.sequence
        );
    }
    Ok(if fault.is_none() { Outcome::Done } else { Outcome::Problem })
}
