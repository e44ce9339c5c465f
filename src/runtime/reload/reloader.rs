//! Reads everything again that can be while calls go on; what is of no use stays as it was, and is told.

use std::fmt::Display;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use crate::config::{Config, sip};
use crate::policy::rule::Policy;
use crate::runtime::health::Health;
use crate::runtime::http::tls::HttpTls;
use crate::runtime::http::tokens::Tokens;
use crate::runtime::installed::Installed;
use crate::runtime::metrics::Metrics;
use crate::runtime::metrics::installation::CertificateUse;
use crate::runtime::placed_calls::{Desk, Order};
use crate::runtime::reload::access::AccessFile;
use crate::runtime::reload::certificate::CertificateFiles;
use crate::runtime::reload::part::Part;
use crate::runtime::reload::policy::{PolicyFile, ReloadError, Reloaded};
use crate::runtime::service_manager;
use crate::runtime::sip_settings::SecretError;
use crate::runtime::status_line::status_line;
use crate::runtime::transport::tls::Tls;

/// Who asks while something is being read waits; more than so many wait before they may ask.
const ASKING: usize = 4;
/// Reading in a thread of its own does not panic.
const NO_PANIC: &str = "reading a file does not panic";

/// What is asked for.
#[derive(Debug)]
enum Ask {
    /// The policy alone; the answer says what is in force.
    Policy(oneshot::Sender<Result<Reloaded, ReloadError>>),
    /// Every part.
    Everything,
}

/// Where a reload is asked for; cheap to clone.
#[derive(Clone, Debug)]
pub struct Reloads {
    asked: mpsc::Sender<Ask>,
}

impl Reloads {
    /// Has the policy file read again, and waits until what it says is in force or refused.
    pub async fn policy(&self) -> Result<Reloaded, ReloadError> {
        let (reply, answer) = oneshot::channel();
        self.asked.send(Ask::Policy(reply)).await.map_err(|_| ReloadError::Stopping)?;
        answer.await.map_err(|_| ReloadError::Stopping)?
    }

    /// Has everything read again; never waits. What becomes of it is in the log, the metrics and the service's status.
    pub fn everything(&self) {
        // Where there is no room, others wait who will read the same files later.
        let _ = self.asked.try_send(Ask::Everything);
    }
}

/// What is told of reloads, and who takes what was read.
#[derive(Debug)]
pub struct Surroundings {
    /// The signalling thread's.
    pub desk: Desk,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Has the last reload in a sentence.
    pub health: Arc<Health>,
}

/// Does what is asked for at [`Reloads`], one after the other.
#[derive(Debug)]
pub struct Reloader {
    around: Surroundings,
    policy: PolicyFile,
    access: Option<AccessFile>,
    sip: Option<(sip::Tls, CertificateFiles)>,
    http: Option<(Arc<HttpTls>, CertificateFiles)>,
    tokens: Option<Arc<Tokens>>,
    asked: mpsc::Receiver<Ask>,
}

impl Reloader {
    /// For the files of `config`, where `policy`, `http` and `tokens` are in force; reads files and blocks.
    pub fn new(
        config: &Config,
        (installed, policy): (&Installed, &Policy),
        (http, tokens): (Option<Arc<HttpTls>>, Option<Arc<Tokens>>),
        around: Surroundings,
    ) -> Result<(Self, Reloads), SecretError> {
        let (sender, asked) = mpsc::channel(ASKING);
        let policy = PolicyFile::new(config, installed.clone(), policy, around.desk.clone());
        let access = AccessFile::new(config).transpose()?;
        let sip = config.sip.tls.as_ref().map(|tls| {
            let files = [&tls.certificate, &tls.key, &tls.authorities];
            (tls.clone(), CertificateFiles::new(files.map(AsRef::as_ref)))
        });
        let http = http.zip(config.http.tls.as_ref()).map(|(http, tls)| {
            (http, CertificateFiles::new([tls.certificate.as_ref(), tls.key.as_ref()]))
        });
        let counts = &around.metrics.installation;
        if let Some((tls, _)) = &sip {
            counts.certificate(CertificateUse::Sip, &tls.certificate);
        }
        if let Some((tls, _)) = &http {
            counts.certificate(CertificateUse::Http, tls.certificate());
        }
        let reloader = Self { around, policy, access, sip, http, tokens, asked };
        Ok((reloader, Reloads { asked: sender }))
    }

