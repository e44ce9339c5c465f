//! A real third party calls us: SIPp, by the scenarios in `tests/pbx/`, with real speech.
//!
//! Without the models or SIPp (Debian: sip-tester) these tests say so and pass.
#![expect(clippy::disallowed_methods, reason = "a test reads the disk")]

mod appliance;
mod peers;
mod store;

use std::path::Path;

use appliance::{Appliance, SUBJECT, Site};
use peers::sipp;
use sidetone::audio::{g711, pcm};
use store::store;

/// Seconds until SIPp gives up: a call takes ten.
const LONGEST_S: u32 = 60;

#[test]
fn sipp_is_told_by_info_that_the_voice_is_accepted() {
    let Some(bench) = Bench::new() else { return };
    bench.call("sipp_caller.xml", None);
    bench.wait_for_the_end("answered");
    assert_eq!(bench.appliance.metric("sidetone_rtp_lost_total"), 0.0);
    // 20 ms packets; the verdict comes after 4 s of net speech at the earliest.
    let packets = bench.appliance.metric("sidetone_rtp_packets_total");
    assert!(packets > 200.0, "{packets} packets");
    let log = bench.appliance.log();
    assert!(log.iter().all(|line| line.contains(" INFO ")), "a clean call: {log:#?}");
    bench.stop();
}

#[test]
fn a_peer_that_refuses_info_keeps_its_call() {
    let Some(bench) = Bench::new() else { return };
    bench.call("sipp_caller.xml", Some("SIP/2.0 415 Unsupported Media Type"));
    bench.wait_for_the_end("refused");
    assert_eq!(bench.appliance.metric("sidetone_info_total{result=\"answered\"}"), 0.0);
    bench.stop();
}

#[test]
fn a_peer_that_takes_no_info_gets_none_and_the_verdict_is_still_told() {
    let Some(bench) = Bench::new() else { return };
    bench.call("sipp_takes_no_info.xml", None);
    bench.wait_for_the_end("skipped");
    bench.stop();
}

#[test]
fn an_invite_without_an_offer_gets_ours_and_the_call_is_like_any_other() {
    let Some(bench) = Bench::new() else { return };
    bench.call("sipp_offers_late.xml", None);
    bench.wait_for_the_end("answered");
    bench.stop();
}

#[test]
fn rules_are_judged_while_the_call_goes_on_and_at_its_end() {
    let Some(bench) = Bench::with_policy(RULES) else { return };
    bench.call("sipp_takes_no_info.xml", None);
    bench.appliance.wait_for_metric("sidetone_calls_ended_total{end=\"by_peer\"}", 1.0);
    let state = "sidetone_verdicts_total{decision=\"met\",kind=\"rule\"}";
    bench.appliance.wait_for_metric(state, 2.0);
    let verdicts = bench.appliance.verdicts();
    let rules = verdicts.iter().filter(|verdict| verdict["kind"] == "rule");
    let word = |value: &serde_json::Value| value.as_str().expect("a word").to_owned();
    let told: Vec<_> = rules.map(|rule| (word(&rule["rule"]), word(&rule["state"]))).collect();
    let wanted = [
        ("heaven-soon", "pending"),
        ("risk-at-once", "pending"),
        ("risk-at-once", "violated"),
        ("heaven-soon", "met"),
        ("no-promise", "met"),
    ];
    assert_eq!(told, wanted.map(|(rule, state)| (rule.to_owned(), state.to_owned())));
    let heaven = verdicts.iter().position(|verdict| verdict["phrase"] == "heaven");
    let violated = verdicts.iter().position(|verdict| verdict["state"] == "violated");
    assert!(violated < heaven, "the deadline was over two seconds before");
    let violated = &verdicts[violated.expect("it was just compared")];
    assert_eq!(violated["coverage"], 1.0, "all of it was searched: {violated}");
    assert_eq!(bench.appliance.stop().status.code(), Some(0));
}

#[test]
fn the_time_of_a_rule_stands_while_the_caller_is_on_hold() {
    let Some(bench) = Bench::with_policy(RULES) else { return };
    bench.call("sipp_hold.xml", None);
    bench.appliance.wait_for_metric("sidetone_calls_ended_total{end=\"by_peer\"}", 1.0);
    let state = "sidetone_verdicts_total{decision=\"violated\",kind=\"rule\"}";
    bench.appliance.wait_for_metric(state, 1.0);
    let verdicts = bench.appliance.verdicts();
    let of_rule = |state: &str| {
        let is = |v: &&serde_json::Value| v["rule"] == "risk-at-once" && v["state"] == state;
        verdicts.iter().find(is).unwrap_or_else(|| panic!("{state}: {verdicts:?}"))
    };
    assert_eq!(of_rule("pending")["since_s"], 0.0);
    // Three seconds from the beginning, and five on hold.
    let violated = &of_rule("violated")["since_s"].as_f64().expect("a time");
    assert!((7.8..9.0).contains(violated), "{violated} s");
    assert_eq!(bench.appliance.stop().status.code(), Some(0));
}

