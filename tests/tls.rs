//! TLS with real peers: baresip calls us, Asterisk is our registrar, and certificates are wrong.
//!
//! Without the models, baresip or Asterisk these tests say so and pass.
#![expect(clippy::disallowed_methods, reason = "a test reads a clock and waits")]

mod appliance;
mod peers;
mod store;

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use appliance::{Appliance, LISTEN, RATE, Site, wait_for, write_wav};
use peers::asterisk::{Asterisk, PASSWORD};
use peers::authority::Authority;
use peers::{baresip, free_port, installed, sipp_calls};
use store::store;

/// A year whose certificates are good.
const LATER: i32 = 2100;

#[test]
fn baresip_calls_over_tls_and_is_heard() {
    let Some((site, _)) = phone_site() else { return };
    configure(&site, "off", &[]);
    let appliance = Appliance::start(&site);
    let tls = appliance.tls.expect("a TLS socket");
    let mut phone = baresip::call_over_tls(&site.path(""), tls, &site.path("speech.wav"), None);
    hear(&appliance);
    assert!(
        appliance.metric("sidetone_sip_messages_total{direction=\"received\",transport=\"tls\"}")
            >= 2.0
    );
    phone.kill();
    // Its connection breaks with it, which alone is no end of a call.
    thread::sleep(Duration::from_secs(1));
    assert_eq!(appliance.metric("sidetone_calls_active"), 1.0);
    assert_eq!(appliance.stop().status.code(), Some(0));
}

#[test]
fn a_peer_is_told_by_the_name_in_its_certificate() {
    let Some((site, authority)) = phone_site() else { return };
    authority.issue("pbx", "pbx.example.org", LATER);
    authority.issue("other", "other.example.org", LATER);
    let rule = (
        "networks = [\"127.0.0.0/8\", \"::1/128\"]",
        "transports = [\"tls\"]\ncertificate = \"pbx.example.org\"",
    );
    configure(&site, "required", &[rule]);
    let appliance = Appliance::start(&site);
    let tls = appliance.tls.expect("a TLS socket");
    let call = |certificate: Option<&Path>| {
        baresip::call_over_tls(&site.path(""), tls, &site.path("speech.wav"), certificate)
    };
    let none = call(None);
    wait_for("a handshake without a certificate", || {
        let failed = "sidetone_sip_tls_failures_total{fault=\"no_certificate\"}";
        (appliance.metric(failed) >= 1.0).then_some(())
    });
    drop(none);
    let other = call(Some(&site.path("other.pem")));
    wait_for("a stranger", || {
        let rejected = "sidetone_sip_rejected_total{reason=\"stranger\"}";
        (appliance.metric(rejected) >= 1.0).then_some(())
    });
    drop(other);
    let invites = "sidetone_calls_active";
    assert_eq!(appliance.metric(invites), 0.0, "neither of them calls us");
    let _pbx = call(Some(&site.path("pbx.pem")));
    hear(&appliance);
    let log = appliance.log();
    let said = |wanted: &str| log.iter().filter(|line| line.contains(wanted)).count();
    assert!(said(" WARN ") >= 2 && said(" WARN ") < 6, "{log:#?}");
    assert_eq!(said("peer=\"pbx\""), 1, "{log:#?}");
}

