//! `sidetone serve`: the appliance, until it is told to stop.

use std::io::Write;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use crate::cli::{Outcome, Places, Refusal, start_log};
use crate::runtime::appliance::Appliance;
use crate::runtime::observation::Observation;
use crate::runtime::service_manager;
use crate::runtime::status_line::status_line;

/// How often the service's status is looked at, and the main thread says that it comes round.
const ROUND: Duration = Duration::from_secs(1);
/// How long the service manager is asked to wait further, each second while calls are left to end by themselves: as long
/// as the unit gives to an ordinary end.
const MORE_TIME: Duration = Duration::from_secs(30);
/// How long standard output may take for the last lines; its reader may have gone to sleep.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Arguments of `sidetone serve`.
#[derive(Debug, Args)]
#[command(
    after_help = "Verdicts go to standard output, one JSON document a line; the log goes to \
    standard error.\nSIDETONE_LOG=debug shows more of it. SIGHUP reads the policy, the peers and users of the\n\
    configuration, the tokens of the API and the certificates of [sip.tls] and [http.tls] anew: what is of no use is\n\
    refused in the log, and what was read before stays. Calls that stand go on with what they began with.\n\
    SIGTERM ends calls after [sip] drain_s; a second one ends them at once.\n\n\
    Examples:\n  \
    sidetone serve\n  \
    sidetone serve --config ./sidetone.toml | jq 'select(.kind == \"rule\")'\n  \
    sidetone check && systemctl reload sidetone"
)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
}

/// Whoever tells us to stop.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

/// Starts, prints every verdict as a JSON line, stops in order on SIGTERM or SIGINT.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    start_log("info");
    let (config, policy) = arguments.places.load()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let installed = arguments.places.installed(&config)?;
        let appliance = Appliance::start(&config, policy, &installed)?;
        let printed = print_verdicts(appliance.observe())?;
        let mut stop = Stop {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        };
        let mut hangup = signal(SignalKind::hangup())?;
        let pulse = appliance.health().pulse("main");
        // Under systemd (Type=notify) this is what makes the unit active; elsewhere it does nothing.
        let mut status = status_line(appliance.health());
        service_manager::ready(&status);
        let sip: Vec<_> = appliance.sip_addresses().iter().map(ToString::to_string).collect();
        info!(sip = %sip.join(","), http = %appliance.http_address(), "ready");
        let mut round = rounds();
        loop {
            pulse.beat();
            tokio::select! {
                () = stop.told() => break,
                _ = hangup.recv() => appliance.reload(),
                thread = appliance.died() => {
                    error!(thread, "a broken invariant ended a thread that all calls share");
                    return Ok(Outcome::Problem);
                }
                _ = round.tick() => tell(&appliance, &mut status),
            }
        }
        let drain = Duration::from_secs(config.sip.drain_s.into());
        if !drain.is_zero() {
            appliance.close_doors().await;
            let until = Instant::now() + drain;
            service_manager::stopping(&status_line(appliance.health()));
            info!(calls = appliance.health().calls(), drain_s = drain.as_secs(), "draining");
            while appliance.health().calls() > 0 && Instant::now() < until {
                pulse.beat();
                service_manager::more_time(MORE_TIME);
                tokio::select! {
                    () = stop.told() => break,
                    thread = appliance.died() => {
                        error!(thread, "a broken invariant ended a thread that all calls share");
                        return Ok(Outcome::Problem);
                    }
                    () = tokio::time::sleep_until(until.into()) => {}
                    _ = round.tick() => tell(&appliance, &mut status),
                }
            }
        }
        service_manager::stopping("Ending calls.");
        drop(pulse);
        let left = appliance.stop().await;
        if printed.recv_timeout(LAST_LINES).is_err() {
            warn!("standard output is not read: the last verdicts are not printed");
        }
        info!(calls_ended = left, "stopped");
        Ok(Outcome::Done)
    });
    // Whatever still reads a file that a reload asked for is not waited for.
    runtime.shutdown_background();
    outcome
}

impl Stop {
    async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Once a second; what was missed is not made up for.
fn rounds() -> tokio::time::Interval {
    let mut round = interval(ROUND);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    round
}

/// Tells the service manager how it stands, where that has changed since it was `told`.
fn tell(appliance: &Appliance, told: &mut String) {
    let status = status_line(appliance.health());
    if status != *told {
        service_manager::status(&status);
        *told = status;
    }
}

/// Prints verdicts on a thread of its own, so that a reader of our standard output that is asleep holds up nothing else;
/// the channel tells of its end.
fn print_verdicts(mut observations: Receiver<Observation>) -> std::io::Result<mpsc::Receiver<()>> {
    let (done, printed) = mpsc::sync_channel(1);
    thread::Builder::new().name("verdicts".to_owned()).spawn(move || {
        loop {
            match observations.blocking_recv() {
                Ok(Observation::Verdict { verdict, .. }) => {
                    print_line(&verdict.for_log().to_json());
                }
                Ok(_) => {}
                Err(RecvError::Lagged(n)) => {
                    warn!(n, "standard output is too slow: observations lost");
                }
                Err(RecvError::Closed) => break,
            }
        }
        // Whoever waited may have gone.
        let _ = done.send(());
    })?;
    Ok(printed)
}

/// A service manager keeps it as a log. A reader of our standard output that went away must not end calls.
fn print_line(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
