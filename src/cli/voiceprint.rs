//! `sidetone voiceprint`: what is kept of whom, to look at, hand out, take back and remove.

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::{Outcome, Places, Refusal, println, subject};
use crate::config::Config;
use crate::runtime::store::voiceprints::Voiceprints;
use crate::speaker::gathering::Gathering;
use crate::speaker::migration::{Migration, migrate};
use crate::speaker::voiceprint::Voiceprint;

/// Subcommands of `sidetone voiceprint`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the voiceprints.
    #[command(after_help = "Exit code 1 if a file of the store cannot be read.\n\n\
        Example:\n  sidetone voiceprint list --json | jq -r '.[].subject'")]
    List(ListArguments),
    /// Show what is known of one voiceprint, without the voice itself.
    #[command(after_help = "Exit code 1 if there is none.\n\n\
        Example:\n  sidetone voiceprint show --subject customer-4711")]
    Show(SubjectArguments),
    /// Remove all that is kept of a person (GDPR Art. 17).
    #[command(
        after_help = "Exit code 1 if there was nothing. Calls in progress go on with what they \
        have loaded.\n\n\
        Example:\n  sidetone voiceprint erase --subject customer-4711"
    )]
    Erase(SubjectArguments),
    /// Write all that is kept of a person as one JSON document (GDPR Art. 15 and 20).
    #[command(after_help = "Exit code 1 if there is nothing.\n\n\
        Examples:\n  \
        sidetone voiceprint export --subject customer-4711 > customer-4711.json\n  \
        sidetone voiceprint export --subject customer-4711 --embeddings > customer-4711.json")]
    Export(ExportArguments),
    /// Take adaptation back, by one step or to a numbered revision.
    #[command(
        after_help = "`show` lists the revisions; 0 is as enrolled. Exit code 1 if there is \
        nothing to go back to.\n\n\
        Examples:\n  \
        sidetone voiceprint revert --subject customer-4711\n  \
        sidetone voiceprint revert --subject customer-4711 --to 0"
    )]
    Revert(RevertArguments),
    /// Give every voiceprint a reference of another model, from what that model has heard so far.
    #[command(after_help = "Exit code 1 if somebody must speak again.\n\n\
        Example:\n  sidetone voiceprint migrate --to wespeaker-resnet34@9df88d0b6331 --dry-run")]
    Migrate(MigrateArguments),
}

/// Where voiceprints are kept.
#[derive(Debug, Args)]
pub struct Kept {
    #[command(flatten)]
    places: Places,
    /// Those of the watchlist, whose subjects are its entries.
    #[arg(long)]
    watchlist: bool,
}

