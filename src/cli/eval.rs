//! `sidetone eval`: how good decisions are, on recordings whose truth is known.

pub mod det;
pub mod keyword_report;
pub mod keyword_scores;
pub mod keywords;
pub mod plot;
pub mod setup;
pub mod table;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::audio::channel::Channel;
use crate::cli::eval::setup::Setup;
use crate::cli::eval::table::{Row, Scores};
use crate::cli::{Outcome, Refusal, println};
use crate::runtime::trial_run::{self, Plan, Scored};
use crate::speaker::trials::{Trial, curve};

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The speaker decision, by trials.
    Speaker(Box<Arguments>),
    /// Phrases, by recordings in which they are said or not.
    Keywords(Box<keywords::Arguments>),
}

/// Arguments of `sidetone eval speaker`.
#[derive(Debug, Args)]
#[command(after_help = "The file of trials is CSV with the header\n  \
    enrol,test,label,enrol_speaker,test_speaker\n\
    label is target or nontarget; enrol may name several recordings, with ; between them; paths count\n\
    from the file's folder. Enrolments are coded as mu-law, as `sidetone enroll` does; what is compared\n\
    with them comes by each --channel. The pooled row has one threshold over all channels. Intervals are\n\
    of 95 %, by drawing speakers anew. A recording is compared in pieces of so much net speech.\n\n\
    Examples:\n  \
    sidetone eval speaker --trials trials.csv\n  \
    sidetone eval speaker --trials trials.csv --seconds 2 --seconds 5 --channel mulaw --channel opus16\n  \
    sidetone eval speaker --trials trials.csv --channel babble10 --babble others/ --svg det.svg --json")]
