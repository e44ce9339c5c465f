//! What the vault asks of a database, in SQL that SQLite and PostgreSQL read alike.
//!
//! Parameters are `$1`, `$2` and so on. Numbers are `BIGINT`s, words `TEXT`, and bytes `BLOB` or `BYTEA`.

use std::fmt::Debug;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How often a transaction is tried that the database was too busy for. Each try may have waited for
/// the database's own time-out of 10 s, so that a caller waits half a minute at most.
const TRIES: u32 = 3;
/// What passes before the second try; ten times as long before the third. Who waits longer than a commit takes
/// (some milliseconds on a disk) meets the others no more.
const BACK_OFF: Duration = Duration::from_millis(20);

/// One value of a row, or of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A number; also the answer to a question of yes and no, as 1 and 0.
    Integer(i64),
    /// Words.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// One row of an answer; columns are counted from 0.
#[derive(Clone, Debug)]
pub struct Row {
    heading: Arc<Heading>,
    values: Vec<Value>,
}

/// What the rows of one answer have in common.
#[derive(Debug)]
pub(super) struct Heading {
    /// [`Database::describe`].
    pub(super) database: String,
    /// What the columns are called.
    pub(super) columns: Vec<String>,
}

/// Which SQL a database speaks where the two differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite's.
    Sqlite,
    /// PostgreSQL's.
    Postgres,
}

/// Why a database did not do what was asked: one sentence that names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseError {
    /// Others hold what was wanted; the same may succeed in a moment.
    #[error("{database} is busy: {said}")]
    Busy {
        /// Which database.
        database: String,
        /// What it said.
        said: String,
    },
    /// It cannot be reached, or was lost on the way.
    #[error("{database} cannot be reached: {said}")]
    Gone {
        /// Which database.
        database: String,
        /// What was noticed.
        said: String,
    },
    /// It was lost while a commit was on its way: what was to be kept may be kept or not.
    #[error(
        "{database} was lost before it confirmed what it was to keep, which may be kept or not: {said}"
    )]
    InDoubt {
        /// Which database.
        database: String,
        /// What was noticed.
        said: String,
    },
    /// Its disk is full.
    #[error("{database} has no room left; nothing is kept until there is some: {said}")]
    Full {
        /// Which database.
        database: String,
        /// What it said.
        said: String,
    },
    /// It takes no changes.
    #[error("{database} takes no changes, wanted one that may be written: {said}")]
    ReadOnly {
        /// Which database.
        database: String,
        /// What it said.
        said: String,
    },
    /// A newer release of ours has been at it.
    #[error(
        "{database} has schema {found}, which a newer release made; this one knows schemas up to {known}: \
        install that release, or restore the backup from before"
    )]
    Newer {
        /// Which database.
        database: String,
        /// The version found.
        found: i64,
        /// The newest version that we know.
        known: i64,
    },
    /// What it holds is not what was written.
    #[error("{database} is damaged, restore it from a backup: {what}")]
    Damaged {
        /// Which database.
        database: String,
        /// What is wrong, and where.
        what: String,
    },
    /// What is configured of it, or the state of its files, has to be changed first.
    #[error("{database} cannot be used: {why}")]
    Unusable {
        /// Which database.
        database: String,
        /// What was wanted, and what was found.
        why: String,
    },
    /// It refused this one thing.
    #[error("{database} refused: {said}")]
    Refused {
        /// Which database.
        database: String,
        /// What it said.
        said: String,
    },
}

/// An error of which [`in_transaction`] has to know whether the same work may succeed in a moment.
pub trait MayBeBusy {
    /// Whether others were in the way, and nothing else is wrong.
    fn is_busy(&self) -> bool;
}

/// One connection to a database; whoever owns it waits for the answers.
pub trait Database: Send + Debug {
    /// Does `sql`, with `values` for its parameters; how many rows were written.
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, DatabaseError>;
    /// Asks `sql`, with `values` for its parameters.
    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DatabaseError>;
    /// Does all statements of `sql`, which has no parameters.
    fn execute_script(&mut self, sql: &str) -> Result<(), DatabaseError>;
    /// Begins a transaction that no other writer's overlaps, of this process or another: what is read in it
    /// stays true until it ends.
    fn begin(&mut self) -> Result<(), DatabaseError>;
    /// Keeps what was done since [`Database::begin`]: after this it outlives a power cut.
    fn commit(&mut self) -> Result<(), DatabaseError>;
    /// Forgets what was done since [`Database::begin`]; if need be, by giving up the connection.
    fn rollback(&mut self);
    /// Overwrites what was erased from `tables` as far as the database can, outside of a transaction.
    fn scrub(&mut self, tables: &[&str]) -> Result<(), DatabaseError>;
    /// Which SQL it speaks.
    fn dialect(&self) -> Dialect;
    /// What it is, for messages; without a password.
    fn describe(&self) -> String;
}

