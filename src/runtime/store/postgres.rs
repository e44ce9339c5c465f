//! The vault on a server that several machines share: PostgreSQL; this file and `postgres_place.rs` name the package.

use std::collections::HashMap;
use std::error::Error as _;
use std::fmt;
use std::sync::Arc;

use bytes::BytesMut;
use postgres::error::SqlState;
use postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, NoTls, Statement};

use crate::runtime::store::database::{Database, DatabaseError, Dialect, Heading, Row, Value};
use crate::runtime::store::postgres_place::PostgresPlace;

/// The one lock that all writers of a vault take, as SQLite's writers take their file's: "sidetone" in ASCII.
const WRITERS: i64 = i64::from_be_bytes(*b"sidetone");

/// A connection, made anew at its next use where it was lost.
pub struct Postgres {
    place: PostgresPlace,
    session: Option<Session>,
    transaction: Option<Transaction>,
}

/// What we are in the middle of, and by what it can be found again.
struct Transaction {
    /// Its number, which a server that crashes may give to another.
    number: String,
    /// Where the log had its last checkpoint; one that crashes makes another before it serves anybody.
    checkpoint: String,
    /// Whether a statement has failed: the server then takes a commit for a rollback, and says nothing.
    failed: bool,
}

/// What lasts as long as one connection.
struct Session {
    client: Client,
    /// Prepared statements by their text.
    statements: HashMap<String, Statement>,
}

type Failure = postgres::Error;

impl Postgres {
    /// Connects to `place`.
    pub fn open(place: &PostgresPlace) -> Result<Self, DatabaseError> {
        let mut postgres = Self { place: place.clone(), session: None, transaction: None };
        postgres.session()?;
        Ok(postgres)
    }

    /// The connection, made anew if there is none; what was begun on another is lost.
    fn session(&mut self) -> Result<&mut Session, DatabaseError> {
        let lost = self.session.as_ref().is_none_or(|session| session.client.is_closed());
        if lost && self.transaction.is_some() {
            return Err(DatabaseError::Gone {
                database: self.describe(),
                said: "the connection was lost within a transaction".to_owned(),
            });
        }
        if lost {
            self.session = None;
            let config = self.place.config()?;
            let connected = match self.place.tls() {
                Some(tls) => config.connect(tls),
                None => config.connect(NoTls),
            };
            let ready = connected.and_then(|mut client| {
                // A server may be set to confirm before the disk has it; one that waits for other servers, too, stays so.
                client.batch_execute(
                    "SELECT set_config('synchronous_commit', 'on', false) \
                     WHERE current_setting('synchronous_commit') IN ('off', 'local')",
                )?;
                Ok(client)
            });
            let client = ready.map_err(|error| self.not_connected(&error))?;
            self.session = Some(Session { client, statements: HashMap::new() });
        }
        Ok(self.session.as_mut().expect("it was just made"))
    }

    /// Does `work` on the connection. Where that is lost meanwhile, it is made anew for the next.
    fn on_session<T>(
        &mut self,
        work: impl FnOnce(&mut Session) -> Result<T, Failure>,
    ) -> Result<T, DatabaseError> {
        let done = work(self.session()?);
        done.map_err(|error| {
            if let Some(transaction) = &mut self.transaction {
                transaction.failed = true;
            }
            let understood = self.understood(&error);
            // A server that takes no changes any more has another beside it that does.
            if matches!(understood, DatabaseError::Gone { .. } | DatabaseError::ReadOnly { .. }) {
                self.session = None;
            }
            understood
        })
    }

    /// Does `work` again where the connection turned out to be lost: only for what may be done twice.
    fn twice<T>(
        &mut self,
        mut work: impl FnMut(&mut Session) -> Result<T, Failure>,
    ) -> Result<T, DatabaseError> {
        match self.on_session(&mut work) {
            Err(DatabaseError::Gone { .. }) if self.transaction.is_none() => self.on_session(work),
            done => done,
        }
    }

