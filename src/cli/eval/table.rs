//! The figures of an evaluation, as rows and as files of scores.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::audio::channel::Channel;
use crate::cli::{Outcome, Refusal, println};
use crate::runtime::trial_run::Scored;
use crate::speaker::trials::{Measures, Trial, at, eer_interval, measure};
use crate::speaker::verifier::Settings;

/// Drawings of speakers behind an interval.
const ROUNDS: usize = 200;

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    system: String,
    channel: String,
    seconds: f64,
    #[serde(flatten)]
    measures: Option<Measures>,
    eer_interval: Option<(f64, f64)>,
    /// At the configured error rates; only where scores are log-likelihood ratios.
    false_accept: Option<f64>,
    false_reject: Option<f64>,
}

/// Ratio from which a claim is accepted, nats: Wald's bound.
pub fn threshold(settings: &Settings) -> f64 {
    let (alpha, beta) = (settings.false_accept.probability(), settings.false_reject.probability());
    ((1.0 - beta) / alpha).ln()
}

impl Row {
    /// A row of trials whose scores are log-likelihood ratios.
    pub fn of(system: &str, channel: &str, seconds: f64, trials: &[Trial], threshold: f64) -> Self {
        let point = at(trials, threshold);
        Self {
            false_accept: Some(point.false_accept),
            false_reject: Some(point.false_reject),
            ..Self::raw(system, channel, seconds, trials)
        }
    }

    /// A row of trials with scores of any kind.
    pub fn raw(system: &str, channel: &str, seconds: f64, trials: &[Trial]) -> Self {
        Self {
            system: system.to_owned(),
            channel: channel.to_owned(),
            seconds,
            measures: measure(trials).ok(),
            eer_interval: eer_interval(trials, ROUNDS, 1),
            false_accept: None,
            false_reject: None,
        }
    }
}

/// Prints the rows.
pub fn print(rows: &[Row], threshold: f64, settings: &Settings) {
    println!(
        "{:<12} {:<10} {:>4} {:>12}  {:<22} {:>6} {:>6} {:>6} {:>6}  {:>9} {:>9}",
        "system",
        "channel",
        "s",
        "trials",
        "EER % [95 %]",
        "DCF.01",
        ".001",
        "Cllr",
        "min",
        "accept*",
        "miss*"
    );
    for row in rows {
        let Row { system, channel, seconds, .. } = row;
        let Some(m) = &row.measures else {
            println!("{system:<12} {channel:<10} {seconds:>4} too few trials of one kind");
            continue;
        };
        let interval = row.eer_interval.map_or(String::new(), |(low, high)| {
            format!("[{:.2} {:.2}]", 100.0 * low, 100.0 * high)
        });
        let per_1000 =
            |rate: Option<f64>| rate.map_or("-".to_owned(), |rate| format!("{:.2}", 1e3 * rate));
        // The cost of scores that are no ratios says nothing.
        let cllr = row.false_accept.map_or("-".to_owned(), |_| format!("{:.4}", m.cllr));
        println!(
            "{system:<12} {channel:<10} {seconds:>4} {:>12}  {:<22} {:>6.3} {:>6.3} {cllr:>6} {:>6.4}  {:>9} {:>9}",
            format!("{}/{}", m.targets, m.others),
            format!("{:.2} {interval}", 100.0 * m.eer),
            m.min_dcf_01,
            m.min_dcf_001,
            m.min_cllr,
            per_1000(row.false_accept),
            per_1000(row.false_reject),
        );
    }
    println!(
        "* of 1000 calls of impostors so many would be accepted, and of 1000 of the speakers themselves so \
         many not yet, on this speech alone, at an LLR of {threshold:.2} (false_accept {}, false_reject {})",
        settings.false_accept, settings.false_reject
    );
}

/// A problem where no row has a figure.
pub fn outcome(rows: &[Row]) -> Outcome {
    if rows.iter().any(|row| row.measures.is_some()) { Outcome::Done } else { Outcome::Problem }
}

/// One line of a file of scores. Another system's file needs no column but those up to the score.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    trial: usize,
    piece: usize,
    channel: String,
    seconds: f64,
    target: bool,
    score: f64,
    #[serde(default)]
    decide: Option<f32>,
    #[serde(default)]
    watch: Option<f32>,
    #[serde(default)]
    range_db: Option<f64>,
    #[serde(default)]
    upper_db: Option<f64>,
    #[serde(default)]
    concealed: Option<f64>,
    #[serde(default)]
    enrol_speaker: String,
    #[serde(default)]
    test_speaker: String,
}

/// Writes scores, a line a trial: its place in the file of trials and its piece of the recording, both from 0,
/// channel, seconds, truth, score; what the score was made of (mean cosines by the deciding and by the watching
/// embedder, empty where it compared nothing, mean range and upper edge in dB, largest share that was lost); and
/// who was enrolled and who spoke, by their names in `speakers`.
pub fn write_scores(
    file: &Path,
    speakers: &[String],
    scored: &[(Channel, f64, Scored)],
) -> Result<(), Refusal> {
    let unwritable = |error| format!("cannot write {}: {error}", file.display());
    let mut writer = csv::Writer::from_path(file).map_err(unwritable)?;
    for (channel, seconds, Scored { place, piece, trial, likeness, conditions }) in scored {
        let line = Line {
            trial: *place,
            piece: *piece,
            channel: channel.to_string(),
            seconds: *seconds,
            target: trial.target,
            score: trial.score,
            decide: likeness.decide,
            watch: likeness.watch,
            range_db: Some(conditions.range_db),
            upper_db: Some(conditions.upper_db),
            concealed: Some(conditions.concealed),
            enrol_speaker: speakers[trial.speakers.0].clone(),
            test_speaker: speakers[trial.speakers.1].clone(),
        };
        writer.serialize(line).map_err(unwritable)?;
    }
    writer.flush().map_err(|error| unwritable(error.into()))?;
    Ok(())
}

/// Another system's scores.
#[derive(Debug)]
pub struct Scores {
    file: String,
    of: HashMap<(usize, usize, String, String), f64>,
}

impl Scores {
    /// Reads a file as [`write_scores`] makes it, with or without what its scores were made of.
    pub fn read(file: &Path) -> Result<Self, Refusal> {
        let bad = |error| format!("{}: {error}", file.display());
        let mut of = HashMap::new();
        for line in csv::Reader::from_path(file).map_err(bad)?.deserialize() {
            let Line { trial, piece, channel, seconds, score, .. } = line.map_err(bad)?;
            of.insert((trial, piece, channel, seconds.to_string()), score);
        }
        Ok(Self { file: file.display().to_string(), of })
    }

    /// The score of one trial.
    pub fn of(&self, scored: &Scored, channel: &str, seconds: f64) -> Result<f64, Refusal> {
        let (trial, piece) = (scored.place, scored.piece);
        let key = (trial, piece, channel.to_owned(), seconds.to_string());
        let score = self.of.get(&key).copied();
        Ok(score.ok_or_else(|| {
            let Self { file, .. } = self;
            format!("{file} has no score of trial {trial}, piece {piece}, by {channel} after {seconds} s")
        })?)
    }
}
