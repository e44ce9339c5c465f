//! `sidetone voiceprint list`: everybody of whose voice something is kept, however many they are.

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::cli::actor::actor;
use crate::cli::person::{act, asked};
use crate::cli::{Outcome, Places, Refusal, print_line, println};
use crate::consent::consents::Refusal as ConsentRefusal;
use crate::consent::role::Role;
use crate::consent::scope::Scope;
use crate::runtime::store::persons::Person;
use crate::runtime::store::vault::{Vault, VaultError};
use crate::vault::chain::Kind;
use crate::vault::pseudonym::Pseudonym;

/// Persons that are read at once.
const PAGE: u32 = 500;

/// Arguments of `sidetone voiceprint list`.
#[derive(Debug, Args)]
#[command(
    after_help = "In the order of their pseudonyms. That somebody listed them is an audit record. Exit code 1 if a \
    row cannot be read.\n\n\
    Examples:\n  \
    sidetone voiceprint list --json | jq -r '.[].subject'\n  \
    sidetone voiceprint list --unused-for 365\n  \
    sidetone voiceprint list --withdrawn"
)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
    /// Callers or agents alone.
    #[arg(long, value_parser = asked)]
    role: Option<Role>,
    /// Those of the watchlist alone.
    #[arg(long, conflicts_with = "role")]
    watchlist: bool,
    /// Only those who withdrew their consent to be compared, or whose consent has run out.
    #[arg(long)]
    withdrawn: bool,
    /// Only those whom nobody has heard for so many days.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(0..=36_500))]
    unused_for: Option<u32>,
    /// Print one JSON document, a person a line.
    #[arg(long)]
    json: bool,
}

/// Prints them as they are read.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let mut vault = arguments.places.vault()?;
    vault.note(Kind::Access, None, &act(&actor()), &json!({ "listed": "voices" }))?;
    let (now, mut comma) = (Timestamp::now(), "");
    if arguments.json {
        println!("[");
    }
    let faults = everybody(&mut vault, |found| {
        let person = match found {
            Ok(person) if arguments.wants(person, now) => Ok(person),
            Ok(_) => return,
            Err(error) => Err(error.to_string()),
        };
        match (person, arguments.json) {
            (Ok(person), true) => print_line(format_args!("{comma}{}", json!(person))),
            (Err(fault), true) => print_line(format_args!("{comma}{}", json!({ "fault": fault }))),
            (Ok(person), false) => println!("{}", headline(person, now)),
            (Err(fault), false) => println!("unreadable: {fault}"),
        }
        comma = ",";
    })?;
    if arguments.json {
        println!("]");
    }
    Ok(if faults == 0 { Outcome::Done } else { Outcome::Problem })
}

/// Shows each person to `see`, and each row that cannot be read; how many of those there are. In memory is a page.
pub(super) fn everybody(
    vault: &mut Vault,
    mut see: impl FnMut(Result<&Person, &VaultError>),
) -> Result<u64, VaultError> {
    let (mut after, mut limit, mut faults) = (None::<Pseudonym>, PAGE, 0);
    loop {
        match vault.persons(after.as_ref(), limit) {
            Ok(page) => {
                page.iter().for_each(|person| see(Ok(person)));
                match page.last() {
                    Some(last) => after = Some(last.person.clone()),
                    None => return Ok(faults),
                }
            }
            // One row of the page: one by one until it is there.
            Err(VaultError::Damaged { .. }) if limit > 1 => limit = 1,
            Err(ref error @ VaultError::Damaged { ref person, .. }) => {
                see(Err(error));
                (after, limit) = (Some(person.clone()), PAGE);
                faults += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

impl Arguments {
    fn wants(&self, person: &Person, now: Timestamp) -> bool {
        let role = if self.watchlist { Some(Role::Watchlist) } else { self.role };
        let ended = || {
            let verify = person.consents.given(Scope::Verify, now);
            matches!(
                verify,
                Err(ConsentRefusal::Withdrawn | ConsentRefusal::Expired | ConsentRefusal::OptedOut)
            )
        };
        let unused = |days: u32| {
            now.duration_since(person.used) >= SignedDuration::from_hours(24 * i64::from(days))
        };
        role.is_none_or(|role| role == person.role)
            && (!self.withdrawn || ended())
            && self.unused_for.is_none_or(unused)
    }
}

/// A person in a line.
pub(super) fn headline(person: &Person, now: Timestamp) -> String {
    let models = match person.models.as_slice() {
        [] => "gathered so far".to_owned(),
        models => format!("by {}", models.join(" and ")),
    };
    let covered = person.consents.covered(now);
    let consent = match (person.role, covered.is_empty()) {
        (Role::Watchlist, _) => "nobody asked".to_owned(),
        (Role::Caller | Role::Agent, true) => "no consent".to_owned(),
        (Role::Caller | Role::Agent, false) => covered.to_string(),
    };
    let hold = person.hold.as_ref().map_or(String::new(), |why| format!(", held: {why}"));
    format!(
        "{}  {}, {consent}, made {:.0}, last heard {:.0}, {models}{hold}",
        person.subject, person.role, person.created, person.used
    )
}
