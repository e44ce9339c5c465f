//! Whether the appliance can take calls, and if not, why.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use tokio::sync::Notify;

use crate::runtime::pulse::{self, Pulses};
use crate::speaker::embedder::Purpose;

/// Failed runs in a row from which a model counts as broken.
const FAILURES_UNREADY: u32 = 5;

/// Longest turn of a thread that serves calls: it comes round each second, and a machine that is out of breath may take
/// some more. Calls have lost 10 s of audio by then.
const TURN: Duration = Duration::from_secs(10);

/// A model, as metrics and health name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// Speaker embeddings that decide.
    Speaker,
    /// Speaker embeddings that watch.
    SpeakerWatch,
    /// Transcripts and phrase scores.
    Keyword,
    /// Who speaks when on a leg that several share.
    Turns,
}

impl Model {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Speaker, Self::SpeakerWatch, Self::Keyword, Self::Turns];

    /// The embedder for `role`.
    pub fn of(role: Purpose) -> Self {
        match role {
            Purpose::Decide => Self::Speaker,
            Purpose::Watch => Self::SpeakerWatch,
        }
    }

    /// The word in labels and log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Speaker => "speaker",
            Self::SpeakerWatch => "speaker_watch",
            Self::Keyword => "keyword",
            Self::Turns => "turns",
        }
    }
}

/// What `/ready` answers from.
#[derive(Debug, Default)]
pub struct Health {
    state: Mutex<State>,
    died: Notify,
    pulses: Pulses,
    /// Calls that stand.
    calls: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    started: bool,
    draining: bool,
    stopping: bool,
    /// Failed runs in a row, by model.
    failures: [u32; Model::ALL.len()],
    /// A thread that all calls share panicked.
    dead: Option<&'static str>,
    /// How many threads of each name run.
    threads: BTreeMap<&'static str, i64>,
    /// `name@version` of the policy in force.
    policy: String,
    /// Why the store does not answer.
    store: Option<String>,
    /// Threads that do not come round.
    stuck: Vec<&'static str>,
    /// What became of the last reload, in a sentence.
    reload: Option<String>,
}

/// Held by a thread that all calls share, which says by it that it comes round; a panic that unwinds through it is told to
/// [`Health`].
#[derive(Debug)]
pub struct Pulse {
    health: Arc<Health>,
    beats: pulse::Pulse,
}

impl Health {
    /// Everything is loaded and bound.
    pub fn set_started(&self) {
        self.lock().started = true;
    }

    /// No call is taken any more; those that stand go on.
    pub fn set_draining(&self) {
        self.lock().draining = true;
    }

    /// Whether no call is taken any more.
    pub fn is_draining(&self) -> bool {
        self.lock().draining
    }

    /// Calls are being ended and none is taken.
    pub fn set_stopping(&self) {
        let mut state = self.lock();
        (state.draining, state.stopping) = (true, true);
    }

    /// So many calls stand.
    pub fn set_calls(&self, calls: usize) {
        self.calls.store(calls, Ordering::Relaxed);
    }

    /// How many calls stand.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// What became of the last reload, in a sentence without its stop.
    pub fn set_last_reload(&self, sentence: String) {
        self.lock().reload = Some(sentence);
    }

    /// The same; none before the first.
    pub fn last_reload(&self) -> Option<String> {
        self.lock().reload.clone()
    }

    /// These threads do not come round.
    pub fn set_stuck(&self, threads: &[&'static str]) {
        threads.clone_into(&mut self.lock().stuck);
    }

    /// Whether everything comes round; else what does not.
    pub fn is_live(&self) -> Result<(), String> {
        match self.lock().stuck.as_slice() {
            [] => Ok(()),
            stuck => Err(format!("stuck: {}", stuck.join(", "))),
        }
    }

    /// Whether each thread comes round, as it says itself.
    pub fn pulses(&self) -> &Pulses {
        &self.pulses
    }

    /// New conversations are judged by `policy`, `name@version`.
    pub fn set_policy(&self, policy: &str) {
        policy.clone_into(&mut self.lock().policy);
    }

    /// The policy that new conversations are judged by, `name@version`; empty before the start.
    pub fn policy(&self) -> String {
        self.lock().policy.clone()
    }

    /// The store answers, or does not, and why.
    pub fn set_store(&self, away: Option<String>) {
        self.lock().store = away;
    }

    /// A model ran, well or not.
    pub fn note_run(&self, model: Model, good: bool) {
        let failures = &mut self.lock().failures[model as usize];
        *failures = if good { 0 } else { failures.saturating_add(1) };
    }

    /// To be held by the thread named `thread` for as long as it runs; its turns take 10 s at the most.
    pub fn pulse(self: &Arc<Self>, thread: &'static str) -> Pulse {
        self.patient_pulse(thread, TURN)
    }

    /// The same for a thread whose turns may take longer.
    pub fn patient_pulse(self: &Arc<Self>, thread: &'static str, bound: Duration) -> Pulse {
        *self.lock().threads.entry(thread).or_default() += 1;
        Pulse { health: Arc::clone(self), beats: self.pulses.begin(thread, bound) }
    }

    /// How many threads of each name run; a name that was once there stays.
    pub fn threads(&self) -> BTreeMap<&'static str, i64> {
        self.lock().threads.clone()
    }

