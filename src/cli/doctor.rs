//! `sidetone doctor`: what stands in the way of calls on this machine, and what to do about it.

mod certificates;
mod clock;
mod disk;
mod finding;
mod neighbours;
mod running;
mod secrets;
mod sockets;
mod vault;

use clap::Args;
use serde_json::json;

use crate::cli::doctor::finding::{Finding, State};
use crate::cli::{Outcome, Places, Refusal, println, start_log};
use crate::config::Config;
use crate::policy::rule::Policy;
use crate::runtime::installed::Installed;
use crate::runtime::phrase_engine::{PhraseEngine, Purpose};

/// Arguments of `sidetone doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Looks at configuration, models, vault and keys, ports, clock, certificates, disk, and whether the PBX and the \
    receivers of verdicts answer. It changes nothing, and a running appliance is not disturbed. Run it as root or as the \
    service's user: others cannot read its keys. Accounts' registrars and those whom verdicts go to by MESSAGE are asked \
    by OPTIONS; name others with --pbx.\n\n\
    Exit codes: 0 nothing stands in the way, 1 something does, 2 the configuration cannot be read.\n\n\
    Examples:\n  \
    sidetone doctor\n  \
    sidetone doctor --pbx sip:192.0.2.20 --pbx 'sip:pbx.example.org;transport=tls'\n  \
    sidetone doctor --json | jq '.findings[] | select(.state == \"problem\")'"
)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
    /// A PBX to ask whether it is there; may be given several times.
    #[arg(long, value_name = "SIP-URI")]
    pbx: Vec<String>,
    /// Print the findings as one JSON document.
    #[arg(long)]
    json: bool,
}

/// Looks at everything, and says what it found.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    // What is looked at complains on its own account, too; the findings say it better.
    start_log("off");
    let (config, policy) = arguments.places.load()?;
    let mut findings = vec![configuration(arguments, &config, &policy)];
    findings.push(models(arguments, &config, &policy));
    findings.extend(vault::look(&config.store));
    findings.extend(secrets::look(&config));
    findings.extend(certificates::look(&config));
    let running = running::look(&config.http);
    findings.push(running.finding());
    findings.extend(sockets::look(&config, running.is_there()));
    findings.extend(disk::look(&config));
    findings.push(clock::look());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    findings.extend(runtime.block_on(neighbours::look(&config, &arguments.pbx)));

    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let (problems, warnings) = (count(State::Problem), count(State::Warning));
    if arguments.json {
        let document = json!({ "problems": problems, "warnings": warnings, "findings": findings });
        println!("{document}");
    } else {
        findings.iter().for_each(Finding::print);
        println!();
        println!("{}", summary(problems, warnings));
    }
    Ok(if problems == 0 { Outcome::Done } else { Outcome::Problem })
}

fn summary(problems: usize, warnings: usize) -> String {
    let counted = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let (problems, warnings) = (counted(problems, "problem"), counted(warnings, "warning"));
    format!("{problems}, {warnings}")
}

fn configuration(arguments: &Arguments, config: &Config, policy: &Policy) -> Finding {
    let file = arguments.places.config.display();
    let lacking: Vec<String> = config
        .consent
        .lacking(&config.speaker)
        .iter()
        .map(|(key, scope)| format!("{key} is on, and consent.scopes lacks {scope}"))
        .collect();
    let name = policy.versioned_name();
    if lacking.is_empty() {
        return Finding::ok("configuration", format!("{file}, policy {name}"));
    }
    let what = format!("{file}: {}", lacking.join("; "));
    Finding::warning(
        "configuration",
        what,
        "say in consent.scopes what callers are asked for, or switch it off",
    )
}

fn models(arguments: &Arguments, config: &Config, policy: &Policy) -> Finding {
    let load = || -> Result<Installed, Refusal> {
        let installed = arguments.places.installed(config)?;
        PhraseEngine::load(&installed, &config.keyword, policy, Purpose::Watch)?;
        Ok(installed)
    };
    match load() {
        Ok(installed) => {
            let models = installed.models();
            let what = format!("{}, {}: whole, and they load", models.speaker, models.keyword);
            Finding::ok("models", what)
        }
        Err(error) => {
            let folder = config.models.folder.display();
            let remedy = format!("sidetone models verify; sidetone models fetch fills {folder}");
            Finding::problem("models", error.to_string(), remedy)
        }
    }
}
