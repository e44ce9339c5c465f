//! Offer and answer of one who only listens (RFC 3264, RFC 8866).
//!
//! `sdp-types` 0.3 reads nearly everything and judges nothing; the judgement is here.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

use sdp_types::{Attribute, Connection, Media, MediaType, Session, Time, TransportProto};

/// Packet times that we echo, in milliseconds. Shorter ones are typing errors and longer ones would
/// overflow what peers expect of a datagram; without an echo the sender keeps its own.
const PTIMES: RangeInclusive<u16> = 10..=120;
/// Number of telephone-event in our own offers, by custom.
const TELEPHONE_EVENT: u8 = 101;

/// How a payload is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// G.711 mu-law, 8 kHz mono; number 0 needs no rtpmap (RFC 3551 §6).
    Pcmu,
    /// G.711 A-law, 8 kHz mono; number 8 needs no rtpmap.
    Pcma,
    /// Opus, RTP clock 48 kHz (RFC 7587).
    Opus,
}

/// Who sends, as seen from the side that says it (RFC 3264 §5.1).
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

/// Where we listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// Address for RTP, as peers reach it.
    pub rtp: SocketAddr,
    /// Port for RTCP at the same address, where it is not multiplexed.
    pub rtcp_port: u16,
}

/// The `o=` line of one session: its version rises by one with each description that differs from
/// the one before (RFC 3264 §8).
#[derive(Clone, Debug)]
pub struct Origin {
    id: u64,
    version: u64,
    last: Option<Session>,
}

/// What the two sides settled on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// Payload types that may come, in the offer's order.
    pub payload_types: Vec<(u8, Codec)>,
    /// Payload type of telephone-event (RFC 4733), if both know it.
    pub telephone_event: Option<u8>,
    /// Where their RTP is; the address is unspecified where they did not say, or are on hold in the
    /// old way, and the port is 0 where the stream is switched off.
    pub rtp: SocketAddr,
    /// Where their RTCP is, like `rtp`.
    pub rtcp: SocketAddr,
    /// Whether RTCP comes on the port of RTP (RFC 5761).
    pub rtcp_mux: bool,
    /// As seen from us: [`Direction::RecvOnly`] is a listener with something to hear.
    pub direction: Direction,
    /// Length of a packet in milliseconds, where said and sane.
    pub ptime: Option<u16>,
    /// The stream's label (RFC 4574), by which SIPREC metadata names it.
    pub label: Option<String>,
}

/// Their offer, or their answer to ours: well-formed, not yet judged for us.
#[derive(Clone, Debug)]
pub struct Offer {
    session: Session,
    streams: Vec<Stream>,
}

/// One media stream as its side describes it, whether or not we could take part in it: for those who
/// look on.
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

/// Why there is no session to be had from a well-formed description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// No audio stream over plain RTP.
    #[error("no audio stream over RTP/AVP")]
    NoAudio,
    /// Every audio stream wants SRTP or DTLS.
    #[error("only encrypted audio is offered")]
    Encrypted,
    /// Audio over RTP, but in no codec of ours.
    #[error("no codec in common")]
    NoCodec,
}

/// One audio stream over plain RTP.
#[derive(Clone, Debug)]
struct Stream {
    /// Which m-line.
    index: usize,
    /// Number, name and clock rate, and channels.
    formats: Vec<(u8, Format)>,
    rtp: SocketAddr,
    rtcp: SocketAddr,
    rtcp_mux: bool,
    on_hold: bool,
    direction: Direction,
    ptime: Option<u16>,
    label: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Audio(Codec),
    TelephoneEvent { clock: u32 },
    Unknown,
}

impl Offer {
    /// Reads a description. Streams that are not plain RTP audio are only looked at for their m-line.
    pub fn parse(text: &str) -> Result<Self, OfferError> {
        let session = Session::parse(text.as_bytes()).map_err(|_| OfferError::Syntax)?;
        if session.medias.is_empty() {
            return Err(OfferError::NoMedia);
        }
        let mut streams = Vec::new();
        for (index, media) in session.medias.iter().enumerate() {
            if is_audio(media) && is_plain_rtp(media) {
                streams.extend(Stream::read(index, media, &session)?);
            }
        }
        Ok(Self { session, streams })
    }

