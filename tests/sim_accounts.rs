//! Accounts at a registrar of a hand-written script: bindings made, kept, lost and withdrawn, and
//! calls through them.

mod sim;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use sidetone::sip::access::{Access, Strangers};
use sidetone::sip::account::{Account, RegistrationEvent, RegistrationFailure};
use sidetone::sip::client_call::Placing;
use sidetone::sip::digest::{Algorithm, Counted, Credentials, Parameters, Proof, Qop};
use sidetone::sip::digest_client::DigestRefusal;
use sidetone::sip::digest_server::{DigestServer, Verdict};
use sidetone::sip::event::{End, Event, Failure, Rejection};
use sidetone::sip::message::{Message, Method, Received, Request, Response};
use sidetone::sip::settings::Settings;
use sidetone::sip::transport::{ConnectionId, Hop, Source, Transport};
use sim::{CALLER, SIDECAR, World, address, host, local};

const LONG: Duration = Duration::from_secs(300);
const REALM: &str = "sidetone";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn registrar() -> SocketAddr {
    host(9)
}

/// What the registrar is like now.
struct Desk {
    start: Instant,
    digest: DigestServer,
    /// Shows only challenges of that algorithm.
    algorithm: &'static str,
    /// Answers nothing.
    silent: bool,
    /// Answers INVITEs of its users with that field's challenge.
    challenge: &'static str,
    /// Answers each REGISTER with these first.
    refusals: Vec<(u16, &'static str)>,
    expires: u64,
    /// Nonces serve once.
    once: bool,
    /// BYEs that bore credentials, and those that did not.
    byes: [u32; 2],
    /// Challenges the latter.
    guards_byes: bool,
}

/// A desk that knows one user, at one end.
struct Office {
    world: World,
    desk: Rc<RefCell<Desk>>,
}

impl Desk {
    fn answer(&mut self, age: Duration, from: &Hop, request: &Received<Request>) -> Vec<Vec<u8>> {
        if self.silent || request.method == Method::Ack {
            return Vec::new();
        }
        let to = |status| Response::to(&request.message.headers, status, None).with_to_tag("desk");
        if request.method == Method::Register
            && let Some((status, field)) = self.refusals.pop()
        {
            let (name, value) = field.split_once(": ").expect("a field");
            return vec![to(status).with(name, value).to_bytes()];
        }
        let (answers, status) = match self.challenge {
            "Proxy-Authenticate" if request.method == Method::Invite => {
                ("Proxy-Authorization", 407)
            }
            _ => ("Authorization", 401),
        };
        let (now, ip) = (self.start + age, from.address.ip());
        let given = request.message.headers.all(answers);
        let Request { method, uri, .. } = &request.message;
        let verdict = self.digest.check(now, ip, given, method.as_str(), uri);
        if request.method == Method::Bye {
            self.byes[usize::from(!matches!(verdict, Verdict::Accepted { .. }))] += 1;
            if !self.guards_byes || matches!(verdict, Verdict::Accepted { .. }) {
                return vec![to(200).to_bytes()];
            }
        }
        if !matches!(verdict, Verdict::Accepted { .. }) {
            let stale = verdict == Verdict::Stale;
            let of = |value: &String| value.contains(&format!("algorithm={},", self.algorithm));
            let challenges = self.digest.challenge(now, ip, stale);
            let field = if status == 407 { "Proxy-Authenticate" } else { "WWW-Authenticate" };
            let challenge = challenges.iter().find(|value| of(value)).expect("it is offered");
            return vec![to(status).with(field, challenge).to_bytes()];
        }
        if self.once {
            // As if restarted: every nonce from before is unknown.
            self.digest = digest(self.start, age.as_millis() as u8);
        }
        let answer = match request.method {
            Method::Register => to(200).with("Expires", self.expires.to_string()),
            Method::Invite => {
                to(200).with("Contact", "<sip:desk@192.0.2.9>").with_body("application/sdp", "v=0")
            }
            _ => to(200),
        };
        vec![answer.to_bytes()]
    }
}

fn digest(start: Instant, secret: u8) -> DigestServer {
    DigestServer::new(start, REALM, [secret; 32], vec![Credentials::new("us", "rabbit")])
}

fn account(transport: Transport, password: &str) -> Account {
    let registrar = match transport {
        Transport::Udp => "sip:192.0.2.9".to_owned(),
        Transport::Tcp | Transport::Tls => "sip:192.0.2.9;transport=tcp".to_owned(),
    };
    Account {
        name: "office".into(),
        registrar,
        aor: "sip:us@office.example".into(),
        contact_user: "us".into(),
        credentials: Some(Credentials::new("us", password)),
        expires: seconds(3_600),
        registers: true,
    }
}

impl Office {
    fn new(transport: Transport, password: &str) -> Self {
        let start = World::new(1).start;
        let mut settings = Settings::new(address(SIDECAR));
        settings.locals.push(local(SIDECAR, Transport::Tcp));
        settings.accounts = vec![account(transport, password)];
        settings.access = Access::new(Vec::new(), Strangers::Silence);
        let mut world = World::with(1, start, Settings::new(address(CALLER)), settings);
        let desk = Desk {
            start,
            digest: digest(start, 7),
            algorithm: "SHA-256",
            silent: false,
            challenge: "WWW-Authenticate",
            refusals: Vec::new(),
            expires: 600,
            once: false,
            byes: [0; 2],
            guards_byes: false,
        };
        let desk = Rc::new(RefCell::new(desk));
        let behind = Rc::clone(&desk);
        let script = move |age, from: &Hop, message: &Message| match message {
            Message::Request(request) => behind.borrow_mut().answer(age, from, request),
            Message::Response(_) => Vec::new(),
        };
        let transports = vec![Transport::Udp, Transport::Tcp];
        world.hosts.insert(registrar().ip(), (transports, Box::new(script)));
        world.ends[SIDECAR].register(start);
        Self { world, desk }
    }

