//! From decoded audio to what the models work on: one pass over a party's stream.

use std::collections::VecDeque;
use std::time::Duration;

use crate::audio::pcm::SAMPLE_RATE;
use crate::audio::resampler::{Downsampler, Upsampler};
use crate::audio::segmenter::{self, Segment, Segmenter};
use crate::audio::speech_level::SpeechLevel;
use crate::audio::speech_windows::{SpeechWindow, SpeechWindows};
use crate::audio::voice_activity::{self, Activity, FRAME, VoiceActivity};

/// Samples that each of the filters holds back, at 16 kHz.
const HELD: usize = 20;

/// Hears one party: resamples, tells speech from silence, cuts windows and segments.
///
/// Everything is band-limited to telephone bandwidth first, wideband too: voiceprints are, and a
/// comparison across bandwidths costs .2 of cosine. Stream time counts what was heard and what was
/// skipped, whatever the network did.
#[derive(Debug)]
pub struct Listener {
    upsampler: Upsampler,
    downsampler: Downsampler,
    activity: VoiceActivity,
    level: SpeechLevel,
    windows: SpeechWindows,
    segmenter: Segmenter,
    /// Whether windows are cut: only for a speaker who is to be embedded.
    cutting_windows: bool,
    /// Whether every frame is handed out: only of a party of several people, one of whom is to be embedded.
    handing_frames: bool,
    /// Whether segments are cut.
    spotting: bool,
    talking: bool,
    /// Frames of speech with concealed audio in them.
    concealed_speech: u32,
    /// Whether what the filters still hold was made up.
    holding_concealed: bool,
    ready: VecDeque<Heard>,
}

/// Something for the owner to act on.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// Net speech for the speaker model.
    Window(SpeechWindow),
    /// Speech or not.
    Frame(voice_activity::Heard),
    /// A spurt for the keyword model.
    Segment(Segment),
    /// No segment is open: all that was said until then was given out, or was too short.
    Settled {
        /// In stream time.
        at: Duration,
    },
    /// The party began or ceased to talk.
    Talk {
        /// Whether it talks now.
        talking: bool,
        /// Since when, in stream time.
        at: Duration,
    },
}

impl Listener {
    /// At the beginning of a stream. `cutting` as in [`Self::cut_windows`]; `spotting` says whether
    /// segments are wanted.
    pub fn new(cutting: bool, spotting: bool) -> Self {
        Self {
            upsampler: Upsampler::new(),
            downsampler: Downsampler::new(),
            activity: VoiceActivity::new(voice_activity::Settings::default()),
            level: SpeechLevel::default(),
            windows: SpeechWindows::new(),
            segmenter: Segmenter::new(segmenter::Settings::default()),
            cutting_windows: cutting,
            handing_frames: false,
            spotting,
            talking: false,
            concealed_speech: 0,
            holding_concealed: false,
            ready: VecDeque::new(),
        }
    }

    /// Whether windows are handed out from now on: without, nothing is there to be embedded.
    pub fn cut_windows(&mut self, wanted: bool) {
        self.cutting_windows = wanted;
    }

    /// Whether frames are handed out from now on.
    pub fn hand_out_frames(&mut self, wanted: bool) {
        self.handing_frames = wanted;
    }

    /// Takes the next samples, at 8 or 16 kHz; `concealed` if they were made up.
    pub fn hear(&mut self, samples: &[f32], rate: u32, concealed: bool) {
        let (samples, held) = if rate == SAMPLE_RATE {
            (self.upsampler.push(&self.downsampler.push(samples)), HELD + HELD)
        } else {
            (self.upsampler.push(samples), HELD)
        };
        // The filters run behind: what comes out first went in before this call, and is what that
        // was. On either side of a gap they carry a neighbour's sound over half a millisecond; to
        // leave out the whole frame before it for that cost as much speech again as was lost, and
        // chopped the rest: at 5 % random loss 90 and not 95 % of the net speech was left, and the
        // speaker's cosine fell by .011 and not .008, at 10 % by .036 and not .019.
        let (before, these) = samples.split_at(held.min(samples.len()));
        self.activity.push(before, self.holding_concealed);
        self.activity.push(these, concealed);
        self.holding_concealed = concealed || (self.holding_concealed && these.is_empty());
        self.gather();
    }

