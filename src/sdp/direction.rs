//! Who sends (RFC 3264 §5.1).

use sdp_types::Attribute;

/// Who sends, as seen from the side that says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Both ways.
    SendRecv,
    /// From the speaker only.
    SendOnly,
    /// To the speaker only.
    RecvOnly,
    /// Neither way: on hold.
    Inactive,
}

impl Direction {
    /// The direction in which who says it sends, hears, both or neither.
    pub fn of(sends: bool, hears: bool) -> Self {
        match (sends, hears) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// Whether who says it sends.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether who says it hears.
    pub fn hears(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    pub(super) fn among(attributes: &[Attribute]) -> Option<Self> {
        let all = [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive];
        attributes.iter().find_map(|a| all.into_iter().find(|d| d.as_str() == a.attribute))
    }
}
