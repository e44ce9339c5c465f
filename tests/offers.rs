//! Offers of recorders and PBXs, and odd ones, answered by one who only listens.

use sidetone::sdp::answer::{AnswerError, Negotiated, Order, Protection, Terms};
use sidetone::sdp::codec::Codec;
use sidetone::sdp::direction::Direction;
use sidetone::sdp::offer::{Offer, OfferError};
use sidetone::sdp::session::{Local, Origin, offer};

const ALL: [Codec; 6] = Codec::ALL;
/// What Asterisk 22 was seen to offer.
const ASTERISK: &str = "m=audio 12000 RTP/AVP 0 8 9 107 101 102\r\na=rtpmap:0 PCMU/8000\r\n\
    a=rtpmap:8 PCMA/8000\r\na=rtpmap:9 G722/8000\r\na=rtpmap:107 opus/48000/2\r\n\
    a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=rtpmap:102 telephone-event/48000\r\n\
    a=ptime:20\r\na=maxptime:60\r\na=sendrecv\r\n";

fn described(media: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=x\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n{media}")
}

fn local() -> Local {
    Local { rtp: "192.0.2.7:40000".parse().expect("an address"), rtcp_port: 40001 }
}

fn answer(media: &str, codecs: &[Codec]) -> Result<(String, Negotiated), AnswerError> {
    answer_whole(&described(media), codecs)
}

fn answer_whole(text: &str, codecs: &[Codec]) -> Result<(String, Negotiated), AnswerError> {
    let offer = Offer::parse(text).expect("a well-formed offer");
    offer.answer(&Terms::plain(local(), codecs), &mut Origin::new(5))
}

fn settled(media: &str) -> Negotiated {
    answer(media, &ALL).expect("an answer").1
}

/// Every session description within `text`, a multipart body or several bodies in a row.
fn descriptions(text: &str) -> Vec<String> {
    let is_line = |line: &&str| line.as_bytes().get(1) == Some(&b'=') && !line.starts_with("--");
    let begins = text.lines().enumerate().filter(|(_, line)| *line == "v=0").map(|(at, _)| at);
    begins
        .map(|at| {
            text.lines().skip(at).take_while(is_line).map(|line| format!("{line}\r\n")).collect()
        })
        .collect()
}

#[test]
#[expect(clippy::disallowed_methods, clippy::print_stderr, reason = "the offers lie in files")]
fn each_recorders_offer_gets_one_stream_and_every_line_its_place() {
    let folder = "../shared/vectors/siprec-offers";
    let Ok(files) = std::fs::read_dir(folder) else {
        eprintln!("skipped: {folder} is not here");
        return;
    };
    let mut answered = 0;
    for file in files {
        let path = file.expect("a readable folder").path();
        let text = std::fs::read_to_string(&path).expect("a readable file");
        // One donor blanked the address.
        let text = text.replace("X.X.X.X", "192.0.2.99");
        for description in descriptions(&text) {
            let context = format!("{}: {description}", path.display());
            let (answer, negotiated) = answer_whole(&description, &ALL).expect(&context);
            let lines = |text: &str| text.lines().filter(|l| l.starts_with("m=")).count();
            assert_eq!(lines(&answer), lines(&description), "{context}");
            assert_eq!(answer.matches("m=audio 40000 ").count(), 1, "{context}");
            assert!(!negotiated.payload_types.is_empty(), "{context}");
            // FreeSWITCH's file is an answer of one who only listens, like us.
            let held = ["a=inactive", "a=recvonly"].iter().any(|line| description.contains(line));
            let direction = if held { Direction::Inactive } else { Direction::RecvOnly };
            assert_eq!(negotiated.direction, direction, "{context}");
            answered += 1;
        }
    }
    assert!(answered >= 14, "only {answered} descriptions were found");
}

#[test]
fn only_what_was_offered_is_answered_in_the_offers_order() {
    let (text, negotiated) = answer(ASTERISK, &ALL).expect("an answer");
    let offered = [(0, Codec::Pcmu), (8, Codec::Pcma), (9, Codec::G722), (107, Codec::Opus)];
    assert_eq!(negotiated.payload_types, offered);
    assert_eq!(
        text,
        "v=0\r\no=sidetone 5 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n\
         m=audio 40000 RTP/AVP 0 8 9 107 101 102\r\na=rtpmap:0 PCMU/8000\r\n\
         a=rtpmap:8 PCMA/8000\r\na=rtpmap:9 G722/8000\r\na=rtpmap:107 opus/48000/2\r\n\
         a=fmtp:107 maxplaybackrate=16000;stereo=0;useinbandfec=1\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
         a=rtpmap:102 telephone-event/48000\r\na=fmtp:102 0-15\r\n\
         a=ptime:20\r\na=recvonly\r\n"
    );
    let (text, _) = answer("m=audio 1 RTP/AVP 0 101\r\n", &ALL).expect("an answer");
    assert!(text.contains("m=audio 40000 RTP/AVP 0\r\n"), "101 has no rtpmap: {text}");
}

