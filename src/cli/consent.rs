//! `sidetone consent`: what somebody agreed to, recorded, looked at, and taken back.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use crate::cli::actor::actor;
use crate::cli::moment;
use crate::cli::person::{Asked, act};
use crate::cli::{Outcome, Places, Refusal, print_line, println};
use crate::consent::consents::{Change, Consent, Consents, Given, Mark};
use crate::consent::reference::ConsentReference;
use crate::consent::scope::{Scope, Scopes};
use crate::runtime::store::agreed::Agreed;
use crate::runtime::store::consents::Changed;
use crate::runtime::store::vault::VaultError;
use crate::vault::chain::Kind;

/// Persons that are read at once.
const PAGE: u32 = 500;

/// Subcommands of `sidetone consent`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Record that somebody agreed.
    #[command(
        after_help = "What was withdrawn or has run out comes back with another reference only, and nothing \
        after an opt-out (exit code 1).\n\n\
        Examples:\n  \
        sidetone consent give --subject customer-4711 --reference ivr-2026-11-23/88 --scopes \"verify enrol\"\n  \
        sidetone consent give --subject anna --role agent --reference sheet-17 --scopes verify --expires 2028-11-30"
    )]
    Give(GiveArguments),
    /// Show what somebody agreed to.
    #[command(after_help = "Exit code 1 if nothing is known.\n\n\
        Example:\n  sidetone consent show --subject customer-4711 --json | jq .covered")]
    Show(WhoArguments),
    /// Record that somebody took it back (GDPR Art. 7 (3)), and erase what may not stay then.
    #[command(after_help = WITHDRAW_HELP)]
    Withdraw(WithdrawArguments),
    /// Record that somebody wants none of it: withdraws all, and refuses every later consent until they opt in.
    #[command(
        name = "opt-out",
        after_help = "The opt-out is remembered without a voice or a name.\n\n\
        Example:\n  sidetone consent opt-out --subject customer-4711"
    )]
    OptOut(WhoArguments),
    /// Record that somebody who opted out may be asked again; nothing that they had agreed to comes back.
    #[command(
        name = "opt-in",
        after_help = "Exit code 1 if they had not opted out.\n\n\
        Example:\n  sidetone consent opt-in --subject customer-4711"
    )]
    OptIn(WhoArguments),
    /// List everybody whose consents are known, by pseudonym where no voice is kept.
    #[command(
        after_help = "Example:\n  sidetone consent list --json | jq '.[] | select(.consents.opted_out)'"
    )]
    List(ListArguments),
}

/// The help of withdrawing, which has two names.
pub const WITHDRAW_HELP: &str = "Without --scopes all is withdrawn. Calls in progress stop at once where the appliance \
    runs. Exit code 1 if nothing\nwas given that could be withdrawn.\n\n\
    Examples:\n  \
    sidetone consent withdraw --subject customer-4711\n  \
    sidetone consent withdraw --subject customer-4711 --scopes adapt\n  \
    sidetone voiceprint withdraw --subject customer-4711";

