//! Dialogues of real speech on one leg: who speaks when, and whether one of them is the one claimed.

#[path = "store/mod.rs"]
mod store;
#[path = "voices/mod.rs"]
#[allow(dead_code, reason = "trials need more of it")]
mod voices;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sidetone::audio::listener::{Heard as Part, Listener};
use sidetone::audio::speech_windows::SpeechWindows;
use sidetone::audio::turns::TurnModel;
use sidetone::audio::voice_activity::FRAME_SAMPLES;
use sidetone::call::claim_watch::{ClaimWatch, Claimed};
use sidetone::consent::reference::ConsentReference;
use sidetone::policy::evidence::SpeakerEvidence;
use sidetone::policy::rule::Party;
use sidetone::runtime::answered_for::answered_for;
use sidetone::runtime::heard::Heard;
use sidetone::runtime::onnx::segmentation_model::SegmentationModel;
use sidetone::speaker::calibration::Calibration;
use sidetone::speaker::embedder::Purpose;
use sidetone::speaker::verifier::{Decision, Settings};
use sidetone::speaker::voiceprint::Voiceprint;

use voices::{Bench, RATE, SPEECH, listing, median, telephone};

/// Two people on one line, mu-law, 8 kHz.
struct Dialogue {
    audio: Vec<f32>,
    /// By 20 ms: whether the first and whether the second talks, pauses within a turn included.
    truth: Vec<[bool; 2]>,
}

/// Readers in the order of their folders, each with what enrols them and what they say in dialogues.
fn readers() -> Vec<(Vec<PathBuf>, Vec<PathBuf>)> {
    let folders = listing(&Path::new(SPEECH).join("speakers"));
    let split = |folder: PathBuf| {
        let mut files = listing(&folder);
        let said = files.split_off(3);
        (files, said)
    };
    folders.into_iter().map(split).collect()
}

/// Turns of 1 to 6 s by either in turn, from .4 s of overlap to .6 s of silence between them.
fn dialogue(first: &[PathBuf], second: &[PathBuf], seconds: f32, seed: u64) -> Dialogue {
    let mut random = fastrand::Rng::with_seed(seed);
    let voices = [telephone(first), telephone(second)];
    let mut taken = [0; 2];
    let length = (seconds * RATE as f32) as usize;
    let (mut audio, mut truth) = (vec![0.0; length], vec![[false; 2]; length / 160]);
    let (mut at, mut who) = (RATE as usize / 2, 0);
    loop {
        let turn = (RATE as f32 * (1.0 + 5.0 * random.f32())) as usize;
        let (from, voice) = (taken[who], &voices[who]);
        if at + turn > length || from + turn > voice.len() {
            break;
        }
        audio[at..at + turn].iter_mut().zip(&voice[from..]).for_each(|(sum, x)| *sum += x);
        (at / 160..(at + turn) / 160).for_each(|frame| truth[frame][who] = true);
        taken[who] += turn;
        at = at + turn - RATE as usize * 2 / 5 + random.usize(0..RATE as usize);
        who = 1 - who;
    }
    truth.truncate(at.min(length) / 160);
    audio.truncate(truth.len() * 160);
    Dialogue { audio, truth }
}

fn frames(audio: &[f32]) -> Vec<sidetone::audio::voice_activity::Heard> {
    let mut listener = Listener::new(false, false);
    listener.hand_out_frames(true);
    audio.chunks(160).for_each(|packet| listener.hear(packet, RATE, false));
    listener.finish();
    std::iter::from_fn(|| listener.poll())
        .filter_map(|part| match part {
            Part::Frame(frame) => Some(frame),
            Part::Window(_) | Part::Segment(_) | Part::Settled { .. } | Part::Talk { .. } => None,
        })
        .collect()
}

/// What a claim to be `print`'s shows on a leg that carries `audio`, until it is settled, and what the cheap
/// embedder was asked about.
fn claim(
    bench: &mut Bench,
    model: &mut SegmentationModel,
    audio: &[f32],
    (print, agent): (&Voiceprint, Option<&Voiceprint>),
) -> (Vec<SpeakerEvidence>, Vec<Vec<f32>>) {
    let consent = ConsentReference::new("readers").expect("a reference");
    let leave = answered_for(&consent);
    let claimed = Claimed { leave: &leave, voiceprint: Some(print), agent };
    let weighing = (Calibration::RESNET34_GE2E, Settings::default());
    let mut watch = ClaimWatch::new(Party::Mixed, claimed, &bench.names, weighing, None)
        .expect("a voiceprint of these models");
    let (mut evidence, mut slices) = (Vec::new(), Vec::new());
    let mut settle = |watch: &mut ClaimWatch| {
        loop {
            if let Some(chunk) = watch.poll_chunk() {
                watch.handle_rows(chunk.number, model.turns(&chunk.samples).ok().as_deref());
            } else if let Some(work) = watch.poll_work() {
                let voice = bench.voices.embed(&leave, work.by, &work.samples).ok();
                watch.handle_embedding(work.by, work.window, voice);
                if work.by == Purpose::Watch {
                    slices.push(work.samples);
                }
            } else {
                break;
            }
        }
        evidence.extend(std::iter::from_fn(|| watch.poll_evidence()));
    };
    for heard in frames(audio) {
        watch.handle_frame(heard);
        settle(&mut watch);
    }
    watch.finish();
    settle(&mut watch);
    (evidence, slices)
}

fn segmentation() -> SegmentationModel {
    let store = store::store().expect("the bench has it");
    voices::installed(&store).turns().expect("the segmentation model")
}

