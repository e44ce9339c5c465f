//! What is shown of a person: never a voice.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::consent::consents::{Consent, Consents, Given, Mark};
use crate::consent::role::Role;
use crate::consent::scope::Scope;
use crate::runtime::http::description::{roles, scope};
use crate::runtime::store::erasure::Erased;
use crate::runtime::store::persons::Person;
use crate::runtime::store::vault::Subject;
use crate::speaker::voiceprint::Voiceprint;
use crate::vault::pseudonym::Pseudonym;

/// How it stands with a person's consents.
#[derive(Debug, Serialize, ToSchema)]
pub struct Standing {
    /// What audit records call them.
    #[schema(value_type = String)]
    pub person: Pseudonym,
    /// In what capacity.
    #[schema(schema_with = roles)]
    pub role: Role,
    /// What the PBX calls them.
    #[schema(example = "customer-4711")]
    pub subject: String,
    /// Since when they want none of it, if so.
    pub opted_out: Option<OptedOut>,
    /// Each purpose that anything was ever agreed to for.
    pub consents: Vec<OneConsent>,
}

/// That somebody opted out.
#[derive(Debug, Serialize, ToSchema)]
pub struct OptedOut {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who recorded it.
    pub by: String,
}

/// How it stands with one purpose.
#[derive(Debug, Serialize, ToSchema)]
pub struct OneConsent {
    /// The purpose.
    #[schema(schema_with = scope)]
    pub scope: &'static str,
    /// `given`, `withdrawn` or `expired`.
    #[schema(example = "given")]
    pub state: &'static str,
    /// What shows that it was given.
    #[schema(example = "ivr-2026-11-23/88")]
    pub reference: String,
    /// Since when it is in this state.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who recorded it; nobody where time ran out.
    pub by: Option<String>,
    /// When it will run out.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires: Option<Timestamp>,
}

/// What is kept of a person.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Person")]
pub struct ShownPerson {
    /// Who they are, and what they agreed to.
    #[serde(flatten)]
    pub standing: Standing,
    /// What is kept of their voice, if anything is.
    pub kept: Option<Kept>,
}

/// What is kept of a voice.
#[derive(Debug, Serialize, ToSchema)]
pub struct Kept {
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// When they were last heard, to a day.
    #[schema(value_type = String, format = DateTime)]
    pub used: Timestamp,
    /// Why nothing may be erased, if so.
    pub hold: Option<String>,
    /// Which models made the voiceprint; none where there is no voiceprint.
    pub models: Vec<String>,
    /// Whether something was gathered for one.
    pub gathering: bool,
    /// More about the voiceprint, where one person alone was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voiceprint: Option<ShownVoiceprint>,
}

/// What is told of a voiceprint.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownVoiceprint {
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// The consent that it was made under.
    pub consent: String,
    /// Speech that it was made from, seconds.
    pub net_speech_s: f64,
    /// Sessions that it was made from.
    pub sessions: usize,
    /// How often calls have moved it.
    pub revision: u32,
}

/// What became of a change of consents.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangedConsents {
    /// How it stands now.
    #[serde(flatten)]
    pub standing: Standing,
    /// What that took with it.
    pub erased: Erased,
}

impl Standing {
    /// At `now`.
    pub fn of(person: Pseudonym, subject: &Subject, consents: &Consents, now: Timestamp) -> Self {
        let opted_out = consents.opted_out();
        let of_scope = |scope: Scope| OneConsent::of(scope, consents.state(scope, now));
        Self {
            person,
            role: subject.role,
            subject: subject.name.clone(),
            opted_out: opted_out.map(|Mark { at, by }| OptedOut { at: *at, by: by.clone() }),
            consents: Scope::ALL.into_iter().filter_map(of_scope).collect(),
        }
    }
}

impl OneConsent {
    fn of(scope: Scope, consent: Consent) -> Option<Self> {
        let (state, reference, at, by, expires) = match consent {
            Consent::None => return None,
            Consent::Given(Given { reference, at, by, expires }) => {
                ("given", reference, at, Some(by), expires)
            }
            Consent::Withdrawn { reference, mark } => {
                ("withdrawn", reference, mark.at, Some(mark.by), None)
            }
            Consent::Expired { reference, at } => ("expired", reference, at, None, None),
        };
        let (scope, reference) = (scope.as_str(), reference.to_string());
        Some(Self { scope, state, reference, at, by, expires })
    }
}

impl ShownPerson {
    /// Of somebody of whom something is kept.
    pub fn of(person: Person, voiceprint: Option<&Voiceprint>, now: Timestamp) -> Self {
        let subject = Subject::new(person.role, &person.subject);
        let standing = Standing::of(person.person, &subject, &person.consents, now);
        let voiceprint = voiceprint.map(|voiceprint| ShownVoiceprint {
            created: voiceprint.created,
            consent: voiceprint.consent.clone(),
            net_speech_s: voiceprint.net_speech_s,
            sessions: voiceprint.sessions.len(),
            revision: voiceprint.revision,
        });
        let Person { created, used, hold, models, gathering, .. } = person;
        let kept = Some(Kept { created, used, hold, models, gathering, voiceprint });
        Self { standing, kept }
    }
}
