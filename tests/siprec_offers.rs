//! Recording clients' offers, answered by a recording server: who is heard on each stream, and what is agreed.
//!
//! The vendors' own lie in `../shared/vectors/siprec-offers`; where that is absent, the tests over them say so and pass.

#[path = "siprec/client.rs"]
mod client;

use client::{Answered, answer, offered};
use sidetone::siprec::metadata::MetadataFault;

/// A vendor's offer: its file, who is heard on each stream that is (`label party address`), the kind of fault in its
/// metadata, and our m-lines, each with its direction.
struct Expected {
    file: &'static str,
    heard: &'static [&'static str],
    fault: Option<&'static str>,
    lines: &'static [&'static str],
}

const VENDORS: &[Expected] = &[
    Expected {
        file: "acme-siprec-offer",
        heard: &["16777227 caller 9000@192.168.50.102", "16777228 agent 1002@192.168.50.10"],
        fault: None,
        lines: &["RTP/AVP 0 recvonly", "RTP/AVP 0 recvonly"],
    },
    Expected {
        file: "broadworks-offer-2",
        heard: &["10 caller 9878942259@212.188.68.145", "20 agent ASBCE@asbce.com"],
        fault: None,
        lines: &["RTP/AVP 8 97 recvonly", "RTP/AVP 8 97 recvonly"],
    },
    // Its one stream holds everybody, and its metadata was blanked to text.
    Expected {
        file: "broadworks-offer",
        heard: &["1 mixed"],
        fault: Some("not_recording"),
        lines: &["RTP/AVP 8 0 9 101 recvonly"],
    },
    Expected {
        file: "cisco-siprec-offer",
        heard: &["1 caller 7301@35.162.237.204", "2 agent 7300@35.162.237.204"],
        fault: None,
        lines: &["RTP/AVP 0 101 recvonly", "RTP/AVP 0 101 recvonly"],
    },
    // Nobody is said to send anything: two people and two streams, in the same order.
    Expected {
        file: "connectel-offer",
        heard: &["1 caller 0771121212@52.57.92.239", "2 agent 0760516936@sip-cust1.connectel.io"],
        fault: None,
        lines: &["RTP/AVP 0 8 101 recvonly", "RTP/AVP 8 0 101 recvonly"],
    },
    Expected {
        file: "connectel-offer2",
        heard: &["1 caller 0771121212@52.57.92.239", "2 agent 0760516936@sip-cust1.connectel.io"],
        fault: None,
        lines: &["RTP/AVP 0 8 101 recvonly", "RTP/AVP 8 0 101 recvonly"],
    },
    Expected {
        file: "connectel-offer3",
        heard: &["1 caller 0771121212@52.57.92.239", "2 agent 0760516936@sip-cust1.connectel.io"],
        fault: None,
        lines: &["RTP/AVP 0 8 101 recvonly", "RTP/AVP 8 0 101 recvonly"],
    },
    // On hold from the beginning: the streams are kept, each in its place.
    Expected {
        file: "inactive-sdp-offer",
        heard: &["1 caller 0733165805@192.168.40.34", "2 agent +972546136443@192.168.10.140"],
        fault: None,
        lines: &["RTP/AVP 0 19 101 inactive", "RTP/AVP 0 19 101 inactive"],
    },
    // Not from a recording client: the same body in an ordinary call.
    Expected {
        file: "non-siprec-payload",
        heard: &["1 mixed"],
        fault: None,
        lines: &["RTP/AVP 0 101 recvonly"],
    },
    // SEMS writes an address that is no URI, and a type without +xml.
    Expected {
        file: "procomm-siprec-offer",
        heard: &[
            "a_leg caller 016190200@87.252.209.116",
            "b_leg agent Extension-016190619@speechpath.ie",
        ],
        fault: None,
        lines: &["RTP/AVP 8 recvonly", "RTP/AVP 8 recvonly"],
    },
    // Who is named first sends the second stream.
    Expected {
        file: "sonus-siprec-offer",
        heard: &["1 agent 2249888012@172.16.195.72", "2 caller 2249888500@172.16.198.55"],
        fault: None,
        lines: &["RTP/AVP 0 recvonly", "RTP/AVP 0 recvonly"],
    },
];

