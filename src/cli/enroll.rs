//! `sidetone enroll`: recordings of a person who agreed to it become a voiceprint.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::voiceprint;
use crate::cli::{Outcome, Places, Refusal, println, subject};
use crate::consent::reference::ConsentReference;
use crate::runtime::audio_file::AudioFileError;
use crate::runtime::enroller::{EnrollError, Enroller};
use crate::runtime::store::voiceprints::Voiceprints;
use crate::speaker::embedder::Embedder;
use crate::speaker::gathering::Gathering;
use crate::speaker::voiceprint::Voiceprint;

/// Arguments of `sidetone enroll`.
#[derive(Debug, Args)]
#[command(
    after_help = "At least 10 s of net speech by one person alone are needed, in all files together, \
    without clipping and with little noise; what is not good enough is told (exit code 1), and nothing \
    is kept of it.\n\n\
    Examples:\n  \
    sidetone enroll --subject customer-4711 --consent ivr-2026-11-23/88 first.wav second.flac\n  \
    sidetone enroll --add --subject customer-4711 --consent ivr-2026-11-23/88 weeks-later.wav\n  \
    sidetone enroll --watchlist --subject case-2026-17 --consent dpia-2026-3 fraudster.wav"
)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
    /// Whose voice it is, as X-Sidetone-Subject will claim it.
    #[arg(long, value_parser = subject)]
    subject: String,
    /// Reference of the person's consent, or for the watchlist of the legal basis; without one nothing is
    /// computed.
    #[arg(long, value_name = "REF", value_parser = |text: &str| ConsentReference::new(text))]
    consent: ConsentReference,
    /// Add the files to the voiceprint that there is, as another session of the same voice, rather
    /// than put a new one in its place.
    #[arg(long)]
    add: bool,
    /// Put the voice on the watchlist, under `subject` as the entry's id: no name.
    #[arg(long)]
    watchlist: bool,
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
    let folder = voiceprint::folder(&config, arguments.watchlist)?;
    let installed = arguments.places.installed(&config)?;
    let mut voices = installed.voices()?;
    let names = &installed.models().speaker;
    let gathering = if arguments.add {
        earlier(&Voiceprints::open(folder)?, arguments)?
    } else {
        Gathering::new(&arguments.subject, &arguments.consent)
    };
    let enroller = Enroller::onto(&mut voices, names, gathering);
    let voiceprint = match hear(enroller, arguments) {
        Ok(voiceprint) => voiceprint,
        // Which file to name is the caller's mistake; what is in it is what was to be found out.
        Err(EnrollError::File(error)) if !matches!(error, AudioFileError::Empty { .. }) => {
            return Err(error.into());
        }
        Err(error) => {
            if arguments.json {
                let subject = &arguments.subject;
                let reason = error.to_string();
                println!("{}", json!({ "subject": subject, "enrolled": false, "reason": reason }));
            } else {
                println!("not enrolled: {error}");
            }
            return Ok(Outcome::Problem);
        }
    };
    Voiceprints::open(folder)?.save(&voiceprint)?;
    if arguments.json {
        println!("{}", enrolled(&voiceprint, &names.decide));
    } else {
        println!("enrolled {} under consent {}", voiceprint.subject, voiceprint.consent);
    }
    Ok(Outcome::Done)
}

/// What the voiceprint that there is was made from.
fn earlier(store: &Voiceprints, arguments: &Arguments) -> Result<Gathering, Refusal> {
    let subject = &arguments.subject;
    let voiceprint = store.load(subject)?;
    let voiceprint = voiceprint.ok_or_else(|| format!("no voiceprint of {subject} to add to"))?;
    let gathering = Gathering::of(&voiceprint, &arguments.consent);
    Ok(gathering.ok_or_else(|| {
        format!("the voiceprint of {subject} keeps no windows to compare with: enrol without --add")
    })?)
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