#[test]
fn where_we_choose_the_order_it_is_ours() {
    let offer = Offer::parse(&described(ASTERISK)).expect("a well-formed offer");
    let codecs = [Codec::Opus, Codec::G722, Codec::Pcma];
    let terms = Terms { order: Order::Ours, ..Terms::plain(local(), &codecs) };
    let (text, _) = offer.answer(&terms, &mut Origin::new(5)).expect("an answer");
    assert!(text.contains("RTP/AVP 107 9 8 101 102\r\n"), "{text}");
}

#[test]
fn wide_and_linear_codecs_are_told_by_name_and_clock() {
    let media = "m=audio 6 RTP/AVP 9 96 97 98 99 10\r\na=rtpmap:96 L16/16000\r\n\
        a=rtpmap:97 l16/8000/1\r\na=rtpmap:98 L16/8000/2\r\na=rtpmap:99 L16/44100\r\n";
    let expected = [(9, Codec::G722), (96, Codec::L16Wide), (97, Codec::L16)];
    assert_eq!(settled(media).payload_types, expected, "neither stereo nor music");
}

#[test]
fn events_and_noise_are_taken_for_every_clock_of_a_codec_that_is() {
    let both = "m=audio 6 RTP/AVP 8 107 13 96 97 101 102\r\na=rtpmap:107 opus/48000/2\r\n\
        a=rtpmap:96 CN/16000\r\na=rtpmap:97 CN/48000\r\na=rtpmap:101 telephone-event/8000\r\n\
        a=rtpmap:102 telephone-event/48000\r\n";
    let negotiated = settled(both);
    assert_eq!(negotiated.telephone_events, [(101, 8_000), (102, 48_000)]);
    assert_eq!(negotiated.comfort_noise, [(13, 8_000), (97, 48_000)]);
    let (text, _) = answer(both, &[Codec::Pcma]).expect("an answer");
    assert!(text.contains("RTP/AVP 8 13 101\r\n") && text.contains("a=rtpmap:13 CN/8000\r\n"));
    // G.722 has a clock of 8 kHz whatever it sounds like (RFC 3551 4.5.2).
    let (text, _) = answer(ASTERISK, &[Codec::G722]).expect("an answer");
    assert!(text.contains("RTP/AVP 9 101\r\n"), "{text}");
}

#[test]
fn reports_about_the_voice_are_promised_where_they_are_asked_for() {
    let xr = |line: &str| {
        let offered = format!("{ASTERISK}{line}");
        let (text, negotiated) = answer(&offered, &ALL).expect("an answer");
        assert_eq!(text.contains("a=rtcp-xr:voip-metrics\r\n"), negotiated.xr, "{text}");
        negotiated.xr
    };
    assert!(
        xr("a=rtcp-xr:rcvr-rtt=all:10000 voip-metrics\r\n") && xr("a=rtcp-xr:voip-metrics\r\n")
    );
    assert!(!xr("") && !xr("a=rtcp-xr:pkt-loss-rle\r\n") && !xr("a=rtcp-xr\r\n"));
}

#[test]
fn packet_times_are_echoed_where_they_are_sane() {
    let ptime = |lines: &str| settled(&format!("m=audio 6 RTP/AVP 0\r\n{lines}")).ptime;
    assert_eq!(ptime("a=ptime:120\r\n"), Some(120));
    assert_eq!(ptime("a=ptime:30\r\na=maxptime:30\r\n"), Some(30));
    assert_eq!(ptime("a=ptime:40\r\na=maxptime:30\r\n"), None);
    assert_eq!((ptime("a=ptime:5\r\n"), ptime("a=ptime:200\r\n"), ptime("")), (None, None, None));
}

