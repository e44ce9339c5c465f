//! The whole appliance: starts its threads in order, stops them in reverse.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle as Task;
use tracing::{info, warn};

use crate::config::Config;
use crate::config::sip::Listen;
use crate::policy::judge::Models;
use crate::policy::rule::Policy;
use crate::runtime::asking::{Asking, Back};
use crate::runtime::complaints::Complaints;
use crate::runtime::dtls_identity::{self, CertificateError};
use crate::runtime::event_streams::{EventStreams, EventStreamsError};
use crate::runtime::health::{self, Health};
use crate::runtime::http::calls::Orders;
use crate::runtime::http::host::Hosts;
use crate::runtime::http::page::routes::Page;
use crate::runtime::http::page::watch::LiveBoard;
use crate::runtime::http::routes::{self, Api};
use crate::runtime::http::server::Server;
use crate::runtime::http::tls::HttpTls;
use crate::runtime::http::tokens::{Tokens, TokensError};
use crate::runtime::http::watched::Watched;
use crate::runtime::inference_thread::{
    Backlog, InferenceQueues, spawn_keyword, spawn_sherpa, spawn_speaker, spawn_turns,
};
use crate::runtime::installed::{Installed, InstalledError};
use crate::runtime::known_voices::KnownVoices;
use crate::runtime::line_watch::LineWatch;
use crate::runtime::media_settings::MediaSettings;
use crate::runtime::media_thread::MediaThread;
use crate::runtime::metrics::Metrics;
use crate::runtime::notify::notifiers::{self, Notifiers, NotifyError};
use crate::runtime::observation::Observation;
use crate::runtime::phrase_engine::{self, PhraseEngine};
use crate::runtime::placed_calls::{Desk, Order, PlacedCalls};
use crate::runtime::policy_in_force::PolicyInForce;
use crate::runtime::port_range::PortRange;
use crate::runtime::pronouncing;
use crate::runtime::recording_sessions::RecordingSessions;
use crate::runtime::reload::reloader::{Reloader, Reloads, Surroundings};
use crate::runtime::signalling::Signalling;
use crate::runtime::sip_settings::{self, SecretError};
use crate::runtime::site_calibration::{self, SiteCalibrationError};
use crate::runtime::store::consents::News;
use crate::runtime::store::keeper::{Keeper, KeeperError, VaultDesk};
use crate::runtime::store::trail::Entry;
use crate::runtime::store::vault::VaultError;
use crate::runtime::transport::connection::Limits;
use crate::runtime::transport::handed_over::{HandedOver, HandedOverError};
use crate::runtime::transport::listener::{Bound, ListenError};
use crate::runtime::transport::resolver::Resolver;
use crate::runtime::transport::tls::{Tls, TlsError};
use crate::runtime::transport::transports::Transports;
use crate::runtime::voices::Voices;
use crate::runtime::watchdog::Watchdog;
use crate::sip::endpoint::Endpoint;
use crate::sip::transport::Transport;
use crate::speaker::embedder::Purpose;
use crate::speaker::watchlist::Known;
use crate::vault::chain::Kind;

/// Evidence that may wait for the signalling thread; a media thread that finds it full waits.
const EVIDENCE_WAITING: usize = 1024;
/// Answers of the name servers that may wait.
const LOCATED_WAITING: usize = 64;
/// Longest turn of a thread that has a model: a run takes below a second, and many wait for a processor.
const RUN: Duration = Duration::from_secs(30);
/// Longest turn of the thread that keeps events: a disk that has not taken some lines in that time never will.
const WRITE: Duration = Duration::from_secs(120);
/// Longest turn of the vault: what is free is given back within one, in a file of gigabytes.
const SWEEP: Duration = Duration::from_secs(15 * 60);
/// Observations that may wait for a slow observer, who then misses the oldest and is told so.
const OBSERVATIONS_WAITING: usize = 16_384;

