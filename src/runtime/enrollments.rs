//! What the signalling thread does about enrolments in calls: begins them, keeps what comes of them.

use serde::Serialize;
use std::time::Duration;

use jiff::Timestamp;
use tracing::{info, warn};
use utoipa::ToSchema;

use crate::call::enrollment_watch::{EnrollmentWatch, Progress};
use crate::call::facts::{Agreed, AgreedError, LONGEST};
use crate::call::media_consent::VoiceOrder;
use crate::consent::consents::{Change, Refusal};
use crate::consent::permit::Enrolment;
use crate::consent::scope::Scope;
use crate::policy::evidence::{EnrollmentEvidence, EnrollmentState, Evidence};
use crate::policy::rule::Party;
use crate::runtime::http::description::enrollment_states;
use crate::runtime::signalling::Signalling;
use crate::runtime::store::claim::{Claim, KnownOf};
use crate::runtime::store::erasure::SWEEPER;
use crate::runtime::store::keeper::DeskError;
use crate::runtime::store::persons::Act;
use crate::runtime::store::vault::{Subject, Vault, VaultError};
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
    /// Who says so: `token:NAME`.
    pub by: String,
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
    /// They have a voiceprint.
    #[error("the person is enrolled")]
    Known,
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] DeskError),
    /// One is on its way already.
    #[error("an enrolment is about to begin in this call already")]
    Busy,
}

/// Who is to be told whether an enrolment has begun.
pub type Answer = Box<dyn FnOnce(&mut Signalling, Result<Enrolling, NotEnrolled>) + Send>;

