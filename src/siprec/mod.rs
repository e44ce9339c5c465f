//! What a recording client says about the call that it has recorded here (SIPREC, RFC 7865), without IO.

pub mod aor;
pub mod metadata;
pub mod roster;
