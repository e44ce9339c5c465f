//! Who means harm over HTTP gets nowhere: real sockets, the built binary, its API and its live page.
#![expect(
    clippy::disallowed_methods,
    reason = "a test reads the clock, and slow clients are threads"
)]

mod appliance;
mod http;
mod page;
mod store;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use appliance::{Appliance, Site, TOKEN, token, wait_for};
use http::{ask, bearing};
use page::{TOKENS, cookie, from_here, sign_in, token_for, turn_on, write_tokens};
use store::store;

const POLICY: &str = "name = 'p'\nversion = '1'\n[[phrase]]\nid = 'a'\ntext = 'one two three'\n";

fn start() -> Option<(Site, Appliance)> {
    let site = Site::new(&store()?);
    turn_on(&site, POLICY);
    let appliance = Appliance::start(&site);
    Some((site, appliance))
}

/// All that comes back for these bytes, until the end of the connection.
fn send(to: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(to).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a valid time");
    // Who is refused early need not have been read to the end.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of the first answer; 0 where there was none.
fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

/// How many answers there are.
fn answers(answer: &str) -> usize {
    answer.matches("HTTP/1.1 ").count()
}

#[test]
fn the_page_is_for_those_who_look_at_calls_and_everybody_else_sees_nothing() {
    let Some((site, appliance)) = start() else { return };
    let http = appliance.http;
    let get = |path: &str, more: &str| ask(http, path, &from_here(&appliance, more), "");
    // Whoever has no session is sent to sign in, and shown nothing.
    let shown = get("GET /page", "");
    assert_eq!((shown.status, shown.header("location")), (303, Some("/login")));
    assert_eq!(get("GET /page/events", "").status, 401);
    assert_eq!(get("GET /page/events", &bearing(TOKEN)).status, 401);
    for (role, secret) in TOKENS {
        let answer = sign_in(&appliance, secret, "");
        if ["privacy", "auditor"].contains(&role) {
            assert_eq!((answer.status, answer.header("set-cookie")), (403, None), "{role}");
            assert!(answer.body.contains("viewer, operator or admin"), "{answer:?}");
            assert!(answer.body.contains(&format!("<strong>{role}</strong>")), "{answer:?}");
            continue;
        }
        assert_eq!((answer.status, answer.header("location")), (303, Some("/page")), "{role}");
        let mine = cookie(&answer);
        let shown = get("GET /page", &mine);
        assert_eq!(shown.status, 200);
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
            ("referrer-policy", "same-origin"),
        ] {
            assert_eq!(shown.header(name), Some(value));
        }
        let policy = shown.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"));
        // A session opens the page alone.
        assert_eq!(get("GET /calls", &mine).status, 401);
        assert_eq!(get("POST /calls", &mine).status, 401);
        assert_eq!(get("POST /logout", &mine).status, 303);
        assert_eq!(get("GET /page", &mine).status, 303);
    }
    // Where it is off there is none.
    site.write("sidetone.toml", site.open_api());
    let without = Appliance::start(&site);
    for path in ["GET /", "GET /page", "GET /login", "GET /page/page.js"] {
        assert_eq!(ask(without.http, path, &from_here(&without, ""), "").status, 404, "{path}");
    }
    assert_eq!(sign_in(&without, token_for("admin"), "").status, 404);
}

#[test]
fn a_page_that_nobody_could_sign_in_to_or_a_name_that_is_none_is_named_before_the_start() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    turn_on(&site, POLICY);
    let good = std::fs::read_to_string(site.path("sidetone.toml")).expect("it was written");
    for (from, to, wanted) in [
        (
            "tokens_file = \"tokens.toml\"",
            "",
            "http.tokens_file must name a file where http.page.enabled is true, as nobody could sign in, found none",
        ),
        (
            "hosts = []",
            "hosts = [\"a.example\", \"https://b.example\"]",
            "http.page.hosts must be names without scheme and port, such as \"sidetone.example.org\", found \"https://b.example\"",
        ),
    ] {
        assert!(good.contains(from), "{from}");
        site.write("sidetone.toml", good.replace(from, to));
        let output = site.run(&["check"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(wanted), "{said}");
    }
}

