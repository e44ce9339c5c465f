//! What was said: phrases found in a few seconds of speech, and when.

pub mod acoustic_model;
pub mod locator;
pub mod phrase;
pub mod spotter;
pub mod tokenizer;
pub mod transcriber;
pub mod transcript;
