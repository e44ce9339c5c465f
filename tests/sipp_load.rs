//! Many calls a second: SIPp sets up and tears down, and we neither fail one nor are slow.
//!
//! `cargo test` keeps it short; `make load` stays for a minute with 200 calls a second.
#![expect(clippy::disallowed_methods, reason = "a test reads the environment and a clock")]

mod appliance;
mod peers;
mod store;

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use appliance::{Appliance, Site, wait_for};
use peers::{Running, cpu_seconds, free_port, installed, sipp_calls};
use store::store;

/// How much, from the environment where `make load` says so.
fn number(name: &str, otherwise: u32) -> u32 {
    std::env::var(name)
        .map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn calls_by_udp_are_all_set_up_and_torn_down() {
    load("udp", "u1");
}

#[test]
fn calls_over_one_tcp_connection_are_all_set_up_and_torn_down() {
    load("tcp", "t1");
}

#[expect(clippy::print_stderr, reason = "the figures are for a person")]
fn load(name: &str, transport: &str) {
    let Some(store) = store() else { return };
    if !installed("sipp", "sip-tester") {
        return;
    }
    let (seconds, rate) = (number("SIDETONE_LOAD_SECONDS", 10), number("SIDETONE_LOAD_RATE", 100));
    let calls = rate * seconds;
    let site = Site::new(&store);
    let appliance = Appliance::start(&site);
    let target = if name == "tcp" { appliance.tcp } else { appliance.sip };

    let (before, start) = (cpu_seconds(appliance.id()), Instant::now());
    let (done, counted) = sipp_calls(&site.path(""), "127.0.0.1", target, transport, rate, calls);
    let (ours, took) = (cpu_seconds(appliance.id()) - before, start.elapsed());
    let errors = std::fs::read_to_string(site.path("sipp_errors.log")).unwrap_or_default();
    let errors: String = errors.lines().take(20).collect();
    assert!(done.status.success(), "SIPp says {}: {counted:?}\n{errors}", done.status);
    assert_eq!((counted.successful, counted.failed), (u64::from(calls), 0), "{errors}");
    // One in a hundred is what a busy machine may cost; each would be an answer 500 ms late.
    let repeated = u64::from(calls / 100);
    assert!(counted.retransmissions <= repeated, "{counted:?}");
    // As fast as they were begun: nothing queues up.
    assert!(took < Duration::from_secs(u64::from(seconds) + 5), "{took:?}");
    appliance.wait_for_metric("sidetone_calls_ended_total{end=\"by_peer\"}", f64::from(calls));
    appliance.wait_for_metric("sidetone_calls_active", 0.0);
    assert_eq!(appliance.metric_sum("sidetone_calls_refused_total"), 0.0);
    let log = appliance.log();
    let warnings: Vec<_> = log.iter().filter(|line| line.contains(" WARN ")).take(5).collect();
    assert!(warnings.is_empty(), "{warnings:?}");
    let resident = appliance.metric("process_resident_memory_bytes") / 1e6;
    assert_eq!(appliance.stop().status.code(), Some(0));

    let theirs = sipp_as_the_called(&site, transport, rate, calls);
    let a_call = |cpu: f64| cpu * 1e6 / f64::from(calls);
    eprintln!(
        "{name}: {calls} calls at {rate}/s, none failed, {} repeated; CPU a call {:.0} us \
         (sipp -sn uas: {:.0} us), {resident:.0} MB",
        counted.retransmissions,
        a_call(ours),
        a_call(theirs),
    );
}

/// CPU seconds of SIPp's own called side for the same calls, to compare with.
fn sipp_as_the_called(site: &Site, transport: &str, rate: u32, calls: u32) -> f64 {
    let port = free_port();
    let target = SocketAddr::from(([127, 0, 0, 1], port));
    let uas = Running::start(
        Command::new("sipp")
            .args(["-sn", "uas", "-i", "127.0.0.1", "-p", &port.to_string(), "-t", transport])
            .arg("-nostdin")
            .current_dir(site.path("")),
    );
    wait_for("SIPp's socket", || match transport {
        "t1" => std::net::TcpStream::connect(target).ok().map(drop),
        _ => UdpSocket::bind(target).err().map(drop),
    });
    let before = cpu_seconds(uas.id());
    let (done, counted) = sipp_calls(&site.path(""), "127.0.0.1", target, transport, rate, calls);
    assert!(done.status.success(), "SIPp to SIPp says {}: {counted:?}", done.status);
    cpu_seconds(uas.id()) - before
}
