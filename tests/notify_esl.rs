//! Verdicts to FreeSWITCH's event socket, over real sockets, with all that goes wrong there.
#![expect(clippy::disallowed_methods, reason = "a test measures how long it waited")]

mod esl;

use std::sync::Arc;
use std::time::{Duration, Instant};

use esl::{EventSocket, Fault, PASSWORD};
use sidetone::config::notify::Kind;
use sidetone::config::notify::esl::Esl as Settings;
use sidetone::policy::act::Act;
use sidetone::policy::rule::Party;
use sidetone::policy::verdict::{Finding, SpeakerDecision, Verdict};
use sidetone::runtime::notify::esl::Esl;
use sidetone::runtime::notify::notice::{Deed, Notice};
use sidetone::runtime::notify::receiver::{Failure, Receiver};
use tempfile::TempDir;

const CALLER: &str = "0435d687-db9c-46b6-9221-79f82852c1a0";
/// As long as anything that answers may take; what does not answer is waited for as long as [`SHORT`].
const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);

#[test]
fn a_verdict_is_an_event_and_what_the_policy_wants_is_done() {
    let bench = Bench::new(LONG);
    let acts = [
        set("rejected"),
        Act::Warn("ask for the password".to_owned()),
        Act::Redirect("step-up,verify,1".to_owned()),
    ];
    let (socket, mut esl) = (&bench.socket, bench.esl(PASSWORD));
    assert_eq!(esl.deliver(&notice(1, &acts)), Ok(()));
    let state = socket.state();
    let [verdict, warning] = &state.events[..] else { panic!("{state:#?}") };
    let json: serde_json::Value = serde_json::from_str(&verdict.body).expect("JSON");
    assert_eq!((&json["kind"], &json["decision"]), (&"speaker".into(), &"rejected".into()));
    let headers = ["Event-Subclass", "Sidetone-Id", "Sidetone-Channel", "Sidetone-Decision"];
    let told = headers.map(|name| verdict.headers[name].as_str());
    assert_eq!(told, ["sidetone::verdict", "run-1", CALLER, "rejected"]);
    assert_eq!(warning.headers["Event-Subclass"], "sidetone::warning");
    assert_eq!(warning.body, "ask for the password");
    assert_eq!(state.channels[CALLER]["sidetone_speaker"], "rejected");
    assert_eq!(state.transfers, [["verify", "XML", "step-up"]]);
    drop(state);
    assert_eq!(esl.deliver(&notice(2, &[Act::HangUpCall])), Ok(()));
    assert!(socket.state().channels.is_empty());
    assert_eq!(socket.state().logins, 1, "one connection does for all");
}

#[test]
fn a_variable_gets_the_very_value_that_was_meant() {
    let bench = Bench::new(LONG);
    let mut esl = bench.esl(PASSWORD);
    for (n, value) in ["it's", r"a\nb \", "two  words", r#"'"\'"#, "", "ü"].iter().enumerate() {
        assert_eq!(esl.deliver(&notice(n, &[set(value)])), Ok(()));
        assert_eq!(bench.socket.state().channels[CALLER]["sidetone_speaker"], *value);
    }
}

#[test]
fn who_is_not_let_in_is_told_so_and_may_try_again() {
    let bench = Bench::new(LONG);
    let refused = |failure: Result<(), Failure>, words: &str| match failure {
        Err(Failure::Login(why)) => assert!(why.contains(words), "{why}"),
        other => panic!("{other:?}"),
    };
    refused(bench.esl("guess").deliver(&notice(1, &[])), "-ERR invalid");
    refused(bench.esl("guess").idle(), "-ERR invalid");
    bench.socket.state().rude = true;
    let mut esl = bench.esl(PASSWORD);
    refused(esl.idle(), "apply-inbound-acl");
    bench.socket.state().rude = false;
    assert_eq!(esl.deliver(&notice(1, &[])), Ok(()));
}

