//! Session timers (RFC 4028): a session that nobody refreshes is over, however its BYE was lost.

use std::time::{Duration, Instant};

use crate::sip::headers::{Headers, parameter, split};

/// The shortest interval that anybody may ask for (§5).
pub const SHORTEST: u32 = 90;

/// Which side of the refreshing request keeps the session alive (§2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    /// Who asks.
    Uac,
    /// Who answers.
    Uas,
}

/// The value of Session-Expires (§4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    /// Seconds that the session lives without a refresh.
    pub seconds: u32,
    /// Who refreshes, if said.
    pub refresher: Option<Refresher>,
}

/// The interval asked for is shorter than we take: wants 422 with this Min-SE (§6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooBrief(pub u32);

/// One session's timer, on our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTimer {
    interval: Duration,
    /// When we refresh; `None` where they do.
    refresh: Option<Instant>,
    /// When we hang up.
    expiry: Instant,
}

/// What a session's timer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Send a refresh.
    Refresh,
    /// Hang up.
    Expired,
}

impl SessionExpires {
    /// Reads the field; `None` where it is absent or no number.
    pub fn read(headers: &Headers) -> Option<Self> {
        let parts = split(headers.get("Session-Expires")?, ';');
        let (seconds, parameters) = parts.split_first()?;
        let refresher = match parameter(parameters, "refresher") {
            Some(side) if side.eq_ignore_ascii_case("uac") => Some(Refresher::Uac),
            Some(side) if side.eq_ignore_ascii_case("uas") => Some(Refresher::Uas),
            Some(_) | None => None,
        };
        Some(Self { seconds: seconds.parse().ok()?, refresher })
    }

    /// What our 2xx to a request with `headers` says (§9). `ours`: seconds that we ask for where
    /// they do not, 0 for no timer. Where both sides can, the peer refreshes: it called.
    pub fn answer(headers: &Headers, ours: u32) -> Result<Option<Self>, TooBrief> {
        let supports = supports_timer(headers);
        let asked = Self::read(headers);
        if let Some(asked) = asked
            && supports
            && asked.seconds < SHORTEST
        {
            return Err(TooBrief(SHORTEST));
        }
        let floor = min_se(headers).max(SHORTEST);
        let seconds = match asked {
            Some(asked) => asked.seconds.max(SHORTEST),
            None if ours == 0 => return Ok(None),
            None => ours.max(floor),
        };
        let refresher = match asked.and_then(|asked| asked.refresher) {
            _ if !supports => Refresher::Uas,
            Some(refresher) => refresher,
            None => Refresher::Uac,
        };
        Ok(Some(Self { seconds, refresher: Some(refresher) }))
    }

    /// As in the field.
    pub fn to_value(self) -> String {
        match self.refresher {
            Some(Refresher::Uac) => format!("{};refresher=uac", self.seconds),
            Some(Refresher::Uas) => format!("{};refresher=uas", self.seconds),
            None => self.seconds.to_string(),
        }
    }
}

/// The Min-SE of a request or of a 422; 0 where there is none.
pub fn min_se(headers: &Headers) -> u32 {
    let value = headers.get("Min-SE").map_or("", |value| value.split(';').next().unwrap_or(""));
    value.trim().parse().unwrap_or(0)
}

/// Whether the sender of `headers` knows session timers.
pub fn supports_timer(headers: &Headers) -> bool {
    let mut tags = headers.list("Supported").chain(headers.list("Require"));
    tags.any(|tag| tag.eq_ignore_ascii_case("timer"))
}

impl SessionTimer {
    /// A session was begun or refreshed just now, for `seconds`, and we refresh it next or they do.
    pub fn new(now: Instant, seconds: u32, we_refresh: bool) -> Self {
        let interval = Duration::from_secs(u64::from(seconds));
        // §10: who does not refresh hangs up a little early, so that both do before the expiry.
        let early = (interval / 3).min(Duration::from_secs(32));
        match we_refresh {
            true => Self { interval, refresh: Some(now + interval / 2), expiry: now + interval },
            false => Self { interval, refresh: None, expiry: now + interval - early },
        }
    }

