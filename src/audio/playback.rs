//! From payloads, losses and silences in order to samples, each with the word on where it is from.

use std::collections::VecDeque;
use std::time::Duration;

use crate::audio::concealment::Concealment;
use crate::audio::decoder::{Codec, Decoder};
use crate::audio::level::LevelMeter;
use crate::audio::tone::{Tone, ToneMeter};

/// Longest time that is made up: a voice cannot be guessed for longer, and a gap from the network
/// must not cost memory.
const LONGEST_BRIDGE: Duration = Duration::from_millis(120);

/// A piece of a party's audio.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// Mono samples, full scale -1 to 1.
    Samples {
        /// Of any number.
        samples: Vec<f32>,
        /// Hz: 8,000 or 16,000.
        rate: u32,
        /// Where they are from.
        origin: Origin,
    },
    /// Nothing was sent.
    Silence(Duration),
}

/// Where samples are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The peer sent them, and they came.
    Received,
    /// Their packet was lost, and the next one repeated them.
    Repaired,
    /// Made up. Never to be scored.
    Concealed,
}

/// Plays one party's stream, whatever codecs it comes in.
///
/// A loss waits for the packet behind it, which is there already: nobody listens live, so a gap is
/// given up only once something came after it, and can be bridged from both of its sides.
#[derive(Debug, Default)]
pub struct Playback {
    voice: Option<Voice>,
    /// Lost, and not bridged yet.
    lost: Duration,
    undecodable: u64,
    repaired: u64,
    level: LevelMeter,
    tone: ToneMeter,
    ready: VecDeque<Piece>,
}

/// One codec's stream, as far as it was heard.
#[derive(Debug)]
struct Voice {
    decoder: Decoder,
    concealment: Concealment,
}

impl Playback {
    /// Nothing played yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The codec of the last payload.
    pub fn codec(&self) -> Option<Codec> {
        self.voice.as_ref().map(|voice| voice.decoder.codec())
    }

    /// Payloads that did not decode; each is bridged as if it had been lost.
    pub fn undecodable(&self) -> u64 {
        self.undecodable
    }

    /// Lost packets whose audio the next one repeated.
    pub fn repaired(&self) -> u64 {
        self.repaired
    }

    /// Level and clipping of all that was received.
    pub fn level(&self) -> LevelMeter {
        self.level
    }

    /// The longest steady tone that was received.
    pub fn tone(&self) -> Option<Tone> {
        self.tone.longest()
    }

    /// The next payload in order.
    pub fn handle_payload(&mut self, codec: Codec, payload: &[u8]) {
        if self.codec() != Some(codec) {
            self.settle();
            self.voice = Some(Voice::new(codec));
        }
        let Some(voice) = &mut self.voice else { return };
        // What a payload repeats has to be asked for before it is decoded itself.
        let lost = std::mem::take(&mut self.lost);
        let ahead = voice.recover(lost, Some(payload));
        let decoded = voice.decoder.decode(payload);
        let (filled, repaired) =
            ahead.unwrap_or_else(|| (voice.bridge(lost, decoded.as_deref().ok()), 0));
        if let Ok(samples) = &decoded {
            voice.concealment.hear(samples);
        }
        self.push_filled(codec, lost, filled, repaired);
        match decoded {
            Ok(_) if codec.is_pause(payload) => self.handle_silence(codec.time(payload)),
            Ok(samples) => self.push(codec, samples, Origin::Received),
            Err(_) => {
                self.undecodable += 1;
                self.lost = codec.time(payload);
            }
        }
    }

    /// Packets that would have filled `time` are lost; the next call says what comes behind them.
    pub fn handle_lost(&mut self, time: Duration) {
        self.lost += time;
    }

    /// Nothing was sent for `time`.
    pub fn handle_silence(&mut self, time: Duration) {
        self.settle();
        self.push_silence(time);
    }

    /// Nothing comes behind what was lost: it is bridged from its one side.
    pub fn settle(&mut self) {
        let lost = std::mem::take(&mut self.lost);
        let Some(voice) = &mut self.voice else { return self.push_silence(lost) };
        let filled = voice.recover(lost, None).map(|(filled, _)| filled);
        let filled = filled.unwrap_or_else(|| voice.bridge(lost, None));
        let codec = voice.decoder.codec();
        self.push_filled(codec, lost, filled, 0);
    }

    /// What was played and not taken is forgotten, with all that decoder and concealment remember of it; losses
    /// that wait to be bridged become silence.
    pub fn discard(&mut self) {
        self.voice = None;
        self.ready.clear();
        self.settle();
    }

    /// The next piece, in the order of the stream.
    pub fn poll_piece(&mut self) -> Option<Piece> {
        self.ready.pop_front()
    }

    /// `filled` in the place of `lost`, of which the last `repaired` samples were really sent, and
    /// silence for what is too long to be made up.
    fn push_filled(&mut self, codec: Codec, lost: Duration, mut filled: Vec<f32>, repaired: usize) {
        let sent = filled.split_off(filled.len() - repaired);
        self.repaired += u64::from(repaired > 0);
        self.push(codec, filled, Origin::Concealed);
        self.push_silence(lost.saturating_sub(LONGEST_BRIDGE));
        self.push(codec, sent, Origin::Repaired);
    }

    fn push(&mut self, codec: Codec, samples: Vec<f32>, origin: Origin) {
        match origin {
            Origin::Received | Origin::Repaired => {
                self.level.hear(&samples);
                self.tone.hear(&samples, codec.sample_rate());
            }
            Origin::Concealed if !samples.is_empty() => self.tone.pause(),
            Origin::Concealed => {}
        }
        if !samples.is_empty() {
            self.ready.push_back(Piece::Samples { samples, rate: codec.sample_rate(), origin });
        }
    }

