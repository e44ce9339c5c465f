//! Cards in real calls: keyed to a leg by SIPp, and said to one by four people's digits. The leg is paused, whoever may
//! ends it, and nothing of a digit stands in anything that the appliance writes, however much it logs.
//!
//! Without the models these tests say so and pass; so does each half without SIPp, or without the digits.
#![expect(clippy::disallowed_methods, reason = "a test reads the disk and asks over HTTP")]

mod appliance;
mod peers;
mod store;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use appliance::{Appliance, RATE, Site, TOKEN, wait_for};
use peers::sipp;
use serde_json::Value;
use sidetone::runtime::audio_file::read_mono;
use sidetone::runtime::caller::{CallPlan, place};
use store::{skip, store};

/// As the scenario keys it.
const KEYED: &str = "4929804463622138";
/// As it is said; it passes for nobody's card, so that only its length can give it away.
const SAID: &str = "9182736450918273";
const DIGITS: &str = "../shared/speech/digits";
const POLICY: &str = r#"
    name = "cards"
    version = "1"
    [[phrase]]
    id = "risk"
    text = "your capital is at risk"
    parties = ["agent"]
    [[pause]]
    id = "card"
    legs = ["caller"]
    cards = true
"#;

#[test]
fn a_card_keyed_or_said_pauses_the_leg_and_no_digit_of_it_is_written_anywhere() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    site.write("policy.toml", POLICY);
    site.write("sidetone.toml", site.open_api());
    let appliance = Appliance::start_with(&site, &[("SIDETONE_LOG", "trace")]);
    assert_eq!(appliance.metric("sidetone_pauses_total{by=\"card\"}"), 0.0);
    assert!(appliance.get("/metrics").is_some_and(|(_, text)| text.contains("{by=\"card\"} 0")));

    let mut pauses = 0;
    if sipp::is_there() {
        keyed(&site, &appliance);
        pauses += 1;
    }
    if Path::new(DIGITS).is_dir() {
        said(&appliance);
        pauses += 1;
    } else {
        skip("the digits are not there");
    }
    appliance.wait_for_metric("sidetone_pauses_total{by=\"card\"}", pauses as f64);
    appliance.wait_for_metric("sidetone_legs{state=\"paused\"}", 0.0);
    let (_, metrics) = appliance.get("/metrics").expect("an answer");
    let stopped = appliance.stop();
    assert!(stopped.status.success(), "{:#?}", stopped.log);
    let logged = stopped.log.iter().filter(|line| line.contains("state=\"begun\" by=\"card\""));
    assert_eq!(logged.count(), pauses, "a line for each: {:#?}", stopped.log);
    let written = stopped.output.iter().chain(&stopped.log).map(String::as_str);
    for line in written.chain(metrics.lines()) {
        let keys = (0..=KEYED.len() - 4).map(|from| &KEYED[from..from + 4]);
        let digits = (0..=SAID.len() - 4).map(|from| &SAID[from..from + 4]);
        for secret in keys.chain(digits) {
            assert!(!holds(line, secret), "{secret} in {line}");
        }
        let words = line.to_lowercase();
        let words: Vec<_> = words.split(|c: char| !c.is_ascii_alphabetic()).collect();
        for word in ["nine", "eight", "seven", "six", "five", "four", "three"] {
            assert!(!words.contains(&word), "{word:?} in {line}");
        }
        let key = line.contains("Key {") || line.contains("transcript");
        assert!(!key, "{line}");
    }
}

/// Whether `line` holds `secret` as a number, or as the beginning or the end of one; times and counts hold it by chance
/// within.
fn holds(line: &str, secret: &str) -> bool {
    line.split(|c: char| !c.is_ascii_digit()).any(|number| number == secret)
        || line.contains(&KEYED[..6])
        || line.contains(&SAID[..6])
}

/// What was told of pauses in a conversation: state, by, pause and whether the leg is paused.
fn told(appliance: &Appliance, conversation: &str) -> Vec<(String, String, String, bool)> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let verdicts = appliance.verdicts().into_iter();
    let pauses = verdicts.filter(|v| v["kind"] == "pause" && v["conversation"] == conversation);
    let paused = |v: &Value| v["paused"].as_bool().expect("yes or no");
    pauses.map(|v| (word(&v["state"]), word(&v["by"]), word(&v["pause"]), paused(&v))).collect()
}

/// The last of them, once there are `count`.
fn nth(appliance: &Appliance, conversation: &str, count: usize) -> (String, String, String, bool) {
    wait_for("a verdict about a pause", || told(appliance, conversation).get(count - 1).cloned())
}

fn verdict(state: &str, by: &str, pause: &str, paused: bool) -> (String, String, String, bool) {
    (state.to_owned(), by.to_owned(), pause.to_owned(), paused)
}

fn keyed(site: &Site, appliance: &Appliance) {
    let (scenario, target) = (Path::new("tests/pbx/sipp_pause.xml"), appliance.sip.to_string());
    let sipp = sipp::scenario(site, scenario, &target, 60).spawn().expect("sipp runs");
    assert_eq!(nth(appliance, "keyed", 1), verdict("begun", "card", "card", true));
    appliance.wait_for_metric("sidetone_legs{state=\"paused\"}", 1.0);
    // As its keys go on, the leg stays as it is; whoever resumes it by hand is believed.
    let order = r#"{"conversation":"keyed","party":"caller","pause":false}"#;
    thread::sleep(Duration::from_secs(4));
    let (status, body) = post(appliance, "/pauses", order);
    assert_eq!((status, body.contains("\"legs\":1")), (202, true), "{body}");
    assert_eq!(nth(appliance, "keyed", 2), verdict("ended", "api", "card", false));
    let done = sipp.wait_with_output().expect("sipp ends");
    assert!(done.status.success(), "{}\n{:#?}", sipp::logs(site), appliance.log());
    assert_eq!(nth(appliance, "keyed", 3), verdict("begun", "header", "", true));
    assert_eq!(nth(appliance, "keyed", 4), verdict("ended", "header", "", false));
    assert_eq!(post(appliance, "/pauses", order).0, 404, "the call is over");
    assert_eq!(post(appliance, "/calls/1/pause", "").0, 404, "none was placed");
}

/// Each digit by the next of four speakers' takes: 16 digits in groups of four.
fn said(appliance: &Appliance) {
    let mut audio = vec![0.0; RATE as usize / 2];
    for (place, digit) in SAID.chars().enumerate() {
        let file = format!("{DIGITS}/jackson_{digit}_{}.flac", place % 5);
        audio.extend(read_mono(Path::new(&file), RATE).expect("a digit"));
        let pause = if place % 4 == 3 { 0.5 } else { 0.1 };
        audio.extend(vec![0.0; (pause * f64::from(RATE)) as usize]);
    }
    let headers = [("X-Sidetone-Conversation", "said"), ("X-Sidetone-Party", "caller")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let (target, afterwards) = (appliance.sip, Duration::from_secs(3));
    let plan = CallPlan { target, headers, audio, afterwards, pace: 1.0, backlog: None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(place(plan)).expect("a call");
    assert_eq!(nth(appliance, "said", 1), verdict("begun", "card", "card", true));
    assert_eq!(told(appliance, "said").len(), 1, "it lasts until the call is over");
}

/// Status and body of a POST.
fn post(appliance: &Appliance, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(appliance.http).expect("a connection");
    write!(
        stream,
        "POST {path} HTTP/1.0\r\nHost: sidetone\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).expect("a status");
    (status.parse().expect("a number"), body.to_owned())
}
