//! Sockets that a service manager holds: those that are named are taken, and no message is lost to a restart.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::appliance::{Site, wait_for};
use crate::store::{skip, store};

/// An address of loopback that nobody uses, over UDP and TCP.
fn free() -> String {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
        let address = tcp.local_addr().expect("bound");
        if UdpSocket::bind(address).is_ok() {
            return address.to_string();
        }
    }
}

/// A site that listens on `sip` and `http`.
fn site(sip: &[String], http: &str) -> Option<Site> {
    let site = Site::new(&store()?);
    let listen: Vec<_> = sip.iter().map(|listen| format!("\"{listen}\"")).collect();
    let config = site.config().replace(crate::appliance::LISTEN, &listen.join(", "));
    site.write("sidetone.toml", config.replace("\"127.0.0.1:0\"", &format!("\"{http}\"")));
    Some(site)
}

/// `sidetone serve` on `site`, started by `program` with `options`, which ends it when it is told to.
fn start(site: &Site, program: &str, options: &[&str]) -> Option<Running> {
    let serve = site.command(&["serve"]);
    let mut command = Command::new(program);
    command.args(options).arg(serve.get_program()).arg("serve").current_dir(site.path(""));
    let log = std::fs::File::create(site.path("log")).expect("a writable folder");
    match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn() {
        Ok(child) => Some(Running(child)),
        Err(_) => {
            skip(&format!("{program} is not installed (Debian: systemd)"));
            None
        }
    }
}

/// `sidetone serve` on `site`, which is handed these sockets as systemd does it.
fn hand_over(site: &Site, sip: &UdpSocket, tcp: &TcpListener, http: &TcpListener) -> Running {
    let serve = site.command(&["serve"]);
    // The shell moves them to where the protocol wants them, from 3 on, and becomes the service.
    let hand = "LISTEN_FDS=3 LISTEN_PID=$$ exec \"$0\" serve 3<&0 4<&1 5<&2 0</dev/null 1>/dev/null 2>>log";
    let mut command = Command::new("sh");
    command.args(["-c", hand]).arg(serve.get_program()).current_dir(site.path(""));
    command.env("SIDETONE_CONFIG", "sidetone.toml");
    command.stdin(OwnedFd::from(sip.try_clone().expect("a descriptor")));
    command.stdout(OwnedFd::from(tcp.try_clone().expect("a descriptor")));
    command.stderr(OwnedFd::from(http.try_clone().expect("a descriptor")));
    Running(command.spawn().expect("a shell"))
}

struct Running(Child);

impl Running {
    /// Sends SIGTERM and waits for the end.
    fn stop(mut self) -> ExitStatus {
        let told =
            Command::new("sh").args(["-c", "kill -TERM \"$0\"", &self.0.id().to_string()]).status();
        assert!(told.expect("a shell").success());
        self.0.wait().expect("a child")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn log(site: &Site) -> String {
    std::fs::read_to_string(site.path("log")).unwrap_or_default()
}

/// OPTIONS from `socket` to `to`, not yet answered.
fn ask(socket: &UdpSocket, to: &str, n: u32) {
    let local = socket.local_addr().expect("bound");
    let options = format!(
        "OPTIONS sip:sidetone@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{n}\r\nMax-Forwards: 70\r\n\
         From: <sip:test@{local}>;tag=t\r\nTo: <sip:sidetone@{to}>\r\nCall-ID: sockets-{n}\r\nCSeq: {n} OPTIONS\r\n\
         Content-Length: 0\r\n\r\n"
    );
    socket.send_to(options.as_bytes(), to).expect("it is sent");
}

fn answer(socket: &UdpSocket) -> String {
    let mut answer = [0; 4096];
    socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a valid time");
    let length = socket.recv(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer[..length]).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_datagram_that_came_before_the_service_was_there_is_answered() {
    let address = free();
    let Some(site) = site(&[format!("udp:{address}")], "127.0.0.1:0") else { return };
    let options = ["--datagram", "--setenv=SIDETONE_CONFIG=sidetone.toml", "--listen", &address];
    let Some(service) = start(&site, "systemd-socket-activate", &options) else { return };
    wait_for("its socket", || log(&site).contains("Listening on ").then_some(()));
    let peer = UdpSocket::bind("127.0.0.1:0").expect("a port of loopback");
    // This alone starts it.
    ask(&peer, &address, 1);
    assert_eq!(answer(&peer), "SIP/2.0 200 OK", "{}", log(&site));
    assert_eq!(service.stop().code(), Some(0));
}

#[test]
fn nothing_that_is_sent_while_the_service_restarts_is_lost() {
    let sip = UdpSocket::bind("127.0.0.1:0").expect("a port of loopback");
    let address = sip.local_addr().expect("bound").to_string();
    let tcp = TcpListener::bind(&address).expect("the same port of TCP");
    let http = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
    let web = http.local_addr().expect("bound");
    let listen = [format!("udp:{address}"), format!("tcp:{address}")];
    let Some(site) = site(&listen, &web.to_string()) else { return };
    let peer = UdpSocket::bind("127.0.0.1:0").expect("a port of loopback");
    let first = hand_over(&site, &sip, &tcp, &http);
    ask(&peer, &address, 1);
    assert_eq!(answer(&peer), "SIP/2.0 200 OK", "{}", log(&site));
    assert_eq!(first.stop().code(), Some(0));
    // Nobody is there, and nobody is turned away.
    ask(&peer, &address, 2);
    let mut waits = std::net::TcpStream::connect(web).expect("it waits in the backlog");
    write!(waits, "GET /live HTTP/1.0\r\n\r\n").expect("a request");
    let second = hand_over(&site, &sip, &tcp, &http);
    assert_eq!(answer(&peer), "SIP/2.0 200 OK", "{}", log(&site));
    let mut live = String::new();
    waits.read_to_string(&mut live).expect("an answer");
    assert!(live.ends_with("live\n"), "{live}");
    assert_eq!(second.stop().code(), Some(0));
}

#[test]
fn a_socket_that_no_key_names_is_refused_in_one_sentence() {
    let sip = UdpSocket::bind("127.0.0.1:0").expect("a port of loopback");
    let address = sip.local_addr().expect("bound").to_string();
    let [tcp, http] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let web = http.local_addr().expect("bound").to_string();
    let Some(site) = site(&[format!("udp:{address}")], &web) else { return };
    let mut refused = hand_over(&site, &sip, &tcp, &http);
    assert_eq!(refused.0.wait().expect("a child").code(), Some(2));
    let wanted = format!(
        "sidetone: the service manager hands over tcp:{}, which must be named by sip.listen or http.listen, found in \
         neither",
        tcp.local_addr().expect("bound")
    );
    assert_eq!(log(&site).lines().last(), Some(wanted.as_str()));
}
