//! A real third party records calls here: SIPp, by the scenarios in `tests/pbx/`, with real speech on every stream.
//!
//! Without the models or SIPp (Debian: sip-tester) these tests say so and pass.
#![expect(
    clippy::disallowed_methods,
    reason = "a test reads the disk, sends audio and has a clock"
)]

mod appliance;
mod peers;
mod store;

use std::net::UdpSocket;
use std::path::Path;
use std::process::Child;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use appliance::{Appliance, RATE, SUBJECT, Site, wait_for};
use peers::sipp;
use serde_json::Value;
use sidetone::audio::{g711, pcm};
use sidetone::rtp::packet::Packet;
use sidetone::rtp::srtp::{MasterKey, SendContext, Suite};
use sidetone::runtime::audio_file::read_mono;
use store::store;

/// Samples of one packet.
const PACKET: usize = 160;
/// Length of one packet.
const PACKET_TIME: Duration = Duration::from_millis(20);
/// The narrator, who is the caller, says the first five seconds after the beginning; "Worstward Ho", whose reader is the
/// agent, has the second after eight.
const POLICY: &str = r#"
    name = "recorded"
    version = "1"
    [[phrase]]
    id = "heaven"
    text = "going direct to heaven"
    [[phrase]]
    id = "better"
    text = "fail better"
    [[phrase]]
    id = "risk"
    text = "your capital is at risk"
    [[rule]]
    id = "risk-at-once"
    kind = "required"
    parties = ["caller"]
    phrases = ["risk"]
    within_s = 3
"#;

#[test]
fn both_parties_are_recognised_each_on_its_own_stream_and_nothing_is_told_in_the_dialog() {
    let Some(bench) = Bench::new() else { return };
    let call = bench.call("siprec_two.xml");
    let [caller, agent] = call.ports(0)[..] else { panic!("two streams") };
    let speaking = [call.say(0, caller, &bench.narrator), call.say(1, agent, &bench.beckett)];
    bench.appliance.wait_for_metric("sidetone_recording_sessions_active", 1.0);
    bench.appliance.wait_for_metric("sidetone_calls_active", 1.0);
    let of_caller = |told: &Value| told["kind"] == "speaker" && told["party"] == "caller";
    let accepted = bench.verdict(of_caller);
    assert_eq!(accepted["decision"], "accepted", "{accepted}");
    assert_eq!(accepted["conversation"], "recorded");
    // The agent's address is a claim too, but nobody says that the agent has agreed.
    let unasked = bench.verdict(|told| told["kind"] == "speaker" && told["party"] == "agent");
    assert_eq!(unasked["reason"], "no_consent", "{unasked}");
    assert_eq!(accepted["subject"], "narrator@pbx.example");
    bench.verdict(|told| told["phrase"] == "better");
    bench.verdict(|told| told["phrase"] == "heaven");
    speaking.into_iter().for_each(|speaking| drop(speaking.join().expect("it only speaks")));
    call.end();
    bench.appliance.wait_for_metric("sidetone_recording_sessions_active", 0.0);
    bench.wait_for_lines(2);
    assert_eq!(bench.phrases(), [("agent", "better"), ("caller", "heaven")].map(owned));
    assert_eq!(bench.appliance.metric("sidetone_calls_ended_total{end=\"by_peer\"}"), 1.0);
    for outcome in ["answered", "refused", "timed_out", "skipped"] {
        let metric = format!("sidetone_info_total{{result=\"{outcome}\"}}");
        assert_eq!(bench.appliance.metric(&metric), 0.0, "{outcome}");
    }
    let log = bench.appliance.log();
    assert!(log.iter().all(|line| line.contains(" INFO ")), "a clean call: {log:#?}");
    assert_eq!(bench.appliance.stop().status.code(), Some(0));
}

#[test]
fn one_stream_of_both_is_a_mixed_leg() {
    let Some(bench) = Bench::new() else { return };
    let call = bench.call("siprec_mixed.xml");
    let [both] = call.ports(0)[..] else { panic!("one stream") };
    let speaking = call.say(0, both, &bench.narrator[..7 * RATE as usize]);
    bench.verdict(|told| told["phrase"] == "heaven");
    speaking.join().expect("it only speaks");
    call.end();
    bench.wait_for_lines(1);
    assert_eq!(bench.phrases(), [("mixed", "heaven")].map(owned));
    assert_eq!(bench.appliance.stop().status.code(), Some(0));
}

