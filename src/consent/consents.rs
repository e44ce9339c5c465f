//! What one person has agreed to, purpose by purpose, and how that changes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::consent::reference::ConsentReference;
use crate::consent::scope::{Scope, Scopes};

/// Longest name of who changed a consent, bytes.
pub const LONGEST_BY: usize = 128;

/// The consents of one person in one role.
///
/// Each purpose has a state of its own, so that a narrower consent of today takes nothing away from a wider one of
/// before, and a withdrawal takes away what it names. An opt-out stands above all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consents {
    /// The states that are not [`Consent::None`], by the purpose's word.
    #[serde(default)]
    scopes: BTreeMap<String, Consent>,
    /// Who opted out is never asked, enrolled or compared again, until they opt in themselves.
    #[serde(default)]
    opted_out: Option<Mark>,
}

/// How it stands with one purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Consent {
    /// Nobody asked.
    #[default]
    None,
    /// Agreed to.
    Given(Given),
    /// Taken back. The same reference cannot give it again.
    Withdrawn {
        /// What had been given.
        reference: ConsentReference,
        /// When it was taken back, and who recorded it.
        #[serde(flatten)]
        mark: Mark,
    },
    /// Run out. The same reference cannot give it again.
    Expired {
        /// What had been given.
        reference: ConsentReference,
        /// When it ran out.
        at: Timestamp,
    },
}

/// A consent that was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// What shows it.
    pub reference: ConsentReference,
    /// When it was recorded.
    pub at: Timestamp,
    /// Who recorded it: `peer:NAME`, `token:NAME`, `user:NAME`.
    pub by: String,
    /// When it runs out, if it does.
    #[serde(default)]
    pub expires: Option<Timestamp>,
}

/// When something was recorded, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// When.
    pub at: Timestamp,
    /// By whom, as in [`Given::by`].
    pub by: String,
}

/// Something that happens to a person's consents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum Change {
    /// They agree.
    Given {
        /// To what.
        scopes: Scopes,
        /// How.
        #[serde(flatten)]
        given: Given,
    },
    /// They take it back (GDPR Art. 7 (3)).
    Withdrawn {
        /// For what.
        scopes: Scopes,
        /// When, and by whom it was recorded.
        #[serde(flatten)]
        mark: Mark,
    },
    /// Time has run out.
    Expired {
        /// For what.
        scopes: Scopes,
        /// When it was noticed, and by whom.
        #[serde(flatten)]
        mark: Mark,
    },
    /// They want none of it, ever.
    OptedOut(Mark),
    /// They want to be asked again. What they had agreed to before does not come back.
    OptedIn(Mark),
}

/// Why there is no leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody agreed to anything.
    #[error("there is no consent")]
    None,
    /// They agreed to something else.
    #[error("the consent does not cover this")]
    NotCovered,
    /// They took it back.
    #[error("the consent was withdrawn")]
    Withdrawn,
    /// It has run out.
    #[error("the consent has expired")]
    Expired,
    /// They want none of it.
    #[error("the person opted out")]
    OptedOut,
}

impl Consents {
    /// Of somebody who has agreed to `scopes`, and said nothing else: what whoever starts a command answers for.
    pub fn of(scopes: Scopes, given: &Given) -> Self {
        let consent = |scope: Scope| (scope.as_str().to_owned(), Consent::Given(given.clone()));
        Self { scopes: scopes.iter().map(consent).collect(), opted_out: None }
    }

    /// How it stands with `scope` at `now`.
    pub fn state(&self, scope: Scope, now: Timestamp) -> Consent {
        match self.scopes.get(scope.as_str()) {
            Some(Consent::Given(given)) if given.is_over(now) => Consent::Expired {
                reference: given.reference.clone(),
                at: given.expires.unwrap_or(now),
            },
            Some(consent) => consent.clone(),
            None => Consent::None,
        }
    }

    /// Since when the person has been opted out, if they have.
    pub fn opted_out(&self) -> Option<&Mark> {
        self.opted_out.as_ref()
    }

    /// What covers `scope` at `now`, or why nothing does.
    pub fn given(&self, scope: Scope, now: Timestamp) -> Result<&Given, Refusal> {
        if self.opted_out.is_some() {
            return Err(Refusal::OptedOut);
        }
        match self.scopes.get(scope.as_str()) {
            Some(Consent::Given(given)) if given.is_over(now) => Err(Refusal::Expired),
            Some(Consent::Given(given)) => Ok(given),
            Some(Consent::Withdrawn { .. }) => Err(Refusal::Withdrawn),
            Some(Consent::Expired { .. }) => Err(Refusal::Expired),
            Some(Consent::None) | None => {
                let any = self.scopes.values().any(|consent| matches!(consent, Consent::Given(_)));
                Err(if any { Refusal::NotCovered } else { Refusal::None })
            }
        }
    }

    /// The purposes that are covered at `now`.
    pub fn covered(&self, now: Timestamp) -> Scopes {
        Scope::ALL.into_iter().filter(|&scope| self.given(scope, now).is_ok()).collect()
    }

