//! Asks a PBX whether it is there: one OPTIONS (RFC 3261 §11), from a socket of its own, so that it can be asked beside
//! a running appliance.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use tokio::time::{sleep_until, timeout_at};

use crate::config::sip::Listen;
use crate::runtime::locate::locate;
use crate::runtime::transport::connection::{HopError, Limits};
use crate::runtime::transport::listener::{Bound, ListenError};
use crate::runtime::transport::resolver::Resolver;
use crate::runtime::transport::tls::Tls;
use crate::runtime::transport::transports::{Arrival, Transports};
use crate::sip::location::Target;
use crate::sip::message::{Message, Method, Request, Response};
use crate::sip::transport::{Hop, LocalId, Transport};

/// How long a PBX may take for its answer, name servers aside.
const PATIENCE: Duration = Duration::from_secs(5);
/// When a datagram is repeated first, and then after twice as long each time (timer E, §17.1.2.2).
const REPEAT: Duration = Duration::from_millis(500);
/// What waits at the end is of no interest.
const NO_LAST_WRITES: Duration = Duration::ZERO;

/// A PBX that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Status of the answer; any at all says that somebody is there.
    pub status: u16,
    /// Its phrase.
    pub reason: String,
    /// Over what.
    pub transport: Transport,
    /// From where.
    pub address: SocketAddr,
    /// How long it took.
    pub after: Duration,
    /// What it holds the time to be (Date, §20.17), where it says.
    pub date: Option<Timestamp>,
}

/// Why there is no answer: one sentence.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The URI leads to no address by a transport of ours.
    #[error("{0} leads to no address")]
    Nowhere(String),
    /// There is no socket to ask from.
    #[error(transparent)]
    NoSocket(#[from] ListenError),
    /// The system refuses.
    #[error("cannot ask: {0}")]
    System(#[from] io::Error),
    /// It cannot be sent to.
    #[error("{transport} to {address}: {error}", transport = .transport.as_str())]
    Unreachable {
        /// Over what.
        transport: Transport,
        /// Where.
        address: SocketAddr,
        /// Why.
        error: HopError,
    },
    /// It says nothing.
    #[error("{transport} to {address}: no answer within {} s", PATIENCE.as_secs(), transport = .transport.as_str())]
    Silent {
        /// Over what.
        transport: Transport,
        /// Where.
        address: SocketAddr,
    },
}

/// From where, and by what, PBXs are asked.
#[derive(Clone, Debug)]
pub struct Asker<'a> {
    /// Our sockets by the configuration: their transports are used, and the addresses asked from.
    pub listen: &'a [Listen],
    /// Our certificate, where there is one.
    pub tls: Option<Tls>,
    /// Where names are looked up.
    pub resolver: Resolver,
}

