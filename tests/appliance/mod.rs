//! The built binary at work: its folder, the running `sidetone serve`, what it says and counts.
#![allow(
    dead_code,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "every test takes what it needs of this; it reads disk and clock; a skipped test says why"
)]

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Whom the callers claim to be.
pub(crate) const SUBJECT: &str = "narrator";
/// A token for everything, where a site's API is open.
pub(crate) const TOKEN: &str = "sdt_an-administrator-of-a-site-for-tests";
/// What it listens on.
pub(crate) const LISTEN: &str = "\"udp:127.0.0.1:0\", \"tcp:127.0.0.1:0\"";
/// Rate of telephone audio, Hz.
pub(crate) const RATE: u32 = 8_000;
/// Rest of two_cities.wav from here on is played; the narrator is enrolled on what is before.
const ENROLMENT_S: usize = 20;
/// Longest wait for anything that has to happen: two orders of magnitude above what it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `happened` gives something; fails with `what` if it never does.
pub(crate) fn wait_for<T>(what: &str, mut happened: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = happened() {
            return value;
        }
        assert!(Instant::now() < until, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A folder with a good configuration on loopback, and an empty environment for the binary.
#[derive(Debug)]
pub(crate) struct Site {
    folder: TempDir,
    store: PathBuf,
}

impl Site {
    /// A site that uses the models in `store`; every port is any free one.
    pub(crate) fn new(store: &Path) -> Self {
        let site = Self { folder: tempfile::tempdir().expect("a folder"), store: store.to_owned() };
        site.write("policy.toml", include_str!("../../config/policy.toml"));
        site.write("sidetone.toml", site.config());
        let key = site.write("store.key", "11".repeat(32));
        std::fs::set_permissions(key, Permissions::from_mode(0o400)).expect("our file");
        site
    }

    /// The text of its configuration.
    pub(crate) fn config(&self) -> String {
        let shipped = include_str!("../../config/sidetone.toml");
        let store = format!("{:?}", self.store.display().to_string());
        [
            ("\"udp:127.0.0.1:5090\", \"tcp:127.0.0.1:5090\"", LISTEN),
            ("\"127.0.0.1:9464\"", "\"127.0.0.1:0\""),
            ("\"/var/lib/sidetone/models\"", &store),
            ("\"sqlite:/var/lib/sidetone/vault.db\"", "\"sqlite:vault.db\""),
            ("\"/etc/sidetone/store.key\"", "\"store.key\""),
            ("\"/var/lib/sidetone/audit.anchors\"", "\"audit.anchors\""),
        ]
        .iter()
        .fold(shipped.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "the shipped configuration has {from}");
            text.replace(from, to)
        })
    }

    /// Puts a file into the folder.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("a writable folder");
        path
    }

    /// Writes the configuration with `from` replaced by `to`.
    pub(crate) fn configure(&self, from: &str, to: &str) {
        let text = self.config();
        assert!(text.contains(from), "the configuration has {from}");
        self.write("sidetone.toml", text.replace(from, to));
    }

    /// Its configuration with an API, which [`TOKEN`] opens.
    pub(crate) fn open_api(&self) -> String {
        self.write("api.token", format!("{TOKEN}\n"));
        self.write("tokens.toml", token("tests", "admin", TOKEN));
        let (config, closed) = (self.config(), "# tokens_file = \"tokens.toml\"");
        assert!(config.contains(closed), "the configuration has {closed}");
        config.replace(closed, &closed[2..])
    }

    /// A place in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The binary with `arguments`, in the folder, knowing where its configuration is.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        // `make load` names the release build: what costs CPU is measured on that.
        let built = std::env::var_os("SIDETONE_BINARY");
        let built = built.unwrap_or_else(|| env!("CARGO_BIN_EXE_sidetone").into());
        let mut command = Command::new(built);
        command.args(arguments).current_dir(self.folder.path());
        for name in ["SIDETONE_MODELS", "SIDETONE_LOG", "ORT_DYLIB_PATH", "RUST_BACKTRACE"] {
            command.env_remove(name);
        }
        command.env("SIDETONE_CONFIG", "sidetone.toml").env("SIDETONE_TOKEN_FILE", "api.token");
        command.stdin(Stdio::null());
        command
    }

    /// Runs the binary to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary runs")
    }

    /// The rest of two_cities.wav, which is not enrolled, at [`RATE`].
    pub(crate) fn narrator(&self) -> Vec<f32> {
        self.two_cities().split_off(ENROLMENT_S * RATE as usize)
    }

    /// Enrols [`SUBJECT`] on the first part of two_cities.wav.
    pub(crate) fn enroll(&self) {
        let mut samples = self.two_cities();
        samples.truncate(ENROLMENT_S * RATE as usize);
        write_wav(&self.path("enrolment.wav"), &samples);
        let enrolled =
            self.run(&["enroll", "--subject", SUBJECT, "--consent", "c-1", "enrolment.wav"]);
        assert!(enrolled.status.success(), "{enrolled:?}");
    }

    /// All of two_cities.wav at [`RATE`].
    pub(crate) fn two_cities(&self) -> Vec<f32> {
        self.recording("two_cities")
    }

    /// One of the fetched recordings, at [`RATE`].
    pub(crate) fn recording(&self, name: &str) -> Vec<f32> {
        let file = self.store.join("recordings").join(name).with_extension("wav");
        sidetone::runtime::audio_file::read_mono(&file, RATE).expect("a recording")
    }
}

