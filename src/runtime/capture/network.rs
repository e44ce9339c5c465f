//! From a caught frame to a UDP datagram or a TCP segment. The only file that names `etherparse`.
//!
//! `etherparse` reads headers; its own pool of fragments has no bound, so [`fragments`] does that.
//!
//! [`fragments`]: crate::runtime::capture::fragments

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use etherparse::{
    EtherType, Ipv6ExtensionSlice, LaxIpPayloadSlice, LaxNetSlice, LaxSlicedPacket, TcpSlice,
    UdpSlice, ip_number,
};

use crate::runtime::capture::file::Frame;
use crate::runtime::capture::fragments::{Fragment, FragmentKey, Fragments};

/// Link-layer types (the registry of the pcap format).
const NULL: i32 = 0;
const ETHERNET: i32 = 1;
const RAW_BSD: i32 = 12;
const RAW_OPENBSD: i32 = 14;
const RAW: i32 = 101;
const LOOP: i32 = 108;
const LINUX_SLL: i32 = 113;
const IPV4: i32 = 228;
const IPV6: i32 = 229;
const LINUX_SLL2: i32 = 276;

/// One direction between two ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// Who sends.
    pub source: SocketAddr,
    /// To whom.
    pub destination: SocketAddr,
}

/// What a frame carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// One datagram.
    Udp {
        /// Between whom.
        flow: Flow,
        /// As much of it as was kept.
        payload: Cow<'a, [u8]>,
    },
    /// A part of a stream.
    Tcp {
        /// Between whom.
        flow: Flow,
        /// Number of its first octet.
        sequence: u32,
        /// Whether a stream begins here; the octets then begin one number later.
        begins: bool,
        /// Whether this direction ends.
        ends: bool,
        /// As much of it as was kept.
        payload: Cow<'a, [u8]>,
    },
}

/// Counts of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct NetworkStats {
    /// All.
    pub frames: u64,
    /// Of a link that is not read here.
    pub other_links: u64,
    /// Neither UDP nor TCP over IP.
    pub other_protocols: u64,
    /// Cut off or malformed below UDP and TCP.
    pub malformed: u64,
    /// Fragments of IP packets.
    pub fragments: u64,
    /// Packets put together from them.
    pub reassembled: u64,
    /// Packets of which fragments are missing.
    pub incomplete: u64,
    /// Packets of which the capture kept only the beginning.
    pub cut_short: u64,
}

/// Reads frames, and remembers fragments.
#[derive(Debug, Default)]
pub struct Network {
    fragments: Fragments,
    stats: NetworkStats,
}

impl Flow {
    /// The other direction.
    pub fn reversed(self) -> Self {
        Self { source: self.destination, destination: self.source }
    }
}

