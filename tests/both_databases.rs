//! SQLite and PostgreSQL keep the same promises to the vault: real files, and a real server.
#![expect(clippy::disallowed_methods, reason = "a test runs threads and reads the disk")]

mod databases;
#[expect(dead_code, reason = "no models are asked for here")]
mod store;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc;
use std::thread;

use databases::postgres::Postgres;
use databases::{Site, databases, shared_server};
use sidetone::runtime::store::database::{
    Database, DatabaseError, MayBeBusy, Value, in_transaction,
};
use sidetone::runtime::store::place::Place;
use sidetone::runtime::store::schema;

/// A table of everything that a value may be.
const KINDS: [&str; 2] = [
    "CREATE TABLE kinds (id BIGINT PRIMARY KEY, words TEXT, bytes BLOB)",
    "CREATE TABLE kinds (id BIGINT PRIMARY KEY, words TEXT, bytes BYTEA)",
];
const COUNTER: &str = "CREATE TABLE counter (id BIGINT PRIMARY KEY, n BIGINT NOT NULL); \
    INSERT INTO counter (id, n) VALUES (1, 0)";

fn make_kinds(site: &Site, database: &mut dyn Database) {
    let kinds = KINDS[usize::from(site.name != "SQLite")];
    database.execute_script(kinds).expect(site.name);
}

fn insert(database: &mut dyn Database, id: i64, words: Value) -> Result<u64, DatabaseError> {
    database.execute("INSERT INTO kinds (id, words) VALUES ($1, $2)", &[id.into(), words])
}

fn count(database: &mut dyn Database, table: &str) -> Result<i64, DatabaseError> {
    database.query(&format!("SELECT count(*) FROM {table}"), &[])?[0].integer(0)
}

/// Reads the counter, and writes one more.
fn one_more(database: &mut dyn Database) -> Result<i64, DatabaseError> {
    let n = database.query("SELECT n FROM counter WHERE id = 1", &[])?[0].integer(0)? + 1;
    database.execute("UPDATE counter SET n = $1 WHERE id = 1", &[n.into()])?;
    Ok(n)
}

#[test]
fn every_value_comes_back_as_it_was_kept() {
    for site in databases() {
        let mut database = site.open();
        make_kinds(&site, &mut *database);
        let every_byte: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        let rows = [
            (i64::MIN, Value::Null, Value::Null),
            (0, Value::from(""), Value::Bytes(Vec::new())),
            (i64::MAX, Value::from("Grüße, 世界 '\"; --"), Value::from(every_byte)),
        ];
        for (id, words, bytes) in &rows {
            // The parameters' names count, not where they stand.
            let sql = "INSERT INTO kinds (words, bytes, id) VALUES ($2, $3, $1)";
            let values = [Value::from(*id), words.clone(), bytes.clone()];
            assert_eq!(database.execute(sql, &values), Ok(1), "{}", site.name);
        }
        let sql = "SELECT id, words, bytes, id = $1 FROM kinds ORDER BY id";
        let kept = site.open().query(sql, &[Value::Integer(0)]).expect(site.name);
        assert_eq!(kept.len(), rows.len(), "{}", site.name);
        for ((id, words, bytes), row) in rows.into_iter().zip(kept) {
            assert_eq!(row.integer(0), Ok(id), "{}", site.name);
            let text = row.optional_text(1).expect(site.name);
            assert_eq!(Value::from(text), words, "{}", site.name);
            let found = row.optional_bytes(2).expect(site.name);
            assert_eq!(Value::from(found), bytes, "{}", site.name);
            assert_eq!(row.integer(3), Ok(i64::from(id == 0)), "{}: a yes or no", site.name);
            let odd = row.text(0).expect_err("a number").to_string();
            assert!(odd.contains("column id of a row holds a number, wanted text"), "{odd}");
        }
        assert_eq!(database.execute("DELETE FROM kinds", &[]), Ok(3), "{}", site.name);
    }
}

