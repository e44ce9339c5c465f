//! A steady tone in place of a voice: a test line, a dial tone, a fax.

use std::time::Duration;

/// Length of the blocks that are judged, in ms: 17 periods of 425 Hz, the lowest tone of networks.
const BLOCK_MS: usize = 40;
/// Share of a block's power that one sine has to have: -17 dB of anything else.
const PURE: f64 = 0.98;
/// Power below which nothing is judged: -60 dBFS.
const AUDIBLE: f64 = 1e-6;
/// Highest tone that is told from its neighbours at 8 kHz, Hz.
const HIGHEST: f64 = 3_400.0;
/// How far a block's pitch may be from the one before, Hz.
const STEADY: f64 = 10.0;
/// Blocks in a row that make a tone: 400 ms. No vowel is as pure for as long.
const BLOCKS: u32 = 10;

/// A tone that was heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tone {
    /// Hz.
    pub hertz: f64,
    /// Root mean square, dB relative to full scale.
    pub dbfs: f64,
    /// For how long, so far.
    pub time: Duration,
}

/// Listens for one sine that stays where it is.
///
/// Block by block, the recurrence of a sine, x(n+1) + x(n-1) = 2 cos w x(n), sieves out what is none
/// and gives its angle; the phases of both halves mend the angle, and a projection tells how much of
/// the block it is.
#[derive(Clone, Debug, Default)]
pub struct ToneMeter {
    rate: u32,
    block: Vec<f32>,
    /// The run that goes on.
    run: Option<Run>,
    longest: Option<Tone>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    last_hertz: f64,
    hertz: f64,
    power: f64,
    blocks: u32,
}

impl ToneMeter {
    /// Takes the next samples, full scale -1 to 1, at `rate` Hz.
    pub fn hear(&mut self, samples: &[f32], rate: u32) {
        if rate != self.rate {
            self.rate = rate;
            self.pause();
        }
        let full = rate as usize * BLOCK_MS / 1_000;
        let mut rest = samples;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(full - self.block.len()));
            self.block.extend(now);
            rest = later;
            if self.block.len() == full {
                self.judge();
                self.block.clear();
            }
        }
    }

    /// What comes next does not follow on what came before.
    pub fn pause(&mut self) {
        self.block.clear();
        self.run = None;
    }

    /// The longest tone so far.
    pub fn longest(&self) -> Option<Tone> {
        self.longest
    }

    fn judge(&mut self) {
        let Some((hertz, power)) = sine(&self.block, f64::from(self.rate)) else {
            self.run = None;
            return;
        };
        let run = match self.run {
            Some(run) if (run.last_hertz - hertz).abs() <= STEADY => Run {
                last_hertz: hertz,
                hertz: run.hertz + hertz,
                power: run.power + power,
                blocks: run.blocks + 1,
            },
            Some(_) | None => Run { last_hertz: hertz, hertz, power, blocks: 1 },
        };
        self.run = Some(run);
        let time = Duration::from_millis(BLOCK_MS as u64) * run.blocks;
        if run.blocks >= BLOCKS && self.longest.is_none_or(|longest| longest.time < time) {
            let blocks = f64::from(run.blocks);
            let dbfs = 10.0 * (run.power / blocks).log10();
            self.longest = Some(Tone { hertz: run.hertz / blocks, dbfs, time });
        }
    }
}

/// Frequency and power of the sine that `block` is, if it is one.
fn sine(block: &[f32], rate: f64) -> Option<(f64, f64)> {
    let power = block.iter().map(|&x| f64::from(x * x)).sum::<f64>() / block.len() as f64;
    if power < AUDIBLE {
        return None;
    }
    let angle = recurrence(block)?;
    // How far the phase runs ahead of this angle from one half to the other mends it.
    let half = block.len() / 2;
    let [first, second] = [0, half].map(|from| component(&block[from..from + half], angle, from));
    let turned =
        (second.1 * first.0 - second.0 * first.1).atan2(second.0 * first.0 + second.1 * first.1);
    let angle = angle + turned / half as f64;
    let hertz = angle * rate / std::f64::consts::TAU;
    let (real, imaginary) = component(block, angle, 0);
    let of_sine = 2.0 * (real * real + imaginary * imaginary);
    let pure = of_sine >= PURE * power && hertz <= HIGHEST;
    pure.then_some((hertz, power))
}

