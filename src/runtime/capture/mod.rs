//! Captures of network traffic: from a file's frames to calls and their streams, in two passes.
//!
//! The first pass ([`survey`]) reads all SIP and looks at all else; the second ([`legs`]) knows by then
//! what each stream is, and plays it. So no stream has to be kept.

pub mod dialogs;
pub mod file;
pub mod fragments;
pub mod legs;
pub mod network;
pub mod payload_types;
pub mod streams;
pub mod survey;
pub mod tcp;
