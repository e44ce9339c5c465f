//! Everybody sends us anything: garbage, half messages and strangers' audio are counted, and
//! neither end the process nor a call.
//!
//! Without the models these tests say so and pass.
#![expect(clippy::disallowed_methods, reason = "tests have sockets, a clock and files")]

mod appliance;
mod store;

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use appliance::{Appliance, SUBJECT, Site, wait_for};
use sidetone::audio::{g711, pcm};
use sidetone::rtp::packet::Packet;
use sidetone::sdp::answer::Protection;
use sidetone::sdp::codec::Codec;
use sidetone::sdp::direction::Direction;
use sidetone::sdp::offer::Offer;
use sidetone::sdp::session::{self, Local, Origin};
use sidetone::sip::client_call::Placing;
use sidetone::sip::endpoint::Endpoint;
use sidetone::sip::event::{CallKey, End, Event, Output};
use sidetone::sip::hops::Way;
use sidetone::sip::info::PACKAGE;
use sidetone::sip::settings::Settings;
use sidetone::sip::transport::{Hop, Source};
use store::{skip, store};

const MALFORMED: &str = "sidetone_sip_malformed_total";
const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 0\r\n";
/// Length of one packet.
const PACKET_TIME: Duration = Duration::from_millis(20);
/// Samples of one packet.
const PACKET: usize = 160;

#[test]
fn garbage_at_the_sip_port_is_counted_and_the_next_call_is_heard() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    site.enroll();
    let appliance = Appliance::start(&site);
    let peer = Peer::new(appliance.sip);
    let mut random = fastrand::Rng::with_seed(1);

    let mut malformed = 0;
    for n in 0..500 {
        let mut bytes = vec![0; random.usize(8..1400)];
        random.fill(&mut bytes);
        peer.send(&bytes);
        malformed += 1;
        peer.keep_up(n);
    }
    // Cut anywhere before its last mandatory field, a request is none.
    let whole = request("OPTIONS", "cut", "", "");
    let mandatory = whole.find("CSeq").expect("the last field");
    for length in 1..mandatory {
        peer.send(&whole.as_bytes()[..length]);
        malformed += 1;
        peer.keep_up(length);
    }
    wait_for("every one is counted", || {
        let counted = appliance.metric_sum(MALFORMED) as usize;
        assert!(counted <= malformed, "{counted} of {malformed}");
        (counted == malformed).then_some(())
    });

    let torture = Path::new("../shared/vectors/rfc4475");
    if torture.is_dir() {
        let files = std::fs::read_dir(torture).expect("a folder").map(|file| file.expect("a file"));
        let messages =
            files.map(|file| file.path()).filter(|p| p.extension().is_some_and(|e| e == "dat"));
        let mut messages: Vec<_> = messages.collect();
        messages.sort();
        assert!(messages.len() >= 49, "{} messages", messages.len());
        for (n, message) in messages.iter().enumerate() {
            peer.send(&std::fs::read(message).expect("a file"));
            peer.keep_up(n);
        }
        // Many of them are no SIP at all, whatever else they try.
        let wanted = malformed as f64 + 10.0;
        wait_for("they count too", || (appliance.metric_sum(MALFORMED) >= wanted).then_some(()));
    } else {
        skip("the messages of RFC 4475 are not there");
    }

    let mut caller = Caller::call(appliance.sip);
    caller.play(&site.narrator(), |_, _| {});
    caller.hang_up();
    assert_accepted(&caller, &appliance);
    assert_alive(appliance);
}

