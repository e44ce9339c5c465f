//! Captures and recordings, analysed: real ones with what is known of them, and ones made here with every
//! link, version of IP and way of SIP. Skips the real ones where they are not beside us.
#![expect(clippy::disallowed_methods, reason = "a test reads and writes its files")]

mod appliance;
mod store;
mod wire;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use appliance::{SUBJECT, Site, write_wav};
use serde_json::Value;
use sidetone::audio::g711;
use sidetone::audio::pcm;
use store::{skip, store};
use wire::{
    Capture, ETHERNET, INVITE, OK, RAW, SLL, SLL2, TCP, UDP, datagram, frame, ip, rtp, sdp, sip,
    tcp, udp, v4, v6,
};

/// Where the real captures are.
const VECTORS: &str = "../shared/vectors/pcap";

/// Every capture of the folder: exit code, what stands in the fault, and a line for each leg.
const CAPTURES: &[(&str, i32, &str, &[&str])] = &[
    ("asterisk-testsuite-40msalaw.pcap", 0, "", &["PCMA/8000 826 40ms 1 source, 0 lost, keys ''"]),
    // Fax: UDPTL on the port that was RTP's.
    ("asterisk-testsuite-crash.pcap", 1, "could be heard", &[]),
    (
        "asterisk-testsuite-opus-2013785496.pcap",
        0,
        "",
        &["opus/48000/2 725, telephone-event/48000 40 20ms 1 source, 0 lost, keys '2013785496'"],
    ),
    // One packet, and two of two sources: no stream.
    ("asterisk-testsuite-ssrc1.pcap", 1, "could be heard", &[]),
    ("asterisk-testsuite-ssrc2.pcap", 1, "could be heard", &[]),
    (
        "freeswitch-milliwatt.pcmu.rtp.pcap",
        0,
        "",
        &["PCMU/8000 232 20ms 1 source, 0 lost, keys ''"],
    ),
    (
        "ndpi-rtp.pcapng",
        0,
        "",
        &[
            "H263/90000 15 - 1 source, 0 lost, keys ''",
            "unknown 7 - 1 source, 0 lost, keys ''",
            "opus/48000/2 29 20ms 1 source, 0 lost, keys ''",
        ],
    ),
    ("ndpi-sip.pcap", 0, "", &["PCMA/8000/1 9 20ms 1 source, 0 lost, keys ''"]),
    ("sipp-dtmf_2833_1.pcap", 0, "", &["telephone-event/8000 10 - 1 source, 0 lost, keys '1'"]),
    ("sipp-dtmf_2833_pound.pcap", 0, "", &["telephone-event/8000 10 - 1 source, 0 lost, keys '#'"]),
    ("sipp-g711a.pcap", 0, "", &["PCMA/8000 236 30ms 1 source, 0 lost, keys ''"]),
    ("suricata-sip-compact-form-sip_compact_form.pcap", 1, "could be heard", &[]),
    ("suricata-sip-method-sip.pcap", 0, "", &["PCMA/8000/1 9 20ms 1 source, 0 lost, keys ''"]),
    ("tcpdump-rtp-seg-fault-1.pcapng", 1, "could be heard", &[]),
];

/// A site that needs no models.
fn site() -> Site {
    Site::new(Path::new("/nonexistent/models"))
}

/// A real capture, or a word on why the test does nothing.
fn vector(name: &str) -> Option<Vec<u8>> {
    let path = format!("{VECTORS}/{name}");
    let bytes = fs::read(&path);
    if let Err(error) = &bytes {
        skip(&format!("{path}: {error}"));
    }
    bytes.ok()
}

/// Exit code and the entry of the one file that was analysed.
fn analyzed(site: &Site, arguments: &[&str]) -> (i32, Value) {
    let output = site.run(&[&["analyze", "--json"], arguments].concat());
    assert!(output.stderr.is_empty(), "{output:?}");
    let mut document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    (output.status.code().expect("it ends"), document["files"][0].take())
}

/// What came of `capture`.
fn analyze(capture: &Capture) -> Value {
    let site = site();
    site.write("made.pcap", &capture.bytes);
    analyzed(&site, &["made.pcap"]).1
}

