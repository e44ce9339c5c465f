//! What a minute of audio costs one leg, without the models: to 16 kHz samples, to windows and
//! segments, and, of Opus, what its library alone takes of it.
//!
//! An iteration is a minute in packets of 20 ms, an item a second of it.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads its audio and its clock")]

#[path = "../sim/line.rs"]
#[allow(dead_code, reason = "the measurement of quality asks it more")]
mod line;
#[path = "../sim/phone.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod phone;

use std::path::Path;
use std::time::Instant;

use audiopus::coder::Decoder as OpusDecoder;
use audiopus::packet::Packet as OpusPacket;
use audiopus::{Channels, MutSignals, SampleRate};
use divan::Bencher;
use divan::counter::ItemsCount;
use sidetone::audio::concealment::Concealment;
use sidetone::audio::decoder::Codec;
use sidetone::call::inference::{Answer, Infer};
use sidetone::call::media_plan::MediaPlan;
use sidetone::call::media_session::{MediaSession, Output};
use sidetone::call::speaker_watch::SpeakerWatch;
use sidetone::consent::reference::ConsentReference;
use sidetone::rtp::packet::Packet;
use sidetone::rtp::srtp::{MasterKey, ReceiveContext, SendContext, Suite};
use sidetone::runtime::answered_for::answered_for;
use sidetone::runtime::audio_file::read_mono;
use sidetone::speaker::calibration::Calibration;
use sidetone::speaker::embedder::Embedders;
use sidetone::speaker::embedding::Embedding;
use sidetone::speaker::verifier::{Settings, Verifier};
use sidetone::speaker::voiceprint::Voiceprint;

use line::Line;
use phone::{Datagram, Phone, RATE, payloads, peer, voice};

const SECONDS: usize = 60;

fn main() {
    divan::main();
}

/// From datagrams to 16 kHz of telephone bandwidth: reception, jitter buffer, decoder, meters,
/// resamplers.
#[divan::bench(args = Codec::ALL, sample_count = 40)]
fn samples(bencher: Bencher<'_, '_>, codec: Codec) {
    let (sent, start) = (minute(codec), Instant::now());
    bencher.counter(ItemsCount::new(SECONDS)).bench_local(|| {
        let mut line = Line::new(start);
        for datagram in &sent {
            line.handle_datagram(start + datagram.at, &datagram.bytes);
            // As the listener takes it away.
            divan::black_box(&line.samples);
            line.samples.clear();
        }
        line
    });
}

/// libopus on the same payloads, to 16 kHz.
#[divan::bench(sample_count = 40)]
fn libopus(bencher: Bencher<'_, '_>) {
    let sent = minute(Codec::Opus);
    let payload =
        |datagram: &Datagram| Packet::parse(&datagram.bytes).expect("a packet").payload.to_vec();
    let payloads: Vec<Vec<u8>> = sent.iter().map(payload).collect();
    bencher.counter(ItemsCount::new(SECONDS)).bench_local(|| {
        let mut decoder = OpusDecoder::new(SampleRate::Hz16000, Channels::Mono).expect("a decoder");
        let mut samples = [0.0; 320];
        for payload in &payloads {
            let packet = OpusPacket::try_from(payload).expect("a packet");
            let room = MutSignals::try_from(&mut samples[..]).expect("room");
            decoder.decode_float(Some(packet), room, false).expect("audio");
            divan::black_box(&samples);
        }
    });
}

/// The whole session, heard for both models: the same and voice activity, windows, segments.
#[divan::bench(args = Codec::ALL, sample_count = 40)]
fn session(bencher: Bencher<'_, '_>, codec: Codec) {
    let (sent, start) = (minute(codec), Instant::now());
    bencher
        .counter(ItemsCount::new(SECONDS))
        .with_inputs(|| new_session(start))
        .bench_local_values(|mut session| {
            for datagram in &sent {
                session.handle_datagram(start + datagram.at, datagram.from, &datagram.bytes);
                while let Some(output) = session.poll_output() {
                    if let Output::Infer(Infer::Speaker(work)) = output {
                        let embedding = Some(voiceprint().references[0].embedding.clone());
                        let (asker, by, window) = (work.asker, work.by, work.window);
                        session.handle_answer(
                            start + datagram.at,
                            Answer::Embedding { asker, by, window, embedding },
                        );
                    }
                }
            }
            session
        });
}

/// A thousand packets of 20 ms of G.711 decrypted, each checked and looked for in the replay window.
#[divan::bench(args = [
    Suite::AesCm128HmacSha1_80,
    Suite::AesCm128HmacSha1_32,
    Suite::Aes256CmHmacSha1_80,
    Suite::AeadAes128Gcm,
    Suite::AeadAes256Gcm,
])]
fn decryption(bencher: Bencher<'_, '_>, suite: Suite) {
    let secret = vec![7; suite.key_length() + suite.salt_length()];
    let key = MasterKey::new(suite, &secret, None).expect("of the suite's length");
    let mut send = SendContext::new(&key).expect("a key");
    let datagrams: Vec<_> = (0..1_000_u16)
        .map(|sequence| {
            let (payload_type, marker, timestamp, ssrc) = (8, false, 0, 1);
            let payload = &[0xd5; 160];
            let packet = Packet { payload_type, marker, sequence, timestamp, ssrc, payload };
            send.protect_rtp(packet.write()).expect("protected")
        })
        .collect();
    bencher
        .counter(ItemsCount::new(datagrams.len()))
        .with_inputs(|| ReceiveContext::new(std::slice::from_ref(&key)).expect("a key"))
        .bench_local_values(|mut receive| {
            for datagram in &datagrams {
                receive.unprotect_rtp(datagram).expect("authentic");
            }
            receive
        });
}

/// A gap of one packet of 20 ms between two others, at so many Hz.
#[divan::bench(args = [8_000, 16_000])]
fn gap(bencher: Bencher<'_, '_>, rate: usize) {
    let speech = recording(rate as u32);
    let (before, after) = speech[rate..].split_at(rate / 10);
    let after = &after[rate / 50..][..rate / 50];
    let mut concealment = Concealment::new(rate);
    concealment.hear(before);
    bencher
        .with_inputs(|| concealment.clone())
        .bench_local_values(|mut concealment| concealment.bridge(rate / 50, Some(after)));
}

fn minute(codec: Codec) -> Vec<Datagram> {
    let speech = recording(RATE as u32);
    let mut phone = Phone::new(codec);
    phone.say(&speech.iter().copied().cycle().take(SECONDS * RATE).collect::<Vec<_>>());
    phone.sent
}

fn recording(rate: u32) -> Vec<f32> {
    let recording = Path::new("models/store/recordings/two_cities.wav");
    read_mono(recording, rate).unwrap_or_else(|_| voice(40.0))
}

fn new_session(start: Instant) -> MediaSession {
    let plan = MediaPlan::overhearing(payloads(), peer());
    let verifier = Verifier::new(Calibration::RESNET34_GE2E, Settings::default());
    let leave = answered_for(&ConsentReference::new("c-1").expect("a reference"));
    let models = Embedders { decide: "m@1".to_owned(), watch: None };
    let watch = SpeakerWatch::new(&leave, Some(&voiceprint()), &models, verifier);
    MediaSession::new(start, plan, watch.ok().map(Into::into), true, 1, "bench@192.0.2.2")
}

fn voiceprint() -> Voiceprint {
    Voiceprint::of_embedding(
        "alice",
        "c-1",
        jiff::Timestamp::UNIX_EPOCH,
        12.0,
        ("m@1", Embedding::from_raw(vec![1.0; 256]).expect("a direction")),
    )
}
