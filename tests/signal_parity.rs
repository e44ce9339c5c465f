//! The signal path against reference data: ITU-T's G.711 vectors, SciPy's resampler and Kaldi's
//! filterbank. Skips what the data folder does not hold. Real RTP is in `captures.rs`.
#![expect(clippy::disallowed_methods, reason = "reference data lies on the disk")]
#![expect(clippy::print_stderr, reason = "a measurement says what it found")]

use std::fs;

use sidetone::audio::decoder::{Codec, Decoder};
use sidetone::audio::fbank::{Edges, FilterBank, K2, Settings, Window};
use sidetone::audio::g711;
use sidetone::audio::g722::G722Decoder;
use sidetone::audio::mel::{self, MelSpectrum};
use sidetone::audio::resampler::Upsampler;

mod npy;

/// A file of the data folder, or a word on why the test does nothing.
fn data(name: &str) -> Option<Vec<u8>> {
    let path = format!("../shared/{name}");
    let bytes = fs::read(&path);
    if let Err(error) = &bytes {
        eprintln!("skipped: {path}: {error}");
    }
    bytes.ok()
}

/// 16-bit little-endian words, as in the ITU-T Software Tool Library.
fn words(name: &str) -> Option<Vec<i16>> {
    let bytes = data(&format!("vectors/{name}"))?;
    Some(bytes.as_chunks().0.iter().map(|&word| i16::from_le_bytes(word)).collect())
}

/// The references' mu-law recording, which has a header of 58 bytes, at 8 kHz.
fn recording() -> Option<Vec<f32>> {
    let wav = data("speaker/ref/ref_ulaw8k.wav")?;
    let mut decoder = Decoder::new(Codec::Pcmu);
    let payloads = wav[58..].chunks(160);
    Some(payloads.flat_map(|payload| decoder.decode(payload).expect("audio")).collect())
}

fn largest_difference(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).map(|(l, r)| (l - r).abs()).fold(0.0, f32::max)
}

#[test]
fn g711_is_bit_exact_over_all_samples() {
    let files = ["sweep.src", "sweep-r.u", "sweep-r.reu", "sweep-r.a", "sweep-r.rea"];
    let [Some(linear), Some(ulaw), Some(from_ulaw), Some(alaw), Some(from_alaw)] =
        files.map(|name| words(&format!("g711/{name}")))
    else {
        return;
    };
    assert_eq!(linear.len(), 65_536);
    for (n, &sample) in linear.iter().enumerate() {
        assert_eq!(i16::from(g711::encode_ulaw(sample)), ulaw[n], "mu-law of {sample}");
        assert_eq!(i16::from(g711::encode_alaw(sample)), alaw[n], "A-law of {sample}");
        assert_eq!(g711::decode_ulaw(ulaw[n] as u8), from_ulaw[n], "mu-law {:#x}", ulaw[n]);
        assert_eq!(g711::decode_alaw(alaw[n] as u8), from_alaw[n], "A-law {:#x}", alaw[n]);
    }
}

#[test]
fn g722_is_bit_exact() {
    // One code in the lower half of each word; the decoder's mode 1 is 64 kbit/s.
    let files = ["codspw.cod", "outsp1.bin"];
    let [Some(coded), Some(decoded)] = files.map(|name| words(&format!("g722/{name}"))) else {
        return;
    };
    let codes: Vec<u8> = coded.iter().map(|&word| word as u8).collect();
    assert_eq!((codes.len(), decoded.len()), (48_768, 97_536));
    let mut decoder = G722Decoder::new();
    for (n, (payload, expected)) in codes.chunks(160).zip(decoded.chunks(320)).enumerate() {
        assert_eq!(decoder.decode(payload), expected, "packet {n}");
    }
}

#[test]
fn upsampling_is_scipys() {
    let (Some(narrow), Some(reference)) = (recording(), data("speaker/ref/ref_tel_up16k.npy"))
    else {
        return;
    };
    let mut upsampler = Upsampler::new();
    let mut wide: Vec<f32> = narrow.chunks(160).flat_map(|chunk| upsampler.push(chunk)).collect();
    wide.extend(upsampler.flush());
    let difference = largest_difference(&wide, &npy::f32s(&reference).1);
    assert!(difference < 1e-5, "{difference}");
}

#[test]
fn the_filterbank_is_kaldis() {
    let names = ["speaker/ref/ref_tel_up16k.npy", "speaker/ref/resnet34_fbank.npy"];
    let [Some(input), Some(reference)] = names.map(data) else { return };
    let (shape, reference) = npy::f32s(&reference);
    let plain = Settings {
        window: Window::Hamming,
        scale: 32_768.0,
        edges: Edges::Whole,
        highest_hz: 8_000,
        ..K2
    };
    let input = &npy::f32s(&input).1[..48_000];
    let energies = FilterBank::new(plain).compute(input);
    assert_eq!(shape, [plain.frames(input.len()), 80]);
    let difference = largest_difference(&energies, &reference);
    assert!(difference < 1e-3, "{difference}");
    let energies = FilterBank::new(Settings { subtract_mean: true, ..plain }).compute(input);
    let rest: f32 = energies.iter().sum::<f32>() / energies.len() as f32;
    assert!(rest.abs() < 1e-4, "{rest}");
}

#[test]
fn the_mel_spectrum_is_librosas() {
    let names = ["ref_trimmed16k", "ref_mel", "ref_tel_up16k", "ref_tel_mel"];
    let names = names.map(|name| format!("speaker/ref/{name}.npy"));
    let [Some(input), Some(reference), Some(narrow), Some(narrow_reference)] =
        names.each_ref().map(|name| data(name))
    else {
        return;
    };
    // Both references end with what fills up their last window of 160 frames, in silence.
    for (input, reference) in [(input, reference), (narrow, narrow_reference)] {
        let (shape, reference) = npy::f32s(&reference);
        assert_eq!(shape[1], mel::BANDS);
        let mut samples = npy::f32s(&input).1;
        samples.resize((shape[0] - 1) * mel::FRAME_SHIFT, 0.0);
        let energies = MelSpectrum::new().compute(&samples);
        let difference = largest_difference(&energies, &reference);
        let loudest = reference.iter().copied().fold(0.0, f32::max);
        eprintln!("off by {difference:e}, where the loudest is {loudest}");
        assert!(difference < 1e-4, "{difference}");
    }
}
