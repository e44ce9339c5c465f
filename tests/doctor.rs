//! `sidetone doctor`: it finds what stands in the way, says what to do about it, and finds nothing where all is well.
#![expect(clippy::disallowed_methods, reason = "a test reads and writes its files")]

mod appliance;
mod peers;
mod store;

use std::fs::Permissions;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use appliance::{Appliance, LISTEN, Site};
use peers::asterisk::Asterisk;
use peers::authority::Authority;
use serde_json::Value;
use store::store;

/// Its exit code and document.
#[track_caller]
fn doctor(site: &Site, more: &[&str]) -> (i32, Value) {
    let output = site.run(&[&["doctor", "--json"], more].concat());
    let code = output.status.code().expect("an end of its own");
    let document = serde_json::from_slice(&output.stdout);
    (code, document.unwrap_or_else(|error| panic!("{error}: {output:?}")))
}

/// State and sentence of each finding about `part`.
fn about<'a>(document: &'a Value, part: &str) -> Vec<(&'a str, &'a str)> {
    let text = |finding: &'a Value, key: &str| finding[key].as_str().expect("a text");
    let all = document["findings"].as_array().expect("findings");
    let of_part = all.iter().filter(|finding| finding["part"] == part);
    of_part.map(|finding| (text(finding, "state"), text(finding, "found"))).collect()
}

/// Whether one of them is in that state and has all of these words.
#[track_caller]
fn assert_found(document: &Value, part: &str, state: &str, words: &[&str]) {
    let all = about(document, part);
    let fits = |(found, sentence): &(&str, &str)| {
        *found == state && words.iter().all(|word| sentence.contains(word))
    };
    assert!(all.iter().any(fits), "{part} {state} {words:?}: {all:?}");
}

#[test]
fn a_good_site_has_no_problem_and_a_running_one_answers() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    let (code, document) = doctor(&site, &[]);
    assert_eq!((code, &document["problems"]), (0, &Value::from(0)), "{document:#}");
    assert_found(&document, "models", "ok", &["they load"]);
    assert_found(&document, "appliance", "unknown", &["does not run"]);
    assert_found(&document, "PBX", "unknown", &["none was asked"]);
    let people = site.run(&["doctor"]);
    let said = String::from_utf8(people.stdout).expect("UTF-8");
    assert!(said.ends_with("0 problems, 0 warnings\n"), "{said}");
    assert!(said.contains("-> sidetone doctor --pbx sip:ADDRESS"), "{said}");

    // Its own ports are not another's, and it answers OPTIONS as a PBX does.
    let appliance = Appliance::start(&site);
    let there = site.config().replace("\"127.0.0.1:0\"", &format!("\"{}\"", appliance.http));
    let listen = format!("\"udp:{}\", \"tcp:{}\"", appliance.sip, appliance.tcp);
    site.write("sidetone.toml", there.replace(LISTEN, &listen));
    let (udp, tcp) =
        (format!("sip:{}", appliance.sip), format!("sip:{};transport=tcp", appliance.tcp));
    let (code, document) = doctor(&site, &["--pbx", &udp, "--pbx", &tcp]);
    assert_eq!(code, 0, "{document:#}");
    assert_found(&document, "appliance", "ok", &["it runs: ready policy"]);
    assert_found(&document, "port", "ok", &["as the appliance runs"]);
    assert_found(&document, "PBX", "ok", &[&udp, "200 OK", "over UDP"]);
    assert_found(&document, "PBX", "ok", &[&tcp, "200 OK", "over TCP"]);
    assert_eq!(appliance.stop().status.code(), Some(0), "it was not disturbed");
}

#[test]
fn whatever_stands_in_the_way_is_found_in_one_run_with_what_to_do_about_it() {
    let site = Site::new(Path::new("/nonexistent/models"));
    std::fs::set_permissions(site.path("store.key"), Permissions::from_mode(0o644)).expect("ours");
    let authority = Authority::new(&site.path(""));
    authority.issue("http", "localhost", 2020);
    std::fs::set_permissions(site.path("http.key"), Permissions::from_mode(0o644)).expect("ours");
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let (taken_at, silent) = (taken.local_addr().expect("bound"), "sip:127.0.0.1:9");
    let config = site.config().replace(LISTEN, &format!("\"udp:{taken_at}\""));
    let config = config.replace("max_calls = 100", "max_calls = 1000");
    let more = "\n[http.tls]\ncertificate = \"http.crt\"\nkey = \"http.key\"\n\
        [[notify.webhook]]\nname = \"crm\"\nurl = \"http://127.0.0.1:9/\"\nsecret_file = \"crm.secret\"\n";
    site.write("sidetone.toml", config + more);
    let (code, document) = doctor(&site, &["--pbx", silent]);
    assert_eq!(code, 1, "{document:#}");
    for (part, state, words) in [
        ("models", "problem", &["/nonexistent/models"][..]),
        ("key file", "problem", &["mode 0644"]),
        ("secrets", "problem", &["http.tls.key", "mode 0644"]),
        ("secrets", "problem", &["notify.webhook.secret_file", "crm.secret"]),
        ("certificate", "problem", &["http.tls", "was valid until 2020"]),
        ("port", "problem", &["in use by another program"]),
        ("RTP ports", "warning", &["room for 500 parties", "1000"]),
        ("PBX", "problem", &[silent, "127.0.0.1:9"]),
        ("receiver", "warning", &["crm", "127.0.0.1:9"]),
    ] {
        assert_found(&document, part, state, words);
    }
    let all = document["findings"].as_array().expect("findings").iter();
    let bad = all.filter(|finding| finding["state"] != "ok");
    for finding in bad {
        assert!(finding["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{finding}");
    }
}

#[test]
fn a_configuration_that_cannot_be_read_is_bad_use() {
    let site = Site::new(Path::new("/nonexistent/models"));
    site.write("sidetone.toml", "[sip]\nlisten = 5060\n");
    let output = site.run(&["doctor"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("sidetone.toml, line 2"));
}

#[test]
fn an_asterisk_answers_and_its_clock_is_ours() {
    let Some(asterisk) = Asterisk::start(&[], "") else { return };
    let site = Site::new(Path::new("/nonexistent/models"));
    let udp = format!("sip:127.0.0.1:{}", asterisk.port);
    let tcp = format!("{udp};transport=tcp");
    let (_, document) = doctor(&site, &["--pbx", &udp, "--pbx", &tcp]);
    assert_found(&document, "PBX", "ok", &[&udp, "over UDP"]);
    assert_found(&document, "PBX", "ok", &[&tcp, "over TCP"]);
}
