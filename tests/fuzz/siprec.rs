//! `siprec_checks::siprec` under libFuzzer.
#![no_main]

#[path = "siprec_checks.rs"]
mod siprec_checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| siprec_checks::siprec(data));
