//! What one side says of its media streams, for those who look on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use sdp_types::{Media, Session};

use crate::sdp::stream::value;

/// One media stream as its side describes it, whether or not we could take part in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// `audio`, `video`, `image`.
    pub media: String,
    /// `RTP/AVP`, `udptl`.
    pub proto: String,
    /// Where that side receives it; the address is unspecified where it was not said.
    pub address: SocketAddr,
    /// Number and encoding (`opus/48000/2`) of the formats that an rtpmap names, as written.
    pub encodings: Vec<(u8, String)>,
    /// Length of a packet in milliseconds, as written.
    pub ptime: Option<u16>,
}

impl Described {
    /// Every media stream of `session` that is switched on, encrypted and unknown ones too.
    pub(super) fn all(session: &Session) -> Vec<Self> {
        let on = session.medias.iter().filter(|media| media.port != 0);
        on.map(|media| Self::read(session, media)).collect()
    }

    fn read(session: &Session, media: &Media) -> Self {
        let connection = media.connections.first().or(session.connection.as_ref());
        let ip = connection.and_then(|connection| connection.try_address().ok());
        let ip = ip.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip);
        let encoding = |map: &str| {
            let (number, encoding) = map.trim().split_once(char::is_whitespace)?;
            Some((number.parse().ok()?, encoding.trim().to_owned()))
        };
        Self {
            media: media.media.to_ascii_lowercase(),
            proto: media.proto.clone(),
            address: SocketAddr::new(ip, media.port),
            encodings: media
                .get_attribute_values("rtpmap")
                .flatten()
                .filter_map(encoding)
                .collect(),
            ptime: value(media, "ptime").and_then(|ptime| ptime.trim().parse().ok()),
        }
    }

    /// Whether it is SRTP (RFC 3711), keyed by SDES or DTLS.
    pub fn is_encrypted(&self) -> bool {
        self.proto.to_ascii_uppercase().contains("RTP/SAVP")
    }

    /// Whether it is RTP at all.
    pub fn is_rtp(&self) -> bool {
        self.proto.to_ascii_uppercase().contains("RTP/")
    }
}
