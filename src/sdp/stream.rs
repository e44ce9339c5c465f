//! One audio stream of a description over RTP, plain or encrypted, as its side describes it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

use sdp_types::{Media, Session};

use crate::sdp::codec::{Codec, Format};
use crate::sdp::crypto::Crypto;
use crate::sdp::direction::Direction;
use crate::sdp::fingerprint::{Fingerprint, Setup};
use crate::sdp::offer::OfferError;

/// Packet times that we echo, in milliseconds. Shorter ones are typing errors and longer ones would
/// overflow what peers expect of a datagram; without an echo the sender keeps its own.
const PTIMES: RangeInclusive<u16> = 10..=120;

/// The port of nobody (RFC 863).
const DISCARD: u16 = 9;

/// The protocol in an m-line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// `RTP/AVP` and `RTP/AVPF`.
    Plain,
    /// `RTP/SAVP` and `RTP/SAVPF` (RFC 3711 §10): encrypted, by keys in SDP or by DTLS.
    Secure,
    /// `UDP/TLS/RTP/SAVP` and `UDP/TLS/RTP/SAVPF` (RFC 5764 §9): encrypted by DTLS.
    DtlsSecure,
}

/// One audio stream over RTP.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// Which m-line.
    pub(super) index: usize,
    pub(super) transport: Transport,
    formats: Vec<(u8, Format)>,
    pub(super) rtp: SocketAddr,
    pub(super) rtcp: SocketAddr,
    pub(super) rtcp_mux: bool,
    pub(super) on_hold: bool,
    pub(super) direction: Direction,
    pub(super) ptime: Option<u16>,
    pub(super) label: Option<String>,
    /// Whether extended reports about the voice are asked for (RFC 3611 §5.1).
    pub(super) xr: bool,
    /// The lines with keys that we could use, in order.
    pub(super) cryptos: Vec<Crypto>,
    /// The first fingerprint with a hash that counts.
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) setup: Option<Setup>,
}

impl Transport {
    /// `None` for what is not RTP.
    pub(super) fn of(media: &Media) -> Option<Self> {
        match media.proto.to_ascii_uppercase().as_str() {
            "RTP/AVP" | "RTP/AVPF" => Some(Self::Plain),
            "RTP/SAVP" | "RTP/SAVPF" => Some(Self::Secure),
            "UDP/TLS/RTP/SAVP" | "UDP/TLS/RTP/SAVPF" => Some(Self::DtlsSecure),
            _ => None,
        }
    }
}

