//! The audit trail in the vault: written with what it tells of, read, and verified.

use jiff::Timestamp;

use crate::runtime::store::database::{Database, DatabaseError, Row, Value, in_transaction};
use crate::runtime::store::vault::{Vault, VaultError, to_timestamp, to_value};
use crate::vault::chain::{Digest, Draft, Fault, Head, Kind, Record, Verification};
use crate::vault::pseudonym::Pseudonym;

/// Records that are read at once.
const PAGE: u32 = 1_000;

/// Which records are wanted; all of those that meet every condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// With larger numbers.
    pub after: u64,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// About this person.
    pub person: Option<Pseudonym>,
}

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The end of the trail, as far as it is whole.
    pub head: Head,
    /// The first thing that is wrong.
    pub fault: Option<Fault>,
}

impl Vault {
    /// Puts records at the end of the trail, in their order: all of them, or none. The trail's new end.
    pub fn append(&mut self, drafts: &[Draft]) -> Result<Head, VaultError> {
        in_transaction(&mut *self.database, |database| append(database, drafts.iter().cloned()))
    }

    /// The end of the trail.
    pub fn head(&mut self) -> Result<Head, VaultError> {
        head(&mut *self.database)
    }

    /// At most `limit` records that are wanted, in their order.
    pub fn records(&mut self, wanted: &Wanted, limit: u32) -> Result<Vec<Record>, VaultError> {
        let after = i64::try_from(wanted.after).unwrap_or(i64::MAX);
        let mut values: Vec<Value> = vec![after.into()];
        let mut conditions = String::new();
        let filters = [
            ("kind", wanted.kind.map(Kind::as_str)),
            ("person", wanted.person.as_ref().map(Pseudonym::as_str)),
        ];
        for (column, value) in filters {
            if let Some(value) = value {
                values.push(value.into());
                conditions.push_str(&format!(" AND {column} = ${}", values.len()));
            }
        }
        values.push(i64::from(limit).into());
        let sql = format!(
            "SELECT sequence, at, kind, actor, person, conversation, detail, previous, digest FROM audit
             WHERE sequence > $1{conditions} ORDER BY sequence LIMIT ${}",
            values.len()
        );
        let rows = self.database.query(&sql, &values)?;
        Ok(rows.iter().map(record).collect::<Result<_, _>>()?)
    }

    /// Reads the whole trail and looks whether anything was changed, removed or moved since it was written, or since
    /// `anchors` were; `progress` is told the number of each thousandth record.
    pub fn verify(
        &mut self,
        anchors: Vec<Head>,
        mut progress: impl FnMut(u64),
    ) -> Result<Verified, VaultError> {
        let mut verification = Verification::new(anchors);
        let (mut wanted, mut head) = (Wanted::default(), Head::EMPTY);
        loop {
            let records = match self.records(&wanted, PAGE) {
                Err(VaultError::Database(DatabaseError::Damaged { .. })) => {
                    // A record that cannot be read was changed.
                    let sequence = wanted.after + 1;
                    return Ok(Verified { head, fault: Some(Fault::Changed { sequence }) });
                }
                records => records?,
            };
            for record in &records {
                if let Err(fault) = verification.check(record) {
                    return Ok(Verified { head, fault: Some(fault) });
                }
                head = record.head();
            }
            progress(head.sequence);
            match records.last() {
                Some(last) => wanted.after = last.sequence,
                None => break,
            }
        }
        Ok(Verified { head, fault: verification.finish().err() })
    }
}

/// Puts records at the end of the trail, within a transaction.
pub(super) fn append(
    database: &mut dyn Database,
    drafts: impl IntoIterator<Item = Draft>,
) -> Result<Head, VaultError> {
    let mut head = head(database)?;
    for draft in drafts {
        let Record { sequence, draft, previous, digest } = head.record(draft);
        let number = i64::try_from(sequence).expect("nobody writes 9e18 records");
        database.execute(
            "INSERT INTO audit (sequence, at, kind, actor, person, conversation, detail, previous, digest)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            &[
                number.into(),
                to_value(draft.at),
                draft.kind.as_str().into(),
                draft.actor.into(),
                draft.person.as_ref().map(Pseudonym::as_str).into(),
                draft.conversation.into(),
                draft.detail.into(),
                previous.as_bytes()[..].into(),
                digest.as_bytes()[..].into(),
            ],
        )?;
        head = Head { sequence, digest };
    }
    Ok(head)
}

fn head(database: &mut dyn Database) -> Result<Head, VaultError> {
    let sql = "SELECT sequence, digest FROM audit ORDER BY sequence DESC LIMIT 1";
    let rows = database.query(sql, &[])?;
    let Some(row) = rows.first() else { return Ok(Head::EMPTY) };
    Ok(Head { sequence: number(row, 0)?, digest: digest(row, 1)? })
}

fn record(row: &Row) -> Result<Record, DatabaseError> {
    let kind = row.text(2)?;
    let kind = Kind::named(kind).ok_or_else(|| odd(format!("{kind:?} is no kind of record")))?;
    let draft = Draft {
        at: moment(row, 1)?,
        kind,
        actor: row.text(3)?.to_owned(),
        person: row.optional_text(4)?.map(|person| Pseudonym::known(person.to_owned())),
        conversation: row.optional_text(5)?.map(str::to_owned),
        detail: row.text(6)?.to_owned(),
    };
    let (previous, digest) = (digest(row, 7)?, digest(row, 8)?);
    Ok(Record { sequence: number(row, 0)?, draft, previous, digest })
}

fn number(row: &Row, column: usize) -> Result<u64, DatabaseError> {
    let number = row.integer(column)?;
    u64::try_from(number).map_err(|_| odd(format!("{number} is no record's number")))
}

fn moment(row: &Row, column: usize) -> Result<Timestamp, DatabaseError> {
    to_timestamp(row.integer(column)?)
}

fn digest(row: &Row, column: usize) -> Result<Digest, DatabaseError> {
    let digest = Digest::from_slice(row.bytes(column)?);
    digest.ok_or_else(|| odd("a digest is not of 32 bytes".to_owned()))
}

fn odd(what: String) -> DatabaseError {
    DatabaseError::Damaged { database: "the audit trail".to_owned(), what }
}