    /// Whether `transaction`, which was to be kept when the connection was lost, was kept; `None` where that
    /// cannot be known. Waits until the server has made an end of it.
    fn was_kept(&mut self, transaction: &Transaction) -> Option<bool> {
        let lock = "SELECT pg_advisory_lock($1), pg_advisory_unlock($1)";
        let found = self.on_session(|session| {
            session.query(lock, &[Value::Integer(WRITERS)])?;
            let sql = "SELECT pg_xact_status($1::text::xid8), \
                       (pg_control_checkpoint()).checkpoint_lsn::text";
            session.query(sql, &[transaction.number.as_str().into()])
        });
        let found = found.ok()?;
        let row = found.first()?;
        match row.try_get(0).ok()? {
            Some("aborted") => Some(false),
            Some("committed") => {
                let now: &str = row.try_get(1).ok()?;
                (now == transaction.checkpoint).then_some(true)
            }
            _ => None,
        }
    }

    fn not_connected(&self, error: &Failure) -> DatabaseError {
        match self.understood(error) {
            // A server that refuses who we are, or a certificate that is not the server's: waiting mends neither.
            DatabaseError::Refused { database, said } => {
                DatabaseError::Unusable { database, why: said }
            }
            understood => understood,
        }
    }

    fn understood(&self, error: &Failure) -> DatabaseError {
        let (database, said) = (self.describe(), sentence(error));
        let Some(code) = error.code() else {
            let causes = causes(error);
            let certificate = causes.iter().any(|cause| cause.is::<rustls::Error>());
            let network = causes.iter().any(|cause| cause.is::<std::io::Error>());
            return match (network || error.is_closed()) && !certificate {
                true => DatabaseError::Gone { database, said },
                false => DatabaseError::Refused { database, said },
            };
        };
        match *code {
            SqlState::T_R_SERIALIZATION_FAILURE
            | SqlState::T_R_DEADLOCK_DETECTED
            | SqlState::LOCK_NOT_AVAILABLE
            | SqlState::QUERY_CANCELED => DatabaseError::Busy { database, said },
            SqlState::DISK_FULL => DatabaseError::Full { database, said },
            SqlState::READ_ONLY_SQL_TRANSACTION => DatabaseError::ReadOnly { database, said },
            SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED => {
                DatabaseError::Damaged { database, what: said }
            }
            SqlState::TOO_MANY_CONNECTIONS | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => {
                DatabaseError::Gone { database, said }
            }
            // Classes 08, a connection's trouble, and 57P, the server's own coming and going.
            ref other if other.code().starts_with("08") || other.code().starts_with("57P") => {
                DatabaseError::Gone { database, said }
            }
            // Class 58: the server's system failed it. Where that is for want of room, it says so in words.
            ref other if other.code().starts_with("58") => match said.contains("No space left") {
                true => DatabaseError::Full { database, said },
                false => DatabaseError::Gone { database, said },
            },
            _ => DatabaseError::Refused { database, said },
        }
    }
}

