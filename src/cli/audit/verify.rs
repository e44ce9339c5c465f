//! `sidetone audit verify`: whether the audit trail is as it was written.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::progress::Progress;
use crate::cli::{Outcome, Places, Refusal, println};
use crate::runtime::store::anchors;
use crate::runtime::store::audit_trail::Wanted;
use crate::runtime::store::trail_line;
use crate::runtime::store::vault::{Vault, VaultError};
use crate::vault::chain::{Head, Kind};

/// Records of starts and stops that are read at once.
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
    /// Number of the newest `start` record, and whether the run before it ended without a `stop`.
    start: Option<(u64, bool)>,
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
            Found { head: read.head, fault: read.fault, anchors: count, start: None }
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
                "last_start": found.start.map(|(sequence, _)| sequence),
                "ended_before_without_stop": found.start.map(|(_, crashed)| crashed),
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
    let start = last_start(&mut vault)?;
    let fault = verified.fault.map(|fault| fault.to_string());
    Ok(Found { head: verified.head, fault, anchors: count, start })
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

/// Whoever is killed writes no `stop`.
fn last_start(vault: &mut Vault) -> Result<Option<(u64, bool)>, VaultError> {
    let mut all = Vec::new();
    for kind in [Kind::Start, Kind::Stop] {
        let mut wanted = Wanted { kind: Some(kind), ..Wanted::default() };
        loop {
            let page = vault.records(&wanted, PAGE)?;
            let Some(last) = page.last() else { break };
            wanted.after = last.sequence;
            all.extend(page.iter().map(|record| (record.sequence, record.draft.kind)));
        }
    }
    all.sort_unstable_by_key(|(sequence, _)| *sequence);
    let start = all.iter().rposition(|(_, kind)| *kind == Kind::Start);
    Ok(start.map(|place| {
        let before = place.checked_sub(1).map(|before| all[before].1);
        (all[place].0, before == Some(Kind::Start))
    }))
}

fn tell(found: &Found) {
    let Found { head, fault, anchors, start } = found;
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
    if let Some((sequence, crashed)) = start {
        let before = if *crashed {
            "the run before it ended without a stop: the record that was being written then may be missing"
        } else {
            "the run before it, if any, had ended in order"
        };
        println!("last start: record {sequence}; {before}");
    }
}
