//! What phrases cost at twenty calls at a time, and how long after its last sound a phrase is told by INFO.
//!
//! `make keyword-load` makes the recordings, `target/keyword-eval`, and plays the same to Moonshine's own engine.
//! Twelve calls are of sentences that hold a compliance phrase, with pauses; eight are a monologue without end, the
//! reading of two_cities.wav, in which five phrases were placed by a phone-level aligner. In the sentences the end of a
//! phrase is where our own alignment puts it.
#![expect(clippy::print_stderr, reason = "a measurement says what it found")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads disk and clock")]

#[path = "../store/mod.rs"]
mod store;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use sidetone::audio::listener::Listener;
use sidetone::config::{Config, parse_policy};
use sidetone::runtime::appliance::Appliance;
use sidetone::runtime::audio_file::read_mono;
use sidetone::runtime::caller::{CallPlan, CallReport, place};
use sidetone::runtime::installed::Installed;
use sidetone::runtime::store::key_file::KeyFile;
use sidetone::runtime::store::vault::new_secret;
use store::{skip, store};
use tokio::task::JoinSet;
use tokio::time::sleep;

const RATE: u32 = 8_000;
const CALLS: usize = 20;
/// Of each call.
const LENGTH: usize = 80 * RATE as usize;
/// Between the sentences.
const PAUSE: usize = RATE as usize * 3 / 2;
/// Phrases of two_cities.wav, and when the last sound of each ends, s; see `models`.
const READ: [(&str, f64); 5] = [
    ("best of times", 2.74),
    ("winter of despair", 20.42),
    ("everything before us", 22.46),
    ("going direct to heaven", 25.97),
    ("superlative degree", 40.17),
];

fn main() {
    let Some(models) = store() else { return };
    let folder = Path::new("target/keyword-eval");
    let Ok(list) = std::fs::read_to_string(folder.join("carriers.csv")) else {
        return skip("the sentences are not there: make keyword-load makes them");
    };
    let installed = Installed::open(&models, None).expect("the models");
    let file = folder.join("compliance.toml");
    let mut text = std::fs::read_to_string(&file).expect("the phrases");
    for (phrase, _) in READ {
        text +=
            &format!("\n[[phrase]]\nid = \"{}\"\ntext = \"{phrase}\"\n", phrase.replace(' ', "-"));
    }
    let policy = parse_policy(&file, &text).expect("a sound policy");
    let phrases = policy.phrases.len();
    let sentences: Vec<Vec<f32>> = list
        .lines()
        .skip(1)
        .map(|line| {
            read_mono(&PathBuf::from(line.split(',').next().unwrap_or("")), RATE)
                .expect("a sentence")
        })
        .collect();
    let reading = read_mono(&installed.recording("two_cities.wav"), RATE).expect("the reading");
    let calls: Vec<Vec<f32>> = (0..CALLS)
        .map(|call| match call % 5 {
            0 | 1 => reading.iter().copied().cycle().take(LENGTH).collect(),
            _ => spoken(&sentences, call),
        })
        .collect();
    let played = folder.join("calls");
    std::fs::create_dir_all(&played).expect("a folder");
    for (call, audio) in calls.iter().enumerate() {
        write(&played.join(format!("{call:02}.wav")), audio);
    }
    let net_speech: Duration = calls.iter().map(|audio| net_speech(audio)).sum();

    let store = tempfile::tempdir().expect("a folder");
    let config = Config::on_loopback(64, store.path(), &models);
    KeyFile::create(&config.store.key_file, new_secret()).expect("a key");
    let reactor = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (reports, threads) = reactor.expect("a reactor").block_on(async {
        let appliance = Appliance::start(&config, policy, &installed).expect("an appliance");
        let target = appliance.udp_address().expect("it listens on UDP");
        let before = threads();
        let mut under_way = JoinSet::new();
        for (call, audio) in calls.into_iter().enumerate() {
            let headers = [
                ("X-Sidetone-Conversation", format!("load-{call}")),
                ("X-Sidetone-Party", "agent".to_owned()),
            ];
            let headers = headers.map(|(name, value)| (name.to_owned(), value)).to_vec();
            let afterwards = Duration::from_secs(4);
            let plan = CallPlan { target, headers, audio, afterwards, pace: 1.0, backlog: None };
            under_way.spawn(async move {
                sleep(Duration::from_millis(370 * call as u64)).await;
                (call, place(plan).await.expect("a call"))
            });
        }
        let reports: BTreeMap<usize, CallReport> = under_way.join_all().await.into_iter().collect();
        let after = threads();
        appliance.stop().await;
        let spent = after.into_iter().map(|(name, spent)| {
            let before = before.get(&name).copied().unwrap_or_default();
            (name, spent - before)
        });
        (reports, spent.collect::<BTreeMap<String, f64>>())
    });

    let (mut sentences, mut monologue) = (Vec::new(), Vec::new());
    for (call, report) in reports {
        for (told, at) in report.infos.iter().zip(&report.arrived) {
            let told: Value = serde_json::from_str(told).expect("JSON");
            let (Some(phrase), Some(end)) = (told["phrase"].as_str(), told["end_s"].as_f64())
            else {
                continue;
            };
            match call % 5 {
                0 | 1 => monologue.extend(after_reading(phrase, at.as_secs_f64(), end, &reading)),
                _ => sentences.push(at.as_secs_f64() - end),
            }
        }
    }
    let seconds = net_speech.as_secs_f64();
    eprintln!("{CALLS} calls at a time, {phrases} phrases, {seconds:.0} s of speech");
    say("sentences", &mut sentences);
    say("in the monologue", &mut monologue);
    for (name, spent) in threads.iter().filter(|(_, spent)| **spent > 0.05) {
        eprintln!("  {name:<16} {:>6.2} ms of CPU per second of speech", 1e3 * spent / seconds);
    }
}

