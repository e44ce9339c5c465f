//! One party's audio from datagram to evidence, in simulated time and over networks that misbehave.
//!
//! The models are made up here, the audio is a synthetic voice or, where the recordings or the
//! readers are at hand, real speech.

#[path = "sim/party.rs"]
mod party;
#[path = "sim/phone.rs"]
#[allow(dead_code, reason = "the tests of lines need more of it")]
mod phone;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rtcp_types::{Compound, Packet as Rtcp};
use sidetone::audio::decoder::{Codec, Decoder};
use sidetone::audio::resampler::Upsampler;
use sidetone::audio::segmenter::Segment;
use sidetone::audio::voice_activity::FRAME_SAMPLES;
use sidetone::call::media_plan::MediaPlan;
use sidetone::call::speaker_watch::SpeakerWatch;
use sidetone::policy::evidence::{Evidence, Obstacle};
use sidetone::rtp::packet::Packet;
use sidetone::runtime::audio_file::read_mono;
use sidetone::speaker::calibration::Calibration;
use sidetone::speaker::embedder::Purpose;
use sidetone::speaker::embedding::Embedding;
use sidetone::speaker::verifier::Decision;
use sidetone::speaker::voiceprint::Voiceprint;
use sidetone::speaker::watchlist::{Known, Watchlist};

use party::{MODEL, OTHER, Party, SAME, embedders, leave, plan, verifier, voiceprint, watch};
use phone::{Datagram, PTIME, Phone, RATE, SSRC, peer, voice};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// 30 s of real speech where there is some, else of the synthetic voice with a pause every 5 s.
#[expect(clippy::print_stderr, reason = "a test says what it ran on")]
fn speech() -> Vec<f32> {
    let readers = [
        "models/store/recordings/two_cities.wav",
        "../shared/speech/speakers/1688/1688-142285-0000.flac",
    ];
    let real = readers.iter().find_map(|file| read_mono(Path::new(file), RATE as u32).ok());
    real.map_or_else(
        || {
            eprintln!("no recording at hand: a synthetic voice speaks");
            let pause = vec![0.0; RATE];
            (0..5).flat_map(|_| [voice(5.0), pause.clone()].concat()).collect()
        },
        |mut speech| {
            speech.truncate(30 * RATE);
            speech
        },
    )
}

fn said(codec: Codec, audio: &[f32]) -> Vec<Datagram> {
    let mut phone = Phone::new(codec);
    phone.say(audio);
    phone.sent
}

/// Without the first two packets, which a new source needs to be trusted (RFC 3550 §A.1).
fn after_probation(n: usize) -> bool {
    n >= 2
}

/// Whether packet `n` is lost: one in ten, in runs of one and two, none on probation.
fn is_lost(n: usize) -> bool {
    after_probation(n) && (n % 20 == 7 || n % 40 == 28 || n % 40 == 29)
}

fn with_losses(datagrams: Vec<Datagram>) -> Vec<Datagram> {
    let kept = datagrams.into_iter().enumerate().filter(|(n, _)| !is_lost(*n));
    kept.map(|(_, datagram)| datagram).collect()
}

// ---- who may be compared with whom

#[test]
fn without_a_consent_no_voice_is_ever_embedded() {
    let heard = Party::with(None, 1).hear(said(Codec::Pcmu, &voice(30.0)));
    assert_eq!((heard.windows.len(), heard.speaker().len()), (0, 0));
    assert_eq!(heard.session.stats().windows, 0);
    assert!(heard.segments.len() >= 3, "phrases are listened for all the same");
    assert!(heard.session.stats().speech_us > 29_000_000);
}

#[test]
fn a_claim_that_cannot_be_checked_says_why() {
    let watch = |print: Option<&Voiceprint>| {
        SpeakerWatch::new(&leave(), print, &embedders(), verifier()).err()
    };
    assert_eq!(watch(None), Some(Obstacle::NoVoiceprint));
    assert_eq!(watch(Some(&voiceprint("fake@0"))), Some(Obstacle::OtherModel));
    assert_eq!(watch(Some(&voiceprint(MODEL))), None);
}

// ---- decisions

