//! `sidetone audit show`: records of the audit trail, for people and for programs.

use std::thread;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::moment;
use crate::cli::person::asked;
use crate::cli::{Outcome, Places, Refusal, println, subject};
use crate::consent::role::Role;
use crate::runtime::store::audit_trail::Wanted;
use crate::runtime::store::vault::Subject;
use crate::vault::chain::{Kind, Record};
use crate::vault::pseudonym::Pseudonym;

/// Records that are read at once.
const PAGE: u32 = 1_000;
/// Between two looks for newer records.
const LOOK: Duration = Duration::from_millis(500);

/// Arguments of `sidetone audit show`.
#[derive(Debug, Args)]
#[command(
    after_help = "Records name persons by pseudonym; --subject asks for one by name, --person by pseudonym.\n\n\
    Examples:\n  \
    sidetone audit show --subject customer-4711\n  \
    sidetone audit show --kind decision --since 2026-11-27 --json | jq .detail\n  \
    sidetone audit show --follow"
)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
    /// About this person alone.
    #[arg(long, value_parser = subject, conflicts_with = "person")]
    subject: Option<String>,
    /// As what they are known: caller or agent.
    #[arg(long, default_value = "caller", value_parser = asked, requires = "subject")]
    role: Role,
    /// About the person of this pseudonym alone.
    #[arg(long, value_name = "PSEUDONYM")]
    person: Option<String>,
    /// Of this kind alone: start, stop, consent, enrolment, adaptation, decision, watchlist, rule, pause, access, export,
    /// erasure, hold, key, configuration or model.
    #[arg(long, value_parser = kind)]
    kind: Option<Kind>,
    /// Not before this day or second.
    #[arg(long, value_name = "DATE", value_parser = moment::since)]
    since: Option<Timestamp>,
    /// Not after this day, or not from this second on.
    #[arg(long, value_name = "DATE", value_parser = moment::until)]
    until: Option<Timestamp>,
    /// Go on with whatever is recorded from now on, until interrupted.
    #[arg(long, conflicts_with = "until")]
    follow: bool,
    /// Print each record as a JSON document in a line.
    #[arg(long)]
    json: bool,
}

fn kind(word: &str) -> Result<Kind, String> {
    let known = || Kind::ALL.map(Kind::as_str).join(", ");
    Kind::named(word)
        .ok_or_else(|| format!("{word:?} is no kind of record, wanted one of {}", known()))
}

/// Prints them, the oldest first.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let mut vault = arguments.places.vault()?;
    let named = arguments.subject.as_deref().map(|name| Subject::new(arguments.role, name));
    let person = match (&named, &arguments.person) {
        (Some(subject), _) => Some(vault.pseudonym(subject)),
        (None, Some(pseudonym)) => Some(Pseudonym::known(pseudonym.to_lowercase())),
        (None, None) => None,
    };
    let mut wanted = Wanted { after: 0, kind: arguments.kind, person };
    loop {
        let page = vault.records(&wanted, PAGE)?;
        if let Some(last) = page.last() {
            wanted.after = last.sequence;
        } else if arguments.follow {
            thread::sleep(LOOK);
        } else {
            return Ok(Outcome::Done);
        }
        for record in &page {
            let at = record.draft.at;
            let too_early = arguments.since.is_some_and(|since| at < since);
            if !too_early && arguments.until.is_none_or(|until| at < until) {
                print(record, arguments.json);
            }
        }
    }
}

fn print(record: &Record, as_json: bool) {
    let draft = &record.draft;
    if as_json {
        let detail: Value =
            serde_json::from_str(&draft.detail).unwrap_or_else(|_| json!(draft.detail));
        println!(
            "{}",
            json!({
                "sequence": record.sequence, "at": draft.at, "kind": draft.kind, "actor": draft.actor,
                "person": draft.person, "conversation": draft.conversation, "detail": detail,
                "digest": record.digest,
            })
        );
        return;
    }
    let about = draft.person.as_ref().map_or("-", Pseudonym::as_str);
    let conversation =
        draft.conversation.as_ref().map_or(String::new(), |name| format!(" in {name}"));
    println!(
        "{:>8}  {:.0}  {:13}  {:20}  {about:32}  {}{conversation}",
        record.sequence,
        draft.at,
        draft.kind.as_str(),
        draft.actor,
        draft.detail,
    );
}