    /// Nothing was sent for `time`.
    pub fn skip(&mut self, time: Duration) {
        self.flush();
        let jumped = self.activity.skip(time);
        self.gather();
        if jumped {
            self.segmenter.finish();
            self.collect();
        }
    }

    /// What was heard and not taken is forgotten, with all that filters, windows and segments hold; a party that
    /// talks ceases to.
    pub fn discard(&mut self) {
        self.flush();
        self.activity.discard();
        self.windows.discard();
        self.segmenter.discard();
        self.ready.clear();
        if std::mem::take(&mut self.talking) {
            self.ready.push_back(Heard::Talk { talking: false, at: self.stream_time() });
        }
    }

    /// `time` passes and nobody hears what is in it; to be used after [`Self::discard`].
    pub fn pass(&mut self, time: Duration) {
        self.activity.pass(time);
    }

    /// The stream is over: what is still open ends here.
    pub fn finish(&mut self) {
        self.flush();
        self.activity.finish();
        self.gather();
        self.segmenter.finish();
        self.collect();
    }

    /// Lets the filters' last samples out.
    fn flush(&mut self) {
        let rest = self.downsampler.flush();
        let mut rest = self.upsampler.push(&rest);
        rest.extend(self.upsampler.flush());
        self.activity.push(&rest, self.holding_concealed);
        self.holding_concealed = false;
    }

    fn gather(&mut self) {
        while let Some(heard) = self.activity.poll_output() {
            let talking = heard.activity != Activity::Silence;
            if talking != self.talking {
                self.talking = talking;
                self.ready.push_back(Heard::Talk { talking, at: heard.frame.start });
            }
            if heard.activity == Activity::Speech && heard.frame.concealed {
                self.concealed_speech += 1;
            }
            self.level.hear(&heard);
            self.windows.handle_frame(&heard);
            if self.spotting {
                self.segmenter.handle_frame(&heard);
            }
            self.collect();
            if self.handing_frames {
                self.ready.push_back(Heard::Frame(heard));
            }
        }
    }

    fn collect(&mut self) {
        while let Some(window) = self.windows.poll_output() {
            if self.cutting_windows {
                self.ready.push_back(Heard::Window(window));
            }
        }
        while let Some(segment) = self.segmenter.poll_output() {
            self.ready.push_back(Heard::Segment(segment));
        }
        if let Some(at) = self.segmenter.poll_end() {
            self.ready.push_back(Heard::Settled { at });
        }
    }

    /// What was heard, oldest first.
    pub fn poll(&mut self) -> Option<Heard> {
        self.ready.pop_front()
    }

    /// How far the stream has come, what the filters still hold left out.
    pub fn stream_time(&self) -> Duration {
        self.activity.position()
    }

    /// Audio heard, concealed audio included, skipped time not.
    pub fn audio(&self) -> Duration {
        frames(self.activity.stats().frames)
    }

    /// Speech heard that was really received.
    pub fn net_speech(&self) -> Duration {
        self.windows.net_speech()
    }

    /// Levels of voice and pauses, in telephone bandwidth.
    pub fn level(&self) -> SpeechLevel {
        self.level
    }

    /// Audio that was made up in place of lost packets.
    pub fn concealed(&self) -> Duration {
        frames(self.activity.stats().concealed)
    }

    /// Speech of which a part was made up: heard by nobody, so missing from the analysis.
    pub fn concealed_speech(&self) -> Duration {
        FRAME * self.concealed_speech
    }
}

