//! The other ways of `config/pbx/asterisk` into a call, with a real Asterisk: one tap of both parties, a conference, a
//! queue, an IVR that asks for consent, TLS with SRTP, an endpoint that registers; and no sidetone at all.
//!
//! Without the models, baresip or Asterisk these tests say so and pass.

mod appliance;
mod peers;
mod store;

use std::process::Command;

use appliance::{SUBJECT, Site, wait_for};
use peers::asterisk::Release;
use peers::authority::Authority;
use peers::installed;
use peers::office::{Office, Plan};
use serde_json::Value;
use store::store;

/// Watched on every leg; the agent says it after eight seconds.
const POLICY: &str = "name = 'ways'\nversion = '1'\n\
    [[phrase]]\nid = 'fail-better'\ntext = 'fail better'\n";
/// A queue that the agent waits for.
const QUEUE: (&str, &str) =
    ("; The office has no queue.", "[sales]\nstrategy = ringall\nmember => PJSIP/agent");
/// A year whose certificates are good.
const LATER: i32 = 2100;

#[test]
fn one_tap_of_both_parties_is_a_mixed_leg() {
    let Some(office) = Office::open(&Plan::new(POLICY)) else { return };
    let agent = office.agent(&office.recording("beckett"));
    let caller = office.call("603", &office.narrator());
    let said = office.first("keyword");
    assert_eq!((&said["phrase"], &said["party"]), (&"fail-better".into(), &"mixed".into()));
    assert_eq!(office.appliance.metric("sidetone_calls_active"), 1.0);
    caller.end();
    office.wait_until_empty();
    drop(agent);
}

#[test]
fn a_conference_is_empty_once_the_humans_have_left() {
    let Some(office) = Office::open(&Plan::new(POLICY)) else { return };
    let first_human = office.call("604", &office.narrator());
    office.appliance.wait_for_metric("sidetone_calls_active", 1.0);
    let second_human = office.call("604", &office.silence());
    let parties = |wanted: &str| {
        wait_for(&format!("{wanted} parties"), || {
            let rooms = office.asterisk.cli("confbridge list");
            let room = rooms.lines().find(|line| line.starts_with("604"))?.to_owned();
            room.split_whitespace().any(|word| word == wanted).then_some(())
        });
    };
    parties("3");
    let accepted = office.first("speaker");
    assert_eq!((&accepted["decision"], &accepted["party"]), (&"accepted".into(), &"mixed".into()));
    wait_for("the key's event", || {
        let log = office.asterisk.log();
        log.contains("Sidetone,Outcome: accepted,Party: mixed,Room: 604").then_some(())
    });
    first_human.end();
    parties("2");
    assert_eq!(office.appliance.metric("sidetone_calls_active"), 1.0, "one human is left");
    second_human.end();
    office.wait_until_empty();
    assert!(!office.asterisk.cli("confbridge list").contains("604"), "the room is left behind");
    let ended = office.appliance.metric("sidetone_calls_ended_total{end=\"by_peer\"}");
    assert_eq!(ended, 1.0);
}

#[test]
fn a_queue_lets_sidetone_hear_the_agent_who_answers() {
    let queue = [
        (
            "same => n,Dial(PJSIP/agent,20,U(sidetone-tap^agent))",
            "same => n,Queue(sales,,,,,,sidetone-tap-agent)",
        ),
        QUEUE,
    ];
    let Some(office) = Office::open(&Plan { asterisk: &queue, ..Plan::new(POLICY) }) else {
        return;
    };
    let agent = office.agent(&office.recording("beckett"));
    let caller = office.call("601", &office.narrator());
    let said = office.first("keyword");
    assert_eq!((&said["phrase"], &said["party"]), (&"fail-better".into(), &"agent".into()));
    assert_eq!(office.first("speaker")["conversation"], said["conversation"]);
    caller.end();
    office.wait_until_empty();
    drop(agent);
}

