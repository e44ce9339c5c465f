//! The filterbank against the Python package kaldi-native-fbank itself: speech, telephone speech, noise
//! and near-silence, with both windows, both scales, and other bands.
//!
//! `tests/kaldi/venv` puts the package under `target/`. Where Python, the package index or the
//! recordings are missing, the test says so and passes.
#![expect(clippy::print_stderr, reason = "a measurement says what it found")]

mod store;

use std::io::Write;
use std::process::{Command, Stdio};

use sidetone::audio::fbank::{Edges, FilterBank, K2, Settings, Window};
use sidetone::audio::g711;
use sidetone::audio::pcm;
use sidetone::audio::resampler::Upsampler;
use sidetone::runtime::audio_file::read_mono;
use store::{skip, store};

/// Of an energy's logarithm.
const TOLERANCE: f32 = 1e-4;
/// Kaldi computes in f32, so a band is as exact as the last bit of the frame's loudest amplitude lets it
/// be: 120 dB below that, it has one digit. Twice that bit, since there are two who round.
const LAST_BIT: f32 = 2.0 * f32::EPSILON;

#[test]
fn every_variant_of_the_filterbank_is_kaldis() {
    let Some(store) = store() else { return };
    let venv = Command::new("tests/kaldi/venv").output();
    let venv = venv.map_err(|error| error.to_string()).and_then(|done| {
        let words = String::from_utf8_lossy(&done.stderr);
        done.status.success().then_some(()).ok_or(words.trim().to_owned())
    });
    if let Err(reason) = venv {
        return skip(&format!("kaldi-native-fbank cannot be had: {reason}"));
    }

    let file = store.join("recordings/two_cities.wav");
    let speech = read_mono(&file, 16_000).expect("a recording")[..160_000].to_vec();
    let narrow = read_mono(&file, 8_000).expect("a recording")[..80_000].to_vec();
    let coded = pcm::to_i16(&narrow).into_iter().map(|s| g711::decode_ulaw(g711::encode_ulaw(s)));
    let coded: Vec<f32> = coded.map(|sample| f32::from(sample) / 32_768.0).collect();
    let mut random = fastrand::Rng::with_seed(1);
    let mut noise =
        |level: f32| (0..48_000).map(|_| level * (random.f32() - 0.5)).collect::<Vec<_>>();
    // Half of one step of a 16-bit sample, and nothing at all.
    let near_silence = [noise(1.5e-5), vec![0.0; 4_000]].concat();
    let signals = [
        ("speech", speech),
        ("telephone", Upsampler::new().push(&coded)),
        ("noise", noise(0.5)),
        ("near-silence", near_silence),
    ];
    let plain = Settings {
        window: Window::Hamming,
        scale: 32_768.0,
        edges: Edges::Whole,
        highest_hz: 8_000,
        ..K2
    };
    let variants = [
        plain,
        Settings { window: Window::Povey, ..plain },
        Settings { scale: 1.0, ..plain },
        Settings { bands: 40, window: Window::Povey, scale: 1.0, ..plain },
        K2,
    ];
    for (name, samples) in &signals {
        for settings in variants {
            let found = FilterBank::new(settings).compute(samples);
            let wanted = kaldi(settings, samples);
            assert_eq!(found.len(), wanted.len(), "{name} {settings:?}");
            let (mut largest, mut beyond) = (0.0_f32, 0);
            let frames = found.chunks(settings.bands).zip(wanted.chunks(settings.bands));
            for (found, wanted) in frames {
                let loudest = wanted.iter().copied().fold(f32::MIN, f32::max);
                for (found, wanted) in found.iter().zip(wanted) {
                    let apart = (found - wanted).abs();
                    let bit = LAST_BIT * ((loudest - wanted) / 2.0).exp();
                    assert!(
                        apart <= TOLERANCE + bit,
                        "{name} {settings:?}: {found}, and Kaldi's is {wanted}, below {loudest}"
                    );
                    largest = largest.max(apart);
                    beyond += usize::from(apart > TOLERANCE);
                }
            }
            eprintln!(
                "{name:<12} {:?} {:>5} {}: off by {largest:.1e} at most, {beyond} of {} beyond 1e-4",
                settings.window,
                settings.scale,
                settings.bands,
                found.len()
            );
        }
    }
}

fn kaldi(settings: Settings, samples: &[f32]) -> Vec<f32> {
    let window = match settings.window {
        Window::Hamming => "hamming",
        Window::Povey => "povey",
    };
    let edges = match settings.edges {
        Edges::Whole => "whole",
        Edges::Mirrored => "mirrored",
    };
    let mut child = Command::new("target/kaldi/bin/python")
        .arg("tests/kaldi/fbank.py")
        .args([window, &settings.scale.to_string(), &settings.bands.to_string()])
        .args([&settings.highest_hz.to_string(), edges])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the Python that tests/kaldi/venv made");
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    // It reads everything before it writes.
    child.stdin.take().expect("a pipe").write_all(&bytes).expect("a reader");
    let done = child.wait_with_output().expect("an end");
    assert!(done.status.success(), "tests/kaldi/fbank.py failed");
    done.stdout.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}