#[test]
fn a_session_is_never_one_that_the_browser_brought_and_ends_with_its_token() {
    let Some((site, appliance)) = start() else { return };
    let get =
        |more: &str| ask(appliance.http, "GET /page", &from_here(&appliance, more), "").status;
    // Fixation: whoever planted an id in a browser does not share its session.
    let planted = "Cookie: sidetone=planted-by-somebody-else\r\n";
    let answer = sign_in(&appliance, token_for("viewer"), planted);
    let mine = cookie(&answer);
    assert!(!mine.contains("planted"), "{mine}");
    assert_eq!((get(planted), get(&mine)), (303, 200));
    // Who signs in again has another, and the one before is over.
    let again = cookie(&sign_in(&appliance, token_for("viewer"), &mine));
    assert_eq!((get(&mine), get(&again)), (303, 200));
    // Over a proxy that speaks TLS the cookie is one that browsers send over TLS alone.
    let answer = sign_in(&appliance, token_for("viewer"), "X-Forwarded-Proto: https\r\n");
    let set = answer.header("set-cookie").expect("a cookie");
    assert!(set.starts_with("__Host-sidetone=") && set.contains("; Secure"), "{set}");
    assert!(set.contains("; HttpOnly; SameSite=Strict"), "{set}");

    let stream = TcpStream::connect(appliance.http).expect("it listens");
    let mut reader = stream.try_clone().expect("a socket");
    reader.set_read_timeout(Some(Duration::from_secs(20))).expect("a valid time");
    let head = from_here(&appliance, &again);
    write!(&stream, "GET /page/events HTTP/1.1\r\n{head}\r\n").expect("it takes a request");
    write_tokens(&site, "viewer");
    appliance.signal("HUP");
    // Where it never ends, beats come for ever.
    let (mut told, mut piece, until) =
        (String::new(), [0; 4096], Instant::now() + Duration::from_secs(30));
    while !told.contains("event: over") && Instant::now() < until {
        let Ok(length @ 1..) = reader.read(&mut piece) else { break };
        told += &String::from_utf8_lossy(&piece[..length]);
    }
    assert!(told.contains("text/event-stream") && told.contains("event: news"), "{told}");
    assert!(told.contains("event: over"), "{told}");
    assert_eq!(get(&again), 303);
    assert_eq!(sign_in(&appliance, token_for("viewer"), "").status, 401);
}

#[test]
fn a_page_elsewhere_has_a_browser_neither_ask_nor_sign_in_nor_out_here() {
    let Some((_site, appliance)) = start() else { return };
    let http = appliance.http;
    let mine = cookie(&sign_in(&appliance, token_for("viewer"), ""));
    // By a name of its own that resolves to our address (DNS rebinding).
    for host in
        ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "a b", "192.0.2.1"]
    {
        for path in ["/page", "/login", "/", "/page/page.js", "/page/events"] {
            let headers = format!("Host: {host}\r\n{mine}");
            let answer = ask(http, &format!("GET {path}"), &headers, "");
            assert_eq!(answer.status, 421, "{host} {path}");
            assert!(!answer.body.contains("<html"), "{answer:?}");
        }
    }
    // Prometheus and the API are asked for by whatever name.
    assert_eq!(ask(http, "GET /metrics", "Host: sidetone.internal\r\n", "").status, 200);
    // The target's name goes before Host (RFC 9112 3.2.2).
    let absolute = format!(
        "GET http://evil.example/page HTTP/1.1\r\nHost: {http}\r\n{mine}Connection: close\r\n\r\n"
    );
    assert_eq!(status(&send(http, absolute.as_bytes())), 421);
    let absolute = format!(
        "GET http://{http}/page HTTP/1.1\r\nHost: evil.example\r\n{mine}Connection: close\r\n\r\n"
    );
    assert_eq!(status(&send(http, absolute.as_bytes())), 200);
    for hosts in [String::new(), format!("Host: {http}\r\nHost: {http}\r\n")] {
        for path in ["/page", "/metrics", "/calls"] {
            let request = format!("GET {path} HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
            assert_eq!(status(&send(http, request.as_bytes())), 400, "{request}");
        }
    }
    // From a page elsewhere.
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1"] {
        for path in ["POST /logout", "POST /login"] {
            let headers = format!("Host: {http}\r\nOrigin: {origin}\r\n{mine}");
            assert_eq!(ask(http, path, &headers, "token=a").status, 403, "{path} {origin}");
        }
    }
    assert_eq!(ask(http, "GET /page", &from_here(&appliance, &mine), "").status, 200);
    assert!(appliance.metric("sidetone_http_refused_total{why=\"host\"}") >= 30.0);
}

