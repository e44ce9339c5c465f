//! Net speech on a grid, in windows for the voice models.

use std::collections::VecDeque;
use std::f32::consts::TAU;
use std::time::Duration;

use crate::audio::pcm::{Frame, SAMPLE_RATE};
use crate::audio::spectrum::Spectrum;
use crate::audio::voice_activity::{Activity, FRAME, FRAME_SAMPLES, Heard};

/// Speech in a whole window: the length at which the decision's calibration was measured.
pub const WINDOW: Duration = Duration::from_secs(3);
/// Speech in the newest slice of a window: what the cheap voice model hears at once (GE2E, 160 frames).
pub const SLICE: Duration = Duration::from_millis(1_600);
/// Speech from one window's end to the next: two steps and a slice make a whole window.
pub const STEP: Duration = Duration::from_millis(700);
/// Samples in a [`WINDOW`].
pub const WINDOW_SAMPLES: usize = WINDOW_FRAMES * FRAME_SAMPLES;
/// Samples in a [`SLICE`].
pub const SLICE_SAMPLES: usize = SLICE_FRAMES * FRAME_SAMPLES;

const WINDOW_FRAMES: usize = frames_in(WINDOW);
const SLICE_FRAMES: usize = frames_in(SLICE);
const STEP_FRAMES: usize = frames_in(STEP);

const fn frames_in(time: Duration) -> usize {
    (time.as_millis() / FRAME.as_millis()) as usize
}

/// Puts the speech of one party together and cuts it into overlapping windows.
///
/// Only [`Activity::Speech`] that was really received counts: pauses and concealed frames are left
/// out without breaking the window. The first window ends with the first [`SLICE`], each further one a
/// [`STEP`] later, and none is longer than [`WINDOW`]: the grid is the speech's own, so what is
/// compared does not depend on when packets came or models answered.
#[derive(Debug)]
pub struct SpeechWindows {
    /// The last [`WINDOW_FRAMES`] of speech at most.
    speech: VecDeque<Frame>,
    /// Frames of speech since the stream began, and since the window before.
    heard: u64,
    fresh: u64,
    /// `heard` when the windows last began anew.
    began: u64,
    ready: VecDeque<SpeechWindow>,
}

/// Up to 3 s of speech by one party.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeechWindow {
    /// From [`SLICE_SAMPLES`] to [`WINDOW_SAMPLES`] at 16 kHz.
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

impl SpeechWindow {
    /// The newest [`SLICE`] of it.
    pub fn slice(&self) -> &[f32] {
        &self.samples[self.samples.len() - SLICE_SAMPLES.min(self.samples.len())..]
    }

    /// Whether it is as long as a window can be.
    pub fn is_whole(&self) -> bool {
        self.samples.len() == WINDOW_SAMPLES
    }

    /// How far its loud frames stand above its quiet ones, dB: the 95th percentile of the levels of
    /// its 20 ms frames above the 10th. Noise fills the valleys of speech, so this falls with the
    /// ratio of speech to noise, and needs no pause to be heard.
    pub fn range_db(&self) -> f64 {
        let mut levels: Vec<f64> = self
            .samples
            .chunks_exact(FRAME_SAMPLES)
            .map(|frame| {
                let power: f64 = frame.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
                10.0 * (power / FRAME_SAMPLES as f64 + QUIETEST).log10()
            })
            .collect();
        levels.sort_by(f64::total_cmp);
        let at = |share: f64| levels[((levels.len() - 1) as f64 * share).round() as usize];
        if levels.is_empty() { 0.0 } else { at(0.95) - at(0.10) }
    }
}

impl SpeechWindow {
    /// Level of its speech from 3.5 to 3.9 kHz, relative to that from 2.5 to 3.3 kHz, dB: telephone speech by a
    /// digital line has -6 dB in the mean, by one that ends at 3.4 kHz -18 dB.
    pub fn upper_db(&self) -> f64 {
        let mut spectrum = Spectrum::new(POINTS);
        let hann: Vec<f32> =
            (0..POINTS).map(|n| 0.5 - 0.5 * (TAU * n as f32 / POINTS as f32).cos()).collect();
        let (mut upper, mut lower) = (0.0, 0.0);
        for from in (0..self.samples.len().saturating_sub(POINTS - 1)).step_by(POINTS / 2) {
            let frame: Vec<f32> =
                self.samples[from..from + POINTS].iter().zip(&hann).map(|(x, w)| x * w).collect();
            let power = spectrum.power(&frame);
            let band = |edges: std::ops::Range<usize>| -> f64 {
                let bins = (edges.end - edges.start) as f64;
                power[edges].iter().copied().map(f64::from).sum::<f64>() / bins
            };
            upper += band(bins(3_500)..bins(3_900));
            lower += band(bins(2_500)..bins(3_300));
        }
        10.0 * ((upper + QUIETEST) / (lower + QUIETEST)).log10()
    }
}

/// Points of the spectrum that the band is seen by: 32 ms.
const POINTS: usize = 512;

