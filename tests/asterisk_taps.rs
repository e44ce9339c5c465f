//! Taps of a call through a real Asterisk that loads `config/pbx/asterisk`: real speech of both parties, one
//! conversation, and nothing left behind.
//!
//! Without the models, baresip or Asterisk these tests say so and pass.

mod appliance;
mod peers;
mod store;

use peers::asterisk::Release;
use peers::office::{Office, Plan};

/// Watched on every leg; the agent says it after eight seconds.
const POLICY: &str = "name = 'taps'\nversion = '1'\n\
    [[phrase]]\nid = 'fail-better'\ntext = 'fail better'\n";

/// A caller who is who he claims to be, an agent who says the phrase, a tap of each: what becomes of them.
fn two_taps_are_one_conversation(plan: &Plan<'_>) -> Option<Office> {
    let office = Office::open(plan)?;
    let agent = office.agent(&office.recording("beckett"));
    let caller = office.call("601", &office.narrator());
    let accepted = office.first("speaker");
    assert_eq!((&accepted["decision"], &accepted["party"]), (&"accepted".into(), &"caller".into()));
    let said = office.first("keyword");
    assert_eq!((&said["phrase"], &said["party"]), (&"fail-better".into(), &"agent".into()));
    assert_eq!(said["conversation"], accepted["conversation"]);
    assert_eq!(office.appliance.metric("sidetone_calls_active"), 2.0);
    caller.end();
    office.wait_until_empty();
    drop(agent);
    let all = [office.told("speaker"), office.told("keyword")].concat();
    assert_eq!(all.len(), 2, "nobody else said it, and the agent claimed nothing: {all:#?}");
    let ended = office.appliance.metric("sidetone_calls_ended_total{end=\"by_peer\"}");
    assert_eq!(ended, 2.0);
    let lines = office.appliance.lines();
    let closed: Vec<_> = lines.iter().filter(|line| line["state"] == "closed").collect();
    assert_eq!(closed.len(), 2, "{lines:#?}");
    Some(office)
}

#[test]
fn two_taps_are_one_conversation_of_a_caller_and_an_agent() {
    let Some(office) = two_taps_are_one_conversation(&Plan::new(POLICY)) else { return };
    let answered = office.appliance.metric("sidetone_info_total{result=\"answered\"}");
    assert_eq!(answered, 1.0, "the key for accepted");
}

#[test]
fn an_asterisk_that_never_answers_our_verdicts_loses_neither_leg() {
    let keys =
        "info = \"dtmf-relay\"\ndigits = { accepted = \"1\", changed = \"2\", rejected = \"3\" }";
    let json = [(keys, "info = \"legacy-json\"")];
    let plan = Plan { sidetone: &json, ..Plan::new(POLICY) };
    two_taps_are_one_conversation(&plan);
}

#[test]
fn asterisk_16_does_the_same() {
    let plan = Plan { release: Release::Sixteen, ..Plan::new(POLICY) };
    two_taps_are_one_conversation(&plan);
}
