//! Opus as a caller's device sends it: for evaluation on recordings. Beside [`crate::audio::decoder`] the
//! only file that names `audiopus`.

use audiopus::coder::Encoder;
use audiopus::{Application, Bitrate, Channels, SampleRate};

/// Samples of 20 ms at 16 kHz.
const FRAME: usize = 320;
/// Longest packet, bytes (RFC 6716 §3.4).
const LONGEST: usize = 1_275;

/// Codes 16 kHz speech in packets of 20 ms.
#[derive(Debug)]
pub struct OpusEncoder(Encoder);

impl OpusEncoder {
    /// An encoder of `rate` bit/s.
    pub fn new(rate: i32) -> Self {
        let encoder = Encoder::new(SampleRate::Hz16000, Channels::Mono, Application::Voip);
        let mut encoder = encoder.expect("16 kHz mono is a form that Opus has");
        encoder.set_bitrate(Bitrate::BitsPerSecond(rate)).expect("a rate that Opus has");
        Self(encoder)
    }

    /// The packets of `speech`; a last one that is not full is filled with silence.
    pub fn encode(&mut self, speech: &[f32]) -> Vec<Vec<u8>> {
        let packet = |frame: &[f32]| {
            let mut frame = frame.to_vec();
            frame.resize(FRAME, 0.0);
            let mut packet = vec![0; LONGEST];
            let length = self.0.encode_float(&frame, &mut packet).expect("a whole frame and room");
            packet.truncate(length);
            packet
        };
        speech.chunks(FRAME).map(packet).collect()
    }
}
