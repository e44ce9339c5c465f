//! `sidetone enroll` and `sidetone voiceprint` on real and made-up audio: what is good is kept, what is
//! not is told in one sentence (exit code 1), and nothing of it stays.
//!
//! Needs the models and the readers of `../shared/speech`; without them it says so and passes.

mod appliance;
mod store;

use std::f32::consts::TAU;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use appliance::{RATE, Site, write_wav};
use serde_json::Value;
use sidetone::consent::retention;
use sidetone::runtime::audio_file::{read_mono, resample};
use sidetone::runtime::store::place::Place;
use sidetone::runtime::store::vault::{Subject, Vault};
use store::{skip, store};

/// A site, and the readers' recordings.
fn bench() -> Option<(Site, Readers)> {
    let store = store()?;
    let folder = Path::new("../shared/speech/speakers");
    if !folder.is_dir() {
        skip("the readers are not there");
        return None;
    }
    let readers = listing(folder).iter().map(|reader| listing(reader)).collect();
    Some((Site::new(&store), Readers(readers)))
}

struct Readers(Vec<Vec<PathBuf>>);

impl Readers {
    /// `seconds` of one reader, from utterance `first` on, at [`RATE`].
    fn say(&self, reader: usize, first: usize, seconds: f32) -> Vec<f32> {
        let utterances = self.0[reader].iter().skip(first);
        let mut samples: Vec<f32> =
            utterances.flat_map(|file| read_mono(file, RATE).expect("a recording")).collect();
        samples.truncate((seconds * RATE as f32) as usize);
        samples
    }
}

