//! Short slices of the speech that longer windows were cut from: in them short turns show.

use std::time::Duration;

use crate::audio::pcm::duration_of;
use crate::audio::speech_windows::SpeechWindow;

/// Length of a slice: half a window of the ResNet34.
pub const SLICE: Duration = Duration::from_millis(1_500);
/// Samples in a [`SLICE`], at 16 kHz.
const SAMPLES: usize = 24_000;
/// From one slice's start to the next: they overlap by half, so that one of them lies in a turn.
const HOP: usize = SAMPLES / 2;

/// Puts overlapping windows together again and cuts them anew.
#[derive(Clone, Debug, Default)]
pub struct Slices {
    /// From the next slice's start on.
    speech: Vec<f32>,
}

/// A piece of speech, 16 kHz.
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    /// Net speech up to its end, as the windows count it.
    pub until: Duration,
    /// [`SLICE`] of samples.
    pub samples: Vec<f32>,
}

impl Slices {
    /// Takes the next window; returns the slices that it completes.
    pub fn take(&mut self, window: &SpeechWindow) -> Vec<Slice> {
        let fresh = (window.fresh.as_secs_f64() * 16_000.0).round() as usize;
        let fresh = &window.samples[window.samples.len().saturating_sub(fresh)..];
        self.speech.extend_from_slice(fresh);
        let mut slices = Vec::new();
        while self.speech.len() >= SAMPLES {
            let rest = duration_of((self.speech.len() - SAMPLES) as u64);
            let until = window.net_speech.saturating_sub(rest);
            slices.push(Slice { until, samples: self.speech[..SAMPLES].to_vec() });
            self.speech.drain(..HOP);
        }
        slices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_windows_become_slices_of_all_the_speech() {
        let speech: Vec<f32> = (0..16_000 * 6).map(|n| n as f32).collect();
        let mut slices = Slices::default();
        let mut cut = Vec::new();
        for end in 3..=6 {
            let window = SpeechWindow {
                samples: speech[(end - 3) * 16_000..end * 16_000].to_vec(),
                start: Duration::ZERO,
                end: Duration::ZERO,
                net_speech: Duration::from_secs(end as u64),
                fresh: Duration::from_secs(if end == 3 { 3 } else { 1 }),
            };
            cut.extend(slices.take(&window));
        }
        assert_eq!(cut.len(), 7);
        for (n, slice) in cut.iter().enumerate() {
            assert_eq!(slice.samples, speech[n * HOP..n * HOP + SAMPLES], "slice {n}");
            assert_eq!(slice.until.as_millis(), 1_500 + 750 * n as u128);
        }
    }
}
