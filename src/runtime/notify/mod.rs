//! Verdicts where SIP INFO does not reach: each receiver has a thread of its own, so that none can hold up a call.

pub mod notice;
pub mod receiver;