    /// The purposes whose consent has run out by `now` and is not recorded as such.
    pub fn overdue(&self, now: Timestamp) -> Scopes {
        let is_overdue = |scope: &Scope| match self.scopes.get(scope.as_str()) {
            Some(Consent::Given(given)) => given.is_over(now),
            Some(Consent::None | Consent::Withdrawn { .. } | Consent::Expired { .. }) | None => {
                false
            }
        };
        Scope::ALL.into_iter().filter(is_overdue).collect()
    }

    /// Whether `change` would change anything: a PBX refers to the same consent in every call.
    pub fn is_news(&self, change: &Change) -> bool {
        let mut after = self.clone();
        match (after.apply(change), change) {
            // The first record of a reference counts, with its time.
            (Ok(()), Change::Given { scopes, given }) => scopes.iter().any(|scope| {
                let standing = self.given(scope, given.at);
                standing.map_or(true, |standing| standing.reference != given.reference)
            }),
            (Ok(()), _) => after != *self,
            (Err(_), _) => false,
        }
    }

    /// Takes `change` in, whole or not at all. What was withdrawn or has run out comes back with another reference
    /// only, and after an opt-out nothing is given at all.
    pub fn apply(&mut self, change: &Change) -> Result<(), Refusal> {
        match change {
            Change::Given { scopes, given } => {
                if self.opted_out.is_some() {
                    return Err(Refusal::OptedOut);
                }
                for scope in scopes.iter() {
                    match self.state(scope, given.at) {
                        Consent::Withdrawn { reference, .. } if reference == given.reference => {
                            return Err(Refusal::Withdrawn);
                        }
                        Consent::Expired { reference, .. } if reference == given.reference => {
                            return Err(Refusal::Expired);
                        }
                        Consent::None
                        | Consent::Given(_)
                        | Consent::Withdrawn { .. }
                        | Consent::Expired { .. } => {}
                    }
                }
                if given.is_over(given.at) {
                    return Err(Refusal::Expired);
                }
                self.set(*scopes, |_| Some(Consent::Given(given.clone())));
            }
            Change::Withdrawn { scopes, mark } => {
                self.set(*scopes, |reference| {
                    Some(Consent::Withdrawn { reference: reference?, mark: mark.clone() })
                });
            }
            Change::Expired { scopes, mark } => {
                self.set(*scopes, |reference| {
                    Some(Consent::Expired { reference: reference?, at: mark.at })
                });
            }
            Change::OptedOut(mark) => {
                self.apply(&Change::Withdrawn { scopes: Scopes::ALL, mark: mark.clone() })?;
                self.opted_out.get_or_insert_with(|| mark.clone());
            }
            Change::OptedIn(_) => self.opted_out = None,
        }
        Ok(())
    }

    /// Puts each of `scopes` into the state that `make` makes of the reference that is given for it.
    fn set(&mut self, scopes: Scopes, make: impl Fn(Option<ConsentReference>) -> Option<Consent>) {
        for scope in scopes.iter() {
            let reference = match self.scopes.get(scope.as_str()) {
                Some(Consent::Given(given)) => Some(given.reference.clone()),
                // What is over already keeps its own end.
                Some(Consent::None | Consent::Withdrawn { .. } | Consent::Expired { .. })
                | None => None,
            };
            if let Some(consent) = make(reference) {
                self.scopes.insert(scope.as_str().to_owned(), consent);
            }
        }
    }
}

