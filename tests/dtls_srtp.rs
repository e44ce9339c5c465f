//! Keys by handshake: two legs of ours over a bad network, and a leg against openssl.
#![expect(clippy::disallowed_methods, reason = "a test opens sockets and reads a clock")]

use std::collections::VecDeque;
use std::io::Read;
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};

use sidetone::rtp::dtls::{Dtls, DtlsFailure, Fingerprint, Hash, Identity, Keys, Output, Role};
use sidetone::rtp::packet::Packet;
use sidetone::rtp::security::{Guard, GuardError, Security};
use sidetone::rtp::srtp::{MasterKey, SrtpError, Suite};

/// A certificate, and its PEM and its key's for openssl.
struct Certificate {
    identity: Arc<Identity>,
    der: Vec<u8>,
    pem: String,
}

fn certificate() -> Certificate {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    let params = CertificateParams::new(Vec::new()).expect("no names");
    let certificate = params.self_signed(&key).expect("a certificate");
    let der = certificate.der().to_vec();
    let identity = Identity::new(der.clone(), key.serialize_der()).expect("of use for DTLS");
    let pem = certificate.pem() + &key.serialize_pem();
    Certificate { identity: Arc::new(identity), der, pem }
}

fn security(role: Role, ours: &Certificate, theirs: &Certificate) -> Security {
    let fingerprint = Fingerprint::of(Hash::Sha256, &theirs.der);
    Security::Dtls { role, fingerprint, identity: Arc::clone(&ours.identity) }
}

fn rtp(sequence: u16) -> Vec<u8> {
    let payload = &[0xd5; 160];
    Packet { payload_type: 8, marker: false, sequence, timestamp: 0, ssrc: 1, payload }.write()
}

/// Two legs, and what is on its way between them.
struct Link {
    now: Instant,
    ends: [Guard; 2],
    random: fastrand::Rng,
    /// How many datagrams of a hundred are lost, doubled, or overtaken, each.
    badness: u8,
}

impl Link {
    fn new(first: Security, second: Security, badness: u8, seed: u64) -> Self {
        let now = Instant::now();
        let ends = [Guard::new(now, first), Guard::new(now, second)];
        Self { now, ends, random: fastrand::Rng::with_seed(seed), badness }
    }

    fn bad(&mut self) -> bool {
        self.random.u8(..100) < self.badness
    }

    /// Carries everything over until nothing happens any more, or for a minute.
    fn run(&mut self) {
        let end = self.now + Duration::from_secs(60);
        loop {
            let mut moved = false;
            for (from, to) in [(0, 1), (1, 0)] {
                let mut flight = VecDeque::new();
                while let Some(datagram) = self.ends[from].poll_transmit() {
                    moved = true;
                    if self.bad() {
                        continue;
                    }
                    if self.bad() {
                        flight.push_back(datagram.clone());
                    }
                    match self.bad() {
                        true => flight.push_front(datagram),
                        false => flight.push_back(datagram),
                    }
                }
                self.now += Duration::from_millis(10);
                for datagram in flight {
                    assert_eq!(self.ends[to].handle_datagram(self.now, &datagram), Ok(None));
                }
            }
            if moved {
                continue;
            }
            let due = self.ends.iter().filter_map(Guard::poll_timeout).min();
            match due {
                Some(due) if due < end => self.now = self.now.max(due),
                Some(_) | None => return,
            }
            for guard in &mut self.ends {
                guard.handle_timeout(self.now);
            }
        }
    }

    /// Whether audio passes from one end to the other.
    fn passes(&mut self, from: usize, to: usize, sequence: u16) -> bool {
        let Some(datagram) = self.ends[from].protect_rtp(rtp(sequence)) else { return false };
        assert_ne!(datagram, rtp(sequence));
        let heard = self.ends[to].handle_datagram(self.now, &datagram);
        heard.is_ok_and(|packet| packet.as_deref() == Some(&rtp(sequence)[..]))
    }
}

