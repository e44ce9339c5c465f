//! Enrolment in real calls to the running appliance: asked for by header, asked for by HTTP, and in
//! passing; and a voiceprint that follows its voice. Needs the models and the readers.

#![expect(clippy::disallowed_methods, reason = "a caller speaks while another thread asks")]

mod appliance;
mod store;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use appliance::{Appliance, RATE, Site, TOKEN, wait_for};
use serde_json::Value;
use sidetone::runtime::audio_file::read_mono;
use sidetone::runtime::caller::{CallPlan, place};
use store::{skip, store};

/// How much faster than real time the callers speak: the model keeps up on one slow core.
const PACE: f64 = 2.0;

/// `seconds` of a reader, from utterance `first` on.
fn say(reader: &Path, first: usize, seconds: f32) -> Vec<f32> {
    let utterances = listing(reader).into_iter().skip(first);
    let mut samples: Vec<f32> =
        utterances.flat_map(|file| read_mono(&file, RATE).expect("a recording")).collect();
    samples.truncate((seconds * RATE as f32) as usize);
    samples
}

fn listing(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

/// One call with these header fields.
fn call(target: SocketAddr, headers: &[(&str, &str)], audio: Vec<f32>) {
    let headers = headers.iter().map(|(n, v)| (format!("X-Sidetone-{n}"), (*v).to_owned()));
    let headers = headers.collect();
    let afterwards = Duration::from_secs(1);
    let plan = CallPlan { target, headers, audio, afterwards, pace: PACE, backlog: None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(place(plan)).expect("a call");
}

/// What an enrolment's verdicts of a conversation say, in order.
fn told(appliance: &Appliance, conversation: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let verdicts = appliance.verdicts().into_iter();
    verdicts
        .filter(|v| v["kind"] == "enrollment" && v["conversation"] == conversation)
        .map(|v| (text(&v["state"]), text(&v["reason"])))
        .collect()
}

/// The last state of an enrolment, and its reason, once it is one of `states` after the first.
fn end(appliance: &Appliance, conversation: &str) -> (String, String) {
    wait_for("the end of an enrolment", || {
        let told = told(appliance, conversation);
        told.into_iter().rev().find(|(state, reason)| state != "collecting" || !reason.is_empty())
    })
}

fn show(site: &Site, subject: &str) -> Value {
    let shown = site.run(&["voiceprint", "show", "--json", "--subject", subject]);
    serde_json::from_slice(&shown.stdout).expect("JSON")
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

#[test]
fn callers_are_enrolled_by_header_by_http_and_in_passing() {
    let Some(store) = store() else { return };
    let readers = Path::new("../shared/speech/speakers");
    if !readers.is_dir() {
        return skip("the readers are not there");
    }
    let readers = listing(readers);
    let site = Site::new(&store);
    let config = site.open_api();
    let config = config
        .replace("passive = false", "passive = true")
        .replace("teaches nothing.\nenabled = false", "teaches nothing.\nenabled = true")
        .replace("scopes = [\"verify\", \"enrol\"]", "scopes = [\"verify\", \"enrol\", \"adapt\"]");
    site.write("sidetone.toml", config);
    let appliance = Appliance::start(&site);
    let sip = appliance.sip;

    // Without a consent nothing is begun, and the caller's side is told why.
    let asked = [("Conversation", "none"), ("Subject", "alice"), ("Enroll", "yes")];
    call(sip, &asked, say(&readers[0], 0, 2.0));
    let (state, reason) = end(&appliance, "none");
    assert_eq!((state.as_str(), reason.contains("no consent was named")), ("refused", true));

    let alice = [("Subject", "alice"), ("Consent", "c-1")];
    let asked = [&alice[..], &[("Conversation", "first"), ("Enroll", "yes")]].concat();
    call(sip, &asked, say(&readers[0], 0, 20.0));
    assert_eq!(end(&appliance, "first").0, "enrolled", "{:?}", told(&appliance, "first"));
    let print = show(&site, "alice");
    assert_eq!(print["voiceprint"]["sessions"][0]["source"], "call");

    // The next call is compared with it, and teaches it.
    let next = [&alice[..], &[("Conversation", "next")]].concat();
    call(sip, &next, say(&readers[0], 3, 32.0));
    wait_for("a voiceprint that has moved", || {
        (show(&site, "alice")["voiceprint"]["revision"] == 1).then_some(())
    });
    let accepted = appliance.verdicts().into_iter().any(|v| v["decision"] == "accepted");
    assert!(accepted && told(&appliance, "next").is_empty());
    let reverted = site.run(&["voiceprint", "revert", "--subject", "alice"]);
    assert!(reverted.status.success(), "{reverted:?}");
    assert_eq!(show(&site, "alice"), print, "as it was enrolled");

    // In passing, over two calls that are each too short.
    let bob = [("Subject", "bob"), ("Consent", "c-2")];
    for (conversation, first, state) in [("bob-1", 0, "collecting"), ("bob-2", 4, "enrolled")] {
        let said = [&bob[..], &[("Conversation", conversation)]].concat();
        call(sip, &said, say(&readers[1], first, 9.0));
        let (found, reason) = end(&appliance, conversation);
        assert_eq!(found, state, "{reason}");
    }
    let print = show(&site, "bob");
    assert_eq!(print["voiceprint"]["sessions"].as_array().map(Vec::len), Some(2));
    assert_eq!(print["gathering"], Value::Null, "it went into the voiceprint");

    // By HTTP, in the middle of a call that claims nobody.
    let order = r#"{"conversation":"asked","subject":"carol","consent":"c-3"}"#;
    assert_eq!(post(&appliance, "/enrollments", order).0, 404, "no such call yet");
    let speech = say(&readers[2], 0, 25.0);
    let caller = thread::spawn(move || call(sip, &[("Conversation", "asked")], speech));
    let begun = wait_for("a call to enrol in", || {
        Some(post(&appliance, "/enrollments", order)).filter(|(status, _)| *status != 404)
    });
    assert_eq!(begun.0, 202, "{}", begun.1);
    assert!(begun.1.contains("\"state\":\"collecting\""), "{}", begun.1);
    let without = post(&appliance, "/enrollments", r#"{"conversation":"asked"}"#);
    assert_eq!(without.0, 422, "{}", without.1);
    caller.join().expect("a call");
    assert_eq!(end(&appliance, "asked").0, "enrolled", "{:?}", told(&appliance, "asked"));
    let carol = show(&site, "carol");
    assert_eq!(carol["voiceprint"]["consent"], "c-3");
    assert!(carol["consents"].to_string().contains("token:tests"), "by whose word: {carol}");
    assert!(appliance.stop().status.success());
}
