//! SIP over real sockets.
#![expect(clippy::disallowed_methods, reason = "tests have sockets, a clock and files")]

mod dns;
