//! A description of theirs: well-formed, not yet judged for us.

use sdp_types::Session;

use crate::sdp::described::Described;
use crate::sdp::stream::Stream;

/// Their offer, or their answer to ours.
#[derive(Clone, Debug)]
pub struct Offer {
    pub(super) session: Session,
    pub(super) streams: Vec<Stream>,
}

/// What is wrong with a description, by field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// No SDP at all.
    #[error("not a session description (RFC 8866 5)")]
    Syntax,
    /// No `m=` line.
    #[error("no m= line (RFC 8866 5.14)")]
    NoMedia,
    /// The address in `c=` is none. Names are not looked up.
    #[error("no usable address in c= (RFC 8866 5.7)")]
    Connection,
    /// A format of an RTP stream is no payload type.
    #[error("payload type in m= is not 0-127 (RFC 8866 5.14)")]
    PayloadType,
    /// `a=rtcp` holds no port or a broken address.
    #[error("malformed a=rtcp (RFC 3605 2.1)")]
    Rtcp,
}

impl Offer {
    /// Reads a description. Streams that are not audio over RTP are only looked at for their m-line.
    pub fn parse(text: &str) -> Result<Self, OfferError> {
        let session = Session::parse(text.as_bytes()).map_err(|_| OfferError::Syntax)?;
        if session.medias.is_empty() {
            return Err(OfferError::NoMedia);
        }
        let mut streams = Vec::new();
        for (index, media) in session.medias.iter().enumerate() {
            streams.extend(Stream::read(index, media, &session)?);
        }
        Ok(Self { session, streams })
    }

    /// Every media stream in it that is switched on, encrypted and unknown ones too.
    pub fn described(&self) -> Vec<Described> {
        Described::all(&self.session)
    }
}
