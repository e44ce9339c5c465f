//! A real Asterisk: we register with it, it calls us, we call it, and it takes our verdicts.
//!
//! It is fetched once (`tests/pbx/asterisk/fetch.sh`); without it or the models these tests say so
//! and pass.
#![expect(clippy::disallowed_methods, reason = "a test reads a clock and waits")]

mod appliance;
mod peers;
mod store;

use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use appliance::{Appliance, SUBJECT, Site, wait_for};
use peers::asterisk::{Asterisk, PASSWORD};
use peers::free_port;
use sidetone::audio::{g711, pcm};
use store::store;

/// Lifetime asked for, seconds: the shortest that the configuration takes.
const EXPIRES_S: u64 = 60;

#[test]
fn it_knows_us_by_udp_and_tcp_and_calls_us_through_the_binding() {
    // Nobody is a peer: who may call does so because we are registered there.
    let nobody = ("networks = [\"127.0.0.0/8\", \"::1/128\"]", "networks = [\"192.0.2.0/24\"]");
    let Some(bench) = Bench::new(&[nobody]) else { return };
    bench.wait_for_bindings();
    for (calls, endpoint) in [(1.0, "sidecarreg"), (2.0, "sidecartcp")] {
        let before = bench.packets();
        bench.asterisk.call(endpoint);
        bench.hear(before);
        bench.asterisk.cli("channel request hangup all");
        bench.appliance.wait_for_metric("sidetone_calls_ended_total{end=\"by_peer\"}", calls);
    }
    bench.appliance.wait_for_metric("sidetone_calls_active", 0.0);
    let log = bench.appliance.log();
    assert!(log.iter().all(|line| line.contains(" INFO ")), "nothing was wrong: {log:#?}");
    // It is told that we leave.
    let Bench { appliance, asterisk, .. } = bench;
    let stopped = appliance.stop();
    assert_eq!(stopped.status.code(), Some(0), "{stopped:#?}");
    assert!(!asterisk.cli("pjsip show contacts").contains("sidecar"), "bindings are left behind");
}

#[test]
fn a_registrar_that_lost_its_bindings_has_them_again_within_their_lifetime() {
    let Some(mut bench) = Bench::new(&[]) else { return };
    bench.wait_for_bindings();
    bench.asterisk.kill();
    // The connection is broken, and that is seen at once; nothing is seen of the other.
    bench.appliance.wait_for_metric("sidetone_sip_registered{account=\"tcp\"}", 0.0);
    thread::sleep(Duration::from_secs(3));
    bench.asterisk.start_again();
    let start = Instant::now();
    for endpoint in ["sidecartcp", "sidecarreg"] {
        wait_for("the binding", || bench.asterisk.reaches(endpoint).then_some(()));
        let took = start.elapsed();
        assert!(took < Duration::from_secs(EXPIRES_S), "{endpoint}: {took:?}");
    }
    bench.appliance.wait_for_metric("sidetone_sip_registered{account=\"tcp\"}", 1.0);
    let before = bench.packets();
    bench.asterisk.call("sidecarreg");
    bench.hear(before);
    let log = bench.appliance.log();
    let warnings = log.iter().filter(|line| line.contains(" WARN ")).count();
    assert!((1..8).contains(&warnings), "a line for each change, not for each try: {log:#?}");
}

#[test]
fn a_call_of_ours_is_answered_and_ended() {
    let Some(bench) = Bench::new(&[]) else { return };
    let called = bench.run(&["call", "narrator", "--account", "udp", "--json"]);
    assert_eq!(called.status.code(), Some(0), "{called:?} {:#?}", bench.appliance.log());
    let text = String::from_utf8(called.stdout).expect("UTF-8");
    assert!(text.lines().last().is_some_and(|l| l.contains("\"state\":\"answered\"")), "{text}");
    bench.hear(0.0);
    let ended = bench.run(&["call", "--end", "1"]);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    bench.appliance.wait_for_metric("sidetone_calls_ended_total{end=\"by_us\"}", 1.0);
    bench.appliance.wait_for_metric("sidetone_calls_active", 0.0);
    wait_for("Asterisk's end of the call", || {
        bench.asterisk.cli("core show channels").contains("0 active channels").then_some(())
    });
    let list = bench.run(&["call", "--list"]);
    let text = String::from_utf8(list.stdout).expect("UTF-8");
    assert!(text.ends_with(": ended: by_us\n"), "{text}");
}

#[test]
fn a_call_of_ours_that_is_not_answered_is_told_in_a_line_and_the_exit_code() {
    let Some(bench) = Bench::new(&[]) else { return };
    for (arguments, code, wanted) in [
        (["busy", "--account", "udp"], 1, "failed: refused with 486"),
        (["nobody", "--account", "tcp"], 1, "failed: refused with 404"),
        (
            ["narrator", "--account", "wrong"],
            1,
            "failed: the called side does not take our credentials",
        ),
        (["narrator", "--account", "fax"], 2, "no account is called \"fax\""),
    ] {
        let called = bench.run(&[&["call"], &arguments[..]].concat());
        let text = [called.stdout, called.stderr].concat();
        let text = String::from_utf8(text).expect("UTF-8");
        assert_eq!(called.status.code(), Some(code), "{arguments:?}: {text}");
        let last = text.lines().last().unwrap_or_default();
        assert!(last.contains(wanted), "{arguments:?}: {text}");
    }
    bench.appliance.wait_for_metric("sidetone_calls_active", 0.0);
}

