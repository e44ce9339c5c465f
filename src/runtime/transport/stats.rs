//! What the transports count.

use crate::runtime::transport::tls::HandshakeFault;
use crate::sip::transport::Transport;

/// Counters of all transports since the start; only `open` goes down again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransportStats {
    /// Over UDP; datagrams are never open, accepted or opened.
    pub udp: Traffic,
    /// Over TCP.
    pub tcp: Traffic,
    /// Over TLS; bytes before encryption.
    pub tls: Traffic,
    /// Connections of peers that were closed at once, for there were as many as may be.
    pub refused_total: u64,
    /// The same, for that one peer had as many as it may have.
    pub refused_per_peer: u64,
    /// Datagrams that did not fit the socket's buffer.
    pub datagrams_dropped: u64,
    closed: [u64; CloseReason::ALL.len()],
    handshakes_failed: [u64; HandshakeFault::ALL.len()],
}

/// What went over one transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Connections now, those being opened or shaking hands among them.
    pub open: u64,
    /// Connections that peers opened.
    pub accepted: u64,
    /// Connections that we opened or tried to.
    pub opened: u64,
    /// Whole messages from peers.
    pub messages_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Messages handed to a socket or a connection's queue.
    pub messages_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// They closed it.
    ByPeer,
    /// We stop.
    ByUs,
    /// No whole message either way for too long.
    Idle,
    /// Accepted, and nothing whole came in time.
    Silent,
    /// What came is no SIP that can be told apart.
    Unreadable,
    /// The peer does not read, and too much waits for it.
    Slow,
    /// Our keep-alive was not answered (RFC 5626 §4.4.1).
    NoPong,
    /// TLS was not agreed upon.
    Handshake,
    /// It could not be opened.
    NotOpened,
    /// The network broke it.
    Failed,
}

impl CloseReason {
    /// Each once.
    pub const ALL: [Self; 10] = [
        Self::ByPeer,
        Self::ByUs,
        Self::Idle,
        Self::Silent,
        Self::Unreadable,
        Self::Slow,
        Self::NoPong,
        Self::Handshake,
        Self::NotOpened,
        Self::Failed,
    ];

    /// One word, for a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ByPeer => "by_peer",
            Self::ByUs => "by_us",
            Self::Idle => "idle",
            Self::Silent => "silent",
            Self::Unreadable => "unreadable",
            Self::Slow => "slow",
            Self::NoPong => "no_pong",
            Self::Handshake => "handshake",
            Self::NotOpened => "not_opened",
            Self::Failed => "failed",
        }
    }
}

impl TransportStats {
    /// Connections that ended for this reason; those over a bound are not among them.
    pub fn closed(&self, reason: CloseReason) -> u64 {
        self.closed[reason as usize]
    }

    /// TLS handshakes that failed this way, whichever side began them.
    pub fn handshakes_failed(&self, fault: HandshakeFault) -> u64 {
        self.handshakes_failed[fault as usize]
    }

    /// What went over `transport`.
    pub fn of(&self, transport: Transport) -> &Traffic {
        match transport {
            Transport::Udp => &self.udp,
            Transport::Tcp => &self.tcp,
            Transport::Tls => &self.tls,
        }
    }

    pub(super) fn of_mut(&mut self, transport: Transport) -> &mut Traffic {
        match transport {
            Transport::Udp => &mut self.udp,
            Transport::Tcp => &mut self.tcp,
            Transport::Tls => &mut self.tls,
        }
    }

    pub(super) fn count_closed(&mut self, reason: CloseReason) {
        self.closed[reason as usize] += 1;
    }

    pub(super) fn count_handshake(&mut self, fault: HandshakeFault) {
        self.handshakes_failed[fault as usize] += 1;
    }
}