#[test]
fn who_tries_tokens_is_made_to_wait() {
    let Some((_site, appliance)) = start() else { return };
    for _ in 0..10 {
        let answer = sign_in(&appliance, "sdt_guess", "");
        assert_eq!((answer.status, answer.header("set-cookie")), (401, None));
    }
    // Also with the right one: it could be found out otherwise.
    let answer = sign_in(&appliance, token_for("viewer"), "Accept-Language: de\r\n");
    assert_eq!((answer.status, answer.header("set-cookie")), (429, None));
    assert!(answer.body.contains("zu viele falsche Token"), "{answer:?}");
    let wait: u64 = answer.header("retry-after").and_then(|s| s.parse().ok()).expect("seconds");
    assert!((1..=61).contains(&wait), "{wait}");
    assert_eq!(appliance.metric("sidetone_http_refused_total{why=\"wrong\"}"), 10.0);
    assert_eq!(appliance.metric("sidetone_http_refused_total{why=\"too_often\"}"), 1.0);
}

#[test]
fn what_is_too_large_is_refused_and_what_is_no_path_of_ours_is_none() {
    let Some((_site, appliance)) = start() else { return };
    let http = appliance.http;
    let mine = cookie(&sign_in(&appliance, token_for("admin"), ""));
    let head = format!("Host: {http}\r\n{mine}Connection: close\r\n");
    let long = "a".repeat(1 << 20);
    let many: String = (0..1000).map(|n| format!("X-{n}: a\r\n")).collect();
    for request in [
        format!("GET /{long} HTTP/1.1\r\n{head}\r\n"),
        format!("GET /page?{long} HTTP/1.1\r\n{head}\r\n"),
        format!("GET /page HTTP/1.1\r\n{head}X: {long}\r\n\r\n"),
        format!("GET /page HTTP/1.1\r\n{head}{many}\r\n"),
        format!("GET /page HTTP/1.1\r\n{head}Cookie: {long}\r\n\r\n"),
    ] {
        let start = Instant::now();
        let answer = send(http, request.as_bytes());
        assert!([0, 400, 414, 431].contains(&status(&answer)), "{}", status(&answer));
        assert!(start.elapsed() < Duration::from_secs(5), "it is refused when it is seen");
    }
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let headers = from_here(&appliance, form);
    assert_eq!(ask(http, "POST /login", &headers, &format!("token={long}")).status, 413);
    let operator = bearing(token_for("operator"));
    assert_eq!(ask(http, "POST /calls", &operator, &long).status, 413);

    for path in [
        "/../etc/passwd",
        "/page/../calls",
        "/page/../../etc/passwd",
        "/page/%2e%2e/%2e%2e/etc/passwd",
        "/page/..%2f..%2fetc%2fpasswd",
        "//page",
        "//evil.example/page",
        "/page//page.js",
        "/page/",
        "/page;a=b",
        "/page/page.js;.css",
        "/page/page.js%00.css",
        "/%70age",
        "/PAGE",
        "/page/page.js/",
        "/page\\..\\calls",
        "/page/texts.json",
        "/page/index.html",
    ] {
        let answer = send(http, format!("GET {path} HTTP/1.1\r\n{head}\r\n").as_bytes());
        assert!([400, 404].contains(&status(&answer)), "{path}: {answer}");
        assert!(!answer.contains("<html") && !answer.contains("root:"), "{path}: {answer}");
    }
    for raw in [
        &b"GET /page\0 HTTP/1.1\r\n"[..],
        b"GET /page\xff HTTP/1.1\r\n",
        b"GET page HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00",
    ] {
        let answer = send(http, &[raw, head.as_bytes(), b"\r\n"].concat());
        assert!([0, 400, 404].contains(&status(&answer)), "{answer}");
        assert!(!answer.contains("<html"), "{answer}");
    }
    // Another method is none, and no method becomes another by what it says of itself.
    for (method, wanted) in [
        ("PUT", 405),
        ("DELETE", 405),
        ("TRACE", 405),
        ("OPTIONS", 405),
        ("CONNECT", 405),
        ("get", 405),
        ("POST", 405),
    ] {
        let request = format!(
            "{method} /page HTTP/1.1\r\nOrigin: http://{http}\r\nX-HTTP-Method-Override: GET\r\nContent-Length: 0\r\n{head}\r\n"
        );
        let answer = send(http, request.as_bytes());
        assert!([wanted, 400].contains(&status(&answer)), "{method}: {answer}");
        assert!(!answer.contains("<html"), "{method}: {answer}");
    }
    assert_eq!(ask(http, "GET /logout", &from_here(&appliance, &mine), "").status, 405);
    assert_eq!(ask(http, "HEAD /page", &from_here(&appliance, &mine), "").body, "");
    assert_eq!(ask(http, "GET /page", &from_here(&appliance, &mine), "").status, 200);
}