/// Net speech, in milliseconds, at the windows that `role` was asked about.
fn asked_of(party: &Party, role: Purpose) -> Vec<u128> {
    let of = party.windows.iter().filter(|work| work.by == role);
    of.map(|work| work.net_speech.as_millis()).collect()
}

#[test]
fn a_good_window_accepts_and_then_the_strong_embedder_looks_once_in_twenty_seconds() {
    let heard = Party::new().hear(said(Codec::Pcmu, &voice(45.0)));
    assert_eq!(asked_of(&heard, Purpose::Watch)[..4], [1_600, 2_300, 3_000, 3_700]);
    assert_eq!(asked_of(&heard, Purpose::Decide), [3_000, 23_300, 43_600]);
    let decisions: Vec<_> = heard.speaker().iter().map(|speaker| speaker.decision).collect();
    let collecting = Decision::Collecting;
    assert_eq!(decisions[..3], [collecting, collecting, Decision::Accepted]);
    assert!(decisions[2..].iter().all(|decision| *decision == Decision::Accepted));
    assert!(heard.speaker().iter().all(|speaker| speaker.coverage == 1.0));
    assert!(heard.speaker()[2..].iter().all(|speaker| speaker.since == heard.speaker()[2].at));
}

#[test]
fn a_rejection_ends_the_cutting_of_windows() {
    let heard = Party::heard_as(|_, _| Some(OTHER)).hear(said(Codec::Pcmu, &voice(30.0)));
    let last = heard.speaker().pop().expect("evidence");
    assert_eq!(last.decision, Decision::Rejected);
    assert!((5_000..10_000).contains(&last.net_speech.as_millis()), "{last:?}");
    let after = heard.windows.iter().filter(|work| work.net_speech > last.net_speech).count();
    assert!(after <= 1, "{after} windows were cut while the last one was being heard");
}

#[test]
fn a_takeover_is_found_in_four_seconds_and_stays_found() {
    // What a window sounds like follows from how much of it the second speaker fills.
    let taken_over = 15.0;
    let mut heard = Party::heard_as(move |_, work| {
        let length = work.samples.len() as f32 / 16_000.0;
        let of_other = ((work.end.as_secs_f32() - taken_over) / length).clamp(0.0, 1.0);
        Some(SAME + of_other * (OTHER - SAME))
    });
    heard.receive(said(Codec::Pcmu, &voice(30.0)));
    heard.finish();
    let changed = heard.speaker().iter().position(|s| s.decision == Decision::Changed);
    let changed = changed.expect("an alarm");
    let after = &heard.speaker()[changed..];
    assert!(after.iter().all(|speaker| speaker.decision == Decision::Changed));
    let at = heard.speaker()[changed].at.as_secs_f32();
    assert!((taken_over..taken_over + 4.0).contains(&at), "{at}");
    let heard = heard.speaker();
    let suspect = heard.iter().position(|s| s.decision == Decision::Suspect).unwrap_or(changed);
    assert!(heard[2..suspect].iter().all(|speaker| speaker.decision == Decision::Accepted));
    assert!(heard[suspect..changed].iter().all(|s| s.decision == Decision::Suspect));
}

#[test]
fn windows_without_an_answer_make_the_decision_later_and_humbler_not_other() {
    // The first two whole windows get no answer of the strong embedder.
    let mut heard = Party::heard_as(|_, work| {
        (work.by == Purpose::Watch || work.net_speech > millis(3_700)).then_some(SAME)
    });
    heard.receive(said(Codec::Pcmu, &voice(12.0)));
    heard.finish();
    let first = heard.speaker().into_iter().find(|s| s.decision != Decision::Collecting);
    let first = first.expect("a decision");
    assert_eq!((first.decision, first.net_speech), (Decision::Accepted, millis(4_400)));
    assert_eq!(heard.session.stats().unanalysed, 2);

    // The cheap one hears nothing for a while: the strong one alone decides, and less is covered.
    let heard = Party::heard_as(|_, work| {
        (work.by == Purpose::Decide || work.net_speech > millis(3_000)).then_some(SAME)
    })
    .hear(said(Codec::Pcmu, &voice(12.0)));
    let first = &heard.speaker()[0];
    assert_eq!((first.decision, first.net_speech), (Decision::Accepted, millis(3_000)));
    assert!((first.coverage - 0.7 / 3.0).abs() < 1e-9, "{}", first.coverage);
}