#[test]
fn directions_are_those_of_a_listener() {
    let direction = |line: &str| settled(&ASTERISK.replace("a=sendrecv", line)).direction;
    assert_eq!(direction("a=sendonly"), Direction::RecvOnly);
    assert_eq!(direction("a=x"), Direction::RecvOnly);
    assert_eq!(direction("a=recvonly"), Direction::Inactive);
    assert_eq!(direction("a=inactive"), Direction::Inactive);
    let old_hold = format!("{ASTERISK}c=IN IP4 0.0.0.0\r\n").replace("a=sendrecv\r\n", "");
    let old_hold = described(&old_hold).replacen("c=IN IP4 192.0.2.1", "c=IN IP4 0.0.0.0", 1);
    assert_eq!(answer_whole(&old_hold, &ALL).expect("an answer").1.direction, Direction::Inactive);
}

#[test]
fn who_sends_silence_says_so_where_it_would_be_heard() {
    let direction = |offered: &str, codecs| {
        let offered = described(&ASTERISK.replace("a=sendrecv", offered));
        let offer = Offer::parse(&offered).expect("a well-formed offer");
        let terms = Terms { sends: true, ..Terms::plain(local(), codecs) };
        let (_, negotiated) = offer.answer(&terms, &mut Origin::new(5)).expect("an answer");
        negotiated.direction
    };
    assert_eq!(direction("a=sendrecv", &ALL), Direction::SendRecv);
    assert_eq!(direction("a=recvonly", &ALL), Direction::SendOnly);
    assert_eq!(direction("a=sendonly", &ALL), Direction::RecvOnly);
    assert_eq!(direction("a=inactive", &ALL), Direction::Inactive);
    assert_eq!(direction("a=sendrecv", &[Codec::Opus]), Direction::RecvOnly, "no encoder for it");
}

#[test]
fn a_stream_switched_off_stays_off() {
    let (text, negotiated) = answer("m=audio 0 RTP/AVP 0\r\n", &ALL).expect("an answer");
    assert!(text.contains("m=audio 0 RTP/AVP 0\r\n"), "{text}");
    assert_eq!((negotiated.direction, negotiated.rtcp.port()), (Direction::Inactive, 0));
}

#[test]
fn other_lines_are_refused_in_their_place() {
    let media = "m=video 5 RTP/AVP 96 97\r\nm=audio 6 RTP/SAVP 0\r\nm=audio 7 RTP/AVPF 8\r\n\
        a=label:2\r\nm=audio 8 RTP/AVP 0\r\nm=image 9 udptl t38\r\n";
    let (text, negotiated) = answer(media, &ALL).expect("an answer");
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("m=")).collect();
    let expected = [
        "m=video 0 RTP/AVP 96 97",
        "m=audio 0 RTP/SAVP 0",
        "m=audio 40000 RTP/AVPF 8",
        "m=audio 0 RTP/AVP 0",
        "m=image 0 udptl t38",
    ];
    assert_eq!(lines, expected);
    assert_eq!(negotiated.label.as_deref(), Some("2"));
    assert!(text.contains("a=label:2\r\n"));
}

#[test]
fn what_cannot_be_heard_is_refused_with_a_reason() {
    let refused = |media| answer(media, &[Codec::Pcmu]).expect_err("refused");
    assert_eq!(refused("m=audio 6 RTP/SAVP 0\r\n"), AnswerError::Encrypted);
    assert_eq!(refused("m=audio 6 UDP/TLS/RTP/SAVPF 0\r\n"), AnswerError::Encrypted);
    assert_eq!(refused("m=audio 6 RTP/AVP 8\r\n"), AnswerError::NoCodec);
    assert_eq!(refused("m=audio 6 RTP/AVP 0\r\na=rtpmap:0 PCMU/16000\r\n"), AnswerError::NoCodec);
    assert_eq!(refused("m=video 6 RTP/AVP 0\r\n"), AnswerError::NoAudio);
}

#[test]
fn broken_descriptions_name_the_field() {
    let error = |text: &str| Offer::parse(text).expect_err("broken");
    assert_eq!(error("hello"), OfferError::Syntax);
    assert_eq!(error(&described("")), OfferError::NoMedia);
    assert_eq!(error(&described("m=audio 6 RTP/AVP 0 PCMU\r\n")), OfferError::PayloadType);
    assert_eq!(error(&described("m=audio 6 RTP/AVP 0 200\r\n")), OfferError::PayloadType);
    assert_eq!(error(&described("m=audio 6 RTP/AVP 0\r\na=rtcp:x\r\n")), OfferError::Rtcp);
    // Not even of a multicast stream, which is refused, would we repeat such a line.
    let multicast = "m=audio 6 RTP/AVP 0 x\r\nc=IN IP4 224.2.1.1/127\r\nm=audio 7 RTP/AVP 0\r\n";
    assert_eq!(error(&described(multicast)), OfferError::PayloadType);
    let named = described(ASTERISK).replace("c=IN IP4 192.0.2.1", "c=IN IP4 pbx.local");
    assert_eq!(error(&named), OfferError::Connection);
}