/// One leg in a line.
fn line(leg: &Value) -> String {
    let codecs = leg["codecs"].as_array().expect("codecs").iter();
    let codecs = codecs.map(|codec| {
        format!("{} {}", codec["name"].as_str().unwrap_or("unknown"), codec["packets"])
    });
    let codecs = codecs.collect::<Vec<_>>().join(", ");
    let ptime = leg["ptime_ms"].as_u64().map_or("-".to_owned(), |ptime| format!("{ptime}ms"));
    let sources = leg["sources"].as_array().expect("sources").len();
    let (lost, digits) = (&leg["lost"], leg["digits"].as_str().expect("digits"));
    format!("{codecs} {ptime} {sources} source, {lost} lost, keys '{digits}'")
}

fn lines(file: &Value) -> Vec<String> {
    file["legs"].as_array().expect("legs").iter().map(line).collect()
}

#[test]
fn every_real_capture_gives_what_is_known_of_it() {
    let Ok(folder) = fs::read_dir(VECTORS) else { return skip("no captures beside us") };
    let present: Vec<_> = folder
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    let site = site();
    for name in &present {
        let known = CAPTURES.iter().find(|(known, ..)| known == name);
        let (_, code, fault, legs) = known.expect("a row in CAPTURES for every capture");
        let path = std::path::absolute(format!("{VECTORS}/{name}")).expect("a path");
        let (found, file) = analyzed(&site, &[&path.to_string_lossy()]);
        assert_eq!(found, *code, "{name}: {file}");
        assert_eq!(lines(&file), *legs, "{name}");
        assert!(file["fault"].as_str().unwrap_or_default().contains(fault), "{name}: {file}");
    }
}

#[test]
fn the_same_files_give_the_same_octets() {
    let site = site();
    site.write("call.pcap", call(ETHERNET, &[], false).bytes);
    write_wav(&site.path("tone.wav"), &tone(8_000));
    for form in [&["analyze", "--json"][..], &["analyze"]] {
        let run = || site.run(&[form, &["call.pcap", "tone.wav"]].concat());
        let (first, second) = (run(), run());
        assert_eq!(first.stdout, second.stdout);
        assert!(first.status.success() && first.stdout.len() > 500, "{first:?}");
        assert!(!first.stdout.contains(&0x1b), "no colours into a pipe");
    }
}

#[test]
fn a_captured_milliwatt_tone_has_its_level_and_pitch() {
    let Some(capture) = vector("freeswitch-milliwatt.pcmu.rtp.pcap") else { return };
    let site = site();
    site.write("milliwatt.pcap", &capture);
    let (_, file) = analyzed(&site, &["milliwatt.pcap"]);
    let line = &file["legs"][0]["line"];
    let figure = |name: &str| line[name].as_f64().expect("a figure");
    // 0 dBm0 in mu-law is 3.17 dB below its largest sine (G.711 §4), and so -6.18 dBFS;
    // FreeSWITCH generates tones at -7 dB unless told otherwise.
    for level in ["level_dbfs", "tone_dbfs"] {
        assert!((figure(level) + 13.18).abs() < 0.1, "{line}");
    }
    assert!((figure("tone_hz") - 1_004.0).abs() < 1.0, "{line}");
}

/// `count` samples of a tone of 440 Hz at 8 kHz.
fn tone(count: usize) -> Vec<f32> {
    let angle = |n: usize| n as f32 * 440.0 * std::f32::consts::TAU / 8_000.0;
    (0..count).map(|n| 0.3 * angle(n).sin()).collect()
}

/// 20 ms of it in mu-law.
fn coded(n: u16) -> Vec<u8> {
    let samples = pcm::to_i16(&tone(usize::from(n + 1) * 160)[usize::from(n) * 160..]);
    samples.into_iter().map(g711::encode_ulaw).collect()
}

/// One end of the call, by version of IP.
fn end(host: u8, port: u16, six: bool) -> SocketAddr {
    if six { v6(host.into(), port) } else { v4(host, port) }
}

