//! Those who scan the Internet for telephones: SIPVicious finds nobody, learns nothing, costs little.
//!
//! Without the models, SIPVicious or SIPp these tests say so and pass.
#![expect(clippy::disallowed_methods, reason = "a test runs programs and reads a clock")]

mod appliance;
mod peers;
mod store;

use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use appliance::{Appliance, Site, wait_for};
use peers::{cpu_seconds, installed, sipp_calls};
use store::store;

/// Where the one peer is, on this machine as the scanner is.
const PEER: &str = "127.0.0.2";
/// The most that a scan may take of one core, with the development build.
const SHARE: f64 = 0.25;

#[test]
fn a_scanner_that_is_ignored_finds_nobody() {
    let Some(scanned) = Scanned::by_all("ignore") else { return };
    assert_eq!(
        scanned
            .appliance
            .metric("sidetone_sip_messages_total{direction=\"sent\",transport=\"udp\"}"),
        scanned.answers
    );
    for (program, said) in &scanned.said {
        let found = ["403", "200", "401", "sidetone", "SIP Device", "reqauth", "noauth"];
        let found: Vec<_> = found.iter().filter(|word| said.contains(**word)).collect();
        assert!(found.is_empty(), "{program} found {found:?}: {said}");
    }
}

#[test]
fn a_scanner_that_is_refused_finds_403_and_no_extension() {
    let Some(scanned) = Scanned::by_all("refuse") else { return };
    let (_, map) = &scanned.said[0];
    assert!(map.contains("| 127.0.0.1:"), "it learns that somebody is here: {map}");
    for (program, said) in &scanned.said[1..] {
        for word in ["reqauth", "noauth", "| 10"] {
            assert!(!said.contains(word), "{program} found {word}: {said}");
        }
    }
    // Who was answered 403 as often as a stranger may be is not even read.
    assert!(scanned.appliance.metric("sidetone_sip_rejected_total{reason=\"rate\"}") > 100.0);
}

/// An appliance after the scans, and what the scanners said.
struct Scanned {
    appliance: Appliance,
    said: Vec<(&'static str, String)>,
    /// Messages that the peer's calls got.
    answers: f64,
}

impl Scanned {
    #[expect(clippy::print_stderr, reason = "the figures are for a person")]
    fn by_all(strangers: &str) -> Option<Self> {
        let store = store()?;
        if !installed("svmap", "sipvicious") || !installed("sipp", "sip-tester") {
            return None;
        }
        let site = Site::new(&store);
        let text = site.config().replace("\"ignore\"", &format!("\"{strangers}\""));
        let text = text.replace("\"127.0.0.0/8\"", &format!("\"{PEER}/32\""));
        site.write("sidetone.toml", text);
        let appliance = Appliance::start(&site);
        let port = appliance.sip.port().to_string();
        let scans: [(&'static str, &[&str]); 4] = [
            ("svmap", &[]),
            ("svmap", &["-m", "INVITE"]),
            ("svwar", &["--force", "-m", "INVITE", "-e", "1000-3999", "-t", "0.001"]),
            ("svcrack", &["-u", "1000", "-r", "1-3000", "-t", "0.001"]),
        ];
        let (before, start) = (cpu_seconds(appliance.id()), Instant::now());
        let said = thread::scope(|scope| {
            let scanning = scope.spawn(|| {
                scans.map(|(program, arguments)| {
                    // svcrack goes on for ever where nobody answers.
                    let output = Command::new("timeout")
                        .args(["8", program])
                        .args(["-p", &port])
                        .args(arguments)
                        .arg("127.0.0.1")
                        // Sessions are kept there.
                        .env("HOME", site.path(""))
                        .stdin(Stdio::null())
                        .output()
                        .expect("it runs");
                    let said = [output.stdout, output.stderr].concat();
                    (program, String::from_utf8_lossy(&said).into_owned())
                })
            });
            let (done, counted) = sipp_calls(&site.path(""), PEER, appliance.sip, "u1", 20, 200);
            assert!(done.status.success() && counted.retransmissions == 0, "{counted:?}");
            scanning.join().expect("it does not panic").to_vec()
        });
        let (cpu, took) = (cpu_seconds(appliance.id()) - before, start.elapsed().as_secs_f64());
        appliance.wait_for_metric("sidetone_calls_ended_total{end=\"by_peer\"}", 200.0);
        let rejected = || appliance.metric_sum("sidetone_sip_rejected_total");
        // Whoever gets no answer to the first message gives up: one a scanner at least.
        wait_for("the scan in the metrics", || (rejected() >= 3.0).then_some(()));
        eprintln!(
            "{strangers}: {} messages of scanners and 200 calls in {took:.0} s cost {cpu:.2} s of CPU",
            rejected()
        );
        assert!(cpu / took < SHARE, "{cpu} s of {took} s");
        // A line in five seconds, however many they are.
        let log = appliance.log();
        let lines = log.iter().filter(|line| line.contains(" WARN ")).count();
        assert!((1.0..2.0 + took / 5.0).contains(&(lines as f64)), "{lines} lines: {log:#?}");
        // A 100 and a 200 to each INVITE, a 200 to each BYE, and not one message to anybody else.
        Some(Self { appliance, said, answers: 600.0 })
    }
}