#[test]
fn who_agrees_by_a_key_is_compared_and_who_does_not_is_not() {
    let Some(office) = Office::open(&Plan::new(POLICY)) else { return };
    let agent = office.agent(&office.recording("beckett"));
    for (key, decision, reason) in
        [(Some('1'), "accepted", Value::Null), (None, "inconclusive", "no_consent".into())]
    {
        let before = office.appliance.verdicts().len();
        let (caller, keys) = office.call_with_keys("602", &office.narrator());
        if let Some(key) = key {
            let asked =
                |log: String| log.lines().filter(|l| l.contains("Read(\"PJSIP/caller")).count();
            wait_for("the question", || (asked(office.asterisk.log()) == 1).then_some(()));
            keys.press(key);
        }
        let verdict = wait_for("a decision", || {
            let verdicts = office.appliance.verdicts().split_off(before);
            verdicts.into_iter().find(|verdict| verdict["kind"] == "speaker")
        });
        assert_eq!((&verdict["decision"], &verdict["reason"]), (&decision.into(), &reason));
        caller.end();
        office.wait_until_empty();
    }
    drop(agent);
}

#[test]
fn the_same_taps_are_encrypted_where_sidetone_requires_it() {
    let Some(store) = store() else { return };
    if !installed("openssl", "openssl") {
        return;
    }
    let site = Site::new(&store);
    let authority = Authority::new(&site.path(""));
    authority.issue("ours", "127.0.0.1", LATER);
    authority.issue("asterisk", "127.0.0.1", LATER);
    let sidetone = [
        ("\"tcp:127.0.0.1:0\"]", "\"tcp:127.0.0.1:0\", \"tls:127.0.0.1:0\"]"),
        ("networks = [\"127.0.0.0/8\"]", "networks = [\"127.0.0.0/8\"]\nsrtp = \"require\""),
        (
            "[rtp]\n",
            "[sip.tls]\ncertificate = \"ours.crt\"\nkey = \"ours.key\"\n\
            authorities = \"authorities.pem\"\nclient_certificates = \"off\"\n\n[rtp]\n",
        ),
    ];
    let asterisk = [("PJSIP/sidetone,", "PJSIP/sidetone-tls,")];
    let plan = Plan {
        endpoint: "pjsip_sidetone_tls",
        sidetone: &sidetone,
        asterisk: &asterisk,
        ..Plan::new(POLICY)
    };
    let Some(office) = Office::open_at(site, &plan) else { return };
    let agent = office.agent(&office.recording("beckett"));
    let caller = office.call("601", &office.narrator());
    let accepted = office.first("speaker");
    assert_eq!(accepted["decision"], "accepted");
    assert_eq!(office.first("keyword")["party"], "agent");
    caller.end();
    office.wait_until_empty();
    drop(agent);
    let answered = office.appliance.metric("sidetone_info_total{result=\"answered\"}");
    assert_eq!(answered, 1.0, "the key for accepted");
    let lines = office.appliance.lines();
    let closed: Vec<_> = lines.iter().filter(|line| line["state"] == "closed").collect();
    assert!(
        closed.len() == 2 && closed.iter().all(|line| line["encryption"] == "sdes"),
        "{lines:#?}"
    );
}

#[test]
fn the_same_taps_reach_a_sidetone_that_registered() {
    taps_reach_a_sidetone_that_registered(&Plan::new(POLICY));
}

#[test]
fn a_sidetone_registers_with_asterisk_16_too_whose_queue_has_one_comma_more() {
    let changes = [
        ("auth_type = digest", "auth_type = userpass"),
        ("Dial(PJSIP/agent,20,U(sidetone-tap^agent))", "Queue(sales,,,,,,,sidetone-tap-agent)"),
        QUEUE,
    ];
    let release = Release::Sixteen;
    taps_reach_a_sidetone_that_registered(&Plan {
        release,
        asterisk: &changes,
        ..Plan::new(POLICY)
    });
}