#[test]
fn a_transaction_is_kept_whole_or_not_at_all() {
    for site in databases() {
        let mut database = site.open();
        make_kinds(&site, &mut *database);
        let failed: Result<(), DatabaseError> = in_transaction(&mut *database, |database| {
            insert(database, 1, "first".into())?;
            insert(database, 1, "second".into()).map(|_| ())
        });
        let failed = failed.expect_err("a number taken twice");
        assert!(matches!(failed, DatabaseError::Refused { .. }), "{}: {failed}", site.name);
        assert_eq!(count(&mut *database, "kinds"), Ok(0), "{}", site.name);
        let kept: Result<u64, DatabaseError> =
            in_transaction(&mut *database, |database| insert(database, 1, "first".into()));
        assert_eq!(kept, Ok(1), "{}", site.name);
        assert_eq!(count(&mut *site.open(), "kinds"), Ok(1), "{}: for others, too", site.name);
    }
}

#[test]
fn a_server_cannot_keep_a_transaction_of_which_a_statement_failed_and_so_nobody_is_told_it_has() {
    let Some(site) = databases().pop().filter(|site| site.name == "PostgreSQL") else { return };
    let mut database = site.open();
    make_kinds(&site, &mut *database);
    let told: Result<(), DatabaseError> = in_transaction(&mut *database, |database| {
        insert(database, 1, Value::Null)?;
        let _ = insert(database, 1, Value::Null);
        Ok(())
    });
    let told = told.expect_err("the server forgets the first row, too").to_string();
    assert!(told.contains("a statement of the transaction has failed"), "{told}");
    assert_eq!(count(&mut *database, "kinds"), Ok(0));
}

#[test]
fn eight_writers_lose_no_update() {
    for site in databases() {
        site.open().execute_script(COUNTER).expect(site.name);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut database = site.open();
                    for _ in 0..25 {
                        in_transaction(&mut *database, one_more).expect(site.name);
                    }
                });
            }
        });
        let n = in_transaction(&mut *site.open(), one_more).expect(site.name);
        assert_eq!(n, 8 * 25 + 1, "{}", site.name);
    }
}

#[test]
fn work_that_others_were_in_the_way_of_is_done_anew_and_not_for_ever() {
    for site in databases() {
        let mut database = site.open();
        database.execute_script(COUNTER).expect(site.name);
        for (busy, wanted) in [(2, Ok(1)), (9, Err(true))] {
            let mut tries = 0;
            let done = in_transaction(&mut *database, |database| {
                tries += 1;
                let n = one_more(database)?;
                let said = || "somebody else was first".to_owned();
                match tries <= busy {
                    true => {
                        Err(DatabaseError::Busy { database: database.describe(), said: said() })
                    }
                    false => Ok(n),
                }
            });
            assert_eq!(done.map_err(|error| error.is_busy()), wanted, "{}", site.name);
            assert_eq!(tries, 3, "{}", site.name);
        }
        let n = in_transaction(&mut *database, one_more).expect(site.name);
        assert_eq!(n, 2, "{}: each try began from what was kept", site.name);
    }
}

#[test]
fn a_writer_who_finds_another_at_it_waits_and_is_told_when_that_takes_too_long() {
    // SQLite's time-out is 10 s and no setting; the server's is shortened for the test.
    let Some(mut site) = databases().pop().filter(|site| site.name == "PostgreSQL") else { return };
    site.url += "?options=-c%20lock_timeout%3D50ms";
    site.open().execute_script(COUNTER).expect("a table");
    let (mut first, mut second) = (site.open(), site.open());
    first.begin().expect("nobody writes");
    let busy = in_transaction(&mut *second, one_more).expect_err("the first has not ended");
    assert!(busy.is_busy(), "{busy}");
    one_more(&mut *first).expect("it holds the lock");
    first.commit().expect("kept");
    assert_eq!(in_transaction(&mut *second, one_more), Ok(2));
}

