//! Reading again while calls go on: the policy, who may call, certificates, tokens.

pub mod access;
pub mod certificate;
pub mod part;
pub mod policy;
pub mod reloader;
