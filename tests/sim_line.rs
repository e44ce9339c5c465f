//! One party's line in simulated time: codecs that change, networks that delay, silence that is told.

#[path = "sim/party.rs"]
#[allow(dead_code, reason = "the tests of decisions need more of it")]
mod party;
#[path = "sim/phone.rs"]
#[allow(dead_code, reason = "the tests of decisions need more of it")]
mod phone;

use std::time::Duration;

use rtcp_types::{Bye, Compound, Packet as Rtcp, ReceiverReport, RtcpPacketWriterExt};
use sidetone::audio::decoder::Codec;
use sidetone::call::media_plan::MediaPlan;
use sidetone::policy::evidence::Evidence;
use sidetone::policy::line::{LineReport, LineState};
use sidetone::rtp::packet::{Packet, is_rtcp};

use party::{Party, plan};
use phone::{Datagram, EVENT, L16, PCMA, PTIME, Phone, RATE, SSRC, peer, voice};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn said(codec: Codec, audio: &[f32]) -> Vec<Datagram> {
    let mut phone = Phone::new(codec);
    phone.say(audio);
    phone.sent
}

fn tone(seconds: f32, hertz: f32, amplitude: f32) -> Vec<f32> {
    let sample =
        |n: usize| amplitude * (n as f32 * hertz * std::f32::consts::TAU / RATE as f32).sin();
    (0..(RATE as f32 * seconds) as usize).map(sample).collect()
}

/// The report with which the line was closed.
fn closed(party: &Party) -> &LineReport {
    let last = party.line.last().expect("a line is closed in the end");
    assert_eq!(last.state, LineState::Closed);
    &last.report
}

/// What became of the line, with the seconds at which it did.
fn states(party: &Party) -> Vec<(LineState, u64)> {
    party.line.iter().map(|line| (line.state, line.at.as_secs())).collect()
}

// ---- codecs

#[test]
fn a_tone_arrives_with_its_level_and_pitch_in_every_codec() {
    for codec in Codec::ALL {
        let heard = Party::new().hear(said(codec, &tone(4.0, 1_004.0, 0.2)));
        let report = closed(&heard);
        assert_eq!(report.codec, Some(codec.as_str()));
        let level = report.tone_dbfs.expect("a tone");
        // A sine of .2 has -16.99 dBFS.
        assert!((level + 17.0).abs() < 0.5, "{codec:?}: {report:?}");
        assert!((report.tone_hz.expect("a tone") - 1_004.0).abs() < 3.0, "{codec:?}: {report:?}");
        assert_eq!((report.lost, report.loss, report.clipping), (0, 0.0, 0.0));
    }
}

#[test]
fn every_change_of_codec_goes_on_without_a_gap() {
    let mut phone = Phone::new(Codec::Pcmu);
    let order = [Codec::Pcmu, Codec::G722, Codec::Opus, Codec::L16Wide, Codec::L16, Codec::Pcma];
    for codec in order {
        phone.codec = codec;
        phone.say(&voice(2.0));
    }
    let heard = Party::new().hear(phone.sent);
    let stats = heard.session.stats();
    assert_eq!((stats.lost, stats.late, stats.undecodable, stats.concealed_us), (0, 0, 0, 0));
    // What the filters held at the end fills no frame.
    assert!((11_980_000..=12_000_000).contains(&stats.audio_us), "{stats:?}");
    assert_eq!(heard.talk().len(), 1, "one spurt: {:?}", heard.talk());
}

#[test]
fn another_source_takes_over_without_losing_a_packet() {
    let talk = |ssrc: u32| {
        let mut phone = Phone::new(Codec::Pcmu);
        phone.say(&voice(3.0));
        phone.ssrc = ssrc;
        phone.say(&voice(3.0));
        Party::new().hear(phone.sent)
    };
    let (even, heard) = (talk(SSRC), talk(SSRC + 1));
    assert_eq!(heard.heard(), even.heard(), "to the sample");
    assert_eq!((closed(&even).restarts, closed(&heard).restarts), (0, 1));
    assert_eq!((closed(&heard).lost, closed(&heard).concealed_s), (0, 0.0));
}

