//! `sidetone vault sweep`: erases what may not be kept any longer.

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use crate::cli::{Outcome, Places, Refusal, println};

/// Persons that are looked at in one go.
const PAGE: u32 = 500;

/// Arguments of `sidetone vault sweep`.
#[derive(Debug, Args)]
#[command(
    after_help = "What may be kept, and how long, stands in [store.retention]. A legal hold keeps everything of whom it is \
    on. The appliance\nsweeps by itself; this is for looking beforehand, and for where it does not run.\n\n\
    Examples:\n  \
    sidetone vault sweep --dry-run\n  \
    sidetone vault sweep --json"
)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
    /// Say what would go, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Looks at everybody.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let mut vault = arguments.places.vault()?;
    let (now, mut after, mut all) = (Timestamp::now(), None, Vec::new());
    loop {
        let sweep = vault.sweep(after.as_ref(), PAGE, now, arguments.dry_run)?;
        all.extend(sweep.swept);
        match sweep.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    if arguments.json {
        println!("{}", json!({ "dry_run": arguments.dry_run, "swept": all }));
        return Ok(Outcome::Done);
    }
    let would = if arguments.dry_run { "would erase" } else { "erased" };
    for swept in &all {
        let reason = json!(swept.reason);
        println!(
            "{would} {} of {}: {}",
            swept.erased,
            swept.person,
            reason.as_str().unwrap_or_default()
        );
    }
    println!("{would} something of {} persons", all.len());
    Ok(Outcome::Done)
}
