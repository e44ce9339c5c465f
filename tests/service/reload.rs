//! Everything is read again while calls stand; what is of no use changes nothing, and everybody is told.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::appliance::{Appliance, LISTEN, RATE, Site, TOKEN, token, wait_for};
use crate::authority::Authority;
use crate::calls::call;
use crate::manager::Manager;
use crate::store::{skip, store};

const FIRST: &str = "name = 'p'\nversion = '1'\n";
const SECOND: &str = "name = 'p'\nversion = '2'\n";
/// Calls that stand while everything is read again, and how many of them we place ourselves.
const CALLS: usize = 50;
const PLACED: usize = 5;
/// Seconds that they last: fifty are begun, and a reload done, within some of them.
const LAST_S: usize = 12;

/// How often `part` was read again with that outcome.
fn reloads(appliance: &Appliance, part: &str, outcome: &str) -> f64 {
    appliance.metric(&format!("sidetone_reloads_total{{outcome=\"{outcome}\",part=\"{part}\"}}"))
}

/// Has everything read again, and waits until that is done.
fn reload(appliance: &Appliance, manager: &Manager) {
    let done = manager.count("READY=1");
    appliance.signal("HUP");
    wait_for("the end of a reload", || (manager.count("READY=1") > done).then_some(()));
}

