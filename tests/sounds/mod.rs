//! The sounds that stand for word pieces in the tiny streaming models: the samples of `tests/streaming/sounds.py`.

use std::path::Path;

use sidetone::audio::pcm;

/// Samples, 16 kHz, of word pieces, which count from 3; `seed` chooses the noise.
pub(crate) fn sounds(ids: &[usize], seed: u32) -> Vec<f32> {
    const LOW: [usize; 6] = [100, 80, 64, 50, 40, 32];
    const HIGH: [usize; 5] = [20, 16, 12, 10, 7];
    let mut samples = vec![0_i32; 4_800];
    for id in ids {
        let (low, high) = (LOW[(id - 3) % 6], HIGH[(id - 3) / 6]);
        let sign = |n: usize, period: usize| if n % period < period / 2 { 1 } else { -1 };
        samples.extend((0..2_880).map(|n| 5_000 * sign(n, low) + 3_500 * sign(n, high)));
        samples.resize(samples.len() + 960, 0);
    }
    samples.resize(samples.len() + 4_800, 0);
    let mut state = seed;
    let noisy = samples.iter().map(|sample| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (sample + (state >> 24) as i32 - 128) as f32 / 32_768.0
    });
    noisy.collect()
}

/// Writes them as 16-bit WAV.
pub(crate) fn write_wav(file: &Path, samples: &[f32]) {
    let (sample_format, bits_per_sample) = (hound::SampleFormat::Int, 16);
    let spec = hound::WavSpec { channels: 1, sample_rate: 16_000, bits_per_sample, sample_format };
    let mut wav = hound::WavWriter::create(file, spec).expect("a file");
    for sample in pcm::to_i16(samples) {
        wav.write_sample(sample).expect("a sample");
    }
    wav.finalize().expect("a file");
}
