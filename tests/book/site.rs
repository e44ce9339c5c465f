//! Where the handbook's commands are run: a machine on which sidetone is installed, in a folder.
//!
//! What the handbook calls `/etc/sidetone`, `/var/lib/sidetone` and `/mnt/backup` lies in that folder, and the ports
//! that it names are free ones; this is put in place before a command runs, and taken back in what it says.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use sidetone::audio::g711;
use tempfile::TempDir;

use crate::appliance::{RATE, wait_for, write_wav};
use crate::databases::postgres::Postgres;
use crate::peers::asterisk::{Asterisk, Release};
use crate::peers::{free_port, installed, office};
use crate::wire;

/// Longest wait for the appliance: two orders of magnitude above what it takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Folders of the handbook that lie in the site's.
const FOLDERS: &[&str] = &["/etc/sidetone", "/var/lib/sidetone", "/mnt/backup"];
/// Where the handbook's words are typed.
const HOME: &str = "home";

/// What makes a site `enrolled`.
const ENROL: &str =
    "sidetone enroll --subject customer-4711 --consent ivr-2026-11-23/88 customer-4711.wav";
/// Where the vault and its key are.
const VAULT: [&str; 2] = ["/var/lib/sidetone/vault.db", "/etc/sidetone/store.key"];
/// Those of a site at which that was done.
static ENROLLED: OnceLock<[Vec<u8>; 2]> = OnceLock::new();

/// A machine with sidetone.
#[derive(Debug)]
pub(crate) struct Site {
    folder: TempDir,
    /// What the handbook says, and what is put in its place.
    instead: Vec<(String, String)>,
    appliance: Option<Child>,
    server: Option<Postgres>,
    asterisk: Option<Asterisk>,
}

impl Site {
    /// As `make install` leaves one, with files at hand; `words` say what else is so.
    pub(crate) fn new(store: &Path, words: &[String]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().to_str().expect("UTF-8").to_owned();
        for name in FOLDERS.iter().chain(&["/bin", "/home"]) {
            fs::create_dir_all(format!("{root}{name}")).expect("a writable folder");
        }
        symlink(env!("CARGO_BIN_EXE_sidetone"), format!("{root}/bin/sidetone")).expect("a link");
        symlink(store, format!("{root}/var/lib/sidetone/models")).expect("a link");
        let config = std::path::absolute("config").expect("a working directory");
        symlink(config, format!("{root}/home/config")).expect("a link");
        let mut instead: Vec<_> =
            FOLDERS.iter().map(|name| ((*name).to_owned(), format!("{root}{name}"))).collect();
        for port in [5090, 9464] {
            instead.push((format!("127.0.0.1:{port}"), format!("127.0.0.1:{}", free_port())));
        }
        let mut site = Self { folder, instead, appliance: None, server: None, asterisk: None };
        for name in ["sidetone.toml", "policy.toml", "policy.de.toml"] {
            let shipped = fs::read_to_string(format!("config/{name}")).expect("it is shipped");
            site.write(&format!("/etc/sidetone/{name}"), &site.real(&shipped));
        }
        site.lay_out(store);
        let has = |word: &str| words.iter().any(|other| other == word);
        let known = ["serving", "enrolled", "PostgreSQL", "Asterisk"];
        let unknown = words.iter().find(|word| !known.contains(&word.as_str()));
        assert_eq!(unknown, None, "a site can be {known:?}");
        if has("PostgreSQL") {
            site.use_postgres();
        }
        if has("Asterisk") {
            site.have_asterisk_as_peer();
        }
        match has("enrolled") && site.server.is_none() {
            true => site.take_over(ENROLLED.get_or_init(|| Self::new(store, &[]).enrol_and_give())),
            false => site.must_run("sidetone vault init"),
        }
        if has("enrolled") && site.server.is_some() {
            site.must_run(ENROL);
        }
        if has("serving") {
            site.start();
        }
        if has("Asterisk") {
            site.start_asterisk();
        }
        site
    }

    /// Enrols, and gives vault and key away, for sites to come: it is the models that take their time.
    fn enrol_and_give(self) -> [Vec<u8>; 2] {
        self.must_run(ENROL);
        VAULT.map(|file| fs::read(self.real(file)).expect("the site's own"))
    }

    fn take_over(&self, files: &[Vec<u8>; 2]) {
        for (file, (bytes, mode)) in VAULT.into_iter().zip(files.iter().zip([0o600, 0o400])) {
            let file = self.real(file);
            fs::write(&file, bytes).expect("a writable folder");
            fs::set_permissions(&file, Permissions::from_mode(mode)).expect("it is ours");
        }
    }

