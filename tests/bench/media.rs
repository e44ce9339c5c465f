//! What one RTP packet costs, from datagram to windows and segments, without the models.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads its audio and its clock")]

#[path = "../sim/phone.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod phone;

use std::path::Path;
use std::time::Instant;

use divan::Bencher;
use divan::counter::ItemsCount;
use sidetone::audio::decoder::Codec;
use sidetone::call::media_plan::MediaPlan;
use sidetone::call::media_session::{Answer, Infer, MediaSession, Output, SpeakerWatch};
use sidetone::consent::consent::Consent;
use sidetone::rtp::security::Security;
use sidetone::runtime::audio_file::read_mono;
use sidetone::speaker::calibration::{Calibration, ErrorRate};
use sidetone::speaker::embedding::Embedding;
use sidetone::speaker::verifier::{Settings, Verifier};
use sidetone::speaker::voiceprint::Voiceprint;

use phone::{Phone, RATE, payloads, peer, voice};

fn main() {
    divan::main();
}

/// A minute of speech, heard for both models; an item is a packet of 20 ms.
#[divan::bench(args = [Codec::Pcmu, Codec::G722, Codec::Opus], sample_count = 20)]
fn packet(bencher: Bencher<'_, '_>, codec: Codec) {
    let recording = Path::new("models/store/recordings/two_cities.wav");
    let mut speech = read_mono(recording, RATE as u32).unwrap_or_else(|_| voice(40.0));
    speech.extend(speech.clone());
    speech.truncate(60 * RATE);
    let mut phone = Phone::new(codec);
    phone.say(&speech);
    let start = Instant::now();
    bencher
        .counter(ItemsCount::new(phone.sent.len()))
        .with_inputs(|| session(start))
        .bench_local_values(|mut session| {
            for datagram in &phone.sent {
                session.handle_datagram(start + datagram.at, datagram.from, &datagram.bytes);
                while let Some(output) = session.poll_output() {
                    if let Output::Infer(Infer::Speaker(window)) = output {
                        let embedding = Some(voiceprint().embedding);
                        session.handle_answer(Answer::Embedding { window, embedding });
                    }
                }
            }
            session
        });
}

fn session(start: Instant) -> MediaSession {
    let plan = MediaPlan {
        payloads: payloads(),
        rtp: Some(peer()),
        rtcp: None,
        patience: None,
        xr: false,
        send: None,
        security: Security::None,
    };
    let rate = |n| ErrorRate::one_in(n).expect("a rate");
    let settings = Settings { false_accept: rate(1_000), false_reject: rate(50) };
    let verifier = Verifier::new(Calibration::RESNET34_3S, settings);
    let consent = Consent::from_reference("c-1").ok();
    let watch = SpeakerWatch::new(consent.as_ref(), Some(voiceprint()), "m@1", verifier);
    MediaSession::new(start, plan, watch.ok(), true, 1, "bench@192.0.2.2")
}

fn voiceprint() -> Voiceprint {
    Voiceprint {
        subject: "alice".to_owned(),
        consent: "c-1".to_owned(),
        model: "m@1".to_owned(),
        created: jiff::Timestamp::UNIX_EPOCH,
        net_speech_s: 12.0,
        embedding: Embedding::from_raw(vec![1.0; 256]).expect("a direction"),
    }
}
