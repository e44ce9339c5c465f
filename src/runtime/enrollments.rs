//! What the signalling thread does about enrolments in calls: begins them, keeps what comes of them.

use serde::Serialize;
use std::time::Duration;
use tracing::{info, warn};
use utoipa::ToSchema;

use crate::call::enrollment_watch::{EnrollmentWatch, Progress};
use crate::call::facts::{Agreed, AgreedError, LONGEST};
use crate::call::media_consent::VoiceOrder;
use crate::consent::consents::{Consents, Refusal};
use crate::consent::permit::Enrolment;
use crate::consent::scope::Scope;
use crate::policy::evidence::{EnrollmentEvidence, EnrollmentState, Evidence};
use crate::policy::rule::Party;
use crate::runtime::http::description::enrollment_states;
use crate::runtime::signalling::Signalling;
use crate::runtime::store::voiceprints::StoreError;
use crate::sip::event::CallKey;
use crate::speaker::adaptation::Step;
use crate::speaker::gathering::Gathering;
use crate::speaker::voiceprint::Source;

/// Whom to enrol, and on whose consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrollOrder {
    /// In which call.
    pub whom: Whom,
    /// As `X-Sidetone-Subject`; left out, the one that the call claims.
    pub subject: Option<String>,
    /// As `X-Sidetone-Consent`; left out, the one that came with the call.
    pub consent: Option<String>,
}

/// A call, one way or the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The caller's leg of a conversation.
    Conversation(String),
    /// A call that we placed, by its number.
    Call(u64),
}

/// An enrolment that has begun; its verdicts tell the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Enrolling {
    /// Whose verdicts.
    pub conversation: String,
    /// Who is enrolled.
    pub subject: String,
    /// How it stands.
    #[schema(schema_with = enrollment_states)]
    pub state: EnrollmentState,
}

/// Why an enrolment has not begun.
#[derive(Debug, thiserror::Error)]
pub enum NotEnrolled {
    /// No call stands there.
    #[error("no such call")]
    NoSuchCall,
    /// Of an agent there is no claim to be checked.
    #[error("the leg is the agent's, a caller's needed")]
    Agent,
    /// Nobody says whose voice it is.
    #[error("no subject was named, one of at most {LONGEST} bytes needed")]
    NoSubject,
    /// Nobody says that it was agreed to.
    #[error("no consent was named, a reference to one needed")]
    NoConsent,
    /// What was named is no reference.
    #[error(transparent)]
    Consent(#[from] AgreedError),
    /// It does not cover this.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Another voiceprint is in the way.
    #[error("the voiceprint that there is keeps no windows to compare with: erase it first")]
    NothingToCompare,
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// One is on its way already.
    #[error("an enrolment is about to begin in this call already")]
    Busy,
}

impl Signalling {
    /// Begins the enrolment that a call's facts ask for, or one in passing, once the call stands.
    pub(super) fn begin_enrollment(&mut self, key: CallKey) {
        let Some(entry) = self.calls.get_mut(&key) else { return };
        if std::mem::replace(&mut entry.asked, true) {
            return;
        }
        let facts = &entry.facts;
        let passive = self.speaker.enrollment.passive && facts.party == Party::Caller;
        if facts.enroll {
            let subject = facts.subject.clone();
            if let Err(why) = self.enroll_in(key, None, None, Source::Call) {
                warn!(%why, "not enrolled");
                self.weigh(key, Evidence::Enrollment(refusal(subject, &why)));
            }
        } else if passive
            && let (Some(subject), Some(_)) = (&facts.subject, &facts.consent)
            && matches!(self.store.load(subject), Ok(None))
            && let Err(why) = self.enroll_in(key, None, None, Source::Passive)
        {
            warn!(%why, "not enrolled in passing");
        }
    }

    /// Begins the enrolment that was asked for at the desk.
    pub(super) fn enroll(&mut self, order: &EnrollOrder) -> Result<Enrolling, NotEnrolled> {
        let key = match &order.whom {
            Whom::Call(id) => self.placed.key(*id),
            Whom::Conversation(conversation) => {
                let of_caller = self.calls.iter().find(|(_, entry)| {
                    entry.facts.conversation == *conversation
                        && entry.facts.party != Party::Agent
                        && !entry.ended
                });
                of_caller.map(|(key, _)| *key)
            }
        };
        let key = key.ok_or(NotEnrolled::NoSuchCall)?;
        let consent = order.consent.as_deref().map(|text| Agreed::read(text, None)).transpose()?;
        // Whoever asks for an enrolment says that it was agreed to.
        let consent = consent.map(|agreed| {
            let scopes = Some(self.consent.scopes.with(Scope::Enrol));
            Agreed { scopes, ..agreed }
        });
        let subject = order.subject.as_deref().map(str::trim);
        self.enroll_in(key, subject, consent, Source::Call)
    }

