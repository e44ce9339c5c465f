//! `sidetone keywords learn`: a phrase from recordings of it, with the threshold that it needs.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::cli::eval::setup::Progress;
use crate::cli::{Outcome, Places, Refusal, println};
use crate::keyword::detections::poisson;
use crate::keyword::example::{ExampleError, Examples, FEWEST, MOST};
use crate::runtime::example_file::{Calibrated, ExampleFile};
use crate::runtime::learning::{self, Recorded};
use crate::runtime::recordings::recordings;

/// Most false alarms an hour that somebody can want to expect.
const MOST_FALSE_ALARMS: f64 = 100.0;

/// Arguments of `sidetone keywords learn`.
#[derive(Debug, Args)]
#[command(
    after_help = "An experiment, for words that no dictionary has and for languages that are not known: names, slogans. \
    Examples are 3 to\n10 recordings of the phrase alone (wav, flac, ogg; 0.3 to 3 s of speech), of as many people as can be had, or \
    of\nsynthesised voices: espeak-ng, festival. The background is speech like that of the calls in which nobody says it, an \
    hour or more:\nthe threshold is the score that it reaches so often as is wanted. All of it is heard as a call by G.711 mu-law \
    would bring it.\nThe file holds no audio, but what was said can be told from it. A policy names it in place of other keys:\n  \
    [[phrase]]\n  id = \"greeting\"\n  text = \"grüezi mitenand\"\n  examples = \"greeting.phrase\"\n\n\
    Examples:\n  \
    sidetone keywords learn --phrase greeting --background calls/ --into greeting.phrase a.wav b.wav c.wav d.wav\n  \
    espeak-ng -v de -w a.wav \"grüezi mitenand\"\n\n\
    Exit code 1 if more than half of the examples are not found by the others: they have little in common."
)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
    /// Id of the phrase in the policy.
    #[arg(long, value_name = "ID")]
    phrase: String,
    /// Folder of recordings in which nobody says it.
    #[arg(long, value_name = "FOLDER")]
    background: PathBuf,
    /// File to write.
    #[arg(long, value_name = "FILE")]
    into: PathBuf,
    /// How often it may be found in an hour of one leg's speech in which nobody says it.
    #[arg(long, value_name = "N", default_value_t = 0.5, value_parser = rate)]
    false_alarms_per_hour: f64,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
    /// Recordings of the phrase.
    #[arg(value_name = "EXAMPLE", required = true)]
    examples: Vec<PathBuf>,
}

/// What was learned.
#[derive(Debug, Serialize)]
struct Document {
    phrase: String,
    file: PathBuf,
    examples: Vec<Row>,
    #[serde(flatten)]
    calibrated: Calibrated,
    /// 95 % interval of what the background has of it in an hour (Poisson).
    background_per_hour_interval: (f64, f64),
}

/// One example.
#[derive(Debug, Serialize)]
struct Row {
    file: PathBuf,
    /// Of the phrase in it.
    frames: usize,
    /// Whether the others find it, from the threshold on.
    found_by_the_others: bool,
}

/// A rate of false alarms.
fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| *rate > 0.0 && *rate <= MOST_FALSE_ALARMS);
    rate.ok_or_else(|| format!("a rate of false alarms is above 0 and at most {MOST_FALSE_ALARMS}"))
}

/// Learns, and writes the file.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let files = &arguments.examples;
    if !(FEWEST..=MOST).contains(&files.len()) {
        return Err(ExampleError::Number(files.len()).into());
    }
    let background = recordings(&arguments.background)?;
    let (config, _) = arguments.places.load()?;
    let installed = arguments.places.installed(&config)?;
    let mut model = installed.moonshine()?;
    let recorded: Vec<Recorded> =
        files.iter().map(|file| learning::record(&mut model, file)).collect::<Result<_, _>>()?;
    let said = recorded.iter().map(|recorded| recorded.phrase.clone()).collect();
    let examples = Examples::new(said)?;
    let mut progress = Progress::new("background".to_owned(), background.len());
    let tail = learning::tail(&mut model, &examples, &background, |done| progress.show(done))?;
    progress.finish();
    let wanted = arguments.false_alarms_per_hour;
    let threshold = tail.threshold_for(wanted);
    if threshold >= 0.0 {
        return Err(format!(
            "no score is as rare as {wanted} false alarms an hour: in {:.2} h of the background the phrase is found too \
             often and too well for that",
            tail.hours()
        )
        .into());
    }
    let calibrated = Calibrated {
        threshold,
        expected_false_alarms_per_hour: wanted,
        background_hours: tail.hours(),
        background_found: tail.count(threshold),
    };
    let found = learning::found_by_the_others(&recorded, threshold);
    let made = jiff::Timestamp::now();
    ExampleFile::of(&arguments.phrase, installed.ear(), &examples, calibrated, made)
        .write(&arguments.into)?;
    let (low, high) = poisson(calibrated.background_found);
    let row = |((file, recorded), found): ((&PathBuf, &Recorded), &bool)| Row {
        file: file.clone(),
        frames: recorded.phrase.frames(),
        found_by_the_others: *found,
    };
    let document = Document {
        phrase: arguments.phrase.clone(),
        file: arguments.into.clone(),
        examples: files.iter().zip(&recorded).zip(&found).map(row).collect(),
        calibrated,
        background_per_hour_interval: (low / tail.hours(), high / tail.hours()),
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        document.print(&arguments.into);
    }
    let missed = found.iter().filter(|found| !**found).count();
    Ok(if 2 * missed > found.len() { Outcome::Problem } else { Outcome::Done })
}

impl Document {
    fn print(&self, file: &Path) {
        for Row { file, frames, found_by_the_others } in &self.examples {
            let found = if *found_by_the_others { "found" } else { "not found" };
            println!("{}: {frames} frames, {found} by the others", file.display());
        }
        let Calibrated { threshold, expected_false_alarms_per_hour: wanted, .. } = self.calibrated;
        let Calibrated { background_hours: hours, background_found: times, .. } = self.calibrated;
        let (low, high) = self.background_per_hour_interval;
        println!(
            "threshold {threshold:.3} for {wanted} false alarms an hour: found {times} times in {hours:.2} h of the \
             background's speech, {low:.2} to {high:.2} an hour (95 %)"
        );
        // None in three times its inverse bounds a rate with 95 %.
        if wanted * hours < 3.0 {
            let enough = 3.0 / wanted;
            println!(
                "so few lie beyond that background, by the tail of its scores: {enough:.0} h would show them"
            );
        }
        println!("written to {}: an experiment, as every verdict of it will say", file.display());
    }
}