/// Arguments of `sidetone voiceprint list`.
#[derive(Debug, Args)]
pub struct ListArguments {
    #[command(flatten)]
    kept: Kept,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Arguments of those about one person.
#[derive(Debug, Args)]
pub struct SubjectArguments {
    #[command(flatten)]
    kept: Kept,
    /// Whose voiceprint.
    #[arg(long, value_parser = subject)]
    subject: String,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Arguments of `sidetone voiceprint export`.
#[derive(Debug, Args)]
pub struct ExportArguments {
    #[command(flatten)]
    kept: Kept,
    /// Whose voiceprint.
    #[arg(long, value_parser = subject)]
    subject: String,
    /// With the voice itself, which is biometric data: base64 of 32-bit numbers.
    #[arg(long)]
    embeddings: bool,
    /// It is always JSON; taken for the sake of those who say it everywhere.
    #[arg(long)]
    json: bool,
}

/// Arguments of `sidetone voiceprint revert`.
#[derive(Debug, Args)]
pub struct RevertArguments {
    #[command(flatten)]
    of: SubjectArguments,
    /// Number of the revision; left out, the one before.
    #[arg(long, value_name = "N")]
    to: Option<u32>,
}

/// Arguments of `sidetone voiceprint migrate`.
#[derive(Debug, Args)]
pub struct MigrateArguments {
    #[command(flatten)]
    kept: Kept,
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

/// Runs one of them.
pub fn run(command: &Command) -> Result<Outcome, Refusal> {
    match command {
        Command::List(arguments) => list(arguments),
        Command::Show(arguments) => show(arguments),
        Command::Erase(arguments) => erase(arguments),
        Command::Export(arguments) => export(arguments),
        Command::Revert(arguments) => revert(arguments),
        Command::Migrate(arguments) => migrate_all(arguments),
    }
}

fn store(kept: &Kept) -> Result<Voiceprints, Refusal> {
    let (config, _) = kept.places.load()?;
    Ok(Voiceprints::open(folder(&config, kept.watchlist)?)?)
}

/// The folder of the voiceprints, or of the watchlist.
pub(super) fn folder(config: &Config, watchlist: bool) -> Result<&Path, Refusal> {
    if !watchlist {
        return Ok(&config.store.folder);
    }
    let folder = config.speaker.watchlist.folder.as_deref();
    Ok(folder.ok_or("the configuration names no speaker.watchlist.folder")?)
}

fn list(arguments: &ListArguments) -> Result<Outcome, Refusal> {
    let (mut known, mut faults) = (Vec::new(), Vec::new());
    for found in store(&arguments.kept)?.list()? {
        match found {
            Ok(voiceprint) => known.push(voiceprint),
            Err(error) => faults.push(error.to_string()),
        }
    }
    let outcome = if faults.is_empty() { Outcome::Done } else { Outcome::Problem };
    if arguments.json {
        let faults = faults.into_iter().map(|fault| json!({ "fault": fault }));
        let all: Vec<Value> = known.iter().map(described).chain(faults).collect();
        println!("{}", Value::from(all));
        return Ok(outcome);
    }
    for voiceprint in &known {
        println!("{}", headline(voiceprint));
    }
    for fault in &faults {
        println!("unreadable: {fault}");
    }
    Ok(outcome)
}

/// A voiceprint in a line.
fn headline(voiceprint: &Voiceprint) -> String {
    let models: Vec<_> = voiceprint.references.iter().map(|r| r.model.as_str()).collect();
    format!(
        "{}  consent {}, made {:.0}, {:.1} s, revision {}, by {}",
        voiceprint.subject,
        voiceprint.consent,
        voiceprint.created,
        voiceprint.net_speech_s,
        voiceprint.revision,
        models.join(" and "),
    )
}

fn show(arguments: &SubjectArguments) -> Result<Outcome, Refusal> {
    let store = store(&arguments.kept)?;
    let voiceprint = store.load(&arguments.subject)?;
    let gathering = store.load_gathering(&arguments.subject)?;
    if arguments.json {
        println!("{}", document(voiceprint.as_ref(), gathering.as_ref(), false));
        return Ok(if voiceprint.is_some() { Outcome::Done } else { Outcome::Problem });
    }
    if let Some(gathering) = &gathering {
        println!(
            "gathered of {} so far: {:.1} s in {} sessions, consent {}",
            gathering.subject,
            gathering.net_speech_s,
            gathering.sessions.len(),
            gathering.consent
        );
    }
    let Some(voiceprint) = voiceprint else {
        println!("no voiceprint of {}", arguments.subject);
        return Ok(Outcome::Problem);
    };
    println!("{}", headline(&voiceprint));
    for session in &voiceprint.sessions {
        println!(
            "    {:?} {:.0}: {:.1} s of speech, {} above the noise, {:.2} % clipped, {:?} band, \
             {:.0} % analysed",
            session.source,
            session.when,
            session.net_speech_s,
            session.snr_db.map_or("unknown".to_owned(), |snr| format!("{snr:.0} dB")),
            session.clipping * 100.0,
            session.band,
            session.coverage * 100.0,
        );
    }
    for reference in &voiceprint.references {
        let spread = reference.spread.map_or(String::new(), |spread| {
            format!(", cosine of a window {:.2} +- {:.2}", spread.mean, spread.deviation)
        });
        let drift = reference
            .drift
            .as_ref()
            .map_or(String::new(), |drift| format!(", adapted to {:.0} %", drift.weight * 100.0));
        let (windows, kept) = (reference.windows, reference.kept.len());
        println!("    {}: {windows} windows, {kept} kept{spread}{drift}", reference.model);
    }
    for revision in &voiceprint.revisions {
        println!(
            "    revision {} until {:.0}: then a call with an LLR of {:.1} and {:.1} s of speech",
            revision.number, revision.replaced, revision.llr, revision.net_speech_s
        );
    }
    Ok(Outcome::Done)
}

fn erase(arguments: &SubjectArguments) -> Result<Outcome, Refusal> {
    let erased = store(&arguments.kept)?.erase(&arguments.subject)?;
    let any = erased.voiceprint || erased.gathering;
    let subject = &arguments.subject;
    if arguments.json {
        println!("{}", json!({ "subject": subject, "erased": erased }));
    } else {
        match (erased.voiceprint, erased.gathering) {
            (true, true) => println!("erased the voiceprint of {subject} and what was gathered"),
            (true, false) => println!("erased the voiceprint of {subject}"),
            (false, true) => println!("erased what was gathered of {subject}"),
            (false, false) => println!("nothing is kept of {subject}"),
        }
    }
    Ok(if any { Outcome::Done } else { Outcome::Problem })
}

fn export(arguments: &ExportArguments) -> Result<Outcome, Refusal> {
    let store = store(&arguments.kept)?;
    let voiceprint = store.load(&arguments.subject)?;
    let gathering = store.load_gathering(&arguments.subject)?;
    let any = voiceprint.is_some() || gathering.is_some();
    let held = document(voiceprint.as_ref(), gathering.as_ref(), arguments.embeddings);
    println!("{held}");
    Ok(if any { Outcome::Done } else { Outcome::Problem })
}

fn revert(arguments: &RevertArguments) -> Result<Outcome, Refusal> {
    let store = store(&arguments.of.kept)?;
    let subject = &arguments.of.subject;
    let reverted = match store.load(subject)? {
        None => Err(format!("no voiceprint of {subject}")),
        Some(mut voiceprint) => match voiceprint.revert(arguments.to) {
            Ok(number) => {
                store.save(&voiceprint)?;
                Ok(number)
            }
            Err(error) => Err(error.to_string()),
        },
    };
    match (&reverted, arguments.of.json) {
        (Ok(number), true) => println!("{}", json!({ "subject": subject, "revision": number })),
        (Err(why), true) => println!("{}", json!({ "subject": subject, "reason": why })),
        (Ok(number), false) => println!("the voiceprint of {subject} is at revision {number}"),
        (Err(why), false) => println!("{why}"),
    }
    Ok(if reverted.is_ok() { Outcome::Done } else { Outcome::Problem })
}

fn migrate_all(arguments: &MigrateArguments) -> Result<Outcome, Refusal> {
    let store = store(&arguments.kept)?;
    let (mut done, mut unneeded, mut must_speak) = (Vec::new(), Vec::new(), Vec::new());
    for voiceprint in store.list()? {
        let voiceprint = voiceprint?;
        let subject = voiceprint.subject.clone();
        let gathering = store.load_gathering(&subject)?;
        match migrate(&voiceprint, gathering.as_ref(), &arguments.to) {
            Migration::Unneeded => unneeded.push(subject),
            Migration::Done(voiceprint) => {
                if !arguments.dry_run {
                    store.save(&voiceprint)?;
                    store.erase_gathering(&subject)?;
                }
                done.push(subject);
            }
            Migration::MustSpeak { found } => must_speak.push((subject, found.as_secs_f64())),
        }
    }
    let outcome = if must_speak.is_empty() { Outcome::Done } else { Outcome::Problem };
    let (model, dry_run) = (&arguments.to, arguments.dry_run);
    if arguments.json {
        let must_speak: Vec<_> = must_speak
            .iter()
            .map(|(subject, found)| json!({ "subject": subject, "net_speech_s": found }))
            .collect();
        println!(
            "{}",
            json!({ "model": model, "dry_run": dry_run, "migrated": done,
                "had_it_already": unneeded, "must_speak_again": must_speak })
        );
        return Ok(outcome);
    }
    let would = if dry_run { "would be migrated" } else { "migrated" };
    for subject in &done {
        println!("{subject}: {would} to {model}");
    }
    for subject in &unneeded {
        println!("{subject}: has a reference of {model} already");
    }
    for (subject, found) in &must_speak {
        println!("{subject}: must speak again, {model} has heard {found:.1} s");
    }
    Ok(outcome)
}

/// All that is kept of a person; the voice itself only with `embeddings`.
fn document(
    voiceprint: Option<&Voiceprint>,
    gathering: Option<&Gathering>,
    embeddings: bool,
) -> Value {
    let mut held = json!({ "voiceprint": voiceprint, "gathering": gathering });
    if !embeddings {
        strip(&mut held);
    }
    held
}

/// A voiceprint without the voice itself.
fn described(voiceprint: &Voiceprint) -> Value {
    let mut described = json!(voiceprint);
    strip(&mut described);
    described
}

/// Takes every embedding out, by the names of the fields that hold one.
fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for field in ["embedding", "enrolled", "calls"] {
                fields.remove(field);
            }
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speaker::adaptation::{Settings, Step};
    use crate::speaker::embedding::Embedding;

    #[test]
    fn no_voice_is_left_in_what_is_shown() {
        let embedding = || Embedding::from_raw(vec![0.0, 1.0, 0.0]).expect("a direction");
        let when = jiff::Timestamp::UNIX_EPOCH;
        let made = ("m@1", embedding());
        let mut voiceprint = Voiceprint::of_embedding("alice", "c-1", when, 12.0, made);
        let voices = vec![("m@1".to_owned(), embedding())];
        let step = Step { voices, net_speech_s: 60.0, llr: 12.0 };
        assert!(voiceprint.adapt(&step, Settings::default(), when));
        let voice = serde_json::to_string(&embedding()).expect("text");
        let with = document(Some(&voiceprint), None, true).to_string();
        assert_eq!(with.matches(&voice).count(), 4, "now, twice in the drift, and before: {with}");
        let without = document(Some(&voiceprint), None, false).to_string();
        assert!(!without.contains(&voice) && without.contains("weight"), "{without}");
    }
}
