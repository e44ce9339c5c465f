//! Who may ask for what over HTTP, and what everybody else is told: the built binary, its own description, real sockets.
#![expect(clippy::disallowed_methods, reason = "a test reads and writes its files")]

mod appliance;
mod http;
mod store;

use std::os::unix::fs::PermissionsExt;

use appliance::{Appliance, Site, TOKEN, token, wait_for};
use http::{Answer, ask, bearing, requests};
use store::store;

/// Every role; the last is for everything.
const ROLES: [&str; 5] = ["viewer", "operator", "privacy", "auditor", "admin"];

/// Whether the bearer of a token for `role` may do what `needed` is needed for.
fn covers(role: &str, needed: &str) -> bool {
    role == "admin" || role == needed || (role, needed) == ("operator", "viewer")
}

/// The secret of the token for `role`.
fn secret(role: &str) -> String {
    format!("sdt_the-token-of-one-who-is-{role}")
}

/// A site whose API has a token of each role, and one that has expired.
fn site() -> Option<Site> {
    let site = Site::new(&store()?);
    site.write("sidetone.toml", site.open_api());
    let tokens: Vec<_> = ROLES.iter().map(|role| token(role, role, &secret(role))).collect();
    let expired = token("expired", "admin", &secret("expired")) + "expires = 2026-01-01\n";
    site.write("tokens.toml", tokens.concat() + &expired);
    Some(site)
}

/// A path of that form.
fn filled(request: &str) -> String {
    request.replace("{id}", "7").replace("{subject}", "nobody")
}

#[test]
fn without_tokens_there_is_no_api() {
    let Some(store) = store() else { return };
    let appliance = Appliance::start(&Site::new(&store));
    let answer = ask(appliance.http, "GET /calls", &bearing(TOKEN), "");
    assert_eq!(answer.status, 404);
    assert!(answer.problem().starts_with("there is no GET /calls"), "{answer:?}");
    let described = ask(appliance.http, "GET /openapi.json", "", "").json();
    let open = ["GET /live", "GET /metrics", "GET /ready"].map(|open| (open.to_owned(), None));
    assert_eq!(requests(&described), open);
}

#[test]
fn every_request_refuses_who_bears_nothing_something_else_or_a_token_for_other_things() {
    let Some(site) = site() else { return };
    let appliance = Appliance::start(&site);
    let described = ask(appliance.http, "GET /openapi.json", "", "");
    assert_eq!(
        (described.status, described.header("content-type")),
        (200, Some("application/json"))
    );
    let requests = requests(&described.json());
    assert!(requests.len() > 10, "{requests:?}");
    let mut counted = [0.0; 4];
    for (request, needed) in &requests {
        let asked = filled(request);
        let Some(needed) = needed else {
            assert_eq!(
                ask(appliance.http, &asked, "", "").status,
                200,
                "{request} is for everybody"
            );
            continue;
        };
        let refused = |answer: Answer, status: u16, wanted: &str, challenge: &str| {
            let said = answer.problem();
            assert_eq!((answer.status, said.as_str()), (status, wanted), "{request}: {answer:?}");
            let shown = answer.header("www-authenticate").expect("how to show a token");
            assert_eq!(shown, format!("Bearer realm=\"sidetone\"{challenge}"), "{request}");
        };
        let missing = "a bearer token is needed, found none";
        for headers in ["", "Authorization: Basic YTpi\r\n", "Authorization: Bearer \r\n"] {
            refused(ask(appliance.http, &asked, headers, "{}"), 401, missing, "");
            counted[0] += 1.0;
        }
        let wrong = [&secret("admin")[1..], &format!("{}x", secret("admin"))].map(bearing);
        for headers in wrong {
            let answer = ask(appliance.http, &asked, &headers, "{}");
            refused(answer, 401, "nobody knows this token", ", error=\"invalid_token\"");
            counted[1] += 1.0;
        }
        let answer = ask(appliance.http, &asked, &bearing(&secret("expired")), "{}");
        let challenge = ", error=\"invalid_token\", error_description=\"expired\"";
        refused(answer, 401, "the token has expired", challenge);
        counted[2] += 1.0;
        for role in ROLES {
            let answer = ask(appliance.http, &asked, &bearing(&secret(role)), "{}");
            if covers(role, needed) {
                assert!(![401, 403].contains(&answer.status), "{request} by {role}: {answer:?}");
            } else {
                assert_eq!(answer.json()["role"], *needed);
                let wanted =
                    format!("this needs a token for {needed}, and {role:?} is for something else");
                let challenge = format!(", error=\"insufficient_scope\", scope=\"{needed}\"");
                refused(answer, 403, &wanted, &challenge);
                counted[3] += 1.0;
            }
        }
    }
    for (why, count) in ["missing", "wrong", "expired", "role"].into_iter().zip(counted) {
        let metric = format!("sidetone_http_refused_total{{why=\"{why}\"}}");
        assert_eq!(appliance.metric(&metric), count, "{why}");
    }
    let log = appliance.log();
    let lines = log.iter().filter(|line| line.contains("a request to the API was refused")).count();
    assert!((1..10).contains(&lines), "a flood is no flood of lines: {lines} of {counted:?}");
    assert!(!log.iter().any(|line| line.contains("sdt_")), "no token is in the log: {log:?}");
}

