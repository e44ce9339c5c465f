//! What persons have agreed to, in the vault.

use jiff::Timestamp;

use crate::consent::consents::{Change, Consents, Mark};
use crate::runtime::store::audit_trail::{self, Wanted};
use crate::runtime::store::database::{Database, in_transaction};
use crate::runtime::store::erasure::{Erased, erase_what_may_not_stay};
use crate::runtime::store::vault::{Subject, Vault, VaultError};
use crate::vault::chain::{Draft, Kind};
use crate::vault::pseudonym::Pseudonym;

/// Changes that are looked at in one go.
const CHANGES: u32 = 1_000;

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// How it stands now.
    pub consents: Consents,
    /// What that took with it.
    pub erased: Erased,
}

/// Consents that others changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Whose, and how they stand now; each person once.
    pub changed: Vec<(Pseudonym, Consents)>,
    /// Number of the last record that was looked at: to be asked with the next time.
    pub until: u64,
}

impl Vault {
    /// What `subject` has agreed to.
    pub fn consents(&mut self, subject: &Subject) -> Result<Consents, VaultError> {
        let person = self.pseudonym(subject);
        load(&mut *self.database, &person)
    }

    /// Records that a consent of `subject` has changed, and erases what may not stay after it. What changes nothing is
    /// not recorded: a PBX refers to the same consent in every call.
    pub fn change_consent(
        &mut self,
        subject: &Subject,
        change: &Change,
    ) -> Result<Changed, VaultError> {
        let (person, retention) = (self.pseudonym(subject), self.retention);
        let changed = in_transaction(&mut *self.database, |database| {
            let mut consents = load(database, &person)?;
            if !consents.is_news(change) {
                consents.clone().apply(change)?;
                return Ok(Changed { consents, erased: Erased::default() });
            }
            consents.apply(change)?;
            save(database, &person, &consents)?;
            let detail = serde_json::to_string(change).expect("a change is words and numbers");
            audit_trail::append(
                database,
                [Draft {
                    at: change.at(),
                    kind: Kind::Consent,
                    actor: change.by().to_owned(),
                    person: Some(person.clone()),
                    conversation: None,
                    detail,
                }],
            )?;
            let (by, now) = (change.by(), change.at());
            let erased =
                erase_what_may_not_stay(database, &person, &consents, &retention, (by, now))?;
            Ok::<_, VaultError>(Changed { consents, erased })
        })?;
        if changed.erased.any() {
            self.scrub();
        }
        Ok(changed)
    }

    /// Whose consents changed after record `after` of the audit trail, by whomever.
    pub fn consent_changes_since(&mut self, after: u64) -> Result<News, VaultError> {
        let wanted = Wanted { after, kind: Some(Kind::Consent), person: None };
        let records = self.records(&wanted, CHANGES)?;
        let until = records.last().map_or(after, |record| record.sequence);
        let mut persons: Vec<_> =
            records.into_iter().filter_map(|record| record.draft.person).collect();
        persons.sort();
        persons.dedup();
        let changed = persons.into_iter().map(|person| {
            let consents = load(&mut *self.database, &person)?;
            Ok((person, consents))
        });
        let changed = changed.collect::<Result<_, VaultError>>()?;
        Ok(News { changed, until })
    }
}

/// What `person` has agreed to.
pub(super) fn load(
    database: &mut dyn Database,
    person: &Pseudonym,
) -> Result<Consents, VaultError> {
    let sql = "SELECT state FROM consents WHERE person = $1";
    let rows = database.query(sql, &[person.as_str().into()])?;
    let Some(row) = rows.first() else { return Ok(Consents::default()) };
    parse(person, row.text(0)?)
}

/// The consents in a column.
pub(super) fn parse(person: &Pseudonym, state: &str) -> Result<Consents, VaultError> {
    serde_json::from_str(state).map_err(|error| VaultError::damaged("the consents", person, error))
}

/// Notes the consents that have run out by `now`, so that everybody is told.
pub(super) fn note_expired(
    database: &mut dyn Database,
    person: &Pseudonym,
    consents: &mut Consents,
    (by, now): (&str, Timestamp),
) -> Result<(), VaultError> {
    let scopes = consents.overdue(now);
    if scopes.is_empty() {
        return Ok(());
    }
    let mark = Mark { at: now, by: by.to_owned() };
    let change = Change::Expired { scopes, mark };
    consents.apply(&change)?;
    save(database, person, consents)?;
    let detail = serde_json::to_string(&change).expect("a change is words and numbers");
    let (kind, actor, person) = (Kind::Consent, by.to_owned(), Some(person.clone()));
    let draft = Draft { at: now, kind, actor, person, conversation: None, detail };
    audit_trail::append(database, [draft])?;
    Ok(())
}

fn save(
    database: &mut dyn Database,
    person: &Pseudonym,
    consents: &Consents,
) -> Result<(), VaultError> {
    let state = serde_json::to_string(consents).expect("consents are words and numbers");
    database.execute(
        "INSERT INTO consents (person, state) VALUES ($1, $2)
         ON CONFLICT (person) DO UPDATE SET state = excluded.state",
        &[person.as_str().into(), state.into()],
    )?;
    Ok(())
}