impl Given {
    fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

impl Change {
    /// When it happened.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Given { given, .. } => given.at,
            Self::Withdrawn { mark, .. }
            | Self::Expired { mark, .. }
            | Self::OptedOut(mark)
            | Self::OptedIn(mark) => mark.at,
        }
    }

    /// Who recorded it.
    pub fn by(&self) -> &str {
        match self {
            Self::Given { given, .. } => &given.by,
            Self::Withdrawn { mark, .. }
            | Self::Expired { mark, .. }
            | Self::OptedOut(mark)
            | Self::OptedIn(mark) => &mark.by,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::permit::{Adaptation, Enrolment, Verification};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn mark(second: i64) -> Mark {
        Mark { at: at(second), by: "user:test".to_owned() }
    }

    fn given(scopes: &str, reference: &str, second: i64, expires: Option<i64>) -> Change {
        let reference = ConsentReference::new(reference).expect("a reference");
        let Mark { at: when, by } = mark(second);
        let given = Given { reference, at: when, by, expires: expires.map(at) };
        Change::Given { scopes: scopes.parse().expect("scopes"), given }
    }

    fn after(changes: &[Change]) -> Consents {
        changes.iter().fold(Consents::default(), |mut consents, change| {
            consents.apply(change).expect("a change that can be");
            consents
        })
    }

    #[test]
    fn leave_is_for_what_was_agreed_to_and_nothing_else() {
        let nobody = Consents::default();
        assert_eq!(nobody.permit::<Verification>(at(0)), Err(Refusal::None));
        let consents = after(&[given("verify", "c-1", 0, None)]);
        let permit = consents.permit::<Verification>(at(1)).expect("leave");
        assert_eq!(permit.reference().as_str(), "c-1");
        assert_eq!(consents.permit::<Enrolment>(at(1)), Err(Refusal::NotCovered));
    }

    #[test]
    fn a_narrower_consent_takes_nothing_away_from_a_wider_one() {
        let consents = after(&[
            given("verify enrol adapt", "paper", 0, None),
            given("verify", "ivr-1", 9, None),
        ]);
        let verify = consents.permit::<Verification>(at(10)).expect("leave");
        let adapt = consents.permit::<Adaptation>(at(10)).expect("leave");
        assert_eq!((verify.reference().as_str(), adapt.reference().as_str()), ("ivr-1", "paper"));
    }

    #[test]
    fn what_was_withdrawn_comes_back_with_another_reference_only() {
        let withdrawal = Change::Withdrawn { scopes: Scopes::ALL, mark: mark(5) };
        let mut consents = after(&[given("verify enrol", "c-1", 0, None), withdrawal]);
        assert_eq!(consents.permit::<Verification>(at(6)), Err(Refusal::Withdrawn));
        let again = given("verify", "c-1", 6, None);
        assert!(!consents.is_news(&again), "a dialplan that still sends the old reference");
        assert_eq!(consents.apply(&again), Err(Refusal::Withdrawn));
        consents.apply(&given("verify", "c-2", 7, None)).expect("a new consent");
        assert!(consents.permit::<Verification>(at(8)).is_ok());
        assert_eq!(
            consents.permit::<Enrolment>(at(8)),
            Err(Refusal::Withdrawn),
            "asked for verify alone"
        );
    }

    #[test]
    fn a_part_can_be_withdrawn() {
        let part = Change::Withdrawn { scopes: Scopes::NONE.with(Scope::Adapt), mark: mark(5) };
        let consents = after(&[given("verify adapt", "c-1", 0, None), part]);
        assert!(consents.permit::<Verification>(at(6)).is_ok());
        assert_eq!(consents.permit::<Adaptation>(at(6)), Err(Refusal::Withdrawn));
    }

    #[test]
    fn time_ends_a_consent_whether_anybody_looked_or_not() {
        let mut consents = after(&[given("verify", "c-1", 0, Some(100))]);
        assert!(consents.permit::<Verification>(at(99)).is_ok());
        assert_eq!(consents.permit::<Verification>(at(100)), Err(Refusal::Expired));
        let overdue = consents.overdue(at(100));
        assert_eq!(overdue, Scopes::NONE.with(Scope::Verify));
        consents.apply(&Change::Expired { scopes: overdue, mark: mark(101) }).expect("noticed");
        assert_eq!(consents.overdue(at(200)), Scopes::NONE);
        assert_eq!(consents.apply(&given("verify", "c-1", 150, None)), Err(Refusal::Expired));
        assert_eq!(consents.apply(&given("verify", "c-2", 150, Some(150))), Err(Refusal::Expired));
        assert_eq!(consents.apply(&given("verify", "c-2", 150, Some(151))), Ok(()));
    }

    #[test]
    fn an_opt_out_outlasts_every_consent_until_the_person_opts_in() {
        let mut consents = after(&[given("verify", "c-1", 0, None), Change::OptedOut(mark(5))]);
        assert_eq!(consents.permit::<Verification>(at(6)), Err(Refusal::OptedOut));
        assert_eq!(consents.apply(&given("verify", "c-2", 6, None)), Err(Refusal::OptedOut));
        consents.apply(&Change::OptedIn(mark(7))).expect("their own wish");
        assert_eq!(
            consents.permit::<Verification>(at(8)),
            Err(Refusal::Withdrawn),
            "nothing comes back by itself"
        );
        assert_eq!(consents.apply(&given("verify", "c-2", 8, None)), Ok(()));
    }

    #[test]
    fn a_reference_that_stands_already_is_no_news() {
        let consents = after(&[given("verify", "c-1", 0, None)]);
        assert!(!consents.is_news(&given("verify", "c-1", 9, None)));
        assert!(consents.is_news(&given("verify enrol", "c-1", 9, None)), "it covers more");
        assert!(consents.is_news(&given("verify", "c-2", 9, None)));
        assert!(!consents.is_news(&Change::Withdrawn {
            scopes: Scopes::NONE.with(Scope::Adapt),
            mark: mark(9)
        }));
        assert!(consents.is_news(&Change::OptedOut(mark(9))));
    }

    #[test]
    fn it_is_kept_and_read_again_as_it_was() {
        let consents = after(&[
            given("verify enrol", "c-1", 0, Some(100)),
            Change::Withdrawn { scopes: Scopes::NONE.with(Scope::Enrol), mark: mark(5) },
            Change::OptedOut(mark(6)),
        ]);
        let text = serde_json::to_string(&consents).expect("text");
        assert_eq!(serde_json::from_str::<Consents>(&text).expect("consents"), consents, "{text}");
        let change = given("verify", "c-1", 0, None);
        let text = serde_json::to_string(&change).expect("text");
        assert_eq!(serde_json::from_str::<Change>(&text).expect("a change"), change, "{text}");
    }
}
