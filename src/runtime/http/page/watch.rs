//! The board that all pages look at, kept up to date beside them.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::interval;
use tracing::warn;

use crate::runtime::http::page::board::Board;
use crate::runtime::line_watch::{LineWatch, Watcher};
use crate::runtime::observation::Observation;

/// Pages that look on at once: each has one of the connections of HTTP for itself, and most are for others.
const STREAMS: usize = 32;
/// How often what is old is looked for.
const SWEEP: Duration = Duration::from_secs(5);

/// The board, for those who look at it.
#[derive(Debug)]
pub struct LiveBoard {
    board: Mutex<Board>,
    /// Tells this life of the appliance from others: versions of those mean nothing here.
    epoch: u64,
    changed: watch::Sender<u64>,
    streams: Arc<Semaphore>,
    lines: LineWatch,
}

/// Somebody who looks on, until it is dropped.
#[derive(Debug)]
pub struct Looker {
    /// Has the version of the newest change.
    pub changed: watch::Receiver<u64>,
    _permit: OwnedSemaphorePermit,
    _lines: Watcher,
}

impl LiveBoard {
    /// An empty board; while somebody looks at it, `lines` are told.
    pub fn new(lines: LineWatch) -> Result<Self, getrandom::Error> {
        Ok(Self {
            board: Mutex::new(Board::default()),
            epoch: getrandom::u64()?,
            changed: watch::channel(0).0,
            streams: Arc::new(Semaphore::new(STREAMS)),
            lines,
        })
    }

    /// Tells this life of the appliance from others.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Looks on from now; none where too many do.
    pub fn look(&self) -> Option<Looker> {
        let permit = Arc::clone(&self.streams).try_acquire_owned().ok()?;
        let (changed, lines) = (self.changed.subscribe(), self.lines.begin());
        Some(Looker { changed, _permit: permit, _lines: lines })
    }

    /// The board, for a moment.
    pub fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().expect("nothing panics while it holds this lock")
    }

    /// Keeps it up to date until nothing is observed any more.
    pub async fn follow(self: Arc<Self>, mut observations: Receiver<Observation>) {
        let mut sweep = interval(SWEEP);
        loop {
            tokio::select! {
                observation = observations.recv() => match observation {
                    Ok(observation) => self.board().handle(Timestamp::now(), &observation),
                    Err(RecvError::Lagged(missed)) => {
                        warn!(missed, "the live page is too slow: observations lost");
                        self.board().handle_missed(missed);
                    }
                    Err(RecvError::Closed) => return,
                },
                _ = sweep.tick() => self.board().handle_timeout(Timestamp::now()),
            }
            let version = self.board().version();
            self.changed.send_if_modified(|known| std::mem::replace(known, version) != version);
        }
    }
}
