//! What is kept on disk.

pub mod database;
pub mod place;
pub mod postgres;
pub mod postgres_place;
pub mod schema;
pub mod sqlite;
pub mod voiceprints;
