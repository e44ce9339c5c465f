//! How long what is kept of a person stays (GDPR Art. 5 (1) (e)), and what ends it before.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::consent::consents::Consents;
use crate::consent::scope::Scope;

/// `[store.retention]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Days without a call after which a voiceprint is erased.
    pub unused_voiceprint_days: u32,
    /// Days after which what was gathered for a voiceprint, and did not suffice, is erased.
    pub gathering_days: u32,
    /// Whether a voiceprint is erased as soon as its consent is withdrawn or has expired. Otherwise nobody is compared
    /// with it, and it stays until it is erased by order or for want of use.
    pub erase_on_withdrawal: bool,
}

impl Default for Settings {
    /// Three years: the regular limitation period (BGB section 195); a month and a half for what is unfinished.
    fn default() -> Self {
        Self { unused_voiceprint_days: 1096, gathering_days: 45, erase_on_withdrawal: true }
    }
}

/// What is known of what is kept of a person.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// What they agreed to.
    pub consents: &'a Consents,
    /// When it was last used or changed.
    pub used: Timestamp,
    /// Whether it is a voiceprint; else what was gathered for one.
    pub is_voiceprint: bool,
    /// Whether a legal hold forbids to erase it (GDPR Art. 17 (3) (e), 18).
    pub held: bool,
}

/// Why something has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Somebody wants it erased.
    Request,
    /// The consent was withdrawn, or the person opted out.
    Withdrawn,
    /// The consent has run out.
    Expired,
    /// Nobody has used it for too long.
    Unused,
}

impl Settings {
    /// Whether what is kept has to go at `now`, and why.
    pub fn verdict(&self, kept: &Kept<'_>, now: Timestamp) -> Option<Reason> {
        use crate::consent::consents::Refusal;

        if kept.held {
            return None;
        }
        // A voiceprint rests on a consent to be compared, what is gathered on one to be enrolled.
        let scope = if kept.is_voiceprint { Scope::Verify } else { Scope::Enrol };
        if self.erase_on_withdrawal {
            match kept.consents.given(scope, now) {
                Err(Refusal::Withdrawn | Refusal::OptedOut) => return Some(Reason::Withdrawn),
                Err(Refusal::Expired) => return Some(Reason::Expired),
                // Never given for this: it rests on what was given when it was made.
                Ok(_) | Err(Refusal::None | Refusal::NotCovered) => {}
            }
        }
        let days =
            if kept.is_voiceprint { self.unused_voiceprint_days } else { self.gathering_days };
        let bound = SignedDuration::from_hours(24 * i64::from(days));
        (now.duration_since(kept.used) >= bound).then_some(Reason::Unused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::consents::{Change, Given, Mark};
    use crate::consent::reference::ConsentReference;
    use crate::consent::scope::Scopes;

    const DAY: i64 = 24 * 3600;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(day * DAY).expect("a time")
    }

    fn consents(expires: Option<i64>) -> Consents {
        let reference = ConsentReference::new("c-1").expect("a reference");
        let given =
            Given { reference, at: at(0), by: "user:test".to_owned(), expires: expires.map(at) };
        Consents::of(Scopes::NONE.with(Scope::Verify).with(Scope::Enrol), &given)
    }

    fn kept(consents: &Consents, is_voiceprint: bool) -> Kept<'_> {
        Kept { consents, used: at(100), is_voiceprint, held: false }
    }

    #[test]
    fn what_nobody_uses_goes_and_what_is_unfinished_goes_sooner() {
        let (settings, consents) = (Settings::default(), consents(None));
        assert_eq!(settings.verdict(&kept(&consents, true), at(100 + 1095)), None);
        assert_eq!(settings.verdict(&kept(&consents, true), at(100 + 1096)), Some(Reason::Unused));
        assert_eq!(settings.verdict(&kept(&consents, false), at(100 + 44)), None);
        assert_eq!(settings.verdict(&kept(&consents, false), at(100 + 45)), Some(Reason::Unused));
    }

    #[test]
    fn a_consent_that_is_over_takes_the_voice_with_it_unless_the_site_wants_otherwise() {
        let settings = Settings::default();
        let mut consents = consents(Some(110));
        assert_eq!(settings.verdict(&kept(&consents, true), at(110)), Some(Reason::Expired));
        let mark = Mark { at: at(105), by: "user:test".to_owned() };
        consents.apply(&Change::Withdrawn { scopes: Scopes::ALL, mark }).expect("withdrawn");
        assert_eq!(settings.verdict(&kept(&consents, true), at(106)), Some(Reason::Withdrawn));
        let blocking = Settings { erase_on_withdrawal: false, ..settings };
        assert_eq!(blocking.verdict(&kept(&consents, true), at(106)), None);
        assert_eq!(blocking.verdict(&kept(&consents, true), at(2000)), Some(Reason::Unused));
    }

    #[test]
    fn a_legal_hold_keeps_everything() {
        let consents = consents(Some(110));
        let held = Kept { held: true, ..kept(&consents, true) };
        assert_eq!(Settings::default().verdict(&held, at(5000)), None);
    }
}
