//! Where the vault's database is, as the configuration says it.

use std::path::{Path, PathBuf};

use crate::runtime::store::database::{Database, DatabaseError};
use crate::runtime::store::postgres::Postgres;
use crate::runtime::store::postgres_place::PostgresPlace;
use crate::runtime::store::sqlite::Sqlite;

/// A place that a database is opened at, as often as somebody wants a connection of his own.
#[derive(Clone, Debug)]
pub enum Place {
    /// A file of this machine.
    Sqlite(PathBuf),
    /// A server, which several machines may share.
    Postgres(Box<PostgresPlace>),
}

impl Place {
    /// Reads `sqlite:PATH` or `postgres://USER@HOST/DATABASE`, `store.database` of the configuration; a server's password
    /// is the first line of `password_file`. Reads what files the place names, and connects to nothing.
    pub fn parse(text: &str, password_file: Option<&Path>) -> Result<Self, DatabaseError> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            let place = PostgresPlace::parse(text, password_file)?;
            return Ok(Self::Postgres(Box::new(place)));
        }
        match text.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() => Ok(Self::Sqlite(PathBuf::from(path))),
            _ => Err(DatabaseError::Unusable {
                database: format!("store.database = {text:?}"),
                why: "wanted sqlite:PATH or postgres://USER@HOST/DATABASE".to_owned(),
            }),
        }
    }

    /// Connects, and waits for it. Not from within a tokio runtime: a connection to a server has its own.
    pub fn open(&self) -> Result<Box<dyn Database>, DatabaseError> {
        Ok(match self {
            Self::Sqlite(path) => Box::new(Sqlite::open(path)?),
            Self::Postgres(place) => Box::new(Postgres::open(place)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_file_or_a_server() {
        let file = Place::parse("sqlite:/var/lib/sidetone/vault.db", None).expect("a file");
        assert!(
            matches!(&file, Place::Sqlite(path) if path == Path::new("/var/lib/sidetone/vault.db"))
        );
        let server = Place::parse("postgresql://sidetone@localhost/vault", None).expect("a server");
        assert!(matches!(server, Place::Postgres(_)));
        for odd in ["", "sqlite:", "/var/lib/vault.db", "mysql://localhost/vault"] {
            let refused = Place::parse(odd, None).expect_err("no place").to_string();
            assert!(refused.contains("wanted sqlite:PATH or postgres://"), "{refused}");
        }
    }
}
