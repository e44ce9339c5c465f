//! What a real Asterisk that loads `config/pbx/asterisk` does with our verdicts: keys and messages that its dialplan
//! acts on.
//!
//! Without the models, baresip or Asterisk these tests say so and pass.

mod appliance;
mod peers;
mod store;

use appliance::wait_for;
use peers::office::{Office, Plan};

/// Nothing is watched: this is about the caller's voice.
const POLICY: &str = "name = 'voices'\nversion = '1'\n\
    [[phrase]]\nid = 'fail-better'\ntext = 'fail better'\nparties = ['agent']\n";

/// Waits until Asterisk's log has a line that holds all of `wanted`.
fn logged(office: &Office, wanted: &[&str]) -> String {
    wait_for(&format!("{wanted:?} in Asterisk's log"), || {
        let log = office.asterisk.log();
        let mut lines = log.lines();
        lines.find(|line| wanted.iter().all(|part| line.contains(part))).map(str::to_owned)
    })
}

#[test]
fn a_rejected_caller_is_redirected_to_the_step_up_by_a_key() {
    let Some(office) = Office::open(&Plan::new(POLICY)) else { return };
    let agent = office.agent(&office.recording("beckett"));
    // Somebody else, by the narrator's number.
    let caller = office.call("601", &office.recording("endgame_nagg_nell"));
    let event = logged(&office, &["UserEvent(", "Outcome: rejected,Party: caller"]);
    assert!(event.contains("Tapped: PJSIP/caller-"), "{event}");
    let entered = logged(&office, &["sidetone: PJSIP/caller-", "steps up"]);
    wait_for("the caller alone, in the step-up", || {
        let channels = office.asterisk.cli("core show channels concise");
        let mut lines = channels.lines();
        let is_there = lines.next()?.contains("!sidetone-step-up!s!");
        (is_there && lines.next().is_none()).then_some(())
    });
    let verdict = &office.appliance.verdicts()[0];
    assert_eq!((&verdict["decision"], &verdict["party"]), (&"rejected".into(), &"caller".into()));
    assert!(entered.contains("PJSIP/caller-"), "{entered}");
    caller.end();
    office.wait_until_empty();
    drop(agent);
}

#[test]
fn an_accepted_caller_goes_on_and_so_does_the_tap() {
    let Some(office) = Office::open(&Plan::new(POLICY)) else { return };
    let agent = office.agent(&office.recording("beckett"));
    let caller = office.call("601", &office.narrator());
    logged(&office, &["Set(", "SHARED(SIDETONE,PJSIP/caller-", "=accepted"]);
    logged(&office, &["Goto(", "sidetone-spy,tap,again"]);
    let heard = office.appliance.metric("sidetone_rtp_packets_total");
    wait_for("audio of both legs after the key", || {
        let now = office.appliance.metric("sidetone_rtp_packets_total");
        (now > heard + 150.0).then_some(())
    });
    assert_eq!(office.appliance.metric("sidetone_calls_active"), 2.0);
    assert!(!office.asterisk.log().contains("steps up"), "nobody was rejected");
    caller.end();
    office.wait_until_empty();
    drop(agent);
}

#[test]
fn a_verdict_as_text_is_an_event_that_names_the_channel_and_holds_the_whole_of_it() {
    let keys =
        "info = \"dtmf-relay\"\ndigits = { accepted = \"1\", changed = \"2\", rejected = \"3\" }";
    let text = "info = \"message\"\nmessage_to = \"sip:verdict@127.0.0.1:5060\"";
    let Some(office) = Office::open(&Plan { sidetone: &[(keys, text)], ..Plan::new(POLICY) })
    else {
        return;
    };
    let agent = office.agent(&office.recording("beckett"));
    let caller = office.call("601", &office.narrator());
    let event = logged(&office, &["UserEvent(", "SidetoneVerdict,", "Party: caller"]);
    let conversation = wait_for("the verdict", || {
        let verdict = office.appliance.verdicts().into_iter().next()?;
        verdict["conversation"].as_str().map(str::to_owned)
    });
    assert!(event.contains(&format!("Conversation: {conversation},")), "{event}");
    assert!(event.contains("Channel: PJSIP/caller-"), "{event}");
    assert!(event.contains("\\\"decision\\\":\\\"accepted\\\""), "all of it, quoted: {event}");
    let agents = logged(&office, &["UserEvent(", "SidetoneVerdict,", "Party: agent"]);
    assert!(agents.contains("Channel: PJSIP/agent-"), "{agents}");
    assert!(agents.contains("fail-better"), "{agents}");
    caller.end();
    office.wait_until_empty();
    drop(agent);
}
