//! How urgent a thread is to the system.

use std::fmt;

use serde::Deserialize;

/// How urgent a thread is (sched(7)), written `normal`, `nice:-5` or `realtime:10`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Priority {
    /// As every other.
    #[default]
    Normal,
    /// More or less than others: -20 is the most, 19 the least.
    Nice(i8),
    /// Before every thread that is not: 1 is the least, 99 the most.
    Realtime(u8),
}

impl Priority {
    /// The word for its kind, in labels.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Nice(_) => "nice",
            Self::Realtime(_) => "realtime",
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("normal"),
            Self::Nice(nice) => write!(f, "nice:{nice}"),
            Self::Realtime(level) => write!(f, "realtime:{level}"),
        }
    }
}

impl TryFrom<String> for Priority {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let priority = match text.split_once(':') {
            None if text == "normal" => Some(Self::Normal),
            Some(("nice", nice)) => {
                nice.parse().ok().filter(|nice| (-20..=19).contains(nice)).map(Self::Nice)
            }
            Some(("realtime", level)) => {
                level.parse().ok().filter(|level| (1..=99).contains(level)).map(Self::Realtime)
            }
            None | Some(_) => None,
        };
        priority.ok_or_else(|| {
            format!("a priority is normal, nice:-20 to nice:19 or realtime:1 to realtime:99, found {text:?}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read_and_nothing_else_is() {
        for text in ["normal", "nice:-20", "nice:19", "realtime:1", "realtime:99"] {
            let read = Priority::try_from(text.to_owned());
            assert_eq!(read.map(|priority| priority.to_string()).as_deref(), Ok(text));
        }
        for text in [
            "",
            "Normal",
            "nice",
            "nice:-21",
            "nice:20",
            "realtime:0",
            "realtime:100",
            "normal:1",
            "nice: 1",
        ] {
            let said = Priority::try_from(text.to_owned()).expect_err(text);
            assert!(said.ends_with(&format!("found {text:?}")), "{said}");
        }
    }
}