    fn events(&self) -> Vec<&RegistrationEvent> {
        self.world.registrations.iter().map(|(_, _, event)| event).collect()
    }

    fn registers(&self) -> Vec<Received<Request>> {
        self.world.requests(address(SIDECAR), "REGISTER")
    }

    fn registered(&self) -> u64 {
        self.world.ends[SIDECAR].stats().accounts_registered
    }

    /// Calls the desk as its user, and hangs up after a second.
    fn call(&mut self) {
        let offer = Some("v=0".to_owned());
        let placing = Placing { account: Some(0), offer, ..Placing::new("sip:desk@192.0.2.9") };
        let now = self.world.now;
        let call = self.world.ends[SIDECAR].invite(now, placing);
        let age = now - self.world.start;
        self.world.idle(age + seconds(1));
        self.world.ends[SIDECAR].hang_up(self.world.now, call, None);
        self.world.idle(age + seconds(2));
    }
}

fn granted(seconds: u64) -> RegistrationEvent {
    RegistrationEvent::Registered { expires: Duration::from_secs(seconds) }
}

fn invite(from: SocketAddr, transport: &str) -> String {
    format!(
        "INVITE sip:us@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/{transport} {from};rport;branch=z9hG4bKi\r\n\
         From: <sip:a@b>;tag=1\r\nTo: <sip:us@office.example>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:a@{from}>\r\nContent-Length: 0\r\n\r\n"
    )
}

#[test]
fn an_account_is_registered_and_kept_over_both_transports_with_each_algorithm() {
    for transport in [Transport::Udp, Transport::Tcp] {
        for algorithm in ["MD5", "SHA-256"] {
            let mut office = Office::new(transport, "rabbit");
            office.desk.borrow_mut().algorithm = algorithm;
            office.world.idle(seconds(1));
            assert_eq!(office.events(), [&granted(600)], "{algorithm}");
            let registers = office.registers();
            assert_eq!(registers.len(), 2, "one to be challenged, one with the answer");
            let headers = &registers[1].message.headers;
            let answer = headers.get("Authorization").expect("an answer");
            assert!(answer.contains(&format!("algorithm={algorithm}")), "{answer}");
            let contact = headers.get("Contact").expect("a binding has one");
            assert_eq!(contact.contains("transport=tcp"), transport == Transport::Tcp);
            office.world.idle(seconds(4 * 3_600));
            assert_eq!((office.registered(), office.events().len()), (1, 1));
            // Each refresh at 50-75 % of the lifetime; nonces serve a minute, so each is asked twice.
            assert!((64..110).contains(&office.registers().len()), "{}", office.registers().len());
            let stale = |answer: &Received<Response>| {
                let challenge = answer.message.headers.get("WWW-Authenticate");
                challenge.is_some_and(|challenge| challenge.contains("stale=true"))
            };
            let answers = office.world.answers(registrar(), "REGISTER");
            assert!(answers.iter().filter(|answer| stale(answer)).count() > 30);
            let streams = office.world.streams.len();
            assert_eq!(streams, usize::from(transport == Transport::Tcp), "one stream for all");
        }
    }
}

#[test]
fn a_challenge_in_sha_512_256_is_answered_in_kind() {
    let mut office = Office::new(Transport::Udp, "rabbit");
    // The crate's own server does not offer it; the script turns its challenge into one.
    let challenge =
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=SHA-512-256, qop=\"auth\"";
    office.desk.borrow_mut().refusals.push((401, challenge));
    office.world.idle(seconds(1));
    let answers = office.registers();
    let answer = answers[1].message.headers.get("Authorization").expect("an answer");
    let given = Parameters::parse(answer).expect("parameters");
    let field = |name| given.get(name).unwrap_or_default();
    let counted = Counted { qop: Qop::Auth, nc: field("nc"), cnonce: field("cnonce"), body: b"" };
    let proof = Proof {
        algorithm: Algorithm::Sha512_256,
        credentials: &Credentials::new("us", "rabbit"),
        realm: "r",
        nonce: "n",
        method: "REGISTER",
        uri: "sip:192.0.2.9",
        counted: Some(counted),
    };
    assert_eq!((given.algorithm(), field("uri")), (Some(Algorithm::Sha512_256), proof.uri));
    assert_eq!(field("response"), proof.response());
}

#[test]
fn a_registrar_that_forgets_its_nonces_is_answered_anew_without_a_word() {
    let mut office = Office::new(Transport::Udp, "rabbit");
    office.desk.borrow_mut().once = true;
    office.world.idle(seconds(8 * 3_600));
    assert_eq!((office.registered(), office.events()), (1, vec![&granted(600)]));
}

#[test]
fn a_wrong_password_is_told_once_and_tried_ever_more_slowly() {
    let mut office = Office::new(Transport::Udp, "rabit");
    office.world.idle(seconds(3_600));
    let why = DigestRefusal::WrongPassword { realm: REALM.into() };
    let failed = RegistrationEvent::Failed { why: RegistrationFailure::Digest(why) };
    assert_eq!(office.events(), [&failed]);
    let with_answer = |r: &&Received<Request>| r.message.headers.contains("Authorization");
    let guesses = office.registers().iter().filter(with_answer).count();
    // A minute, two, four, then five each: some registrars ban who guesses faster.
    assert!((12..=24).contains(&guesses), "{guesses} guesses in an hour");
    // Somebody mends it over there.
    let start = office.desk.borrow().start;
    let users = vec![Credentials::new("us", "rabit")];
    office.desk.borrow_mut().digest = DigestServer::new(start, REALM, [9; 32], users);
    office.world.idle(seconds(3_600 + 301));
    assert_eq!(office.events()[1..], [&granted(600)]);
}

#[test]
fn a_registrar_that_restarts_is_found_again() {
    let mut office = Office::new(Transport::Udp, "rabbit");
    office.world.idle(seconds(1));
    office.desk.borrow_mut().silent = true;
    office.desk.borrow_mut().digest = digest(office.world.start, 8);
    office.world.idle(seconds(900));
    let before = office.registers().len();
    let events = office.events();
    assert!(matches!(events[1], RegistrationEvent::Failed { .. }), "{events:?}");
    assert_eq!((events[2], events.len()), (&RegistrationEvent::Lost, 3));
    assert_eq!(office.registered(), 0);
    office.desk.borrow_mut().silent = false;
    // No wait is longer than 5 min, and a REGISTER may be under way for 32 s.
    office.world.idle(seconds(900 + 332));
    assert_eq!(office.events()[3..], [&granted(600)]);
    assert!(office.registers().len() - before < 15);
}

#[test]
fn trials_come_ever_more_slowly_and_not_in_step_with_others() {
    let gaps = |seed: u64| {
        let mut office = Office::new(Transport::Udp, "rabbit");
        let mut settings = Settings::new(address(SIDECAR));
        settings.accounts = vec![account(Transport::Udp, "rabbit")];
        let start = office.world.start;
        let caller = Settings::new(address(CALLER));
        // Nobody is at the address at all.
        office.world = World::with(seed, start, caller, settings);
        office.world.ends[SIDECAR].register(start);
        office.world.idle(seconds(1_800));
        let sent = office.world.sent.iter().map(|sent| sent.at);
        // Repeats of one REGISTER are at most 4 s apart, and the last is 0.5 s before its end.
        let all: Vec<_> = sent.collect();
        let gaps = all.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64());
        gaps.filter(|gap| *gap > 4.1).collect::<Vec<_>>()
    };
    let (one, other) = (gaps(1), gaps(2));
    assert!(one.last().is_some_and(|last| (150.0..=301.0).contains(last)), "{one:?}");
    assert!(one.len() < 16, "{one:?}");
    assert_ne!(one, other);
}