#[test]
fn the_decision_does_not_depend_on_how_long_the_models_take() {
    let told = |takes: fn(usize) -> u64| {
        let mut party = Party::heard_as(|_, work| {
            let of_other = ((work.end.as_secs_f32() - 15.0) / 3.0).clamp(0.0, 1.0);
            Some(SAME + of_other * (OTHER - SAME))
        });
        party.takes = Box::new(move |n| millis(takes(n)));
        let heard = party.hear(said(Codec::Pcmu, &voice(30.0)));
        heard.speaker().iter().map(|speaker| format!("{speaker:?}")).collect::<Vec<_>>()
    };
    let at_once = told(|_| 0);
    assert!(at_once.last().expect("evidence").contains("Changed"));
    assert!(told(|_| 200) == at_once);
    assert!(told(|n| [1, 900, 5, 400, 60][n % 5]) == at_once, "answers overtake one another");
}

#[test]
fn a_caller_who_sounds_like_a_known_voice_is_told_once_and_decided_upon_all_the_same() {
    let known = |print: Voiceprint| {
        let (known, left_out) = Known::new(&[print], &embedders(), 1.0);
        assert_eq!(left_out, 0);
        let mut watch = watch();
        watch.look_out(Watchlist::new(&leave(), Arc::new(known), Calibration::RESNET34_GE2E));
        Party::with(Some(watch), 1).hear(said(Codec::Pcmu, &voice(30.0)))
    };
    let hits = |party: &Party| {
        let of = party.evidence.iter().filter_map(|evidence| match evidence {
            Evidence::Watchlist(hit) => Some((hit.hit.entry.clone(), hit.net_speech)),
            _ => None,
        });
        of.collect::<Vec<_>>()
    };
    let alike = known(voiceprint(MODEL));
    assert_eq!(hits(&alike), [("alice".to_owned(), seconds(3))]);
    let decisions = alike.speaker().into_iter().map(|speaker| speaker.decision);
    assert!(decisions.skip(3).all(|decision| decision == Decision::Accepted));

    let mut other = voiceprint(MODEL);
    other.references.iter_mut().for_each(|reference| {
        let mut across = vec![0.0; reference.embedding.as_slice().len()];
        across[1] = 1.0;
        reference.embedding = Embedding::from_raw(across).expect("a direction");
    });
    assert_eq!(hits(&known(other)), []);
}

#[test]
fn nothing_is_decided_by_a_model_that_never_answers() {
    let heard = Party::heard_as(|_, _| None).hear(said(Codec::Pcmu, &voice(12.0)));
    assert_eq!(heard.speaker(), []);
    assert_eq!(
        heard.session.stats().unanalysed,
        28,
        "each window is asked of either, if it is whole"
    );
}

// ---- phrases

#[test]
fn a_segment_without_an_answer_lowers_the_coverage_of_later_phrases() {
    let mut asked = 0;
    let mut party = Party::new();
    party.deaf = Box::new(move |_| {
        asked += 1;
        asked == 1
    });
    let audio = [voice(3.0), vec![0.0; RATE], voice(3.0), vec![0.0; RATE]].concat();
    let heard = party.hear(said(Codec::Pcmu, &audio));
    let phrases: Vec<_> = heard
        .evidence
        .iter()
        .filter_map(|evidence| match evidence {
            Evidence::Phrase(phrase) => Some(*phrase),
            Evidence::Speaker(_)
            | Evidence::NoSpeakerCheck(_)
            | Evidence::ComparisonEnded(_)
            | Evidence::Talk { .. }
            | Evidence::Key { .. }
            | Evidence::Pause(_)
            | Evidence::Line(_)
            | Evidence::Watchlist(_)
            | Evidence::Enrollment(_)
            | Evidence::Analysed { .. }
            | Evidence::Gap { .. }
            | Evidence::Suspended { .. } => None,
        })
        .collect();
    assert_eq!((phrases.len(), heard.segments.len()), (1, 2));
    assert_eq!(phrases[0].start, heard.segments[1].start + millis(100), "in the party's time");
    assert!((phrases[0].coverage - 0.5).abs() < 0.05, "{}", phrases[0].coverage);
}

