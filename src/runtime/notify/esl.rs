//! FreeSWITCH's event socket (ESL) as a receiver: each verdict is an event `sidetone::verdict`, what a policy wants done
//! is done by `uuid_setvar`, `uuid_transfer` and `uuid_kill`.
//!
//! One command is under way at a time, and each has an answer before the next is given: so an answer is never taken for
//! another's.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::runtime::notify::esl_commands::{self, Command};
use crate::runtime::notify::esl_frames::{Frame, FrameReader};
use crate::runtime::notify::notice::Notice;
use crate::runtime::notify::receiver::{Failure, Receiver};

/// Where FreeSWITCH is, and who we are there.
#[derive(Clone)]
pub struct EslSettings {
    /// `host:port` of its event socket.
    pub address: String,
    /// `user@domain` of its directory; without it the password is that of `event_socket.conf`.
    pub user: Option<String>,
    /// The password.
    pub password: String,
    /// How long a connection, and the answer to a command, are waited for.
    pub patience: Duration,
}

impl std::fmt::Debug for EslSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { address, user, .. } = self;
        write!(f, "EslSettings({address:?}, {user:?})")
    }
}

/// FreeSWITCH, by an inbound connection to its event socket.
#[derive(Debug)]
pub struct Esl {
    settings: EslSettings,
    connection: Option<Connection>,
    /// How far the newest notice has come, so that a broken connection repeats the one command that it cut off.
    progress: Progress,
}

#[derive(Debug, Default)]
struct Progress {
    id: String,
    /// Commands that were answered.
    done: usize,
    /// The first that was refused.
    refused: Option<String>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    reader: FrameReader,
    patience: Duration,
}

impl Esl {
    /// Connects once there is something to tell.
    pub fn new(settings: EslSettings) -> Self {
        Self { settings, connection: None, progress: Progress::default() }
    }

    /// Gives a command, over a new connection where there is none; what breaks the connection ends it.
    fn give(&mut self, command: &Command) -> Result<String, Failure> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.settings)?,
        };
        let reply = connection.exchange(command)?.reply().to_owned();
        self.connection = Some(connection);
        Ok(reply)
    }
}

impl Receiver for Esl {
    fn deliver(&mut self, notice: &Notice) -> Result<(), Failure> {
        if self.progress.id != notice.id {
            self.progress = Progress { id: notice.id.clone(), ..Progress::default() };
        }
        for command in esl_commands::commands(notice).into_iter().skip(self.progress.done) {
            let refusal = match command {
                Ok(command) => Some(self.give(&command)?).filter(|reply| !reply.starts_with("+OK")),
                Err(sentence) => Some(sentence),
            };
            self.progress.done += 1;
            self.progress.refused = self.progress.refused.take().or(refusal);
        }
        match std::mem::take(&mut self.progress).refused {
            Some(why) => Err(Failure::Refused(why)),
            None => Ok(()),
        }
    }

    fn idle(&mut self) -> Result<(), Failure> {
        self.give(&Command::noop()).map(drop)
    }
}

impl Connection {
    fn open(settings: &EslSettings) -> Result<Self, Failure> {
        let EslSettings { address, user, password, patience } = settings;
        let unreachable = |why: String| unreachable(format!("{address}: {why}"));
        let places = address.to_socket_addrs().map_err(|error| unreachable(error.to_string()))?;
        let mut why = "it has no address".to_owned();
        let mut open = None;
        for place in places {
            match TcpStream::connect_timeout(&place, *patience) {
                Ok(stream) => {
                    open = Some(stream);
                    break;
                }
                Err(error) => why = error.to_string(),
            }
        }
        let stream = open.ok_or_else(|| unreachable(why))?;
        let set = stream.set_nodelay(true).and(stream.set_write_timeout(Some(*patience)));
        set.map_err(|error| unreachable(error.to_string()))?;
        let mut connection = Self { stream, reader: FrameReader::default(), patience: *patience };
        connection.wait_for(&["auth/request"])?;
        let reply = connection.exchange(&Command::login(user.as_deref(), password))?;
        match reply.reply() {
            reply if reply.starts_with("+OK") => Ok(connection),
            reply => Err(Failure::Login(format!("{address} says {reply:?}"))),
        }
    }

    fn exchange(&mut self, command: &Command) -> Result<Frame, Failure> {
        let written = self.stream.write_all(command.as_bytes());
        written.map_err(|error| unreachable(format!("cannot write to FreeSWITCH: {error}")))?;
        // A command that a user may not give is answered as one of the socket, and not as one of the console.
        self.wait_for(&["command/reply", "api/response"])
    }

    /// The next frame of one of these kinds; others are events and log lines, which nobody asked for.
    fn wait_for(&mut self, kinds: &[&str]) -> Result<Frame, Failure> {
        let until = Instant::now() + self.patience;
        loop {
            let frame = self.reader.next_frame().map_err(|error| unreachable(error.to_string()))?;
            let Some(frame) = frame else {
                self.read(until)?;
                continue;
            };
            match frame.kind() {
                kind if kinds.contains(&kind) => return Ok(frame),
                "text/disconnect-notice" => {
                    let first = frame.reply().lines().next().unwrap_or_default();
                    return Err(unreachable(format!("FreeSWITCH ended the connection: {first:?}")));
                }
                "text/rude-rejection" => {
                    let why = "our address is not in its apply-inbound-acl";
                    return Err(Failure::Login(format!("{why}: {:?}", frame.reply())));
                }
                _ => {}
            }
        }
    }

    /// Reads once, and no longer than `until`.
    fn read(&mut self, until: Instant) -> Result<(), Failure> {
        let late = || unreachable(format!("no answer from FreeSWITCH within {:?}", self.patience));
        let left = until.saturating_duration_since(Instant::now());
        // A time-out of nothing is none.
        if left.is_zero() {
            return Err(late());
        }
        let broken = |why: String| unreachable(format!("cannot read from FreeSWITCH: {why}"));
        let set = self.stream.set_read_timeout(Some(left));
        set.map_err(|error| broken(error.to_string()))?;
        let mut bytes = [0; 4_096];
        match self.stream.read(&mut bytes) {
            Ok(0) => Err(broken("it closed the connection".to_owned())),
            Ok(length) => {
                self.reader.push(&bytes[..length]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(late())
            }
            Err(error) => Err(broken(error.to_string())),
        }
    }
}

fn unreachable(why: String) -> Failure {
    Failure::Unreachable { why, after: Duration::ZERO }
}