#[test]
fn two_legs_agree_on_keys_and_hear_each_other() {
    let (one, two) = (certificate(), certificate());
    let mut link =
        Link::new(security(Role::Client, &one, &two), security(Role::Server, &two, &one), 0, 1);
    assert_eq!(link.ends[1].protect_rtp(rtp(1)), None, "no keys yet");
    let early = rtp(1);
    assert_eq!(link.ends[1].handle_datagram(link.now, &early), Err(GuardError::NoKeys));
    link.run();
    assert!(link.passes(0, 1, 5) && link.passes(1, 0, 5), "{:?}", link.ends);
    let clear = rtp(6);
    let refused = Err(GuardError::Srtp(SrtpError::Authentication));
    assert_eq!(link.ends[1].handle_datagram(link.now, &clear), refused);
    let stats = link.ends[1].stats();
    assert_eq!((stats.unprotected, stats.unauthentic, stats.decrypted), (1, 1, 1));
    assert!(stats.handshake.received > 1 && stats.handshake.sent > 1);
}

#[test]
fn a_handshake_survives_losses_doubles_and_disorder() {
    let (one, two) = (certificate(), certificate());
    for seed in 0..30 {
        let mut link = Link::new(
            security(Role::Client, &one, &two),
            security(Role::Server, &two, &one),
            15,
            seed,
        );
        link.run();
        assert!(link.passes(0, 1, 5) && link.passes(1, 0, 5), "seed {seed}: {:?}", link.ends);
    }
}

#[test]
fn somebody_elses_certificate_is_told_by_name_and_gets_no_keys() {
    let (one, two, three) = (certificate(), certificate(), certificate());
    for (first, second) in [
        (security(Role::Client, &one, &three), security(Role::Server, &two, &one)),
        (security(Role::Client, &one, &two), security(Role::Server, &two, &three)),
    ] {
        let mut link = Link::new(first, second, 0, 1);
        link.run();
        assert!(link.ends.iter().any(|end| end.failure() == Some(&DtlsFailure::Fingerprint)));
        assert!(!(link.passes(0, 1, 5) && link.passes(1, 0, 5)));
        let deceived = link.ends.iter_mut().find(|end| end.failure().is_some());
        let deceived = deceived.expect("one of them found out");
        assert_eq!(deceived.protect_rtp(rtp(6)), None);
        assert_eq!(deceived.handle_datagram(link.now, &rtp(7)), Err(GuardError::NoKeys));
    }
}

#[test]
fn garbage_does_not_disturb_a_handshake() {
    let (one, two) = (certificate(), certificate());
    for seed in 0..30 {
        let mut link = Link::new(
            security(Role::Client, &one, &two),
            security(Role::Server, &two, &one),
            0,
            seed,
        );
        let mut random = fastrand::Rng::with_seed(seed);
        let hello = link.ends[0].poll_transmit().expect("a ClientHello");
        for _ in 0..200 {
            let mut garbage = match random.bool() {
                true => hello.clone(),
                false => (0..random.usize(1..200)).map(|_| random.u8(..)).collect(),
            };
            garbage[0] = random.u8(20..64);
            // A type that is none of DTLS: what is half true may end a handshake, not the leg.
            if (20..=25).contains(&garbage[0]) {
                garbage[0] = 63;
            }
            if garbage.len() > 1 {
                let at = random.usize(1..garbage.len());
                garbage[at] ^= random.u8(1..);
            }
            let _ = link.ends[1].handle_datagram(link.now, &garbage);
        }
        assert_eq!(link.ends[1].handle_datagram(link.now, &hello), Ok(None));
        link.run();
        assert!(link.passes(0, 1, 5) && link.passes(1, 0, 5), "seed {seed}: {:?}", link.ends);
    }
}

#[test]
fn no_bytes_break_a_leg_at_any_time_of_a_handshake() {
    let (one, two) = (certificate(), certificate());
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut link = Link::new(
            security(Role::Client, &one, &two),
            security(Role::Server, &two, &one),
            0,
            seed,
        );
        for _ in 0..40 {
            for (from, to) in [(0, 1), (1, 0)] {
                while let Some(mut datagram) = link.ends[from].poll_transmit() {
                    if random.u8(..4) == 0 {
                        let at = random.usize(1..datagram.len());
                        datagram[at] = random.u8(..);
                        datagram.truncate(random.usize(1..=datagram.len()));
                    }
                    let _ = link.ends[to].handle_datagram(link.now, &datagram);
                }
            }
            link.now += Duration::from_millis(500);
            for end in &mut link.ends {
                end.handle_timeout(link.now);
            }
        }
    }
}