#[test]
fn one_who_writes_sees_what_was_kept_while_it_waited() {
    for site in databases() {
        site.open().execute_script(COUNTER).expect(site.name);
        let mut first = site.open();
        first.begin().expect(site.name);
        one_more(&mut *first).expect(site.name);
        thread::scope(|scope| {
            let (ready, opened) = mpsc::channel();
            let second = scope.spawn({
                let site = &site;
                move || {
                    let mut second = site.open();
                    ready.send(()).expect("somebody listens");
                    in_transaction(&mut *second, one_more)
                }
            });
            opened.recv().expect("it opens");
            first.commit().expect(site.name);
            assert_eq!(second.join().expect("no panic"), Ok(2), "{}", site.name);
        });
    }
}

#[test]
fn a_schema_is_made_once_however_many_begin_it() {
    for site in databases() {
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| schema::upgrade(&mut *site.open()).expect(site.name));
            }
        });
        let mut database = site.open();
        let steps = count(&mut *database, "schema_history").expect(site.name);
        assert!(steps > 0, "{}", site.name);
        schema::upgrade(&mut *database).expect(site.name);
        assert_eq!(count(&mut *database, "schema_history"), Ok(steps), "{}", site.name);
    }
}

#[test]
fn a_schema_of_a_newer_release_is_refused_with_both_versions() {
    for site in databases() {
        let mut database = site.open();
        schema::upgrade(&mut *database).expect(site.name);
        let known = count(&mut *database, "schema_history").expect(site.name);
        let sql = "INSERT INTO schema_history (version, name, sha256) VALUES (77, 'later', '')";
        database.execute(sql, &[]).expect(site.name);
        let refused = schema::upgrade(&mut *database).expect_err("a later schema").to_string();
        assert!(refused.contains("has schema 77"), "{}: {refused}", site.name);
        assert!(refused.contains(&format!("schemas up to {known}:")), "{}: {refused}", site.name);
    }
}

#[test]
fn a_schema_made_by_other_steps_is_refused() {
    for site in databases() {
        let mut database = site.open();
        schema::upgrade(&mut *database).expect(site.name);
        database.execute("UPDATE schema_history SET sha256 = 'ab12'", &[]).expect(site.name);
        let refused = schema::upgrade(&mut *database).expect_err("another schema").to_string();
        assert!(refused.contains("step 1 of its schema has hash ab12"), "{}: {refused}", site.name);
    }
}

#[test]
fn a_file_that_others_may_read_is_refused_and_ours_are_not() {
    let site = Site::sqlite();
    let path = site.folder.path().join("new/vault.db");
    let place = Place::parse(&format!("sqlite:{}", path.display()), None).expect("a place");
    let mode = |path: &std::path::Path| {
        fs::metadata(path).expect("it is there").permissions().mode() & 0o777
    };
    let mut database = place.open().expect("a new file");
    database.execute_script(COUNTER).expect("it may be written");
    for file in ["new/vault.db", "new/vault.db-wal", "new/vault.db-shm"] {
        assert_eq!(mode(&site.folder.path().join(file)), 0o600, "{file}");
    }
    assert_eq!(mode(path.parent().expect("a folder")), 0o700);
    fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).expect("it is ours");
    let refused = place.open().expect_err("the group may read it").to_string();
    assert!(refused.contains("others may read it (mode 0640, wanted 0600)"), "{refused}");
}

#[test]
fn a_file_is_set_to_outlive_a_power_cut_and_to_forget_what_is_erased() {
    let mut database = Site::sqlite().open();
    let mut setting = |name: &str| {
        let rows = database.query(&format!("PRAGMA {name}"), &[]).expect("a setting");
        rows[0].text(0).map(str::to_owned).or_else(|_| rows[0].integer(0).map(|n| n.to_string()))
    };
    for (name, wanted) in [
        ("journal_mode", "wal"),
        ("synchronous", "2"),
        ("foreign_keys", "1"),
        ("secure_delete", "1"),
        ("trusted_schema", "0"),
        ("cell_size_check", "1"),
    ] {
        assert_eq!(setting(name).as_deref(), Ok(wanted), "{name}");
    }
}

