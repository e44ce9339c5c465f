//! What the speaker decision costs in a call of five minutes: listening, both embedders and their front-ends,
//! as often as the decision asks for them.
#![expect(clippy::print_stderr, reason = "a measurement says what it found")]

#[path = "../store/mod.rs"]
mod store;
#[path = "../voices/mod.rs"]
#[allow(dead_code, reason = "the trials need more of it")]
mod voices;

use std::path::Path;
use std::time::Duration;

use sidetone::policy::evidence::SpeakerEvidence;
use sidetone::runtime::heard::Heard;
use sidetone::speaker::verifier::{Decision, Settings};
use voices::{Bench, RATE, SPEECH, listing, telephone};

/// Net speech of the call.
const CALL: Duration = Duration::from_secs(300);

fn main() {
    let Some(mut bench) = Bench::new() else { return };
    let (mut spent, mut heard_s) = (Duration::ZERO, 0.0);
    for reader in listing(&Path::new(SPEECH).join("speakers")) {
        let files = listing(&reader);
        let (enrolled, tried) = files.split_at(files.len() / 2);
        let print = bench.enrol(&telephone(enrolled)).expect("a voiceprint");
        let speech = telephone(tried);
        let once = Heard::of(&speech, RATE, None).net_speech();
        let rounds = CALL.as_secs_f64() / once.as_secs_f64();
        let call = speech.repeat(rounds.ceil() as usize);
        let before = cpu();
        let mut heard = Heard::of(&call, RATE, Some(CALL));
        let evidence = bench.compare(&mut heard, &print, Settings::default());
        let (cost, seconds) = (cpu() - before, heard.net_speech().as_secs_f64());
        let strong = evidence.iter().filter(|e| e.newest.likeness.decide.is_some()).count();
        let last =
            evidence.last().map_or(Decision::Collecting, |last: &SpeakerEvidence| last.decision);
        eprintln!(
            "{}: {:.1} ms of CPU per second of speech; of {} windows {strong} by the strong embedder; {last:?}",
            reader.file_name().unwrap_or_default().display(),
            1e3 * cost.as_secs_f64() / seconds,
            evidence.len(),
        );
        (spent, heard_s) = (spent + cost, heard_s + seconds);
    }
    eprintln!(
        "five calls of five minutes of speech, one slice at a time: {:.1} ms of CPU per second of speech",
        1e3 * spent.as_secs_f64() / heard_s
    );
}

/// CPU time of this process.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
