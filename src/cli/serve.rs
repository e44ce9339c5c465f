//! `sidetone serve`: the appliance, until it is told to stop.

use std::io::Write;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast::error::RecvError;
use tracing::{error, info, warn};

use crate::cli::{Outcome, Places, Refusal, start_log};
use crate::runtime::appliance::Appliance;
use crate::runtime::observation::Observation;

/// Arguments of `sidetone serve`.
#[derive(Debug, Args)]
#[command(
    after_help = "Verdicts go to standard output, one JSON document a line; the log goes to \
    standard error.\nSIDETONE_LOG=debug shows more of it. SIGHUP reads the policy, the tokens of the API and the\n\
    certificates of [sip.tls] and [http.tls] anew: what is of no use is refused in the log, and what was read before stays. Conversations that stand keep the\n\
    policy that they began with.\n\n\
    Examples:\n  \
    sidetone serve\n  \
    sidetone serve --config ./sidetone.toml | jq 'select(.kind == \"rule\")'\n  \
    sidetone check && systemctl reload sidetone"
)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
}

/// Starts, prints every verdict as a JSON line, stops in order on SIGTERM or SIGINT.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    start_log("info");
    let (config, policy) = arguments.places.load()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let installed = arguments.places.installed(&config)?;
        let appliance = Appliance::start(&config, policy, &installed)?;
        let mut observations = appliance.observe();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        // Under systemd (Type=notify) this is what makes the unit active; elsewhere it does nothing.
        sd_notify::notify(&[sd_notify::NotifyState::Ready])?;
        let sip: Vec<_> = appliance.sip_addresses().iter().map(ToString::to_string).collect();
        info!(sip = %sip.join(","), http = %appliance.http_address(), "ready");
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => {
                    match appliance.reload_certificates().await {
                        Ok(()) => info!("certificates read anew"),
                        Err(error) => error!(%error, "the certificates in use stay"),
                    }
                    match appliance.reload_http_certificate() {
                        Ok(()) => {}
                        Err(error) => error!(%error, "the certificate in use over HTTP stays"),
                    }
                    match appliance.reload_tokens() {
                        Ok(tokens) => info!(tokens, "tokens read anew"),
                        Err(error) => error!(%error, "the tokens in use stay"),
                    }
                    // What became of it is in the log and in the metrics.
                    let _ = appliance.reload_policy().await;
                }
                thread = appliance.died() => {
                    error!(thread, "a broken invariant ended a thread that all calls share");
                    return Ok(Outcome::Problem);
                }
                observation = observations.recv() => match observation {
                    Ok(Observation::Verdict { verdict, .. }) => print_line(&verdict.for_log().to_json()),
                    Ok(_) => {}
                    Err(RecvError::Lagged(n)) => warn!(n, "standard output is too slow: observations lost"),
                    Err(RecvError::Closed) => break,
                },
            }
        }
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        let left = appliance.stop().await;
        while let Ok(observation) = observations.try_recv() {
            if let Observation::Verdict { verdict, .. } = observation {
                print_line(&verdict.for_log().to_json());
            }
        }
        info!(calls_ended = left, "stopped");
        Ok(Outcome::Done)
    })
}

/// A service manager keeps it as a log. A reader of our standard output that went away must not end calls.
fn print_line(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
