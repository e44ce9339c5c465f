//! Whether the threads that all calls share come round: each says so itself, at its own turns.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The threads that say so.
#[derive(Debug)]
pub struct Pulses {
    start: Instant,
    beats: Mutex<Vec<Arc<Beat>>>,
}

/// A thread's own end. Without a beat it counts as waiting for work.
#[derive(Debug)]
pub struct Pulse {
    beat: Arc<Beat>,
    start: Instant,
}

#[derive(Debug)]
struct Beat {
    thread: &'static str,
    bound: Duration,
    /// Since when it is at the turn that it is at, milliseconds since the start and one; 0 while it waits.
    since: AtomicU64,
}

impl Pulses {
    /// The pulse of `thread`, whose turns take `bound` at the most.
    pub fn begin(&self, thread: &'static str, bound: Duration) -> Pulse {
        let beat = Arc::new(Beat { thread, bound, since: AtomicU64::new(0) });
        self.lock().push(Arc::clone(&beat));
        Pulse { beat, start: self.start }
    }

    /// Every thread by name, and whether it is at one turn for longer than that may take. Some have their name in common.
    pub fn look(&self, now: Instant) -> Vec<(&'static str, bool)> {
        let mut beats = self.lock();
        // A thread that has ended is nobody's concern here; what became of it, `Health` knows.
        beats.retain(|beat| Arc::strong_count(beat) > 1);
        beats.iter().map(|beat| (beat.thread, beat.is_stuck(stamp(self.start, now)))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Beat>>> {
        self.beats.lock().expect("nothing panics while it holds this lock")
    }
}

impl Default for Pulses {
    fn default() -> Self {
        Self { start: Instant::now(), beats: Mutex::default() }
    }
}

impl Pulse {
    /// The next turn begins.
    pub fn beat(&self) {
        self.beat.since.store(stamp(self.start, Instant::now()), Ordering::Relaxed);
    }

    /// Waits for work, which may take for ever; what comes of it is the next turn.
    pub fn idle<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.beat.since.store(0, Ordering::Relaxed);
        let work = wait();
        self.beat();
        work
    }

    /// The name of its thread.
    pub fn thread(&self) -> &'static str {
        self.beat.thread
    }
}

impl Beat {
    fn is_stuck(&self, now: u64) -> bool {
        match self.since.load(Ordering::Relaxed) {
            0 => false,
            since => u128::from(now.saturating_sub(since)) > self.bound.as_millis(),
        }
    }
}

fn stamp(start: Instant, now: Instant) -> u64 {
    now.saturating_duration_since(start).as_millis() as u64 + 1
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    const BOUND: Duration = Duration::from_secs(10);

    #[test]
    fn whoever_waits_for_work_is_not_stuck_and_whoever_is_at_it_for_too_long_is() {
        let pulses = Pulses::default();
        let pulse = pulses.begin("vault", BOUND);
        let late = Instant::now() + 2 * BOUND;
        assert_eq!(pulses.look(late), [("vault", false)], "it waits for its first work");
        pulse.beat();
        assert_eq!(pulses.look(Instant::now()), [("vault", false)]);
        assert_eq!(pulses.look(late), [("vault", true)]);
        assert_eq!(pulse.idle(|| pulses.look(late)), [("vault", false)]);
        assert_eq!(pulses.look(late), [("vault", true)], "what came of it is a turn again");
        drop(pulse);
        assert_eq!(pulses.look(late), []);
    }

    #[test]
    fn a_thread_that_a_disk_keeps_waiting_is_stuck_until_the_disk_lets_it_go() {
        let folder = tempfile::tempdir().expect("a folder");
        // Whoever opens a pipe for writing waits until somebody reads.
        let pipe = folder.path().join("anchors");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0)
            .expect("a pipe");
        let pulses = Pulses::default();
        let pulse = pulses.begin("events", BOUND);
        let (began, begin) = mpsc::channel();
        let path = pipe.clone();
        let writer = thread::spawn(move || {
            pulse.beat();
            began.send(()).expect("somebody waits");
            let written = std::fs::write(&path, "an event\n");
            pulse.idle(|| written)
        });
        begin.recv().expect("it begins");
        assert_eq!(pulses.look(Instant::now() + 2 * BOUND), [("events", true)]);
        assert_eq!(std::fs::read(&pipe).expect("what was written"), b"an event\n");
        writer.join().expect("no panic").expect("written");
        assert_eq!(pulses.look(Instant::now() + 2 * BOUND), []);
    }
}
