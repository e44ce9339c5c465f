//! Peers of the manager interface's client that break off, say nothing or say nonsense, as no Asterisk does on request.
#![expect(clippy::disallowed_methods, reason = "a test opens sockets and reads a clock")]

mod notify;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use notify::{accepted, notice};
use sidetone::policy::act::Act;
use sidetone::runtime::notify::ami::Ami;
use sidetone::runtime::notify::notice::Notice;
use sidetone::runtime::notify::receiver::{Failure, Receiver};

/// Serves one connection after another, each by `serve` with its number from 0.
fn peer(serve: impl Fn(usize, TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        listener.incoming().map_while(Result::ok).enumerate().for_each(|(n, s)| serve(n, s));
    });
    address
}

fn ami(address: SocketAddr, timeout: Duration) -> Ami {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("password"), "right\n").expect("a writable folder");
    let text = format!(
        "[[ami]]\nname = 'a'\naddress = '{address}'\nuser = 'u'\npassword_file = '{}/password'\n",
        folder.path().display()
    );
    let settings: sidetone::config::notify::Notify = toml::from_str(&text).expect("good settings");
    Ami::new(&settings.managers[0], timeout).expect("a password")
}

fn failure(outcome: Result<(), Failure>) -> String {
    match outcome {
        Err(Failure::Unreachable { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_answered_before_the_connection_broke_is_not_done_again() {
    let actions = Arc::<Mutex<Vec<String>>>::default();
    let kept = Arc::clone(&actions);
    let address = peer(move |n, mut stream| {
        let lines = BufReader::new(stream.try_clone().expect("a socket")).lines();
        stream.write_all(b"Asterisk Call Manager/9.0.0\r\n").expect("a client");
        let (mut action, mut id) = (String::new(), String::new());
        for line in lines.map_while(Result::ok) {
            match line.split_once(": ") {
                Some(("Action", word)) => word.clone_into(&mut action),
                Some(("ActionID", word)) => word.clone_into(&mut id),
                _ => {}
            }
            if !line.is_empty() {
                continue;
            }
            if action == "Hangup" && n == 0 {
                return;
            }
            kept.lock().expect("no panic holds it").push(action.clone());
            // An event and somebody else's response come in between.
            let answer = format!(
                "Event: FullyBooted\r\nStatus: Fully Booted\r\n\r\nResponse: Error\r\nActionID: 0\r\n\
                 Message: not yours\r\n\r\nResponse: Success\r\nActionID: {id}\r\nChallenge: 1\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).expect("a client");
        }
    });
    let mut ami = ami(address, Duration::from_secs(5));
    let told = Notice {
        acts: vec![Act::Warn("w".to_owned()), Act::HangUpCall],
        ..notice("n-1", accepted("c", 1), Some("PJSIP/a-1"))
    };
    assert!(failure(ami.deliver(&told)).contains("closed the connection"));
    ami.deliver(&told).expect("the second connection stands");
    let done = actions.lock().expect("no panic holds it").clone();
    let login = ["Challenge", "Login"];
    let wanted = [&login[..], &["UserEvent", "UserEvent"], &login, &["Hangup"]].concat();
    assert_eq!(done, wanted);
}

#[test]
fn who_says_nothing_is_waited_for_no_longer_than_the_time_out() {
    let address = peer(|_, stream| {
        let mut lines = BufReader::new(stream).lines();
        while lines.next().is_some() {}
    });
    let start = Instant::now();
    let why = failure(ami(address, Duration::from_secs(1)).idle());
    assert!(why.contains("no answer within 1 s"), "{why}");
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[test]
fn who_is_no_asterisk_is_told_by_what_it_says() {
    let address = peer(|_, mut stream| {
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
    });
    let why = failure(ami(address, Duration::from_secs(5)).idle());
    assert!(why.ends_with("no Asterisk: it begins with \"SSH-2.0-OpenSSH_9.2\""), "{why}");
}

#[test]
fn a_line_without_an_end_is_not_read_for_ever() {
    let address = peer(|_, mut stream| {
        let _ = stream.write_all(b"Asterisk Call Manager/9.0.0\r\n");
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    let why = failure(ami(address, Duration::from_secs(5)).idle());
    assert!(why.contains("a line is longer than 16384 bytes"), "{why}");
}
