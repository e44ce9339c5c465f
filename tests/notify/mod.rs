//! What tests of notifiers share: verdicts to tell, what metrics and log say of it.
#![allow(
    dead_code,
    clippy::disallowed_methods,
    reason = "every test takes what it needs of this; it waits, and reads the disk"
)]

pub(crate) mod listeners;

use std::io;
use std::sync::{Arc, Mutex, Once};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sidetone::config::notify::Notify;
use sidetone::policy::rule::Party;
use sidetone::policy::sensitivity::Sensitivity;
use sidetone::policy::verdict::{Finding, SpeakerDecision, Verdict};
use sidetone::runtime::health::Health;
use sidetone::runtime::metrics::Metrics;
use sidetone::runtime::notify::notice::Notice;
use sidetone::runtime::notify::notifiers::{Notifiers, prepare};
use tempfile::TempDir;
use tracing_subscriber::fmt::MakeWriter;

/// All that was logged in this process.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Receivers of a configuration at work, without the rest of the appliance.
#[derive(Debug)]
pub(crate) struct Notifying {
    notifiers: Notifiers,
    threads: Vec<JoinHandle<()>>,
    metrics: Arc<Metrics>,
    _folder: TempDir,
}

impl Notifying {
    /// Starts the receivers that the text below `[notify]` names; `@FOLDER@` in it is a folder that holds `files`.
    pub(crate) fn start(text: &str, files: &[(&str, &str)]) -> Self {
        listen();
        let folder = tempfile::tempdir().expect("a folder");
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).expect("a writable folder");
        }
        let text = text.replace("@FOLDER@", &folder.path().display().to_string());
        let settings: Notify = toml::from_str(&text).expect("good settings");
        let health = Arc::new(Health::default());
        let metrics = Arc::new(Metrics::new(Arc::clone(&health)));
        let prepared = prepare(&settings).expect("good secrets");
        let (notifiers, threads) =
            Notifiers::start(&settings, prepared, &metrics, &health).expect("threads");
        Self { notifiers, threads, metrics, _folder: folder }
    }

    pub(crate) fn tell(&mut self, verdict: Verdict, channel: Option<&str>) {
        self.notifiers.tell(&Arc::new(verdict), channel, None);
    }

    /// The value of a metric, labels and all.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.metrics.render();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("{name} is there: {text}")).parse().expect("a number")
    }

    /// Waits until a metric has a value.
    pub(crate) fn wait_for_metric(&self, name: &str, wanted: f64) {
        wait_for(&format!("{name} {wanted}"), || (self.metric(name) == wanted).then_some(()));
    }

    /// Ends the threads; how long that took.
    pub(crate) fn close(self) -> Duration {
        let start = Instant::now();
        drop(self.notifiers);
        self.threads.into_iter().for_each(|thread| thread.join().expect("it returns"));
        start.elapsed()
    }
}

/// Waits until `happened` gives something; fails with `what` if it never does.
pub(crate) fn wait_for<T>(what: &str, mut happened: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(value) = happened() {
            return value;
        }
        assert!(Instant::now() < until, "{what}: not within 30 s");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The lines logged about the receiver of that name.
pub(crate) fn logged(receiver: &str) -> Vec<String> {
    let log = String::from_utf8(LOG.lock().expect("no panic holds it").clone()).expect("UTF-8");
    let mark = format!("receiver=\"{receiver}\"");
    log.lines().filter(|line| line.contains(&mark)).map(str::to_owned).collect()
}

/// A caller who was accepted.
pub(crate) fn accepted(conversation: &str, sequence: u64) -> Verdict {
    let finding = Finding::Speaker {
        subject: "customer".to_owned(),
        decision: SpeakerDecision::Accepted,
        llr: Some(8.5),
        probability: Some(0.999),
        reason: None,
    };
    verdict(conversation, sequence, finding)
}

/// A phrase that was said.
pub(crate) fn said(phrase: &str, sensitivity: Sensitivity) -> Verdict {
    let finding = Finding::Keyword {
        phrase: phrase.to_owned(),
        sensitivity,
        start_s: 1.0,
        end_s: 2.0,
        score: 0.0,
        exact: true,
        experiment: None,
    };
    verdict("c", 1, finding)
}

pub(crate) fn verdict(conversation: &str, sequence: u64, finding: Finding) -> Verdict {
    Verdict {
        version: 1,
        sequence,
        conversation: conversation.to_owned(),
        party: Party::Caller,
        finding,
        since: "2026-11-27T08:00:00Z".parse().expect("a time"),
        since_s: 4.0,
        net_speech_s: 3.5,
        coverage: 1.0,
        model: None,
        policy: "p@1".to_owned(),
    }
}

/// A notice of a verdict, with nothing to be done.
pub(crate) fn notice(id: &str, verdict: Verdict, channel: Option<&str>) -> Notice {
    let channel = channel.map(str::to_owned);
    Notice { id: id.to_owned(), verdict: Arc::new(verdict), channel, agent: None, acts: Vec::new() }
}

/// Keeps what is logged, once a process.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(Kept);
        tracing::subscriber::set_global_default(subscriber.finish()).expect("the first");
    });
}

struct Kept;

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().expect("no panic holds it").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Kept {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}
