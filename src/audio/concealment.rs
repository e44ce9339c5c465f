//! Waveform substitution for lost G.711 packets, after the idea of ITU-T G.711 Appendix I.
//!
//! It only keeps a loss from clicking: concealed audio is marked and never scored, so the
//! appendix's overlap at the end and growing pitch buffer are left out.

/// Rate that the lags below are meant for, in Hz.
const RATE: usize = 8_000;
/// Highest voice pitch searched, 200 Hz (Appendix I §I.2.4).
const MIN_LAG: usize = RATE / 200;
/// Lowest voice pitch searched, 66 Hz.
const MAX_LAG: usize = RATE / 66;
/// 20 ms of past are compared with themselves one lag earlier.
const COMPARED: usize = RATE / 50;
/// Full level for 10 ms, as long as a voice may be taken to go on unchanged.
const HOLD: usize = RATE / 100;
/// Silent from 60 ms on (Appendix I §I.2.7).
const SILENT: usize = RATE * 60 / 1_000;

/// Remembers the end of what was heard and goes on with its last pitch period.
#[derive(Clone, Debug, Default)]
pub struct Concealment {
    /// The last samples heard, at most [`COMPARED`] + [`MAX_LAG`].
    past: Vec<f32>,
    /// Pitch period of the running loss, and how many samples of it are already filled.
    running: Option<(usize, usize)>,
}

impl Concealment {
    /// Takes samples at 8 kHz that did arrive; a running loss ends here.
    pub fn hear(&mut self, samples: &[f32]) {
        self.past.extend(samples);
        let surplus = self.past.len().saturating_sub(COMPARED + MAX_LAG);
        self.past.drain(..surplus);
        self.running = None;
    }

    /// The next `length` samples of a loss: the last pitch period over and over, fading.
    pub fn conceal(&mut self, length: usize) -> Vec<f32> {
        let (lag, filled) = self.running.unwrap_or_else(|| (self.pitch(), 0));
        self.running = Some((lag, filled + length));
        let period = &self.past[self.past.len() - lag.min(self.past.len())..];
        (filled..filled + length)
            .map(|n| period.get(n % lag).map_or(0.0, |sample| sample * gain(n)))
            .collect()
    }

    /// The lag at which the end of the past is most like what came before it.
    fn pitch(&self) -> usize {
        if self.past.len() < COMPARED + MAX_LAG {
            return MAX_LAG;
        }
        let end = self.past.len();
        let recent = &self.past[end - COMPARED..];
        let likeness = |lag: usize| {
            let earlier = &self.past[end - COMPARED - lag..end - lag];
            let product: f32 = recent.iter().zip(earlier).map(|(r, e)| r * e).sum();
            let energy: f32 = earlier.iter().map(|e| e * e).sum();
            product / energy.sqrt().max(f32::MIN_POSITIVE)
        };
        let score = |lag: usize| (likeness(lag), lag);
        let best = (MIN_LAG..=MAX_LAG).map(score).max_by(|a, b| a.0.total_cmp(&b.0));
        best.expect("there are lags to choose from").1
    }
}

/// Share of the level left `n` samples into the loss.
fn gain(n: usize) -> f32 {
    match n {
        0..HOLD => 1.0,
        HOLD..SILENT => (SILENT - n) as f32 / (SILENT - HOLD) as f32,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::pcm::level_dbfs;

    /// A voice-like pulse train of 100 Hz.
    fn buzz(range: std::ops::Range<usize>) -> Vec<f32> {
        range.map(|n| 0.5 * (-((n % 80) as f32) / 10.0).exp() - 0.06).collect()
    }

    #[test]
    fn a_voice_goes_on_in_phase() {
        let mut concealment = Concealment::default();
        concealment.hear(&buzz(0..640));
        let concealed = concealment.conceal(HOLD);
        for (made, meant) in concealed.iter().zip(buzz(640..640 + HOLD)) {
            assert!((made - meant).abs() < 1e-3, "{made} {meant}");
        }
    }

    #[test]
    fn a_falling_voice_keeps_its_pitch() {
        let falling =
            |n: usize| (n as f32 * std::f32::consts::TAU / 80.0).cos() * (n as f32 / -40.0).exp();
        let mut concealment = Concealment::default();
        concealment.hear(&(0..640).map(falling).collect::<Vec<_>>());
        assert_eq!(concealment.pitch(), 80);
    }

    #[test]
    fn it_fades_to_silence_across_packets() {
        let mut concealment = Concealment::default();
        concealment.hear(&buzz(0..640));
        let levels: Vec<f32> = (0..4).map(|_| level_dbfs(&concealment.conceal(COMPARED))).collect();
        assert!(levels[0] > levels[1] && levels[1] > levels[2], "{levels:?}");
        assert_eq!(levels[3], f32::NEG_INFINITY);
    }

    #[test]
    fn a_new_loss_starts_at_full_level() {
        let mut concealment = Concealment::default();
        concealment.hear(&buzz(0..640));
        let first = concealment.conceal(800);
        concealment.hear(&buzz(0..640));
        assert_eq!(concealment.conceal(800), first);
    }

    #[test]
    fn a_loss_before_anything_was_heard_is_silence() {
        assert_eq!(Concealment::default().conceal(160), vec![0.0; 160]);
        let mut concealment = Concealment::default();
        concealment.hear(&[0.1; 8]);
        assert_eq!(concealment.conceal(160).len(), 160);
    }
}
