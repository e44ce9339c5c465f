//! What is kept: persons and their voices, consents, and the audit trail.

pub mod agreed;
pub mod anchors;
pub mod audit_trail;
pub mod chores;
pub mod claim;
pub mod consents;
pub mod database;
pub mod erasure;
pub mod facts;
pub mod held;
pub mod keeper;
pub mod key_file;
pub mod migration;
pub mod packed;
pub mod persons;
pub mod place;
pub mod postgres;
pub mod postgres_place;
pub mod rotation;
pub mod schema;
pub mod sqlite;
pub mod trail;
pub mod trail_line;
pub mod vault;
pub mod watchlist;