/// The policies of the calls that `GET /calls` tells of.
fn policies_of_placed(appliance: &Appliance) -> Vec<String> {
    let request = format!("Authorization: Bearer {TOKEN}\r\n");
    let (status, body) = appliance.get_with("/calls", &request).expect("an answer");
    assert_eq!(status, 200, "{body}");
    let calls: Vec<serde_json::Value> = serde_json::from_str(&body).expect("JSON");
    calls.iter().map(|call| call["policy"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn a_reload_under_fifty_calls_drops_none_and_each_goes_on_by_the_policy_that_it_began_with() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    site.write("policy.toml", FIRST);
    site.write("sidetone.toml", site.open_api());
    let manager = Manager::new(&site);
    let appliance = manager.start(&site, &[]);
    assert!(manager.wait_for_status("policy p@1").starts_with("Serving 0 calls; "));

    // Some calls are ours, to whoever answers: `GET /calls` tells of them.
    let port = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let port = port.expect("a port of loopback").port().to_string();
    let answering = Command::new("sipp")
        .args(["-sn", "uas", "-i", "127.0.0.1", "-mi", "127.0.0.1", "-p", &port, "-nostdin"])
        .current_dir(site.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let placed = if answering.is_ok() { PLACED } else { 0 };
    for _ in 0..placed {
        let order = format!("{{\"target\":\"sip:uas@127.0.0.1:{port}\"}}");
        let (status, body) = appliance.post("/calls", TOKEN, &order);
        assert_eq!(status, 202, "{body}");
    }
    if placed == 0 {
        skip("sipp is not installed (Debian: sip-tester): all calls are others'");
    }
    // A quiet call costs no model a thing, and its line is judged all the same.
    let quiet = vec![0.0; LAST_S * RATE as usize];
    let names: Vec<_> = (placed..CALLS).map(|n| format!("standing-{n}")).collect();
    let standing: Vec<_> = names
        .iter()
        .map(|name| call(appliance.sip, &[("Conversation", name)], quiet.clone()))
        .collect();
    appliance.wait_for_metric("sidetone_calls_active", CALLS as f64);

    site.write("policy.toml", SECOND);
    reload(&appliance, &manager);
    assert_eq!(reloads(&appliance, "policy", "applied"), 1.0);
    assert_eq!(appliance.metric("sidetone_calls_active"), CALLS as f64, "none was dropped");
    let status = manager.wait_for_status("policy p@2");
    assert!(status.starts_with(&format!("Serving {CALLS} calls; policy p@2. Reload ")), "{status}");
    assert!(status.ends_with("policy applied."), "{status}");
    assert_eq!(policies_of_placed(&appliance), vec!["p@1"; placed]);
    let late = call(appliance.sip, &[("Conversation", "late")], vec![0.0; RATE as usize]);

    for call in standing.into_iter().chain([late]) {
        call.join().expect("nobody hung up on it");
    }
    let policy_of = |name: &str| {
        wait_for(name, || {
            let lines = appliance.lines();
            let of = |line: &&serde_json::Value| line["conversation"] == name;
            let policies: Vec<_> =
                lines.iter().filter(of).map(|line| line["policy"].clone()).collect();
            assert!(policies.windows(2).all(|two| two[0] == two[1]), "{name}: {policies:?}");
            policies.last().map(|policy| policy.as_str().expect("a name").to_owned())
        })
    };
    for name in &names {
        assert_eq!(policy_of(name), "p@1", "{name}");
    }
    assert_eq!(policy_of("late"), "p@2");
    if let Ok(mut answering) = answering {
        let _ = answering.kill();
        let _ = answering.wait();
    }
    assert_eq!(appliance.stop().status.code(), Some(0));
}

#[test]
fn what_is_of_no_use_is_refused_part_by_part_and_said_in_log_metric_and_status() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    let authority = Authority::new(&site.path(""));
    for (name, certified) in [("sip", "localhost"), ("http", "localhost"), ("wrong", "localhost")] {
        authority.issue(name, certified, 2100);
    }
    site.write("policy.toml", FIRST);
    let config = site.open_api().replace(LISTEN, &format!("{LISTEN}, \"tls:127.0.0.1:0\""))
        + "\n[http.tls]\ncertificate = \"http.crt\"\nkey = \"http.key\"\n\
           [sip.tls]\ncertificate = \"sip.crt\"\nkey = \"sip.key\"\nauthorities = \"authorities.pem\"\n\
           client_certificates = \"off\"\n";
    site.write("sidetone.toml", &config);
    let manager = Manager::new(&site);
    let appliance = manager.start_over_tls(&site);
    assert_eq!(manager.count("READY=1"), 1);

    // What stands already is no change.
    reload(&appliance, &manager);
    let parts = ["access", "sip_certificate", "http_certificate", "tokens", "policy"];
    for part in parts {
        assert_eq!(reloads(&appliance, part, "unchanged"), 1.0, "{part}");
    }
    let status = manager.wait_for_status("Reload ");
    let all: Vec<_> = parts.iter().map(|part| format!("{part} unchanged")).collect();
    assert!(status.ends_with(&format!("{}.", all.join("; "))), "{status}");

    // One thing is broken at a time; everything else stays as it is.
    let good = |name: &str| std::fs::read_to_string(site.path(name)).expect("it was written");
    let wrong_key = good("wrong.key");
    let open = |name: &str| {
        std::fs::set_permissions(site.path(name), Permissions::from_mode(0o666)).expect("our file");
    };
    let breaks = [
        (
            "policy",
            "policy.toml",
            "name = 'p'\nversion = 3\n".to_owned(),
            "policy.toml, line 2 (version = 3): invalid type",
        ),
        (
            "access",
            "sidetone.toml",
            config.replacen("info = \"rfc6086\"", "info = \"rfc\"", 1),
            "unknown variant `rfc`",
        ),
        (
            "sip_certificate",
            "sip.key",
            wrong_key.clone(),
            "sip.key: this is not the key of the certificate in ",
        ),
        (
            "http_certificate",
            "http.key",
            wrong_key,
            "http.key: this is not the key of the certificate in ",
        ),
        (
            "tokens",
            "tokens.toml",
            token("tests", "root", TOKEN),
            "tokens.toml, line 3 (role = \"root\"): ",
        ),
    ];
    for (part, file, content, sentence) in breaks {
        let before = good(file);
        site.write(file, content);
        reload(&appliance, &manager);
        assert_eq!(reloads(&appliance, part, "refused"), 1.0, "{part}");
        let refused = format!("sidetone_reload_refused{{part=\"{part}\"}}");
        assert_eq!(appliance.metric(&refused), 1.0, "{part}");
        assert_eq!(
            appliance.metric_sum("sidetone_reload_refused"),
            1.0,
            "the others are as before"
        );
        let status = manager.wait_for_status(&format!("{part} refused: "));
        assert!(status.contains(sentence), "{status}: {sentence}");
        assert!(status.starts_with("Serving 0 calls; policy p@1. Reload "), "{status}");
        let told = |line: &String| {
            line.contains("ERROR")
                && line.contains(&format!("refused: what was read before stays part=\"{part}\""))
                && line.contains(sentence)
        };
        wait_for(sentence, || appliance.log().iter().any(told).then_some(()));
        site.write(file, before);
        reload(&appliance, &manager);
        assert_eq!(appliance.metric(&refused), 0.0, "{part}");
        assert_eq!(
            reloads(&appliance, part, "applied"),
            0.0,
            "{part}: what was read before stayed"
        );
    }
    // `check` says the same of a file that anybody may write to.
    open("tokens.toml");
    reload(&appliance, &manager);
    let said = site.run(&["check"]);
    let said = String::from_utf8_lossy(&said.stderr).trim().replace("sidetone: ", "");
    assert!(manager.wait_for_status("mode 0666").contains(&said), "{said}");
    // Each reload was announced, and concluded.
    let reloaded = manager.count("RELOADING=1");
    assert_eq!((manager.count("READY=1"), reloaded), (13, 12));
    let clock =
        |(_, told): &(_, String)| told.contains("RELOADING=1") && told.contains("MONOTONIC_USEC=");
    assert_eq!(manager.told().iter().filter(|told| clock(told)).count(), reloaded);
    assert_eq!(appliance.stop().status.code(), Some(0));
}

#[test]
fn peers_are_taken_from_the_file_and_other_keys_are_named_as_needing_a_restart() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    site.configure("strangers = \"ignore\"", "strangers = \"refuse\"");
    let manager = Manager::new(&site);
    let appliance = manager.start(&site, &[]);
    let quiet = vec![0.0; 3 * RATE as usize];
    let standing = call(appliance.sip, &[], quiet.clone());
    appliance.wait_for_metric("sidetone_calls_active", 1.0);

    // From now on whoever is here is a stranger.
    let config = std::fs::read_to_string(site.path("sidetone.toml")).expect("it was written");
    let elsewhere = config.replacen("\"127.0.0.0/8\", \"::1/128\"", "\"192.0.2.0/24\"", 1);
    let elsewhere = elsewhere.replacen("threads = 1", "threads = 2", 1);
    site.write("sidetone.toml", elsewhere.replacen("max_calls = 100", "max_calls = 1", 1));
    reload(&appliance, &manager);
    assert_eq!(reloads(&appliance, "access", "applied"), 1.0);
    let said = "a restart is needed for rtp.threads, sip.max_calls";
    assert!(manager.wait_for_status(said).contains("access applied; a restart is needed"));
    let told =
        |line: &String| line.contains("they take a restart keys=\"rtp.threads, sip.max_calls\"");
    wait_for(said, || appliance.log().iter().any(told).then_some(()));
    let stranger = calls_once(&appliance);
    assert!(stranger.is_err(), "it is not known any more: {stranger:?}");
    let rejected = "sidetone_sip_rejected_total{reason=\"stranger\"}";
    wait_for(rejected, || (appliance.metric(rejected) >= 1.0).then_some(()));
    // The call that stood ends as it wants to: its BYE is heard.
    standing.join().expect("nobody hung up on it");
    appliance.wait_for_metric("sidetone_calls_ended_total{end=\"by_peer\"}", 1.0);

    site.write("sidetone.toml", config);
    reload(&appliance, &manager);
    assert_eq!(reloads(&appliance, "access", "applied"), 2.0);
    calls_once(&appliance).expect("it is known again");
    assert!(!manager.status().contains("restart"), "{}", manager.status());
    assert_eq!(appliance.stop().status.code(), Some(0));
}

/// A short call: whether it was taken.
fn calls_once(appliance: &Appliance) -> Result<(), String> {
    use sidetone::runtime::caller::{CallPlan, place};
    let (audio, afterwards) = (vec![0.0; RATE as usize / 10], std::time::Duration::ZERO);
    let (target, headers) = (appliance.sip, Vec::new());
    let plan = CallPlan { target, headers, audio, afterwards, pace: 1.0, backlog: None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let placed = runtime.expect("a runtime").block_on(place(plan));
    placed.map(drop).map_err(|error| error.to_string())
}
