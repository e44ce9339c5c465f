//! HTTP over TLS, and those who are too slow for it: the built binary, real certificates, real sockets.
#![expect(
    clippy::disallowed_methods,
    reason = "a test reads the clock, and slow clients are threads"
)]

mod appliance;
#[path = "peers/authority.rs"]
mod authority;
mod http;
mod store;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use appliance::{Appliance, Site, TOKEN, wait_for};
use authority::Authority;
use http::{ask, bearing};
use store::store;

/// A site that answers over TLS, as `localhost`.
fn site() -> Option<(Site, Authority)> {
    let site = Site::new(&store()?);
    let authority = Authority::new(&site.path(""));
    authority.issue("first", "localhost", 2100);
    for extension in ["crt", "key"] {
        copy(&site, "first", extension);
    }
    let tls = "\n[http.tls]\ncertificate = \"http.crt\"\nkey = \"http.key\"\n";
    site.write("sidetone.toml", site.open_api() + tls);
    Some((site, authority))
}

/// Puts the certificate or key of `name` where the configuration looks for it.
fn copy(site: &Site, name: &str, extension: &str) {
    let from = std::fs::read(site.path(&format!("{name}.{extension}"))).expect("it was issued");
    site.write(&format!("http.{extension}"), from);
}

#[test]
fn only_who_trusts_our_certificate_is_served_and_a_new_one_is_read_by_a_signal() {
    let Some((site, authority)) = site() else { return };
    let appliance = Appliance::start_over_tls(&site);
    let url = format!("https://localhost:{}", appliance.http.port());
    let list = |authorities: &str| {
        let output =
            site.run(&["call", "--list", "--json", "--url", &url, "--authorities", authorities]);
        (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
    };
    assert_eq!(list("authorities.pem"), (Some(0), String::new()));
    let other = tempfile::tempdir().expect("a folder");
    Authority::new(other.path());
    let other = other.path().join("authorities.pem").display().to_string();
    let (code, said) = list(&other);
    assert!(code == Some(2) && said.contains("invalid peer certificate"), "{said}");
    let (code, said) = list("http.key");
    assert!(
        code == Some(2) && said.contains("no certificate is in http.key (--authorities)"),
        "{said}"
    );

    // In the clear nobody is answered, whatever the token.
    let mut plain = TcpStream::connect(appliance.http).expect("it listens");
    let _ = write!(plain, "GET /calls HTTP/1.0\r\n{}\r\n", bearing(TOKEN));
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1"), "{answer:?}");
    wait_for("handshakes that failed", || {
        (appliance.metric("sidetone_http_tls_failures_total") >= 2.0).then_some(())
    });

    // Another certificate, for another name: read at a signal, and not where it is of no use.
    authority.issue("second", "elsewhere.example.org", 2100);
    copy(&site, "second", "crt");
    appliance.signal("HUP");
    let logged = |wanted: &str| {
        wait_for(wanted, || appliance.log().iter().any(|line| line.contains(wanted)).then_some(()));
    };
    logged(
        "refused: what was read before stays part=\"http_certificate\" error=http.key: this is not the key of the certificate in http.crt",
    );
    assert_eq!(list("authorities.pem").0, Some(0));
    copy(&site, "second", "key");
    appliance.signal("HUP");
    wait_for("the new certificate", || {
        let (code, said) = list("authorities.pem");
        (code == Some(2) && said.contains("not valid for name")).then_some(())
    });
    assert_eq!(appliance.stop().status.code(), Some(0));
}

#[test]
fn a_certificate_or_an_address_that_will_not_do_is_named_before_the_start() {
    let Some((site, authority)) = site() else { return };
    let good = site.open_api();
    let said = |text: String| {
        site.write("sidetone.toml", text);
        let output = site.run(&["check"]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let (said, serve) = (output.stderr, site.run(&["serve"]).stderr);
        let (said, serve) = (String::from_utf8_lossy(&said), String::from_utf8_lossy(&serve));
        assert!(serve.ends_with(&*said), "serve says the same: {serve}");
        said.trim_start_matches("sidetone: ").trim_end().to_owned()
    };
    let everywhere = good.replace("listen = \"127.0.0.1:0\"", "listen = \"0.0.0.0:0\"");
    let wanted = "sidetone.toml: http.tls must name certificate and key where there is http.tokens_file and http.listen is \
                  more than loopback, as tokens would go in the clear, found none for 0.0.0.0:0";
    assert_eq!(said(everywhere), wanted);
    authority.issue("old", "localhost", 2020);
    for (certificate, key, wanted) in [
        (
            "nowhere.crt",
            "first.key",
            "cannot read nowhere.crt: No such file or directory (os error 2)",
        ),
        ("old.crt", "old.key", "old.crt: the certificate has expired"),
        ("first.key", "first.key", "first.key: no certificate is inside"),
        ("first.crt", "old.key", "old.key: this is not the key of the certificate in first.crt"),
    ] {
        let tls = format!("\n[http.tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n");
        assert_eq!(said(good.clone() + &tls), wanted);
    }
    std::fs::remove_file(site.path("tokens.toml")).expect("it is there");
    let wanted = "cannot read the tokens in tokens.toml (http.tokens_file): No such file or directory (os error 2)";
    assert_eq!(said(good), wanted);
}

#[test]
fn who_is_too_slow_gets_nowhere_and_everybody_else_is_answered_meanwhile() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    site.write("sidetone.toml", site.open_api());
    let appliance = Appliance::start(&site);
    let http = appliance.http;
    let slow = |begins: String| {
        let start = Instant::now();
        let mut stream = TcpStream::connect(http).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a valid time");
        stream.write_all(begins.as_bytes()).expect("it takes the first bytes");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an end");
        (answer, start.elapsed())
    };
    let body = format!(
        "POST /calls HTTP/1.1\r\nHost: a\r\n{}Content-Length: 100\r\n\r\n{{",
        bearing(TOKEN)
    );
    thread::scope(|scope| {
        let slow = ["", "GET /calls HTTP/1.1\r\nHost: ", &body].map(|begins| {
            let begins = begins.to_owned();
            scope.spawn(move || slow(begins))
        });
        // As many as may be at once, and nobody says anything.
        let idle: Vec<_> =
            (0..200).map(|_| TcpStream::connect(http).expect("a connection")).collect();
        assert_eq!(ask(http, "GET /calls", &bearing(TOKEN), "").status, 200);
        drop(idle);
        let ends = slow.map(|slow| slow.join().expect("it does not panic"));
        for (answer, took) in &ends {
            assert!((9..20).contains(&took.as_secs()), "{answer}: {took:?}");
        }
        assert!(
            ends[2].0.starts_with("HTTP/1.1 408 ") && ends[2].0.contains("did not come"),
            "{ends:?}"
        );
    });
}
