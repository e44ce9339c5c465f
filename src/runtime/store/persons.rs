//! Persons and their voices, in the vault.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::consent::consents::Consents;
use crate::consent::role::Role;
use crate::consent::scope::Scope;
use crate::runtime::store::audit_trail;
use crate::runtime::store::consents;
use crate::runtime::store::database::{Database, Row, in_transaction};
use crate::runtime::store::key_file::KeyFile;
use crate::runtime::store::packed::{pack, unpack};
use crate::runtime::store::vault::{
    Subject, Vault, VaultError, new_nonce, new_secret, to_timestamp, to_value,
};
use crate::speaker::gathering::Gathering;
use crate::speaker::voiceprint::Voiceprint;
use crate::vault::chain::{Draft, Kind};
use crate::vault::keyring::Wrapped;
use crate::vault::pseudonym::Pseudonym;
use crate::vault::sealed;
use crate::vault::secret::Secret;

/// What a sealed voice is for.
pub(super) const VOICEPRINT: &str = "voiceprint";
/// The same, of somebody who has not said enough yet.
pub(super) const GATHERING: &str = "gathering";
/// The columns that [`person`] reads.
const PERSONS: &str =
    "SELECT p.person, p.role, p.name, p.created, p.used, p.hold, c.state, v.models, g.person,
        p.master, p.wrapped
     FROM persons p
     LEFT JOIN consents c ON c.person = p.person
     LEFT JOIN voiceprints v ON v.person = p.person AND v.purpose = 'voiceprint'
     LEFT JOIN voiceprints g ON g.person = p.person AND g.purpose = 'gathering'";
/// How exactly it is known when a person was last heard: a write a day is enough to tell years.
const USED_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// Who does something, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act<'a> {
    /// `peer:NAME`, `token:NAME`, `user:NAME`, `sidetone`.
    pub by: &'a str,
    /// When.
    pub at: Timestamp,
    /// In which conversation.
    pub conversation: Option<&'a str>,
}

/// A person of whom something is kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Person {
    /// What audit records call them.
    pub person: Pseudonym,
    /// In what capacity.
    pub role: Role,
    /// What the PBX calls them.
    pub subject: String,
    /// Since when.
    pub created: Timestamp,
    /// When they were last heard, to a day.
    pub used: Timestamp,
    /// Why nothing may be erased, if so.
    pub hold: Option<String>,
    /// Which models made the voiceprint; none where there is no voiceprint.
    pub models: Vec<String>,
    /// Whether something was gathered for one.
    pub gathering: bool,
    /// What they agreed to.
    pub consents: Consents,
}

/// All that is kept of a person's voice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Voice {
    /// The voiceprint.
    pub voiceprint: Option<Voiceprint>,
    /// What was gathered for one.
    pub gathering: Option<Gathering>,
}

impl Vault {
    /// What is kept of the voice of `subject`.
    pub fn voice(&mut self, subject: &Subject) -> Result<Voice, VaultError> {
        let person = self.pseudonym(subject);
        voice(&mut *self.database, &mut self.keys, &person)
    }

    /// Keeps the voiceprint of `subject` in place of what was there and was gathered, if they agree to that now.
    pub fn enrol(
        &mut self,
        subject: &Subject,
        voiceprint: &Voiceprint,
        act: &Act<'_>,
    ) -> Result<(), VaultError> {
        let detail = serde_json::json!({
            "consent": voiceprint.consent,
            "models": models(voiceprint),
            "net_speech_s": voiceprint.net_speech_s,
            "sessions": voiceprint.sessions.len(),
        });
        let sealed = (VOICEPRINT, models(voiceprint).join(" "), pack(voiceprint));
        self.keep(subject, Some(Scope::Enrol), Kind::Enrolment, act, &detail, &sealed)
    }

    /// Keeps what was gathered of `subject` so far, if they agree to that now.
    pub fn gather(
        &mut self,
        subject: &Subject,
        gathering: &Gathering,
        act: &Act<'_>,
    ) -> Result<(), VaultError> {
        let detail = serde_json::json!({
            "consent": gathering.consent,
            "gathered_s": gathering.net_speech_s,
            "sessions": gathering.sessions.len(),
        });
        let models: Vec<_> = gathering.models.iter().map(|model| model.model.as_str()).collect();
        let sealed = (GATHERING, models.join(" "), pack(gathering));
        self.keep(subject, Some(Scope::Enrol), Kind::Enrolment, act, &detail, &sealed)
    }

