//! SIP over UDP, TCP and TLS, and the names of the DNS: sockets alone, no SIP (RFC 3261 §18).

pub mod connection;
pub mod handed_over;
pub mod listener;
pub mod resolver;
pub mod stats;
pub mod tls;
pub mod transports;
