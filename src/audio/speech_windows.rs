//! Net speech in windows of 3 s, for the speaker model.

use std::collections::VecDeque;
use std::time::Duration;

use crate::audio::pcm::Frame;
use crate::audio::voice_activity::{Activity, FRAME, FRAME_SAMPLES, Heard};

/// Speech in a window: the length at which the speaker model's calibration and the detection of a
/// change of speaker were measured.
pub const WINDOW: Duration = Duration::from_secs(3);
/// Samples in a [`WINDOW`].
pub const WINDOW_SAMPLES: usize = WINDOW_FRAMES * FRAME_SAMPLES;

const WINDOW_FRAMES: usize = (WINDOW.as_millis() / FRAME.as_millis()) as usize;

/// Puts the speech of one party together and cuts it into overlapping windows.
///
/// Only [`Activity::Speech`] that was really received counts: pauses and concealed frames are left
/// out without breaking the window.
#[derive(Debug)]
pub struct SpeechWindows {
    /// In frames.
    hop: usize,
    /// The last [`WINDOW_FRAMES`] of speech at most.
    speech: VecDeque<Frame>,
    /// Frames of speech since the stream began, and since the window before.
    heard: u64,
    fresh: u64,
    ready: VecDeque<SpeechWindow>,
}

/// 3 s of speech by one party.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeechWindow {
    /// [`WINDOW_SAMPLES`] at 16 kHz.
    pub samples: Vec<f32>,
    /// Stream time of the first sample.
    pub start: Duration,
    /// Stream time just past the last sample.
    pub end: Duration,
    /// Speech heard since the stream began, up to the window's end.
    pub net_speech: Duration,
    /// Speech in it that was not in the window before.
    pub fresh: Duration,
}

impl SpeechWindows {
    /// Nothing heard yet; see [`Self::set_hop`].
    pub fn new(hop: Duration) -> Self {
        let mut windows = Self {
            hop: 1,
            speech: VecDeque::with_capacity(WINDOW_FRAMES),
            heard: 0,
            fresh: 0,
            ready: VecDeque::new(),
        };
        windows.set_hop(hop);
        windows
    }

    /// From now on a window begins `hop` of speech after the one before: short while the speaker is
    /// undecided, long afterwards. In whole frames, at least one; beyond [`WINDOW`] the speech in
    /// between is not analysed.
    pub fn set_hop(&mut self, hop: Duration) {
        self.hop = (hop.as_millis() / FRAME.as_millis()).max(1) as usize;
    }

    /// Takes the next frame of the stream.
    pub fn handle_frame(&mut self, heard: &Heard) {
        if heard.activity != Activity::Speech || heard.frame.concealed {
            return;
        }
        if self.speech.len() == WINDOW_FRAMES {
            self.speech.pop_front();
        }
        self.speech.push_back(heard.frame.clone());
        self.heard += 1;
        self.fresh += 1;
        let full = self.speech.len() == WINDOW_FRAMES;
        let first = self.heard == self.fresh;
        if full && (first || self.fresh >= self.hop as u64) {
            self.cut();
        }
    }

    /// The next full window.
    pub fn poll_output(&mut self) -> Option<SpeechWindow> {
        self.ready.pop_front()
    }

    /// Speech heard since the stream began.
    pub fn net_speech(&self) -> Duration {
        frames(self.heard)
    }

    fn cut(&mut self) {
        let (Some(first), Some(last)) = (self.speech.front(), self.speech.back()) else { return };
        self.ready.push_back(SpeechWindow {
            samples: self.speech.iter().flat_map(|frame| &frame.samples).copied().collect(),
            start: first.start,
            end: last.end(),
            net_speech: frames(self.heard),
            fresh: frames(self.fresh.min(WINDOW_FRAMES as u64)),
        });
        self.fresh = 0;
    }
}

fn frames(count: u64) -> Duration {
    FRAME * u32::try_from(count).expect("a call is shorter than 994 days")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        windows: SpeechWindows,
        now: Duration,
    }

    impl Bench {
        fn new() -> Self {
            Self { windows: SpeechWindows::new(Duration::from_secs(1)), now: Duration::ZERO }
        }

        /// `ms` of frames whose samples tell their start in seconds.
        fn hear(&mut self, ms: u64, activity: Activity, concealed: bool) -> Vec<SpeechWindow> {
            for _ in 0..ms / 20 {
                let samples = vec![self.now.as_secs_f32(); FRAME_SAMPLES];
                let frame = Frame { samples, start: self.now, concealed };
                self.windows.handle_frame(&Heard { frame, activity });
                self.now += FRAME;
            }
            std::iter::from_fn(|| self.windows.poll_output()).collect()
        }

        fn speak(&mut self, ms: u64) -> Vec<SpeechWindow> {
            self.hear(ms, Activity::Speech, false)
        }
    }

    fn millis(window: &SpeechWindow) -> [u128; 4] {
        [window.start, window.end, window.net_speech, window.fresh].map(|time| time.as_millis())
    }

    #[test]
    fn the_first_window_comes_with_three_seconds_and_the_next_after_a_hop() {
        let mut bench = Bench::new();
        assert_eq!(bench.speak(2_980), []);
        let first = bench.speak(20);
        assert_eq!(first[0].samples.len(), WINDOW_SAMPLES);
        assert_eq!(millis(&first[0]), [0, 3_000, 3_000, 3_000]);
        assert_eq!(bench.speak(980), []);
        assert_eq!(millis(&bench.speak(20)[0]), [1_000, 4_000, 4_000, 1_000]);
    }

    #[test]
    fn pauses_and_concealed_audio_are_left_out() {
        let mut bench = Bench::new();
        bench.speak(1_000);
        bench.hear(5_000, Activity::Silence, false);
        bench.speak(1_000);
        bench.hear(240, Activity::Hangover, false);
        bench.hear(60, Activity::Speech, true);
        let windows = bench.speak(1_000);
        assert_eq!(millis(&windows[0]), [0, 8_300, 3_000, 3_000]);
        assert_eq!(windows[0].samples[16_000], 6.0, "after the pause");
        assert_eq!(bench.windows.net_speech(), Duration::from_secs(3));
    }

    #[test]
    fn the_hop_may_change_between_windows() {
        let mut bench = Bench::new();
        bench.windows.set_hop(Duration::from_secs(10));
        assert_eq!(bench.speak(3_000).len(), 1, "the first does not wait for a hop");
        bench.windows.set_hop(Duration::from_secs(3));
        assert_eq!(bench.speak(2_980), []);
        assert_eq!(millis(&bench.speak(20)[0]), [3_000, 6_000, 6_000, 3_000]);
        bench.windows.set_hop(Duration::from_secs(10));
        assert_eq!(millis(&bench.speak(10_000)[0]), [13_000, 16_000, 16_000, 3_000]);
    }
}
