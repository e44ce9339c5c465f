//! The vault in one file: SQLite, the only file that names `rusqlite`.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rusqlite::types::{Null, ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ErrorCode, OpenFlags, ToSql, ffi};
use tracing::warn;

use crate::runtime::store::database::{Database, DatabaseError, Dialect, Heading, Row, Value};

/// How long a writer waits for others, in tries 2.5 ms apart: 10 s. The longest that writes is an import's transaction,
/// well below a second; ten of them are a queue, and not a database that hangs.
const TRIES: i32 = 4_000;
/// How long an overwriting waits for readers: others wait for it meanwhile, and it can be done later.
const SCRUB_TIMEOUT: Duration = Duration::from_millis(200);
/// How many prepared statements are kept: more than the vault has.
const STATEMENTS: usize = 128;

/// How every connection is set. WAL: readers and the writer do not wait for each other. FULL: a commit is on
/// the disk when it returns. `secure_delete`: what is erased is overwritten, and not only forgotten. The others
/// distrust the file: a schema that calls functions, cells that overlap.
const SETTINGS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA secure_delete = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA cell_size_check = ON;
    PRAGMA temp_store = MEMORY;
";

/// A connection to one file.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    connection: Connection,
}

impl Sqlite {
    /// Opens the file at `path`, and makes it (mode 0600, in a folder of mode 0700) if it is not there. A file that
    /// others may read is refused.
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
        private(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let ready = Connection::open_with_flags(path, flags).and_then(|mut connection| {
            connection.busy_handler(Some(wait_for_others))?;
            connection.set_prepared_statement_cache_capacity(STATEMENTS);
            connection.execute_batch(SETTINGS)?;
            Ok(connection)
        });
        let connection = ready.map_err(|error| understood(path, &error))?;
        Ok(Self { path: path.to_owned(), connection })
    }

    fn prepared(
        &self,
        sql: &str,
        values: &[Value],
    ) -> Result<CachedStatement<'_>, rusqlite::Error> {
        let mut statement = self.connection.prepare_cached(sql)?;
        // By name: SQLite numbers parameters by where they first appear, PostgreSQL by what they are called.
        for (number, value) in (1..).zip(values) {
            statement.raw_bind_parameter(format!("${number}").as_str(), value)?;
        }
        Ok(statement)
    }

    fn rows(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, rusqlite::Error> {
        let mut statement = self.prepared(sql, values)?;
        let columns: Vec<_> = statement.column_names().map(str::to_owned).collect();
        let count = columns.len();
        let heading = Arc::new(Heading { database: self.describe(), columns });
        let mut rows = Vec::new();
        let mut found = statement.raw_query();
        while let Some(row) = found.next()? {
            let values = (0..count).map(|column| Ok(owned(row.get_ref(column)?)));
            rows.push(Row::new(&heading, values.collect::<Result<_, rusqlite::Error>>()?));
        }
        Ok(rows)
    }

    fn done<T>(&self, result: Result<T, rusqlite::Error>) -> Result<T, DatabaseError> {
        result.map_err(|error| understood(&self.path, &error))
    }
}

