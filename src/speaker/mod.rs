//! Who speaks: embeddings, voiceprints, evidence and decisions, without IO.

pub mod adaptation;
pub mod calibration;
pub mod embedder;
pub mod embedding;
pub mod enrollment;
pub mod gathering;
pub mod ledger;
pub mod migration;
pub mod one_voice;
pub mod people;
pub mod quality;
pub mod recalibration;
pub mod score_drift;
pub mod slices;
pub mod trials;
pub mod verifier;
pub mod voiceprint;
pub mod voiceprint_format;
pub mod watchlist;
