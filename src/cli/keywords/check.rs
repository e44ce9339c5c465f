//! `sidetone keywords check`: which phrases of a policy an administrator can trust.

use std::path::PathBuf;
use std::sync::Arc;

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde::Serialize;

use crate::audio::channel::Channel;
use crate::cli::eval::setup::Progress;
use crate::cli::{Outcome, Places, Refusal, println};
use crate::config::{self, ConfigError};
use crate::keyword::detections::poisson;
use crate::keyword::phones::{PhoneId, SYMBOLS};
use crate::keyword::spotter::Spotter;
use crate::policy::phrase_check::{Facts, Warning, check, in_background};
use crate::policy::rule::{Policy, WatchedPhrase};
use crate::policy::sensitivity::Sensitivity;
use crate::runtime::installed::Installed;
use crate::runtime::phrase_engine::PhraseEngine;
use crate::runtime::phrase_list::PhraseList;
use crate::runtime::recordings::recordings;
use crate::runtime::spotting_run;
use crate::runtime::trial_run::LoadedNoises;

/// Frequent words that a phrase may be taken for: rarer ones are hardly said in a call.
const COMMON_WORDS: usize = 4_000;

/// Arguments of `sidetone keywords check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Expected false alarms are of phrases of that length in read English, in an hour of one leg's speech; \
    single phrases\ndiffer by a factor of three and more. With --background the phrases are searched for in recordings in which \
    nobody\nsays them (wav, flac, ogg; folders within are read too), as a call by G.711 mu-law would bring them.\n\n\
    Examples:\n  \
    sidetone keywords check --policy /etc/sidetone/policy.toml\n  \
    sidetone keywords check --policy policy.toml --background recordings/\n  \
    sidetone keywords check --policy policy.toml --json | jq '.warnings[].message'\n\n\
    Exit code 1 if there is anything to warn of."
)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
    /// The phrases.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Count false alarms in the recordings of this folder.
    #[arg(long, value_name = "FOLDER")]
    background: Option<PathBuf>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Document {
    policy: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    background: Option<Background>,
    phrases: Vec<Row>,
    warnings: Vec<Told>,
}

/// What was searched.
#[derive(Clone, Copy, Debug, Serialize)]
struct Background {
    recordings: usize,
    hours: f64,
    speech_hours: f64,
}

/// One phrase.
#[derive(Debug, Serialize)]
struct Row {
    id: String,
    line: usize,
    text: String,
    sensitivity: Sensitivity,
    /// Of the shortest way to say it.
    phones: Option<usize>,
    /// Of the shortest spelling.
    tokens: usize,
    spellings: Vec<String>,
    /// How it is said, in IPA.
    pronunciations: Vec<String>,
    /// The file by which alone it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    examples: Option<PathBuf>,
    /// Words of it that the policy says how to say.
    by_hand: Vec<String>,
    /// Words that nobody knows how to say.
    missing: Vec<String>,
    threshold: f32,
    /// In an hour of one leg's speech.
    expected_false_alarms_per_hour: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    background: Option<Counted>,
}

/// How often a phrase was found in the background.
#[derive(Clone, Copy, Debug, Serialize)]
struct Counted {
    found: usize,
    /// Of these, where the transcript has the very words: somebody may have said them.
    exact: usize,
    /// In an hour of speech, and its 95 % interval (Poisson).
    per_hour: f64,
    per_hour_interval: (f64, f64),
}

#[derive(Debug, Serialize)]
struct Told {
    phrase: String,
    file: PathBuf,
    line: usize,
    kind: &'static str,
    message: String,
}

/// Checks.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let (config, _) = arguments.places.load()?;
    let text = std::fs::read_to_string(&arguments.policy)
        .map_err(|error| ConfigError::Unreadable { file: arguments.policy.clone(), error })?;
    let policy = config::parse_policy(&arguments.policy, &text)?;
    let files = arguments.background.as_deref().map(recordings).transpose()?;
    let installed = arguments.places.installed(&config)?;
    let spotter = installed.spotter(&policy, config.keyword.threshold)?;
    let facts = installed.phrase_facts(&policy, &spotter)?;
    let mut warnings = check(&policy, &facts, &installed.common_words(COMMON_WORDS)?);
    // What is known of words and of false alarms is known of English.
    warnings.retain(|warning| policy.phrases[warning.phrase].experiment().is_none());
    let searched =
        files.map(|files| search(files, &installed, Arc::clone(&spotter))).transpose()?;
    if let Some((background, counted)) = &searched {
        warnings.extend(counted.iter().enumerate().filter_map(|(place, counted)| {
            let rate = (counted.found, background.speech_hours, counted.per_hour_interval.0);
            in_background(&policy, place, rate)
        }));
        warnings.sort_by_key(|warning| warning.phrase);
    }
    let row = |(place, (watched, facts)): (usize, (&WatchedPhrase, &Facts))| {
        let counted = searched.as_ref().map(|(_, counted)| counted[place]);
        Row::of(&policy, watched, facts, spotter.tokens_of(place), counted)
    };
    let document = Document {
        policy: format!("{}@{}", policy.name, policy.version),
        background: searched.as_ref().map(|(background, _)| *background),
        phrases: policy.phrases.iter().zip(&facts).enumerate().map(row).collect(),
        warnings: warnings.iter().map(|warning| Told::of(warning, &policy)).collect(),
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        document.print();
    }
    Ok(if warnings.is_empty() { Outcome::Done } else { Outcome::Problem })
}