/// Does `work` in a transaction: all of it is kept, or nothing. Does it anew where others were in the way.
pub fn in_transaction<T, E: From<DatabaseError> + MayBeBusy>(
    database: &mut dyn Database,
    mut work: impl FnMut(&mut dyn Database) -> Result<T, E>,
) -> Result<T, E> {
    let mut back_off = BACK_OFF;
    for _ in 1..TRIES {
        match once(database, &mut work) {
            Err(error) if error.is_busy() => {
                // Two who were in each other's way must not meet again.
                thread::sleep(back_off.mul_f64(0.5 + fastrand::f64()));
                back_off *= 10;
            }
            done => return done,
        }
    }
    once(database, &mut work)
}

fn once<T, E: From<DatabaseError>>(
    database: &mut dyn Database,
    work: &mut impl FnMut(&mut dyn Database) -> Result<T, E>,
) -> Result<T, E> {
    database.begin()?;
    let done = work(database).and_then(|done| {
        database.commit()?;
        Ok(done)
    });
    if done.is_err() {
        database.rollback();
    }
    done
}

impl MayBeBusy for DatabaseError {
    fn is_busy(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }
}

impl Row {
    pub(super) fn new(heading: &Arc<Heading>, values: Vec<Value>) -> Self {
        Self { heading: Arc::clone(heading), values }
    }

    /// The number in `column`.
    pub fn integer(&self, column: usize) -> Result<i64, DatabaseError> {
        self.optional_integer(column)?.ok_or_else(|| self.odd(column, "a number", &Value::Null))
    }

    /// The words in `column`.
    pub fn text(&self, column: usize) -> Result<&str, DatabaseError> {
        self.optional_text(column)?.ok_or_else(|| self.odd(column, "text", &Value::Null))
    }

    /// The bytes in `column`.
    pub fn bytes(&self, column: usize) -> Result<&[u8], DatabaseError> {
        self.optional_bytes(column)?.ok_or_else(|| self.odd(column, "bytes", &Value::Null))
    }

    /// The number in `column`, if there is one.
    pub fn optional_integer(&self, column: usize) -> Result<Option<i64>, DatabaseError> {
        match self.value(column) {
            Value::Null => Ok(None),
            Value::Integer(number) => Ok(Some(*number)),
            other @ (Value::Text(_) | Value::Bytes(_)) => Err(self.odd(column, "a number", other)),
        }
    }

    /// The words in `column`, if there are any.
    pub fn optional_text(&self, column: usize) -> Result<Option<&str>, DatabaseError> {
        match self.value(column) {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            other @ (Value::Integer(_) | Value::Bytes(_)) => Err(self.odd(column, "text", other)),
        }
    }

    /// The bytes in `column`, if there are any.
    pub fn optional_bytes(&self, column: usize) -> Result<Option<&[u8]>, DatabaseError> {
        match self.value(column) {
            Value::Null => Ok(None),
            Value::Bytes(bytes) => Ok(Some(bytes)),
            other @ (Value::Integer(_) | Value::Text(_)) => Err(self.odd(column, "bytes", other)),
        }
    }

    fn value(&self, column: usize) -> &Value {
        // SQLite stores in a column whatever it is given, but a statement's columns are our own text.
        self.values.get(column).expect("the statement has that many columns")
    }

    fn odd(&self, column: usize, wanted: &str, found: &Value) -> DatabaseError {
        let found = match found {
            Value::Null => "nothing",
            Value::Integer(_) => "a number",
            Value::Text(_) => "text",
            Value::Bytes(_) => "bytes",
        };
        let name = self.heading.columns.get(column).map_or("", String::as_str);
        DatabaseError::Damaged {
            database: self.heading.database.clone(),
            what: format!("column {name} of a row holds {found}, wanted {wanted}"),
        }
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_another_kind_is_damage_and_is_named() {
        let columns = vec!["at".to_owned(), "voice".to_owned()];
        let heading = Arc::new(Heading { database: "SQLite /vault.db".to_owned(), columns });
        let row = Row::new(&heading, vec![Value::Null, Value::from("words")]);
        assert_eq!(row.optional_integer(0), Ok(None));
        assert_eq!(row.text(1), Ok("words"));
        let missing = row.integer(0).expect_err("nothing is no number").to_string();
        assert!(missing.contains("column at of a row holds nothing, wanted a number"), "{missing}");
        let odd = row.optional_bytes(1).expect_err("text is not bytes").to_string();
        assert!(odd.contains("column voice of a row holds text, wanted bytes"), "{odd}");
        assert!(odd.starts_with("SQLite /vault.db is damaged"), "{odd}");
    }
}