#[test]
fn nobody_there_is_a_failure_in_time() {
    let (one, two) = (certificate(), certificate());
    let mut link = Link::new(security(Role::Client, &one, &two), Security::None, 100, 1);
    link.run();
    assert_eq!(link.ends[0].failure(), Some(&DtlsFailure::TimedOut));
    assert_eq!(link.ends[0].poll_timeout(), None);
}

#[test]
fn what_was_agreed_again_keeps_its_counters_and_what_is_new_begins_anew() {
    let secret = |fill: u8| MasterKey::new(Suite::AesCm128HmacSha1_80, &[fill; 30], None);
    let secret = |fill| secret(fill).expect("of that length");
    let sdes = |receive: u8, send: u8| Security::Sdes {
        receive: vec![secret(receive)],
        send: secret(send),
    };
    let mut link = Link::new(sdes(1, 2), sdes(2, 1), 0, 1);
    let first = link.ends[0].protect_rtp(rtp(9)).expect("keys");
    assert!(link.ends[1].handle_datagram(link.now, &first).is_ok());
    link.ends[1].handle_plan(link.now, sdes(2, 1));
    let replay = Err(GuardError::Srtp(SrtpError::Replay));
    assert_eq!(link.ends[1].handle_datagram(link.now, &first), replay);
    // Ours changed, theirs did not.
    link.ends[1].handle_plan(link.now, sdes(2, 3));
    assert_eq!(link.ends[1].handle_datagram(link.now, &first), replay);
    link.ends[0].handle_plan(link.now, sdes(3, 4));
    link.ends[1].handle_plan(link.now, sdes(4, 3));
    assert!(link.passes(0, 1, 9) && link.passes(1, 0, 9));
    let other = Err(GuardError::Srtp(SrtpError::Authentication));
    let first = link.ends[1].handle_datagram(link.now, &first);
    assert!(first == other || first == replay, "the old key is gone");
    assert_eq!(link.ends[1].stats().replayed, if first == replay { 3 } else { 2 });
    link.ends[1].handle_plan(link.now, Security::Awaited);
    assert_eq!(link.ends[1].handle_datagram(link.now, &rtp(10)), Err(GuardError::NoKeys));
    assert_eq!(link.ends[1].protect_rtcp(vec![0x80, 201, 0, 1, 0, 0, 0, 1]), None);
    link.ends[1].handle_plan(link.now, Security::None);
    let plain = rtp(10);
    assert_eq!(link.ends[1].handle_datagram(link.now, &plain), Ok(Some(plain.as_slice().into())));
}

