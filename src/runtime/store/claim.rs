//! What a call asks of the vault: what its consent is worth, and whose voice is claimed.

use jiff::Timestamp;

use crate::consent::consents::{Change, Consents, Refusal};
use crate::consent::scope::Scope;
use crate::runtime::store::persons::Voice;
use crate::runtime::store::vault::{Subject, Vault, VaultError};
use crate::vault::pseudonym::Pseudonym;

/// Who is claimed to speak, and what is said of their consent.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Who.
    pub subject: Subject,
    /// The consent that the call refers to.
    pub change: Option<Change>,
    /// Whether one that is kept will do where the call refers to none.
    pub standing: bool,
    /// The agent on the same leg, whose own consent has to be kept.
    pub agent: Option<Subject>,
}

/// What is kept of whoever is claimed to speak.
#[derive(Clone, Debug, Default)]
pub struct KnownOf {
    /// What audit records call them.
    pub person: Option<Pseudonym>,
    /// What they agreed to.
    pub consents: Consents,
    /// Why what the call refers to does not count.
    pub refused: Option<Refusal>,
    /// Their voice, as far as they agreed to its use.
    pub voice: Voice,
    /// The agent, and their voice if they agreed to its use.
    pub agent: Option<(Pseudonym, Voice)>,
}

impl Vault {
    /// Records the consent that a call refers to, if that is news, and tells what is kept of the person. Nothing is read
    /// of a voice that nobody agreed to.
    pub fn claim(&mut self, claim: &Claim, now: Timestamp) -> Result<KnownOf, VaultError> {
        let mut refused = None;
        let consents = match &claim.change {
            Some(change) => match self.change_consent(&claim.subject, change) {
                Ok(changed) => changed.consents,
                Err(VaultError::Refused(why)) => {
                    refused = Some(why);
                    self.consents(&claim.subject)?
                }
                Err(error) => return Err(error),
            },
            None if claim.standing => self.consents(&claim.subject)?,
            None => Consents::default(),
        };
        let voice =
            self.voice_of(&claim.subject, &consents, &[Scope::Verify, Scope::Enrol], now)?;
        let agent = claim.agent.as_ref().map(|agent| -> Result<_, VaultError> {
            let consents = self.consents(agent)?;
            let voice = self.voice_of(agent, &consents, &[Scope::Verify], now)?;
            Ok((self.pseudonym(agent), voice))
        });
        let agent = agent.transpose()?;
        Ok(KnownOf {
            person: Some(self.pseudonym(&claim.subject)),
            consents,
            refused,
            voice,
            agent,
        })
    }

    fn voice_of(
        &mut self,
        subject: &Subject,
        consents: &Consents,
        scopes: &[Scope],
        now: Timestamp,
    ) -> Result<Voice, VaultError> {
        if !scopes.iter().any(|scope| consents.given(*scope, now).is_ok()) {
            return Ok(Voice::default());
        }
        let voice = self.voice(subject)?;
        if voice.voiceprint.is_some() {
            self.used(subject, now)?;
        }
        Ok(voice)
    }
}

impl KnownOf {
    /// What stands in the way of `refusal`'s processing: what the call refers to says more than that nobody agreed.
    pub fn refusal(&self, refusal: Refusal) -> Refusal {
        match refusal {
            Refusal::None | Refusal::NotCovered => self.refused.unwrap_or(refusal),
            Refusal::Withdrawn | Refusal::Expired | Refusal::OptedOut => refusal,
        }
    }
}