    /// Hands an enrolment to the media session of a call.
    fn enroll_in(
        &mut self,
        key: CallKey,
        subject: Option<&str>,
        consent: Option<Agreed>,
        source: Source,
    ) -> Result<Enrolling, NotEnrolled> {
        let entry = self.calls.get(&key).ok_or(NotEnrolled::NoSuchCall)?;
        if entry.facts.party == Party::Agent {
            return Err(NotEnrolled::Agent);
        }
        let subject = subject.or(entry.facts.subject.as_deref());
        let subject = subject.filter(|subject| (1..=LONGEST).contains(&subject.len()));
        let subject = subject.ok_or(NotEnrolled::NoSubject)?;
        let consent = consent.or_else(|| entry.facts.consent.clone());
        let consent = consent.ok_or(NotEnrolled::NoConsent)?;
        let (scopes, given) = self.given(&consent, "api");
        let leave = Consents::of(scopes, &given).permit::<Enrolment>(given.at)?;
        // What there is of the voice has to agree with what is to come.
        let earlier = match self.store.load(subject)? {
            Some(voiceprint) => {
                let earlier = Gathering::of(&voiceprint, &leave);
                Some(earlier.ok_or(NotEnrolled::NothingToCompare)?)
            }
            None => self.store.load_gathering(subject)?,
        };
        let model = &self.models.speaker;
        let watch = EnrollmentWatch::new(subject, &leave, entry.started, source, model, earlier);
        let order = VoiceOrder::Enroll(Box::new(watch));
        entry.orders.use_voice(order).map_err(|_| NotEnrolled::Busy)?;
        let conversation = entry.facts.conversation.clone();
        info!(conversation, passive = source == Source::Passive, "enrolment begun");
        let (subject, state) = (subject.to_owned(), EnrollmentState::Collecting);
        Ok(Enrolling { conversation, subject, state })
    }

    /// Keeps what an enrolment has come to, and tells it.
    pub(super) fn handle_progress(&mut self, key: CallKey, progress: Progress) {
        let (kept, mut evidence) = match progress {
            Progress::Evidence(evidence) => (Ok(()), evidence),
            Progress::Enrolled(voiceprint, evidence) => {
                let kept = self.store.save(&voiceprint);
                let subject = &voiceprint.subject;
                (kept.and_then(|()| self.store.erase_gathering(subject).map(drop)), evidence)
            }
            Progress::Gathered(gathering, evidence) => {
                (self.store.save_gathering(&gathering), evidence)
            }
        };
        if let Err(error) = kept {
            warn!(%error, "an enrolment was not kept");
            evidence.state = EnrollmentState::Refused;
            evidence.reason = Some("the store did not take it".to_owned());
        }
        self.weigh(key, Evidence::Enrollment(evidence));
    }

    /// Moves the voiceprint by a call that was accepted beyond doubt.
    pub(super) fn handle_step(&mut self, key: CallKey, step: &Step) {
        let Some(entry) = self.calls.get(&key) else { return };
        let (Some(subject), Some(_)) = (&entry.facts.subject, &entry.facts.consent) else { return };
        let conversation = &entry.facts.conversation;
        // Loaded anew: another call may have moved it, or somebody erased it.
        let adapted = self.store.load(subject).and_then(|voiceprint| {
            let Some(mut voiceprint) = voiceprint else { return Ok(None) };
            let moved = voiceprint.adapt(step, self.speaker.adaptation, jiff::Timestamp::now());
            if moved {
                self.store.save(&voiceprint)?;
            }
            Ok(moved.then_some(voiceprint.revision))
        });
        match adapted {
            Ok(Some(revision)) => info!(conversation, revision, "voiceprint adapted"),
            Ok(None) => {}
            Err(error) => warn!(conversation, %error, "a voiceprint was not adapted"),
        }
    }
}

/// That an enrolment was asked for which cannot begin.
fn refusal(subject: Option<String>, why: &NotEnrolled) -> EnrollmentEvidence {
    EnrollmentEvidence {
        subject: subject.unwrap_or_default(),
        state: EnrollmentState::Refused,
        reason: Some(why.to_string()),
        at: Duration::ZERO,
        net_speech: Duration::ZERO,
        coverage: 0.0,
    }
}
