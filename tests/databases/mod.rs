//! Both databases, for tests that are to hold on either: `for site in databases()`.
#![allow(
    dead_code,
    clippy::disallowed_methods,
    reason = "every test takes what it needs of this; it reads the disk"
)]

pub(crate) mod postgres;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sidetone::runtime::store::database::Database;
use sidetone::runtime::store::place::Place;
use tempfile::TempDir;

use self::postgres::Postgres;

/// An empty database of the test's own.
#[derive(Debug)]
pub(crate) struct Site {
    /// What failures are to name: "SQLite" or "PostgreSQL".
    pub(crate) name: &'static str,
    /// `store.database`.
    pub(crate) url: String,
    /// `store.password_file`.
    pub(crate) password_file: Option<PathBuf>,
    /// Something to write to; the SQLite file is in it.
    pub(crate) folder: TempDir,
}

impl Site {
    /// A file in a folder of its own.
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("vault.db").display());
        Self { name: "SQLite", url, password_file: None, folder }
    }

    /// The database `name`, which is there, on `server`.
    pub(crate) fn on(server: &Postgres, name: &str) -> Self {
        Self {
            name: "PostgreSQL",
            url: server.url(name),
            password_file: Some(server.password_file()),
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    /// Where it is.
    pub(crate) fn place(&self) -> Place {
        Place::parse(&self.url, self.password_file.as_deref()).expect(self.name)
    }

    /// A connection of one's own.
    pub(crate) fn open(&self) -> Box<dyn Database> {
        self.place().open().expect(self.name)
    }
}

/// One of each kind; SQLite alone where no server is installed, which is said. All tests of a process share one
/// server, and have databases of their own in it: who wants to stop it starts another.
pub(crate) fn databases() -> Vec<Site> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let mut sites = vec![Site::sqlite()];
    if let Some(server) = shared_server() {
        let name = format!("site_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        server.create_database(&name);
        sites.push(Site::on(server, &name));
    }
    sites
}

/// The server of this process; nothing where none is installed.
pub(crate) fn shared_server() -> Option<&'static Postgres> {
    static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
    SERVER.get_or_init(Postgres::start_new).as_ref()
}