/// The lines of a tokens' file for `secret`.
pub(crate) fn token(name: &str, role: &str, secret: &str) -> String {
    use sha2::Digest as _;
    let hash = hex::encode(sha2::Sha256::digest(secret));
    format!("[[token]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{hash}\"\n")
}

/// The sentence of a refusal.
pub(crate) fn detail(problem: &str) -> String {
    let problem: serde_json::Value = serde_json::from_str(problem).expect("a problem is JSON");
    problem["detail"].as_str().expect("a sentence").to_owned()
}

/// Writes samples at [`RATE`] as a recording.
pub(crate) fn write_wav(file: &Path, samples: &[f32]) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(file, spec).expect("a writable folder");
    for sample in sidetone::audio::pcm::to_i16(samples) {
        wav.write_sample(sample).expect("a writable folder");
    }
    wav.finalize().expect("a writable folder");
}

/// A running `sidetone serve`.
#[derive(Debug)]
pub(crate) struct Appliance {
    child: Child,
    /// Where it answers SIP over UDP.
    pub(crate) sip: SocketAddr,
    /// Where it answers SIP over TCP.
    pub(crate) tcp: SocketAddr,
    /// Where it answers SIP over TLS, if it does.
    pub(crate) tls: Option<SocketAddr>,
    /// Where it answers HTTP.
    pub(crate) http: SocketAddr,
    /// Asks it where that is over TLS.
    over_tls: Option<ureq::Agent>,
    /// From its start to its first "ready" on `/ready`.
    pub(crate) ready_after: Duration,
    output: Lines,
    log: Lines,
}

impl Appliance {
    /// Starts `sidetone serve` on `site` and waits until `/ready` says so.
    pub(crate) fn start(site: &Site) -> Self {
        Self::start_with(site, &[])
    }

    /// The same with variables of its environment.
    pub(crate) fn start_with(site: &Site, environment: &[(&str, &str)]) -> Self {
        Self::start_as(site, environment, None)
    }

    /// The same where it answers HTTP over TLS as `localhost`, with a certificate of the site's authority.
    pub(crate) fn start_over_tls(site: &Site) -> Self {
        Self::start_over_tls_with(site, &[])
    }

    /// The same with variables of its environment.
    pub(crate) fn start_over_tls_with(site: &Site, environment: &[(&str, &str)]) -> Self {
        let authorities = site.path("authorities.pem");
        let trusting =
            sidetone::runtime::notify::http_client::trusting("authorities", &authorities);
        let agent = ureq::Agent::config_builder().http_status_as_error(false);
        let agent = agent.tls_config(trusting.expect("an authority")).build().new_agent();
        Self::start_as(site, environment, Some(agent))
    }

    /// The same by another program, which becomes `sidetone serve` after its own `arguments`.
    pub(crate) fn start_by(site: &Site, program: &str, arguments: &[&str]) -> Self {
        let serve = site.command(&["serve"]);
        let mut command = Command::new(program);
        command.args(arguments).arg(serve.get_program()).args(serve.get_args());
        for (name, value) in serve.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.current_dir(site.folder.path()).stdin(Stdio::null());
        Self::run(command, None)
    }

    fn start_as(site: &Site, environment: &[(&str, &str)], over_tls: Option<ureq::Agent>) -> Self {
        let mut command = site.command(&["serve"]);
        command.envs(environment.iter().copied());
        Self::run(command, over_tls)
    }

    fn run(mut command: Command, over_tls: Option<ureq::Agent>) -> Self {
        let start = Instant::now();
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let output = Lines::of(child.stdout.take().expect("a pipe"));
        let log = Lines::of(child.stderr.take().expect("a pipe"));
        let (sip, tcp, tls, http) = wait_for("a line that tells the ports", || {
            if let Some(status) = child.try_wait().expect("a child") {
                panic!("{status}: {:?}", log.so_far());
            }
            let lines = log.so_far();
            let line = lines.iter().find(|line| line.contains(" ready "))?;
            let sockets: String = word(line, "sip=")?;
            let socket = |transport: &str| {
                sockets.split(',').find_map(|s| s.strip_prefix(transport)?.parse().ok())
            };
            Some((socket("udp:")?, socket("tcp:")?, socket("tls:"), word(line, "http=")?))
        });
        let mut appliance =
            Self { child, sip, tcp, tls, http, over_tls, ready_after: Duration::ZERO, output, log };
        wait_for("/ready", || appliance.get("/ready").filter(|(status, _)| *status == 200));
        appliance.ready_after = start.elapsed();
        appliance
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its verdicts so far, as they stand on standard output: those about what was said and who said
    /// it.
    pub(crate) fn verdicts(&self) -> Vec<serde_json::Value> {
        self.told(false)
    }

    /// Its verdicts so far about the parties' lines.
    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        self.told(true)
    }