#[test]
fn a_plan_with_another_codec_is_followed_while_packets_of_both_are_on_their_way() {
    let mut phone = Phone::new(Codec::Pcmu);
    phone.say(&voice(2.0));
    phone.codec = Codec::Opus;
    phone.say(&voice(2.0));
    let mut party = Party::new();
    let (before, after) = phone.sent.split_at(100);
    party.receive(before.to_vec());
    let payloads = plan().payloads.into_iter().filter(|(number, _)| *number != PCMA).collect();
    party.session.handle_plan(party.now, MediaPlan { payloads, ..plan() });
    party.receive(after.to_vec());
    party.finish();
    assert_eq!((party.session.stats().lost, party.talk().len()), (0, 1));
}

#[test]
fn keys_are_told_once_each_and_counted() {
    let mut phone = Phone::new(Codec::Pcmu);
    phone.say(&voice(1.0));
    phone.press(millis(200));
    phone.say(&voice(1.0));
    phone.press(millis(200));
    let mut datagrams = phone.sent;
    // Every second packet of the events is lost, and every third comes twice.
    let mut n = 0;
    datagrams.retain(|datagram| {
        let packet = Packet::parse(&datagram.bytes).expect("RTP");
        n += usize::from(packet.payload_type == EVENT);
        packet.payload_type != EVENT || n % 2 == 0
    });
    datagrams.extend(datagrams.clone().into_iter().step_by(3));
    let heard = Party::new().hear(datagrams);
    let keys: Vec<char> = heard
        .evidence
        .iter()
        .filter_map(|evidence| match evidence {
            Evidence::Key { key, .. } => Some(*key),
            _ => None,
        })
        .collect();
    assert_eq!(keys, ['5', '5']);
    assert_eq!((closed(&heard).keys, heard.session.stats().keys), (2, 2));
}

#[test]
fn comfort_noise_is_a_pause_and_no_loss() {
    let mut phone = Phone::new(Codec::Pcmu);
    phone.say(&voice(2.0));
    for _ in 0..5 {
        phone.hush();
        phone.pause(millis(400));
    }
    phone.say(&voice(2.0));
    let heard = Party::new().hear(phone.sent);
    let stats = heard.session.stats();
    assert_eq!((stats.lost, stats.undecodable, stats.concealed_us), (0, 0, 0));
    let talk = heard.talk();
    assert_eq!(talk.len(), 3, "{talk:?}");
    assert!(talk[2].1.abs_diff(seconds(4)) <= millis(60), "{talk:?}");
}

// ---- levels

#[test]
fn the_report_tells_level_noise_and_clipping() {
    let noisy = |gain: f32| -> Vec<f32> {
        let mut random = fastrand::Rng::with_seed(3);
        let pause = vec![0.0; 2 * RATE];
        let audio = [voice(4.0), pause.clone(), voice(4.0), pause].concat();
        audio.iter().map(|s| s * gain + 0.004 * (random.f32() - 0.5)).collect()
    };
    let heard = Party::new().hear(said(Codec::Pcma, &noisy(1.0)));
    let report = closed(&heard);
    let (speech, noise) = (report.speech_dbfs.expect("speech"), report.noise_dbfs.expect("pauses"));
    // White noise from -.002 to .002 has -58.8 dBFS, of which half the band is left.
    assert!((noise + 58.8).abs() < 2.0, "{report:?}");
    assert!((speech + 20.0).abs() < 5.0, "{report:?}");
    assert!((report.snr_db.expect("both") - (speech - noise)).abs() < 1.0, "{report:?}");
    assert_eq!((report.clipping, report.tone_hz), (0.0, None));
    let heard = Party::new().hear(said(Codec::Pcma, &noisy(9.0)));
    assert!(closed(&heard).clipping > 0.02, "{:?}", closed(&heard));
}