// ---- the network

/// Every frame that the detector would cut from `datagrams` if none of them were lost. 20 samples
/// are left out on either side: that far the filter carries the sound of a neighbour.
fn frames_of(datagrams: &[Datagram]) -> HashSet<Vec<u32>> {
    let (mut decoder, mut upsampler) = (Decoder::new(Codec::Pcmu), Upsampler::new());
    let mut samples = Vec::new();
    // The first packet is on probation.
    for datagram in &datagrams[1..] {
        let packet = Packet::parse(&datagram.bytes).expect("a packet");
        samples.extend(upsampler.push(&decoder.decode(packet.payload).expect("audio")));
    }
    samples.extend(upsampler.flush());
    samples.chunks_exact(FRAME_SAMPLES).map(inner).collect()
}

fn inner(frame: &[f32]) -> Vec<u32> {
    frame[20..FRAME_SAMPLES - 20].iter().map(|sample| sample.to_bits()).collect()
}

#[test]
fn lost_packets_are_concealed_and_never_scored() {
    let speech = speech();
    // With a first packet of odd length the detector's frames do not begin with a packet.
    for first in [160, 165, 312] {
        let mut phone = Phone::new(Codec::Pcmu);
        // The packet on probation is none of the stream, so the second is the odd one.
        phone.say(&speech[..160]);
        phone.first = Some(first);
        phone.say(&speech[160..]);
        let sent = phone.sent;
        let received = frames_of(&sent);
        let lost = (0..sent.len()).filter(|n| is_lost(*n)).count() as u64;
        let whole = Party::new().hear(sent.clone());
        let heard = Party::new().hear(with_losses(sent));

        let made_up = |party: &Party| {
            let frames = party.windows.iter().flat_map(|w| w.samples.chunks_exact(FRAME_SAMPLES));
            frames.filter(|frame| !received.contains(&inner(frame))).count()
        };
        assert_eq!(made_up(&whole), 0, "the frames are those of the stream, first {first}");
        assert_eq!(made_up(&heard), 0, "a window holds what was never received, first {first}");

        let (before, after) = (whole.session.stats(), heard.session.stats());
        assert_eq!((before.lost, before.concealed_us), (0, 0));
        assert_eq!(after.lost, lost);
        assert!(after.concealed_us >= lost * 20_000, "{after:?}");
        assert_eq!(after.audio_us, before.audio_us, "no time is lost");
        let left = after.speech_us as f64 / before.speech_us as f64;
        assert!(left < 0.93, "one in ten is lost, but {left} is left");
        assert!(heard.windows.len() < whole.windows.len());
        let coverage = heard.speaker().last().expect("windows were scored").coverage;
        assert!((0.5..0.92).contains(&coverage), "{coverage}");
        assert!(heard.segments.iter().any(|segment| segment.concealed_share > 0.0));
    }
}

#[test]
fn a_line_that_loses_every_other_packet_hears_half_of_the_speech_at_most() {
    let sent = said(Codec::Pcmu, &voice(30.0)).into_iter().enumerate();
    let halved = sent.filter(|(n, _)| !after_probation(*n) || n % 2 == 0).map(|(_, d)| d).collect();
    let heard = Party::new().hear(halved);
    let stats = heard.session.stats();
    assert!(stats.concealed_us > 14_000_000, "{stats:?}");
    assert!(stats.speech_us < 15_500_000, "{stats:?}");
    assert!(heard.speaker().iter().all(|speaker| speaker.coverage < 0.55), "and says so");
}

#[test]
fn reordering_within_the_horizon_changes_nothing() {
    let speech = speech();
    let even = Party::new().hear(said(Codec::Pcmu, &speech));
    for seed in 0..3 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut sent = said(Codec::Pcmu, &speech);
        for datagram in sent.iter_mut().skip(2) {
            datagram.at += Duration::from_micros(random.u64(0..60_000));
        }
        let heard = Party::new().hear(sent);
        assert_eq!(heard.heard(), even.heard(), "seed {seed}");
        let stats = heard.session.stats();
        assert_eq!((stats.lost, stats.late, stats.concealed_us), (0, 0, 0), "seed {seed}");
    }
}

