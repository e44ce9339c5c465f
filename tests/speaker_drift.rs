//! What the first decisive windows of genuine calls say, clean and behind noise: the ground of the metric
//! that tells of drift.
//!
//! Five readers of LibriSpeech test-other, enrolled with some ten seconds of one half of their utterances;
//! every five seconds of the other half are a call. Mu-law.
//! Without the models or the speech in `../shared/speech` the tests say so and pass.
#![expect(clippy::print_stderr, reason = "a measurement says what it found")]

mod store;
#[expect(dead_code, reason = "other tests use the rest")]
mod voices;

use std::path::Path;

use sidetone::audio::channel::{Channel, Noises};
use sidetone::runtime::audio_file::read_mono;
use sidetone::runtime::heard::Heard;
use sidetone::speaker::score_drift::{CALLS, FirstLook, SHIFTED, ScoreDrift};
use sidetone::speaker::verifier::Settings;
use voices::{Bench, RATE, SPEECH, listing, telephone};

/// Samples at 16 kHz that make a call: 5 s have a first decisive window and the next.
const CALL: usize = 5 * 16_000;

/// What the first decisive windows of accepted calls say, nats, each call through every one of `channels`.
fn first_windows<const N: usize>(bench: &mut Bench, channels: [Channel; N]) -> [Vec<f64>; N] {
    let mut all = [const { Vec::new() }; N];
    for reader in listing(&Path::new(SPEECH).join("speakers")) {
        let files = listing(&reader);
        let (first, last) = files.split_at(files.len() / 2);
        for (enrolled, tried) in [(first, last), (last, first)] {
            let audio = telephone(enrolled);
            let seconds = |s: usize| &audio[..(s * RATE as usize).min(audio.len())];
            let Some(print) = (11..25).find_map(|s| bench.enrol(seconds(s)).ok()) else { continue };
            let read = |file| read_mono(file, 16_000).expect("a recording");
            let speech: Vec<f32> = tried.iter().flat_map(|file| read(file.as_path())).collect();
            for (seed, call) in speech.chunks(CALL).enumerate() {
                for (channel, all) in channels.iter().zip(&mut all) {
                    let arrived = channel.carry(call, Noises::default(), seed as u64);
                    let arrived = arrived.expect("a channel that asks for no noise");
                    let spans = arrived.spans.iter().map(|(s, concealed)| (&s[..], *concealed));
                    let mut call = Heard::of_spans(spans, arrived.rate, None);
                    let mut look = FirstLook::default();
                    let evidence = bench.compare(&mut call, &print, Settings::default());
                    let first = evidence
                        .iter()
                        .find_map(|e| look.observe(&e.newest, e.newest_llr, e.decision));
                    all.extend(first);
                }
            }
        }
    }
    all
}

/// The drift of as many calls as are compared, drawn from `said` in turns.
fn index(said: &[f64]) -> f64 {
    let mut drift = ScoreDrift::default();
    said.iter().cycle().take(CALLS).for_each(|llr| drift.observe(*llr));
    drift.index().expect("enough calls")
}

#[test]
fn clean_calls_are_no_drift_and_noise_behind_all_of_them_is() {
    let Some(mut bench) = Bench::new() else { return };
    let [clean, noisy] = first_windows(&mut bench, [Channel::Mulaw, Channel::Kitchen(2.0)]);
    for (name, said) in [("clean", &clean), ("kitchen, 2 dB", &noisy)] {
        let mut sorted = said.clone();
        sorted.sort_by(f64::total_cmp);
        eprintln!("{name}: {} calls accepted, index {:.3}, {sorted:.1?}", said.len(), index(said));
    }
    assert!(clean.len() >= 50, "{} calls of the readers", clean.len());
    assert!(index(&clean) < SHIFTED / 2.0, "{}", index(&clean));
    assert!(index(&noisy) > SHIFTED, "{}", index(&noisy));
}
