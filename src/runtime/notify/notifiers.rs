//! All receivers of the configuration, and what a verdict becomes for each.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::config::notify::{Notify, Told};
use crate::policy::verdict::Verdict;
use crate::runtime::health::Health;
use crate::runtime::metrics::Metrics;
use crate::runtime::notify::ami::Ami;
use crate::runtime::notify::ari::Ari;
use crate::runtime::notify::esl::Esl;
use crate::runtime::notify::http_client::HttpClientError;
use crate::runtime::notify::notice::{Deed, Notice};
use crate::runtime::notify::notifier::Notifier;
use crate::runtime::notify::receiver::Receiver;
use crate::runtime::notify::webhook::{Webhook, WebhookError};
use crate::runtime::sip_settings::SecretError;

/// Longest turn of a receiver's thread: a try takes some 20 s where the receiver answers as slowly as it may.
const TELLING: Duration = Duration::from_secs(120);

/// Why a receiver of the configuration can never be told anything: one sentence.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// A secret cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Its authorities are of no use.
    #[error(transparent)]
    Http(#[from] HttpClientError),
    /// Its secret is none.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    /// The system has no thread to give.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The system has no randomness to give.
    #[error("no randomness from the system: {0}")]
    Randomness(#[from] getrandom::Error),
}

/// Every receiver, in the order of the configuration.
#[derive(Debug)]
pub struct Notifiers {
    /// Chosen by chance at the start: with the count it names a notice among all of all runs.
    run: String,
    told: u64,
    all: Vec<Notifier>,
}

/// A receiver that is ready to be connected to, and what it wants.
type Prepared = (Told, Box<dyn Receiver>);

/// Reads secrets and authorities of all receivers; connects to none.
pub fn prepare(settings: &Notify) -> Result<Vec<Prepared>, NotifyError> {
    let mut prepared: Vec<Prepared> = Vec::new();
    for webhook in &settings.webhooks {
        prepared.push((webhook.told(), Box::new(Webhook::new(webhook, settings.timeout())?)));
    }
    for ami in &settings.managers {
        prepared.push((ami.told(), Box::new(Ami::new(ami, settings.timeout())?)));
    }
    for ari in &settings.applications {
        prepared.push((ari.told(), Box::new(Ari::new(ari, settings.timeout())?)));
    }
    for esl in &settings.esls {
        prepared.push((esl.told(), Box::new(Esl::new(esl, settings.timeout())?)));
    }
    Ok(prepared)
}

impl Notifiers {
    /// Starts the thread of every receiver in `prepared`. The threads end when this is gone.
    pub fn start(
        settings: &Notify,
        prepared: Vec<Prepared>,
        metrics: &Arc<Metrics>,
        health: &Arc<Health>,
    ) -> Result<(Self, Vec<JoinHandle<()>>), NotifyError> {
        let run = hex::encode(getrandom::u64()?.to_be_bytes());
        let started = prepared.into_iter().map(|(told, receiver)| {
            let (metrics, pulse) = (Arc::clone(metrics), health.patient_pulse("notify", TELLING));
            Notifier::start(settings, &told, receiver, metrics, pulse)
        });
        let started = started.collect::<io::Result<Vec<_>>>().map_err(NotifyError::Thread)?;
        let (all, threads) = started.into_iter().unzip();
        Ok((Self { run, told: 0, all }, threads))
    }

    /// Has `verdict` told to all who want it, and all who are to do something about it; never waits. `channel` and `agent`
    /// are the PBX's own names of the party's and the agent's channel; `deeds` come with the name of their receiver.
    pub fn tell(
        &mut self,
        verdict: &Arc<Verdict>,
        channel: Option<&str>,
        agent: Option<&str>,
        deeds: &[(String, Deed)],
    ) {
        self.told += 1;
        let mut hidden = None;
        for notifier in &mut self.all {
            let own = deeds.iter().filter(|(receiver, _)| receiver == notifier.name());
            let acts: Vec<Deed> = own.map(|(_, deed)| deed.clone()).collect();
            if acts.is_empty() && !notifier.wants(&verdict.finding) {
                continue;
            }
            let verdict = if notifier.may_know_personal() {
                verdict
            } else {
                hidden.get_or_insert_with(|| Arc::new(verdict.for_log()))
            };
            notifier.tell(Notice {
                id: format!("{}-{}", self.run, self.told),
                verdict: Arc::clone(verdict),
                channel: channel.map(str::to_owned),
                agent: agent.map(str::to_owned),
                acts,
            });
        }
    }
}