#[test]
fn stun_is_nothing_for_an_encrypted_leg() {
    let (one, two) = (certificate(), certificate());
    let mut guard = Guard::new(Instant::now(), security(Role::Server, &one, &two));
    let stun = [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(guard.handle_datagram(Instant::now(), &stun), Err(GuardError::NotMedia));
    assert_eq!(guard.handle_datagram(Instant::now(), &[]), Err(GuardError::NotMedia));
}

/// Ends openssl, whatever the test came to.
struct Openssl(Child);

impl Drop for Openssl {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Openssl {
    /// `s_client` or `s_server`; `None` where there is no openssl.
    fn start(arguments: &[&str]) -> Option<Self> {
        let common = [
            "-dtls1_2",
            "-use_srtp",
            "SRTP_AES128_CM_SHA1_80",
            "-keymatexport",
            "EXTRACTOR-dtls_srtp",
            "-keymatexportlen",
            "60",
        ];
        let child = Command::new("openssl")
            .args(arguments)
            .args(common)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        child.ok().map(Self)
    }

    /// The 60 octets that it derived.
    fn keying_material(mut self) -> Vec<u8> {
        drop(self.0.stdin.take());
        std::thread::sleep(Duration::from_millis(300));
        let _ = self.0.kill();
        let mut said = String::new();
        let stdout = self.0.stdout.as_mut().expect("piped");
        stdout.read_to_string(&mut said).expect("text");
        let line = said.lines().find_map(|line| line.trim().strip_prefix("Keying material: "));
        hex::decode(line.unwrap_or_else(|| panic!("no keys in {said}"))).expect("hexadecimal")
    }
}

/// Moves `dtls` over `socket` until it has keys.
fn shake(socket: &UdpSocket, dtls: &mut Dtls) -> Keys {
    let (mut peer, mut buffer) = (socket.peer_addr().ok(), [0; 2_048]);
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut keys = None;
    let mut last_words = 0;
    while Instant::now() < deadline {
        while let Some(output) = dtls.poll_output() {
            match output {
                Output::Transmit(datagram) => {
                    socket.send_to(&datagram, peer.expect("it spoke first")).expect("loopback");
                }
                Output::Keys(made) => keys = Some(made),
                Output::Failed(why) => panic!("{why}"),
            }
        }
        match socket.recv_from(&mut buffer) {
            Ok((length, from)) => {
                peer = Some(from);
                dtls.handle_datagram(Instant::now(), &buffer[..length]);
            }
            Err(_) => dtls.handle_timeout(Instant::now()),
        }
        if let Some(keys) = &keys {
            // The last flight has to reach them, too.
            last_words += 1;
            if last_words > 5 {
                return keys.clone();
            }
        }
    }
    panic!("no keys in time: {dtls:?}");
}

/// What openssl's exporter says, as the keys of the client and the server.
fn exported(material: &[u8]) -> [MasterKey; 2] {
    [0, 1].map(|side| {
        let key = &material[side * 16..][..16];
        let salt = &material[32 + side * 14..][..14];
        let secret = [key, salt].concat();
        MasterKey::new(Suite::AesCm128HmacSha1_80, &secret, None).expect("30 octets")
    })
}

#[test]
#[expect(clippy::print_stderr, reason = "openssl may be missing")]
fn openssl_calls_and_has_the_same_keys() {
    let (ours, theirs) = (certificate(), certificate());
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &theirs.pem).expect("written");
    let pem = file.path().to_str().expect("a plain path");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("bound").to_string();
    let arguments = ["s_client", "-connect", &address, "-cert", pem, "-key", pem];
    let Some(openssl) = Openssl::start(&arguments) else {
        return eprintln!("skipped: no openssl is here");
    };
    let expected = Fingerprint::of(Hash::Sha256, &theirs.der);
    let mut dtls = Dtls::new(Instant::now(), &ours.identity, Role::Server, expected);
    let keys = shake(&socket, &mut dtls);
    let [client, server] = exported(&openssl.keying_material());
    assert!(keys == Keys { receive: client, send: server });
}

#[test]
#[expect(clippy::print_stderr, reason = "openssl may be missing")]
fn openssl_is_called_and_has_the_same_keys() {
    let (ours, theirs) = (certificate(), certificate());
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &theirs.pem).expect("written");
    let pem = file.path().to_str().expect("a plain path");
    let port = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let port = port.expect("a free port").port();
    let accept = format!("127.0.0.1:{port}");
    let arguments = ["s_server", "-accept", &accept, "-cert", pem, "-key", pem, "-verify", "1"];
    let Some(openssl) = Openssl::start(&arguments) else {
        return eprintln!("skipped: no openssl is here");
    };
    std::thread::sleep(Duration::from_millis(500));
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.connect(("127.0.0.1", port)).expect("loopback");
    let expected = Fingerprint::of(Hash::Sha384, &theirs.der);
    let mut dtls = Dtls::new(Instant::now(), &ours.identity, Role::Client, expected);
    let keys = shake(&socket, &mut dtls);
    let [client, server] = exported(&openssl.keying_material());
    assert!(keys == Keys { receive: server, send: client });
}
