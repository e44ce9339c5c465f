//! What was said: phrases found in a few seconds of speech, and when.

pub mod acoustic_model;
pub mod detections;
pub mod false_alarms;
pub mod lexicon;
pub mod locator;
pub mod phone_distance;
pub mod phone_search;
pub mod phones;
pub mod phrase;
pub mod pronunciation;
pub mod spotter;
pub mod tokenizer;
pub mod transcriber;
pub mod transcript;
