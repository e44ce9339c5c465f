//! RTP receiving (RFC 3550), without IO.

pub mod drift;
pub mod dtls;
pub mod jitter_buffer;
pub mod lateness;
pub mod packet;
mod position;
pub mod reception;
pub mod report;
pub mod security;
pub mod sequence;
pub mod silence_sender;
pub mod source;
pub mod srtp;
pub mod telephone_event;
pub mod voip_metrics;
