//! Other people's programs as our peers: whether they are there, how they are run, what they cost.
#![allow(
    dead_code,
    clippy::disallowed_methods,
    reason = "every test takes what it needs of this; it runs programs and reads the disk"
)]

pub(crate) mod asterisk;
pub(crate) mod authority;
pub(crate) mod baresip;
pub(crate) mod kamailio;
pub(crate) mod office;
pub(crate) mod sipp;

use std::collections::HashMap;
use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::store::skip;

/// Whether `program` can be run; says so if not. `package` is Debian's that brings it.
pub(crate) fn installed(program: &str, package: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&paths).any(|folder| folder.join(program).is_file());
    if !there {
        skip(&format!("{program} is not installed (Debian: {package})"));
    }
    there
}

/// A port of loopback that nobody uses, over UDP and over TCP. Somebody may take it before its user
/// does, as with any port that a program has to be told; the kernel does not deal it out again soon.
pub(crate) fn free_port() -> u16 {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
        let address = tcp.local_addr().expect("bound");
        if UdpSocket::bind(address).is_ok() {
            return address.port();
        }
    }
}

/// CPU time of a process so far, its threads and the kernel's work for it included, seconds.
pub(crate) fn cpu_seconds(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("it lives");
    // The second field is the program's name in brackets, which may hold anything.
    let (_, fields) = stat.rsplit_once(") ").expect("the name ends");
    let ticks = |n: usize| -> f64 {
        fields.split(' ').nth(n).and_then(|field| field.parse().ok()).expect("a number")
    };
    // utime and stime, 14th and 15th of all fields; the kernel tells them in hundredths (USER_HZ).
    (ticks(11) + ticks(12)) / 100.0
}

/// Memory of a process that is in use and in place, MiB.
pub(crate) fn resident_mib(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a figure");
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib / 1024.0
}

/// A program that runs beside the test and ends with it.
#[derive(Debug)]
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("the program runs"))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(mut self) {
        let (kill, id) = ("kill -TERM \"$0\"", self.id().to_string());
        let sent = Command::new("sh").args(["-c", kill, &id]).status();
        assert!(sent.expect("a shell").success(), "it lives until it is told to end");
        let _ = self.0.wait();
    }

    /// Kills it and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What SIPp counted.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) successful: u64,
    pub(crate) failed: u64,
    pub(crate) retransmissions: u64,
}

/// Runs SIPp's own caller, a set-up with an SDP offer and a tear-down at once: `calls` of them,
/// `rate` a second, from the address `own` to `target` over `transport` ("u1" or "t1": one socket, one connection).
pub(crate) fn sipp_calls(
    folder: &Path,
    own: &str,
    target: SocketAddr,
    transport: &str,
    rate: u32,
    calls: u32,
) -> (Output, Counted) {
    let statistics = folder.join("statistics.csv");
    // As long as it should take, and twice what a transaction takes to fail.
    let longest = (calls / rate + 64).to_string();
    let done = Command::new("sipp")
        .args(["-sn", "uac", &target.to_string(), "-i", own, "-mi", own])
        .args(["-t", transport, "-r", &rate.to_string(), "-m", &calls.to_string()])
        .args(["-timeout", &longest, "-timeout_error", "-nostdin", "-trace_err", "-trace_stat"])
        .args(["-error_file", "sipp_errors.log", "-fd", "1", "-stf"])
        .arg(&statistics)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("sipp runs");
    let text = fs::read_to_string(&statistics).expect("its statistics");
    let mut lines = text.lines();
    let names = lines.next().expect("a line of names").split(';');
    let last = lines.last().expect("a line of numbers").split(';');
    let columns: HashMap<&str, &str> = names.zip(last).collect();
    let count = |name: &str| columns[name].parse().expect("a number");
    let counted = Counted {
        successful: count("SuccessfulCall(C)"),
        failed: count("FailedCall(C)"),
        retransmissions: count("Retransmissions(C)"),
    };
    (done, counted)
}