#[test]
fn an_invite_of_no_use_is_refused_by_the_status_that_says_why() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    let appliance = Appliance::start(&site);
    let peer = Peer::new(appliance.sip);
    for (name, content_type, extra, body, status) in [
        ("garbled", "application/sdp", "", "v=0\r\nm=audio\r\n", 400),
        ("no-sdp", "application/sdp", "", "hello", 400),
        ("no-codec", "application/sdp", "", &OFFER.replace("AVP 0", "AVP 18"), 488),
        ("video", "application/sdp", "", &OFFER.replace("audio", "video"), 488),
        ("text", "text/plain", "", "hello", 415),
        ("party", "application/sdp", "X-Sidetone-Party: supervisor\r\n", OFFER, 400),
        ("policy", "application/sdp", "X-Sidetone-Policy: other\r\n", OFFER, 400),
        ("extension", "application/sdp", "Require: telepathy\r\n", OFFER, 420),
    ] {
        let fields = format!("Content-Type: {content_type}\r\n{extra}");
        let answer = peer.ask(&request("INVITE", name, &fields, body));
        assert!(answer.starts_with(&format!("SIP/2.0 {status} ")), "{name}: {answer}");
    }
    assert_eq!(appliance.metric("sidetone_calls_active"), 0.0);
    let answer = peer.ask(&request("INVITE", "good", "Content-Type: application/sdp\r\n", OFFER));
    assert!(answer.starts_with("SIP/2.0 200 "), "a good one after them: {answer}");
    assert_alive(appliance);
}

#[test]
fn strangers_at_the_rtp_port_are_counted_and_change_no_verdict() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    site.enroll();
    let appliance = Appliance::start(&site);
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let mut random = fastrand::Rng::with_seed(2);
    let (mut malformed, mut foreign) = (0, 0);
    let mut caller = Caller::call(appliance.sip);
    caller.play(&site.narrator(), |media, packet| {
        let send = |bytes: &[u8]| stranger.send_to(bytes, media).expect("loopback");
        // Random bytes that are not version 2 are no RTP, whoever sends them.
        let mut noise = vec![0; random.usize(1..1500)];
        random.fill(&mut noise);
        noise[0] &= 0x3f;
        send(&noise);
        malformed += 1;
        // A stream of noise of its own, in good order.
        let payload: Vec<u8> = (0..PACKET).map(|_| random.u8(..)).collect();
        send(&Packet { ssrc: !packet.ssrc, payload: &payload, ..*packet }.write());
        // The caller's own stream, one step ahead of the caller.
        let sequence = packet.sequence.wrapping_add(1);
        let timestamp = packet.timestamp.wrapping_add(PACKET as u32);
        send(&Packet { sequence, timestamp, payload: &payload, ..*packet }.write());
        foreign += 2;
        // An RTCP BYE for the caller's stream (RFC 3550 6.6), and half of one, at either port.
        let mut bye = vec![0x81, 203, 0, 1];
        bye.extend(packet.ssrc.to_be_bytes());
        for length in [bye.len(), 3] {
            send(&bye[..length]);
            let rtcp = SocketAddr::new(media.ip(), media.port() + 1);
            stranger.send_to(&bye[..length], rtcp).expect("loopback");
        }
    });
    caller.hang_up();
    assert_accepted(&caller, &appliance);
    // Three seconds of speech are some 150 packets.
    assert!(malformed > 150, "{malformed} while the voice was checked");
    let dropped = |reason: &str| {
        appliance.metric(&format!("sidetone_rtp_dropped_total{{reason=\"{reason}\"}}"))
    };
    appliance.wait_for_metric("sidetone_calls_ended_total{end=\"by_peer\"}", 1.0);
    wait_for("the media session's last counts", || {
        (dropped("foreign") >= f64::from(foreign)).then_some(())
    });
    assert_eq!(dropped("foreign"), f64::from(foreign));
    assert!(dropped("malformed") >= f64::from(malformed), "{}", dropped("malformed"));
    assert_eq!(dropped("undecodable"), 0.0);
    assert_eq!(appliance.metric("sidetone_rtp_lost_total"), 0.0);
    assert_alive(appliance);
}

