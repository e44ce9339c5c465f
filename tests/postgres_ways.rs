//! How a connection to a server is made, protected and lost: a real server, TLS by an authority of ours, and a network
//! that fails at the worst moment.
#![expect(clippy::disallowed_methods, reason = "a test runs threads and reads the disk")]

#[path = "peers/authority.rs"]
mod authority;
mod databases;
#[expect(dead_code, reason = "no models are asked for here")]
mod store;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use authority::Authority;
use databases::Site;
use databases::postgres::Postgres;
use sidetone::runtime::store::database::{Database, DatabaseError, in_transaction};

fn one_more(database: &mut dyn Database) -> Result<(), DatabaseError> {
    database.execute("UPDATE counter SET n = n + 1", &[]).map(|_| ())
}

fn counted(database: &mut dyn Database) -> i64 {
    database.query("SELECT n FROM counter", &[]).expect("it is there")[0]
        .integer(0)
        .expect("a number")
}

#[test]
fn a_server_is_who_its_certificate_says_and_nobody_hears_what_it_is_told() {
    let Some(server) = Postgres::start_new() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    Authority::new(folder.path());
    let stranger = folder.path().join("authorities.pem");
    fs::rename(&stranger, folder.path().join("stranger.pem")).expect("a writable folder");
    let stranger = folder.path().join("stranger.pem");
    let authority = Authority::new(folder.path());
    authority.issue("server", "localhost", 2099);
    server.install("server.crt", &fs::read(folder.path().join("server.crt")).expect("issued"));
    server.install("server.key", &fs::read(folder.path().join("server.key")).expect("issued"));
    server.stop();
    server.start_with(&["-c", "ssl=on"]);

    let authorities = folder.path().join("authorities.pem");
    let mut site = Site::on(&server, "vault");
    let by = |host: &str, rest: String| server.url("vault").replace("127.0.0.1", host) + &rest;
    let good = format!("?sslmode=verify-full&sslrootcert={}", authorities.display());
    site.url = by("localhost", good.clone());
    let mut database = site.open();
    let sql = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl";
    let version = database.query(sql, &[]).expect("an answer");
    assert_eq!(version[0].text(0), Ok("TLSv1.3"));

    // `require` of other clients checks nothing.
    let unknown = format!("?sslmode=require&sslrootcert={}", stranger.display());
    for (url, wanted) in
        [(by("localhost", unknown), "BadSignature"), (by("127.0.0.1", good), "not valid for name")]
    {
        site.url = url;
        let refused = site.place().open().expect_err("another's certificate");
        assert!(matches!(refused, DatabaseError::Unusable { .. }), "{refused:?}");
        assert!(refused.to_string().contains(wanted), "{refused}");
    }
}

/// Between a client and a server: once it is told to, it lets a commit through, and then nothing more.
struct Network {
    port: u16,
    cut: Arc<AtomicBool>,
}

impl Network {
    fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
        let port = listener.local_addr().expect("bound").port();
        let cut = Arc::new(AtomicBool::new(false));
        let cutting = Arc::clone(&cut);
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a connection");
                let server = TcpStream::connect(("127.0.0.1", server)).expect("it listens");
                let ends = (client.try_clone(), server.try_clone());
                let (back, forth) = (ends.0.expect("a handle"), ends.1.expect("a handle"));
                let cutting = Arc::clone(&cutting);
                thread::spawn(move || carry(client, forth, Some(&cutting)));
                thread::spawn(move || carry(server, back, None));
            }
        });
        Self { port, cut }
    }
}

/// Carries what `from` sends; what follows a commit that is to be the last thing heard is not carried.
fn carry(mut from: TcpStream, mut to: TcpStream, cut: Option<&AtomicBool>) {
    let mut bytes = [0; 65536];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        let commits = bytes[..count].windows(7).any(|bytes| bytes == b"COMMIT\0");
        let last = commits && cut.is_some_and(|cut| cut.swap(false, Ordering::SeqCst));
        if last {
            // The client's side first, so that it cannot hear the answer.
            let _ = from.shutdown(Shutdown::Both);
        }
        if to.write_all(&bytes[..count]).is_err() || last {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

#[test]
fn a_commit_of_which_the_answer_is_lost_is_asked_for_and_not_done_twice() {
    let Some(server) = Postgres::start_new() else { return };
    let mut site = Site::on(&server, "vault");
    let network = Network::to(server.port());
    site.url = server.url("vault").replace(&server.port().to_string(), &network.port.to_string());
    let mut database = site.open();
    let counter = "CREATE TABLE counter (n BIGINT NOT NULL); INSERT INTO counter (n) VALUES (0)";
    database.execute_script(counter).expect("a table");
    network.cut.store(true, Ordering::SeqCst);
    in_transaction(&mut *database, one_more).expect("kept, as the server says when it is asked");
    assert!(!network.cut.load(Ordering::SeqCst), "the answer was lost");
    assert_eq!(counted(&mut *database), 1);

    // Where a checkpoint lies between, the number might be another's: that is said, and the caller has to look.
    database.begin().expect("the server is there");
    one_more(&mut *database).expect("done");
    server.psql("vault", "CHECKPOINT");
    network.cut.store(true, Ordering::SeqCst);
    let doubt = database.commit().expect_err("nobody can know");
    assert!(matches!(doubt, DatabaseError::InDoubt { .. }), "{doubt}");
    assert_eq!(counted(&mut *database), 2);
}

#[test]
fn a_commit_that_never_arrived_is_known_not_to_be_kept() {
    let Some(server) = Postgres::start_new() else { return };
    let mut database = Site::on(&server, "vault").open();
    let counter = "CREATE TABLE counter (n BIGINT NOT NULL); INSERT INTO counter (n) VALUES (0)";
    database.execute_script(counter).expect("a table");
    database.begin().expect("the server is there");
    one_more(&mut *database).expect("done");
    let sql = "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity \
        WHERE usename = 'sidetone'";
    assert_eq!(server.psql("vault", sql), "1");
    let gone = database.commit().expect_err("the server has ended the transaction");
    assert!(matches!(gone, DatabaseError::Gone { .. }), "{gone}");
    database.rollback();
    assert_eq!(counted(&mut *database), 0);
    in_transaction(&mut *database, one_more).expect("kept");
    assert_eq!(counted(&mut *database), 1);
}
