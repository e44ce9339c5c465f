//! What the PBX tells about a call in the `X-Sidetone-` headers of its INVITE.

use crate::consent::reference::{ConsentReference, ReferenceError};
use crate::consent::role::Role;
use crate::consent::scope::{Scopes, ScopesError};
use crate::policy::rule::{Party, PartyError};
use crate::sip::headers::Headers;

/// Longest value of a header, bytes: they end up in verdicts and file names.
pub const LONGEST: usize = 256;

/// The headers' meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Joins the legs of one conversation; the Call-ID where the header is missing.
    pub conversation: String,
    /// Whose leg this is.
    pub party: Party,
    /// The claimed identity.
    pub subject: Option<String>,
    /// The agent on a mixed leg, whose own voice is left out.
    pub agent: Option<String>,
    /// The consent to check it. One that cannot be read counts as none.
    pub consent: Option<Agreed>,
    /// Why a consent that was sent does not count, for the log.
    pub consent_fault: Option<AgreedError>,
    /// Name of the wanted policy.
    pub policy: Option<String>,
    /// The queue that the call came through.
    pub queue: Option<String>,
    /// The PBX's own channel of this party, by its name or unique id: what notifiers act on.
    pub channel: Option<String>,
    /// Whether the caller is to be enrolled.
    pub enroll: bool,
}

/// A consent that somebody refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// What shows it.
    pub reference: ConsentReference,
    /// What it covers; what the configuration says, where nothing is said.
    pub scopes: Option<Scopes>,
}

/// Why a consent does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgreedError {
    /// Nothing can be shown by it.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// Nobody knows what it covers.
    #[error(transparent)]
    Scopes(#[from] ScopesError),
}

impl Agreed {
    /// The consent `reference` to what `scopes` names, if anything does.
    pub fn read(reference: &str, scopes: Option<&str>) -> Result<Self, AgreedError> {
        let scopes = scopes.map(str::parse).transpose()?;
        Ok(Self { reference: ConsentReference::new(reference)?, scopes })
    }
}