/// A call of a second: INVITE and answer, then mu-law both ways, 50 packets each.
fn call(link: u32, vlans: &[u16], six: bool) -> Capture {
    let mut capture = Capture::new(link);
    let mut push = |at, from: (u8, u16), to: (u8, u16), payload: &[u8]| {
        let packet = datagram(end(from.0, from.1, six), end(to.0, to.1, six), payload);
        capture.push(at, &frame(link, vlans, &packet));
    };
    let offer = sip(INVITE, "", "", &sdp(end(1, 4_000, six), "RTP/AVP", "0", ""));
    push(0, (1, 5_060), (2, 5_060), offer.as_bytes());
    let answer = sip(OK, ";tag=b", "", &sdp(end(2, 6_000, six), "RTP/AVP", "0", ""));
    push(50, (2, 5_060), (1, 5_060), answer.as_bytes());
    for n in 0..50 {
        let at = 100 + 20 * u32::from(n);
        push(at, (1, 4_000), (2, 6_000), &rtp(0, 7, n, 160, &coded(n)));
        push(at + 5, (2, 6_000), (1, 4_000), &rtp(0, 8, n, 160, &coded(n)));
    }
    capture
}

#[test]
fn a_call_is_read_from_every_link_and_both_versions_of_ip() {
    for (link, vlans) in [
        (ETHERNET, &[][..]),
        (ETHERNET, &[7]),
        (ETHERNET, &[100, 7]),
        (SLL, &[]),
        (SLL2, &[]),
        (RAW, &[]),
    ] {
        for six in [false, true] {
            let what = format!("link {link}, tags {vlans:?}, IPv6 {six}");
            let file = analyze(&call(link, vlans, six));
            assert_eq!(file["fault"], Value::Null, "{what}: {file}");
            let expected = "PCMU/8000 50 20ms 1 source, 0 lost, keys ''";
            assert_eq!(lines(&file), [expected, expected], "{what}");
            let parties: Vec<_> = [0, 1].map(|n| file["legs"][n]["party"].clone()).into();
            assert_eq!(parties, ["caller", "agent"], "{what}");
            assert_eq!(file["legs"][1]["call_id"], "call-1");
            assert_eq!(file["legs"][0]["from"], end(1, 4_000, six).to_string());
            assert_eq!(file["legs"][0]["audio_s"], 1.0, "{what}");
            assert_eq!(file["legs"][0]["started"], "2023-11-14T22:13:20.1Z");
        }
    }
}

/// What carries the SIP of a call whose audio is L16 at 16 kHz, under a number that only SDP explains.
fn wide(carry: impl Fn(&mut Capture, &str)) -> Value {
    let mut capture = Capture::new(RAW);
    let lines = format!("a=rtpmap:97 L16/16000\r\n{}", "a=x:padding\r\n".repeat(150));
    let description = sdp(v4(1, 4_000), "RTP/AVP", "97", &lines);
    carry(&mut capture, &sip(INVITE, "", "X-Sidetone-Party: agent\r\n", &description));
    for n in 0..50 {
        let packet = rtp(97, 7, n, 320, &[1; 640]);
        capture.push(100 + 20 * u32::from(n), &datagram(v4(1, 4_000), v4(2, 6_000), &packet));
    }
    analyze(&capture)
}

#[track_caller]
fn assert_wide(file: &Value) {
    assert_eq!(lines(file), ["L16/16000 50 20ms 1 source, 0 lost, keys ''"], "{file}");
    assert_eq!(file["legs"][0]["party"], "agent");
    assert_eq!(file["legs"][0]["audio_s"], 1.0);
}

#[test]
fn sip_in_fragments_is_put_together() {
    for six in [false, true] {
        let file = wide(|capture, message| {
            let (from, to) = (end(1, 5_060, six), end(2, 5_060, six));
            let whole = udp(5_060, 5_060, message.as_bytes());
            assert!(whole.len() > 1_480);
            // The second comes first.
            for (offset, part) in [(1_480, &whole[1_480..]), (0, &whole[..1_480])] {
                let place = Some((9, offset, offset == 0));
                capture.push(0, &ip(from.ip(), to.ip(), UDP, place, part));
            }
        });
        assert_wide(&file);
        assert_eq!(file["capture"]["network"]["fragments"], 2);
        assert_eq!(file["capture"]["network"]["reassembled"], 1);
    }
    let file = wide(|capture, message| {
        let whole = udp(5_060, 5_060, message.as_bytes());
        let (from, to) = (v4(1, 0).ip(), v4(2, 0).ip());
        capture.push(0, &ip(from, to, UDP, Some((9, 0, true)), &whole[..1_480]));
    });
    assert_eq!(file["capture"]["network"]["incomplete"], 1);
    assert_eq!(lines(&file), ["unknown 50 - 1 source, 0 lost, keys ''"], "nothing explains 97");
    assert_eq!(file["fault"], "nothing in made.pcap could be heard");
}

