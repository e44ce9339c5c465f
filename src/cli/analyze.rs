//! `sidetone analyze`: captures and recordings through the same media sessions as a call, faster than time.

pub mod document;
pub mod progress;
pub mod table;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use jiff::Timestamp;

use crate::audio::decoder::Codec;
use crate::call::media_plan::Payload;
use crate::cli::actor::actor;
use crate::cli::analyze::progress::Progress;
use crate::cli::person::{act, open};
use crate::cli::{Outcome, Places, Refusal, println, subject};
use crate::config::{self, ConfigError};
use crate::consent::consents::{Change, Given};
use crate::consent::permit::{Permit, Verification};
use crate::consent::reference::ConsentReference;
use crate::consent::role::Role;
use crate::consent::scope::{Scope, Scopes};
use crate::policy::rule::Party;
use crate::policy::rules::event::Record;
use crate::runtime::analyst::{Claim, LoadedAnalyst, Phrases};
use crate::runtime::audio_file::{self, Recording};
use crate::runtime::capture::file::is_capture;
use crate::runtime::capture::legs;
use crate::runtime::capture::network::Flow;
use crate::runtime::capture::streams::Kinds;
use crate::runtime::capture::survey::{FlowKind, Survey};
use crate::runtime::phrase_engine::{PhraseEngine, Purpose};
use crate::runtime::replay::{Analyst, Bookkeeper, Judges, LegName, LegReport, play_recording};
use crate::runtime::site_calibration;
use crate::runtime::store::vault::{Subject, Vault};
use crate::vault::chain::Kind;

/// Rate at which a recording's samples are played, Hz.
const RATE: u32 = 16_000;
/// One packet's worth of them.
const PACKET: usize = 320;

/// Arguments of `sidetone analyze`.
#[derive(Debug, Args)]
#[command(
    after_help = "Captures: pcap and pcapng; RTP is found by its SDP, and without one by its looks. \
    Recordings: WAV, FLAC, Ogg;\nof two channels the left one is the caller and the right one the agent.\n\
    Without --policy and --voiceprint-of no model and no configuration is needed.\n\n\
    Examples:\n  \
    sidetone analyze call.pcapng\n  \
    sidetone analyze --json --mixed recording.ogg | jq '.files[].legs[].speech_s'\n  \
    sidetone analyze --policy phrases.toml --voiceprint-of customer-4711 --consent ivr-88 call.pcap\n  \
    sidetone analyze --policy phrases.toml --events call.jsonl call.pcap\n\n\
    Exit code 1 if a file could not be read to its end, or nothing in it could be heard."
)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
    /// Look for the phrases of this policy file; needs the models.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Compare the caller with this person's voiceprint; needs the models.
    #[arg(long, value_name = "SUBJECT", value_parser = subject, requires = "consent")]
    voiceprint_of: Option<String>,
    /// Reference of that person's consent; without one nothing is computed.
    #[arg(long, value_name = "REF", requires = "voiceprint_of",
        value_parser = |text: &str| ConsentReference::new(text))]
    consent: Option<ConsentReference>,
    /// Leave this agent's voiceprint out where caller and agent share a leg.
    #[arg(long, value_name = "SUBJECT", value_parser = subject, requires = "voiceprint_of")]
    agent: Option<String>,
    /// Fold a recording's channels into one leg.
    #[arg(long)]
    mixed: bool,
    /// Keep what the rules are judged by in this file, for `sidetone audit`.
    #[arg(long, value_name = "FILE", requires = "policy")]
    events: Option<PathBuf>,
    /// Count alone, as without --policy and --voiceprint-of.
    #[arg(long, conflicts_with_all = ["policy", "voiceprint_of"])]
    no_models: bool,
    /// Print the result as one JSON document.
    #[arg(long)]
    json: bool,
    /// Captures (pcap, pcapng) and recordings (WAV, FLAC, Ogg).
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// What one file came to.
#[derive(Debug)]
pub struct FileReport {
    /// Which file.
    pub file: PathBuf,
    /// What it holds.
    pub content: Content,
    /// Its legs, in the order of their first packets.
    pub legs: Vec<LegReport>,
    /// What the rules were judged by.
    pub events: Vec<Record>,
    /// Why not all of it could be used, in one sentence.
    pub fault: Option<String>,
}

/// What a file holds.
#[derive(Debug)]
pub enum Content {
    /// Frames.
    Capture(Box<Survey>),
    /// Sound.
    Recording,
    /// It could not be told.
    Unknown,
}

