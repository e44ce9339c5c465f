//! Verdicts to a real Asterisk by its manager interface and by ARI: what is told, what is done, and what a wrong password
//! or an absent side costs.
//!
//! Without Asterisk these tests say so and pass.
#![expect(clippy::disallowed_methods, reason = "a test reads the disk and opens sockets")]

mod appliance;
mod notify;
mod peers;
mod store;

use std::fs;
use std::path::Path;

use notify::listeners::{Application, Listener, document, of};
use notify::{Notifying, accepted, logged, notice, verdict, wait_for, with};
use peers::asterisk::{Asterisk, Release};
use peers::authority::Authority;
use peers::free_port;
use serde_json::Value;
use sidetone::config::notify::Notify;
use sidetone::policy::act::Act;
use sidetone::policy::rule::Party;
use sidetone::policy::rules::standing::{Reason, RuleState, Severity};
use sidetone::policy::sensitivity::Sensitivity;
use sidetone::policy::verdict::{Finding, Rested};
use sidetone::runtime::notify::ami::Ami;
use sidetone::runtime::notify::ari::Ari;
use sidetone::runtime::notify::notice::Notice;
use sidetone::runtime::notify::receiver::{Failure, Receiver};

/// An Asterisk with both interfaces, and nobody on the telephone.
struct Bench {
    asterisk: Asterisk,
    ami: u16,
    http: u16,
    tls: u16,
    /// Of the authority that stands behind its certificate.
    authority: tempfile::TempDir,
}

impl Bench {
    fn new() -> Option<Self> {
        let (ami, http, tls) = (free_port(), free_port(), free_port());
        let authority = tempfile::tempdir().expect("a folder");
        Authority::new(authority.path()).issue("asterisk", "localhost", 2100);
        let certificate = fs::read(authority.path().join("asterisk.pem")).expect("issued");
        let folder = Path::new("tests/pbx/asterisk/notify");
        let files = fs::read_dir(folder).expect("tests run at the package root").map(|file| {
            let name = file.expect("an entry").file_name().into_string().expect("UTF-8");
            let text = fs::read_to_string(folder.join(&name)).expect("readable");
            let text = text.replace("@AMI@", &ami.to_string());
            let text = text.replace("@TLS@", &tls.to_string());
            (name, text.replace("@HTTP@", &http.to_string()))
        });
        let files: Vec<_> = files.collect();
        // It speaks no SIP.
        let asterisk = Asterisk::start_with(
            Release::Current,
            0,
            &files,
            &[("asterisk.pem".to_owned(), certificate)],
        )?;
        Some(Self { asterisk, ami, http, tls, authority })
    }

    /// Puts somebody on a call; name and unique id of the channel.
    fn talk(&self, extension: &str) -> (String, String) {
        self.asterisk
            .cli(&format!("channel originate Local/{extension}@parties application Wait 120"));
        wait_for("the channel", || {
            let channels = self.asterisk.cli("core show channels concise");
            let line =
                channels.lines().find(|line| line.contains(&format!("!parties!{extension}!")))?;
            let mut words = line.split('!');
            Some((words.next()?.to_owned(), words.next_back()?.to_owned()))
        })
    }

    fn channels(&self) -> String {
        self.asterisk.cli("core show channels concise")
    }

    fn ami(&self, name: &str, user: &str, password: &str, more: &str) -> Notifying {
        let text = format!(
            "[[ami]]\nname = '{name}'\naddress = '127.0.0.1:{}'\nuser = '{user}'\n\
             password_file = '@FOLDER@/password'\n{more}\n",
            self.ami
        );
        Notifying::start(&text, &[("password", password)])
    }

    fn ari(&self, name: &str, password: &str) -> Notifying {
        Notifying::start(&self.ari_table(name), &[("password", password)])
    }

    fn ari_table(&self, name: &str) -> String {
        format!(
            "[[ari]]\nname = '{name}'\nurl = 'http://127.0.0.1:{}/ari'\nuser = 'sidetone'\n\
             password_file = '@FOLDER@/password'\napplication = 'office'\nvariables = true\n",
            self.http
        )
    }