/// Searches recordings in which nobody says a phrase; by phrase how often it was found.
fn search(
    files: Vec<PathBuf>,
    installed: &Installed,
    spotter: Arc<Spotter>,
) -> Result<(Background, Vec<Counted>), Refusal> {
    let phrases = spotter.phrases().len();
    let mut engine = PhraseEngine::Moonshine { model: Box::new(installed.moonshine()?), spotter };
    let mut progress = Progress::new("background".to_owned(), files.len());
    let list =
        PhraseList { recordings: files.into_iter().map(|file| (file, Vec::new())).collect() };
    let quiet = LoadedNoises { talkers: Vec::new(), own: None };
    let carried = (Channel::Mulaw, &quiet, 1);
    let outcome =
        spotting_run::run(&list, carried, (phrases, &mut engine), |done| progress.show(done))?;
    progress.finish();
    let speech_hours = outcome.net_speech.as_secs_f64() / 3600.0;
    if speech_hours == 0.0 {
        return Err("nobody speaks in the background's recordings".into());
    }
    let counted = outcome.found.iter().map(|found| {
        let (low, high) = poisson(found.times);
        Counted {
            found: found.times,
            exact: found.exact,
            per_hour: found.times as f64 / speech_hours,
            per_hour_interval: (low / speech_hours, high / speech_hours),
        }
    });
    let hours = outcome.length.as_secs_f64() / 3600.0;
    let background = Background { recordings: list.recordings.len(), hours, speech_hours };
    Ok((background, counted.collect()))
}

impl Row {
    fn of(
        policy: &Policy,
        watched: &WatchedPhrase,
        facts: &Facts,
        tokens: usize,
        background: Option<Counted>,
    ) -> Self {
        let spell = |way: &Vec<PhoneId>| {
            way.iter().map(|id| SYMBOLS[*id as usize]).collect::<Vec<_>>().join(" ")
        };
        let words = facts.phrase.spoken_forms().first().into_iter().flatten();
        Self {
            id: watched.id.clone(),
            line: watched.place.line,
            text: facts.phrase.text().to_owned(),
            sensitivity: watched.sensitivity,
            phones: facts.shape.map(|shape| shape.phones),
            tokens,
            spellings: facts.phrase.spellings().to_vec(),
            pronunciations: facts.ways.iter().map(spell).collect(),
            examples: watched.examples.clone(),
            by_hand: words
                .filter(|word| policy.pronunciations.contains_key(*word))
                .cloned()
                .collect(),
            missing: facts.missing.clone(),
            threshold: facts.threshold,
            expected_false_alarms_per_hour: facts.expected_per_hour(),
            background,
        }
    }

    /// Where its pronunciation comes from.
    fn pronounced(&self) -> String {
        if self.examples.is_some() {
            return "examples".to_owned();
        }
        let named = |words: &[String]| words.join(" ");
        match (&self.missing[..], &self.by_hand[..]) {
            ([], []) => "lexicon".to_owned(),
            ([], by_hand) => format!("by hand: {}", named(by_hand)),
            (missing, _) => format!("missing: {}", named(missing)),
        }
    }
}

impl Told {
    fn of(warning: &Warning, policy: &Policy) -> Self {
        let watched = &policy.phrases[warning.phrase];
        Self {
            phrase: watched.id.clone(),
            file: watched.place.file.clone(),
            line: watched.place.line,
            kind: warning.fault.kind(),
            message: warning.to_string(),
        }
    }
}

impl Document {
    fn print(&self) {
        let width = self.phrases.iter().map(|row| row.id.len()).max().unwrap_or(0).max(6);
        let counted = if self.background.is_some() { "  found in an hour [95 %]" } else { "" };
        println!(
            "{:width$}  phones  tokens  spellings  ways  threshold  expected an hour  {:<10}{counted}",
            "phrase", "said by"
        );
        for row in &self.phrases {
            let phones = row.phones.map_or("-".to_owned(), |phones| phones.to_string());
            let expected = row
                .expected_false_alarms_per_hour
                .map_or("-".to_owned(), |expected| format!("{expected:.4}"));
            let counted = row.background.map_or(String::new(), |counted| {
                let (low, high) = counted.per_hour_interval;
                let Counted { found, exact, per_hour, .. } = counted;
                format!("  {per_hour:.2} [{low:.2} {high:.2}]: {found}, {exact} of them exact")
            });
            println!(
                "{:width$}  {phones:>6}  {:>6}  {:>9}  {:>4}  {:>9.2}  {expected:>16}  {:<10}{counted}",
                row.id,
                row.tokens,
                row.spellings.len(),
                row.pronunciations.len(),
                row.threshold,
                row.pronounced(),
            );
        }
        if let Some(Background { recordings, hours, speech_hours }) = self.background {
            println!(
                "background: {recordings} recordings, {hours:.2} h, {speech_hours:.2} h of speech"
            );
        }
        let style = Style::new().fg_color(Some(AnsiColor::Yellow.into()));
        for told in &self.warnings {
            println!("{style}{}{style:#}", told.message);
        }
        match self.warnings.len() {
            0 => println!("good: nothing to warn of"),
            1 => println!("1 warning"),
            n => println!("{n} warnings"),
        }
    }
}