/// The angle of a sine whose recurrence fits `block` best, radians a sample; `None` if none fits
/// well. Low voices fit too: it is a sieve.
fn recurrence(block: &[f32]) -> Option<f64> {
    let (mut products, mut squares, mut sums) = (0.0, 0.0, 0.0);
    for window in block.windows(3) {
        let (sum, middle) = (f64::from(window[0] + window[2]), f64::from(window[1]));
        products += sum * middle;
        squares += middle * middle;
        sums += sum * sum;
    }
    let cosine = products / (2.0 * squares);
    let residue = sums - 2.0 * cosine * products;
    // White noise of power N leaves N (2 + 4 cos^2 w) a sample.
    let noise = residue / (2.0 + 4.0 * cosine * cosine);
    (noise <= (1.0 - PURE) * squares && cosine.abs() < 1.0).then(|| cosine.acos())
}

/// The part of `block` at `angle`, where its first sample is number `from`.
fn component(block: &[f32], angle: f64, from: usize) -> (f64, f64) {
    let (step_sine, step_cosine) = angle.sin_cos();
    let (mut sine, mut cosine) = (angle * from as f64).sin_cos();
    let (mut real, mut imaginary) = (0.0, 0.0);
    for &sample in block {
        real += f64::from(sample) * cosine;
        imaginary -= f64::from(sample) * sine;
        (sine, cosine) =
            (sine * step_cosine + cosine * step_sine, cosine * step_cosine - sine * step_sine);
    }
    let length = block.len() as f64;
    (real / length, imaginary / length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::g711;

    fn heard(rate: u32, seconds: f32, wave: impl Fn(f32) -> f32) -> Option<Tone> {
        let mut meter = ToneMeter::default();
        let samples: Vec<f32> = (0..(rate as f32 * seconds) as usize)
            .map(|n| {
                let linear = wave(n as f32 / rate as f32) * 32_768.0;
                f32::from(g711::decode_alaw(g711::encode_alaw(linear as i16))) / 32_768.0
            })
            .collect();
        samples.chunks(rate as usize / 50).for_each(|packet| meter.hear(packet, rate));
        meter.longest()
    }

    fn tone(hertz: f32) -> impl Fn(f32) -> f32 {
        move |t| 0.2 * (t * hertz * std::f32::consts::TAU).sin()
    }

    #[test]
    fn a_tone_has_its_pitch_and_level_at_both_rates() {
        for rate in [8_000, 16_000] {
            for hertz in [350.0, 425.0, 440.0, 1_004.0, 2_100.0, 3_000.0] {
                let heard = heard(rate, 2.0, tone(hertz)).expect("a tone");
                let off = (heard.hertz - f64::from(hertz)).abs();
                assert!(off < 0.01 * f64::from(hertz), "{hertz} at {rate}: {heard:?}");
                assert!((heard.dbfs + 16.99).abs() < 0.1, "{hertz} at {rate}: {heard:?}");
                assert_eq!(heard.time, Duration::from_secs(2));
            }
        }
    }

    #[test]
    fn a_voice_two_tones_and_silence_are_none() {
        let buzz = |t: f32| (1..8).map(|h| tone(140.0 * h as f32)(t) / h as f32).sum();
        assert_eq!(heard(8_000, 2.0, buzz), None);
        assert_eq!(heard(8_000, 2.0, |t| tone(697.0)(t) + tone(1_209.0)(t)), None, "a key");
        assert_eq!(heard(8_000, 2.0, |_| 0.0), None);
        let sweep = |t: f32| 0.2 * (t * (400.0 + 500.0 * t) * std::f32::consts::TAU).sin();
        assert_eq!(heard(8_000, 2.0, sweep), None);
    }

    #[test]
    fn a_short_tone_is_none_and_the_longest_counts() {
        assert_eq!(heard(8_000, 0.36, tone(425.0)), None);
        let two = |t: f32| if t < 1.0 { tone(425.0)(t) } else { tone(950.0)(t) };
        let longest = heard(8_000, 3.0, two).expect("a tone");
        assert!((longest.hertz - 950.0).abs() < 5.0, "{longest:?}");
    }
}