fn taps_reach_a_sidetone_that_registered(plan: &Plan<'_>) {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    site.write("asterisk.password", "change-this-password\n");
    // As the recipe says, in its comment.
    let recipe = include_str!("../config/pbx/asterisk/pjsip_sidetone_registered.conf");
    let account: String = recipe
        .lines()
        .filter_map(|line| line.strip_prefix(";   "))
        .fold(String::new(), |text, line| text + line + "\n");
    assert!(account.starts_with("[[sip.account]]\n"), "{account}");
    let account = format!("{account}\n[rtp]\n");
    let sidetone = [("[rtp]\n", account.as_str())];
    let endpoint = "pjsip_sidetone_registered";
    let plan = Plan { endpoint, sidetone: &sidetone, ..*plan };
    let Some(office) = Office::open_at(site, &plan) else { return };
    office.appliance.wait_for_metric("sidetone_sip_registered{account=\"asterisk\"}", 1.0);
    let agent = office.agent(&office.recording("beckett"));
    let caller = office.call("601", &office.narrator());
    assert_eq!(office.first("speaker")["decision"], "accepted");
    assert_eq!(office.first("keyword")["party"], "agent");
    caller.end();
    office.wait_until_empty();
    drop(agent);
}

#[test]
fn a_channel_that_knows_nothing_of_sidetone_is_tapped_by_ari() {
    let Some(office) = Office::open(&Plan::new(POLICY)) else { return };
    let agent = office.agent(&office.recording("beckett"));
    let caller = office.call("600", &office.narrator());
    let unique_id = wait_for("the caller's channel", || {
        let channels = office.asterisk.cli("core show channels concise");
        let of_caller = |line: &&str| line.starts_with("PJSIP/caller-") && line.contains("!Up!");
        channels.lines().find(of_caller)?.rsplit('!').next().map(str::to_owned)
    });
    let password = office.site.write("ari.password", "change-this-password\n");
    let mut tap = Command::new("config/pbx/asterisk/ari_tap.py");
    tap.args(["--channel", &unique_id, "--party", "caller", "--subject", SUBJECT]);
    tap.args(["--consent", "customer-file", "--queue", "sales"]);
    tap.args(["--ari", &office.ari.to_string(), "--password-file"]).arg(password);
    let mut tap = tap.spawn().expect("it runs");
    let accepted = office.first("speaker");
    assert_eq!((&accepted["decision"], &accepted["party"]), (&"accepted".into(), &"caller".into()));
    assert_eq!(accepted["conversation"], unique_id.as_str(), "the first channel gives its name");
    assert!(office.told("keyword").is_empty(), "the agent was not heard");
    caller.end();
    office.wait_until_empty();
    let status = wait_for("the end of the tap", || tap.try_wait().expect("a child"));
    assert_eq!(status.code(), Some(0));
    assert_eq!(office.asterisk.cli("bridge show all").lines().count(), 1, "a bridge is left");
    drop(agent);
}

#[test]
fn a_channel_that_is_not_there_is_said_to_be_so_by_the_ari_tap() {
    let Some(office) = Office::open(&Plan::new(POLICY)) else { return };
    let password = office.site.write("ari.password", "change-this-password\n");
    let tap = Command::new("config/pbx/asterisk/ari_tap.py")
        .args(["--channel", "1.2", "--party", "caller", "--ari", &office.ari.to_string()])
        .arg("--password-file")
        .arg(password)
        .output()
        .expect("it runs");
    assert_eq!(tap.status.code(), Some(1), "{tap:?}");
    let said = String::from_utf8_lossy(&tap.stderr);
    assert!(said.contains("1.2 cannot be tapped: HTTP Error 404"), "{said}");
}

#[test]
fn a_sidetone_that_is_not_there_costs_no_call() {
    let away = [("contact = sip:sidetone@", "contact = sip:sidetone@127.0.0.1:9;was=")];
    let Some(office) = Office::open(&Plan { asterisk: &away, ..Plan::new(POLICY) }) else { return };
    let agent = office.agent(&office.recording("beckett"));
    let caller = office.call("601", &office.narrator());
    wait_for("the call without us", || {
        office.asterisk.cli("core show channels").contains("2 active channels").then_some(())
    });
    wait_for("audio to the caller", || {
        let stats = office.asterisk.cli("core show channels concise");
        (stats.matches("!Up!").count() == 2).then_some(())
    });
    assert_eq!(office.appliance.metric("sidetone_calls_active"), 0.0);
    caller.end();
    office.wait_until_empty();
    drop(agent);
}