impl Asker<'_> {
    /// Asks each address that `uri` leads to, until one of them answers; else the first says why not.
    pub async fn ask(&self, uri: &str) -> Result<Answered, ProbeError> {
        let mut supported: Vec<Transport> = Vec::new();
        for listen in self.listen {
            if !supported.contains(&listen.transport) {
                supported.push(listen.transport);
            }
        }
        let targets = locate(&self.resolver, uri, &supported, fastrand::Rng::new()).await;
        let mut first = None;
        for target in targets {
            match self.ask_one(uri, &target).await {
                Ok(answered) => return Ok(answered),
                Err(error) => {
                    first.get_or_insert(error);
                }
            }
        }
        Err(first.unwrap_or_else(|| ProbeError::Nowhere(uri.to_owned())))
    }

    async fn ask_one(&self, uri: &str, target: &Target) -> Result<Answered, ProbeError> {
        let Target { transport, address, ref name } = *target;
        let of_family = |listen: &&Listen| listen.address.is_ipv4() == address.is_ipv4();
        // A PBX may know us by the address that the appliance calls from.
        let own = self.listen.iter().find(of_family).map(|listen| listen.address.ip());
        let own = own.filter(|ip| !ip.is_unspecified());
        let own = own.map_or_else(|| leaving_for(address), Ok)?;
        let from = Listen { transport: Transport::Udp, address: SocketAddr::new(own, 0) };
        let bound = Bound::bind(&[from])?;
        let local = bound.locals()[0].address;
        let mut transports = Transports::start(bound, self.tls.clone(), Limits::default())?;
        let hop =
            Hop { transport, address, local: LocalId(0), connection: None, name: name.clone() };
        let (request, call_id) = options(uri, transport, local);

        let begun = Instant::now();
        let until = begun + PATIENCE;
        let (mut repeat, mut wait) = (begun + REPEAT, REPEAT);
        transports.send(&hop, request.clone());
        let answer = loop {
            let heard = async {
                tokio::select! {
                    arrival = transports.recv() => Some(arrival),
                    () = sleep_until(repeat.into()), if !transport.is_reliable() => None,
                }
            };
            match timeout_at(until.into(), heard).await {
                Err(_) => break Err(ProbeError::Silent { transport, address }),
                Ok(None) => {
                    transports.send(&hop, request.clone());
                    wait *= 2;
                    repeat += wait;
                }
                Ok(Some(Arrival::Unreachable { error, .. })) => {
                    break Err(ProbeError::Unreachable { transport, address, error });
                }
                Ok(Some(Arrival::Message { bytes, .. })) => {
                    let Some(response) = final_answer(&bytes, &call_id) else { continue };
                    break Ok(Answered {
                        status: response.status,
                        date: response.headers.get("Date").and_then(date),
                        reason: response.reason,
                        transport,
                        address,
                        after: begun.elapsed(),
                    });
                }
                Ok(Some(Arrival::Unreadable { .. } | Arrival::Closed { .. })) => {}
            }
        };
        transports.close(NO_LAST_WRITES).await;
        answer
    }
}

/// The address that the system would send to `target` from; nothing is sent.
fn leaving_for(target: SocketAddr) -> io::Result<IpAddr> {
    let any: SocketAddr =
        if target.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.connect(target)?;
    Ok(socket.local_addr()?.ip())
}

/// The request, and the Call-ID that tells its answer.
fn options(uri: &str, transport: Transport, local: SocketAddr) -> (Vec<u8>, String) {
    let word = || format!("{:016x}", fastrand::u64(..));
    let call_id = format!("{}@{}", word(), local.ip());
    let ours = format!("sip:sidetone@{local}");
    let mut request = Request::new(Method::Options, uri);
    for (name, value) in [
        ("Via", format!("SIP/2.0/{} {local};branch=z9hG4bK{};rport", transport.as_str(), word())),
        ("Max-Forwards", "70".to_owned()),
        ("From", format!("<{ours}>;tag={}", word())),
        ("To", format!("<{uri}>")),
        ("Call-ID", call_id.clone()),
        ("CSeq", "1 OPTIONS".to_owned()),
        ("Contact", format!("<{ours}>")),
        ("Accept", "application/sdp".to_owned()),
    ] {
        request.headers.push(name, value);
    }
    (request.to_bytes(), call_id)
}

fn final_answer(bytes: &[u8], call_id: &str) -> Option<Response> {
    match Message::parse(bytes) {
        Ok(Message::Response(received)) if received.call_id == call_id => {
            Some(received.message).filter(|response| response.status >= 200)
        }
        _ => None,
    }
}

/// `Sat, 13 Nov 2010 23:29:00 GMT`.
fn date(text: &str) -> Option<Timestamp> {
    let zoned = rfc2822::DateTimeParser::new().parse_timestamp(text.trim());
    zoned.ok()
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, reason, transport, address, after, .. } = self;
        let (over, ms) = (transport.as_str(), after.as_millis());
        write!(f, "{status} {reason} from {address} over {over} after {ms} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_as_asterisk_writes_it() {
        let wanted: Timestamp = "2010-11-13T23:29:00Z".parse().expect("a time");
        assert_eq!(date("Sat, 13 Nov 2010 23:29:00 GMT"), Some(wanted));
        assert_eq!(date("yesterday"), None);
    }
}
