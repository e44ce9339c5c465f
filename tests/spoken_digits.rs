//! Cards that four people say, and hours of other speech: how many pause the leg by the real model.
//!
//! `SIDETONE_DIGITS=all` measures on all there is, which takes minutes.
#![expect(clippy::disallowed_methods, reason = "a measurement reads the disk and its environment")]
#![expect(clippy::print_stderr, reason = "it says what it found")]

mod store;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sidetone::audio::listener::{Heard, Listener};
use sidetone::audio::{g711, pcm};
use sidetone::call::card_watch::CardWatch;
use sidetone::config::parse_policy;
use sidetone::keyword::spotter::Spotter;
use sidetone::runtime::audio_file::read_mono;
use sidetone::runtime::installed::Installed;
use sidetone::runtime::onnx::moonshine::MoonshineModel;
use store::{skip, store};

const RATE: u32 = 8_000;
const DIGITS: &str = "../shared/speech/digits";
const OTHER: [&str; 2] = ["../shared/speech/orders", "../shared/speech/cohort"];
const POLICY: &str =
    "name = 'p'\nversion = '1'\n[[pause]]\nid = 'card'\nlegs = ['caller']\ncards = true\n";

/// Whether a leg on which this is said is paused.
fn is_paused(audio: &[f32], spotter: &Arc<Spotter>, model: &mut MoonshineModel) -> bool {
    let coded = pcm::to_i16(audio).into_iter().map(g711::encode_ulaw);
    let audio: Vec<f32> = coded.map(|code| f32::from(g711::decode_ulaw(code)) / 32_768.0).collect();
    let mut listener = Listener::new(false, true);
    listener.hear(&audio, RATE, false);
    listener.finish();
    let mut watch = CardWatch::default();
    while let Some(heard) = listener.poll() {
        let Heard::Segment(segment) = heard else { continue };
        let spotting = spotter.spot(model, &segment.samples).expect("the model works");
        if watch.handle_digits(segment.start, &spotting.digits) {
            return true;
        }
    }
    false
}

/// A card of 16 digits in groups of four.
fn card(speaker: &str, random: &mut fastrand::Rng) -> Vec<f32> {
    let silence = |seconds: f32| vec![0.0; (seconds * RATE as f32) as usize];
    let mut audio = silence(0.5);
    for place in 0..16 {
        let (digit, take) = (random.u32(0..10), random.u32(0..25));
        let file = format!("{DIGITS}/{speaker}_{digit}_{take}.flac");
        audio.extend(read_mono(Path::new(&file), RATE).expect("a digit"));
        let group = place % 4 == 3;
        audio.extend(silence(if group { 0.4 + 0.4 * random.f32() } else { 0.2 * random.f32() }));
    }
    audio.extend(silence(0.5));
    audio
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let all = entries.map(|entry| entry.expect("an entry").path());
    let mut recordings: Vec<_> =
        all.filter(|path| path.extension().is_some_and(|kind| kind == "flac")).collect();
    recordings.sort();
    recordings
}

#[test]
fn most_cards_that_are_said_pause_the_leg_and_other_speech_seldom_does() {
    let Some(store) = store() else { return };
    if !Path::new(DIGITS).is_dir() || !OTHER.iter().all(|folder| Path::new(folder).is_dir()) {
        return skip("the digits and the other speech are not there");
    }
    let installed = Installed::open(&store, None).expect("the models");
    let policy = parse_policy(Path::new("policy.toml"), POLICY).expect("a policy");
    let spotter = installed.spotter(&policy, -3.9).expect("a spotter");
    let mut model = installed.moonshine().expect("the model");

    let all = std::env::var("SIDETONE_DIGITS").is_ok_and(|value| value == "all");
    let (cards, every) = if all { (25, 1) } else { (3, 8) };
    let mut random = fastrand::Rng::with_seed(11);
    let (mut said, mut paused) = (0, 0);
    for speaker in ["jackson", "nicolas", "theo", "yweweler"] {
        let of_speaker = (0..cards)
            .filter(|_| is_paused(&card(speaker, &mut random), &spotter, &mut model))
            .count();
        eprintln!("{speaker}: {of_speaker} of {cards} cards");
        (said, paused) = (said + cards, paused + of_speaker);
    }
    let mut falsely = 0;
    for folder in OTHER {
        let (mut length, mut alarms) = (0.0, 0);
        for file in files(folder).into_iter().step_by(every) {
            let audio = read_mono(&file, RATE).expect("a recording");
            length += audio.len() as f64 / f64::from(RATE) / 3_600.0;
            alarms += usize::from(is_paused(&audio, &spotter, &mut model));
        }
        eprintln!("{folder}: {alarms} pauses in {length:.2} h");
        falsely += alarms;
    }
    assert!(paused * 10 >= said * 8, "{paused} of {said} cards");
    // Six in 1.59 h of the whole, none in an eighth of it.
    let few = if all { 8 } else { 1 };
    assert!(falsely <= few, "other speech paused {falsely} times");
}