/// Arguments of `sidetone consent give`.
#[derive(Debug, Args)]
pub struct GiveArguments {
    #[command(flatten)]
    places: Places,
    #[command(flatten)]
    whom: Asked,
    /// What shows that they agreed: a record of the PBX, a recording, a signed sheet.
    #[arg(long, value_name = "REF", value_parser = |text: &str| ConsentReference::new(text))]
    reference: ConsentReference,
    /// What they agreed to: words of verify, enrol, adapt, watchlist, keywords.
    #[arg(long, value_name = "SCOPES")]
    scopes: Scopes,
    /// The last day on which it holds (2028-11-30), or the second from which it does not.
    #[arg(long, value_name = "DATE", value_parser = moment::until)]
    expires: Option<Timestamp>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Arguments of those about one person.
#[derive(Debug, Args)]
pub struct WhoArguments {
    #[command(flatten)]
    places: Places,
    #[command(flatten)]
    whom: Asked,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Arguments of `sidetone consent withdraw`, and of `sidetone voiceprint withdraw`.
#[derive(Debug, Args)]
pub struct WithdrawArguments {
    #[command(flatten)]
    who: WhoArguments,
    /// What they take back; left out, all of it.
    #[arg(long, value_name = "SCOPES")]
    scopes: Option<Scopes>,
}

/// Arguments of `sidetone consent list`.
#[derive(Debug, Args)]
pub struct ListArguments {
    #[command(flatten)]
    places: Places,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Runs one of them.
pub fn run(command: &Command) -> Result<Outcome, Refusal> {
    match command {
        Command::Give(arguments) => give(arguments),
        Command::Show(arguments) => show(arguments),
        Command::Withdraw(arguments) => withdraw(arguments),
        Command::OptOut(arguments) => change(arguments, &Change::OptedOut(mark())),
        Command::OptIn(arguments) => change(arguments, &Change::OptedIn(mark())),
        Command::List(arguments) => list(arguments),
    }
}

fn mark() -> Mark {
    Mark { at: Timestamp::now(), by: actor() }
}

fn give(arguments: &GiveArguments) -> Result<Outcome, Refusal> {
    let GiveArguments { places, whom, reference, scopes, expires, json } = arguments;
    let Mark { at, by } = mark();
    let given = Given { reference: reference.clone(), at, by, expires: *expires };
    let who = WhoArguments { places: places.clone(), whom: whom.clone(), json: *json };
    change(&who, &Change::Given { scopes: *scopes, given })
}

/// Records a withdrawal.
pub fn withdraw(arguments: &WithdrawArguments) -> Result<Outcome, Refusal> {
    let scopes = arguments.scopes.unwrap_or(Scopes::ALL);
    change(&arguments.who, &Change::Withdrawn { scopes, mark: mark() })
}

/// Records a change. One that changes nothing is what the work found, unless it says what stands already.
fn change(arguments: &WhoArguments, change: &Change) -> Result<Outcome, Refusal> {
    let (mut vault, subject) = (arguments.places.vault()?, arguments.whom.subject());
    let before = vault.consents(&subject)?;
    let is_news = before.is_news(change);
    let (changed, reason) = match vault.change_consent(&subject, change) {
        Ok(changed) => (changed, None),
        Err(VaultError::Refused(refusal)) => {
            let changed = Changed { consents: before, erased: Default::default() };
            (changed, Some(refusal.to_string()))
        }
        Err(error) => return Err(error.into()),
    };
    let reason = reason.or_else(|| match change {
        _ if is_news => None,
        Change::Withdrawn { .. } | Change::Expired { .. } => {
            Some("nothing is given that could be withdrawn".to_owned())
        }
        Change::OptedIn(_) => Some("there is no opt-out".to_owned()),
        // It stands as it is said.
        Change::Given { .. } | Change::OptedOut(_) => None,
    });
    if arguments.json {
        let mut told = described(&subject.name, &changed.consents);
        told["changed"] = (is_news && reason.is_none()).into();
        told["erased"] = json!(changed.erased);
        told["reason"] = json!(reason);
        println!("{told}");
    } else if let Some(reason) = &reason {
        println!("not recorded for {subject}: {reason}");
    } else {
        let changed_or_not = if is_news { "recorded" } else { "known already" };
        println!("{changed_or_not}: {}", in_words(&subject.name, &changed.consents));
        if changed.erased.any() {
            println!("erased with it: {}", changed.erased);
        }
    }
    Ok(if reason.is_none() { Outcome::Done } else { Outcome::Problem })
}

fn show(arguments: &WhoArguments) -> Result<Outcome, Refusal> {
    let (mut vault, subject) = (arguments.places.vault()?, arguments.whom.subject());
    let consents = vault.consents(&subject)?;
    let known = consents != Consents::default();
    if known {
        vault.note_use(&subject, Kind::Access, &act(&actor()), "consents")?;
    }
    if arguments.json {
        println!("{}", described(&subject.name, &consents));
    } else {
        println!("{}", in_words(&subject.name, &consents));
        states(&consents);
    }
    Ok(if known { Outcome::Done } else { Outcome::Problem })
}

/// Each purpose that anything is known of, in a line.
pub fn states(consents: &Consents) {
    let now = Timestamp::now();
    for scope in Scope::ALL {
        match consents.state(scope, now) {
            Consent::None => {}
            Consent::Given(given) => {
                let expires = given.expires.map_or(String::new(), |at| format!(", until {at:.0}"));
                println!(
                    "    {scope}: given {:.0} by {}, {}{expires}",
                    given.at, given.by, given.reference
                );
            }
            Consent::Withdrawn { reference, mark } => {
                println!("    {scope}: withdrawn {:.0} by {}, was {reference}", mark.at, mark.by);
            }
            Consent::Expired { reference, at } => {
                println!("    {scope}: ran out {at:.0}, was {reference}");
            }
        }
    }
}

fn list(arguments: &ListArguments) -> Result<Outcome, Refusal> {
    let mut vault = arguments.places.vault()?;
    vault.note(Kind::Access, None, &act(&actor()), &json!({ "listed": "consents" }))?;
    let (mut after, mut first) = (None, true);
    if arguments.json {
        println!("[");
    }
    loop {
        let page = vault.agreed(after.as_ref(), PAGE)?;
        for agreed in &page {
            if arguments.json {
                let comma = if first { "" } else { "," };
                print_line(format_args!("{comma}{}", json!(agreed)));
            } else {
                let Agreed { person, subject, consents, .. } = agreed;
                println!("{}", in_words(subject.as_deref().unwrap_or(person.as_str()), consents));
            }
            first = false;
        }
        match page.last() {
            Some(last) => after = Some(last.person.clone()),
            None => break,
        }
    }
    if arguments.json {
        println!("]");
    }
    Ok(Outcome::Done)
}

fn described(subject: &str, consents: &Consents) -> serde_json::Value {
    let covered = consents.covered(Timestamp::now());
    json!({ "subject": subject, "covered": covered, "consents": consents })
}

fn in_words(name: &str, consents: &Consents) -> String {
    if let Some(mark) = consents.opted_out() {
        return format!("{name}  opted out {:.0}, recorded by {}", mark.at, mark.by);
    }
    let covered = consents.covered(Timestamp::now());
    if covered.is_empty() {
        return format!("{name}  no consent");
    }
    format!("{name}  {covered}")
}
