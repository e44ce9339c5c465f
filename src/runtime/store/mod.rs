//! What is kept: persons and their voices, consents, and the audit trail.

pub mod audit_trail;
pub mod consents;
pub mod database;
pub mod erasure;
pub mod keeper;
pub mod key_file;
pub mod packed;
pub mod persons;
pub mod place;
mod postgres;
mod postgres_place;
pub mod rotation;
pub mod schema;
mod sqlite;
pub mod vault;
pub mod voiceprints;