fn frames(count: u64) -> Duration {
    FRAME * u32::try_from(count).expect("a call is shorter than 994 days")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A buzz of harmonics of 140 Hz at 8 kHz that the detector takes for a voice.
    fn voice(seconds: f32) -> Vec<f32> {
        (0..(8_000.0 * seconds) as usize)
            .map(|n| {
                let t = n as f32 / 8_000.0;
                let swell = 0.6 + 0.4 * (t * 4.0 * std::f32::consts::TAU).sin();
                let harmonics = (1..12)
                    .map(|h| (t * 140.0 * h as f32 * std::f32::consts::TAU).sin() / h as f32);
                0.12 * swell * harmonics.sum::<f32>()
            })
            .collect()
    }

    fn hear(listener: &mut Listener, seconds: f32) -> Vec<Heard> {
        voice(seconds).chunks(160).for_each(|packet| listener.hear(packet, 8_000, false));
        listener.skip(Duration::from_secs(1));
        std::iter::from_fn(|| listener.poll()).collect()
    }

    #[test]
    fn unless_windows_are_wanted_none_is_ever_cut() {
        let mut listener = Listener::new(false, true);
        let heard = hear(&mut listener, 9.0);
        assert!(heard.iter().any(|h| matches!(h, Heard::Segment(_))));
        assert!(!heard.iter().any(|h| matches!(h, Heard::Window(_))));
        assert!(listener.net_speech() > Duration::from_secs(8));
    }

    #[test]
    fn a_spurt_begins_and_ends_and_is_cut_both_ways() {
        let mut listener = Listener::new(true, true);
        let heard = hear(&mut listener, 5.0);
        let talk: Vec<_> = heard
            .iter()
            .filter_map(|h| match h {
                Heard::Talk { talking, .. } => Some(*talking),
                Heard::Window(_) | Heard::Frame(_) | Heard::Segment(_) | Heard::Settled { .. } => {
                    None
                }
            })
            .collect();
        assert_eq!(talk, [true, false]);
        let windows = heard.iter().filter(|h| matches!(h, Heard::Window(_))).count();
        let segments = heard.iter().filter(|h| matches!(h, Heard::Segment(_))).count();
        assert_eq!((windows, segments), (6, 2));
    }

    #[test]
    fn a_discard_leaves_nothing_to_be_cut_and_the_clock_goes_on() {
        let mut listener = Listener::new(true, true);
        voice(1.5).chunks(160).for_each(|packet| listener.hear(packet, 8_000, false));
        listener.discard();
        let left: Vec<_> = std::iter::from_fn(|| listener.poll()).collect();
        let at = Duration::from_millis(1_500);
        assert_eq!(left, [Heard::Talk { talking: false, at }]);
        listener.pass(Duration::from_secs(10));
        assert_eq!(listener.stream_time(), at + Duration::from_secs(10));
        let heard = hear(&mut listener, 2.0);
        let segment = heard.iter().find_map(|heard| match heard {
            Heard::Segment(segment) => Some(segment),
            _ => None,
        });
        let start = segment.expect("a spurt of two seconds").start;
        assert!(start >= at + Duration::from_secs(10), "no pre-roll of before: {start:?}");
        assert!(!heard.iter().any(|h| matches!(h, Heard::Window(w) if w.start < start)));
    }

    #[test]
    fn concealed_speech_is_counted_and_not_cut() {
        let mut listener = Listener::new(true, false);
        for (n, packet) in voice(6.0).chunks(160).enumerate() {
            listener.hear(packet, 8_000, n % 2 == 1);
        }
        let (made_up, received) = (listener.concealed_speech(), listener.net_speech());
        assert!(made_up > Duration::from_millis(2_500), "{made_up:?}");
        assert!(received > Duration::from_millis(2_500), "{received:?}");
        let windows =
            std::iter::from_fn(|| listener.poll()).filter(|h| matches!(h, Heard::Window(_)));
        assert!(windows.count() <= 2, "less than 3 s is left");
    }

    #[test]
    fn what_the_filters_hold_of_a_concealed_packet_stays_concealed() {
        for (rate, packet) in [(8_000, 160), (16_000, 320)] {
            // A little more in the first packet: the detector's frames do not begin with a packet.
            let ahead = packet / 32;
            let mut listener = Listener::new(false, false);
            listener.hear(&vec![0.0; packet + ahead], rate, false);
            listener.hear(&vec![0.1; packet], rate, true);
            listener.hear(&vec![0.0; 4 * packet], rate, false);
            listener.finish();
            assert_eq!(listener.concealed(), 2 * FRAME, "at {rate} Hz, in the middle");

            let mut listener = Listener::new(false, false);
            listener.hear(&vec![0.0; packet + ahead], rate, false);
            listener.hear(&vec![0.1; packet], rate, true);
            listener.skip(Duration::from_millis(100));
            listener.finish();
            assert_eq!(listener.concealed(), 2 * FRAME, "at {rate} Hz, before a silence");
        }
    }
}