    /// Changes the voiceprint of `subject` as `change` says, which says whether it changed anything; the new state, or
    /// `None` where nothing is kept or nothing changed. Where `scope` is named, they have to agree to that now.
    ///
    /// Nobody else changes it in between: `change` sees what is kept, and may be asked more than once.
    pub fn revise(
        &mut self,
        subject: &Subject,
        scope: Option<Scope>,
        act: &Act<'_>,
        mut change: impl FnMut(&mut Voiceprint) -> bool,
    ) -> Result<Option<Voiceprint>, VaultError> {
        let person = self.pseudonym(subject);
        let Self { database, keys, .. } = self;
        in_transaction(&mut **database, |database| {
            if let Some(scope) = scope {
                consents::load(database, &person)?.given(scope, act.at)?;
            }
            let Some(mut voiceprint) = voice(database, keys, &person)?.voiceprint else {
                return Ok(None);
            };
            if !change(&mut voiceprint) {
                return Ok(None);
            }
            let key = key_of(database, keys, &person)?.ok_or(VaultError::NobodyKnown)?;
            put(
                database,
                &person,
                &key,
                &(VOICEPRINT, models(&voiceprint).join(" "), pack(&voiceprint)),
            )?;
            let detail = serde_json::json!({ "revision": voiceprint.revision });
            audit_trail::append(database, [draft(Kind::Adaptation, &person, act, &detail)])?;
            Ok(Some(voiceprint))
        })
    }

    /// Notes that `subject` was heard: what is used does not expire.
    pub fn used(&mut self, subject: &Subject, now: Timestamp) -> Result<(), VaultError> {
        let person = self.pseudonym(subject);
        let before = now.checked_sub(USED_WITHIN).unwrap_or(now);
        let sql = "SELECT 1 FROM persons WHERE person = $1 AND used < $2";
        let due = [person.as_str().into(), to_value(before)];
        if !self.database.query(sql, &due)?.is_empty() {
            in_transaction(&mut *self.database, |database| {
                let values = [to_value(now), person.as_str().into()];
                database.execute("UPDATE persons SET used = $1 WHERE person = $2", &values)?;
                Ok::<_, VaultError>(())
            })?;
        }
        Ok(())
    }

    /// At most `limit` persons of whom something is kept, in the order of their pseudonyms, from the one that follows
    /// `after`.
    pub fn persons(
        &mut self,
        after: Option<&Pseudonym>,
        limit: u32,
    ) -> Result<Vec<Person>, VaultError> {
        let sql = format!("{PERSONS} WHERE p.person > $1 ORDER BY p.person LIMIT $2");
        let after = after.map_or("", Pseudonym::as_str);
        let rows = self.database.query(&sql, &[after.into(), i64::from(limit).into()])?;
        rows.iter().map(|row| person(&mut self.keys, row)).collect()
    }

    /// `subject`, if anything is kept of them.
    pub fn person(&mut self, subject: &Subject) -> Result<Option<Person>, VaultError> {
        let wanted = self.pseudonym(subject);
        let sql = format!("{PERSONS} WHERE p.person = $1");
        let rows = self.database.query(&sql, &[wanted.as_str().into()])?;
        rows.first().map(|row| person(&mut self.keys, row)).transpose()
    }

    /// Keeps one sealed voice, with a record of it, if `scope` is agreed to now.
    fn keep(
        &mut self,
        subject: &Subject,
        scope: Option<Scope>,
        kind: Kind,
        act: &Act<'_>,
        detail: &serde_json::Value,
        voice: &Packed,
    ) -> Result<(), VaultError> {
        let person = self.pseudonym(subject);
        let Self { database, keys, .. } = self;
        in_transaction(&mut **database, |database| {
            // Nobody on the watchlist was asked, which is for its own law to allow.
            if let Some(scope) = scope.filter(|_| subject.role != Role::Watchlist) {
                consents::load(database, &person)?.given(scope, act.at)?;
            }
            let key = match key_of(database, keys, &person)? {
                Some(key) => key,
                None => add(database, keys, subject, &person, act.at)?,
            };
            put(database, &person, &key, voice)?;
            if voice.0 == VOICEPRINT {
                let sql = "DELETE FROM voiceprints WHERE person = $1 AND purpose = $2";
                database.execute(sql, &[person.as_str().into(), GATHERING.into()])?;
            }
            let values = [to_value(act.at), person.as_str().into()];
            database.execute("UPDATE persons SET used = $1 WHERE person = $2", &values)?;
            audit_trail::append(database, [draft(kind, &person, act, detail)])?;
            Ok(())
        })
    }
}