    fn push_silence(&mut self, time: Duration) {
        if !time.is_zero() {
            self.tone.pause();
            self.ready.push_back(Piece::Silence(time));
        }
    }
}

impl Voice {
    fn new(codec: Codec) -> Self {
        Self {
            decoder: Decoder::new(codec),
            concealment: Concealment::new(codec.sample_rate() as usize),
        }
    }

    /// See [`Decoder::recover`].
    fn recover(&mut self, lost: Duration, next: Option<&[u8]>) -> Option<(Vec<f32>, usize)> {
        self.decoder.recover(self.samples_in(lost), next)
    }

    /// See [`Concealment::bridge`].
    fn bridge(&mut self, lost: Duration, after: Option<&[f32]>) -> Vec<f32> {
        // What is behind a gap that is too long is no help across it.
        self.concealment.bridge(self.samples_in(lost), after.filter(|_| lost <= LONGEST_BRIDGE))
    }

    /// Samples that are made up for what was lost.
    fn samples_in(&self, lost: Duration) -> usize {
        let rate = u128::from(self.decoder.codec().sample_rate());
        // To the nearest: the clock of Opus has no whole nanoseconds.
        ((lost.min(LONGEST_BRIDGE).as_nanos() * rate + 500_000_000) / 1_000_000_000) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::g711;

    /// 20 ms of a tone of 400 Hz in mu-law.
    fn tone() -> Vec<u8> {
        let sample =
            |n: usize| 8_000.0 * (n as f32 * 400.0 * std::f32::consts::TAU / 8_000.0).sin();
        (0..160).map(|n| g711::encode_ulaw(sample(n) as i16)).collect()
    }

    fn millis(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Everything that is ready, in words.
    fn story(playback: &mut Playback) -> Vec<String> {
        std::iter::from_fn(|| playback.poll_piece())
            .map(|piece| match piece {
                Piece::Samples { samples, rate, origin } => {
                    format!("{origin:?} {} of {rate}", samples.len())
                }
                Piece::Silence(time) => format!("silence {time:?}"),
            })
            .collect()
    }

    #[test]
    fn a_loss_is_bridged_once_the_packet_behind_it_is_known() {
        let mut playback = Playback::new();
        playback.handle_payload(Codec::Pcmu, &tone());
        playback.handle_lost(millis(20));
        assert_eq!(story(&mut playback), ["Received 160 of 8000"]);
        playback.handle_payload(Codec::Pcmu, &tone());
        assert_eq!(story(&mut playback), ["Concealed 160 of 8000", "Received 160 of 8000"]);
    }

    #[test]
    fn nothing_longer_than_120_ms_is_made_up() {
        let mut playback = Playback::new();
        playback.handle_payload(Codec::Pcmu, &tone());
        playback.handle_lost(millis(500));
        playback.settle();
        let expected = ["Received 160 of 8000", "Concealed 960 of 8000", "silence 380ms"];
        assert_eq!(story(&mut playback), expected);
    }

    #[test]
    fn a_loss_before_the_first_payload_is_silence() {
        let mut playback = Playback::new();
        playback.handle_lost(millis(40));
        playback.handle_payload(Codec::G722, &[0xfa; 160]);
        assert_eq!(story(&mut playback), ["silence 40ms", "Received 320 of 16000"]);
    }

    #[test]
    fn what_does_not_decode_is_lost() {
        let mut playback = Playback::new();
        playback.handle_payload(Codec::Opus, &[0x08, 1, 2, 3, 4, 5, 6, 7, 8]);
        story(&mut playback);
        // Two frames of 20 ms (code 1) that are not of one length.
        playback.handle_payload(Codec::Opus, &[0x09, 1, 2, 3]);
        playback.handle_silence(millis(60));
        assert_eq!(playback.undecodable(), 1);
        assert_eq!(story(&mut playback).last().map(String::as_str), Some("silence 60ms"));
    }

    #[test]
    fn a_silent_sender_is_silent_not_lost() {
        let mut playback = Playback::new();
        playback.handle_payload(Codec::Opus, &[0x08, 1, 2, 3, 4, 5, 6, 7, 8]);
        playback.handle_payload(Codec::Opus, &[0x08]);
        assert_eq!(story(&mut playback), ["Received 320 of 16000", "silence 20ms"]);
    }

    #[test]
    fn after_a_discard_a_loss_is_bridged_with_nothing_of_before() {
        let mut playback = Playback::new();
        playback.handle_payload(Codec::Pcmu, &tone());
        playback.handle_lost(millis(20));
        playback.discard();
        assert_eq!(story(&mut playback), ["silence 20ms"]);
        playback.handle_lost(millis(20));
        playback.handle_payload(Codec::Pcmu, &tone());
        assert_eq!(story(&mut playback), ["silence 20ms", "Received 160 of 8000"]);
    }

    #[test]
    fn another_codec_goes_on_without_a_gap() {
        let mut playback = Playback::new();
        playback.handle_payload(Codec::Pcmu, &tone());
        playback.handle_lost(millis(20));
        playback.handle_payload(Codec::G722, &[0xfa; 160]);
        let expected = ["Received 160 of 8000", "Concealed 160 of 8000", "Received 320 of 16000"];
        assert_eq!(story(&mut playback), expected);
        assert_eq!(playback.codec(), Some(Codec::G722));
    }
}
