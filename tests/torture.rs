//! Messages that are meant to hurt: RFC 4475, and mutations of ordinary ones.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Instant;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use sidetone::sip::endpoint::Endpoint;
use sidetone::sip::event::{Event, Output};
use sidetone::sip::message::Message;
use sidetone::sip::settings::Settings;

const INVITE: &str = "INVITE sip:sidetone@192.0.2.2 SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.1:5066;rport;branch=z9hG4bKa\r\nVia: SIP/2.0/UDP 192.0.2.3\r\n\
    Record-Route: <sip:192.0.2.1;lr>\r\nFrom: \"A\" <sip:a@192.0.2.1>;tag=1\r\n\
    To: <sip:sidetone@192.0.2.2>\r\nCall-ID: x@y\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n\
    Contact: <sip:a@[2001:db8::1]:5066;transport=udp>;+sip.instance=\"<urn:uuid:0>\"\r\n\
    Recv-Info: sidetone\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n";
const REST: [&str; 5] = [
    "OPTIONS sip:a@b SIP/2.0\r\nv: SIP/2.0/UDP h;branch=z9hG4bKb\r\nf: sip:a@b;tag=2\r\n\
     t: sip:c@d\r\ni: 1\r\nCSeq: 2 OPTIONS\r\nl: 0\r\n\r\n",
    "CANCEL sip:sidetone@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5066;rport;branch=z9hG4bKa\
     \r\nFrom: \"A\" <sip:a@192.0.2.1>;tag=1\r\nTo: <sip:sidetone@192.0.2.2>\r\nCall-ID: x@y\r\n\
     CSeq: 1 CANCEL\r\n\r\n",
    "BYE sip:sidetone@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKc\r\n\
     From: <sip:a@192.0.2.1>;tag=1\r\nTo: <sip:c@d>;tag=9\r\nCall-ID: x@y\r\nCSeq: 2 BYE\r\n\r\n",
    "ACK sip:sidetone@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5066;branch=z9hG4bKa\r\n\
     From: <sip:a@192.0.2.1>;tag=1\r\nTo: <sip:c@d>;tag=9\r\nCall-ID: x@y\r\nCSeq: 1 ACK\r\n\r\n",
    "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKq\r\nFrom: <sip:a@b>;tag=1\r\n\
     To: <sip:c@d>;tag=9\r\nCall-ID: x@y\r\nCSeq: 1 INVITE\r\nContact: <sip:c@d>\r\n\r\n",
];

fn endpoint() -> Endpoint {
    Endpoint::new(Settings::new(SocketAddr::from(([192, 0, 2, 2], 5060))), 1)
}

fn source() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 5066))
}

/// Status codes sent, in order, and whether a call came of it. Every call is refused at once.
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
fn answers(datagrams: &[&[u8]]) -> (Vec<u16>, bool) {
    let (mut endpoint, now) = (endpoint(), Instant::now());
    let (mut statuses, mut invited) = (Vec::new(), false);
    for datagram in datagrams {
        endpoint.handle_datagram(now, source(), datagram);
        while let Some(output) = endpoint.poll_output() {
            match output {
                Output::Transmit { bytes, .. } => match Message::parse(&bytes) {
                    Ok(Message::Response(response)) => statuses.push(response.message.status),
                    // What we echo of a malformed request may be malformed itself.
                    Err(_) => statuses.push(status_of(&bytes)),
                    Ok(Message::Request(_)) => {}
                },
                Output::Event { call, event: Event::Invited(_) } => {
                    invited = true;
                    endpoint.accept(now, call, "v=0".to_owned(), &[]);
                }
                Output::Event { .. } => {}
            }
        }
    }
    (statuses, invited)
}

fn status_of(bytes: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(bytes);
    let status = text.split(' ').nth(1).expect("we write status lines");
    status.parse().expect("we write status codes")
}

/// The lines of `expected.json` that matter: a file name and what should become of it.
fn expectations(json: &str) -> Vec<(String, String)> {
    let value = |line: &str| line.split('"').nth(3).map(str::to_owned);
    let of = |key: &str| {
        json.lines().filter(|line| line.contains(key)).filter_map(value).collect::<Vec<_>>()
    };
    of("\"file\"").into_iter().zip(of("\"expect\"")).collect()
}

/// What we answer to each message of RFC 4475, in the order of the RFC; 0 is silence. Where the RFC
/// leaves the choice, or speaks to a registrar or proxy, this is our choice.
const RFC4475: [(&str, u16); 49] = [
    ("wsinv", 481),
    ("intmeth", 501),
    ("esc01", 200),
    ("escnull", 405),
    ("esc02", 501),
    ("lwsdisp", 200),
    ("longreq", 200),
    ("dblreq", 405),
    ("semiuri", 200),
    ("transports", 200),
    ("mpart01", 405),
    ("unreason", 0),
    ("noreason", 0),
    ("badinv01", 0),
    ("clerr", 400),
    ("ncl", 400),
    ("scalar02", 400),
    ("scalarlg", 0),
    ("quotbal", 400),
    ("ltgtruri", 400),
    ("lwsruri", 400),
    ("lwsstart", 400),
    ("trws", 400),
    ("escruri", 400),
    ("baddate", 200),
    ("regbadct", 405),
    ("badaspec", 200),
    ("baddn", 200),
    ("badvers", 505),
    ("mismatch01", 400),
    ("mismatch02", 400),
    ("bigcode", 0),
    ("badbranch", 200),
    ("insuf", 0),
    ("unkscm", 416),
    ("novelsc", 416),
    ("unksm2", 405),
    ("bext01", 420),
    ("invut", 415),
    ("regaut01", 405),
    ("multi01", 400),
    ("mcl01", 400),
    ("bcast", 0),
    ("zeromf", 200),
    ("cparam01", 405),
    ("cparam02", 405),
    ("regescrt", 405),
    ("sdp01", 406),
    ("inv2543", 400),
];