    /// A receiver by itself, to be told notices with something to be done.
    fn receiver<T>(&self, table: &str, new: impl FnOnce(&Notify) -> T) -> T {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("password"), "right\n").expect("a writable folder");
        let text = table.replace("@FOLDER@", &folder.path().display().to_string());
        new(&toml::from_str(&text).expect("good settings"))
    }

    fn ami_alone(&self, more: &str) -> Ami {
        let table = format!(
            "[[ami]]\nname = 'a'\naddress = '127.0.0.1:{}'\nuser = 'sidetone'\n\
             password_file = '@FOLDER@/password'\n{more}\n",
            self.ami
        );
        self.receiver(&table, |settings| {
            Ami::new(&settings.managers[0], settings.timeout()).expect("a password")
        })
    }

    fn ari_alone(&self) -> Ari {
        self.receiver(&self.ari_table("a"), |settings| {
            Ari::new(&settings.applications[0], settings.timeout()).expect("a password")
        })
    }
}

fn set(value: &str) -> Act {
    Act::Set { variable: "STEP".to_owned(), value: value.to_owned() }
}

#[test]
fn a_verdict_is_an_event_and_a_variable_by_the_channel_s_name_or_unique_id() {
    let Some(bench) = Bench::new() else { return };
    let (name, id) = bench.talk("talk");
    let listener = Listener::new(bench.ami);
    let mut notifying = bench.ami("vars", "sidetone", "right\n", "variables = true");
    notifying.tell(accepted("4711", 3), Some(&name));
    let event = listener.wait_for(1).remove(0);
    for (header, wanted) in [
        ("UserEvent", "SidetoneVerdict"),
        ("Conversation", "4711"),
        ("Party", "caller"),
        ("Kind", "speaker"),
        ("Decision", "accepted"),
        ("Subject", "customer"),
        ("Channel", name.as_str()),
    ] {
        assert_eq!(of(&event, header), Some(wanted), "{header}: {event:?}");
    }
    assert_eq!(document(&event)["sequence"], 3);
    notifying.wait_for_metric("sidetone_notify_total{receiver=\"vars\",result=\"delivered\"}", 1.0);
    let shown = bench.asterisk.cli(&format!("core show channel {name}"));
    assert!(shown.contains("SIDETONE_DECISION=accepted"), "{shown}");
    let rule = Finding::Rule {
        rule: "risk-warning".to_owned(),
        state: RuleState::Violated,
        severity: Severity::Critical,
        reason: Reason::Said,
        deadline: None,
        phrases: Vec::new(),
        experiment: None,
    };
    notifying.tell(verdict("4711", 4, rule), Some(&id));
    notifying.wait_for_metric("sidetone_notify_total{receiver=\"vars\",result=\"delivered\"}", 2.0);
    let shown = bench.asterisk.cli(&format!("core show channel {name}"));
    assert!(shown.contains("SIDETONE_RULE_RISK_WARNING=violated"), "{shown}");
    // Nobody is there any more, and the verdict is told nevertheless.
    notifying.tell(accepted("4711", 5), Some("PJSIP/gone-00000001"));
    notifying.wait_for_metric("sidetone_notify_total{receiver=\"vars\",result=\"delivered\"}", 3.0);
    assert_eq!(listener.wait_for(3).len(), 3);
    assert!(logged("vars").is_empty(), "{:#?}", logged("vars"));
    notifying.close();
}

#[test]
fn a_document_longer_than_a_line_comes_in_pieces() {
    let Some(bench) = Bench::new() else { return };
    let listener = Listener::new(bench.ami);
    let phrases = (0..40).map(|n| Rested {
        phrase: format!("aufklärung-über-das-risiko-{n}"),
        sensitivity: Sensitivity::Public,
        party: Party::Agent,
        start_s: f64::from(n),
        end_s: f64::from(n) + 1.0,
    });
    let rule = Finding::Rule {
        rule: "long".to_owned(),
        state: RuleState::Met,
        severity: Severity::Info,
        reason: Reason::Said,
        deadline: None,
        phrases: phrases.collect(),
        experiment: None,
    };
    let told = verdict("c", 1, rule);
    let wanted: Value = serde_json::from_str(&told.to_json()).expect("JSON");
    assert!(told.to_json().len() > 3_000);
    bench.ami_alone("").deliver(&notice("n-1", told, None)).expect("it takes it");
    assert_eq!(document(&listener.wait_for(1)[0]), wanted);
}