    /// What a reader has at hand, by the names that the handbook gives it.
    fn lay_out(&self, store: &Path) {
        let recording = |name: &str| {
            let file = store.join("recordings").join(name).with_extension("wav");
            sidetone::runtime::audio_file::read_mono(&file, RATE).expect("a recording")
        };
        let home = self.home();
        let narrator = recording("two_cities");
        let (enrolled, later) = narrator.split_at(20 * RATE as usize);
        write_wav(&home.join("customer-4711.wav"), enrolled);
        write_wav(&home.join("weeks-later.wav"), later);
        write_wav(&home.join("too-short.wav"), &enrolled[..3 * RATE as usize]);
        write_wav(&home.join("somebody-else.wav"), &recording("endgame_nagg_nell"));
        let mut capture = wire::Capture::new(wire::ETHERNET);
        for (n, chunk) in (0u16..).zip(later.chunks_exact(160)) {
            let samples = sidetone::audio::pcm::to_i16(chunk);
            let payload: Vec<u8> = samples.into_iter().map(g711::encode_ulaw).collect();
            let packet = wire::rtp(0, 7, n, 160, &payload);
            let packet = wire::datagram(wire::v4(1, 4000), wire::v4(2, 20_000), &packet);
            capture.push(20 * u32::from(n), &wire::frame(wire::ETHERNET, &[], &packet));
        }
        fs::write(home.join("call.pcap"), &capture.bytes).expect("a writable folder");
    }

    /// Has the vault in a server of its own, where one can be started.
    fn use_postgres(&mut self) {
        let Some(server) = Postgres::start_new() else { return };
        let password = fs::read_to_string(server.password_file()).expect("the server has one");
        let file = self.real("/etc/sidetone/store.password");
        fs::write(&file, &password).expect("a writable folder");
        fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("it is ours");
        let login = format!("127.0.0.1:{}:*:sidetone:{}\n", server.port(), password.trim_end());
        let logins = self.real("/etc/sidetone/pgpass");
        fs::write(&logins, login).expect("a writable folder");
        fs::set_permissions(&logins, Permissions::from_mode(0o600)).expect("it is ours");
        self.instead.push(("5432".to_owned(), server.port().to_string()));
        let url = format!("postgres://sidetone@127.0.0.1:{}/vault", server.port());
        let change = format!("[store]\ndatabase = {url:?}\npassword_file = \"store.password\"\n");
        self.change("/etc/sidetone/sidetone.toml", &change);
        self.server = Some(server);
    }

    /// Whether it has what not every machine has.
    pub(crate) fn has(&self, what: &str) -> bool {
        match what {
            "PostgreSQL" => self.server.is_some(),
            "Asterisk" => self.asterisk.is_some(),
            "Prometheus" => installed("promtool", "prometheus"),
            "Alertmanager" => installed("amtool", "prometheus-alertmanager"),
            _ => false,
        }
    }

    /// Takes the recipe's peer in place of the one that is shipped.
    fn have_asterisk_as_peer(&self) {
        self.change("/etc/sidetone/sidetone.toml", &office::recipe("sidetone_peer.toml"));
    }

    /// Starts an Asterisk that loads the recipes, where one can be had, and waits until it knows us.
    fn start_asterisk(&mut self) {
        let port = free_port();
        let (manager, ari, other) = (free_port(), free_port(), free_port());
        let instead = [
            ("127.0.0.1:5090", self.real("127.0.0.1:5090")),
            ("127.0.0.1:5091", format!("127.0.0.1:{other}")),
            ("127.0.0.1:5061", format!("127.0.0.1:{other}")),
            ("port = 5038", format!("port = {manager}")),
            ("bindport = 8088", format!("bindport = {ari}")),
            ("@PORT@", port.to_string()),
            ("@AGENT@", free_port().to_string()),
            ("@SUBJECT@", "customer-4711".to_owned()),
            ("@ENDPOINT@", "pjsip_sidetone".to_owned()),
        ];
        let files = office::files(&instead);
        let Some(asterisk) = Asterisk::start_with(Release::Current, port, &files, &[]) else {
            return;
        };
        let script = self.folder.path().join("bin/asterisk");
        fs::write(&script, asterisk.script()).expect("a writable folder");
        fs::set_permissions(&script, Permissions::from_mode(0o755)).expect("it is ours");
        // It would ask by itself, some time within a minute.
        asterisk.cli("pjsip qualify sidetone");
        wait_for("Asterisk to know sidetone", || asterisk.reaches("sidetone").then_some(()));
        self.asterisk = Some(asterisk);
    }

