//! A kept voiceprint gains a reference of another model, by what was gathered meanwhile.

use crate::consent::role::Role;
use crate::consent::scope::Scope;
use crate::runtime::store::audit_trail;
use crate::runtime::store::consents;
use crate::runtime::store::database::in_transaction;
use crate::runtime::store::packed::pack;
use crate::runtime::store::persons::{self, Act, GATHERING, VOICEPRINT, draft};
use crate::runtime::store::vault::{Subject, Vault, VaultError};
use crate::speaker::migration::{Migration, migrate};
use crate::vault::chain::Kind;

impl Vault {
    /// What a migration of `subject` to `model` (`name@version`) comes to; with an `act` it is done, if they agree to be
    /// enrolled now. `None` where there is no voiceprint.
    pub fn migrate(
        &mut self,
        subject: &Subject,
        model: &str,
        act: Option<&Act<'_>>,
    ) -> Result<Option<Migration>, VaultError> {
        let person = self.pseudonym(subject);
        let Self { database, keys, .. } = self;
        in_transaction(&mut **database, |database| {
            let voice = persons::voice(database, keys, &person)?;
            let Some(voiceprint) = voice.voiceprint else { return Ok(None) };
            let migration = migrate(&voiceprint, voice.gathering.as_ref(), model);
            let (Migration::Done(migrated), Some(act)) = (&migration, act) else {
                return Ok(Some(migration));
            };
            if subject.role != Role::Watchlist {
                consents::load(database, &person)?.given(Scope::Enrol, act.at)?;
            }
            let key = persons::key_of(database, keys, &person)?.ok_or(VaultError::NobodyKnown)?;
            let models = persons::models(migrated).join(" ");
            persons::put(database, &person, &key, &(VOICEPRINT, models, pack(migrated)))?;
            let sql = "DELETE FROM voiceprints WHERE person = $1 AND purpose = $2";
            database.execute(sql, &[person.as_str().into(), GATHERING.into()])?;
            let detail = serde_json::json!({ "consent": migrated.consent, "migrated_to": model });
            audit_trail::append(database, [draft(Kind::Enrolment, &person, act, &detail)])?;
            Ok(Some(migration))
        })
    }
}
