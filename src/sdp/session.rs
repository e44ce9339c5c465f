//! Our own descriptions: what we write, and the version of each.

use std::net::{IpAddr, SocketAddr};

use sdp_types::{Connection, Media, MediaType, Session, Time, TransportProto};

use crate::sdp::answer::{Negotiated, Protection};
use crate::sdp::codec::Codec;
use crate::sdp::direction::Direction;

/// Numbers of telephone-event in our own offers, by custom, each with its clock.
const TELEPHONE_EVENTS: [(u8, u32); 3] = [(101, 8_000), (102, 48_000), (103, 16_000)];

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

impl Origin {
    /// A session of its own. `id` has to be unique on this host (RFC 8866 §5.2).
    pub fn new(id: u64) -> Self {
        Self { id, version: 0, last: None }
    }

    pub(super) fn sign(&mut self, mut session: Session) -> String {
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

/// Our own offer of one audio stream: `codecs` in our order, and telephone-event. Comfort noise is
/// not in it: a pause had rather come as what it is.
///
/// `protection` is what [`crate::sdp::offer::Offer::read_answer`] then wants to see taken.
pub fn offer(
    local: Local,
    codecs: &[Codec],
    direction: Direction,
    protection: &Protection,
    origin: &mut Origin,
) -> String {
    let has_clock = |clock: u32| codecs.iter().any(|codec| codec.clock() == clock);
    let events = TELEPHONE_EVENTS.into_iter().filter(|(_, clock)| has_clock(*clock));
    let negotiated = Negotiated {
        payload_types: codecs.iter().map(|codec| (codec.usual_payload_type(), *codec)).collect(),
        telephone_events: events.collect(),
        comfort_noise: Vec::new(),
        rtp: local.rtp,
        rtcp: local.rtp,
        rtcp_mux: false,
        direction,
        ptime: Some(20),
        label: None,
        xr: false,
        protection: protection.clone(),
    };
    let proto = match protection {
        Protection::None => TransportProto::RtpAvp,
        Protection::Sdes { .. } => TransportProto::RtpSavp,
        Protection::Dtls { .. } => TransportProto::UdpTlsRtpSavp,
    };
    let template = Media::new(MediaType::Audio, 0, proto, "");
    let mut session = bare(local.rtp.ip());
    session.times.push(Time::new(0, 0));
    session.medias.push(accepted(&template, local, &negotiated, false));
    origin.sign(session)
}

pub(super) fn bare(ip: IpAddr) -> Session {
    let mut origin = sdp_types::Origin::with_ip_addr("0", 0, ip);
    origin.set_username("sidetone");
    let mut session = Session::new(origin, "-");
    session.set_connection(Connection::from_ip_addr(ip));
    session
}

/// `offered` in our words. A stream that is switched off stays so (RFC 3264 §6).
pub(super) fn accepted(offered: &Media, local: Local, settled: &Negotiated, off: bool) -> Media {
    let audio = settled.payload_types.iter().map(|(number, _)| *number);
    let beside = settled.comfort_noise.iter().chain(&settled.telephone_events);
    let numbers: Vec<_> = audio.chain(beside.map(|(n, _)| *n)).map(|n| n.to_string()).collect();
    let mut media = Media { fmt: numbers.join(" "), ..refused(offered) };
    media.port = if off { 0 } else { local.rtp.port() };
    for (number, codec) in &settled.payload_types {
        media.add_attribute_with_value("rtpmap", format!("{number} {}", codec.encoding()));
        if let Some(parameters) = codec.parameters() {
            media.add_attribute_with_value("fmtp", format!("{number} {parameters}"));
        }
    }
    for (number, clock) in &settled.comfort_noise {
        media.add_attribute_with_value("rtpmap", format!("{number} CN/{clock}"));
    }
    for (number, clock) in &settled.telephone_events {
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
    if settled.xr {
        media.add_attribute_with_value("rtcp-xr", "voip-metrics");
    }
    match &settled.protection {
        Protection::None => {}
        Protection::Sdes { ours, .. } => media.add_attribute_with_value("crypto", ours.write()),
        Protection::Dtls { ours, setup, .. } => {
            media.add_attribute_with_value("fingerprint", ours.write());
            media.add_attribute_with_value("setup", setup.as_str());
        }
    }
    if let Some(label) = &settled.label {
        media.add_attribute_with_value("label", label);
    }
    media
}

pub(super) fn refused(offered: &Media) -> Media {
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
