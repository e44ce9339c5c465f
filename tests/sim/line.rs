//! A line without its listener: datagrams in, 16 kHz of telephone bandwidth out, on the way that they
//! take through `MediaSession` and `Listener`, but without voice activity.

use std::time::Instant;

use sidetone::audio::pcm::{self, SAMPLE_RATE};
use sidetone::audio::playback::{Origin, Piece, Playback};
use sidetone::audio::resampler::{Downsampler, Upsampler};
use sidetone::call::media_plan::Payload;
use sidetone::rtp::jitter_buffer::{JitterBuffer, Playout, Settings};
use sidetone::rtp::packet::Packet;
use sidetone::rtp::reception::{Arrival, Reception};
use sidetone::rtp::sequence::{Filled, Place};

use crate::phone::payloads;

pub(crate) struct Line {
    payloads: Vec<(u8, Payload)>,
    reception: Reception,
    held: Option<(Instant, Vec<u8>)>,
    jitter: JitterBuffer,
    playback: Playback,
    upsampler: Upsampler,
    downsampler: Downsampler,
    /// Timestamp of the first packet that was played.
    pub(crate) began: Option<u32>,
    /// All that was heard, at 16 kHz.
    pub(crate) samples: Vec<f32>,
    /// What was not received as it was sent: first sample and the one past the last.
    pub(crate) touched: Vec<(usize, usize)>,
    /// Samples that went in, as they will count at 16 kHz.
    taken: usize,
}

impl Line {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            payloads: payloads(),
            reception: Reception::new(now),
            held: None,
            jitter: JitterBuffer::new(Settings::default()),
            playback: Playback::new(),
            upsampler: Upsampler::new(),
            downsampler: Downsampler::new(),
            began: None,
            samples: Vec::new(),
            touched: Vec::new(),
            taken: 0,
        }
    }

    pub(crate) fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        let packet = Packet::parse(datagram).expect("a packet");
        let clock_rate = self.payload(&packet).clock_rate();
        match self.reception.record(now, &packet, clock_rate) {
            Arrival::Valid(place) => self.push(now, place, &packet),
            Arrival::Restart { held: before, place } => {
                let (arrived, first) = self.held.take().expect("one is held on probation");
                self.push(arrived, before, &Packet::parse(&first).expect("a packet"));
                self.push(now, place, &packet);
            }
            Arrival::Probation => self.held = Some((now, datagram.to_vec())),
            Arrival::Duplicate => {}
        }
        self.play(now);
    }

    /// Everything that waits is given out.
    pub(crate) fn finish(&mut self, now: Instant) {
        self.play(now + self.jitter.longest_wait());
        self.playback.settle();
        self.hear();
        self.flush();
    }

    /// When [`Self::play`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.jitter.poll_timeout()
    }

    pub(crate) fn play(&mut self, now: Instant) {
        loop {
            match self.jitter.pop(now) {
                Playout::Packet { payload_type, payload, timestamp, .. } => {
                    let known = self.payloads.iter().find(|(number, _)| *number == payload_type);
                    let Some((_, Payload::Audio(codec))) = known else { continue };
                    self.began.get_or_insert(timestamp as u32);
                    self.playback.handle_payload(*codec, &payload);
                }
                Playout::Lost { time, .. } => self.playback.handle_lost(time),
                Playout::Silence { time } => self.playback.handle_silence(time),
                Playout::NotYet => break,
            }
        }
        self.hear();
    }

    fn payload(&self, packet: &Packet<'_>) -> Payload {
        let known = self.payloads.iter().find(|(number, _)| *number == packet.payload_type);
        known.expect("a phone sends what was agreed").1
    }

    fn push(&mut self, now: Instant, place: Place, packet: &Packet<'_>) {
        let Payload::Audio(codec) = self.payload(packet) else { return };
        let filled = Filled {
            units: codec.duration(packet.payload).expect("audio"),
            clock_rate: codec.clock_rate(),
        };
        self.jitter.push(now, place, packet, filled);
    }

    fn hear(&mut self) {
        while let Some(piece) = self.playback.poll_piece() {
            let before = self.taken;
            let received = match piece {
                Piece::Samples { samples, rate, origin } => {
                    let (heard, taken) = if rate == SAMPLE_RATE {
                        (self.upsampler.push(&self.downsampler.push(&samples)), samples.len())
                    } else {
                        (self.upsampler.push(&samples), 2 * samples.len())
                    };
                    self.samples.extend(heard);
                    self.taken += taken;
                    origin == Origin::Received
                }
                Piece::Silence(time) => {
                    self.flush();
                    let length = pcm::samples_in(time) as usize;
                    self.samples.resize(self.samples.len() + length, 0.0);
                    self.taken += length;
                    false
                }
            };
            if !received {
                self.touched.push((before, self.taken));
            }
        }
    }

    fn flush(&mut self) {
        let rest = self.downsampler.flush();
        let rest = [self.upsampler.push(&rest), self.upsampler.flush()].concat();
        self.samples.extend(rest);
    }
}
