//! Sockets that listen: bound before the models are loaded, read once the runtime runs.

use std::io;
use std::net;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::config::sip::Listen;
use crate::runtime::transport::connection::Report;
use crate::runtime::transport::handed_over::HandedOver;
use crate::sip::transport::{Local, LocalId, Transport};

/// Largest datagram there is.
const LARGEST_DATAGRAM: usize = 65_535;
/// Connections that wait for us to accept them; the kernel's own bound is 4096.
const BACKLOG: i32 = 1_024;
/// After a failed accept: without descriptors the next one fails at once, too.
const BREATH: Duration = Duration::from_millis(100);

/// Sockets that are bound; streams wait in the backlog, datagrams in the buffer.
#[derive(Debug)]
pub struct Bound {
    sockets: Vec<Bind>,
}

/// One socket, with the address that it really has.
#[derive(Debug)]
pub(super) struct Bind {
    pub(super) local: Local,
    pub(super) socket: Listening,
}

/// What listens.
#[derive(Debug)]
pub(super) enum Listening {
    /// Datagrams.
    Datagrams(net::UdpSocket),
    /// Connections, of TCP or TLS.
    Connections(net::TcpListener),
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {listen}: {error}")]
pub struct ListenError {
    /// Which one.
    pub listen: Listen,
    /// What the system said.
    pub error: io::Error,
}

impl Bound {
    /// Binds all of `listen`, in this order.
    pub fn bind(listen: &[Listen]) -> Result<Self, ListenError> {
        Self::take(listen, &mut HandedOver::default())
    }

    /// Takes all of `listen`, in this order, from what was handed over, and binds what was not.
    pub fn take(listen: &[Listen], handed: &mut HandedOver) -> Result<Self, ListenError> {
        let mut bind = |&listen: &Listen| match take(listen, handed) {
            Some(taken) => Ok(taken),
            None => bind(listen).map_err(|error| ListenError { listen, error }),
        };
        Ok(Self { sockets: listen.iter().map(&mut bind).collect::<Result<_, _>>()? })
    }

    /// The addresses as they really are, in the order that they were asked for: [`LocalId`] counts them.
    pub fn locals(&self) -> Vec<Local> {
        self.sockets.iter().map(|bind| bind.local).collect()
    }

    pub(super) fn into_sockets(self) -> Vec<Bind> {
        self.sockets
    }
}

/// The socket of `listen`, where it was handed over.
fn take(listen: Listen, handed: &mut HandedOver) -> Option<Bind> {
    let socket = match listen.transport {
        Transport::Udp => Listening::Datagrams(handed.datagrams(listen.address)?),
        Transport::Tcp | Transport::Tls => {
            Listening::Connections(handed.connections(listen.address)?)
        }
    };
    let local = Local { transport: listen.transport, address: listen.address };
    Some(Bind { local, socket })
}

fn bind(listen: Listen) -> io::Result<Bind> {
    let (kind, protocol) = match listen.transport {
        Transport::Udp => (Type::DGRAM, Protocol::UDP),
        Transport::Tcp | Transport::Tls => (Type::STREAM, Protocol::TCP),
    };
    let socket = Socket::new(Domain::for_address(listen.address), kind, Some(protocol))?;
    if listen.address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    let (address, socket) = match listen.transport {
        Transport::Udp => {
            socket.bind(&listen.address.into())?;
            let socket = net::UdpSocket::from(socket);
            (socket.local_addr()?, Listening::Datagrams(socket))
        }
        Transport::Tcp | Transport::Tls => {
            // A restart finds connections of its predecessor in TIME_WAIT.
            socket.set_reuse_address(true)?;
            socket.bind(&listen.address.into())?;
            socket.listen(BACKLOG)?;
            let socket = net::TcpListener::from(socket);
            (socket.local_addr()?, Listening::Connections(socket))
        }
    };
    Ok(Bind { local: Local { transport: listen.transport, address }, socket })
}

/// Hands on what `socket` receives. While the owner has no time datagrams stay in the kernel, which
/// drops the newest ones.
pub(super) async fn receive(local: LocalId, socket: UdpSocket, reports: mpsc::Sender<Report>) {
    let mut datagram = vec![0; LARGEST_DATAGRAM];
    loop {
        match socket.recv_from(&mut datagram).await {
            Ok((length, from)) => {
                let bytes = datagram[..length].to_vec();
                if reports.send(Report::Datagram { local, from, bytes }).await.is_err() {
                    return;
                }
            }
            // ICMP on behalf of a peer that is gone; its transaction will time out.
            Err(error) => debug!(%error, "a SIP socket reports"),
        }
    }
}

/// Hands on connections; the owner takes or refuses them.
pub(super) async fn accept(local: LocalId, listener: TcpListener, reports: mpsc::Sender<Report>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if reports.send(Report::Accepted { local, stream, peer }).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                warn!(%error, "a SIP connection could not be accepted");
                sleep(BREATH).await;
            }
        }
    }
}
