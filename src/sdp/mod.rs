//! Offer and answer of one who only listens (RFC 3264, RFC 8866), without IO.
//!
//! `sdp-types` 0.3 reads nearly everything and judges nothing; the judgement is here.

pub mod answer;
pub mod codec;
pub mod crypto;
pub mod described;
pub mod direction;
pub mod fingerprint;
pub mod offer;
pub mod session;
pub mod several;
mod stream;