/// Time from the last sound of a phrase of the reading to its INFO, if it was the right one.
fn after_reading(phrase: &str, at: f64, end: f64, reading: &[f32]) -> Option<f64> {
    let round = reading.len() as f64 / f64::from(RATE);
    let (_, said) = READ.iter().find(|(text, _)| text.replace(' ', "-") == phrase)?;
    let times = (0..).map(|n| said + f64::from(n) * round).take_while(|said| *said < end + 1.0);
    times.filter(|said| (said - end).abs() < 1.0).map(|said| at - said).next()
}

/// Median, 95th percentile and highest of times in seconds.
fn say(what: &str, times: &mut [f64]) {
    times.sort_by(f64::total_cmp);
    let Some(last) = times.len().checked_sub(1) else { return eprintln!("  {what}: none told") };
    let at = |share: f64| times[(last as f64 * share).round() as usize];
    eprintln!(
        "  {what}: {} INFOs, median {:.2} s after the phrase's end, 95 % within {:.2}, all within {:.2}",
        times.len(),
        at(0.5),
        at(0.95),
        at(1.0)
    );
}

/// A call of sentences with pauses; every call begins elsewhere in the list.
fn spoken(sentences: &[Vec<f32>], call: usize) -> Vec<f32> {
    let mut audio = Vec::new();
    for sentence in sentences.iter().cycle().skip(call * 37) {
        audio.extend(sentence);
        audio.resize(audio.len() + PAUSE, 0.0);
        if audio.len() > LENGTH {
            break;
        }
    }
    audio
}

fn net_speech(audio: &[f32]) -> Duration {
    let mut listener = Listener::new(false, false);
    listener.hear(audio, RATE, false);
    listener.finish();
    listener.net_speech()
}

fn write(file: &Path, audio: &[f32]) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(file, spec).expect("a file");
    for sample in sidetone::audio::pcm::to_i16(audio) {
        writer.write_sample(sample).expect("a disk");
    }
    writer.finalize().expect("a disk");
}

/// CPU time of this process's threads by name, s.
fn threads() -> BTreeMap<String, f64> {
    let mut threads = BTreeMap::new();
    for thread in std::fs::read_dir("/proc/self/task").expect("Linux").flatten() {
        let read = |file: &str| std::fs::read_to_string(thread.path().join(file));
        if let (Ok(name), Ok(spent)) = (read("comm"), read("schedstat")) {
            let spent = spent.split(' ').next().and_then(|ns| ns.parse::<f64>().ok());
            *threads.entry(name.trim().to_owned()).or_insert(0.0) +=
                spent.unwrap_or_default() / 1e9;
        }
    }
    threads
}