/// The first bin at or above `hz`.
const fn bins(hz: usize) -> usize {
    (hz * POINTS).div_ceil(SAMPLE_RATE as usize)
}

/// Power of -100 dBFS: below it lies the rounding of 16 bits and nothing of a voice.
const QUIETEST: f64 = 1e-10;

impl SpeechWindows {
    /// Nothing heard yet.
    pub fn new() -> Self {
        Self {
            speech: VecDeque::with_capacity(WINDOW_FRAMES),
            heard: 0,
            fresh: 0,
            began: 0,
            ready: VecDeque::new(),
        }
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
        let first = self.heard - self.began == self.fresh;
        if self.fresh == if first { SLICE_FRAMES } else { STEP_FRAMES } as u64 {
            self.cut();
        }
    }

    /// What was gathered and not taken is forgotten: the windows begin anew, as at the beginning of a stream.
    pub fn discard(&mut self) {
        self.speech.clear();
        self.ready.clear();
        (self.fresh, self.began) = (0, self.heard);
    }

    /// The next window.
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
            fresh: frames(self.fresh),
        });
        self.fresh = 0;
    }
}

impl Default for SpeechWindows {
    fn default() -> Self {
        Self::new()
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
            Self { windows: SpeechWindows::new(), now: Duration::ZERO }
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
    fn windows_grow_from_a_slice_to_their_full_length_and_then_move_on() {
        let mut bench = Bench::new();
        assert_eq!(bench.speak(1_580), []);
        let first = bench.speak(20);
        assert_eq!(first[0].samples.len(), SLICE_SAMPLES);
        assert_eq!(millis(&first[0]), [0, 1_600, 1_600, 1_600]);
        assert_eq!(bench.speak(680), []);
        assert_eq!(millis(&bench.speak(20)[0]), [0, 2_300, 2_300, 700]);
        let whole = bench.speak(700);
        assert!(whole[0].is_whole());
        assert_eq!(millis(&whole[0]), [0, 3_000, 3_000, 700]);
        let next = bench.speak(700);
        assert_eq!(millis(&next[0]), [700, 3_700, 3_700, 700]);
        assert_eq!(next[0].slice().len(), SLICE_SAMPLES);
        assert_eq!(next[0].slice().first(), Some(&2.1));
    }

    #[test]
    fn pauses_and_concealed_audio_are_left_out() {
        let mut bench = Bench::new();
        bench.speak(1_000);
        bench.hear(5_000, Activity::Silence, false);
        bench.speak(500);
        bench.hear(240, Activity::Hangover, false);
        bench.hear(60, Activity::Speech, true);
        let windows = bench.speak(100);
        assert_eq!(millis(&windows[0]), [0, 6_900, 1_600, 1_600]);
        assert_eq!(windows[0].samples[16_000], 6.0, "after the pause");
        assert_eq!(bench.windows.net_speech(), Duration::from_millis(1_600));
    }

    #[test]
    fn after_a_discard_windows_grow_anew_and_hold_nothing_of_before() {
        let mut bench = Bench::new();
        bench.speak(4_000);
        bench.windows.discard();
        bench.now += Duration::from_secs(6);
        assert_eq!(bench.speak(1_580), []);
        let first = bench.speak(20);
        assert_eq!(millis(&first[0]), [10_000, 11_600, 5_600, 1_600]);
        assert!(first[0].samples.iter().all(|sample| *sample >= 10.0), "nothing of before");
    }

    #[test]
    fn a_narrow_line_shows_at_its_upper_edge() {
        let tones = |hz: &[f32]| SpeechWindow {
            samples: (0..WINDOW_SAMPLES)
                .map(|n| {
                    let t = n as f32 / SAMPLE_RATE as f32;
                    hz.iter().map(|hz| 0.1 * (TAU * hz * t).sin()).sum()
                })
                .collect(),
            start: Duration::ZERO,
            end: WINDOW,
            net_speech: WINDOW,
            fresh: STEP,
        };
        // One tone in a band half as wide stands 3 dB higher in the mean of its bins.
        let digital = tones(&[2_800.0, 3_700.0]).upper_db();
        assert!((digital - 3.0).abs() < 0.5, "{digital}");
        assert!(tones(&[2_800.0]).upper_db() < -60.0);
        assert!(tones(&[]).upper_db().abs() < 0.1, "silence says nothing");
    }

    #[test]
    fn noise_fills_the_valleys_of_speech() {
        let window = |quiet: f32| SpeechWindow {
            samples: (0..WINDOW_SAMPLES)
                .map(|at| if (at / 1_600) % 2 == 0 { 0.1 } else { quiet })
                .collect(),
            start: Duration::ZERO,
            end: WINDOW,
            net_speech: WINDOW,
            fresh: STEP,
        };
        assert!((window(0.001).range_db() - 40.0).abs() < 0.1);
        assert!((window(0.032).range_db() - 9.9).abs() < 0.1);
        assert!((window(0.1).range_db()).abs() < 0.1);
    }
}