/// An enrolment that somebody wants.
#[derive(Debug)]
struct Wish {
    key: CallKey,
    subject: Subject,
    source: Source,
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
        let is_known = facts.subject.is_some() && facts.consent.is_some();
        if facts.enroll {
            let subject = facts.subject.clone();
            let answer: Answer = Box::new(move |signalling, begun| {
                if let Err(why) = begun {
                    warn!(%why, "not enrolled");
                    signalling.weigh(key, Evidence::Enrollment(refusal(subject, &why)));
                }
            });
            self.enroll_in(key, None, None, Source::Call, answer);
        } else if passive && is_known {
            let answer: Answer = Box::new(|_, begun| match begun {
                // That they are enrolled, or did not agree to be, is no fault.
                Ok(_) | Err(NotEnrolled::Known | NotEnrolled::Refused(_)) => {}
                Err(why) => warn!(%why, "not enrolled in passing"),
            });
            self.enroll_in(key, None, None, Source::Passive, answer);
        }
    }

    /// Begins the enrolment that was asked for at the desk, and tells `answer`.
    pub(super) fn enroll(&mut self, order: &EnrollOrder, answer: Answer) {
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
        let Some(key) = key else { return answer(self, Err(NotEnrolled::NoSuchCall)) };
        let consent = order.consent.as_deref().map(|text| Agreed::read(text, None)).transpose();
        // Whoever asks for an enrolment says that it was agreed to.
        let scopes = Some(self.consent.scopes.with(Scope::Enrol));
        match consent.map(|consent| consent.map(|agreed| Agreed { scopes, ..agreed })) {
            Err(why) => answer(self, Err(why.into())),
            Ok(consent) => {
                let subject = order.subject.as_deref().map(str::trim);
                let consent = consent.map(|agreed| (agreed, order.by.as_str()));
                self.enroll_in(key, subject, consent, Source::Call, answer);
            }
        }
    }

    /// Asks what an enrolment in a call would go on from.
    fn enroll_in(
        &mut self,
        key: CallKey,
        subject: Option<&str>,
        consent: Option<(Agreed, &str)>,
        source: Source,
        answer: Answer,
    ) {
        match self.wish(key, subject, consent, source) {
            Err(why) => answer(self, Err(why)),
            Ok((wish, change)) => {
                let subject = wish.subject.clone();
                let claim = Claim { subject, change: Some(change), standing: false, agent: None };
                self.asking.ask(
                    move |vault| vault.claim(&claim, Timestamp::now()),
                    move |signalling, known| {
                        let begun = known
                            .map_err(NotEnrolled::from)
                            .and_then(|known| signalling.hand_over(wish, known));
                        answer(signalling, begun);
                    },
                );
            }
        }
    }

    /// Who is to be enrolled, and on whose word.
    fn wish(
        &self,
        key: CallKey,
        subject: Option<&str>,
        consent: Option<(Agreed, &str)>,
        source: Source,
    ) -> Result<(Wish, Change), NotEnrolled> {
        let entry = self.calls.get(&key).ok_or(NotEnrolled::NoSuchCall)?;
        if entry.facts.party == Party::Agent {
            return Err(NotEnrolled::Agent);
        }
        let subject = subject.or(entry.facts.subject.as_deref());
        let subject = subject.filter(|subject| (1..=LONGEST).contains(&subject.len()));
        let subject = Subject::caller(subject.ok_or(NotEnrolled::NoSubject)?);
        let of_call = || Some((entry.facts.consent.clone()?, entry.by.as_str()));
        let (agreed, by) = consent.or_else(of_call).ok_or(NotEnrolled::NoConsent)?;
        let (scopes, given) = self.given(&agreed, by);
        Ok((Wish { key, subject, source }, Change::Given { scopes, given }))
    }

    /// Hands an enrolment to the media session of a call.
    fn hand_over(&mut self, wish: Wish, known: KnownOf) -> Result<Enrolling, NotEnrolled> {
        let Wish { key, subject: Subject { name: subject, .. }, source } = wish;
        let leave = known.consents.permit::<Enrolment>(Timestamp::now());
        let leave = leave.map_err(|why| known.refusal(why))?;
        let entry = self.calls.get_mut(&key).ok_or(NotEnrolled::NoSuchCall)?;
        let earlier = match known.voice.voiceprint {
            Some(_) if source == Source::Passive => return Err(NotEnrolled::Known),
            // What there is of the voice has to agree with what is to come.
            Some(voiceprint) => {
                let earlier = Gathering::of(&voiceprint, &leave);
                Some(earlier.ok_or(NotEnrolled::NothingToCompare)?)
            }
            None => known.voice.gathering,
        };
        let model = &self.models.speaker;
        let watch = EnrollmentWatch::new(&subject, &leave, entry.started, source, model, earlier);
        let order = VoiceOrder::Enroll(Box::new(watch));
        entry.orders.use_voice(order).map_err(|_| NotEnrolled::Busy)?;
        entry.enrolling = known.person;
        let conversation = entry.facts.conversation.clone();
        info!(conversation, passive = source == Source::Passive, "enrolment begun");
        Ok(Enrolling { conversation, subject, state: EnrollmentState::Collecting })
    }

    /// Keeps what an enrolment has come to, and tells it.
    pub(super) fn handle_progress(&mut self, key: CallKey, progress: Progress) {
        let Some(entry) = self.calls.get_mut(&key) else { return };
        let conversation = entry.facts.conversation.clone();
        let (evidence, work): (_, Work) = match progress {
            Progress::Evidence(evidence) => {
                return self.weigh(key, Evidence::Enrollment(evidence));
            }
            Progress::Enrolled(voiceprint, evidence) => {
                let subject = Subject::caller(&voiceprint.subject);
                (evidence, Box::new(move |vault, act| vault.enrol(&subject, &voiceprint, act)))
            }
            Progress::Gathered(gathering, evidence) => {
                let subject = Subject::caller(&gathering.subject);
                (evidence, Box::new(move |vault, act| vault.gather(&subject, &gathering, act)))
            }
        };
        // The call is not forgotten before its verdict is there.
        entry.keeping += 1;
        self.asking.ask(
            move |vault| {
                let conversation = Some(conversation.as_str());
                work(vault, &Act { by: SWEEPER, at: Timestamp::now(), conversation })
            },
            move |signalling, kept| signalling.handle_kept(key, evidence, kept),
        );
    }

    fn handle_kept(
        &mut self,
        key: CallKey,
        mut evidence: EnrollmentEvidence,
        kept: Result<(), DeskError>,
    ) {
        if let Err(error) = kept {
            evidence.state = EnrollmentState::Refused;
            evidence.reason = Some(match error {
                DeskError::Vault(VaultError::Refused(why)) => why.to_string(),
                DeskError::Vault(_) | DeskError::Busy | DeskError::Closed => {
                    "the store did not take it".to_owned()
                }
            });
        }
        self.weigh(key, Evidence::Enrollment(evidence));
        if let Some(entry) = self.calls.get_mut(&key) {
            entry.keeping -= 1;
        }
        self.forget(key);
    }

    /// Moves the voiceprint by a call that was accepted beyond doubt.
    pub(super) fn handle_step(&mut self, key: CallKey, step: Step) {
        let Some(entry) = self.calls.get(&key) else { return };
        let Some(name) = &entry.facts.subject else { return };
        let subject = Subject::new(entry.facts.role(), name);
        let (conversation, settings) = (entry.facts.conversation.clone(), self.speaker.adaptation);
        self.asking.ask(
            move |vault| {
                let at = Timestamp::now();
                let act = Act { by: SWEEPER, at, conversation: Some(&conversation) };
                // As it is now: another call may have moved it, or somebody erased it.
                let adapted = vault.revise(&subject, Some(Scope::Adapt), &act, |voiceprint| {
                    voiceprint.adapt(&step, settings, at)
                })?;
                if let Some(voiceprint) = adapted {
                    info!(conversation, revision = voiceprint.revision, "voiceprint adapted");
                }
                Ok(())
            },
            // A refusal is in the log.
            |_, _| {},
        );
    }
}

/// Something that is to be kept.
type Work = Box<dyn FnOnce(&mut Vault, &Act<'_>) -> Result<(), VaultError> + Send>;

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
