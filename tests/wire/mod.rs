//! Captures made by hand, octet for octet: frames of every link, and pcap files of them.
#![allow(dead_code, reason = "every test takes what it needs of this")]

use std::net::{IpAddr, SocketAddr};

use sidetone::rtp::packet::Packet;

/// Link-layer types (the registry of the pcap format).
pub(crate) const ETHERNET: u32 = 1;
pub(crate) const RAW: u32 = 101;
pub(crate) const SLL: u32 = 113;
pub(crate) const SLL2: u32 = 276;

/// Protocols over IP.
pub(crate) const UDP: u8 = 17;
pub(crate) const TCP: u8 = 6;

/// A pcap of microseconds: frames of one link, each with its time in milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Capture {
    pub(crate) bytes: Vec<u8>,
}

impl Capture {
    pub(crate) fn new(link: u32) -> Self {
        let words = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, link];
        Self { bytes: words.map(u32::to_le_bytes).concat() }
    }

    pub(crate) fn push(&mut self, at_ms: u32, frame: &[u8]) {
        let length = frame.len() as u32;
        let seconds = 1_700_000_000 + at_ms / 1_000;
        let words = [seconds, at_ms % 1_000 * 1_000, length, length];
        self.bytes.extend(words.map(u32::to_le_bytes).concat());
        self.bytes.extend(frame);
    }
}

/// An address of the network of examples.
pub(crate) fn v4(host: u8, port: u16) -> SocketAddr {
    ([192, 0, 2, host], port).into()
}

/// The same of IPv6.
pub(crate) fn v6(host: u16, port: u16) -> SocketAddr {
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, host], port).into()
}

/// A UDP datagram, without its checksum.
pub(crate) fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let length = 8 + payload.len() as u16;
    [&[from, to, length, 0].map(u16::to_be_bytes).concat()[..], payload].concat()
}

/// A TCP segment, without its checksum.
pub(crate) fn tcp(from: u16, to: u16, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let ports = [from, to].map(u16::to_be_bytes).concat();
    let rest = [0x50, flags, 0xff, 0xff, 0, 0, 0, 0];
    [&ports[..], &sequence.to_be_bytes(), &[0; 4], &rest, payload].concat()
}

/// An IP packet, or the fragment of one: `fragment` is its number, offset in octets and whether more
/// come. Version 6 has a hop-by-hop header before all else.
pub(crate) fn ip(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    fragment: Option<(u16, u16, bool)>,
    payload: &[u8],
) -> Vec<u8> {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let (number, offset, more) = fragment.unwrap_or_default();
            let place = (offset / 8) | (u16::from(more) << 13);
            let words = [0x4500, 20 + payload.len() as u16, number, place];
            let words = words.map(u16::to_be_bytes).concat();
            let rest = [64, protocol, 0, 0];
            [&words[..], &rest, &source.octets(), &destination.octets(), payload].concat()
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let follows = if fragment.is_some() { 44 } else { protocol };
            let mut extensions = vec![follows, 0, 1, 4, 0, 0, 0, 0];
            if let Some((number, offset, more)) = fragment {
                let [high, low] = (offset | u16::from(more)).to_be_bytes();
                extensions.extend([protocol, 0, high, low, 0, 0]);
                extensions.extend(number.to_be_bytes());
            }
            let length = (extensions.len() + payload.len()) as u16;
            let head = [&[0x60, 0, 0, 0][..], &length.to_be_bytes(), &[0, 64]].concat();
            [&head[..], &source.octets(), &destination.octets(), &extensions, payload].concat()
        }
        _ => unreachable!("both ends are of one version"),
    }
}

/// A whole datagram in IP.
pub(crate) fn datagram(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    ip(from.ip(), to.ip(), UDP, None, &udp(from.port(), to.port(), payload))
}

/// An IP packet in a frame of `link`, behind VLAN tags of the numbers `vlans`, outermost first.
pub(crate) fn frame(link: u32, vlans: &[u16], packet: &[u8]) -> Vec<u8> {
    let kind: u16 = if packet[0] >> 4 == 4 { 0x0800 } else { 0x86dd };
    let mut tags = Vec::new();
    for (place, vlan) in vlans.iter().enumerate() {
        let tag: u16 = if place + 1 < vlans.len() { 0x88a8 } else { 0x8100 };
        tags.extend(tag.to_be_bytes());
        tags.extend(vlan.to_be_bytes());
    }
    let behind = [&kind.to_be_bytes()[..], packet].concat();
    match link {
        ETHERNET => [&[2; 12][..], &tags, &behind].concat(),
        SLL => [&[0, 0, 0, 1, 0, 6, 2, 2, 2, 2, 2, 2, 0, 0][..], &behind].concat(),
        SLL2 => [&kind.to_be_bytes()[..], &[0; 18], packet].concat(),
        RAW => packet.to_vec(),
        _ => unreachable!("no such link in these tests"),
    }
}

/// A packet of RTP.
pub(crate) fn rtp(payload_type: u8, ssrc: u32, n: u16, ticks: u32, payload: &[u8]) -> Vec<u8> {
    let timestamp = u32::from(n) * ticks;
    Packet { payload_type, marker: n == 0, sequence: n, timestamp, ssrc, payload }.write()
}

/// A description of one audio stream.
pub(crate) fn sdp(address: SocketAddr, proto: &str, formats: &str, lines: &str) -> String {
    let (ip, port) = (address.ip(), address.port());
    let version = if ip.is_ipv4() { "IP4" } else { "IP6" };
    format!(
        "v=0\r\no=- 1 1 IN {version} {ip}\r\ns=-\r\nc=IN {version} {ip}\r\nt=0 0\r\n\
        m=audio {port} {proto} {formats}\r\n{lines}"
    )
}

/// A message of the call `call-1`, from `alice` to `bob`.
pub(crate) fn sip(start: &str, to_tag: &str, headers: &str, body: &str) -> String {
    format!(
        "{start}\r\nVia: SIP/2.0/UDP pbx;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
        From: <sip:alice@pbx>;tag=a\r\nTo: <sip:bob@pbx>{to_tag}\r\nCall-ID: call-1\r\n\
        CSeq: 1 INVITE\r\n{headers}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) const INVITE: &str = "INVITE sip:bob@pbx SIP/2.0";
pub(crate) const OK: &str = "SIP/2.0 200 OK";
