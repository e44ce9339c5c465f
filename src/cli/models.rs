//! `sidetone models`: what the models are, whether they are there, and getting them.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command as Process;

use clap::{Args, Subcommand};

use crate::cli::{Outcome, Refusal, println};
use crate::runtime::installed::MANIFEST;
use crate::runtime::models::{Manifest, Status};

/// The script that fetches: Python, because pip is the transport that every company mirror knows.
const FETCH: &str = include_str!("../../models/fetch");
/// What it imports, and what that reads.
const CONVERT: &str = include_str!("../../models/convert.py");
const MOONSHINE: &str = include_str!("../../models/moonshine.py");
const TELEPHONE_HEAD: &[u8] = include_bytes!("../../models/tel_head.npz");

/// Subcommands of `sidetone models`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print every model's card.
    List(ListArguments),
    /// Fetch what is missing or damaged from the Python package index that pip is set up for.
    #[command(after_help = "Needs python3 with pip. A second run without network does nothing.")]
    Fetch(Folder),
    /// Hash every file and compare with the manifest.
    Verify(VerifyArguments),
}

/// Where the models are.
#[derive(Debug, Args)]
pub struct Folder {
    /// Folder of the models.
    #[arg(
        long,
        env = "SIDETONE_MODELS",
        value_name = "FOLDER",
        default_value = "/var/lib/sidetone/models"
    )]
    models: PathBuf,
}

/// Arguments of `sidetone models list`.
#[derive(Debug, Args)]
pub struct ListArguments {
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Arguments of `sidetone models verify`.
#[derive(Debug, Args)]
pub struct VerifyArguments {
    #[command(flatten)]
    folder: Folder,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Runs one of them.
pub fn run(command: &Command) -> Result<Outcome, Refusal> {
    let manifest = Manifest::parse(MANIFEST)?;
    match command {
        Command::List(arguments) => Ok(list(&manifest, arguments.json)),
        Command::Fetch(folder) => fetch(folder),
        Command::Verify(arguments) => Ok(verify(&manifest, arguments)),
    }
}

fn list(manifest: &Manifest, json: bool) -> Outcome {
    if json {
        let models: Vec<_> = manifest
            .models
            .iter()
            .map(|model| {
                let files: Vec<_> =
                    model.files.iter().map(|f| f.path.display().to_string()).collect();
                let mut card = serde_json::json!({
                    "name": model.name, "role": model.role.as_str(), "package": model.package,
                    "licence": model.licence, "about": model.about, "files": files,
                });
                if let Some(embedder) = &model.embedder {
                    card["embedder"] = serde_json::json!({
                        "use": embedder.purpose.as_str(), "window_s": embedder.window_s,
                        "embedding": embedder.embedding, "front_end": embedder.front_end.kind(),
                        "cost_ms_per_s": embedder.cost_ms_per_s.map(|cost| {
                            serde_json::json!({"batch_1": cost.batch_1, "batch_8": cost.batch_8})
                        }),
                    });
                }
                card
            })
            .collect();
        println!("{}", serde_json::Value::from(models));
        return Outcome::Done;
    }
    for model in &manifest.models {
        println!("{}  ({}, {})", model.name, model.role.as_str(), model.licence);
        println!("    {}", model.about);
        if let Some(card) = &model.embedder {
            let (purpose, front_end) = (card.purpose.as_str(), card.front_end.kind());
            let (window, size) = (card.window_s, card.embedding);
            println!("    to {purpose}: {window} s of speech, {front_end}, {size} numbers");
            if let Some(cost) = card.cost_ms_per_s {
                let (one, eight) = (cost.batch_1, cost.batch_8);
                println!("    cost: {one} ms per s of speech, {eight} ms at batch 8");
            }
        }
        for score in &model.scores {
            println!("    {}: {} [{}]", score.measure, score.value, score.test);
        }
        for file in &model.files {
            println!("    {}", file.path.display());
        }
    }
    Outcome::Done
}

fn fetch(folder: &Folder) -> Result<Outcome, Refusal> {
    let scratch = tempfile::tempdir()?;
    let (script, manifest) = (scratch.path().join("fetch"), scratch.path().join("manifest.toml"));
    fs::write(&script, FETCH)?;
    fs::write(scratch.path().join("convert.py"), CONVERT)?;
    fs::write(scratch.path().join("moonshine.py"), MOONSHINE)?;
    fs::write(scratch.path().join("tel_head.npz"), TELEPHONE_HEAD)?;
    fs::write(&manifest, MANIFEST)?;
    let status = Process::new("python3")
        .arg(&script)
        .arg("--manifest")
        .arg(&manifest)
        .arg("--into")
        .arg(&folder.models)
        .status()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                "python3 is not installed: models are fetched with its pip".into()
            }
            _ => Refusal::from(format!("cannot run python3: {error}")),
        })?;
    Ok(if status.success() { Outcome::Done } else { Outcome::Problem })
}

fn verify(manifest: &Manifest, arguments: &VerifyArguments) -> Outcome {
    let files = manifest.verify(&arguments.folder.models);
    let good = files.iter().all(|(_, status)| *status == Status::Ok);
    if arguments.json {
        let files: Vec<_> = files
            .iter()
            .map(|(path, status)| {
                serde_json::json!({"file": path, "ok": *status == Status::Ok, "status": word(status)})
            })
            .collect();
        println!("{}", serde_json::Value::from(files));
    } else {
        for (path, status) in &files {
            println!("{:<9} {}", word(status), path.display());
        }
    }
    if good { Outcome::Done } else { Outcome::Problem }
}

fn word(status: &Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Missing => "missing",
        Status::WrongHash { .. } => "damaged",
        Status::Unreadable { .. } => "unreadable",
    }
}
