//! What a policy has done about verdicts in the running appliance: to our own legs, and to channels that nobody named.
#![expect(clippy::disallowed_methods, reason = "calls run on threads")]

mod appliance;
mod calls;
mod store;

use appliance::{Appliance, SUBJECT, Site, wait_for};
use calls::call;
use store::store;

const POLICY: &str = "name = 'actions'\nversion = '1'\n\
    [[action]]\nid = 'stop-listening'\nspeaker = ['rejected']\ndo = ['hang_up_tap']\n";

#[test]
fn of_a_rejected_caller_the_tap_alone_is_hung_up_and_the_agent_s_goes_on() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    site.write("policy.toml", POLICY);
    site.enroll();
    let appliance = Appliance::start(&site);
    let somebody_else = site.recording("endgame_nagg_nell");
    let of = |party| {
        vec![("Conversation", "k7"), ("Party", party), ("Subject", SUBJECT), ("Consent", "c-1")]
    };
    let silence = vec![0.0; somebody_else.len()];
    let agent = call(appliance.sip, &of("agent")[..2], silence);
    let caller = call(appliance.sip, &of("caller"), somebody_else);
    appliance.wait_for_metric("sidetone_calls_ended_total{end=\"by_us\"}", 1.0);
    // The agent's leg goes on.
    appliance.wait_for_metric("sidetone_calls_active", 1.0);
    let asked = "sidetone_actions_total{act=\"hang_up_tap\",result=\"asked\"}";
    assert_eq!(appliance.metric(asked), 1.0);
    let verdicts = appliance.verdicts();
    let rejected = verdicts.iter().find(|verdict| verdict["decision"] == "rejected");
    assert_eq!(rejected.expect("a rejection")["party"], "caller");
    // Who played a caller that is hung up on says so by a panic.
    let (caller, agent) = (caller.join(), agent.join());
    assert!(caller.is_err() && agent.is_ok(), "{caller:?} {agent:?}");
    appliance.wait_for_metric("sidetone_calls_ended_total{end=\"by_peer\"}", 1.0);
    let told = "act=\"hang_up_tap\" party=\"caller\"";
    wait_for(told, || appliance.log().iter().any(|line| line.contains(told)).then_some(()));
}

#[test]
fn an_action_by_nobody_is_refused_with_its_line_and_one_without_a_channel_is_counted() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    let set = "[[action]]\nid = 'note'\nspeaker = ['inconclusive']\nby = 'pbx'\n\
        do = [{ set = { variable = 'VOICE', value = '{decision}' } }]\n";
    site.write("policy.toml", format!("{POLICY}{set}"));
    let refused = site.run(&["check"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr);
    let wanted = "policy.toml, line 7: the action \"note\" is by \"pbx\", which is the name of no [[notify.*]]";
    assert!(said.contains(wanted), "{said}");
    // Nobody listens there: calls go on in any case.
    let ami = "[[notify.ami]]\nname = \"pbx\"\naddress = \"127.0.0.1:1\"\nuser = \"sidetone\"\npassword_file = \"ami\"\n";
    site.write("ami", "secret\n");
    site.write("sidetone.toml", format!("{}\n{ami}", site.config()));
    let appliance = Appliance::start(&site);
    let claimed = [("Subject", "somebody"), ("Consent", "c-1")];
    let caller = call(appliance.sip, &claimed, vec![0.0; 8_000]);
    appliance.wait_for_metric("sidetone_actions_total{act=\"set\",result=\"no_channel\"}", 1.0);
    assert!(caller.join().is_ok());
    appliance.wait_for_metric("sidetone_calls_ended_total{end=\"by_peer\"}", 1.0);
}
