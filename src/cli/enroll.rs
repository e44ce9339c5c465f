//! `sidetone enroll`: recordings of a person who agreed to it become a voiceprint.

use std::path::PathBuf;

use clap::Args;

use crate::cli::{Outcome, Places, Refusal, println, subject};
use crate::consent::consent::Consent;
use crate::runtime::enroller::Enroller;
use crate::runtime::store::voiceprints::Voiceprints;

/// Arguments of `sidetone enroll`.
#[derive(Debug, Args)]
#[command(after_help = "At least 10 s of net speech are needed, in all files together.\n\n\
    Example:\n  sidetone enroll --subject customer-4711 --consent ivr-2026-11-23/88 first.wav second.flac")]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
    /// Whose voice it is, as X-Sidetone-Subject will claim it.
    #[arg(long, value_parser = subject)]
    subject: String,
    /// Reference of the person's consent; without one nothing is computed.
    #[arg(long, value_name = "REF", value_parser = |text: &str| Consent::from_reference(text))]
    consent: Consent,
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
    let installed = arguments.places.installed(&config)?;
    let mut model = installed.strong()?;
    let name = &installed.models().speaker;
    let mut enroller =
        Enroller::new(&mut model, name, &arguments.subject, arguments.consent.clone());
    for file in &arguments.files {
        let net_speech = enroller.hear_file(file)?;
        if !arguments.json {
            println!("{}: {:.1} s of net speech so far", file.display(), net_speech.as_secs_f64());
        }
    }
    let voiceprint = enroller.finish()?;
    Voiceprints::open(&config.store.folder)?.save(&voiceprint)?;
    if arguments.json {
        let result = serde_json::json!({
            "subject": voiceprint.subject,
            "consent": voiceprint.consent,
            "model": voiceprint.model,
            "net_speech_s": voiceprint.net_speech_s,
        });
        println!("{result}");
    } else {
        println!("enrolled {} under consent {}", voiceprint.subject, voiceprint.consent);
    }
    Ok(Outcome::Done)
}
