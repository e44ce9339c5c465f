//! Keeps the events that rules are judged by, one file a conversation, for `sidetone audit`.
//!
//! A thread of its own writes them, so that a slow disk never holds up a call. What cannot be kept ends the file of
//! its conversation there: a file is always true as far as it goes, and lacks its last event, `over`, where it was cut.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use tracing::{info, warn};

use crate::policy::rules::event::Record;
use crate::runtime::complaints::Complaints;
use crate::runtime::health::Pulse;
use crate::runtime::metrics::Metrics;
use crate::runtime::metrics::queues::Queue;

/// Events that may wait for the disk: a hundred conversations of two legs tell some 600 a second, so this is a disk
/// that stands still for seven.
const EVENTS_WAITING: usize = 4096;
/// How often files are looked for that are too old.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// How a file's name ends.
const SUFFIX: &str = ".jsonl";
/// Longest part of a conversation's id that its file is named by, bytes: names end at 255.
const LONGEST_ID: usize = 64;
/// How a file's name begins: when its conversation began, so that a listing is in the order of time.
const BEGINNING: &str = "%Y%m%dT%H%M%S.%3fZ";

/// Why nothing can be kept: one sentence.
#[derive(Debug, thiserror::Error)]
pub enum EventStreamsError {
    /// The folder cannot be made, or not written to.
    #[error("cannot keep events in {} (rules.events_folder): {error}", .folder.display())]
    Folder {
        /// Which folder.
        folder: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The system has no thread to give.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// Where streams begin.
#[derive(Debug)]
pub struct EventStreams {
    events: SyncSender<Kept>,
    metrics: Arc<Metrics>,
}

/// The events of one conversation, on their way to its file.
#[derive(Debug)]
pub struct EventStream {
    file: Arc<EventFile>,
    events: SyncSender<Kept>,
    metrics: Arc<Metrics>,
    /// An event was lost: none after it is kept.
    torn: bool,
}

#[derive(Debug)]
struct EventFile {
    name: String,
    /// The disk refused an event.
    torn: AtomicBool,
}

#[derive(Debug)]
struct Kept {
    file: Arc<EventFile>,
    record: Record,
}

impl EventStreams {
    /// Keeps events in `folder` (mode 0700, made where it is not there), each file for so many `days`. The thread ends
    /// when this and all streams are gone, and what waited is written.
    pub fn start(
        folder: &Path,
        days: u32,
        metrics: Arc<Metrics>,
        pulse: Pulse,
    ) -> Result<(Self, JoinHandle<()>), EventStreamsError> {
        let refused = |error| EventStreamsError::Folder { folder: folder.to_owned(), error };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(refused)?;
        // Better told now than at the first call.
        tempfile::tempfile_in(folder).map_err(refused)?;
        let (events, inbox) = sync_channel(EVENTS_WAITING);
        let age = SignedDuration::from_hours(24 * i64::from(days));
        let (folder, counts) = (folder.to_owned(), Arc::clone(&metrics));
        let mut writer = Writer { folder, age, metrics: counts, complaints: Complaints::default() };
        let thread = thread::Builder::new().name("events".to_owned()).spawn(move || {
            writer.run(&inbox, &pulse);
        });
        Ok((Self { events, metrics }, thread.map_err(EventStreamsError::Thread)?))
    }

    /// The stream of a conversation that begins at `now`.
    pub fn begin(&self, conversation: &str, now: Timestamp) -> EventStream {
        let file = EventFile { name: file_name(conversation, now), torn: AtomicBool::new(false) };
        let (events, metrics) = (self.events.clone(), Arc::clone(&self.metrics));
        EventStream { file: Arc::new(file), events, metrics, torn: false }
    }
}

impl EventStream {
    /// Keeps one event, the next of its conversation; never waits.
    pub fn keep(&mut self, record: Record) {
        if !self.torn && !self.file.torn.load(Ordering::Relaxed) {
            let kept = Kept { file: Arc::clone(&self.file), record };
            // Before it is there, or it could be gone before it was counted.
            self.metrics.queues.entered(Queue::RuleEvents);
            if self.events.try_send(kept).is_ok() {
                return;
            }
            self.metrics.queues.left(Queue::RuleEvents, 1);
            self.torn = true;
            warn!(file = self.file.name, "the disk is too slow: no more events are kept of it");
        }
        self.metrics.rule_events("lost", 1);
    }
}

/// What the thread works with.
struct Writer {
    folder: PathBuf,
    age: SignedDuration,
    metrics: Arc<Metrics>,
    complaints: Complaints,
}

impl Writer {
    fn run(&mut self, inbox: &Receiver<Kept>, pulse: &Pulse) {
        let mut sweep = Instant::now();
        loop {
            if sweep <= Instant::now() {
                self.sweep(Timestamp::now());
                sweep = Instant::now() + SWEEP_EVERY;
            }
            let wait = sweep.saturating_duration_since(Instant::now());
            match pulse.idle(|| inbox.recv_timeout(wait)) {
                Ok(first) => self.write(std::iter::once(first).chain(inbox.try_iter())),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Writes what there is, each file's events at once.
    fn write(&mut self, events: impl Iterator<Item = Kept>) {
        let mut files: BTreeMap<String, (Arc<EventFile>, String, u64)> = BTreeMap::new();
        for Kept { file, record } in events.take(EVENTS_WAITING) {
            self.metrics.queues.left(Queue::RuleEvents, 1);
            let entry = files.entry(file.name.clone());
            let (_, lines, count) = entry.or_insert_with(|| (file, String::new(), 0));
            lines.push_str(&record.to_json());
            lines.push('\n');
            *count += 1;
        }
        for (name, (file, lines, count)) in files {
            let torn = file.torn.load(Ordering::Relaxed);
            let written = if torn { Ok(()) } else { append(&self.folder.join(&name), &lines) };
            if let Err(error) = written {
                file.torn.store(true, Ordering::Relaxed);
                if let Some(kept_back) = self.complaints.due(Instant::now()) {
                    warn!(file = name, %error, kept_back, "no more events are kept of it");
                }
            }
            let lost = file.torn.load(Ordering::Relaxed);
            self.metrics.rule_events(if lost { "lost" } else { "kept" }, count);
        }
    }

    /// Deletes the files of conversations that began too long before `now`; what is not ours stays.
    fn sweep(&mut self, now: Timestamp) {
        let began = |path: &PathBuf| began(path.file_name()?.to_str()?);
        let old =
            |path: &PathBuf| began(path).is_some_and(|began| now.duration_since(began) > self.age);
        let deleted = fs::read_dir(&self.folder).and_then(|entries| {
            let mut deleted = 0_u64;
            for entry in entries {
                let path = entry?.path();
                if old(&path) {
                    fs::remove_file(path)?;
                    deleted += 1;
                }
            }
            Ok(deleted)
        });
        match deleted {
            Ok(0) => {}
            Ok(files) => info!(files, "kept events deleted: they are too old"),
            Err(error) => warn!(%error, "kept events that are too old are not all deleted"),
        }
    }
}

/// Puts whole lines at the end of a file (mode 0600), or nothing.
fn append(path: &Path, lines: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let before = file.metadata()?.len();
    file.write_all(lines.as_bytes()).inspect_err(|_| {
        // Half a line is worse than none; a disk that refuses this as well is told of already.
        let _ = file.set_len(before);
    })
}

/// Names no other conversation's file, and nothing outside of the folder.
fn file_name(conversation: &str, began: Timestamp) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let id = conversation.chars().map(|c| if is_plain(c) { c } else { '_' });
    let id: String = id.take(LONGEST_ID).collect();
    let hash = hex::encode(&Sha256::digest(conversation)[..4]);
    format!("{}_{id}_{hash}{SUFFIX}", began.strftime(BEGINNING))
}

/// When the conversation of a file began; `None` where we did not write it.
fn began(name: &str) -> Option<Timestamp> {
    let (began, _) = name.strip_suffix(SUFFIX)?.split_once('_')?;
    began.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::rules::event::{EVENT_VERSION, Event};
    use crate::runtime::health::Health;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a moment")
    }

    fn record(conversation: &str, at_ms: u64) -> Record {
        let event = Event::Over { at: Duration::from_millis(at_ms) };
        Record { version: EVENT_VERSION, conversation: conversation.to_owned(), event }
    }

    #[test]
    fn a_file_is_named_by_time_and_a_safe_form_of_the_conversation() {
        let began_at = at("2026-11-27T10:00:00.123456Z");
        let name = file_name("../../etc/päss wd", began_at);
        assert_eq!(name, "20261127T100000.123Z_.._.._etc_p_ss_wd_2134b57c.jsonl");
        assert_eq!(began(&name), Some(at("2026-11-27T10:00:00.123Z")));
        assert_ne!(file_name("a/b", began_at), file_name("a_b", began_at));
        assert!(file_name(&"x".repeat(256), began_at).len() < 128);
        assert_eq!(began("notes.jsonl"), None);
        assert_eq!(began("20261127T100000.123Z_a_00000000.txt"), None);
    }

    #[test]
    fn streams_become_files_of_whole_lines_and_old_ones_are_deleted() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("events");
        fs::create_dir(&place).expect("a folder");
        let now = Timestamp::now();
        let day = SignedDuration::from_hours(24);
        let old = file_name("old", now - day * 3);
        let young = file_name("young", now - day);
        for name in [&old, &young, &"notes.jsonl".to_owned()] {
            fs::write(place.join(name), "").expect("a writable folder");
        }
        let health = Arc::new(Health::default());
        let metrics = Arc::new(Metrics::new(Arc::clone(&health)));
        let pulse = health.pulse("events");
        let (streams, thread) =
            EventStreams::start(&place, 2, Arc::clone(&metrics), pulse).expect("a good folder");
        let (mut a, mut b) = (streams.begin("a", now), streams.begin("b", now));
        for n in 0..3 {
            a.keep(record("a", n));
            b.keep(record("b", n));
        }
        drop((a, b, streams));
        thread.join().expect("it returns");
        let read = |name: &str| fs::read_to_string(place.join(name)).expect("a file");
        let wanted = |id| (0..3).map(|n| record(id, n).to_json() + "\n").collect::<String>();
        assert_eq!(read(&file_name("a", now)), wanted("a"));
        assert_eq!(read(&file_name("b", now)), wanted("b"));
        let there = |name: &str| place.join(name).exists();
        assert_eq!((there(&old), there(&young), there("notes.jsonl")), (false, true, true));
        let text = metrics.render();
        assert!(text.contains("sidetone_rule_events_total{outcome=\"kept\"} 6\n"), "{text}");
    }

    #[test]
    fn what_is_lost_ends_its_file_and_nothing_waits_for_the_disk() {
        let metrics = Arc::new(Metrics::new(Arc::default()));
        // Nobody writes: the queue holds two.
        let (events, inbox) = sync_channel(2);
        let streams = EventStreams { events, metrics: Arc::clone(&metrics) };
        let mut stream = streams.begin("a", Timestamp::UNIX_EPOCH);
        (0..4).for_each(|n| stream.keep(record("a", n)));
        let waiting: Vec<_> = inbox.try_iter().map(|kept| kept.record).collect();
        assert_eq!(waiting, [record("a", 0), record("a", 1)]);
        stream.keep(record("a", 4));
        assert!(inbox.try_recv().is_err(), "what follows a hole is not kept either");
        let text = metrics.render();
        assert!(text.contains("sidetone_rule_events_total{outcome=\"lost\"} 3\n"), "{text}");
    }

    #[test]
    fn a_disk_that_refuses_ends_the_file_and_is_counted() {
        let metrics = Arc::new(Metrics::new(Arc::default()));
        let (events, inbox) = sync_channel(8);
        let streams = EventStreams { events, metrics: Arc::clone(&metrics) };
        let mut stream = streams.begin("a", Timestamp::UNIX_EPOCH);
        (0..2).for_each(|n| stream.keep(record("a", n)));
        let folder = PathBuf::from("/nonexistent/events");
        let (age, complaints) = (SignedDuration::MAX, Complaints::default());
        let counts = Arc::clone(&metrics);
        let mut writer = Writer { folder, age, metrics: counts, complaints };
        writer.write(inbox.try_iter());
        stream.keep(record("a", 2));
        assert!(inbox.try_recv().is_err(), "the disk would refuse it as well");
        let text = metrics.render();
        assert!(text.contains("sidetone_rule_events_total{outcome=\"lost\"} 3\n"), "{text}");
        assert!(text.contains("sidetone_rule_events_total{outcome=\"kept\"} 0\n"), "{text}");
    }
}
