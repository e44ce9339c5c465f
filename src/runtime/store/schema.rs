//! The vault's tables, made and brought up to date in numbered steps.
//!
//! A step that has been released is never changed: its hash stands in the database.

use sha2::{Digest, Sha256};

use crate::runtime::store::database::{Database, DatabaseError, Dialect, Value, in_transaction};

/// One step from the version before.
#[derive(Debug)]
struct Step {
    /// What it adds, in one word.
    name: &'static str,
    /// Its SQL in each dialect.
    sqlite: &'static str,
    postgres: &'static str,
}

/// All of them: the first makes version 1.
const STEPS: &[Step] = &[Step {
    name: "vault",
    sqlite: include_str!("migrations/sqlite/V1__vault.sql"),
    postgres: include_str!("migrations/postgres/V1__vault.sql"),
}];

/// Which steps a database has had.
const HISTORY: &str = "CREATE TABLE IF NOT EXISTS schema_history (
    version BIGINT PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL)";

/// Brings `database` to the newest schema that we know, in one transaction; several processes may do so at
/// once. One that is newer is refused, and so is one whose steps were others than ours.
pub fn upgrade(database: &mut dyn Database) -> Result<(), DatabaseError> {
    // Who only looks must not wait for whoever writes.
    if has_history(database)? && applied(database)? == STEPS.len() {
        return Ok(());
    }
    in_transaction(database, |database| {
        database.execute_script(HISTORY)?;
        for (version, step) in (1..).zip(STEPS).skip(applied(database)?) {
            let sql = step.sql(database.dialect());
            database.execute_script(sql)?;
            database.execute(
                "INSERT INTO schema_history (version, name, sha256) VALUES ($1, $2, $3)",
                &[Value::Integer(version), step.name.into(), fingerprint(sql).into()],
            )?;
        }
        Ok(())
    })
}

impl Step {
    fn sql(&self, dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::Sqlite => self.sqlite,
            Dialect::Postgres => self.postgres,
        }
    }
}

fn has_history(database: &mut dyn Database) -> Result<bool, DatabaseError> {
    let sql = match database.dialect() {
        Dialect::Sqlite => "SELECT 1 FROM sqlite_schema WHERE name = 'schema_history'",
        Dialect::Postgres => "SELECT 1 WHERE to_regclass('schema_history') IS NOT NULL",
    };
    Ok(!database.query(sql, &[])?.is_empty())
}

/// How many of our steps `database` has had.
fn applied(database: &mut dyn Database) -> Result<usize, DatabaseError> {
    let rows =
        database.query("SELECT version, sha256 FROM schema_history ORDER BY version", &[])?;
    let newest = rows.last().map_or(Ok(0), |row| row.integer(0))?;
    if newest > STEPS.len() as i64 {
        let (database, known) = (database.describe(), STEPS.len() as i64);
        return Err(DatabaseError::Newer { database, found: newest, known });
    }
    for ((version, step), row) in (1..).zip(STEPS).zip(&rows) {
        let ours = fingerprint(step.sql(database.dialect()));
        if row.integer(0)? != version || row.text(1)? != ours {
            return Err(DatabaseError::Damaged {
                database: database.describe(),
                what: format!(
                    "step {version} of its schema has hash {}, wanted {ours} of this release",
                    row.text(1)?
                ),
            });
        }
    }
    Ok(rows.len())
}

fn fingerprint(sql: &str) -> String {
    hex::encode(Sha256::digest(sql))
}