#[test]
fn what_cannot_be_done_is_a_problem_that_says_why() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    site.write("sidetone.toml", site.open_api());
    let appliance = Appliance::start(&site);
    let bearer = bearing(TOKEN);
    for (request, body, status, wanted) in [
        ("POST /calls", "nonsense", 400, "Failed to parse"),
        ("POST /calls", "{}", 422, "target"),
        ("POST /calls", "{\"target\":\"sip:a@b\",\"colour\":1}", 422, "colour"),
        ("POST /calls", "{\"target\":7}", 422, "target"),
        ("POST /calls", "{\"target\":\"\"}", 422, "no SIP URI"),
        ("POST /calls", "{\"target\":\"tel:+1\"}", 422, "no SIP URI"),
        ("POST /calls", "{\"target\":\"sip:a@b;transport=tls\"}", 422, "no transport of ours"),
        ("POST /calls", "{\"target\":\"sip:a@b\\r\\nX: y\"}", 422, "no SIP URI"),
        ("POST /calls", "{\"target\":\"sip:a@b\",\"party\":\"dog\"}", 422, "X-Sidetone-Party"),
        ("POST /calls", "{\"target\":\"8000\",\"account\":\"x\"}", 422, "no account is called"),
        ("POST /enrollments", "{}", 422, "conversation"),
        ("POST /enrollments", "{\"conversation\":\"c\"}", 404, "no such call"),
        ("POST /calls/1/enroll", "{\"conversation\":\"c\"}", 422, "conversation"),
        ("POST /pauses", "{\"conversation\":\"c\",\"pause\":true,\"party\":\"dog\"}", 422, "dog"),
        ("GET /calls/1", "", 404, "no such call"),
        ("GET /nowhere", "", 404, "there is no GET /nowhere"),
        ("DELETE /calls/99999999999999999999", "", 400, "99999999999999999999"),
        ("PUT /calls", "{}", 405, "there is no PUT /calls"),
    ] {
        let answer = ask(appliance.http, request, &bearer, body);
        assert_eq!(answer.status, status, "{request} {body}: {answer:?}");
        assert!(answer.problem().contains(wanted), "{request} {body}: {answer:?}");
    }
    let other = ask(appliance.http, "PATCH /calls", &bearer, "");
    assert_eq!(other.header("allow"), Some("GET,HEAD,POST"), "{other:?}");
    let plain = bearer.replace("application/json", "text/plain");
    let plain = ask(appliance.http, "POST /calls", &plain, "{}");
    assert!(plain.status == 415 && plain.problem().contains("application/json"), "{plain:?}");
    let long = |length: usize| {
        let body = format!("{{\"target\":\"sip:{}@b\"}}", "a".repeat(length));
        let answer = ask(appliance.http, "POST /calls", &bearer, &body);
        (answer.status, answer.problem())
    };
    assert_eq!(long(60_000), (422, "the target is longer than 256 bytes".to_owned()));
    assert_eq!(long(66_000).0, 413);
    let none = ask(appliance.http, "GET /calls", &bearer, "");
    assert_eq!((none.status, none.body.as_str()), (200, "[]"), "none was placed");
}

