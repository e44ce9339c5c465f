//! HTTP as it is on the wire, towards the running appliance.
#![allow(dead_code, reason = "every test takes what it needs of this")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut named = lines.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.trim())
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("JSON wanted: {self:?}"))
    }

    /// The sentence of a refusal, which is a problem as RFC 9457 has them.
    #[track_caller]
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{self:?}");
        assert_eq!(problem["type"], "about:blank");
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{self:?}");
        problem["detail"].as_str().expect("a sentence").to_owned()
    }
}

/// The answer to `request`, such as `GET /calls`, with `headers` that end in CRLF each.
#[track_caller]
pub(crate) fn ask(to: SocketAddr, request: &str, headers: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(to).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a valid time");
    let length = body.len();
    let head = format!("{request} HTTP/1.0\r\n{headers}Content-Length: {length}\r\n\r\n");
    // Who is refused for the length of the body need not have been read to the end.
    let _ = stream.write_all((head + body).as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).expect("UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// The headers of a request with a JSON body by the bearer of `token`.
pub(crate) fn bearing(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n")
}

/// Every request of a description, as `POST /calls/{id}/pause`, with the role that it says it needs.
pub(crate) fn requests(description: &Value) -> Vec<(String, Option<String>)> {
    let mut all = Vec::new();
    for (path, item) in description["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("requests") {
            let role = operation["security"][0]["bearer"][0].as_str().map(str::to_owned);
            all.push((format!("{} {path}", method.to_uppercase()), role));
        }
    }
    all
}
