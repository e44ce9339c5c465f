//! What a real Asterisk that loads `config/pbx/asterisk` does with our verdicts: keys and messages that its dialplan
//! acts on.
//!
//! Without the models, baresip or Asterisk these tests say so and pass.

mod appliance;
mod peers;
mod store;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use appliance::wait_for;
use peers::asterisk::Release;
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

/// Somebody else calls by the narrator's number: what becomes of him.
fn a_rejected_caller_is_redirected(plan: &Plan<'_>) {
    let Some(office) = Office::open(plan) else { return };
    let agent = office.agent(&office.recording("beckett"));
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
    let verdict = office.first("speaker");
    assert_eq!((&verdict["decision"], &verdict["party"]), (&"rejected".into(), &"caller".into()));
    assert!(entered.contains("PJSIP/caller-"), "{entered}");
    caller.end();
    office.wait_until_empty();
    drop(agent);
}

#[test]
fn a_rejected_caller_is_redirected_to_the_step_up_by_a_key() {
    a_rejected_caller_is_redirected(&Plan::new(POLICY));
}

#[test]
fn asterisk_16_redirects_him_too() {
    let release = Release::Sixteen;
    a_rejected_caller_is_redirected(&Plan { release, ..Plan::new(POLICY) });
}

#[test]
fn the_manager_may_do_what_verdicts_need_and_no_more() {
    let Some(office) = Office::open(&Plan::new(POLICY)) else { return };
    let agent = office.agent(&office.recording("beckett"));
    let caller = office.call("600", &office.narrator());
    let channel = wait_for("the caller's channel", || {
        let channels = office.asterisk.cli("core show channels concise");
        let of_caller = |line: &&str| line.starts_with("PJSIP/caller-") && line.contains("!Up!");
        channels.lines().find(of_caller)?.split('!').next().map(str::to_owned)
    });
    let mut manager = Manager::connect(office.manager);
    let login =
        "Action: Login\r\nUsername: sidetone\r\nSecret: change-this-password\r\nEvents: off";
    assert_eq!(manager.ask(login), "Success");
    let set = format!("Setvar\r\nChannel: {channel}\r\nVariable: SIDETONE\r\nValue: accepted");
    assert_eq!(manager.ask(&format!("Action: {set}")), "Success");
    let variables = office.asterisk.cli(&format!("core show channel {channel}"));
    assert!(variables.contains("SIDETONE=accepted"), "{variables}");
    assert_eq!(
        manager.ask("Action: UserEvent\r\nUserEvent: Sidetone\r\nOutcome: accepted"),
        "Success"
    );
    let place = "Context: sidetone-step-up\r\nExten: s\r\nPriority: 1";
    let redirect = format!("Action: Redirect\r\nChannel: {channel}\r\n{place}");
    assert_eq!(manager.ask(&redirect), "Success");
    logged(&office, &[&format!("sidetone: {channel}"), "steps up"]);
    assert_eq!(manager.ask("Action: Command\r\nCommand: core stop now"), "Error");
    caller.end();
    office.wait_until_empty();
    drop(agent);
}

/// A connection to AMI.
struct Manager {
    lines: BufReader<TcpStream>,
}

impl Manager {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("AMI answers");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a valid time");
        let mut lines = BufReader::new(stream);
        let mut greeting = String::new();
        lines.read_line(&mut greeting).expect("a greeting");
        assert!(greeting.starts_with("Asterisk Call Manager/"), "{greeting}");
        Self { lines }
    }

    /// What is answered to an action.
    fn ask(&mut self, action: &str) -> String {
        write!(self.lines.get_mut(), "{action}\r\n\r\n").expect("AMI listens");
        let mut response = None;
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).expect("an answer") > 0, "AMI has hung up");
            match (line.trim_end(), response.take()) {
                ("", Some(response)) => return response,
                (line, known) => {
                    response = known.or(line.strip_prefix("Response: ").map(str::to_owned));
                }
            }
        }
    }
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