/// The share of each slice that is the speech of whoever says most of it.
fn purity(slices: &[Vec<f32>], dialogue: &Dialogue) -> Vec<f64> {
    // A frame is known by its first samples.
    let bits = |frame: &[f32]| [frame[0].to_bits(), frame[1].to_bits(), frame[2].to_bits()];
    let frames = frames(&dialogue.audio);
    let at: HashMap<_, _> =
        frames.iter().map(|heard| (bits(&heard.frame.samples), heard.frame.start)).collect();
    let share = |slice: &Vec<f32>| {
        let truths = slice.chunks(FRAME_SAMPLES).filter_map(|frame| {
            let start = at.get(&bits(frame))?;
            dialogue.truth.get((start.as_millis() / 20) as usize)
        });
        let (mut alone, mut all) = ([0; 2], 0);
        for truth in truths {
            all += 1;
            match truth {
                [true, false] => alone[0] += 1,
                [false, true] => alone[1] += 1,
                [true, true] | [false, false] => {}
            }
        }
        f64::from(alone[0].max(alone[1])) / f64::from(all)
    };
    slices.iter().map(share).collect()
}

#[test]
#[expect(clippy::print_stderr, reason = "the figures are what the test is about")]
fn what_is_compared_is_one_person_s() {
    let Some(mut bench) = Bench::new() else { return };
    let (mut model, readers) = (segmentation(), readers());
    let (mut apart, mut together) = (Vec::new(), Vec::new());
    for first in 0..readers.len() {
        let (second, stranger) = ((first + 1) % readers.len(), (first + 2) % readers.len());
        let dialogue = dialogue(&readers[first].1, &readers[second].1, 60.0, first as u64);
        let print = bench.enrol(&telephone(&readers[stranger].0)).expect("a voiceprint");
        let (_, slices) = claim(&mut bench, &mut model, &dialogue.audio, (&print, None));
        apart.extend(purity(&slices, &dialogue));
        let mut windows = SpeechWindows::new();
        frames(&dialogue.audio).iter().for_each(|heard| windows.handle_frame(heard));
        let slices: Vec<_> = std::iter::from_fn(|| windows.poll_output())
            .map(|window| window.slice().to_vec())
            .collect();
        together.extend(purity(&slices, &dialogue));
    }
    let pure = |of: &[f64]| {
        let pure = of.iter().filter(|share| **share >= 0.9).count();
        100.0 * pure as f64 / of.len() as f64
    };
    eprintln!(
        "{} slices told apart: {:.1} % are one person's to nine tenths; {} slices of all speech: {:.1} %",
        apart.len(),
        pure(&apart),
        together.len(),
        pure(&together)
    );
    assert!(apart.len() > 100 && pure(&apart) > 70.0 && pure(&apart) > pure(&together) + 15.0);
}

#[test]
#[expect(clippy::print_stderr, reason = "the figures are what the test is about")]
fn the_claimed_one_is_found_among_two_and_nobody_else_is() {
    let Some(mut bench) = Bench::new() else { return };
    let (mut model, readers) = (segmentation(), readers());
    let prints: Vec<Voiceprint> = readers
        .iter()
        .map(|(enrolling, _)| bench.enrol(&telephone(enrolling)).expect("a voiceprint"))
        .collect();
    let (mut accepted, mut impostors, mut rejected, mut genuine) = (Vec::new(), 0, 0, 0);
    let (mut false_accepts, mut together) = (0, Vec::new());
    for caller in 0..readers.len() {
        for step in 1..3 {
            let agent = (caller + step) % readers.len();
            let other = (caller + step + 1) % readers.len();
            let Dialogue { audio, .. } =
                dialogue(&readers[agent].1, &readers[caller].1, 60.0, (caller * 8 + step) as u64);
            let known = Some(&prints[agent]);
            let (evidence, _) = claim(&mut bench, &mut model, &audio, (&prints[caller], known));
            genuine += 1;
            let first = evidence.iter().find(|e| e.decision == Decision::Accepted);
            accepted.extend(first.map(|e| (e.at, e.net_speech)));
            assert!(evidence.iter().all(|e| e.decision != Decision::Rejected), "{caller} {agent}");
            let mut heard = Heard::of(&audio, RATE, None);
            let plain = bench.compare(&mut heard, &prints[caller], Settings::default());
            together.extend(plain.last().map(|e| e.decision));
            let (evidence, _) = claim(&mut bench, &mut model, &audio, (&prints[other], known));
            let last = evidence.last().map(|e| e.decision);
            impostors += 1;
            false_accepts += usize::from(last == Some(Decision::Accepted));
            rejected += usize::from(last == Some(Decision::Rejected));
        }
    }
    let found = accepted.len();
    let at = median(accepted.iter().map(|(at, _)| *at).collect());
    let speech = median(accepted.iter().map(|(_, speech)| *speech).collect());
    eprintln!(
        "genuine: {found} of {genuine} accepted, median at {at:?} of the dialogue by {speech:?} of own speech; \
         impostors: {false_accepts} of {impostors} accepted, {rejected} rejected with the agent known"
    );
    let mistaken = |decision| together.iter().filter(|other| **other == decision).count();
    eprintln!(
        "as one voice: {} of {} accepted, {} rejected, {} changed or suspect",
        mistaken(Decision::Accepted),
        together.len(),
        mistaken(Decision::Rejected),
        mistaken(Decision::Changed) + mistaken(Decision::Suspect)
    );
    assert!(found * 10 >= genuine * 9, "{found} of {genuine}");
    assert_eq!(false_accepts, 0);
    assert!(rejected > 0, "{rejected} of {impostors}");
}