#[test]
fn a_user_of_the_directory_does_what_it_is_allowed_to() {
    let bench = Bench::new(LONG);
    bench.socket.state().forbidden = vec!["uuid_kill", "status"];
    let user = Some("sidetone@default".to_owned());
    let mut esl = bench.open("esl-secret", |settings| settings.user = user);
    assert_eq!(esl.idle(), Ok(()), "to stay connected needs no leave");
    let denied = Failure::Refused("-ERR permission denied".to_owned());
    assert_eq!(esl.deliver(&notice(1, &[Act::HangUpCall, set("rejected")])), Err(denied));
    let state = bench.socket.state();
    assert_eq!(state.channels[CALLER]["sidetone_speaker"], "rejected", "the rest is done");
    assert_eq!((state.events.len(), state.logins), (1, 1));
}

#[test]
fn a_channel_that_is_gone_costs_neither_the_event_nor_the_connection() {
    let bench = Bench::new(LONG);
    bench.socket.state().channels.clear();
    let mut esl = bench.esl(PASSWORD);
    let gone = Failure::Refused("-ERR No such channel!".to_owned());
    for act in [set("rejected"), Act::Redirect("a,b".to_owned()), Act::HangUpCall] {
        assert_eq!(esl.deliver(&notice(1, &[act])), Err(gone.clone()));
    }
    let mut stranger = notice(2, &[]);
    stranger.acts = vec![deed(&Act::HangUpCall, "PJSIP/alice-00000001")];
    assert!(matches!(esl.deliver(&stranger), Err(Failure::Refused(why)) if why.contains("UUID")));
    assert_eq!(esl.deliver(&notice(3, &[])), Ok(()));
    let state = bench.socket.state();
    assert_eq!((state.events.len(), state.logins), (5, 1));
}

#[test]
fn variables_that_nobody_asked_for_may_find_no_channel() {
    let bench = Bench::new(LONG);
    let mut esl = bench.open(PASSWORD, |settings| settings.variables = true);
    assert_eq!(esl.deliver(&notice(1, &[])), Ok(()));
    assert_eq!(bench.socket.state().channels[CALLER]["SIDETONE_DECISION"], "rejected");
    bench.socket.state().channels.clear();
    assert_eq!(esl.deliver(&notice(2, &[])), Ok(()));
}

#[test]
fn answers_in_single_bytes_are_answers() {
    let bench = Bench::new(LONG);
    bench.socket.state().chunk = 1;
    let mut esl = bench.esl(PASSWORD);
    // Some of them are read before the rest is there.
    for n in 0..50 {
        assert_eq!(esl.deliver(&notice(n, &[set("rejected")])), Ok(()));
    }
}

#[test]
fn a_broken_connection_repeats_the_one_command_that_it_cut_off() {
    for fault in [Fault::Disconnects, Fault::LosesAnswer, Fault::HalfAnswer] {
        let bench = Bench::new(LONG);
        // The event is answered; setting the variable is not.
        bench.socket.state().faults = vec![None, Some(fault.clone())];
        let mut esl = bench.esl(PASSWORD);
        let notice = notice(1, &[set("rejected"), Act::HangUpCall]);
        unreachable(esl.deliver(&notice), "");
        // Another conversation's may come in between.
        assert_eq!(esl.deliver(&self::notice(2, &[])), Ok(()));
        assert_eq!(esl.deliver(&notice), Ok(()), "{fault:?}");
        let state = bench.socket.state();
        let set = state.commands.iter().filter(|line| line.contains("uuid_setvar")).count();
        assert_eq!(state.events.len(), 2, "{fault:?}");
        assert_eq!(set, if fault == Fault::Disconnects { 1 } else { 2 }, "{fault:?}");
        assert_eq!(state.logins, 2);
    }
}

#[test]
fn an_event_whose_answer_was_lost_comes_again_with_the_same_id() {
    let bench = Bench::new(LONG);
    bench.socket.state().faults = vec![Some(Fault::LosesAnswer)];
    let mut esl = bench.esl(PASSWORD);
    unreachable(esl.deliver(&notice(1, &[])), "closed the connection");
    assert_eq!(esl.deliver(&notice(1, &[])), Ok(()));
    let state = bench.socket.state();
    let ids: Vec<_> = state.events.iter().map(|event| &event.headers["Sidetone-Id"]).collect();
    assert_eq!(ids, ["run-1", "run-1"]);
}