#[test]
fn a_caller_of_whom_nothing_comes_is_told_as_verdict_metric_and_log_line() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    site.write("sidetone.toml", site.config());
    let appliance = Appliance::start(&site);
    let mut caller = Caller::call(appliance.sip);
    let told = |body: &String| -> serde_json::Value { serde_json::from_str(body).expect("JSON") };
    let one_way = |told: &serde_json::Value| told["kind"] == "line" && told["state"] == "one_way";
    let start = Instant::now();
    wait_for("the word that nothing comes", || {
        caller.listen_until(Instant::now() + PACKET_TIME);
        caller.infos.iter().map(told).find(one_way)
    });
    let took = start.elapsed();
    assert!((9..13).contains(&took.as_secs()), "{took:?}");
    appliance.wait_for_metric("sidetone_line_one_way_total", 1.0);
    let verdicts = "sidetone_verdicts_total{decision=\"one_way\",kind=\"line\"}";
    assert_eq!(appliance.metric(verdicts), 1.0);
    let log = appliance.log();
    assert_eq!(
        log.iter().filter(|l| l.contains(" WARN ") && l.contains("one-way audio")).count(),
        1
    );
    caller.hang_up();
    appliance.wait_for_metric("sidetone_lines_total{codec=\"none\"}", 1.0);
    let states: Vec<_> = appliance.lines().iter().map(|l| l["state"].clone()).collect();
    assert_eq!(states, ["one_way", "closed"]);
    assert_alive(appliance);
}

/// One INFO and one line: the voice is accepted, on a whole stream.
#[track_caller]
fn assert_accepted(caller: &Caller, appliance: &Appliance) {
    assert_eq!(caller.infos.len(), 1, "{:?}", caller.infos);
    let told: serde_json::Value = serde_json::from_str(&caller.infos[0]).expect("JSON");
    assert_eq!((&told["kind"], &told["decision"]), (&"speaker".into(), &"accepted".into()));
    assert_eq!(told["coverage"], 1.0, "all of the caller's speech was analysed: {told}");
    assert_eq!(appliance.verdicts(), [told], "standard output says the same");
}