// ---- the network

/// `datagrams`, each later by up to `most`.
fn jittered(datagrams: Vec<Datagram>, most: Duration, seed: u64) -> Vec<Datagram> {
    let mut random = fastrand::Rng::with_seed(seed);
    let late = |datagram: Datagram| {
        let at = datagram.at + most.mul_f64(random.f64());
        Datagram { at, ..datagram }
    };
    datagrams.into_iter().map(late).collect()
}

#[test]
fn jitter_of_150_ms_is_learnt_and_then_costs_nothing() {
    let datagrams = said(Codec::Pcmu, &voice(60.0));
    let even = Party::new().hear(datagrams.clone());
    let heard = Party::new().hear(jittered(datagrams, millis(150), 7));
    let report = closed(&heard);
    assert!(report.reordered > 1_000, "{report:?}");
    assert!((100.0..=150.0).contains(&report.wait_ms), "{report:?}");
    assert!(report.lost <= 6, "{report:?}");
    // What the first two in sequence overtook came before the stream began.
    let missing = even.session.stats().audio_us - heard.session.stats().audio_us;
    assert!(missing <= 150_000, "no time is lost or invented but {missing} us");
    assert!((20.0..80.0).contains(&report.jitter_ms), "{report:?}");
}

#[test]
fn a_spell_of_jitter_leaves_no_delay_behind() {
    let mut phone = Phone::new(Codec::Pcmu);
    phone.say(&voice(180.0));
    let (first, rest) = phone.sent.split_at(1_500);
    let (spell, after) = rest.split_at(1_500);
    let spell = jittered(spell.to_vec(), millis(150), 7);
    let mut party = Party::new();
    party.receive([first, &spell].concat());
    assert!(party.session.report().wait_ms > 100.0);
    party.receive(after.to_vec());
    assert_eq!(party.session.report().wait_ms, 60.0);
    // Nothing is held: the newest packet has been played.
    let played = Duration::from_micros(party.session.stats().audio_us);
    assert!(seconds(180) - played < millis(120), "{played:?}");
}

#[test]
fn a_clock_that_drifts_for_an_hour_is_told_and_followed() {
    for ppm in [-200.0, 200.0] {
        // 10 s of talk a minute, the rest silence that is sent.
        let minute = [voice(10.0), vec![0.0; 50 * RATE]].concat();
        let mut phone = Phone::new(Codec::Pcmu);
        (0..60).for_each(|_| phone.say(&minute));
        for datagram in &mut phone.sent {
            datagram.at = datagram.at.mul_f64(1.0 + ppm / 1e6);
        }
        let heard = Party::with(None, 1).hear(jittered(phone.sent, millis(15), 1));
        let report = closed(&heard);
        assert_eq!((report.lost, report.late, report.concealed_s), (0, 0, 0.0));
        assert!((report.drift_ppm.expect("an hour") - ppm).abs() < 5.0, "{report:?}");
        // By the sender's clock an hour is an hour.
        assert!((report.audio_s - 3_600.0).abs() < 0.03, "{report:?}");
        assert_eq!(heard.talk().len(), 120, "no pause was made or filled");
    }
}

// ---- silence

#[test]
fn audio_that_stops_is_told_after_ten_seconds_and_its_return_at_once() {
    let mut phone = Phone::new(Codec::Pcmu);
    phone.say(&voice(3.0));
    phone.pause(seconds(30));
    phone.say(&voice(3.0));
    let mut party = Party::new();
    party.session.handle_plan(party.now, MediaPlan { patience: Some(seconds(60)), ..plan() });
    party.receive(phone.sent);
    party.finish();
    let expected = [(LineState::OneWay, 2), (LineState::Heard, 2), (LineState::Closed, 36)];
    assert_eq!(states(&party), expected);
    assert_eq!((party.session.stats().one_way, party.silences), (1, 0));
}