#[test]
fn another_agent_is_another_leg_on_the_same_port_and_streams_come_and_go() {
    let Some(bench) = Bench::new() else { return };
    let call = bench.call("siprec_update.xml");
    let [_, agent] = call.ports(0)[..] else { panic!("two streams") };
    // The first agent's numbers begin again at 0 on the way: what decrypts has to know how often they did.
    let mut speaker = Speaker { keys: Some(keys()), sequence: 65_400, ..Speaker::new() };
    speaker = call.say_as(speaker, 1, agent, &bench.beckett).join().expect("it only speaks");
    bench.verdict(|told| told["phrase"] == "better");
    bench.log_line("leg over: somebody else speaks");
    // What the second agent says is not the first one's: it is told anew.
    call.say_as(speaker, 1, agent, &bench.beckett).join().expect("it only speaks");
    wait_for("the second agent's phrase", || (bench.phrases().len() == 2).then_some(()));
    bench.log_line("leg over: its stream is gone");
    let told = call.ports(1);
    assert_eq!(
        (told[0], told[1]),
        (call.ports(0)[0], 0),
        "what stays has its port, what is gone none"
    );
    assert!(![0, agent].contains(&told[2]), "what comes has one of its own: {told:?}");
    call.end();
    // One each of the caller and of three agents.
    bench.wait_for_lines(4);
    assert_eq!(bench.phrases(), [("agent", "better"), ("agent", "better")].map(owned));
    let legs = bench.appliance.log().iter().filter(|line| line.contains(" leg ")).count();
    assert!(legs >= 4, "{:#?}", bench.appliance.log());
    bench.appliance.wait_for_metric("sidetone_recording_sessions_active", 0.0);
    assert_eq!(bench.appliance.metric("sidetone_recording_sessions_total"), 1.0);
    assert_eq!(bench.appliance.stop().status.code(), Some(0));
}

#[test]
fn the_time_of_a_rule_stands_while_a_recording_is_paused() {
    let Some(bench) = Bench::new() else { return };
    let call = bench.call("siprec_pause.xml");
    let [caller, agent] = call.ports(0)[..] else { panic!("two streams") };
    let spoken = &bench.beckett[..2 * RATE as usize];
    let speaking = [call.say(0, caller, spoken), call.say(1, agent, spoken)];
    speaking.into_iter().for_each(|speaking| drop(speaking.join().expect("it only speaks")));
    call.end();
    let violated = bench.verdict(|told| told["state"] == "violated");
    // Three seconds from the beginning, and five on hold.
    let since = violated["since_s"].as_f64().expect("a time");
    assert!((7.8..9.5).contains(&since), "{violated}");
    assert_eq!(bench.appliance.stop().status.code(), Some(0));
}

#[test]
fn one_silent_stream_ends_nothing_and_both_do() {
    let silence = ("silence_timeout_s = 60", "silence_timeout_s = 10");
    let Some(bench) = Bench::with(silence) else { return };
    let call = bench.call("siprec_silent.xml");
    let [caller, _] = call.ports(0)[..] else { panic!("two streams") };
    let spoken = [&bench.narrator[..], &bench.beckett[..3 * RATE as usize]].concat();
    call.say(0, caller, &spoken).join().expect("it only speaks");
    assert_eq!(bench.appliance.metric("sidetone_calls_active"), 1.0, "the agent was muted");
    call.end();
    bench.appliance.wait_for_metric("sidetone_calls_ended_total{end=\"by_us\"}", 1.0);
    bench.wait_for_lines(2);
    assert_eq!(bench.appliance.stop().status.code(), Some(0));
}

/// An appliance that knows the narrator's voice by the address of record, and what is said to it.
struct Bench {
    site: Site,
    appliance: Appliance,
    narrator: Vec<f32>,
    beckett: Vec<f32>,
}

impl Bench {
    fn new() -> Option<Self> {
        Self::with(("", ""))
    }

    /// With one more replacement in its configuration.
    fn with((from, to): (&str, &str)) -> Option<Self> {
        let store = store()?;
        if !sipp::is_there() {
            return None;
        }
        let site = Site::new(&store);
        site.write("policy.toml", POLICY);
        let shipped = "# siprec_subject = \"none\"";
        let text = site.config().replace(shipped, "siprec_subject = \"aor\"");
        assert!(text.contains(from), "the shipped configuration has {from}");
        site.write("sidetone.toml", if from.is_empty() { text } else { text.replace(from, to) });
        site.enroll();
        let subject = format!("{SUBJECT}@pbx.example");
        let enrolled =
            site.run(&["enroll", "--subject", &subject, "--consent", "c-1", "enrolment.wav"]);
        assert!(enrolled.status.success(), "{enrolled:?}");
        let narrator = site.narrator()[..10 * RATE as usize].to_vec();
        let beckett = read_mono(&store.join("recordings/beckett.wav"), RATE).expect("a recording");
        let appliance = Appliance::start(&site);
        Some(Self { site, appliance, narrator, beckett })
    }

    /// A call by a scenario, under way.
    fn call(&self, scenario: &str) -> Call {
        let text = std::fs::read_to_string(Path::new("tests/pbx").join(scenario));
        let mut text = text.expect("tests run at the package root");
        let sockets = ["PORT_A", "PORT_B"].map(|place| {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
            let port = socket.local_addr().expect("it is bound").port();
            text = text.replace(place, &port.to_string());
            socket
        });
        let file = self.site.write(scenario, text);
        let target = self.appliance.sip.to_string();
        let sipp = sipp::scenario(&self.site, &file, &target, 90).spawn().expect("sipp runs");
        Call { sipp, messages: self.site.path("sipp_messages.log"), sockets }
    }

