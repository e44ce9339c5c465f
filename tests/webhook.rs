//! Verdicts to a webhook: what it gets, how it is signed, and what happens while it is of no use.
#![expect(clippy::disallowed_methods, reason = "a test serves HTTP and reads a clock")]

#[path = "peers/authority.rs"]
mod authority;
mod notify;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use authority::Authority;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use notify::{Notifying, accepted, logged, said, wait_for};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use sidetone::policy::sensitivity::Sensitivity;
use sidetone::runtime::notify::notifiers::prepare;

/// 32 bytes, all of them 7, as a secret says it.
const SECRET: &str = "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n";

/// One request.
#[derive(Clone, Debug)]
struct Request {
    headers: HeaderMap,
    body: Vec<u8>,
    status: u16,
}

impl Request {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).expect(name)
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// A server that keeps what it is sent.
#[derive(Clone, Debug)]
struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    /// What it answers, and what it asks to wait.
    answer: Arc<Mutex<(u16, Option<&'static str>)>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
        listener.set_nonblocking(true).expect("a socket");
        let server = Self {
            address: listener.local_addr().expect("bound"),
            requests: Arc::default(),
            answer: Arc::new(Mutex::new((200, None))),
        };
        let router = Router::new()
            .route("/in", post(take))
            .route("/elsewhere", any(|| async { "taken" }))
            .with_state(server.clone());
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
                axum::serve(listener, router).await.expect("it serves");
            });
        });
        server
    }

    fn answers(&self, status: u16, after: Option<&'static str>) {
        *self.answer.lock().expect("no panic holds it") = (status, after);
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no panic holds it").clone()
    }

    fn wait_for(&self, count: usize) -> Vec<Request> {
        wait_for(&format!("{count} requests"), || {
            let requests = self.requests();
            (requests.len() >= count).then_some(requests)
        })
    }

    /// An appliance's end, that tells this server as `name`.
    fn told_by(&self, name: &str, more: &str) -> Notifying {
        let text = format!(
            "{more}\n[[webhook]]\nname = '{name}'\nurl = 'http://{}/in'\nsecret_file = '@FOLDER@/secret'\n",
            self.address
        );
        Notifying::start(&text, &[("secret", SECRET)])
    }
}

async fn take(State(server): State<Server>, headers: HeaderMap, body: Bytes) -> Response {
    let (status, after) = *server.answer.lock().expect("no panic holds it");
    let request = Request { headers, body: body.to_vec(), status };
    server.requests.lock().expect("no panic holds it").push(request);
    let code = StatusCode::from_u16(status).expect("a status");
    match after {
        Some(after) => (code, [("retry-after", after)]).into_response(),
        None => (code, [("location", "/elsewhere")]).into_response(),
    }
}

/// HMAC-SHA-256 by its definition (RFC 2104), so that not the same code signs and checks.
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let pad = |byte: u8| -> Vec<u8> {
        (0..64).map(|n| key.get(n).copied().unwrap_or(0) ^ byte).collect()
    };
    let inner = Sha256::digest([&pad(0x36), text].concat());
    Sha256::digest([&pad(0x5c)[..], &inner].concat()).to_vec()
}