impl FileReport {
    /// Whether something in it was heard.
    fn heard(&self) -> bool {
        self.legs.iter().any(|leg| leg.codecs.iter().any(|codec| codec.heard))
    }

    /// Flows that were not played though they are, or may be, speech.
    pub fn silent_flows(&self) -> Vec<(Flow, FlowKind, Kinds)> {
        let Content::Capture(survey) = &self.content else { return Vec::new() };
        let silent = |kind| matches!(kind, FlowKind::Encrypted | FlowKind::TooLittle);
        survey.flows().filter(|(_, kind, _)| silent(*kind)).collect()
    }

    /// Datagrams of all flows that are no speech.
    pub fn other_kinds(&self) -> Kinds {
        let mut kinds = Kinds::default();
        if let Content::Capture(survey) = &self.content {
            let other = |kind| matches!(kind, FlowKind::Rtcp | FlowKind::NotRtp);
            let flows = survey.flows().filter(|(_, kind, _)| other(*kind));
            flows.for_each(|(_, _, of_flow)| kinds.add(&of_flow));
        }
        kinds
    }
}

/// Analyses every file; a bad one does not stop the others.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let mut analyst = analyst(arguments)?;
    let mut reports = Vec::new();
    for (place, file) in arguments.files.iter().enumerate() {
        let report = analyze(file, arguments.mixed, &mut *analyst);
        if !arguments.json {
            if place > 0 {
                println!();
            }
            table::print(&report);
        }
        reports.push(report);
    }
    if arguments.json {
        println!("{}", document::json(&reports));
    }
    if let Some(file) = &arguments.events {
        let events = reports.iter().flat_map(|report| &report.events);
        let lines: String = events.map(|event| event.to_json() + "\n").collect();
        std::fs::write(file, lines)
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    let good = reports.iter().all(|report| report.fault.is_none());
    Ok(if good { Outcome::Done } else { Outcome::Problem })
}

/// The models that were asked for, loaded.
fn analyst(arguments: &Arguments) -> Result<Box<dyn Analyst>, Refusal> {
    if arguments.policy.is_none() && arguments.voiceprint_of.is_none() {
        return Ok(Box::new(Bookkeeper));
    }
    let (config, _) = arguments.places.load()?;
    let policy = arguments.policy.as_ref().map(|file| {
        let text = std::fs::read_to_string(file)
            .map_err(|error| ConfigError::Unreadable { file: file.clone(), error })?;
        config::parse_policy(file, &text)
    });
    let policy = policy.transpose()?;
    let installed = arguments.places.installed(&config)?;
    let phrases = policy.map(|policy| -> Result<_, Refusal> {
        Ok(Phrases {
            engine: PhraseEngine::load(&installed, &config.keyword, &policy, Purpose::Watch)?,
            policy: Arc::new(policy),
        })
    });
    let claim = arguments.voiceprint_of.clone().zip(arguments.consent.clone());
    let speaker = claim.map(|(subject, consent)| -> Result<_, Refusal> {
        let mut vault = open(&config.store)?;
        let claimed = Subject::caller(&subject);
        let leave = leave(&mut vault, &claimed, &consent)?;
        let voiceprint = vault.voice(&claimed)?.voiceprint;
        if voiceprint.is_some() {
            vault.note_use(&claimed, Kind::Access, &act(&actor()), "compared in an analysis")?;
        }
        let agent = arguments.agent.as_deref().map(|agent| {
            let kept = vault.voice(&Subject::new(Role::Agent, agent))?.voiceprint;
            kept.ok_or_else(|| Refusal::from(format!("no voiceprint of the agent {agent}")))
        });
        let agent = agent.transpose()?;
        let site = config.speaker.calibration.as_deref();
        let calibration = site_calibration::in_use(site, &installed.models().speaker)?;
        let decision = config.speaker.decision();
        let claim = Claim { subject, leave, voiceprint, agent, decision, calibration };
        Ok((claim, installed.voices()?, installed.turns()?))
    });
    let names = installed.models().clone();
    Ok(Box::new(LoadedAnalyst::new(names, speaker.transpose()?, phrases.transpose()?)))
}

