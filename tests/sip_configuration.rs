//! What an administrator can get wrong about SIP: before the start a sentence says what, after it
//! a line does, and other calls do not notice.
//!
//! Without the models these tests say so and pass.
#![expect(clippy::disallowed_methods, reason = "a test opens sockets and reads a clock")]

mod appliance;
mod peers;
mod store;

use std::net::UdpSocket;
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use appliance::{Appliance, LISTEN, Site, wait_for};
use peers::authority::Authority;
use peers::{free_port, installed, sipp_calls};
use store::store;

const LOOPBACK: &str = "\"127.0.0.1:0\"";

/// A site, and what it says to a configuration that is wrong: the same to `check` and to `serve`.
struct Refused {
    site: Site,
}

impl Refused {
    fn new() -> Option<Self> {
        let site = Site::new(&store()?);
        let authority = Authority::new(&site.path(""));
        for (file, last_year) in [("good", 2100), ("old", 2020), ("another", 2100)] {
            authority.issue(file, "127.0.0.1", last_year);
        }
        site.write("password", "secret\n");
        site.write("empty", "\n");
        Some(Self { site })
    }

    /// With `from` replaced by `to`, and `more` at the end, it must refuse and say just this.
    #[track_caller]
    fn says(&self, (from, to): (&str, &str), more: &str, wanted: &str) {
        let text = self.site.config();
        assert!(text.contains(from), "the configuration has {from}");
        self.site.write("sidetone.toml", text.replace(from, to) + more);
        for command in ["check", "serve"] {
            let output = self.site.run(&[command]);
            assert_eq!(output.status.code(), Some(2), "{command}: {output:?}");
            let said = String::from_utf8_lossy(&output.stderr);
            // The log's own lines bear a time; the sentence is the last of all.
            let last = said.lines().last().unwrap_or_default();
            assert_eq!(last, format!("sidetone: {wanted}"), "{command}: {said}");
        }
    }
}

#[test]
fn sockets_and_peers_that_make_no_sense_are_named() {
    let Some(refused) = Refused::new() else { return };
    let at = |key: &str, what: &str| {
        let text = refused.site.config();
        let line = 1 + text.lines().position(|line| line.starts_with(key)).expect("the key");
        format!("sidetone.toml, line {line} ({what}): ")
    };
    for (listen, found) in [
        ("\"udp:127.0.0.1\"", "udp:127.0.0.1"),
        ("\"sctp:127.0.0.1:5060\"", "sctp:127.0.0.1:5060"),
        ("\"udp:localhost:5060\"", "udp:localhost:5060"),
    ] {
        let said = at("listen", &format!("listen = [{listen}]"))
            + &format!("a socket is udp:, tcp: or tls:ADDRESS:PORT, found \"{found}\"");
        refused.says((LISTEN, listen), "", &said);
    }
    refused.says(
        (LISTEN, ""),
        "",
        "sidetone.toml: sip.listen must name at least one socket, found []",
    );
    let transports = "transports = [\"quic\"]";
    refused.says(
        ("# transports = [\"tls\"]", transports),
        "",
        &(at("# transports", transports) + "a transport is udp, tcp or tls, found \"quic\""),
    );
    refused.says(
        ("# digest = true", "digest = true"),
        "",
        "sidetone.toml: sip.user must be there where a sip.peer has digest = true, found none, for peer \"pbx\"",
    );
}

#[test]
fn codecs_and_encryption_that_make_no_sense_are_named() {
    let Some(refused) = Refused::new() else { return };
    let at = |key: &str, what: &str| {
        let text = refused.site.config();
        let line = 1 + text.lines().position(|line| line.starts_with(key)).expect("the key");
        format!("sidetone.toml, line {line} ({what}): ")
    };
    let (key, codecs) = ("# codecs = [\"opus\", \"G722\"", "codecs = [\"opus\", \"G729\"");
    let whole = format!("{codecs}, \"PCMA\", \"PCMU\", \"L16\"]");
    let said = at(key, &whole) + "a codec is opus, G722, PCMA, PCMU or L16, found \"G729\"";
    refused.says((key, codecs), "", &said);
    let (key, send) = ("# send_silence = false", "send_silence = \"always\"");
    let said = at(key, send) + "invalid type: string \"always\", expected a boolean";
    refused.says((key, send), "", &said);
}

#[test]
fn certificates_that_are_of_no_use_are_named() {
    let Some(refused) = Refused::new() else { return };
    let tls = "\"tls:127.0.0.1:0\"";
    refused.says(
        (LISTEN, tls),
        "",
        "sidetone.toml: sip.tls must be there where sip.listen has a tls socket, found no table",
    );
    for (certificate, key, authorities, wanted) in [
        (
            "none.crt",
            "good.key",
            "authorities.pem",
            "cannot read none.crt: No such file or directory (os error 2)",
        ),
        (
            "good.crt",
            "another.key",
            "authorities.pem",
            "another.key: this is not the key of the certificate in good.crt",
        ),
        ("old.crt", "old.key", "authorities.pem", "old.crt: the certificate has expired"),
        ("good.key", "good.key", "authorities.pem", "good.key: no certificate is inside"),
        ("good.crt", "good.crt", "authorities.pem", "good.crt: no private key is inside"),
        ("good.crt", "good.key", "empty", "empty: no certificate is inside"),
    ] {
        let table = format!(
            "\n[sip.tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n\
             authorities = \"{authorities}\"\nclient_certificates = \"off\"\n"
        );
        refused.says((LISTEN, tls), &table, wanted);
    }
}

