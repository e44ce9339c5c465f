//! What is news on the board, as server-sent events (WHATWG HTML 9.2), to one page for as long as its session holds.
//!
//! Events: `news` with an id, which is a [`News`] and how the appliance is; `beat`, when there was none for a while, as a page
//! cannot tell a line that is dead from one on which nothing happens; `over`, the last, when the session is.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::runtime::health::Health;
use crate::runtime::http::page::sessions::Sessions;
use crate::runtime::http::page::shown::News;
use crate::runtime::http::page::watch::{LiveBoard, Looker};
use crate::runtime::http::role::Role;

/// News are gathered for so long: nobody reads faster. And for so much longer with each hundred calls: what many calls say is
/// long, and there is one thread for all of HTTP.
const TOGETHER: Duration = Duration::from_millis(400);
/// Longest time without an event, and longest that a session outlives its token by.
const BEAT: Duration = Duration::from_secs(5);
/// When a page whose line broke comes again.
const RETRY: Duration = Duration::from_secs(2);

/// One page's stream.
#[derive(Debug)]
pub struct Stream {
    /// What it looks at.
    pub live: Arc<LiveBoard>,
    /// How the appliance is.
    pub health: Arc<Health>,
    /// Whose sessions.
    pub sessions: Arc<Sessions>,
    /// Which of them.
    pub session: String,
    /// Keeps its place.
    pub looker: Looker,
    /// What it has seen.
    pub seen: Seen,
}

/// What a page has seen of the board.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    version: u64,
    state: Option<State>,
    /// When it was last sent something; none before it was.
    sent: Option<Instant>,
    over: bool,
}

/// How the appliance is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct State {
    /// Why no call should be sent here; none where it is ready.
    not_ready: Option<String>,
    /// The policy in force, `name@version`.
    policy: String,
    /// Our own version.
    version: &'static str,
    /// Conversations with a call.
    live: usize,
    /// Whose eyes it is for.
    role: &'static str,
}

#[derive(Debug, Serialize)]
struct Told<'a> {
    now_ms: i64,
    state: &'a State,
    #[serde(flatten)]
    news: News,
}

impl Seen {
    /// From a `Last-Event-ID`: nothing, where it is of another life of the appliance.
    pub fn from_id(id: Option<&str>, epoch: u64) -> Self {
        let read = |id: &str| {
            let (of, version) = id.split_once('-')?;
            (of == format!("{epoch:016x}")).then(|| version.parse().ok())?
        };
        Self { version: id.and_then(read).unwrap_or_default(), ..Self::default() }
    }
}

impl Stream {
    /// The answer that goes on for as long as the page reads.
    pub fn into_response(self) -> Response {
        let events = stream::unfold(self, |mut stream| async move {
            let event = stream.next().await?;
            Some((Ok::<_, Infallible>(event), stream))
        });
        let mut response = Sse::new(events).into_response();
        // nginx would gather what is to be there at once.
        response.headers_mut().insert("x-accel-buffering", "no".parse().expect("a valid value"));
        response
    }

    async fn next(&mut self) -> Option<Event> {
        if self.seen.over {
            return None;
        }
        if let Some(sent) = self.seen.sent {
            let hundreds = self.live.board().live() / 100;
            let together = TOGETHER * (1 + u32::try_from(hundreds).unwrap_or(1));
            sleep_until(sent + together).await;
            // What is not news within a beat is a beat.
            let _ = timeout_at(sent + BEAT, self.looker.changed.changed()).await;
        }
        let first = self.seen.sent.replace(Instant::now()).is_none();
        let holder = self.sessions.holder(&self.session, Timestamp::now());
        let Some(holder) = holder.filter(|token| token.role.covers(Role::Viewer)) else {
            self.seen.over = true;
            return Some(Event::default().event("over").data("{}"));
        };
        let now_ms = Timestamp::now().as_millisecond();
        self.looker.changed.borrow_and_update();
        let (version, news, live) = {
            let board = self.live.board();
            let news = board.news(self.seen.version, holder.role.identifies());
            (board.version(), news, board.live())
        };
        let state = State {
            not_ready: self.health.not_ready_because().map(Into::into),
            policy: self.health.policy(),
            version: env!("CARGO_PKG_VERSION"),
            live,
            role: holder.role.as_str(),
        };
        let known = self.seen.state.as_ref() == Some(&state) && self.seen.version == version;
        if known && !first {
            return Some(Event::default().event("beat").data(format!("{{\"now_ms\":{now_ms}}}")));
        }
        let told = Told { now_ms, state: &state, news };
        let id = format!("{:016x}-{version}", self.live.epoch());
        let event = Event::default().event("news").id(id).json_data(told);
        let event = event.expect("strings, numbers and enums always serialise");
        (self.seen.version, self.seen.state) = (version, Some(state));
        Some(if first { event.retry(RETRY) } else { event })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_counts_only_in_the_same_life_of_the_appliance() {
        let version = |id| Seen::from_id(id, 0xab).version;
        assert_eq!(version(Some("00000000000000ab-17")), 17);
        for other in [None, Some(""), Some("00000000000000ac-17"), Some("00000000000000ab-x")] {
            assert_eq!(version(other), 0, "{other:?}");
        }
    }
}
