//! FreeSWITCH's event socket (ESL) as a receiver: each verdict is an event `sidetone::verdict`, what a policy wants done
//! is done by `uuid_setvar`, `uuid_transfer` and `uuid_kill`.
//!
//! One command is under way at a time, and each has an answer before the next is given: so an answer is never taken for
//! another's.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::mem;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::config::notify;
use crate::runtime::notify::esl_commands::{self, Command, Step};
use crate::runtime::notify::esl_frames::{Frame, FrameReader};
use crate::runtime::notify::http_client::unreachable;
use crate::runtime::notify::interrupted::Interrupted;
use crate::runtime::notify::notice::Notice;
use crate::runtime::notify::receiver::{Failure, Receiver};
use crate::runtime::sip_settings::{SecretError, secret};

/// FreeSWITCH, by an inbound connection to its event socket.
pub struct Esl {
    settings: notify::esl::Esl,
    password: String,
    /// How long a connection, and the answer to a command, are waited for.
    patience: Duration,
    connection: Option<Connection>,
    /// So that only the command that a broken connection cut off is given again.
    interrupted: Interrupted,
}

impl fmt::Debug for Esl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Esl").field("address", &self.settings.address).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    reader: FrameReader,
    patience: Duration,
}

impl Esl {
    /// Reads the password, and connects once there is something to tell; each answer may take `patience`.
    pub fn new(settings: &notify::esl::Esl, patience: Duration) -> Result<Self, SecretError> {
        let password = secret(&settings.password_file, "notify.esl.password_file")?;
        let (settings, interrupted) = (settings.clone(), Interrupted::default());
        Ok(Self { settings, password, patience, connection: None, interrupted })
    }

    /// Says one thing; a refusal is one only where it matters.
    fn say(&mut self, step: Step) -> Result<(), Failure> {
        let refusal = match step.command {
            Ok(command) => Some(self.give(&command)?).filter(|reply| !reply.starts_with("+OK")),
            Err(sentence) => Some(sentence),
        };
        let refusal = refusal.filter(|_| step.needed);
        refusal.map_or(Ok(()), |why| Err(Failure::Refused(why)))
    }

    /// Gives a command, over a new connection where there is none; what breaks the connection ends it.
    fn give(&mut self, command: &Command) -> Result<String, Failure> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let reply = connection.exchange(command)?.reply().to_owned();
        self.connection = Some(connection);
        Ok(reply)
    }

    fn connect(&self) -> Result<Connection, Failure> {
        let mut connection = Connection::open(&self.settings.address, self.patience)?;
        let login = Command::login(self.settings.user.as_deref(), &self.password);
        match connection.exchange(&login)?.reply() {
            reply if reply.starts_with("+OK") => Ok(connection),
            reply => Err(Failure::Login(format!("{} says {reply:?}", self.settings.address))),
        }
    }
}

impl Receiver for Esl {
    fn deliver(&mut self, notice: &Notice) -> Result<(), Failure> {
        let steps = esl_commands::steps(notice, self.settings.variables);
        let mut interrupted = mem::take(&mut self.interrupted);
        let told = interrupted.go_on(&notice.id, steps, |step| self.say(step));
        self.interrupted = interrupted;
        told
    }

    fn idle(&mut self) -> Result<(), Failure> {
        self.give(&Command::noop()).map(drop)
    }
}

impl Connection {
    /// Connects, and waits until it is asked who we are.
    fn open(address: &str, patience: Duration) -> Result<Self, Failure> {
        let unreachable = |why: String| unreachable(format!("{address}: {why}"));
        let places = address.to_socket_addrs().map_err(|error| unreachable(error.to_string()))?;
        let mut why = "it has no address".to_owned();
        let stream = places.into_iter().find_map(|place| {
            let tried = TcpStream::connect_timeout(&place, patience);
            tried.map_err(|error| why = error.to_string()).ok()
        });
        let stream = stream.ok_or_else(|| unreachable(why))?;
        let set = stream.set_nodelay(true).and(stream.set_write_timeout(Some(patience)));
        set.map_err(|error| unreachable(error.to_string()))?;
        let mut connection = Self { stream, reader: FrameReader::default(), patience };
        connection.wait_for(&["auth/request"])?;
        Ok(connection)
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