    /// Every media stream in it that is switched on, encrypted and unknown ones too.
    pub fn described(&self) -> Vec<Described> {
        let address = |media: &Media| {
            let connection = media.connections.first().or(self.session.connection.as_ref());
            let ip = connection.and_then(|connection| connection.try_address().ok());
            let ip = ip.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip);
            SocketAddr::new(ip, media.port)
        };
        let encoding = |map: &str| {
            let (number, encoding) = map.trim().split_once(char::is_whitespace)?;
            Some((number.parse().ok()?, encoding.trim().to_owned()))
        };
        let on = self.session.medias.iter().filter(|media| media.port != 0);
        on.map(|media| Described {
            media: media.media.to_ascii_lowercase(),
            proto: media.proto.clone(),
            address: address(media),
            encodings: media
                .get_attribute_values("rtpmap")
                .flatten()
                .filter_map(encoding)
                .collect(),
            ptime: value(media, "ptime").and_then(|ptime| ptime.trim().parse().ok()),
        })
        .collect()
    }

    /// Answers with one stream, the first that we understand, and every other m-line refused in its
    /// place. `codecs` is what we can decode; the order of the offer stands.
    pub fn answer(
        &self,
        local: Local,
        codecs: &[Codec],
        origin: &mut Origin,
    ) -> Result<(String, Negotiated), AnswerError> {
        let (stream, mut negotiated) = self.choose(codecs)?;
        // Whoever only listens sends nothing, and hears nothing from one who does not send.
        negotiated.direction = match (stream.direction, stream.on_hold) {
            (Direction::SendRecv | Direction::SendOnly, false) => Direction::RecvOnly,
            (_, true) | (Direction::RecvOnly | Direction::Inactive, false) => Direction::Inactive,
        };
        let mut session = bare_session(local.rtp.ip());
        session.times.clone_from(&self.session.times);
        for (index, offered) in self.session.medias.iter().enumerate() {
            session.medias.push(if index == stream.index {
                accepted(offered, local, &negotiated, stream.rtp.port() == 0)
            } else {
                refused(offered)
            });
        }
        Ok((origin.sign(session), negotiated))
    }

    /// Reads this description as the answer to our [`offer`] of `codecs` with `direction`.
    pub fn read_answer(
        &self,
        codecs: &[Codec],
        direction: Direction,
    ) -> Result<Negotiated, AnswerError> {
        let (stream, mut negotiated) = self.choose(codecs)?;
        if stream.rtp.port() == 0 {
            return Err(AnswerError::NoAudio);
        }
        let sends = |direction| matches!(direction, Direction::SendRecv | Direction::SendOnly);
        let hears = |direction| matches!(direction, Direction::SendRecv | Direction::RecvOnly);
        let we_send = sends(direction) && hears(stream.direction) && !stream.on_hold;
        let we_hear = hears(direction) && sends(stream.direction) && !stream.on_hold;
        negotiated.direction = match (we_send, we_hear) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        };
        Ok(negotiated)
    }

    /// The first stream with a codec of ours; one that is switched off (port 0) only if no other is.
    fn choose(&self, codecs: &[Codec]) -> Result<(&Stream, Negotiated), AnswerError> {
        let ours = |stream: &&Stream| stream.codecs(codecs).next().is_some();
        let live = self.streams.iter().filter(|stream| stream.rtp.port() != 0).find(ours);
        let Some(stream) = live.or_else(|| self.streams.iter().find(ours)) else {
            let encrypted = self.session.medias.iter().any(|m| is_audio(m) && is_encrypted(m));
            return Err(match (self.streams.is_empty(), encrypted) {
                (false, _) => AnswerError::NoCodec,
                (true, true) => AnswerError::Encrypted,
                (true, false) => AnswerError::NoAudio,
            });
        };
        let payload_types: Vec<_> = stream.codecs(codecs).collect();
        let negotiated = Negotiated {
            telephone_event: stream.telephone_event(&payload_types),
            payload_types,
            rtp: stream.rtp,
            rtcp: stream.rtcp,
            rtcp_mux: stream.rtcp_mux,
            direction: Direction::Inactive,
            ptime: stream.ptime,
            label: stream.label.clone(),
        };
        Ok((stream, negotiated))
    }
}

