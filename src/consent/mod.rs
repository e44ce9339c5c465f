//! The rules of consent (GDPR Art. 6, 7 and 9), without IO.

pub mod consents;
pub mod permit;
pub mod reference;
pub mod retention;
pub mod role;
pub mod scope;