#[test]
fn rtcp_is_found_where_they_say() {
    let rtcp = |line: &str| settled(&format!("m=audio 6 RTP/AVP 0\r\n{line}")).rtcp.to_string();
    assert_eq!(rtcp(""), "192.0.2.1:7");
    assert_eq!(rtcp("a=rtcp:99\r\n"), "192.0.2.1:99");
    assert_eq!(rtcp("a=rtcp:99 IN IP6 2001:db8::5\r\n"), "[2001:db8::5]:99");
    assert_eq!(rtcp("a=rtcp-mux\r\n"), "192.0.2.1:6");
    let (text, _) = answer("m=audio 6 RTP/AVP 0\r\na=rtcp-mux\r\n", &ALL).expect("an answer");
    assert!(text.contains("a=rtcp-mux\r\n"));
}

#[test]
fn the_version_rises_only_with_a_change() {
    let mut origin = Origin::new(5);
    let mut version = |media: &str| {
        let offer = Offer::parse(&described(media)).expect("an offer");
        let terms = Terms::plain(local(), &ALL);
        let (text, _) = offer.answer(&terms, &mut origin).expect("an answer");
        text.lines().nth(1).expect("an o= line").to_owned()
    };
    assert_eq!(version(ASTERISK), "o=sidetone 5 1 IN IP4 192.0.2.7");
    assert_eq!(version(ASTERISK), "o=sidetone 5 1 IN IP4 192.0.2.7");
    let held = ASTERISK.replace("sendrecv", "inactive");
    assert_eq!(version(&held), "o=sidetone 5 2 IN IP4 192.0.2.7");
}

#[test]
fn our_offer_and_its_answer_agree_in_ipv6_too() {
    let rtp = "[2001:db8::7]:40000".parse().expect("an address");
    let caller = Local { rtp, rtcp_port: 40005 };
    let (codecs, none) = ([Codec::Pcma, Codec::Opus], Protection::None);
    let text = offer(caller, &codecs, Direction::SendOnly, &none, &mut Origin::new(1));
    assert!(text.contains("c=IN IP6 2001:db8::7\r\n") && text.contains("a=rtcp:40005\r\n"));
    let heard = Offer::parse(&text).expect("our own offer");
    let terms = Terms::plain(local(), &[Codec::Pcma]);
    let (text, negotiated) = heard.answer(&terms, &mut Origin::new(2)).expect("an answer");
    assert_eq!((negotiated.rtp, negotiated.rtcp.port()), (rtp, 40005));
    assert_eq!(negotiated.direction, Direction::RecvOnly);
    let answer = Offer::parse(&text).expect("our own answer");
    let ours = answer.read_answer(&codecs, Direction::SendOnly, &none).expect("an agreement");
    assert_eq!((ours.direction, ours.payload_types), (Direction::SendOnly, vec![(8, Codec::Pcma)]));
    assert_eq!(ours.telephone_events, [(101, 8_000)]);
}

#[test]
fn the_time_of_the_offer_is_the_time_of_the_answer() {
    let text = described("m=audio 6 RTP/AVP 0\r\n").replace("t=0 0", "t=5 9");
    assert!(answer_whole(&text, &ALL).expect("an answer").0.contains("\r\nt=5 9\r\n"));
}

#[test]
fn an_answer_on_hold_leaves_nothing_to_hear() {
    let read = |connection: &str| {
        let text = described("m=audio 6 RTP/AVP 0\r\n").replace("c=IN IP4 192.0.2.1", connection);
        let answer = Offer::parse(&text).expect("an answer");
        let ours = answer.read_answer(&ALL, Direction::RecvOnly, &Protection::None);
        ours.expect("an agreement").direction
    };
    assert_eq!(read("c=IN IP4 0.0.0.0"), Direction::Inactive);
    assert_eq!(read("c=IN IP4 192.0.2.1"), Direction::RecvOnly);
}