#[test]
fn a_stream_that_closes_is_replaced_within_seconds() {
    let mut office = Office::new(Transport::Tcp, "rabbit");
    office.world.idle(seconds(5));
    let connection = ConnectionId(0);
    office.world.close(connection);
    assert_eq!(office.registered(), 0);
    office.world.idle(seconds(8));
    assert_eq!(office.events(), [&granted(600), &RegistrationEvent::Lost, &granted(600)]);
    assert_eq!(office.world.streams.len(), 2);
}

#[test]
fn a_stream_that_closes_while_the_registrar_is_down_is_tried_until_it_is_up() {
    let mut office = Office::new(Transport::Tcp, "rabbit");
    office.world.idle(seconds(5));
    let down = office.world.hosts.remove(&registrar().ip()).expect("it was there");
    office.world.close(ConnectionId(0));
    office.world.idle(seconds(120));
    // Refused connections are known at once: 2 s, 4 s, 8 s and so on, with chance.
    assert!((5..12).contains(&office.registers().len()), "{}", office.registers().len());
    office.world.hosts.insert(registrar().ip(), down);
    office.world.idle(seconds(300));
    assert_eq!((office.events().last(), office.registered()), (Some(&&granted(600)), 1));
}

#[test]
fn a_lifetime_that_is_too_short_is_raised() {
    let mut office = Office::new(Transport::Udp, "rabbit");
    office.desk.borrow_mut().refusals.push((423, "Min-Expires: 7200"));
    office.world.idle(seconds(1));
    let asked = |request: &Received<Request>| {
        request.message.headers.get("Expires").map(str::to_owned).expect("a lifetime")
    };
    let asked: Vec<_> = office.registers().iter().map(asked).collect();
    assert_eq!(asked, ["3600", "7200", "7200"]);
    assert_eq!(office.events(), [&granted(600)]);
}