#[test]
fn a_verdict_is_a_signed_cloud_event() {
    use base64::Engine as _;
    let server = Server::start();
    let mut notifying = server.told_by("signed", "");
    for result in ["delivered", "refused", "expired", "overflow"] {
        let total = format!("sidetone_notify_total{{receiver=\"signed\",result=\"{result}\"}}");
        assert_eq!(notifying.metric(&total), 0.0);
    }
    for why in ["unreachable", "login", "refused"] {
        let failures =
            format!("sidetone_notify_failures_total{{receiver=\"signed\",why=\"{why}\"}}");
        assert_eq!(notifying.metric(&failures), 0.0);
    }
    assert_eq!(notifying.metric("sidetone_notify_seconds_count{receiver=\"signed\"}"), 0.0);
    notifying.tell(accepted("4711", 3), Some("PJSIP/alice-00000001"));
    let request = server.wait_for(1).remove(0);
    assert_eq!(request.header("content-type"), "application/cloudevents+json; charset=utf-8");
    let event = request.json();
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["type"], "sidetone.verdict.speaker.v1");
    assert_eq!((&event["source"], &event["subject"]), (&"urn:sidetone".into(), &"4711".into()));
    assert_eq!(event["time"], "2026-11-27T08:00:00Z");
    assert_eq!(event["datacontenttype"], "application/json");
    assert_eq!(event["channel"], "PJSIP/alice-00000001");
    assert_eq!(
        (&event["data"]["decision"], &event["data"]["sequence"]),
        (&"accepted".into(), &3.into())
    );
    let (id, time) = (request.header("webhook-id"), request.header("webhook-timestamp"));
    assert_eq!(event["id"], id);
    let now = jiff::Timestamp::now().as_second();
    assert!(time.parse::<i64>().is_ok_and(|time| (now - time).abs() < 60), "{time}");
    let signed = [format!("{id}.{time}.").as_bytes(), &request.body].concat();
    let wanted = base64::engine::general_purpose::STANDARD.encode(hmac(&[7; 32], &signed));
    assert_eq!(request.header("webhook-signature"), format!("v1,{wanted}"));
    notifying
        .wait_for_metric("sidetone_notify_total{receiver=\"signed\",result=\"delivered\"}", 1.0);
    notifying.close();
}

#[test]
fn while_it_answers_500_verdicts_wait_in_order_and_then_each_comes_once() {
    let server = Server::start();
    let mut notifying = server.told_by("broken", "");
    server.answers(500, None);
    for sequence in 1..=20 {
        notifying.tell(accepted(if sequence % 2 == 0 { "even" } else { "odd" }, sequence), None);
    }
    server.wait_for(4);
    assert_eq!(notifying.metric("sidetone_notify_up{receiver=\"broken\"}"), 0.0);
    assert_eq!(notifying.metric("sidetone_notify_waiting{receiver=\"broken\"}"), 20.0);
    server.answers(200, None);
    let delivered = "sidetone_notify_total{receiver=\"broken\",result=\"delivered\"}";
    notifying.wait_for_metric(delivered, 20.0);
    assert_eq!(notifying.metric("sidetone_notify_waiting{receiver=\"broken\"}"), 0.0);
    let requests = server.requests();
    let taken: Vec<_> = requests.iter().filter(|request| request.status == 200).collect();
    let ids: BTreeSet<_> = taken.iter().map(|request| request.header("webhook-id")).collect();
    assert_eq!((taken.len(), ids.len()), (20, 20));
    let failed: BTreeSet<_> =
        requests.iter().filter(|r| r.status == 500).map(|r| r.header("webhook-id")).collect();
    assert!(failed.is_subset(&ids), "a try has the id of the next: {failed:?}");
    for conversation in ["even", "odd"] {
        let of = taken.iter().map(|request| request.json());
        let of = of.filter(|event| event["subject"] == conversation);
        let order: Vec<_> = of.filter_map(|event| event["data"]["sequence"].as_u64()).collect();
        assert!(order.len() == 10 && order.is_sorted(), "{order:?}");
    }
    let log = logged("broken");
    assert_eq!(log.len(), 2, "one line when it goes and one when it is back: {log:#?}");
    assert!(
        log[0].contains("500 Internal Server Error") && log[1].contains("told again"),
        "{log:#?}"
    );
    notifying.close();
}

