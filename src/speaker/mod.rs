//! Who speaks: embeddings, voiceprints, evidence and decisions, without IO.

pub mod calibration;
pub mod embedder;
pub mod embedding;
pub mod enrollment;
pub mod verifier;
pub mod voiceprint;
