//! A real PostgreSQL server of our own: made with `initdb` in a temporary folder, on a free port of loopback and a
//! socket in the folder. It and the folder go when whoever holds it does, however that ends.

use std::fs::{self, OpenOptions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::store::skip;

/// The role that owns the databases, and may no more than that; and its password over TCP.
const ROLE: &str = "sidetone";
const PASSWORD: &str = "correct horse";

/// A server, stopped or running.
#[derive(Debug)]
pub(crate) struct Postgres {
    folder: PathBuf,
    programs: PathBuf,
    port: u16,
    guardian: Child,
    /// A child of ours, so that one that was killed does not stay as a zombie, which its data would take for a
    /// server that still runs.
    running: Mutex<Option<Child>>,
}

impl Postgres {
    /// Starts a new one; says so if there is none to start.
    pub(crate) fn start_new() -> Option<Self> {
        let Some(programs) = programs() else {
            skip("no PostgreSQL server is installed (Debian: postgresql)");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder").keep();
        fs::write(folder.join("password"), format!("{PASSWORD}\n")).expect("a writable folder");
        give(&folder);
        let made = own(&programs.join("initdb"), &folder)
            .args(["--no-sync", "--username=postgres", "--auth-local=trust"])
            .args(["--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"])
            .arg("--pgdata")
            .arg(folder.join("data"))
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let guardian = guardian(&programs, &folder);
        let server =
            Self { folder, programs, port: free_port(), guardian, running: Mutex::default() };
        server.start();
        server.psql("postgres", &format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'"));
        server.create_database("vault");
        Some(server)
    }

    /// Starts it again, with what it holds, and waits until it answers.
    pub(crate) fn start(&self) {
        self.start_with(&[]);
    }

    /// Starts it with more options on its command line.
    pub(crate) fn start_with(&self, options: &[&str]) {
        let log = self.folder.join("log");
        loop {
            let output = OpenOptions::new().append(true).create(true).open(&log).expect("a log");
            let mut server = own(&self.programs.join("postgres"), &self.folder)
                .arg("-D")
                .arg(self.data())
                .arg("-k")
                .arg(&self.folder)
                .args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"])
                // In its folder, and gone with it: who is killed does not tidy up /dev/shm.
                .args(["-c", "dynamic_shared_memory_type=mmap"])
                .args(options)
                .stdout(output.try_clone().expect("a handle"))
                .stderr(output)
                .spawn()
                .expect("the server runs");
            let Some(ended) = self.until_ready(&mut server) else {
                *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
                return;
            };
            // Whose first process was killed leaves others, that go within moments, but not before they notice.
            let said = fs::read_to_string(&log).unwrap_or_default();
            let last = said.lines().rev().take(3).any(|line| line.contains("is still in use"));
            assert!(last, "{ended}\n{said}");
        }
    }

    /// Waits until the server answers; how it ended where it does not.
    fn until_ready(&self, server: &mut Child) -> Option<ExitStatus> {
        loop {
            if let Some(ended) = server.try_wait().expect("it is our child") {
                return Some(ended);
            }
            let mut ask = Command::new(self.programs.join("pg_isready"));
            ask.args(["-q", "-t", "10", "-p", &self.port.to_string(), "-h"]).arg(&self.folder);
            if ask.status().expect("it runs").success() {
                return None;
            }
            // Only the server knows when it is ready, and says so to who asks.
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it in order, and waits until it has; connections are ended.
    pub(crate) fn stop(&self) {
        self.end(Signal::INT);
    }

    /// Has it stop at once, without an order, as `pg_ctl stop -m immediate` does, and waits until it has.
    pub(crate) fn stop_at_once(&self) {
        self.end(Signal::QUIT);
    }

    /// Kills its first process by SIGKILL; the others notice, and go.
    pub(crate) fn kill(&self) {
        self.end(Signal::KILL);
    }

    fn end(&self, signal: Signal) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut server = running.expect("it runs until it is told to end");
        kill_process(Pid::from_child(&server), signal).expect("it is our child");
        server.wait().expect("it is our child");
    }

    /// The folder of its files.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Where it listens on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Puts a file that only the server may read into the folder of its data.
    pub(crate) fn install(&self, name: &str, content: &[u8]) {
        let path = self.data().join(name);
        fs::write(&path, content).expect("a writable folder");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("it is ours");
        self.give(&path);
    }

    /// Has `path`, and what is below it, belong to the server's user: it refuses to run as root.
    pub(crate) fn give(&self, path: &Path) {
        give(path);
    }

    /// Where the database `name` is, for `store.database`; the password is in [`Postgres::password_file`].
    pub(crate) fn url(&self, name: &str) -> String {
        format!("postgres://{ROLE}@127.0.0.1:{}/{name}", self.port)
    }

    /// The same by the socket in its folder, which asks for no password.
    pub(crate) fn socket_url(&self, name: &str) -> String {
        let folder = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://{ROLE}@{folder}:{}/{name}", self.port)
    }

    /// A file with the password over TCP.
    pub(crate) fn password_file(&self) -> PathBuf {
        self.folder.join("password")
    }

    /// Makes an empty database that belongs to the role.
    pub(crate) fn create_database(&self, name: &str) {
        self.psql("postgres", &format!("CREATE DATABASE {name} OWNER {ROLE}"));
    }

    /// Does `sql` in the database `name` as the server's administrator; what it answered, a line a row.
    pub(crate) fn psql(&self, name: &str, sql: &str) -> String {
        let done = Command::new(self.programs.join("psql"))
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", name, "-c", sql])
            .args(["-p", &self.port.to_string(), "-h"])
            .arg(&self.folder)
            .output()
            .expect("psql runs");
        assert!(done.status.success(), "{sql}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).expect("UTF-8").trim().to_owned()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.running.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            self.stop_at_once();
        }
        drop(self.guardian.stdin.take());
        let _ = self.guardian.wait();
    }
}

/// Stops the server and removes its folder once its standard input ends: with the test, were that killed.
fn guardian(programs: &Path, folder: &Path) -> Child {
    let script = "trap '' INT TERM HUP; cat; \
        cd \"$1\" && ${3:+setpriv --reuid=postgres --regid=postgres --clear-groups} \
        \"$0\" stop -m immediate --wait --silent --pgdata \"$1/data\"; cd /; rm -rf \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(programs.join("pg_ctl")).arg(folder).arg("");
    if is_root() {
        command.arg("as root");
    }
    let quiet = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // What a terminal sends to the test's group does not reach it.
    quiet.process_group(0).spawn().expect("a shell")
}

/// `program` as the user whose data it is, in a folder that this user may enter.
fn own(program: &Path, folder: &Path) -> Command {
    let mut command = match is_root() {
        true => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
            command
        }
        false => Command::new(program),
    };
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// A port of loopback that nobody uses. Somebody may take it before the server does; the kernel does not deal it
/// out again soon.
fn free_port() -> u16 {
    let bound = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
    bound.local_addr().expect("bound").port()
}

fn give(path: &Path) {
    if is_root() {
        let owned = Command::new("chown").args(["-R", "postgres:"]).arg(path).status();
        assert!(owned.expect("chown runs").success(), "the package made its user");
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Where the newest installed release has its programs: Debian keeps the server's out of `PATH`.
fn programs() -> Option<PathBuf> {
    let releases = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> = releases
        .filter(|release| release.path().join("bin/initdb").is_file())
        .filter_map(|release| Some((release.file_name().to_str()?.parse().ok()?, release.path())))
        .collect::<Vec<(u32, PathBuf)>>();
    found.sort();
    let (_, newest) = found.pop()?;
    Some(newest.join("bin"))
}