/// The narrator says "going direct to heaven" five seconds after the call began.
const RULES: &str = r#"
    name = "rules"
    version = "1"
    [[phrase]]
    id = "heaven"
    text = "going direct to heaven"
    [[phrase]]
    id = "risk"
    text = "your capital is at risk"
    [[phrase]]
    id = "promise"
    text = "guaranteed returns"
    [[rule]]
    id = "heaven-soon"
    kind = "required"
    parties = ["caller"]
    phrases = ["heaven"]
    within_s = 8
    [[rule]]
    id = "risk-at-once"
    kind = "required"
    parties = ["caller"]
    phrases = ["risk"]
    within_s = 3
    [[rule]]
    id = "no-promise"
    kind = "forbidden"
    parties = ["caller"]
    phrases = ["promise"]
"#;

/// An appliance that knows the narrator's voice, and what SIPp needs to call it.
struct Bench {
    site: Site,
    appliance: Appliance,
}

impl Bench {
    fn new() -> Option<Self> {
        Self::with_policy(include_str!("../config/policy.toml"))
    }

    fn with_policy(policy: &str) -> Option<Self> {
        let store = store()?;
        if !sipp::is_there() {
            return None;
        }
        let site = Site::new(&store);
        site.write("policy.toml", policy);
        site.enroll();
        let codes = pcm::to_i16(&site.narrator()).into_iter().map(g711::encode_ulaw);
        site.write("narrator.ulaw", codes.collect::<Vec<u8>>());
        let appliance = Appliance::start(&site);
        Some(Self { site, appliance })
    }

    /// One call by a scenario, to its end; SIPp must find all as the scenario says.
    /// `refusal` is the first line of its answer to the INFO in place of the scenario's 200.
    fn call(&self, scenario: &str, refusal: Option<&str>) {
        let text = std::fs::read_to_string(Path::new("tests/pbx").join(scenario));
        let mut text = text.expect("tests run at the package root");
        if let Some(refusal) = refusal {
            assert_eq!(text.matches("SIP/2.0 200 OK").count(), 1, "the answer to the INFO");
            text = text.replace("SIP/2.0 200 OK", refusal);
        }
        let file = self.site.write(scenario, text);
        let target = self.appliance.sip.to_string();
        let mut sipp = sipp::scenario(&self.site, &file, &target, LONGEST_S);
        let done = sipp.args(["-cid_str", "%u@sipp"]).output().expect("sipp runs");
        assert!(
            done.status.success(),
            "SIPp says {}\n{}\n{}\n{:#?}",
            done.status,
            String::from_utf8_lossy(&done.stderr),
            sipp::logs(&self.site),
            self.appliance.log()
        );
    }

    /// Waits until the call is over by SIPp's BYE and its one INFO came to `result`; the verdict
    /// stands on standard output.
    fn wait_for_the_end(&self, result: &str) {
        let appliance = &self.appliance;
        appliance.wait_for_metric(&format!("sidetone_info_total{{result=\"{result}\"}}"), 1.0);
        appliance.wait_for_metric("sidetone_calls_ended_total{end=\"by_peer\"}", 1.0);
        appliance.wait_for_metric("sidetone_calls_active", 0.0);
        assert_eq!(appliance.metric_sum("sidetone_info_total"), 1.0, "one verdict, one INFO");
        let accepted = "sidetone_verdicts_total{decision=\"accepted\",kind=\"speaker\"}";
        assert_eq!(appliance.metric(accepted), 1.0);
        let verdicts = appliance.verdicts();
        let [verdict] = &verdicts[..] else { panic!("one verdict: {verdicts:?}") };
        let words = ["kind", "decision", "subject", "party"].map(|key| verdict[key].as_str());
        assert_eq!(words, ["speaker", "accepted", SUBJECT, "caller"].map(Some), "{verdict}");
        assert_eq!((&verdict["version"], &verdict["sequence"]), (&1.into(), &1.into()));
        assert_eq!(verdict["conversation"], "1@sipp", "the scenario sends the Call-ID");
    }

    fn stop(self) {
        let stopped = self.appliance.stop();
        assert_eq!(stopped.status.code(), Some(0), "{stopped:#?}");
        let about = |kind: &str| {
            let kind = format!("\"kind\":\"{kind}\"");
            stopped.output.iter().filter(|line| line.contains(&kind)).count()
        };
        let told = (about("speaker"), about("line"), stopped.output.len());
        assert_eq!(told, (1, 1, 2), "the verdict and how the line was: {stopped:#?}");
        let count = stopped.log.len();
        assert!(count < 20, "one line per event of a call's life, found {count}: {stopped:#?}");
    }
}
