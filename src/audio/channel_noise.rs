//! Noises for [`crate::audio::channel`], at 8 kHz, from a seed.

use std::f32::consts::TAU;

use crate::audio::channel::rms;

/// Voices that babble is mixed from.
const TALKERS: usize = 6;
/// Rate of all noises, Hz.
const RATE: f32 = 8_000.0;
/// Clatter a second in a kitchen.
const CLATTER: f32 = 2.5;

/// `samples` of six of the `talkers` at once, each at the same level; `None` without any.
pub fn babble(
    talkers: &[Vec<f32>],
    samples: usize,
    random: &mut fastrand::Rng,
) -> Option<Vec<f32>> {
    let mut mixed = vec![0.0; samples];
    let able: Vec<&Vec<f32>> = talkers.iter().filter(|talker| rms(talker) > 0.0).collect();
    for _ in 0..TALKERS {
        let talker = able.get(random.usize(..able.len().max(1)))?;
        let gain = 1.0 / rms(talker);
        for (x, n) in mixed.iter_mut().zip(anywhere(talker, samples, random)?) {
            *x += gain * n;
        }
    }
    Some(mixed)
}

/// `samples` of `noise` from a random place on, over and over; `None` of nothing.
pub fn anywhere(noise: &[f32], samples: usize, random: &mut fastrand::Rng) -> Option<Vec<f32>> {
    let start = random.usize(..noise.len().max(1));
    (!noise.is_empty()).then(|| noise.iter().cycle().skip(start).take(samples).copied().collect())
}

/// A kitchen that was never recorded: running water, a fan's hum, and the clatter of dishes as resonances
/// that are struck. It stands for noise that is neither steady nor speech.
pub fn kitchen(samples: usize, random: &mut fastrand::Rng) -> Vec<f32> {
    let mut noise = Vec::with_capacity(samples);
    let (hum, mut water) = (50.0 + 70.0 * random.f32(), 0.0);
    let mut struck: Vec<Dish> = Vec::new();
    for n in 0..samples {
        let t = n as f32 / RATE;
        let white = random.f32() - 0.5;
        water = 0.6 * water + white;
        let swell = 1.0 + 0.5 * (TAU * 0.3 * t).sin();
        if random.f32() < CLATTER / RATE {
            struck.push(Dish::strike(random));
        }
        struck.retain(|dish| dish.loudness > 1e-3);
        let clatter: f32 = struck.iter_mut().map(|dish| dish.ring(white)).sum();
        noise.push(0.08 * swell * water + 0.01 * (TAU * hum * t).sin() + clatter);
    }
    noise
}

/// A dish that rings.
struct Dish {
    hz: f32,
    phase: f32,
    loudness: f32,
    /// What is left of the loudness after a sample.
    decay: f32,
}

impl Dish {
    fn strike(random: &mut fastrand::Rng) -> Self {
        let seconds = 0.01 + 0.15 * random.f32();
        Self {
            hz: 300.0 + 3_300.0 * random.f32(),
            phase: 0.0,
            loudness: 0.5 * 10_f32.powf(-1.3 * random.f32()),
            decay: (-1.0 / (seconds * RATE)).exp(),
        }
    }

    fn ring(&mut self, white: f32) -> f32 {
        self.phase += self.hz / RATE;
        self.loudness *= self.decay;
        let partials = (TAU * self.phase).sin() + 0.5 * (TAU * 1.58 * self.phase).sin();
        self.loudness * (partials + 0.4 * white)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_noise() {
        let make = |seed| kitchen(8_000, &mut fastrand::Rng::with_seed(seed));
        assert_eq!(make(1), make(1));
        assert_ne!(make(1), make(2));
        assert!(make(1).iter().all(|x| x.is_finite()) && rms(&make(1)) > 0.01);
    }

    #[test]
    fn babble_needs_somebody_who_talks() {
        let mut random = fastrand::Rng::with_seed(1);
        assert_eq!(babble(&[], 10, &mut random), None);
        assert_eq!(babble(&[vec![0.0; 100]], 10, &mut random), None);
        let talkers = vec![vec![0.1; 50], vec![-0.3; 70]];
        assert_eq!(babble(&talkers, 200, &mut random).map(|noise| noise.len()), Some(200));
    }
}
