//! One file per subcommand: arguments -> work -> exit code.
#![expect(clippy::disallowed_methods, reason = "this is where a person is spoken to")]

pub mod actor;
pub mod analyze;
pub mod audit;
pub mod calibrate;
pub mod call;
pub mod check;
pub mod completions;
pub mod consent;
pub mod demo;
pub mod doctor;
pub mod enroll;
pub mod eval;
pub mod keywords;
pub mod manual;
pub mod models;
pub mod moment;
pub mod output;
pub mod person;
pub mod progress;
pub mod serve;
pub mod token;
pub mod vault;
pub mod voiceprint;

use std::fmt;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::call::facts::LONGEST;
use crate::config::{self, Config, ConfigError};
use crate::policy::rule::Policy;
use crate::runtime::installed::{Installed, InstalledError};
use crate::runtime::onnx_telemetry;

/// A silent SIP participant: verifies the caller's voice, spots compliance phrases, tells the PBX.
#[derive(Debug, Parser)]
#[command(
    name = "sidetone",
    version,
    after_help = "Exit codes: 0 done, 1 the work found a problem, 2 bad use or configuration.\n\n\
        Examples:\n  \
        sidetone demo\n  \
        sidetone models fetch && sidetone vault init && sidetone check && sidetone serve\n  \
        sidetone call 8000 --account asterisk --party agent\n  \
        sidetone analyze call.pcapng recording.ogg\n  \
        sidetone enroll --subject customer-4711 --consent ivr-2026-11-23/88 enrolment.wav"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play calls of real speech to an appliance on loopback and show what it finds.
    Demo(demo::Arguments),
    /// Run the appliance until SIGTERM or SIGINT.
    Serve(serve::Arguments),
    /// Have the running appliance call a conference or a tap.
    Call(call::Arguments),
    /// Make a token for the API.
    Token(token::Arguments),
    /// Check configuration, policy and models without starting anything.
    Check(check::Arguments),
    /// Look for what stands in the way of calls on this machine, and say what to do about it.
    Doctor(doctor::Arguments),
    /// Analyse captures and recordings, faster than real time.
    Analyze(analyze::Arguments),
    /// Verify, show and hand out the audit trail; run rules over kept conversations.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Record what somebody agreed to, look at it, and take it back.
    #[command(subcommand)]
    Consent(consent::Command),
    /// Make a voiceprint of a person who agreed to it.
    Enroll(enroll::Arguments),
    /// List, show, hand out, erase, hold, revert, migrate and import what is kept of voices.
    #[command(subcommand)]
    Voiceprint(voiceprint::Command),
    /// Make and look after the vault: its keys, its database, and how long it keeps.
    #[command(subcommand)]
    Vault(vault::Command),
    /// Tell what phrases are worth before they are watched.
    #[command(subcommand)]
    Keywords(keywords::Command),
    /// Measure how good decisions are on recordings whose truth is known.
    #[command(subcommand)]
    Eval(eval::Command),
    /// Fit the site's own calibration to recordings whose truth is known.
    Calibrate(calibrate::Arguments),
    /// List, fetch and verify the models.
    #[command(subcommand)]
    Models(models::Command),
    /// Print the completions for a shell.
    Completions(completions::Arguments),
    /// Write the manual pages, as the package has them.
    #[command(hide = true)]
    Manual(manual::Arguments),
}

/// Where the configuration is, unless somebody says otherwise.
const CONFIG: &str = "/etc/sidetone/sidetone.toml";

/// Where configuration and models are; the same for every subcommand that needs them.
#[derive(Clone, Debug, Args)]
pub struct Places {
    /// Configuration file.
    #[arg(long, env = "SIDETONE_CONFIG", default_value = CONFIG)]
    pub config: PathBuf,
    /// Folder of the fetched models, instead of the one that the configuration names.
    #[arg(long, env = "SIDETONE_MODELS", value_name = "FOLDER")]
    pub models: Option<PathBuf>,
    /// ONNX Runtime's library, instead of the fetched one.
    #[arg(long, env = "ORT_DYLIB_PATH", value_name = "FILE")]
    pub onnxruntime: Option<PathBuf>,
}