#[test]
fn over_tls_it_is_told_where_its_authority_is_trusted() {
    let Some(bench) = Bench::new() else { return };
    let listener = Listener::new(bench.ami);
    let tls = |name: &str, host: &str| {
        let text = format!(
            "[[ami]]\nname = '{name}'\naddress = '{host}:{}'\ntls = true\nauthorities = '{}/authorities.pem'\n\
             user = 'sidetone'\npassword_file = '@FOLDER@/password'\n",
            bench.tls,
            bench.authority.path().display()
        );
        Notifying::start(&text, &[("password", "right\n")])
    };
    let mut notifying = tls("encrypted", "localhost");
    notifying.tell(accepted("c", 1), None);
    assert_eq!(of(&listener.wait_for(1)[0], "Sequence"), Some("1"));
    notifying.close();
    let notifying = tls("elsewhere", "127.0.0.1");
    let failures = "sidetone_notify_failures_total{receiver=\"elsewhere\",why=\"unreachable\"}";
    notifying.wait_for_metric(failures, 1.0);
    let log = logged("elsewhere");
    assert!(log[0].contains("invalid peer certificate"), "{log:#?}");
    notifying.close();
}

#[test]
fn what_a_policy_wants_is_done_on_the_channel() {
    let Some(bench) = Bench::new() else { return };
    let (name, id) = bench.talk("talk");
    let listener = Listener::new(bench.ami);
    let mut ami = bench.ami_alone("");
    let told = |n: u64| notice(&format!("n-{n}"), accepted("c", n), Some(&name));
    let warn = Act::Warn("ask for the PIN".to_owned());
    let warned = Notice { agent: Some("PJSIP/bob-1".to_owned()), ..with(&[warn], told(1)) };
    ami.deliver(&warned).expect("an event needs no channel");
    let warning = listener.wait_for(2).remove(1);
    assert_eq!(of(&warning, "UserEvent"), Some("SidetoneWarning"));
    assert_eq!(of(&warning, "Channel"), Some("PJSIP/bob-1"));
    assert_eq!(of(&warning, "Text"), Some("ask for the PIN"));
    ami.deliver(&with(&[set("up")], told(2))).expect("the channel is there");
    let shown = bench.asterisk.cli(&format!("core show channel {name}"));
    assert!(shown.contains("STEP=up"), "{shown}");
    let redirect = Act::Redirect("step-up,s,1".to_owned());
    let by_id = Notice { channel: Some(id), ..told(3) };
    ami.deliver(&with(&[redirect], by_id)).expect("the channel is there");
    wait_for("the step-up", || {
        bench.asterisk.log().contains(&format!("STEP-UP {name}")).then_some(())
    });
    ami.deliver(&with(&[Act::HangUpTap], told(4))).expect("nothing of Asterisk's");
    assert!(bench.channels().contains(&name));
    ami.deliver(&with(&[Act::HangUpCall], told(5))).expect("the channel is there");
    wait_for("its end", || (!bench.channels().contains(&name)).then_some(()));
    // Now it is gone: the act is refused, the verdict is told, and what else is wanted is done.
    let both = [Act::HangUpCall, Act::Warn("it is late".to_owned())];
    let refused = ami.deliver(&with(&both, told(6))).expect_err("nobody is there");
    assert_eq!(refused, Failure::Refused("Hangup is refused: No such channel".to_owned()));
    let events = listener.wait_for(8);
    assert_eq!(of(&events[7], "Text"), Some("it is late"));
}