    /// Until nobody can ask any more.
    pub async fn run(mut self) {
        while let Some(ask) = self.asked.recv().await {
            match ask {
                Ask::Policy(reply) => {
                    let mut told = Vec::new();
                    let outcome = self.policy(&mut told).await;
                    self.conclude(&told);
                    // Who asked and went away does not want the answer.
                    let _ = reply.send(outcome);
                }
                Ask::Everything => {
                    service_manager::reloading();
                    let mut told = Vec::new();
                    // Who may call goes first: a policy takes a while.
                    self.access(&mut told).await;
                    self.sip_certificate(&mut told).await;
                    self.http_certificate(&mut told).await;
                    self.tokens(&mut told).await;
                    // What became of it is told.
                    let _ = self.policy(&mut told).await;
                    self.conclude(&told);
                    service_manager::ready(&status_line(&self.around.health));
                }
            }
        }
    }

    /// Keeps what became of each part for the service's status.
    fn conclude(&self, told: &[String]) {
        let at = jiff::ZonedDateTime::now().strftime("%H:%M:%S");
        self.around.health.set_last_reload(format!("Reload {at}: {}", told.join("; ")));
    }

    /// Tells what became of one part: whether it was another one before, or why what was read before stays.
    fn tell<E: Display>(&self, part: Part, changed: &Result<bool, E>, told: &mut Vec<String>) {
        let in_force = (part == Part::Policy).then(|| self.policy.in_force());
        self.around.metrics.service.reload(part, changed.as_ref().ok().copied());
        let part = part.as_str();
        told.push(match changed {
            Ok(true) => format!("{part} applied"),
            Ok(false) => format!("{part} unchanged"),
            Err(error) => format!("{part} refused: {error}"),
        });
        match changed {
            Ok(changed) => info!(part, in_force, changed, "read again"),
            Err(error) => error!(part, in_force, %error, "refused: what was read before stays"),
        }
    }

    async fn policy(&mut self, told: &mut Vec<String>) -> Result<Reloaded, ReloadError> {
        let outcome = self.policy.reload().await;
        let changed = outcome.as_ref().map(|reloaded| reloaded.changed);
        self.tell(Part::Policy, &changed, told);
        outcome
    }

    async fn access(&mut self, told: &mut Vec<String>) {
        let Some(access) = self.access.take() else { return };
        let read = spawn_blocking(move || {
            let read = access.read();
            (access, read)
        });
        let (mut access, read) = read.await.expect(NO_PANIC);
        let changed = match read {
            Ok(read) => {
                let changed = read.news.is_some();
                if let Some(news) = read.news {
                    access.note(news.clone());
                    // Nobody takes the order while everything ends, and then it matters no more.
                    let _ =
                        self.around.desk.give(|reply| Order::Admit(Box::new(news), reply)).await;
                }
                self.tell(Part::Access, &Ok::<_, String>(changed), told);
                read.after_restart
            }
            Err(error) => {
                self.tell(Part::Access, &Err(error), told);
                Vec::new()
            }
        };
        if !changed.is_empty() {
            let keys = changed.join(", ");
            warn!(
                keys,
                "these keys of the configuration differ from what is in force: they take a restart"
            );
            told.push(format!("a restart is needed for {keys}"));
        }
        self.access = Some(access);
    }

    async fn sip_certificate(&mut self, told: &mut Vec<String>) {
        let Some((tls, mut files)) = self.sip.take() else { return };
        let metrics = Arc::clone(&self.around.metrics);
        let read = spawn_blocking(move || {
            let loaded = Tls::load(&tls);
            let changed = loaded.is_ok() && files.note();
            if changed {
                metrics.installation.certificate(CertificateUse::Sip, &tls.certificate);
            }
            (tls, files, loaded, changed)
        });
        let (tls, files, loaded, changed) = read.await.expect(NO_PANIC);
        let outcome = match loaded {
            Ok(loaded) => {
                if changed {
                    let loaded = Box::new(loaded);
                    let _ = self.around.desk.give(|reply| Order::Certify(loaded, reply)).await;
                }
                Ok(changed)
            }
            Err(error) => Err(error),
        };
        self.tell(Part::SipCertificate, &outcome, told);
        self.sip = Some((tls, files));
    }

    async fn http_certificate(&mut self, told: &mut Vec<String>) {
        let Some((tls, mut files)) = self.http.take() else { return };
        let metrics = Arc::clone(&self.around.metrics);
        let read = spawn_blocking(move || {
            let outcome = tls.reload().map(|()| files.note());
            if let Ok(true) = outcome {
                metrics.installation.certificate(CertificateUse::Http, tls.certificate());
            }
            (tls, files, outcome)
        });
        let (tls, files, outcome) = read.await.expect(NO_PANIC);
        self.tell(Part::HttpCertificate, &outcome, told);
        self.http = Some((tls, files));
    }

    async fn tokens(&self, told: &mut Vec<String>) {
        let Some(tokens) = self.tokens.clone() else { return };
        let outcome = spawn_blocking(move || tokens.reload()).await.expect(NO_PANIC);
        self.tell(Part::Tokens, &outcome, told);
    }
}
