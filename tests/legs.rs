//! Legs of one conversation in the running appliance, one after the other: what is one conversation, and who is paused.
#![expect(clippy::disallowed_methods, reason = "calls run on threads")]

mod appliance;
mod calls;
mod store;

use appliance::{Appliance, RATE, Site, TOKEN, wait_for};
use calls::call;
use serde_json::Value;
use store::store;

/// The narrator says it five seconds after the beginning.
const POLICY: &str = "name = 'legs'\nversion = '1'\n\
    [[phrase]]\nid = 'heaven'\ntext = 'going direct to heaven'\n\
    [[rule]]\nid = 'twice'\nkind = 'count'\nphrases = ['heaven']\nat_least = 2\n";

/// The narrator until he has said it.
fn heaven(site: &Site) -> Vec<f32> {
    let mut narrator = site.narrator();
    narrator.truncate(8 * RATE as usize);
    narrator
}

/// All verdicts of the conversation.
fn of(appliance: &Appliance, conversation: &str) -> Vec<Value> {
    let all = [appliance.verdicts(), appliance.lines()].concat();
    let mut all: Vec<_> =
        all.into_iter().filter(|told| told["conversation"] == conversation).collect();
    all.sort_by_key(|told| told["sequence"].as_u64());
    all
}

#[test]
fn a_leg_that_comes_soon_after_the_last_has_ended_goes_on_with_its_conversation() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    site.write("policy.toml", POLICY);
    site.configure("# rejoin_s = 5", "rejoin_s = 4");
    let appliance = Appliance::start(&site);
    let headers = [("Conversation", "k7"), ("Party", "caller")];
    for _ in 0..2 {
        call(appliance.sip, &headers, heaven(&site)).join().expect("a call");
        appliance.wait_for_metric("sidetone_calls_active", 0.0);
    }
    let concluded = wait_for("the rule's conclusion", || {
        of(&appliance, "k7").into_iter().find(|told| told["state"] == "met")
    });
    assert_eq!(concluded["rule"], "twice");
    let numbers: Vec<_> = of(&appliance, "k7").iter().map(|t| t["sequence"].as_u64()).collect();
    let wanted: Vec<_> = (1..=numbers.len() as u64).map(Some).collect();
    assert_eq!(numbers, wanted, "one conversation counts its verdicts once");
    assert_eq!(appliance.stop().status.code(), Some(0));
}

#[test]
fn a_conversation_that_nobody_comes_back_to_is_concluded_and_at_the_end_of_the_service_at_once() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    site.write("policy.toml", POLICY);
    site.configure("# rejoin_s = 5", "rejoin_s = 1");
    let appliance = Appliance::start(&site);
    let mut short = site.narrator();
    short.truncate(RATE as usize);
    call(appliance.sip, &[("Conversation", "k8")], short.clone()).join().expect("a call");
    wait_for("the rule's conclusion", || {
        of(&appliance, "k8").into_iter().find(|told| told["state"] == "violated")
    });
    assert_eq!(appliance.stop().status.code(), Some(0));

    site.configure("# rejoin_s = 5", "rejoin_s = 600");
    let appliance = Appliance::start(&site);
    call(appliance.sip, &[("Conversation", "k9")], short).join().expect("a call");
    appliance.wait_for_metric("sidetone_calls_active", 0.0);
    let stopped = appliance.stop();
    let concluded = stopped.output.iter().any(|line| line.contains("\"violated\""));
    assert!(concluded, "{stopped:#?}");
}

#[test]
fn who_joins_a_paused_conversation_is_paused_and_who_was_not_meant_is_not() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    site.write("policy.toml", POLICY);
    site.write("sidetone.toml", site.open_api());
    let appliance = Appliance::start(&site);
    let silence = vec![0.0; 12 * RATE as usize];
    let first = call(appliance.sip, &[("Conversation", "k7"), ("Party", "mixed")], silence);
    appliance.wait_for_metric("sidetone_calls_active", 1.0);
    let order = "{\"conversation\": \"k7\", \"party\": \"caller\", \"pause\": true}";
    let (status, answer) = appliance.post("/pauses", TOKEN, order);
    assert_eq!(status, 202, "{answer}");
    let caller = call(appliance.sip, &[("Conversation", "k7"), ("Party", "caller")], heaven(&site));
    let agent = call(appliance.sip, &[("Conversation", "k7"), ("Party", "agent")], heaven(&site));
    let begun = wait_for("the caller's pause", || {
        of(&appliance, "k7").into_iter().find(|t| t["kind"] == "pause" && t["party"] == "caller")
    });
    assert_eq!((&begun["state"], &begun["by"]), (&"begun".into(), &"api".into()));
    caller.join().expect("a call");
    agent.join().expect("a call");
    first.join().expect("a call");
    appliance.wait_for_metric("sidetone_calls_active", 0.0);
    let told = of(&appliance, "k7");
    let said: Vec<_> = told.iter().filter(|told| told["kind"] == "keyword").collect();
    assert_eq!(said.len(), 1, "{told:#?}");
    assert_eq!(said[0]["party"], "agent", "nothing of the caller was heard");
    assert_eq!(appliance.stop().status.code(), Some(0));
}