#[test]
fn draining_takes_the_binding_back() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut office = Office::new(transport, "rabbit");
        office.world.idle(seconds(100));
        office.world.ends[SIDECAR].drain(office.world.now);
        office.world.idle(seconds(200));
        let registers = office.registers();
        let last = &registers.last().expect("several").message.headers;
        assert_eq!(last.get("Expires"), Some("0"));
        assert!(last.contains("Authorization"), "a challenge to it is answered, too");
        assert_eq!(office.events(), [&granted(600), &RegistrationEvent::Withdrawn]);
        assert!(office.world.is_clean());
    }
}

#[test]
fn calls_come_in_from_the_registrar_alone() {
    let mut office = Office::new(Transport::Udp, "rabbit");
    let from = |address: SocketAddr| (Source::udp(address), invite(address, "UDP"));
    let (source, text) = from(registrar());
    // Asterisk tries a new binding before its answer to our REGISTER is out.
    let options = text.replace("INVITE", "OPTIONS").replace(" x\r", " o\r").replace("bKi", "bKo");
    office.world.receive(SIDECAR, &source, &options);
    office.world.idle(seconds(1));
    assert_eq!(office.world.answers(address(SIDECAR), "OPTIONS").len(), 1, "while we ask");
    let (elsewhere, other) = from(host(8));
    office.world.receive(SIDECAR, &elsewhere, &other);
    office.world.idle(seconds(2));
    assert_eq!(office.world.ends[SIDECAR].stats().calls, 0);
    assert_eq!(office.world.rejections.last(), Some(&(elsewhere, Rejection::Stranger)));
    office.world.receive(SIDECAR, &source, &text);
    office.world.idle(seconds(3));
    assert!(matches!(office.world.events(SIDECAR)[..], [Event::Invited(_)]));
    // Another port of the same host: PBXs send from several.
    let (second, text) = from(SocketAddr::new(registrar().ip(), 5_080));
    office.world.receive(
        SIDECAR,
        &second,
        &text.replace("z9hG4bKi", "z9hG4bKj").replace(" x\r", " y\r"),
    );
    office.world.idle(seconds(4));
    assert_eq!(office.world.ends[SIDECAR].stats().calls, 2);
}