#[test]
fn passwords_that_are_not_there_are_named() {
    let Some(refused) = Refused::new() else { return };
    let nothing = ("realm", "realm");
    let missing = "No such file or directory (os error 2)";
    let user = "\n[[sip.user]]\nname = \"pbx\"\npassword_file = \"nowhere\"\n";
    let key = "sip.user.password_file";
    refused.says(nothing, user, &format!("cannot read the secret in nowhere ({key}): {missing}"));
    let key = "sip.account.password_file";
    let said = format!("cannot read the secret in nowhere ({key}): {missing}");
    refused.says(nothing, &account("sip:127.0.0.1", "nowhere"), &said);
}

#[test]
fn accounts_that_lead_nowhere_are_named() {
    let Some(refused) = Refused::new() else { return };
    let nothing = ("realm", "realm");
    for (registrar, why) in [
        (
            "sip:pbx.example.org;transport=tls",
            "no transport of ours serves this URI (RFC 3263 4.1)",
        ),
        ("sips:pbx.example.org", "no transport of ours serves this URI (RFC 3263 4.1)"),
        ("pbx.example.org", "no SIP URI (RFC 3261 19.1.1)"),
    ] {
        let wanted = "sip.account.registrar must be a URI that sip.listen leads to";
        let said = format!("sidetone.toml: {wanted}, found \"{registrar}\" ({why})");
        refused.says(nothing, &account(registrar, "password"), &said);
    }
    let brief = account("sip:127.0.0.1", "password").replace("= 60", "= 5");
    let wanted = "sip.account.expires_s must be 60 to 86400, found 5";
    refused.says(nothing, &brief, &format!("sidetone.toml: {wanted}"));
    let nobody = account("sip:127.0.0.1", "password").replace("sip:a@", "sip:");
    let wanted =
        "sip.account.address must be a URI with a user, such as sip:sidetone@pbx.example.org";
    refused.says(nothing, &nobody, &format!("sidetone.toml: {wanted}, found sip:127.0.0.1"));
}

#[test]
fn calls_and_registrations_that_lead_nowhere_are_told_and_hinder_nobody() {
    let Some(store) = store() else { return };
    if !installed("sipp", "sip-tester") {
        return;
    }
    let site = Site::new(&store);
    // One name server says nothing; `nowhere.invalid` is known to be nobody's by the other.
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port");
    for (server, why) in [
        (silent.local_addr().expect("bound").port(), "no name server answers"),
        (knows_nobody(), "has no address"),
    ] {
        site.write("password", "secret\n");
        let http = format!("\"127.0.0.1:{}\"", free_port());
        let servers = format!("name_servers = [\"127.0.0.1:{server}\"]");
        let text = site.open_api().replace(LOOPBACK, &http);
        let text = text.replace("# name_servers = [\"192.0.2.53:53\"]", &servers);
        site.write("sidetone.toml", text + &account("sip:pbx.example.org", "password"));
        let appliance = Appliance::start(&site);
        let site = &site;
        let called = thread::scope(|scope| {
            let calls = [
                "sip:a@nowhere.example.org",
                // Nobody is there; and a socket of loopback cannot send to the second at all.
                "sip:a@127.0.0.1:1;transport=tcp",
                "sip:a@192.0.2.1;transport=udp",
            ]
            .map(|target| scope.spawn(move || (target, timed(site, target))));
            let (done, counted) =
                sipp_calls(&site.path(""), "127.0.0.1", appliance.sip, "u1", 20, 100);
            assert!(done.status.success() && counted.retransmissions == 0, "{counted:?}");
            calls.map(|call| call.join().expect("it does not panic"))
        });
        for ((target, (output, took)), wanted) in
            called.iter().zip(["its name leads nowhere", "no connection", "no connection"])
        {
            let text = String::from_utf8_lossy(&output.stdout);
            assert_eq!(output.status.code(), Some(1), "{target}: {output:?}");
            let wanted = format!("failed: our INVITE was not answered: {wanted}");
            assert!(text.trim_end().ends_with(&wanted), "{target}: {text}");
            assert!(*took < Duration::from_secs(20), "{target}: {took:?}");
        }
        let failed = "sidetone_sip_registration_failures_total{account=\"a\"}";
        wait_for("a failed registration", || (appliance.metric(failed) == 1.0).then_some(()));
        let log = appliance.log();
        let lines = |wanted: &str| log.iter().filter(|line| line.contains(wanted)).count();
        assert_eq!(lines("not registered account=\"a\""), 1, "{log:#?}");
        assert!(lines("nowhere.example.org") >= 2 && lines(why) >= 2, "{why}: {log:#?}");
        assert!(lines(" WARN ") < 15, "a line for each, not for each try: {log:#?}");
        assert!(appliance.metric("sidetone_sip_unreachable_total") >= 2.0, "{log:#?}");
        appliance.wait_for_metric("sidetone_calls_active", 0.0);
        assert_eq!(appliance.stop().status.code(), Some(0));
    }
}

/// One account, `a`, and its registrar.
fn account(registrar: &str, password: &str) -> String {
    format!(
        "\n[[sip.account]]\nname = \"a\"\nregistrar = \"{registrar}\"\naddress = \"sip:a@127.0.0.1\"\n\
         password_file = \"{password}\"\nexpires_s = 60\nregister = true\n"
    )
}

/// `sidetone call` to its end, and how long it took.
fn timed(site: &Site, target: &str) -> (Output, Duration) {
    let start = Instant::now();
    (site.run(&["call", target]), start.elapsed())
}

/// The port of a name server for whom no name exists.
fn knows_nobody() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = socket.local_addr().expect("bound").port();
    thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            // RFC 1035 §4.1.1: a response (QR), recursion available, and name error; the question stays.
            query[2] |= 0x80;
            query[3] = 0x83;
            let _ = socket.send_to(&query[..length], from);
        }
    });
    port
}