    /// Waits until a thread has died; gives its name.
    pub async fn died(&self) -> &'static str {
        loop {
            let notified = self.died.notified();
            let dead = self.lock().dead;
            match dead {
                Some(thread) => return thread,
                None => notified.await,
            }
        }
    }

    /// Why no call should be sent here now; `None` if all is well.
    pub fn not_ready_because(&self) -> Option<Cow<'static, str>> {
        let state = self.lock();
        if let (true, Some(why)) = (state.is_serving(), &state.store) {
            return Some(format!("the store is unavailable: {why}").into());
        }
        if state.is_serving() && !state.stuck.is_empty() {
            return Some(format!("a thread is stuck: {}", state.stuck.join(", ")).into());
        }
        state.why().map(Cow::Borrowed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

impl State {
    fn is_serving(&self) -> bool {
        self.started && !self.draining && self.dead.is_none()
    }

    fn why(&self) -> Option<&'static str> {
        if !self.started {
            Some("starting")
        } else if self.stopping {
            Some("stopping")
        } else if self.draining {
            Some("draining")
        } else if self.dead.is_some() {
            Some("a thread has died")
        } else if self.failures[Model::Speaker as usize] >= FAILURES_UNREADY {
            Some("the speaker model fails")
        } else if self.failures[Model::SpeakerWatch as usize] >= FAILURES_UNREADY {
            Some("the speaker model that watches fails")
        } else if self.failures[Model::Keyword as usize] >= FAILURES_UNREADY {
            Some("the keyword model fails")
        } else if self.failures[Model::Turns as usize] >= FAILURES_UNREADY {
            Some("the model that tells turns apart fails")
        } else {
            None
        }
    }
}

impl Pulse {
    /// The next turn begins.
    pub fn beat(&self) {
        self.beats.beat();
    }

    /// Waits for work, which may take for ever; what comes of it is the next turn.
    pub fn idle<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.beats.idle(wait)
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        let mut state = self.health.lock();
        *state.threads.entry(self.beats.thread()).or_default() -= 1;
        if thread::panicking() {
            state.dead = Some(self.beats.thread());
            self.health.died.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_says_what_it_waits_for() {
        let health = Health::default();
        assert_eq!(health.not_ready_because().as_deref(), Some("starting"));
        health.set_started();
        assert_eq!(health.not_ready_because().as_deref(), None);
        for _ in 0..FAILURES_UNREADY {
            assert_eq!(health.not_ready_because().as_deref(), None);
            health.note_run(Model::Keyword, false);
        }
        assert_eq!(health.not_ready_because().as_deref(), Some("the keyword model fails"));
        health.note_run(Model::Keyword, true);
        assert_eq!(health.not_ready_because().as_deref(), None);
        health.set_store(Some("PostgreSQL cannot be reached".to_owned()));
        let says = "the store is unavailable: PostgreSQL cannot be reached";
        assert_eq!(health.not_ready_because().as_deref(), Some(says));
        health.set_store(None);
        assert_eq!(health.not_ready_because().as_deref(), None);
        health.set_draining();
        assert_eq!(health.not_ready_because().as_deref(), Some("draining"));
        health.set_stopping();
        assert_eq!(health.not_ready_because().as_deref(), Some("stopping"));
    }

    #[test]
    fn a_thread_that_panics_is_told_and_one_that_returns_is_not() {
        let health = Arc::new(Health::default());
        health.set_started();
        let pulse = health.pulse("good");
        thread::spawn(move || drop(pulse)).join().expect("it returns");
        assert_eq!(health.not_ready_because().as_deref(), None);
        let pulse = health.pulse("bad");
        let bad = thread::spawn(move || {
            let _pulse = pulse;
            panic!("a broken invariant");
        });
        assert!(bad.join().is_err());
        assert_eq!(health.not_ready_because().as_deref(), Some("a thread has died"));
        assert_eq!(health.threads(), BTreeMap::from([("bad", 0), ("good", 0)]));
        let running = health.pulse("good");
        assert_eq!(health.threads()["good"], 1);
        drop(running);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        assert_eq!(runtime.block_on(health.died()), "bad");
    }
}