#[test]
fn registrars_with_bad_certificates_are_tried_again_and_hinder_nobody() {
    let Some(store) = store() else { return };
    if !installed("sipp", "sip-tester") {
        return;
    }
    let site = Site::new(&store);
    let authority = Authority::new(&site.path(""));
    authority.issue("ours", "sidetone.example.org", LATER);
    let registrars = [
        ("good", "127.0.0.1", LATER),
        ("old", "127.0.0.1", 2020),
        ("other", "other.example.org", LATER),
    ];
    let (mut transports, mut accounts) = (String::new(), String::new());
    for (name, bears, last_year) in registrars {
        authority.issue(name, bears, last_year);
        let (port, file) = (free_port(), site.path(name).display().to_string());
        transports += &format!(
            "[{name}]\ntype = transport\nprotocol = tls\nbind = 127.0.0.1:{port}\n\
             method = tlsv1_2\ncert_file = {file}.crt\npriv_key_file = {file}.key\n"
        );
        accounts += &format!(
            "\n[[sip.account]]\nname = \"{name}\"\nregistrar = \"sip:127.0.0.1:{port};transport=tls\"\n\
             address = \"sip:sidecartls@127.0.0.1\"\npassword_file = \"password\"\n\
             expires_s = 60\nregister = true\n"
        );
    }
    let Some(asterisk) = Asterisk::start(&[], &transports) else { return };
    site.write("password", PASSWORD);
    configure(&site, "off", &[]);
    let text = std::fs::read_to_string(site.path("sidetone.toml")).expect("it was written");
    site.write("sidetone.toml", text + &accounts);

    let start = Instant::now();
    let appliance = Appliance::start(&site);
    appliance.wait_for_metric("sidetone_sip_registered{account=\"good\"}", 1.0);
    wait_for("its OPTIONS over TLS", || asterisk.reaches("sidecartls").then_some(()));
    // Meanwhile others call, and none of them waits.
    let (done, counted) = sipp_calls(&site.path(""), "127.0.0.1", appliance.sip, "u1", 20, 200);
    assert!(done.status.success() && counted.retransmissions == 0, "{counted:?}");
    // Waits of 2, 4, 8 .. s: three to five tries in the first quarter of a minute.
    thread::sleep(Duration::from_secs(15).saturating_sub(start.elapsed()));
    let log = appliance.log();
    for (account, fault) in [("old", "expired"), ("other", "wrong_name")] {
        let failures = format!("sidetone_sip_tls_failures_total{{fault=\"{fault}\"}}");
        let tries = appliance.metric(&failures);
        assert!((2.0..6.0).contains(&tries), "{fault}: {tries} tries");
        let failed = format!("sidetone_sip_registration_failures_total{{account=\"{account}\"}}");
        assert_eq!(appliance.metric(&failed), 1.0, "told once: {log:#?}");
        assert_eq!(
            appliance.metric(&format!("sidetone_sip_registered{{account=\"{account}\"}}")),
            0.0
        );
        let wanted = format!("account=\"{account}\"");
        let lines: Vec<_> =
            log.iter().filter(|l| l.contains(" WARN ") && l.contains(&wanted)).collect();
        assert_eq!(lines.len(), 1, "{log:#?}");
    }
    assert_eq!(appliance.stop().status.code(), Some(0));
}

/// A site with a certificate and a recording for baresip, if that is there.
fn phone_site() -> Option<(Site, Authority)> {
    let store = store()?;
    if !baresip::is_there() {
        return None;
    }
    let site = Site::new(&store);
    let mut speech = site.narrator();
    speech.truncate(20 * RATE as usize);
    write_wav(&site.path("speech.wav"), &speech);
    let authority = Authority::new(&site.path(""));
    authority.issue("ours", "127.0.0.1", LATER);
    Some((site, authority))
}

#[test]
fn sighup_brings_renewed_certificates_and_bad_ones_change_nothing() {
    let Some(store) = store() else { return };
    if !installed("openssl", "openssl") {
        return;
    }
    let site = Site::new(&store);
    let authority = Authority::new(&site.path(""));
    authority.issue("ours", "127.0.0.1", LATER);
    configure(&site, "off", &[]);
    let appliance = Appliance::start(&site);
    let tls = appliance.tls.expect("a TLS socket").to_string();
    let certificate = || std::fs::read_to_string(site.path("ours.crt")).expect("a certificate");
    let shown = || {
        let mut client = Command::new("openssl");
        client.args(["s_client", "-connect", &tls, "-showcerts"]).stdin(Stdio::null());
        let said = client.output().expect("openssl runs").stdout;
        String::from_utf8_lossy(&said).replace('\r', "")
    };
    let hang_up = || {
        let id = appliance.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -HUP \"$0\"", &id]).status();
        assert!(sent.expect("a shell").success());
    };
    let logged = |wanted: &str| {
        wait_for(wanted, || appliance.log().iter().any(|l| l.contains(wanted)).then_some(()));
    };
    let old = certificate();
    assert!(shown().contains(old.trim()));
    authority.issue("ours", "127.0.0.1", LATER);
    hang_up();
    logged("read again part=\"sip_certificate\" changed=true");
    let new = certificate();
    assert!(new != old && shown().contains(new.trim()));
    site.write("ours.crt", "broken");
    hang_up();
    logged("refused: what was read before stays part=\"sip_certificate\"");
    assert!(shown().contains(new.trim()));
}

/// A configuration with a TLS socket.
fn configure(site: &Site, client_certificates: &str, changes: &[(&str, &str)]) {
    let listen = format!("{LISTEN}, \"tls:127.0.0.1:0\"");
    let mut text = site.config();
    for (from, to) in [(LISTEN, listen.as_str())].iter().chain(changes) {
        assert!(text.contains(from), "the configuration has {from}");
        text = text.replace(from, to);
    }
    text += &format!(
        "\n[sip.tls]\ncertificate = \"ours.crt\"\nkey = \"ours.key\"\n\
         authorities = \"authorities.pem\"\nclient_certificates = \"{client_certificates}\"\n"
    );
    site.write("sidetone.toml", text);
}

/// Waits for two seconds of audio.
fn hear(appliance: &Appliance) {
    let until = Instant::now() + Duration::from_secs(20);
    while appliance.metric("sidetone_rtp_packets_total") < 100.0 {
        assert!(Instant::now() < until, "no audio: {:#?}", appliance.log());
        thread::sleep(Duration::from_millis(50));
    }
}
