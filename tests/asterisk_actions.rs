//! What a policy has a real Asterisk do about a caller who is somebody else, by its manager interface alone.
//!
//! Without the models, baresip or Asterisk this test says so and passes.

mod appliance;
mod notify;
mod peers;
mod store;

use appliance::Site;
use notify::listeners::{Event, Listener, of};
use notify::wait_for;
use peers::baresip;
use peers::office::{Office, Plan};
use store::store;

const POLICY: &str = "name = 'actions'\nversion = '1'\n\
    [[action]]\nid = 'step-up'\nspeaker = ['rejected']\nby = 'ami'\n\
    do = [{ set = { variable = 'VOICE', value = '{decision} {subject}' } }, { warn = 'voice: {decision}' },\n\
    { redirect = 'sidetone-step-up,s,1' }, 'hang_up_tap']\n";
const RECEIVER: &str = "[notify]\n\
    [[notify.ami]]\nname = 'ami'\naddress = '127.0.0.1:5038'\nuser = 'sidetone'\n\
    password_file = 'asterisk.password'\n";
/// The recipe's keys, and none: the manager interface is to do it.
const NO_KEYS: (&str, &str) = (
    "info = \"dtmf-relay\"\ndigits = { accepted = \"1\", changed = \"2\", rejected = \"3\" }",
    "info = \"none\"",
);
/// The recipe's user, and one who listens.
const LISTENER: (&str, &str) = (
    "read =\nwrite = user,call\n",
    "read =\nwrite = user,call\n[listener]\nsecret = right\nread = user\nwrite =\n",
);

#[test]
fn a_rejected_caller_is_redirected_and_the_agent_warned_and_the_call_was_touched_by_nothing_else() {
    let Some(store) = store() else { return };
    if !baresip::is_there() {
        return;
    }
    let site = Site::new(&store);
    site.write("asterisk.password", "change-this-password\n");
    let sidetone = [NO_KEYS, ("[notify]\n", RECEIVER)];
    let plan = Plan { sidetone: &sidetone, asterisk: &[LISTENER], ..Plan::new(POLICY) };
    let Some(office) = Office::open_at(site, &plan) else { return };
    let listener = Listener::new(office.manager.port());
    office.appliance.wait_for_metric("sidetone_notify_up{receiver=\"ami\"}", 1.0);
    let agent = office.agent(&office.recording("beckett"));
    let caller = office.call("601", &office.recording("endgame_nagg_nell"));
    let warning: Event = wait_for("the warning", || {
        let mut events = listener.so_far().into_iter();
        events.find(|event| of(event, "UserEvent") == Some("SidetoneWarning"))
    });
    assert_eq!(of(&warning, "Text"), Some("voice: rejected"));
    let agents = of(&warning, "Channel").expect("the agent's channel");
    assert!(agents.starts_with("PJSIP/agent-"), "{agents}");
    // The caller alone is left, where the policy wants them, with the variable set.
    let channel = wait_for("the caller alone, in the step-up", || {
        let channels = office.asterisk.cli("core show channels concise");
        let mut lines = channels.lines();
        let caller = lines.next().filter(|line| line.contains("!sidetone-step-up!s!"))?;
        let alone = lines.next().is_none();
        alone.then(|| caller.split('!').next().unwrap_or_default().to_owned())
    });
    assert!(channel.starts_with("PJSIP/caller-"), "{channel}");
    let shown = office.asterisk.cli(&format!("core show channel {channel}"));
    assert!(shown.contains("VOICE=rejected narrator"), "{shown}");
    for act in ["set", "warn", "redirect", "hang_up_tap"] {
        let asked = format!("sidetone_actions_total{{act=\"{act}\",result=\"asked\"}}");
        assert_eq!(office.appliance.metric(&asked), 1.0, "{act}");
    }
    caller.end();
    office.wait_until_empty();
    drop(agent);
}
