//! `sidetone audit verify`: whether the audit trail is as it was written.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::progress::Progress;
use crate::cli::{Outcome, Places, Refusal, println};
use crate::runtime::store::anchors;
use crate::runtime::store::audit_trail::Wanted;
use crate::runtime::store::trail_line;
use crate::runtime::store::vault::{Vault, VaultError};
use crate::vault::chain::{Head, Kind};

/// Records of starts that are read at once.
const PAGE: u32 = 1_000;

/// Arguments of `sidetone audit verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Each record carries the digest of the one before it, so a change, a removal or another order in the \
    middle is found\nby itself. Whether the end was cut, or all of it written anew, anchors tell: copies of \
    store.anchor_file that lie\nwhere nobody of this machine can change them.\n\n\
    Examples:\n  \
    sidetone audit verify\n  \
    sidetone audit verify --anchors /mnt/elsewhere/audit.anchors --json\n  \
    sidetone audit verify --file trail.jsonl --anchors audit.anchors\n\n\
    Exit code 1 if anything is wrong; the first thing is told."
)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
    /// Noted ends of the trail, instead of the configured store.anchor_file.
    #[arg(long, value_name = "FILE")]
    anchors: Vec<PathBuf>,
    /// Verify what `sidetone audit export` wrote; needs neither vault nor configuration.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// What was found.
struct Found {
    head: Head,
    fault: Option<String>,
    anchors: usize,
    starts: Vec<Start>,
}

/// The newest `start` record of a machine.
#[derive(Debug, Serialize)]
struct Start {
    host: String,
    record: u64,
    /// How the run before it ended: `stopped`, `killed`, or there was `none`.
    before: String,
}

/// Verifies all of it.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let found = match &arguments.file {
        Some(file) => {
            let anchors = named(&arguments.anchors)?;
            let unreadable = |error| format!("cannot read {}: {error}", file.display());
            let lines = BufReader::new(File::open(file).map_err(unreadable)?);
            let count = anchors.len();
            let read = trail_line::verify(lines, anchors, |_| {}).map_err(unreadable)?;
            Found { head: read.head, fault: read.fault, anchors: count, starts: Vec::new() }
        }
        None => kept(arguments)?,
    };
    if arguments.json {
        println!(
            "{}",
            json!({
                "whole": found.fault.is_none(),
                "records": found.head.sequence,
                "digest": found.head.digest,
                "anchors": found.anchors,
                "fault": found.fault,
                "last_starts": found.starts,
            })
        );
    } else {
        tell(&found);
    }
    Ok(if found.fault.is_none() { Outcome::Done } else { Outcome::Problem })
}

fn kept(arguments: &Arguments) -> Result<Found, Refusal> {
    let (config, _) = arguments.places.load()?;
    let anchors = match arguments.anchors.as_slice() {
        // A vault of today has no anchor yet.
        [] => anchors::read(&config.store.anchor_file)?.unwrap_or_default(),
        files => named(files)?,
    };
    let count = anchors.len();
    let mut vault = crate::cli::person::open(&config.store)?;
    let progress = Progress::new("verified", vault.head()?.sequence, "records");
    let verified = vault.verify(anchors, |sequence| progress.reach(sequence))?;
    drop(progress);
    let starts = last_starts(&mut vault)?;
    let fault = verified.fault.map(|fault| fault.to_string());
    Ok(Found { head: verified.head, fault, anchors: count, starts })
}

fn named(files: &[PathBuf]) -> Result<Vec<Head>, Refusal> {
    let mut all = Vec::new();
    for file in files {
        let found = anchors::read(file)?;
        all.extend(
            found.ok_or_else(|| format!("cannot read {}: it is not there", file.display()))?,
        );
    }
    Ok(all)
}

/// What the newest start on each machine found of the run before it: several machines may share a trail.
fn last_starts(vault: &mut Vault) -> Result<Vec<Start>, VaultError> {
    let mut newest = BTreeMap::new();
    let mut wanted = Wanted { kind: Some(Kind::Start), ..Wanted::default() };
    loop {
        let page = vault.records(&wanted, PAGE)?;
        let Some(last) = page.last() else { break };
        wanted.after = last.sequence;
        for record in &page {
            let detail: Value = serde_json::from_str(&record.draft.detail).unwrap_or_default();
            let word = |name: &str| detail[name].as_str().unwrap_or("unknown").to_owned();
            let host = word("host");
            let start =
                Start { host: host.clone(), record: record.sequence, before: word("before") };
            newest.insert(host, start);
        }
    }
    Ok(newest.into_values().collect())
}

fn tell(found: &Found) {
    let Found { head, fault, anchors, starts } = found;
    let against = match anchors {
        0 => "against no anchor: whether its end was cut cannot be told".to_owned(),
        1 => "against 1 anchor".to_owned(),
        many => format!("against {many} anchors"),
    };
    if let Some(fault) = fault {
        println!("NOT whole: {fault}");
        println!("whole up to record {}, {against}", head.sequence);
        println!(
            "keep the database as it is, for whoever looks into it; compare with the last backup, and with what `sidetone \
             audit export` wrote before"
        );
    } else {
        println!("whole: {} records, {against}", head.sequence);
        println!("its end is {}", head.digest);
    }
    for Start { host, record, before } in starts {
        let before = match before.as_str() {
            "killed" => {
                "the run before it ended without a stop: the record that was being written then may be missing"
            }
            "stopped" => "the run before it had ended in order",
            _ => "there was no run before it",
        };
        println!("last start on {host}: record {record}; {before}");
    }
}