pub struct Arguments {
    #[command(flatten)]
    setup: Setup,
    /// Net speech that is compared, seconds; repeatable.
    #[arg(long, value_name = "S", default_value = "3", value_parser = setup::seconds)]
    seconds: Vec<f64>,
    /// Draw the pooled DET curves into this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write every trial's score, and what it was made of, into this file, as CSV.
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
    /// Show another system's scores of the same trials beside ours; a file as --scores writes it. Repeatable.
    #[arg(long, value_name = "NAME=FILE", value_parser = beside)]
    beside: Vec<(String, PathBuf)>,
    /// Write what was compared as WAV files into this folder, for another system to score.
    #[arg(long, value_name = "FOLDER")]
    write_audio: Option<PathBuf>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// NAME=FILE.
fn beside(text: &str) -> Result<(String, PathBuf), String> {
    let (name, file) = text.split_once('=').ok_or("write NAME=FILE")?;
    Ok((name.to_owned(), file.into()))
}

/// Runs a subcommand.
pub fn run(command: &Command) -> Result<Outcome, Refusal> {
    match command {
        Command::Speaker(arguments) => speaker(arguments),
        Command::Keywords(arguments) => keywords::run(arguments),
    }
}

fn speaker(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let mut bench = arguments.setup.open()?;
    let settings = bench.config.speaker.decision();
    let threshold = table::threshold(&settings);
    let mut rows = Vec::new();
    let mut written = Vec::new();
    let mut unscored = (0, 0, 0);
    for &seconds in &arguments.seconds {
        let mut pooled = Vec::new();
        for &channel in &arguments.setup.channel {
            let plan = plan(&arguments.setup, channel, seconds, &bench);
            if let Some(folder) = &arguments.write_audio {
                bench.write_audio(folder, &plan)?;
            }
            let outcome = bench.run(&plan)?;
            unscored = (
                unscored.0 + outcome.short,
                unscored.1 + outcome.unenrolled,
                unscored.2 + outcome.unfit,
            );
            let trials: Vec<Trial> = outcome.scored.iter().map(|scored| scored.trial).collect();
            rows.push(Row::of("sidetone", &channel.to_string(), seconds, &trials, threshold));
            written.extend(outcome.scored.iter().map(|scored| (channel, seconds, *scored)));
            pooled.extend(trials);
        }
        if arguments.setup.channel.len() > 1 {
            rows.push(Row::of("sidetone", "pooled", seconds, &pooled, threshold));
        }
    }
    if let Some(file) = &arguments.scores {
        table::write_scores(file, &bench.list.speakers, &written)?;
    }
    let ours: Vec<Trial> = written.iter().map(|(.., scored)| scored.trial).collect();
    let mut curves = vec![("sidetone".to_owned(), curve(&ours))];
    for (name, file) in &arguments.beside {
        let scores = Scores::read(file)?;
        let trials = |wanted: &dyn Fn(&Channel, f64) -> bool| -> Result<Vec<Trial>, Refusal> {
            let of = written.iter().filter(|(channel, seconds, _)| wanted(channel, *seconds));
            of.map(|(channel, seconds, scored)| other(&scores, channel, *seconds, scored)).collect()
        };
        for &seconds in &arguments.seconds {
            for channel in &arguments.setup.channel {
                let trials = trials(&|c, s| c == channel && s == seconds)?;
                rows.push(Row::raw(name, &channel.to_string(), seconds, &trials));
            }
            if arguments.setup.channel.len() > 1 {
                rows.push(Row::raw(name, "pooled", seconds, &trials(&|_, s| s == seconds)?));
            }
        }
        curves.push((name.clone(), curve(&trials(&|_, _| true)?)));
    }
    if let Some(file) = &arguments.svg {
        std::fs::write(file, det::plot(&curves).svg())
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    let enrolled = bench.prints.iter().filter(|print| print.is_ok()).count();
    if arguments.json {
        println!(
            "{}",
            json!({
                "enrolled": enrolled,
                "not_enrolled": bench.prints.len() - enrolled,
                "trials_too_short": unscored.0,
                "trials_not_enrolled": unscored.1,
                "trials_unfit": unscored.2,
                "threshold_llr": threshold,
                "rows": rows,
            })
        );
        return Ok(table::outcome(&rows));
    }
    table::print(&rows, threshold, &settings);
    println!(
        "{enrolled} of {} enrolments; left out, in all rows together: {} trials with too little speech, {} of \
         somebody not enrolled, {} on a line too poor to be scored",
        bench.prints.len(),
        unscored.0,
        unscored.1,
        unscored.2
    );
    if arguments.setup.channel.iter().any(|channel| matches!(channel, Channel::Kitchen(_))) {
        println!("the kitchen is synthetic: water, a fan and struck dishes, from the seed");
    }
    for refused in bench.refusals() {
        println!("  {refused}");
    }
    println!();
    det::plot(&curves).text().lines().for_each(|line| println!("{line}"));
    Ok(table::outcome(&rows))
}

fn plan(setup: &Setup, channel: Channel, seconds: f64, bench: &setup::Bench) -> Plan {
    Plan {
        enrol: setup.enrol(),
        test: Duration::from_secs_f64(seconds),
        channel,
        seed: setup.seed,
        calibration: bench.calibration,
    }
}

/// Another system's score of one of our trials.
fn other(
    scores: &Scores,
    channel: &Channel,
    seconds: f64,
    scored: &Scored,
) -> Result<Trial, Refusal> {
    let score = scores.of(scored, &channel.to_string(), seconds)?;
    Ok(Trial { score, ..scored.trial })
}

impl setup::Bench {
    /// Runs all trials of one plan, and shows how far it is.
    fn run(&mut self, plan: &Plan) -> Result<trial_run::Outcome, Refusal> {
        let all = self.list.tests.len();
        let mut progress = setup::Progress::new(format!("{} {:?}", plan.channel, plan.test), all);
        let (list, prints, noises) = (&self.list, &self.prints, &self.noises);
        let models = (&mut self.voices, &self.names);
        let outcome =
            trial_run::run(list, prints, models, plan, noises, |done| progress.show(done))?;
        progress.finish();
        Ok(outcome)
    }
}