/// Purpose, models and plain bytes of what is to be sealed.
type Packed = (&'static str, String, zeroize::Zeroizing<Vec<u8>>);

/// A record of what `act` did about `person`.
pub(super) fn draft(
    kind: Kind,
    person: &Pseudonym,
    act: &Act<'_>,
    detail: &serde_json::Value,
) -> Draft {
    Draft {
        at: act.at,
        kind,
        actor: act.by.to_owned(),
        person: Some(person.clone()),
        conversation: act.conversation.map(str::to_owned),
        detail: detail.to_string(),
    }
}

pub(super) fn models(voiceprint: &Voiceprint) -> Vec<&str> {
    voiceprint.references.iter().map(|reference| reference.model.as_str()).collect()
}

/// The key of `person`, if anything is kept of them.
pub(super) fn key_of(
    database: &mut dyn Database,
    keys: &mut KeyFile,
    person: &Pseudonym,
) -> Result<Option<Secret>, VaultError> {
    let sql = "SELECT master, wrapped FROM persons WHERE person = $1";
    let rows = database.query(sql, &[person.as_str().into()])?;
    rows.first().map(|row| unwrap(keys, person, row.text(0)?, row.bytes(1)?)).transpose()
}

fn unwrap(
    keys: &mut KeyFile,
    person: &Pseudonym,
    master: &str,
    wrapped: &[u8],
) -> Result<Secret, VaultError> {
    let wrapped = Wrapped { master: master.to_owned(), bytes: wrapped.to_owned() };
    let key = keys.unwrap(&wrapped, &["person", person.as_str()]);
    key.map_err(|error| VaultError::damaged("the key", person, error))
}

/// Makes a key for `person`, and remembers the name under it.
fn add(
    database: &mut dyn Database,
    keys: &KeyFile,
    subject: &Subject,
    person: &Pseudonym,
    now: Timestamp,
) -> Result<Secret, VaultError> {
    let key = new_secret();
    let wrapped = keys.wrap(&key, &["person", person.as_str()], new_nonce());
    let name = sealed::seal(&key, new_nonce(), &[person.as_str(), "name"], subject.name.as_bytes());
    database.execute(
        "INSERT INTO persons (person, role, master, wrapped, name, created, used)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &[
            person.as_str().into(),
            subject.role.as_str().into(),
            wrapped.master.into(),
            wrapped.bytes.into(),
            name.into(),
            to_value(now),
            to_value(now),
        ],
    )?;
    Ok(key)
}

pub(super) fn put(
    database: &mut dyn Database,
    person: &Pseudonym,
    key: &Secret,
    (purpose, models, plain): &Packed,
) -> Result<(), VaultError> {
    let sealed = sealed::seal(key, new_nonce(), &[person.as_str(), purpose, models], plain);
    database.execute(
        "INSERT INTO voiceprints (person, purpose, models, sealed) VALUES ($1, $2, $3, $4)
         ON CONFLICT (person, purpose) DO UPDATE SET models = excluded.models, sealed = excluded.sealed",
        &[person.as_str().into(), (*purpose).into(), models.as_str().into(), sealed.into()],
    )?;
    Ok(())
}

pub(super) fn voice(
    database: &mut dyn Database,
    keys: &mut KeyFile,
    person: &Pseudonym,
) -> Result<Voice, VaultError> {
    let sql = "SELECT p.master, p.wrapped, v.purpose, v.models, v.sealed
         FROM persons p JOIN voiceprints v ON v.person = p.person WHERE p.person = $1";
    let mut voice = Voice::default();
    for row in database.query(sql, &[person.as_str().into()])? {
        let key = unwrap(keys, person, row.text(0)?, row.bytes(1)?)?;
        let (purpose, models, sealed) = (row.text(2)?, row.text(3)?, row.bytes(4)?);
        match purpose {
            VOICEPRINT => {
                voice.voiceprint =
                    Some(opened("the voiceprint", &key, person, (purpose, models), sealed)?);
            }
            _ => {
                voice.gathering =
                    Some(opened("what was gathered", &key, person, (purpose, models), sealed)?);
            }
        }
    }
    Ok(voice)
}

fn opened<T: DeserializeOwned>(
    what: &'static str,
    key: &Secret,
    person: &Pseudonym,
    (purpose, models): (&str, &str),
    sealed: &[u8],
) -> Result<T, VaultError> {
    let plain = sealed::open(key, &[person.as_str(), purpose, models], sealed);
    let plain = plain.map_err(|error| VaultError::damaged(what, person, error))?;
    let plain = zeroize::Zeroizing::new(plain);
    unpack(&plain).map_err(|error| VaultError::damaged(what, person, error))
}

/// The name of `person`, which lies sealed under the key that is wrapped under a master key.
pub(super) fn opened_name(
    keys: &mut KeyFile,
    person: &Pseudonym,
    (master, wrapped): (&str, &[u8]),
    sealed: &[u8],
) -> Result<String, VaultError> {
    let key = unwrap(keys, person, master, wrapped)?;
    let name = sealed::open(&key, &[person.as_str(), "name"], sealed);
    let name = name.map_err(|error| VaultError::damaged("the name", person, error))?;
    Ok(String::from_utf8_lossy(&name).into_owned())
}

/// The role in a column.
pub(super) fn role_of(person: &Pseudonym, word: &str) -> Result<Role, VaultError> {
    word.parse().map_err(|error| VaultError::damaged("the role", person, error))
}

fn person(keys: &mut KeyFile, row: &Row) -> Result<Person, VaultError> {
    let person = Pseudonym::known(row.text(0)?.to_owned());
    let subject = opened_name(keys, &person, (row.text(9)?, row.bytes(10)?), row.bytes(2)?)?;
    let consents =
        row.optional_text(6)?.map(|state| consents::parse(&person, state)).transpose()?;
    let models = row.optional_text(7)?.unwrap_or_default();
    Ok(Person {
        role: role_of(&person, row.text(1)?)?,
        subject,
        created: to_timestamp(row.integer(3)?)?,
        used: to_timestamp(row.integer(4)?)?,
        hold: row.optional_text(5)?.map(str::to_owned),
        models: models.split_whitespace().map(str::to_owned).collect(),
        gathering: row.optional_text(8)?.is_some(),
        consents: consents.unwrap_or_default(),
        person,
    })
}
