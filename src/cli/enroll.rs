//! `sidetone enroll`: recordings of a person who agreed to it become a voiceprint.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::cli::actor::actor;
use crate::cli::moment;
use crate::cli::person::{Whom, act, open};
use crate::cli::{Outcome, Places, Refusal, println};
use crate::consent::consents::{Change, Given};
use crate::consent::permit::{Enrolment, Permit};
use crate::consent::reference::ConsentReference;
use crate::consent::role::Role;
use crate::consent::scope::Scopes;
use crate::runtime::answered_for::answered_for;
use crate::runtime::audio_file::{self, AudioFileError};
use crate::runtime::enroller::{EnrollError, Enroller};
use crate::runtime::store::vault::{Subject, Vault, VaultError};
use crate::speaker::embedder::Embedder;
use crate::speaker::gathering::Gathering;
use crate::speaker::voiceprint::Voiceprint;

/// Arguments of `sidetone enroll`.
#[derive(Debug, Args)]
#[command(
    after_help = "The consent is recorded as given before anything is computed; whoever opted out, or took back that very \
    consent, is\nrefused. At least 10 s of net speech by one person alone are needed, in all files together, without \
    clipping and with\nlittle noise; what is not good enough is told (exit code 1), and nothing of the voice is kept.\n\n\
    Examples:\n  \
    sidetone enroll --subject customer-4711 --consent ivr-2026-11-23/88 first.wav second.flac\n  \
    sidetone enroll --subject anna --role agent --consent sheet-17 --expires 2028-11-30 anna.wav\n  \
    sidetone enroll --add --subject customer-4711 --consent ivr-2026-11-23/88 weeks-later.wav\n  \
    sidetone enroll --watchlist --subject case-2026-17 --consent dpia-2026-3 fraudster.wav"
)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
    #[command(flatten)]
    whom: Whom,
    /// Reference of the person's consent, or for the watchlist of the legal basis; without one nothing is
    /// computed.
    #[arg(long, value_name = "REF", value_parser = |text: &str| ConsentReference::new(text))]
    consent: ConsentReference,
    /// What they agreed to: words of verify, enrol, adapt, watchlist, keywords.
    #[arg(
        long,
        value_name = "SCOPES",
        default_value = "verify enrol",
        conflicts_with = "watchlist"
    )]
    scopes: Scopes,
    /// The last day on which the consent holds (2028-11-30), or the second from which it does not.
    #[arg(long, value_name = "DATE", value_parser = moment::until, conflicts_with = "watchlist")]
    expires: Option<Timestamp>,
    /// Add the files to the voiceprint that there is, as another session of the same voice, rather
    /// than put a new one in its place.
    #[arg(long)]
    add: bool,
    /// Print the result as one JSON document.
    #[arg(long)]
    json: bool,
    /// Recordings (WAV, FLAC, Ogg/Opus) of this person alone.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Hears every file, and keeps the voiceprint only if all of it was good.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let (config, _) = arguments.places.load()?;
    let subject = arguments.whom.subject();
    let installed = arguments.places.installed(&config)?;
    let mut voices = installed.voices()?;
    let names = &installed.models().speaker;
    // Which file to name is the caller's mistake; what is in it is what was to be found out.
    for file in &arguments.files {
        match audio_file::read(file) {
            Ok(_) | Err(AudioFileError::Empty { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let digests = arguments.files.iter().map(|file| digest(file));
    let digests: Vec<_> = digests.collect::<Result<_, _>>()?;
    let (mut vault, by) = (open(&config.store)?, actor());
    let earlier = match arguments.add {
        true => Some(voiceprint_of(&mut vault, &subject)?),
        false => None,
    };
    let leave = match leave(&mut vault, &subject, arguments, &by) {
        Err(VaultError::Refused(refusal)) => return Ok(refused(arguments, &refusal.to_string())),
        leave => leave?,
    };
    let gathering = match &earlier {
        Some(voiceprint) => Gathering::of(voiceprint, &leave).ok_or_else(|| {
            format!(
                "the voiceprint of {subject} keeps no windows to compare with: enrol without --add"
            )
        })?,
        None => Gathering::new(&subject.name, &leave),
    };
    let enroller = Enroller::onto(&leave, &mut voices, names, gathering);
    let mut voiceprint = match hear(enroller, arguments) {
        Ok(voiceprint) => voiceprint,
        Err(error) => return Ok(refused(arguments, &error.to_string())),
    };
    voiceprint.recordings = earlier.map_or(Vec::new(), |earlier| earlier.recordings);
    voiceprint.recordings.extend(digests);
    vault.enrol(&subject, &voiceprint, &act(&by))?;
    if arguments.json {
        println!("{}", enrolled(&voiceprint, &names.decide));
    } else {
        println!("enrolled {} under consent {}", voiceprint.subject, voiceprint.consent);
    }
    Ok(Outcome::Done)
}

fn refused(arguments: &Arguments, reason: &str) -> Outcome {
    if arguments.json {
        let subject = arguments.whom.subject().name;
        println!("{}", json!({ "subject": subject, "enrolled": false, "reason": reason }));
    } else {
        println!("not enrolled: {reason}");
    }
    Outcome::Problem
}

fn leave(
    vault: &mut Vault,
    subject: &Subject,
    arguments: &Arguments,
    by: &str,
) -> Result<Permit<Enrolment>, VaultError> {
    let reference = arguments.consent.clone();
    // Nobody there was asked; whoever lists them answers for it.
    if subject.role == Role::Watchlist {
        return Ok(answered_for(&reference));
    }
    let given =
        Given { reference, at: Timestamp::now(), by: by.to_owned(), expires: arguments.expires };
    agree(vault, subject, arguments.scopes, given)
}

/// Records that `subject` agreed: leave to enrol them, or why there is none.
pub(super) fn agree(
    vault: &mut Vault,
    subject: &Subject,
    scopes: Scopes,
    given: Given,
) -> Result<Permit<Enrolment>, VaultError> {
    let at = given.at;
    let changed = vault.change_consent(subject, &Change::Given { scopes, given })?;
    Ok(changed.consents.permit(at)?)
}

/// SHA-256 of a recording's bytes, hexadecimal: to know it again.
pub(super) fn digest(file: &Path) -> Result<String, String> {
    let mut hash = Sha256::new();
    let read = File::open(file).and_then(|mut file| std::io::copy(&mut file, &mut hash));
    read.map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    Ok(hex::encode(hash.finalize()))
}

/// What is to be added to.
fn voiceprint_of(vault: &mut Vault, subject: &Subject) -> Result<Voiceprint, Refusal> {
    let voiceprint = vault.voice(subject)?.voiceprint;
    Ok(voiceprint.ok_or_else(|| format!("no voiceprint of {subject} to add to"))?)
}

fn hear<E: Embedder>(
    mut enroller: Enroller<'_, E>,
    arguments: &Arguments,
) -> Result<Voiceprint, EnrollError> {
    for file in &arguments.files {
        let net_speech = enroller.hear_file(file)?;
        if !arguments.json {
            println!("{}: {:.1} s of net speech so far", file.display(), net_speech.as_secs_f64());
        }
    }
    enroller.finish()
}

fn enrolled(voiceprint: &Voiceprint, model: &str) -> serde_json::Value {
    json!({
        "subject": voiceprint.subject,
        "enrolled": true,
        "consent": voiceprint.consent,
        "model": model,
        "net_speech_s": voiceprint.net_speech_s,
        "session": voiceprint.sessions.last(),
        "spread": voiceprint.reference(model).and_then(|reference| reference.spread),
    })
}
