//! How what is kept of a person goes: by request, by law, or for want of use (GDPR Art. 17), and what forbids it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::consent::consents::Consents;
use crate::consent::retention::{self, Kept, Reason};
use crate::consent::role::Role;
use crate::runtime::store::audit_trail;
use crate::runtime::store::consents;
use crate::runtime::store::database::{Database, in_transaction};
use crate::runtime::store::persons::{Act, GATHERING, VOICEPRINT, draft};
use crate::runtime::store::vault::{Subject, Vault, VaultError, to_timestamp};
use crate::vault::chain::{Head, Kind};
use crate::vault::proof::Signed;
use crate::vault::pseudonym::Pseudonym;

/// The actor of what nobody asked for.
pub const SWEEPER: &str = "sidetone";

/// What was removed of a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Erased {
    /// The voiceprint.
    pub voiceprint: bool,
    /// What was gathered for one.
    pub gathering: bool,
    /// The key that both lie under, and the name: what of them is left anywhere opens no more.
    pub key: bool,
}

/// That a person was erased: to be signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erasure {
    /// Layout of this statement.
    pub version: u32,
    /// The name that they were asked for by. It stands in this statement alone, and is kept nowhere.
    pub subject: String,
    /// In what capacity.
    pub role: String,
    /// What audit records call them.
    pub person: Pseudonym,
    /// What was removed.
    pub erased: Erased,
    /// Whether the database has overwritten it since. Where somebody was reading, the next sweep does.
    pub overwritten: bool,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// The record of it in the audit trail.
    pub record: Head,
}

/// Something that is to go, or went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Of whom.
    pub person: Pseudonym,
    /// What.
    pub erased: Erased,
    /// Why.
    pub reason: Reason,
}

/// One part of a sweep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sweep {
    /// What went, or would.
    pub swept: Vec<Swept>,
    /// Where to go on; `None` at the end.
    pub next: Option<Pseudonym>,
}

/// For people: "the voiceprint, the key".
impl fmt::Display for Erased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.voiceprint, "the voiceprint"),
            (self.gathering, "what was gathered"),
            (self.key, "the key"),
        ];
        let gone: Vec<_> = parts.iter().filter(|(gone, _)| *gone).map(|(_, what)| *what).collect();
        if gone.is_empty() {
            return f.write_str("nothing");
        }
        f.write_str(&gone.join(", "))
    }
}

impl Erased {
    /// Whether anything was.
    pub fn any(self) -> bool {
        self.voiceprint || self.gathering || self.key
    }
}

impl Vault {
    /// Removes all that is kept of the voice of `subject`, destroys the key that it lay under, and says so. What they
    /// agreed to and what was done stays, under the pseudonym (GDPR Art. 17 (3) (e)).
    pub fn erase(
        &mut self,
        subject: &Subject,
        act: &Act<'_>,
    ) -> Result<Signed<Erasure>, VaultError> {
        let person = self.pseudonym(subject);
        let (erased, record) = in_transaction(&mut *self.database, |database| {
            if let Some(reason) = hold_on(database, &person)? {
                return Err(VaultError::Held(reason));
            }
            let erased = remove(database, &person, (true, true))?;
            if !erased.any() {
                return Err(VaultError::NobodyKnown);
            }
            let detail = serde_json::json!({ "erased": erased, "reason": Reason::Request });
            let head =
                audit_trail::append(database, [draft(Kind::Erasure, &person, act, &detail)])?;
            Ok((erased, head))
        })?;
        let overwritten = self.scrub();
        Ok(self.signer.sign(Erasure {
            version: 1,
            subject: subject.name.clone(),
            role: subject.role.to_string(),
            person,
            erased,
            overwritten,
            at: act.at,
            by: act.by.to_owned(),
            record,
        }))
    }

    /// Forbids to erase what is kept of `subject`, for a reason, or allows it again.
    pub fn hold(
        &mut self,
        subject: &Subject,
        reason: Option<&str>,
        act: &Act<'_>,
    ) -> Result<(), VaultError> {
        let person = self.pseudonym(subject);
        in_transaction(&mut *self.database, |database| {
            let values = [reason.into(), person.as_str().into()];
            let found =
                database.execute("UPDATE persons SET hold = $1 WHERE person = $2", &values)?;
            if found == 0 {
                return Err(VaultError::NobodyKnown);
            }
            let detail = serde_json::json!({ "hold": reason });
            audit_trail::append(database, [draft(Kind::Hold, &person, act, &detail)])?;
            Ok(())
        })
    }

