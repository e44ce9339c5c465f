//! A telephone that speaks RTP: audio in, datagrams with their times out.

use std::net::SocketAddr;
use std::time::Duration;

use audio_codec::Encoder as _;
use audio_codec::g722::G722Encoder;
use audiopus::coder::Encoder;
use audiopus::{Application, Channels, SampleRate};
use sidetone::audio::decoder::Codec;
use sidetone::audio::g711;
use sidetone::call::media_plan::Payload;
use sidetone::rtp::packet::Packet;

/// Rate of the audio that it is given, Hz.
pub(crate) const RATE: usize = 8_000;
pub(crate) const PTIME: Duration = Duration::from_millis(20);
pub(crate) const PCMU: u8 = 0;
pub(crate) const PCMA: u8 = 8;
pub(crate) const G722: u8 = 9;
pub(crate) const COMFORT_NOISE: u8 = 13;
pub(crate) const L16: u8 = 97;
pub(crate) const L16_WIDE: u8 = 98;
pub(crate) const OPUS: u8 = 111;
pub(crate) const EVENT: u8 = 101;
pub(crate) const SSRC: u32 = 0x5eed;

/// What its payload types carry.
pub(crate) fn payloads() -> Vec<(u8, Payload)> {
    let clock_rate = 8_000;
    vec![
        (PCMU, Payload::Audio(Codec::Pcmu)),
        (PCMA, Payload::Audio(Codec::Pcma)),
        (G722, Payload::Audio(Codec::G722)),
        (L16, Payload::Audio(Codec::L16)),
        (L16_WIDE, Payload::Audio(Codec::L16Wide)),
        (OPUS, Payload::Audio(Codec::Opus)),
        (EVENT, Payload::TelephoneEvent { clock_rate }),
        (COMFORT_NOISE, Payload::ComfortNoise { clock_rate }),
    ]
}

/// Where the phone sends from.
pub(crate) fn peer() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 4_000))
}

/// One datagram on its way.
#[derive(Clone, Debug)]
pub(crate) struct Datagram {
    /// When it arrives.
    pub(crate) at: Duration,
    pub(crate) from: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// Sends 20 ms a packet, in real time.
pub(crate) struct Phone {
    pub(crate) codec: Codec,
    pub(crate) ssrc: u32,
    pub(crate) from: SocketAddr,
    /// Length of the first packet in samples, where it is not 20 ms: it moves all that follow
    /// against the frames of the detector.
    pub(crate) first: Option<usize>,
    pub(crate) sent: Vec<Datagram>,
    pub(crate) now: Duration,
    sequence: u16,
    timestamp: u32,
    pub(crate) opus: Encoder,
    g722: G722Encoder,
    /// The sample before, from which wideband audio goes on.
    before: f32,
}

impl Phone {
    pub(crate) fn new(codec: Codec) -> Self {
        let opus = Encoder::new(SampleRate::Hz8000, Channels::Mono, Application::Voip);
        Self {
            codec,
            ssrc: SSRC,
            from: peer(),
            first: None,
            sent: Vec::new(),
            now: Duration::ZERO,
            // Both wrap within the first second.
            sequence: 65_530,
            timestamp: u32::MAX - 3_000,
            opus: opus.expect("8 kHz mono is a form that Opus has"),
            g722: G722Encoder::new(),
            before: 0.0,
        }
    }

    /// Says `audio`; what fills no packet is left out.
    pub(crate) fn say(&mut self, audio: &[f32]) {
        let (first, rest) = audio.split_at(self.first.take().unwrap_or(0));
        for packet in [first].into_iter().filter(|f| !f.is_empty()).chain(rest.chunks_exact(160)) {
            let (payload_type, payload) = self.encode(packet);
            self.send(payload_type, false, &payload);
            self.pass(Duration::from_secs_f64(packet.len() as f64 / RATE as f64));
        }
    }

    /// Sends nothing for `time`, as with silence suppression and on hold.
    pub(crate) fn pause(&mut self, time: Duration) {
        self.pass(time);
    }

