//! A call through a real Asterisk that loads `config/pbx/asterisk`: what its manager interface and an application of ARI
//! hear of it.
//!
//! Without the models, baresip or Asterisk this test says so and passes.

mod appliance;
mod notify;
mod peers;
mod store;

use appliance::Site;
use notify::listeners::{Application, Event, Listener, document, of};
use notify::wait_for;
use peers::baresip;
use peers::office::{Office, Plan};
use store::store;

/// The agent says it after eight seconds.
const POLICY: &str = "name = 'calls'\nversion = '1'\n\
    [[phrase]]\nid = 'fail-better'\ntext = 'fail better'\nparties = ['agent']\n";
/// As the recipes have it.
const PASSWORD: &str = "change-this-password";
/// Both interfaces, as the shipped configuration has them for who uncomments them.
const RECEIVERS: &str = "[notify]\n\
    [[notify.ami]]\nname = 'ami'\naddress = '127.0.0.1:5038'\nuser = 'sidetone'\n\
    password_file = 'asterisk.password'\nvariables = true\n\
    [[notify.ari]]\nname = 'ari'\nurl = 'http://127.0.0.1:8088/ari'\nuser = 'sidetone'\n\
    password_file = 'asterisk.password'\napplication = 'office'\n";
/// The recipe's user, and one who listens.
const LISTENER: (&str, &str) = (
    "read =\nwrite = user,call\n",
    "read =\nwrite = user,call\n[listener]\nsecret = right\nread = user\nwrite =\n",
);

#[test]
fn verdicts_of_a_call_are_events_and_a_variable_of_the_caller_s_channel() {
    let Some(store) = store() else { return };
    if !baresip::is_there() {
        return;
    }
    let site = Site::new(&store);
    site.write("asterisk.password", format!("{PASSWORD}\n"));
    let receivers = [("[notify]\n", RECEIVERS)];
    let plan = Plan { sidetone: &receivers, asterisk: &[LISTENER], ..Plan::new(POLICY) };
    let Some(office) = Office::open_at(site, &plan) else { return };
    let listener = Listener::new(office.ami);
    let mut application = Application::connect(office.http, PASSWORD, "office");
    for receiver in ["ami", "ari"] {
        office
            .appliance
            .wait_for_metric(&format!("sidetone_notify_up{{receiver=\"{receiver}\"}}"), 1.0);
    }
    let agent = office.agent(&office.recording("beckett"));
    let caller = office.call("601", &office.narrator());
    let found = |kind: &str| -> Event {
        wait_for(kind, || {
            listener.so_far().into_iter().find(|event| of(event, "Kind") == Some(kind))
        })
    };
    let accepted = found("speaker");
    assert_eq!(
        (of(&accepted, "Decision"), of(&accepted, "Party")),
        (Some("accepted"), Some("caller"))
    );
    let channel = of(&accepted, "Channel").expect("the recipe names it").to_owned();
    assert!(channel.starts_with("PJSIP/caller-"), "{channel}");
    wait_for("the variable", || {
        let shown = office.asterisk.cli(&format!("core show channel {channel}"));
        shown.contains("SIDETONE_DECISION=accepted").then_some(())
    });
    let said = found("keyword");
    assert_eq!((of(&said, "Phrase"), of(&said, "Party")), (Some("fail-better"), Some("agent")));
    assert!(
        of(&said, "Channel").is_some_and(|channel| channel.starts_with("PJSIP/agent-")),
        "{said:?}"
    );
    assert_eq!(of(&said, "AgentChannel"), of(&said, "Channel"));
    assert_eq!(of(&said, "Conversation"), of(&accepted, "Conversation"));
    for (event, verdict) in [&accepted, &said].into_iter().zip(office.appliance.verdicts()) {
        assert_eq!(document(event), verdict, "the document is the one on standard output");
    }
    let by_ari: Vec<_> = (0..2).map(|_| application.next("ChannelUserevent")).collect();
    let decisions: Vec<_> =
        by_ari.iter().map(|event| event["userevent"]["Decision"].clone()).collect();
    assert_eq!(decisions, ["accepted", "found"]);
    caller.end();
    office.wait_until_empty();
    drop(agent);
    for receiver in ["ami", "ari"] {
        let delivered =
            format!("sidetone_notify_total{{receiver=\"{receiver}\",result=\"delivered\"}}");
        office.appliance.wait_for_metric(&delivered, 2.0);
    }
    let log = office.appliance.log();
    let warnings: Vec<_> =
        log.iter().filter(|line| line.contains(" WARN ") && line.contains("notify")).collect();
    assert!(warnings.len() <= 1, "the application alone came late: {warnings:#?}");
}
