//! tour

pub mod audio;
pub mod call;
pub mod cli;
pub mod config;
pub mod consent;
pub mod keyword;
pub mod policy;
pub mod rtp;
pub mod runtime;
pub mod sdp;
pub mod sip;
pub mod speaker;
