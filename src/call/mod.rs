//! One call, pure: the only floor where signalling, media, evidence and policy meet.

pub mod adaptation_watch;
pub mod call;
pub mod card_watch;
pub mod claim_watch;
pub mod enrollment_watch;
pub mod facts;
pub mod inference;
pub mod key_source;
pub mod line;
pub mod media_consent;
pub mod media_pause;
pub mod media_plan;
pub mod media_relay;
pub mod media_session;
pub mod media_stats;
pub mod mixed_watch;
pub mod negotiation;
pub mod notice;
pub mod pauses;
pub mod phrase_watch;
pub mod recording;
pub mod silence_watch;
pub mod speaker_watch;
pub mod voices;
