//! SIP over UDP, TCP and TLS, and the names of the DNS: sockets alone, no SIP (RFC 3261 §18).

pub mod resolver;
