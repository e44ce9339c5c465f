//! What the vault's thread does beside what is asked of it: records that wait, consents that others change, anchors,
//! what may not stay.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tracing::{error, info, warn};

use crate::config::store::Store;
use crate::runtime::health::Health;
use crate::runtime::metrics::Metrics;
use crate::runtime::metrics::queues::Queue;
use crate::runtime::store::anchors;
use crate::runtime::store::audit_trail::Wanted;
use crate::runtime::store::consents::News;
use crate::runtime::store::database::DatabaseError;
use crate::runtime::store::trail::Trail;
use crate::runtime::store::vault::{Vault, VaultError};
use crate::vault::chain::{Draft, Head, Kind};
use crate::vault::pseudonym::Pseudonym;

/// How often it is looked whether others changed a consent, and tried whether the database is back.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often the end of the trail is noted, if it moved.
const ANCHOR_EVERY: Duration = Duration::from_secs(60);
/// How often everybody is looked at, whether what is kept of them may stay.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// Persons who are looked at in one go, between which calls have their turn: some 0.1 s.
const SWEPT_AT_ONCE: u32 = 500;
/// Records that are written in one transaction.
const WRITTEN_AT_ONCE: usize = 200;
/// Records that are read at once.
const PAGE: u32 = 1_000;

/// Everything that is due from time to time.
pub(super) struct Chores {
    trail: Trail,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    news: Box<dyn FnMut(News) + Send>,
    anchor_file: PathBuf,
    /// The end of the trail, as far as we know it, and what of it is noted.
    head: Head,
    anchored: Head,
    /// After which record those stand that may be written, or not: the database was lost before it said so.
    doubt: Option<u64>,
    /// The last record whose consents we know.
    known: u64,
    look: Instant,
    anchor: Instant,
    sweep: Instant,
    /// Where a sweep goes on that has begun.
    sweeping: Option<Option<Pseudonym>>,
    is_away: bool,
}

impl Chores {
    /// Begins the work, `before` being how the run before ended.
    pub(super) fn new(
        vault: &mut Vault,
        store: &Store,
        trail: Trail,
        (metrics, health): (Arc<Metrics>, Arc<Health>),
        news: Box<dyn FnMut(News) + Send>,
        before: &'static str,
    ) -> Result<Self, VaultError> {
        let head = vault.head()?;
        if before == "killed" {
            warn!("the run before this one ended without a word: its last records may be missing");
        }
        let now = Instant::now();
        let chores = Self {
            trail,
            metrics,
            health,
            news,
            anchor_file: store.anchor_file.clone(),
            head,
            anchored: Head::EMPTY,
            doubt: None,
            known: head.sequence,
            look: now,
            anchor: now,
            sweep: now,
            sweeping: None,
            is_away: false,
        };
        chores.metrics.store.up(true);
        Ok(chores)
    }

    /// When [`Self::handle_timeout`] is next due.
    pub(super) fn due(&self) -> Instant {
        self.look
    }

    /// Whoever has just worked may have changed a consent.
    pub(super) fn look_again(&mut self) {
        if !self.is_away {
            self.look = Instant::now();
        }
    }

    /// Does `work`, and tells how long it took.
    pub(super) fn time(&self, work: impl FnOnce()) {
        let began = Instant::now();
        work();
        self.metrics.queues.left(Queue::Store, 1);
        self.metrics.store.took(began.elapsed());
    }

    /// Does what is due.
    pub(super) fn handle_timeout(&mut self, vault: &mut Vault, now: Instant) {
        if now < self.look {
            return;
        }
        self.look = now + LOOK_EVERY;
        match vault.consent_changes_since(self.known) {
            Ok(news) => {
                self.note(None);
                self.known = news.until;
                if !news.changed.is_empty() {
                    (self.news)(news);
                }
            }
            Err(why) => return self.note(Some(&why)),
        }
        self.write(vault);
        self.sweep(vault, now);
        if now >= self.anchor {
            self.anchor = now + ANCHOR_EVERY;
            self.anchor(vault);
        }
    }

    /// Puts what waits on record.
    pub(super) fn write(&mut self, vault: &mut Vault) {
        loop {
            let entries = self.trail.first(WRITTEN_AT_ONCE);
            if entries.is_empty() {
                return;
            }
            let drafts: Vec<_> = entries.iter().map(|entry| entry.draft(vault)).collect();
            match self.append(vault, &drafts) {
                Ok(written) => self.trail.written(written),
                Err(why) => {
                    let in_doubt =
                        matches!(&why, VaultError::Database(DatabaseError::InDoubt { .. }));
                    if in_doubt {
                        self.doubt.get_or_insert(self.head.sequence);
                    }
                    return self.note(Some(&why));
                }
            }
        }
    }

    /// How many of `drafts` are on record now.
    fn append(&mut self, vault: &mut Vault, drafts: &[Draft]) -> Result<usize, VaultError> {
        if let Some(after) = self.doubt {
            let written = count_written(vault, after, drafts)?;
            self.doubt = None;
            if written > 0 {
                return Ok(written);
            }
        }
        let head = vault.append(drafts)?;
        self.moved(head);
        Ok(drafts.len())
    }

    fn moved(&mut self, head: Head) {
        if head != self.head {
            self.head = head;
            self.metrics.store.head(head);
        }
    }

