//! Waveform substitution across a gap, after the idea of ITU-T G.711 Appendix I.
//!
//! The appendix has to guess on while the gap lasts. Here nobody listens live, so what comes behind
//! the gap is known: the voice before it is carried on, the voice behind it is carried back, and one
//! fades into the other. What is made up is marked and never scored; it keeps a gap from clicking,
//! for the detector of voice activity and for the phrases around it.

/// Highest voice pitch searched, Hz (Appendix I §I.2.4).
const HIGHEST_PITCH: usize = 200;
/// Lowest voice pitch searched, Hz.
const LOWEST_PITCH: usize = 66;
/// Of a second: what is compared with itself one period earlier, 20 ms.
const COMPARED: usize = 50;
/// Of a second: as long as a voice may be taken to go on unchanged, 10 ms.
const HOLD: usize = 100;
/// Milliseconds after which nothing of it is left (Appendix I §I.2.7).
const SILENT_MS: usize = 60;

/// Remembers the end of what was heard, to carry it on.
#[derive(Clone, Debug)]
pub struct Concealment {
    rate: usize,
    /// The last samples heard, at most as many as a search for the pitch needs.
    past: Vec<f32>,
}

impl Concealment {
    /// Nothing heard yet; `rate` in Hz.
    pub fn new(rate: usize) -> Self {
        Self { rate, past: Vec::new() }
    }

    /// Takes samples that did arrive.
    pub fn hear(&mut self, samples: &[f32]) {
        self.past.extend(samples);
        let surplus = self.past.len().saturating_sub(needed(self.rate));
        self.past.drain(..surplus);
    }

    /// `length` samples for a gap between what was heard and `after`, where that is known.
    pub fn bridge(&mut self, length: usize, after: Option<&[f32]>) -> Vec<f32> {
        if length == 0 {
            return Vec::new();
        }
        let onwards = carried_on(&self.past, length, self.rate);
        let bridge = match after {
            None => onwards,
            Some(after) => {
                let backwards: Vec<f32> = after.iter().rev().copied().collect();
                let back = carried_on(&backwards, length, self.rate);
                let share = |n: usize| (n as f32 + 0.5) / length as f32;
                let both = onwards.iter().zip(back.iter().rev()).enumerate();
                both.map(|(n, (on, back))| on * (1.0 - share(n)) + back * share(n)).collect()
            }
        };
        self.hear(&bridge);
        bridge
    }
}

fn needed(rate: usize) -> usize {
    rate / COMPARED + rate / LOWEST_PITCH
}

/// The next `length` samples: the last pitch period over and over, fading.
fn carried_on(past: &[f32], length: usize, rate: usize) -> Vec<f32> {
    let Some(lag) = pitch(past, rate) else { return vec![0.0; length] };
    let period = &past[past.len() - lag..];
    (0..length).map(|n| period[n % lag] * gain(n, rate)).collect()
}

/// The lag at which the end of `past` is most like what came before it, in samples; `None` where
/// there is not enough of it.
fn pitch(past: &[f32], rate: usize) -> Option<usize> {
    let (shortest, longest) = (rate / HIGHEST_PITCH, rate / LOWEST_PITCH);
    let end = past.len();
    let longest = longest.min(end / 2);
    let compared = (rate / COMPARED).min(end.saturating_sub(longest));
    let recent = &past[end - compared..];
    let likeness = |lag: usize| {
        let earlier = &past[end - compared - lag..end - lag];
        let product: f32 = recent.iter().zip(earlier).map(|(r, e)| r * e).sum();
        let energy: f32 = earlier.iter().map(|e| e * e).sum();
        product / energy.sqrt().max(f32::MIN_POSITIVE)
    };
    let scored = (shortest..=longest).map(|lag| (likeness(lag), lag));
    scored.max_by(|left, right| left.0.total_cmp(&right.0)).map(|(_, lag)| lag)
}

/// Share of the level left `n` samples into the gap.
fn gain(n: usize, rate: usize) -> f32 {
    let (hold, silent) = (rate / HOLD, rate * SILENT_MS / 1_000);
    match n {
        _ if n < hold => 1.0,
        _ if n < silent => (silent - n) as f32 / (silent - hold) as f32,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::pcm::level_dbfs;

    const RATE: usize = 8_000;

    /// A voice-like pulse train of 100 Hz.
    fn buzz(range: std::ops::Range<usize>) -> Vec<f32> {
        range.map(|n| 0.5 * (-((n % 80) as f32) / 10.0).exp() - 0.06).collect()
    }

    fn after_hearing(samples: &[f32]) -> Concealment {
        let mut concealment = Concealment::new(RATE);
        concealment.hear(samples);
        concealment
    }

    #[test]
    fn a_voice_goes_on_in_phase() {
        let concealed = after_hearing(&buzz(0..640)).bridge(80, None);
        for (made, meant) in concealed.iter().zip(buzz(640..720)) {
            assert!((made - meant).abs() < 1e-3, "{made} {meant}");
        }
    }

    #[test]
    fn between_two_sides_a_steady_voice_stays_as_it_is() {
        let concealed = after_hearing(&buzz(0..640)).bridge(80, Some(&buzz(720..880)));
        for (made, meant) in concealed.iter().zip(buzz(640..720)) {
            assert!((made - meant).abs() < 1e-3, "{made} {meant}");
        }
    }

    #[test]
    fn a_falling_voice_keeps_its_pitch() {
        let falling =
            |n: usize| (n as f32 * std::f32::consts::TAU / 80.0).cos() * (n as f32 / -40.0).exp();
        let past: Vec<f32> = (0..640).map(falling).collect();
        assert_eq!(pitch(&past[640 - needed(RATE)..], RATE), Some(80));
    }

    #[test]
    fn it_fades_to_silence_where_nothing_follows() {
        let bridge = after_hearing(&buzz(0..640)).bridge(640, None);
        let levels: Vec<f32> = bridge.chunks(160).map(level_dbfs).collect();
        assert!(levels[0] > levels[1] && levels[1] > levels[2], "{levels:?}");
        assert_eq!(levels[3], f32::NEG_INFINITY);
    }

    #[test]
    fn a_gap_before_anything_was_heard_is_silence() {
        assert_eq!(Concealment::new(RATE).bridge(160, None), vec![0.0; 160]);
        assert_eq!(after_hearing(&[0.1; 8]).bridge(160, Some(&[0.1; 8])).len(), 160);
        assert!(Concealment::new(RATE).bridge(0, Some(&[])).is_empty());
    }
}
