//! Sockets that the service manager holds and hands over (sd_listen_fds(3)); the only file that names `listenfd`.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use listenfd::ListenFd;

/// Sockets that were handed over, and are not taken yet.
#[derive(Debug, Default)]
pub struct HandedOver {
    datagrams: Vec<(SocketAddr, UdpSocket)>,
    connections: Vec<(SocketAddr, TcpListener)>,
}

/// A socket that is not for us: one sentence.
#[derive(Debug, thiserror::Error)]
pub enum HandedOverError {
    /// Of another kind.
    #[error(
        "the socket number {number} that the service manager hands over must be of UDP or TCP, found {error}"
    )]
    Odd {
        /// Which, from 1, in the order of the socket unit.
        number: usize,
        /// What is wrong with it.
        error: io::Error,
    },
    /// Nobody wants it.
    #[error(
        "the service manager hands over {socket}, which must be named by sip.listen or http.listen, found in neither"
    )]
    Unnamed {
        /// `udp:192.0.2.10:5060`.
        socket: String,
    },
}

impl HandedOver {
    /// Those that were handed to this process; once.
    pub fn receive() -> Result<Self, HandedOverError> {
        let mut handed = ListenFd::from_env();
        let mut sockets = Self::default();
        for nth in 0..handed.len() {
            let odd = |error| HandedOverError::Odd { number: nth + 1, error };
            if let Ok(Some(listener)) = handed.take_tcp_listener(nth) {
                listener.set_nonblocking(true).map_err(odd)?;
                sockets.connections.push((listener.local_addr().map_err(odd)?, listener));
            } else if let Some(socket) = handed.take_udp_socket(nth).map_err(odd)? {
                socket.set_nonblocking(true).map_err(odd)?;
                sockets.datagrams.push((socket.local_addr().map_err(odd)?, socket));
            }
        }
        Ok(sockets)
    }

    /// The socket of UDP that is bound to `address`.
    pub fn datagrams(&mut self, address: SocketAddr) -> Option<UdpSocket> {
        let nth = self.datagrams.iter().position(|(bound, _)| *bound == address)?;
        Some(self.datagrams.swap_remove(nth).1)
    }

    /// The listener of TCP that is bound to `address`.
    pub fn connections(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let nth = self.connections.iter().position(|(bound, _)| *bound == address)?;
        Some(self.connections.swap_remove(nth).1)
    }

    /// Everything is to be taken by now.
    pub fn finish(self) -> Result<(), HandedOverError> {
        let datagrams = self.datagrams.iter().map(|(bound, _)| format!("udp:{bound}"));
        let mut left = datagrams.chain(self.connections.iter().map(|(b, _)| format!("tcp:{b}")));
        left.next().map_or(Ok(()), |socket| Err(HandedOverError::Unnamed { socket }))
    }
}
