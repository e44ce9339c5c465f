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
use sidetone::call::media_session::{Answer, Infer, MediaSession, Output};
use sidetone::call::speaker_watch::SpeakerWatch;
use sidetone::consent::consent::Consent;
use sidetone::rtp::packet::Packet;
use sidetone::rtp::security::Security;
use sidetone::rtp::srtp::{MasterKey, ReceiveContext, SendContext, Suite};
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