    fn told(&self, about_lines: bool) -> Vec<serde_json::Value> {
        let read = |line: &String| -> serde_json::Value {
            serde_json::from_str(line).expect("a line is JSON")
        };
        let all = self.output.so_far();
        all.iter().map(read).filter(|told| (told["kind"] == "line") == about_lines).collect()
    }

    /// Its log so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.so_far()
    }

    /// Status and body of an HTTP resource; `None` if nobody answers.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        self.get_with(path, "")
    }

    /// The same, asked in the clear with these header lines, which end in CRLF each.
    pub(crate) fn get_with(&self, path: &str, headers: &str) -> Option<(u16, String)> {
        if let Some(agent) = &self.over_tls {
            let url = format!("https://localhost:{}{path}", self.http.port());
            let mut answer = agent.get(url).call().ok()?;
            let body = answer.body_mut().read_to_string().ok()?;
            return Some((answer.status().as_u16(), body));
        }
        let mut stream = TcpStream::connect(self.http).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).expect("a valid time");
        write!(stream, "GET {path} HTTP/1.0\r\nHost: sidetone\r\n{headers}\r\n").ok()?;
        answer(&mut stream)
    }

    /// Status and body of the answer to a POST that bears `token`.
    pub(crate) fn post(&self, path: &str, token: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.http).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a valid time");
        write!(
            stream,
            "POST {path} HTTP/1.0\r\nHost: sidetone\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("a request");
        answer(&mut stream).expect("an answer")
    }

    /// Sends the signal of that name.
    pub(crate) fn signal(&self, name: &str) {
        let (kill, id) = (format!("kill -{name} \"$0\""), self.id().to_string());
        let sent = Command::new("sh").args(["-c", &kill, &id]).status();
        assert!(sent.expect("a shell").success(), "it lives until it is told to end");
    }

    /// The value of a metric, labels and all; 0 while it has none.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics").expect("an answer");
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// The sum of a metric over all of its labels.
    pub(crate) fn metric_sum(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics").expect("an answer");
        let values = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        values
            .map(|l| l.rsplit(' ').next().expect("a value").parse::<f64>().expect("a number"))
            .sum()
    }

    /// Waits until a metric has a value.
    pub(crate) fn wait_for_metric(&self, name: &str, wanted: f64) {
        let mut found = f64::NAN;
        let until = Instant::now() + PATIENCE;
        while found != wanted {
            assert!(Instant::now() < until, "{name} is {found}, wanted {wanted}");
            thread::sleep(Duration::from_millis(20));
            found = self.metric(name);
        }
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) fn stop(self) -> Stopped {
        self.signal("TERM");
        self.ended()
    }

    /// Waits for the end of an appliance that was told of it.
    pub(crate) fn ended(mut self) -> Stopped {
        let status = wait_for("its end", || self.child.try_wait().expect("a child"));
        Stopped { status, output: self.output.all(), log: self.log.all() }
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        // After `stop`, or a test that failed: then nobody else ends it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An appliance that has ended.
#[derive(Debug)]
pub(crate) struct Stopped {
    /// How.
    pub(crate) status: ExitStatus,
    /// All of its standard output.
    pub(crate) output: Vec<String>,
    /// All of its log.
    pub(crate) log: Vec<String>,
}

/// Lines as they come, read by a thread.
#[derive(Debug)]
struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Lines {
    fn of(source: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let reader = thread::spawn(move || {
            for line in BufReader::new(source).lines().map_while(Result::ok) {
                kept.lock().expect("no panic holds it").push(line);
            }
        });
        Self { lines, reader: Some(reader) }
    }

    fn so_far(&self) -> Vec<String> {
        self.lines.lock().expect("no panic holds it").clone()
    }

    /// All of them; to be called once the writer has ended.
    fn all(&mut self) -> Vec<String> {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("reading does not panic");
        }
        self.so_far()
    }
}

/// Status and body of what comes back.
fn answer(stream: &mut TcpStream) -> Option<(u16, String)> {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// The value after `key` in a log line.
fn word<T: std::str::FromStr>(line: &str, key: &str) -> Option<T> {
    line.split(' ').find_map(|word| word.strip_prefix(key)?.parse().ok())
}