#[test]
fn a_packet_beyond_the_horizon_is_late_and_concealed() {
    let mut sent = said(Codec::Pcmu, &voice(10.0));
    sent[100].at += millis(150);
    let heard = Party::new().hear(sent);
    let stats = heard.session.stats();
    assert_eq!((stats.lost, stats.late), (1, 1));
    assert!(stats.concealed_us >= 20_000);
}

#[test]
fn repeated_packets_change_nothing() {
    let speech = speech();
    let even = Party::new().hear(said(Codec::Pcmu, &speech));
    let sent = said(Codec::Pcmu, &speech);
    let again = sent.iter().skip(2).cloned();
    let (at_once, later) = (again.clone(), again.map(|d| Datagram { at: d.at + millis(130), ..d }));
    let copies = sent.len() as u64 - 2;
    let heard = Party::new().hear(sent.iter().cloned().chain(at_once).chain(later).collect());
    assert_eq!(heard.heard(), even.heard());
    assert_eq!(heard.session.stats().duplicates, 2 * copies);
}

#[test]
fn strangers_are_not_heard_and_are_counted() {
    let speech = speech();
    let even = Party::new().hear(said(Codec::Pcmu, &speech));
    let mut stranger = Phone::new(Codec::Pcmu);
    stranger.from = "198.51.100.9:4000".parse().expect("an address");
    stranger.say(&voice(30.0));
    let mut rtcp = stranger.sent[0].clone();
    rtcp.bytes = vec![0x80, 201, 0, 1, 0, 0, 0, 7];
    let mut noise = rtcp.clone();
    (noise.from, noise.bytes) = (peer(), b"\0\0\0\0".to_vec());
    let mut all = said(Codec::Pcmu, &speech);
    let strange = stranger.sent.len() as u64;
    all.extend(stranger.sent);
    all.extend([rtcp, noise]);
    let heard = Party::new().hear(all);
    assert_eq!(heard.heard(), even.heard());
    let stats = heard.session.stats();
    assert_eq!((stats.foreign, stats.malformed), (strange + 1, 1));
    assert_eq!(stats.packets, even.session.stats().packets);
}

// ---- what is sent

#[test]
fn a_law_after_mu_law_leaves_no_gap() {
    let speech = speech();
    let even = Party::new().hear(said(Codec::Pcmu, &speech));
    let mut phone = Phone::new(Codec::Pcmu);
    for (second, audio) in speech.chunks(RATE).enumerate() {
        phone.codec = if second % 2 == 0 { Codec::Pcmu } else { Codec::Pcma };
        phone.say(audio);
    }
    let heard = Party::new().hear(phone.sent);
    let stats = heard.session.stats();
    assert_eq!((stats.lost, stats.undecodable, stats.concealed_us), (0, 0, 0));
    assert_eq!(stats.audio_us, even.session.stats().audio_us);
    // The two laws round otherwise, which may move a border by a frame or two.
    let (talk, wanted) = (heard.talk(), even.talk());
    assert_eq!(talk.len(), wanted.len());
    for ((talking, at), (wanted_talking, wanted_at)) in talk.iter().zip(&wanted) {
        assert_eq!(talking, wanted_talking);
        assert!(at.abs_diff(*wanted_at) <= 2 * PTIME, "{at:?} for {wanted_at:?}");
    }
}

#[test]
fn opus_is_heard_like_g711_and_concealed_like_it() {
    let speech = speech();
    let narrow = Party::new().hear(said(Codec::Pcmu, &speech)).session.stats();
    let heard = Party::new().hear(said(Codec::Opus, &speech));
    let stats = heard.session.stats();
    assert_eq!((stats.lost, stats.undecodable, stats.malformed), (0, 0, 0));
    assert!(stats.audio_us.abs_diff(narrow.audio_us) <= 20_000, "{stats:?} {narrow:?}");
    let difference = stats.speech_us.abs_diff(narrow.speech_us) as f64;
    assert!(difference < 0.05 * narrow.speech_us as f64, "{stats:?} {narrow:?}");
    assert_eq!(heard.speaker()[2].decision, Decision::Accepted);

    let lost = Party::new().hear(with_losses(said(Codec::Opus, &speech)));
    let lost = lost.session.stats();
    assert!(lost.lost > 100 && lost.concealed_us >= lost.lost * 20_000, "{lost:?}");
    assert_eq!(lost.audio_us, stats.audio_us);
}