    /// Where something of the handbook is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.real(name).into()
    }

    /// Where the commands are typed.
    fn home(&self) -> PathBuf {
        self.folder.path().join(HOME)
    }

    /// A text of the handbook as it holds here.
    fn real(&self, text: &str) -> String {
        self.instead.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    /// What was said here, as the handbook would.
    fn documented(&self, text: &str) -> String {
        self.instead.iter().fold(text.to_owned(), |text, (to, from)| text.replace(from, to))
    }

    /// Writes a file of the handbook.
    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.home().join(self.real(name));
        fs::write(&path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Has a file of TOML say what `change` does, and as before whatever it does not.
    pub(crate) fn change(&self, name: &str, change: &str) {
        let path = self.real(name);
        let before = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let parse =
            |text: &str| text.parse::<toml::Table>().unwrap_or_else(|error| panic!("{error}"));
        let mut all = parse(&before);
        merge(&mut all, parse(&self.real(change)));
        self.write(name, &all.to_string());
    }

    /// Runs lines of shell to their end: exit code, standard output, and standard error.
    pub(crate) fn run(&self, script: &str) -> (Option<i32>, String, String) {
        let mut shell = self.shell();
        let output = shell.args(["-euc", &self.real(script)]).output().expect("a shell");
        let Output { status, stdout, stderr } = output;
        let [out, err] =
            [stdout, stderr].map(|bytes| self.documented(&String::from_utf8_lossy(&bytes)));
        (status.code(), out, err)
    }

    fn must_run(&self, script: &str) {
        let (code, out, err) = self.run(script);
        assert_eq!(code, Some(0), "{script}: {out}{err}");
    }

    fn shell(&self) -> Command {
        let mut shell = Command::new("sh");
        shell.current_dir(self.home()).stdin(Stdio::null()).env_clear();
        let path = std::env::var("PATH").unwrap_or_default();
        let root = self.folder.path().display();
        shell.env("PATH", format!("{root}/bin:{path}")).env("HOME", self.home());
        shell.env("SIDETONE_CONFIG", self.real("/etc/sidetone/sidetone.toml"));
        shell.env("TZ", "UTC").env("LC_ALL", "C.UTF-8");
        if let Some(server) = &self.server {
            shell.env("PGHOST", "127.0.0.1").env("PGPORT", server.port().to_string());
            shell.env("PGUSER", "sidetone").env("PGPASSFILE", self.real("/etc/sidetone/pgpass"));
        }
        shell
    }

    /// Does to the appliance what `systemctl start | stop | restart | reload sidetone` would; what else one may ask of a
    /// unit changes nothing.
    pub(crate) fn control(&mut self, verb: &str) -> Result<(), String> {
        let runs = self.appliance.is_some();
        match verb {
            "start" if runs => return Err("it is started, and runs already".to_owned()),
            "stop" | "reload" if !runs => return Err(format!("{verb}: it does not run by then")),
            "start" => self.start(),
            "stop" => self.stop(),
            "restart" => {
                if runs {
                    self.stop();
                }
                self.start();
            }
            "reload" => self.signal("HUP"),
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self) {
        let log = fs::File::create(self.folder.path().join("log")).expect("a writable folder");
        let mut serve = self.shell();
        serve.args(["-c", "exec sidetone serve"]).stdout(Stdio::null()).stderr(log);
        let mut child = serve.spawn().expect("a shell");
        let until = Instant::now() + PATIENCE;
        while !self.is_ready() {
            let ended = child.try_wait().expect("a child");
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(ended.is_none() && Instant::now() < until, "it does not serve: {}", log());
            thread::sleep(Duration::from_millis(20));
        }
        self.appliance = Some(child);
    }

    fn is_ready(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.real("127.0.0.1:9464")) else { return false };
        let mut answer = String::new();
        let asked = stream.write_all(b"GET /ready HTTP/1.0\r\nHost: localhost\r\n\r\n");
        asked.and_then(|()| stream.read_to_string(&mut answer)).is_ok()
            && answer.split(' ').nth(1) == Some("200")
    }

    fn stop(&mut self) {
        self.signal("TERM");
        let ended = self.appliance.take().map(|mut child| child.wait().expect("a child"));
        assert!(ended.is_some_and(|status| status.success()), "it stops in order");
    }

    fn signal(&self, name: &str) {
        let child = self.appliance.as_ref().expect("the chapter has it run by then");
        let (kill, id) = (format!("kill -{name} \"$0\""), child.id().to_string());
        let sent = Command::new("sh").args(["-c", &kill, &id]).status();
        assert!(sent.expect("a shell").success(), "it lives until it is told to end");
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(mut child) = self.appliance.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Puts what `change` says into `all`, table by table.
fn merge(all: &mut toml::Table, change: toml::Table) {
    for (key, value) in change {
        match (all.get_mut(&key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(change)) => merge(inner, change),
            (_, value) => {
                all.insert(key, value);
            }
        }
    }
}