#[test]
#[expect(clippy::disallowed_methods, clippy::print_stderr, reason = "the messages lie in files")]
fn the_torture_messages_are_met_as_their_rfc_says() {
    let folder = "../shared/vectors/rfc4475";
    let Ok(json) = std::fs::read_to_string(format!("{folder}/expected.json")) else {
        eprintln!("skipped: {folder} is not here");
        return;
    };
    let expectations = expectations(&json);
    assert_eq!(expectations.len(), RFC4475.len());
    let mut wrong = Vec::new();
    for ((file, expected), (name, ours)) in expectations.iter().zip(RFC4475) {
        assert_eq!(*file, format!("{name}.dat"));
        let bytes = std::fs::read(format!("{folder}/{file}")).expect("a listed file");
        let (statuses, _) = answers(&[&bytes]);
        let last = statuses.last().copied().unwrap_or(0);
        if last != ours {
            wrong.push(format!("{name}: {last}, not {ours} ({expected})"));
        }
        // What the RFC wants refused must not be let through.
        let is_refused = expected.starts_with(['4', '5', 'd']) && !expected.contains("liberal");
        if is_refused && (200..300).contains(&last) && !expected.contains("or ") {
            wrong.push(format!("{name}: {last}, though {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_ordinary_invite_is_answered_at_once() {
    assert_eq!(answers(&[INVITE.as_bytes()]), (vec![100, 200], true));
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let texts: Vec<_> = [INVITE].into_iter().chain(REST).map(str::to_owned).collect();
    let snippets = prop::sample::select(vec![
        "\r\n",
        "\n",
        " ",
        "\t",
        ":",
        ";",
        ",",
        "\"",
        "<",
        ">",
        "\\",
        "\0",
        "\u{e9}",
        "[",
        "]",
        "@",
        "%00",
        "=",
        "99999999999",
        "-1",
        "Via:",
        "To: x\r\n",
        "SIP/2.0",
        "\r\n\r\n",
    ]);
    let edit = (any::<prop::sample::Index>(), 0..20_usize, snippets);
    (prop::sample::select(texts), prop::collection::vec(edit, 0..6)).prop_map(|(text, edits)| {
        let mut bytes = text.into_bytes();
        for (at, removed, inserted) in edits {
            let at = at.index(bytes.len() + 1);
            let end = (at + removed).min(bytes.len());
            bytes.splice(at..end, inserted.bytes());
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_mutation_panics_or_leaves_a_timer_for_ever(
        datagrams in prop::collection::vec(mutated(), 1..5),
    ) {
        #[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
        let mut now = Instant::now();
        let mut endpoint = endpoint();
        for datagram in &datagrams {
            endpoint.handle_datagram(now, source(), datagram);
            while let Some(output) = endpoint.poll_output() {
                if let Output::Event { call, event: Event::Invited(_) } = output {
                    endpoint.accept(now, call, "v=0".to_owned(), &[]);
                }
            }
        }
        let mut steps = 0;
        while let Some(next) = endpoint.poll_timeout() {
            now = now.max(next);
            endpoint.handle_timeout(now);
            while endpoint.poll_output().is_some() {}
            steps += 1;
            prop_assert!(steps < 1_000, "a timer never ends");
        }
        let stats = endpoint.stats();
        prop_assert_eq!((stats.calls_alive, stats.transactions_alive), (0, 0));
    }

    #[test]
    fn what_is_read_is_written_and_read_alike(datagram in mutated()) {
        if let Ok(Message::Request(request)) = Message::parse(&datagram) {
            let again = Message::parse(&request.message.to_bytes());
            prop_assert_eq!(again, Ok(Message::Request(request)));
        }
    }
}

#[test]
fn a_stranger_cannot_touch_a_call() {
    let bye = REST[2].as_bytes();
    assert_eq!(answers(&[INVITE.as_bytes(), bye]), (vec![100, 200, 481], true));
    let info = REST[2].replace("BYE", "INFO").replace("bKc", "bKd");
    assert_eq!(answers(&[INVITE.as_bytes(), info.as_bytes()]), (vec![100, 200, 481], true));
}

#[test]
fn repeats_and_merged_copies_are_told_apart() {
    let merged = INVITE.replace("branch=z9hG4bKa", "branch=z9hG4bKother");
    // The success is the dialog's to repeat, so a repeated INVITE is met with silence.
    let (statuses, _) = answers(&[INVITE.as_bytes(), INVITE.as_bytes(), merged.as_bytes()]);
    assert_eq!(statuses, [100, 200, 482]);
}

#[test]
fn methods_that_we_never_act_upon_are_refused() {
    let refused: BTreeSet<_> =
        ["REFER", "MESSAGE", "NOTIFY", "UPDATE", "PRACK", "SUBSCRIBE", "PUBLISH"]
            .map(|method| answers(&[REST[0].replace("OPTIONS", method).as_bytes()]).0)
            .into();
    assert_eq!(refused, BTreeSet::from([vec![405]]));
}
