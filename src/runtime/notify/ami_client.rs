//! Asterisk's manager interface (AMI) as a client: one action, one response; events are passed over.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use md5::{Digest, Md5};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// What a server that is one says first.
const BANNER: &str = "Asterisk Call Manager/";
/// Longest line that is taken, bytes; Asterisk's own are within a few kB.
const LONGEST_LINE: u64 = 16 * 1024;
/// Lines that are passed over before the response that is waited for: events of a busy minute that somebody switched on.
const MOST_LINES: usize = 20_000;
/// Longest line that Asterisk takes, bytes, its end included (`inbuf` of manager.c): one more and it drops it.
const LONGEST_SENT: usize = 1024;

/// Why an action has no good response.
#[derive(Debug, thiserror::Error)]
pub(super) enum AmiError {
    /// The connection is of no use any more.
    #[error("{0}")]
    Broken(String),
    /// `Response: Error` and what its `Message` says.
    #[error("{0}")]
    Refused(String),
}

/// A connection that is logged in.
pub(super) struct AmiClient {
    stream: BufReader<Box<dyn Stream>>,
    /// The same, to set its time-outs by.
    socket: TcpStream,
    timeout: Duration,
    actions: u64,
}

trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

impl AmiClient {
    /// Connects to `address`, over TLS where there is a configuration for it; each step may take `timeout`.
    pub(super) fn connect(
        address: &str,
        tls: Option<&Arc<ClientConfig>>,
        timeout: Duration,
    ) -> Result<Self, AmiError> {
        let lost = |error: io::Error| AmiError::Broken(format!("{address}: {error}"));
        let mut failed = AmiError::Broken(format!("{address}: no address of that name"));
        let mut connected = None;
        for one in address.to_socket_addrs().map_err(lost)? {
            match TcpStream::connect_timeout(&one, timeout) {
                Ok(socket) => {
                    connected = Some(socket);
                    break;
                }
                Err(error) => failed = lost(error),
            }
        }
        let Some(socket) = connected else { return Err(failed) };
        socket.set_nodelay(true).map_err(lost)?;
        socket.set_read_timeout(Some(timeout)).map_err(lost)?;
        socket.set_write_timeout(Some(timeout)).map_err(lost)?;
        let same = socket.try_clone().map_err(lost)?;
        let stream: Box<dyn Stream> = match tls {
            None => Box::new(same),
            Some(config) => {
                let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
                let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
                let name = name.map_err(|error| AmiError::Broken(format!("{address}: {error}")))?;
                let session = ClientConnection::new(Arc::clone(config), name);
                let session = session.map_err(|error| AmiError::Broken(error.to_string()))?;
                Box::new(StreamOwned::new(session, same))
            }
        };
        let mut client = Self { stream: BufReader::new(stream), socket, timeout, actions: 0 };
        let banner = client.line(Instant::now() + timeout)?;
        match banner.starts_with(BANNER) {
            true => Ok(client),
            false => {
                let found: String = banner.chars().take(60).collect();
                Err(AmiError::Broken(format!("{address}: no Asterisk: it begins with {found:?}")))
            }
        }
    }

    /// Logs in by challenge, so that the password does not travel; asks for no events.
    pub(super) fn login(&mut self, user: &str, password: &str) -> Result<(), AmiError> {
        let challenge = self.act("Challenge", &[("AuthType", "MD5")])?;
        let key = hex::encode(Md5::new().chain_update(challenge).chain_update(password).finalize());
        let login = [("AuthType", "MD5"), ("Username", user), ("Key", &key), ("Events", "off")];
        self.act("Login", &login).map(|_| ())
    }

    /// Does one action and waits for its response; gives what it says as `Challenge`, if it says it.
    ///
    /// No header can end before its line does: a name or value with a control character is refused.
    pub(super) fn act(
        &mut self,
        action: &str,
        headers: &[(&str, &str)],
    ) -> Result<String, AmiError> {
        self.actions += 1;
        let id = self.actions.to_string();
        let mut packet = String::new();
        let fixed = [("Action", action), ("ActionID", &id)];
        for (name, value) in fixed.iter().chain(headers) {
            let line = format!("{name}: {value}\r\n");
            if name.chars().chain(value.chars()).any(char::is_control) {
                return Err(AmiError::Refused(format!("{name} has a control character")));
            }
            if line.len() > LONGEST_SENT {
                let long = line.len();
                return Err(AmiError::Refused(format!(
                    "{name} has {long} bytes, and Asterisk takes {LONGEST_SENT}"
                )));
            }
            packet.push_str(&line);
        }
        packet.push_str("\r\n");
        let stream = self.stream.get_mut();
        let sent = stream.write_all(packet.as_bytes()).and_then(|()| stream.flush());
        sent.map_err(|error| AmiError::Broken(format!("the connection broke: {error}")))?;
        self.response(&id)
    }

    fn response(&mut self, id: &str) -> Result<String, AmiError> {
        let until = Instant::now() + self.timeout;
        let (mut response, mut message, mut challenge, mut ours) = (None, None, None, false);
        for _ in 0..MOST_LINES {
            let line = self.line(until)?;
            if line.is_empty() {
                match response.take().filter(|_| ours) {
                    Some(word) if word == "Error" => {
                        let said: String =
                            message.unwrap_or_else(|| "an error without a word".to_owned());
                        return Err(AmiError::Refused(said));
                    }
                    Some(_) => return Ok(challenge.unwrap_or_default()),
                    None => (message, challenge, ours) = (None, None, false),
                }
                continue;
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match name {
                "Response" => response = Some(value.to_owned()),
                "Message" => message = Some(value.to_owned()),
                "Challenge" => challenge = Some(value.to_owned()),
                "ActionID" => ours = value == id,
                _ => {}
            }
        }
        Err(AmiError::Broken(format!("no response within {MOST_LINES} lines")))
    }

    /// The next line, without its end.
    fn line(&mut self, until: Instant) -> Result<String, AmiError> {
        let late = || AmiError::Broken(format!("no answer within {} s", self.timeout.as_secs()));
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(late());
        }
        let lost = |error: io::Error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => late(),
            _ => AmiError::Broken(format!("the connection broke: {error}")),
        };
        self.socket.set_read_timeout(Some(left)).map_err(lost)?;
        let mut line = Vec::new();
        let mut bounded = (&mut self.stream).take(LONGEST_LINE);
        bounded.read_until(b'\n', &mut line).map_err(lost)?;
        match line.last() {
            Some(b'\n') => Ok(String::from_utf8_lossy(&line).trim_end().to_owned()),
            Some(_) if line.len() as u64 == LONGEST_LINE => {
                Err(AmiError::Broken(format!("a line is longer than {LONGEST_LINE} bytes")))
            }
            _ => Err(AmiError::Broken("it closed the connection".to_owned())),
        }
    }
}

impl fmt::Debug for AmiClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmiClient").field("socket", &self.socket).finish_non_exhaustive()
    }
}