    /// The first verdict like that, once there is one.
    fn verdict(&self, like: impl Fn(&Value) -> bool) -> Value {
        wait_for("a verdict", || self.appliance.verdicts().into_iter().find(|told| like(told)))
    }

    fn log_line(&self, text: &str) {
        wait_for(text, || {
            self.appliance.log().iter().any(|line| line.contains(text)).then_some(())
        });
    }

    /// Waits until that many legs' lines are over.
    fn wait_for_lines(&self, count: usize) {
        wait_for("the end of every leg", || {
            let closed = |line: &Value| line["state"] == "closed";
            let lines = self.appliance.lines().into_iter().filter(closed).count();
            (lines == count).then_some(())
        });
    }

    /// Party and name of each phrase found, in order of the alphabet.
    fn phrases(&self) -> Vec<(String, String)> {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let told = self.appliance.verdicts().into_iter().filter(|told| told["kind"] == "keyword");
        let mut found: Vec<_> = told.map(|t| (word(&t["party"]), word(&t["phrase"]))).collect();
        found.sort();
        found
    }
}

fn owned((party, phrase): (&str, &str)) -> (String, String) {
    (party.to_owned(), phrase.to_owned())
}

/// The keys in `siprec_update.xml`, of what is sent to us.
fn keys() -> SendContext {
    let secret = b"YS___semctl () {\t220;}\n}\nunles";
    let key = MasterKey::new(Suite::AesCm128HmacSha1_80, secret, None);
    SendContext::new(&key.expect("as long as it has to be")).expect("a good key")
}

/// One stream of RTP.
struct Speaker {
    keys: Option<SendContext>,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
}

impl Speaker {
    fn new() -> Self {
        Self { keys: None, ssrc: fastrand::u32(..), sequence: 0, timestamp: 0 }
    }

    fn packet(&mut self, marker: bool, payload: &[u8]) -> Vec<u8> {
        let Self { ssrc, sequence, timestamp, .. } = *self;
        let packet = Packet { payload_type: 0, marker, sequence, timestamp, ssrc, payload }.write();
        self.sequence = sequence.wrapping_add(1);
        self.timestamp = timestamp.wrapping_add(PACKET as u32);
        match &mut self.keys {
            None => packet,
            Some(keys) => keys.protect_rtp(packet).expect("keys last longer"),
        }
    }
}

/// SIPp with one call.
struct Call {
    sipp: Child,
    messages: std::path::PathBuf,
    sockets: [UdpSocket; 2],
}

impl Call {
    /// The port in each m-line of our answer number `nth` that has any.
    fn ports(&self, nth: usize) -> Vec<u16> {
        let messages = || std::fs::read_to_string(&self.messages).unwrap_or_default();
        wait_for("an answer with SDP", || {
            let text = messages();
            let answers = text.split("message received").skip(1);
            let ours = |answer: &str| {
                let whole = answer.split("-----------------").next().unwrap_or_default();
                let ports = whole.lines().filter_map(|line| {
                    line.strip_prefix("m=audio ")?.split(' ').next()?.parse().ok()
                });
                ports.collect::<Vec<u16>>()
            };
            // A 200 that was repeated is the same answer.
            let mut told: Vec<_> = answers.map(ours).filter(|ports| !ports.is_empty()).collect();
            told.dedup();
            told.into_iter().nth(nth)
        })
    }

    /// Says `samples` from socket number `from` to `port`, in real time, on a thread of its own.
    fn say(&self, from: usize, port: u16, samples: &[f32]) -> JoinHandle<Speaker> {
        self.say_as(Speaker::new(), from, port, samples)
    }

    /// The same by one who goes on afterwards.
    fn say_as(
        &self,
        mut speaker: Speaker,
        from: usize,
        port: u16,
        samples: &[f32],
    ) -> JoinHandle<Speaker> {
        let socket = self.sockets[from].try_clone().expect("a socket");
        let codes: Vec<u8> = pcm::to_i16(samples).into_iter().map(g711::encode_ulaw).collect();
        thread::spawn(move || {
            let start = Instant::now();
            for (n, payload) in codes.chunks(PACKET).enumerate() {
                // Nobody listens there any more once the call is over.
                let _ = socket.send_to(&speaker.packet(n == 0, payload), ("127.0.0.1", port));
                let due = start + PACKET_TIME * (n as u32 + 1);
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            speaker
        })
    }

    /// Waits until the scenario is over; SIPp must find all as it says.
    fn end(mut self) {
        let status = self.sipp.wait().expect("a child");
        let folder = self.messages.with_file_name("sipp_errors.log");
        let errors = std::fs::read_to_string(folder).unwrap_or_default();
        let messages = std::fs::read_to_string(&self.messages).unwrap_or_default();
        assert!(status.success(), "SIPp says {status}\n{errors}\n{messages}");
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // After `end`, or a test that failed: then nobody else ends it.
        let _ = self.sipp.kill();
        let _ = self.sipp.wait();
    }
}