impl Database for Sqlite {
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, DatabaseError> {
        let written = self.prepared(sql, values).and_then(|mut statement| statement.raw_execute());
        Ok(self.done(written)? as u64)
    }

    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        self.done(self.rows(sql, values))
    }

    fn execute_script(&mut self, sql: &str) -> Result<(), DatabaseError> {
        self.done(self.connection.execute_batch(sql))
    }

    fn begin(&mut self) -> Result<(), DatabaseError> {
        // A transaction that only becomes a writer's later is refused where another wrote since it began to read.
        self.execute("BEGIN IMMEDIATE", &[]).map(|_| ())
    }

    fn commit(&mut self) -> Result<(), DatabaseError> {
        self.execute("COMMIT", &[]).map(|_| ())
    }

    fn rollback(&mut self) {
        // A full or failing disk has ended the transaction already.
        if !self.connection.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK", &[])
        {
            warn!(%error, "a transaction cannot be taken back");
        }
    }

    fn scrub(&mut self, _: &[&str]) -> Result<(), DatabaseError> {
        // The file itself is overwritten by `secure_delete`; what the log still has of it goes with the log.
        self.done(self.connection.busy_timeout(SCRUB_TIMEOUT))?;
        let said = self.query("PRAGMA wal_checkpoint(TRUNCATE)", &[]);
        let waiting = self.connection.busy_handler(Some(wait_for_others));
        self.done(waiting)?;
        let said = said?;
        match said.first().map(|row| row.integer(0)).transpose()? {
            Some(0) => Ok(()),
            _ => Err(DatabaseError::Busy {
                database: self.describe(),
                said: "somebody reads what the log holds".to_owned(),
            }),
        }
    }

    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn describe(&self) -> String {
        described(&self.path)
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>, rusqlite::Error> {
        match self {
            Self::Null => Null.to_sql(),
            Self::Integer(number) => number.to_sql(),
            Self::Text(text) => text.to_sql(),
            Self::Bytes(bytes) => bytes.to_sql(),
        }
    }
}

/// Waits before the lock is asked for again, if it is worth it. SQLite's own waiting grows to 100 ms a try, so that who
/// has waited long hardly ever meets the moment between two commits of the others: of twelve writers one got nothing
/// in 5 s. With short tries all of them take turns by chance.
fn wait_for_others(tries: i32) -> bool {
    thread::sleep(Duration::from_micros(fastrand::u64(500..4_500)));
    tries < TRIES
}

/// What damage has made of a value is for the row to tell: here it is bytes that are no number and no text.
fn owned(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Bytes(number.to_be_bytes().to_vec()),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
        ValueRef::Text(bytes) => match str::from_utf8(bytes) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Bytes(bytes.to_vec()),
        },
    }
}

/// SQLite gives its log the rights of the file, so that these are all that matters.
fn private(path: &Path) -> Result<(), DatabaseError> {
    let unusable = |why: String| DatabaseError::Unusable { database: described(path), why };
    if let Some(folder) = path.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| unusable(format!("its folder cannot be made: {error}")))?;
    }
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match created {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let mode = fs::metadata(path).map_err(|error| unusable(error.to_string()))?;
            let mode = mode.permissions().mode() & 0o777;
            if mode & 0o077 == 0 {
                return Ok(());
            }
            Err(unusable(format!(
                "others may read it (mode {mode:04o}, wanted 0600): chmod 600 {}",
                path.display()
            )))
        }
        Err(error) if error.kind() == ErrorKind::StorageFull => {
            Err(DatabaseError::Full { database: described(path), said: error.to_string() })
        }
        Err(error) => Err(unusable(format!("it cannot be made: {error}"))),
    }
}

fn described(path: &Path) -> String {
    format!("the SQLite database {}", path.display())
}

fn understood(path: &Path, error: &rusqlite::Error) -> DatabaseError {
    let (database, said) = (described(path), error.to_string());
    let Some(failure) = error.sqlite_error() else {
        return DatabaseError::Refused { database, said };
    };
    match (failure.code, failure.extended_code) {
        (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => {
            DatabaseError::Busy { database, said }
        }
        // The second: there is no room for the log's index.
        (ErrorCode::DiskFull, _) | (_, ffi::SQLITE_IOERR_SHMSIZE) => {
            DatabaseError::Full { database, said }
        }
        (ErrorCode::ReadOnly, _) => DatabaseError::ReadOnly { database, said },
        (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => {
            DatabaseError::Damaged { database, what: said }
        }
        (ErrorCode::SystemIoFailure, _) => DatabaseError::Gone { database, said },
        (ErrorCode::CannotOpen | ErrorCode::PermissionDenied, _) => {
            DatabaseError::Unusable { database, why: said }
        }
        _ => DatabaseError::Refused { database, said },
    }
}
