//! `media_checks::session` under libFuzzer.
#![no_main]

#[path = "media_checks.rs"]
mod media_checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| media_checks::session(data));