#[test]
fn no_value_is_more_than_a_value() {
    let Some(bench) = Bench::new() else { return };
    let (name, _) = bench.talk("talk");
    let listener = Listener::new(bench.ami);
    let mut ami = bench.ami_alone("variables = true");
    // As if the PBX had copied a header of the caller's.
    let evil = format!("c\r\nUserEvent: Other\r\n\r\nAction: Hangup\r\nChannel: {name}\r\n\r\n");
    let told = with(
        &[Act::Warn(evil.clone()), set(&evil)],
        notice("n-1", accepted(&evil, 1), Some(&name)),
    );
    ami.deliver(&told).expect("it takes it");
    let events = listener.wait_for(2);
    assert_eq!(of(&events[0], "UserEvent"), Some("SidetoneVerdict"));
    assert_eq!(of(&events[0], "Conversation"), Some(evil.replace(['\r', '\n'], " ").as_str()));
    // Every channel that a pattern fits would be hung up.
    let pattern = notice("n-2", accepted("c", 2), Some("/.*/"));
    let refused = ami.deliver(&with(&[Act::HangUpCall], pattern)).expect_err("no name");
    assert_eq!(refused, Failure::Refused("no channel is known to act on".to_owned()));
    // Without a channel a variable would be everybody's.
    let nobody = notice("n-3", accepted("c", 3), None);
    ami.deliver(&with(&[set("global")], nobody)).expect_err("no channel");
    assert!(!bench.asterisk.cli("dialplan show globals").contains("global"));
    assert!(bench.channels().contains(&name), "nobody was hung up");
}

#[test]
fn a_wrong_password_is_one_metric_and_one_line() {
    let Some(bench) = Bench::new() else { return };
    let mut notifying = bench.ami("wrong", "sidetone", "guess\n", "");
    let login = "sidetone_notify_failures_total{receiver=\"wrong\",why=\"login\"}";
    notifying.wait_for_metric(login, 1.0);
    (1..=5).for_each(|sequence| notifying.tell(accepted("c", sequence), None));
    notifying.wait_for_metric("sidetone_notify_waiting{receiver=\"wrong\"}", 5.0);
    assert_eq!(
        (notifying.metric(login), notifying.metric("sidetone_notify_up{receiver=\"wrong\"}")),
        (1.0, 0.0)
    );
    let log = logged("wrong");
    assert_eq!(log.len(), 1, "{log:#?}");
    assert!(
        log[0].contains("login refused") && log[0].contains("Authentication failed"),
        "{log:#?}"
    );
    notifying.close();
    // Who may tell and not touch: the privilege that is missing has a name.
    let (name, _) = bench.talk("talk");
    let mut notifying = bench.ami("teller", "teller", "right\n", "variables = true");
    notifying.tell(accepted("c", 1), Some(&name));
    notifying
        .wait_for_metric("sidetone_notify_failures_total{receiver=\"teller\",why=\"login\"}", 1.0);
    let log = logged("teller");
    assert!(log[0].contains("the user \"teller\" may not do Setvar"), "{log:#?}");
    notifying.close();
}

#[test]
fn an_asterisk_that_comes_back_is_told_all_in_order() {
    let Some(mut bench) = Bench::new() else { return };
    let mut notifying = bench.ami("away", "sidetone", "right\n", "");
    notifying.tell(accepted("c", 1), None);
    notifying.wait_for_metric("sidetone_notify_total{receiver=\"away\",result=\"delivered\"}", 1.0);
    bench.asterisk.kill();
    (2..=4).for_each(|sequence| notifying.tell(accepted("c", sequence), None));
    notifying.wait_for_metric("sidetone_notify_up{receiver=\"away\"}", 0.0);
    notifying.wait_for_metric("sidetone_notify_waiting{receiver=\"away\"}", 3.0);
    bench.asterisk.start_again();
    let listener = Listener::new(bench.ami);
    let events = listener.wait_for(3);
    let order: Vec<_> = events.iter().filter_map(|event| of(event, "Sequence")).collect();
    assert_eq!(order, ["2", "3", "4"]);
    notifying.wait_for_metric("sidetone_notify_up{receiver=\"away\"}", 1.0);
    let log = logged("away");
    assert_eq!(log.len(), 2, "{log:#?}");
    notifying.close();
}

