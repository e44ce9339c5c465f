//! What rules are judged by: facts of one conversation, as they are told live and kept for later.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::policy::rule::Party;

/// Version of a kept event; a kind may be added without raising it, none changed.
pub const EVENT_VERSION: u32 = 1;

/// One event of one conversation: a line of JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`EVENT_VERSION`].
    pub version: u32,
    /// The conversation (`X-Sidetone-Conversation`, else the Call-ID).
    pub conversation: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Something that happened. Times are conversation time: since the first leg's first audio, in whole
/// milliseconds when kept.
///
/// A phrase may come late, but not after an [`Event::Analysed`] of its leg beyond its end, nor a gap after
/// one beyond its beginning; all else is known when it happens, before any leg is analysed that far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The conversation began; its first event.
    Started {
        /// Which moment its time counts from.
        started: jiff::Timestamp,
    },
    /// A leg's audio began.
    Joined {
        /// Its number in the conversation.
        leg: u32,
        /// Whose leg it is.
        party: Party,
        /// The queue that its call came through (`X-Sidetone-Queue`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        queue: Option<String>,
        /// When.
        #[serde(rename = "at_ms", with = "millis")]
        at: Duration,
    },
    /// Somebody answered the caller.
    Answered {
        /// When.
        #[serde(rename = "at_ms", with = "millis")]
        at: Duration,
    },
    /// A watched phrase was said.
    Phrase {
        /// On which leg.
        leg: u32,
        /// Its id in the policy.
        phrase: String,
        /// First sound.
        #[serde(rename = "from_ms", with = "millis")]
        from: Duration,
        /// Last sound.
        #[serde(rename = "to_ms", with = "millis")]
        to: Duration,
    },
    /// The party began or ceased to talk.
    Talk {
        /// On which leg.
        leg: u32,
        /// Whether it talks now.
        talking: bool,
        /// Since when.
        #[serde(rename = "at_ms", with = "millis")]
        at: Duration,
    },
    /// Speech that no model has worked on.
    Gap {
        /// On which leg.
        leg: u32,
        /// Where it begins.
        #[serde(rename = "from_ms", with = "millis")]
        from: Duration,
        /// Where it ends.
        #[serde(rename = "to_ms", with = "millis")]
        to: Duration,
    },
    /// Every phrase of the leg that ends by then, and every gap that begins before, has been told.
    Analysed {
        /// Which leg.
        leg: u32,
        /// By when.
        #[serde(rename = "until_ms", with = "millis")]
        until: Duration,
    },
    /// The leg is put on hold, or paused so that nothing of it is heard; or it goes on.
    Suspended {
        /// Which leg.
        leg: u32,
        /// Why.
        why: Suspension,
        /// Whether it begins.
        begins: bool,
        /// When.
        #[serde(rename = "at_ms", with = "millis")]
        at: Duration,
    },
    /// The leg's audio is over; what is not analysed may still be.
    Left {
        /// Which leg.
        leg: u32,
        /// When.
        #[serde(rename = "at_ms", with = "millis")]
        at: Duration,
    },
    /// The conversation is over, and nothing more will be analysed.
    Over {
        /// When.
        #[serde(rename = "at_ms", with = "millis")]
        at: Duration,
    },
}

impl Event {
    /// Where it belongs among all events of the conversation, so that each is told in time.
    fn place(&self) -> (Duration, bool) {
        match self {
            Self::Started { .. } => (Duration::ZERO, false),
            Self::Joined { at, .. }
            | Self::Answered { at }
            | Self::Talk { at, .. }
            | Self::Suspended { at, .. } => (*at, false),
            Self::Gap { from, .. } => (*from, false),
            Self::Phrase { to, .. } => (*to, false),
            Self::Analysed { until, .. } => (*until, true),
            Self::Left { at, .. } => (*at, true),
            Self::Over { .. } => (Duration::MAX, true),
        }
    }
}

/// Puts a conversation's events in an order in which they can be judged, whatever leg was kept first.
pub fn in_order(events: &mut [Event]) {
    events.sort_by_key(Event::place);
}

/// Why time does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suspension {
    /// The party is on hold.
    Hold,
    /// Nothing of the leg is listened to.
    Pause,
}

/// A duration in whole milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

/// Why a kept line is no event.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not JSON, or not of the form that [`Record`] has.
    #[error("an event was wanted: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Kept by another version.
    #[error("an event of version {EVENT_VERSION} was wanted, found version {0}")]
    Version(u32),
}

impl Record {
    /// Reads a line.
    pub fn parse(line: &str) -> Result<Self, RecordError> {
        let record: Self = serde_json::from_str(line)?;
        if record.version != EVENT_VERSION {
            return Err(RecordError::Version(record.version));
        }
        Ok(record)
    }

    /// The line, without its end.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings, numbers and enums always serialise")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line_and_comes_back() {
        let event = Event::Phrase {
            leg: 1,
            phrase: "risk".to_owned(),
            from: Duration::from_millis(1_200),
            to: Duration::from_millis(2_100),
        };
        let record = Record { version: EVENT_VERSION, conversation: "k7".to_owned(), event };
        let line = record.to_json();
        let wanted = r#"{"version":1,"conversation":"k7","event":"phrase","leg":1,"phrase":"risk","from_ms":1200,"to_ms":2100}"#;
        assert_eq!(line, wanted);
        assert_eq!(Record::parse(&line).expect("its own line"), record);
    }

    #[test]
    fn another_version_is_refused_by_its_number() {
        let line = r#"{"version":2,"conversation":"k","event":"over","at_ms":1}"#;
        let error = Record::parse(line).expect_err("version 2").to_string();
        assert_eq!(error, "an event of version 1 was wanted, found version 2");
        assert!(Record::parse("{}").is_err());
    }
}
