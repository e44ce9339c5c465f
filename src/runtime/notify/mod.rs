//! Verdicts where SIP INFO does not reach: each receiver has a thread of its own, so that none can hold up a call.

pub mod ami;
mod ami_client;
pub mod ari;
pub mod backlog;
pub mod esl;
pub mod esl_commands;
pub mod esl_frames;
pub mod fields;
pub mod http_client;
pub mod interrupted;
pub mod notice;
pub mod notifier;
pub mod notifiers;
pub mod receiver;
pub(super) mod tls_client;
pub mod webhook;
pub mod worker;
