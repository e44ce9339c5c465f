//! `sidetone audit export`: the audit trail as lines of JSON that anybody can verify.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use crate::cli::actor::actor;
use crate::cli::moment;
use crate::cli::output::PrivateFile;
use crate::cli::progress::Progress;
use crate::cli::{Outcome, Places, Refusal, println};
use crate::runtime::store::audit_trail::Wanted;
use crate::runtime::store::trail_line::TrailLine;
use crate::vault::chain::{Draft, Head, Kind};

/// Records that are read at once.
const PAGE: u32 = 1_000;

/// Arguments of `sidetone audit export`.
#[derive(Debug, Args)]
#[command(
    after_help = "It begins with the first record, since a chain can only be verified from its beginning; \
    `sidetone audit verify --file` does.\nThat it was handed out is a record itself.\n\n\
    Examples:\n  \
    sidetone audit export --output trail.jsonl\n  \
    sidetone audit export --output until-october.jsonl --until 2026-10-31"
)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
    /// The file, mode 0600.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// To this day, or to before this second.
    #[arg(long, value_name = "DATE", value_parser = moment::until)]
    until: Option<Timestamp>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Writes them.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let mut vault = arguments.places.vault()?;
    let end = vault.head()?.sequence;
    let progress = Progress::new("written", end, "records");
    let mut file = PrivateFile::create(&arguments.output)?;
    let (mut wanted, mut head) = (Wanted::default(), Head::EMPTY);
    'pages: loop {
        let page = vault.records(&wanted, PAGE)?;
        for record in &page {
            let late = arguments.until.is_some_and(|until| record.draft.at >= until);
            // What comes in meanwhile is for the next time.
            if late || record.sequence > end {
                break 'pages;
            }
            let line = serde_json::to_string(&TrailLine::of(record));
            file.line(&line.expect("a record is words and numbers"))?;
            head = record.head();
        }
        let Some(last) = page.last() else { break };
        wanted.after = last.sequence;
        progress.reach(wanted.after);
    }
    drop(progress);
    let detail = json!({ "what": "the audit trail", "until": head.sequence }).to_string();
    let (at, kind, actor) = (Timestamp::now(), Kind::Export, actor());
    vault.append(&[Draft { at, kind, actor, person: None, conversation: None, detail }])?;
    file.finish()?;
    if arguments.json {
        let output = arguments.output.display().to_string();
        println!(
            "{}",
            json!({ "output": output, "records": head.sequence, "digest": head.digest })
        );
    } else {
        println!("wrote {} records to {}", head.sequence, arguments.output.display());
        println!("its end is {}", head.digest);
    }
    Ok(Outcome::Done)
}