#[test]
fn a_verdict_is_a_digit_that_it_understands() {
    let relay = ("info = \"rfc6086\"", "info = \"dtmf-relay\"\ndigits = { accepted = \"7\" }");
    let Some(bench) = Bench::new(&[relay]) else { return };
    bench.call_the_narrator();
    bench.appliance.wait_for_metric("sidetone_info_total{result=\"answered\"}", 1.0);
    wait_for("the digit", || bench.asterisk.log().contains("DTMF end '7'").then_some(()));
    assert_eq!(bench.appliance.metric("sidetone_calls_active"), 1.0, "the call goes on");
    assert_eq!(bench.appliance.verdicts()[0]["decision"], "accepted");
}

#[test]
fn a_verdict_that_is_never_answered_does_not_cost_the_call() {
    let Some(bench) = Bench::new(&[("info = \"rfc6086\"", "info = \"legacy-json\"")]) else {
        return;
    };
    bench.call_the_narrator();
    bench.appliance.wait_for_metric("sidetone_info_total{result=\"timed_out\"}", 1.0);
    let before = bench.packets();
    bench.hear(before);
    assert_eq!(bench.appliance.metric("sidetone_calls_active"), 1.0, "the call goes on");
    assert_eq!(bench.appliance.metric_sum("sidetone_info_total"), 1.0, "it is tried once");
}

/// An Asterisk that plays the narrator, and an appliance that knows him and registers there.
struct Bench {
    site: Site,
    appliance: Appliance,
    asterisk: Asterisk,
}

impl Bench {
    /// With these replacements in the configuration.
    fn new(changes: &[(&str, &str)]) -> Option<Self> {
        let store = store()?;
        let site = Site::new(&store);
        let codes = pcm::to_i16(&site.narrator()).into_iter().map(g711::encode_ulaw);
        let asterisk = Asterisk::start(&codes.collect::<Vec<u8>>(), "")?;
        site.enroll();
        site.write("asterisk.password", format!("{PASSWORD}\n"));
        site.write("wrong.password", "guess\n");
        let mut text = site.open_api();
        // The command line has to know the port.
        let http = format!("\"127.0.0.1:{}\"", free_port());
        for (from, to) in [("\"127.0.0.1:0\"", http.as_str())].iter().chain(changes) {
            assert!(text.contains(from), "the configuration has {from}");
            text = text.replace(from, to);
        }
        for (name, user, register) in [
            ("udp", "sidecarreg", true),
            ("tcp", "sidecartcp", true),
            ("wrong", "sidecarreg", false),
        ] {
            let password = if register { "asterisk" } else { "wrong" };
            let transport = if name == "tcp" { "tcp" } else { "udp" };
            let port = asterisk.port;
            text += &format!(
                "\n[[sip.account]]\nname = \"{name}\"\n\
                 registrar = \"sip:127.0.0.1:{port};transport={transport}\"\n\
                 address = \"sip:{user}@127.0.0.1:{port};transport={transport}\"\n\
                 password_file = \"{password}.password\"\n\
                 expires_s = {EXPIRES_S}\nregister = {register}\n"
            );
        }
        site.write("sidetone.toml", text);
        let appliance = Appliance::start(&site);
        Some(Self { site, appliance, asterisk })
    }

    /// The command line beside the running appliance.
    fn run(&self, arguments: &[&str]) -> Output {
        self.site.run(arguments)
    }

    fn wait_for_bindings(&self) {
        for name in ["udp", "tcp"] {
            let metric = format!("sidetone_sip_registered{{account=\"{name}\"}}");
            self.appliance.wait_for_metric(&metric, 1.0);
        }
        for endpoint in ["sidecarreg", "sidecartcp"] {
            wait_for("an answer to its OPTIONS", || self.asterisk.reaches(endpoint).then_some(()));
        }
    }

    /// Calls the extension that speaks, with a claim that is true.
    fn call_the_narrator(&self) {
        let claim = ["--subject", SUBJECT, "--consent", "c-1", "--party", "caller"];
        let call = ["call", "narrator", "--account", "udp", "--peer", "pbx"];
        let called = self.run(&[&call[..], &claim].concat());
        assert_eq!(called.status.code(), Some(0), "{called:?} {:#?}", self.appliance.log());
    }

    fn packets(&self) -> f64 {
        self.appliance.metric("sidetone_rtp_packets_total")
    }

    /// Waits for two seconds of audio beyond what there was `before`.
    fn hear(&self, before: f64) {
        let until = Instant::now() + Duration::from_secs(20);
        while self.packets() <= before + 100.0 {
            let (ours, theirs) = (self.appliance.log(), self.asterisk.log());
            assert!(Instant::now() < until, "no audio; ours: {ours:#?}\ntheirs: {theirs}");
            thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(self.appliance.metric("sidetone_rtp_lost_total"), 0.0);
    }
}