#[test]
#[expect(clippy::disallowed_methods, clippy::print_stderr, reason = "the offers lie in files")]
fn every_vendors_offer_is_answered_as_it_needs_and_every_party_known() {
    let folder = "../shared/vectors/siprec-offers";
    if !std::path::Path::new(folder).is_dir() {
        eprintln!("skipped: {folder} is not here");
        return;
    }
    for Expected { file, heard, fault, lines } in VENDORS {
        let text = std::fs::read_to_string(format!("{folder}/drachtio-{file}.txt"));
        // One donor blanked the address.
        let text = text.expect("a file").replace("X.X.X.X", "192.0.2.99");
        for text in [text.clone(), text.replace('\n', "\r\n")] {
            let first = text.trim_start().lines().next().unwrap_or_default().trim();
            let content_type = match first.strip_prefix("--") {
                Some(boundary) => format!("multipart/mixed;boundary={boundary}"),
                None => "application/sdp".to_owned(),
            };
            let Answered { parties, fault: found, sdp, contact, supported } =
                answer(&content_type, text.trim_start());
            assert_eq!(parties, *heard, "{file}");
            assert_eq!(found.map(MetadataFault::as_str), *fault, "{file}");
            assert_eq!(offered(&sdp), *lines, "{file}: {sdp}");
            for party in *heard {
                let label = party.split(' ').next().expect("a label");
                assert!(sdp.contains(&format!("a=label:{label}\r\n")), "{file}: {sdp}");
            }
            assert!(contact.ends_with(">;+sip.srs"), "{file}: {contact}");
            assert!(supported.contains(&"siprec".to_owned()), "{file}: {supported:?}");
        }
    }
}

#[test]
#[expect(clippy::disallowed_methods, clippy::print_stderr, reason = "the offers lie in files")]
fn a_stream_alone_is_heard_whatever_its_client_leaves_out() {
    let folder = "../shared/vectors/siprec-offers";
    let mut answered = 0;
    for (name, lines) in [
        ("sample-sdp2", ["RTP/AVP 8 0 101 recvonly", "RTP/AVP 0 recvonly"]),
        // The second is a listener's own: nothing comes from it.
        ("sample-sdp3", ["RTP/AVP 8 101 recvonly", "RTP/AVP 8 101 inactive"]),
        ("sample-sdps", ["RTP/AVP 0 recvonly", "RTP/AVP 0 recvonly"]),
    ] {
        let Ok(text) = std::fs::read_to_string(format!("{folder}/drachtio-{name}.txt")) else {
            eprintln!("skipped: {folder} is not here");
            return;
        };
        for (text, line) in text.split("__split_here__\n").zip(lines) {
            let Answered { parties, sdp, .. } = answer("application/sdp", text);
            assert_eq!(parties.len(), 1, "{name}");
            assert_eq!(offered(&sdp), [line], "{name}: {sdp}");
            answered += 1;
        }
    }
    assert_eq!(answered, 6);
}

const SESSION: &str = "v=0\r\no=src 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";

#[test]
fn only_what_was_offered_for_a_stream_is_in_its_line_and_what_cannot_be_heard_keeps_its_place() {
    let offer = format!(
        "{SESSION}m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=label:a\r\n\
         m=audio 4002 RTP/AVP 18\r\na=label:b\r\nm=video 4004 RTP/AVP 96\r\n\
         m=audio 0 RTP/AVP 8\r\na=label:c\r\nm=audio 4006 RTP/AVP 8\r\na=label:d\r\na=inactive\r\n"
    );
    let Answered { parties, sdp, .. } = answer("application/sdp", &offer);
    assert_eq!(parties, ["a caller", "d agent"]);
    let lines: Vec<_> = sdp.lines().filter(|line| line.starts_with("m=")).collect();
    let expected = [
        "m=audio 20000 RTP/AVP 0 101",
        "m=audio 0 RTP/AVP 18",
        "m=video 0 RTP/AVP 96",
        "m=audio 0 RTP/AVP 8",
        "m=audio 20008 RTP/AVP 8",
    ];
    assert_eq!(lines, expected);
    assert_eq!(offered(&sdp), ["RTP/AVP 0 101 recvonly", "RTP/AVP 8 inactive"]);
}

#[test]
fn encrypted_streams_have_keys_of_their_own() {
    let key = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
    let line = format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}\r\n");
    let offer = format!(
        "{SESSION}m=audio 4000 RTP/SAVP 0\r\n{line}a=label:a\r\nm=audio 4002 RTP/SAVP 0\r\n{line}a=label:b\r\n"
    );
    let Answered { sdp, .. } = answer("application/sdp", &offer);
    let ours: Vec<_> = sdp.lines().filter(|line| line.starts_with("a=crypto:1 ")).collect();
    assert_eq!(ours.len(), 2, "{sdp}");
    assert!(ours[0] != ours[1] && ours.iter().all(|line| !line.contains(key)), "{sdp}");
}
