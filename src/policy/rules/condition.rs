//! Which conversations a rule is for: by queue, by who takes part, by the time of day and week.

use serde::Deserialize;

use crate::policy::rule::Party;

/// `when`: all that it names has to hold; what it does not name does not matter.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(try_from = "Keys")]
pub struct Condition {
    /// Queues, one of which the call came through.
    pub queue: Vec<String>,
    /// Parties, of one of which there is a leg.
    pub party: Vec<Party>,
    /// Time of the week in which the conversation began.
    pub hours: Option<Hours>,
}

/// A time of the week, on the clock of one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Hours {
    zone: jiff::tz::TimeZone,
    /// Days, all if empty. A night belongs to the day on which it began.
    days: Vec<Day>,
    /// First moment, and the first that is over; the whole day without.
    span: Option<(jiff::civil::Time, jiff::civil::Time)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(default)]
    queue: Vec<String>,
    #[serde(default)]
    party: Vec<Party>,
    from: Option<String>,
    to: Option<String>,
    #[serde(default)]
    days: Vec<Day>,
    zone: Option<String>,
}

/// Why a condition makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// Only one end of the hours.
    #[error("`from` and `to` belong together: both or neither")]
    OneEnd,
    /// No time of day.
    #[error("a time of day like \"08:00\" was wanted, found {0:?}")]
    Time(String),
    /// No hour at all.
    #[error("from {0:?} to {0:?} is no time at all; leave both out for the whole day")]
    NoTime(String),
    /// An unknown place.
    #[error("a time zone like \"Europe/Berlin\" was wanted, found {0:?}")]
    Zone(String),
    /// A place without a clock.
    #[error("zone is only for `from`, `to` and `days`")]
    IdleZone,
}

impl TryFrom<Keys> for Condition {
    type Error = ConditionError;

    fn try_from(keys: Keys) -> Result<Self, ConditionError> {
        let Keys { queue, party, from, to, days, zone } = keys;
        let time = |text: &String| {
            let wrong = || ConditionError::Time(text.clone());
            jiff::civil::Time::strptime("%H:%M", text).map_err(|_| wrong())
        };
        let span = match (&from, &to) {
            (None, None) => None,
            (Some(from), Some(to)) => {
                let span = (time(from)?, time(to)?);
                if span.0 == span.1 {
                    return Err(ConditionError::NoTime(from.clone()));
                }
                Some(span)
            }
            (Some(_), None) | (None, Some(_)) => return Err(ConditionError::OneEnd),
        };
        if span.is_none() && days.is_empty() {
            let none = Self { queue, party, hours: None };
            return if zone.is_some() { Err(ConditionError::IdleZone) } else { Ok(none) };
        }
        let zone = match zone {
            None => jiff::tz::TimeZone::UTC,
            Some(name) => jiff::tz::TimeZone::get(&name).map_err(|_| ConditionError::Zone(name))?,
        };
        Ok(Self { queue, party, hours: Some(Hours { zone, days, span }) })
    }
}

impl Hours {
    /// Whether `moment` is one of them.
    pub fn hold(&self, moment: jiff::Timestamp) -> bool {
        let local = moment.to_zoned_datetime(self.zone.clone());
        let (mut date, time) = (local.date(), local.time());
        let within = match self.span {
            None => true,
            Some((from, to)) if from < to => from <= time && time < to,
            Some((from, to)) => {
                if time < to {
                    date = date.yesterday().unwrap_or(date);
                }
                from <= time || time < to
            }
        };
        let day = Day::of(date.weekday());
        within && (self.days.is_empty() || self.days.contains(&day))
    }
}

impl Day {
    fn of(day: jiff::civil::Weekday) -> Self {
        use jiff::civil::Weekday;
        match day {
            Weekday::Monday => Self::Mon,
            Weekday::Tuesday => Self::Tue,
            Weekday::Wednesday => Self::Wed,
            Weekday::Thursday => Self::Thu,
            Weekday::Friday => Self::Fri,
            Weekday::Saturday => Self::Sat,
            Weekday::Sunday => Self::Sun,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(toml: &str) -> Result<Condition, String> {
        toml::from_str(toml).map_err(|error| error.message().to_owned())
    }

    fn holds(condition: &str, moment: &str) -> bool {
        let condition: Condition = toml::from_str(condition).expect("a condition");
        condition.hours.expect("hours").hold(moment.parse().expect("a moment"))
    }

    #[test]
    fn hours_are_those_of_their_place_and_end_before_they_end() {
        // In November Berlin is an hour ahead, in July two.
        let berlin = "from = '08:00'\nto = '20:00'\nzone = 'Europe/Berlin'";
        assert!(!holds(berlin, "2026-11-27T06:59:59Z"));
        assert!(holds(berlin, "2026-11-27T07:00:00Z"));
        assert!(holds(berlin, "2026-07-01T06:00:00Z"));
        assert!(!holds(berlin, "2026-07-01T18:00:00Z"));
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_began() {
        let friday_night = "from = '22:00'\nto = '06:00'\ndays = ['fri']";
        assert!(holds(friday_night, "2026-11-27T23:00:00Z"));
        assert!(holds(friday_night, "2026-11-28T05:59:00Z"), "Saturday morning");
        assert!(!holds(friday_night, "2026-11-27T05:59:00Z"), "of Thursday night");
        assert!(!holds(friday_night, "2026-11-28T22:00:00Z"));
        assert!(holds("days = ['sat', 'sun']", "2026-11-28T22:00:00Z"));
    }

    #[test]
    fn a_condition_that_makes_no_sense_is_a_sentence() {
        let says = |toml: &str| condition(toml).expect_err(toml);
        assert_eq!(says("from = '08:00'"), "`from` and `to` belong together: both or neither");
        let wanted = "a time of day like \"08:00\" was wanted, found \"25:00\"";
        assert_eq!(says("from = '25:00'\nto = '08:00'"), wanted);
        assert!(says("from = '08:00'\nto = '08:00'").contains("no time at all"));
        let wanted = "a time zone like \"Europe/Berlin\" was wanted, found \"Berlin\"";
        assert_eq!(says("days = ['mon']\nzone = 'Berlin'"), wanted);
        assert_eq!(says("zone = 'UTC'"), "zone is only for `from`, `to` and `days`");
        assert!(says("weekday = ['mon']").starts_with("unknown field `weekday`"));
        assert!(says("days = ['monday']").starts_with("unknown variant `monday`"));
    }
}