/// Our own offer of one audio stream: `codecs` in our order, and telephone-event.
pub fn offer(local: Local, codecs: &[Codec], direction: Direction, origin: &mut Origin) -> String {
    let negotiated = Negotiated {
        payload_types: codecs.iter().map(|codec| (codec.usual_payload_type(), *codec)).collect(),
        telephone_event: Some(TELEPHONE_EVENT),
        rtp: local.rtp,
        rtcp: local.rtp,
        rtcp_mux: false,
        direction,
        ptime: Some(20),
        label: None,
    };
    let template = Media::new(MediaType::Audio, 0, TransportProto::RtpAvp, "");
    let mut session = bare_session(local.rtp.ip());
    session.times.push(Time::new(0, 0));
    session.medias.push(accepted(&template, local, &negotiated, false));
    origin.sign(session)
}

impl Described {
    /// Whether it is SRTP (RFC 3711), keyed by SDES or DTLS.
    pub fn is_encrypted(&self) -> bool {
        self.proto.to_ascii_uppercase().contains("RTP/SAVP")
    }

    /// Whether it is RTP at all.
    pub fn is_rtp(&self) -> bool {
        self.proto.to_ascii_uppercase().contains("RTP/")
    }
}

impl Origin {
    /// A session of its own. `id` has to be unique on this host (RFC 8866 §5.2).
    pub fn new(id: u64) -> Self {
        Self { id, version: 0, last: None }
    }

    fn sign(&mut self, mut session: Session) -> String {
        if self.last.as_ref() != Some(&session) {
            self.version += 1;
            self.last = Some(session.clone());
        }
        session.origin.sess_id = self.id.to_string();
        session.origin.sess_version = self.version;
        let mut bytes = Vec::new();
        session.write(&mut bytes).expect("a Vec takes every byte");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Codec {
    /// Static number, or ours by custom.
    fn usual_payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
            Self::Opus => 96,
        }
    }

    fn encoding(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU/8000",
            Self::Pcma => "PCMA/8000",
            Self::Opus => "opus/48000/2",
        }
    }

    fn clock(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8_000,
            Self::Opus => 48_000,
        }
    }
}

impl Direction {
    fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    fn among(attributes: &[Attribute]) -> Option<Self> {
        let all = [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive];
        attributes.iter().find_map(|a| all.into_iter().find(|d| d.as_str() == a.attribute))
    }
}

impl Stream {
    /// `None` for multicast, which is nothing to answer.
    fn read(index: usize, media: &Media, session: &Session) -> Result<Option<Self>, OfferError> {
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
            formats.push((number, format_of(number, media)));
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
        let ptime = value(media, "ptime").and_then(|ptime| ptime.trim().parse().ok());
        Ok(Some(Self {
            index,
            formats,
            rtp,
            rtcp,
            rtcp_mux,
            // RFC 2543 hold, seen to this day, is the address 0.0.0.0.
            on_hold: media.port == 0 || (connection.is_some() && ip.is_unspecified()),
            direction,
            ptime: ptime.filter(|ptime| PTIMES.contains(ptime)),
            label: value(media, "label").map(str::to_owned),
        }))
    }

    fn codecs(&self, ours: &[Codec]) -> impl Iterator<Item = (u8, Codec)> {
        self.formats.iter().filter_map(|(number, format)| match format {
            Format::Audio(codec) if ours.contains(codec) => Some((*number, *codec)),
            Format::Audio(_) | Format::TelephoneEvent { .. } | Format::Unknown => None,
        })
    }

