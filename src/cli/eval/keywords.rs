//! `sidetone eval keywords`: how many phrases are found, and how many that nobody said.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::audio::channel::Channel;
use crate::cli::eval::keyword_scores::ScoreFile;
use crate::cli::eval::setup::Progress;
use crate::cli::{Outcome, Places, Refusal, println};
use crate::config::{self, ConfigError};
use crate::keyword::detections::{Detection, Operating, at, curve, safe_threshold, wilson};
use crate::policy::rule::Policy;
use crate::runtime::phrase_list::PhraseList;
use crate::runtime::spotting_run;
use crate::runtime::trial_run::{self, LoadedNoises};

/// How far above what was not said a threshold is put that is to be safe on other recordings, nats.
const MARGIN: f32 = 0.3;
/// Threshold of the decoder alone, nats: no false alarm in 1.7 h over 25 confusable phrases.
const DECODER_ALONE: f32 = -1.5;
/// False alarms an hour that the curve is told at.
const RATES: [f64; 4] = [0.0, 0.5, 1.0, 5.0];

/// Arguments of `sidetone eval keywords`.
#[derive(Debug, Args)]
#[command(after_help = "The list is CSV with the header\n  \
    recording,phrases\n\
    phrases are ids of the policy with ; between them, none where none is said; paths count from the list's folder.\n\
    Recall is of phrases in recordings; a false alarm is a phrase found in a recording that has it not. \"other half\" is\n\
    what the threshold that has no false alarm on every second recording, and a little more, does on the others, both ways.\n\n\
    Examples:\n  \
    sidetone eval keywords --policy policy.toml --list calls.csv\n  \
    sidetone eval keywords --policy policy.toml --list calls.csv --channel mulaw --channel opus16 --by-phrase --json")]
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
    /// A line for each phrase.
    #[arg(long)]
    by_phrase: bool,
    /// Write every score into this file, as CSV: a line for each phrase and recording in which anything spoke for it.
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
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
    let spotter =
        installed.spotter_for_evaluation(&policy, arguments.least, !arguments.without_phones)?;
    let spotter = if arguments.each_alone { spotter.each_alone() } else { spotter };
    let mut scores = arguments.scores.as_deref().map(ScoreFile::create).transpose()?;
    let mut model = installed.moonshine()?;
    let talkers = arguments.babble.as_deref().map(trial_run::talkers).transpose()?;
    let noises = LoadedNoises { talkers: talkers.unwrap_or_default(), own: None };
    let mut documents = Vec::new();
    for &channel in &arguments.channel {
        let mut progress = Progress::new(channel.to_string(), list.recordings.len());
        let carried = (channel, &noises, arguments.seed);
        let outcome = spotting_run::run(&list, carried, (&spotter, &mut model), |done| {
            progress.show(done);
        })?;
        progress.finish();
        let hours = outcome.length.as_secs_f64() / 3600.0;
        if let Some(file) = &mut scores {
            file.write(&channel, &spotter, &ids, &outcome)?;
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
        let own: Vec<f32> = policy
            .phrases
            .iter()
            .map(|phrase| phrase.threshold.unwrap_or(config.keyword.threshold))
            .collect();
        let systems = [
            ("phones and decoder", &outcome.fused, own.clone()),
            ("decoder alone", &outcome.decoder, vec![DECODER_ALONE; ids.len()]),
            ("exact transcript", &outcome.exact, vec![0.0; ids.len()]),
        ];
        for (system, detections, thresholds) in systems {
            let configured = configured(detections, &thresholds);
            let halves = halves(detections);
            if arguments.json {
                documents.push(json!({
                    "channel": channel.to_string(), "system": system, "hours": hours,
                    "configured": configured, "curve": curve(detections), "other_half": halves,
                }));
            } else {
                print(system, &configured, &halves, detections, hours);
            }
        }
        if arguments.by_phrase && !arguments.json {
            by_phrase(&policy, &outcome.fused, &own);
        }
    }
    if arguments.json {
        println!("{}", json!({ "phrases": ids, "rows": documents }));
    }
    Ok(Outcome::Done)
}

/// What a threshold for each phrase does; the first stands for all in the answer.
fn configured(detections: &[Detection], thresholds: &[f32]) -> Operating {
    let of_phrase = |(place, threshold): (usize, &f32)| {
        let of: Vec<Detection> =
            detections.iter().filter(|detection| detection.phrase == place).copied().collect();
        at(&of, *threshold)
    };
    let mut points = thresholds.iter().enumerate().map(of_phrase);
    let first = points.next().unwrap_or_else(|| at(&[], 0.0));
    points.fold(first, |sum, point| Operating {
        threshold: sum.threshold,
        said: sum.said + point.said,
        found: sum.found + point.found,
        false_alarms: sum.false_alarms + point.false_alarms,
    })
}

/// What the safe threshold of either half does on the other.
fn halves(detections: &[Detection]) -> [Operating; 2] {
    let half = |odd: bool| -> Vec<Detection> {
        detections.iter().filter(|d| (d.recording % 2 == 1) == odd).copied().collect()
    };
    let (even, odd) = (half(false), half(true));
    [at(&odd, safe_threshold(&even, MARGIN)), at(&even, safe_threshold(&odd, MARGIN))]
}

fn print(
    system: &str,
    configured: &Operating,
    halves: &[Operating; 2],
    detections: &[Detection],
    hours: f64,
) {
    if configured.said == 0 {
        return println!(
            "  {system:<18} at {:>5.2}: none was said, {} false alarms, {:.2} an hour",
            configured.threshold,
            configured.false_alarms,
            configured.false_alarms as f64 / hours
        );
    }
    let (low, high) = wilson(configured.recall(), configured.said);
    println!(
        "  {system:<18} at {:>5.2}: {:.3} [{low:.3} {high:.3}] of {}, {} false alarms, {:.2} an hour",
        configured.threshold,
        configured.recall(),
        configured.said,
        configured.false_alarms,
        configured.false_alarms as f64 / hours
    );
    let both = halves.map(|half| {
        format!(
            "{:.3} of {} and {} false alarms at {:.2}",
            half.recall(),
            half.said,
            half.false_alarms,
            half.threshold
        )
    });
    println!("  {:<18} other half: {}", "", both.join("; "));
    let points = curve(detections);
    let told = RATES.iter().filter_map(|rate| {
        let within = |point: &&Operating| point.false_alarms as f64 / hours <= *rate;
        let point = points.iter().rev().find(within)?;
        Some(format!("{:.3} at {rate}", point.recall()))
    });
    println!(
        "  {:<18} recall at false alarms an hour: {}",
        "",
        told.collect::<Vec<_>>().join(", ")
    );
}

fn by_phrase(policy: &Policy, detections: &[Detection], thresholds: &[f32]) {
    for (place, phrase) in policy.phrases.iter().enumerate() {
        let of: Vec<Detection> =
            detections.iter().filter(|detection| detection.phrase == place).copied().collect();
        let point = at(&of, thresholds[place]);
        println!(
            "    {:<24} {:>4} of {:>4}, {} false alarms",
            phrase.id, point.found, point.said, point.false_alarms
        );
    }
}
