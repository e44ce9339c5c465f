//! `sidetone demo`: calls of real speech to an appliance on loopback, and what came of each.

pub mod script;
pub mod table;
pub mod timeline;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::cli::actor::actor;
use crate::cli::demo::script::{ENROLMENT, SUBJECT, Scene, scenes};
use crate::cli::demo::timeline::Timeline;
use crate::cli::enroll::agree;
use crate::cli::person::act;
use crate::cli::println;
use crate::cli::{Outcome, Refusal, start_log};
use crate::config::Config;
use crate::consent::consents::Given;
use crate::consent::reference::ConsentReference;
use crate::keyword::language::Language;
use crate::policy::place::Place;
use crate::policy::rule::{Policy, WatchedPhrase};
use crate::policy::sensitivity::Sensitivity;
use crate::policy::signal::{PhraseSignal, UsualSignal};
use crate::runtime::appliance::Appliance;
use crate::runtime::audio_file::read_mono;
use crate::runtime::caller::{CallPlan, CallReport, place};
use crate::runtime::enroller::Enroller;
use crate::runtime::installed::Installed;
use crate::runtime::store::key_file::KeyFile;
use crate::runtime::store::vault::{Subject, Vault, new_secret};

/// How much faster than real time `--fast` plays at most, one call after another. The callers wait
/// for the models, so a slow machine only takes longer.
const FAST: f64 = 10.0;
/// Time between the starts of two calls in real time: long enough for the first to be decided.
const STAGGER: Duration = Duration::from_secs(4);
/// Silence after each call's audio, for its last verdicts.
const AFTERWARDS: Duration = Duration::from_secs(2);
/// Where `make` and `models/fetch` put the models.
const MODELS: &str = "models/store";

/// Arguments of `sidetone demo`.
#[derive(Debug, Args)]
#[command(
    after_help = "The recordings come with the models: `sidetone models fetch` or models/fetch.\n\
    Exit code 1 if anything expected did not happen."
)]
pub struct Arguments {
    /// Folder of the fetched models.
    #[arg(long, env = "SIDETONE_MODELS", value_name = "FOLDER", default_value = MODELS)]
    models: PathBuf,
    /// ONNX Runtime's library, instead of the fetched one.
    #[arg(long, env = "ORT_DYLIB_PATH", value_name = "FILE")]
    onnxruntime: Option<PathBuf>,
    /// Play faster than real time.
    #[arg(long)]
    fast: bool,
    /// Print one JSON document at the end instead of timeline and table.
    #[arg(long)]
    json: bool,
}

/// Enrols, calls, watches, judges.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    start_log("warn");
    let installed = Installed::open(&arguments.models, arguments.onnxruntime.clone())?;
    let recording = |file: &str| read_mono(&installed.recording(file), script::RATE);
    let scenes = scenes(
        &recording("two_cities.wav")?,
        &recording("endgame_nagg_nell.wav")?,
        &recording("beckett.wav")?,
    );
    let folder = tempfile::tempdir()?;
    let config = Config::on_loopback(16, folder.path(), &arguments.models);

    let say = |line: String| {
        if !arguments.json {
            println!("{line}");
        }
    };
    // Whoever names a key file in the environment has one.
    let key_file = Vault::key_file(&config.store);
    if !key_file.exists() {
        KeyFile::create(&key_file, new_secret())?;
    }
    let (mut vault, subject) = (Vault::configured(&config.store)?, Subject::caller(SUBJECT));
    let (reference, by) = (ConsentReference::new(script::CONSENT)?, actor());
    let given = Given { reference, at: Timestamp::now(), by: by.clone(), expires: None };
    let leave = agree(&mut vault, &subject, config.consent.scopes, given)?;
    let mut voices = installed.voices()?;
    let mut enroller =
        Enroller::new(&leave, &mut voices, &installed.models().speaker, &subject.name);
    let narrator = recording("two_cities.wav")?;
    let net_speech = enroller.hear(&narrator[..script::samples(ENROLMENT)])?;
    vault.enrol(&subject, &enroller.finish()?, &act(&by))?;
    drop((voices, vault));
    say(format!(
        "enrolled {SUBJECT} on the first {:.0} s of two_cities.wav: {:.1} s of net speech",
        ENROLMENT.as_secs_f64(),
        net_speech.as_secs_f64()
    ));

    let pace = if arguments.fast { FAST } else { 1.0 };
    let reactor = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let played = reactor.block_on(play(&config, &installed, &scenes, pace, arguments.json))?;
    let rows = table::judge(&scenes, &played.reports);
    let good = rows.iter().all(|row| row.good);
    let audio: Duration = scenes.iter().map(Scene::length).sum();
    let cost = played.cpu.as_secs_f64() / audio.as_secs_f64();
    if arguments.json {
        let rows: Vec<_> = rows.iter().map(table::Row::to_json).collect();
        let result = serde_json::json!({
            "good": good, "rows": rows, "audio_s": audio.as_secs_f64(),
            "cpu_s_per_audio_s": (cost * 1000.0).round() / 1000.0, "pace": pace,
        });
        println!("{result}");
    } else {
        table::print(&rows);
        println!(
            "\n{:.0} s of audio in {} calls: {:.0} ms of CPU per second of audio, callers included",
            audio.as_secs_f64(),
            scenes.len(),
            cost * 1000.0
        );
        println!("{}", if good { "all as expected" } else { "NOT as expected" });
    }
    Ok(if good { Outcome::Done } else { Outcome::Problem })
}