#[test]
fn an_application_gets_an_event_by_ari_with_the_channel_or_without() {
    let Some(bench) = Bench::new() else { return };
    let (_, id) = bench.talk("talk");
    let mut application = Application::connect(bench.http, "right", "office");
    let mut notifying = bench.ari("ari", "right\n");
    notifying.tell(accepted("4711", 3), Some(&id));
    let event = application.next("ChannelUserevent");
    assert_eq!(
        (&event["eventname"], &event["channel"]["id"]),
        (&"SidetoneVerdict".into(), &id.into())
    );
    let told = &event["userevent"];
    assert_eq!((&told["Conversation"], &told["Decision"]), (&"4711".into(), &"accepted".into()));
    let document = told["Json"].as_str().expect("the document");
    assert!(document.contains("\"sequence\":3"), "{document}");
    notifying.tell(accepted("4711", 4), Some("PJSIP/gone-00000001"));
    let event = application.next("ChannelUserevent");
    assert_eq!((&event["channel"], &event["userevent"]["Sequence"]), (&Value::Null, &"4".into()));
    notifying.wait_for_metric("sidetone_notify_total{receiver=\"ari\",result=\"delivered\"}", 2.0);
    assert!(logged("ari").is_empty(), "{:#?}", logged("ari"));
    notifying.close();
}

#[test]
fn what_ari_cannot_do_to_a_dialplan_s_channel_it_refuses_and_to_an_application_s_it_does() {
    let Some(bench) = Bench::new() else { return };
    let mut application = Application::connect(bench.http, "right", "office");
    let mut ari = bench.ari_alone();
    let (_, talking) = bench.talk("talk");
    let redirect = || Act::Redirect("step-up,s,1".to_owned());
    let told = |n: u64, id: &str| notice(&format!("n-{n}"), accepted("c", n), Some(id));
    for (n, act) in [set("up"), redirect()].into_iter().enumerate() {
        let refused =
            ari.deliver(&with(&[act], told(n as u64, &talking))).expect_err("a dialplan's");
        let why = "ARI says: Channel not in Stasis application".to_owned();
        assert_eq!(refused, Failure::Refused(why));
    }
    let (held, id) = bench.talk("stasis");
    application.next("StasisStart");
    ari.deliver(&with(&[set("up %41&x=y")], told(3, &id))).expect("it is the application's");
    let shown = bench.asterisk.cli(&format!("core show channel {held}"));
    assert!(
        shown.contains("STEP=up %41&x=y") && shown.contains("SIDETONE_DECISION=accepted"),
        "{shown}"
    );
    ari.deliver(&with(&[redirect()], told(4, &id))).expect("it is the application's");
    wait_for("the step-up", || {
        bench.asterisk.log().contains(&format!("STEP-UP {held}")).then_some(())
    });
    ari.deliver(&with(&[Act::HangUpCall], told(5, &talking))).expect("anybody's");
    let gone = Failure::Refused("ARI says: Channel not found".to_owned());
    wait_for("its end", || {
        let again = ari.deliver(&with(&[Act::HangUpCall], told(6, &talking)));
        (again.as_ref() == Err(&gone)).then_some(())
    });
}

#[test]
fn without_its_application_or_with_a_wrong_password_ari_s_verdicts_wait() {
    let Some(bench) = Bench::new() else { return };
    let mut notifying = bench.ari("absent", "right\n");
    notifying.tell(accepted("c", 1), None);
    let unreachable = "sidetone_notify_failures_total{receiver=\"absent\",why=\"unreachable\"}";
    wait_for("a failure", || (notifying.metric(unreachable) >= 1.0).then_some(()));
    let log = logged("absent");
    assert!(
        log[0].contains("the application \"office\" is not connected: Application not found"),
        "{log:#?}"
    );
    let mut application = Application::connect(bench.http, "right", "office");
    let event = application.next("ChannelUserevent");
    assert_eq!(event["userevent"]["Sequence"], "1");
    notifying.close();
    let mut notifying = bench.ari("guessing", "guess\n");
    notifying.tell(accepted("c", 1), None);
    notifying.wait_for_metric(
        "sidetone_notify_failures_total{receiver=\"guessing\",why=\"login\"}",
        1.0,
    );
    notifying.wait_for_metric("sidetone_notify_waiting{receiver=\"guessing\"}", 1.0);
    assert_eq!(logged("guessing").len(), 1, "{:#?}", logged("guessing"));
    notifying.close();
}