#[test]
fn what_it_refuses_is_not_tried_again_and_holds_up_nothing() {
    let server = Server::start();
    let mut notifying = server.told_by("picky", "");
    server.answers(422, None);
    notifying.tell(accepted("a", 1), None);
    notifying.wait_for_metric("sidetone_notify_total{receiver=\"picky\",result=\"refused\"}", 1.0);
    server.answers(204, None);
    notifying.tell(accepted("a", 2), None);
    notifying
        .wait_for_metric("sidetone_notify_total{receiver=\"picky\",result=\"delivered\"}", 1.0);
    assert_eq!(notifying.metric("sidetone_notify_up{receiver=\"picky\"}"), 1.0);
    assert_eq!(server.requests().len(), 2);
    notifying.close();
}

#[test]
fn a_redirect_is_not_followed_and_a_wait_that_is_asked_for_is_kept() {
    let server = Server::start();
    let mut notifying = server.told_by("busy", "");
    server.answers(429, Some("2"));
    let start = Instant::now();
    notifying.tell(accepted("a", 1), None);
    server.wait_for(1);
    server.answers(302, None);
    server.wait_for(2);
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
    server.answers(200, None);
    notifying.wait_for_metric("sidetone_notify_total{receiver=\"busy\",result=\"delivered\"}", 1.0);
    let failures = "sidetone_notify_failures_total{receiver=\"busy\",why=\"unreachable\"}";
    assert_eq!(notifying.metric(failures), 2.0);
    notifying.close();
}

#[test]
fn it_is_told_what_it_wants_and_no_personal_phrase() {
    let server = Server::start();
    let mut notifying = server.told_by("modest", "");
    notifying.tell(said("my-debts", Sensitivity::Personal), None);
    notifying.tell(said("risk", Sensitivity::Public), None);
    let requests = server.wait_for(2);
    let phrases: Vec<_> = requests.iter().map(|r| r.json()["data"]["phrase"].clone()).collect();
    assert_eq!(phrases, ["personal", "risk"]);
    let line = sidetone::policy::verdict::Finding::Pause {
        state: sidetone::policy::pause::PauseState::Begun,
        by: sidetone::policy::pause::Trigger::Header,
        pause: None,
        paused: true,
    };
    let text = format!(
        "[[webhook]]\nname = 'trusted'\nurl = 'http://{}/in'\nsecret_file = '@FOLDER@/secret'\n\
         kinds = ['keyword']\npersonal = true\n",
        server.address
    );
    let mut trusted = Notifying::start(&text, &[("secret", SECRET)]);
    trusted.tell(notify::verdict("c", 1, line), None);
    trusted.tell(said("my-debts", Sensitivity::Personal), None);
    let requests = server.wait_for(3);
    assert_eq!(requests[2].json()["data"]["phrase"], "my-debts");
    notifying.close();
    trusted.close();
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn at_the_stop_what_waits_is_tried_once_more_and_a_dead_receiver_costs_two_seconds_at_most() {
    let server = Server::start();
    let mut notifying = server.told_by("late", "");
    server.answers(503, Some("60"));
    notifying.tell(accepted("a", 1), None);
    notifying.tell(accepted("b", 1), None);
    server.wait_for(1);
    server.answers(200, None);
    notifying.close();
    let taken = server.requests().iter().filter(|request| request.status == 200).count();
    assert_eq!(taken, 2);
    let mut notifying = server.told_by("dead", "");
    server.answers(503, Some("60"));
    notifying.tell(accepted("a", 1), None);
    server.wait_for(4);
    let took = notifying.close();
    assert!(took < Duration::from_secs(3), "{took:?}");
    let log = logged("dead");
    assert!(log.iter().any(|line| line.contains("lost=1")), "{log:#?}");
}

/// A server over TLS by a certificate of `authority`, that takes whatever comes; where it is, and what came.
fn over_tls(folder: &Path) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let read = |name: &str| std::fs::read(folder.join(name)).expect("issued");
    let chain = CertificateDer::from_pem_slice(&read("hook.crt")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(&read("hook.key")).expect("a key");
    let config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .expect("they belong together");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
    let address = listener.local_addr().expect("bound");
    let (config, came) = (Arc::new(config), Arc::<Mutex<Vec<u8>>>::default());
    let kept = Arc::clone(&came);
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let session = ServerConnection::new(Arc::clone(&config)).expect("a session");
            let mut stream = StreamOwned::new(session, socket);
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut bytes) {
                let mut kept = kept.lock().expect("no panic holds it");
                kept.extend_from_slice(&bytes[..count]);
                if kept.ends_with(b"}") {
                    let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
                }
            }
        }
    });
    (address, came)
}