    /// Looks at `limit` persons after `after`, notes the consents that have run out, and erases what may not stay; with
    /// `dry_run` it only says what it would.
    pub fn sweep(
        &mut self,
        after: Option<&Pseudonym>,
        limit: u32,
        now: Timestamp,
        dry_run: bool,
    ) -> Result<Sweep, VaultError> {
        let sql = "SELECT person FROM persons WHERE person > $1 ORDER BY person LIMIT $2";
        let start = after.map_or("", Pseudonym::as_str);
        let rows = self.database.query(sql, &[start.into(), i64::from(limit).into()])?;
        let mut sweep = Sweep::default();
        for row in &rows {
            let person = Pseudonym::known(row.text(0)?.to_owned());
            let mut all = consents::load(&mut *self.database, &person)?;
            let (_, reason) =
                what_may_not_stay(&mut *self.database, &person, &all, &self.retention, now)?;
            if all.overdue(now).is_empty() && reason.is_none() {
                continue;
            }
            let retention = self.retention;
            let erased = if dry_run {
                what_may_not_stay(&mut *self.database, &person, &all, &retention, now)?.0
            } else {
                in_transaction(&mut *self.database, |database| {
                    consents::note_expired(database, &person, &mut all, (SWEEPER, now))?;
                    erase_what_may_not_stay(database, &person, &all, &retention, (SWEEPER, now))
                })?
            };
            sweep.swept.extend(reason.map(|reason| Swept { person, erased, reason }));
        }
        let full = rows.len() == limit as usize;
        let last = rows.last().filter(|_| full).map(|row| row.text(0).map(str::to_owned));
        sweep.next = last.transpose()?.map(Pseudonym::known);
        if sweep.next.is_none() && !dry_run {
            // Also what others erased while somebody was reading.
            self.scrub();
        }
        Ok(sweep)
    }

    /// Overwrites what was erased, as far as the database can; whether it could. What is erased is erased without it.
    pub(super) fn scrub(&mut self) -> bool {
        let scrubbed = self.database.scrub(&["persons", "voiceprints"]);
        scrubbed
            .inspect_err(|error| warn!(%error, "what was erased is not overwritten yet"))
            .is_ok()
    }
}

/// Erases what may not be kept of `person` any more, with a record of it, within a transaction.
pub(super) fn erase_what_may_not_stay(
    database: &mut dyn Database,
    person: &Pseudonym,
    consents: &Consents,
    retention: &retention::Settings,
    (by, now): (&str, Timestamp),
) -> Result<Erased, VaultError> {
    let (what, reason) = what_may_not_stay(database, person, consents, retention, now)?;
    let Some(reason) = reason else { return Ok(Erased::default()) };
    let erased = remove(database, person, (what.voiceprint, what.gathering))?;
    let detail = serde_json::json!({ "erased": erased, "reason": reason });
    let act = Act { by, at: now, conversation: None };
    audit_trail::append(database, [draft(Kind::Erasure, person, &act, &detail)])?;
    Ok(erased)
}

/// What may not be kept of `person` any more, and the first reason of it.
fn what_may_not_stay(
    database: &mut dyn Database,
    person: &Pseudonym,
    consents: &Consents,
    retention: &retention::Settings,
    now: Timestamp,
) -> Result<(Erased, Option<Reason>), VaultError> {
    let sql = "SELECT p.used, p.hold, v.purpose, p.role
         FROM persons p JOIN voiceprints v ON v.person = p.person WHERE p.person = $1";
    let rows = database.query(sql, &[person.as_str().into()])?;
    let (mut erased, mut first) = (Erased::default(), None);
    for row in &rows {
        let is_voiceprint = row.text(2)? == VOICEPRINT;
        let held = row.optional_text(1)?.is_some();
        // Whoever is on the watchlist did not agree to it, so no consent of theirs can end.
        if row.text(3)? == Role::Watchlist.as_str() {
            continue;
        }
        let kept = Kept { consents, used: to_timestamp(row.integer(0)?)?, is_voiceprint, held };
        if let Some(reason) = retention.verdict(&kept, now) {
            *(if is_voiceprint { &mut erased.voiceprint } else { &mut erased.gathering }) = true;
            first.get_or_insert(reason);
        }
    }
    let all = usize::from(erased.voiceprint) + usize::from(erased.gathering) == rows.len();
    erased.key = all && first.is_some();
    Ok((erased, first))
}

/// Removes the voiceprint, what was gathered, or both; with the last of them the person's key and name.
fn remove(
    database: &mut dyn Database,
    person: &Pseudonym,
    (voiceprint, gathering): (bool, bool),
) -> Result<Erased, VaultError> {
    let mut erased = Erased::default();
    let wanted = [
        (voiceprint, VOICEPRINT, &mut erased.voiceprint),
        (gathering, GATHERING, &mut erased.gathering),
    ];
    for (wanted, purpose, gone) in wanted {
        if wanted {
            let sql = "DELETE FROM voiceprints WHERE person = $1 AND purpose = $2";
            *gone = database.execute(sql, &[person.as_str().into(), purpose.into()])? > 0;
        }
    }
    let sql = "SELECT 1 FROM voiceprints WHERE person = $1";
    if database.query(sql, &[person.as_str().into()])?.is_empty() {
        let sql = "DELETE FROM persons WHERE person = $1";
        erased.key = database.execute(sql, &[person.as_str().into()])? > 0;
    }
    Ok(erased)
}

fn hold_on(database: &mut dyn Database, person: &Pseudonym) -> Result<Option<String>, VaultError> {
    let sql = "SELECT hold FROM persons WHERE person = $1";
    let rows = database.query(sql, &[person.as_str().into()])?;
    let hold = rows.first().map(|row| row.optional_text(0)).transpose()?;
    Ok(hold.flatten().map(str::to_owned))
}
