//! One call, pure: the only floor where signalling, media, evidence and policy meet.

pub mod call;
pub mod facts;
pub mod key_source;
pub mod media_plan;
pub mod media_session;
pub mod negotiation;
pub mod notice;
pub mod silence_watch;
