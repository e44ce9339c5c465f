//! Calls from a FreeSWITCH that answers as it was measured: a tap that stalls unless it hears something, verdicts by INFO
//! and by the event socket.
//!
//! Without the models these tests say so and pass.
#![expect(clippy::disallowed_methods, reason = "a test reads the recipe")]

mod appliance;
mod esl;
mod recipe;
mod store;

use std::sync::atomic::Ordering;

use appliance::{Appliance, SUBJECT, Site, wait_for};
use esl::tap::Tap;
use esl::{Event, EventSocket, PASSWORD};
use recipe::configured;
use store::store;

const CALLER: &str = "0435d687-db9c-46b6-9221-79f82852c1a0";
/// How sidetone is told of FreeSWITCH.
const RECIPE: &str = "config/pbx/freeswitch/sidetone.toml";

#[test]
fn a_verdict_reaches_freeswitch_by_info_and_by_its_event_socket() {
    let Some(bench) = Bench::new(true) else { return };
    let tap = bench.tap();
    let accepted = |event: &Event| event.body.contains("\"decision\":\"accepted\"");
    let (info, custom) = bench.events.wait_for("both events of the verdict", |state| {
        let of = |name: &str, value: &str| {
            let is = |event: &&Event| event.headers.get(name).is_some_and(|v| v == value);
            state.events.iter().filter(is).find(|event| accepted(event)).cloned()
        };
        Some((of("Event-Name", "RECV_INFO")?, of("Event-Subclass", "sidetone::verdict")?))
    });
    assert_eq!(info.headers["SIP-Content-Type"], "application/vnd.sidetone.verdict+json");
    assert_eq!(info.body, custom.body, "the same verdict");
    let told = ["Conversation", "Party", "Kind", "Decision", "Subject", "Channel"];
    let told = told.map(|name| custom.headers[&format!("Sidetone-{name}")].as_str());
    assert_eq!(told, [CALLER, "caller", "speaker", "accepted", SUBJECT, CALLER]);
    tap.end();
    let appliance = &bench.appliance;
    appliance.wait_for_metric("sidetone_calls_ended_total{end=\"by_peer\"}", 1.0);
    appliance.wait_for_metric(
        "sidetone_notify_total{receiver=\"freeswitch\",result=\"delivered\"}",
        1.0,
    );
    assert_eq!(appliance.metric("sidetone_info_total{result=\"answered\"}"), 1.0);
    assert_eq!(appliance.metric("sidetone_rtp_lost_total"), 0.0);
    let log = appliance.log();
    assert!(log.iter().all(|line| line.contains(" INFO ")), "nothing was wrong: {log:#?}");
}

#[test]
fn a_tap_that_hears_nothing_says_nothing_and_the_line_is_told_to_be_one_way() {
    let Some(bench) = Bench::new(false) else { return };
    let tap = bench.tap();
    let line = wait_for("the line's state", || bench.appliance.lines().into_iter().next());
    assert_eq!(line["state"], "one_way", "{line}");
    assert_eq!(tap.sent.load(Ordering::Relaxed), 0);
    tap.end();
    bench.appliance.wait_for_metric("sidetone_calls_active", 0.0);
}

struct Bench {
    site: Site,
    appliance: Appliance,
    events: EventSocket,
}

impl Bench {
    /// An appliance configured by the recipe, beside a FreeSWITCH; it sends silence or not.
    fn new(send_silence: bool) -> Option<Self> {
        let store = store()?;
        let (site, events) = (Site::new(&store), EventSocket::start());
        site.enroll();
        site.write("freeswitch.password", PASSWORD);
        let recipe = std::fs::read_to_string(RECIPE).expect("tests run at the package root");
        let mut changes = vec![
            ("\"127.0.0.1:8021\"".to_owned(), format!("\"{}\"", events.address)),
            // The event socket's own password does here.
            ("user = \"sidetone@default\"\n".to_owned(), String::new()),
        ];
        if !send_silence {
            changes.push(("send_silence = true".to_owned(), "send_silence = false".to_owned()));
        }
        let recipe = changes.iter().fold(recipe, |text, (from, to)| {
            assert!(text.contains(from), "the recipe has {from}");
            text.replace(from, to)
        });
        site.write("sidetone.toml", configured(&site.config(), &recipe));
        let appliance = Appliance::start(&site);
        Some(Self { site, appliance, events })
    }

    /// A tap of the caller's channel, who is the narrator.
    fn tap(&self) -> Tap {
        let headers = [
            ("X-Sidetone-Conversation", CALLER),
            ("X-Sidetone-Party", "caller"),
            ("X-Sidetone-Channel", CALLER),
            ("X-Sidetone-Subject", SUBJECT),
            ("X-Sidetone-Consent", "ivr-1"),
        ];
        Tap::start(self.appliance.sip, &headers, &self.site.narrator(), &self.events)
    }
}