fn listing(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn seconds(length: f32, wave: impl Fn(f32) -> f32) -> Vec<f32> {
    (0..(length * RATE as f32) as usize).map(|n| wave(n as f32 / RATE as f32)).collect()
}

fn enroll(site: &Site, subject: &str, more: &[&str]) -> Output {
    let arguments = ["enroll", "--json", "--subject", subject, "--consent", "c-1"];
    site.run(&[&arguments, more].concat())
}

fn vault(site: &Site) -> Vault {
    let place = Place::parse(&format!("sqlite:{}", site.path("vault.db").display()), None);
    let retention = retention::Settings::default();
    Vault::open(&place.expect("a place"), &site.path("store.key"), retention).expect("a vault")
}

/// Everybody of whom a voice is kept.
fn kept(site: &Site) -> Vec<String> {
    let persons = vault(site).persons(None, 100).expect("persons");
    persons.into_iter().map(|person| person.subject).collect()
}

/// The JSON document that it printed.
#[track_caller]
fn told(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

/// The sentence of a refusal, after which nothing of `subject` is in the store.
#[track_caller]
fn refused(site: &Site, samples: &[f32]) -> String {
    write_wav(&site.path("refused.wav"), samples);
    refused_file(site, "refused.wav")
}

#[track_caller]
fn refused_file(site: &Site, file: &str) -> String {
    let output = enroll(site, "nobody", &[file]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = told(&output);
    assert_eq!(told["enrolled"], false);
    assert_eq!(kept(site), [""; 0], "no voice is stored");
    told["reason"].as_str().expect("a sentence").to_owned()
}

#[test]
fn what_is_no_voice_is_not_enrolled() {
    let Some((site, _)) = bench() else { return };
    let sine = |hertz: f32| move |t: f32| (t * hertz * TAU).sin();
    let silence = refused(&site, &seconds(20.0, |_| 0.0));
    assert_eq!(silence, "0.0 s of net speech found, at least 10 s needed");
    let tone = refused(&site, &seconds(20.0, |t| 0.2 * sine(440.0)(t)));
    assert!(tone.starts_with("a steady tone of 440 Hz for "), "{tone}");
    let dial = |t: f32| 0.1 * (sine(350.0)(t) + sine(440.0)(t));
    let dial = refused(&site, &seconds(20.0, dial));
    assert!(dial.starts_with("no voice found: parts of it are as alike as"), "{dial}");
    let melody = |t: f32| {
        let notes = [262.0, 392.0, 330.0, 440.0, 523.0, 349.0, 294.0, 494.0];
        let (note, age) = (notes[(t / 0.3) as usize % 8], t % 0.3);
        (1..8).map(|h| sine(note * h as f32)(t) / (h as f32).powf(1.5)).sum::<f32>()
            * 0.12
            * (-9.0 * age).exp()
    };
    let melody = refused(&site, &seconds(20.0, melody));
    assert!(melody.starts_with("no voice found: parts of it are as alike as"), "{melody}");
}

#[test]
fn what_is_no_recording_of_a_voice_is_not_enrolled() {
    let Some((site, readers)) = bench() else { return };
    let speech = readers.say(0, 0, 14.0);
    let spec = |sample_rate, bits_per_sample, sample_format| hound::WavSpec {
        channels: 1,
        sample_rate,
        bits_per_sample,
        sample_format,
    };
    let write = |name: &str, spec, samples: &[f32]| {
        let mut wav = hound::WavWriter::create(site.path(name), spec).expect("a writable folder");
        samples.iter().for_each(|&s| wav.write_sample(s).expect("a writable folder"));
        wav.finalize().expect("a writable folder");
    };
    let float = hound::SampleFormat::Float;
    write("empty.wav", spec(8_000, 32, float), &[]);
    assert_eq!(refused_file(&site, "empty.wav"), "empty.wav holds no samples");
    let mut holed = speech.clone();
    holed[40_000] = f32::NAN;
    write("nan.wav", spec(8_000, 32, float), &holed);
    let wanted =
        "nan.wav has samples that are no numbers or far beyond full scale, a recording needed";
    assert_eq!(refused_file(&site, "nan.wav"), wanted);
    write("narrow.wav", spec(6_000, 32, float), &resample(speech.clone(), 8_000, 6_000));
    let wanted = "narrow.wav has 6000 samples a second, at least 8000 needed for a voice";
    assert_eq!(refused_file(&site, "narrow.wav"), wanted);

    let peak = speech.iter().fold(0_f32, |peak, x| peak.max(x.abs()));
    let loud: Vec<f32> = speech.iter().map(|x| (x * 8.0 / peak).clamp(-1.0, 1.0)).collect();
    let clipped = refused(&site, &loud);
    assert!(clipped.contains("% of the samples are clipped, at most 1 % allowed"), "{clipped}");
    let mut chance = fastrand::Rng::with_seed(5);
    let level = (speech.iter().map(|x| x * x).sum::<f32>() / speech.len() as f32).sqrt();
    // Uniform noise of twice its root mean square's width, over the square root of 3: at 3 dB.
    let noisy: Vec<f32> =
        speech.iter().map(|x| x + (chance.f32() - 0.5) * level * 2.0 * 1.732 * 0.7).collect();
    let noisy = refused(&site, &noisy);
    assert!(noisy.starts_with("the voice is ") && noisy.contains("10 dB needed"), "{noisy}");
}

#[test]
fn two_people_are_not_one_voiceprint() {
    let Some((site, readers)) = bench() else { return };
    let (a, b) = (readers.say(0, 0, 8.0), readers.say(3, 0, 8.0));
    let halves = refused(&site, &[a.clone(), b.clone()].concat());
    assert!(halves.starts_with("more than one voice found: parts of the speech agree"), "{halves}");
    let turn = 2 * RATE as usize;
    let turns: Vec<f32> =
        a.chunks(turn).zip(b.chunks(turn)).flat_map(|(a, b)| [a, b].concat()).collect();
    let turns = refused(&site, &turns);
    assert!(turns.starts_with("more than one voice found: parts of the speech agree"), "{turns}");
}

#[test]
fn any_rate_from_a_telephones_up_makes_the_same_voiceprint() {
    let Some((site, readers)) = bench() else { return };
    let speech = readers.say(1, 0, 15.0);
    let rates = [8_000, 22_050, 48_000, 96_000];
    for rate in rates {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: rate,
            bits_per_sample: 24,
            sample_format: hound::SampleFormat::Int,
        };
        let file = site.path(&format!("{rate}.wav"));
        let mut wav = hound::WavWriter::create(&file, spec).expect("a writable folder");
        for sample in resample(speech.clone(), 8_000, rate) {
            wav.write_sample((sample * 8_388_607.0) as i32).expect("a writable folder");
        }
        wav.finalize().expect("a writable folder");
        let output = enroll(&site, &format!("at-{rate}"), &[&format!("{rate}.wav")]);
        assert!(output.status.success(), "{rate}: {output:?}");
        assert_eq!(told(&output)["session"]["band"], "narrow", "{rate}: nothing is above 4 kHz");
    }
    let mut vault = vault(&site);
    let voice = |rate: u32| {
        let voice = vault.voice(&Subject::caller(&format!("at-{rate}"))).expect("an answer");
        voice.voiceprint.expect("a voiceprint").references.remove(0).embedding
    };
    let voices: Vec<_> = rates.into_iter().map(voice).collect();
    assert_eq!(voices.len(), rates.len());
    for voice in &voices[1..] {
        let cosine = voices[0].cosine(voice).expect("one model");
        // The same speech cut a few milliseconds elsewhere is .94 to .99 alike.
        assert!(cosine > 0.9, "{cosine}");
    }
}

#[test]
fn a_voiceprint_is_added_to_by_its_own_voice_alone_and_shown_handed_out_and_erased() {
    let Some((site, readers)) = bench() else { return };
    write_wav(&site.path("first.wav"), &readers.say(2, 0, 18.0));
    write_wav(&site.path("later.wav"), &readers.say(2, 5, 8.0));
    write_wav(&site.path("other.wav"), &readers.say(4, 0, 18.0));
    let first = told(&enroll(&site, "alice", &["first.wav"]));
    assert_eq!((&first["enrolled"], &first["session"]["source"]), (&true.into(), &"file".into()));
    assert!(first["spread"]["mean"].as_f64().expect("a number") > 0.7, "{first}");

    let show = || told(&site.run(&["voiceprint", "show", "--json", "--subject", "alice"]));
    let before = show();
    let other = enroll(&site, "alice", &["--add", "other.wav"]);
    assert_eq!(other.status.code(), Some(1), "{other:?}");
    let reason = told(&other)["reason"].to_string();
    assert!(reason.contains("another voice than before found"), "{reason}");
    assert_eq!(show(), before, "nothing has changed");
    // 8 s, too little for one of its own, are enough beside what there is.
    let later = enroll(&site, "alice", &["--add", "later.wav"]);
    assert!(later.status.success(), "{later:?}");
    assert_eq!(show()["voiceprint"]["sessions"].as_array().map(Vec::len), Some(2));

    let list = told(&site.run(&["voiceprint", "list", "--json"]));
    assert_eq!(list[0]["subject"], "alice");
    let consent = told(&site.run(&["consent", "show", "--json", "--subject", "alice"]));
    assert_eq!(consent["covered"], serde_json::json!(["verify", "enrol"]), "recorded as given");
    // One of the watchlist was not asked; an agent of that name is another person.
    let watchlist = enroll(&site, "alice", &["--watchlist", "first.wav"]);
    assert!(watchlist.status.success(), "{watchlist:?}");
    let agent = ["--role", "agent", "--scopes", "verify,enrol,adapt", "first.wav"];
    assert!(enroll(&site, "alice", &agent).status.success());
    let covered =
        told(&site.run(&["consent", "show", "--json", "--subject", "alice", "--role", "agent"]));
    assert_eq!(covered["covered"], serde_json::json!(["verify", "enrol", "adapt"]));
    let consents = told(&site.run(&["consent", "list", "--json"]));
    assert_eq!(
        consents.as_array().map(Vec::len),
        Some(2),
        "the caller's and the agent's: {consents}"
    );
    for capacity in [&["--watchlist"][..], &["--role", "agent"]] {
        let erase = ["voiceprint", "erase", "--subject", "alice"];
        assert!(site.run(&[&erase[..], capacity].concat()).status.success());
    }
    let uncovered = enroll(&site, "bob", &["--scopes", "verify", "first.wav"]);
    assert_eq!(uncovered.status.code(), Some(1), "{uncovered:?}");
    assert_eq!(told(&uncovered)["reason"], "the consent does not cover this");
    let export = |more: &[&str]| {
        let arguments = ["voiceprint", "export", "--subject", "alice"];
        String::from_utf8(site.run(&[&arguments, more].concat()).stdout).expect("UTF-8")
    };
    assert!(!export(&[]).contains("embedding\":\""), "no voice unasked");
    assert!(export(&["--embeddings"]).contains("embedding\":\""));
    let revert = site.run(&["voiceprint", "revert", "--subject", "alice"]);
    assert_eq!(revert.status.code(), Some(1), "it was never adapted: {revert:?}");

    let migrate = ["voiceprint", "migrate", "--json", "--dry-run", "--to"];
    let migrated = site.run(&[&migrate[..], &["new@1"]].concat());
    assert_eq!(migrated.status.code(), Some(1), "{migrated:?}");
    assert_eq!(told(&migrated)["must_speak_again"][0]["subject"], "alice");
    let same = told(&enroll(&site, "alice", &["first.wav"]))["model"].to_string();
    let migrated = site.run(&[&migrate[..], &[same.trim_matches('"')]].concat());
    assert!(migrated.status.success(), "{migrated:?}");

    let erase = ["voiceprint", "erase", "--subject", "alice"];
    let erased = site.run(&erase);
    assert!(erased.status.success(), "{erased:?}");
    assert!(erased.stdout.starts_with(b"erased of alice: the voiceprint, the key\n"), "{erased:?}");
    let again = site.run(&erase);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert_eq!(kept(&site), [""; 0]);
}
