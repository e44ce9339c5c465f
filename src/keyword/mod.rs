//! What was said: phrases found in a few seconds of speech, and when.

pub mod acoustic_model;
pub mod detections;
pub mod digit_search;
pub mod digits;
pub mod false_alarms;
pub mod ipa;
pub mod language;
pub mod lexicon;
pub mod locator;
pub mod phone_decision;
pub mod phone_distance;
pub mod phone_search;
pub mod phones;
pub mod phrase;
pub mod pronunciation;
pub mod schedule;
pub mod search;
pub mod searches;
pub mod spotter;
pub mod streaming;
pub mod tokenizer;
pub mod transcript;