#[test]
fn whoever_does_not_answer_is_waited_for_within_the_bound() {
    for fault in
        [Fault::Silent, Fault::Floods, Fault::Says(b"Content-Type: command/reply\nReply-Te")]
    {
        let bench = Bench::new(SHORT);
        bench.socket.state().faults = vec![Some(fault.clone())];
        let (mut esl, start) = (bench.esl(PASSWORD), Instant::now());
        unreachable(esl.deliver(&notice(1, &[])), "no answer from FreeSWITCH within");
        let waited = start.elapsed();
        assert!((SHORT..20 * SHORT).contains(&waited), "{fault:?}: {waited:?}");
    }
}

#[test]
fn garbage_ends_the_connection_and_not_the_notices() {
    let garbage: [(&[u8], &str); 3] = [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no event socket"),
        (
            b"Content-Type: api/response\nContent-Length: 4000000000\n\n",
            "Content-Length of at most",
        ),
        (&[0xff; 9_000], "no blank line"),
    ];
    for (bytes, why) in garbage {
        let bench = Bench::new(LONG);
        bench.socket.state().faults = vec![Some(Fault::Says(bytes))];
        let mut esl = bench.esl(PASSWORD);
        unreachable(esl.deliver(&notice(1, &[])), why);
        assert_eq!(esl.deliver(&notice(1, &[])), Ok(()));
        assert_eq!(bench.socket.state().logins, 2);
    }
}

#[test]
fn a_connection_that_is_lost_in_idle_time_is_found_and_made_anew() {
    let bench = Bench::new(LONG);
    let mut esl = bench.esl(PASSWORD);
    assert_eq!(esl.idle(), Ok(()));
    bench.socket.state().faults = vec![Some(Fault::Disconnects)];
    unreachable(esl.idle(), "Disconnected, goodbye.");
    assert_eq!(esl.idle(), Ok(()));
    assert_eq!(bench.socket.state().logins, 2);
    let mut nobody = bench.open(PASSWORD, |settings| settings.address = "127.0.0.1:9".to_owned());
    unreachable(nobody.idle(), "127.0.0.1:9: ");
}

struct Bench {
    socket: EventSocket,
    folder: TempDir,
    patience: Duration,
}

impl Bench {
    /// An event socket with the caller's channel.
    fn new(patience: Duration) -> Self {
        let socket = EventSocket::start();
        socket.channel(CALLER);
        Self { socket, folder: tempfile::tempdir().expect("a folder"), patience }
    }

    fn esl(&self, password: &str) -> Esl {
        self.open(password, |_| {})
    }

    fn open(&self, password: &str, change: impl FnOnce(&mut Settings)) -> Esl {
        let file = self.folder.path().join("password");
        std::fs::write(&file, password).expect("a writable folder");
        let mut settings = Settings {
            name: "freeswitch".to_owned(),
            address: self.socket.address.to_string(),
            user: None,
            password_file: file,
            variables: false,
            kinds: Kind::usual(),
            personal: false,
        };
        change(&mut settings);
        Esl::new(&settings, self.patience).expect("a password")
    }
}

fn unreachable(failure: Result<(), Failure>, words: &str) {
    match failure {
        Err(Failure::Unreachable { why, after }) => {
            assert!(why.contains(words) && after.is_zero(), "{why}");
        }
        other => panic!("{other:?}"),
    }
}

fn set(value: &str) -> Act {
    Act::Set { variable: "sidetone_speaker".to_owned(), value: value.to_owned() }
}

fn deed(act: &Act, channel: &str) -> Deed {
    Deed { act: act.clone(), channel: Some(channel.to_owned()) }
}

fn notice(number: usize, acts: &[Act]) -> Notice {
    let verdict = Verdict {
        version: 1,
        sequence: number as u64,
        conversation: "talk-7".to_owned(),
        party: Party::Caller,
        finding: Finding::Speaker {
            subject: "narrator".to_owned(),
            decision: SpeakerDecision::Rejected,
            llr: Some(-7.0),
            probability: None,
            reason: None,
        },
        since: jiff::Timestamp::UNIX_EPOCH,
        since_s: 1.0,
        net_speech_s: 2.0,
        coverage: 1.0,
        model: None,
        policy: "p@1".to_owned(),
    };
    Notice {
        id: format!("run-{number}"),
        verdict: Arc::new(verdict),
        channel: Some(CALLER.to_owned()),
        agent: None,
        acts: acts.iter().map(|act| deed(act, CALLER)).collect(),
    }
}
