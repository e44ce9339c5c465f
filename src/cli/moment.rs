//! A moment as a person writes it: a day, or to the second.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// `2028-11-30` is that day's beginning here, `2028-11-30T12:00:00Z` the second.
pub fn since(text: &str) -> Result<Timestamp, String> {
    parse(text, 0)
}

/// The last day on which something holds, to its end here; or the second from which it does not.
pub fn until(text: &str) -> Result<Timestamp, String> {
    parse(text, 1)
}

fn parse(text: &str, days: i64) -> Result<Timestamp, String> {
    let wanted = || format!("{text:?} is no date: wanted 2028-11-30 or 2028-11-30T12:00:00Z");
    let text = text.trim();
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let day: Date = text.parse().map_err(|_| wanted())?;
    let day = day.checked_add(days.days()).map_err(|_| wanted())?;
    let start = day.to_zoned_datetime(TimeZone::system()).map_err(|_| wanted())?;
    Ok(start.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_counts_whole_and_a_second_as_it_is() {
        let day =
            until("2028-11-30").expect("a day").duration_since(since("2028-11-30").expect("a day"));
        assert_eq!(day.as_hours(), 24);
        let second = "2028-11-30T12:00:00Z";
        assert_eq!(since(second), until(second));
        assert_eq!(since(second).expect("a second").to_string(), second);
        for odd in ["", "tomorrow", "30.11.2028", "2028-11-31"] {
            assert!(since(odd).is_err_and(|error| error.contains("wanted 2028-11-30")), "{odd}");
        }
    }
}
