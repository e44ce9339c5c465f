//! Who listens at an Asterisk: a user of its manager interface, an application of ARI.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tungstenite::WebSocket;
use tungstenite::stream::MaybeTlsStream;

use super::wait_for;

/// One user event, its headers by name; of a name that comes twice, both.
pub(crate) type Event = Vec<(String, String)>;

pub(crate) fn of<'a>(event: &'a Event, name: &str) -> Option<&'a str> {
    event.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// The document of an event, whose pieces are put together again.
pub(crate) fn document(event: &Event) -> Value {
    let pieces = event.iter().filter(|(name, _)| name.starts_with("Json"));
    let text: String = pieces.map(|(_, piece)| piece.as_str()).collect();
    serde_json::from_str(&text).expect("JSON")
}

/// Somebody who listens at the manager interface.
pub(crate) struct Listener(Arc<Mutex<Vec<Event>>>);

impl Listener {
    pub(crate) fn new(port: u16) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        let login = "Action: Login\r\nUsername: listener\r\nSecret: right\r\nEvents: user\r\n\r\n";
        stream.write_all(login.as_bytes()).expect("a login");
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        assert!(lines.any(|line| line == "Message: Authentication accepted"), "a login");
        let events = Arc::<Mutex<Vec<Event>>>::default();
        let kept = Arc::clone(&events);
        thread::spawn(move || {
            let mut event = Event::new();
            for line in lines {
                match line.split_once(": ") {
                    Some((name, value)) => event.push((name.to_owned(), value.to_owned())),
                    None if line.is_empty() => {
                        let event = std::mem::take(&mut event);
                        if of(&event, "Event") == Some("UserEvent") {
                            kept.lock().expect("no panic holds it").push(event);
                        }
                    }
                    None => {}
                }
            }
        });
        Self(events)
    }

    pub(crate) fn so_far(&self) -> Vec<Event> {
        self.0.lock().expect("no panic holds it").clone()
    }

    pub(crate) fn wait_for(&self, count: usize) -> Vec<Event> {
        wait_for(&format!("{count} events"), || {
            let events = self.so_far();
            (events.len() >= count).then_some(events)
        })
    }
}

/// An application, connected until it is dropped.
pub(crate) struct Application {
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
}

impl Application {
    pub(crate) fn connect(http: u16, password: &str, name: &str) -> Self {
        let key = format!("sidetone:{password}");
        let url = format!("ws://127.0.0.1:{http}/ari/events?app={name}&api_key={key}");
        let (socket, _) = tungstenite::connect(url).expect("it takes applications");
        let MaybeTlsStream::Plain(stream) = socket.get_ref() else { panic!("it is not encrypted") };
        // An event that never comes fails the test.
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
        Self { socket }
    }

    /// The next event of that type.
    pub(crate) fn next(&mut self, kind: &str) -> Value {
        loop {
            let message = self.socket.read().expect("an event");
            let Ok(text) = message.to_text() else { continue };
            let Ok(event) = serde_json::from_str::<Value>(text) else { continue };
            if event["type"] == kind {
                return event;
            }
        }
    }
}
