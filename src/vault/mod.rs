//! What makes a stored voice unreadable to all but us, and a record unalterable: keys, sealing, chain and proof, without IO.

pub mod chain;
pub mod keyring;
pub mod proof;
pub mod pseudonym;
pub mod sealed;
pub mod secret;
