//! What may be done about a verdict, as a policy asks for it. Doing it is the notifiers' affair, and of an act on the
//! tap our own.

use serde::Deserialize;

/// One thing to do.
///
/// None but [`Act::Redirect`] and [`Act::HangUpCall`] touches the call of the people who talk, and those only because a
/// policy names them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Set a variable on the party's channel.
    Set {
        /// Its name, as the PBX writes it.
        variable: String,
        /// Its value.
        value: String,
    },
    /// Send the party on: `context,extension,priority` of a dialplan.
    Redirect(String),
    /// Warn the agent with a text.
    Warn(String),
    /// End our own leg of the call, and nothing else.
    HangUpTap,
    /// End the party's call.
    HangUpCall,
}

impl Act {
    /// Whether the people who talk notice it.
    pub fn touches_the_call(&self) -> bool {
        match self {
            Self::Redirect(_) | Self::HangUpCall => true,
            Self::Set { .. } | Self::Warn(_) | Self::HangUpTap => false,
        }
    }

    /// Whether it is done to a channel of the PBX.
    pub fn wants_channel(&self) -> bool {
        match self {
            Self::Set { .. } | Self::Redirect(_) | Self::HangUpCall => true,
            Self::Warn(_) | Self::HangUpTap => false,
        }
    }

    /// The word in the log and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Set { .. } => "set",
            Self::Redirect(_) => "redirect",
            Self::Warn(_) => "warn",
            Self::HangUpTap => "hang_up_tap",
            Self::HangUpCall => "hang_up_call",
        }
    }
}