#[test]
fn a_line_that_never_spoke_is_one_way_and_one_on_hold_is_not() {
    let mut party = Party::new();
    party.session.handle_plan(party.now, MediaPlan { patience: Some(seconds(60)), ..plan() });
    party.wait_until(seconds(59));
    assert_eq!(states(&party), [(LineState::OneWay, 0)]);
    let mut party = Party::new();
    party.wait_until(seconds(300));
    assert_eq!(states(&party), []);
}

#[test]
fn a_source_that_says_bye_is_not_waited_for() {
    let mut datagrams = said(Codec::Pcmu, &voice(3.0));
    datagrams.remove(140);
    let last = datagrams.last().expect("packets").at;
    let mut party = Party::new();
    party.receive(datagrams.into_iter().take(142).collect());
    let before = party.session.stats().lost;
    let bye = Compound::builder()
        .add_packet(ReceiverReport::builder(SSRC))
        .add_packet(Bye::builder().add_source(SSRC));
    let mut bytes = vec![0; 256];
    let length = bye.write_into(&mut bytes).expect("room enough");
    bytes.truncate(length);
    assert!(is_rtcp(&bytes));
    // By the RTP port, as where both share one.
    party.receive(vec![Datagram { at: party.now - party.start, from: peer(), bytes }]);
    assert!(party.now - party.start < last);
    assert_eq!((before, party.session.stats().lost), (0, 1));
}

// ---- what we send

/// The RTP packets among what was sent, as payload type and timestamp.
fn sent(party: &Party) -> Vec<(u8, u32)> {
    let rtp = party.reports.iter().filter(|(_, _, bytes)| !is_rtcp(bytes));
    rtp.map(|(_, _, bytes)| {
        let packet = Packet::parse(bytes).expect("RTP");
        (packet.payload_type, packet.timestamp)
    })
    .collect()
}

#[test]
fn silent_packets_go_out_only_where_the_plan_has_them() {
    let mut party = Party::new();
    party.wait_until(seconds(2));
    assert_eq!(sent(&party), []);
    let send = Some((L16, Codec::L16));
    party.session.handle_plan(party.now, MediaPlan { send, ..plan() });
    party.wait_until(seconds(4));
    let packets = sent(&party);
    assert!((100..=101).contains(&packets.len()), "{}", packets.len());
    assert!(packets.windows(2).all(|pair| pair[1].1 == pair[0].1.wrapping_add(160)));
    assert!(packets.iter().all(|(payload_type, _)| *payload_type == L16));
    // The same plan again does not begin anew; another ends it.
    party.session.handle_plan(party.now, MediaPlan { send, ..plan() });
    party.wait_until(seconds(4) + PTIME);
    let packets = sent(&party);
    assert!(packets.windows(2).all(|pair| pair[1].1 == pair[0].1.wrapping_add(160)));
    party.session.handle_plan(party.now, plan());
    let count = packets.len();
    party.wait_until(seconds(6));
    assert_eq!(sent(&party).len(), count);
}

#[test]
fn metrics_come_with_the_reports_only_where_they_were_asked_for() {
    for xr in [false, true] {
        let mut datagrams = said(Codec::Pcmu, &voice(20.0));
        let mut n = 0;
        datagrams.retain(|_| {
            n += 1;
            n % 100 != 50
        });
        let mut party = Party::new();
        party.session.handle_plan(party.now, MediaPlan { xr, ..plan() });
        party.receive(datagrams);
        party.finish();
        let (_, _, last) = party.reports.last().expect("reports");
        let packets: Vec<_> = Compound::parse(last).expect("RTCP").collect();
        let metrics = packets.iter().filter(|packet| matches!(packet, Ok(Rtcp::Xr(_)))).count();
        assert_eq!(metrics, usize::from(xr));
    }
}