#[test]
fn sip_on_tcp_is_put_in_order() {
    let file = wide(|capture, message| {
        let segment = |sequence: u32, flags, part: &[u8]| {
            ip(v4(1, 0).ip(), v4(2, 0).ip(), TCP, None, &tcp(50_000, 5_060, sequence, flags, part))
        };
        let [first, rest] = [&message.as_bytes()[..300], &message.as_bytes()[300..]];
        capture.push(0, &segment(u32::MAX - 10, 0x02, b""));
        capture.push(1, &segment(u32::MAX - 9, 0x18, first));
        capture.push(2, &segment((u32::MAX - 9).wrapping_add(800), 0x18, &rest[500..]));
        capture.push(3, &segment(u32::MAX - 9, 0x18, first));
        capture.push(4, &segment((u32::MAX - 9).wrapping_add(300), 0x18, &rest[..500]));
    });
    assert_wide(&file);
    assert_eq!(file["capture"]["sip"]["calls"], 1);
}

/// Mu-law, or what claims to be it, from one port to another.
fn stream(capture: &mut Capture, begin_ms: u32, from: u16, ssrc: u32, packets: u16) {
    for n in 0..packets {
        let packet = rtp(0, ssrc, n, 160, &coded(n));
        let packet = datagram(v4(1, from), v4(2, 6_000), &packet);
        capture.push(begin_ms + 20 * u32::from(n), &packet);
    }
}

#[test]
fn a_source_that_changes_stays_one_leg_and_loses_nothing() {
    let mut capture = Capture::new(RAW);
    stream(&mut capture, 0, 4_000, 7, 50);
    stream(&mut capture, 1_000, 4_000, 8, 50);
    let file = analyze(&capture);
    assert_eq!(lines(&file), ["PCMU/8000 100 20ms 2 source, 0 lost, keys ''"]);
    assert_eq!(file["legs"][0]["source_changes"], 1);
    assert_eq!(file["legs"][0]["audio_s"], 2.0);
}

#[test]
fn a_re_invite_changes_what_a_number_means() {
    let mut capture = Capture::new(RAW);
    let describe = |capture: &mut Capture, at, name: &str| {
        let lines = format!("a=rtpmap:97 {name}\r\n");
        let invite = sip(INVITE, "", "", &sdp(v4(1, 4_000), "RTP/AVP", "97", &lines));
        capture.push(at, &datagram(v4(1, 5_060), v4(2, 5_060), invite.as_bytes()));
    };
    describe(&mut capture, 0, "PCMU/8000");
    for n in 0..100 {
        if n == 50 {
            describe(&mut capture, 1_090, "PCMA/8000");
        }
        let packet = rtp(97, 7, n, 160, &[0x2a; 160]);
        capture.push(100 + 20 * u32::from(n), &datagram(v4(1, 4_000), v4(2, 6_000), &packet));
    }
    let file = analyze(&capture);
    assert_eq!(file["legs"].as_array().map(Vec::len), Some(1), "one call, one leg: {file}");
    assert_eq!((&file["legs"][0]["audio_s"], &file["legs"][0]["lost"]), (&2.0.into(), &0.into()));
    let names: Vec<_> = file["legs"][0]["codecs"].as_array().expect("codecs").iter().collect();
    assert_eq!(names.len(), 2, "each meaning is told: {names:?}");
    // The same octet is as loud as each law has it, for half of the time.
    let power = |sample: i16| (f64::from(sample) / 32_768.0).powi(2);
    let powers = power(g711::decode_ulaw(0x2a)) + power(g711::decode_alaw(0x2a));
    let wanted = 10.0 * (powers / 2.0).log10();
    let level = file["legs"][0]["line"]["level_dbfs"].as_f64().expect("a level");
    assert!((level - wanted).abs() <= 0.1, "{level} for {wanted}");
}

