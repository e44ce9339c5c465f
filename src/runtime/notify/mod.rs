//! Verdicts where SIP INFO does not reach: each receiver has a thread of its own, so that none can hold up a call.

pub mod backlog;
pub mod esl;
pub mod esl_commands;
pub mod esl_frames;
pub mod http_client;
pub mod notice;
pub mod notifier;
pub mod notifiers;
pub mod receiver;
pub mod webhook;
pub mod worker;
