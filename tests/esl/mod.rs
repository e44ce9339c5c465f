//! An event socket that answers as mod_event_socket of FreeSWITCH 1.10 does, over real sockets, and can be told to fail.
#![allow(
    dead_code,
    clippy::disallowed_methods,
    reason = "every test takes what it needs of this; it opens sockets and threads"
)]

pub(crate) mod tap;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// The password of its `event_socket.conf`.
pub(crate) const PASSWORD: &str = "ClueCon";
/// Longest wait for something that has to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// What it does wrong with the next command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Closes the connection with its notice before the command is done.
    Disconnects,
    /// Does the command, and closes the connection without an answer.
    LosesAnswer,
    /// Does the command, sends half of the answer, and closes.
    HalfAnswer,
    /// Never answers.
    Silent,
    /// Answers with log lines that nobody asked for, as fast as they are taken.
    Floods,
    /// Answers with these bytes.
    Says(&'static [u8]),
}

/// An event as it was fired.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// All that became of it.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Channels and their variables.
    pub(crate) channels: BTreeMap<String, BTreeMap<String, String>>,
    /// Events that reached listeners.
    pub(crate) events: Vec<Event>,
    /// First lines of the commands after the login.
    pub(crate) commands: Vec<String>,
    /// Where channels were sent: extension, dialplan, context.
    pub(crate) transfers: Vec<[String; 3]>,
    /// Connections that were let in.
    pub(crate) logins: usize,
    /// Bytes that it writes at once; 0 for all.
    pub(crate) chunk: usize,
    /// What goes wrong, once each, with the commands to come.
    pub(crate) faults: Vec<Option<Fault>>,
    /// Commands that the user `sidetone@default` may not give.
    pub(crate) forbidden: Vec<&'static str>,
    /// Whether addresses such as ours are not let in.
    pub(crate) rude: bool,
    /// Listeners to events: each gets `text/event-plain`.
    listeners: Vec<TcpStream>,
}

/// A listening event socket.
#[derive(Clone, Debug)]
pub(crate) struct EventSocket {
    pub(crate) address: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl EventSocket {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let socket = Self { address, state: Arc::default() };
        let server = socket.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let server = server.clone();
                thread::spawn(move || server.serve(&stream));
            }
        });
        socket
    }

    /// Its state, to look at and to change.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().expect("no test panics with it")
    }

    /// Waits until `seen` finds something in the state.
    pub(crate) fn wait_for<T>(&self, what: &str, seen: impl Fn(&State) -> Option<T>) -> T {
        let (mut state, change) = (self.state(), &self.state.1);
        loop {
            if let Some(value) = seen(&state) {
                return value;
            }
            let (next, waited) = change.wait_timeout(state, PATIENCE).expect("as above");
            assert!(!waited.timed_out(), "{what}: not within {PATIENCE:?}: {next:#?}");
            state = next;
        }
    }

    /// Adds a channel.
    pub(crate) fn channel(&self, uuid: &str) {
        self.state().channels.insert(uuid.to_owned(), BTreeMap::new());
    }

    /// Fires an event as FreeSWITCH itself does.
    pub(crate) fn fire(&self, event: Event) {
        let mut state = self.state();
        let encode = |text: &str| text.replace('%', "%25").replace(' ', "%20").replace('\n', "%0A");
        let lines =
            event.headers.iter().map(|(name, value)| format!("{name}: {}\n", encode(value)));
        let inner = match event.body.len() {
            0 => format!("{}\n", lines.collect::<String>()),
            n => format!("{}Content-Length: {n}\n\n{}", lines.collect::<String>(), event.body),
        };
        let frame =
            format!("Content-Length: {}\nContent-Type: text/event-plain\n\n{inner}", inner.len());
        state.listeners.retain_mut(|stream| stream.write_all(frame.as_bytes()).is_ok());
        state.events.push(event);
        drop(state);
        self.state.1.notify_all();
    }

    fn serve(&self, stream: &TcpStream) {
        let (chunk, rude) = {
            let state = self.state();
            (state.chunk, state.rude)
        };
        stream.set_nodelay(true).expect("a socket");
        let write = |text: &str| {
            let mut out = stream;
            let size = if chunk == 0 { text.len().max(1) } else { chunk };
            text.as_bytes().chunks(size).try_for_each(|part| out.write_all(part)).is_ok()
        };
        if rude {
            let text = "Access Denied, go away.\n";
            let length = text.len();
            write(&format!(
                "Content-Type: text/rude-rejection\nContent-Length: {length}\n\n{text}"
            ));
            return;
        }
        write("Content-Type: auth/request\n\n");
        let mut reader = BufReader::new(stream);
        let mut user: Option<bool> = None;
        while let Some((command, event)) = packet(&mut reader) {
            let Some(restricted) = user else {
                let right = format!("auth {PASSWORD}");
                let restricted = match command.as_str() {
                    right_one if right_one == right => false,
                    "userauth sidetone@default:esl-secret" => true,
                    _ => {
                        write("Content-Type: command/reply\nReply-Text: -ERR invalid\n\n");
                        write(GOODBYE);
                        return;
                    }
                };
                user = Some(restricted);
                self.state().logins += 1;
                self.state.1.notify_all();
                let allowed =
                    if restricted { "Allowed-Events: all\nAllowed-LOG: true\n" } else { "" };
                write(&format!(
                    "Content-Type: command/reply\nReply-Text: +OK accepted\n{allowed}\n"
                ));
                continue;
            };
            let fault = {
                let mut state = self.state();
                match state.faults.is_empty() {
                    true => None,
                    false => state.faults.remove(0),
                }
            };
            if fault == Some(Fault::Disconnects) {
                write(GOODBYE);
                return;
            }
            let answer = self.run(&command, event, restricted, stream);
            self.state().commands.push(command);
            self.state.1.notify_all();
            match fault {
                None | Some(Fault::Disconnects) => write(&answer),
                Some(Fault::LosesAnswer) => return,
                Some(Fault::HalfAnswer) => {
                    write(&answer[..answer.len() / 2]);
                    return;
                }
                Some(Fault::Silent) => true,
                Some(Fault::Floods) => {
                    let line = "Content-Type: log/data\nContent-Length: 5\nLog-Level: 7\n\nline\n";
                    while write(line) {}
                    return;
                }
                Some(Fault::Says(bytes)) => {
                    let mut out = stream;
                    out.write_all(bytes).is_ok()
                }
            };
        }
    }

    /// Does a command; what it answers.
    fn run(&self, command: &str, event: Event, restricted: bool, stream: &TcpStream) -> String {
        let reply = |text: &str| format!("Content-Type: command/reply\nReply-Text: {text}\n\n");
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        match verb {
            "noevents" => reply("-ERR not listening for events"),
            "event" => {
                self.state().listeners.push(stream.try_clone().expect("a socket"));
                reply("+OK event listener enabled plain")
            }
            "sendevent" => {
                // One with the id of a channel goes to that session's queue, and to nobody else.
                let owned =
                    event.headers.get("Unique-ID").map(|id| self.state().channels.contains_key(id));
                if owned != Some(true) {
                    self.fire(event);
                }
                reply("+OK 7f4de4bc-17d7-11dd-b7a0-db4edd065621")
            }
            "api" | "bgapi" => {
                if command.contains("mod_event_socket") {
                    panic!("the module is unloaded by {command:?}");
                }
                let (name, arguments) = rest.split_once(' ').unwrap_or((rest, ""));
                let mut state = self.state();
                if restricted && state.forbidden.contains(&name) {
                    return reply("-ERR permission denied");
                }
                let output = console(&mut state, name, arguments);
                match verb {
                    "bgapi" => reply("+OK Job-UUID: 4f8c4e8a-0d3f-4c2b-9f7e-2f1c3f1d4a11"),
                    _ => {
                        let length = output.len();
                        format!("Content-Type: api/response\nContent-Length: {length}\n\n{output}")
                    }
                }
            }
            _ => reply("-ERR command not found"),
        }
    }
}