impl Places {
    /// Reads the configuration and the policy that it names.
    pub fn load(&self) -> Result<(Config, Policy), ConfigError> {
        let read = |file: &PathBuf| {
            std::fs::read_to_string(file)
                .map_err(|error| ConfigError::Unreadable { file: file.clone(), error })
        };
        let mut config = Config::parse(&self.config, &read(&self.config)?)?;
        if let Some(folder) = &self.models {
            config.models.folder.clone_from(folder);
        }
        let policy = config::parse_policy(&config.keyword.policy, &read(&config.keyword.policy)?)?;
        config.notify.check_doers(&policy)?;
        Ok((config, policy))
    }

    /// Proves the models that `config` names.
    pub fn installed(&self, config: &Config) -> Result<Installed, InstalledError> {
        Installed::open(&config.models.folder, self.onnxruntime.clone())
            .and_then(|installed| installed.choose(&config.models))
            .and_then(|installed| installed.choose_engine(&config.keyword))
    }
}

/// A subject that a call can claim: X-Sidetone-Subject is read without the spaces around it, and
/// an empty one claims nobody.
fn subject(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("the subject is empty".to_owned()),
        text if text.len() > LONGEST => Err(format!("the subject is longer than {LONGEST} bytes")),
        text => Ok(text.to_owned()),
    }
}

/// What a subcommand came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Exit code 0.
    Done,
    /// Exit code 1: the work itself found a problem, and has said which.
    Problem,
}

/// Bad use or configuration, exit code 2: one sentence for the person who can mend it.
type Refusal = Box<dyn std::error::Error + Send + Sync>;

/// Runs the command line that the process was started with.
pub fn run() -> ExitCode {
    // Before anything else, since it begins anew where it has to.
    if let Err(error) = onnx_telemetry::switch_off() {
        let wanted = onnx_telemetry::VARIABLE;
        let _ =
            writeln!(anstream::stderr(), "sidetone: cannot begin anew with {wanted}=1: {error}");
        return ExitCode::from(2);
    }
    let outcome = match Cli::parse().command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Call(arguments) => call::run(&arguments),
        Command::Token(arguments) => token::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Analyze(arguments) => analyze::run(&arguments),
        Command::Audit(command) => audit::run(&command),
        Command::Consent(command) => consent::run(&command),
        Command::Enroll(arguments) => enroll::run(&arguments),
        Command::Voiceprint(command) => voiceprint::run(&command),
        Command::Vault(command) => vault::run(&command),
        Command::Keywords(command) => keywords::run(&command),
        Command::Eval(command) => eval::run(&command),
        Command::Calibrate(arguments) => calibrate::run(&arguments),
        Command::Models(command) => models::run(&command),
        Command::Completions(arguments) => Ok(completions::run(&arguments, Cli::command())),
        Command::Manual(arguments) => manual::run(&arguments, Cli::command()),
    };
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Problem) => ExitCode::from(1),
        Err(refusal) => {
            // Nobody may be there to read it; the exit code says it too.
            let _ = writeln!(anstream::stderr(), "sidetone: {refusal}");
            ExitCode::from(2)
        }
    }
}

/// `println!` for results: one whose reader went away (`| head -1`) does not panic.
macro_rules! line {
    () => { $crate::cli::print_line(format_args!("")) };
    ($($text:tt)*) => { $crate::cli::print_line(format_args!($($text)*)) };
}
pub(crate) use line as println;

/// A reader that has seen enough misses the rest and nothing else: the work goes on, and the exit
/// code still tells how it went. Results that cannot be written for another reason are a failure.
pub(crate) fn print_line(text: fmt::Arguments<'_>) {
    let written = writeln!(anstream::stdout().lock(), "{text}");
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _ = writeln!(anstream::stderr(), "sidetone: cannot write to standard output: {error}");
        std::process::exit(2);
    }
}

/// Log lines go to standard error, so that standard output holds results alone; `SIDETONE_LOG`
/// filters them (`info`, `debug`, `info,ort=info`). Of ONNX Runtime, which notes every allocation
/// at `info`, only warnings are shown until it is asked for by name.
fn start_log(level: &str) {
    let filter = |wanted: &str| EnvFilter::try_new(format!("ort=warn,{wanted}"));
    let filter = std::env::var("SIDETONE_LOG")
        .ok()
        .and_then(|wanted| filter(&wanted).ok())
        .unwrap_or_else(|| filter(level).expect("the levels in this crate are well-formed"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}