/// Why a call cannot be taken with these headers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    /// `X-Sidetone-Party` names none of them.
    #[error("X-Sidetone-Party: {0}")]
    Party(#[from] PartyError),
    /// `X-Sidetone-Enroll` says something else.
    #[error("X-Sidetone-Enroll: yes or no wanted, not {0:?}")]
    Enroll(String),
    /// A value longer than any sane dialplan writes.
    #[error("{0} is longer than {LONGEST} bytes")]
    TooLong(&'static str),
}

impl Facts {
    /// Reads the headers of an INVITE; names are compared without case.
    ///
    /// An empty value counts as a missing header: dialplans add headers from variables that may
    /// not be set.
    pub fn read(headers: &Headers, call_id: &str) -> Result<Self, FactsError> {
        let find = |name: &'static str| -> Result<Option<&str>, FactsError> {
            match headers.get(name).map(str::trim) {
                Some(v) if v.len() > LONGEST => Err(FactsError::TooLong(name)),
                value => Ok(value.filter(|v| !v.is_empty())),
            }
        };
        let scopes = find("X-Sidetone-Consent-Scope")?;
        let consent = find("X-Sidetone-Consent")?.map(|reference| Agreed::read(reference, scopes));
        let consent = consent.transpose();
        Ok(Self {
            conversation: find("X-Sidetone-Conversation")?.unwrap_or(call_id).to_owned(),
            party: find("X-Sidetone-Party")?.map_or(Ok(Party::default()), str::parse)?,
            subject: find("X-Sidetone-Subject")?.map(str::to_owned),
            agent: find("X-Sidetone-Agent")?.map(str::to_owned),
            consent_fault: consent.as_ref().err().cloned(),
            consent: consent.unwrap_or_default(),
            policy: find("X-Sidetone-Policy")?.map(str::to_owned),
            queue: find("X-Sidetone-Queue")?.map(str::to_owned),
            channel: find("X-Sidetone-Channel")?.map(str::to_owned),
            enroll: match find("X-Sidetone-Enroll")? {
                None => false,
                Some(no) if no.eq_ignore_ascii_case("no") => false,
                Some(yes) if yes.eq_ignore_ascii_case("yes") => true,
                Some(other) => return Err(FactsError::Enroll(other.to_owned())),
            },
        })
    }

    /// In what capacity the claimed person speaks.
    pub fn role(&self) -> Role {
        match self.party {
            Party::Agent => Role::Agent,
            Party::Caller | Party::Mixed => Role::Caller,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::scope::Scope;

    fn read(fields: &[(&str, &str)]) -> Result<Facts, FactsError> {
        let mut headers = Headers::default();
        fields.iter().for_each(|(name, value)| headers.push(name, value));
        Facts::read(&headers, "call@pbx")
    }

    #[test]
    fn a_call_without_headers_is_a_caller_who_claims_nothing() {
        let facts = read(&[]).expect("no headers are fine");
        assert_eq!(facts.conversation, "call@pbx");
        assert_eq!((facts.party, facts.subject, facts.consent), (Party::Caller, None, None));
    }

    #[test]
    fn an_unset_variable_is_a_missing_header() {
        let facts = read(&[("X-Sidetone-Subject", ""), ("x-sidetone-consent", " ")]);
        let facts = facts.expect("empty values are fine");
        assert_eq!((facts.subject, facts.consent, facts.consent_fault), (None, None, None));
    }

    #[test]
    fn a_consent_that_cannot_be_read_is_none() {
        let facts = read(&[("X-Sidetone-Consent", "yes he said so")]).expect("the call is fine");
        assert_eq!(facts.consent, None);
        assert_eq!(facts.consent_fault, Some(ReferenceError::NotVisibleAscii.into()));
    }

    #[test]
    fn a_consent_may_say_what_it_covers_and_in_unknown_words_it_covers_nothing() {
        let read = |scope| {
            let fields = [("X-Sidetone-Consent", "c-1"), ("X-Sidetone-Consent-Scope", scope)];
            let facts = read(&fields).expect("the call is fine");
            (facts.consent.map(|consent| consent.scopes), facts.consent_fault)
        };
        let some = Scopes::NONE.with(Scope::Verify).with(Scope::Adapt);
        assert_eq!(read("verify, adapt"), (Some(Some(some)), None));
        assert_eq!(read(""), (Some(None), None), "an unset variable says nothing of it");
        let (consent, fault) = read("everything");
        assert_eq!(consent, None);
        let says = "a scope is verify, enrol, adapt, watchlist or keywords, not \"everything\"";
        assert_eq!(fault.expect("a fault").to_string(), says);
    }

    #[test]
    fn the_queue_the_agent_and_the_channel_are_told_by_their_headers() {
        let channel = "PJSIP/alice-00000001";
        let fields = [
            ("X-Sidetone-Queue", " sales "),
            ("X-Sidetone-Agent", "eve"),
            ("X-Sidetone-Channel", channel),
        ];
        let facts = read(&fields).expect("all three");
        assert_eq!(facts.channel.as_deref(), Some(channel));
        assert_eq!((facts.queue.as_deref(), facts.agent.as_deref()), (Some("sales"), Some("eve")));
        let facts = read(&[]).expect("none");
        assert_eq!((facts.queue, facts.agent), (None, None));
    }

    #[test]
    fn an_enrolment_is_asked_for_by_yes() {
        let enroll = |value| read(&[("X-Sidetone-Enroll", value)]).map(|facts| facts.enroll);
        assert_eq!(
            [enroll("yes"), enroll("Yes"), enroll("no"), enroll("")],
            [Ok(true), Ok(true), Ok(false), Ok(false)]
        );
        let error = enroll("1").expect_err("neither");
        assert_eq!(error.to_string(), "X-Sidetone-Enroll: yes or no wanted, not \"1\"");
    }

    #[test]
    fn an_unknown_party_is_refused() {
        let error = read(&[("X-Sidetone-Party", "supervisor")]).expect_err("no such party");
        assert_eq!(error.to_string(), "X-Sidetone-Party: a party is caller, agent or mixed");
    }
}