/// Why the appliance did not start: one sentence.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A model is missing, damaged or refused.
    #[error(transparent)]
    Models(#[from] InstalledError),
    /// The vault does not open.
    #[error(transparent)]
    Store(#[from] KeeperError),
    /// Known voices cannot be read.
    #[error("speaker.watchlist: {0}")]
    Watchlist(#[from] VaultError),
    /// A socket is handed over that nobody wants.
    #[error(transparent)]
    HandedOver(#[from] HandedOverError),
    /// A SIP socket cannot be had.
    #[error("{0} (sip.listen)")]
    Sip(#[from] ListenError),
    /// A certificate or key is of no use.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Events cannot be kept.
    #[error(transparent)]
    Events(#[from] EventStreamsError),
    /// A receiver of verdicts can never be told anything.
    #[error(transparent)]
    Notify(#[from] NotifyError),
    /// There is no certificate for DTLS.
    #[error(transparent)]
    Dtls(#[from] CertificateError),
    /// A password is missing.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The API's tokens cannot be used.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// The site's calibration cannot be used.
    #[error("speaker.calibration: {0}")]
    Calibration(#[from] SiteCalibrationError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({key}): {error}")]
    Listen {
        /// The address wanted.
        address: SocketAddr,
        /// The key that wants it.
        key: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// A thread or its runtime could not be made.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The system has no randomness to give.
    #[error("no randomness from the system: {0}")]
    Randomness(#[from] getrandom::Error),
}

/// A running appliance.
#[derive(Debug)]
pub struct Appliance {
    sip: Vec<Listen>,
    http: SocketAddr,
    desk: Desk,
    reloads: Reloads,
    watchdog: Watchdog,
    observers: broadcast::Sender<Observation>,
    health: Arc<Health>,
    queues: InferenceQueues,
    stop: oneshot::Sender<()>,
    signalling: JoinHandle<usize>,
    inference: Vec<JoinHandle<()>>,
    /// Writes the events that are kept.
    keeper: Option<JoinHandle<()>>,
    /// Keeps what is kept of persons.
    vault: Keeper,
    /// Each tells a receiver.
    notifying: Vec<JoinHandle<()>>,
    http_task: Task<()>,
    reload_task: Task<()>,
}

impl Appliance {
    /// Starts everything, the SIP socket last, so that the first call finds all of it.
    ///
    /// To be called within a tokio runtime, which then serves HTTP.
    pub fn start(
        config: &Config,
        policy: Policy,
        installed: &Installed,
    ) -> Result<Self, StartError> {
        let listen = |address, key| move |error| StartError::Listen { address, key, error };
        let health = Arc::new(Health::default());
        let metrics = Arc::new(Metrics::with_exemplars(Arc::clone(&health), config.http.exemplars));
        // Sockets are bound before the models are loaded: a port in use is told at once.
        let mut handed = HandedOver::receive()?;
        let bound = Bound::take(&config.sip.listen, &mut handed)?;
        let sip_addresses: Vec<_> = bound.locals().iter().map(|local| local.address).collect();
        let settings = sip_settings::read(config, &sip_addresses)?;
        let sip_tls = config.sip.tls.as_ref().map(Tls::load).transpose()?;
        let media_settings = MediaSettings::read(config, &dtls_identity::make()?);
        let resolver = match config.sip.name_servers.as_slice() {
            [] => Resolver::from_system().unwrap_or_else(|error| {
                warn!(%error, "no name servers: addresses alone can be called");
                Resolver::with_servers(&[])
            }),
            servers => Resolver::with_servers(servers),
        };
        let tokens = config.http.tokens_file.as_deref().map(Tokens::open).transpose()?;
        let tokens = tokens.map(Arc::new);
        let http_tls = config.http.tls.as_ref().map(HttpTls::load).transpose()?.map(Arc::new);
        let http = match handed.connections(config.http.listen) {
            Some(socket) => socket,
            None => TcpListener::bind(config.http.listen)
                .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
                .map_err(listen(config.http.listen, "http.listen"))?,
        };
        handed.finish()?;
        let http = tokio::net::TcpListener::from_std(http).map_err(StartError::Thread)?;
        let http_address = http.local_addr().map_err(listen(config.http.listen, "http.listen"))?;
        let sip = config.sip.listen.iter().zip(&sip_addresses);
        let sip = sip.map(|(listen, &address)| Listen { address, ..*listen }).collect();
        let (back, answers) = mpsc::unbounded_channel();
        let told = back.clone();
        let news = move |news: News| {
            let told = &told;
            for (person, consents) in news.changed {
                let act = move |signalling: &mut Signalling| {
                    signalling.handle_consents(&person, &consents);
                };
                // At the end nobody is in a call.
                let _ = told.send(Back(Box::new(act)));
            }
        };
        let pulse = health.patient_pulse("vault", SWEEP);
        let (counts, state) = (Arc::clone(&metrics), Arc::clone(&health));
        let vault = Keeper::start(&config.store, counts, state, pulse, news)?;
        let rules = &config.rules;
        let events = rules.events_folder.as_ref().map(|folder| {
            let pulse = health.patient_pulse("events", WRITE);
            EventStreams::start(folder, rules.events_days, Arc::clone(&metrics), pulse)
        });
        let (streams, keeper) = events.transpose()?.unzip();
        let receivers = notifiers::prepare(&config.notify)?;
        let (notifiers, notifying) =
            Notifiers::start(&config.notify, receivers, &metrics, &health)?;
        let (desk, orders) = Desk::new();
        let around = Surroundings {
            desk: desk.clone(),
            metrics: Arc::clone(&metrics),
            health: Arc::clone(&health),
        };
        let of_http = (http_tls.clone(), tokens.clone());
        let (reloader, reloads) = Reloader::new(config, (installed, &policy), of_http, around)?;
        let reload_task = tokio::spawn(reloader.run());
        let api = tokens.clone().map(|tokens| {
            let orders = Orders { desk: desk.clone(), reloads: reloads.clone() };
            Api { tokens, orders, vault: vault.desk.clone() }
        });
        let watched = Watched { metrics: Arc::clone(&metrics), health: Arc::clone(&health) };
        let (observers, _) = broadcast::channel(OBSERVATIONS_WAITING);
        let lines = LineWatch::new(observers.clone());
        let page = tokens.clone().filter(|_| config.http.page.enabled);
        let page = page.map(|tokens| -> Result<_, StartError> {
            let live = Arc::new(LiveBoard::new(lines.clone())?);
            tokio::spawn(Arc::clone(&live).follow(observers.subscribe()));
            Ok(Page {
                live,
                health: Arc::clone(&health),
                metrics: Arc::clone(&metrics),
                tokens,
                hosts: Hosts::new(&config.http.page.hosts, http_address),
                over_tls: http_tls.is_some(),
            })
        });
        let page = page.transpose()?;
        let (tls, counts) = (http_tls.clone(), Arc::clone(&metrics));
        let server = Server { listener: http, tls, metrics: counts };
        let http_task = tokio::spawn(server.run(routes::router(watched, api, page)));

        let loading = Instant::now();
        let Voices { decide, watch } = installed.voices()?;
        let watchlist = config.speaker.watchlist.enabled.then(|| KnownVoices {
            models: installed.models().speaker.clone(),
            false_alarms_per_1000: config.speaker.watchlist.expected_false_alarms_per_1000_calls,
        });
        let known = match watchlist {
            None => Known::default(),
            Some(watchlist) => {
                let (known, until) = watchlist.read(&vault.desk)?;
                tokio::spawn(watchlist.follow(vault.desk.clone(), until, back.clone()));
                known
            }
        };
        let site = config.speaker.calibration.as_deref();
        let calibration = site_calibration::in_use(site, &installed.models().speaker)?;
        let turns = installed.turns()?;
        let phrases =
            PhraseEngine::load(installed, &config.keyword, &policy, phrase_engine::Purpose::Watch)?;
        for experiment in pronouncing::experiments(&policy) {
            warn!("{experiment}");
        }
        let mut policy = PolicyInForce::new(policy, phrases.listening());
        // A demonstration has none.
        if let Ok(text) = std::fs::read(&config.keyword.policy) {
            policy = policy.read_from(&text);
        }
        metrics.policy_in_force(policy.policy());
        info!(ms = loading.elapsed().as_millis() as u64, "models loaded");

        let Models { speaker, keyword } = installed.models();
        let segmentation = installed.segmentation().versioned_name();
        for (role, name) in [
            (health::Model::Speaker, Some(&speaker.decide)),
            (health::Model::SpeakerWatch, speaker.watch.as_ref()),
            (health::Model::Keyword, Some(keyword)),
            (health::Model::Turns, Some(&segmentation)),
        ] {
            name.iter().for_each(|name| metrics.installation.model(role, name));
        }
        let queues = InferenceQueues::new();
        let waiting = queues.clone();
        metrics.queues.watch_models(move |model| waiting.waiting(model));
        let embedders = [(Purpose::Decide, Some(decide)), (Purpose::Watch, watch)];
        let mut inference = embedders
            .into_iter()
            .filter_map(|(role, model)| Some((role, model?)))
            .map(|(role, model)| {
                let pulse = health.patient_pulse(role.thread(), RUN);
                spawn_speaker(&queues, role, model, Arc::clone(&metrics), pulse)
            })
            .collect::<io::Result<Vec<_>>>()
            .map_err(StartError::Thread)?;
        let pulse = health.patient_pulse("keyword-model", RUN);
        let spawned = match phrases {
            PhraseEngine::Moonshine { model, .. } => {
                spawn_keyword(&queues, *model, Arc::clone(&metrics), pulse)
            }
            PhraseEngine::Sherpa(engine) => {
                spawn_sherpa(&queues, engine, Arc::clone(&metrics), pulse)
            }
        };
        inference.push(spawned.map_err(StartError::Thread)?);
        let pulse = health.patient_pulse("turns-model", RUN);
        let spawned = spawn_turns(&queues, turns, Arc::clone(&metrics), pulse);
        inference.push(spawned.map_err(StartError::Thread)?);
        let (events, inbox) = mpsc::channel(EVIDENCE_WAITING);
        let media = (0..config.rtp.threads)
            .map(|n| {
                let (metrics, pulse) = (Arc::clone(&metrics), health.pulse("media"));
                let (which, told) = ((n, config.rtp.priority), (events.clone(), lines.clone()));
                MediaThread::spawn(which, queues.clone(), metrics, told, pulse)
            })
            .collect::<io::Result<_>>()
            .map_err(StartError::Thread)?;

        let (stop, stopped) = oneshot::channel();
        let reactor = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        let peers = settings.peer_profiles();
        let transports = {
            let _inside = reactor.enter();
            Transports::start(bound, sip_tls, Limits::default()).map_err(StartError::Thread)?
        };
        let signalling = Signalling {
            transports,
            resolver,
            located: mpsc::channel(LOCATED_WAITING),
            supported: settings.locals.iter().map(|local| local.transport).collect(),
            accounts: settings.accounts.clone(),
            peers,
            media_settings,
            exposed: std::collections::HashSet::new(),
            // Tags must not be guessed: seeded by the operating system.
            endpoint: Endpoint::new(settings, getrandom::u64()?),
            placed: PlacedCalls::default(),
            complaints: Complaints::default(),
            ports: PortRange::new(config.sip.listen[0].address.ip(), config.rtp.ports),
            advertised: config.sip.media_ip(),
            patience: Duration::from_secs(config.rtp.silence_timeout_s),
            media,
            policy,
            models: installed.models().clone(),
            calibration,
            known: Arc::new(known),
            speaker: config.speaker.clone(),
            consent: config.consent.clone(),
            asking: Asking {
                desk: vault.desk.clone(),
                trail: vault.trail.clone(),
                back,
                health: Arc::clone(&health),
            },
            metrics: Arc::clone(&metrics),
            health: Arc::clone(&health),
            pulse: health.pulse("signalling"),
            observers: observers.clone(),
            random: fastrand::Rng::new(),
            calls: std::collections::HashMap::new(),
            conversations: std::collections::HashMap::new(),
            rejoin: Duration::from_secs(config.rules.rejoin_s.into()),
            recordings: RecordingSessions::new(&config.sip.peers),
            events: streams,
            notifiers,
            publish: Instant::now(),
        };
        vault.begin();
        signalling.record_policy(&signalling.policy);
        let Models { speaker, keyword } = installed.models();
        let models = json!({ "speaker": speaker.to_string(), "keyword": keyword });
        vault.trail.push(Entry::now(Kind::Model, &models));
        let signalling = thread::Builder::new()
            .name("signalling".to_owned())
            .spawn(move || reactor.block_on(signalling.run(inbox, orders, answers, stopped)))
            .map_err(StartError::Thread)?;
        let watchdog = Watchdog::start(Arc::clone(&health), metrics).map_err(StartError::Thread)?;
        health.set_started();
        Ok(Self {
            sip,
            http: http_address,
            desk,
            reloads,
            watchdog,
            observers,
            health,
            queues,
            stop,
            signalling,
            inference,
            keeper,
            vault,
            notifying,
            http_task,
            reload_task,
        })
    }

    /// Where it answers SIP.
    pub fn sip_addresses(&self) -> &[Listen] {
        &self.sip
    }

    /// Its first UDP address.
    pub fn udp_address(&self) -> Option<SocketAddr> {
        let udp = self.sip.iter().find(|listen| listen.transport == Transport::Udp);
        udp.map(|listen| listen.address)
    }

    /// Where it answers HTTP.
    pub fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// Has everything read again that can be while calls go on; what becomes of it is in the log, the metrics and
    /// the service's status.
    pub fn reload(&self) {
        self.reloads.everything();
    }

    /// Whether it takes calls, and how it is.
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Takes no new call any more; those that stand go on.
    pub async fn close_doors(&self) {
        // Nobody takes the order while everything ends already.
        let _ = self.desk.give(Order::CloseDoors).await;
    }

    /// Everything that happens from now on.
    pub fn observe(&self) -> broadcast::Receiver<Observation> {
        self.observers.subscribe()
    }

    /// Where work for the vault is handed in.
    pub fn vault(&self) -> VaultDesk {
        self.vault.desk.clone()
    }

    /// What the models have before them.
    pub fn backlog(&self) -> Arc<Backlog> {
        self.queues.backlog()
    }

    /// Waits until a thread that all calls share has died of a broken invariant; gives its name.
    /// The process should then end, so that its supervisor starts another.
    pub async fn died(&self) -> &'static str {
        self.health.died().await
    }

    /// Hangs up every call, then ends the threads in reverse order; returns how many calls there
    /// were.
    pub async fn stop(self) -> usize {
        // A thread that is gone has nothing left to be told.
        let _ = self.stop.send(());
        let (signalling, inference, queues) = (self.signalling, self.inference, self.queues);
        let (keeper, notifying, vault) = (self.keeper, self.notifying, self.vault);
        let watchdog = self.watchdog;
        let joined = tokio::task::spawn_blocking(move || {
            let left = signalling.join().expect("the signalling thread ends by returning");
            queues.close();
            for thread in inference {
                thread.join().expect("a model thread ends by returning");
            }
            for thread in notifying {
                thread.join().expect("a thread that notifies ends by returning");
            }
            if let Some(thread) = keeper {
                thread.join().expect("the thread that keeps events ends by returning");
            }
            // Last, so that what the calls came to at their end is on record.
            vault.end();
            watchdog.stop();
            left
        });
        let left = joined.await.expect("joining threads does not fail");
        self.http_task.abort();
        self.reload_task.abort();
        left
    }
}