#[test]
fn our_calls_answer_challenges_of_a_server_and_of_a_proxy_and_so_does_their_bye() {
    for (challenge, status) in [("WWW-Authenticate", 401), ("Proxy-Authenticate", 407)] {
        let mut office = Office::new(Transport::Udp, "rabbit");
        office.desk.borrow_mut().challenge = challenge;
        office.world.idle(seconds(1));
        office.call();
        let statuses = office.world.answers(registrar(), "INVITE");
        let statuses: Vec<_> = statuses.iter().map(|answer| answer.message.status).collect();
        assert_eq!(statuses, [status, 200]);
        assert_eq!(office.world.ends_of(SIDECAR), [&End::ByUs { reason: None }]);
        let invites = office.world.requests(address(SIDECAR), "INVITE");
        assert_eq!(invites[0].call_id, invites[1].call_id, "§8.1.3.5");
        assert_eq!((invites[0].cseq, invites[1].cseq), (1, 2));
        assert_ne!(invites[0].via.branch, invites[1].via.branch);
        assert_eq!(invites[0].from.uri, "sip:us@office.example");
        let bye = office.world.requests(address(SIDECAR), "BYE").remove(0).message;
        let answer = if status == 401 { "Authorization" } else { "Proxy-Authorization" };
        assert!(bye.headers.contains(answer), "{:?}", bye.headers);
        if status == 401 {
            assert_eq!(office.desk.borrow().byes, [1, 0], "and they are right");
        }
        office.world.ends[SIDECAR].drain(office.world.now);
        office.world.idle(LONG);
        assert!(office.world.is_clean());
    }
}

#[test]
fn a_bye_whose_nonce_has_aged_is_asked_once_more() {
    let mut office = Office::new(Transport::Udp, "rabbit");
    office.world.idle(seconds(1));
    (office.desk.borrow_mut().once, office.desk.borrow_mut().guards_byes) = (true, true);
    office.call();
    assert_eq!(office.desk.borrow().byes, [1, 1], "else the other side's call stands for ever");
    let byes = office.world.requests(address(SIDECAR), "BYE");
    assert_eq!(byes[1].cseq, byes[0].cseq + 1);
}

#[test]
fn a_call_with_a_wrong_password_says_so_after_two_trials() {
    let mut office = Office::new(Transport::Udp, "rabit");
    office.world.idle(seconds(1));
    office.call();
    assert_eq!(office.world.ends_of(SIDECAR), [&End::Failed(Failure::WrongPassword)]);
    assert_eq!(office.world.requests(address(SIDECAR), "INVITE").len(), 2);
    // Each refusal has its ACK (§17.1.1.3).
    assert_eq!(office.world.requests(address(SIDECAR), "ACK").len(), 2);
}
