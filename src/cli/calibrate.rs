//! `sidetone calibrate`: what the site's own trials say that our log-likelihood ratios are worth.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::cli::eval::setup::{Progress, Setup, seconds};
use crate::cli::{Outcome, Refusal, println};
use crate::runtime::site_calibration::SiteCalibration;
use crate::runtime::trial_run::{self, Plan};
use crate::speaker::calibration::Calibration;
use crate::speaker::recalibration::{Fit, fit};
use crate::speaker::trials::Trial;

/// Arguments of `sidetone calibrate`.
#[derive(Debug, Args)]
#[command(
    after_help = "Needs at least 50 target and 50 other trials of 10 speakers, from calls or recordings\n\
    that their speakers allowed to be used so. The file that it writes is named in the configuration:\n  \
    [speaker]\n  calibration = \"site.toml\"\n\n\
    Example:\n  sidetone calibrate --trials calls.csv --out /etc/sidetone/site.toml"
)]
pub struct Arguments {
    #[command(flatten)]
    setup: Setup,
    /// Net speech that is compared, seconds.
    #[arg(long, value_name = "S", default_value_t = 3.0, value_parser = seconds)]
    seconds: f64,
    /// Write the calibration into this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Fits, reports and, where asked to, writes.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let mut bench = arguments.setup.open()?;
    let mut trials: Vec<Trial> = Vec::new();
    for &channel in &arguments.setup.channel {
        let plan = Plan {
            enrol: arguments.setup.enrol(),
            test: Duration::from_secs_f64(arguments.seconds),
            channel,
            seed: arguments.setup.seed,
            calibration: Calibration::RESNET34_GE2E,
        };
        let mut progress = Progress::new(channel.to_string(), bench.list.tests.len());
        let models = (&mut bench.voices, &bench.names);
        let outcome =
            trial_run::run(&bench.list, &bench.prints, models, &plan, &bench.noises, |done| {
                progress.show(done);
            })?;
        progress.finish();
        trials.extend(outcome.scored.iter().map(|scored| scored.trial));
    }
    let fit = match fit(&trials) {
        Ok(fit) => fit,
        Err(error) => {
            if arguments.json {
                println!("{}", json!({ "fit": null, "reason": error.to_string() }));
            } else {
                println!("not calibrated: {error}");
            }
            return Ok(Outcome::Problem);
        }
    };
    let Fit { line, targets, others, speakers, cllr_before, cllr_after } = fit;
    if arguments.json {
        println!("{}", json!({ "models": bench.names.to_string(), "fit": fit }));
    } else {
        println!(
            "{targets} target and {others} other trials of {speakers} speakers: Cllr {cllr_before:.4} as shipped, \
             {cllr_after:.4} by LLR x {:.3} {:+.3} (each trial by a line that was fitted without its speakers)",
            line.slope, line.offset
        );
    }
    if cllr_after >= cllr_before {
        if !arguments.json {
            println!(
                "the calibration in use is no worse on these calls: nothing was written, keep it"
            );
        }
        return Ok(if arguments.out.is_some() { Outcome::Problem } else { Outcome::Done });
    }
    if let Some(file) = &arguments.out {
        SiteCalibration::of(&bench.names, fit).write(file)?;
        if !arguments.json {
            println!("written to {}", file.display());
        }
    }
    Ok(Outcome::Done)
}