#[test]
fn a_scrubbed_log_is_empty_and_one_that_somebody_reads_is_said_to_be_busy() {
    let site = Site::sqlite();
    let mut writer = site.open();
    make_kinds(&site, &mut *writer);
    insert(&mut *writer, 1, "what nobody is to read any more".into()).expect("a row");
    let log = site.folder.path().join("vault.db-wal");
    assert!(fs::metadata(&log).expect("a log").len() > 0);
    // What a reader has begun to read it may go on to read.
    let mut reader = site.open();
    reader.execute_script("BEGIN").expect("begun");
    assert_eq!(count(&mut *reader, "kinds"), Ok(1));
    let busy = writer.scrub(&["kinds"]).expect_err("somebody reads");
    assert!(busy.is_busy(), "{busy}");
    drop(reader);
    writer.scrub(&["kinds"]).expect("nobody reads");
    assert_eq!(fs::metadata(&log).expect("a log").len(), 0);
}

#[test]
fn a_table_of_a_server_is_scrubbed_outside_of_a_transaction() {
    let Some(site) = databases().pop().filter(|site| site.name == "PostgreSQL") else { return };
    let mut database = site.open();
    make_kinds(&site, &mut *database);
    insert(&mut *database, 1, "soon erased".into()).expect("a row");
    database.execute("DELETE FROM kinds", &[]).expect("erased");
    database.scrub(&["kinds"]).expect("scrubbed");
    let sql = "SELECT pg_relation_size('kinds')";
    assert_eq!(database.query(sql, &[]).expect("a size")[0].integer(0), Ok(0), "no page is left");
}

#[test]
fn a_server_that_was_away_is_found_again_by_the_same_connection() {
    let Some(server) = Postgres::start_new() else { return };
    let mut database = Site::on(&server, "vault").open();
    database.execute_script(COUNTER).expect("a table");
    assert_eq!(in_transaction(&mut *database, one_more), Ok(1));
    server.stop();
    let gone = in_transaction(&mut *database, one_more).expect_err("nobody answers");
    assert!(matches!(gone, DatabaseError::Gone { .. }), "{gone}");
    assert!(gone.to_string().contains("vault at 127.0.0.1 port"), "{gone}");
    server.start();
    assert_eq!(in_transaction(&mut *database, one_more), Ok(2));
    // A question outside of a transaction may be asked twice: nobody notices that the server was away between.
    server.stop();
    server.start();
    assert_eq!(count(&mut *database, "counter"), Ok(1));
    // What was begun is lost with the connection, and is not half done on another.
    database.begin().expect("the server is there");
    assert_eq!(one_more(&mut *database), Ok(3));
    server.kill();
    server.start();
    let gone = one_more(&mut *database).expect_err("its transaction is gone");
    assert!(matches!(gone, DatabaseError::Gone { .. }), "{gone}");
    database.rollback();
    assert_eq!(in_transaction(&mut *database, one_more), Ok(3));
}

#[test]
fn who_may_not_enter_is_told_what_to_mend_and_no_password() {
    let Some(server) = shared_server() else { return };
    let mut site = Site::on(server, "vault");
    let wrong = site.folder.path().join("wrong");
    fs::write(&wrong, "battery staple\n").expect("a writable folder");
    site.password_file = Some(wrong);
    let refused = site.place().open().expect_err("the wrong password");
    assert!(matches!(refused, DatabaseError::Unusable { .. }), "{refused}");
    let refused = refused.to_string();
    assert!(refused.contains("password authentication failed"), "{refused}");
    assert!(!refused.contains("battery"), "{refused}");
    site.password_file = None;
    let refused = site.place().open().expect_err("no password").to_string();
    assert!(
        refused.contains("cannot be used") && refused.contains("password missing"),
        "{refused}"
    );
    site.password_file = Some(site.folder.path().join("nowhere"));
    let refused = site.place().open().expect_err("no file").to_string();
    assert!(refused.contains("store.password_file") && refused.contains("nowhere"), "{refused}");
    let refused = Site::on(server, "nothing").place().open().expect_err("no such database");
    assert!(matches!(refused, DatabaseError::Unusable { .. }), "{refused}");
    let socket = Place::parse(&server.socket_url("vault"), None).expect("a place");
    socket.open().expect("the socket asks for no password");
}