#[test]
fn what_is_encrypted_is_named_and_not_played() {
    let mut capture = Capture::new(RAW);
    let invite = sip(INVITE, "", "", &sdp(v4(1, 4_000), "RTP/SAVP", "0", ""));
    capture.push(0, &datagram(v4(1, 5_060), v4(2, 5_060), invite.as_bytes()));
    stream(&mut capture, 10, 4_000, 7, 50);
    // No SDP tells of this one, but keys are agreed on before it.
    let hello = [22, 0xfe, 0xfd, 0, 0, 0, 0];
    capture.push(2_000, &datagram(v4(2, 6_000), v4(1, 4_100), &hello));
    stream(&mut capture, 2_010, 4_100, 9, 50);
    let file = analyze(&capture);
    assert!(lines(&file).is_empty(), "{file}");
    for n in 0..2 {
        assert_eq!(file["not_heard"][n]["why"], "encrypted");
        assert_eq!(file["not_heard"][n]["datagrams"]["rtp"], 50);
    }
    assert_eq!(file["fault"], "nothing in made.pcap could be heard");
}

#[test]
fn a_capture_that_was_cut_off_counts_as_far_as_it_goes() {
    let site = site();
    let mut capture = call(ETHERNET, &[], false).bytes;
    capture.truncate(capture.len() - 7);
    site.write("cut.pcap", &capture);
    let (code, file) = analyzed(&site, &["cut.pcap"]);
    assert_eq!((code, &file["fault"]), (1, &"cut.pcap: it ends in the middle of a frame".into()));
    let counts: Vec<_> = [0, 1].map(|n| file["legs"][n]["packets"].clone()).into();
    assert_eq!(counts, [50, 49]);
    // A bad file does not take the others with it.
    site.write("good.pcap", call(ETHERNET, &[], false).bytes);
    let output = site.run(&["analyze", "nowhere.pcap", "cut.pcap", "good.pcap"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.contains("cannot read nowhere.pcap: No such file or directory"), "{text}");
    assert_eq!(text.matches("    packets   50, lost 0").count(), 3, "{text}");
}

#[test]
fn the_channels_of_a_recording_are_two_legs_or_one() {
    let site = site();
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 8_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(site.path("two.wav"), spec).expect("a file");
    for sample in pcm::to_i16(&tone(24_000)) {
        wav.write_sample(sample).expect("a file");
        wav.write_sample(0_i16).expect("a file");
    }
    wav.finalize().expect("a file");
    let (code, file) = analyzed(&site, &["two.wav"]);
    assert_eq!((code, &file["kind"]), (0, &"recording".into()));
    let legs: Vec<_> =
        file["legs"].as_array().expect("legs").iter().map(|leg| &leg["party"]).collect();
    assert_eq!(legs, ["caller", "agent"]);
    for leg in file["legs"].as_array().expect("legs") {
        assert_eq!((&leg["audio_s"], &leg["lost"]), (&3.0.into(), &0.into()));
    }
    let (_, file) = analyzed(&site, &["--mixed", "two.wav"]);
    assert_eq!(lines(&file), ["pcm_s16le/8000 150 20ms 1 source, 0 lost, keys ''"]);
    assert_eq!(file["legs"][0]["party"], "mixed");
}

#[test]
fn packets_of_opus_in_ogg_are_played_as_they_are() {
    let site = site();
    let packets = opus_packets(100);
    site.write("tone.ogg", ogg(&packets));
    let (code, file) = analyzed(&site, &["tone.ogg"]);
    assert_eq!(
        (code, lines(&file)),
        (0, vec!["opus/48000/2 100 20ms 1 source, 0 lost, keys ''".into()])
    );
    assert_eq!(file["legs"][0]["audio_s"], 2.0);
    // And as what they sound like, for an enrolment.
    let samples = sidetone::runtime::audio_file::read_mono(&site.path("tone.ogg"), 8_000);
    let samples = samples.expect("a recording");
    assert!(samples.len().abs_diff(16_000) <= 1, "{} samples", samples.len());
    let level = pcm::level_dbfs(&samples[4_000..12_000]);
    assert!((level + 13.5).abs() < 1.0, "{level}");
}

/// Packets of 20 ms of [`tone`], at 8 kHz.
fn opus_packets(count: usize) -> Vec<Vec<u8>> {
    let encoder = audiopus::coder::Encoder::new(
        audiopus::SampleRate::Hz8000,
        audiopus::Channels::Mono,
        audiopus::Application::Voip,
    );
    let encoder = encoder.expect("an encoder");
    let samples = tone(count * 160);
    let encode = |samples: &[f32]| {
        let mut packet = vec![0; 1_500];
        let length = encoder.encode_float(samples, &mut packet).expect("a packet");
        packet.truncate(length);
        packet
    };
    samples.chunks(160).map(encode).collect()
}

/// An Ogg file of them (RFC 3533, RFC 7845), one packet a page.
fn ogg(packets: &[Vec<u8>]) -> Vec<u8> {
    let head = [&b"OpusHead\x01\x01"[..], &[0, 0], &8_000_u32.to_le_bytes(), &[0, 0, 0]].concat();
    let tags = [&b"OpusTags"[..], &[0; 8]].concat();
    let all = [&[head, tags][..], packets].concat();
    let mut file = Vec::new();
    for (n, packet) in all.iter().enumerate() {
        let kind = match n {
            0 => 2,
            n if n + 1 == all.len() => 4,
            _ => 0,
        };
        let position = 960 * (n as u64).saturating_sub(1);
        let mut page = [&b"OggS\0"[..], &[kind], &position.to_le_bytes()].concat();
        page.extend([7_u32, n as u32, 0].map(u32::to_le_bytes).concat());
        let mut lacing = vec![255; packet.len() / 255];
        lacing.push((packet.len() % 255) as u8);
        page.push(lacing.len() as u8);
        page.extend([&lacing[..], packet].concat());
        let sum = page.iter().fold(0_u32, |sum, &octet| {
            (0..8).fold(sum ^ u32::from(octet) << 24, |sum, _| {
                sum << 1 ^ if sum >> 31 == 1 { 0x04c1_1db7 } else { 0 }
            })
        });
        page[22..26].copy_from_slice(&sum.to_le_bytes());
        file.extend(page);
    }
    file
}

#[test]
fn asked_for_voice_and_phrases_are_judged() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    site.enroll();
    site.write(
        "watched.toml",
        "name = \"w\"\nversion = \"3\"\n[[phrase]]\nid = \"heaven\"\ntext = \"going direct to heaven\"\n",
    );
    write_wav(&site.path("call.wav"), &site.narrator());
    let claim = ["--voiceprint-of", SUBJECT, "--consent", "c-1"];
    let asked = [&["--policy", "watched.toml"][..], &claim, &["call.wav"]].concat();
    let (code, file) = analyzed(&site, &asked);
    assert_eq!(code, 0, "{file}");
    let verdicts = file["legs"][0]["verdicts"].as_array().expect("verdicts");
    let by_kind: BTreeMap<_, _> =
        verdicts.iter().map(|v| (v["kind"].as_str().expect("a kind"), v)).collect();
    assert_eq!(by_kind["speaker"]["decision"], "accepted", "{file}");
    assert_eq!(by_kind["keyword"]["phrase"], "heaven");
    assert_eq!(by_kind["keyword"]["policy"], "w@3");
    assert_eq!(analyzed(&site, &asked).1, file, "models too are deterministic");
    let stranger = ["--voiceprint-of", "nobody", "--consent", "c-1", "call.wav"];
    let verdict = &analyzed(&site, &stranger).1["legs"][0]["verdicts"][0];
    assert_eq!(
        (&verdict["decision"], &verdict["reason"]),
        (&"inconclusive".into(), &"no_voiceprint".into())
    );
}

#[test]
fn time_in_a_capture_may_stand_still_jump_and_run_back() {
    let mut capture = Capture::new(RAW);
    for n in 0..60 {
        let at = [0, 1_000_000_000, 500][usize::from(n) / 20] + 20 * u32::from(n % 20);
        let packet = datagram(v4(1, 4_000), v4(2, 6_000), &rtp(0, 7, n, 160, &coded(n)));
        capture.push(at, &packet);
    }
    let file = analyze(&capture);
    let packets: u64 = file["legs"]
        .as_array()
        .expect("legs")
        .iter()
        .map(|leg| leg["packets"].as_u64().expect("a count"))
        .sum();
    assert_eq!(packets, 60, "{file}");
}
