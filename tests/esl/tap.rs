//! A FreeSWITCH that taps one of its channels with a call to us, as it was measured: it offers to send and receive, takes
//! every INFO with a 200 and raises `RECV_INFO` with its body, and sends audio only as often as it hears some, since the
//! pace of an eavesdrop without `rtp-timer-name=soft` is what comes in.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sidetone::audio::{g711, pcm};
use sidetone::rtp::packet::Packet;

use super::{Event, EventSocket};

/// Samples of a packet of 20 ms.
const PACKET: usize = 160;
/// How often a thread looks whether it is over.
const TICK: Duration = Duration::from_millis(20);

/// A tap that stands.
#[derive(Debug)]
pub(crate) struct Tap {
    over: Arc<AtomicBool>,
    /// Packets of audio that it sent.
    pub(crate) sent: Arc<AtomicUsize>,
    dialog: JoinHandle<Dialog>,
    audio: JoinHandle<()>,
}

impl Tap {
    /// Calls `target` with these header fields and lets it hear `speech` (8 kHz); each INFO is an event of `events`.
    pub(crate) fn start(
        target: SocketAddr,
        headers: &[(&str, &str)],
        speech: &[f32],
        events: &EventSocket,
    ) -> Self {
        let [sip, rtp] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").expect("a port"));
        for socket in [&sip, &rtp] {
            socket.set_read_timeout(Some(TICK)).expect("a time");
        }
        let (over, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let dialog = Dialog::invite(sip, target, headers, &rtp);
        let (channel, events) = (dialog.call_id.clone(), events.clone());
        let ended = Arc::clone(&over);
        let dialog = thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let Some(request) = dialog.receive() else { continue };
                dialog.answer(&request);
                if request.starts_with("INFO ") {
                    events.fire(received_info(&channel, &request));
                }
            }
            dialog
        });
        let packets: Vec<Vec<u8>> = pcm::to_i16(speech)
            .chunks(PACKET)
            .map(|chunk| chunk.iter().map(|sample| g711::encode_ulaw(*sample)).collect())
            .collect();
        let (ended, count) = (Arc::clone(&over), Arc::clone(&sent));
        let audio = thread::spawn(move || play(&rtp, &packets, &ended, &count));
        Self { over, sent, dialog, audio }
    }

    /// The tapped call ends, and with it this one.
    pub(crate) fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        self.audio.join().expect("it plays");
        self.dialog.join().expect("it talks").bye();
    }
}

/// Sends one packet for each that comes.
fn play(rtp: &UdpSocket, packets: &[Vec<u8>], over: &AtomicBool, count: &AtomicUsize) {
    let mut heard = [0; 2_048];
    while !over.load(Ordering::Relaxed) {
        let Ok((length, from)) = rtp.recv_from(&mut heard) else { continue };
        Packet::parse(&heard[..length]).expect("what it hears is RTP");
        let n = count.fetch_add(1, Ordering::Relaxed);
        let silence = vec![0xff; PACKET];
        let packet = Packet {
            payload_type: 0,
            marker: n == 0,
            sequence: n as u16,
            timestamp: (n * PACKET) as u32,
            ssrc: 7,
            payload: packets.get(n).unwrap_or(&silence),
        };
        rtp.send_to(&packet.write(), from).expect("loopback");
    }
}

/// The event of an INFO, with the body as it came.
fn received_info(channel: &str, request: &str) -> Event {
    let (head, body) = request.split_once("\r\n\r\n").expect("a blank line");
    let content_type = field(head, "Content-Type").unwrap_or_default();
    let headers =
        [("Event-Name", "RECV_INFO"), ("Unique-ID", channel), ("SIP-Content-Type", content_type)];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Event { headers: BTreeMap::from(headers), body: body.to_owned() }
}

/// The dialog of the tap's call, seen from FreeSWITCH.
#[derive(Debug)]
struct Dialog {
    sip: UdpSocket,
    target: SocketAddr,
    call_id: String,
    from: String,
    to: String,
    /// Where requests within the dialog go.
    remote: String,
}

impl Dialog {
    /// Calls, and waits for the 200.
    fn invite(
        sip: UdpSocket,
        target: SocketAddr,
        headers: &[(&str, &str)],
        rtp: &UdpSocket,
    ) -> Self {
        let own = sip.local_addr().expect("an address");
        let port = rtp.local_addr().expect("an address").port();
        let call_id = format!("9e2b8f0c-{:04x}-4c2b-9f7e-2f1c3f1d4a11", own.port());
        let to = format!("<sip:sidetone@{target}>");
        let from = format!("\"\" <sip:0000000000@{own}>;tag=fs{}", own.port());
        let remote = format!("sip:sidetone@{target}");
        let mut dialog = Self { sip, target, call_id, from, to, remote };
        let sdp = format!(
            "v=0\r\no=FreeSWITCH 1 2 IN IP4 127.0.0.1\r\ns=FreeSWITCH\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
             a=fmtp:101 0-15\r\na=ptime:20\r\n"
        );
        let headers = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        let fields = format!("{}Content-Type: application/sdp\r\n", headers.collect::<String>());
        dialog.send("INVITE", 1, &fields, &sdp);
        loop {
            let Some(answer) = dialog.receive() else { continue };
            if answer.starts_with("SIP/2.0 200 ") {
                field(&answer, "To").expect("To").clone_into(&mut dialog.to);
                let contact = field(&answer, "Contact").expect("Contact");
                let uri = contact.trim_start_matches('<').split(['>', ';']).next();
                uri.expect("a URI").clone_into(&mut dialog.remote);
                dialog.send("ACK", 1, "", "");
                return dialog;
            }
            assert!(answer.starts_with("SIP/2.0 1"), "the call is taken: {answer}");
        }
    }

    fn send(&self, method: &str, sequence: u32, fields: &str, body: &str) {
        let Self { sip, target, call_id, from, to, remote } = self;
        let own = sip.local_addr().expect("an address");
        let text = format!(
            "{method} {remote} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bK{method}{sequence}\r\n\
             Max-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {sequence} {method}\r\n\
             Contact: <sip:mod_sofia@{own}>\r\nUser-Agent: FreeSWITCH-mod_sofia/1.11.2\r\n{fields}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        sip.send_to(text.as_bytes(), target).expect("loopback");
    }

    fn receive(&self) -> Option<String> {
        let mut bytes = [0; 65_535];
        let (length, _) = self.sip.recv_from(&mut bytes).ok()?;
        Some(String::from_utf8(bytes[..length].to_vec()).expect("text"))
    }

    /// Any request of theirs is taken.
    fn answer(&self, request: &str) {
        let copied = ["Via", "From", "To", "Call-ID", "CSeq"].map(|name| {
            format!("{name}: {}\r\n", field(request, name).expect("a field that every request has"))
        });
        let text = format!("SIP/2.0 200 OK\r\n{}Content-Length: 0\r\n\r\n", copied.concat());
        self.sip.send_to(text.as_bytes(), self.target).expect("loopback");
    }

    fn bye(&self) {
        self.send("BYE", 2, "", "");
    }
}

/// A header field's value.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let lines = text.lines().map_while(|line| (!line.is_empty()).then_some(line));
    lines.filter_map(|line| line.split_once(": ")).find(|(known, _)| *known == name).map(|(_, v)| v)
}
