//! Looks whether every thread comes round, and tells the service manager only then that all goes on (`WatchdogSec=`).

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tracing::{error, info};

use crate::runtime::health::Health;
use crate::runtime::metrics::Metrics;
use crate::runtime::service_manager;

/// How often it looks: a thread that is stuck is told of within so long.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Its thread, which depends on none that it watches.
#[derive(Debug)]
pub struct Watchdog {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Watchdog {
    /// Begins to look.
    pub fn start(health: Arc<Health>, metrics: Arc<Metrics>) -> io::Result<Self> {
        let (stop, stopped) = sync_channel(1);
        // Half of the time that we are given: one message may come late.
        let feed_every = service_manager::watchdog().map(|given| given / 2);
        let look_every = feed_every.map_or(LOOK_EVERY, |feed| feed.min(LOOK_EVERY));
        let thread = thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            let mut stuck = Vec::new();
            let mut fed = None;
            loop {
                let now = Instant::now();
                stuck = look(now, &health, &metrics, &stuck);
                let due = |fed: Instant, every: Duration| fed + every <= now + look_every / 2;
                if let Some(every) = feed_every
                    && stuck.is_empty()
                    && fed.is_none_or(|fed| due(fed, every))
                {
                    service_manager::alive();
                    fed = Some(now);
                }
                match stopped.recv_timeout(look_every) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends it: whatever hangs from now on is the service manager's affair.
    pub fn stop(self) {
        let _ = self.stop.send(());
        self.thread.join().expect("the watchdog ends by returning");
    }
}

/// Tells of the threads that are stuck at `now`, and of those that no longer are; returns their names.
fn look(
    now: Instant,
    health: &Health,
    metrics: &Metrics,
    before: &[&'static str],
) -> Vec<&'static str> {
    let mut threads: BTreeMap<&'static str, i64> = BTreeMap::new();
    for (thread, stuck) in health.pulses().look(now) {
        *threads.entry(thread).or_default() += i64::from(stuck);
    }
    for (&thread, &stuck) in &threads {
        metrics.service.stuck(thread, stuck);
    }
    let stuck: Vec<_> =
        threads.iter().filter(|(_, stuck)| **stuck > 0).map(|(&thread, _)| thread).collect();
    for thread in stuck.iter().filter(|thread| !before.contains(thread)) {
        error!(thread, "a thread that all calls share does not come round: it is stuck");
    }
    for thread in before.iter().filter(|thread| !stuck.contains(thread)) {
        info!(thread, "the thread comes round again");
    }
    health.set_stuck(&stuck);
    stuck
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stuck_thread_is_in_the_metrics_and_in_health_until_it_comes_round() {
        let health = Arc::new(Health::default());
        let metrics = Metrics::new(Arc::clone(&health));
        health.set_started();
        let pulse = health.pulse("signalling");
        let start = Instant::now();
        let told = |stuck: &str| {
            metrics
                .render()
                .contains(&format!("sidetone_thread_stuck{{thread=\"signalling\"}} {stuck}\n"))
        };
        pulse.beat();
        assert_eq!(look(start, &health, &metrics, &[]), [""; 0]);
        assert!(told("0") && health.is_live().is_ok());
        let late = start + Duration::from_secs(60);
        assert_eq!(look(late, &health, &metrics, &[]), ["signalling"]);
        assert!(told("1"));
        assert_eq!(health.is_live(), Err("stuck: signalling".to_owned()));
        let why = health.not_ready_because();
        assert_eq!(why.as_deref(), Some("a thread is stuck: signalling"));
        pulse.idle(|| assert_eq!(look(late, &health, &metrics, &["signalling"]), [""; 0]));
        assert!(told("0") && health.is_live().is_ok());
    }
}