    /// Seconds agreed on.
    pub fn seconds(&self) -> u32 {
        self.interval.as_secs() as u32
    }

    /// Our refresh was refused for now: tries again after `wait`.
    pub fn retry(&mut self, now: Instant, wait: Duration) {
        if let Some(refresh) = &mut self.refresh {
            *refresh = now + wait;
        }
    }

    /// Says what is due. After [`Due::Refresh`] nothing more is until the refresh was answered,
    /// with a new timer or with [`Self::retry`], or the session expires.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Due> {
        if self.expiry <= now {
            return Some(Due::Expired);
        }
        let due = self.refresh.is_some_and(|refresh| refresh <= now);
        due.then(|| {
            self.refresh = Some(self.expiry);
            Due::Refresh
        })
    }

    /// When [`Self::handle_timeout`] is next due.
    pub fn poll_timeout(&self) -> Instant {
        self.refresh.map_or(self.expiry, |refresh| refresh.min(self.expiry))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        fields.iter().for_each(|(name, value)| headers.push(name, value));
        headers
    }

    fn answer(fields: &[(&str, &str)], ours: u32) -> Option<String> {
        let answer = SessionExpires::answer(&headers(fields), ours).expect("long enough");
        answer.map(SessionExpires::to_value)
    }

    #[test]
    fn who_refreshes_is_decided_as_in_the_table_of_section_9() {
        let timer = ("Supported", "100rel, timer");
        let value = |text: &str| Some(text.to_owned());
        assert_eq!(answer(&[timer, ("Session-Expires", "1800")], 0), value("1800;refresher=uac"));
        let told = ("Session-Expires", "600;refresher=uas");
        assert_eq!(answer(&[timer, told], 0), value("600;refresher=uas"));
        // A proxy put the interval in; the caller knows nothing of it.
        assert_eq!(answer(&[("Session-Expires", "600")], 0), value("600;refresher=uas"));
        assert_eq!(answer(&[timer], 900), value("900;refresher=uac"));
        assert_eq!(answer(&[timer, ("Min-SE", "1200")], 900), value("1200;refresher=uac"));
        assert_eq!(answer(&[], 900), value("900;refresher=uas"));
        assert_eq!(answer(&[timer], 0), None);
    }

    #[test]
    fn an_interval_below_90_s_is_too_brief_for_who_can_mend_it() {
        let short = ("x", "60");
        let with = |fields: &[(&str, &str)]| SessionExpires::answer(&headers(fields), 0);
        assert_eq!(
            with(&[("Supported", "timer"), ("Session-Expires", short.1)]),
            Err(TooBrief(90))
        );
        assert!(
            with(&[("Session-Expires", short.1)]).is_ok_and(|a| a.is_some_and(|a| a.seconds == 90))
        );
    }

    #[test]
    fn we_refresh_at_half_time_and_hang_up_at_the_end() {
        let start = Instant::now();
        let mut timer = SessionTimer::new(start, 100, true);
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(timer.poll_timeout(), after(50));
        assert_eq!(timer.handle_timeout(after(50)), Some(Due::Refresh));
        assert_eq!(timer.handle_timeout(after(51)), None);
        timer.retry(after(51), Duration::from_secs(2));
        assert_eq!(timer.handle_timeout(after(53)), Some(Due::Refresh));
        assert_eq!(timer.poll_timeout(), after(100));
        assert_eq!(timer.handle_timeout(after(100)), Some(Due::Expired));
    }

    #[test]
    fn they_are_waited_for_until_shortly_before_the_end() {
        let start = Instant::now();
        let at = |seconds| SessionTimer::new(start, seconds, false).poll_timeout() - start;
        assert_eq!(at(90), Duration::from_secs(60));
        assert_eq!(at(1_800), Duration::from_secs(1_768));
    }
}