impl Stream {
    /// `None` for what is no audio over RTP, and for multicast, which is nothing to answer.
    pub(super) fn read(
        index: usize,
        media: &Media,
        session: &Session,
    ) -> Result<Option<Self>, OfferError> {
        let Some(transport) = Transport::of(media) else { return Ok(None) };
        if !media.media.eq_ignore_ascii_case("audio") {
            return Ok(None);
        }
        let connection = media.connections.first().or(session.connection.as_ref());
        let ip = match connection {
            Some(connection) => connection.try_address().map_err(|_| OfferError::Connection)?.ip,
            // Connectel's recorder client writes no c= at all, and yet sends: a listener can do
            // without, and learns the source from the first packet.
            None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        // Before anything else: the m-line of a stream that is refused comes back in our answer.
        let mut formats = Vec::new();
        for number in media.fmt.split_ascii_whitespace() {
            let number: u8 = number.parse().map_err(|_| OfferError::PayloadType)?;
            if number > 127 {
                return Err(OfferError::PayloadType);
            }
            formats.push((number, Format::of(number, media)));
        }
        if ip.is_multicast() {
            return Ok(None);
        }
        let rtp = SocketAddr::new(ip, media.port);
        let rtcp_mux = media.has_attribute("rtcp-mux");
        let rtcp = match value(media, "rtcp") {
            _ if rtcp_mux => rtp,
            Some(rtcp) => read_rtcp(rtcp, ip)?,
            // RFC 3550 §11: the next higher port. Above the last there is none, nor is there on hold.
            None => SocketAddr::new(
                ip,
                match media.port {
                    0 => 0,
                    port => port.checked_add(1).unwrap_or(0),
                },
            ),
        };
        let direction = Direction::among(&media.attributes)
            .or_else(|| Direction::among(&session.attributes))
            .unwrap_or(Direction::SendRecv);
        let ms = |name| value(media, name).and_then(|ms| ms.trim().parse::<u16>().ok());
        let longest = ms("maxptime").unwrap_or(u16::MAX);
        let ptime = ms("ptime").filter(|ptime| PTIMES.contains(ptime) && *ptime <= longest);
        let either = |name| value(media, name).or_else(|| first_of_session(session, name));
        let lines = |name| media.get_attribute_values(name).flatten();
        let fingerprints = session.get_attribute_values("fingerprint").flatten();
        Ok(Some(Self {
            index,
            transport,
            formats,
            rtp,
            rtcp,
            rtcp_mux,
            // RFC 2543 hold, seen to this day, is the address 0.0.0.0. With port 9 it is a browser
            // that does not know its address yet (RFC 8840 §4.1.1).
            on_hold: media.port == 0
                || (connection.is_some() && ip.is_unspecified() && media.port != DISCARD),
            direction,
            ptime,
            label: value(media, "label").map(str::to_owned),
            xr: either("rtcp-xr")
                .is_some_and(|kinds| kinds.split_ascii_whitespace().any(|k| k == "voip-metrics")),
            cryptos: lines("crypto").filter_map(|line| Crypto::parse(line).ok()).collect(),
            fingerprint: lines("fingerprint").chain(fingerprints).find_map(Fingerprint::parse),
            setup: match either("setup") {
                // An offer without it would connect to us (RFC 4145 §4).
                None => Some(Setup::Active),
                Some(setup) => Setup::parse(setup),
            },
        }))
    }

    /// The codecs of `ours` in it, in the order of its numbers; one codec may have several.
    pub(super) fn codecs(&self, ours: &[Codec]) -> impl Iterator<Item = (u8, Codec)> {
        self.formats.iter().filter_map(|(number, format)| match format {
            Format::Audio(codec) if ours.contains(codec) => Some((*number, *codec)),
            Format::Audio(_)
            | Format::TelephoneEvent { .. }
            | Format::ComfortNoise { .. }
            | Format::Unknown => None,
        })
    }

    /// Events and their clocks. They share that of the audio beside which they come (RFC 4733
    /// §2.5.1.2), and the audio may change: Asterisk offers one for 8 kHz and one for Opus.
    pub(super) fn telephone_events(&self, codecs: &[(u8, Codec)]) -> Vec<(u8, u32)> {
        self.beside(codecs, |format| match format {
            Format::TelephoneEvent { clock } => Some(clock),
            Format::Audio(_) | Format::ComfortNoise { .. } | Format::Unknown => None,
        })
    }

    /// Comfort noise and its clocks, which are those of the audio too (RFC 3389 §4).
    pub(super) fn comfort_noise(&self, codecs: &[(u8, Codec)]) -> Vec<(u8, u32)> {
        self.beside(codecs, |format| match format {
            Format::ComfortNoise { clock } => Some(clock),
            Format::Audio(_) | Format::TelephoneEvent { .. } | Format::Unknown => None,
        })
    }

    fn beside(
        &self,
        codecs: &[(u8, Codec)],
        clock: impl Fn(Format) -> Option<u32>,
    ) -> Vec<(u8, u32)> {
        let fits = |clock: &u32| codecs.iter().any(|(_, codec)| codec.clock() == *clock);
        let numbers = self.formats.iter().filter_map(|&(number, format)| {
            clock(format).filter(fits).map(|clock| (number, clock))
        });
        numbers.collect()
    }
}

pub(super) fn value<'a>(media: &'a Media, name: &'a str) -> Option<&'a str> {
    media.get_first_attribute_value(name).flatten()
}

fn first_of_session<'a>(session: &'a Session, name: &'a str) -> Option<&'a str> {
    session.get_first_attribute_value(name).flatten()
}

/// `99`, or `99 IN IP4 192.0.2.1` (RFC 3605 §2.1).
fn read_rtcp(rtcp: &str, ip: IpAddr) -> Result<SocketAddr, OfferError> {
    let mut words = rtcp.split_ascii_whitespace();
    let port = words.next().and_then(|port| port.parse().ok()).ok_or(OfferError::Rtcp)?;
    let ip = match words.nth(2) {
        Some(address) => address.parse().map_err(|_| OfferError::Rtcp)?,
        None => ip,
    };
    Ok(SocketAddr::new(ip, port))
}
