//! `[consent]`: what a consent that a PBX refers to covers, for how long, and where none is needed.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::config::speaker::Speaker;
use crate::consent::scope::{Scope, Scopes};

/// Ten years: beyond it a consent is without end, which is 0.
const MOST_DAYS: u32 = 3660;

/// `[consent]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Consent {
    /// What a consent covers that says nothing of it itself.
    pub scopes: Scopes,
    /// Days that one holds which comes with a call; 0 is without end.
    pub days: u32,
    /// Whether a call that refers to none may rest on one that is kept.
    pub standing: bool,
    /// Whether phrases are listened for with a consent to it alone.
    pub keywords: bool,
}

impl Default for Consent {
    fn default() -> Self {
        let scopes = Scopes::NONE.with(Scope::Verify).with(Scope::Enrol);
        Self { scopes, days: 1096, standing: false, keywords: false }
    }
}

impl Consent {
    /// When a consent that comes at `now` ends, if it does.
    pub fn end(&self, now: Timestamp) -> Option<Timestamp> {
        let days = SignedDuration::from_hours(24 * i64::from(self.days));
        (self.days > 0).then(|| now.checked_add(days).unwrap_or(Timestamp::MAX))
    }

    /// What `speaker` and these settings switch on and a consent does not cover that says nothing of it itself: key, and
    /// scope that is lacking.
    pub fn lacking(&self, speaker: &Speaker) -> Vec<(&'static str, Scope)> {
        let wanted = [
            (speaker.enrollment.passive, "speaker.enrollment.passive", Scope::Enrol),
            (speaker.adaptation.enabled, "speaker.adaptation.enabled", Scope::Adapt),
            (speaker.watchlist.enabled, "speaker.watchlist.enabled", Scope::Watchlist),
            (self.keywords, "consent.keywords", Scope::Keywords),
        ];
        let lacks = |(is_on, _, scope): &(bool, _, Scope)| *is_on && !self.scopes.contains(*scope);
        wanted.into_iter().filter(lacks).map(|(_, key, scope)| (key, scope)).collect()
    }

    /// Key, what it must be and what it is, of the first value that makes no sense.
    pub fn validate(&self) -> Result<(), (&'static str, &'static str, String)> {
        if self.days > MOST_DAYS {
            return Err(("consent.days", "must be 0 to 3660", self.days.to_string()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_switched_on_and_lacks_a_scope_is_named() {
        let (mut consent, mut speaker) = (Consent::default(), Speaker::default());
        assert_eq!(consent.lacking(&speaker), []);
        (speaker.adaptation.enabled, consent.keywords) = (true, true);
        let wanted =
            [("speaker.adaptation.enabled", Scope::Adapt), ("consent.keywords", Scope::Keywords)];
        assert_eq!(consent.lacking(&speaker), wanted);
        consent.scopes = Scopes::ALL;
        assert_eq!(consent.lacking(&speaker), []);
    }

    #[test]
    fn a_consent_ends_after_its_days_and_without_any_never() {
        let end = |days| Consent { days, ..Consent::default() }.end(Timestamp::UNIX_EPOCH);
        let day = Timestamp::from_second(24 * 3600).expect("a time");
        assert_eq!([end(0), end(1)], [None, Some(day)]);
    }
}
