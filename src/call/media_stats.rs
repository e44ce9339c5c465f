//! What a media session counts, as plain integers.

/// Counts since the party's audio began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MediaStats {
    /// RTP packets received.
    pub packets: u64,
    /// Packets that were sent and not played.
    pub lost: u64,
    /// Of these, whose audio the next packet repeated.
    pub repaired: u64,
    /// Packets that came after their turn.
    pub late: u64,
    /// Packets that others overtook.
    pub reordered: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Datagrams that are neither RTP nor RTCP.
    pub malformed: u64,
    /// Datagrams from somebody else than the peer.
    pub foreign: u64,
    /// SRTP that was changed, made with another key or in the clear.
    pub unauthentic: u64,
    /// SRTP that came before.
    pub replayed: u64,
    /// Media before there were keys, and RTCP in the clear.
    pub unprotected: u64,
    /// Payloads that did not decode.
    pub undecodable: u64,
    /// Keys pressed.
    pub keys: u64,
    /// Times that no RTP came for [`crate::call::line::ONE_WAY_AFTER`].
    pub one_way: u64,
    /// Audio heard, microseconds.
    pub audio_us: u64,
    /// Net speech in it, microseconds.
    pub speech_us: u64,
    /// Audio made up in place of lost packets, microseconds.
    pub concealed_us: u64,
    /// Windows and segments that no model got to in time, or failed on.
    pub unanalysed: u64,
    /// Windows that were embedded.
    pub windows: u64,
    /// Segments that were searched.
    pub segments: u64,
}