impl Network {
    /// What `frame` carries, if it is something that calls are made of.
    pub fn handle_frame<'a>(&mut self, frame: &Frame<'a>) -> Option<Packet<'a>> {
        self.stats.frames += 1;
        let sliced = match self.slice(frame) {
            Some(sliced) => sliced,
            None => {
                self.stats.malformed += 1;
                return None;
            }
        }?;
        let net = match sliced.net {
            Some(net @ (LaxNetSlice::Ipv4(_) | LaxNetSlice::Ipv6(_))) => net,
            Some(LaxNetSlice::Arp(_)) => {
                self.stats.other_protocols += 1;
                return None;
            }
            None => {
                match sliced.stop_err {
                    Some(_) => self.stats.malformed += 1,
                    None => self.stats.other_protocols += 1,
                }
                return None;
            }
        };
        let payload = net.ip_payload_ref()?.clone();
        self.stats.cut_short += u64::from(payload.incomplete);
        let (source, destination) = addresses(&net)?;
        let bytes = if payload.fragmented {
            self.stats.fragments += 1;
            let fragment = fragment(&net, &payload, source, destination);
            let whole = fragment.and_then(|fragment| self.fragments.handle_fragment(&fragment));
            self.stats.reassembled += u64::from(whole.is_some());
            Cow::Owned(whole?)
        } else {
            Cow::Borrowed(payload.payload)
        };
        self.transport(payload.ip_number.0, source, destination, bytes)
    }

    /// The counts so far.
    pub fn stats(&self) -> NetworkStats {
        NetworkStats { incomplete: self.fragments.given_up(), ..self.stats }
    }

    /// `None` for what is malformed, `Some(None)` for a link that is not read here.
    fn slice<'a>(&mut self, frame: &Frame<'a>) -> Option<Option<LaxSlicedPacket<'a>>> {
        let bytes = frame.bytes;
        let sliced = match frame.link {
            ETHERNET => LaxSlicedPacket::from_ethernet(bytes).ok()?,
            LINUX_SLL => cooked(bytes, 14, 16)?,
            LINUX_SLL2 => cooked(bytes, 0, 20)?,
            RAW | RAW_BSD | RAW_OPENBSD | IPV4 | IPV6 => LaxSlicedPacket::from_ip(bytes).ok()?,
            // The family's number depends on the system; the version of IP does not.
            NULL | LOOP => LaxSlicedPacket::from_ip(bytes.get(4..)?).ok()?,
            _ => {
                self.stats.other_links += 1;
                return Some(None);
            }
        };
        Some(Some(sliced))
    }

    fn transport<'a>(
        &mut self,
        protocol: u8,
        source: IpAddr,
        destination: IpAddr,
        bytes: Cow<'a, [u8]>,
    ) -> Option<Packet<'a>> {
        let flow = |from, to| Flow {
            source: SocketAddr::new(source, from),
            destination: SocketAddr::new(destination, to),
        };
        if protocol == ip_number::UDP.0 {
            let udp = UdpSlice::from_slice_lax(&bytes).ok();
            let udp =
                udp.map(|udp| (udp.source_port(), udp.destination_port(), udp.payload().len()));
            let Some((from, to, length)) = udp else {
                self.stats.malformed += 1;
                return None;
            };
            Some(Packet::Udp { flow: flow(from, to), payload: part(bytes, UDP_HEADER, length) })
        } else if protocol == ip_number::TCP.0 {
            let Ok(tcp) = TcpSlice::from_slice(&bytes) else {
                self.stats.malformed += 1;
                return None;
            };
            let (flow, length) =
                (flow(tcp.source_port(), tcp.destination_port()), tcp.payload().len());
            let (sequence, begins) = (tcp.sequence_number(), tcp.syn());
            let ends = tcp.fin() || tcp.rst();
            let header = tcp.header_slice().len();
            let payload = part(bytes, header, length);
            Some(Packet::Tcp { flow, sequence, begins, ends, payload })
        } else {
            self.stats.other_protocols += 1;
            None
        }
    }
}

/// Octets of a UDP header.
const UDP_HEADER: usize = 8;

/// A Linux cooked frame: the protocol's number at `protocol`, its packet from `header` on.
fn cooked(bytes: &[u8], protocol: usize, header: usize) -> Option<LaxSlicedPacket<'_>> {
    let number = u16::from_be_bytes([*bytes.get(protocol)?, *bytes.get(protocol + 1)?]);
    Some(LaxSlicedPacket::from_ether_type(EtherType(number), bytes.get(header..)?))
}

/// `length` octets of `bytes` behind the first `header`.
fn part(bytes: Cow<'_, [u8]>, header: usize, length: usize) -> Cow<'_, [u8]> {
    match bytes {
        Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[header..header + length]),
        Cow::Owned(bytes) => Cow::Owned(bytes[header..header + length].to_vec()),
    }
}

fn addresses(net: &LaxNetSlice<'_>) -> Option<(IpAddr, IpAddr)> {
    match net {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            Some((header.source_addr().into(), header.destination_addr().into()))
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            Some((header.source_addr().into(), header.destination_addr().into()))
        }
        LaxNetSlice::Arp(_) => None,
    }
}

fn fragment<'a>(
    net: &LaxNetSlice<'a>,
    payload: &LaxIpPayloadSlice<'a>,
    source: IpAddr,
    destination: IpAddr,
) -> Option<Fragment<'a>> {
    let (identification, offset, more) = match net {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            let offset = header.fragments_offset().byte_offset();
            (header.identification().into(), offset, header.more_fragments())
        }
        LaxNetSlice::Ipv6(ip) => {
            let header =
                ip.extensions().clone().into_iter().find_map(|extension| match extension {
                    Ipv6ExtensionSlice::Fragment(header) => Some(header),
                    _ => None,
                })?;
            let offset = header.fragment_offset().byte_offset();
            (header.identification(), offset, header.more_fragments())
        }
        LaxNetSlice::Arp(_) => return None,
    };
    let key = FragmentKey { source, destination, identification, protocol: payload.ip_number.0 };
    Some(Fragment { key, offset: offset.into(), more, bytes: payload.payload })
}