/// Leave to compare `subject`, who by the word of whoever starts this agreed under `consent`, unless they have taken that
/// back. Nothing of it is recorded: it holds for as long as this runs.
fn leave(
    vault: &mut Vault,
    subject: &Subject,
    consent: &ConsentReference,
) -> Result<Permit<Verification>, Refusal> {
    let mut consents = vault.consents(subject)?;
    let (reference, at) = (consent.clone(), Timestamp::now());
    let given = Given { reference, at, by: actor(), expires: None };
    let change = Change::Given { scopes: Scopes::NONE.with(Scope::Verify), given };
    let leave = consents.apply(&change).and_then(|()| consents.permit(at));
    Ok(leave.map_err(|refusal| format!("{subject} cannot be compared: {refusal}"))?)
}

fn analyze(file: &Path, mixed: bool, analyst: &mut dyn Analyst) -> FileReport {
    let mut report = match head(file) {
        Ok(head) if is_capture(&head) => capture(file, analyst),
        Ok(_) => recording(file, mixed, analyst),
        Err(error) => failed(file, format!("cannot read {}: {error}", file.display())),
    };
    if report.fault.is_none() && !report.heard() {
        report.fault = Some(format!("nothing in {} could be heard", file.display()));
    }
    report
}

fn failed(file: &Path, fault: String) -> FileReport {
    let content = Content::Unknown;
    let (legs, events, fault) = (Vec::new(), Vec::new(), Some(fault));
    FileReport { file: file.to_owned(), content, legs, events, fault }
}

/// Its first octets.
fn head(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(file)?.take(4).read_to_end(&mut head)?;
    Ok(head)
}

fn capture(file: &Path, analyst: &mut dyn Analyst) -> FileReport {
    let open = || File::open(file);
    let unreadable = |error| failed(file, format!("cannot read {}: {error}", file.display()));
    let length = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
    let mut progress = Progress::new(file, 2 * length);
    let survey = match open() {
        Ok(source) => Survey::read(source, |octets| progress.advance(octets)),
        Err(error) => return unreadable(error),
    };
    let (legs, events) = match open() {
        Ok(source) => legs::play(source, &survey, analyst, |octets| progress.advance(octets)),
        Err(error) => return unreadable(error),
    };
    progress.finish();
    let fault = survey.fault.map(|fault| format!("{}: {fault}", file.display()));
    let content = Content::Capture(Box::new(survey));
    FileReport { file: file.to_owned(), content, legs, events, fault }
}

fn recording(file: &Path, mixed: bool, analyst: &mut dyn Analyst) -> FileReport {
    let recording = match audio_file::read(file) {
        Ok(recording) => recording,
        Err(error) => return failed(file, error.to_string()),
    };
    let name = |from: &str, party| LegName {
        from: from.to_owned(),
        to: None,
        call_id: None,
        conversation: file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        party,
    };
    let (epoch, mut judges) = (Instant::now(), Judges::default());
    let (mut legs, fault) = match recording {
        Recording::Opus { packets, fault } => {
            let coding = (Payload::Audio(Codec::Opus), "opus/48000/2");
            let packets = packets.into_iter().map(Vec::from);
            let name = name("all channels", Party::Mixed);
            (vec![play_recording(epoch, name, coding, packets, analyst, &mut judges)], fault)
        }
        Recording::Samples { channels, rate, codec, fault } => {
            let legs: Vec<_> = match channels.len() {
                1 => vec![(name("mono", Party::Mixed), channels)],
                2 if !mixed => ["left channel", "right channel"]
                    .into_iter()
                    .zip([Party::Caller, Party::Agent])
                    .zip(channels)
                    .map(|((from, party), channel)| (name(from, party), vec![channel]))
                    .collect(),
                _ => vec![(name("all channels", Party::Mixed), channels)],
            };
            let called = format!("{codec}/{rate}");
            let play = |(name, channels): (LegName, Vec<Vec<f32>>)| {
                let samples = audio_file::resample(audio_file::folded(&channels), rate, RATE);
                let coding = (Payload::Audio(Codec::L16Wide), &*called);
                let packets = samples.chunks(PACKET).map(linear);
                play_recording(epoch, name, coding, packets, analyst, &mut judges)
            };
            (legs.into_iter().map(play).collect(), fault)
        }
    };
    let fault = fault.map(|fault| format!("{}: {fault}", file.display()));
    judges.conclude(&mut legs);
    let (content, events) = (Content::Recording, judges.records);
    FileReport { file: file.to_owned(), content, legs, events, fault }
}

/// Samples as a payload of `L16/16000`.
fn linear(samples: &[f32]) -> Vec<u8> {
    crate::audio::pcm::to_i16(samples).into_iter().flat_map(i16::to_be_bytes).collect()
}