/// How FreeSWITCH ends a connection.
const GOODBYE: &str = "Content-Type: text/disconnect-notice\nContent-Length: 67\n\n\
    Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n\n";

/// One packet as `read_packet` takes it: its first line, and the headers and body behind.
fn packet(reader: &mut BufReader<&TcpStream>) -> Option<(String, Event)> {
    let (mut command, mut event) = (String::new(), Event::default());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end_matches(['\r', '\n']);
        match (line.is_empty(), command.is_empty()) {
            (true, true) => continue,
            (true, false) => break,
            (false, true) => line.clone_into(&mut command),
            (false, false) => {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                event.headers.insert(name.to_owned(), value.trim_start_matches(' ').to_owned());
            }
        }
    }
    if let Some(length) = event.headers.get("Content-Length") {
        let mut body = vec![0; length.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        event.body = String::from_utf8(body).ok()?;
    }
    Some((command, event))
}

/// A command of the console.
fn console(state: &mut State, name: &str, arguments: &str) -> String {
    const GONE: &str = "-ERR No such channel!\n";
    let most = if name == "uuid_setvar" { 3 } else { 5 };
    let arguments = separate(arguments, most);
    let argument = |n: usize| arguments.get(n).cloned().unwrap_or_default();
    let uuid = argument(0);
    match name {
        "uuid_setvar" => match state.channels.get_mut(&uuid) {
            Some(variables) => {
                variables.insert(argument(1), argument(2));
                "+OK\n".to_owned()
            }
            None => GONE.to_owned(),
        },
        "uuid_transfer" if state.channels.contains_key(&uuid) => {
            state.transfers.push([1, 2, 3].map(argument));
            "+OK\n".to_owned()
        }
        "uuid_kill" if state.channels.remove(&uuid).is_some() => "+OK\n".to_owned(),
        "uuid_transfer" | "uuid_kill" => GONE.to_owned(),
        "status" => "UP 0 years, 0 days, 0 hours\n".to_owned(),
        _ => format!("-ERR {name} Command not found!\n"),
    }
}

/// `switch_separate_string` at blanks into `most` at the most, with its quotes and backslashes.
fn separate(text: &str, most: usize) -> Vec<String> {
    let (mut parts, mut part, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                part.push(c);
                part.extend(chars.next());
            }
            ' ' if !quoted && parts.len() + 1 < most => {
                if !part.is_empty() {
                    parts.push(std::mem::take(&mut part));
                }
            }
            c => {
                quoted ^= c == '\'';
                part.push(c);
            }
        }
    }
    parts.push(part);
    parts.iter().map(|part| unescaped(part)).collect()
}

/// `cleanup_separated_string`.
fn unescaped(text: &str) -> String {
    let (mut out, mut chars) = (String::new(), text.trim_matches(' ').chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('t') => out.push('\t'),
                Some('s') => out.push(' '),
                Some(escaped @ ('\'' | '"' | '\\' | ' ')) => out.push(escaped),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            '\'' => {}
            c => out.push(c),
        }
    }
    out
}