#[test]
fn tokens_are_made_by_the_command_line_and_read_again_by_a_signal() {
    let Some(site) = site() else { return };
    let appliance = Appliance::start(&site);
    let lists = |secret: &str| ask(appliance.http, "GET /calls", &bearing(secret), "").status;
    let hang_up = |wanted: &str| {
        let times = |log: Vec<String>| log.iter().filter(|line| line.contains(wanted)).count();
        let before = times(appliance.log());
        appliance.signal("HUP");
        wait_for(wanted, || (times(appliance.log()) > before).then_some(()));
    };
    let made =
        site.run(&["token", "--name", "dialler", "--role", "viewer", "--into", "tokens.toml"]);
    let made = String::from_utf8(made.stdout).expect("UTF-8");
    let dialler = made.trim_end();
    assert!(dialler.starts_with("sdt_") && dialler.len() == 47, "the token alone: {made}");
    assert_eq!(lists(dialler), 401, "not yet");
    hang_up("read again part=\"tokens\" changed=true");
    assert_eq!((lists(dialler), lists(&secret("viewer"))), (200, 200));

    // What is of no use changes nothing, and the log says why.
    let good = std::fs::read_to_string(site.path("tokens.toml")).expect("it is there");
    site.write("tokens.toml", good.replace("sha256", "sha1"));
    hang_up(
        "refused: what was read before stays part=\"tokens\" error=tokens.toml, line 4 (sha1 = ",
    );
    assert_eq!(lists(dialler), 200);
    site.write("tokens.toml", token("other", "viewer", "sdt_other"));
    hang_up("read again part=\"tokens\" changed=true");
    assert_eq!((lists(dialler), lists("sdt_other")), (401, 200), "withdrawn");
    assert_eq!(appliance.stop().status.code(), Some(0));
}

#[test]
fn a_token_is_shown_once_and_its_hash_alone_is_kept() {
    let site = Site::new(std::path::Path::new("/nonexistent/models"));
    let run = |arguments: &[&str]| {
        let output = site.run(&[&["token"], arguments].concat());
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let into =
        ["--name", "dpo", "--role", "privacy", "--expires", "2100-01-01", "--into", "new.toml"];
    let (code, secret, _) = run(&into);
    assert_eq!(code, Some(0));
    let file = site.path("new.toml");
    let mode = std::fs::metadata(&file).expect("it was made").permissions().mode() & 0o777;
    let written = std::fs::read_to_string(&file).expect("it was made");
    assert_eq!(mode, 0o600);
    let wanted = token("dpo", "privacy", secret.trim_end()) + "expires = 2100-01-01T00:00:00Z\n";
    assert_eq!(written, wanted);
    let said = "sidetone: new.toml has a token of the name \"dpo\" already\n";
    assert_eq!(run(&into), (Some(2), String::new(), said.to_owned()));
    assert_eq!(
        std::fs::read_to_string(&file).expect("it is there"),
        wanted,
        "and nothing was added"
    );
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o606)).expect("our file");
    let (code, _, said) = run(&["--name", "other", "--role", "admin", "--into", "new.toml"]);
    let wanted = "new.toml (http.tokens_file) must be writable by its owner alone, found mode 0606";
    assert!(code == Some(2) && said.contains(wanted), "{said}");

    let (_, shown, _) = run(&["--name", "a", "--role", "viewer"]);
    let (secret, lines) = shown.split_once("\n\n").expect("the token, and its lines");
    assert_eq!(lines, token("a", "viewer", secret));
    let (_, shown, _) = run(&["--name", "a", "--role", "viewer", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert!(shown["token"].as_str().is_some_and(|token| token.starts_with("sdt_")), "{shown}");
    assert_eq!((&shown["role"], &shown["expires"]), (&"viewer".into(), &serde_json::Value::Null));
    for (arguments, wanted) in [
        (
            ["--name", "a b", "--role", "admin", "--expires", "2100-01-01"],
            "a token's name must be 1 to 64",
        ),
        (
            ["--name", "a", "--role", "root", "--expires", "2100-01-01"],
            "a role is viewer, operator",
        ),
        (
            ["--name", "a", "--role", "admin", "--expires", "soon"],
            "expires must be a date or a time",
        ),
        (
            ["--name", "a", "--role", "admin", "--expires", "2020-01-01"],
            "--expires must be in the future",
        ),
    ] {
        let (code, shown, said) = run(&arguments);
        assert!(
            code == Some(2) && shown.is_empty() && said.contains(wanted),
            "{arguments:?}: {said}"
        );
    }
}