    /// Events share the clock of the audio (RFC 4733 §2.5.1.2), so the one that fits the first codec
    /// is meant. Asterisk offers one for 8 kHz and one for Opus.
    fn telephone_event(&self, payload_types: &[(u8, Codec)]) -> Option<u8> {
        let clock = payload_types.first()?.1.clock();
        let fitting = Format::TelephoneEvent { clock };
        self.formats.iter().find(|(_, format)| *format == fitting).map(|(number, _)| *number)
    }
}

fn is_audio(media: &Media) -> bool {
    media.media.eq_ignore_ascii_case("audio")
}

fn is_plain_rtp(media: &Media) -> bool {
    ["RTP/AVP", "RTP/AVPF"].iter().any(|proto| media.proto.eq_ignore_ascii_case(proto))
}

fn is_encrypted(media: &Media) -> bool {
    media.proto.to_ascii_uppercase().contains("RTP/SAVP")
}

fn value<'a>(media: &'a Media, name: &'a str) -> Option<&'a str> {
    media.get_first_attribute_value(name).flatten()
}

/// `port` or `port IN IP4 address` (RFC 3605 §2.1).
fn read_rtcp(text: &str, ip: IpAddr) -> Result<SocketAddr, OfferError> {
    let mut words = text.split_ascii_whitespace();
    let port = words.next().and_then(|port| port.parse().ok()).ok_or(OfferError::Rtcp)?;
    let ip = match words.nth(2) {
        Some(address) => address.parse().map_err(|_| OfferError::Rtcp)?,
        None => ip,
    };
    Ok(SocketAddr::new(ip, port))
}

fn format_of(number: u8, media: &Media) -> Format {
    let mapped = media.get_attribute_values("rtpmap").flatten().find_map(|map| {
        let (mapped, encoding) = map.trim().split_once(char::is_whitespace)?;
        (mapped.parse() == Ok(number)).then(|| encoding.trim().to_ascii_lowercase())
    });
    match (mapped.as_deref(), number) {
        (Some("pcmu/8000" | "pcmu/8000/1"), _) | (None, 0) => Format::Audio(Codec::Pcmu),
        (Some("pcma/8000" | "pcma/8000/1"), _) | (None, 8) => Format::Audio(Codec::Pcma),
        (Some("opus/48000/2"), _) => Format::Audio(Codec::Opus),
        (Some(encoding), _) => match encoding.strip_prefix("telephone-event/") {
            Some(clock) => clock
                .split('/')
                .next()
                .and_then(|clock| clock.parse().ok())
                .map_or(Format::Unknown, |clock| Format::TelephoneEvent { clock }),
            None => Format::Unknown,
        },
        (None, _) => Format::Unknown,
    }
}

fn bare_session(ip: IpAddr) -> Session {
    let mut origin = sdp_types::Origin::with_ip_addr("0", 0, ip);
    origin.set_username("sidetone");
    let mut session = Session::new(origin, "-");
    session.set_connection(Connection::from_ip_addr(ip));
    session
}

/// `offered` in our words. A stream that is switched off stays so (RFC 3264 §6).
fn accepted(offered: &Media, local: Local, settled: &Negotiated, off: bool) -> Media {
    let numbers = settled.payload_types.iter().map(|(number, _)| *number);
    let numbers: Vec<_> = numbers.chain(settled.telephone_event).map(|n| n.to_string()).collect();
    let mut media = Media { fmt: numbers.join(" "), ..refused(offered) };
    media.port = if off { 0 } else { local.rtp.port() };
    for (number, codec) in &settled.payload_types {
        media.add_attribute_with_value("rtpmap", format!("{number} {}", codec.encoding()));
    }
    if let Some(number) = settled.telephone_event {
        let clock = settled.payload_types.first().map_or(8_000, |(_, codec)| codec.clock());
        media.add_attribute_with_value("rtpmap", format!("{number} telephone-event/{clock}"));
        media.add_attribute_with_value("fmtp", format!("{number} 0-15"));
    }
    if let Some(ptime) = settled.ptime {
        media.add_attribute_with_value("ptime", ptime);
    }
    media.add_attribute_from_str(settled.direction.as_str());
    if settled.rtcp_mux {
        media.add_attribute_from_str("rtcp-mux");
    } else if !off && local.rtp.port().checked_add(1) != Some(local.rtcp_port) {
        media.add_attribute_with_value("rtcp", local.rtcp_port);
    }
    if let Some(label) = &settled.label {
        media.add_attribute_with_value("label", label);
    }
    media
}