    fn sweep(&mut self, vault: &mut Vault, now: Instant) {
        if self.sweeping.is_none() && now >= self.sweep {
            self.sweep = now + SWEEP_EVERY;
            self.sweeping = Some(None);
        }
        let Some(after) = &self.sweeping else { return };
        match vault.sweep(after.as_ref(), SWEPT_AT_ONCE, Timestamp::now(), false) {
            Ok(swept) => {
                for gone in &swept.swept {
                    self.metrics.store.erased(gone.reason);
                    info!(person = %gone.person, reason = ?gone.reason, "erased");
                }
                self.sweeping = swept.next.map(Some);
            }
            Err(why) => {
                self.sweeping = None;
                self.note(Some(&why));
            }
        }
    }

    /// Notes where the trail ends outside of the database.
    fn anchor(&mut self, vault: &mut Vault) {
        let head = match vault.head() {
            Ok(head) => head,
            Err(why) => return self.note(Some(&why)),
        };
        self.moved(head);
        if head == self.anchored || head == Head::EMPTY {
            return;
        }
        match anchors::note(&self.anchor_file, head, Timestamp::now()) {
            Ok(()) => self.anchored = head,
            Err(error) => warn!(%error, "the end of the audit trail is not noted"),
        }
    }

    /// Whether the database answers.
    fn note(&mut self, why: Option<&VaultError>) {
        let (was_away, is_away) = (self.is_away, why.is_some());
        self.is_away = is_away;
        self.metrics.store.up(!is_away);
        self.health.set_store(why.map(ToString::to_string));
        match why {
            Some(error) if !was_away => {
                warn!(%error, "the store is away: calls are decided from memory, records wait");
            }
            None if was_away => info!(waiting = self.trail.count(), "the store is back"),
            Some(_) | None => {}
        }
    }

    /// The end: what waits is put on record, if that can be.
    pub(super) fn finish(&mut self, vault: &mut Vault) {
        self.write(vault);
        self.anchor(vault);
        let lost = self.trail.count();
        if lost > 0 {
            error!(lost, "the store is away: what waited to be put on record is lost");
        }
    }
}

/// How the run before on this machine ended: `stopped`, `killed`, or there was `none`.
pub(super) fn before(vault: &mut Vault) -> Result<&'static str, VaultError> {
    let mut last = None;
    for kind in [Kind::Start, Kind::Stop] {
        let mut wanted = Wanted { kind: Some(kind), ..Wanted::default() };
        loop {
            let page = vault.records(&wanted, PAGE)?;
            let Some(end) = page.last() else { break };
            wanted.after = end.sequence;
            let here = page.iter().filter(|record| {
                let detail: Option<serde_json::Value> =
                    serde_json::from_str(&record.draft.detail).ok();
                detail.is_some_and(|detail| detail["host"] == host().as_str())
            });
            last = last.max(here.map(|record| (record.sequence, kind == Kind::Stop)).next_back());
        }
    }
    Ok(match last {
        None => "none",
        Some((_, true)) => "stopped",
        Some((_, false)) => "killed",
    })
}

/// How many of the first of `drafts` stand somewhere after record `after`.
fn count_written(vault: &mut Vault, after: u64, drafts: &[Draft]) -> Result<usize, VaultError> {
    let mut wanted = Wanted { after, ..Wanted::default() };
    let mut count = 0;
    loop {
        let page = vault.records(&wanted, PAGE)?;
        let Some(end) = page.last() else { return Ok(count) };
        wanted.after = end.sequence;
        for record in &page {
            if drafts.get(count) == Some(&record.draft) {
                count += 1;
            }
        }
    }
}

/// What this machine is called: several may share a database.
pub(super) fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::retention;
    use crate::runtime::store::key_file::KeyFile;
    use crate::runtime::store::place::Place;
    use crate::vault::secret::Secret;

    fn draft(n: i64) -> Draft {
        Draft {
            at: Timestamp::from_millisecond(n).expect("a time"),
            kind: Kind::Decision,
            actor: "sidetone".to_owned(),
            person: None,
            conversation: Some("c".to_owned()),
            detail: format!("{{\"sequence\":{n}}}"),
        }
    }

    #[test]
    fn what_a_lost_commit_wrote_is_found_among_what_others_wrote() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = folder.path().join("store.key");
        KeyFile::create(&key, Secret::new([7; 32])).expect("a key");
        let url = format!("sqlite:{}", folder.path().join("vault.db").display());
        let place = Place::parse(&url, None).expect("a place");
        let mut vault = Vault::open(&place, &key, retention::Settings::default()).expect("a vault");
        let before = vault.append(&[draft(1)]).expect("written").sequence;
        let wanted: Vec<_> = (2..6).map(draft).collect();
        assert_eq!(count_written(&mut vault, before, &wanted).expect("an answer"), 0);
        vault.append(&[draft(90), draft(2), draft(3), draft(91)]).expect("written");
        assert_eq!(count_written(&mut vault, before, &wanted).expect("an answer"), 2);
        // What was said before the doubt is no answer to it.
        let again = [draft(1)];
        assert_eq!(count_written(&mut vault, before, &again).expect("an answer"), 0);
    }
}