impl Database for Postgres {
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, DatabaseError> {
        self.on_session(|session| {
            let statement = session.prepared(sql)?;
            session.client.execute(&statement, &parameters(values))
        })
    }

    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        let database = self.describe();
        self.twice(|session| {
            let found = session.query(sql, values)?;
            let Some(first) = found.first() else { return Ok(Vec::new()) };
            let columns = first.columns().iter().map(|column| column.name().to_owned()).collect();
            let heading = Arc::new(Heading { database: database.clone(), columns });
            let row = |row: &postgres::Row| {
                let values = (0..row.len()).map(|column| row.try_get(column));
                Ok(Row::new(&heading, values.collect::<Result<_, Failure>>()?))
            };
            found.iter().map(row).collect()
        })
    }

    fn execute_script(&mut self, sql: &str) -> Result<(), DatabaseError> {
        self.on_session(|session| session.client.batch_execute(sql))
    }

    fn begin(&mut self) -> Result<(), DatabaseError> {
        let begun = self.twice(|session| {
            // What a statement reads is what was kept before it began, which with the lock is all there is.
            session.client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED")?;
            session.locked().inspect_err(|_| {
                let _ = session.client.batch_execute("ROLLBACK");
            })
        });
        self.transaction = Some(begun?);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), DatabaseError> {
        let failed = self.transaction.as_ref().is_none_or(|transaction| transaction.failed);
        if failed {
            return Err(DatabaseError::Refused {
                database: self.describe(),
                said: "a statement of the transaction has failed, so it cannot be kept".to_owned(),
            });
        }
        let ended = self.on_session(|session| session.client.batch_execute("COMMIT"));
        let transaction = self.transaction.take();
        match (ended, transaction) {
            (Err(DatabaseError::Gone { database, said }), Some(transaction)) => {
                match self.was_kept(&transaction) {
                    Some(true) => Ok(()),
                    Some(false) => Err(DatabaseError::Gone { database, said }),
                    None => Err(DatabaseError::InDoubt { database, said }),
                }
            }
            (ended, _) => ended,
        }
    }

    fn rollback(&mut self) {
        let begun = self.transaction.take().is_some();
        if begun && self.on_session(|session| session.client.batch_execute("ROLLBACK")).is_err() {
            self.session = None;
        }
    }

    fn scrub(&mut self, tables: &[&str]) -> Result<(), DatabaseError> {
        self.on_session(|session| {
            // It takes as long as the tables are large.
            session.client.batch_execute("SET statement_timeout = 0")?;
            let vacuumed = tables
                .iter()
                .try_for_each(|table| session.client.batch_execute(&format!("VACUUM {table}")));
            session.client.batch_execute("RESET statement_timeout")?;
            vacuumed
        })
    }

    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn describe(&self) -> String {
        self.place.describe().to_owned()
    }
}

impl Session {
    fn prepared(&mut self, sql: &str) -> Result<Statement, Failure> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql)?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// The lock of all writers, within a transaction that has begun.
    fn locked(&mut self) -> Result<Transaction, Failure> {
        let sql = "SELECT pg_current_xact_id()::text, \
                   (pg_control_checkpoint()).checkpoint_lsn::text, pg_advisory_xact_lock($1)";
        let said = self.query(sql, &[Value::Integer(WRITERS)])?;
        let row = said.first().expect("a statement without a table has one row");
        Ok(Transaction { number: row.try_get(0)?, checkpoint: row.try_get(1)?, failed: false })
    }

    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<postgres::Row>, Failure> {
        let statement = self.prepared(sql)?;
        self.client.query(&statement, &parameters(values))
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Postgres").field(&self.place).finish()
    }
}

impl ToSql for Value {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(number) => number.to_sql_checked(kind, out),
            Self::Text(text) => text.to_sql_checked(kind, out),
            Self::Bytes(bytes) => bytes.to_sql_checked(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(
        kind: &Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(match *kind {
            Type::INT8 => Self::Integer(i64::from_sql(kind, raw)?),
            Type::INT4 => Self::Integer(i64::from(i32::from_sql(kind, raw)?)),
            Type::BOOL => Self::Integer(i64::from(bool::from_sql(kind, raw)?)),
            Type::BYTEA => Self::Bytes(raw.to_vec()),
            _ => Self::Text(String::from_sql(kind, raw)?),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::INT8 | Type::INT4 | Type::BOOL | Type::BYTEA)
            || <String as FromSql<'_>>::accepts(kind)
    }
}

fn parameters(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

/// What caused `error`, the deepest last.
fn causes(error: &Failure) -> Vec<&(dyn std::error::Error + 'static)> {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause);
        // An error within the system's error is not its source, but what its source would be is.
        let io = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match io {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
    }
    causes
}

/// What the server said, with its code; or what became of the connection.
fn sentence(error: &Failure) -> String {
    match error.as_db_error() {
        // Without its detail, which repeats what a row holds.
        Some(said) => format!("{}, SQLSTATE {}", said.message(), said.code().code()),
        None => {
            let deepest = causes(error).pop().map(|cause| format!(": {cause}"));
            format!("{error}{}", deepest.unwrap_or_default())
        }
    }
}
