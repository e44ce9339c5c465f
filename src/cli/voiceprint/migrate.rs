//! `sidetone voiceprint migrate`: from one speaker model to a better one.

use clap::Args;
use serde_json::json;

use crate::cli::actor::actor;
use crate::cli::person::{act, asked};
use crate::cli::voiceprint::list::everybody;
use crate::cli::{Outcome, Places, Refusal, println};
use crate::consent::role::Role;
use crate::runtime::store::vault::{Subject, VaultError};
use crate::speaker::migration::Migration;

/// Arguments of `sidetone voiceprint migrate`.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 1 if somebody must speak again, or a row cannot be read.\n\n\
    Example:\n  sidetone voiceprint migrate --to wespeaker-resnet34@9df88d0b6331 --dry-run")]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
    /// Callers or agents alone.
    #[arg(long, value_parser = asked)]
    role: Option<Role>,
    /// Those of the watchlist alone.
    #[arg(long, conflicts_with = "role")]
    watchlist: bool,
    /// The new model, as `show` and the verdicts name it: `name@version`.
    #[arg(long, value_name = "MODEL", value_parser = model)]
    to: String,
    /// Say what would be done, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

fn model(text: &str) -> Result<String, String> {
    match text.split_once('@') {
        Some((name, version)) if !name.is_empty() && !version.is_empty() => Ok(text.to_owned()),
        Some(_) | None => Err("a model reads name@version".to_owned()),
    }
}

/// Migrates everybody.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let mut vault = arguments.places.vault()?;
    let role = if arguments.watchlist { Some(Role::Watchlist) } else { arguments.role };
    let (mut subjects, mut unreadable) = (Vec::new(), Vec::new());
    everybody(&mut vault, |found| match found {
        Ok(person) if person.models.is_empty() || role.is_some_and(|role| role != person.role) => {}
        Ok(person) => subjects.push(Subject::new(person.role, &person.subject)),
        Err(error) => unreadable.push(error.to_string()),
    })?;
    let (mut done, mut unneeded, mut must_speak) = (Vec::new(), Vec::new(), Vec::new());
    let mut refused = Vec::new();
    let (model, dry_run, by) = (&arguments.to, arguments.dry_run, actor());
    for subject in subjects {
        let act = act(&by);
        let migration = vault.migrate(&subject, model, (!dry_run).then_some(&act));
        let name = subject.name;
        match migration {
            Ok(Some(Migration::Unneeded)) => unneeded.push(name),
            Ok(Some(Migration::Done(_))) => done.push(name),
            Ok(Some(Migration::MustSpeak { found })) => {
                must_speak.push((name, found.as_secs_f64()));
            }
            // Erased meanwhile.
            Ok(None) => {}
            Err(VaultError::Refused(refusal)) => refused.push((name, refusal.to_string())),
            Err(error @ VaultError::Damaged { .. }) => unreadable.push(error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    let good = must_speak.is_empty() && unreadable.is_empty() && refused.is_empty();
    let outcome = if good { Outcome::Done } else { Outcome::Problem };
    if arguments.json {
        let must_speak: Vec<_> = must_speak
            .iter()
            .map(|(subject, found)| json!({ "subject": subject, "net_speech_s": found }))
            .collect();
        let refused: Vec<_> = refused
            .iter()
            .map(|(subject, reason)| json!({ "subject": subject, "reason": reason }))
            .collect();
        println!(
            "{}",
            json!({ "model": model, "dry_run": dry_run, "migrated": done,
                "had_it_already": unneeded, "must_speak_again": must_speak, "refused": refused,
                "unreadable": unreadable })
        );
        return Ok(outcome);
    }
    let would = if dry_run { "would be migrated" } else { "migrated" };
    done.iter().for_each(|subject| println!("{subject}: {would} to {model}"));
    unneeded.iter().for_each(|subject| println!("{subject}: has a reference of {model} already"));
    for (subject, found) in &must_speak {
        println!("{subject}: must speak again, {model} has heard {found:.1} s");
    }
    refused.iter().for_each(|(subject, reason)| println!("{subject}: not migrated, {reason}"));
    unreadable.iter().for_each(|fault| println!("unreadable: {fault}"));
    Ok(outcome)
}
