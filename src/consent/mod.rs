//! The rules of consent (GDPR Art. 6, 7 and 9), without IO.

pub mod consent;
