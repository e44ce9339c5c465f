//! `sidetone eval keywords`: how many phrases are found, and how many that nobody said.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::audio::channel::Channel;
use crate::cli::eval::keyword_report::{self, Report};
use crate::cli::eval::keyword_scores::ScoreFile;
use crate::cli::eval::setup::Progress;
use crate::cli::{Outcome, Places, Refusal, println};
use crate::config::keyword::Engine;
use crate::config::{self, ConfigError};
use crate::policy::rule::Policy;
use crate::runtime::phrase_engine::{PhraseEngine, Purpose};
use crate::runtime::phrase_list::PhraseList;
use crate::runtime::phrase_thresholds::thresholds;
use crate::runtime::spotting_run;
use crate::runtime::trial_run::{self, LoadedNoises};

/// How the spotter decides.
const OURS: &str = "phones and decoder";
/// Threshold of the decoder alone, nats: no false alarm in 1.7 h over 25 confusable phrases.
const DECODER_ALONE: f32 = -1.5;

/// Arguments of `sidetone eval keywords`.
#[derive(Debug, Args)]
#[command(after_help = "The list is CSV with the header\n  \
    recording,phrases\n\
    phrases are ids of the policy with ; between them, none where none is said; paths count from the list's folder.\n\
    Recall is of phrases in recordings; a false alarm is a phrase found in a recording that has it not. \"other half\" is\n\
    what the threshold that has no false alarm on every second recording, and a little more, does on the others, both ways.\n\n\
    Examples:\n  \
    sidetone eval keywords --policy policy.toml --list calls.csv\n  \
    sidetone eval keywords --policy policy.toml --list calls.csv --channel mulaw --channel opus16 --by-phrase --json\n  \
    sidetone eval keywords --policy policy.toml --list calls.csv --svg curve.svg --scores scores.csv")]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
    /// The phrases.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// The recordings, and what is said in them.
    #[arg(long, value_name = "FILE")]
    list: PathBuf,
    /// Channel that they come by: mulaw, alaw, opus16, loss3 (any per cent), band, babble15, kitchen10, noise10 (the last three
    /// with any ratio in dB); repeatable.
    #[arg(long, value_name = "NAME", default_value = "mulaw")]
    channel: Vec<Channel>,
    /// Folder of recordings of other people, for babble.
    #[arg(long, value_name = "FOLDER")]
    babble: Option<PathBuf>,
    /// Chooses noise and losses.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Ask the decoder about every phrase in every segment, as if nothing were known of its phones.
    #[arg(long)]
    without_phones: bool,
    /// Take each phrase as if it were the only one: of two that would have been said at once, both count.
    #[arg(long)]
    each_alone: bool,
    /// Lowest score that is looked at, nats; the lower, the longer it takes.
    #[arg(long, value_name = "NATS", default_value_t = -6.0, allow_negative_numbers = true)]
    least: f32,
    /// A line for each phrase, with intervals of 95 %.
    #[arg(long)]
    by_phrase: bool,
    /// Write every score into this file, as CSV: a line for each phrase and recording in which anything spoke for it.
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
    /// Draw recall over false alarms an hour into this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Measures.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let (config, _) = arguments.places.load()?;
    let text = std::fs::read_to_string(&arguments.policy)
        .map_err(|error| ConfigError::Unreadable { file: arguments.policy.clone(), error })?;
    let policy = config::parse_policy(&arguments.policy, &text)?;
    let ids: Vec<&str> = policy.phrases.iter().map(|phrase| phrase.id.as_str()).collect();
    let list = PhraseList::read(&arguments.list, &ids)?;
    let installed = arguments.places.installed(&config)?;
    if config.keyword.engine == Engine::Sherpa {
        let ours = [
            ("--without-phones", arguments.without_phones),
            ("--each-alone", arguments.each_alone),
            ("--by-phrase", arguments.by_phrase),
        ];
        if let Some((option, _)) = ours.iter().find(|(_, given)| *given) {
            let why = "is of the engine \"moonshine\", and the engine is \"sherpa\"";
            return Err(format!("{option} {why}").into());
        }
    }
    let purpose = Purpose::Evaluate {
        least: arguments.least,
        phones: !arguments.without_phones,
        each_alone: arguments.each_alone,
    };
    let mut engine = PhraseEngine::load(&installed, &config.keyword, &policy, purpose)?;
    let spotter = engine.spotter();
    let mut scores = arguments.scores.as_deref().map(ScoreFile::create).transpose()?;
    let talkers = arguments.babble.as_deref().map(trial_run::talkers).transpose()?;
    let noises = LoadedNoises { talkers: talkers.unwrap_or_default(), own: None };
    let own = own_thresholds(&engine, &policy, config.keyword.threshold)?;
    let (mut documents, mut curves) = (Vec::new(), Vec::new());
    for &channel in &arguments.channel {
        let mut progress = Progress::new(channel.to_string(), list.recordings.len());
        let carried = (channel, &noises, arguments.seed);
        let outcome = spotting_run::run(&list, carried, (ids.len(), &mut engine), |done| {
            progress.show(done);
        })?;
        progress.finish();
        let hours = outcome.length.as_secs_f64() / 3600.0;
        if let Some(file) = &mut scores {
            file.write(&channel, &ids, &outcome)?;
        }
        if !arguments.json {
            println!(
                "{channel}: {} recordings, {:.2} h, {:.2} h of speech, {} phrases",
                list.recordings.len(),
                hours,
                outcome.net_speech.as_secs_f64() / 3600.0,
                ids.len()
            );
        }
        let systems = match engine {
            PhraseEngine::Moonshine { .. } => vec![
                (OURS, &outcome.fused, own.clone()),
                ("decoder alone", &outcome.decoder, vec![DECODER_ALONE; ids.len()]),
                ("exact transcript", &outcome.exact, vec![0.0; ids.len()]),
            ],
            PhraseEngine::Sherpa(_) => vec![("sherpa", &outcome.fused, own.clone())],
        };
        for (system, detections, thresholds) in systems {
            // The others stand beside it as a measure.
            let by_phrase = spotter.as_ref().filter(|_| arguments.by_phrase && system == OURS);
            let report = Report { system, detections, thresholds: &thresholds, hours };
            if arguments.json {
                let mut document = report.document();
                document["channel"] = json!(channel.to_string());
                document["speech_hours"] = json!(outcome.net_speech.as_secs_f64() / 3600.0);
                if let Some(spotter) = by_phrase {
                    document["phrases"] = json!(report.by_phrase(&policy, spotter));
                }
                documents.push(document);
            } else {
                report.print();
                if let Some(spotter) = by_phrase {
                    report.print_by_phrase(&policy, spotter);
                }
            }
            if let Some(curve) = report.curve() {
                curves.push((format!("{system}, {channel}"), curve));
            }
        }
    }
    if let Some(file) = &arguments.svg {
        if curves.is_empty() {
            return Err("nothing to draw: no phrase of the policy is said in the list".into());
        }
        std::fs::write(file, keyword_report::plot(&curves).svg())
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    if arguments.json {
        println!("{}", json!({ "phrases": ids, "rows": documents }));
    } else if !curves.is_empty() {
        println!();
        keyword_report::plot(&curves).text().lines().for_each(|line| println!("{line}"));
    }
    Ok(Outcome::Done)
}

/// The score that each phrase needs, nats; of a probability that is 0 none is too low.
fn own_thresholds(
    engine: &PhraseEngine,
    policy: &Policy,
    threshold: f32,
) -> Result<Vec<f32>, Refusal> {
    Ok(match engine {
        PhraseEngine::Moonshine { spotter, .. } => thresholds(policy, spotter, threshold)?,
        PhraseEngine::Sherpa(engine) => {
            engine.thresholds().iter().map(|probability| probability.ln().max(f32::MIN)).collect()
        }
    })
}