/// It still answers, nothing in its log is an error, and it ends when it is told to.
#[track_caller]
fn assert_alive(appliance: Appliance) {
    assert_eq!(appliance.get("/ready").expect("an answer").0, 200);
    let stopped = appliance.stop();
    assert_eq!(stopped.status.code(), Some(0), "{stopped:#?}");
    let bad = |line: &&String| line.contains(" ERROR ") || line.contains("panicked");
    let bad: Vec<_> = stopped.log.iter().filter(bad).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

/// A request written by hand, CSeq last of its mandatory fields.
fn request(method: &str, name: &str, fields: &str, body: &str) -> String {
    format!(
        "{method} sip:sidetone@127.0.0.1 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bK{name}\r\nMax-Forwards: 70\r\n\
         Contact: <sip:peer@127.0.0.1>\r\nCall-ID: {name}@hostile\r\n\
         From: <sip:peer@127.0.0.1>;tag=1\r\nTo: <sip:sidetone@127.0.0.1>\r\nCSeq: 1 {method}\r\n\
         {fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A peer that writes its bytes by hand.
struct Peer {
    socket: UdpSocket,
}

impl Peer {
    fn new(target: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.connect(target).expect("loopback");
        socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a valid time");
        Self { socket }
    }

    fn send(&self, bytes: &[u8]) {
        self.socket.send(bytes).expect("loopback");
    }

    /// The final answer to a request.
    fn ask(&self, request: &str) -> String {
        self.send(request.as_bytes());
        let (_, call) = request.split_once("Call-ID: ").expect("one of ours");
        let (call, _) = call.split_once("\r\n").expect("a line");
        let mut bytes = [0; 65_535];
        loop {
            let length = self.socket.recv(&mut bytes).expect("an answer in time");
            let answer = String::from_utf8_lossy(&bytes[..length]);
            // Answers to what was sent before may still come, and come again.
            if answer.contains(call) && !answer.starts_with("SIP/2.0 1") {
                return answer.into_owned();
            }
        }
    }

    /// From time to time waits for an answer, so that no socket buffer overflows: what the kernel
    /// drops nobody can count.
    fn keep_up(&self, n: usize) {
        if n.is_multiple_of(16) {
            let name = format!("ping{}", fastrand::u64(..));
            let answer = self.ask(&request("OPTIONS", &name, "", ""));
            assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
        }
    }
}

/// A caller who claims to be the narrator.
struct Caller {
    endpoint: Endpoint,
    sip: UdpSocket,
    rtp: UdpSocket,
    call: CallKey,
    media: Option<SocketAddr>,
    infos: Vec<String>,
    end: Option<End>,
}

impl Caller {
    /// Calls and waits for the answer.
    fn call(target: SocketAddr) -> Self {
        let bind = || UdpSocket::bind("127.0.0.1:0").expect("a port");
        let (sip, rtp) = (bind(), bind());
        let local = |socket: &UdpSocket| socket.local_addr().expect("bound");
        let mut settings = Settings::new(local(&sip));
        settings.recv_info = vec![PACKAGE.to_owned()];
        let mut endpoint = Endpoint::new(settings, fastrand::u64(..));
        let media = Local { rtp: local(&rtp), rtcp_port: 9 };
        let offer = session::offer(
            media,
            &[Codec::Pcmu],
            Direction::SendOnly,
            &Protection::None,
            &mut Origin::new(1),
        );
        let headers = [("X-Sidetone-Subject", SUBJECT), ("X-Sidetone-Consent", "c-1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let uri = format!("sip:sidetone@{target}");
        let placing = Placing {
            way: Some(Way::Hop(Hop::udp(target))),
            headers: headers.to_vec(),
            offer: Some(offer),
            ..Placing::new(uri)
        };
        let call = endpoint.invite(Instant::now(), placing);
        let mut caller =
            Self { endpoint, sip, rtp, call, media: None, infos: Vec::new(), end: None };
        wait_for("an answer", || {
            caller.listen_until(Instant::now() + PACKET_TIME);
            caller.media
        });
        caller
    }

    /// Sends `audio` in real time until an INFO comes; `also` is told of every packet once it is sent.
    fn play(&mut self, audio: &[f32], mut also: impl FnMut(SocketAddr, &Packet<'_>)) {
        let media = self.media.expect("answered");
        let start = Instant::now();
        for (n, samples) in pcm::to_i16(audio).chunks(PACKET).enumerate() {
            let payload: Vec<u8> = samples.iter().map(|&s| g711::encode_ulaw(s)).collect();
            let packet = Packet {
                payload_type: 0,
                marker: n == 0,
                sequence: n as u16,
                timestamp: (n * PACKET) as u32,
                ssrc: 0x5eed_5eed,
                payload: &payload,
            };
            self.rtp.send_to(&packet.write(), media).expect("loopback");
            also(media, &packet);
            self.listen_until(start + PACKET_TIME * (n as u32 + 1));
            assert_eq!(self.end, None, "the call goes on");
            if !self.infos.is_empty() {
                return;
            }
        }
        panic!("no verdict in {:?}", start.elapsed());
    }

    fn hang_up(&mut self) {
        self.endpoint.hang_up(Instant::now(), self.call, None);
        wait_for("the end", || {
            self.listen_until(Instant::now() + PACKET_TIME);
            self.end.clone()
        });
    }

    /// Serves the SIP socket for a while.
    fn listen_until(&mut self, until: Instant) {
        let mut bytes = [0; 65_535];
        loop {
            while let Some(output) = self.endpoint.poll_output() {
                match output {
                    Output::Transmit { hop, bytes } => {
                        self.sip.send_to(&bytes, hop.address).expect("loopback");
                    }
                    Output::Event { event: Event::Answered { sdp, .. }, .. } => {
                        let answer = Offer::parse(&sdp.expect("an answer")).expect("SDP");
                        let agreed = answer.read_answer(
                            &[Codec::Pcmu],
                            Direction::SendOnly,
                            &Protection::None,
                        );
                        self.media = Some(agreed.expect("an answer to our offer").rtp);
                    }
                    Output::Event { event: Event::InfoReceived { body, .. }, .. } => {
                        self.infos.push(String::from_utf8(body).expect("JSON is UTF-8"));
                    }
                    Output::Event { event: Event::Ended(end), .. } => self.end = Some(end),
                    _ => {}
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            self.sip.set_read_timeout(Some(left)).expect("not zero");
            if let Ok((length, source)) = self.sip.recv_from(&mut bytes) {
                self.endpoint.handle_message(
                    Instant::now(),
                    &Source::udp(source),
                    &bytes[..length],
                );
            }
            self.endpoint.handle_timeout(Instant::now());
        }
    }
}