#[test]
fn over_tls_it_is_told_only_where_a_trusted_authority_stands_behind_its_name() {
    let (own, other) =
        (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    Authority::new(own.path()).issue("hook", "localhost", 2100);
    Authority::new(other.path());
    let (address, came) = over_tls(own.path());
    let told_by = |name: &str, host: &str, authorities: &Path| {
        let text = format!(
            "[[webhook]]\nname = '{name}'\nurl = 'https://{host}:{}/in'\nsecret_file = '@FOLDER@/secret'\n\
             authorities = '{}/authorities.pem'\n",
            address.port(),
            authorities.display()
        );
        let mut notifying = Notifying::start(&text, &[("secret", SECRET)]);
        notifying.tell(accepted("a", 1), None);
        notifying
    };
    for (name, host, authorities) in
        [("stranger", "localhost", other.path()), ("misnamed", "127.0.0.1", own.path())]
    {
        let notifying = told_by(name, host, authorities);
        wait_for("a failure", || logged(name).into_iter().next());
        let log = logged(name);
        assert!(log[0].contains("invalid peer certificate"), "{log:#?}");
        notifying.close();
        assert!(came.lock().expect("no panic holds it").is_empty(), "{name}");
    }
    let notifying = told_by("trusted", "localhost", own.path());
    let delivered = "sidetone_notify_total{receiver=\"trusted\",result=\"delivered\"}";
    notifying.wait_for_metric(delivered, 1.0);
    notifying.close();
    let came = String::from_utf8(came.lock().expect("no panic holds it").clone()).expect("UTF-8");
    assert!(came.starts_with("POST /in HTTP/1.1\r\n"), "{came}");
}

#[test]
fn a_secret_that_is_none_is_refused_by_its_file() {
    for (secret, wanted) in [
        ("hunter2", "found no whsec_ before it"),
        ("whsec_c2hvcnQ=", "found 5 bytes"),
        ("whsec_!", "found Invalid symbol"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("secret");
        std::fs::write(&file, secret).expect("a writable folder");
        let text = format!(
            "[[webhook]]\nname = 'w'\nurl = 'http://127.0.0.1/in'\nsecret_file = '{}'\n",
            file.display()
        );
        let settings = toml::from_str(&text).expect("good settings");
        let error = prepare(&settings).map(|_| ()).expect_err(secret).to_string();
        let start =
            format!("the secret in {} (notify.webhook.secret_file) must be whsec_", file.display());
        assert!(error.starts_with(&start) && error.contains(wanted), "{error}");
    }
}

#[test]
fn a_receiver_that_nobody_listens_at_holds_up_no_teller() {
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let text = format!(
        "waiting = 10\n[[webhook]]\nname = 'gone'\nurl = 'http://{gone}/in'\nsecret_file = '@FOLDER@/secret'\n"
    );
    let mut notifying = Notifying::start(&text, &[("secret", SECRET)]);
    let start = Instant::now();
    for sequence in 0..5_000 {
        notifying.tell(accepted("a", sequence), None);
    }
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    let overflow = "sidetone_notify_total{receiver=\"gone\",result=\"overflow\"}";
    notifying.wait_for_metric(overflow, 4_990.0);
    assert_eq!(notifying.metric("sidetone_notify_waiting{receiver=\"gone\"}"), 10.0);
    notifying.close();
}