#[test]
fn no_request_hides_in_the_body_of_another() {
    let Some((_site, appliance)) = start() else { return };
    let http = appliance.http;
    let head = format!(
        "POST /login HTTP/1.1\r\nHost: {http}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    );
    let hidden = format!("GET /metrics HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n");
    for lengths in [
        "Content-Length: 7\r\nContent-Length: 8\r\n",
        "Content-Length: 7, 8\r\n",
        "Content-Length: +7\r\n",
        "Content-Length: -7\r\n",
        "Content-Length: 7 7\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: identity, chunkedd\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Content-Length : 7\r\n",
    ] {
        let answer = send(http, format!("{head}{lengths}\r\ntoken=a{hidden}").as_bytes());
        assert_eq!(status(&answer), 400, "{lengths}: {answer}");
        assert!(!answer.contains("sidetone_"), "{lengths}: {answer}");
    }
    // Chunks go before a length, and the connection ends with the answer (RFC 9112 6.1): a proxy may think that what comes
    // after them belongs to the body.
    for lengths in [
        "Content-Length: 7\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 7\r\n",
    ] {
        let body = format!("7\r\ntoken=a\r\n0\r\n\r\n{hidden}");
        let answer = send(http, format!("{head}{lengths}\r\n{body}").as_bytes());
        assert_eq!(
            (answers(&answer), answer.contains("sidetone_")),
            (1, false),
            "{lengths}: {answer}"
        );
    }
    // Two requests that come together are two.
    let length = "Content-Length: 7\r\n";
    let answer = send(http, format!("{head}{length}\r\ntoken=a{hidden}").as_bytes());
    assert_eq!((answers(&answer), answer.contains("sidetone_")), (2, true), "{answer}");
}

#[test]
fn three_hundred_who_say_nothing_and_sixteen_who_sign_in_slowly_keep_nobody_from_anything() {
    let Some((site, appliance)) = start() else { return };
    let http = appliance.http;
    let connect = |begins: &str| {
        let mut stream = TcpStream::connect(http).expect("it listens");
        stream.write_all(begins.as_bytes()).expect("it takes the first bytes");
        stream
    };
    let mine = cookie(&sign_in(&appliance, token_for("viewer"), ""));
    // Who looks on is never sent away.
    let watching =
        connect(&format!("GET /page/events HTTP/1.1\r\n{}\r\n", from_here(&appliance, &mine)));
    let length = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 50\r\n";
    let head = from_here(&appliance, length);
    let slow_body = format!("POST /login HTTP/1.1\r\n{head}\r\ntoken=");
    let began = Instant::now();
    let bodies: Vec<_> = (0..16).map(|_| connect(&slow_body)).collect();
    let heads: Vec<_> =
        (0..300).map(|n| connect(["", "GET /metrics HTTP/1.1\r\nHost: "][n % 2])).collect();
    let mut worst = Duration::ZERO;
    for _ in 0..20 {
        let start = Instant::now();
        assert_eq!(ask(http, "GET /metrics", "", "").status, 200);
        worst = worst.max(start.elapsed());
        assert_eq!(ask(http, "GET /calls", &(bearing(TOKEN)), "").status, 401);
        assert_eq!(ask(http, "GET /page", &from_here(&appliance, &mine), "").status, 200);
    }
    assert!(worst < Duration::from_secs(1), "a scrape took {worst:?}");
    assert!(appliance.metric("sidetone_http_refused_total{why=\"crowded\"}") >= 60.0);
    // One more who signs in is told to come again, at once; and may once the others have been given up.
    let answer = sign_in(&appliance, token_for("viewer"), "");
    if began.elapsed() < Duration::from_secs(4) {
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    }
    wait_for("somebody signs in", || {
        (sign_in(&appliance, token_for("viewer"), "").status == 303).then_some(())
    });
    drop((bodies, heads));
    let mut reader = watching;
    reader.set_read_timeout(Some(Duration::from_secs(1))).expect("a valid time");
    let mut told = Vec::new();
    let _ = reader.read_to_end(&mut told);
    let told = String::from_utf8_lossy(&told);
    assert!(told.contains("event: beat"), "it still looks on: {told}");
    site.write("tokens.toml", token("tests", "admin", TOKEN));
}