fn refused(offered: &Media) -> Media {
    Media {
        media: offered.media.clone(),
        port: 0,
        num_ports: None,
        proto: offered.proto.clone(),
        fmt: offered.fmt.clone(),
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Codec; 3] = [Codec::Opus, Codec::Pcma, Codec::Pcmu];
    /// What Asterisk 22 was seen to offer.
    const ASTERISK: &str = "m=audio 12000 RTP/AVP 0 8 9 107 101 102\r\na=rtpmap:0 PCMU/8000\r\n\
        a=rtpmap:8 PCMA/8000\r\na=rtpmap:9 G722/8000\r\na=rtpmap:107 opus/48000/2\r\n\
        a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=rtpmap:102 telephone-event/48000\r\n\
        a=ptime:20\r\na=maxptime:60\r\na=sendrecv\r\n";

    fn described(media: &str) -> String {
        format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=x\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n{media}")
    }

    fn local() -> Local {
        Local { rtp: "192.0.2.7:40000".parse().expect("an address"), rtcp_port: 40001 }
    }

    fn answer(media: &str, codecs: &[Codec]) -> Result<(String, Negotiated), AnswerError> {
        let offer = Offer::parse(&described(media)).expect("a well-formed offer");
        offer.answer(local(), codecs, &mut Origin::new(5))
    }

    fn settled(media: &str) -> Negotiated {
        answer(media, &ALL).expect("an answer").1
    }

    #[test]
    fn only_what_was_offered_is_answered_in_the_offers_order() {
        let (text, negotiated) = answer(ASTERISK, &ALL).expect("an answer");
        let offered = [(0, Codec::Pcmu), (8, Codec::Pcma), (107, Codec::Opus)];
        assert_eq!(negotiated.payload_types, offered);
        assert_eq!(
            text,
            "v=0\r\no=sidetone 5 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n\
             m=audio 40000 RTP/AVP 0 8 107 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
             a=rtpmap:107 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
             a=ptime:20\r\na=recvonly\r\n"
        );
        let (text, _) = answer("m=audio 1 RTP/AVP 0 101\r\n", &ALL).expect("an answer");
        assert!(text.contains("m=audio 40000 RTP/AVP 0\r\n"), "101 has no rtpmap: {text}");
    }

    #[test]
    fn directions_are_those_of_a_listener() {
        let direction = |line: &str| settled(&ASTERISK.replace("a=sendrecv", line)).direction;
        assert_eq!(direction("a=sendonly"), Direction::RecvOnly);
        assert_eq!(direction("a=x"), Direction::RecvOnly);
        assert_eq!(direction("a=recvonly"), Direction::Inactive);
        assert_eq!(direction("a=inactive"), Direction::Inactive);
        let old_hold = format!("{ASTERISK}c=IN IP4 0.0.0.0\r\n").replace("a=sendrecv\r\n", "");
        let old_hold = described(&old_hold).replacen("c=IN IP4 192.0.2.1", "c=IN IP4 0.0.0.0", 1);
        let offer = Offer::parse(&old_hold).expect("a hold");
        let (_, held) = offer.answer(local(), &ALL, &mut Origin::new(1)).expect("an answer");
        assert_eq!(held.direction, Direction::Inactive);
    }

    #[test]
    fn a_stream_switched_off_stays_off() {
        let (text, negotiated) = answer("m=audio 0 RTP/AVP 0\r\n", &ALL).expect("an answer");
        assert!(text.contains("m=audio 0 RTP/AVP 0\r\n"), "{text}");
        assert_eq!((negotiated.direction, negotiated.rtcp.port()), (Direction::Inactive, 0));
    }
}