#[test]
fn another_clock_rate_in_the_middle_goes_on_where_the_first_ended() {
    let mut phone = Phone::new(Codec::Pcmu);
    phone.say(&voice(5.0));
    phone.codec = Codec::Opus;
    phone.say(&voice(5.0));
    phone.codec = Codec::Pcma;
    phone.say(&voice(5.0));
    // One Opus packet: its 960 ticks are 20 ms by its own clock, and 120 ms by the one before.
    phone.sent.remove(375);
    let heard = Party::new().hear(phone.sent);
    let stats = heard.session.stats();
    assert_eq!((stats.undecodable, stats.lost), (0, 1));
    assert!((14_980_000..=15_000_000).contains(&stats.audio_us), "{stats:?}");
    assert_eq!(heard.windows.first().map(|work| work.end), Some(millis(1_600)));
    let last = heard.segments.last().expect("fifteen seconds of talk");
    let end = last.start + Duration::from_secs_f64(last.samples.len() as f64 / 16_000.0);
    assert!(end.abs_diff(millis(14_960)) <= millis(40), "the talk ends at {end:?}");
}

#[test]
fn a_key_press_is_a_pause_of_its_length() {
    let mut phone = Phone::new(Codec::Pcmu);
    phone.say(&voice(5.02));
    phone.press(millis(1_000));
    phone.say(&voice(5.0));
    let heard = Party::new().hear(phone.sent);
    let stats = heard.session.stats();
    assert_eq!((stats.lost, stats.undecodable, stats.concealed_us), (0, 0, 0));
    let resumed = heard.talk()[2];
    assert!(resumed.0 && resumed.1.abs_diff(seconds(6)) <= millis(60), "{:?}", heard.talk());
    assert!(stats.speech_us.abs_diff(10_000_000) < 500_000, "{stats:?}");
}

#[test]
fn a_key_beside_the_audio_takes_no_time() {
    let audio = voice(10.0);
    let even = Party::new().hear(said(Codec::Pcmu, &audio));
    let mut phone = Phone::new(Codec::Pcmu);
    phone.say(&audio[..5 * RATE]);
    phone.say_and_press(&audio[5 * RATE..8 * RATE]);
    phone.say(&audio[8 * RATE..]);
    let heard = Party::new().hear(phone.sent);
    assert_eq!(heard.session.stats().audio_us, even.session.stats().audio_us);
    let (keys, rest): (Vec<_>, Vec<_>) =
        heard.heard().into_iter().partition(|line| line.starts_with("Key"));
    assert_eq!(rest, even.heard());
    // What the filters still held when it came.
    assert_eq!(keys, ["Key { key: '5', at: 5.01875s }"]);
}

#[test]
fn an_hour_on_hold_costs_little_and_time_goes_on() {
    // The stream either goes on with its clock or begins anew, as behind another media server.
    for ssrc in [SSRC, SSRC + 1] {
        let mut phone = Phone::new(Codec::Pcmu);
        phone.say(&voice(5.02));
        phone.pause(seconds(3_600));
        phone.ssrc = ssrc;
        phone.say(&voice(5.0));
        let mut party = Party::new();
        let (before, after) = phone.sent.split_at(251);
        party.receive(before.to_vec());
        party.session.handle_plan(party.now, MediaPlan { rtp: None, ..plan() });
        party.wait_until(seconds(1_800));
        party.session.handle_plan(party.now, plan());
        party.receive(after.to_vec());
        party.finish();
        let resumed = party.talk()[2];
        assert!(resumed.1.abs_diff(seconds(3_605)) <= millis(60), "{:?}", party.talk());
        let stats = party.session.stats();
        assert!(stats.audio_us < 11_000_000, "silence is not computed: {stats:?}");
        assert_eq!((stats.lost, stats.concealed_us), (0, 0));
        // 501 packets, some answers, and a receiver report every 5 s.
        assert!(party.turns < 501 + 100 + 3_600 / 4, "{} turns", party.turns);
        assert_eq!(party.speaker().last().map(|s| s.decision), Some(Decision::Accepted));
    }
}