/// What the calls came to.
struct Played {
    /// Reports in the order of the scenes; the error's sentence where a call failed.
    reports: Vec<Result<CallReport, String>>,
    /// CPU time that the process spent on the calls.
    cpu: Duration,
}

async fn play(
    config: &Config,
    installed: &Installed,
    scenes: &[Scene],
    pace: f64,
    quiet: bool,
) -> Result<Played, Refusal> {
    let appliance = Appliance::start(config, policy(), installed)?;
    let mut observations = appliance.observe();
    let target = appliance.udp_address().expect("it listens on UDP");
    if !quiet {
        println!(
            "appliance on {}, metrics on http://{}/metrics\n",
            target,
            appliance.http_address()
        );
        scenes.iter().for_each(|scene| println!("call {}: {}", scene.name, scene.title));
        println!();
    }
    let mut timeline = Timeline::new(scenes, quiet);
    let cpu = process_cpu();
    let fast = pace > 1.0;
    let mut calls = JoinSet::new();
    let lines = Arc::new(Semaphore::new(if fast { 1 } else { scenes.len() }));
    for (place_in_list, scene) in scenes.iter().enumerate() {
        let plan = CallPlan {
            target,
            headers: scene.headers(),
            audio: scene.audio.clone(),
            afterwards: AFTERWARDS,
            pace,
            backlog: fast.then(|| appliance.backlog()),
        };
        let (lines, turn) = (Arc::clone(&lines), STAGGER.div_f64(pace) * place_in_list as u32);
        calls.spawn(async move {
            sleep(turn).await;
            let _line = lines.acquire().await.expect("nobody closes the lines");
            (place_in_list, place(plan).await.map_err(|error| error.to_string()))
        });
    }
    let mut reports = HashMap::new();
    while reports.len() < scenes.len() {
        tokio::select! {
            Some(done) = calls.join_next() => {
                let (scene, report) = done.expect("a caller does not panic");
                reports.insert(scene, report);
            }
            Ok(observation) = observations.recv() => timeline.observe(&observation),
        }
    }
    let cpu = process_cpu() - cpu;
    appliance.stop().await;
    while let Ok(observation) = observations.try_recv() {
        timeline.observe(&observation);
    }
    let reports = (0..scenes.len()).filter_map(|scene| reports.remove(&scene)).collect();
    Ok(Played { reports, cpu })
}

fn policy() -> Policy {
    let phrase = |(id, text): &(&str, &str)| WatchedPhrase {
        language: Language::default(),
        pronunciations: Vec::new(),
        examples: None,
        threshold: None,
        expected_false_alarms_per_hour: None,
        sensitivity: Sensitivity::Public,
        place: Place::default(),
        id: (*id).to_owned(),
        text: (*text).to_owned(),
        parties: Vec::new(),
        signal: PhraseSignal::default(),
    };
    Policy {
        name: "demo".to_owned(),
        version: "1".to_owned(),
        signal: UsualSignal::default(),
        phrases: [script::SPOKEN, script::UNSPOKEN].iter().map(phrase).collect(),
        rules: Vec::new(),
        pauses: Vec::new(),
        actions: Vec::new(),
        pronunciations: BTreeMap::new(),
    }
}

fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