    /// Says that the noise in the pause that follows has -60 dBov (RFC 3389 §3.1).
    pub(crate) fn hush(&mut self) {
        self.send(COMFORT_NOISE, false, &[60]);
    }

    /// Presses a key for `time`: events in the place of audio, all with its start's timestamp
    /// (RFC 4733 §2.2.1), the last one three times.
    pub(crate) fn press(&mut self, time: Duration) {
        let start = self.timestamp;
        let packets = (time.as_millis() / PTIME.as_millis()) as u32;
        for n in 1..=packets {
            self.event(start, n, n == packets);
            self.pass(PTIME);
        }
        (0..2).for_each(|_| self.event(start, packets, true));
    }

    /// As [`Self::say`], with an event beside each packet: some peers send a key's tone as well.
    pub(crate) fn say_and_press(&mut self, audio: &[f32]) {
        let start = self.timestamp;
        for (n, packet) in (1..).zip(audio.chunks_exact(160)) {
            self.say(packet);
            self.event(start, n, false);
        }
    }

    fn event(&mut self, start: u32, ordinal: u32, end: bool) {
        let duration = ((ordinal * 160) as u16).to_be_bytes();
        let payload = [5, if end { 0x8a } else { 0x0a }, duration[0], duration[1]];
        let now = std::mem::replace(&mut self.timestamp, start);
        self.send(EVENT, ordinal == 1, &payload);
        self.timestamp = now;
    }

    fn encode(&mut self, audio: &[f32]) -> (u8, Vec<u8>) {
        let linear = |sample: &f32| (sample * 32_767.0) as i16;
        match self.codec {
            Codec::Pcmu => (PCMU, audio.iter().map(|s| g711::encode_ulaw(linear(s))).collect()),
            Codec::Pcma => (PCMA, audio.iter().map(|s| g711::encode_alaw(linear(s))).collect()),
            Codec::G722 => {
                let audio: Vec<i16> = self.widened(audio).iter().map(linear).collect();
                (G722, self.g722.encode(&audio))
            }
            Codec::L16 => (L16, audio.iter().flat_map(|s| linear(s).to_be_bytes()).collect()),
            Codec::L16Wide => {
                let audio = self.widened(audio);
                (L16_WIDE, audio.iter().flat_map(|s| linear(s).to_be_bytes()).collect())
            }
            Codec::Opus => {
                let mut payload = vec![0; 1_500];
                let length = self.opus.encode_float(audio, &mut payload).expect("a packet");
                payload.truncate(length);
                (OPUS, payload)
            }
        }
    }

    /// Twice the samples, every second one between its neighbours.
    fn widened(&mut self, audio: &[f32]) -> Vec<f32> {
        let between = |sample: &f32| {
            let before = std::mem::replace(&mut self.before, *sample);
            [0.5 * (before + sample), *sample]
        };
        audio.iter().flat_map(between).collect()
    }

    fn send(&mut self, payload_type: u8, marker: bool, payload: &[u8]) {
        let Self { sequence, timestamp, ssrc, .. } = *self;
        let packet = Packet { payload_type, marker, sequence, timestamp, ssrc, payload };
        self.sent.push(Datagram { at: self.now, from: self.from, bytes: packet.write() });
        self.sequence = sequence.wrapping_add(1);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        let units = time.as_nanos() * u128::from(self.codec.clock_rate()) / 1_000_000_000;
        self.timestamp = self.timestamp.wrapping_add(units as u32);
    }
}

/// A buzz of harmonics of 140 Hz at 8 kHz that the detector takes for a voice without a pause.
pub(crate) fn voice(seconds: f32) -> Vec<f32> {
    (0..(RATE as f32 * seconds) as usize)
        .map(|n| {
            let t = n as f32 / RATE as f32;
            let swell = 0.6 + 0.4 * (t * 4.0 * std::f32::consts::TAU).sin();
            let harmonics =
                (1..12).map(|h| (t * 140.0 * h as f32 * std::f32::consts::TAU).sin() / h as f32);
            0.12 * swell * harmonics.sum::<f32>()
        })
        .collect()
}