// ---- RTCP

#[test]
fn receiver_reports_tell_the_loss_and_the_last_one_says_goodbye() {
    let sent = said(Codec::Pcmu, &voice(60.0));
    let lost = (0..sent.len()).filter(|n| is_lost(*n)).count() as u32;
    let heard = Party::new().hear(with_losses(sent));
    assert!((9..=25).contains(&heard.reports.len()), "{} in a minute", heard.reports.len());
    let mut total = 0;
    for (n, (at, destination, datagram)) in heard.reports.iter().enumerate() {
        assert_eq!(*destination, plan().rtcp.expect("an address"));
        let packets: Vec<_> = Compound::parse(datagram)
            .expect("a compound")
            .map(|packet| packet.expect("a packet"))
            .collect();
        let Rtcp::Rr(report) = &packets[0] else { panic!("an RR first, at {at:?}") };
        assert!(matches!(packets[1], Rtcp::Sdes(_)), "the CNAME");
        let block = report.report_blocks().next().expect("a block");
        assert_eq!(block.ssrc(), SSRC);
        let share = f64::from(block.fraction_lost()) / 256.0;
        assert!(n == heard.reports.len() - 1 || (0.07..0.13).contains(&share), "{share} at {at:?}");
        assert!(block.cumulative_lost() >= total);
        total = block.cumulative_lost();
        let last = n == heard.reports.len() - 1;
        let goodbye = packets
            .iter()
            .any(|packet| matches!(packet, Rtcp::Bye(bye) if bye.ssrcs().eq([report.ssrc()])));
        assert_eq!(goodbye, last, "at {at:?}");
    }
    assert_eq!(total, lost);
}

// ---- all at once

/// A call over a network that loses, doubles and delays, with models that fail now and then.
fn at_random(seed: u64) -> Party {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut phone = Phone::new(Codec::Pcmu);
    for audio in speech().chunks(3 * RATE) {
        phone.codec = random.choice([Codec::Pcmu, Codec::Pcma, Codec::Opus]).expect("one of three");
        phone.say(audio);
        phone.press(millis(200));
        phone.pause(millis(random.u64(0..3_000)));
    }
    let mut arriving = Vec::new();
    for datagram in phone.sent {
        if random.f64() < 0.05 {
            continue;
        }
        for _ in 0..if random.f64() < 0.05 { 2 } else { 1 } {
            let at = datagram.at + Duration::from_micros(random.u64(0..90_000));
            arriving.push(Datagram { at, ..datagram.clone() });
        }
    }
    let mut ear = random.fork();
    let mut party = Party::with(Some(watch()), seed);
    party.ear = Box::new(move |_, _| (ear.f64() > 0.1).then(|| 0.6 + 0.3 * ear.f32()));
    party.deaf = Box::new(move |_| random.f64() < 0.1);
    party.hear(arriving)
}

#[test]
fn same_seed_same_transcript() {
    let [one, two, other] = [7, 7, 8].map(at_random);
    assert!(one.story.len() > 20);
    assert_eq!(one.story, two.story);
    assert_eq!(one.reports, two.reports);
    assert_eq!(one.session.stats(), two.session.stats());
    assert_ne!(one.story, other.story);
}

#[test]
fn no_network_makes_time_run_backwards_or_coverage_more_than_whole() {
    for seed in 0..12 {
        let heard = at_random(seed);
        let shares = heard.speaker().into_iter().map(|speaker| speaker.coverage);
        assert!(shares.clone().all(|share| (0.0..=1.0).contains(&share)), "seed {seed}");
        for role in [Purpose::Watch, Purpose::Decide] {
            let ends = heard.windows.iter().filter(|work| work.by == role).map(|work| work.end);
            assert!(ends.is_sorted_by(|a, b| a < b));
        }
        let later =
            |a: &Segment, b: &Segment| a.start < b.start || a.provisional && a.start == b.start;
        assert!(heard.segments.is_sorted_by(later), "seed {seed}");
        assert!(heard.talk().is_sorted_by(|a, b| a.0 != b.0 && a.1 < b.1), "seed {seed}");
    }
}
