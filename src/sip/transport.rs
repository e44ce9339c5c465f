//! Transports, and the hops that messages take over them (RFC 3261 §18).

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// One datagram, one message; what is lost is lost.
    Udp,
    /// A stream.
    Tcp,
    /// A stream that is encrypted, and whose server is known by its certificate.
    Tls,
}

/// One open stream, as the runtime numbers it; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Which of our own addresses a message came to or leaves from: an index into
/// [`Settings::locals`](crate::sip::settings::Settings::locals).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalId(pub usize);

/// One of our own addresses: a socket that listens, as peers reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// How it is reached.
    pub transport: Transport,
    /// Address and port in Via and Contact.
    pub address: SocketAddr,
}

/// The way to a peer, or the way that one came.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hop {
    /// How.
    pub transport: Transport,
    /// Their address; over a stream that they opened, the port is nothing to call back.
    pub address: SocketAddr,
    /// From which of our addresses.
    pub local: LocalId,
    /// The stream to use while it is open (§18.2.2, RFC 5923); else one is opened to `address`.
    pub connection: Option<ConnectionId>,
    /// The name that a TLS server's certificate has to bear (RFC 5922 §7.2): the host of the URI
    /// that led here. `None` asks for the address itself.
    pub name: Option<Arc<str>>,
}

/// Where a message came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The way back.
    pub hop: Hop,
    /// DNS names in the client certificate that a TLS peer has proven; empty without one.
    pub names: Arc<[String]>,
}

impl Transport {
    /// As in Via: `UDP`, `TCP`, `TLS`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// Reads what stands in Via or in a `transport` parameter; case does not matter.
    pub fn read(name: &str) -> Option<Self> {
        [Self::Udp, Self::Tcp, Self::Tls]
            .into_iter()
            .find(|t| t.as_str().eq_ignore_ascii_case(name))
    }

    /// Whether the transport itself repeats what is lost, so that transactions need not (§17).
    pub fn is_reliable(self) -> bool {
        self != Self::Udp
    }

    /// 5060, or 5061 over TLS (§19.1.2).
    pub fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
        }
    }
}

impl Local {
    /// Our URI there, as `user`.
    pub fn uri(&self, user: &str) -> String {
        let parameter = match self.transport {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
            Transport::Tls => ";transport=tls",
        };
        format!("sip:{user}@{}{parameter}", self.address)
    }
}

impl Hop {
    /// A datagram to `address` from our first address.
    pub fn udp(address: SocketAddr) -> Self {
        Self { transport: Transport::Udp, address, local: LocalId(0), connection: None, name: None }
    }
}

impl Source {
    /// A datagram from `address` to our first address.
    pub fn udp(address: SocketAddr) -> Self {
        Self { hop: Hop::udp(address), names: Arc::default() }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hop.fmt(f)
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport.as_str().to_ascii_lowercase(), self.address)
    }
}
